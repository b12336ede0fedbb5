//! The threads of `cv-agent run`, and the order in which they start and stop.
//!
//! ```text
//! thread "capture" --newest--> Slot --> thread "detect"
//!        '--newest--> Feed <--newest------'
//!                      '--> main thread: uplink, signals, one tick a second (tokio)
//! ```
//!
//! The stop runs along the arrows: capture ends and closes the detector's slot, detection ends, the
//! uplink says goodbye. A thread that panics drops the same guard, so it stops the chain instead of
//! leaving it waiting.

mod capture;
mod detect;
mod heartbeat;

pub use detect::load as load_detector;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use cv_service::supervisor;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval_at, sleep_until, timeout};

use crate::cli::TestHook;
use crate::config::{Config, Destination, Rates};
use crate::stats::{Meters, Sampler};
use crate::streamer::Streamer;
use cv_capture::{CaptureError, Opener};
use cv_detect::Detector;
use cv_flow::{Slot, Taken};
use cv_picture::{Frame, Resolution};
use cv_uplink::{Feed, Link, Stop, Uplink};
use heartbeat::Heartbeat;

/// How long the threads may take to end.
const STOP: Duration = Duration::from_secs(5);

/// Time between two measurements.
const TICK: Duration = Duration::from_secs(1);

/// What the threads share.
struct Shared {
    to_detect: Option<Slot<Frame>>,
    feed: Feed,
    link: Link,
    meters: Meters,
    rates: watch::Receiver<Rates>,
    /// Pictures of a source that has only larger ones are scaled down to this.
    max_size: Option<Resolution>,
    /// Nothing is ever put: threads wait here to be woken by its closing.
    stop: Slot<()>,
    capture_beat: Heartbeat,
    detect_beat: Heartbeat,
}

impl Shared {
    fn new(rates: watch::Receiver<Rates>, max_size: Option<Resolution>, detects: bool) -> Self {
        let stream_fps = rates.borrow().stream_fps;
        let detect_beat = Heartbeat::new("detect");
        if !detects {
            detect_beat.end();
        }
        Self {
            to_detect: detects.then(Slot::default),
            feed: Feed::default(),
            link: Link::new(stream_fps),
            meters: Meters::default(),
            rates,
            max_size,
            stop: Slot::default(),
            capture_beat: Heartbeat::new("capture"),
            detect_beat,
        }
    }

    /// Lets go of the frames that wait. They may be buffers of a camera that is gone: as long as one
    /// is held, the kernel keeps its device, and the camera comes back under another name.
    fn withdraw_frames(&self) {
        self.feed.withdraw_frame();
        if let Some(frames) = &self.to_detect {
            frames.take(Duration::ZERO);
        }
    }

    fn stopping(&self) -> bool {
        self.stop.take(Duration::ZERO) == Taken::Closed
    }

    fn rates(&self) -> Rates {
        *self.rates.borrow()
    }
}

/// Stops everything behind a thread when it ends, however it ends.
struct Guard {
    shared: Arc<Shared>,
    /// Dropped with the guard, which tells the main thread.
    _ended: watch::Sender<()>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shared.stop.close();
        if let Some(frames) = &self.shared.to_detect {
            frames.close();
        }
    }
}

/// A thread and the news of its end.
struct Worker<T> {
    name: &'static str,
    handle: JoinHandle<T>,
    ended: watch::Receiver<()>,
}

impl<T: Send + 'static> Worker<T> {
    fn spawn(
        name: &'static str,
        shared: &Arc<Shared>,
        work: impl FnOnce(&Shared) -> T + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (sender, ended) = watch::channel(());
        let guard = Guard {
            shared: shared.clone(),
            _ended: sender,
        };
        let handle = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                let guard = guard;
                work(&guard.shared)
            })
            .with_context(|| format!("cannot start the {name} thread"))?;
        Ok(Self {
            name,
            handle,
            ended,
        })
    }

    /// Waits until the thread has ended.
    async fn ended(&mut self) {
        // Nothing is ever sent: the only news is that the sender is gone.
        let _ = self.ended.changed().await;
    }

    /// The thread's result; an error if it panicked or does not end.
    async fn join(mut self) -> anyhow::Result<T> {
        if timeout(STOP, self.ended()).await.is_err() {
            bail!("the {} thread does not end", self.name);
        }
        match self.handle.join() {
            Ok(result) => Ok(result),
            Err(_) => bail!("the {} thread panicked", self.name),
        }
    }
}

/// What the signal handler asks for a reload: the settings as they are now.
pub type Reload = Box<dyn Fn() -> Result<Config, String>>;

/// Captures, detects and streams until a signal, the end of `run_time` or a fault that only other
/// settings can help.
///
/// # Errors
///
/// [`CaptureError`] for a source that can never work; otherwise which thread died.
pub fn run(config: Config, detector: Option<Detector>, reload: Reload) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Name lookups and re-encoding, one at a time.
        .max_blocking_threads(2)
        .build()
        .context("cannot start the network runtime")?;
    let result = runtime.block_on(serve(config, detector, reload));
    // A name lookup that hangs must not hold up the end.
    runtime.shutdown_background();
    result
}

