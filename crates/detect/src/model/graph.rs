//! What a model consists of: tensors, operators and buffers.

use std::ops::Range;

use super::builtin;
use super::element::ElementType;

/// How integers stand for real numbers: `real = scale * (integer - zero_point)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantization {
    /// Real distance of two neighbouring integers; positive and finite.
    pub scale: f32,
    /// The integer that stands for 0.
    pub zero_point: i32,
}

/// One tensor of a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// May be empty.
    pub name: String,
    /// Type of the elements.
    pub element: ElementType,
    /// Sizes of the dimensions; empty for a single value, or where the file does not say.
    pub shape: Vec<usize>,
    /// Index of the buffer that holds its constant value; 0 for none.
    pub buffer: usize,
    /// Of the whole tensor; `None` for floats and for quantisation by channel.
    pub quantization: Option<Quantization>,
    /// Number of scales; more than one if quantised by channel.
    pub scales: usize,
    /// Dimension that the scales belong to.
    pub quantized_dimension: usize,
    /// Whether it keeps its value between inferences.
    pub variable: bool,
    /// Whether some dimension is only known when the model runs.
    pub dynamic: bool,
}

impl Tensor {
    /// Number of elements.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Type and shape as people write them, for example `uint8 [1, 300, 300, 3]`.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("{} {:?}", self.element.name(), self.shape)
    }
}

/// Which operator a code stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorCode {
    /// The number in the format's list; 32 for a custom one.
    pub builtin: i32,
    /// What runtimes older than TensorFlow 2.3 take for it; -1 to 127.
    pub old_builtin: i8,
    /// Name of a custom operator.
    pub custom: Option<String>,
    /// Version of the operator.
    pub version: i32,
}

impl OperatorCode {
    /// Name, or number where there is none.
    #[must_use]
    pub fn name(&self) -> String {
        match (&self.custom, builtin::name(self.builtin)) {
            (Some(name), _) if self.builtin == builtin::CUSTOM => name.clone(),
            (_, Some(name)) => name.into(),
            _ => self.builtin.to_string(),
        }
    }
}

/// One step of a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Operator {
    /// Index into [`Model::codes`].
    pub code: usize,
    /// Tensors that it reads; `None` for an optional one that is left out.
    pub inputs: Vec<Option<usize>>,
    /// Tensors that it writes.
    pub outputs: Vec<usize>,
    /// Scratch tensors that it keeps.
    pub intermediates: Vec<usize>,
    /// Kind of options, by the format's list; 0 for none.
    pub options_type: u8,
    /// Some of the options.
    pub numbers: Numbers,
    /// Whether its options are of the newest form, which nothing here knows.
    pub new_options: bool,
    /// Where the bytes of custom options lie in the file.
    pub custom_options: Range<usize>,
}

/// What one signature calls its inputs or outputs: name and tensor.
pub type SignatureTensors = Vec<(String, usize)>;

/// Numbers among an operator's options that are looked at again once its tensors are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Of a depthwise convolution: outputs for each input channel.
    pub depth_multiplier: i32,
    /// Of a SPLIT or UNPACK: number of outputs.
    pub parts: i32,
}

/// What one signature calls its inputs and outputs.
pub struct Signature {
    /// Name and tensor of each.
    pub inputs: SignatureTensors,
    /// Name and tensor of each.
    pub outputs: SignatureTensors,
}

/// A model's main graph and everything it refers to.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// What the maker wrote.
    pub description: String,
    /// All that its graphs use.
    pub codes: Vec<OperatorCode>,
    /// Of the main graph.
    pub tensors: Vec<Tensor>,
    /// Indices into `tensors`.
    pub inputs: Vec<usize>,
    /// Indices into `tensors`.
    pub outputs: Vec<usize>,
    /// In the order in which they run.
    pub operators: Vec<Operator>,
    /// Where each buffer lies in the file; empty for none.
    pub buffers: Vec<Range<usize>>,
    /// Whether some buffer is stored by its offset, which older runtimes do not understand.
    pub offset_buffers: bool,
    /// Buffers with a name, as `TFLITE_METADATA`.
    pub metadata: Vec<(String, usize)>,
    /// Number of its signatures.
    pub signatures: usize,
    /// Names of operators for which there is no rule: only a trial shows whether an engine has them
    /// and survives them.
    pub unruled: Vec<String>,
}

impl Model {
    /// The constant value of a tensor as it lies in `file`; `None` if it is computed.
    #[must_use]
    pub fn constant<'a>(&self, file: &'a [u8], tensor: usize) -> Option<&'a [u8]> {
        let range = self
            .buffers
            .get(self.tensors.get(tensor)?.buffer)
            .filter(|range| !range.is_empty())?;
        file.get(range.clone())
    }

    /// The operator that writes a tensor.
    #[must_use]
    pub fn producer(&self, tensor: usize) -> Option<&Operator> {
        self.operators
            .iter()
            .find(|operator| operator.outputs.contains(&tensor))
    }
}
