//! The threads of `cv-agent run`, and the order in which they start and stop.
//!
//! ```text
//! thread "capture" --newest--> Slot --> thread "detect"
//!        '--newest--> Feed <--newest------'
//!                      '--> main thread: uplink, signals, one tick a second (tokio)
//! ```
//!
//! The stop follows the arrows: the capture thread ends and closes the detector's slot, the detection
//! thread ends, and the uplink closes its connection. A thread that panics drops the same guard as one
//! that ends, so the threads behind it stop instead of waiting for ever.

mod capture;
mod detect;
mod heartbeat;
mod monitor;
mod shared;
mod signals;
mod worker;

pub use detect::load as load_detector;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use cv_capture::{CaptureError, Opener};
use cv_detect::Detector;
use cv_service::supervisor;
use cv_uplink::{KeyFile, Stop, Uplink};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval_at, sleep_until};

use crate::config::{Config, Destination};
use crate::streamer::Streamer;
use monitor::Monitor;
use shared::Shared;
use signals::{Asked, Signals};
use worker::Worker;

/// Time between two measurements.
const TICK: Duration = Duration::from_secs(1);

/// Reads the current settings from the command line, the environment and the settings file, for a
/// reload.
pub type Reload = Box<dyn Fn() -> Result<Config, String>>;

/// Captures, detects and streams until a signal, until the end of `run_time`, or until a fault that
/// only other settings can fix.
///
/// # Errors
///
/// Returns a [`CaptureError`] for a source that can never work; otherwise an error that names the
/// thread that failed.
pub fn run(config: Config, detector: Option<Detector>, reload: Reload) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // One thread for blocking work: name lookups and re-encoding, one at a time.
        .max_blocking_threads(2)
        .build()
        .context("cannot start the network runtime")?;
    let result = runtime.block_on(serve(config, detector, reload));
    // A name lookup that hangs must not delay the end of the process.
    runtime.shutdown_background();
    result
}

async fn serve(config: Config, detector: Option<Detector>, reload: Reload) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("cannot handle signals")?;
    let (rates_sender, rates) = watch::channel(config.rates);
    let shared = Arc::new(Shared::new(rates, config.max_size, detector.is_some()));

    // The streamer opens its port before anything else runs, so that a port in use ends the agent
    // at once.
    let streamer = match &config.destination {
        Destination::Streamer(streamer) => {
            Some(Streamer::open(streamer, &config.auth.camera).await?)
        }
        Destination::Server { .. } => None,
    };

    let start = Instant::now();
    let hook = config.test_hook;
    let mut opener = Opener::new(config.source.clone(), config.wanted.clone());
    if let Some(folder) = cv_service::service_state_dir() {
        opener = opener.remembering(folder.join("cameras.json"));
    }
    let mut capture = Worker::spawn("capture", &shared, move |shared| {
        let result = capture::run(opener, shared, hook);
        shared.capture_beat.end();
        result
    })?;
    let (detector_sender, detector_settings) =
        watch::channel(config.detector.clone().unwrap_or_default());
    let detect = detector
        .map(|detector| {
            Worker::spawn("detect", &shared, move |shared| {
                if let Some(frames) = &shared.to_detect {
                    detect::run(detector, detector_settings, frames, shared, hook);
                }
                shared.detect_beat.end();
            })
        })
        .transpose()?;

    let (stop_uplink, stop) = watch::channel(false);
    let (feed, link) = (&shared.feed, &shared.link);
    let uplink = async {
        match (&config.destination, streamer) {
            (_, Some(streamer)) => streamer.run(feed, link, Stop::new(stop)).await,
            (Destination::Server { wire, endpoint }, None) => {
                let keys =
                    KeyFile::open(config.state_dir.as_deref(), endpoint, &config.auth.camera);
                let uplink = Uplink {
                    keys: &keys,
                    wire: *wire,
                    endpoint,
                    auth: &config.auth,
                    feed,
                    link,
                };
                uplink.run(Stop::new(stop)).await;
            }
            (Destination::Streamer(_), None) => {}
        }
    };
    tokio::pin!(uplink);

    let mut tick = interval_at((start + TICK).into(), TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut monitor = Monitor::new(&config, &shared);
    let end = config.run_time.map(|run_time| start + run_time);
    loop {
        tokio::select! {
            () = &mut uplink => bail!("the uplink ended unexpectedly"),
            () = capture.ended() => break,
            () = until(end) => break,
            _ = tick.tick() => monitor.tick(),
            asked = signals.next() => match asked {
                Asked::Stop => {
                    log::info!("Stopping");
                    break;
                }
                Asked::Reload => {
                    supervisor::reloading();
                    match reload() {
                        Ok(config) => {
                            log::info!("Settings reloaded: {}", config.rates);
                            rates_sender.send_replace(config.rates);
                            shared.link.set_stream_fps(config.rates.stream_fps);
                            detector_sender.send_if_modified(|settings| {
                                let new = config.detector.unwrap_or_default();
                                let changed = *settings != new;
                                *settings = new;
                                changed
                            });
                        }
                        Err(err) => log::error!("Cannot reload the settings: {err}; keeping the previous ones"),
                    }
                    supervisor::ready();
                }
            }
        }
    }

    supervisor::stopping();
    let elapsed = start.elapsed();
    shared.stop.close();
    let end = async {
        let captured: Result<(), CaptureError> = capture.join().await?;
        if let Some(detect) = detect {
            detect.join().await?;
        }
        Ok::<_, anyhow::Error>(captured?)
    };
    let goodbye = async {
        let ended = end.await;
        // The uplink may still be looking up its address; the error only says that the main task
        // has ended.
        let _ = stop_uplink.send(true);
        ended
    };
    let result = tokio::select! {
        (result, ()) = async { tokio::join!(goodbye, &mut uplink) } => result,
        () = signals.stop() => std::process::exit(EXIT_INTERRUPTED),
    };
    result?;
    log::info!("elapsed time: {:.2} s", elapsed.as_secs_f64());
    log::info!("approx. FPS: {}", average_rates(&shared, elapsed));
    Ok(())
}

/// Describes the average frame rates of the whole run: captured, searched and sent.
fn average_rates(shared: &Shared, elapsed: Duration) -> String {
    let rate = |count: u64| count as f64 / elapsed.as_secs_f64();
    let captured = rate(shared.meters.captured.load(Ordering::Relaxed));
    let searched = rate(shared.meters.detected.load(Ordering::Relaxed));
    let sent = rate(shared.link.frames_sent());
    match shared.to_detect {
        Some(_) => format!("{captured:.2} captured, {searched:.2} searched, {sent:.2} sent"),
        None => format!("{captured:.2} captured, {sent:.2} sent"),
    }
}

/// Exit status after a second signal: the one that shells report for SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end.into()).await,
        None => std::future::pending().await,
    }
}
