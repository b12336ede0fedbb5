//! Parsers for the values of flags. Their errors say which values are allowed.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Returns a parser for a number within `range`, including both ends.
pub fn number<T>(
    range: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    move |text| {
        text.parse()
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                format!(
                    "expected a number from {} to {}",
                    range.start(),
                    range.end()
                )
            })
    }
}

/// Returns a parser for a text whose length in bytes is within `len`.
pub fn text(
    len: RangeInclusive<usize>,
) -> impl Fn(&str) -> Result<String, String> + Clone + Send + Sync + 'static {
    move |text| {
        if len.contains(&text.len()) {
            Ok(text.to_owned())
        } else {
            Err(format!("expected {} to {} bytes", len.start(), len.end()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_within_the_range_are_accepted() {
        let score = number(0.0_f32..=1.0);
        assert_eq!(score("0.5"), Ok(0.5));
        for text in ["1.1", "-1", "NaN", "", "half"] {
            assert!(score(text).unwrap_err().contains("0 to 1"), "{text}");
        }
    }
}
