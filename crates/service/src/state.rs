//! Where a program keeps what must survive a restart.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// The folder that systemd made for the service (`StateDirectory=`), if it runs as one.
#[must_use]
pub fn service_state_dir() -> Option<PathBuf> {
    first_folder(env::var_os("STATE_DIRECTORY"))
}

/// The service's folder, or else one of the person's own: `$XDG_STATE_HOME/PROGRAM`, by default
/// `~/.local/state/PROGRAM`.
#[must_use]
pub fn state_dir(program: &str) -> Option<PathBuf> {
    service_state_dir().or_else(|| {
        let home = || Some(first_folder(env::var_os("HOME"))?.join(".local/state"));
        let folder = first_folder(env::var_os("XDG_STATE_HOME")).or_else(home)?;
        Some(folder.join(program))
    })
}

/// systemd separates several by colons. Relative paths are to be ignored, says the XDG standard.
fn first_folder(value: Option<OsString>) -> Option<PathBuf> {
    let first = env::split_paths(&value?).next()?;
    first.is_absolute().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_absolute_folder_counts() {
        let folder = |text: &str| first_folder(Some(text.into()));
        assert_eq!(folder("/var/lib/a:/var/lib/b"), Some("/var/lib/a".into()));
        assert_eq!(folder("state"), None);
        assert_eq!(folder(""), None);
        assert_eq!(first_folder(None), None);
    }
}
