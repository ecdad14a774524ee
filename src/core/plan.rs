//! What is true, what may be sent now, and when to look again. Decides; never awaits.
//!
//! One [`PlanInput`] is everything the rules know about one system of one leaver at one instant of one look. From it
//! [`PlanInput::verdict`] says what is known about a fact, [`PlanInput::sendable`] which acts may go out now, and
//! [`PlanInput::wake`] when something will change without anybody telling us.
//!
//! # Why
//! A look and the acts that follow from it overlap in time: an act whose edges allow goes out while other reads of
//! the same look are still under way. So the rules are asked again after every single answer, always with the
//! whole view; there is no list of steps that could be out of date.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{
    approvals::Gates,
    case::System,
    fact::{Class, FactSpec, Sight, Verdict},
    fault::Fault,
    ledger::SystemLedger,
    pace::Pace,
    schedule,
};

mod edges;
mod sending;
mod task;
mod verdict;
mod wake;

pub use verdict::Question;
#[cfg(test)]
pub(super) use verdict::{Rule, asserted, settling};

/// After so many reversals by somebody else we stop fighting over a fact (R14).
pub const REVERSALS_BEFORE_CONFLICT: usize = 3;

/// No call takes longer. An intent without a receipt may take effect until this much later.
pub const LONGEST_CALL: SignedDuration = SignedDuration::from_secs(60);

/// What follows from an act by itself, such as a membership from a group that was left, is there after this time.
const FOLLOWS_WITHIN: SignedDuration = SignedDuration::from_mins(10);
/// The gate of a task that a person has not done yet.
pub const TASK_AWAITED: &str = "AwaitingManualTask";
/// The same once it should have been done.
pub const TASK_OVERDUE: &str = "ManualTaskOverdue";

/// The shortest wait before looking again at something that was accepted and is not visible yet.
const FIRST_SETTLE_POLL: SignedDuration = SignedDuration::from_millis(500);
/// The wait between two looks at a long-running operation.
const OPERATION_POLL: SignedDuration = SignedDuration::from_secs(5);

/// The word for a fact that a legal hold keeps from being asked for.
pub const LEGAL_HOLD: &str = "LegalHold";

/// What a legal hold keeps: whatever is deleted, cannot be brought back, or goes away some time after its seat is given up.
pub fn held_back(fact: &FactSpec) -> bool {
    fact.irreversible || matches!(fact.class, Class::Deletion | Class::Licenses)
}

/// What happened to the act of one fact since the look began.
#[derive(Debug, Clone, PartialEq)]
pub enum Sent {
    /// Under way.
    InFlight,
    /// The system accepted it.
    Accepted,
    /// It failed.
    Failed(Fault),
}

/// Everything the rules know about one system of one leaver at one instant of one look.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a separate condition that the rules ask for by name"
)]
pub struct PlanInput<'a> {
    /// What is wanted.
    pub system: &'a System,
    /// The facts, in the order in which they are tried.
    pub facts: &'a [FactSpec],
    /// What the look showed, by fact. A fact without a sight was not read yet.
    pub sights: &'a BTreeMap<String, Sight>,
    /// What is durable.
    pub ledger: &'a SystemLedger,
    /// What earlier passes remember.
    pub pace: &'a Pace,
    /// What was sent since the look began.
    pub sent: &'a BTreeMap<String, Sent>,
    /// The look began after the last act on this system was answered (R1).
    pub fresh: bool,
    /// Reads of the look are still under way.
    pub reading: bool,
    /// Why the system as a whole could not be looked at.
    pub blocked: Option<&'a Fault>,
    /// Things may be changed: the policy enforces, the leaver is not suspended, the connector is not observe-only.
    pub may_act: bool,
    /// Nothing may be deleted.
    pub legal_hold: bool,
    /// Since when everything is handed over.
    pub handed_over: Option<Timestamp>,
    /// What waits for people.
    pub gates: &'a Gates,
    /// For how long a proof outlives a read that fails for a passing reason.
    pub proof_lasts: SignedDuration,
    /// When the look began: what it read may be as old as this.
    pub looked_at: Timestamp,
    /// Now.
    pub now: Timestamp,
}

impl PlanInput<'_> {
    /// What is known about the fact of this name; none when there is no such fact.
    pub fn verdict_of(&self, name: &str) -> Option<Verdict> {
        self.facts
            .iter()
            .find(|fact| fact.name == name)
            .map(|fact| self.verdict(fact))
    }

    /// When to look again for what was asked for at `asked` and is shown at `settled` at the latest: less and less often.
    fn poll(&self, asked: Timestamp, settled: Timestamp) -> Timestamp {
        let waited = self.now.duration_since(asked).max(FIRST_SETTLE_POLL);
        schedule::later(self.now, waited).min(settled.max(self.now))
    }
}

#[cfg(test)]
mod tests;
