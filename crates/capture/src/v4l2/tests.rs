//! Tests of [`CameraSource`] with a fake camera that follows a script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::mode::{Fourcc, Layout};
use super::raw::RawFormat;
use super::*;
use crate::jpeg::tests::jpeg;
use cv_picture::Resolution;

const NOW: Duration = Duration::ZERO;
const SOON: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
enum Event {
    /// The driver fills this buffer with `len` bytes.
    Filled { index: u32, sequence: u32, len: u32 },
    /// The driver fills this buffer, and marks its contents as damaged.
    Damaged { index: u32, sequence: u32 },
    /// No further buffer is filled yet.
    Pause,
    /// The cable is pulled.
    Unplugged,
}

#[derive(Default)]
struct Script {
    events: VecDeque<Event>,
    queued: Vec<u32>,
}

/// A fake driver, which follows the script.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Script>>);

impl Fake {
    fn then(&self, events: &[Event]) {
        self.0.lock().unwrap().events.extend(events);
    }

    /// Returns the buffers that were queued since the last call.
    fn queued(&self) -> Vec<u32> {
        std::mem::take(&mut self.0.lock().unwrap().queued)
    }
}

impl Device for Fake {
    type Memory = Vec<u8>;

    fn wait(&mut self, _: Duration) -> io::Result<Readiness> {
        let mut script = self.0.lock().unwrap();
        while let Some(Event::Pause) = script.events.front() {
            script.events.pop_front();
        }
        Ok(match script.events.front() {
            None => Readiness::TimedOut,
            Some(Event::Unplugged) => Readiness::Fault,
            Some(_) => Readiness::Filled,
        })
    }

    fn dequeue(&mut self) -> io::Result<Option<Filled>> {
        let mut script = self.0.lock().unwrap();
        let (index, sequence, len, damaged) = match script.events.front() {
            None | Some(Event::Pause) => return Ok(None),
            Some(Event::Unplugged) => return Err(io::Error::from_raw_os_error(libc::ENODEV)),
            Some(&Event::Filled {
                index,
                sequence,
                len,
            }) => (index, sequence, len, false),
            Some(&Event::Damaged { index, sequence }) => (index, sequence, 9999, true),
        };
        script.events.pop_front();
        Ok(Some(Filled {
            index,
            len,
            sequence,
            damaged,
            monotonic: Some(monotonic_now().saturating_sub(Duration::from_millis(20))),
        }))
    }

    fn queue(&mut self, index: u32) -> io::Result<()> {
        self.0.lock().unwrap().queued.push(index);
        Ok(())
    }
}

fn filled(index: u32, sequence: u32) -> Event {
    Event::Filled {
        index,
        sequence,
        len: 9999,
    }
}

fn camera(raw: Option<RawFormat>) -> (Fake, CameraSource<Fake>) {
    let fake = Fake::default();
    let memory = (0..6)
        .map(|index| match raw {
            None => jpeg(32, 16, index),
            Some(_) => [100 + index as u8, 128].repeat(32 * 16),
        })
        .collect();
    let setup = Setup {
        device: "/dev/video0".into(),
        card: "Fake".into(),
        fourcc: Fourcc(*b"MJPG"),
        resolution: Resolution {
            width: 32,
            height: 16,
        },
        fps: Some(30.0),
        raw,
    };
    (fake.clone(), CameraSource::new(fake, memory, setup))
}

fn next(source: &mut CameraSource<Fake>) -> Picture {
    source.next(SOON).unwrap().unwrap()
}

#[test]
fn a_frame_is_the_buffer_itself_and_dropping_it_returns_the_buffer() {
    let (fake, mut source) = camera(None);
    let address = source.buffers.filled(3, 1).as_ptr();
    fake.then(&[filled(3, 0), Event::Pause, filled(4, 1)]);
    let picture = next(&mut source);
    assert_eq!(picture.jpeg.as_ptr(), address);
    assert_eq!(picture.jpeg, jpeg(32, 16, 3));
    assert_eq!(picture.resolution.to_string(), "32x16");
    let age = Timestamp::now().since(picture.captured_at);
    assert!(
        (Duration::from_millis(20)..Duration::from_secs(2)).contains(&age),
        "{age:?}"
    );
    drop(picture);
    let _second = next(&mut source);
    assert_eq!(fake.queued(), [3]);
    assert_eq!(source.counts(), Counts::default());
}

#[test]
fn the_newest_of_several_filled_buffers_is_delivered() {
    let (fake, mut source) = camera(None);
    fake.then(&[filled(0, 0), filled(1, 1), filled(2, 2)]);
    let picture = next(&mut source);
    assert_eq!(picture.jpeg, jpeg(32, 16, 2));
    assert_eq!(picture.skipped, 2);
    assert_eq!(fake.queued(), [0, 1]);
    assert_eq!(source.counts().stale, 2);
}

