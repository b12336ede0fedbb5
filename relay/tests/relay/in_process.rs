//! Frames from this process, as the streamer on a board feeds them.

use cv_protocol::{FrameMeta, Stats, Timestamp};
use cv_relay::Config;
use cv_relay::hub::FrameRefused;

use crate::client::{Server, jpeg};

fn meta(seq: u64) -> FrameMeta {
    FrameMeta {
        seq,
        captured_us: Timestamp::now(),
        sent_us: None,
        width: 640,
        height: 480,
        bytes: None,
        paced: None,
        annotated: false,
    }
}

#[tokio::test]
async fn a_camera_of_this_process_is_like_any_other() {
    let server = Server::start(Config::default()).await;
    let camera = server.hub.publish("board", |_| ()).unwrap();
    camera.stats(Stats {
        clock_offset_us: Some(0),
        ..Stats::default()
    });
    let mut demand = camera.demand();
    assert_eq!(demand.borrow_and_update().viewers, 0);
    let mut viewer = server.watching("board").await;
    demand.wait_for(|demand| demand.viewers == 1).await.unwrap();
    let picture = jpeg(3000);
    camera.frame(meta(0), picture.clone()).unwrap();
    let frame = viewer.event("frame").await;
    assert_eq!(frame.attachment, Some(picture));
    drop(viewer);
    demand.wait_for(|demand| demand.viewers == 0).await.unwrap();

    let (evicted, reason) = std::sync::mpsc::channel();
    drop(camera);
    let camera = server
        .hub
        .publish("board", move |why| evicted.send(why.to_owned()).unwrap())
        .unwrap();
    let _other = server.agent("board").await;
    assert!(reason.recv().unwrap().contains("taken over"));
    assert_eq!(
        camera.frame(meta(1), jpeg(100)),
        Err(FrameRefused::Superseded)
    );
}

#[tokio::test]
async fn the_picture_is_not_copied_on_its_way_to_viewers() {
    let server = Server::start(Config::default()).await;
    let camera = server.hub.publish("board", |_| ()).unwrap();
    let picture = jpeg(3000);
    camera.frame(meta(0), picture.clone()).unwrap();
    let held = server.hub.camera("board").unwrap().newest().unwrap();
    assert_eq!(held.jpeg.as_ptr(), picture.as_ptr());
}
