//! Where a model's labels come from.

use std::path::PathBuf;

use super::config::DetectorConfig;
use super::error::DetectError;
use super::labels::Labels;
use super::model::{Metadata, packed_labels};
use super::select::{self, ModelFile};

/// Those that the user names, or lie beside one of our models, or are packed in the model; and
/// where they come from, if there are any.
pub fn load(
    config: &DetectorConfig,
    file: &ModelFile,
    metadata: &Metadata,
) -> Result<(Labels, Option<PathBuf>), DetectError> {
    let (path, bytes) = match config.labels.clone().or_else(|| file.own_labels()) {
        Some(path) => {
            let bytes = select::read(&path)?;
            (path, bytes)
        }
        None => match packed_labels(metadata, &file.bytes) {
            Some((name, bytes)) => (file.path.join(name), bytes.into_owned()),
            None => return Ok((Labels::default(), None)),
        },
    };
    match Labels::parse(&bytes) {
        Ok(labels) => Ok((labels, Some(path))),
        Err(source) => Err(DetectError::Labels { file: path, source }),
    }
}
