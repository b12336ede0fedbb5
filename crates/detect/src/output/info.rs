//! One output of a model, as far as its meaning is looked for.

use crate::model::{ElementType, Metadata, Model, POST_PROCESS, Quantization};

/// One output of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputInfo {
    /// As the metadata has it, or else the tensor; may be empty.
    pub name: String,
    /// As the engine worked it out, or else as the file says.
    pub shape: Vec<usize>,
    /// Type.
    pub element: ElementType,
    /// If it holds integers.
    pub quantization: Option<Quantization>,
    /// Position among the outputs of the operator that post-processes detections, if it comes
    /// from there.
    pub(super) post_process: Option<usize>,
}

impl OutputInfo {
    /// The outputs of a model, with shapes as `shapes` has them where it is given.
    #[must_use]
    pub fn of(model: &Model, metadata: &Metadata, shapes: Option<&[Vec<usize>]>) -> Vec<Self> {
        let outputs = model.outputs.iter().enumerate();
        outputs
            .filter_map(|(position, &index)| {
                let tensor = model.tensors.get(index)?;
                let producer = model.producer(index);
                let post_process = producer
                    .filter(|operator| {
                        let code = model.codes.get(operator.code);
                        code.and_then(|code| code.custom.as_deref()) == Some(POST_PROCESS)
                    })
                    .and_then(|operator| operator.outputs.iter().position(|&at| at == index));
                let shape = shapes.and_then(|shapes| shapes.get(position));
                let described = metadata.outputs.get(position);
                let name = match described {
                    Some(described) if !described.is_empty() => described,
                    _ => &tensor.name,
                };
                Some(Self {
                    name: name.clone(),
                    shape: shape.unwrap_or(&tensor.shape).clone(),
                    element: tensor.element,
                    quantization: tensor.quantization,
                    post_process,
                })
            })
            .collect()
    }

    pub(super) fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Sizes without the dimensions of 1, of which models differ in number.
    pub(super) fn squeezed(&self) -> Vec<usize> {
        let sizes = self.shape.iter().copied();
        sizes.filter(|&size| size != 1).collect()
    }

    pub(super) fn named(&self, words: &[&str]) -> bool {
        let name = self.name.to_lowercase();
        words.iter().any(|word| name.contains(word))
    }

    /// For people.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("{:?} {} {:?}", self.name, self.element.name(), self.shape)
    }
}
