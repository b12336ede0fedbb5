//! What the user typed.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Parser, Subcommand};
use cv_service::Program;

use crate::archive::{ArchiveArgs, ArchiveCommand};
use crate::config::{Config, Limits, Token};

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

    /// Secret that agents must present; without it any agent may connect
    #[arg(long, hide_default_value = true, value_parser = token)]
    pub agent_token: Option<Token>,

    /// Secret that viewers must present; without it anyone who reaches the port may watch
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

/// What packages are made with.
#[derive(Debug, Subcommand)]
pub enum Command {
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
            agent_token: args.agent_token.clone(),
            viewer_token: args.viewer_token.clone(),
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
        let documented = documentation.matches("| `CV_RELAY_").count();
        assert_eq!(
            documented,
            table.lines().count(),
            "rows of settings that are gone"
        );
    }
}
