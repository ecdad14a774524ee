//! Until when a system wants to be left alone, for acts that waited for something durable while it said so.

use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;

use crate::core::{fault::Fault, pace::parked};

/// Until when a system wants to be left alone.
#[derive(Debug, Clone, Default)]
pub(super) struct Silence(Arc<Mutex<Option<Timestamp>>>);

impl Silence {
    pub(super) fn keep(&self, until: Option<Timestamp>) {
        *self.0.lock() = until;
    }

    pub(super) fn check(&self, now: Timestamp) -> Result<(), Fault> {
        let until = *self.0.lock();
        parked(until, now).map_or(Ok(()), |until| Err(Fault::throttled(until)))
    }
}
