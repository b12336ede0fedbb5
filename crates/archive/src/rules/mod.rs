//! Which objects make an event, and what is recorded of them: one set of rules for each camera.

mod error;
mod hours;
mod zone;

use cv_protocol::Timestamp;
use serde::{Deserialize, Serialize};

pub use error::RulesError;
pub use hours::{Day, Hours};
pub use zone::{MAX_POINTS, Mask, Zone};

/// Most zones, and most masks, of one camera.
pub const MAX_ZONES: usize = 32;

/// Most searched frames that the rule "N of M" looks back.
pub const MAX_SEARCHED: u32 = 32;

/// Longest text in rules: a label or the name of a zone, in bytes.
const MAX_TEXT_BYTES: usize = 64;

/// Longest pre-roll and post-roll, in seconds: the pre-roll is held in memory.
const MAX_ROLL_S: f32 = 60.0;

/// What a camera's footage is kept of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordMode {
    /// Nothing: neither frames nor events.
    Off,
    /// Frames from before each event until after it.
    #[default]
    Events,
    /// All frames, and events.
    Continuous,
}

impl std::str::FromStr for RecordMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "events" => Ok(Self::Events),
            "continuous" => Ok(Self::Continuous),
            other => Err(format!(
                "{other:?} is not a record mode; expected off, events or continuous"
            )),
        }
    }
}

impl std::fmt::Display for RecordMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Events => "events",
            Self::Continuous => "continuous",
        })
    }
}

/// When an object that does not move counts as stationary, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stationary {
    /// Seconds without movement after which an object is stationary.
    pub after_s: f32,
    /// Seconds as stationary after which its event ends; it starts no other until it moves.
    /// 0: the event goes on for as long as the object stays.
    pub end_after_s: f32,
}

impl Default for Stationary {
    fn default() -> Self {
        Self {
            after_s: 10.0,
            end_after_s: 60.0,
        }
    }
}

/// The rules of one camera. Every key may be left out; unknown keys are errors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// What is recorded; absent: as the relay was started (`--record`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordMode>,
    /// Labels that make events; empty: all.
    pub labels: Vec<String>,
    /// Smallest score, 0 to 1.
    pub min_score: f32,
    /// Smallest box, as a fraction of the picture's area.
    pub min_area: f32,
    /// An event starts when its object met the rules in this many ...
    pub seen: u32,
    /// ... of this many searched frames.
    pub of: u32,
    /// Named areas; events tell which of them the object entered.
    pub zones: Vec<Zone>,
    /// Whether only objects in a zone start an event.
    pub zones_only: bool,
    /// Areas where objects are ignored.
    pub masks: Vec<Mask>,
    /// Objects that do not move.
    pub stationary: Stationary,
    /// When events may start; empty: always.
    pub hours: Vec<Hours>,
    /// Name of the time zone of `hours`, as `Europe/Berlin`; absent: the relay's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Seconds of footage before an event.
    pub pre_roll_s: f32,
    /// Seconds of footage after an event.
    pub post_roll_s: f32,
    /// Most frames a second that are stored; absent: as the relay was started (`--record-fps`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_fps: Option<f32>,
    /// Days that footage and events are kept; absent: as the relay was started (`--keep-days`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_days: Option<f32>,
    /// Most bytes of this camera; absent: as the relay was started (`--keep-bytes`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_bytes: Option<u64>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            record: None,
            labels: Vec::new(),
            min_score: 0.5,
            min_area: 0.0,
            seen: 3,
            of: 5,
            zones: Vec::new(),
            zones_only: false,
            masks: Vec::new(),
            stationary: Stationary::default(),
            hours: Vec::new(),
            time_zone: None,
            pre_roll_s: 5.0,
            post_roll_s: 5.0,
            record_fps: None,
            keep_days: None,
            keep_bytes: None,
        }
    }
}

impl Rules {
    /// Rules from JSON.
    ///
    /// # Errors
    ///
    /// If it is not JSON, has an unknown key, or a value is out of range.
    pub fn from_json(text: &str) -> Result<Self, RulesError> {
        let rules: Self = serde_json::from_str(text).map_err(|err| RulesError(err.to_string()))?;
        rules.check()?;
        Ok(rules)
    }

