//! What must hold for any settings file, environment and command line, for the fuzz target.
//!
//! The function takes one input and panics if a property does not hold; see `docs/fuzzing.md`.

use super::{Known, Layer, OsString, Parser, Path, Program, SettingsError, complete, read_text};

/// Settings of `program`. The input has three sections, which lines of `---` separate: the
/// settings file, the environment (`NAME=VALUE` a line), and the arguments (one a line).
///
/// What the file and the environment may say, the command line's own parser accepts as well; a
/// refused secret is not shown.
pub fn settings<A: Parser>(program: &Program, data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut sections = text.splitn(3, "\n---\n");
    let mut section = || sections.next().unwrap_or_default();
    let (file, env, args) = (section(), section(), section());

    let command = program.command::<A>();
    let known = Known::of(&command);
    let place = Path::new("config.toml");
    let Some(mut layered) = judge(read_text(&known, place, file)) else {
        return;
    };
    let env = env
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let Some(env) = judge(program.read_environment(&known, env)) else {
        return;
    };
    layered.extend(env);
    let program_name = OsString::from("program");
    if let Err(err) = complete::<A>(command.clone(), &layered, vec![program_name.clone()]) {
        panic!("{layered:?} is accepted and then refused: {err}");
    }
    let args = std::iter::once(program_name).chain(args.lines().map(OsString::from));
    let _ = complete::<A>(command, &layered, args.collect());
}

fn judge(layer: Result<Layer, SettingsError>) -> Option<Layer> {
    let err = match layer {
        Ok(layer) => return Some(layer),
        Err(err) => err,
    };
    assert!(!err.to_string().is_empty());
    if let SettingsError::Value { key, value, .. } = err {
        let is_secret = key.to_lowercase().ends_with("token");
        assert!(!is_secret || value == "(hidden)", "{key} = {value}");
    }
    None
}
