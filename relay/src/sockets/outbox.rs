//! The hub's way to viewers' sockets.

use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use cv_protocol::{
    CameraInfo, ClockSet, EventMessage, NAMESPACE_AGENTS, NAMESPACE_VIEWERS, event, tutorial,
};
use futures_util::FutureExt as _;
use socketioxide::SocketIo;
use socketioxide::operators::BroadcastOperators;

use super::viewers::Visit;
use crate::hub::{Frame, Message, Outbox, Recipient};

/// The room of viewers that may see every camera.
pub(super) const EVERYTHING: &str = "everything";

/// Another room holds one viewer each, so that a broadcast to many rooms encodes once for exactly those
/// viewers.
pub(super) struct SocketOutbox {
    io: SocketIo,
}

impl SocketOutbox {
    pub fn new(io: SocketIo) -> Self {
        Self { io }
    }

    fn viewers(&self) -> Option<BroadcastOperators> {
        self.io.of(NAMESPACE_VIEWERS)
    }
}

impl Outbox for SocketOutbox {
    fn send(&self, mut recipients: Vec<Recipient>, message: Message<'_>) {
        if let Message::Frame(frame) = message {
            send_by_lane(&mut recipients, frame);
            if recipients.is_empty() {
                return;
            }
        }
        let Some(viewers) = self.viewers() else {
            return;
        };
        let rooms: Vec<_> = recipients.iter().map(|to| to.room.clone()).collect();
        let to = viewers.within(rooms);
        // The local adapter is done when it returns: there is nothing to wait for. Errors are
        // sockets that close or are full, which their own handlers and the stall limit deal with.
        let _ = match message {
            Message::Frame(frame) => to
                .emit(event::FRAME, &(&frame.meta, &frame.jpeg))
                .now_or_never(),
            Message::Detections(detections) => {
                to.emit(event::DETECTIONS, detections).now_or_never()
            }
            Message::Stats(stats) => to.emit(event::STATS, stats).now_or_never(),
            Message::Text(text) => to.emit(event::TEXT, text).now_or_never(),
            Message::Position(position) => to.emit(event::POSITION, position).now_or_never(),
            Message::Tutorial(payload) => to
                .volatile()
                .emit(tutorial::SERVER2WEB, payload)
                .now_or_never(),
        };
    }

    fn send_cameras(&self, cameras: &[CameraInfo]) {
        if let Some(viewers) = self.viewers() {
            let _ = viewers
                .within(EVERYTHING)
                .emit(event::CAMERAS, &(cameras,))
                .now_or_never();
        }
        let others = self.viewers().map(|viewers| viewers.except(EVERYTHING));
        for socket in others.map(BroadcastOperators::sockets).unwrap_or_default() {
            let Some(visit) = socket.extensions.get::<Arc<Visit>>() else {
                continue;
            };
            let seen: Vec<_> = cameras
                .iter()
                .filter(|camera| visit.grant.cameras.include(&camera.name))
                .collect();
            // A socket that is full or closes needs no list.
            let _ = socket.emit(event::CAMERAS, &(seen,));
        }
    }

    fn send_clock_set(&self, set: ClockSet) {
        for namespace in [NAMESPACE_AGENTS, NAMESPACE_VIEWERS] {
            if let Some(everybody) = self.io.of(namespace) {
                let _ = everybody
                    .broadcast()
                    .emit(event::CLOCK, &set)
                    .now_or_never();
            }
        }
    }

    fn send_event(&self, message: &EventMessage) {
        let Some(viewers) = self.viewers() else {
            return;
        };
        for socket in viewers.broadcast().sockets() {
            let sees = |visit: Arc<Visit>| visit.grant.cameras.include(&message.event.camera);
            if socket.extensions.get::<Arc<Visit>>().is_some_and(sees) {
                // A socket that is full or closes needs no event.
                let _ = socket.emit(event::EVENT, message);
            }
        }
    }

    fn disconnect(&self, recipient: &Recipient, reason: &str) {
        let Some(viewers) = self.viewers() else {
            return;
        };
        for socket in viewers.within(vec![recipient.room.clone()]).sockets() {
            log::warn!("viewer {} dropped: {reason}", super::describe(&socket));
            super::say_last_words(socket, reason, true);
        }
    }
}

/// From so many viewers on, one copy of the picture for all of them costs less than what each write
/// of two pieces costs more than one of a single piece.
const COPY_FROM: usize = 8;

/// Sends a frame to those that have a lane for pictures, and takes them out of `recipients`.
fn send_by_lane(recipients: &mut Vec<Recipient>, frame: &Frame) {
    let copy = recipients.len() >= COPY_FROM;
    let mut encoded = None;
    recipients.retain(|recipient| {
        let Some(lane) = &recipient.lane else {
            return true;
        };
        lane.send(encoded.get_or_insert_with(|| encode(frame, copy)));
        false
    });
}

/// A `frame` event as two WebSocket messages of Engine.IO 4: a text (RFC 6455 opcode 1) with the
/// packet, and its attachment (opcode 2). The picture is a piece of its own unless it is to be
/// copied.
fn encode(frame: &Frame, copy: bool) -> Vec<Bytes> {
    // Names and numbers cannot fail to serialize.
    let meta = serde_json::to_string(&frame.meta).unwrap_or_default();
    let packet = format!(
        r#"451-{NAMESPACE_VIEWERS},["{}",{meta},{{"_placeholder":true,"num":0}}]"#,
        event::FRAME
    );
    let copied = if copy { frame.jpeg.len() } else { 0 };
    let mut bytes = BytesMut::with_capacity(packet.len() + 2 * MAX_HEAD_BYTES + copied);
    put_head(&mut bytes, OPCODE_TEXT, packet.len());
    bytes.put_slice(packet.as_bytes());
    put_head(&mut bytes, OPCODE_BINARY, frame.jpeg.len());
    if copy {
        bytes.put_slice(&frame.jpeg);
        vec![bytes.freeze()]
    } else {
        vec![bytes.freeze(), frame.jpeg.clone()]
    }
}

const OPCODE_TEXT: u8 = 1;
const OPCODE_BINARY: u8 = 2;
const MAX_HEAD_BYTES: usize = 10;

/// Head of an unfragmented message of a server (RFC 6455, 5.2).
fn put_head(out: &mut BytesMut, opcode: u8, length: usize) {
    const FINAL: u8 = 0x80;
    out.put_u8(FINAL | opcode);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..=125), _) => out.put_u8(short),
        (_, Ok(medium)) => {
            out.put_u8(126);
            out.put_u16(medium);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(length as u64);
        }
    }
}
