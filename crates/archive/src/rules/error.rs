//! What is wrong with rules.

/// Why rules cannot be followed: the text names the key, the value, and what is allowed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("rules: {0}")]
pub struct RulesError(pub String);
