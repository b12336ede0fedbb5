//! Counters of the whole relay and of each camera, and their Prometheus text.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The sum so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the latency histograms' buckets, in milliseconds.
const BUCKETS_MS: [u64; 12] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

/// Distribution of a duration.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BUCKETS_MS.len()],
    count: Counter,
    sum_us: Counter,
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let index = BUCKETS_MS.partition_point(|bound| bound * 1000 < us);
        if let Some(bucket) = self.buckets.get(index) {
            bucket.add(1);
        }
        self.count.add(1);
        self.sum_us.add(us);
    }

    fn write(&self, out: &mut String, name: &str, camera: &str) {
        let mut below = 0;
        for (bound, bucket) in BUCKETS_MS.iter().zip(&self.buckets) {
            below += bucket.get();
            let seconds = Duration::from_millis(*bound).as_secs_f64();
            line(
                out,
                format_args!("{name}_bucket{{camera=\"{camera}\",le=\"{seconds}\"}} {below}"),
            );
        }
        let count = self.count.get();
        line(
            out,
            format_args!("{name}_bucket{{camera=\"{camera}\",le=\"+Inf\"}} {count}"),
        );
        let sum = Duration::from_micros(self.sum_us.get()).as_secs_f64();
        line(out, format_args!("{name}_sum{{camera=\"{camera}\"}} {sum}"));
        line(
            out,
            format_args!("{name}_count{{camera=\"{camera}\"}} {count}"),
        );
    }
}

/// What is counted for one camera.
#[derive(Debug, Default)]
pub struct CameraMetrics {
    /// Frames taken from the agent.
    pub frames_in: Counter,
    /// Bytes of those frames' pictures.
    pub bytes_in: Counter,
    /// Frames handed to viewers of any kind.
    pub frames_out: Counter,
    /// Bytes of those frames' pictures.
    pub bytes_out: Counter,
    /// Detections taken from the agent.
    pub detections_in: Counter,
    /// Frames from the agent that were older than the last.
    pub dropped_out_of_order: Counter,
    /// Frames from the agent that are not a JPEG.
    pub dropped_not_jpeg: Counter,
    /// Frames that the agent gave up on the way.
    pub dropped_cut: Counter,
    /// Frames that waited while the agent, its link or the relay stood still.
    pub dropped_left_over: Counter,
    /// Frames that a viewer did not get because its window was full.
    pub dropped_viewer_busy: Counter,
    /// Frames that a viewer did not get because it asked for fewer.
    pub dropped_rate_limit: Counter,
    /// In the agent, from capture to its socket.
    pub capture_to_sent: Histogram,
    /// From the agent's socket to the relay, where the agent's clock is known.
    pub sent_to_relay: Histogram,
    /// From capture to the relay, where the agent's clock is known.
    pub capture_to_relay: Histogram,
    /// From the relay's socket to the viewer's `shown`, there and back.
    pub relay_to_shown: Histogram,
}

/// What is counted for the relay as a whole.
#[derive(Debug, Default)]
pub struct RelayMetrics {
    /// Peers that were refused or disconnected because they broke a rule.
    pub refused: Counter,
    /// Viewers dropped because nothing was acknowledged.
    pub stalled: Counter,
    /// Viewers that have ever connected.
    pub viewers_total: Counter,
    /// Agents that have ever connected.
    pub agents_total: Counter,
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a `String` does not fail.
    let _ = out.write_fmt(text);
    out.push('\n');
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    line(
        out,
        format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"),
    );
}

/// Prometheus text for a label's value.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// A camera as the metrics see it.
pub struct CameraSample<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether its agent is connected and captures.
    pub live: bool,
    /// How many watch it.
    pub viewers: u32,
    /// Its counters.
    pub metrics: &'a CameraMetrics,
}

