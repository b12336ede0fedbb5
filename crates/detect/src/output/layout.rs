//! Which output tensor means what.
//!
//! Understood are the four outputs of `TFLite_Detection_PostProcess` in any order, which
//! EfficientDet-Lite has too, and raw SSD heads with anchors that are in the model or can be made.

use super::anchors::{self, Anchor};
use super::info::OutputInfo;
use super::limits::Limits;
use super::postprocessed::{self, Outputs};
use super::raw::{Activation, MAX_CANDIDATES, RawHeads};
use super::reader::Reader;
use crate::detection::Detection;
use crate::engine::TensorRef;
use crate::input::InputFormat;
use crate::labels::Labels;
use crate::model::{ElementType, Model, Quantization, builtin};

/// What is expected, for messages.
const EXPECTED: &str = "expected boxes [1, N, 4], classes [1, N], scores [1, N] and a count [1], \
    or raw boxes [1, N, 4] and class predictions [1, N, C] of an SSD";

/// Why a model's outputs are not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The shapes fit no layout.
    #[error("its outputs are not understood: {0}; {EXPECTED}")]
    Unknown(String),
    /// Raw heads without anchors.
    #[error(
        "its {count} boxes need anchors, but it has no constant of [{count}, 4] that could be \
         these, and the usual SSD anchors for {width}x{height} are not {count}"
    )]
    NoAnchors {
        /// Boxes that it has.
        count: usize,
        /// Input size.
        width: usize,
        /// Input size.
        height: usize,
    },
    /// Labels that do not belong to the model.
    #[error(
        "{labels} labels do not fit a model of {classes} classes (with the background, if it has \
         one); if they are right nevertheless, set the class offset"
    )]
    Labels {
        /// Lines.
        labels: usize,
        /// Columns of the class predictions.
        classes: usize,
    },
}

/// What a model's outputs mean; turns them into detections.
#[derive(Debug)]
pub struct Layout {
    quantizations: Vec<Option<Quantization>>,
    kind: Kind,
    limits: Limits,
    offset: i32,
    max: usize,
    description: String,
}

#[derive(Debug)]
enum Kind {
    PostProcessed(Roles),
    Raw {
        boxes: usize,
        classes: usize,
        heads: RawHeads,
    },
}

/// Positions among the model's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Roles {
    boxes: usize,
    classes: usize,
    scores: usize,
    count: Option<usize>,
    rows: usize,
}

/// What is known about a model and what is wanted of it.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What the file says.
    pub model: &'a Model,
    /// All of it.
    pub file: &'a [u8],
    /// In the model's order.
    pub outputs: &'a [OutputInfo],
    /// Its only input.
    pub input: &'a InputFormat,
    /// Names of its classes; may be empty.
    pub labels: &'a Labels,
    /// The line of the labels that class 0 has, if the user says so.
    pub class_offset: Option<i32>,
    /// Smallest scores.
    pub limits: &'a Limits,
    /// Most detections for a picture.
    pub max: usize,
}

impl Layout {
    /// Understands the outputs of a model.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] with what was found and what was expected.
    pub fn understand(facts: &Facts<'_>) -> Result<Self, LayoutError> {
        let &Facts {
            outputs,
            labels,
            class_offset,
            limits,
            max,
            ..
        } = facts;
        let (kind, offset, description) = if let Some(roles) = post_processed(outputs) {
            let offset = class_offset.unwrap_or_else(|| i32::from(labels.starts_with_background()));
            let description = format!(
                "post-processed in the model: up to {} objects; class 0 is {:?}",
                roles.rows,
                name_of(labels, offset)
            );
            (Kind::PostProcessed(roles), offset, description)
        } else {
            raw_heads(facts)?
        };
        Ok(Self {
            quantizations: outputs.iter().map(|output| output.quantization).collect(),
            kind,
            limits: limits.clone(),
            offset,
            max,
            description,
        })
    }

