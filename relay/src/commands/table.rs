//! Lists for people to read.

/// Rows whose columns stand under each other.
pub struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// With its head.
    pub fn new(head: [&str; N]) -> Self {
        Self {
            rows: vec![head.map(str::to_uppercase)],
        }
    }

    /// Adds a row. What strangers chose is made harmless for the terminal.
    pub fn row(&mut self, row: [String; N]) {
        self.rows
            .push(row.map(|text| text.chars().filter(|c| !c.is_control()).collect()));
    }

    /// To standard output.
    pub fn print(&self) {
        let mut widths = [0; N];
        for row in &self.rows {
            for (width, text) in widths.iter_mut().zip(row) {
                *width = text.chars().count().max(*width);
            }
        }
        for row in &self.rows {
            let cells = row.iter().zip(widths);
            let line: String = cells
                .map(|(text, width)| format!("{text:width$}  "))
                .collect();
            println!("{}", line.trim_end());
        }
    }
}

/// Day and time in UTC.
pub fn date(us: i64) -> String {
    let minutes = us.div_euclid(60_000_000);
    let (days, minute) = (minutes.div_euclid(1440), minutes.rem_euclid(1440));
    // Howard Hinnant's "days from civil" read backwards: eras of 400 years that begin in March.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, (month + 2) % 12 + 1);
    let year = era * 400 + year + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02} UTC",
        minute / 60,
        minute % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (951_868_799, "2000-02-29 23:59 UTC"),
            (951_868_800, "2000-03-01 00:00 UTC"),
            (1_767_225_599, "2025-12-31 23:59 UTC"),
            (1_767_225_600, "2026-01-01 00:00 UTC"),
        ] {
            assert_eq!(date(seconds * 1_000_000), text);
        }
    }
}
