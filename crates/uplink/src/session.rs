//! One connection's life: what is sent when, and what the answers mean.
//!
//! Two loops share one task: one reads acknowledgements, demand and pings, one writes whatever is
//! the most urgent. Neither waits for the other, so a write that the network holds up keeps nobody
//! from noticing that the relay has been silent for too long.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cv_flow::{Clock, Window};
use cv_protocol::{
    Accepted, Ack, ClockExchange, ClockSet, Demand, Detections, FrameMeta, NAMESPACE_AGENTS, STALL,
    Timestamp, Waiting, event, tutorial::CV2SERVER,
};
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{self, Message};

use super::error::UplinkError;
use super::feed::{Drop, Feed};
use super::gate::Gate;
use super::link::{Link, Stop};
use super::packet::{self, Engine, Handshake, Packet};
use super::picture;
use super::reduce::Reducer;
use super::tutorial;
use super::wire::Wire;
use cv_picture::Frame;
use cv_picture::{ShrinkError, Shrinker};

/// Longest code that is shown, in characters.
const MAX_CODE: usize = 16;

/// The state of one connection.
pub struct Session<'a> {
    wire: Wire,
    feed: &'a Feed,
    link: &'a Link,
    /// Outlives the connection: a link does not become faster by connecting again.
    reducer: &'a Mutex<Reducer>,
    /// Longest time without an acknowledgement, and for a write.
    stall: Duration,
    shrinker: Mutex<Option<Shrinker>>,
    state: Mutex<State>,
}

struct State {
    window: Window,
    clock: Clock,
    next_clock: Instant,
    gate: Gate,
    /// Whether the relay knows frames that end early.
    cut_frames: bool,
    /// Whether the socket is in the middle of a picture.
    picture_open: bool,
    pong_due: bool,
    /// On a link that is too slow for pictures, detections must not take what little there is: at
    /// most one goes with each picture.
    detections_due: bool,
    /// The newest detections, where they are drawn into the pictures.
    drawn: Option<Detections>,
    /// When to ping a server that does not ping by itself.
    next_ping: Option<Instant>,
    /// A person has to accept us first: nothing is sent.
    waiting: bool,
}

/// What the writing loop does next.
enum Next {
    Text(String),
    Frame(Frame),
    Wait(Instant),
}

impl<'a> Session<'a> {
    pub fn new(wire: Wire, feed: &'a Feed, link: &'a Link, reducer: &'a Mutex<Reducer>) -> Self {
        Self {
            wire,
            feed,
            link,
            reducer,
            stall: STALL,
            shrinker: Mutex::default(),
            state: Mutex::new(State {
                window: Window::default(),
                clock: Clock::default(),
                next_clock: Instant::now(),
                gate: Gate::default(),
                cut_frames: false,
                picture_open: false,
                pong_due: false,
                detections_due: true,
                drawn: None,
                next_ping: None,
                waiting: false,
            }),
        }
    }

    /// Serves the connection until it breaks (an error) or `stop` is set.
    pub async fn run<S>(
        &self,
        socket: S,
        handshake: &Handshake,
        engine: Engine,
        stop: &mut Stop,
    ) -> Result<(), UplinkError>
    where
        S: Stream<Item = Result<Message, tungstenite::Error>>
            + Sink<Message, Error = tungstenite::Error>
            + Unpin,
    {
        let ping_interval = match engine {
            Engine::V3 => Some(handshake.ping_interval()),
            Engine::V4 => None,
        };
        self.lock().next_ping = ping_interval.map(|interval| Instant::now() + interval);
        let (mut sink, mut stream) = socket.split();
        let ended = tokio::select! {
            ended = self.read(&mut stream, handshake.silence_limit()) => ended,
            ended = self.write(&mut sink, ping_interval) => ended,
            stalled = self.watch_for_stall() => Err(stalled),
            () = stop.requested() => Ok(()),
        };
        self.feed.waits_for(Drop::Offline);
        if matches!(ended, Err(UplinkError::Timeout { .. })) {
            lock(self.reducer).stalled();
        }
        if ended.is_ok() {
            // The relay is told that this is no accident; whether it hears it is its own affair.
            let picture_open = self.lock().picture_open;
            let goodbye = async {
                if picture_open {
                    picture::finish(&mut sink).await?;
                }
                let text = Message::text(packet::disconnect(self.wire.namespace()));
                sink.send(text).await?;
                sink.close().await
            };
            let _ = timeout(Duration::from_millis(500), goodbye).await;
        }
        ended
    }

