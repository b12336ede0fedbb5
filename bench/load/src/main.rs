//! Load generator: many viewers of a relay, and a publisher, measuring rates, delays and the server's cost.
//!
//! ```text
//! load view --url http://127.0.0.1:5001 --publish-fps 30 --viewers 100 --pid PID     publishes and watches
//! load view --url http://127.0.0.1:5001 --camera front --every 1                     only watches
//! load bare --port 6000 --viewers 100                                                the floor: a bare write loop
//! ```
//!
//! It speaks to our relay (`--wire relay`: windows and acknowledgements), to any Socket.IO relay that passes
//! `frame` on without flow control (`plain`), to the tutorial's server (`tutorial`: base64 and text), and to
//! the bare loop (`bare`). The result is one JSON object; `--every` adds one a period before it.

mod args;
mod bare;
mod publisher;
mod report;
mod viewer;
mod wire;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use args::{ViewArgs, Wire};

#[derive(Parser)]
#[command(about = "Load generator and floor for relays")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Publishes and watches cameras, and prints the measurements.
    View(Box<ViewArgs>),
    /// Serves ready-made WebSocket frames and does nothing else: the lower bound with which relays
    /// are compared.
    Bare(bare::BareArgs),
}

fn main() -> ExitCode {
    let run = || -> Result<()> {
        match Cli::parse().command {
            Command::View(args) => tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?
                .block_on(view(*args)),
            Command::Bare(args) => bare::serve(&args),
        }
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn view(args: ViewArgs) -> Result<()> {
    let (samples, received) = tokio::sync::mpsc::unbounded_channel();
    let before = args.pid.map(report::Usage::of).transpose()?;
    let mut tasks = tokio::task::JoinSet::new();
    for viewer in 0..args.viewers {
        // The viewers connect one after the other, because the listen backlog is not part of the
        // measurement.
        let connected = viewer::connect(&args)
            .await
            .with_context(|| format!("viewer {viewer} cannot connect"))?;
        tasks.spawn(viewer::run(
            connected,
            viewer,
            args.clone(),
            samples.clone(),
        ));
    }
    let published = report::Published::default();
    if args.publish_fps.is_some() && args.wire != Wire::Bare {
        for camera in &args.cameras {
            let publisher = publisher::connect(&args, camera).await?;
            tasks.spawn(publisher.run(args.clone(), published.clone()));
        }
    }
    drop(samples);
    let collect = report::collect(&args, received, before, &published);
    tokio::select! {
        report = collect => {
            println!("{}", report?);
            Ok(())
        }
        Some(ended) = tasks.join_next() => match ended.context("a task panicked")? {
            Err(error) => Err(error),
            Ok(()) => anyhow::bail!("a connection was closed by the server"),
        },
    }
}
