//! The relay as a daemon: settings, log, signals, readiness.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cv_archive::Archive;
use cv_relay::cli::{Args, Command, PROGRAM};
use cv_relay::hub::Hub;
use cv_relay::{Config, announce_page, app, serve};
use cv_service::{logging, supervisor};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often the status is renewed where no watchdog asks for more.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let args: Args = match PROGRAM.parse_process() {
        Ok(args) => args,
        Err(err) => return err.report(),
    };
    logging::init(args.log_level, &[]);
    let result = match &args.command {
        Some(command) => print(command),
        None => tokio::runtime::Builder::new_multi_thread()
            .worker_threads(args.threads)
            .enable_all()
            .build()
            .context("cannot start threads")
            .and_then(|runtime| runtime.block_on(run(&args))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            log::error!("{err:#}");
            ExitCode::FAILURE
        }
    }
}

fn print(command: &Command) -> anyhow::Result<()> {
    let mut described = PROGRAM.command::<Args>();
    match command {
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut described, "cv-relay", &mut std::io::stdout());
        }
        Command::Archive(command) => command.run()?,
        Command::Man => clap_mangen::Man::new(described).render(&mut std::io::stdout())?,
    }
    Ok(())
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let address = SocketAddr::new(args.host, args.port);
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address} (is another relay running? choose another with --port)")
    })?;
    let address = listener.local_addr()?;
    let mut config = Config::from(args);
    config.archive = open_archive(args)?;
    announce(&config, address);
    let archive = config.archive.clone();
    let relay = app(config);

    let interrupt = signal(SignalKind::interrupt())?;
    let terminate = signal(SignalKind::terminate())?;
    supervisor::ready();
    log::info!("ready");
    let reporting = tokio::spawn(report(relay.hub().clone()));
    let outcome = serve(listener, relay, stop_signal(interrupt, terminate)).await;
    reporting.abort();
    if let Some(archive) = archive {
        archive.close();
    }
    log::info!("stopped");
    outcome.context("serving failed")
}

/// The archive, if there is to be one.
fn open_archive(args: &Args) -> anyhow::Result<Option<Arc<Archive>>> {
    let Some(config) = args.archive.config() else {
        return Ok(None);
    };
    let dir = config.dir.clone();
    let archive = Archive::open(config)?;
    log::info!(
        "events and recordings are kept in {} ({}; {} days, {} bytes of a camera, {} bytes of the disk \
         stay free)",
        dir.display(),
        args.archive.record,
        args.archive.keep_days,
        args.archive.keep_bytes.0,
        args.archive.min_free.0,
    );
    Ok(Some(Arc::new(archive)))
}

/// Completes at the first SIGINT or SIGTERM; the second ends the process at once.
async fn stop_signal(mut interrupt: Signal, mut terminate: Signal) {
    let first = tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    };
    log::info!("{first}: saying goodbye to agents and viewers; once more to stop at once");
    supervisor::stopping();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(130);
    });
}

/// Says which address to open, and who may connect.
fn announce(config: &Config, address: SocketAddr) {
    let port = address.port();
    let reach = match address.ip() {
        ip if ip.is_loopback() => "programs on this machine",
        ip if ip.is_unspecified() => "anyone who reaches this machine",
        _ => "anyone who reaches this address",
    };
    let with = |token: bool| {
        if token {
            "with the token"
        } else {
            "without a token"
        }
    };
    announce_page(address);
    log::info!(
        "port {port} on {}: {reach} may watch {} and may bring cameras {}",
        address.ip(),
        with(config.viewer_token.is_some()),
        with(config.agent_token.is_some()),
    );
}

/// Keeps systemd informed: alive, and what the relay does.
async fn report(hub: Arc<Hub>) {
    let interval = supervisor::watchdog_limit().map_or(STATUS_INTERVAL, |limit| limit / 3);
    let mut tick = tokio::time::interval(interval);
    loop {
        tick.tick().await;
        supervisor::alive();
        supervisor::status(&format!(
            "{} cameras, {} viewers",
            hub.cameras().len(),
            hub.viewers()
        ));
    }
}
