//! `cv-agent cameras`: lists the cameras of this machine.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use cv_capture::v4l2::{self, Control, Interval, Intervals, Modes, Sizes};
use cv_picture::Resolution;

/// Arguments of `cv-agent cameras`.
#[derive(Clone, Debug, clap::Args)]
pub struct CamerasArgs {
    /// Print JSON: a list with one object per device
    #[arg(long)]
    pub json: bool,
}

/// One video device.
#[derive(Debug, Serialize)]
struct Device {
    /// Path of the device file, which `--camera` accepts.
    device: PathBuf,
    /// Path that stays the same wherever the camera is plugged in.
    #[serde(skip_serializing_if = "Option::is_none")]
    stable_name: Option<PathBuf>,
    /// Name, driver, modes and controls of the camera; absent if it cannot be used.
    #[serde(flatten)]
    camera: Option<Camera>,
    /// Reason why the device cannot be used; absent if it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

#[derive(Debug, Serialize)]
struct Camera {
    name: String,
    driver: String,
    bus: String,
    formats: Vec<Format>,
    controls: Vec<Control>,
}

#[derive(Debug, Serialize)]
struct Format {
    format: String,
    description: String,
    /// Whether the agent can use the format.
    usable: bool,
    sizes: Vec<Size>,
}

#[derive(Debug, Serialize)]
struct Size {
    /// Size, for example `640x480`, or a range of sizes.
    size: String,
    /// Frames per second: single rates, or the slowest and the fastest rate of a range.
    fps: Vec<Rates>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Rates {
    One(f32),
    Range { from: f32, to: f32 },
}

/// Lists the video devices of this machine on standard output.
///
/// # Errors
///
/// Returns the error of writing to standard output.
pub fn run(args: CamerasArgs) -> anyhow::Result<()> {
    let devices: Vec<_> = v4l2::nodes().into_iter().map(look_at).collect();
    let text = if args.json {
        serde_json::to_string_pretty(&devices)? + "\n"
    } else {
        describe(&devices)
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn look_at(device: PathBuf) -> Device {
    let (camera, problem) = match read(&device) {
        Ok(camera) if camera.formats.iter().any(|format| format.usable) => (Some(camera), None),
        Ok(camera) => {
            let problem = "the agent supports none of its formats".to_owned();
            (Some(camera), Some(problem))
        }
        Err(problem) => (None, Some(problem)),
    };
    Device {
        stable_name: v4l2::stable_name(&device),
        device,
        camera,
        problem,
    }
}

fn read(device: &Path) -> Result<Camera, String> {
    let (node, identity) = v4l2::open(device).map_err(|error| error.with_cause())?;
    // For a range of sizes, the rates are listed for the largest size.
    let greatest = Resolution {
        width: 16_384,
        height: 16_384,
    };
    let modes = v4l2::list_modes(&node, greatest)
        .map_err(|error| format!("cannot list its modes: {error}"))?;
    let controls =
        Control::list(&node).map_err(|error| format!("cannot list its controls: {error}"))?;
    Ok(Camera {
        name: identity.card,
        driver: identity.driver,
        bus: identity.bus,
        formats: formats(&modes),
        controls,
    })
}

fn formats(modes: &Modes) -> Vec<Format> {
    modes
        .formats
        .iter()
        .map(|format| Format {
            format: format.fourcc.to_string(),
            description: format.description.clone(),
            usable: format.fourcc.layout().is_some(),
            sizes: format
                .sizes
                .iter()
                .map(|size| Size {
                    size: Sizes::to_string(&size.sizes),
                    fps: size.intervals.iter().filter_map(rates).collect(),
                })
                .collect(),
        })
        .collect()
}

/// Converts an interval to a rate, rounded to a hundredth; `None` if the driver gave an impossible
/// interval.
fn rates(intervals: &Intervals) -> Option<Rates> {
    let fps = |interval: Interval| Some((interval.fps()? * 100.0).round() / 100.0);
    Some(match *intervals {
        Intervals::One(interval) => Rates::One(fps(interval)?),
        Intervals::Range(shortest, longest) => Rates::Range {
            from: fps(longest)?,
            to: fps(shortest)?,
        },
    })
}

impl std::fmt::Display for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One(fps) => write!(f, "{fps}"),
            Self::Range { from, to } => write!(f, "{from} to {to}"),
        }
    }
}

fn describe(devices: &[Device]) -> String {
    let mut out = String::new();
    if devices.is_empty() {
        out.push_str(
            "No camera found: there is no /dev/video* on this machine.\n\n\
             Plug in a USB camera, or try one of\n  \
               cv-agent --source test\n  \
               cv-agent --source CLIP.avi\n  \
               cv-agent --source 'exec:rpicam-vid -t 0 --codec mjpeg -o -'\n",
        );
    }
    for device in devices {
        // Writing to a string cannot fail.
        let _ = describe_one(&mut out, device);
    }
    out
}

fn describe_one(out: &mut String, device: &Device) -> std::fmt::Result {
    if !out.is_empty() {
        writeln!(out)?;
    }
    let name = device.camera.as_ref().map_or("", |camera| &camera.name);
    writeln!(out, "{}  {name}", device.device.display())?;
    if let Some(problem) = &device.problem {
        writeln!(out, "  cannot be used: {problem}")?;
    }
    let Some(camera) = &device.camera else {
        return Ok(());
    };
    if let Some(stable_name) = &device.stable_name {
        writeln!(out, "  always at  {}", stable_name.display())?;
    }
    writeln!(out, "  driver     {}, {}", camera.driver, camera.bus)?;
    for format in camera.formats.iter().filter(|format| format.usable) {
        writeln!(out, "  {:<10} {}", format.format, format.description)?;
        for size in &format.sizes {
            let fps: Vec<_> = size.fps.iter().map(Rates::to_string).collect();
            writeln!(out, "    {:<11} {} fps", size.size, fps.join(", "))?;
        }
    }
    let others = camera.formats.iter().filter(|format| !format.usable);
    let others: Vec<_> = others.map(|format| format.format.as_str()).collect();
    if !others.is_empty() {
        writeln!(out, "  not used   {}", others.join(", "))?;
    }
    if !camera.controls.is_empty() {
        writeln!(out, "  --control NAME=VALUE")?;
    }
    for control in &camera.controls {
        write!(out, "    {}: {}", control.name, control.kind)?;
        if let Some(value) = control.value {
            write!(out, "; now {value}, default {}", control.default)?;
        }
        match control.unavailable {
            Some(why) => writeln!(out, " ({why})")?,
            None => writeln!(out)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cv_capture::v4l2::{FormatModes, Fourcc, SizeModes};

    /// Modes of a webcam that has one size in three formats.
    fn webcam() -> Modes {
        let rates = [(1, 30), (1, 24), (1, 20), (1, 15), (1, 10), (2, 15), (1, 5)];
        let size = || SizeModes {
            sizes: Sizes::One("640x480".parse().unwrap()),
            intervals: rates
                .map(|(n, d)| Intervals::One(Interval::new(n, d)))
                .to_vec(),
        };
        let format = |fourcc: &[u8; 4]| FormatModes {
            fourcc: Fourcc(*fourcc),
            description: String::new(),
            sizes: vec![size()],
        };
        Modes {
            formats: [b"YUYV", b"H264", b"MJPG"].map(format).to_vec(),
        }
    }

    #[test]
    fn without_a_camera_other_sources_are_suggested() {
        assert!(describe(&[]).contains("--source test"));
    }

    #[test]
    fn a_camera_and_its_metadata_device_are_described() {
        let devices = [
            Device {
                device: "/dev/video0".into(),
                stable_name: Some("/dev/v4l/by-id/usb-C920-video-index0".into()),
                camera: Some(Camera {
                    name: "HD Pro Webcam C920".into(),
                    driver: "uvcvideo".into(),
                    bus: "usb-0000:00:14.0-1".into(),
                    formats: formats(&webcam()),
                    controls: vec![],
                }),
                problem: None,
            },
            Device {
                device: "/dev/video1".into(),
                stable_name: None,
                camera: None,
                problem: Some("/dev/video1 is a video device, but carries only metadata".into()),
            },
        ];
        let text = describe(&devices);
        for part in [
            "/dev/video0  HD Pro Webcam C920\n",
            "  always at  /dev/v4l/by-id/usb-C920-video-index0\n",
            "    640x480     30, 24, 20, 15, 10, 7.5, 5 fps\n",
            "  not used   H264\n",
            "\n/dev/video1  \n  cannot be used: /dev/video1 is",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        let json = serde_json::to_value(&devices).unwrap();
        assert_eq!(json[0]["formats"][2]["sizes"][0]["size"], "640x480");
        assert_eq!(json[0]["formats"][2]["sizes"][0]["fps"][5], 7.5);
        assert_eq!(json[0]["formats"][1]["usable"], false);
        assert!(json[1].get("name").is_none());
        assert!(json[1]["problem"].is_string());
    }
}
