//! Chooses which of a camera's modes to use.

use std::fmt;

use cv_picture::Resolution;

/// Four characters that name a pixel format, for example `MJPG`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fourcc(pub [u8; 4]);

impl Fourcc {
    /// Returns how frames of this format lie in a buffer; `None` if the agent cannot turn them into
    /// JPEG.
    pub fn layout(self) -> Option<Layout> {
        match &self.0 {
            b"MJPG" | b"JPEG" => Some(Layout::Jpeg),
            b"YUYV" => Some(Layout::Yuyv),
            b"UYVY" => Some(Layout::Uyvy),
            _ => None,
        }
    }
}

impl fmt::Display for Fourcc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", String::from_utf8_lossy(&self.0).trim_end())
    }
}

impl fmt::Debug for Fourcc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Layout of a frame in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A JPEG, which is sent unchanged.
    Jpeg,
    /// Y0 U Y1 V: two pixels in four bytes.
    Yuyv,
    /// U Y0 V Y1: two pixels in four bytes.
    Uyvy,
}

impl Layout {
    /// Whether frames of this layout must be encoded. Such formats rank behind JPEG.
    fn is_raw(self) -> bool {
        self != Self::Jpeg
    }
}

/// Time from one frame to the next, as a fraction of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Numerator of the fraction.
    pub numerator: u32,
    /// Denominator of the fraction.
    pub denominator: u32,
}

impl Interval {
    /// Returns the interval for a frame rate, which is rounded to a thousandth.
    pub fn of_fps(fps: f32) -> Self {
        let denominator = (fps * 1000.0).round().clamp(1.0, 1e9) as u32;
        if denominator.is_multiple_of(1000) {
            Self::new(1, denominator / 1000)
        } else {
            Self::new(1000, denominator)
        }
    }

    /// Creates an interval of `numerator / denominator` seconds.
    pub fn new(numerator: u32, denominator: u32) -> Self {
        Self {
            numerator,
            denominator,
        }
    }

    /// Returns the rate in frames per second; `None` if the driver gave an impossible interval.
    pub fn fps(self) -> Option<f32> {
        (self.numerator > 0 && self.denominator > 0)
            .then(|| (f64::from(self.denominator) / f64::from(self.numerator)) as f32)
    }
}

/// All modes that a camera lists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Modes {
    /// Modes of each pixel format.
    pub formats: Vec<FormatModes>,
}

/// The modes of one pixel format.
#[derive(Clone, Debug, PartialEq)]
pub struct FormatModes {
    /// Code of the pixel format.
    pub fourcc: Fourcc,
    /// Description of the pixel format, as the driver gives it.
    pub description: String,
    /// Sizes that the camera offers in this format.
    pub sizes: Vec<SizeModes>,
}

/// One size or a range of sizes, with the intervals offered for it.
#[derive(Clone, Debug, PartialEq)]
pub struct SizeModes {
    /// The size or range of sizes.
    pub sizes: Sizes,
    /// Intervals offered at this size, or at the largest size of the range; empty if the driver
    /// lists none.
    pub intervals: Vec<Intervals>,
}

/// Sizes that a camera offers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sizes {
    /// A single size.
    One(Resolution),
    /// All sizes from `min` to `max`, in steps.
    Range {
        /// Smallest size.
        min: Resolution,
        /// Largest size.
        max: Resolution,
        /// Steps of width and height.
        step: Resolution,
    },
}

/// Intervals that a camera offers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Intervals {
    /// A single interval.
    One(Interval),
    /// All intervals from the shortest to the longest.
    Range(Interval, Interval),
}

/// The mode to request from the driver.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mode {
    /// Pixel format.
    pub fourcc: Fourcc,
    /// Size of the frames.
    pub resolution: Resolution,
    /// Time between frames; `None` if the driver lists no intervals.
    pub interval: Option<Interval>,
}

impl Modes {
    /// Returns the mode that fits best; `None` if the agent can use none of the formats.
    ///
    /// The criteria, in this order: a size within `max_size` (otherwise the smallest size), JPEG
    /// rather than raw, the wanted rate (otherwise the highest), the largest size, the rate nearest
    /// to the wanted one.
    pub fn choose(&self, max_size: Resolution, fps: f32) -> Option<Mode> {
        let mut best: Option<(Rank, Mode)> = None;
        for format in &self.formats {
            let Some(layout) = format.fourcc.layout() else {
                continue;
            };
            for size in &format.sizes {
                let resolution = size.sizes.nearest(max_size);
                let interval = choose_interval(&size.intervals, fps);
                let mode = Mode {
                    fourcc: format.fourcc,
                    resolution,
                    interval,
                };
                let rank = Rank::of(&mode, layout, max_size, fps);
                if best.as_ref().is_none_or(|(so_far, _)| rank.beats(so_far)) {
                    best = Some((rank, mode));
                }
            }
        }
        best.map(|(_, mode)| mode)
    }
}

