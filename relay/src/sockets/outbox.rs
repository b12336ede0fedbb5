//! The hub's way to viewers' sockets.

use cv_protocol::{CameraInfo, NAMESPACE_VIEWERS, event, tutorial};
use futures_util::FutureExt as _;
use socketioxide::SocketIo;
use socketioxide::operators::BroadcastOperators;

use crate::hub::{Message, Outbox, Recipient};

/// A room holds one viewer each, so that a broadcast to many rooms encodes once for exactly those
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
    fn send(&self, recipients: Vec<Recipient>, message: Message<'_>) {
        let Some(viewers) = self.viewers() else {
            return;
        };
        let to = viewers.within(recipients);
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
            Message::Tutorial(payload) => to
                .volatile()
                .emit(tutorial::SERVER2WEB, payload)
                .now_or_never(),
        };
    }

    fn send_cameras(&self, cameras: &[CameraInfo]) {
        if let Some(viewers) = self.viewers() {
            let _ = viewers
                .broadcast()
                .emit(event::CAMERAS, &(cameras,))
                .now_or_never();
        }
    }

    fn disconnect(&self, recipient: &Recipient, reason: &str) {
        let Some(viewers) = self.viewers() else {
            return;
        };
        for socket in viewers.within(vec![recipient.clone()]).sockets() {
            log::warn!("viewer {} dropped: {reason}", super::describe(&socket));
            super::say_last_words(socket, reason);
        }
    }
}
