//! When to look again.

use jiff::{SignedDuration, Timestamp};

use super::{FIRST_SETTLE_POLL, PlanInput, TASK_AWAITED, TASK_OVERDUE};
use crate::core::{
    case::Wanted,
    fact::{FactSpec, Proof, Verdict, Why},
    schedule,
};

impl PlanInput<'_> {
    /// When something may change without anybody telling us; none when nothing will.
    pub fn wake(&self) -> Option<Timestamp> {
        let parked = self.pace.parked_until.filter(|until| *until > self.now);
        let facts = self.facts.iter().filter_map(|fact| {
            let at = match self.verdict(fact) {
                // It waits for something else to happen first.
                Verdict::NotDue(at) if at == Timestamp::MAX => return None,
                Verdict::NotDue(at) | Verdict::Pending(at) => at,
                Verdict::Exposed(at) => match self.ledger.fact(&fact.name).accepted {
                    Some(asked) if fact.proof == Proof::Log => self.poll(asked, at),
                    _ => at,
                },
                Verdict::Unmet(Why::Gated(_)) | Verdict::Asserted if fact.by_hand => self.task_wake(fact)?,
                Verdict::Unmet(Why::Gated(TASK_AWAITED | TASK_OVERDUE)) => self.task_wake(fact)?,
                // What waits for another fact is woken by that one.
                Verdict::Unmet(Why::ControllerConflict | Why::Gated(_) | Why::WaitsFor(_)) => {
                    return None;
                }
                Verdict::Unmet(_) if !self.may_act || self.ledger.identity_mismatch => return None,
                Verdict::Unmet(_) if !fact.after.iter().all(|name| self.lets_pass(name, fact)) => {
                    return None;
                }
                Verdict::Unmet(_) | Verdict::Unknown(_) => self.retry_at(&fact.name),
                // Seen true within the settle time: looked at once more when late reads are over.
                Verdict::Verified => match self.unconfirmed_until(fact)? {
                    until if until > self.now => until,
                    _ => self.retry_at(&fact.name),
                },
                Verdict::Asserted | Verdict::NotNeeded(_) => return None,
            };
            Some(at)
        });
        let kept = self.system.kept_facts.values().copied();
        let kept = kept.chain(self.system.kept_until);
        let over = self.system.wanted.values().filter_map(|wanted| match wanted {
            Wanted::Between(_, until) => Some(*until),
            _ => None,
        });
        let changes = kept.chain(over).filter(|at| *at > self.now);
        let earliest = facts.chain(changes).chain(self.gates.wake).min()?;
        Some(parked.map_or(earliest, |until| earliest.max(until)))
    }

    /// Until when a proof may rest on a late read; none when it was seen again after that.
    fn unconfirmed_until(&self, fact: &FactSpec) -> Option<Timestamp> {
        let entry = self.ledger.fact(&fact.name);
        let until = schedule::later(entry.accepted.max(entry.verified)?, fact.settle);
        let seen = *self.pace.seen.get(&fact.name)?;
        (fact.settle > SignedDuration::ZERO && seen < until).then_some(until)
    }

    fn retry_at(&self, fact: &str) -> Timestamp {
        let troubles = [self.pace.facts.get(fact), self.pace.system.as_ref()];
        let not_before = troubles.into_iter().flatten().map(|t| t.not_before).max();
        not_before.unwrap_or_else(|| schedule::later(self.now, FIRST_SETTLE_POLL))
    }
}
