//! Whether what a model says fits together: nothing that a runtime follows may lead astray.

use super::element::ElementType;
use super::error::{ModelError, inconsistent};
use super::graph::{Model, Signature, SignatureTensors};
use super::operators;

/// Most elements of one tensor: 256 MB of floats, far above any model for a board.
const MAX_ELEMENTS: usize = 1 << 26;

/// Checks that indices are in range, constants are complete and every tensor is written before
/// it is read; returns the names of operators for which there is no rule.
pub(super) fn validate(
    model: &Model,
    file: &[u8],
    signatures: &[Signature],
) -> Result<Vec<String>, ModelError> {
    check_tensors(model)?;
    check_order(model)?;
    let mut unruled = Vec::new();
    for operator in &model.operators {
        if let Some(name) = operators::check(model, file, operator)?
            && !unruled.contains(&name)
        {
            unruled.push(name);
        }
    }
    for signature in signatures {
        check_signature("inputs", &signature.inputs, &model.inputs)?;
        check_signature("outputs", &signature.outputs, &model.outputs)?;
    }
    for (name, buffer) in &model.metadata {
        if *buffer >= model.buffers.len() {
            return Err(inconsistent(format!(
                "metadata {name:?} is in buffer {buffer} of {}",
                model.buffers.len()
            )));
        }
    }
    Ok(unruled)
}

/// A signature names each end of the graph once.
fn check_signature(
    what: &str,
    named: &SignatureTensors,
    graph: &[usize],
) -> Result<(), ModelError> {
    let sorted = |mut tensors: Vec<usize>| {
        tensors.sort_unstable();
        tensors
    };
    let tensors = sorted(named.iter().map(|(_, tensor)| *tensor).collect());
    if tensors == sorted(graph.to_vec()) {
        Ok(())
    } else {
        Err(inconsistent(format!(
            "its signature has {what} {tensors:?}, its graph {graph:?}"
        )))
    }
}

fn check_tensors(model: &Model) -> Result<(), ModelError> {
    for (index, tensor) in model.tensors.iter().enumerate() {
        let count = tensor
            .shape
            .iter()
            .try_fold(1_usize, |count, &size| count.checked_mul(size))
            .filter(|&count| count <= MAX_ELEMENTS && tensor.shape.len() <= 8)
            .ok_or_else(|| {
                ModelError::Unsupported(format!(
                    "tensor {:?} has shape {:?}, expected at most 8 dimensions and {MAX_ELEMENTS} elements",
                    tensor.name, tensor.shape
                ))
            })?;
        let buffer = model.buffers.get(tensor.buffer).ok_or_else(|| {
            inconsistent(format!(
                "tensor {:?} is in buffer {} of {}",
                tensor.name,
                tensor.buffer,
                model.buffers.len()
            ))
        })?;
        if tensor.element == ElementType::Text {
            return Err(ModelError::Unsupported(format!(
                "tensor {index} ({:?}) holds texts",
                tensor.name
            )));
        }
        if !buffer.is_empty() && tensor.element.bytes(count) != Some(buffer.len()) {
            return Err(inconsistent(format!(
                "constant {:?} is {} but has {} bytes",
                tensor.name,
                tensor.describe(),
                buffer.len()
            )));
        }
    }
    Ok(())
}

fn check_order(model: &Model) -> Result<(), ModelError> {
    let tensors = model.tensors.len();
    let in_range = |what: &str, index: usize| {
        if index < tensors {
            Ok(index)
        } else {
            Err(inconsistent(format!(
                "{what} is tensor {index} of {tensors}"
            )))
        }
    };
    let is_constant = |tensor: usize| {
        model
            .tensors
            .get(tensor)
            .and_then(|tensor| model.buffers.get(tensor.buffer))
            .is_some_and(|buffer| !buffer.is_empty())
    };
    let mut written: Vec<bool> = model
        .tensors
        .iter()
        .enumerate()
        .map(|(index, tensor)| is_constant(index) || tensor.variable || tensor.count() == 0)
        .collect();
    let mut write = |what: &str, index: usize| {
        in_range(what, index)?;
        match written.get_mut(index) {
            Some(written) if !*written => *written = true,
            _ => {
                return Err(inconsistent(format!(
                    "{what} is tensor {index}, which has a value already"
                )));
            }
        }
        Ok(())
    };
    for &input in &model.inputs {
        write("an input of the graph", input)?;
    }
    for (index, operator) in model.operators.iter().enumerate() {
        let what = format!("output of operator {index}");
        if operator.code >= model.codes.len() {
            return Err(inconsistent(format!(
                "operator {index} has code {} of {}",
                operator.code,
                model.codes.len()
            )));
        }
        for &output in &operator.outputs {
            write(&what, output)?;
        }
    }
    // Once more in order: an operator may only read what is there when it runs.
    let mut ready = vec![true; tensors];
    let outputs = model
        .operators
        .iter()
        .flat_map(|operator| &operator.outputs);
    for &output in outputs {
        if let Some(ready) = ready.get_mut(output) {
            *ready = false;
        }
    }
    for (index, operator) in model.operators.iter().enumerate() {
        for &input in operator.inputs.iter().flatten() {
            in_range("input of an operator", input)?;
            if !written.get(input).copied().unwrap_or_default()
                || !ready.get(input).copied().unwrap_or_default()
            {
                return Err(inconsistent(format!(
                    "operator {index} reads tensor {input}, which has no value by then"
                )));
            }
        }
        for &intermediate in &operator.intermediates {
            in_range("intermediate of an operator", intermediate)?;
        }
        for &output in &operator.outputs {
            if let Some(ready) = ready.get_mut(output) {
                *ready = true;
            }
        }
    }
    for &output in &model.outputs {
        in_range("an output of the graph", output)?;
        if !written.get(output).copied().unwrap_or_default() {
            return Err(inconsistent(format!(
                "output {output} of the graph is never written"
            )));
        }
    }
    Ok(())
}
