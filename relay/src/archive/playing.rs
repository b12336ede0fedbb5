//! Recordings on `/web`: frames of the past as those of the present, under the same credit window.
//!
//! Each camera that a viewer plays has a task. What the viewer asks for is not queued: the newest
//! wish replaces the one before, so that dragging along a timeline costs no more than the frames
//! that the viewer acknowledges.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cv_archive::{Archive, Found, Playback, Step, StoredFrame};
use cv_flow::Window;
use cv_protocol::{
    FIRST_PLAYED_SEQ, FrameMeta, PLAY_RATE, Pause, Play, PlayState, Position, STALL, Seek, Shown,
    Timestamp, ViewerDetections, ViewerFrameMeta, check_camera_name,
};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::hub::{Frame, Hub, Message, Recipient};

/// Recordings that are played at once, of all viewers.
const MAX_PLAYERS: usize = 200;

/// A gap in the footage that is longer is jumped over.
const JUMP_US: u64 = 2_000_000;

/// How often the position is told while frames come.
const POSITION_SPACING: Duration = Duration::from_millis(250);

/// At the end of what is stored, how often more is looked for.
const LOOK_FOR_MORE: Duration = Duration::from_millis(400);

static PLAYERS: AtomicUsize = AtomicUsize::new(0);

/// What one viewer plays.
pub(crate) struct Players {
    hub: Arc<Hub>,
    archive: Option<Arc<Archive>>,
    recipient: Recipient,
    playing: Mutex<HashMap<String, Player>>,
}

struct Player {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for Player {
    fn drop(&mut self) {
        self.task.abort();
        PLAYERS.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Shared {
    wish: Mutex<Wish>,
    window: Mutex<Window>,
    wake: Notify,
}

/// What the viewer wants.
#[derive(Clone, Copy, Debug, Default)]
struct Wish {
    seek: Option<Timestamp>,
    step: i32,
    playing: bool,
    rate: f32,
    max_fps: Option<f32>,
    /// Changes with every wish.
    number: u64,
}

impl Shared {
    fn wish(&self) -> MutexGuard<'_, Wish> {
        self.wish.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Wish)) {
        let mut wish = self.wish();
        change(&mut wish);
        wish.number += 1;
        drop(wish);
        self.wake.notify_one();
    }

