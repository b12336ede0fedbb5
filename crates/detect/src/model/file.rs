//! What a `.tflite` file says: its tensors, operators and buffers, read with every step checked.

use std::ops::{Range, RangeInclusive};

use super::element::ElementType;
use super::error::{ModelError, inconsistent};
use super::flatbuffer::Table;
use super::graph::{Model, Operator, OperatorCode, Quantization, Signature, Tensor};
use super::post_process::{POST_PROCESS, post_process};
use super::{operators, validate};

/// Most tensors, operators and buffers of a model, each; larger than any model for a board.
const MAX_COUNT: usize = 100_000;

/// Scales that a quantised tensor may have: beyond, what runtimes compute from them overflows.
const SCALES: RangeInclusive<f32> = 1e-20..=1e20;

impl Model {
    /// Reads a file and checks that all of it can be followed and fits together.
    ///
    /// # Errors
    ///
    /// [`ModelError`] that says what is wrong where.
    pub fn parse(bytes: &[u8]) -> Result<Self, ModelError> {
        if bytes.get(4..8) != Some(b"TFL3") {
            return Err(ModelError::NotAModel);
        }
        let root = Table::root(bytes, "model")?;
        let version = root.u32(0, 0)?;
        if version != 3 {
            return Err(ModelError::Unsupported(format!(
                "its format has version {version}, expected 3"
            )));
        }
        let mut offset_buffers = false;
        let buffers = collect(&root, 4, "buffer", |table| {
            read_buffer(&table, bytes, &mut offset_buffers)
        })?;
        let codes = collect(&root, 1, "operator code", |table| read_code(&table))?;
        let metadata = collect(&root, 6, "metadata entry", |table| {
            let name = table.string(0, "metadata name")?.unwrap_or_default();
            Ok((name.to_owned(), table.u32(1, 0)? as usize))
        })?;
        root.string(3, "description")?;
        root.vector(5, 4, "metadata buffers")?;
        let graphs = collect(&root, 2, "graph", Ok)?;
        let [graph] = graphs.as_slice() else {
            return Err(ModelError::Unsupported(format!(
                "it has {} graphs, expected 1",
                graphs.len()
            )));
        };
        let signatures = collect(&root, 7, "signature", |table| read_signature(&table))?;
        graph.string(4, "graph name")?;
        let mut model = Self {
            description: root
                .string(3, "description")?
                .unwrap_or_default()
                .to_owned(),
            codes,
            tensors: collect(graph, 0, "tensor", |table| read_tensor(&table))?,
            inputs: indices(graph, 1, "graph inputs")?,
            outputs: indices(graph, 2, "graph outputs")?,
            operators: collect(graph, 3, "operator", |table| read_operator(&table))?,
            buffers,
            offset_buffers,
            metadata,
            signatures: signatures.len(),
            unruled: Vec::new(),
        };
        model.unruled = validate::validate(&model, bytes, &signatures)?;
        model.complete_shapes(bytes)?;
        Ok(model)
    }

    /// Fills in what old exports leave to the operator that post-processes detections: the shapes
    /// of its outputs.
    fn complete_shapes(&mut self, bytes: &[u8]) -> Result<(), ModelError> {
        for operator in &self.operators {
            let code = self.codes.get(operator.code);
            if code.and_then(|code| code.custom.as_deref()) == Some(POST_PROCESS) {
                let options = post_process(bytes, operator)?;
                for (place, &output) in operator.outputs.iter().enumerate() {
                    if let Some(tensor) = self.tensors.get_mut(output) {
                        tensor.shape = options.shape(place);
                    }
                }
            }
        }
        Ok(())
    }
}

fn collect<'a, T>(
    table: &Table<'a>,
    slot: usize,
    what: &'static str,
    mut read: impl FnMut(Table<'a>) -> Result<T, ModelError>,
) -> Result<Vec<T>, ModelError> {
    let mut items = Vec::new();
    for entry in table.tables(slot, what)? {
        if items.len() == MAX_COUNT {
            return Err(ModelError::Unsupported(format!(
                "it has more than {MAX_COUNT} entries of kind {what}"
            )));
        }
        items.push(read(entry?)?);
    }
    Ok(items)
}

