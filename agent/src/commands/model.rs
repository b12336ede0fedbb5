//! `cv-agent model`: shows what a model is and how the agent would use it.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use super::machine::Machine;
use cv_detect::{DetectorConfig, EngineChoice, Inspection, inspect, serve_trial};

/// Arguments of `cv-agent model`.
#[derive(Clone, Debug, clap::Args)]
pub struct ModelArgs {
    /// The .tflite file; default: the model that is shipped with the program
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Labels: one a line, `id name` lines, JSON or a label_map.pbtxt; default: those of the model
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Line of the labels that the model's class 0 has; worked out from the model unless given
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub class_offset: Option<i32>,
    /// LiteRT's library; default: libLiteRt.so beside the program, in /usr/lib/cv-agent or in the
    /// user's cache
    #[arg(long, value_name = "FILE")]
    pub litert_lib: Option<PathBuf>,
    /// Threads of the runtimes, 1 to 64 [default: one per core, at most 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub threads: Option<u8>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Load and run the model from standard input in this engine and print the result
    #[arg(long, hide = true, value_enum)]
    pub trial: Option<EngineChoice>,
}

/// Inspects a model and prints the result.
///
/// # Errors
///
/// Returns an error that says what is wrong with the model, after printing everything that was
/// understood.
pub fn run(args: ModelArgs) -> anyhow::Result<()> {
    if let Some(engine) = args.trial {
        let threads = args.threads.map_or(1, usize::from);
        return Ok(serve_trial(engine, args.litert_lib.as_deref(), threads)?);
    }
    let config = DetectorConfig {
        model: args.file,
        labels: args.labels,
        class_offset: args.class_offset,
        litert_lib: args.litert_lib,
        threads: args.threads.map(usize::from),
        ..DetectorConfig::default()
    };
    let (inspection, problem) = inspect(&config)?;
    if args.json {
        println!("{}", serde_json::to_string(&Report::of(inspection))?);
    } else {
        print!("{}", text(&Report::of(inspection)));
    }
    match problem {
        None => Ok(()),
        Some(problem) => Err(problem.into()),
    }
}

/// What a person has to tell who reports that a model does not work.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    machine: Machine,
    #[serde(flatten)]
    inspection: Inspection,
}

impl Report {
    fn of(inspection: Inspection) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            machine: Machine::this(),
            inspection,
        }
    }
}

fn text(report: &Report) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: &str| {
        let name = if name.is_empty() {
            String::new()
        } else {
            format!("{name}:")
        };
        // Writing to a string does not fail.
        let _ = writeln!(out, "{name:<11}{value}");
    };
    let Inspection {
        file,
        bytes,
        name,
        input,
        pixels,
        outputs,
        operators,
        unruled,
        labels,
        layout,
        engines,
    } = &report.inspection;
    line("Program", &format!("cv-agent {}", report.version));
    line("Machine", &report.machine.name);
    for about in report.machine.lines() {
        line("", &about);
    }
    line("File", &format!("{} ({bytes} bytes)", file.display()));
    if !name.is_empty() {
        line("Name", name);
    }
    for input in input {
        line("Input", input);
    }
    if let Some(pixels) = pixels {
        line("Pixels", pixels);
    }
    for output in outputs {
        line("Output", output);
    }
    line("Operators", &operators.join(", "));
    if !unruled.is_empty() {
        let names = unruled.join(", ");
        line(
            "No rule",
            &format!("{names}: the run in each engine decides, in a process of its own"),
        );
    }
    line("Labels", labels);
    if let Some(layout) = layout {
        line("Layout", layout);
    }
    for (engine, outcome) in engines {
        line(engine, outcome);
    }
    out
}
