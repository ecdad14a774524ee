//! Bugs planted on purpose, to show that the tests would see them.
//!
//! Each takes the place of a [`Check`](super::check::Check) of the rules, by its name, in the thread in which it is planted.

use std::any::Any;

use jiff::Timestamp;

use super::{
    fact::{FactSpec, Truth, Verdict},
    plan::{Rule, View, asserted, settling},
    planted::{Bug, current},
};

/// The faulty rule that takes the place of the one called `name`, if a bug is planted that is about it.
///
/// # Panics
/// When it is no rule of the kind that is asked for.
pub fn in_place_of<R: Copy + 'static>(name: &str) -> Option<R> {
    let bug = current()?;
    let mutants = MUTANTS.iter().filter(|mutant| mutant.bug == bug);
    let mut named = mutants.filter(|mutant| mutant.check == name);
    let rule: &dyn Any = named.next()?.rule;
    Some(
        *rule
            .downcast_ref()
            .expect("a mutant is a rule like the one that it replaces"),
    )
}

/// A faulty rule.
struct Mutant {
    bug: Bug,
    /// The check whose place it takes.
    check: &'static str,
    rule: &'static (dyn Any + Sync),
}

const fn mutant(bug: Bug, check: &'static str, rule: &'static (dyn Any + Sync)) -> Mutant {
    Mutant { bug, check, rule }
}

type Hindrance = fn(&View<'_>, &FactSpec) -> bool;

const LEAVES_IT: Rule = |_| None;
const DONE_THOUGH_BLOCKED: Rule = |q| q.view.blocked.map(|_| Verdict::Verified);
const DONE_THOUGH_UNREADABLE: Rule = |q| match q.sight?.truth {
    Truth::Unreadable(_) => Some(Verdict::Verified),
    _ => None,
};
const DONE_ONCE_ACCEPTED: Rule = |q| {
    let accepted = q.entry.accepted.map(|_| Verdict::Verified);
    accepted.or_else(|| asserted(q))
};
const SENT_AGAIN_WITHOUT_ANSWER: Rule = |q| q.entry.accepted.and_then(|_| settling(q));
const HINDERS_NOT: Hindrance = |_, _| false;
const NEVER_PARKED: fn(Timestamp, Timestamp) -> bool = |_, _| false;
const ALWAYS_SINCE: fn(Timestamp, Timestamp) -> bool = |_, _| true;
const NEVER_GIVES_WAY: fn(&View<'_>, &FactSpec, &FactSpec) -> bool = |_, _, _| false;

static MUTANTS: &[Mutant] = &[
    mutant(Bug::ReceiptIsProof, "asserted", &DONE_ONCE_ACCEPTED),
    mutant(Bug::StaleReadIsProof, "stale read", &LEAVES_IT),
    mutant(Bug::StaleReadIsProof, "rests on a stale read", &HINDERS_NOT),
    mutant(Bug::UnreadableIsDone, "blocked", &DONE_THOUGH_BLOCKED),
    mutant(Bug::UnreadableIsDone, "unreadable", &DONE_THOUGH_UNREADABLE),
    mutant(Bug::RepeatsBlindly, "settling", &SENT_AGAIN_WITHOUT_ANSWER),
    mutant(Bug::ForgetsRequirements, "requirements", &LEAVES_IT),
    mutant(Bug::ForgetsRequirements, "requirements on record", &LEAVES_IT),
    mutant(Bug::IgnoresThrottling, "is parked", &NEVER_PARKED),
    mutant(Bug::AssertsForEver, "asked since", &ALWAYS_SINCE),
    mutant(Bug::AssertsForEver, "requirements on record", &LEAVES_IT),
    mutant(Bug::IgnoresHold, "legal hold", &LEAVES_IT),
    mutant(Bug::WaitsForTheRefused, "gives way", &NEVER_GIVES_WAY),
];
