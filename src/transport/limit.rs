//! How hard a system may be pressed by all leavers together: requests a second, requests at the same time, and silence
//! until the instant that the system asked for.
//!
//! # Why
//! A sliding window, not a bucket: a bucket that lets `n` requests go at once and refills at `n` a second lets `2n` go in its
//! first second, which a system that counts seconds answers with 429. Places are given out in the order of asking, so a
//! request knows at once when its turn is, or that its deadline comes first.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep_until, timeout_at},
};

use super::Clock;
use crate::core::fault::Fault;

/// Requests at the same time where nothing is said.
pub const CONCURRENT: usize = 32;

/// The longest silence that is believed.
pub const LONGEST_SILENCE: SignedDuration = SignedDuration::from_hours(24);

/// The window in which requests are counted: a second, and a little for what the network bunches up.
const WINDOW: Duration = Duration::from_millis(1020);

/// The limits of one connector, shared by everybody who uses it.
pub struct Limit {
    /// Requests in a window; none: any number.
    rate: Option<usize>,
    /// When the latest requests went, or will go; never more than `rate`.
    sent: Mutex<VecDeque<Instant>>,
    slots: Semaphore,
    parked: Mutex<Option<Timestamp>>,
    clock: Clock,
}

impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limit")
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}

impl Limit {
    /// At most `rate` requests in any second and `concurrent` at the same time.
    pub fn new(rate: Option<u32>, concurrent: Option<u32>, clock: Clock) -> Self {
        let whole = |number: u32| usize::try_from(number).unwrap_or(usize::MAX).max(1);
        Self {
            rate: rate.map(whole),
            sent: Mutex::default(),
            slots: Semaphore::new(concurrent.map_or(CONCURRENT, whole)),
            parked: Mutex::default(),
            clock,
        }
    }

    /// Nothing is sent before `until`, at most [`LONGEST_SILENCE`] from now. An earlier instant than before changes nothing.
    pub fn park(&self, until: Timestamp) {
        let latest = (self.clock)()
            .saturating_add(LONGEST_SILENCE)
            .unwrap_or(Timestamp::MAX);
        let mut parked = lock(&self.parked);
        *parked = Some(parked.unwrap_or(Timestamp::MIN).max(until.min(latest)));
    }

    /// Waits for a turn, no longer than `patience`. The permit is held while the request is on its way.
    ///
    /// # Errors
    /// `Throttled` when the system wants silence, or when the turn would come later than `patience`.
    pub async fn enter(&self, patience: Instant) -> Result<SemaphorePermit<'_>, Fault> {
        self.check()?;
        let Ok(Ok(permit)) = timeout_at(patience, self.slots.acquire()).await else {
            return Err(self.later(Duration::from_secs(1)));
        };
        self.check()?;
        sleep_until(self.reserve(patience)?).await;
        self.check()?;
        Ok(permit)
    }

    /// Whether the system wants silence.
    fn check(&self) -> Result<(), Fault> {
        match *lock(&self.parked) {
            Some(until) if (self.clock)() < until => Err(Fault::throttled(until)),
            _ => Ok(()),
        }
    }

    /// The instant of the next free place, which is taken; or when to ask again.
    fn reserve(&self, patience: Instant) -> Result<Instant, Fault> {
        let now = Instant::now();
        let Some(rate) = self.rate else { return Ok(now) };
        let mut sent = lock(&self.sent);
        let turn = match sent.front() {
            Some(oldest) if sent.len() >= rate => now.max(*oldest + WINDOW),
            _ => now,
        };
        if turn > patience {
            return Err(self.later(turn - now));
        }
        if sent.len() >= rate {
            sent.pop_front();
        }
        sent.push_back(turn);
        Ok(turn)
    }

    /// Throttled by ourselves.
    fn later(&self, wait: Duration) -> Fault {
        let wait = SignedDuration::try_from(wait).unwrap_or(LONGEST_SILENCE);
        Fault::throttled((self.clock)().saturating_add(wait).unwrap_or(Timestamp::MAX))
    }
}

/// Poison is no danger: every change is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{core::fault::FaultKind, transport::system_clock};

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[tokio::test(start_paused = true)]
    async fn no_window_of_a_second_has_more_than_the_limit() {
        let limit = Arc::new(Limit::new(Some(5), None, system_clock()));
        let mut went = Vec::new();
        for _ in 0..23 {
            drop(limit.enter(soon()).await.unwrap());
            went.push(Instant::now());
        }
        assert!(
            went[4] - went[0] < Duration::from_millis(10),
            "the first ones go at once"
        );
        assert!(
            went.windows(6)
                .all(|six| six[5] - six[0] > Duration::from_secs(1))
        );
        assert!(
            went[22] - went[0] < Duration::from_millis(4_200),
            "and none waits longer than it must"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_after_the_deadline_is_refused_at_once() {
        let limit = Limit::new(Some(1), None, system_clock());
        drop(limit.enter(soon()).await.unwrap());
        let asked = Instant::now();
        let fault = limit
            .enter(Instant::now() + Duration::from_millis(200))
            .await
            .unwrap_err();
        assert!(matches!(fault.kind, FaultKind::Throttled { .. }));
        assert!(asked.elapsed() < Duration::from_millis(5));
        drop(limit.enter(soon()).await.unwrap());
        assert!(
            asked.elapsed() < Duration::from_millis(1_100),
            "the refused one took no place"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_kept_by_all_and_ends_when_it_was_said_to() {
        let start = Timestamp::UNIX_EPOCH;
        let now = Arc::new(Mutex::new(start));
        let clock: Clock = Arc::new({
            let now = now.clone();
            move || *now.lock().unwrap()
        });
        let limit = Limit::new(None, None, clock);
        let until = start + SignedDuration::from_secs(30);
        limit.park(until);
        limit.park(start);
        assert_eq!(limit.enter(soon()).await.unwrap_err(), Fault::throttled(until));
        *now.lock().unwrap() = until;
        assert!(limit.enter(soon()).await.is_ok());
        limit.park(Timestamp::MAX);
        let day = until + LONGEST_SILENCE;
        assert_eq!(limit.enter(soon()).await.unwrap_err(), Fault::throttled(day));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_place_is_stopped_by_a_silence_that_begins_meanwhile() {
        let limit = Arc::new(Limit::new(None, Some(1), system_clock()));
        let permit = limit.enter(soon()).await.unwrap();
        let waiting = tokio::spawn({
            let limit = limit.clone();
            async move { limit.enter(soon()).await.map(drop) }
        });
        tokio::task::yield_now().await;
        limit.park(Timestamp::now() + SignedDuration::from_secs(30));
        drop(permit);
        assert!(waiting.await.unwrap().is_err());
    }
}
