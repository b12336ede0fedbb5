//! The way from the live path to a camera's recorder.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::frame::{Found, Frame};
use crate::rules::Rules;

/// Most messages that wait beside the bytes of frames.
const MAX_INPUTS: usize = 4096;

/// What a recorder is told.
pub(crate) enum Input {
    Frame(Frame),
    Found(Found),
    /// The agent has started anew.
    NewSession,
    Rules(Arc<Rules>),
    /// Write what has come so far, and then say so.
    Settle(SyncSender<()>),
}

impl Input {
    fn bytes(&self) -> u64 {
        match self {
            Self::Frame(frame) => frame.jpeg.len() as u64,
            Self::Found(_) | Self::NewSession | Self::Rules(_) | Self::Settle(_) => 0,
        }
    }
}

#[derive(Default)]
struct State {
    inputs: VecDeque<Input>,
    bytes: u64,
    closed: bool,
    /// The reader waits without a time limit.
    asleep: bool,
    dropped: u64,
}

/// Holds what a recorder has not taken yet; bounded.
pub(crate) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    max_bytes: u64,
}

/// What has been waiting.
pub(crate) struct Taken {
    pub inputs: VecDeque<Input>,
    pub closed: bool,
}

impl Queue {
    pub fn new(max_bytes: u64) -> Self {
        Self {
            state: Mutex::default(),
            wake: Condvar::new(),
            max_bytes,
        }
    }

    /// Adds an input; never waits. While the recorder cannot keep up, the oldest frames give way:
    /// when it goes on, it has the newest as pre-roll.
    pub fn push(&self, input: Input) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        state.bytes += input.bytes();
        state.inputs.push_back(input);
        while state.bytes > self.max_bytes || state.inputs.len() > MAX_INPUTS {
            let Some(oldest) = state
                .inputs
                .iter()
                .position(|input| matches!(input, Input::Frame(_) | Input::Found(_)))
                .and_then(|place| state.inputs.remove(place))
            else {
                break;
            };
            state.bytes -= oldest.bytes();
            state.dropped += u64::from(matches!(oldest, Input::Frame(_)));
        }
        if state.asleep {
            state.asleep = false;
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Takes everything; waits for something if `patient`, and else for the next tick.
    pub fn take(&self, patient: bool, tick: Duration) -> Taken {
        let mut state = self.lock();
        if patient {
            while state.inputs.is_empty() && !state.closed {
                state.asleep = true;
                state = self
                    .wake
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            state.asleep = false;
        } else if !state.closed {
            // Frames do not wake the recorder: it takes several at once, which is cheaper.
            (state, _) = self
                .wake
                .wait_timeout(state, tick)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.bytes = 0;
        Taken {
            inputs: std::mem::take(&mut state.inputs),
            closed: state.closed,
        }
    }

    /// Ends the recorder once it has taken what waits.
    pub fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    /// Frames dropped so far.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
