//! Sends log records to the journal under systemd, and to standard error otherwise.

use log::LevelFilter;
use systemd_journal_logger::{JournalLog, connected_to_journal};

/// Starts logging at `level`; messages of libraries only from `warn` on unless `level` is finer
/// than `info`, and never finer than `debug`: below that they print what they send and receive,
/// passwords and keys included.
///
/// Under systemd, a record's key-value pairs become fields of the journal entry (`journalctl
/// CAMERA=front-door`), and `fields` are added to each entry.
pub fn init(level: LevelFilter, fields: &[(&str, &str)]) {
    if connected_to_journal()
        && let Ok(journal) = JournalLog::new()
        && Quiet(journal.with_extra_fields(fields.iter().copied()))
            .install(level)
            .is_ok()
    {
        return;
    }
    let mut builder = env_logger::Builder::new();
    builder.filter_level(library_level(level));
    builder.filter_module(OWN_TARGETS, level);
    // This fails only if a logger is already installed, as in tests that start a daemon twice.
    let _ = builder.try_init();
}

/// Prefix of the log targets of this project's own crates.
const OWN_TARGETS: &str = "cv_";

fn library_level(level: LevelFilter) -> LevelFilter {
    if level > LevelFilter::Info {
        LevelFilter::Debug
    } else {
        level.min(LevelFilter::Warn)
    }
}

/// The journal's logger, limited to warnings for libraries unless details are asked for.
struct Quiet(JournalLog);

impl Quiet {
    fn install(self, level: LevelFilter) -> Result<(), log::SetLoggerError> {
        log::set_boxed_logger(Box::new(self))?;
        log::set_max_level(level);
        Ok(())
    }
}

impl log::Log for Quiet {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        let own = metadata.target().starts_with(OWN_TARGETS);
        let level = log::max_level();
        metadata.level() <= if own { level } else { library_level(level) }
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.log(record);
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_log_only_warnings_unless_details_are_asked_for() {
        assert_eq!(library_level(LevelFilter::Info), LevelFilter::Warn);
        assert_eq!(library_level(LevelFilter::Error), LevelFilter::Error);
        assert_eq!(library_level(LevelFilter::Debug), LevelFilter::Debug);
        assert_eq!(library_level(LevelFilter::Trace), LevelFilter::Debug);
    }
}
