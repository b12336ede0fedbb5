//! The agent's binary: reads the settings, runs the command, and returns the exit status.

use std::process::ExitCode;

use cv_agent::cli::{Cli, Command, PROGRAM, RunArgs};
use cv_agent::config::Config;
use cv_agent::{commands, pipeline};
use cv_detect::DetectError;
use cv_service::{EXIT_CONFIG, SettingsError, logging};
use log::LevelFilter;

fn main() -> ExitCode {
    let cli: Cli = match PROGRAM.parse_process() {
        Ok(cli) => cli,
        Err(err) => return err.report(),
    };
    let result = match cli.command {
        None => run(cli.run),
        Some(Command::Run(args)) => run(*args),
        Some(command) => {
            logging::init(LevelFilter::Warn, &[]);
            match command {
                Command::Cameras(args) => commands::cameras::run(args),
                Command::Detect(args) => commands::detect::run(args),
                Command::Model(args) => commands::model::run(args),
                Command::Bench(args) => commands::bench::run(args),
                Command::Run(_) => Ok(()),
                Command::Completions { shell } => {
                    let mut command = PROGRAM.command::<Cli>();
                    clap_complete::generate(
                        shell,
                        &mut command,
                        "cv-agent",
                        &mut std::io::stdout(),
                    );
                    Ok(())
                }
                Command::Man => clap_mangen::Man::new(PROGRAM.command::<Cli>())
                    .render(&mut std::io::stdout())
                    .map_err(Into::into),
            }
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            log::error!("{err:#}");
            if is_bad_setting(&err) {
                ExitCode::from(EXIT_CONFIG)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn run(args: RunArgs) -> anyhow::Result<()> {
    let level = args.log_level;
    let config = Config::try_from(args);
    let camera = config.as_ref().map_or("", |config| &config.auth.camera);
    logging::init(level, &[("CAMERA", camera)]);
    let config = config.map_err(SettingsError::Unusable)?;

    let detector = config
        .detector
        .as_ref()
        .map(pipeline::load_detector)
        .transpose()?;
    pipeline::run(config, detector, Box::new(read_again))
}

/// Reads the current settings again, for a reload.
fn read_again() -> Result<Config, String> {
    let cli: Cli = PROGRAM.parse_process().map_err(|err| err.to_string())?;
    let args = match cli.command {
        Some(Command::Run(args)) => *args,
        _ => cli.run,
    };
    Config::try_from(args)
}

/// Whether an error lasts until somebody changes the settings, so that a restart is useless.
fn is_bad_setting(err: &anyhow::Error) -> bool {
    err.is::<SettingsError>() || err.is::<DetectError>() || err.is::<cv_capture::CaptureError>()
}
