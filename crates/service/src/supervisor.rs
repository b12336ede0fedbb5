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

/// The service is alive; to be repeated well within [`watchdog_limit`].
pub fn alive() {
    notify(&[NotifyState::Watchdog]);
}

/// The service is alive but something in it hangs: it is to be restarted now.
pub fn stuck() {
    notify(&[NotifyState::WatchdogTrigger]);
}

/// The silence after which systemd restarts the service; `None` without watchdog.
#[must_use]
pub fn watchdog_limit() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(err) = sd_notify::notify(states) {
        log::debug!("cannot notify systemd: {err}");
    }
}
