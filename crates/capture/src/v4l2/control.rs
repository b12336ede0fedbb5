//! Lists and sets camera controls: brightness, exposure, focus and so on.

use std::io;

use serde::Serialize;

use super::sys::{
    CTRL_FLAG_DISABLED, CTRL_FLAG_INACTIVE, CTRL_FLAG_READ_ONLY, CTRL_FLAG_WRITE_ONLY, Node,
    RawControl,
};

/// Maximum number of controls. A driver that lists more is broken.
const MAX_CONTROLS: usize = 500;

/// Maximum number of items read from a menu.
const MAX_MENU_ITEMS: i32 = 200;

/// One control of a camera.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Control {
    /// Name for `--control`, for example `white_balance_automatic`.
    pub name: String,
    /// Values that the control accepts.
    #[serde(flatten)]
    pub kind: ControlKind,
    /// Current value; absent if it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<i32>,
    /// Default value set by the manufacturer.
    pub default: i32,
    /// Reason why the control cannot be set at the moment; absent if it can be set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<&'static str>,
    #[serde(skip)]
    id: u32,
}

/// Values that a control accepts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ControlKind {
    /// An integer within a range.
    Integer {
        /// Smallest value.
        minimum: i32,
        /// Largest value.
        maximum: i32,
        /// Distance between two values.
        step: i32,
    },
    /// A switch: 0 or 1.
    Boolean,
    /// One of several items, chosen by number or name.
    Menu {
        /// Number and name of each item.
        items: Vec<(i32, String)>,
    },
    /// A button: setting it to any value triggers an action.
    Button,
}

impl Control {
    /// Lists the controls of a device. Controls that cannot be set with one number are omitted.
    pub fn list(node: &Node) -> io::Result<Vec<Self>> {
        let mut controls = Vec::new();
        let mut id = 0;
        for _ in 0..MAX_CONTROLS {
            let Some(raw) = node.control_after(id)? else {
                break;
            };
            // Without this check, a driver that repeats an id would keep this loop running for
            // ever.
            if raw.id <= id {
                break;
            }
            id = raw.id;
            if raw.flags & CTRL_FLAG_DISABLED == 0 {
                controls.extend(Self::read(node, raw)?);
            }
        }
        Ok(controls)
    }

    fn read(node: &Node, raw: RawControl) -> io::Result<Option<Self>> {
        // V4L2_CTRL_TYPE_INTEGER, BOOLEAN, MENU, BUTTON, BITMASK and INTEGER_MENU.
        let kind = match raw.kind {
            1 | 8 => ControlKind::Integer {
                minimum: raw.minimum,
                maximum: raw.maximum,
                step: raw.step.max(1),
            },
            2 => ControlKind::Boolean,
            3 | 9 => {
                let mut items = Vec::new();
                let last = raw.maximum.min(raw.minimum.saturating_add(MAX_MENU_ITEMS));
                for index in raw.minimum.max(0)..=last {
                    let name = node.menu_item(raw.id, index.unsigned_abs(), raw.kind == 9)?;
                    items.extend(name.map(|name| (index, name)));
                }
                ControlKind::Menu { items }
            }
            4 => ControlKind::Button,
            _ => return Ok(None),
        };
        let readable = raw.flags & CTRL_FLAG_WRITE_ONLY == 0 && kind != ControlKind::Button;
        let unavailable = if raw.flags & CTRL_FLAG_READ_ONLY != 0 {
            Some("read-only")
        } else if raw.flags & CTRL_FLAG_INACTIVE != 0 {
            Some("inactive, another control decides")
        } else {
            None
        };
        Ok(Some(Self {
            name: identifier(&raw.name),
            kind,
            // A control whose value cannot be read is listed all the same.
            value: readable.then(|| node.control(raw.id).ok()).flatten(),
            default: raw.default,
            unavailable,
            id: raw.id,
        }))
    }

