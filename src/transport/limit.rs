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
//! It may have meant that moment alone, so the lesson is left quickly: the rate doubles each second. Where the system refuses
//! at the same height again, the next attempt to go beyond it waits longer, up to a few seconds.

use std::{collections::VecDeque, fmt, time::Duration};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
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

/// A learned rate doubles in this time without a refusal.
const DOUBLES: Duration = Duration::from_secs(1);

/// The longest that a rate which was confirmed again and again is kept to before more is tried.
const LONGEST_HOLD: Duration = Duration::from_secs(8);

/// After so many doublings nothing is left of a lesson.
const FORGOTTEN: u32 = 10;

/// The limits of one connector, shared by everybody who uses it.
pub struct Limit {
    /// Requests in a window; none: any number.
    rate: Option<usize>,
    /// What the system's last refusal taught about it.
    lesson: Mutex<Option<Lesson>>,
    /// When the latest requests went, or will go, while there is a rate.
    places: Mutex<Places>,
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
            lesson: Mutex::default(),
            places: Mutex::default(),
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
        let mut parked = self.parked.lock();
        let begins = parked.is_none_or(|before| before <= now);
        let until = parked.unwrap_or(Timestamp::MIN).max(until.min(latest));
        *parked = Some(until);
        let silence = Duration::try_from(until.duration_since(now)).unwrap_or_default();
        self.learn(begins, Instant::now(), silence);
    }

    /// The first refusal after a silence says how much was too much; those that were on their way with it say nothing new.
    fn learn(&self, first: bool, now: Instant, silence: Duration) {
        let mut lesson = self.lesson.lock();
        let before = lesson.filter(|lesson| lesson.rate_at(now).is_some());
        if let (false, Some(before)) = (first, before) {
            let since = before.since.max(now + silence);
            *lesson = Some(Lesson { since, ..before });
            return;
        }
        let mut ended = self.ended.lock();
        forget_before(&mut ended, now);
        let taken = ended.len().max(SLOWEST);
        let rate = match self.least(before, now) {
            // A rate that was kept to and refused all the same is too high.
            Some(rate) if taken >= rate => (rate * 3 / 4).max(SLOWEST),
            _ => taken,
        };
        let hold = match before {
            Some(before) if taken < before.rate.saturating_mul(2) => (before.hold * 2).min(LONGEST_HOLD),
            _ => DOUBLES,
        };
        *lesson = Some(Lesson {
            rate,
            since: now + silence,
            hold,
        });
    }

    /// Requests in a window now: what was asked for, or less if that was too much for the system.
    fn rate_at(&self, now: Instant) -> Option<usize> {
        let lesson = *self.lesson.lock();
        self.least(lesson, now)
    }

    /// The lower one of what was asked for and what `lesson` leaves.
    fn least(&self, lesson: Option<Lesson>, now: Instant) -> Option<usize> {
        let learned = lesson.and_then(|lesson| lesson.rate_at(now));
        self.rate.into_iter().chain(learned).min()
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
        if let Some(place) = self.reserve(patience)? {
            self.wait(place).await?;
        }
        self.check()?;
        Ok(Turn {
            limit: self,
            _permit: permit,
        })
    }

    /// Whether the system wants silence.
    fn check(&self) -> Result<(), Fault> {
        match *self.parked.lock() {
            Some(until) if (self.clock)() < until => Err(Fault::throttled(until)),
            _ => Ok(()),
        }
    }

    /// The number of the next free place, which is taken; none where there is no rate. Or when to ask again.
    fn reserve(&self, patience: Instant) -> Result<Option<u64>, Fault> {
        let now = Instant::now();
        let Some(rate) = self.rate_at(now) else {
            return Ok(None);
        };
        let mut places = self.places.lock();
        places.forget_before(now);
        places.hasten(rate, now);
        let turn = places.turn(places.turns.len(), rate, now);
        if turn > patience {
            return Err(self.later(turn - now));
        }
        Ok(Some(places.take(turn)))
    }

    /// Waits for the turn of `place`, which comes earlier when the rate grows meanwhile.
    async fn wait(&self, place: u64) -> Result<(), Fault> {
        loop {
            let now = Instant::now();
            let rate = self.rate_at(now).unwrap_or(usize::MAX);
            let turn = {
                let mut places = self.places.lock();
                places.hasten(rate, now);
                places.turn_of(place)
            };
            match turn.filter(|turn| *turn > now) {
                Some(turn) => sleep_until(turn.min(now + DOUBLES)).await,
                None => return Ok(()),
            }
            self.check()?;
        }
    }

    /// Throttled by ourselves.
    fn later(&self, wait: Duration) -> Fault {
        let wait = SignedDuration::try_from(wait).unwrap_or(LONGEST_SILENCE);
        Fault::throttled((self.clock)().saturating_add(wait).unwrap_or(Timestamp::MAX))
    }
}

/// What a refusal taught.
#[derive(Debug, Clone, Copy)]
struct Lesson {
    /// Requests in a window.
    rate: usize,
    /// The end of the silence that came with it.
    since: Instant,
    /// For how long after the silence the rate stays as it is.
    hold: Duration,
}

impl Lesson {
    /// What is left of it; none when it is forgotten.
    fn rate_at(&self, now: Instant) -> Option<usize> {
        let age = now.saturating_duration_since(self.since);
        let Some(beyond) = age.checked_sub(self.hold) else {
            return Some(self.rate);
        };
        let doublings = 1 + u32::try_from(beyond.as_secs() / DOUBLES.as_secs()).unwrap_or(FORGOTTEN);
        (doublings <= FORGOTTEN).then(|| self.rate.saturating_mul(1 << doublings))
    }
}

/// The turns that were given out, in order, numbered from the first one ever.
#[derive(Debug, Default)]
struct Places {
    /// The number of the first one that is still kept.
    first: u64,
    turns: VecDeque<Instant>,
}

impl Places {
    fn forget_before(&mut self, now: Instant) {
        let kept = self.turns.len();
        forget_before(&mut self.turns, now);
        self.first += (kept - self.turns.len()) as u64;
    }

    /// The earliest turn of the kept place `index`, at `rate`.
    fn turn(&self, index: usize, rate: usize, now: Instant) -> Instant {
        let full = index.checked_sub(rate).and_then(|first| self.turns.get(first));
        full.map_or(now, |oldest| now.max(*oldest + WINDOW))
    }

    /// Takes the next place, and says its number.
    fn take(&mut self, turn: Instant) -> u64 {
        self.turns.push_back(turn);
        self.first + self.turns.len() as u64 - 1
    }

    /// The turn of a place; none when it is long over.
    fn turn_of(&self, place: u64) -> Option<Instant> {
        let index = usize::try_from(place.checked_sub(self.first)?).ok()?;
        self.turns.get(index).copied()
    }

    /// Brings the turns that were given out at a lower rate as near as `rate` allows.
    fn hasten(&mut self, rate: usize, now: Instant) {
        for index in 0..self.turns.len() {
            if self.turns[index] > now {
                self.turns[index] = self.turns[index].min(self.turn(index, rate, now));
            }
        }
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
        let mut ended = self.limit.ended.lock();
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

#[cfg(test)]
mod tests;
