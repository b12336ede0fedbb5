//! `cv-relay events`, `export`, `rules` and `archive`: work on the archive's folder, also while a
//! relay records into it.

use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use cv_archive::{Event, EventFilter, Library, Report, Rules};

use super::http::{film, mp4};
use super::told;

/// Where an archive is.
#[derive(Clone, Debug, Args)]
pub struct FolderArgs {
    /// The archive's folder; without it $CV_RELAY_ARCHIVE_DIR or the service's own
    #[arg(long, value_name = "DIR", global = true)]
    archive_dir: Option<PathBuf>,
}

/// Where the package's service keeps its archive.
const SERVICE_DIR: &str = "/var/lib/cv-relay/archive";

impl FolderArgs {
    fn dir(&self) -> anyhow::Result<PathBuf> {
        let named = self
            .archive_dir
            .clone()
            .or_else(|| std::env::var_os("CV_RELAY_ARCHIVE_DIR").map(PathBuf::from));
        match named {
            Some(dir) => Ok(dir),
            None if Path::new(SERVICE_DIR).is_dir() => Ok(SERVICE_DIR.into()),
            None => bail!("which archive? name its folder with --archive-dir"),
        }
    }
}

/// What is done with an archive from the command line.
#[derive(Debug, Subcommand)]
pub enum ArchiveCommand {
    /// List events, newest first
    Events {
        /// The archive.
        #[command(flatten)]
        folder: FolderArgs,
        /// Only those of this camera; may be given several times
        #[arg(long, value_name = "NAME")]
        camera: Vec<String>,
        /// Only those with this label
        #[arg(long)]
        label: Option<String>,
        /// Only those that entered this zone
        #[arg(long)]
        zone: Option<String>,
        /// Only those that are kept for good
        #[arg(long)]
        kept: bool,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
        /// One JSON object a line, as over HTTP
        #[arg(long)]
        json: bool,
    },
    /// Write an event's footage into a file
    Export {
        /// The archive.
        #[command(flatten)]
        folder: FolderArgs,
        /// The event's id
        id: String,
        /// NAME.mkv (the camera's own frames), NAME.mp4 (H.264, made by ffmpeg) or NAME.jpg
        file: PathBuf,
    },
    /// Show a camera's rules, or replace them
    Rules {
        /// The archive.
        #[command(flatten)]
        folder: FolderArgs,
        /// The camera's name
        camera: String,
        /// File with other rules as JSON, or - for standard input
        file: Option<PathBuf>,
    },
    /// Check or repair an archive
    Archive {
        /// The archive.
        #[command(flatten)]
        folder: FolderArgs,
        /// What to do.
        #[command(subcommand)]
        action: ArchiveAction,
    },
}

/// `cv-relay archive`.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ArchiveAction {
    /// Read every frame and compare it with its checksum and the index
    Check,
    /// Make the index agree with the files; no relay may be recording
    Repair,
}

impl ArchiveCommand {
    /// Does it.
    ///
    /// # Errors
    ///
    /// What went wrong, for the user to read.
    pub fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::Events {
                folder,
                camera,
                label,
                zone,
                kept,
                limit,
                json,
            } => {
                let filter = EventFilter {
                    cameras: camera.clone(),
                    label: label.clone(),
                    zone: zone.clone(),
                    kept: kept.then_some(true),
                    ..EventFilter::default()
                };
                list(&folder.dir()?, &filter, *limit, *json)
            }
            Self::Export { folder, id, file } => export(&folder.dir()?, id, file),
            Self::Rules {
                folder,
                camera,
                file,
            } => rules(&folder.dir()?, camera, file.as_deref()),
            Self::Archive { folder, action } => {
                let dir = &folder.dir()?;
                let report = match action {
                    ArchiveAction::Check => cv_archive::check(dir)?,
                    ArchiveAction::Repair => cv_archive::repair(dir)?,
                };
                say(&report, *action)
            }
        }
    }
}

fn list(dir: &Path, filter: &EventFilter, limit: usize, json: bool) -> anyhow::Result<()> {
    let library = Library::open(dir)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    if !json {
        writeln!(
            out,
            "{:<23}  {:<19}  {:>8}  {:<16}  {:<14}  {:>5}  zones",
            "id", "start", "seconds", "camera", "label", "score"
        )?;
    }
    let (mut left, mut cursor) = (limit, None);
    while left > 0 {
        let page = library.events(filter, cursor.as_deref(), left)?;
        for event in &page.events {
            if json {
                writeln!(out, "{}", serde_json::to_string(&told::event(event))?)?;
            } else {
                writeln!(out, "{}", row(event))?;
            }
        }
        left = left.saturating_sub(page.events.len());
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    out.flush()?;
    Ok(())
}

fn row(event: &Event) -> String {
    let seconds = match event.end_us {
        Some(end) => format!("{:.1}", end.since(event.start_us).as_secs_f64()),
        None => "running".into(),
    };
    format!(
        "{:<23}  {}  {seconds:>8}  {:<16}  {:<14}  {:>4.0}%  {}{}",
        event.id,
        cv_archive::local_time(event.start_us),
        event.camera,
        event.label,
        event.score * 100.0,
        event.zones.join(", "),
        if event.kept { "  (kept)" } else { "" },
    )
}

fn export(dir: &Path, id: &str, file: &Path) -> anyhow::Result<()> {
    let library = Library::open(dir)?;
    let event = library.event(id)?;
    let (from, to) = library.event_footage(id)?;
    let extension = file.extension().and_then(|e| e.to_str());
    if !matches!(extension, Some("mkv" | "mp4" | "jpg")) {
        bail!(
            "{}: expected a name that ends in .mkv, .mp4 or .jpg",
            file.display()
        );
    }
    let open = || File::create(file).with_context(|| format!("cannot create {}", file.display()));
    let written = match extension {
        Some("jpg") => {
            let Some(jpeg) = library.snapshot(id)? else {
                bail!("event {id} has no snapshot");
            };
            open()?.write_all(&jpeg)?;
            1
        }
        Some("mp4") => {
            let mut out = open()?;
            mp4::check()?;
            let playback = library.play(&event.camera, from);
            mp4::write(playback, to, |bytes| out.write_all(&bytes))?
        }
        _ => {
            let mut out = BufWriter::new(open()?);
            let mut playback = library.play(&event.camera, from);
            let frames = film::write(&mut playback, to, |bytes| out.write_all(&bytes))?;
            out.flush()?;
            frames
        }
    };
    if written == 0 {
        bail!("no footage of event {id} is stored any more");
    }
    println!("{}: {written} frames", file.display());
    Ok(())
}

fn rules(dir: &Path, camera: &str, file: Option<&Path>) -> anyhow::Result<()> {
    let Some(file) = file else {
        let rules = Library::open(dir)?.stored_rules(camera)?;
        println!("{}", serde_json::to_string_pretty(&rules)?);
        return Ok(());
    };
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)?;
    } else {
        text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
    }
    cv_archive::write_rules(dir, camera, &Rules::from_json(&text)?)?;
    println!("{camera}: other rules; a relay that is running follows them within seconds");
    Ok(())
}

fn say(report: &Report, action: ArchiveAction) -> anyhow::Result<()> {
    for finding in &report.findings {
        println!("{finding}");
    }
    println!("{} segments, {} frames", report.segments, report.frames);
    match (action, report.findings.len()) {
        (_, 0) => println!("all is well"),
        (ArchiveAction::Repair, n) => println!("{n} findings were put right or are named above"),
        (ArchiveAction::Check, n) => {
            bail!("{n} findings; stop the relay and run `cv-relay archive repair`")
        }
    }
    Ok(())
}
