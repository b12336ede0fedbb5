//! Work that happens once a second: measurements to the relay, status and signs of life to systemd.

use std::sync::atomic::Ordering;
use std::time::Duration;

use cv_service::supervisor;

use super::shared::Shared;
use crate::config::Config;
use crate::stats::Sampler;

/// Sends the measurements to the relay, and status and signs of life to systemd, once a second.
pub struct Monitor<'a> {
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
    pub fn new(config: &'a Config, shared: &'a Shared) -> Self {
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

    pub fn tick(&mut self) {
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
                None if stats.unchanged_fps > 0.0 => format!(
                    "{:.1} of {:.1} searched per second, the rest unchanged",
                    stats.detect_fps,
                    stats.detect_fps + stats.unchanged_fps
                ),
                None => format!("{:.1} searched per second", stats.detect_fps),
            },
            None => "no detection".into(),
        };
        supervisor::status(&format!("{}: {source}; {relay}; {detection}", self.camera));
        let seconds = self.ticks;
        self.ticks += 1;
        // The rates appear once a minute in the journal, and once a second at debug level.
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

    /// Tells systemd that the agent is alive, or asks it for a restart because a thread hangs.
    pub fn watch(&mut self) {
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
                        "The {} thread has made no progress for {:.0} s: asking systemd for a restart",
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
