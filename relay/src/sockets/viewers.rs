//! Viewers, on `/web`.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use cv_protocol::{Denied, Live, Pause, Play, Seek, Shown, Unwatch, Watch, event};
use serde::Deserialize;
use socketioxide::ProtocolVersion;
use socketioxide::extract::SocketRef;
use socketioxide::handler::Value;
use socketioxide::socket::{DisconnectReason, Socket};

use super::outbox::EVERYTHING;
use super::{Greeter, On, adoption, answer_clock, argument, describe, offered, refuse};
use crate::archive::Players;
use crate::doors::{self, Doors, Grant, Offered};
use crate::hub::{Address, Hub, Viewer};
use crate::peer::Peer;

/// A viewer that has not sent `watch` by then is taken for the tutorial's page.
const CHOOSE_WITHIN: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(super) struct Viewers(pub Arc<Hub>, pub Arc<Doors>);

/// What a viewer was let in with; looked at again when rights change.
pub(super) struct Visit {
    pub offered: Offered,
    pub grant: Grant,
}

#[derive(Default, Deserialize)]
struct Auth {
    token: Option<String>,
}

impl Greeter for Viewers {
    fn admit(&self, socket: &Arc<Socket>, auth: Option<&str>) -> Result<(), String> {
        let Self(hub, doors) = self;
        let auth: Auth = match auth {
            Some(text) => serde_json::from_str(text).map_err(|err| format!("auth: {err}"))?,
            None => Auth::default(),
        };
        let offered = offered(socket, auth.token.as_deref());
        let grant = doors
            .view(&offered)
            .map_err(|denied| denied.reason().to_owned())?;
        let address = Address {
            room: Cow::Owned(socket.id.to_string()),
            lane: lane_of(socket),
        };
        let viewer = hub.admit(address.into()).map_err(|err| err.to_string())?;
        let viewer = Arc::new(viewer);
        // The room holds this viewer alone; see the outbox.
        socket.join(socket.id);
        if grant.cameras.are_all() {
            socket.join(EVERYTHING);
        }
        socket.extensions.insert(viewer.clone());
        socket.extensions.insert(Arc::new(Visit { offered, grant }));
        answer_clock(socket);

        on_viewer(
            hub,
            &viewer,
            socket,
            event::WATCH,
            move |socket, viewer, watch: Watch| {
                if may_see(socket, &watch.camera) {
                    return viewer.watch(&watch).map_err(|err| err.to_string());
                }
                Ok(())
            },
        );
        let archive = hub.config().archive.as_ref();
        let players = Arc::new(Players::new(hub, archive, viewer.recipient().clone()));
        let of_players = players.clone();
        on_viewer(
            hub,
            &viewer,
            socket,
            event::UNWATCH,
            |_, viewer, unwatch: Unwatch| {
                viewer.unwatch(&unwatch.camera);
                Ok(())
            },
        );
        on_viewer(
            hub,
            &viewer,
            socket,
            event::SHOWN,
            move |_, viewer, shown: Shown| {
                if !of_players.shown(&shown) {
                    viewer.shown(&shown);
                }
                Ok(())
            },
        );
        play_recordings(hub, &viewer, &players, socket);
        let hub = hub.clone();
        socket.on_disconnect(async move |socket: SocketRef, reason: DisconnectReason| {
            // Ends what it watches before it is counted.
            socket.extensions.clear();
            players.stop_all();
            drop(viewer);
            log::info!(
                "viewer disconnected: {} ({reason:?}); {} are connected",
                describe(&socket),
                hub.viewers()
            );
        });
        Ok(())
    }

    fn greet(&self, socket: &Arc<Socket>) {
        log::info!(
            "viewer connected: {}; {} are connected",
            describe(socket),
            self.0.viewers()
        );
        let Some((viewer, visit)) = socket
            .extensions
            .get::<Arc<Viewer>>()
            .zip(socket.extensions.get::<Arc<Visit>>())
        else {
            return;
        };
        let mut cameras = self.0.cameras();
        cameras.retain(|camera| visit.grant.cameras.include(&camera.name));
        // Fails only if the socket closes already.
        let _ = socket.emit(event::CAMERAS, &(cameras,));
        if visit.grant.is_admin() {
            adoption::tell(socket, &adoption::list(&self.1));
        }
        if !visit.grant.cameras.are_all() {
            // The tutorial's page is moved from camera to camera as they come and go.
            return;
        }
        let wanted = query_value(socket, "camera");
        let viewer = Arc::downgrade(&viewer);
        tokio::spawn(async move {
            tokio::time::sleep(CHOOSE_WITHIN).await;
            if let Some(viewer) = viewer.upgrade() {
                viewer.follow_as_tutorial(wanted.as_deref());
            }
        });
    }
}

