//! What must be durable before an act is sent, and what is written down about it.

use jiff::Timestamp;

use super::{
    check::Check,
    fact::{FactSpec, Proof},
    ledger::SystemLedger,
    state::SystemState,
};

/// An act that is about to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Sending<'s> {
    /// The fact that it is for.
    pub fact: &'s FactSpec,
    /// All facts of the system.
    pub facts: &'s [FactSpec],
    /// It takes something away of which the snapshot is not known to be durable.
    pub unkept: bool,
    /// Its definition says how it is taken back.
    pub can_undo: bool,
}

type Rule = fn(&Sending<'_>, &SystemLedger) -> bool;

/// Why the ledger must be durable before an act goes out.
const DURABLE_FIRST: &[Check<Rule>] = &[
    Check::new("snapshot", |sending, _| sending.unkept),
    Check::new("intent", |sending, _| sending.is_unrepeatable()),
    // Security waits for no write; of the rest it must be known for certain that it was ours.
    Check::new("taken by us", |sending, _| {
        sending.can_undo && !sending.fact.class.security()
    }),
    Check::new("callback watermark", |sending, ledger| {
        sending.is_first_of_callback(ledger)
    }),
    // What could only be asserted rests on this fact; that it was undone must not be forgotten in a crash right after it is
    // mended.
    Check::new("asserted rests on it", |sending, ledger| {
        sending.facts.iter().any(|other| {
            let rests = other.proof == Proof::None && other.requires.contains(&sending.fact.name);
            rests && ledger.facts.contains_key(&other.name)
        })
    }),
];

/// Whether what a fact takes away is kept while its act still waits for another one.
const KEPT_AHEAD: Check<fn(&FactSpec) -> bool> = Check::new("kept ahead", |fact| fact.removes);

/// Whether what `fact` takes away is kept while its act still waits for another one: the write is not on the way of the access that
/// ends.
pub fn kept_ahead(fact: &FactSpec) -> bool {
    KEPT_AHEAD.rule()(fact)
}

/// Whether what is about to be sent is still wanted; whoever keeps the state says whether it is.
const STILL_WANTED: Check<fn(bool) -> bool> = Check::new("still wanted", |current| current);

/// Whether what is about to be sent is still wanted: the case is `current`, not deleted, suspended or changed meanwhile.
pub fn still_wanted(current: bool) -> bool {
    STILL_WANTED.rule()(current)
}

impl Sending<'_> {
    /// Whether the ledger must be durable before it goes out.
    pub fn waits_for_a_write(&self, ledger: &SystemLedger) -> bool {
        DURABLE_FIRST.iter().any(|check| check.rule()(self, ledger))
    }

    fn is_unrepeatable(&self) -> bool {
        !self.fact.repeatable || self.fact.irreversible
    }

    /// Whether a callback of it is awaited for the first time.
    fn is_first_of_callback(&self, ledger: &SystemLedger) -> bool {
        let known = ledger.fact(&self.fact.name).callback_watermark.is_some();
        self.fact.reported.is_some() && !known
    }
}

impl SystemState {
    /// Writes down that `sending` goes out at `now`; a callback names `asked_at` as the instant. Says whether that must be durable
    /// first.
    pub fn record_intent(&mut self, sending: &Sending<'_>, asked_at: Timestamp, now: Timestamp) -> bool {
        let waits = sending.waits_for_a_write(&self.ledger);
        let (unrepeatable, first) = (
            sending.is_unrepeatable(),
            sending.is_first_of_callback(&self.ledger),
        );
        if unrepeatable || sending.can_undo || first {
            let entry = self.entry(&sending.fact.name);
            entry.intent = if unrepeatable { Some(now) } else { entry.intent };
            entry.tried = if sending.can_undo { Some(now) } else { entry.tried };
            if first {
                // An answer to anything from before belongs to another time.
                entry.callback_watermark = Some(asked_at);
            }
        }
        self.pace.last_sent = Some(now);
        waits
    }
}

#[cfg(test)]
mod tests;
