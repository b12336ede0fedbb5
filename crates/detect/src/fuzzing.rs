//! What must hold for any model and any list of labels, for the fuzz targets.
//!
//! Each function takes one input and panics if a property does not hold; see `docs/fuzzing.md`.

use crate::engine::TensorRef;
use crate::input::InputFormat;
use crate::labels::Labels;
use crate::model::{ElementType, Metadata, Model, packed_labels};
use crate::output::{Facts, Layout, Limits, OutputInfo};

pub use crate::model::fuzzing::{metadata, packed};

/// Most detections asked for, as by default.
const MOST: usize = 10;

/// Elements of an output beyond which no values are made up for it.
const MOST_ELEMENTS: usize = 10_000;

/// A model file, and everything that is worked out from it before an engine sees it.
///
/// Every index and range of an accepted model lies within it, since the engines trust them; and
/// whatever its outputs hold, detections are within the picture, scored and few.
pub fn model(data: &[u8]) {
    let Ok(model) = Model::parse(data) else {
        return;
    };
    check_references(&model, data);
    let metadata = Metadata::read(&model, data);
    let labels = packed_labels(&metadata, data)
        .and_then(|(_, bytes)| Labels::parse(&bytes).ok())
        .unwrap_or_default();
    let outputs = OutputInfo::of(&model, &metadata, None);
    let Ok(input) = InputFormat::of(&model, metadata.normalization) else {
        return;
    };
    let layout = Layout::understand(&Facts {
        model: &model,
        file: data,
        outputs: &outputs,
        input: &input,
        labels: &labels,
        class_offset: None,
        limits: &Limits::new(0.1),
        max: MOST,
    });
    if let Ok(mut layout) = layout {
        read_outputs(&mut layout, &outputs, data);
    }
}

fn check_references(model: &Model, data: &[u8]) {
    let is_tensor = |index: &usize| *index < model.tensors.len();
    assert!(model.inputs.iter().all(is_tensor));
    assert!(model.outputs.iter().all(is_tensor));
    for tensor in &model.tensors {
        assert!(tensor.buffer < model.buffers.len());
        // Overflows, if the sizes are not bounded together.
        assert!(
            tensor.element.bytes(tensor.count()).is_some() || tensor.element == ElementType::Text
        );
    }
    for buffer in &model.buffers {
        assert!(buffer.is_empty() || buffer.end <= data.len());
    }
    for operator in &model.operators {
        assert!(operator.code < model.codes.len());
        assert!(operator.inputs.iter().flatten().all(is_tensor));
        assert!(operator.outputs.iter().all(is_tensor));
        assert!(operator.intermediates.iter().all(is_tensor));
        let options = &operator.custom_options;
        assert!(options.is_empty() || options.end <= data.len());
    }
}

/// Reads outputs whose values are the bytes of the file, over and over.
fn read_outputs(layout: &mut Layout, outputs: &[OutputInfo], data: &[u8]) {
    let count = |output: &OutputInfo| output.shape.iter().product::<usize>();
    if outputs.iter().any(|output| count(output) > MOST_ELEMENTS) {
        return;
    }
    let word = |at: usize| [0, 1, 2, 3].map(|i| data[(at * 4 + i) % data.len()]);
    let values: Vec<Values> = outputs
        .iter()
        .map(|output| {
            let words = (0..count(output)).map(word);
            match output.element {
                ElementType::U8 => Values::U8(words.map(|word| word[0]).collect()),
                ElementType::I8 => Values::I8(words.map(|word| word[0] as i8).collect()),
                ElementType::I32 => Values::I32(words.map(i32::from_le_bytes).collect()),
                ElementType::I64 => Values::I64(
                    words
                        .map(|w| i64::from(i32::from_le_bytes(w)) << 24)
                        .collect(),
                ),
                _ => Values::F32(words.map(f32::from_le_bytes).collect()),
            }
        })
        .collect();
    let tensors: Vec<TensorRef<'_>> = values.iter().map(Values::view).collect();
    let mut found = Vec::new();
    layout.read(&tensors, &mut found);
    assert!(found.len() <= MOST);
    for detection in &found {
        let [ymin, xmin, ymax, xmax] = detection.bounding_box;
        assert!(0.0 <= ymin && ymin < ymax && ymax <= 1.0, "{detection:?}");
        assert!(0.0 <= xmin && xmin < xmax && xmax <= 1.0, "{detection:?}");
        assert!((0.0..=1.0).contains(&detection.score), "{detection:?}");
    }
    assert!(found.is_sorted_by(|a, b| a.score >= b.score));
}

enum Values {
    F32(Vec<f32>),
    U8(Vec<u8>),
    I8(Vec<i8>),
    I32(Vec<i32>),
    I64(Vec<i64>),
}

impl Values {
    fn view(&self) -> TensorRef<'_> {
        match self {
            Self::F32(values) => TensorRef::F32(values),
            Self::U8(values) => TensorRef::U8(values),
            Self::I8(values) => TensorRef::I8(values),
            Self::I32(values) => TensorRef::I32(values),
            Self::I64(values) => TensorRef::I64(values),
        }
    }
}

/// A list of labels: what is accepted is bounded and printable, each name finds its class, and the
/// same names as a JSON list are the same labels.
pub fn labels(data: &[u8]) {
    let Ok(labels) = Labels::parse(data) else {
        return;
    };
    assert!((1..=10_000).contains(&labels.len()));
    assert!(labels.named() <= labels.len());
    let mut names = Vec::new();
    for class in 0..labels.len() as u32 {
        let name = labels.name(class);
        assert!(name.len() <= 200 && !name.contains(char::is_control));
        // One without a name is told from one that happens to be called "class 3" by the search.
        let placeholder = name == format!("class {class}");
        names.push((!placeholder).then(|| name.into_owned()));
    }
    for name in names.iter().flatten() {
        let class = labels.find(name).unwrap_or(u32::MAX);
        assert_eq!(labels.name(class).to_lowercase(), name.to_lowercase());
    }
    let Ok(json) = serde_json::to_vec(&names) else {
        return;
    };
    if names.iter().any(Option::is_some) {
        let again = Labels::parse(&json).unwrap_or_else(|err| panic!("{err}: {names:?}"));
        for (class, name) in (0..).zip(&names) {
            assert_eq!(again.name(class), labels.name(class), "{name:?}");
        }
    }
}
