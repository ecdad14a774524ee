//! Whether work goes on, for whoever watches from outside of it.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// When work was last seen to go on.
#[derive(Debug)]
pub struct Heartbeat(Mutex<Instant>);

impl Default for Heartbeat {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Heartbeat {
    /// Work goes on.
    pub fn beat(&self) {
        *self.0.lock() = Instant::now();
    }

    /// For how long it has stood still.
    pub fn still(&self) -> Duration {
        self.0.lock().elapsed()
    }
}
