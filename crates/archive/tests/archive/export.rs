//! Others read what was recorded: ffmpeg, where it is installed.

use std::path::Path;
use std::process::Command;

use cv_archive::Archive;
use cv_archive::export::{MatroskaWriter, Title};
use cv_protocol::Timestamp;

use super::common::{START, config, everything, frame};

/// A real JPEG of 8 x 8 grey pixels whose brightness is told by its DC coefficient alone.
fn grey_jpeg() -> Vec<u8> {
    // Made once with an encoder: baseline, one component, standard tables of luminance.
    let mut jpeg = vec![0xFF, 0xD8, 0xFF, 0xDB, 0, 67, 0];
    jpeg.extend([16_u8; 64]);
    jpeg.extend([0xFF, 0xC0, 0, 11, 8, 0, 8, 0, 8, 1, 1, 0x11, 0]);
    // One code of one bit for DC size 0, one of one bit for the end of the block.
    for class in [0x00, 0x10] {
        jpeg.extend([0xFF, 0xC4, 0, 20, class, 1]);
        jpeg.extend([0; 15]);
        jpeg.push(0);
    }
    jpeg.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0]);
    jpeg.push(0b0011_1111);
    jpeg.extend([0xFF, 0xD9]);
    jpeg
}

fn ffprobe(file: &Path, format: &[&str]) -> Option<Vec<String>> {
    let output = Command::new("ffprobe")
        .args(["-v", "error"])
        .args(format)
        .args(["-select_streams", "v:0", "-show_entries", "packet=pts_time"])
        .args(["-of", "csv=p=0"])
        .arg(file)
        .output();
    let Ok(output) = output else {
        eprintln!("skipped: ffprobe is not installed");
        return None;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    Some(
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| line.trim_end_matches(',').to_owned())
            .collect(),
    )
}

/// Uneven times, as cameras have them.
fn times() -> Vec<u64> {
    (0..200_u64)
        .map(|n| START + n * 33_333 + n * n % 977)
        .collect()
}

#[test]
fn ffmpeg_reads_segments_and_exports_also_when_they_are_cut() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::open(config(dir.path())).unwrap();
    archive.set_rules("front", everything()).unwrap();
    let recorder = archive.recorder("front").unwrap();
    for (seq, at) in (0..).zip(times()) {
        let mut frame = frame(seq, at, grey_jpeg().into());
        (frame.width, frame.height) = (8, 8);
        recorder.frame(frame);
    }
    archive.settle().unwrap();

    let title = Title {
        camera: "front".into(),
        end_us: times().last().map(|at| Timestamp(*at)),
    };
    let mut writer = MatroskaWriter::new(Vec::new(), title);
    let mut playback = archive.play("front", Timestamp(0));
    while let Some(frame) = playback.next_frame().unwrap() {
        writer.frame(&frame).unwrap();
    }
    let film = writer.into_inner();
    let file = dir.path().join("film.mkv");
    std::fs::write(&file, &film).unwrap();
    let Some(stamps) = ffprobe(&file, &[]) else {
        return;
    };
    let exact: Vec<_> = times()
        .iter()
        .map(|at| format!("{:.6}", (at - START) as f64 / 1e6))
        .collect();
    assert_eq!(stamps, exact, "exact times");

    let half = dir.path().join("half.mkv");
    std::fs::write(&half, &film[..film.len() / 2]).unwrap();
    let stamps = ffprobe(&half, &[]).unwrap();
    assert!(
        (98..=100).contains(&stamps.len()),
        "{} of half",
        stamps.len()
    );

    let segment = dir.path().join("front/2126-07-24/21/00-00.000.mjpeg");
    assert_eq!(ffprobe(&segment, &["-f", "mjpeg"]).unwrap().len(), 200);
    // Every frame can be decoded.
    for (file, format) in [(&file, &[][..]), (&segment, &["-f", "mjpeg"][..])] {
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-xerror"])
            .args(format)
            .arg("-i")
            .arg(file)
            .args(["-f", "null", "-"])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && errors.is_empty(), "{errors}");
    }
}
