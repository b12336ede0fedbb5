use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use cv_protocol::{MAX_FRAME_BYTES, Stats};
use tokio::sync::{mpsc, watch};
use tokio::time::Sleep;

use super::*;
use crate::Stop;
use cv_picture::Resolution;

const SOON: Duration = Duration::from_secs(10);

/// A WebSocket in memory. What is sent comes out of `Peer`, unless it refuses to read.
struct Memory {
    incoming: mpsc::UnboundedReceiver<Message>,
    outgoing: mpsc::UnboundedSender<Message>,
    /// Time that each message takes to leave.
    pause: watch::Receiver<Duration>,
    leaves: Pin<Box<Sleep>>,
}

struct Peer {
    to_agent: mpsc::UnboundedSender<Message>,
    from_agent: mpsc::UnboundedReceiver<Message>,
    pause: watch::Sender<Duration>,
}

fn pair() -> (Memory, Peer) {
    let (to_agent, incoming) = mpsc::unbounded_channel();
    let (outgoing, from_agent) = mpsc::unbounded_channel();
    let (sender, pause) = watch::channel(Duration::ZERO);
    (
        Memory {
            incoming,
            outgoing,
            pause,
            leaves: Box::pin(sleep(Duration::ZERO)),
        },
        Peer {
            to_agent,
            from_agent,
            pause: sender,
        },
    )
}

impl Stream for Memory {
    type Item = Result<Message, tungstenite::Error>;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.incoming.poll_recv(cx).map(|message| message.map(Ok))
    }
}

impl Sink<Message> for Memory {
    type Error = tungstenite::Error;
    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if self.pause.borrow().is_zero() {
            return Poll::Ready(Ok(()));
        }
        self.leaves.as_mut().poll(cx).map(Ok)
    }
    fn start_send(mut self: Pin<&mut Self>, item: Message) -> Result<(), Self::Error> {
        let pause = *self.pause.borrow();
        self.leaves
            .as_mut()
            .reset(tokio::time::Instant::now() + pause);
        self.outgoing
            .send(item)
            .map_err(|_| tungstenite::Error::ConnectionClosed)
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.poll_ready(cx)
    }
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.poll_ready(cx)
    }
}

impl Peer {
    fn say(&self, text: &str) {
        self.to_agent.send(Message::text(text)).unwrap();
    }

    /// The next message of an event with this name, skipping others.
    async fn event(&mut self, name: &str) -> String {
        let start = format!("[\"{name}\",");
        loop {
            let message = timeout(SOON, self.from_agent.recv())
                .await
                .unwrap()
                .unwrap();
            if let Message::Text(text) = message
                && text.contains(&start)
            {
                return text.to_string();
            }
        }
    }

    async fn text(&mut self, wanted: &str) {
        loop {
            let message = timeout(SOON, self.from_agent.recv())
                .await
                .unwrap()
                .unwrap();
            if matches!(message, Message::Text(text) if text == wanted) {
                return;
            }
        }
    }

    /// The next frame: its header, and its attachment, which must be the next message.
    async fn frame(&mut self) -> (String, Bytes) {
        let header = self.event("frame").await;
        match self.from_agent.recv().await {
            Some(Message::Binary(jpeg)) => (header, jpeg),
            other => panic!("{header} is followed by {other:?}"),
        }
    }

    /// The next frame that comes in parts: its header, and the parts, which must be next.
    async fn parts(&mut self) -> (String, Vec<Bytes>) {
        let header = self.event("frame").await;
        let mut parts = Vec::new();
        loop {
            match timeout(SOON, self.from_agent.recv()).await.unwrap() {
                Some(Message::Frame(part)) => {
                    let last = part.header().is_final;
                    parts.push(part.into_payload());
                    if last {
                        return (header, parts);
                    }
                }
                other => panic!("{header} is followed by {other:?}"),
            }
        }
    }
}

fn frame(seq: u64, jpeg: Bytes) -> Frame {
    Frame {
        seq,
        captured_at: Timestamp(1),
        resolution: Resolution {
            width: 64,
            height: 48,
        },
        jpeg,
    }
}

