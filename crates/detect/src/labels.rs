//! Names of the classes, from a file or from the model.

use std::borrow::Cow;

use super::label_text::{self, LabelsError, Names};

/// Most classes; a larger id in a list of labels is taken for a mistake.
const MAX_CLASSES: usize = 10_000;

/// Longest name in bytes of UTF-8.
const MAX_NAME_BYTES: usize = 200;

/// Names that stand for "no object" in the first line of a list.
const BACKGROUND: [&str; 4] = ["???", "background", "__background__", "bg"];

/// Most classes that a detector may name as it goes.
const MAX_ADDED: usize = 1000;

/// Classes of COCO that have names.
const COCO_NAMES: usize = 80;

/// Largest id of COCO.
const COCO_LAST_ID: usize = 90;

/// Ids of COCO without a name: the background, and what was left out of the data set.
const COCO_GAPS: [usize; 11] = [0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83];

/// Names of the classes that a model knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    names: Vec<Option<Box<str>>>,
}

impl Labels {
    /// Reads a list in one of the forms that are in use.
    ///
    /// In a plain list, line 0 is class 0. Empty lines and lines of `???` beyond the first name no
    /// class, but count.
    ///
    /// # Errors
    ///
    /// [`LabelsError`] that says which line is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, LabelsError> {
        Self::from_names(label_text::read(bytes)?)
    }

    fn from_names(names: Names<'_>) -> Result<Self, LabelsError> {
        let mut labels = Self::default();
        for (class, name) in names {
            if class >= MAX_CLASSES {
                return Err(LabelsError(format!(
                    "class {class} is beyond {MAX_CLASSES}"
                )));
            }
            let name = name.as_deref().map(str::trim).unwrap_or_default();
            if name.len() > MAX_NAME_BYTES || name.contains(|c: char| c.is_control()) {
                return Err(LabelsError(format!(
                    "the label of class {class} has {} bytes or control characters",
                    name.len()
                )));
            }
            if class >= labels.names.len() {
                labels.names.resize(class + 1, None);
            }
            if let Some(slot) = labels.names.get_mut(class) {
                let unnamed = name.is_empty() || (class > 0 && name == "???");
                *slot = (!unnamed).then(|| name.into());
            }
        }
        if labels.names.iter().all(Option::is_none) {
            return Err(LabelsError("there is no label in it".into()));
        }
        Ok(labels)
    }

    /// The name of a class; `class N` for one without a name.
    #[must_use]
    pub fn name(&self, class: u32) -> Cow<'_, str> {
        match self.names.get(class as usize) {
            Some(Some(name)) => Cow::Borrowed(name),
            _ => Cow::Owned(format!("class {class}")),
        }
    }

    /// Number of classes, with those that have no name and the background.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Number of classes with a name that is not the background's.
    #[must_use]
    pub fn named(&self) -> usize {
        let skip = usize::from(self.starts_with_background());
        self.names.iter().skip(skip).flatten().count()
    }

    /// Whether class 0 stands for "no object": by its name, or as ids start with 1.
    #[must_use]
    pub fn starts_with_background(&self) -> bool {
        match self.names.first() {
            Some(Some(name)) => BACKGROUND.contains(&&*name.to_lowercase()),
            Some(None) => true,
            None => false,
        }
    }

    /// Whether these are the 80 names of COCO in their order, without the ids that it leaves out.
    #[must_use]
    pub fn are_dense_coco(&self) -> bool {
        let names = self
            .names
            .get(usize::from(self.starts_with_background())..)
            .unwrap_or_default();
        let is = |at: usize, name: &str| {
            let known = names.get(at).and_then(Option::as_deref);
            known.is_some_and(|known| known.eq_ignore_ascii_case(name))
        };
        names.len() == COCO_NAMES
            && is(0, "person")
            && is(11, "stop sign")
            && is(COCO_NAMES - 1, "toothbrush")
    }

    /// The 80 names of COCO at the ids, 1 to 90, that COCO gives them.
    #[must_use]
    pub fn at_coco_ids(&self) -> Self {
        let skip = usize::from(self.starts_with_background());
        let mut dense = self.names.iter().skip(skip).cloned();
        let names = (0..=COCO_LAST_ID).map(|id| match COCO_GAPS.contains(&id) {
            true => None,
            false => dense.next().flatten(),
        });
        Self {
            names: names.collect(),
        }
    }

    /// The class with a name; letter case does not matter.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<u32> {
        let name = name.to_lowercase();
        self.names
            .iter()
            .position(|known| matches!(known, Some(known) if known.to_lowercase() == name))
            .and_then(|class| u32::try_from(class).ok())
    }

    /// The class with a name, in its own letter case, which is added if it is new; `None` if there
    /// are too many already.
    pub fn find_or_add(&mut self, name: &str) -> Option<u32> {
        let known = self
            .names
            .iter()
            .position(|known| known.as_deref() == Some(name));
        let class = match known {
            Some(class) => class,
            None if self.names.len() >= MAX_ADDED => return None,
            None => {
                self.names.push(Some(name.into()));
                self.names.len() - 1
            }
        };
        u32::try_from(class).ok()
    }

    /// All names, for messages.
    #[must_use]
    pub fn list(&self) -> String {
        let skip = usize::from(self.starts_with_background());
        let names: Vec<&str> = self
            .names
            .iter()
            .skip(skip)
            .flatten()
            .map(AsRef::as_ref)
            .collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_are_classes_from_0() {
        let labels = Labels::parse(b"???\nBicycle\r\nComputer mouse\n\n???\nCar\n").unwrap();
        assert_eq!(labels.len(), 6);
        assert_eq!(labels.named(), 3);
        assert!(labels.starts_with_background());
        assert_eq!(labels.name(2), "Computer mouse");
        assert_eq!(labels.name(3), "class 3");
        assert_eq!(labels.name(5), "Car");
        assert_eq!(labels.name(u32::MAX), format!("class {}", u32::MAX));
        assert_eq!(labels.find("computer MOUSE"), Some(2));
        assert_eq!(labels.find("Dog"), None);
        assert_eq!(labels.list(), "Bicycle, Computer mouse, Car");
    }

    #[test]
    fn ids_may_have_gaps() {
        let labels = Labels::parse(b"0  person\n2: traffic light\n").unwrap();
        assert_eq!(labels.len(), 3);
        assert_eq!(labels.name(0), "person");
        assert_eq!(labels.name(2), "traffic light");
        assert!(!labels.starts_with_background());
    }

    #[test]
    fn ids_from_1_leave_0_to_the_background() {
        for bytes in [
            &b"1 person\n2 car\n"[..],
            b"[null, \"person\", \"car\"]",
            b"\nperson\ncar\n",
        ] {
            let labels = Labels::parse(bytes).unwrap();
            assert!(labels.starts_with_background());
            assert_eq!((labels.len(), labels.named()), (3, 2));
            assert_eq!(labels.list(), "person, car");
        }
        assert!(!Labels::default().starts_with_background());
    }

    #[test]
    fn names_of_coco_are_put_at_its_ids() {
        let mut names: Vec<String> = (0..80).map(|at| format!("name {at}")).collect();
        let labels = |names: &[String]| Labels::parse(names.join("\n").as_bytes()).unwrap();
        assert!(!labels(&names).are_dense_coco());
        for (at, name) in [(0, "person"), (11, "Stop sign"), (79, "toothbrush")] {
            names[at] = name.into();
        }
        let dense = labels(&names);
        names.insert(0, "???".into());
        for labels in [dense, labels(&names)] {
            assert!(labels.are_dense_coco());
            let spread = labels.at_coco_ids();
            assert!(spread.starts_with_background() && !spread.are_dense_coco());
            assert_eq!((spread.len(), spread.named()), (91, 80));
            assert_eq!(spread.name(1), "person");
            assert_eq!(spread.name(12), "class 12");
            assert_eq!(spread.find("stop sign"), Some(13));
            assert_eq!(spread.name(90), "toothbrush");
        }
    }

    #[test]
    fn a_label_map_is_read() {
        let map = br#"# TensorFlow's object detection
            item {
              name: "/m/01g317"
              id: 1
              display_name: 'person'
            }
            item { id: 3, name: "car" keypoints { id: 7 label: "}" } }
        "#;
        let labels = Labels::parse(map).unwrap();
        assert!(labels.starts_with_background());
        assert_eq!(
            (labels.name(1), labels.name(3)),
            ("person".into(), "car".into())
        );
        assert_eq!(labels.named(), 2);
        for damaged in [
            &b"item { id: 1"[..],
            b"item { id: 1 }",
            b"item { name: \"person\" }",
            b"item { id: 1 name: \"person }",
            b"item { id: -1 name: \"person\" }",
            b"item { id: 1 name: \"a\" } item { id: 1 name: \"b\" }",
            b"item { id: 1 name: \"a\" } else",
        ] {
            let text = String::from_utf8_lossy(damaged);
            assert!(Labels::parse(damaged).is_err(), "{text}");
        }
    }

    #[test]
    fn a_json_object_names_ids() {
        let labels = Labels::parse(br#"{"1": "person", "3": null, "4": "car"}"#).unwrap();
        assert!(labels.starts_with_background());
        assert_eq!(labels.list(), "person, car");
        for damaged in [
            &br#"{"one": "person"}"#[..],
            b"{}",
            b"{\"1\": 2}",
            b"{\"1\"",
        ] {
            assert!(Labels::parse(damaged).is_err());
        }
    }

    #[test]
    fn a_json_list_may_have_gaps() {
        let labels = Labels::parse(b" [\"person\", null, \"car\"]").unwrap();
        assert_eq!(labels.named(), 2);
        assert_eq!(labels.name(2), "car");
    }

    #[test]
    fn names_that_start_with_a_digit_are_names() {
        let labels = Labels::parse(b"3D printer\n4 wheeler\nperson").unwrap();
        assert_eq!(labels.name(1), "4 wheeler");
    }

    #[test]
    fn what_is_not_a_list_of_labels_is_refused() {
        for bytes in [
            &b""[..],
            b"\n\n",
            b"\xff\xfe",
            b"[1, 2]",
            b"99999999 person",
            b"1 person\n1 car",
            b"a\0b",
            b"TFL3\0\0\x01",
        ] {
            let message = Labels::parse(bytes).unwrap_err().to_string();
            assert!(message.contains("expected one label a line"), "{message}");
        }
        assert!(Labels::parse(&[b'x'; 1000]).is_err());
    }
}