    async fn read<R>(&self, stream: &mut R, silence: Duration) -> Result<(), UplinkError>
    where
        R: Stream<Item = Result<Message, tungstenite::Error>> + Unpin,
    {
        loop {
            let message = timeout(silence, stream.next())
                .await
                .map_err(|_| UplinkError::timeout("sign of life from the relay", silence))?
                .ok_or(UplinkError::Closed)?
                .map_err(UplinkError::lost)?;
            match message {
                Message::Text(text) => self.handle(&text)?,
                Message::Close(_) => return Err(UplinkError::Closed),
                _ => {}
            }
        }
    }

    fn handle(&self, text: &str) -> Result<(), UplinkError> {
        match Packet::parse(text, self.wire.namespace())? {
            Packet::Ping => self.lock().pong_due = true,
            Packet::Closed => return Err(UplinkError::Closed),
            Packet::Refused(reason) => return Err(UplinkError::Refused(reason)),
            Packet::Acknowledged(seq) => self.acknowledged(seq),
            Packet::Event(name, Some(argument)) => match name.as_str() {
                event::ACK => {
                    if let Some(Ack { seq }) = read(argument) {
                        self.acknowledged(seq);
                    }
                }
                event::DEMAND => {
                    if let Some(demand) = read::<Demand>(argument) {
                        log::debug!(
                            "{} viewers, at most {:?} fps",
                            demand.viewers,
                            demand.max_fps
                        );
                        let mut state = self.lock();
                        state.cut_frames = demand.cut_frames;
                        state.gate.demand(demand);
                    }
                }
                event::CLOCK => self.clock_answered(argument),
                event::WAITING => {
                    if let Some(waiting) = read::<Waiting>(argument) {
                        self.wait_for_a_person(&waiting);
                    }
                }
                event::ACCEPTED => {
                    if let Some(accepted) = read::<Accepted>(argument) {
                        return Err(UplinkError::Accepted(accepted));
                    }
                }
                event::REFUSED => {
                    #[derive(Deserialize)]
                    struct Reason {
                        message: String,
                        #[serde(default)]
                        again: bool,
                    }
                    return Err(match read::<Reason>(argument) {
                        Some(Reason {
                            message,
                            again: true,
                        }) => UplinkError::Dropped(message),
                        Some(Reason { message, .. }) => UplinkError::Refused(message),
                        None => UplinkError::Refused(String::new()),
                    });
                }
                _ => {}
            },
            _ => {}
        }
        self.feed.wake();
        Ok(())
    }

    /// Shows the code to people, and sends nothing until one has accepted us.
    fn wait_for_a_person(&self, waiting: &Waiting) {
        let code: String = waiting
            .code
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(MAX_CODE)
            .collect();
        log::warn!(
            "Waiting to be accepted at the relay, code {code}: accept it on the relay's page, or there with: cv-relay agents accept NAME"
        );
        let mut state = self.lock();
        state.waiting = true;
        // What was sent before is not heard, so nothing of it will be acknowledged.
        state.window = Window::default();
        drop(state);
        self.feed.waits_for(Drop::Offline);
        self.link.update(|status| {
            status.connected = false;
            status.failure = Some(format!("waiting to be accepted there, code {code}"));
        });
    }

    fn acknowledged(&self, seq: u64) {
        let now = Instant::now();
        let mut state = self.lock();
        let Some(delivery) = state.window.acknowledge(seq, now) else {
            return;
        };
        let round_trip = state.window.round_trip();
        drop(state);
        self.link.update(|status| status.round_trip = round_trip);
        let mut reducer = lock(self.reducer);
        if reducer.delivered(delivery, now) && reducer.reduction().is_none() {
            log::info!("The link carries the camera's own pictures again");
            self.link.update(|status| status.reduced_to = None);
        }
    }

    fn clock_answered(&self, argument: &RawValue) {
        let now = Timestamp::now();
        let answer = read::<ClockExchange>(argument).and_then(|exchange| exchange.offset(now));
        let mut state = self.lock();
        if let Some(ClockSet { set_by_us }) = read(argument) {
            state.clock.set_by(set_by_us);
        } else if let Some((offset_us, round_trip)) = answer {
            state.clock.learn(offset_us, round_trip);
        } else {
            return;
        }
        let offset_us = state.clock.offset_us();
        let round_trip = state.clock.round_trip();
        drop(state);
        if let Some(round_trip) = round_trip {
            self.link.shortest.measured(round_trip);
        }
        self.link
            .update(|status| status.clock_offset_us = offset_us);
    }