#[test]
fn gaps_in_the_drivers_sequence_numbers_are_counted_as_lost_frames() {
    let (fake, mut source) = camera(None);
    fake.then(&[filled(0, 7), Event::Pause, filled(1, 10)]);
    assert_eq!(next(&mut source).skipped, 0);
    assert_eq!(next(&mut source).skipped, 2);
    fake.then(&[filled(2, u32::MAX), Event::Pause, filled(3, 11)]);
    // A frame that is older than the last one, as drivers deliver it when the cable is pulled.
    assert_eq!(next(&mut source).skipped, 1);
    assert_eq!(
        source.counts(),
        Counts {
            lost: 2,
            stale: 1,
            ..Counts::default()
        }
    );
}

#[test]
fn frames_of_a_driver_without_sequence_numbers_are_not_dropped() {
    let (fake, mut source) = camera(None);
    fake.then(&[
        filled(0, 0),
        Event::Pause,
        filled(1, 0),
        Event::Pause,
        filled(2, 0),
    ]);
    (0..3).for_each(|_| assert_eq!(next(&mut source).skipped, 0));
}

#[test]
fn the_driver_always_has_buffers_however_many_frames_are_held() {
    let (fake, mut source) = camera(None);
    let mut held = Vec::new();
    for round in 0..10 {
        // Four buffers are lent, and the driver continues with the other two.
        let index = if round < 4 { round } else { 4 + round % 2 };
        fake.then(&[filled(index, round), Event::Pause]);
        held.push(next(&mut source));
    }
    assert_eq!(source.counts().copied, 6);
    assert_eq!(fake.queued(), [4, 5, 4, 5, 4, 5]);
    for (round, picture) in held.iter().enumerate() {
        let index = if round < 4 { round } else { 4 + round % 2 };
        assert_eq!(picture.jpeg, jpeg(32, 16, index as u64));
    }
    held.clear();
    fake.then(&[filled(4, 10)]);
    let address = source.buffers.filled(4, 1).as_ptr();
    assert_eq!(next(&mut source).jpeg.as_ptr(), address);
    assert_eq!(fake.queued(), [0, 1, 2, 3]);
}

#[test]
fn damaged_and_unusable_frames_are_dropped_and_their_buffers_returned() {
    let (fake, mut source) = camera(None);
    let empty = Event::Filled {
        index: 1,
        sequence: 1,
        len: 0,
    };
    let no_picture = Event::Filled {
        index: 2,
        sequence: 2,
        len: 30,
    };
    fake.then(&[
        Event::Damaged {
            index: 0,
            sequence: 0,
        },
        Event::Pause,
        empty,
    ]);
    fake.then(&[Event::Pause, no_picture, Event::Pause, filled(3, 3)]);
    let picture = next(&mut source);
    assert_eq!((picture.skipped, source.counts().bad), (3, 3));
    assert_eq!(fake.queued(), [0, 1, 2]);
}

#[test]
fn frames_in_flight_stay_valid_when_the_camera_is_unplugged() {
    let (fake, mut source) = camera(None);
    fake.then(&[filled(0, 160), Event::Pause, filled(1, 162), filled(2, 161)]);
    fake.then(&[Event::Unplugged]);
    let first = next(&mut source);
    let error = source.next(SOON).unwrap_err();
    assert!(error.is_transient());
    assert_eq!(error.to_string(), "lost /dev/video0");
    drop(source);
    assert_eq!(first.jpeg, jpeg(32, 16, 0));
    drop(first);
    assert_eq!(fake.queued(), [2]);
}

#[test]
fn silence_is_reported_after_the_limit() {
    let (fake, mut source) = camera(None);
    assert!(source.next(NOW).unwrap().is_none());
    source.silence = Silence::new("/dev/video0".into(), NOW);
    fake.then(&[Event::Damaged {
        index: 0,
        sequence: 0,
    }]);
    let error = source.next(NOW).unwrap_err();
    assert!(error.is_transient());
    assert!(error.to_string().contains("damaged"), "{error}");
}

#[test]
fn raw_frames_are_encoded_and_their_buffers_returned_at_once() {
    let size = Resolution {
        width: 32,
        height: 16,
    };
    let (fake, mut source) = camera(Some(RawFormat::new(Layout::Yuyv, size, 0, false)));
    let short = Event::Filled {
        index: 1,
        sequence: 1,
        len: 100,
    };
    fake.then(&[
        filled(0, 0),
        Event::Pause,
        short,
        Event::Pause,
        filled(2, 2),
    ]);
    let picture = next(&mut source);
    let usable = Checker::default().check(&picture.jpeg).unwrap();
    assert_eq!(usable.resolution, size);
    assert_eq!(next(&mut source).skipped, 1);
    assert_eq!(fake.queued(), [0, 1, 2]);
    assert!(source.describe().ends_with("at 30 fps, encoded here"));
}
