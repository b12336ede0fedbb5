//! Tells systemd about the service's state: ready, status, reloading, stopping, alive.
//!
//! Without systemd (`NOTIFY_SOCKET` is not set) every function does nothing.

use std::time::Duration;

use sd_notify::NotifyState;

/// Tells systemd that the service has started, so that dependent units may start.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Sets the line that `systemctl status` shows.
pub fn status(text: &str) {
    // A line break would start another assignment of the notification protocol.
    notify(&[NotifyState::Status(&text.replace(['\n', '\r'], " "))]);
}

/// Tells systemd that the service is reading its settings again. The service calls [`ready`] when
/// it has finished.
pub fn reloading() {
    let mut states = vec![NotifyState::Reloading];
    states.extend(NotifyState::monotonic_usec_now());
    notify(&states);
}

/// Tells systemd that the service has begun to stop.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Tells systemd that the service is alive. The service must call this well within
/// [`watchdog_limit`].
pub fn alive() {
    notify(&[NotifyState::Watchdog]);
}

/// Tells systemd that a part of the service hangs, so that systemd restarts the service now.
pub fn stuck() {
    notify(&[NotifyState::WatchdogTrigger]);
}

/// Returns the time without [`alive`] after which systemd restarts the service; `None` without a
/// watchdog.
#[must_use]
pub fn watchdog_limit() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(err) = sd_notify::notify(states) {
        log::debug!("cannot notify systemd: {err}");
    }
}