/// Numbers that must not be negative.
fn indices(table: &Table<'_>, slot: usize, what: &'static str) -> Result<Vec<usize>, ModelError> {
    table
        .i32s(slot, what)?
        .into_iter()
        .map(|index| {
            usize::try_from(index).map_err(|_| inconsistent(format!("{what} contain {index}")))
        })
        .collect()
}

fn read_buffer(
    table: &Table<'_>,
    bytes: &[u8],
    offset_buffers: &mut bool,
) -> Result<Range<usize>, ModelError> {
    let inline = table
        .vector(0, 1, "buffer data")?
        .map_or(0..0, |data| data.position()..data.position() + data.len);
    let (offset, size) = (table.u64(1, 0)?, table.u64(2, 0)?);
    // Offsets 0 and 1 are marks of the writer, not places.
    if offset <= 1 {
        return Ok(inline);
    }
    *offset_buffers = true;
    usize::try_from(offset)
        .ok()
        .zip(usize::try_from(size).ok())
        .and_then(|(offset, size)| Some(offset..offset.checked_add(size)?))
        .filter(|range| range.end <= bytes.len() && inline.is_empty())
        .ok_or_else(|| inconsistent(format!("a buffer of {size} bytes lies at byte {offset}")))
}

fn read_code(table: &Table<'_>) -> Result<OperatorCode, ModelError> {
    let old_builtin = table.i8(0, 0)?;
    let builtin = table.i32(3, 0)?;
    Ok(OperatorCode {
        builtin: builtin.max(i32::from(old_builtin)),
        old_builtin,
        custom: table.string(1, "operator name")?.map(str::to_owned),
        version: table.i32(2, 1)?,
    })
}

fn read_signature(table: &Table<'_>) -> Result<Signature, ModelError> {
    table.string(2, "signature key")?;
    if table.u32(4, 0)? != 0 {
        return Err(ModelError::Unsupported(
            "a signature belongs to another graph than the first".into(),
        ));
    }
    let entry = |table: Table<'_>| {
        let name = table.string(0, "signature name")?.unwrap_or_default();
        Ok((name.to_owned(), table.u32(1, 0)? as usize))
    };
    Ok(Signature {
        inputs: collect(table, 0, "signature input", entry)?,
        outputs: collect(table, 1, "signature output", entry)?,
    })
}

fn read_tensor(table: &Table<'_>) -> Result<Tensor, ModelError> {
    let name = table.string(3, "tensor name")?.unwrap_or_default();
    let code = table.i8(1, 0)?;
    let element = ElementType::from_code(code).ok_or_else(|| {
        ModelError::Unsupported(format!("tensor {name:?} has elements of type {code}"))
    })?;
    let signature = table.i32s(7, "shape signature")?;
    let mut dynamic = signature.contains(&-1);
    let shape = table
        .i32s(0, "tensor shape")?
        .into_iter()
        .map(|size| {
            dynamic |= size == -1;
            match usize::try_from(size) {
                Ok(size) => Ok(size),
                // Written by some converters for "any"; the runtimes take 1.
                Err(_) if size == -1 => Ok(1),
                Err(_) => Err(inconsistent(format!(
                    "tensor {name:?} has a dimension of {size}"
                ))),
            }
        })
        .collect::<Result<Vec<_>, _>>()?;
    if table.table(6, "sparsity")?.is_some() || table.vector(9, 4, "variant tensors")?.is_some() {
        return Err(ModelError::Unsupported(format!(
            "tensor {name:?} is sparse or a variant, expected a dense one"
        )));
    }
    let mut tensor = Tensor {
        name: name.to_owned(),
        element,
        shape,
        buffer: table.u32(2, 0)? as usize,
        quantization: None,
        scales: 0,
        quantized_dimension: 0,
        variable: table.u8(5, 0)? != 0,
        dynamic,
    };
    if let Some(quantization) = table.table(4, "quantization")? {
        read_quantization(&quantization, &mut tensor)?;
    }
    Ok(tensor)
}

