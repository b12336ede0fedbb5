//! The operators that detection models use, and what a runtime relies on without checking it.
//!
//! Runtimes check some of an operator's tensors and options and trust the rest: a missing input, a
//! stride of 0 or weights of another type make them read outside of their buffers or divide by
//! zero. So only operators that are listed here are let through, with as many tensors as they
//! take, of types that go together, and with their own options.

use super::element::ElementType;
use super::file::{Model, ModelError, Operator, Tensor, inconsistent};
use super::flatbuffer::Table;
use super::{builtin, flexbuffer};

/// Name of the custom operator that ends most detection models.
pub const POST_PROCESS: &str = "TFLite_Detection_PostProcess";

/// Largest stride, dilation, window or block of an operator.
const MAX_STEP: i32 = 4096;

/// What an operator takes and gives.
struct Rule {
    code: i32,
    name: &'static str,
    /// Kind of its options by the format's list; 0 for none.
    options: u8,
    /// Whether it cannot do without them.
    needs_options: bool,
    /// Fewest and most inputs.
    inputs: (usize, usize),
    /// Fewest and most outputs.
    outputs: (usize, usize),
    types: Types,
}

/// Which tensors of an operator have the same type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Types {
    /// Whatever: the runtimes check or convert.
    Any,
    /// All inputs and outputs.
    All,
    /// The first input and all outputs; further inputs are sizes or indices.
    FirstAndSizes,
    /// All inputs.
    Inputs,
    /// Weights, which have rules of their own.
    Weights,
}

use Types::{All, Any, FirstAndSizes, Inputs, Weights};

const MANY: usize = 1024;

const fn rule(
    code: i32,
    name: &'static str,
    (options, needs_options): (u8, bool),
    inputs: (usize, usize),
    outputs: (usize, usize),
    types: Types,
) -> Rule {
    Rule {
        code,
        name,
        options,
        needs_options,
        inputs,
        outputs,
        types,
    }
}

const NONE: (u8, bool) = (0, false);

