//! The relay's memory: [`cv_archive`] behind the hub, HTTP and Socket.IO.
//!
//! ```text
//!  hub: frames, detections --> tap.rs --> cv_archive --> events --> `event` on /web
//!  /api/events, timeline, rules, clips --> http/ ---+
//!  /web play, seek, pause, live --> playing.rs -----+--> reads on tokio's blocking threads
//! ```
//!
//! Nothing of it runs, and nothing is opened, unless there is an archive.

mod args;
mod commands;
mod http;
mod metrics;
mod playing;
mod tap;
mod told;

use std::sync::Arc;
use std::time::Duration;

use cv_archive::Archive;
use cv_protocol::EventMessage;

pub use args::ArchiveArgs;
pub use commands::{ArchiveAction, ArchiveCommand};
pub(crate) use http::routes;
pub(crate) use playing::Players;

use crate::hub::Hub;

/// How often viewers are told that recordings began, stopped or are at fault.
const LOOK: Duration = Duration::from_secs(1);

/// Records what the hub's cameras bring, and tells viewers of events.
pub(crate) fn attach(archive: &Arc<Archive>, hub: &Arc<Hub>) {
    hub.record_with(Box::new(tap::ArchiveRecorder(archive.clone())));
    // Weak: the hub holds the archive.
    let viewers = Arc::downgrade(hub);
    archive.listen(move |change, event| {
        if let Some(hub) = viewers.upgrade() {
            hub.outbox().send_event(&EventMessage {
                change: told::change(change),
                event: told::event(event),
            });
        }
    });
}

/// Tells viewers when recordings change. Runs until it is cancelled.
pub(crate) async fn keep_told(archive: Arc<Archive>, hub: Arc<Hub>) {
    let mut tick = tokio::time::interval(LOOK);
    let mut before = Vec::new();
    loop {
        tick.tick().await;
        let now: Vec<_> = hub.cameras().into_iter().map(|c| c.recording).collect();
        if now != before {
            hub.list_changed();
            before = now;
        }
        // Rules that another process has written may change what is recorded.
        for camera in archive.take_changed_rules() {
            hub.recording_changed(&camera);
        }
    }
}