    /// How the outputs are understood, for people.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Most detections that there can be before suppression, to allocate for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        match &self.kind {
            Kind::PostProcessed(roles) => roles.rows,
            Kind::Raw { .. } => MAX_CANDIDATES,
        }
    }

    /// Fills `found` with the objects, highest score first.
    pub fn read(&mut self, tensors: &[TensorRef<'_>], found: &mut Vec<Detection>) {
        found.clear();
        let quantizations = &self.quantizations;
        let reader = |index: usize| {
            let quantization = quantizations.get(index).copied().flatten();
            Some(Reader::new(*tensors.get(index)?, quantization))
        };
        match &mut self.kind {
            Kind::PostProcessed(roles) => {
                let (Some(boxes), Some(classes), Some(scores)) = (
                    reader(roles.boxes),
                    reader(roles.classes),
                    reader(roles.scores),
                ) else {
                    return;
                };
                let outputs = Outputs {
                    boxes,
                    classes,
                    scores,
                    count: roles.count.and_then(reader),
                    rows: roles.rows,
                };
                postprocessed::read(&outputs, self.offset, &self.limits, self.max, found);
            }
            Kind::Raw {
                boxes,
                classes,
                heads,
            } => {
                if let (Some(boxes), Some(classes)) = (reader(*boxes), reader(*classes)) {
                    heads.read(boxes, classes, self.max, found);
                }
            }
        }
    }
}

fn name_of(labels: &Labels, class: i32) -> String {
    match u32::try_from(class) {
        Ok(class) => labels.name(class).into_owned(),
        Err(_) => "the background".into(),
    }
}

/// Finds boxes, classes, scores and count among three or four outputs.
fn post_processed(outputs: &[OutputInfo]) -> Option<Roles> {
    if !(3..=4).contains(&outputs.len()) {
        return None;
    }
    let position = |test: &dyn Fn(&OutputInfo) -> bool| outputs.iter().position(test);
    // The operator's own outputs come in a fixed order, whatever the model's is.
    let by_operator = |place| position(&|output| output.post_process == Some(place));
    let found = [0, 1, 2, 3].map(by_operator);
    let (boxes, classes, scores, count) = if let [Some(boxes), Some(classes), Some(scores), count] =
        found
    {
        (boxes, classes, scores, count)
    } else {
        let boxes = position(&|output| output.shape.len() >= 2 && output.shape.last() == Some(&4))?;
        let rows = outputs.get(boxes)?.count() / 4;
        let rest = |index: &usize| *index != boxes;
        let count = (outputs.len() == 4)
            .then(|| {
                let single = |index: &usize| outputs.get(*index).is_some_and(|o| o.count() == 1);
                let mut singles = (0..4).filter(rest).filter(single);
                match (singles.next(), singles.next()) {
                    (Some(only), None) => Some(only),
                    // One row: all of them have one element, so names and ranks decide.
                    _ => (0..4).filter(rest).find(|&index| {
                        outputs.get(index).is_some_and(|output| {
                            output.named(&["num", "count"]) || output.shape.len() < 2
                        })
                    }),
                }
            })
            .flatten();
        if outputs.len() == 4 && count.is_none() {
            return None;
        }
        let mut pair = (0..outputs.len())
            .filter(rest)
            .filter(|&index| Some(index) != count)
            .filter(|&index| {
                outputs
                    .get(index)
                    .is_some_and(|output| output.count() == rows)
            });
        let (first, second) = (pair.next()?, pair.next()?);
        let is = |index: usize, words: &[&str]| {
            outputs.get(index).is_some_and(|output| output.named(words))
        };
        const SCORES: &[&str] = &["score", "confidence"];
        const CLASSES: &[&str] = &["class", "categor", "label"];
        let swapped = (is(first, SCORES) && !is(second, SCORES))
            || (is(second, CLASSES) && !is(first, CLASSES));
        if swapped {
            (boxes, second, first, count)
        } else {
            (boxes, first, second, count)
        }
    };
    let rows = outputs.get(boxes)?.count() / 4;
    let fits = |index: usize| {
        outputs
            .get(index)
            .is_some_and(|output| output.count() == rows)
    };
    (fits(classes) && fits(scores) && rows > 0).then_some(Roles {
        boxes,
        classes,
        scores,
        count,
        rows,
    })
}