    /// Sets the control called `name`.
    ///
    /// # Errors
    ///
    /// Returns a sentence for a person that says what is wrong and what would be accepted.
    pub fn set(node: &Node, controls: &[Self], name: &str, value: &str) -> Result<(), String> {
        let wanted = identifier(name);
        let control = controls
            .iter()
            .find(|control| control.name == wanted)
            .ok_or_else(|| match controls {
                [] => "this camera has no controls".to_owned(),
                _ => {
                    let names: Vec<_> = controls.iter().map(|c| c.name.as_str()).collect();
                    format!(
                        "this camera has no such control; it has {}",
                        names.join(", ")
                    )
                }
            })?;
        let value = control.kind.parse(value)?;
        node.set_control(control.id, value)
            .map_err(|error| match control.unavailable {
                Some(why) => format!("cannot be set now: {why}"),
                None => format!("the camera refused {value}: {error}"),
            })
    }
}

impl ControlKind {
    /// Converts `text` into the number that the driver expects.
    fn parse(&self, text: &str) -> Result<i32, String> {
        let number = text.parse::<i32>().ok();
        let found = match self {
            Self::Integer {
                minimum,
                maximum,
                step,
            } => number.filter(|n| {
                (minimum..=maximum).contains(&n) && n.wrapping_sub(*minimum) % step == 0
            }),
            Self::Boolean => match text.to_ascii_lowercase().as_str() {
                "1" | "on" | "true" | "yes" => Some(1),
                "0" | "off" | "false" | "no" => Some(0),
                _ => None,
            },
            Self::Menu { items } => items
                .iter()
                .find(|(index, name)| {
                    number == Some(*index) || identifier(name) == identifier(text)
                })
                .map(|(index, _)| *index),
            Self::Button => Some(number.unwrap_or(1)),
        };
        found.ok_or_else(|| format!("{text:?} is not allowed; expected {self}"))
    }
}

impl std::fmt::Display for ControlKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Integer {
                minimum,
                maximum,
                step: 1,
            } => write!(f, "{minimum} to {maximum}"),
            Self::Integer {
                minimum,
                maximum,
                step,
            } => write!(f, "{minimum} to {maximum} in steps of {step}"),
            Self::Boolean => f.write_str("on or off"),
            Self::Menu { items } => {
                let items: Vec<_> = items
                    .iter()
                    .map(|(i, name)| format!("{i} ({name})"))
                    .collect();
                f.write_str(&items.join(", "))
            }
            Self::Button => f.write_str("anything: it is a button"),
        }
    }
}

/// Turns a control's name into an identifier, as `v4l2-ctl` does: `White Balance, Automatic`
/// becomes `white_balance_automatic`.
fn identifier(name: &str) -> String {
    let mut word = String::new();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            word.push(c.to_ascii_lowercase());
        } else if !word.is_empty() && !word.ends_with('_') {
            word.push('_');
        }
    }
    word.trim_end_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_those_of_v4l2_ctl() {
        assert_eq!(
            identifier("White Balance, Automatic"),
            "white_balance_automatic"
        );
        assert_eq!(identifier("Focus (absolute)"), "focus_absolute");
        assert_eq!(identifier("brightness"), "brightness");
    }

    #[test]
    fn values_are_checked_against_what_the_camera_accepts() {
        let integer = ControlKind::Integer {
            minimum: -10,
            maximum: 10,
            step: 5,
        };
        assert_eq!(integer.parse("-5"), Ok(-5));
        for bad in ["11", "3", "bright", ""] {
            let message = integer.parse(bad).unwrap_err();
            assert!(
                message.ends_with("expected -10 to 10 in steps of 5"),
                "{message}"
            );
        }
        assert_eq!(ControlKind::Boolean.parse("Off"), Ok(0));
        assert!(ControlKind::Boolean.parse("2").is_err());
        let menu = ControlKind::Menu {
            items: vec![
                (1, "Manual Mode".into()),
                (3, "Aperture Priority Mode".into()),
            ],
        };
        assert_eq!(menu.parse("3"), Ok(3));
        assert_eq!(menu.parse("manual_mode"), Ok(1));
        assert!(menu.parse("2").unwrap_err().contains("3 (Aperture"));
    }
}
