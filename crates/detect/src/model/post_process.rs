//! The custom operator that ends most detection models.

use super::element::ElementType;
use super::error::{ModelError, inconsistent};
use super::flexbuffer;
use super::graph::{Model, Operator, Tensor};

/// Name of the custom operator that ends most detection models.
pub const POST_PROCESS: &str = "TFLite_Detection_PostProcess";

/// Options of the operator that post-processes detections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostProcess {
    /// Rows of its outputs.
    pub rows: usize,
    /// Classes without the background.
    pub classes: usize,
}

impl PostProcess {
    /// Shape of its output at `place`: boxes, classes, scores, count.
    #[must_use]
    pub fn shape(&self, place: usize) -> Vec<usize> {
        match place {
            0 => vec![1, self.rows, 4],
            1 | 2 => vec![1, self.rows],
            _ => vec![1],
        }
    }
}

/// Reads the options of the operator that post-processes detections.
///
/// # Errors
///
/// What is wrong with them.
pub fn post_process(file: &[u8], operator: &Operator) -> Result<PostProcess, ModelError> {
    let options = file
        .get(operator.custom_options.clone())
        .and_then(flexbuffer::read_map)
        .ok_or_else(|| inconsistent(format!("the options of {POST_PROCESS} are no map")))?;
    let number = |name: &str| {
        let found = options.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value.as_f64())
    };
    let count = |name: &str, most: f64| match number(name) {
        Some(count) if (1.0..=most).contains(&count) => Ok(count as usize),
        other => Err(inconsistent(format!(
            "{POST_PROCESS} has {name} {other:?}, expected 1 to {most}"
        ))),
    };
    let detections = count("max_detections", 10_000.0)?;
    let classes = count("num_classes", 10_000.0)?;
    let for_each = count("max_classes_per_detection", classes as f64)?;
    if number("detections_per_class").is_some() {
        count("detections_per_class", 10_000.0)?;
    }
    for name in [
        "nms_score_threshold",
        "nms_iou_threshold",
        "y_scale",
        "x_scale",
        "h_scale",
        "w_scale",
    ] {
        if !number(name).is_some_and(f64::is_finite) {
            return Err(inconsistent(format!(
                "{POST_PROCESS} has {name} {:?}, expected a number",
                number(name)
            )));
        }
    }
    Ok(PostProcess {
        rows: detections * for_each,
        classes,
    })
}

/// Checks its tensors and options.
pub fn check_post_process(
    model: &Model,
    file: &[u8],
    operator: &Operator,
) -> Result<(), ModelError> {
    let options = post_process(file, operator)?;
    let tensors: Vec<&Tensor> = operator
        .inputs
        .iter()
        .filter_map(|&index| model.tensors.get(index?))
        .collect();
    let (&[boxes, classes, anchors], 4) = (tensors.as_slice(), operator.outputs.len()) else {
        return Err(inconsistent(format!(
            "{POST_PROCESS} has {} inputs and {} outputs, expected 3 and 4",
            tensors.len(),
            operator.outputs.len()
        )));
    };
    let columns = match (&boxes.shape[..], &classes.shape[..], &anchors.shape[..]) {
        (&[1, count, 4], &[1, same, columns], &[also, 4]) if count == same && count == also => {
            columns
        }
        _ => 0,
    };
    let types = [boxes, classes, anchors].map(|tensor| tensor.element);
    let typed = types.iter().all(|&element| element == types[0])
        && matches!(types[0], ElementType::F32 | ElementType::U8);
    let results = operator
        .outputs
        .iter()
        .filter_map(|&index| model.tensors.get(index));
    let outputs_are_floats = results
        .into_iter()
        .all(|tensor| tensor.element == ElementType::F32);
    if columns >= options.classes && columns <= options.classes + 1 && typed && outputs_are_floats {
        Ok(())
    } else {
        Err(inconsistent(format!(
            "{POST_PROCESS} for {} classes has boxes {}, class predictions {} and anchors {}",
            options.classes,
            boxes.describe(),
            classes.describe(),
            anchors.describe()
        )))
    }
}