/// A relay's demand that allows to end frames early.
const CUT_FRAMES: &str = r#"42/cv,["demand",{"viewers":1,"cut_frames":true}]"#;

/// A picture of 640x480 that compresses badly.
fn noise() -> Bytes {
    let mut random = fastrand::Rng::with_seed(1);
    let pixels: Vec<u8> = (0..640 * 480).map(|_| random.u8(..)).collect();
    let mut jpeg = Vec::new();
    jpeg_encoder::Encoder::new(&mut jpeg, 90)
        .encode(&pixels, 640, 480, jpeg_encoder::ColorType::Luma)
        .unwrap();
    jpeg.into()
}

struct Agent {
    feed: Arc<Feed>,
    link: Arc<Link>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<Result<(), UplinkError>>,
}

fn start(stream_fps: f32, stall: Duration) -> (Agent, Peer) {
    let (memory, peer) = pair();
    let feed = Arc::new(Feed::default());
    let link = Arc::new(Link::new(stream_fps));
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn({
        let (feed, link) = (feed.clone(), link.clone());
        async move {
            let reducer = Mutex::new(Reducer::new());
            let mut session = Session::new(Wire::Relay, &feed, &link, &reducer);
            session.stall = stall;
            let handshake =
                serde_json::from_str(r#"{"pingInterval":25000,"pingTimeout":20000}"#).unwrap();
            session
                .run(memory, &handshake, Engine::V4, &mut Stop::new(stopped))
                .await
        }
    });
    let agent = Agent {
        feed,
        link,
        stop,
        task,
    };
    (agent, peer)
}

#[tokio::test]
async fn the_socket_gets_the_very_bytes_that_were_captured() {
    let (agent, mut peer) = start(240.0, SOON);
    let jpeg = Bytes::from(vec![0xAB; 100_000]);
    let address = jpeg.as_ptr();
    agent.feed.put_frame(frame(7, jpeg));
    let (header, sent) = peer.frame().await;
    assert_eq!(sent.as_ptr(), address, "the picture was copied");
    assert!(header.contains(r#""seq":7"#), "{header}");
    assert_eq!(agent.link.frames_sent(), 1);
}

#[tokio::test]
async fn a_picture_in_parts_is_not_copied_either() {
    let (agent, mut peer) = start(240.0, SOON);
    peer.say(CUT_FRAMES);
    peer.say("2");
    peer.text("3").await;
    let jpeg = Bytes::from(vec![0xAB; 100_000]);
    agent.feed.put_frame(frame(7, jpeg.clone()));
    let (header, parts) = peer.parts().await;
    assert!(header.contains(r#""bytes":100000"#), "{header}");
    assert!(parts.len() > 1, "{}", parts.len());
    let mut address = jpeg.as_ptr();
    for part in &parts {
        assert_eq!(part.as_ptr(), address, "a part was copied");
        address = address.wrapping_add(part.len());
    }
    assert_eq!(address, jpeg.as_ptr_range().end);
    peer.say(r#"42/cv,["ack",{"seq":7}]"#);

    // A small one is not worth it, and tells its length by itself. The rate allows one every 4 ms.
    sleep(Duration::from_millis(20)).await;
    agent.feed.put_frame(frame(8, Bytes::from_static(b"jpeg")));
    let (header, _) = peer.frame().await;
    assert!(!header.contains("bytes"), "{header}");
}

#[tokio::test]
async fn a_picture_that_a_link_cannot_carry_any_more_is_given_up_and_small_ones_follow() {
    let (agent, mut peer) = start(240.0, SOON);
    peer.say(CUT_FRAMES);
    peer.say("2");
    peer.text("3").await;
    peer.pause.send(Duration::from_millis(150)).unwrap();
    let jpeg = noise();
    agent.feed.put_frame(frame(0, jpeg.clone()));
    let (header, parts) = peer.parts().await;
    assert!(header.contains(&format!(r#""bytes":{}"#, jpeg.len())));
    let sent = parts.concat();
    assert!(
        sent.len() < jpeg.len(),
        "all {} bytes were sent",
        sent.len()
    );
    assert!(jpeg.starts_with(&sent));
    assert!(parts.last().unwrap().is_empty());

    agent.feed.put_frame(frame(1, jpeg.clone()));
    let (header, small) = peer.frame().await;
    assert!(header.contains(r#""width":80,"height":60"#), "{header}");
    assert!(small.len() * 20 < jpeg.len(), "{}", small.len());
    peer.say("2");
    peer.text("3").await;
    assert_eq!(agent.feed.dropped(), [(Drop::Link, 1)].into());
    assert_eq!(agent.link.frames_sent(), 1);
}

#[tokio::test]
async fn a_stop_in_the_middle_of_a_picture_ends_it_first() {
    let (agent, mut peer) = start(240.0, SOON);
    peer.say(CUT_FRAMES);
    peer.say("2");
    peer.text("3").await;
    peer.pause.send(Duration::from_millis(150)).unwrap();
    agent.feed.put_frame(frame(0, noise()));
    peer.event("frame").await;
    assert!(matches!(
        peer.from_agent.recv().await,
        Some(Message::Frame(_))
    ));
    agent.stop.send(true).unwrap();
    // A part may have been on its way meanwhile.
    while let Some(Message::Frame(part)) = peer.from_agent.recv().await {
        if part.header().is_final {
            assert!(part.payload().is_empty());
            break;
        }
    }
    peer.text("41/cv,").await;
    assert!(agent.task.await.unwrap().is_ok());
}

#[tokio::test]
async fn two_frames_in_flight_then_the_newest_after_an_ack() {
    let (agent, mut peer) = start(240.0, SOON);
    for seq in 0..2 {
        agent
            .feed
            .put_frame(frame(seq, Bytes::from_static(b"jpeg")));
        assert!(peer.frame().await.0.contains(&format!("\"seq\":{seq},")));
        sleep(Duration::from_millis(10)).await;
    }
    for seq in 2..5 {
        agent
            .feed
            .put_frame(frame(seq, Bytes::from_static(b"jpeg")));
        tokio::task::yield_now().await;
    }
    // Nothing may come: a clock question is the proof that the writer ran meanwhile.
    peer.say("2");
    peer.text("3").await;
    peer.say(r#"42/cv,["ack",{"seq":1}]"#);
    assert!(peer.frame().await.0.contains("\"seq\":4,"));
    assert_eq!(agent.feed.dropped(), [(Drop::Link, 2)].into());
}

#[tokio::test]
async fn nobody_watching_leaves_detections_and_stats() {
    let (agent, mut peer) = start(240.0, SOON);
    peer.say(r#"42/cv,["demand",{"viewers":0}]"#);
    peer.say("2");
    peer.text("3").await;
    for seq in 0..5 {
        agent
            .feed
            .put_frame(frame(seq, Bytes::from_static(b"jpeg")));
        peer.say("2");
        peer.text("3").await;
    }
    let one = Detections {
        seq: 4,
        captured_us: Timestamp(1),
        model: "m".into(),
        engine: "e".into(),
        accelerator: "a".into(),
        infer_ms: 1.0,
        objects: Vec::new(),
    };
    agent.feed.put_detections(one);
    peer.event("detections").await;
    agent.feed.put_stats(Stats::default());
    peer.event("stats").await;
    // The first frame of a connection goes out whoever watches; the rest within 3 s does not.
    assert_eq!(agent.feed.dropped(), [(Drop::Unwatched, 4)].into());
    peer.say(r#"42/cv,["demand",{"viewers":1,"max_fps":100}]"#);
    peer.say(r#"42/cv,["ack",{"seq":0}]"#);
    peer.say("2");
    peer.text("3").await;
    // The rate now allows a frame 10 ms after the first.
    sleep(Duration::from_millis(20)).await;
    agent.feed.put_frame(frame(9, Bytes::from_static(b"jpeg")));
    assert!(peer.frame().await.0.contains("\"seq\":9,"));
}

#[tokio::test]
async fn a_relay_that_never_acknowledges_is_given_up() {
    let (agent, mut peer) = start(240.0, Duration::from_millis(200));
    agent.feed.put_frame(frame(0, Bytes::from_static(b"jpeg")));
    peer.frame().await;
    let ended = timeout(SOON, agent.task).await.unwrap().unwrap();
    assert!(
        matches!(ended, Err(UplinkError::Timeout { .. })),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_relay_that_stops_reading_is_given_up() {
    let (agent, peer) = start(240.0, Duration::from_millis(200));
    peer.pause.send(SOON * 10).unwrap();
    agent.feed.put_frame(frame(0, Bytes::from_static(b"jpeg")));
    let ended = timeout(SOON, agent.task).await.unwrap().unwrap();
    assert!(
        matches!(ended, Err(UplinkError::Timeout { .. })),
        "{ended:?}"
    );
}

#[tokio::test]
async fn clocks_are_compared_at_once() {
    let (agent, mut peer) = start(240.0, SOON);
    let question = peer.event("clock").await;
    let t0: u64 = question
        .trim_start_matches(r#"42/cv,["clock",{"t0":"#)
        .trim_end_matches("}]")
        .parse()
        .unwrap();
    let ahead = t0 + 5_000_000;
    peer.say(&format!(
        r#"42/cv,["clock",{{"t0":{t0},"t1":{ahead},"t2":{ahead}}}]"#
    ));
    peer.say("2");
    peer.text("3").await;
    let offset = agent.link.status().clock_offset_us.unwrap();
    // The answer may be late by a second on a busy machine: then half of it is lost.
    assert!((4_000_000..=5_000_000).contains(&offset), "{offset}");
    peer.say(r#"42/cv,["clock",{"set_by_us":-86400000000}]"#);
    peer.say("2");
    peer.text("3").await;
    let after = agent.link.status().clock_offset_us.unwrap();
    assert_eq!(after, offset - 86_400_000_000);
}

#[tokio::test]
async fn a_refusal_and_a_farewell_are_told_apart() {
    let (agent, peer) = start(240.0, SOON);
    peer.say(r#"42/cv,["refused",{"message":"name taken over"}]"#);
    let ended = agent.task.await.unwrap();
    assert!(matches!(&ended, Err(err) if err.is_refusal()), "{ended:?}");

    let (agent, peer) = start(240.0, SOON);
    peer.say(r#"42/cv,["refused",{"message":"nothing was heard","again":true}]"#);
    let ended = agent.task.await.unwrap();
    assert!(matches!(&ended, Err(err) if !err.is_refusal()), "{ended:?}");

    let (agent, peer) = start(240.0, SOON);
    peer.say("41/cv,");
    assert!(matches!(
        agent.task.await.unwrap(),
        Err(UplinkError::Closed)
    ));

    let (agent, peer) = start(240.0, SOON);
    peer.say("<html>");
    assert!(matches!(
        agent.task.await.unwrap(),
        Err(UplinkError::Malformed(_))
    ));
}

#[tokio::test]
async fn a_stop_says_goodbye() {
    let (agent, mut peer) = start(240.0, SOON);
    agent.stop.send(true).unwrap();
    peer.text("41/cv,").await;
    assert!(agent.task.await.unwrap().is_ok());
}

#[tokio::test]
async fn what_is_too_large_for_a_frame_is_dropped_and_counted() {
    let (agent, mut peer) = start(240.0, SOON);
    let huge = Bytes::from(vec![0; MAX_FRAME_BYTES + 1]);
    agent.feed.put_frame(frame(0, huge));
    peer.say("2");
    peer.text("3").await;
    agent.feed.put_frame(frame(1, Bytes::from_static(b"jpeg")));
    assert!(peer.frame().await.0.contains("\"seq\":1,"));
    assert_eq!(agent.feed.dropped(), [(Drop::Unsendable, 1)].into());
}
