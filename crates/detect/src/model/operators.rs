//! What a runtime relies on in an operator without checking it.
//!
//! Runtimes check some of an operator's tensors and options and trust the rest: a missing input, a
//! stride of 0 or weights of another type make them read outside of their buffers or divide by
//! zero. So an operator is let through with as many tensors as it takes, of types that go together,
//! and with its own options, as the rules have them; one without a rule is named, so that it is
//! tried elsewhere first.

use super::builtin;
use super::element::ElementType;
use super::error::{ModelError, inconsistent};
use super::flatbuffer::Table;
use super::graph::{Model, Numbers, Operator, Tensor};
use super::post_process::{POST_PROCESS, check_post_process};
use super::rules::{self, Types};

/// Name of the custom operator that a model for Coral's Edge TPU is compiled to.
const EDGE_TPU: &str = "edgetpu-custom-op";

/// Largest stride, dilation, window or block of an operator.
const MAX_STEP: i32 = 4096;

/// Reads the options of a builtin operator and checks what would break a runtime.
pub fn read_options(kind: u8, options: Option<&Table<'_>>) -> Result<Numbers, ModelError> {
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

/// Checks an operator against its rule; its name if there is none.
pub fn check(
    model: &Model,
    file: &[u8],
    operator: &Operator,
) -> Result<Option<String>, ModelError> {
    let code = model
        .codes
        .get(operator.code)
        .ok_or_else(|| inconsistent("an operator has no code"))?;
    if code.builtin == builtin::CUSTOM {
        return match code.custom.as_deref() {
            Some(POST_PROCESS) => check_post_process(model, file, operator).map(|()| None),
            Some(EDGE_TPU) => Err(ModelError::Unsupported(format!(
                "it is compiled for Coral's Edge TPU (custom operator {EDGE_TPU:?}), which only \
                 Coral's own runtime drives; run it with --detector exec:COMMAND, which \
                 docs/detector-exec.md describes, or take the model as it was before \
                 edgetpu_compiler"
            ))),
            other => Err(ModelError::Unsupported(format!(
                "it has the custom operator {:?}, expected {POST_PROCESS:?}; a model that needs \
                 another runtime runs with --detector exec:COMMAND",
                other.unwrap_or_default()
            ))),
        };
    }
    let Some(rule) = rules::find(code.builtin).filter(|_| !operator.new_options) else {
        return match builtin::name(code.builtin) {
            Some(name) => Ok(Some(name.into())),
            None => Err(ModelError::Unsupported(format!(
                "it has operator {}, which is not in the format's list",
                code.builtin
            ))),
        };
    };
    let name = code.name();
    let name = name.as_str();
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
        Types::All => inputs().chain(outputs()).try_for_each(same)?,
        Types::Inputs => inputs().try_for_each(same)?,
        Types::FirstAndSizes => {
            outputs().try_for_each(same)?;
            for tensor in inputs().skip(1) {
                if !matches!(tensor.element, ElementType::I32 | ElementType::I64) {
                    return Err(odd(tensor));
                }
            }
        }
        Types::Weights => check_weights(name, operator, input)?,
        Types::Any => {}
    }
    check_parts(name, rule.code, operator)?;
    if matches!(
        rule.code,
        builtin::RESIZE_BILINEAR | builtin::RESIZE_NEAREST_NEIGHBOR
    ) {
        return check_resize(name, model, file, operator);
    }
    Ok(None)
}

/// The size that an image is resized to, which runtimes multiply without a look at it.
fn check_resize(
    name: &str,
    model: &Model,
    file: &[u8],
    operator: &Operator,
) -> Result<Option<String>, ModelError> {
    let sizes = operator.inputs.get(1).copied().flatten();
    let Some(bytes) = sizes.and_then(|tensor| model.constant(file, tensor)) else {
        // Computed when the model runs.
        return Ok(Some(format!("{name} to a computed size")));
    };
    let (sizes, _) = bytes.as_chunks();
    let sizes: Vec<i32> = sizes.iter().copied().map(i32::from_le_bytes).collect();
    match sizes[..] {
        [height, width]
            if [height, width]
                .iter()
                .all(|size| (1..=MAX_STEP).contains(size)) =>
        {
            Ok(None)
        }
        _ => Err(inconsistent(format!(
            "{name} makes images of {sizes:?}, expected a height and a width of 1 to {MAX_STEP}"
        ))),
    }
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
