//! A mailbox for the newest value, through which threads hand on frames without queues.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Holds at most one value; a newer one replaces an unread one.
#[derive(Debug)]
pub struct Slot<T> {
    state: Mutex<State<T>>,
    ready: Condvar,
}

#[derive(Debug)]
struct State<T> {
    value: Option<T>,
    dropped: u64,
    closed: bool,
}

/// Result of [`Slot::take`].
#[derive(Debug, PartialEq, Eq)]
pub enum Taken<T> {
    /// The newest value.
    Value(T),
    /// No value came before the timeout.
    TimedOut,
    /// The slot is closed and empty; no value will come any more.
    Closed,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                value: None,
                dropped: 0,
                closed: false,
            }),
            ready: Condvar::new(),
        }
    }
}

impl<T> Slot<T> {
    /// Stores `value` and wakes the reader. It never waits for the reader.
    ///
    /// Returns the unread value that `value` replaced, so that the caller drops it outside the
    /// lock.
    pub fn put(&self, value: T) -> Option<T> {
        let mut state = self.lock();
        let displaced = state.value.replace(value);
        state.dropped += u64::from(displaced.is_some());
        drop(state);
        self.ready.notify_one();
        displaced
    }

    /// Waits at most `timeout` for a value and takes it out of the slot.
    pub fn take(&self, timeout: Duration) -> Taken<T> {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        loop {
            if let Some(value) = state.value.take() {
                return Taken::Value(value);
            }
            if state.closed {
                return Taken::Closed;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Taken::TimedOut;
            }
            state = self
                .ready
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Closes the slot and wakes the reader. A value that is still in the slot can be taken.
    pub fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_all();
    }

    /// Number of values that were replaced before a reader took them.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn an_unread_value_is_replaced_and_counted() {
        let slot = Slot::default();
        assert_eq!(slot.put(1), None);
        assert_eq!(slot.put(2), Some(1));
        assert_eq!(slot.dropped(), 1);
        assert_eq!(slot.take(SHORT), Taken::Value(2));
        assert_eq!(slot.take(SHORT), Taken::TimedOut);
    }

    #[test]
    fn closing_wakes_a_waiting_reader() {
        let slot = Slot::<u32>::default();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| slot.take(LONG));
            slot.close();
            assert_eq!(reader.join().unwrap(), Taken::Closed);
        });
    }

    #[test]
    fn a_value_put_before_closing_is_still_read() {
        let slot = Slot::default();
        slot.put(1);
        slot.close();
        assert_eq!(slot.take(LONG), Taken::Value(1));
        assert_eq!(slot.take(LONG), Taken::Closed);
    }
}
