//! Throttling by a budget of requests per window.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use super::lock;

/// A budget of requests per window, for throttling by a documented rule.
#[derive(Debug, Default)]
pub struct Budget {
    /// Requests per window; none: no limit.
    limit: Mutex<Option<(u32, Duration)>>,
    spent: Mutex<BTreeMap<String, (Instant, u32)>>,
}

impl Budget {
    /// At most `requests` in each `window`, counted apart for each caller.
    pub fn set(&self, requests: u32, window: Duration) {
        *lock(&self.limit) = Some((requests, window));
        lock(&self.spent).clear();
    }

    /// Spends one request of `caller`.
    ///
    /// # Errors
    /// How long to wait when there is none left.
    pub fn spend(&self, caller: &str) -> Result<(), Duration> {
        let Some((requests, window)) = *lock(&self.limit) else {
            return Ok(());
        };
        let now = Instant::now();
        let mut spent = lock(&self.spent);
        let (since, count) = spent.entry(caller.to_owned()).or_insert((now, 0));
        if now.duration_since(*since) >= window {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        if *count <= requests {
            return Ok(());
        }
        Err(window.saturating_sub(now.duration_since(*since)))
    }
}
