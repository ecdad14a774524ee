//! Which acts may go out now.

use super::{PlanInput, Sent};
use crate::core::{
    check::Check,
    fact::{FactSpec, Verdict, Why},
    pace::parked,
};

type SystemHindrance = fn(&PlanInput<'_>) -> bool;
type Hindrance = fn(&PlanInput<'_>, &FactSpec) -> bool;

/// What keeps every act of the system from going out.
const SYSTEM_HINDRANCES: &[Check<SystemHindrance>] = &[
    Check::new("may change nothing", |view| !view.may_act),
    Check::new("another account answered", |view| view.ledger.identity_mismatch),
    Check::new("wants to be left alone", |view| {
        parked(view.pace.parked_until, view.now).is_some()
    }),
];

/// What keeps the act of one fact from going out.
const HINDRANCES: &[Check<Hindrance>] = &[
    Check::new("not wanting", |view, fact| {
        let verdict = view.verdict(fact);
        !matches!(
            verdict,
            Verdict::Unmet(Why::NotTried | Why::NotEffective | Why::Failed(_))
        )
    }),
    Check::new("sent in this look", |view, fact| {
        view.sent.contains_key(&fact.name)
    }),
    Check::new("not its turn", |view, fact| !view.has_its_turn(fact)),
    // What cannot be repeated or taken back rests on reads of the present state only.
    Check::new("rests on a stale read", |view, fact| {
        !view.fresh && (!fact.repeatable || fact.irreversible)
    }),
    Check::new("comes after another", |view, fact| {
        !fact.after.iter().all(|name| view.lets_pass(name, fact))
    }),
    Check::new("prefers to come after another", |view, fact| {
        fact.prefers_after.iter().any(|name| view.still_coming(name))
    }),
];

impl PlanInput<'_> {
    /// The facts whose acts may go out now, in order.
    pub fn sendable(&self) -> Vec<&FactSpec> {
        if SYSTEM_HINDRANCES.iter().any(|hinders| hinders.rule()(self)) {
            return vec![];
        }
        self.facts.iter().filter(|fact| self.may_send(fact)).collect()
    }

    /// Whether the act of `fact` goes out in this look as soon as what it comes after was accepted.
    pub fn will_send(&self, fact: &FactSpec) -> bool {
        !self.ledger.identity_mismatch
            && self.pace.parked_until.is_none_or(|t| self.now >= t)
            && matches!(self.verdict(fact), Verdict::Unmet(Why::NotTried))
            && self.has_its_turn(fact)
            && !fact.after.iter().all(|name| self.lets_pass(name, fact))
    }

    fn may_send(&self, fact: &FactSpec) -> bool {
        !HINDRANCES.iter().any(|hinders| hinders.rule()(self, fact))
    }

    /// Whether there is an act, and no trouble that it has to wait for.
    pub(super) fn has_its_turn(&self, fact: &FactSpec) -> bool {
        self.sights.get(&fact.name).is_some_and(|s| s.act.is_some())
            && self
                .pace
                .facts
                .get(&fact.name)
                .is_none_or(|t| self.now >= t.not_before)
    }

    /// Whether `name` is about to be sent, so that a fact which prefers to come after it should wait a moment.
    fn still_coming(&self, name: &str) -> bool {
        let Some(fact) = self.facts.iter().find(|f| f.name == name) else {
            return false;
        };
        if matches!(self.sent.get(name), Some(Sent::InFlight)) {
            return true;
        }
        if self.reading && !self.sights.contains_key(name) {
            return self.verdict(fact).due() && !self.verdict(fact).settled();
        }
        self.may_send(fact)
    }
}
