use super::*;

const MS: Duration = Duration::from_millis(1);

/// What a simulated receiver observed after the settling time.
#[derive(Debug)]
struct Seen {
    frames: usize,
    fps: f64,
    /// The longest time from sending a frame to its acknowledgement.
    longest: Duration,
    most_in_flight: usize,
    /// The window at the end.
    size: usize,
}

/// Runs a camera against a link for `seconds`, and returns what was seen after the first `settling`
/// seconds. At each time, `link` says how long a frame occupies the link, one frame after the
/// other, and how long the way there and back takes on top.
fn run(
    camera_fps: f64,
    seconds: u64,
    settling: u64,
    mut link: impl FnMut(Duration) -> (Duration, Duration),
) -> Seen {
    let start = Instant::now();
    let [end, from] = [seconds, settling].map(|at| start + Duration::from_secs(at));
    let mut window = Window::default();
    let mut answers: VecDeque<(Instant, u64, Instant)> = VecDeque::new();
    let mut link_free = start;
    let mut next_frame = start;
    let mut waiting = None;
    let mut seq = 0;
    let mut seen = Seen {
        frames: 0,
        fps: 0.0,
        longest: Duration::ZERO,
        most_in_flight: 0,
        size: 0,
    };
    loop {
        let now = answers.front().map_or(end, |answer| answer.0);
        let now = now.min(next_frame);
        if now >= end {
            seen.fps = seen.frames as f64 / (seconds - settling) as f64;
            seen.size = window.size;
            return seen;
        }
        if let Some((_, seq, sent)) = answers.pop_front_if(|(at, ..)| *at == now) {
            window.acknowledge(seq, now);
            if now >= from {
                seen.frames += 1;
                seen.longest = seen.longest.max(now - sent);
            }
        } else {
            waiting = Some(seq);
            seq += 1;
            next_frame += Duration::from_secs_f64(1.0 / camera_fps);
        }
        if waiting.is_none() {
            continue;
        }
        if !window.is_open() {
            window.hold_back();
        } else if let Some(seq) = waiting.take() {
            window.sent(seq, 40_000, now);
            let (service, delay) = link(now - start);
            link_free = link_free.max(now) + service;
            let earlier = answers.back().map_or(now, |answer| answer.0);
            answers.push_back(((link_free + delay).max(earlier), seq, now));
            if now >= from {
                seen.most_in_flight = seen.most_in_flight.max(window.in_flight.len());
            }
        }
    }
}

#[test]
fn a_long_fast_link_is_not_throttled() {
    for round_trip in [1, 60, 150, 230] {
        let seen = run(25.0, 20, 2, |_| (MS, round_trip * MS));
        assert!(seen.fps > 24.5, "{round_trip} ms: {seen:?}");
    }
    for round_trip in [60, 100, 200] {
        let seen = run(30.0, 20, 10, |_| (MS, round_trip * MS));
        assert!(seen.frames >= 295, "{round_trip} ms: {seen:?}");
    }
}

#[test]
fn where_nothing_is_held_back_no_measurement_interrupts() {
    for round_trip in [3, 60, 150, 230] {
        let seen = run(30.0, 120, 5, |_| (MS, round_trip * MS));
        assert!(seen.fps > 29.9, "{round_trip} ms: {seen:?}");
    }
}

#[test]
fn a_slow_link_keeps_two_frames_in_flight_for_good() {
    for service in [133, 500] {
        let seen = run(30.0, 120, 2, |_| (service * MS, MS));
        assert!(seen.most_in_flight <= 2, "{service} ms: {seen:?}");
        let possible = 1000.0 / f64::from(service);
        assert!(seen.fps > possible * 0.95, "{possible} fps: {seen:?}");
    }
    let seen = run(30.0, 120, 60, |_| (200 * MS, 2 * MS));
    assert!(seen.frames >= 285, "{seen:?}");
    assert!(seen.longest < 500 * MS, "{seen:?}");
    assert_eq!(seen.size, 2);
}

#[test]
fn a_short_fast_link_needs_the_smallest_window() {
    let seen = run(30.0, 20, 10, |_| (MS, 3 * MS));
    assert!(seen.frames >= 298, "{seen:?}");
    assert_eq!(seen.size, 2);
}

#[test]
fn the_window_never_exceeds_its_bound() {
    let seen = run(30.0, 60, 5, |_| (MS, 900 * MS));
    assert_eq!(seen.size, *WINDOW.end());
    assert_eq!(seen.most_in_flight, *WINDOW.end());
    // 8 frames per 901 ms, without the time in which the link runs empty to be measured.
    assert!(seen.fps > 8.2, "{seen:?}");
}

#[test]
fn a_link_that_recovers_is_used_again_within_a_second() {
    for delay in [2, 100] {
        let seen = run(30.0, 40, 31, |at| {
            let slow = at < Duration::from_secs(30);
            (if slow { 200 * MS } else { MS }, delay * MS)
        });
        assert!(seen.fps > 29.5, "{delay} ms: {seen:?}");
    }
}

