//! Hours of the week.

use cv_protocol::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::error::RulesError;

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    fn is(self, day: Weekday) -> bool {
        let same = match self {
            Self::Mon => Weekday::Monday,
            Self::Tue => Weekday::Tuesday,
            Self::Wed => Weekday::Wednesday,
            Self::Thu => Weekday::Thursday,
            Self::Fri => Weekday::Friday,
            Self::Sat => Weekday::Saturday,
            Self::Sun => Weekday::Sunday,
        };
        same == day
    }
}

/// A span of the day on some days of the week, by the clock on the wall.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// Days on which the span begins; empty: every day.
    #[serde(default)]
    pub days: Vec<Day>,
    /// `HH:MM` when it begins.
    pub from: String,
    /// `HH:MM` when it ends, `24:00` for midnight; a time before `from` is on the next day.
    pub to: String,
}

impl Hours {
    pub(super) fn check(&self) -> Result<(), RulesError> {
        minutes(&self.from)?;
        minutes(&self.to).map(|_| ())
    }

    fn hold(&self, today: Weekday, minute: u32) -> bool {
        let (Ok(from), Ok(to)) = (minutes(&self.from), minutes(&self.to)) else {
            return false;
        };
        let begins = |day: Weekday| self.days.is_empty() || self.days.iter().any(|d| d.is(day));
        if from < to {
            return begins(today) && (from..to).contains(&minute);
        }
        (begins(today) && minute >= from) || (begins(today.previous()) && minute < to)
    }
}

fn minutes(text: &str) -> Result<u32, RulesError> {
    let wrong = || RulesError(format!("hours: {text:?} is not a time of day as 07:30"));
    let (hours, minutes) = text.split_once(':').ok_or_else(wrong)?;
    let number = |digits: &str| {
        (digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit()))
            .then(|| digits.parse::<u32>().ok())
            .flatten()
            .ok_or_else(wrong)
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    if minutes > 59 || hours * 60 + minutes > 24 * 60 {
        return Err(wrong());
    }
    Ok(hours * 60 + minutes)
}

pub(super) fn time_zone(name: Option<&str>) -> Result<TimeZone, RulesError> {
    match name {
        None => Ok(TimeZone::system()),
        Some(name) => TimeZone::get(name).map_err(|err| {
            RulesError(format!(
                "time_zone {name:?}: {err}; expected a name as Europe/Berlin"
            ))
        }),
    }
}

/// Whether any of these spans holds a time, in the time zone of this name or this machine's.
pub(super) fn hold(hours: &[Hours], zone: Option<&str>, at: Timestamp) -> bool {
    let zone = time_zone(zone).unwrap_or_else(|_| TimeZone::system());
    let micros = i64::try_from(at.0).unwrap_or(i64::MAX);
    let Ok(moment) = jiff::Timestamp::from_microsecond(micros) else {
        return true;
    };
    let local = moment.to_zoned(zone);
    let minute = u32::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute()));
    let minute = minute.unwrap_or(0);
    hours
        .iter()
        .any(|hours| hours.hold(local.weekday(), minute))
}

#[cfg(test)]
mod tests {
    use super::super::Rules;
    use super::*;

    fn at(text: &str) -> Timestamp {
        let moment: jiff::Timestamp = text.parse().unwrap();
        Timestamp(u64::try_from(moment.as_microsecond()).unwrap())
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let rules = Rules {
            time_zone: Some("UTC".into()),
            hours: vec![Hours {
                days: vec![Day::Sat],
                from: "22:00".into(),
                to: "06:00".into(),
            }],
            ..Rules::default()
        };
        // 2026-11-28 is a Saturday.
        assert!(!rules.hours_hold(at("2026-11-28T05:00:00Z")));
        assert!(!rules.hours_hold(at("2026-11-28T21:59:00Z")));
        assert!(rules.hours_hold(at("2026-11-28T22:00:00Z")));
        assert!(rules.hours_hold(at("2026-11-29T05:59:00Z")));
        assert!(!rules.hours_hold(at("2026-11-29T06:00:00Z")));
        assert!(!rules.hours_hold(at("2026-11-29T23:00:00Z")));
    }

    #[test]
    fn hours_are_those_of_the_place_also_in_summer() {
        let rules = Rules {
            time_zone: Some("Europe/Berlin".into()),
            hours: vec![Hours {
                days: Vec::new(),
                from: "08:00".into(),
                to: "24:00".into(),
            }],
            ..Rules::default()
        };
        assert!(rules.hours_hold(at("2026-07-01T06:30:00Z")));
        assert!(!rules.hours_hold(at("2026-12-01T06:30:00Z")));
        assert!(rules.hours_hold(at("2026-12-01T22:59:00Z")));
        assert!(!rules.hours_hold(at("2026-12-01T23:00:00Z")));
    }
}
