//! Where a model's labels come from.

use std::path::PathBuf;

use super::config::DetectorConfig;
use super::error::DetectError;
use super::labels::Labels;
use super::model::{Metadata, POST_PROCESS, packed_labels, post_process};
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
        // Lists of 80 names are common, and models whose classes are COCO's own ids are, too.
        Ok(labels) if labels.are_dense_coco() && has_coco_ids(file) => {
            Ok((labels.at_coco_ids(), Some(path)))
        }
        Ok(labels) => Ok((labels, Some(path))),
        Err(source) => Err(DetectError::Labels { file: path, source }),
    }
}

/// Whether a model tells 90 classes apart, or 91 with the background.
fn has_coco_ids(file: &ModelFile) -> bool {
    let model = &file.model;
    let from_operator = model.operators.iter().find_map(|operator| {
        let code = model.codes.get(operator.code)?;
        (code.custom.as_deref() == Some(POST_PROCESS))
            .then(|| post_process(&file.bytes, operator).ok())?
    });
    match from_operator {
        Some(options) => options.classes == 90,
        None => model.outputs.iter().any(|&output| {
            let last = model
                .tensors
                .get(output)
                .and_then(|tensor| tensor.shape.last());
            matches!(last, Some(90 | 91))
        }),
    }
}
