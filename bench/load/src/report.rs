//! Collects the measurements and prints them as JSON.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use crate::args::{ViewArgs, seconds};
use crate::viewer::Sample;

/// Time to wait for the first frame; after that the measurement starts without one.
const FIRST_FRAME: Duration = Duration::from_secs(20);

/// Processor time and memory of a process.
#[derive(Clone, Copy)]
pub struct Usage {
    cpu: Duration,
    resident_bytes: u64,
}

impl Usage {
    /// Reads the values of the process `pid` from /proc.
    pub fn of(pid: u32) -> Result<Self> {
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
        };
        // The kernel counts these in nanoseconds, unlike the hundredths of a second of
        // /proc/PID/stat. Threads that have ended are missing, but the measured servers keep their
        // threads.
        let mut cpu = Duration::ZERO;
        for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            let path = thread?.path().join("schedstat");
            let Ok(stat) = std::fs::read_to_string(path) else {
                continue;
            };
            let on_cpu = stat
                .split_whitespace()
                .next()
                .and_then(|ns| ns.parse().ok());
            cpu += Duration::from_nanos(on_cpu.context("unexpected schedstat")?);
        }
        let resident = read("status")?
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
            .context("no VmRSS")?;
        Ok(Self {
            cpu,
            resident_bytes: resident * 1024,
        })
    }
}

/// Number of frames that the publishers sent, and number that they skipped.
#[derive(Clone, Default)]
pub struct Published {
    pub frames: Arc<AtomicU64>,
    pub skipped: Arc<AtomicU64>,
}

impl Published {
    fn counts(&self) -> (u64, u64) {
        (
            self.frames.load(Ordering::Relaxed),
            self.skipped.load(Ordering::Relaxed),
        )
    }
}

/// Warms up, measures, and returns the result as a JSON object.
pub async fn collect(
    args: &ViewArgs,
    mut samples: UnboundedReceiver<Sample>,
    before: Option<Usage>,
    published: &Published,
) -> Result<Value> {
    if !args.idle {
        // The publisher may start after the viewers. A relay that is too busy to deliver any frame
        // is measured all the same.
        let _ = tokio::time::timeout(FIRST_FRAME, samples.recv()).await;
    }
    let start = Instant::now() + seconds(args.warmup);
    while let Ok(Some(_)) = tokio::time::timeout_at(start, samples.recv()).await {}
    tokio::time::sleep_until(start).await;

    let usage_at_start = args.pid.map(Usage::of).transpose()?;
    let published_at_start = published.counts();
    let end = start + seconds(args.seconds);
    let period = args.every.map(seconds);
    let mut next = start + period.unwrap_or(Duration::MAX / 4);
    let mut whole = Measured::new(args);
    let mut part = Measured::new(args);
    loop {
        match tokio::time::timeout_at(next.min(end), samples.recv()).await {
            Ok(Some(sample)) => {
                whole.add(&sample);
                if period.is_some() {
                    part.add(&sample);
                }
            }
            Ok(None) => break,
            Err(_) => {}
        }
        let now = Instant::now();
        if let Some(period) = period.filter(|_| now >= next) {
            let mut line = part.summary(period.as_secs_f64());
            line["t"] = json!(round((now - start).as_secs_f64(), 1));
            println!("{line}");
            part = Measured::new(args);
            next += period;
        }
        if now >= end {
            break;
        }
    }
    let elapsed = start.elapsed().as_secs_f64();
    let mut report = whole.summary(elapsed);
    report["viewers"] = json!(args.viewers);
    report["seconds"] = json!(round(elapsed, 2));
    if args.publish_fps.is_some() {
        let (frames, skipped) = published.counts();
        let frames = frames - published_at_start.0;
        report["published"] = json!(frames);
        report["published_fps"] = json!(round(frames as f64 / elapsed, 2));
        report["skipped_by_publisher"] = json!(skipped - published_at_start.1);
    }
    if let (Some(pid), Some(start), Some(before)) = (args.pid, usage_at_start, before) {
        let usage = Usage::of(pid)?;
        let cpu = usage.cpu.saturating_sub(start.cpu).as_secs_f64();
        let mb = |bytes: u64| round(bytes as f64 / 1e6, 3);
        report["server"] = json!({
            "cpu_percent": round(cpu / elapsed * 100.0, 2),
            "cpu_us_per_delivered": round(cpu * 1e6 / whole.delivered().max(1) as f64, 2),
            "rss_mb": mb(usage.resident_bytes),
            "rss_before_mb": mb(before.resident_bytes),
            "kb_per_viewer": round(
                usage.resident_bytes.saturating_sub(before.resident_bytes) as f64
                    / 1e3
                    / args.viewers.max(1) as f64,
                1,
            ),
        });
    }
    Ok(report)
}

