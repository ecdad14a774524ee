//! What one fact waits for of the others.

use jiff::Timestamp;

use super::{FOLLOWS_WITHIN, PlanInput, Sent, TASK_AWAITED, TASK_OVERDUE};
use crate::core::{
    check::Check,
    fact::{FactSpec, Truth, Verdict, Why},
    fault::{Fault, FaultKind},
    schedule,
};

/// Whether what was accepted at the first instant was asked for since its requirement was proven, at the second.
const ASKED_SINCE: Check<fn(Timestamp, Timestamp) -> bool> =
    Check::new("asked since", |accepted, verified| accepted >= verified);

/// Whether a fact waits no longer for an earlier one.
const GIVES_WAY: Check<fn(&PlanInput<'_>, &FactSpec, &FactSpec) -> bool> =
    Check::new("gives way", refused_for_good);

impl PlanInput<'_> {
    /// A fact without a read counts as asked only if it was asked after everything it requires was proven, the last
    /// time that was proven: after a drift it is asked again.
    pub(super) fn asked_since_its_requirements(&self, fact: &FactSpec) -> bool {
        let entry = self.ledger.fact(&fact.name);
        let said = fact.reported.is_none() || entry.attested_at.is_some();
        let Some(accepted) = entry.accepted.filter(|_| said) else {
            return false;
        };
        fact.requires
            .iter()
            .all(|name| match self.ledger.fact(name).verified {
                Some(verified) => ASKED_SINCE.rule()(accepted, verified),
                None => self.is_on_record(name),
            })
    }

    /// Whether the ledger knows when `name` was proven, or there is nothing to prove.
    pub(super) fn is_on_record(&self, name: &str) -> bool {
        self.ledger.fact(name).verified.is_some()
            || matches!(self.verdict_of(name), Some(Verdict::NotNeeded(_)))
    }

    /// Whether `fact`, which comes after others, may still follow from them by itself.
    pub(super) fn may_still_follow(&self, fact: &FactSpec) -> bool {
        fact.after
            .iter()
            .any(|name| match self.ledger.fact(name).verified {
                Some(at) => self.looked_at < schedule::later(at, fact.settle.max(FOLLOWS_WITHIN)),
                None => !self.verdict_of(name).is_some_and(|verdict| verdict.settled()),
            })
    }

    /// Whether `fact` waits no longer for `name`, which is refused for good: what ends access another way is not held up by it.
    pub(super) fn gives_way(&self, name: &str, fact: &FactSpec) -> bool {
        let earlier = self.facts.iter().find(|earlier| earlier.name == name);
        earlier.is_some_and(|earlier| GIVES_WAY.rule()(self, earlier, fact))
    }

    /// Whether `name` is about access too, and wanted later only.
    pub(super) fn is_later(&self, name: &str) -> bool {
        let fact = self.facts.iter().find(|fact| fact.name == name);
        fact.is_some_and(|fact| fact.class.security() && matches!(self.verdict(fact), Verdict::NotDue(_)))
    }

    pub(super) fn unsettled<'n>(&self, names: impl Iterator<Item = &'n String>) -> Vec<String> {
        names
            .filter(|name| self.verdict_of(name).is_none_or(|v| !v.settled()))
            .cloned()
            .collect()
    }

    /// Whether `fact` need not wait for `name` any more before it is sent.
    pub(super) fn lets_pass(&self, name: &str, fact: &FactSpec) -> bool {
        self.asked(name) || self.gives_way(name, fact)
    }

    /// Whether `name` was accepted, or need not be.
    fn asked(&self, name: &str) -> bool {
        let seen = self.sights.get(name).is_some_and(|s| s.truth == Truth::Holds);
        let accepted = matches!(self.sent.get(name), Some(Sent::Accepted));
        let pending = || matches!(self.verdict_of(name), Some(Verdict::Pending(_)));
        seen || accepted || self.verdict_of(name).is_some_and(|v| v.settled()) || pending()
    }
}

/// Whether `fact` waits no longer for `earlier`. Nothing that cannot be repeated or taken back goes out before its time.
fn refused_for_good(view: &PlanInput<'_>, earlier: &FactSpec, fact: &FactSpec) -> bool {
    let security = earlier.class.security() && fact.class.security();
    // While it is tried once more its answer comes first.
    let tried = match view.sent.get(&earlier.name) {
        Some(sent) => !matches!(sent, Sent::Failed(_)),
        None => view.has_its_turn(earlier),
    };
    if !security || tried || fact.irreversible || !fact.repeatable {
        return false;
    }
    let for_good = |fault: &Fault| matches!(fault.kind, FaultKind::Permanent | FaultKind::NeedsDecision);
    match view.verdict(earlier) {
        Verdict::Unmet(Why::Failed(fault)) | Verdict::Unknown(fault) => for_good(&fault),
        Verdict::Unmet(Why::NoAct | Why::ControllerConflict) | Verdict::NotDue(_) => true,
        // There is nothing that we could send for it.
        Verdict::Unmet(Why::Gated(TASK_AWAITED | TASK_OVERDUE)) => !earlier.by_hand,
        Verdict::Unmet(Why::WaitsFor(_)) => {
            let mut before = earlier.after.iter().chain(&earlier.requires);
            before.any(|name| view.gives_way(name, fact))
        }
        _ => false,
    }
}
