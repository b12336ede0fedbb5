//! The lines that the agent and the program exchange; `docs/detector-exec.md` describes them.

use serde::{Deserialize, Serialize};

/// Longest line of the program.
pub const MAX_LINE: usize = 256 << 10;

/// Longest name of a model, an engine or an accelerator.
const MAX_NAME: usize = 100;

/// What precedes the bytes of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Header {
    /// Number of the picture; the answer has the same.
    pub seq: u64,
    /// Microseconds since 1970 when it was captured.
    pub captured_us: u64,
    /// Bytes of JPEG that follow the line.
    pub bytes: usize,
}

/// The program's first line: it is ready.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Hello {
    /// Name of the model.
    pub model: String,
    /// Name of the runtime.
    pub engine: String,
    /// What the runtime computes on.
    #[serde(default)]
    pub accelerator: String,
}

/// The program's answer to a picture.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Answer {
    /// Number of the picture.
    pub seq: u64,
    /// What is in it.
    pub objects: Vec<Found>,
}

/// One object.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Found {
    /// Name of its class.
    pub label: String,
    /// 0 to 1.
    pub score: f32,
    /// ymin, xmin, ymax, xmax as fractions of the picture.
    #[serde(rename = "box")]
    pub bounding_box: [f32; 4],
}

impl Hello {
    /// Reads the line.
    ///
    /// # Errors
    ///
    /// What was expected.
    pub fn read(line: &[u8]) -> Result<Self, String> {
        let hello: Self = serde_json::from_slice(line).map_err(|err| {
            format!(
                "its first line is {}, expected {{\"model\": \"...\", \"engine\": \"...\"}}: {err}",
                excerpt(line)
            )
        })?;
        let names = [&hello.model, &hello.engine, &hello.accelerator];
        if let Some(name) = names.into_iter().find(|name| !is_name(name)) {
            return Err(format!(
                "its first line has a name of {} bytes or with control characters",
                name.len()
            ));
        }
        Ok(hello)
    }
}

impl Answer {
    /// Reads the line.
    ///
    /// # Errors
    ///
    /// What was expected.
    pub fn read(line: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(line).map_err(|err| {
            format!(
                "it answers {}, expected {{\"seq\": N, \"objects\": [{{\"label\": \"...\", \
                 \"score\": S, \"box\": [ymin, xmin, ymax, xmax]}}]}}: {err}",
                excerpt(line)
            )
        })
    }
}

/// Whether a name can be shown.
#[must_use]
pub fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME && !name.contains(char::is_control)
}

/// The start of a line, for messages.
fn excerpt(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line.get(..60).unwrap_or(line));
    format!("{text:?}")
}
