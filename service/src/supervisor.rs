//! What systemd is told: ready, status, reloading, stopping, alive.
//!
//! Without systemd (no `NOTIFY_SOCKET`) every function does nothing.

use std::time::Duration;

use sd_notify::NotifyState;

/// The service has started; dependent units may start.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// One line for `systemctl status`.
pub fn status(text: &str) {
    // A line break would start another assignment of the notification protocol.
    notify(&[NotifyState::Status(&text.replace(['\n', '\r'], " "))]);
}

/// Settings are being read again; [`ready`] ends it.
pub fn reloading() {
    let mut states = vec![NotifyState::Reloading];
    states.extend(NotifyState::monotonic_usec_now());
    notify(&states);
}

/// The service has begun to stop.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// The service is alive; to be repeated at [`watchdog_interval`].
pub fn alive() {
    notify(&[NotifyState::Watchdog]);
}

/// How often [`alive`] must be called, a third of what the unit allows; `None` without watchdog.
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 3)
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(err) = sd_notify::notify(states) {
        log::debug!("cannot notify systemd: {err}");
    }
}
