//! What the user typed.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use cv_service::Program;

use crate::archive::{ArchiveArgs, ArchiveCommand};
use crate::config::{Config, Limits, Open, Token};

/// Where the relay's settings come from.
pub const PROGRAM: Program = Program {
    prefix: "CV_RELAY",
    default_file: "/etc/cv-relay/config.toml",
};

/// Relays live annotated video from cv-agent to browsers.
#[derive(Debug, Parser)]
#[command(name = "cv-relay", version, about, max_term_width = 100)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// What to do instead of relaying.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Settings file in TOML; without it /etc/cv-relay/config.toml, if there is one
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Address to listen on; 127.0.0.1 keeps it to this machine
    #[arg(long, default_value = "0.0.0.0")]
    pub host: IpAddr,

    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = cv_protocol::DEFAULT_PORT)]
    pub port: u16,

    /// Folder for users, tokens and agents' keys; by default the service's state folder, otherwise
    /// ~/.local/state/cv-relay, which a relay on loopback or with --open does without
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Let anyone who reaches the port watch and bring cameras, where no token is set
    #[arg(long, num_args = 0..=1, require_equals = true, value_name = "BOOL",
          default_value_t = false, default_missing_value = "true")]
    pub open: bool,

    /// Days that the audit log is kept
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = RangedU64ValueParser::<u64>::new().range(1..=36_500))]
    pub keep_audit_days: u64,

    /// Secret that agents may present instead of being accepted one by one
    #[arg(long, hide_default_value = true, value_parser = token)]
    pub agent_token: Option<Token>,

    /// Secret that viewers may present instead of signing in
    #[arg(long, hide_default_value = true, value_parser = token)]
    pub viewer_token: Option<Token>,

    /// Most agents connected at once
    #[arg(long, value_name = "N", default_value_t = Limits::default().agents, value_parser = count(10_000))]
    pub max_agents: usize,

    /// Most viewers connected at once
    #[arg(long, value_name = "N", default_value_t = Limits::default().viewers, value_parser = count(100_000))]
    pub max_viewers: usize,

    /// Most cameras that one viewer may watch
    #[arg(long, value_name = "N", default_value_t = Limits::default().cameras_per_viewer, value_parser = count(1_000))]
    pub max_cameras_per_viewer: usize,

    /// Threads that serve connections; one is enough for many hundreds of viewers, and cheapest
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count(64))]
    pub threads: usize,

    /// Events and recordings.
    #[command(flatten)]
    pub archive: ArchiveArgs,

    /// How much to log: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: log::LevelFilter,
}

/// What else the program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Manage the people who may sign in
    User {
        /// Where they are kept.
        #[command(flatten)]
        data: DataArgs,
        /// What to do.
        #[command(subcommand)]
        action: UserAction,
    },
    /// Manage the tokens of programs
    Token {
        /// Where they are kept.
        #[command(flatten)]
        data: DataArgs,
        /// What to do.
        #[command(subcommand)]
        action: TokenAction,
    },
    /// Manage the agents that may bring cameras
    Agents {
        /// Where they are kept.
        #[command(flatten)]
        data: DataArgs,
        /// What to do.
        #[command(subcommand)]
        action: AgentsAction,
    },
    /// Events and recordings.
    #[command(flatten)]
    Archive(ArchiveCommand),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// Where users, tokens and keys are kept; a running relay notices changes within a second.
#[derive(Clone, Debug, ClapArgs)]
pub struct DataArgs {
    /// Settings file in TOML; without it /etc/cv-relay/config.toml, if there is one
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// Folder for users, tokens and agents' keys; by default /var/lib/cv-relay if it is there,
    /// otherwise ~/.local/state/cv-relay
    #[arg(long, value_name = "DIR", global = true)]
    pub data_dir: Option<PathBuf>,
}

