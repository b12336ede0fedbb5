//! A bitmap font for labels. This is the only file that names font8x8.

use font8x8::{BASIC_FONTS, LATIN_FONTS, UnicodeFonts as _};

/// Returns the bitmap of a letter: eight rows from the top, with the leftmost pixel in the lowest
/// bit. A letter outside Latin-1 is replaced by a question mark.
#[must_use]
pub fn letter(letter: char) -> [u8; 8] {
    BASIC_FONTS
        .get(letter)
        .or_else(|| LATIN_FONTS.get(letter))
        .or_else(|| BASIC_FONTS.get('?'))
        .unwrap_or_default()
}
