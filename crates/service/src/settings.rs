//! Settings in three layers: flags override environment variables, which override a TOML file.
//!
//! There is one list of settings, the program's own flags. A value from the environment or the file
//! becomes the default of its flag, so one parser checks all three layers and they cannot drift
//! apart.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command, Parser};

use crate::EXIT_CONFIG;

/// Name of the flag that selects another settings file. It is also an environment variable, but not
/// a key of the file.
const CONFIG: &str = "config";

/// Describes where a program's settings come from, besides its command line.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Prefix of the program's environment variables: `PREFIX_PORT` sets `--port`.
    pub prefix: &'static str,
    /// Path of the settings file that is read if it exists and `--config` names no other.
    pub default_file: &'static str,
}

/// Reason why the program does not start: its settings are wrong, or only help was asked for.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The command line is wrong, or asks for help or the version.
    #[error(transparent)]
    CommandLine(#[from] Box<clap::Error>),
    /// The settings file cannot be read.
    #[error("cannot read settings file {}: {source}", file.display())]
    Read {
        /// Path of the settings file.
        file: PathBuf,
        /// Error of the file system.
        source: io::Error,
    },
    /// The settings file is not valid TOML.
    #[error("{}, line {line}: {message}", file.display())]
    Syntax {
        /// Path of the settings file.
        file: PathBuf,
        /// Line in the file, counted from 1.
        line: usize,
        /// The parser's message, which says what it expected.
        message: String,
    },
    /// A key in the settings file or an environment variable does not belong to any setting.
    #[error("{place}: unknown setting {key:?}; expected one of {known}")]
    Unknown {
        /// Where the setting was found: the path of the file, or "environment".
        place: String,
        /// The unknown key or variable, as written.
        key: String,
        /// Names of all settings, separated by commas.
        known: String,
    },
    /// A setting has a value that is not allowed.
    #[error("{place}: {key} = {value:?} is refused: {reason}")]
    Value {
        /// Where the setting was found: the path of the file, or "environment".
        place: String,
        /// The key or variable, as written.
        key: String,
        /// The value as written; hidden if the setting is a secret.
        value: String,
        /// Reason for the refusal: what values are allowed.
        reason: String,
    },
    /// The settings are valid one by one, but cannot be used together or on this machine.
    #[error("{0}")]
    Unusable(String),
}

impl SettingsError {
    /// Prints the error, or the help that was asked for, and returns the exit code of the process:
    /// 0 for help, otherwise [`EXIT_CONFIG`].
    #[must_use]
    pub fn report(&self) -> ExitCode {
        if let Self::CommandLine(err) = self {
            // Nothing can be done if standard error is closed.
            let _ = err.print();
            if matches!(
                err.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            ) {
                return ExitCode::SUCCESS;
            }
        } else {
            eprintln!("error: {self}");
        }
        ExitCode::from(EXIT_CONFIG)
    }
}

impl Program {
    /// Builds the command line of `A`, and adds the name of each setting's environment variable to
    /// its help.
    #[must_use]
    pub fn command<A: Parser>(&self) -> Command {
        each_setting(A::command(), &|arg, key| {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            arg.help(format!("{help} [env: {}]", self.variable(key)))
        })
    }

    /// Lists the settings as rows of a Markdown table: flag, variable, default, meaning.
    ///
    /// `docs/config.md` contains these rows, and a test of each program compares them.
    #[must_use]
    pub fn table<A: Parser>(&self) -> String {
        let command = A::command();
        let shown = Known::of(&command).0;
        let rows = shown.iter().filter(|arg| !arg.is_hide_set()).map(|arg| {
            let mut flags = vec![format!("`--{}`", flag(arg))];
            let aliases = arg.get_visible_aliases().unwrap_or_default();
            flags.extend(aliases.iter().map(|alias| format!("`--{alias}`")));
            let defaults: Vec<_> = arg
                .get_default_values()
                .iter()
                .map(|value| format!("`{}`", value.to_string_lossy()))
                .collect();
            let choices: Vec<_> = match arg.get_value_parser().possible_values() {
                Some(values) if !arg.is_hide_possible_values_set() => values
                    .map(|value| format!("`{}`", value.get_name()))
                    .collect(),
                _ => Vec::new(),
            };
            let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            // It is obvious that a switch takes `true` and `false`.
            if choices.len() > 2 || (!choices.is_empty() && choices[0] != "`true`") {
                help = format!("{help}: {}", choices.join(", "));
            }
            format!(
                "| {} | `{}` | {} | {} |\n",
                flags.join(", "),
                self.variable(flag(arg)),
                defaults.join(", "),
                help.replace('|', "\\|")
            )
        });
        rows.collect()
    }