    /// The wish, with its one-time parts taken out.
    fn take(&self) -> Wish {
        let mut wish = self.wish();
        let taken = *wish;
        wish.seek = None;
        wish.step = 0;
        taken
    }
}

fn check_rate(rate: f32, allowed: &RangeInclusive<f32>) -> Result<(), String> {
    if allowed.contains(&rate) {
        return Ok(());
    }
    Err(format!(
        "rate is {rate}, expected {} to {}",
        allowed.start(),
        allowed.end()
    ))
}

impl Players {
    pub fn new(hub: &Arc<Hub>, archive: Option<&Arc<Archive>>, recipient: Recipient) -> Self {
        Self {
            hub: hub.clone(),
            archive: archive.cloned(),
            recipient,
            playing: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Player>> {
        self.playing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plays a camera's recordings; has to be called in a runtime.
    ///
    /// # Errors
    ///
    /// A sentence that says which bound was broken.
    pub fn play(&self, play: &Play) -> Result<(), String> {
        let archive = self.archive.as_ref().ok_or("this relay records nothing")?;
        check_camera_name(&play.camera)?;
        check_rate(play.rate, &PLAY_RATE)?;
        if let Some(fps) = play.max_fps {
            check_rate(fps, &(0.1..=1000.0)).map_err(|err| err.replace("rate", "max_fps"))?;
        }
        let wish = |wish: &mut Wish| {
            wish.seek = Some(play.from_us);
            wish.step = 0;
            wish.playing = true;
            wish.rate = play.rate;
            wish.max_fps = play.max_fps;
        };
        let mut playing = self.lock();
        if let Some(player) = playing.get(&play.camera) {
            player.shared.change(wish);
            return Ok(());
        }
        let most = self.hub.config().limits.cameras_per_viewer;
        if playing.len() >= most {
            return Err(format!("a viewer may play {most} cameras at most"));
        }
        let free = PLAYERS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
            (n < MAX_PLAYERS).then_some(n + 1)
        });
        free.map_err(|_| format!("this relay plays {MAX_PLAYERS} recordings at most at once"))?;
        let shared = Arc::new(Shared::default());
        shared.change(wish);
        let run = Run {
            hub: self.hub.clone(),
            recipient: self.recipient.clone(),
            shared: shared.clone(),
            camera: play.camera.clone(),
            next_seq: FIRST_PLAYED_SEQ,
            at: play.from_us,
            origin: (Instant::now(), play.from_us),
            told: None,
        };
        let playback = archive.play(&play.camera, play.from_us);
        let task = tokio::spawn(run.run(playback));
        playing.insert(play.camera.clone(), Player { shared, task });
        Ok(())
    }

    /// Stays at the frame that is shown.
    pub fn pause(&self, pause: &Pause) {
        self.change(&pause.camera, |wish| wish.playing = false);
    }

    /// Shows another moment.
    pub fn seek(&self, seek: &Seek) {
        self.change(&seek.camera, |wish| {
            if let Some(to) = seek.to_us {
                wish.seek = Some(to);
                wish.step = 0;
            }
            if let Some(step) = seek.step {
                wish.step = wish.step.saturating_add(step);
                wish.playing = false;
            }
        });
    }

    fn change(&self, camera: &str, change: impl FnOnce(&mut Wish)) {
        if let Some(player) = self.lock().get(camera) {
            player.shared.change(change);
        }
    }

    /// Ends playing a camera, if it is played.
    pub fn stop(&self, camera: &str) {
        self.lock().remove(camera);
    }

    /// Ends playing all cameras.
    pub fn stop_all(&self) {
        self.lock().clear();
    }

    /// Takes an acknowledgement; `false` if it is not of a frame that was played.
    pub fn shown(&self, shown: &Shown) -> bool {
        if shown.seq < FIRST_PLAYED_SEQ {
            return false;
        }
        if let Some(player) = self.lock().get(&shown.camera) {
            player
                .shared
                .window()
                .acknowledge(shown.seq, Instant::now());
            player.shared.wake.notify_one();
        }
        true
    }
}

/// The task of one camera that is played.
struct Run {
    hub: Arc<Hub>,
    recipient: Recipient,
    shared: Arc<Shared>,
    camera: String,
    next_seq: u64,
    /// Time of the newest frame that was sent.
    at: Timestamp,
    /// When which time was, or would have been, shown.
    origin: (Instant, Timestamp),
    told: Option<(Instant, Position)>,
}

/// What a frame is asked for with.
#[derive(Clone, Copy, Debug)]
enum Ask {
    /// The first one from a time on; the last one before it if there is none.
    From(Timestamp),
    /// So many on or back.
    Step(i32),
    /// The newest one until a time.
    Until(Timestamp),
}

type Answer = Result<(Step, Option<Found>), cv_archive::ArchiveError>;

/// Reads from the disk.
fn answer(playback: &mut Playback, ask: Ask, at: Timestamp) -> Answer {
    let step = match ask {
        Ask::From(from) => {
            playback.seek(from);
            let mut first = playback.next_frame()?;
            if first.is_none()
                && let Some(last) = playback.record_before(from)?
            {
                playback.seek(last.at_us);
                first = playback.next_frame()?;
            }
            first.map_or(Step::End, Step::Frame)
        }
        Ask::Step(mut steps) => {
            let mut target = at;
            while steps < 0
                && let Some(before) = playback.record_before(target)?
            {
                target = before.at_us;
                steps += 1;
            }
            playback.seek(target);
            if steps > 0 {
                playback.seek(Timestamp(at.0 + 1));
            }
            while steps > 1 && playback.peek()?.is_some() {
                playback.skip();
                steps -= 1;
            }
            playback.next_frame()?.map_or(Step::End, Step::Frame)
        }
        Ask::Until(target) => playback.next_until(target)?,
    };
    let Step::Frame(frame) = &step else {
        return Ok((step, None));
    };
    let here = frame.record.at_us;
    let from = match ask {
        Ask::Until(_) => at,
        Ask::From(_) | Ask::Step(_) => Timestamp(here.0.saturating_sub(JUMP_US)),
    };
    let found = playback.found_here(from, here)?;
    let newest = found
        .iter()
        .rfind(|found| is_of(found, frame))
        .or(found.last())
        .cloned();
    Ok((step, newest))
}

fn is_of(found: &Found, frame: &StoredFrame) -> bool {
    let of = (found.detections.seq, found.detections.captured_us);
    of == (frame.record.seq, frame.record.captured_us)
}

impl Run {
    async fn run(mut self, mut playback: Playback) {
        loop {
            let wish = self.shared.take();
            let asked = match (wish.seek, wish.step) {
                (Some(from), _) => Some(Ask::From(from)),
                (None, 0) => None,
                (None, step) => Some(Ask::Step(step)),
            };
            if asked.is_none() && !wish.playing {
                self.tell(PlayState::Paused, wish.rate, true);
                if !self.wait(None).await {
                    return;
                }
                self.origin = (Instant::now(), self.at);
                continue;
            }
            if !self.has_place() {
                if let Some(ask) = asked {
                    self.put_back(ask, wish.number);
                }
                if !self.wait(Some(STALL)).await {
                    return;
                }
                continue;
            }
            let now = Instant::now();
            let due = |origin: (Instant, Timestamp)| {
                let since = now.saturating_duration_since(origin.0).as_secs_f64();
                // Saturates; recordings are shorter.
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let on = (since * f64::from(wish.rate) * 1e6) as u64;
                Timestamp(origin.1.0.saturating_add(on))
            };
            let target = due(self.origin);
            let ask = asked.unwrap_or(Ask::Until(target));
            let at = self.at;
            let reading = tokio::task::spawn_blocking(move || {
                let answer = answer(&mut playback, ask, at);
                (playback, answer)
            });
            let Ok((back, answer)) = reading.await else {
                return;
            };
            playback = back;
            match answer {
                Ok((Step::Frame(frame), found)) => {
                    let moved = asked.is_some();
                    self.send(&frame, found);
                    if moved {
                        self.origin = (Instant::now(), self.at);
                    }
                    let state = if wish.playing {
                        PlayState::Playing
                    } else {
                        PlayState::Paused
                    };
                    self.tell(state, wish.rate, moved);
                    let pause = wish.max_fps.map(|fps| Duration::from_secs_f32(1.0 / fps));
                    if let Some(pause) = pause.filter(|_| !moved) {
                        self.wait(Some(pause)).await;
                    }
                }
                Ok((Step::Later(next), _)) => {
                    let us = next.0.saturating_sub(target.0);
                    if next.0.saturating_sub(self.at.0) > JUMP_US && us > JUMP_US / 2 {
                        self.origin = (Instant::now(), next);
                        continue;
                    }
                    let wait = Duration::from_micros(us).div_f32(wish.rate.max(0.01));
                    self.wait(Some(wait)).await;
                }
                Ok((Step::End, _)) => {
                    self.tell(PlayState::End, wish.rate, false);
                    self.wait(Some(LOOK_FOR_MORE)).await;
                    self.origin = (Instant::now(), self.at);
                }
                Err(err) => {
                    log::warn!("{:?} cannot be played: {}", self.camera, err.explained());
                    self.tell(PlayState::End, wish.rate, false);
                    self.wait(Some(LOOK_FOR_MORE)).await;
                }
            }
        }
    }

