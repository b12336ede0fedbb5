//! Letters to draw into pictures; the only file that names font8x8.

use font8x8::{BASIC_FONTS, LATIN_FONTS, UnicodeFonts as _};

/// The rows of a letter from the top, each with its leftmost pixel in the lowest bit; a question
/// mark for a letter outside Latin-1.
#[must_use]
pub fn letter(letter: char) -> [u8; 8] {
    BASIC_FONTS
        .get(letter)
        .or_else(|| LATIN_FONTS.get(letter))
        .or_else(|| BASIC_FONTS.get('?'))
        .unwrap_or_default()
}
