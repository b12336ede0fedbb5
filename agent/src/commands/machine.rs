//! Facts about the machine that a reader needs to interpret the measurements.

use std::fs;

use serde::Serialize;

/// Description of the machine that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Name of the board, or else of the processor.
    pub name: String,
    /// Processor architecture, as Rust names it.
    pub architecture: &'static str,
    /// Number of processor cores that the process may use.
    pub cores: usize,
    /// Frequency governor of the cores, if the kernel reports it.
    pub governor: Option<String>,
    /// What the cores can do that decides how fast models run.
    pub features: Vec<&'static str>,
    /// Maximum frequency of the first core in MHz, if the kernel reports it.
    pub max_mhz: Option<u32>,
    /// Memory in MB (10^6 bytes).
    pub memory_mb: f32,
    /// Release of the kernel.
    pub kernel: String,
    /// Name of the Linux distribution.
    pub system: String,
    /// Average number of processes that wanted to run in the last minute. If it is much above 1,
    /// the measurements are those of a busy machine.
    pub load: f32,
}

impl Machine {
    /// Describes this machine. What the kernel does not report is empty or 0.
    #[must_use]
    pub fn this() -> Self {
        let governor = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
        let frequency = "/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq";
        Self {
            name: board().or_else(processor).unwrap_or_default(),
            architecture: std::env::consts::ARCH,
            cores: std::thread::available_parallelism().map_or(0, Into::into),
            governor: text(governor),
            features: features(),
            max_mhz: text(frequency).and_then(|khz| Some(khz.parse::<u32>().ok()? / 1000)),
            memory_mb: field("/proc/meminfo", "MemTotal").map_or(0.0, mb),
            kernel: text("/proc/sys/kernel/osrelease").unwrap_or_default(),
            system: system().unwrap_or_default(),
            load: text("/proc/loadavg")
                .and_then(|load| load.split(' ').next()?.parse().ok())
                .unwrap_or_default(),
        }
    }
}

impl Machine {
    /// All but the name, for people.
    #[must_use]
    pub fn lines(&self) -> [String; 3] {
        let frequency = self
            .max_mhz
            .map_or(String::new(), |mhz| format!(" at up to {mhz} MHz"));
        let governor = self.governor.as_deref().unwrap_or("unknown");
        [
            format!(
                "{} cores, {}{frequency}, governor {governor}, {:.0} MB of memory",
                self.cores, self.architecture, self.memory_mb
            ),
            format!("processor features: {}", self.features.join(", ")),
            format!(
                "{}, kernel {}, load before {:.2}",
                self.system, self.kernel, self.load
            ),
        ]
    }
}

/// Returns the resident memory of this process, now and at its peak, in MB (10^6 bytes).
#[must_use]
pub fn memory() -> (f32, f32) {
    let of = |name| field("/proc/self/status", name).map_or(0.0, mb);
    let now = of("VmRSS");
    // The kernel counts per processor, so its peak may lag behind.
    (now, of("VmHWM").max(now))
}

/// Converts the kernel's kB, which are KiB, to MB.
fn mb(kib: String) -> f32 {
    let number = kib.split(' ').next().and_then(|kib| kib.parse().ok());
    number.unwrap_or(0.0) * 1024.0 / 1e6
}

fn text(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim_end_matches(['\0', '\n']).trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Returns the value of a line `name: value` in the file at `path`.
fn field(path: &str, name: &str) -> Option<String> {
    let file = fs::read_to_string(path).ok()?;
    let line = file.lines().find(|line| {
        line.split(':')
            .next()
            .is_some_and(|field| field.trim() == name)
    })?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn board() -> Option<String> {
    text("/proc/device-tree/model")
}

fn processor() -> Option<String> {
    field("/proc/cpuinfo", "model name")
}

/// Of the features that the kernel lists, those that XNNPACK and TensorFlow Lite have code for.
fn features() -> Vec<&'static str> {
    const KNOWN: [&str; 14] = [
        "sse4_1",
        "avx",
        "avx2",
        "fma",
        "f16c",
        "avx512f",
        "avx512_vnni",
        "avx_vnni",
        "amx_int8",
        "neon",
        "asimd",
        "asimdhp",
        "asimddp",
        "i8mm",
    ];
    let listed = field("/proc/cpuinfo", "flags").or_else(|| field("/proc/cpuinfo", "Features"));
    let listed = listed.unwrap_or_default();
    let has = |name: &&str| listed.split(' ').any(|feature| feature == *name);
    KNOWN.into_iter().filter(has).collect()
}

fn system() -> Option<String> {
    let release = fs::read_to_string("/etc/os-release").ok()?;
    let line = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(line.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_cores_and_memory() {
        let machine = Machine::this();
        assert!(machine.cores > 0);
        assert!(machine.memory_mb > 100.0);
        assert!(!machine.kernel.is_empty());
        let (now, most) = memory();
        assert!(now > 1.0 && most >= now);
    }
}