    fn has_place(&self) -> bool {
        let mut window = self.shared.window();
        let open = window.is_open();
        if !open {
            window.hold_back();
        }
        open
    }

    /// A wish that the window has no place for yet, unless there is a newer one.
    fn put_back(&self, ask: Ask, number: u64) {
        let mut wish = self.shared.wish();
        if wish.number == number {
            match ask {
                Ask::From(from) => wish.seek = Some(from),
                Ask::Step(step) => wish.step = step,
                Ask::Until(_) => {}
            }
        }
    }

    /// Waits for a wish or an acknowledgement, at most for `limit`; `false` if the viewer has
    /// stalled and was dropped.
    async fn wait(&self, limit: Option<Duration>) -> bool {
        let woken = tokio::time::timeout(limit.unwrap_or(STALL), self.shared.wake.notified()).await;
        let stalled = woken.is_err()
            && self
                .shared
                .window()
                .stalls_at(STALL)
                .is_some_and(|at| at <= Instant::now());
        if stalled {
            self.hub.metrics.stalled.add(1);
            let reason = format!(
                "no played frame of {:?} was acknowledged for {} s",
                self.camera,
                STALL.as_secs()
            );
            self.hub.outbox().disconnect(&self.recipient, &reason);
        }
        !stalled
    }

    fn to(&self) -> Vec<Recipient> {
        vec![self.recipient.clone()]
    }

    fn send(&mut self, stored: &StoredFrame, found: Option<Found>) {
        // What was found in a frame that is not shown has a number of its own.
        let of_this = found.as_ref().is_some_and(|found| is_of(found, stored));
        let found_seq = self.next_seq;
        self.next_seq += u64::from(found.is_some() && !of_this);
        let seq = self.next_seq;
        self.next_seq += 1;
        let record = &stored.record;
        let frame = Frame {
            meta: ViewerFrameMeta {
                camera: self.camera.clone(),
                frame: FrameMeta {
                    seq,
                    captured_us: record.captured_us,
                    sent_us: None,
                    width: record.width.into(),
                    height: record.height.into(),
                    bytes: None,
                    paced: None,
                    annotated: record.annotated,
                },
                received_us: record.at_us,
            },
            jpeg: stored.jpeg.clone(),
        };
        let bytes = stored.jpeg.len();
        self.shared.window().sent(seq, bytes, Instant::now());
        self.at = record.at_us;
        let outbox = self.hub.outbox();
        outbox.send(self.to(), Message::Frame(&frame));
        if let Some(mut found) = found {
            found.detections.seq = if of_this { seq } else { found_seq };
            let message = ViewerDetections {
                camera: self.camera.clone(),
                detections: found.detections,
            };
            outbox.send(self.to(), Message::Detections(&message));
        }
    }

    /// Tells the position: at once where `now` says so or something has changed, else seldom.
    fn tell(&mut self, state: PlayState, rate: f32, now: bool) {
        let position = Position {
            camera: self.camera.clone(),
            at_us: self.at,
            state,
            rate,
        };
        let due = match &self.told {
            None => true,
            Some((_, told)) if *told == position => false,
            Some((at, told)) => now || told.state != state || at.elapsed() >= POSITION_SPACING,
        };
        if due {
            self.hub
                .outbox()
                .send(self.to(), Message::Position(&position));
            self.told = Some((Instant::now(), position));
        }
    }
}