/// Rank of a mode. The fields are compared from first to last; higher is better.
#[derive(PartialEq, PartialOrd)]
struct Rank {
    fits: bool,
    jpeg: bool,
    /// The mode's frame rate, limited to the wanted rate: a higher one is no better.
    reached_fps: f32,
    /// Number of pixels; negative for sizes that exceed the maximum.
    pixels: i64,
    /// Negated distance by which the rate exceeds the wanted one.
    nearness: f32,
}

impl Rank {
    fn of(mode: &Mode, layout: Layout, max_size: Resolution, wanted_fps: f32) -> Self {
        let fits =
            mode.resolution.width <= max_size.width && mode.resolution.height <= max_size.height;
        let pixels = i64::try_from(mode.resolution.pixels()).unwrap_or(i64::MAX);
        let fps = mode.interval.and_then(Interval::fps).unwrap_or(wanted_fps);
        // 29.97 is as good as 30.
        let reached = fps >= wanted_fps * NEARLY;
        Self {
            fits,
            jpeg: !layout.is_raw(),
            reached_fps: if reached { wanted_fps } else { fps },
            pixels: if fits { pixels } else { -pixels },
            nearness: -(fps - wanted_fps).abs(),
        }
    }

    fn beats(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(std::cmp::Ordering::Greater)
    }
}

/// Fraction of the wanted rate from which a rate counts as reaching it.
const NEARLY: f32 = 0.98;

/// Returns the slowest interval that reaches the wanted rate, otherwise the fastest one.
fn choose_interval(offered: &[Intervals], fps: f32) -> Option<Interval> {
    let candidates = offered.iter().map(|offered| match *offered {
        Intervals::One(interval) => interval,
        Intervals::Range(shortest, longest) => {
            let fastest = shortest.fps().unwrap_or(f32::MAX);
            let slowest = longest.fps().unwrap_or(0.0);
            if fps >= fastest {
                shortest
            } else if fps <= slowest {
                longest
            } else {
                Interval::of_fps(fps)
            }
        }
    });
    let with_fps = candidates.filter_map(|interval| Some((interval.fps()?, interval)));
    let (reaching, slower): (Vec<_>, Vec<_>) =
        with_fps.partition(|&(offered_fps, _)| offered_fps >= fps * NEARLY);
    let slowest = reaching.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
    let fastest = || slower.into_iter().max_by(|a, b| a.0.total_cmp(&b.0));
    slowest.or_else(fastest).map(|(_, interval)| interval)
}

impl Sizes {
    /// Returns the largest size that is not larger than `max_size`, otherwise the smallest one.
    pub fn nearest(self, max_size: Resolution) -> Resolution {
        match self {
            Self::One(resolution) => resolution,
            Self::Range { min, max, step } => Resolution {
                width: nearest(min.width, max.width, step.width, max_size.width),
                height: nearest(min.height, max.height, step.height, max_size.height),
            },
        }
    }
}

fn nearest(min: u32, max: u32, step: u32, wanted: u32) -> u32 {
    let above = wanted.min(max).saturating_sub(min);
    min + above - above % step.max(1)
}