fn read_quantization(table: &Table<'_>, tensor: &mut Tensor) -> Result<(), ModelError> {
    table.vector(0, 4, "quantization minima")?;
    table.vector(1, 4, "quantization maxima")?;
    let name = &tensor.name;
    if table.u8(4, 0)? != 0 {
        return Err(ModelError::Unsupported(format!(
            "tensor {name:?} has a quantization of its own kind"
        )));
    }
    let scales = table.f32s(2, "quantization scales")?;
    let zero_points = table.i64s(3, "quantization zero points")?;
    let allowed = tensor.element.zero_points();
    if let Some(wrong) = zero_points.iter().find(|point| !allowed.contains(point)) {
        return Err(inconsistent(format!(
            "tensor {name:?} of {} has zero point {wrong}",
            tensor.element.name()
        )));
    }
    if scales.is_empty() {
        return Ok(());
    }
    if zero_points.len() > scales.len()
        || (scales.len() > 1
            && !matches!(zero_points.len(), 0 | 1)
            && zero_points.len() != scales.len())
    {
        return Err(inconsistent(format!(
            "tensor {name:?} has {} scales and {} zero points",
            scales.len(),
            zero_points.len()
        )));
    }
    // A channel that is all zeros may have a scale of 0.
    let is_scale = |scale: f32| SCALES.contains(&scale) || (scale == 0.0 && scales.len() > 1);
    if let Some(wrong) = scales.iter().find(|&&scale| !is_scale(scale)) {
        return Err(inconsistent(format!(
            "tensor {name:?} has a scale of {wrong}"
        )));
    }
    let dimension = table.i32(6, 0)?;
    let size = usize::try_from(dimension)
        .ok()
        .and_then(|dimension| tensor.shape.get(dimension).copied());
    if scales.len() > 1 && size != Some(scales.len()) {
        return Err(inconsistent(format!(
            "tensor {name:?} has {} scales for dimension {dimension} of {:?}",
            scales.len(),
            tensor.shape
        )));
    }
    tensor.scales = scales.len();
    tensor.quantized_dimension = usize::try_from(dimension).unwrap_or_default();
    if let [scale] = scales[..] {
        let zero_point = zero_points.first().copied().unwrap_or_default();
        tensor.quantization = Some(Quantization {
            scale,
            // In range, as checked above.
            zero_point: zero_point as i32,
        });
    }
    Ok(())
}

fn read_operator(table: &Table<'_>) -> Result<Operator, ModelError> {
    let inputs = table
        .i32s(1, "operator inputs")?
        .into_iter()
        .map(|index| match index {
            -1 => Ok(None),
            _ => usize::try_from(index)
                .map(Some)
                .map_err(|_| inconsistent(format!("an operator reads tensor {index}"))),
        })
        .collect::<Result<Vec<_>, _>>()?;
    if table.u64(9, 0)? != 0 {
        return Err(ModelError::Unsupported(
            "an operator has custom options by offset, which only models above 2 GB need".into(),
        ));
    }
    let new_options = table.u8(11, 0)? != 0;
    table.table(12, "operator options of the newest form")?;
    let options_type = table.u8(3, 0)?;
    let options = table.table(4, "operator options")?;
    let numbers = operators::read_options(options_type, options.as_ref())?;
    table.vector(7, 1, "mutating inputs")?;
    Ok(Operator {
        code: table.u32(0, 0)? as usize,
        inputs,
        outputs: indices(table, 2, "operator outputs")?,
        intermediates: indices(table, 8, "operator intermediates")?,
        options_type,
        numbers,
        new_options,
        custom_options: table
            .vector(5, 1, "custom options")?
            .map_or(0..0, |options| {
                options.position()..options.position() + options.len
            }),
    })
}
