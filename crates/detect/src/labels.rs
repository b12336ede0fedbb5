//! Names of the classes, from a file or from the model.

use std::borrow::Cow;

/// Most classes; a larger id in a list of labels is taken for a mistake.
const MAX_CLASSES: usize = 10_000;

/// Longest name in bytes of UTF-8.
const MAX_NAME_BYTES: usize = 200;

/// Names that stand for "no object" in the first line of a list.
const BACKGROUND: [&str; 4] = ["???", "background", "__background__", "bg"];

/// Names of the classes that a model knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    names: Vec<Option<Box<str>>>,
}

/// Classes and their names; none for one that is left out.
type Names<'a> = Vec<(usize, Option<Cow<'a, str>>)>;

/// Why a list of labels cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; expected one label a line, lines of `id name`, or a JSON list of texts")]
pub struct LabelsError(String);

impl Labels {
    /// Reads a list: one label a line, lines that start with an id, or a JSON list of texts.
    ///
    /// In a plain list, line 0 is class 0. Empty lines and lines of `???` beyond the first name no
    /// class, but count.
    ///
    /// # Errors
    ///
    /// [`LabelsError`] that says which line is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, LabelsError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|err| LabelsError(format!("byte {} is not UTF-8", err.valid_up_to())))?;
        let text = text.trim_start_matches('\u{feff}').trim_end();
        let names = if text.trim_start().starts_with('[') {
            let names: Vec<Option<String>> =
                serde_json::from_str(text).map_err(|err| LabelsError(err.to_string()))?;
            names
                .into_iter()
                .map(|name| name.map(Cow::Owned))
                .enumerate()
                .collect()
        } else {
            numbered(text)?.unwrap_or_else(|| {
                let lines = text.lines().map(|line| Some(Cow::Borrowed(line)));
                lines.enumerate().collect()
            })
        };
        Self::from_names(names)
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

    /// The class with a name; letter case does not matter.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<u32> {
        let name = name.to_lowercase();
        self.names
            .iter()
            .position(|known| matches!(known, Some(known) if known.to_lowercase() == name))
            .and_then(|class| u32::try_from(class).ok())
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

/// Reads lines of `id name`, also with `:` between them; `None` if not every line is one.
fn numbered(text: &str) -> Result<Option<Names<'_>>, LabelsError> {
    let mut names = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Some((id, name)) = line.split_once([' ', '\t', ':', ',']) else {
            return Ok(None);
        };
        let name = name.trim_start_matches([' ', '\t', ':', ',']).trim();
        let Ok(id) = id.parse::<usize>() else {
            return Ok(None);
        };
        if name.is_empty() {
            return Ok(None);
        }
        if names.iter().any(|(known, _)| *known == id) {
            return Err(LabelsError(format!("class {id} is there twice")));
        }
        names.push((id, Some(Cow::Borrowed(name))));
    }
    Ok((!names.is_empty()).then_some(names))
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