    /// Returns the name of the environment variable for a flag.
    #[must_use]
    pub fn variable(&self, key: &str) -> String {
        format!("{}_{}", self.prefix, key.to_uppercase().replace('-', "_"))
    }

    /// Reads the settings of this process from its arguments, its environment and its settings
    /// file.
    ///
    /// # Errors
    ///
    /// Returns a [`SettingsError`] that names the place, the key, the value and what is allowed.
    pub fn parse_process<A: Parser>(&self) -> Result<A, SettingsError> {
        self.parse(std::env::args_os(), std::env::vars_os())
    }

    /// Reads the settings from `args` (whose first item is the program's name), then `env`, then
    /// the settings file. The first place that has a value decides.
    ///
    /// # Errors
    ///
    /// Returns a [`SettingsError`], as [`Self::parse_process`] does.
    pub fn parse<A: Parser>(
        &self,
        args: impl IntoIterator<Item = OsString>,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<A, SettingsError> {
        let args: Vec<OsString> = args.into_iter().collect();
        let command = self.command::<A>();
        let known = Known::of(&command);

        let env = self.read_environment(&known, env)?;
        let named = config_argument(&args).or_else(|| {
            env.get(CONFIG)
                .and_then(|values| values.first())
                .map(PathBuf::from)
        });
        let mut layered = match named {
            Some(file) => read_file(&known, &file)?,
            None if Path::new(self.default_file).exists() => {
                read_file(&known, Path::new(self.default_file))?
            }
            None => Layer::new(),
        };
        layered.extend(env);

        complete(command, &layered, args)
    }

    fn read_environment(
        &self,
        known: &Known,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Layer, SettingsError> {
        let place = "environment";
        let mut layer = Layer::new();
        for (name, value) in env {
            let name = name.to_string_lossy();
            let Some(rest) = name
                .strip_prefix(self.prefix)
                .and_then(|rest| rest.strip_prefix('_'))
            else {
                continue;
            };
            let key = rest.to_lowercase().replace('_', "-");
            let Some(arg) = known.find(&key).filter(|_| self.variable(&key) == name) else {
                return Err(SettingsError::Unknown {
                    place: place.into(),
                    key: name.into_owned(),
                    known: known.list(|key| self.variable(key)),
                });
            };
            let value = value.to_string_lossy();
            let values: Vec<String> = match arg.get_value_delimiter() {
                Some(delimiter) => value.split(delimiter).map(str::to_owned).collect(),
                None => vec![value.into_owned()],
            };
            for value in &values {
                check(place, &name, arg, value)?;
            }
            layer.insert(flag(arg).into(), values);
        }
        Ok(layer)
    }
}

/// Values from one place, by flag. A flag that may be repeated can have several values.
type Layer = BTreeMap<String, Vec<String>>;

/// Flags of the program that are settings. Flags that only a subcommand has are not settings.
struct Known(Vec<Arg>);

impl Known {
    fn of(command: &Command) -> Self {
        Self(
            command
                .get_arguments()
                .filter(|arg| is_setting(arg))
                .cloned()
                .collect(),
        )
    }

    fn find(&self, key: &str) -> Option<&Arg> {
        self.0.iter().find(|arg| {
            flag(arg) == key
                || arg
                    .get_all_aliases()
                    .is_some_and(|aliases| aliases.contains(&key))
        })
    }

    fn list(&self, name: impl Fn(&str) -> String) -> String {
        let shown: Vec<_> = self
            .0
            .iter()
            .filter(|arg| !arg.is_hide_set())
            .map(|arg| name(flag(arg)))
            .collect();
        shown.join(", ")
    }
}

fn is_setting(arg: &Arg) -> bool {
    arg.get_long().is_some()
        && matches!(
            arg.get_action(),
            ArgAction::Set | ArgAction::Append | ArgAction::SetTrue
        )
}

fn flag(arg: &Arg) -> &str {
    arg.get_long().unwrap_or_default()
}

/// Applies `change` to every setting of the command, and to the same settings of its subcommands.
fn each_setting(command: Command, change: &dyn Fn(Arg, &str) -> Arg) -> Command {
    let known = Known::of(&command);
    let apply = |arg: Arg| {
        let key = flag(&arg).to_owned();
        if is_setting(&arg) && known.find(&key).is_some() {
            change(arg, &key)
        } else {
            arg
        }
    };
    command
        .mut_args(apply)
        .mut_subcommands(|subcommand| subcommand.mut_args(apply))
}

/// Parses the command line, with the values of the other layers as its defaults.
fn complete<A: Parser>(
    command: Command,
    layered: &Layer,
    args: Vec<OsString>,
) -> Result<A, SettingsError> {
    let command = each_setting(command, &|arg, key| match layered.get(key) {
        Some(values) => arg.default_values(values).required(false),
        None => arg,
    });
    let matches = command.try_get_matches_from(args).map_err(Box::new)?;
    Ok(A::from_arg_matches(&matches).map_err(Box::new)?)
}

/// Finds the value of `--config` before clap parses the command line.
fn config_argument(args: &[OsString]) -> Option<PathBuf> {
    let mut args = args.iter().skip(1);
    while let Some(arg) = args.next() {
        let Some(text) = arg.to_str() else { continue };
        if text == "--" {
            break;
        }
        if let Some(rest) = text.strip_prefix("--").and_then(|t| t.strip_prefix(CONFIG)) {
            if rest.is_empty() {
                return args.next().map(PathBuf::from);
            }
            if let Some(value) = rest.strip_prefix('=') {
                return Some(value.into());
            }
        }
    }
    None
}

fn read_file(known: &Known, file: &Path) -> Result<Layer, SettingsError> {
    let text = fs::read_to_string(file).map_err(|source| SettingsError::Read {
        file: file.to_owned(),
        source,
    })?;
    read_text(known, file, &text)
}

/// Reads the settings in `text`, which is what `file` holds.
fn read_text(known: &Known, file: &Path, text: &str) -> Result<Layer, SettingsError> {
    // The TOML parser's full message quotes the line, which may contain a secret.
    let table: toml::Table =
        text.parse()
            .map_err(|err: toml::de::Error| SettingsError::Syntax {
                file: file.to_owned(),
                line: err
                    .span()
                    .and_then(|span| text.get(..span.start))
                    .map_or(1, |before| before.matches('\n').count() + 1),
                message: err.message().to_owned(),
            })?;

    let place = file.display().to_string();
    let mut layer = Layer::new();
    for (key, value) in table {
        let Some(arg) = known.find(&key).filter(|arg| flag(arg) != CONFIG) else {
            return Err(SettingsError::Unknown {
                place,
                key,
                known: known.list(str::to_owned),
            });
        };
        let refuse = |reason: &str| SettingsError::Value {
            place: place.clone(),
            key: key.clone(),
            value: shown(arg, &value.to_string()),
            reason: reason.to_owned(),
        };
        let values = match &value {
            toml::Value::Array(items) if matches!(arg.get_action(), ArgAction::Append) => items
                .iter()
                .map(scalar)
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| refuse("expected a list of strings"))?,
            other => vec![scalar(other).ok_or_else(|| refuse("expected one value"))?],
        };
        for value in &values {
            check(&place, &key, arg, value)?;
        }
        if layer.insert(flag(arg).into(), values).is_some() {
            return Err(refuse("the same setting is also given under another name"));
        }
    }
    Ok(layer)
}

fn scalar(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(choice) => Some(choice.to_string()),
        _ => None,
    }
}

/// Returns the value for a message. A setting whose default is hidden in the help is a secret, so
/// its value is replaced.
fn shown(arg: &Arg, value: &str) -> String {
    if arg.is_hide_default_value_set() {
        "(hidden)".into()
    } else {
        value.into()
    }
}

/// Checks one value with the flag's own parser, so that the error can name the place the value came
/// from.
fn check(place: &str, key: &str, arg: &Arg, value: &str) -> Result<(), SettingsError> {
    let alone = Command::new("value").arg(arg.clone().required(false));
    let Err(err) =
        alone.try_get_matches_from(["value".to_owned(), format!("--{}={value}", flag(arg))])
    else {
        return Ok(());
    };
    let reason = match (err.source(), err.get(ContextKind::ValidValue)) {
        (Some(source), _) => source.to_string(),
        (None, Some(ContextValue::Strings(allowed))) => {
            format!("expected one of {}", allowed.join(", "))
        }
        _ => err.kind().to_string(),
    };
    Err(SettingsError::Value {
        place: place.to_owned(),
        key: key.to_owned(),
        value: shown(arg, value),
        reason,
    })
}

#[cfg(feature = "fuzzing")]
pub mod fuzzing;
#[cfg(test)]
mod tests;