impl fmt::Display for Modes {
    /// Lists the modes, for example `MJPG (Motion-JPEG) 640x480, 1280x720; H264 1920x1080`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.formats.is_empty() {
            return f.write_str("no format at all");
        }
        for (index, format) in self.formats.iter().enumerate() {
            let sizes: Vec<_> = format
                .sizes
                .iter()
                .map(|size| size.sizes.to_string())
                .collect();
            let separator = if index > 0 { "; " } else { "" };
            write!(f, "{separator}{} {}", format.fourcc, sizes.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(resolution) => write!(f, "{resolution}"),
            Self::Range { min, max, .. } => write!(f, "{min} to {max}"),
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn size(text: &str) -> Resolution {
        text.parse().unwrap()
    }

    fn one(resolution: &str, intervals: &[(u32, u32)]) -> SizeModes {
        SizeModes {
            sizes: Sizes::One(size(resolution)),
            intervals: intervals
                .iter()
                .map(|&(n, d)| Intervals::One(Interval::new(n, d)))
                .collect(),
        }
    }

    fn format(fourcc: &[u8; 4], sizes: Vec<SizeModes>) -> FormatModes {
        FormatModes {
            fourcc: Fourcc(*fourcc),
            description: String::new(),
            sizes,
        }
    }

    /// Modes of a Logitech C920, shortened.
    pub fn webcam() -> Modes {
        let fast = [(1, 30), (1, 24), (1, 20), (1, 15), (1, 10), (2, 15), (1, 5)];
        Modes {
            formats: vec![
                format(
                    b"YUYV",
                    vec![
                        one("640x480", &fast),
                        one("320x240", &fast),
                        one("1280x720", &[(1, 10), (2, 15), (1, 5)]),
                        one("1920x1080", &[(1, 5)]),
                    ],
                ),
                format(b"H264", vec![one("640x480", &fast), one("800x600", &fast)]),
                format(
                    b"MJPG",
                    vec![
                        one("640x480", &fast),
                        one("640x360", &fast),
                        one("1280x720", &fast),
                        one("1920x1080", &fast),
                    ],
                ),
            ],
        }
    }

    fn chosen(modes: &Modes, max_size: &str, fps: f32) -> String {
        let mode = modes.choose(size(max_size), fps).unwrap();
        let fps = mode.interval.and_then(Interval::fps);
        format!("{} {} {fps:?}", mode.fourcc, mode.resolution)
    }

    #[test]
    fn jpeg_at_the_wanted_size_and_rate_is_taken() {
        assert_eq!(
            chosen(&webcam(), "640x480", 30.0),
            "MJPG 640x480 Some(30.0)"
        );
        assert_eq!(
            chosen(&webcam(), "1920x1080", 15.0),
            "MJPG 1920x1080 Some(15.0)"
        );
    }

    #[test]
    fn the_chosen_size_is_the_largest_within_the_maximum() {
        assert_eq!(
            chosen(&webcam(), "1000x700", 30.0),
            "MJPG 640x480 Some(30.0)"
        );
        assert_eq!(
            chosen(&webcam(), "640x479", 30.0),
            "MJPG 640x360 Some(30.0)"
        );
    }

    #[test]
    fn a_raw_format_is_taken_if_only_that_fits() {
        assert_eq!(
            chosen(&webcam(), "400x300", 30.0),
            "YUYV 320x240 Some(30.0)"
        );
    }

    #[test]
    fn the_smallest_size_is_taken_if_none_fits() {
        let mut modes = webcam();
        modes.formats.retain(|format| format.fourcc.0 == *b"MJPG");
        assert_eq!(chosen(&modes, "320x240", 30.0), "MJPG 640x360 Some(30.0)");
    }

    #[test]
    fn between_two_rates_the_faster_one_is_taken() {
        assert_eq!(
            chosen(&webcam(), "640x480", 22.0),
            "MJPG 640x480 Some(24.0)"
        );
        assert_eq!(chosen(&webcam(), "640x480", 7.0), "MJPG 640x480 Some(7.5)");
        assert_eq!(
            chosen(&webcam(), "640x480", 60.0),
            "MJPG 640x480 Some(30.0)"
        );
        assert_eq!(chosen(&webcam(), "640x480", 1.0), "MJPG 640x480 Some(5.0)");
    }

    #[test]
    fn the_rate_matters_more_than_the_size() {
        let mut modes = webcam();
        modes.formats.retain(|format| format.fourcc.0 == *b"YUYV");
        assert_eq!(chosen(&modes, "1280x720", 30.0), "YUYV 640x480 Some(30.0)");
        assert_eq!(chosen(&modes, "1280x720", 10.0), "YUYV 1280x720 Some(10.0)");
    }

    #[test]
    fn an_interval_that_nearly_reaches_the_rate_counts_as_reaching_it() {
        let modes = Modes {
            formats: vec![format(
                b"MJPG",
                vec![
                    one("640x480", &[(333_333, 10_000_000), (0, 0), (1001, 15_000)]),
                    one("800x600", &[(1001, 30_000)]),
                ],
            )],
        };
        let mode = modes.choose(size("640x480"), 30.0).unwrap();
        assert_eq!(mode.interval, Some(Interval::new(333_333, 10_000_000)));
        let mode = modes.choose(size("800x600"), 30.0).unwrap();
        assert_eq!(mode.resolution, size("800x600"));
    }

    #[test]
    fn the_size_chosen_from_a_range_is_a_multiple_of_its_steps() {
        let modes = Modes {
            formats: vec![format(
                b"YUYV",
                vec![SizeModes {
                    sizes: Sizes::Range {
                        min: Resolution {
                            width: 2,
                            height: 1,
                        },
                        max: size("8640x4320"),
                        step: Resolution {
                            width: 4,
                            height: 8,
                        },
                    },
                    intervals: vec![Intervals::Range(
                        Interval::new(1, 1000),
                        Interval::new(1, 2),
                    )],
                }],
            )],
        };
        assert_eq!(chosen(&modes, "640x480", 12.5), "YUYV 638x473 Some(12.5)");
        assert_eq!(chosen(&modes, "640x480", 30.0), "YUYV 638x473 Some(30.0)");
        assert_eq!(chosen(&modes, "640x480", 1.0), "YUYV 638x473 Some(2.0)");
    }

    #[test]
    fn a_driver_that_lists_no_rates_can_be_used() {
        let modes = Modes {
            formats: vec![format(b"MJPG", vec![one("640x480", &[])])],
        };
        assert_eq!(chosen(&modes, "640x480", 30.0), "MJPG 640x480 None");
    }

    #[test]
    fn a_camera_without_a_usable_format_has_no_mode() {
        let mut modes = webcam();
        modes.formats.retain(|format| format.fourcc.0 == *b"H264");
        assert_eq!(modes.choose(size("640x480"), 30.0), None);
        assert_eq!(modes.to_string(), "H264 640x480, 800x600");
        assert_eq!(Modes::default().to_string(), "no format at all");
    }
}
