//! Bugs planted on purpose, to show that the tests would see them.
//!
//! Each takes the place of a [`Check`](super::check::Check) of the rules, by its name, in the thread in which it is planted.

use std::{any::Any, cell::Cell};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    binding::Search,
    fact::{Class, FactSpec, Truth, Verdict},
    fault::Fault,
    hand_over::{HandOver, Seen},
    intent::Sending,
    ledger::{Ledger, SystemLedger},
    pace::Trouble,
    plan::{PlanInput, Rule, asserted, settling},
    schedule::LONGEST_WAIT,
};

/// A bug that a careless change could bring in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// Counts the answer to an act as proof.
    ReceiptIsProof,
    /// Counts a read from before the last act as proof.
    StaleReadIsProof,
    /// Rounds "could not be read" up to "done".
    UnreadableIsDone,
    /// Sends an unrepeatable act again when its answer was lost.
    RepeatsBlindly,
    /// Sends an unrepeatable act before its intent is durable.
    NoIntent,
    /// Removes before the snapshot is durable.
    NoSnapshot,
    /// Lets a later look shrink the snapshot.
    SnapshotShrinks,
    /// Forgets what a fact requires.
    ForgetsRequirements,
    /// Goes on after the Offboarding was deleted.
    IgnoresDeletion,
    /// Sends before the time that the system named.
    IgnoresThrottling,
    /// Addresses changes by what `find` shows now, not by the bound id.
    ActsByName,
    /// Gives up after a fault that passes by itself.
    GivesUp,
    /// Does not ask again for what cannot be read after access came back.
    AssertsForEver,
    /// Counts a running operation as finished.
    OperationIsDone,
    /// Deletes in spite of a legal hold.
    IgnoresHold,
    /// Counts the retention from the cutoff, whether or not everything was handed over.
    KeepsFromCutoff,
    /// Gives back what the ledger does not say was taken by us.
    GivesBackMore,
    /// Takes an account for the leaver's that came after access had ended.
    TakesLateAccounts,
    /// Takes an id for the same account's in whatever system the Connector leads to now.
    BindsToAnySystem,
    /// Lets a fact that is refused for good hold up what comes after it.
    WaitsForTheRefused,
    /// Judges whose account it is when it is bound, and never again.
    NeverLooksAgain,
    /// Takes who is not found any more for somebody who never had an account.
    ForgetsWhoWasFound,
    /// Waits the longest after the first fault that passes by itself.
    ComesBackLate,
    /// Proves only what today's configuration has.
    ForgetsTheRecord,
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Whether `bug` is planted in this thread.
pub fn planted(bug: Bug) -> bool {
    PLANTED.with(|planted| planted.get() == Some(bug))
}

/// Plants `bug` in this thread, or takes it away.
pub fn plant(bug: Option<Bug>) {
    PLANTED.with(|planted| planted.set(bug));
}

/// Runs `f` with `bug` planted in this thread.
pub fn with<R>(bug: Option<Bug>, f: impl FnOnce() -> R) -> R {
    plant(bug);
    let result = f();
    plant(None);
    result
}

/// The faulty rule that takes the place of the one called `name`, if a bug is planted that is about it.
///
/// # Panics
/// When it is no rule of the kind that is asked for.
pub fn in_place_of<R: Copy + 'static>(name: &str) -> Option<R> {
    let bug = PLANTED.with(Cell::get)?;
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

type Hindrance = fn(&PlanInput<'_>, &FactSpec) -> bool;

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
const NEVER_GIVES_WAY: fn(&PlanInput<'_>, &FactSpec, &FactSpec) -> bool = |_, _, _| false;

const NEEDS_NO_WRITE: fn(&Sending<'_>, &SystemLedger) -> bool = |_, _| false;
const NOTHING_AHEAD: fn(&FactSpec) -> bool = |_| false;
const STILL_WANTED: fn(bool) -> bool = |_| true;
const NEVER_TRIED_AGAIN: fn(Trouble) -> Trouble = |trouble| Trouble {
    not_before: Timestamp::MAX,
    ..trouble
};
const NO_DOUBT: fn(&Search<'_>, &SystemLedger) -> Option<Fault> = |_, _| None;
const ALWAYS_RECOGNISED: fn(Result<bool, Fault>) -> Result<bool, Fault> = |_| Ok(true);
const NEVER_DUE: fn(Option<Timestamp>, Timestamp) -> bool = |_, _| false;
const ANY_SYSTEM: fn(&str, &str) -> bool = |_, _| true;
const AS_SEEN: fn(&[Value], &[Value]) -> Option<Vec<Value>> =
    |kept, seen| (kept.len() != seen.len()).then(|| seen.to_vec());
const FROM_THE_CUTOFF: fn(&[Seen<'_>], usize, Timestamp) -> HandOver = |_, _, cutoff| HandOver::Since(cutoff);
const EVERYTHING: fn(&SystemLedger, &str) -> bool = |_, _| true;
const NO_ROW: fn(&Ledger) -> Vec<&String> = |_| vec![];
const NO_FACT: fn(&SystemLedger) -> Vec<(&String, Class)> = |_| vec![];
const THE_LONGEST: fn() -> SignedDuration = || LONGEST_WAIT;

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
    mutant(Bug::NoSnapshot, "snapshot", &NEEDS_NO_WRITE),
    mutant(Bug::NoSnapshot, "kept ahead", &NOTHING_AHEAD),
    mutant(Bug::NoIntent, "intent", &NEEDS_NO_WRITE),
    mutant(Bug::IgnoresDeletion, "still wanted", &STILL_WANTED),
    mutant(Bug::GivesUp, "try again", &NEVER_TRIED_AGAIN),
    mutant(Bug::ForgetsWhoWasFound, "found once", &NO_DOUBT),
    mutant(Bug::TakesLateAccounts, "came after the end", &NO_DOUBT),
    mutant(Bug::NeverLooksAgain, "recognised", &ALWAYS_RECOGNISED),
    mutant(Bug::NeverLooksAgain, "others due", &NEVER_DUE),
    mutant(Bug::BindsToAnySystem, "same system", &ANY_SYSTEM),
    mutant(Bug::SnapshotShrinks, "grown snapshot", &AS_SEEN),
    mutant(Bug::KeepsFromCutoff, "handed over", &FROM_THE_CUTOFF),
    mutant(Bug::GivesBackMore, "given back", &EVERYTHING),
    mutant(Bug::ForgetsTheRecord, "recorded rows", &NO_ROW),
    mutant(Bug::ForgetsTheRecord, "recorded facts", &NO_FACT),
    mutant(Bug::ComesBackLate, "first wait", &THE_LONGEST),
];
