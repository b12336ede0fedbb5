//! The forms in which labels are written.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// Classes and their names; none for one that is left out.
pub type Names<'a> = Vec<(usize, Option<Cow<'a, str>>)>;

/// Why a list of labels cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}; expected one label a line, lines of `id name`, a JSON list or object of texts, or a \
     label_map.pbtxt"
)]
pub struct LabelsError(pub String);

/// Reads one label a line, lines that start with an id, a JSON list of texts, a JSON object of them
/// by id, or TensorFlow's `label_map.pbtxt`.
///
/// # Errors
///
/// [`LabelsError`] that says what is wrong.
pub fn read(bytes: &[u8]) -> Result<Names<'_>, LabelsError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|err| LabelsError(format!("byte {} is not UTF-8", err.valid_up_to())))?;
    let text = text.trim_start_matches('\u{feff}').trim_end();
    let json = |err: serde_json::Error| LabelsError(err.to_string());
    let start = text.trim_start();
    if start.starts_with('[') {
        let names: Vec<Option<String>> = serde_json::from_str(text).map_err(json)?;
        let names = names.into_iter().map(|name| name.map(Cow::Owned));
        return Ok(names.enumerate().collect());
    }
    if start.starts_with('{') {
        let names: BTreeMap<usize, Option<String>> = serde_json::from_str(text).map_err(json)?;
        let names = names.into_iter();
        return Ok(names.map(|(id, name)| (id, name.map(Cow::Owned))).collect());
    }
    if let Some(names) = label_map::read(text)? {
        return Ok(names);
    }
    Ok(numbered(text)?.unwrap_or_else(|| {
        let lines = text.lines().map(|line| Some(Cow::Borrowed(line)));
        lines.enumerate().collect()
    }))
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

mod label_map {
    //! The text form of TensorFlow's `StringIntLabelMap`: `item { id: 1 name: "person" }`.

    use std::borrow::Cow;

    use super::{LabelsError, Names};

    /// A piece of the text.
    #[derive(Clone, Copy, PartialEq)]
    enum Token<'a> {
        Word(&'a str),
        Text(&'a str),
        Mark(char),
    }

    /// Reads a map; `None` if the text is none.
    pub fn read(text: &str) -> Result<Option<Names<'_>>, LabelsError> {
        let mut rest = text;
        match next(&mut rest) {
            Ok(Some(Token::Word("item")))
                if matches!(next(&mut rest), Ok(Some(Token::Mark('{' | ':')))) => {}
            _ => return Ok(None),
        }
        let mut rest = text;
        let mut names = Names::new();
        while let Some(token) = next(&mut rest)? {
            match token {
                Token::Word("item") => {
                    let (id, name) = item(&mut rest)?;
                    if names.iter().any(|(known, _)| *known == id) {
                        return Err(LabelsError(format!("class {id} is there twice")));
                    }
                    names.push((id, Some(Cow::Borrowed(name))));
                }
                Token::Mark(',' | ';') => {}
                _ => return Err(LabelsError("there is something between items".into())),
            }
        }
        Ok(Some(names))
    }

    /// The id and name between the braces.
    fn item<'a>(rest: &mut &'a str) -> Result<(usize, &'a str), LabelsError> {
        let cut_short = || LabelsError("an item does not end".into());
        let (mut id, mut name, mut shown) = (None, None, None);
        let mut depth = 0_usize;
        let mut field = "";
        loop {
            match next(rest)?.ok_or_else(cut_short)? {
                Token::Mark('{') => depth += 1,
                Token::Mark('}') if depth <= 1 => break,
                Token::Mark('}') => depth -= 1,
                // Fields of the item itself; those inside of it are others.
                Token::Word(word) if depth == 1 && field == "id" => {
                    id = Some(
                        word.parse()
                            .map_err(|_| LabelsError(format!("{word:?} is no id of an item")))?,
                    );
                    field = "";
                }
                Token::Word(word) if depth == 1 => field = word,
                Token::Text(text) if depth == 1 => {
                    match field {
                        "name" => name = Some(text),
                        "display_name" => shown = Some(text),
                        _ => {}
                    }
                    field = "";
                }
                _ => {}
            }
        }
        let name = shown.or(name);
        id.zip(name)
            .ok_or_else(|| LabelsError("an item lacks its id or its name".into()))
    }

    fn next<'a>(rest: &mut &'a str) -> Result<Option<Token<'a>>, LabelsError> {
        let mut text = rest.trim_start();
        while text.starts_with('#') {
            text = text
                .split_once('\n')
                .map_or("", |(_, more)| more.trim_start());
        }
        let Some(first) = text.chars().next() else {
            *rest = "";
            return Ok(None);
        };
        let after = text.get(first.len_utf8()..).unwrap_or_default();
        if matches!(first, '"' | '\'') {
            let (inside, more) = after
                .split_once(first)
                .filter(|(inside, _)| !inside.contains('\n'))
                .ok_or_else(|| LabelsError("a name has no closing quotation mark".into()))?;
            *rest = more;
            return Ok(Some(Token::Text(inside)));
        }
        let in_word = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.');
        if !in_word(first) {
            *rest = after;
            return Ok(Some(Token::Mark(first)));
        }
        let end = text.find(|letter| !in_word(letter)).unwrap_or(text.len());
        let (word, more) = text.split_at(end);
        *rest = more;
        Ok(Some(Token::Word(word)))
    }
}
