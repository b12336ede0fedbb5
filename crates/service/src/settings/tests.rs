use super::*;
use std::io::Write as _;

const PROGRAM: Program = Program {
    prefix: "CV_TEST",
    default_file: "/nonexistent/config.toml",
};

#[derive(Debug, Parser)]
#[command(name = "test", args_conflicts_with_subcommands = true)]
struct Args {
    #[command(flatten)]
    run: Run,
    #[command(subcommand)]
    command: Option<Sub>,
}

#[derive(Debug, clap::Args)]
struct Run {
    /// Settings file
    #[arg(long)]
    config: Option<PathBuf>,
    /// Port
    #[arg(long, default_value_t = 5001)]
    port: u16,
    /// Secret
    #[arg(long, hide_default_value = true, value_parser = crate::value::text(3..=8))]
    token: Option<String>,
    /// Source
    #[arg(long, visible_alias = "camera", default_value = "0")]
    source: String,
    /// Burn in
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false)]
    burn_in: bool,
    /// Control
    #[arg(long, value_delimiter = ',')]
    control: Vec<String>,
    /// Log
    #[arg(long, value_parser = ["info", "debug"], default_value = "info")]
    log: String,
}

#[derive(Debug, clap::Subcommand)]
enum Sub {
    Listen {
        #[arg(long, default_value_t = 1)]
        port: u16,
        #[arg(long)]
        json: bool,
    },
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn parse(args: &[&str], env: &[(&str, &str)], toml: &str) -> Result<Args, SettingsError> {
    let file = file(toml);
    let config = file.path().to_str().unwrap();
    let env: Vec<(&str, &str)> = [("CV_TEST_CONFIG", config), ("HOME", "/")]
        .into_iter()
        .chain(env.iter().copied())
        .collect();
    PROGRAM.parse(
        ["test"].iter().chain(args).map(OsString::from),
        env.into_iter().map(|(k, v)| (k.into(), v.into())),
    )
}

fn message(args: &[&str], env: &[(&str, &str)], toml: &str) -> String {
    parse(args, env, toml).unwrap_err().to_string()
}

#[test]
fn flags_override_environment_then_file_then_default() {
    let port = |args: &[&str], env: &[(&str, &str)], toml| parse(args, env, toml).unwrap().run.port;
    let env = [("CV_TEST_PORT", "2")];
    assert_eq!(port(&["--port", "1"], &env, "port = 3"), 1);
    assert_eq!(port(&[], &env, "port = 3"), 2);
    assert_eq!(port(&[], &[], "port = 3"), 3);
    assert_eq!(port(&[], &[], ""), 5001);
}

#[test]
fn switches_and_lists_come_from_every_layer() {
    let args = parse(&[], &[], "burn-in = true\ncontrol = [\"a=1\", \"b=2\"]").unwrap();
    assert!(args.run.burn_in);
    assert_eq!(args.run.control, ["a=1", "b=2"]);
    let args = parse(&["--burn-in=false"], &[], "burn-in = true").unwrap();
    assert!(!args.run.burn_in);
    assert!(parse(&["--burn-in"], &[], "").unwrap().run.burn_in);
    let args = parse(&[], &[("CV_TEST_BURN_IN", "true")], "").unwrap();
    assert!(args.run.burn_in);
    let args = parse(&[], &[("CV_TEST_CONTROL", "a=1,b=2")], "").unwrap();
    assert_eq!(args.run.control, ["a=1", "b=2"]);
}

#[test]
fn subcommands_take_the_settings_they_share_with_the_program() {
    let args = parse(&["listen"], &[], "port = 3\ntoken = \"abc\"").unwrap();
    let Some(Sub::Listen { port, json }) = args.command else {
        panic!("{args:?}");
    };
    assert_eq!((port, json), (3, false));
}

#[test]
fn an_alias_is_the_same_setting() {
    assert_eq!(parse(&[], &[], "camera = 2").unwrap().run.source, "2");
    assert_eq!(
        parse(
            &["--source", "test"],
            &[("CV_TEST_CAMERA", "1")],
            "camera = 2"
        )
        .unwrap()
        .run
        .source,
        "test"
    );
    assert!(message(&[], &[], "camera = 2\nsource = 1").contains("under another name"));
}

#[test]
fn errors_name_the_place_the_key_the_value_and_what_is_allowed() {
    let text = message(&[], &[], "port = 70000");
    for part in ["/", "port", "70000", "65535"] {
        assert!(text.contains(part), "{text}");
    }
    let text = message(&[], &[("CV_TEST_LOG", "loud")], "");
    for part in ["environment", "CV_TEST_LOG", "loud", "info, debug"] {
        assert!(text.contains(part), "{text}");
    }
    let text = message(&[], &[], "prot = 1");
    assert!(
        text.contains("\"prot\"") && text.contains("port, "),
        "{text}"
    );
    let text = message(&[], &[("CV_TEST_PROT", "1")], "");
    assert!(
        text.contains("CV_TEST_PROT") && text.contains("CV_TEST_PORT"),
        "{text}"
    );
    let text = message(&[], &[], "port = [1]");
    assert!(text.contains("expected one value"), "{text}");
    let text = message(&[], &[], "\nport = \n");
    assert!(text.contains("line 2"), "{text}");
    assert!(message(&["--prot", "1"], &[], "").contains("--prot"));
}

#[test]
fn a_secret_appears_in_no_message_and_no_help() {
    let text = message(&[], &[], "token = \"x\"");
    assert!(
        text.contains("token") && text.contains("(hidden)"),
        "{text}"
    );
    let text = message(&[], &[], "token = \"hunter2\" oops");
    assert!(!text.contains("hunter2"), "{text}");
    let text = message(&["--help"], &[], "token = \"hunter2\"");
    assert!(
        text.contains("CV_TEST_TOKEN") && !text.contains("hunter2"),
        "{text}"
    );
}

#[test]
fn the_table_has_a_row_for_each_setting() {
    let table = PROGRAM.table::<Args>();
    for row in [
        "| `--port` | `CV_TEST_PORT` | `5001` | Port |",
        "| `--source`, `--camera` | `CV_TEST_SOURCE` | `0` | Source |",
        "| `--burn-in` | `CV_TEST_BURN_IN` | `false` | Burn in |",
        "| `--log` | `CV_TEST_LOG` | `info` | Log: `info`, `debug` |",
    ] {
        assert!(table.lines().any(|line| line == row), "{table}");
    }
}

#[test]
fn a_named_file_must_exist() {
    let text = message(&["--config", "/nonexistent/named.toml"], &[], "");
    assert!(text.contains("/nonexistent/named.toml"), "{text}");
    assert!(message(&["--config=/nonexistent/n.toml"], &[], "").contains("/n.toml"));
}