/// All metrics as Prometheus text (exposition format 0.0.4).
#[must_use]
pub fn render(
    relay: &RelayMetrics,
    viewers: usize,
    agents: usize,
    cameras: &[CameraSample<'_>],
) -> String {
    let mut out = String::with_capacity(2048 + 4096 * cameras.len());
    let single: [(&str, &str, &str, u64); 6] = [
        (
            "cv_relay_viewers",
            "gauge",
            "Viewers connected.",
            viewers as u64,
        ),
        (
            "cv_relay_agents",
            "gauge",
            "Agents connected.",
            agents as u64,
        ),
        (
            "cv_relay_viewers_total",
            "counter",
            "Viewers that have connected.",
            relay.viewers_total.get(),
        ),
        (
            "cv_relay_agents_total",
            "counter",
            "Agents that have connected.",
            relay.agents_total.get(),
        ),
        (
            "cv_relay_refused_total",
            "counter",
            "Peers refused because they broke a rule.",
            relay.refused.get(),
        ),
        (
            "cv_relay_stalled_total",
            "counter",
            "Viewers dropped because nothing was acknowledged.",
            relay.stalled.get(),
        ),
    ];
    for (name, kind, help, value) in single {
        head(&mut out, name, kind, help);
        line(&mut out, format_args!("{name} {value}"));
    }

    type Read = fn(&CameraSample<'_>) -> u64;
    let per_camera: [(&str, &str, &str, Read); 7] = [
        (
            "cv_relay_camera_live",
            "gauge",
            "1 while the camera delivers.",
            |c| u64::from(c.live),
        ),
        (
            "cv_relay_camera_viewers",
            "gauge",
            "Viewers that watch the camera.",
            |c| u64::from(c.viewers),
        ),
        (
            "cv_relay_frames_in_total",
            "counter",
            "Frames taken from the agent.",
            |c| c.metrics.frames_in.get(),
        ),
        (
            "cv_relay_bytes_in_total",
            "counter",
            "Bytes of pictures taken from the agent.",
            |c| c.metrics.bytes_in.get(),
        ),
        (
            "cv_relay_frames_out_total",
            "counter",
            "Frames handed to viewers.",
            |c| c.metrics.frames_out.get(),
        ),
        (
            "cv_relay_bytes_out_total",
            "counter",
            "Bytes of pictures handed to viewers.",
            |c| c.metrics.bytes_out.get(),
        ),
        (
            "cv_relay_detections_in_total",
            "counter",
            "Detections taken from the agent.",
            |c| c.metrics.detections_in.get(),
        ),
    ];
    for (name, kind, help, read) in per_camera {
        head(&mut out, name, kind, help);
        for camera in cameras {
            line(
                &mut out,
                format_args!(
                    "{name}{{camera=\"{}\"}} {}",
                    escaped(camera.name),
                    read(camera)
                ),
            );
        }
    }

    let name = "cv_relay_frames_dropped_total";
    head(
        &mut out,
        name,
        "counter",
        "Frames not passed on, by reason.",
    );
    for camera in cameras {
        for (reason, counter) in [
            ("out_of_order", &camera.metrics.dropped_out_of_order),
            ("not_jpeg", &camera.metrics.dropped_not_jpeg),
            ("cut", &camera.metrics.dropped_cut),
            ("left_over", &camera.metrics.dropped_left_over),
            ("viewer_busy", &camera.metrics.dropped_viewer_busy),
            ("rate_limit", &camera.metrics.dropped_rate_limit),
        ] {
            line(
                &mut out,
                format_args!(
                    "{name}{{camera=\"{}\",reason=\"{reason}\"}} {}",
                    escaped(camera.name),
                    counter.get()
                ),
            );
        }
    }

    type Pick = fn(&CameraMetrics) -> &Histogram;
    let histograms: [(&str, &str, Pick); 4] = [
        (
            "cv_relay_capture_to_sent_seconds",
            "In the agent, from capture to its socket.",
            |m| &m.capture_to_sent,
        ),
        (
            "cv_relay_sent_to_relay_seconds",
            "From the agent's socket to the relay, clocks reconciled.",
            |m| &m.sent_to_relay,
        ),
        (
            "cv_relay_capture_to_relay_seconds",
            "From capture to the relay, clocks reconciled.",
            |m| &m.capture_to_relay,
        ),
        (
            "cv_relay_relay_to_shown_seconds",
            "From the relay to the viewer's acknowledgement, there and back.",
            |m| &m.relay_to_shown,
        ),
    ];
    for (name, help, pick) in histograms {
        head(&mut out, name, "histogram", help);
        for camera in cameras {
            pick(camera.metrics).write(&mut out, name, &escaped(camera.name));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_are_cumulative_and_in_seconds() {
        let metrics = CameraMetrics::default();
        for ms in [1, 3, 3, 9000] {
            metrics.relay_to_shown.observe(Duration::from_millis(ms));
        }
        let text = render(
            &RelayMetrics::default(),
            1,
            1,
            &[CameraSample {
                name: "a\"b",
                live: true,
                viewers: 1,
                metrics: &metrics,
            }],
        );
        let name = "cv_relay_relay_to_shown_seconds";
        for expected in [
            format!("{name}_bucket{{camera=\"a\\\"b\",le=\"0.001\"}} 1\n"),
            format!("{name}_bucket{{camera=\"a\\\"b\",le=\"0.005\"}} 3\n"),
            format!("{name}_bucket{{camera=\"a\\\"b\",le=\"5\"}} 3\n"),
            format!("{name}_bucket{{camera=\"a\\\"b\",le=\"+Inf\"}} 4\n"),
            format!("{name}_sum{{camera=\"a\\\"b\"}} 9.007\n"),
        ] {
            assert!(text.contains(&expected), "{expected} is not in\n{text}");
        }
    }
}