    /// Checks every value.
    ///
    /// # Errors
    ///
    /// The first value that is out of range.
    pub fn check(&self) -> Result<(), RulesError> {
        within("min_score", self.min_score, 0.0, 1.0)?;
        within("min_area", self.min_area, 0.0, 1.0)?;
        within("pre_roll_s", self.pre_roll_s, 0.0, MAX_ROLL_S)?;
        within("post_roll_s", self.post_roll_s, 0.0, MAX_ROLL_S)?;
        within("stationary.after_s", self.stationary.after_s, 1.0, 86_400.0)?;
        within(
            "stationary.end_after_s",
            self.stationary.end_after_s,
            0.0,
            86_400.0,
        )?;
        if let Some(fps) = self.record_fps {
            within("record_fps", fps, 0.1, 120.0)?;
        }
        if let Some(days) = self.keep_days {
            within("keep_days", days, 0.01, 36_500.0)?;
        }
        if !(1..=MAX_SEARCHED).contains(&self.of) || !(1..=self.of).contains(&self.seen) {
            return Err(RulesError(format!(
                "seen {} of {}: expected 1 <= seen <= of <= {MAX_SEARCHED}",
                self.seen, self.of
            )));
        }
        for (what, count) in [("zones", self.zones.len()), ("masks", self.masks.len())] {
            if count > MAX_ZONES {
                return Err(RulesError(format!("{count} {what}, at most {MAX_ZONES}")));
            }
        }
        self.labels
            .iter()
            .try_for_each(|label| text("label", label))?;
        for (index, zone) in self.zones.iter().enumerate() {
            text("zone name", &zone.name)?;
            zone.labels
                .iter()
                .try_for_each(|label| text("label", label))?;
            zone::check_points(&format!("zone {:?}", zone.name), &zone.points)?;
            if self.zones.iter().take(index).any(|z| z.name == zone.name) {
                return Err(RulesError(format!("two zones are named {:?}", zone.name)));
            }
        }
        for mask in &self.masks {
            zone::check_points("a mask", &mask.points)?;
        }
        if self.zones_only && self.zones.is_empty() {
            return Err(RulesError(
                "zones_only without a zone: no event could ever start".into(),
            ));
        }
        self.hours.iter().try_for_each(Hours::check)?;
        hours::time_zone(self.time_zone.as_deref()).map(|_| ())
    }

    /// Whether a label makes events at all.
    #[must_use]
    pub fn wants(&self, label: &str) -> bool {
        self.labels.is_empty() || self.labels.iter().any(|wanted| wanted == label)
    }

    /// Whether events may start at this time.
    #[must_use]
    pub fn hours_hold(&self, at: Timestamp) -> bool {
        self.hours.is_empty() || hours::hold(&self.hours, self.time_zone.as_deref(), at)
    }
}

fn within(key: &str, value: f32, least: f32, most: f32) -> Result<(), RulesError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(RulesError(format!(
        "{key} is {value}, expected {least} to {most}"
    )))
}

fn text(what: &str, value: &str) -> Result<(), RulesError> {
    if value.is_empty() || value.len() > MAX_TEXT_BYTES || value.chars().any(char::is_control) {
        return Err(RulesError(format!(
            "{what} {value:?}: expected 1 to {MAX_TEXT_BYTES} bytes without control characters"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_object_means_the_defaults() {
        assert_eq!(Rules::from_json("{}").unwrap(), Rules::default());
    }

    #[test]
    fn rules_survive_json() {
        let text = r#"{"record":"continuous","labels":["person"],"seen":2,"of":4,
            "zones":[{"name":"gate","points":[[0,0],[1,0],[1,1]],"labels":["person"]}],
            "zones_only":true,"hours":[{"days":["sat"],"from":"22:00","to":"06:00"}],
            "time_zone":"Europe/Berlin","keep_bytes":1000000}"#;
        let rules = Rules::from_json(text).unwrap();
        let again = Rules::from_json(&serde_json::to_string(&rules).unwrap()).unwrap();
        assert_eq!(again, rules);
    }

    #[test]
    fn bad_values_are_named() {
        for (text, named) in [
            (r#"{"min_score":1.5}"#, "min_score is 1.5"),
            (r#"{"seen":6}"#, "seen 6 of 5"),
            (r#"{"lables":[]}"#, "lables"),
            (r#"{"zones_only":true}"#, "zones_only"),
            (
                r#"{"zones":[{"name":"a","points":[[0,0],[1,0]]}]}"#,
                "zone \"a\"",
            ),
            (
                r#"{"zones":[{"name":"a","points":[[0,0],[1,0],[2,0]]}]}"#,
                "2",
            ),
            (r#"{"hours":[{"from":"25:00","to":"06:00"}]}"#, "25:00"),
            (r#"{"time_zone":"Mars/Base"}"#, "Mars/Base"),
            (r#"{"record":"sometimes"}"#, "sometimes"),
        ] {
            let err = Rules::from_json(text).unwrap_err().to_string();
            assert!(err.contains(named), "{text}: {err}");
        }
    }
}