/// Takes `play`, `pause`, `seek` and `live`.
fn play_recordings(
    hub: &Arc<Hub>,
    viewer: &Arc<Viewer>,
    players: &Arc<Players>,
    socket: &Arc<Socket>,
) {
    let of_play = players.clone();
    on_viewer(
        hub,
        viewer,
        socket,
        event::PLAY,
        move |socket, viewer, play: Play| {
            if !may_see(socket, &play.camera) {
                return Ok(());
            }
            of_play.play(&play)?;
            // The past takes the place of the present.
            viewer.unwatch(&play.camera);
            Ok(())
        },
    );
    let of_pause = players.clone();
    on_viewer(
        hub,
        viewer,
        socket,
        event::PAUSE,
        move |_, _, pause: Pause| {
            of_pause.pause(&pause);
            Ok(())
        },
    );
    let of_seek = players.clone();
    on_viewer(hub, viewer, socket, event::SEEK, move |_, _, seek: Seek| {
        of_seek.seek(&seek);
        Ok(())
    });
    let of_live = players.clone();
    on_viewer(
        hub,
        viewer,
        socket,
        event::LIVE,
        move |socket, viewer, live: Live| {
            if !may_see(socket, &live.camera) {
                return Ok(());
            }
            of_live.stop(&live.camera);
            let watch = Watch {
                camera: live.camera,
                max_fps: live.max_fps,
            };
            viewer.watch(&watch).map_err(|err| err.to_string())
        },
    );
}

/// Whether the viewer may see a camera; if not, the viewer is told.
fn may_see(socket: &Socket, camera: &str) -> bool {
    let visit = socket.extensions.get::<Arc<Visit>>();
    if visit.is_some_and(|visit| visit.grant.cameras.include(camera)) {
        return true;
    }
    let denied = Denied {
        camera: camera.to_owned(),
        message: doors::Denied::camera(camera).reason().to_owned(),
    };
    // A socket that is full or closes shows nothing anyway.
    let _ = socket.emit(event::DENIED, &denied);
    false
}

/// Calls `handle` for each `event` of the viewer; an error refuses the viewer.
fn on_viewer<T: serde::de::DeserializeOwned + 'static>(
    hub: &Arc<Hub>,
    viewer: &Arc<Viewer>,
    socket: &Arc<Socket>,
    event: &'static str,
    handle: impl Fn(&Arc<Socket>, &Viewer, T) -> Result<(), String> + Send + Sync + 'static,
) {
    let hub = hub.clone();
    // Weak: handlers live as long as the socket, which must not keep the viewer alive.
    let viewer = Arc::downgrade(viewer);
    socket.on(
        event,
        On(move |socket: &Arc<Socket>, value: &Value| {
            let Some(viewer) = viewer.upgrade() else {
                return;
            };
            let handled = argument(value)
                .map_err(|err| format!("{event}: {err}"))
                .and_then(|argument| handle(socket, &viewer, argument));
            if let Err(reason) = handled {
                refuse(&hub, socket, &reason);
            }
        }),
    );
}

/// The lane for pictures: a WebSocket that began as one, with Engine.IO 4.
///
/// A session that began with polling and was upgraded is known by the polling request, whose
/// connection is another one; in Engine.IO 3 attachments carry a byte of their own.
fn lane_of(socket: &Socket) -> Option<Peer> {
    let began_as_websocket = query_value(socket, "transport").as_deref() == Some("websocket");
    Peer::of(&socket.req_parts().extensions)
        .filter(|_| began_as_websocket && socket.protocol() == ProtocolVersion::V5)
        .cloned()
}

/// A value from the query of the connection's URL.
fn query_value(socket: &Socket, key: &str) -> Option<String> {
    let uri = &socket.req_parts().uri;
    axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri)
        .ok()?
        .0
        .into_iter()
        .find_map(|(name, value)| (name == key).then_some(value))
}