async fn serve(config: Config, detector: Option<Detector>, reload: Reload) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("cannot handle signals")?;
    let (rates_sender, rates) = watch::channel(config.rates);
    let shared = Arc::new(Shared::new(rates, config.max_size, detector.is_some()));

    // Before anything else runs: a port that is taken ends the agent at once.
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
                let uplink = Uplink {
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
            () = &mut uplink => bail!("the uplink has ended by itself"),
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
                            log::info!("Settings read again: {}", config.rates);
                            rates_sender.send_replace(config.rates);
                            shared.link.set_stream_fps(config.rates.stream_fps);
                            detector_sender.send_if_modified(|settings| {
                                let new = config.detector.unwrap_or_default();
                                let changed = *settings != new;
                                *settings = new;
                                changed
                            });
                        }
                        Err(err) => log::error!("Settings stay as they are: {err}"),
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
        // The uplink may have no address yet: an error only says that it has ended.
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

/// Pictures a second over the whole run, for each thing that is done with them.
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

/// Exit status after a second signal: what shells show for SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end.into()).await,
        None => std::future::pending().await,
    }
}

/// The signals that a service gets.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }

    /// Waits for a signal to stop; a reload is too late by now.
    async fn stop(&mut self) {
        while self.next().await != Asked::Stop {}
    }
}

/// What a signal asks for.
#[derive(PartialEq, Eq)]
enum Asked {
    Stop,
    Reload,
}

/// What happens once a second: stats to the relay, status and signs of life to systemd.
struct Monitor<'a> {
    shared: &'a Shared,
    sampler: Sampler,
    camera: &'a str,
    destination: String,
    ready: bool,
    silence_limit: Option<Duration>,
    stuck: Option<&'static str>,
    ticks: u64,
}

impl<'a> Monitor<'a> {
    fn new(config: &'a Config, shared: &'a Shared) -> Self {
        Self {
            shared,
            sampler: Sampler::new(),
            camera: &config.auth.camera,
            destination: config.destination.to_string(),
            ready: false,
            silence_limit: supervisor::watchdog_limit(),
            stuck: None,
            ticks: 0,
        }
    }

    fn tick(&mut self) {
        let shared = self.shared;
        let link = shared.link.status();
        let mut stats = self.sampler.sample(
            &shared.meters,
            shared.link.frames_sent(),
            shared
                .feed
                .dropped()
                .into_iter()
                .map(|(reason, count)| (reason.key(), count)),
        );
        stats.reduced_to = link.reduced_to.clone();
        stats.clock_offset_us = link.clock_offset_us;
        stats.round_trip_ms = link.round_trip.map(|rtt| rtt.as_secs_f32() * 1000.0);

        let camera = shared.meters.camera();
        let source = match &camera.fault {
            Some((reason, _)) => format!("no camera: {reason}"),
            None => format!("{:.1} fps from {}", stats.capture_fps, camera.description),
        };
        let relay = match &link.failure {
            Some(reason) => format!("no relay at {}: {reason}", self.destination),
            None => format!("{:.1} fps to {}", stats.stream_fps, self.destination),
        };
        let detection = match shared.to_detect {
            Some(_) => match shared.meters.search_fault() {
                Some(fault) => format!("frames cannot be searched: {fault}"),
                None => format!("{:.1} searched per second", stats.detect_fps),
            },
            None => "no detection".into(),
        };
        supervisor::status(&format!("{}: {source}; {relay}; {detection}", self.camera));
        let seconds = self.ticks;
        self.ticks += 1;
        // Once a minute for the journal, otherwise for those who look closely.
        let level = if seconds % 60 == 59 {
            log::Level::Info
        } else {
            log::Level::Debug
        };
        log::log!(
            level,
            fps = stats.capture_fps,
            stream_fps = stats.stream_fps,
            detect_fps = stats.detect_fps,
            seq = shared.meters.captured.load(Ordering::Relaxed);
            "{source}; {relay}; {detection}"
        );

        let camera_known = stats.capture_fps > 0.0 || camera.fault.is_some();
        let link_known = link.connected || link.failure.is_some();
        if !self.ready && camera_known && link_known {
            self.ready = true;
            supervisor::ready();
        }
        self.watch();
        shared.feed.put_stats(stats);
    }

    /// Tells systemd that we live, or which thread does not.
    fn watch(&mut self) {
        let Some(limit) = self.silence_limit else {
            return;
        };
        let silent = [&self.shared.capture_beat, &self.shared.detect_beat]
            .into_iter()
            .find(|heart| heart.silence() > limit);
        match silent {
            None => supervisor::alive(),
            Some(heart) => {
                if self.stuck.is_none() {
                    log::error!(
                        "The {} thread has made no progress for {:.0} s: asking for a restart",
                        heart.name(),
                        heart.silence().as_secs_f32()
                    );
                }
                self.stuck = Some(heart.name());
                supervisor::stuck();
            }
        }
    }
}

/// What a test hook does to a thread.
fn hang(thread: &str) -> ! {
    log::error!("Test hook: the {thread} thread hangs from now on");
    loop {
        std::thread::park();
    }
}
