//! Names of the classes.

use std::borrow::Cow;

/// Names of the classes that a model knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    names: Vec<Option<Box<str>>>,
}

impl Labels {
    /// The name of a class; `class N` for one without a name.
    #[must_use]
    pub fn name(&self, class: u32) -> Cow<'_, str> {
        match self.names.get(class as usize) {
            Some(Some(name)) => Cow::Borrowed(name),
            _ => Cow::Owned(format!("class {class}")),
        }
    }
}