/// Frames that arrived within a period.
struct Measured {
    cameras: Vec<String>,
    viewers: usize,
    delays_us: Vec<u64>,
    /// Number of frames, by camera and viewer.
    counts: Vec<u64>,
    /// Latest sequence number, by camera and viewer.
    latest: Vec<Option<u64>>,
    out_of_order: u64,
    bytes: u64,
    size: (u32, u32),
    longest_gap: Duration,
    arrived: Vec<Option<Instant>>,
}

impl Measured {
    fn new(args: &ViewArgs) -> Self {
        let pairs = args.viewers * args.cameras.len();
        Self {
            cameras: args.cameras.clone(),
            viewers: args.viewers,
            delays_us: Vec::new(),
            counts: vec![0; pairs],
            latest: vec![None; pairs],
            out_of_order: 0,
            bytes: 0,
            size: (0, 0),
            longest_gap: Duration::ZERO,
            arrived: vec![None; pairs],
        }
    }

    fn add(&mut self, sample: &Sample) {
        let pair = sample.camera * self.viewers + sample.viewer;
        self.delays_us.push(sample.delay_us);
        self.bytes += sample.bytes as u64;
        self.size = sample.size;
        if let Some(count) = self.counts.get_mut(pair) {
            *count += 1;
        }
        if let Some(latest) = self.latest.get_mut(pair)
            && latest.replace(sample.seq) > Some(sample.seq)
        {
            self.out_of_order += 1;
        }
        if let Some(previous) = self.arrived.get_mut(pair)
            && let Some(previous) = previous.replace(sample.at)
        {
            self.longest_gap = self.longest_gap.max(sample.at - previous);
        }
    }

    fn delivered(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn summary(&mut self, elapsed: f64) -> Value {
        self.delays_us.sort_unstable();
        let at = |fraction: f64| {
            let last = self.delays_us.len().saturating_sub(1);
            let index = (last as f64 * fraction).round() as usize;
            let delay = self.delays_us.get(index);
            delay.map(|us| round(*us as f64 / 1e3, 2))
        };
        let mean = self.delays_us.iter().sum::<u64>() as f64 / self.delays_us.len().max(1) as f64;
        let rates = |counts: &[u64]| {
            let mut sorted = counts.to_vec();
            sorted.sort_unstable();
            let fps = |count: Option<&u64>| count.map(|n| round(*n as f64 / elapsed, 2));
            json!({
                "min": fps(sorted.first()),
                "median": fps(sorted.get(sorted.len() / 2)),
                "max": fps(sorted.last()),
            })
        };
        let mut report = json!({
            "delivered": self.delivered(),
            "fps": rates(&self.counts),
            "delay_ms": {
                "mean": round(mean / 1e3, 2), "p50": at(0.5), "p99": at(0.99), "max": at(1.0),
            },
            "kb_per_frame": round(self.bytes as f64 / 1e3 / self.delivered().max(1) as f64, 2),
            "kb_per_second": round(self.bytes as f64 / 1e3 / elapsed, 1),
            "out_of_order": self.out_of_order,
            "longest_gap_ms": round(self.longest_gap.as_secs_f64() * 1e3, 1),
            "size": format!("{}x{}", self.size.0, self.size.1),
        });
        if self.cameras.len() > 1 {
            let by_camera = self.cameras.iter().zip(self.counts.chunks(self.viewers));
            report["cameras"] = by_camera
                .map(|(name, counts)| (name.clone(), rates(counts)))
                .collect::<serde_json::Map<_, _>>()
                .into();
        }
        report
    }
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}