#[rustfmt::skip]
const RULES: &[Rule] = &[
    rule(0, "ADD", (11, true), (2, 2), (1, 1), All),
    rule(1, "AVERAGE_POOL_2D", (5, true), (1, 1), (1, 1), All),
    rule(builtin::CONCATENATION, "CONCATENATION", (10, true), (1, MANY), (1, 1), All),
    rule(builtin::CONV_2D, "CONV_2D", (1, true), (2, 3), (1, 1), Weights),
    rule(builtin::DEPTHWISE_CONV_2D, "DEPTHWISE_CONV_2D", (2, true), (2, 3), (1, 1), Weights),
    rule(5, "DEPTH_TO_SPACE", (94, true), (1, 1), (1, 1), All),
    rule(builtin::DEQUANTIZE, "DEQUANTIZE", (38, false), (1, 1), (1, 1), Any),
    rule(8, "FLOOR", NONE, (1, 1), (1, 1), All),
    rule(builtin::FULLY_CONNECTED, "FULLY_CONNECTED", (8, true), (2, 3), (1, 1), Weights),
    rule(11, "L2_NORMALIZATION", (12, true), (1, 1), (1, 1), All),
    rule(builtin::LOGISTIC, "LOGISTIC", NONE, (1, 1), (1, 1), All),
    rule(17, "MAX_POOL_2D", (5, true), (1, 1), (1, 1), All),
    rule(18, "MUL", (21, true), (2, 2), (1, 1), All),
    rule(19, "RELU", NONE, (1, 1), (1, 1), All),
    rule(20, "RELU_N1_TO_1", NONE, (1, 1), (1, 1), All),
    rule(21, "RELU6", NONE, (1, 1), (1, 1), All),
    rule(builtin::RESHAPE, "RESHAPE", (17, false), (1, 2), (1, 1), FirstAndSizes),
    rule(23, "RESIZE_BILINEAR", (15, true), (2, 2), (1, 1), FirstAndSizes),
    rule(builtin::SOFTMAX, "SOFTMAX", (9, true), (1, 1), (1, 1), All),
    rule(26, "SPACE_TO_DEPTH", (19, true), (1, 1), (1, 1), All),
    rule(28, "TANH", NONE, (1, 1), (1, 1), All),
    rule(34, "PAD", (22, false), (2, 2), (1, 1), FirstAndSizes),
    rule(36, "GATHER", (23, true), (2, 2), (1, 1), FirstAndSizes),
    rule(39, "TRANSPOSE", (26, false), (2, 2), (1, 1), FirstAndSizes),
    rule(40, "MEAN", (27, true), (2, 2), (1, 1), FirstAndSizes),
    rule(41, "SUB", (28, true), (2, 2), (1, 1), All),
    rule(42, "DIV", (29, true), (2, 2), (1, 1), All),
    rule(builtin::SQUEEZE, "SQUEEZE", (30, true), (1, 1), (1, 1), All),
    rule(45, "STRIDED_SLICE", (32, true), (4, 4), (1, 1), FirstAndSizes),
    rule(47, "EXP", (33, false), (1, 1), (1, 1), All),
    rule(48, "TOPK_V2", (34, false), (2, 2), (2, 2), Any),
    rule(49, "SPLIT", (35, true), (2, 2), (1, MANY), Any),
    rule(53, "CAST", (37, false), (1, 1), (1, 1), Any),
    rule(54, "PRELU", NONE, (2, 2), (1, 1), All),
    rule(55, "MAXIMUM", (39, false), (2, 2), (1, 1), All),
    rule(56, "ARG_MAX", (40, true), (2, 2), (1, 1), Any),
    rule(57, "MINIMUM", (39, false), (2, 2), (1, 1), All),
    rule(58, "LESS", (41, false), (2, 2), (1, 1), Inputs),
    rule(59, "NEG", (42, false), (1, 1), (1, 1), All),
    rule(61, "GREATER", (44, false), (2, 2), (1, 1), Inputs),
    rule(62, "GREATER_EQUAL", (45, false), (2, 2), (1, 1), Inputs),
    rule(63, "LESS_EQUAL", (46, false), (2, 2), (1, 1), Inputs),
    rule(65, "SLICE", (48, false), (3, 3), (1, 1), FirstAndSizes),
    rule(builtin::TRANSPOSE_CONV, "TRANSPOSE_CONV", (49, true), (3, 4), (1, 1), Any),
    rule(69, "TILE", (51, false), (2, 2), (1, 1), FirstAndSizes),
    rule(70, "EXPAND_DIMS", (52, false), (2, 2), (1, 1), FirstAndSizes),
    rule(71, "EQUAL", (53, false), (2, 2), (1, 1), Inputs),
    rule(72, "NOT_EQUAL", (54, false), (2, 2), (1, 1), Inputs),
    rule(74, "SUM", (27, true), (2, 2), (1, 1), FirstAndSizes),
    rule(75, "SQRT", NONE, (1, 1), (1, 1), All),
    rule(76, "RSQRT", NONE, (1, 1), (1, 1), All),
    rule(77, "SHAPE", (55, true), (1, 1), (1, 1), Any),
    rule(82, "REDUCE_MAX", (27, true), (2, 2), (1, 1), FirstAndSizes),
    rule(83, "PACK", (59, true), (1, MANY), (1, 1), All),
    rule(84, "LOGICAL_OR", (60, false), (2, 2), (1, 1), All),
    rule(86, "LOGICAL_AND", (62, false), (2, 2), (1, 1), All),
    rule(87, "LOGICAL_NOT", (63, false), (1, 1), (1, 1), All),
    rule(88, "UNPACK", (64, true), (1, 1), (1, MANY), All),
    rule(92, "SQUARE", (66, false), (1, 1), (1, 1), All),
    rule(97, "RESIZE_NEAREST_NEIGHBOR", (74, true), (2, 2), (1, 1), FirstAndSizes),
    rule(98, "LEAKY_RELU", (75, true), (1, 1), (1, 1), All),
    rule(99, "SQUARED_DIFFERENCE", (76, false), (2, 2), (1, 1), All),
    rule(101, "ABS", (78, false), (1, 1), (1, 1), All),
    rule(102, "SPLIT_V", (79, true), (3, 3), (1, MANY), FirstAndSizes),
    rule(104, "CEIL", NONE, (1, 1), (1, 1), All),
    rule(builtin::QUANTIZE, "QUANTIZE", (89, false), (1, 1), (1, 1), Any),
    rule(117, "HARD_SWISH", (91, false), (1, 1), (1, 1), All),
    rule(120, "NON_MAX_SUPPRESSION_V4", (95, false), (5, 5), (2, 2), Any),
    rule(121, "NON_MAX_SUPPRESSION_V5", (96, false), (6, 6), (3, 3), Any),
    rule(126, "BATCH_MATMUL", (101, true), (2, 2), (1, 1), Any),
    rule(130, "BROADCAST_TO", (104, false), (2, 2), (1, 1), FirstAndSizes),
    rule(150, "GELU", (116, true), (1, 1), (1, 1), All),
];