    /// Returns when frames have been in flight for too long without an acknowledgement.
    async fn watch_for_stall(&self) -> UplinkError {
        loop {
            let stalls_at = self.lock().window.stalls_at(self.stall);
            match stalls_at {
                Some(end) if end <= Instant::now() => {
                    return UplinkError::timeout(self.wire.acknowledgement(), self.stall);
                }
                Some(end) => sleep_until(end.into()).await,
                // A frame sent meanwhile is noticed this much late.
                None => sleep(self.stall / 40).await,
            }
        }
    }

    async fn write<W>(
        &self,
        sink: &mut W,
        ping_interval: Option<Duration>,
    ) -> Result<(), UplinkError>
    where
        W: Sink<Message, Error = tungstenite::Error> + Unpin,
    {
        loop {
            match self.next(ping_interval)? {
                Next::Text(text) => self.write_in_time(sink.send(Message::text(text))).await?,
                Next::Frame(frame) => self.send_frame(sink, frame).await?,
                Next::Wait(until) => tokio::select! {
                    () = self.feed.changed() => {}
                    () = sleep_until(until.into()) => {}
                },
            }
        }
    }

    /// The most urgent thing to do.
    fn next(&self, ping_interval: Option<Duration>) -> Result<Next, UplinkError> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let now = Instant::now();
        if std::mem::take(&mut state.pong_due) {
            return Ok(Next::Text(packet::PONG.into()));
        }
        if let (Some(due), Some(interval)) = (state.next_ping, ping_interval)
            && due <= now
        {
            state.next_ping = Some(now + interval);
            return Ok(Next::Text(packet::PING.into()));
        }
        if state.waiting {
            return Ok(Next::Wait(now + self.stall));
        }
        let wait = match self.wire {
            Wire::Relay => {
                if let Some(text) = self.next_message(state, now)? {
                    return Ok(Next::Text(text));
                }
                state.next_clock
            }
            Wire::Tutorial | Wire::TutorialCv => {
                if let Some(detections) = self.feed.take_detections() {
                    state.drawn = Some(detections);
                }
                drop(self.feed.take_stats());
                state.next_ping.unwrap_or(now + self.stall)
            }
        };
        if !state.window.is_open() {
            if self.feed.waits_for(Drop::Link) {
                state.window.hold_back();
            }
        } else if let Some(frame) = self.feed.take_frame() {
            match state.gate.admit(&frame, self.link.stream_fps(), now) {
                Ok(()) => return Ok(Next::Frame(frame)),
                Err(reason) => self.feed.count(reason),
            }
        }
        Ok(Next::Wait(wait))
    }

    /// What is to be said to a relay besides pictures.
    fn next_message(&self, state: &mut State, now: Instant) -> Result<Option<String>, UplinkError> {
        if state.next_clock <= now {
            state.next_clock = state.clock.next_question(now);
            let question = ClockExchange {
                t0: Timestamp::now(),
                t1: None,
                t2: None,
            };
            return text(event::CLOCK, &question);
        }
        if state.detections_due
            && let Some(detections) = self.feed.take_detections()
        {
            state.detections_due = lock(self.reducer).reduction().is_none();
            return text(event::DETECTIONS, &detections);
        }
        if let Some(stats) = self.feed.take_stats() {
            return text(event::STATS, &stats);
        }
        Ok(None)
    }

    async fn send_frame<W>(&self, sink: &mut W, frame: Frame) -> Result<(), UplinkError>
    where
        W: Sink<Message, Error = tungstenite::Error> + Unpin,
    {
        match self.wire {
            Wire::Relay => {
                let Some(frame) = self.reduced(frame).await else {
                    return Ok(());
                };
                return self.send_picture(sink, frame).await;
            }
            Wire::Tutorial | Wire::TutorialCv => {
                let detections = self.lock().drawn.clone();
                let Frame { seq, jpeg, .. } = frame;
                let made = self.compute(move |shrinker| {
                    tutorial::payload(shrinker, &jpeg, detections.as_ref())
                });
                let Some(payload) = made.await else {
                    return Ok(());
                };
                let namespace = self.wire.namespace();
                let text = packet::event_text(namespace, Some(seq), CV2SERVER, &payload)?;
                self.sending(seq, text.len());
                self.write_in_time(sink.send(Message::text(text))).await?;
            }
        }
        self.link.frame_sent();
        Ok(())
    }

    async fn send_picture<W>(&self, sink: &mut W, frame: Frame) -> Result<(), UplinkError>
    where
        W: Sink<Message, Error = tungstenite::Error> + Unpin,
    {
        let bytes = frame.jpeg.len();
        let may_cut = self.lock().cut_frames && lock(self.reducer).can_shrink();
        let part = picture::part(bytes).filter(|_| may_cut);
        let meta = FrameMeta {
            seq: frame.seq,
            captured_us: frame.captured_at,
            sent_us: Some(Timestamp::now()),
            width: frame.resolution.width,
            height: frame.resolution.height,
            bytes: part.map(|_| bytes as u64),
            paced: Some(self.feed.paced()),
            annotated: false,
        };
        let header = packet::event_header(NAMESPACE_AGENTS, event::FRAME, &meta)?;
        self.sending(frame.seq, bytes);
        let sent = match part {
            Some(part) => {
                let open = |open| self.lock().picture_open = open;
                self.write_in_time(picture::send(sink, header, frame.jpeg, part, open))
                    .await?
            }
            None => {
                self.write_in_time(send_pair(sink, header, frame.jpeg))
                    .await?;
                bytes
            }
        };
        if sent == bytes {
            self.link.frame_sent();
        } else {
            log::debug!("Gave up frame {} after {sent} of {bytes} bytes", frame.seq);
            self.feed.count(Drop::Link);
            self.lock().window.cut(sent);
            lock(self.reducer).gave_up(Instant::now());
        }
        Ok(())
    }

    /// A picture of so many bytes is handed to the socket.
    fn sending(&self, seq: u64, bytes: usize) {
        let mut state = self.lock();
        state.window.sent(seq, bytes, Instant::now());
        state.detections_due = true;
    }

    /// The frame as the link can carry it; `None`, counted, if it cannot be made smaller.
    async fn reduced(&self, frame: Frame) -> Option<Frame> {
        let reduction = {
            let mut reducer = lock(self.reducer);
            reducer.captured(frame.jpeg.len());
            reducer.reduction()
        };
        let Some(reduction) = reduction else {
            return Some(frame);
        };
        let jpeg = frame.jpeg.clone();
        let (jpeg, resolution) = self
            .compute(move |shrinker| shrinker.shrink(&jpeg, reduction))
            .await?;
        {
            let mut reducer = lock(self.reducer);
            if reducer.reduction() != Some(reduction) {
                // The link has changed meanwhile: this is the last picture of this size.
                return Some(Frame {
                    jpeg,
                    resolution,
                    ..frame
                });
            }
            reducer.reduced(jpeg.len());
        }
        let size = resolution.to_string();
        let before = self.link.status().reduced_to;
        if before.as_deref() != Some(&size) {
            log::info!("The link is slow: pictures are reduced to {size}");
            self.link.update(|status| status.reduced_to = Some(size));
        }
        Some(Frame {
            jpeg,
            resolution,
            ..frame
        })
    }

    /// Computes for some milliseconds without holding up the answers to pings; `None`, counted, if
    /// nothing comes out.
    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Shrinker) -> Result<T, ShrinkError> + Send + 'static,
    ) -> Option<T> {
        let mut shrinker = lock(&self.shrinker).take().unwrap_or_default();
        let task = spawn_blocking(move || (work(&mut shrinker), shrinker));
        let made = match task.await {
            Ok((made, shrinker)) => {
                *lock(&self.shrinker) = Some(shrinker);
                made.map_err(|err| err.to_string())
            }
            Err(err) => Err(err.to_string()),
        };
        made.map_err(|err| {
            log::debug!("A frame is left out: {err}");
            self.feed.count(Drop::Unsendable);
        })
        .ok()
    }

    async fn write_in_time<T>(
        &self,
        write: impl Future<Output = Result<T, tungstenite::Error>>,
    ) -> Result<T, UplinkError> {
        timeout(self.stall, write)
            .await
            .map_err(|_| UplinkError::timeout("progress in sending", self.stall))?
            .map_err(UplinkError::lost)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Header and attachment in one flush, with nothing in between.
async fn send_pair<W>(sink: &mut W, header: String, jpeg: Bytes) -> Result<(), tungstenite::Error>
where
    W: Sink<Message, Error = tungstenite::Error> + Unpin,
{
    sink.feed(Message::text(header)).await?;
    sink.feed(Message::Binary(jpeg)).await?;
    sink.flush().await
}

fn text(name: &str, argument: &impl Serialize) -> Result<Option<String>, UplinkError> {
    let text = packet::event_text(NAMESPACE_AGENTS, None, name, argument)?;
    Ok(Some(text))
}

/// An argument that does not have the expected shape is as good as none.
fn read<'a, T: Deserialize<'a>>(argument: &'a RawValue) -> Option<T> {
    serde_json::from_str(argument.get()).ok()
}

#[cfg(test)]
mod tests;