#[test]
fn a_link_that_becomes_slow_gets_a_small_window() {
    let seen = run(30.0, 60, 35, |at| {
        let fast = at < Duration::from_secs(30);
        (if fast { MS } else { 300 * MS }, 200 * MS)
    });
    assert!(seen.fps > 3.2, "{seen:?}");
    assert!(seen.most_in_flight <= 3, "{seen:?}");
}

#[test]
fn a_link_that_becomes_long_is_measured_anew() {
    let seen = run(30.0, 60, 38, |at| {
        let short = at < Duration::from_secs(25);
        (MS, if short { 5 * MS } else { 200 * MS })
    });
    assert!(seen.fps > 29.5, "{seen:?}");
}

#[test]
fn a_long_link_that_jitters_is_not_throttled_to_its_luckiest_round_trip() {
    let mut random = fastrand::Rng::with_seed(3);
    let seen = run(30.0, 120, 5, |_| (MS, random.u32(75..225) * MS));
    // Two in flight would carry 12 frames a second.
    assert!(seen.fps > 20.0, "{seen:?}");
}

#[test]
fn a_slow_link_that_jitters_keeps_its_window_small() {
    let mut random = fastrand::Rng::with_seed(3);
    let seen = run(30.0, 600, 30, |_| (random.u32(50..350) * MS, 2 * MS));
    assert!(seen.most_in_flight <= 4, "{seen:?}");
    assert!(seen.fps > 4.75, "{seen:?}");
}

#[test]
fn the_window_is_small_after_a_pause_and_grows_at_once() {
    let start = Instant::now();
    let mut window = Window::default();
    window.sent(0, 10, start);
    window.sent(1, 10, start + 200 * MS);
    let mut now = start + 230 * MS;
    window.acknowledge(0, now);
    for seq in 1..20 {
        now += 30 * MS;
        window.sent(seq + 1, 10, now);
        window.acknowledge(seq, now);
    }
    assert_eq!(window.size, 8);
    now += Duration::from_secs(5);
    window.sent(21, 10, now);
    window.acknowledge(20, now);
    assert_eq!(window.size, 2);
    window.acknowledge(21, now + 30 * MS);
    assert_eq!(window.size, 8);
}

#[test]
fn one_acknowledgement_covers_everything_before_it() {
    let start = Instant::now();
    let mut window = Window::default();
    window.sent(3, 10, start);
    window.sent(5, 20, start + MS);
    assert!(!window.is_open());
    assert_eq!(window.acknowledge(2, start + MS), None);
    let delivery = window.acknowledge(5, start + 9 * MS).unwrap();
    assert_eq!(
        delivery,
        Delivery {
            bytes: 30,
            took: 9 * MS,
            round_trip: 8 * MS,
        }
    );
    assert!(window.is_open());
    assert_eq!(window.acknowledge(5, start + 9 * MS), None);
    window.sent(6, 10, start + 10 * MS);
    // The link was idle until the frame was sent.
    let delivery = window.acknowledge(9, start + 14 * MS).unwrap();
    assert_eq!(delivery.took, 4 * MS);
}

#[test]
fn a_link_that_still_answers_has_not_stalled() {
    let start = Instant::now();
    let mut window = Window::default();
    assert_eq!(window.stalls_at(10 * MS), None);
    window.sent(1, 10, start);
    window.sent(2, 10, start + MS);
    assert_eq!(window.stalls_at(10 * MS), Some(start + 10 * MS));
    window.acknowledge(1, start + 9 * MS);
    assert_eq!(window.stalls_at(10 * MS), Some(start + 19 * MS));
    window.acknowledge(2, start + 11 * MS);
    assert_eq!(window.stalls_at(10 * MS), None);
    window.sent(3, 10, start + 50 * MS);
    assert_eq!(window.stalls_at(10 * MS), Some(start + 60 * MS));
    window.restart();
    assert_eq!(window.stalls_at(10 * MS), None);
    assert!(window.is_open());
}

#[test]
fn a_frame_that_was_cut_counts_with_what_was_sent_of_it() {
    let start = Instant::now();
    let mut window = Window::default();
    window.sent(1, 1000, start);
    window.sent(2, 1000, start);
    window.cut(300);
    assert_eq!(window.acknowledge(2, start + MS).unwrap().bytes, 1300);
}

#[test]
fn frames_that_queue_are_timed_from_the_acknowledgement_before() {
    let start = Instant::now();
    let mut window = Window::default();
    window.sent(1, 10, start);
    window.sent(2, 10, start);
    let took = |window: &mut Window, seq, at| window.acknowledge(seq, at).unwrap().took;
    assert_eq!(took(&mut window, 1, start + 100 * MS), 100 * MS);
    assert_eq!(took(&mut window, 2, start + 200 * MS), 100 * MS);
    assert_eq!(window.round_trip(), Some(100 * MS));
}