fn raw_heads(facts: &Facts<'_>) -> Result<(Kind, i32, String), LayoutError> {
    let &Facts {
        model,
        outputs,
        input,
        labels,
        ..
    } = facts;
    let unknown = || {
        let described: Vec<String> = outputs.iter().map(OutputInfo::describe).collect();
        LayoutError::Unknown(described.join(", "))
    };
    let (boxes, classes) = find_heads(outputs).ok_or_else(unknown)?;
    let (count, columns) = match outputs.get(classes).map(|output| output.squeezed()) {
        Some(sizes) => match sizes[..] {
            [count, columns] => (count, columns),
            _ => return Err(unknown()),
        },
        None => return Err(unknown()),
    };
    let (anchors, source) = find_anchors(model, facts.file, count)
        .map(|anchors| (anchors, "of the model"))
        .or_else(|| {
            let anchors = anchors::generate(input.width, input.height, count)?;
            Some((anchors, "as usual for its size"))
        })
        .ok_or(LayoutError::NoAnchors {
            count,
            width: input.width,
            height: input.height,
        })?;
    let activation = activation(model, classes);
    let (offset, background) = match facts.class_offset {
        Some(offset) if labels.starts_with_background() => {
            // The column that has the first label.
            let background = usize::try_from(offset.saturating_neg()).ok();
            (offset, background.filter(|&column| column < columns))
        }
        Some(offset) => (offset, None),
        None if labels.is_empty() => (0, Some(0)),
        None if labels.len() == columns => (0, labels.starts_with_background().then_some(0)),
        None if labels.len() == columns + 1 && labels.starts_with_background() => (1, None),
        None if labels.len() + 1 == columns && !labels.starts_with_background() => (-1, Some(0)),
        None => {
            return Err(LayoutError::Labels {
                labels: labels.len(),
                classes: columns,
            });
        }
    };
    let first = background.map_or(0, |column| column + 1);
    let description = format!(
        "raw SSD heads: {count} anchors {source}, {columns} classes{}, {}; class {first} is {:?}",
        if background.is_some() {
            " with the background"
        } else {
            ""
        },
        match activation {
            Activation::None => "scores",
            Activation::Sigmoid => "logits",
        },
        name_of(labels, offset.saturating_add(first as i32)),
    );
    let heads = RawHeads::new(
        anchors,
        activation,
        columns,
        background,
        offset,
        facts.limits,
    );
    Ok((
        Kind::Raw {
            boxes,
            classes,
            heads,
        },
        offset,
        description,
    ))
}

/// Finds box encodings and class predictions: as many rows, and four columns in the boxes.
fn find_heads(outputs: &[OutputInfo]) -> Option<(usize, usize)> {
    let heads: Vec<(usize, [usize; 2])> = outputs
        .iter()
        .enumerate()
        .filter(|(_, output)| !output.named(&["anchor"]))
        .filter_map(|(index, output)| Some((index, output.squeezed().try_into().ok()?)))
        .collect();
    let &[(first, [rows, a]), (second, [other_rows, b])] = heads.as_slice() else {
        return None;
    };
    if rows != other_rows {
        return None;
    }
    let is_class = |index: usize| {
        outputs
            .get(index)
            .is_some_and(|output| output.named(&["class", "score", "cls"]))
    };
    match (a, b) {
        (4, 4) if is_class(first) && !is_class(second) => Some((second, first)),
        (4, _) => Some((first, second)),
        (_, 4) => Some((second, first)),
        _ => None,
    }
}

/// Anchors that the model brings as a constant of `[count, 4]` floats.
fn find_anchors(model: &Model, file: &[u8], count: usize) -> Option<Vec<Anchor>> {
    let constants = model.tensors.iter().enumerate().filter(|(_, tensor)| {
        tensor.element == ElementType::F32
            && tensor.shape.last() == Some(&4)
            && tensor.count() == count * 4
    });
    let mut found = constants.filter_map(|(index, tensor)| {
        let (values, _) = model.constant(file, index)?.as_chunks();
        let values: Vec<f32> = values.iter().copied().map(f32::from_le_bytes).collect();
        let named = tensor.name.to_lowercase().contains("anchor");
        Some((named, anchors::from_values(&values)?))
    });
    let first = found.next()?;
    let named = |(is_named, anchors)| if is_named { Some(anchors) } else { None };
    if first.0 {
        return named(first);
    }
    match found.find(|(is_named, _)| *is_named) {
        Some(better) => named(better),
        None => Some(first.1),
    }
}

/// Whether the class predictions are scores or logits: which operator made them.
fn activation(model: &Model, output: usize) -> Activation {
    let mut tensor = model.outputs.get(output).copied();
    // Bounded by the number of operators, each of which writes only what none before it did.
    for _ in 0..model.operators.len() {
        let Some(operator) = tensor.and_then(|tensor| model.producer(tensor)) else {
            break;
        };
        match model.codes.get(operator.code).map(|code| code.builtin) {
            Some(builtin::LOGISTIC | builtin::SOFTMAX) => return Activation::None,
            Some(
                builtin::CONCATENATION
                | builtin::DEQUANTIZE
                | builtin::QUANTIZE
                | builtin::RESHAPE
                | builtin::SQUEEZE,
            ) => tensor = operator.inputs.first().copied().flatten(),
            _ => break,
        }
    }
    Activation::Sigmoid
}
