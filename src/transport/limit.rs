//! How hard a system may be pressed by all leavers together: requests a second, requests at the same time, and silence
//! until the instant that the system asked for.
//!
//! # Why
//! A sliding window, not a bucket: a bucket that lets `n` requests go at once and refills at `n` a second lets `2n` go in its
//! first second, which a system that counts seconds answers with 429. Places are given out in the order of asking, so a
//! request knows at once when its turn is, or that its deadline comes first.
//!
//! A system that refuses for being asked too often teaches what it takes: as many requests as it had answered in the second
//! before. Without that, every leaver would run into the same refusal again and again, and begin its look anew each time.

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

/// Nothing slower than this many requests a second is learned from a refusal: the quota may have been used up by others.
const SLOWEST: usize = 5;

/// A learned rate grows by a tenth of itself in this time without a refusal.
const GROWS: Duration = Duration::from_secs(10);

/// The limits of one connector, shared by everybody who uses it.
pub struct Limit {
    /// Requests in a window; none: any number.
    rate: Option<usize>,
    /// What the system's last refusal taught about it, and when.
    learned: Mutex<Option<(usize, Instant)>>,
    /// When the latest requests went, or will go, while there is a rate.
    sent: Mutex<VecDeque<Instant>>,
    /// When the latest requests ended.
    ended: Mutex<VecDeque<Instant>>,
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
            learned: Mutex::default(),
            sent: Mutex::default(),
            ended: Mutex::default(),
            slots: Semaphore::new(concurrent.map_or(CONCURRENT, whole)),
            parked: Mutex::default(),
            clock,
        }
    }

    /// Nothing is sent before `until`, at most [`LONGEST_SILENCE`] from now. An earlier instant than before changes nothing.
    pub fn park(&self, until: Timestamp) {
        let now = (self.clock)();
        let latest = now.saturating_add(LONGEST_SILENCE).unwrap_or(Timestamp::MAX);
        let mut parked = lock(&self.parked);
        if parked.is_none_or(|before| before <= now) {
            self.learn();
        }
        *parked = Some(parked.unwrap_or(Timestamp::MIN).max(until.min(latest)));
    }

    /// The first refusal after a silence says how much was too much; those that were on their way with it say nothing new.
    fn learn(&self) {
        let now = Instant::now();
        let mut ended = lock(&self.ended);
        forget_before(&mut ended, now);
        let taken = ended.len().max(SLOWEST);
        let less = match self.rate_at(now) {
            // A rate that was kept to and refused all the same is too high.
            Some(rate) if taken >= rate => (rate * 3 / 4).max(SLOWEST),
            _ => taken,
        };
        *lock(&self.learned) = Some((less, now));
    }

    /// Requests in a window now: what was asked for, or less if that was too much for the system.
    fn rate_at(&self, now: Instant) -> Option<usize> {
        let learned = lock(&self.learned).map(|(rate, since)| {
            let steps = now.duration_since(since).as_secs() / GROWS.as_secs();
            rate + rate * usize::try_from(steps).unwrap_or(usize::MAX / 1000).min(1000) / 10
        });
        match (self.rate, learned) {
            (Some(rate), Some(learned)) => Some(rate.min(learned)),
            (rate, learned) => rate.or(learned),
        }
    }

    /// Waits for a turn, no longer than `patience`. The turn is held while the request is on its way.
    ///
    /// # Errors
    /// `Throttled` when the system wants silence, or when the turn would come later than `patience`.
    pub async fn enter(&self, patience: Instant) -> Result<Turn<'_>, Fault> {
        self.check()?;
        let Ok(Ok(permit)) = timeout_at(patience, self.slots.acquire()).await else {
            return Err(self.later(Duration::from_secs(1)));
        };
        self.check()?;
        sleep_until(self.reserve(patience)?).await;
        self.check()?;
        Ok(Turn {
            limit: self,
            _permit: permit,
        })
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
        let Some(rate) = self.rate_at(now) else {
            return Ok(now);
        };
        let mut sent = lock(&self.sent);
        forget_before(&mut sent, now);
        let full = sent.len().checked_sub(rate).and_then(|first| sent.get(first));
        let turn = full.map_or(now, |oldest| now.max(*oldest + WINDOW));
        if turn > patience {
            return Err(self.later(turn - now));
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

/// One request that is on its way.
#[derive(Debug)]
pub struct Turn<'l> {
    limit: &'l Limit,
    _permit: SemaphorePermit<'l>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut ended = lock(&self.limit.ended);
        forget_before(&mut ended, now);
        ended.push_back(now);
    }
}

/// Drops what is not in the window that ends `now`.
fn forget_before(instants: &mut VecDeque<Instant>, now: Instant) {
    while instants.front().is_some_and(|first| *first + WINDOW <= now) {
        instants.pop_front();
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

    /// A system that takes fifty requests in each second of its clock, and is asked by 300 at once.
    #[tokio::test(start_paused = true)]
    async fn a_refusal_teaches_what_the_system_takes() {
        let began = Instant::now();
        let start = Timestamp::UNIX_EPOCH;
        let clock: Clock = Arc::new(move || start + SignedDuration::try_from(began.elapsed()).unwrap());
        let limit = Arc::new(Limit::new(None, None, clock.clone()));
        let taken = Arc::new(Mutex::new((0_u64, 0_u32)));
        let refused = Arc::new(Mutex::new(0));
        let asking = (0..300).map(|_| {
            let (limit, taken, refused, clock) =
                (limit.clone(), taken.clone(), refused.clone(), clock.clone());
            tokio::spawn(async move {
                loop {
                    match limit.enter(Instant::now() + Duration::from_secs(15)).await {
                        Err(fault) => {
                            let FaultKind::Throttled { until } = fault.kind else {
                                panic!("{fault}")
                            };
                            let wait = until.duration_since(clock());
                            tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
                        }
                        Ok(_turn) => {
                            tokio::time::sleep(Duration::from_millis(5)).await;
                            let second = began.elapsed().as_secs();
                            let fits = {
                                let mut taken = taken.lock().unwrap();
                                if taken.0 != second {
                                    *taken = (second, 0);
                                }
                                taken.1 += 1;
                                taken.1 <= 50
                            };
                            if fits {
                                return;
                            }
                            *refused.lock().unwrap() += 1;
                            limit.park(clock() + SignedDuration::from_secs(1));
                        }
                    }
                }
            })
        });
        futures::future::join_all(asking.collect::<Vec<_>>()).await;
        let refused = *refused.lock().unwrap();
        assert!(
            refused <= CONCURRENT + 2,
            "only what was on its way with the first refusal: {refused}"
        );
        assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_refusal_taught_is_tried_again_slowly() {
        let limit = Limit::new(Some(40), None, system_clock());
        for _ in 0..20 {
            drop(limit.enter(soon()).await.unwrap());
        }
        limit.park(Timestamp::now() - SignedDuration::from_secs(1));
        assert_eq!(limit.rate_at(Instant::now()), Some(20));
        assert_eq!(limit.rate_at(Instant::now() + GROWS * 5), Some(30));
        assert_eq!(
            limit.rate_at(Instant::now() + GROWS * 500),
            Some(40),
            "never more than was asked for"
        );
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
