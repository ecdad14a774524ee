//! What a person does by hand: on whose word it counts as done, what a read says against that, and when it is overdue.

use jiff::Timestamp;

use super::{PlanInput, TASK_AWAITED, TASK_OVERDUE};
use crate::core::{
    fact::{FactSpec, Proof, Sight, Truth, Verdict, Why},
    schedule,
};

impl PlanInput<'_> {
    pub(super) fn task_gate(&self, fact: &FactSpec, sight: &Sight) -> Why {
        let late = self.task_due(fact, sight).is_some_and(|due| due <= self.now);
        Why::Gated(if late { TASK_OVERDUE } else { TASK_AWAITED })
    }

    /// When the word was given that counts for a task. One that was taken stays, whatever becomes of the object it was
    /// written in; one that something newer disagrees with is spent for good.
    pub fn attested_at(&self, fact: &FactSpec) -> Option<Timestamp> {
        let refuted = self.ledger.fact(&fact.name).refuted_at;
        self.newest_attestation(fact)
            .filter(|at| refuted.is_none_or(|refuted| refuted <= schedule::later(*at, fact.settle)))
    }

    fn newest_attestation(&self, fact: &FactSpec) -> Option<Timestamp> {
        let attested = self.system.attested.get(&fact.name).map(|word| word.at);
        attested
            .max(self.ledger.fact(&fact.name).attested_at)
            .filter(|_| fact.by_hand)
    }

    /// The moment of which a read shows that the task is not done, though somebody had said before that it is.
    pub fn refutation(&self, fact: &FactSpec, sight: &Sight) -> Option<Timestamp> {
        if fact.proof == Proof::None || sight.truth != Truth::DoesNotHold {
            return None;
        }
        let as_of = sight.task.as_ref().and_then(|task| task.as_of);
        // An export of a day to come is no newer than the look, whatever it says.
        let as_of = as_of.unwrap_or(self.looked_at).min(self.looked_at);
        (as_of > schedule::later(self.newest_attestation(fact)?, fact.settle)).then_some(as_of)
    }

    /// When a task is overdue: counted from when it is wanted, or from when we first knew whose it is.
    pub fn task_due(&self, fact: &FactSpec, sight: &Sight) -> Option<Timestamp> {
        let wanted = self.system.wanted.get(&fact.name)?.from(self.handed_over)?;
        let known = self.ledger.account.as_ref().map(|account| account.bound_at);
        let opened = known.map_or(wanted, |known| known.max(wanted));
        Some(schedule::later(opened, sight.task.as_ref()?.due_in))
    }

    /// When something about a task may change though nobody says so: it becomes overdue, or a newer export is there.
    pub(super) fn task_wake(&self, fact: &FactSpec) -> Option<Timestamp> {
        let sight = self.sights.get(&fact.name)?;
        let due = match self.verdict(fact) {
            Verdict::Unmet(_) => self.task_due(fact, sight).filter(|due| *due > self.now),
            _ => None,
        };
        let looked = (fact.proof != Proof::None).then(|| schedule::later(self.now, self.proof_lasts / 2));
        due.into_iter().chain(looked).min()
    }
}