/// `cv-relay user`.
#[derive(Debug, Subcommand)]
pub enum UserAction {
    /// Add a person, who may watch
    Add {
        /// The name to sign in with
        name: String,
        /// Let the person administer too
        #[arg(long)]
        admin: bool,
        /// A camera that the person may see, instead of all; may be given several times
        #[arg(long, value_name = "NAME", conflicts_with = "admin")]
        camera: Vec<String>,
        /// How the password is given.
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// List the people
    List,
    /// Remove a person and end their sessions
    Remove {
        /// Whom
        name: String,
    },
    /// Set a person's password and end their sessions
    Password {
        /// Whose
        name: String,
        /// How the password is given.
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Change what a person may do and see
    Role {
        /// Whose
        name: String,
        /// What the person may do
        role: RoleName,
        /// A camera that the person may see, instead of all; may be given several times
        #[arg(long, value_name = "NAME")]
        camera: Vec<String>,
    },
}

/// How a password is given: never on the command line, where everyone on the machine can read it.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub struct PasswordArgs {
    /// Read the password from standard input instead of asking for it
    #[arg(long)]
    pub password_stdin: bool,
}

/// What a person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleName {
    /// Watch, and change everything
    Admin,
    /// Watch
    Viewer,
}

/// `cv-relay token`.
#[derive(Debug, Subcommand)]
pub enum TokenAction {
    /// Make a token and print it, once
    Create {
        /// What it is for
        name: String,
        /// What the program may do
        #[arg(long, value_enum, default_value_t = ScopeName::View)]
        scope: ScopeName,
        /// Days after which it expires; by default it does not
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
        days: Option<u16>,
    },
    /// List the tokens
    List,
    /// Revoke a token
    Revoke {
        /// Which
        name: String,
    },
}

/// What a program may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScopeName {
    /// Watch
    View,
    /// Watch, and change everything
    Admin,
}

/// `cv-relay agents`.
#[derive(Debug, Subcommand)]
pub enum AgentsAction {
    /// List the agents that were accepted and those that wait
    List,
    /// Accept an agent that waits, or one that was revoked
    Accept {
        /// The camera's name
        name: String,
        /// The code that the agent shows, if several wait under this name
        #[arg(long)]
        code: Option<String>,
    },
    /// Turn away an agent that waits
    Refuse {
        /// The code that it shows
        code: String,
    },
    /// Take an accepted agent's right away; its name stays its own
    Revoke {
        /// The camera's name
        name: String,
    },
    /// Forget an agent; its name is free again
    Remove {
        /// The camera's name
        name: String,
    },
}

fn count(most: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=most)
}

/// Longest token; Socket.IO carries it in one small packet.
const MAX_TOKEN_BYTES: usize = 256;

fn token(text: &str) -> Result<Token, String> {
    match text.len() {
        1..=MAX_TOKEN_BYTES => Ok(Token::new(text)),
        n => Err(format!("a token has 1 to {MAX_TOKEN_BYTES} bytes, not {n}")),
    }
}

impl From<&Args> for Config {
    fn from(args: &Args) -> Self {
        Self {
            agent_token: args.agent_token,
            viewer_token: args.viewer_token,
            open: match args.host {
                _ if args.open => Open::Everyone,
                host if host.is_loopback() => Open::Loopback,
                _ => Open::Nobody,
            },
            one_camera: false,
            access: None,
            archive: None,
            limits: Limits {
                agents: args.max_agents,
                viewers: args.max_viewers,
                cameras_per_viewer: args.max_cameras_per_viewer,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_its_row_in_the_documentation() {
        let documentation = include_str!("../../docs/config.md");
        let table = PROGRAM.table::<Args>();
        for row in table.lines() {
            assert!(
                documentation.lines().any(|line| line == row),
                "docs/config.md lacks {row}\nThe whole table:\n{table}"
            );
        }
        PROGRAM.command::<Args>().debug_assert();
        let documented = documentation.matches("| `CV_RELAY_").count();
        assert_eq!(
            documented,
            table.lines().count(),
            "rows of settings that are gone"
        );
    }
}
