//! What a process remembers of a system between two passes: how often something failed, and until when to wait.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    check::Check,
    fault::{Fault, FaultKind, Reason},
    schedule,
};

/// What is remembered of earlier passes without being durable: how often something failed, and until when to wait.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    /// Since when this process has driven the system: what another one sent right before is known to nobody.
    pub since: Option<Timestamp>,
    /// By fact.
    pub facts: BTreeMap<String, Trouble>,
    /// Of the system as a whole: `find`, login, the successor.
    pub system: Option<Trouble>,
    /// The system wants to be left alone until then.
    pub parked_until: Option<Timestamp>,
    /// When an act was last sent whose outcome is not known, by fact.
    pub asked: BTreeMap<String, Timestamp>,
    /// When anything was last sent to the system, whatever became of it.
    pub last_sent: Option<Timestamp>,
    /// When each fact was last seen true with nothing sent since.
    pub seen: BTreeMap<String, Timestamp>,
    /// Digests of requests that once could not give back any more what they would, by fact: one that was asked for before by a
    /// process that is no more may have done so. They are gone when they cannot after another look either.
    pub gone: BTreeMap<String, BTreeSet<String>>,
    /// When other accounts of the person were last looked for, and the login names of those that are active.
    pub others: Option<(Timestamp, Vec<String>)>,
}

/// Whether a system that wants to be left alone until an instant still does at another.
const IS_PARKED: Check<fn(Timestamp, Timestamp) -> bool> = Check::new("is parked", |until, now| now < until);

/// The instant until which nothing may be sent at `now`; none when the system does not want to be left alone any more.
pub fn parked(until: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    until.filter(|until| IS_PARKED.rule()(*until, now))
}

impl Pace {
    /// Leaves the system alone until `until`, or until a later instant that is known already.
    pub fn park(&mut self, until: Timestamp) {
        self.parked_until = self.parked_until.max(Some(until));
    }

    /// Why nothing is asked of the system at `now`: it wants to be left alone, or it failed as a whole a moment ago.
    pub fn must_wait(&self, now: Timestamp) -> Option<Fault> {
        if let Some(until) = parked(self.parked_until, now) {
            return Some(Fault::throttled(until));
        }
        let failed = self.system.as_ref().filter(|trouble| now < trouble.not_before);
        failed.map(|trouble| trouble.fault.clone())
    }
}

/// A fault that was met, and when to try again.
#[derive(Debug, Clone, PartialEq)]
pub struct Trouble {
    /// The last fault.
    pub fault: Fault,
    /// How often in a row.
    pub attempts: u32,
    /// Not before this instant.
    pub not_before: Timestamp,
}

/// An act was accepted, its settle time is over, and nothing has changed: it is repeated with backoff, like a fault.
pub fn without_effect() -> Fault {
    Fault::transient(Reason::Conflict).with_code("no effect")
}

impl Trouble {
    /// The same trouble once more, at `now`.
    pub fn again(earlier: Option<&Self>, fault: Fault, now: Timestamp, seed: u64) -> Self {
        let attempts = earlier.map_or(0, |t| t.attempts.saturating_add(1));
        let not_before = match fault.kind {
            FaultKind::Throttled { until } => until,
            FaultKind::Transient | FaultKind::UnknownOutcome => {
                schedule::later(now, schedule::backoff(attempts, seed))
            }
            FaultKind::Permanent | FaultKind::NeedsDecision => {
                schedule::later(now, schedule::backoff_for_a_person(attempts, seed))
            }
        };
        Self {
            fault,
            attempts,
            not_before,
        }
    }
}