/// Name of an operator in the format's list, if it is one that detection models use.
#[must_use]
pub fn name(code: i32) -> Option<&'static str> {
    RULES
        .iter()
        .find(|rule| rule.code == code)
        .map(|rule| rule.name)
}

/// Numbers among an operator's options that are looked at again once its tensors are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Of a depthwise convolution: outputs for each input channel.
    pub depth_multiplier: i32,
    /// Of a SPLIT or UNPACK: number of outputs.
    pub parts: i32,
}

/// Reads the options of a builtin operator and checks what would break a runtime.
pub(super) fn read_options(kind: u8, options: Option<&Table<'_>>) -> Result<Numbers, ModelError> {
    let mut numbers = Numbers::default();
    let Some(options) = options else {
        if kind == 0 {
            return Ok(numbers);
        }
        return Err(inconsistent(format!(
            "an operator has no options, expected those of kind {kind}"
        )));
    };
    options.check_numbers()?;
    // Slots of numbers that have to be positive, with their defaults.
    let positive: &[(usize, i32)] = match kind {
        1 => &[(1, 0), (2, 0), (4, 1), (5, 1)],
        2 => &[(1, 0), (2, 0), (3, 0), (5, 1), (6, 1)],
        5 => &[(1, 0), (2, 0), (3, 0), (4, 0)],
        49 => &[(1, 0), (2, 0)],
        19 | 94 => &[(0, 0)],
        _ => &[],
    };
    for &(slot, default) in positive {
        let number = options.i32(slot, default)?;
        if !(1..=MAX_STEP).contains(&number) {
            return Err(inconsistent(format!(
                "an operator has a stride, window or the like of {number}, expected 1 to {MAX_STEP}"
            )));
        }
    }
    match kind {
        2 => numbers.depth_multiplier = options.i32(3, 0)?,
        // Lists of sizes: RESHAPE's new shape, SQUEEZE's dimensions.
        17 | 30 => drop(options.vector(0, 4, "operator's list of sizes")?),
        // SPLIT, SPLIT_V, PACK and UNPACK.
        35 | 79 | 59 | 64 => numbers.parts = options.i32(0, 0)?,
        _ => {}
    }
    Ok(numbers)
}

/// Checks an operator against its rule.
pub(super) fn check(model: &Model, file: &[u8], operator: &Operator) -> Result<(), ModelError> {
    let code = model
        .codes
        .get(operator.code)
        .ok_or_else(|| inconsistent("an operator has no code"))?;
    if code.builtin == builtin::CUSTOM {
        return match code.custom.as_deref() {
            Some(POST_PROCESS) => check_post_process(model, file, operator),
            other => Err(ModelError::Unsupported(format!(
                "it has the custom operator {:?}, expected {POST_PROCESS:?}",
                other.unwrap_or_default()
            ))),
        };
    }
    let Some(rule) = RULES.iter().find(|rule| rule.code == code.builtin) else {
        return Err(ModelError::Unsupported(format!(
            "it has operator {}, which detection models do not use",
            code.builtin
        )));
    };
    let name = rule.name;
    if operator.options_type != rule.options && (operator.options_type != 0 || rule.needs_options) {
        return Err(inconsistent(format!(
            "{name} has options of kind {}, expected {}",
            operator.options_type, rule.options
        )));
    }
    let within = |count: usize, (fewest, most): (usize, usize)| (fewest..=most).contains(&count);
    if !within(operator.inputs.len(), rule.inputs) || !within(operator.outputs.len(), rule.outputs)
    {
        return Err(inconsistent(format!(
            "{name} has {} inputs and {} outputs, expected {:?} and {:?}",
            operator.inputs.len(),
            operator.outputs.len(),
            rule.inputs,
            rule.outputs
        )));
    }
    // Only a bias may be left out.
    let optional = match rule.code {
        builtin::CONV_2D | builtin::DEPTHWISE_CONV_2D | builtin::FULLY_CONNECTED => 2,
        builtin::TRANSPOSE_CONV => 3,
        _ => usize::MAX,
    };
    if operator.inputs.iter().take(optional).any(Option::is_none) {
        return Err(inconsistent(format!("{name} lacks an input")));
    }
    let input = |index: usize| {
        let tensor = operator.inputs.get(index).copied().flatten()?;
        model.tensors.get(tensor)
    };
    let outputs = || {
        operator
            .outputs
            .iter()
            .filter_map(|&index| model.tensors.get(index))
    };
    let inputs = || (0..operator.inputs.len()).filter_map(input);
    let Some(first) = input(0) else {
        return Err(inconsistent(format!("{name} lacks an input")));
    };
    let odd = |tensor: &Tensor| {
        inconsistent(format!(
            "{name} of {} has {}",
            first.describe(),
            tensor.describe()
        ))
    };
    let same = |tensor: &Tensor| {
        if tensor.element == first.element {
            Ok(())
        } else {
            Err(odd(tensor))
        }
    };
    match rule.types {
        All => inputs().chain(outputs()).try_for_each(same)?,
        Inputs => inputs().try_for_each(same)?,
        FirstAndSizes => {
            outputs().try_for_each(same)?;
            for tensor in inputs().skip(1) {
                if !matches!(tensor.element, ElementType::I32 | ElementType::I64) {
                    return Err(odd(tensor));
                }
            }
        }
        Weights => check_weights(name, operator, input)?,
        Any => {}
    }
    check_parts(name, rule.code, operator)
}

