//! The relay as a daemon: settings, log, signals, readiness.
#![forbid(unsafe_code)]

mod commands;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cv_access::{Access, AccessError};
use cv_archive::Archive;
use cv_relay::cli::{Args, PROGRAM};
use cv_relay::hub::Hub;
use cv_relay::{Config, Open, announce_doors, announce_page, app, serve};
use cv_service::{SettingsError, logging, supervisor};
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
        Some(command) => commands::run(command),
        None => match config(&args) {
            Ok(config) => start(&args, config),
            Err(Unusable::Settings(err)) => return err.report(),
            Err(Unusable::Data(err)) => Err(err.into()),
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            log::error!("{err:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: &Args, config: Config) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(args.threads)
        .enable_all()
        .build()
        .context("cannot start threads")?
        .block_on(run(args, config))
}

/// Why the relay cannot start.
enum Unusable {
    /// The settings leave nobody who could use it.
    Settings(SettingsError),
    /// The folder of users and keys cannot be used now.
    Data(AccessError),
}

/// The settings, with users and keys where there can be any.
fn config(args: &Args) -> Result<Config, Unusable> {
    let mut config = Config::from(args);
    let is_closed = config.open == Open::Nobody;
    let chosen = args.data_dir.clone().or_else(cv_service::service_state_dir);
    let Some(folder) = chosen
        .clone()
        .or_else(|| cv_service::state_dir("cv-relay").filter(|_| is_closed))
    else {
        if is_closed && config.viewer_token.is_none() && config.agent_token.is_none() {
            return Err(Unusable::Settings(SettingsError::Unusable(
                "nobody could use this relay: give a folder for users and keys (--data-dir), tokens \
                 (--viewer-token, --agent-token), or let everyone in (--open)"
                    .into(),
            )));
        }
        return Ok(config);
    };
    let keep = Duration::from_secs(args.keep_audit_days * 24 * 3600);
    match Access::open(&folder, keep) {
        Ok(access) => config.access = Some(access),
        Err(err) if chosen.is_none() && config.viewer_token.is_some() => {
            log::warn!("there can be no users: {err}");
        }
        Err(err) => return Err(Unusable::Data(err)),
    }
    if config.access.is_some() {
        log::info!("users and keys are kept in {}", folder.display());
    }
    Ok(config)
}

async fn run(args: &Args, config: Config) -> anyhow::Result<()> {
    let address = SocketAddr::new(args.host, args.port);
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address} (is another relay running? choose another with --port)")
    })?;
    let address = listener.local_addr()?;
    let mut config = config;
    config.archive = open_archive(args)?;
    let archive = config.archive.clone();
    let relay = app(config);
    announce_page(address);
    announce_doors(relay.doors(), address);

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
