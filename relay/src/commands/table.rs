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
    jiff::Timestamp::from_microsecond(us).map_or_else(
        |_| "-".to_owned(),
        |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}
