//! Relays live annotated video from cv-agent to browsers.
//!
//! ```text
//!  agents --- /cv ---> sockets -> hub: newest frame and detections per camera
//!                                  |        one credit window per viewer and camera
//!  viewers <-- /web -- sockets <---+---> http: page, MJPEG, snapshots, cameras, health, metrics
//! ```
//!
//! `sockets` is the only module that names `socketioxide`; `server` accepts connections, `peer` is
//! one of them. Nothing waits for a viewer: frames that it has no place for are replaced, not queued.
//! Tasks: one or two for each connection (its reader and writer), and one that keeps house.
//!
//! The same library serves the page on a board: see [`hub::Publisher`] for feeding frames from the
//! same process, and [`serve`].
#![forbid(unsafe_code)]

mod announce;
pub mod archive;
pub mod cli;
mod config;
mod descriptors;
pub mod doors;
mod http;
pub mod hub;
mod jpeg;
mod metrics;
pub mod peer;
mod server;
mod sockets;
mod tutorial;

use std::sync::Arc;

use axum::Router;
use doors::Doors;

pub use announce::announce_doors;
pub use config::{Config, Limits, Open, Token};
pub use server::{announce_page, serve};
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use sockets::fuzzing;

use hub::Hub;

/// A relay that is ready to be served.
#[derive(Clone)]
pub struct Relay {
    router: Router,
    hub: Arc<Hub>,
    sockets: sockets::Sockets,
    doors: Arc<Doors>,
}

impl Relay {
    /// Everything on the relay's port, for a server of one's own (or a test); [`serve`] is better.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// Its cameras and viewers.
    #[must_use]
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Who may come in.
    #[must_use]
    pub fn doors(&self) -> &Arc<Doors> {
        &self.doors
    }

    /// Keeps the hub in order, and ends what was granted when rights change. Runs until it is
    /// cancelled.
    async fn keep_house(self) {
        tokio::join!(self.hub.clone().keep_house(), self.mind_rights());
    }

    async fn mind_rights(&self) {
        let mut changes = self.doors.access().map(|access| access.changes());
        let mut told = Vec::new();
        loop {
            let changed = async {
                match &mut changes {
                    Some(changes) => changes.changed().await.is_ok(),
                    None => std::future::pending().await,
                }
            };
            // Sessions, tokens and links end by themselves too.
            let look = tokio::time::timeout(doors::LOOK_AGAIN, changed);
            if look.await == Ok(false) {
                return;
            }
            self.sockets.look_again(&self.doors);
            self.doors.rights_may_have_changed();
            let waiting = sockets::waiting(&self.doors);
            if waiting != told {
                self.sockets.tell_waiting(&waiting);
                told = waiting;
            }
        }
    }

    async fn close_sockets(&self) {
        self.sockets.close().await;
    }
}

/// Builds a relay; nothing listens yet.
#[must_use]
pub fn app(config: Config) -> Relay {
    let archive = config.archive.clone();
    let doors = Doors::new(&config);
    let (layer, hub, sockets) = sockets::layer(config, &doors);
    if let Some(archive) = &archive {
        archive::attach(archive, &hub);
    }
    Relay {
        router: http::router(hub.clone(), doors.clone()).layer(layer),
        hub,
        sockets,
        doors,
    }
}
