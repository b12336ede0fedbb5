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

pub mod archive;
pub mod cli;
mod config;
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

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use sockets::fuzzing;

pub use config::{Config, Limits, Token};
pub use server::{announce_page, serve};

use hub::Hub;

/// A relay that is ready to be served.
#[derive(Clone)]
pub struct Relay {
    router: Router,
    hub: Arc<Hub>,
    sockets: sockets::Sockets,
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

    async fn close_sockets(&self) {
        self.sockets.close().await;
    }
}

/// Builds a relay; nothing listens yet.
#[must_use]
pub fn app(config: Config) -> Relay {
    let archive = config.archive.clone();
    let (layer, hub, sockets) = sockets::layer(config);
    if let Some(archive) = &archive {
        archive::attach(archive, &hub);
    }
    Relay {
        router: http::router(hub.clone()).layer(layer),
        hub,
        sockets,
    }
}