/// SPLIT, SPLIT_V and UNPACK write as many tensors, and PACK reads as many, as their options say.
fn check_parts(name: &str, code: i32, operator: &Operator) -> Result<(), ModelError> {
    let parts = match code {
        49 | 88 | 102 => operator.outputs.len(),
        83 => operator.inputs.len(),
        _ => return Ok(()),
    };
    if usize::try_from(operator.numbers.parts) == Ok(parts) {
        Ok(())
    } else {
        Err(inconsistent(format!(
            "{name} has {parts} parts, its options say {}",
            operator.numbers.parts
        )))
    }
}

/// Input, weights and bias of a convolution or a fully connected layer.
fn check_weights<'a>(
    name: &str,
    operator: &Operator,
    input: impl Fn(usize) -> Option<&'a Tensor>,
) -> Result<(), ModelError> {
    use ElementType::{F32, I4, I8, I16, I32, I64, U8};
    let (Some(data), Some(weights)) = (input(0), input(1)) else {
        return Err(inconsistent(format!("{name} lacks its weights")));
    };
    let bias = input(2);
    let fits = matches!(
        (data.element, weights.element, bias.map(|bias| bias.element)),
        (F32, F32 | I8 | U8 | I4, None | Some(F32))
            | (U8, U8, None | Some(I32))
            | (I8, I8 | I4, None | Some(I32))
            | (I16, I8, None | Some(I32 | I64))
    );
    if !fits {
        return Err(inconsistent(format!(
            "{name} of {} has weights {} and bias {}",
            data.describe(),
            weights.describe(),
            bias.map_or("none".into(), Tensor::describe)
        )));
    }
    let channels = data.shape.last().copied().unwrap_or_default();
    // Outputs by the weights' shape, and whether that goes with the input.
    let (outputs, fits) = match (name, data.shape.as_slice(), weights.shape.as_slice()) {
        ("CONV_2D", [_, _, _, _], &[outputs, height, width, depth]) => (
            outputs,
            height * width * outputs > 0 && depth > 0 && channels % depth == 0
                // Grouped: every group has as many outputs.
                && outputs % (channels / depth).max(1) == 0,
        ),
        ("DEPTHWISE_CONV_2D", [_, _, _, _], &[1, height, width, outputs]) => (
            outputs,
            height * width * outputs > 0
                && usize::try_from(operator.numbers.depth_multiplier)
                    .is_ok_and(|multiplier| channels.checked_mul(multiplier) == Some(outputs)),
        ),
        ("FULLY_CONNECTED", _, &[outputs, depth]) => (
            outputs,
            depth > 0 && outputs > 0 && data.count() % depth == 0,
        ),
        _ => (0, false),
    };
    let bias_fits = bias.is_none_or(|bias| bias.count() == outputs);
    let scales_fit = weights.scales <= 1 || weights.scales == outputs;
    let quantized = data.element == F32 || weights.scales >= 1;
    if fits && bias_fits && scales_fit && quantized {
        Ok(())
    } else {
        Err(inconsistent(format!(
            "{name} of {} has weights {} with {} scales and bias {}",
            data.describe(),
            weights.describe(),
            weights.scales,
            bias.map_or("none".into(), Tensor::describe)
        )))
    }
}

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

fn check_post_process(model: &Model, file: &[u8], operator: &Operator) -> Result<(), ModelError> {
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
