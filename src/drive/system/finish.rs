//! The row that a pass over one system shows at its end.

use super::{Finished, SystemRun};
use crate::{
    core::{
        case::Gone,
        fact::{Class, Exempt, FactSpec, FactState, Sight, Verdict},
        fault::{Fault, Reason},
        identity, reinstate, scope,
    },
    drive::{Link, Row},
};

impl SystemRun<'_> {
    /// The end of a pass; `blocked` is why the system as a whole could not be looked at.
    pub(super) fn finish(self, facts: &[FactSpec], blocked: Option<&Fault>) -> Finished {
        let view = self.view(facts, blocked);
        let beyond = if self.drive.case.reinstate || self.system.gone.is_some() {
            vec![]
        } else {
            scope::facts_beyond(&self.state.ledger, &self.system, facts)
        };
        let other = self.other_account(blocked);
        let is_beyond = |fact: &FactSpec| beyond.iter().any(|lost| lost.name == fact.name);
        let shown = facts
            .iter()
            .filter(|fact| !is_beyond(fact))
            .map(|fact| FactState {
                spec: fact.clone(),
                verdict: view.verdict(fact),
                sight: self.look.sights.get(&fact.name).map(Sight::without_snapshot),
            });
        let mut shown: Vec<FactState> = shown.collect();
        let beyond = beyond.into_iter().map(|fact| {
            let verdict = self.unobservable(&fact, Reason::FactGone);
            FactState::unseen(fact, verdict)
        });
        shown.extend(beyond.chain(other.clone()));
        let pace = &self.state.pace;
        let others = self.others_of("");
        let wake = match blocked {
            Some(_) if facts.is_empty() => None,
            Some(fault) if !fault.passes_by_itself() => {
                pace.system.as_ref().map(|trouble| trouble.not_before)
            }
            _ => {
                let again = others.again(pace).filter(|_| other.is_some());
                view.wake().into_iter().chain(again).min()
            }
        };
        let candidates = self.journal.candidates.clone();
        let ledger = &self.state.ledger;
        let row = Row {
            account: ledger.account.as_ref().map(|a| (a.id.clone(), a.name.clone())),
            trouble: self.journal.trouble.clone(),
            blocked: blocked.cloned(),
            identity_mismatch: ledger.identity_mismatch,
            candidates: candidates.unwrap_or_else(|| others.names(pace).to_vec()),
            looked_up_by: self.looked_up_by(),
            not_covered: self.not_covered(),
            drifted: self.journal.drifted.clone(),
            reversals: ledger.reversals(),
            others: ledger.others(),
            not_kept: ledger.not_kept(),
            wake,
            ..Row::new(&self.system.row, shown)
        };
        Finished {
            row,
            began: self.journal.began,
            ledger: self.state.ledger,
            pace: self.state.pace,
            happenings: self.journal.happenings,
        }
    }

    /// The end of a pass over a system that only the record knows: nothing can be looked at, and nothing is forgotten.
    pub(super) fn finish_gone(mut self, gone: Gone) -> Finished {
        let shown: Vec<FactState> = if self.drive.case.reinstate {
            reinstate::out_of_reach(&self.state.ledger, &[])
        } else {
            let facts = scope::gone(&self.state.ledger).into_iter();
            let state = |fact| {
                let verdict = self.unobservable(&fact, Reason::ConnectorGone);
                FactState::unseen(fact, verdict)
            };
            facts.map(state).collect()
        };
        if shown.iter().any(|state| !state.verdict.settled()) {
            let text = match gone {
                Gone::Deleted => "the Connector is gone: apply it again, or waive each fact",
                Gone::Deselected if self.system.row.contains('/') => {
                    "spec.employee.accounts does not name it any more: name it again, or waive each fact"
                }
                Gone::Deselected => {
                    "policy.spec.connectors does not select it any more: select it, or waive each fact"
                }
            };
            self.journal.trouble = Some(text.to_owned());
        }
        let blocked = || Fault::needs_decision(Reason::ConnectorGone);
        let blocked = self.journal.trouble.is_some().then(blocked);
        let mut finished = self.finish(&[], blocked.as_ref());
        finished.row.facts = shown;
        finished
    }

    /// That another active account was found, which somebody must decide about, or that nobody could look for one.
    fn other_account(&self, blocked: Option<&Fault>) -> Option<FactState> {
        if blocked.is_some() {
            return None;
        }
        let fault = self.others_of("").doubt(&self.state)?;
        let fact = FactSpec::plain(identity::NO_OTHER_ACCOUNT, Class::Access);
        let verdict = if self.system.keeps(&fact.name, self.now()) {
            Verdict::NotNeeded(Exempt::Waived)
        } else {
            Verdict::Unknown(fault)
        };
        Some(FactState::unseen(fact, verdict))
    }

    fn unobservable(&self, fact: &FactSpec, reason: Reason) -> Verdict {
        let times = (self.drive.case.recheck_until, self.now());
        scope::unobservable(&self.system, &self.state.ledger, fact, reason, times)
    }

    /// By what the person was looked for, who has no account, and by what not.
    fn looked_up_by(&self) -> Option<String> {
        let Some(Link::Ready(connector)) = self.drive.links.get(&self.system.row) else {
            return None;
        };
        if !self.state.ledger.no_account {
            return None;
        }
        let who = &self.system.who;
        let asked = connector.looked_up_by(who);
        if asked.is_empty() {
            // It finds people by their login name alone.
            let named = self.system.named.join(", ");
            return (!named.is_empty())
                .then(|| format!("spec.employee.accounts names all accounts: {named}"));
        }
        let known = [
            ("email", who.email.is_some()),
            ("employeeID", who.employee_id.is_some()),
        ];
        let missed = known
            .into_iter()
            .filter(|(key, known)| *known && !asked.contains(key));
        let missed: Vec<_> = missed.map(|(key, _)| key).collect();
        let asked = format!("looked up by {}", asked.join(", "));
        Some(if missed.is_empty() || who.account_name.is_some() {
            asked
        } else {
            format!("{asked}; not by {}", missed.join(", "))
        })
    }

    /// What is there of a person who has an account, and is not looked after.
    fn not_covered(&self) -> Vec<String> {
        match self.drive.links.get(&self.system.row) {
            Some(Link::Ready(connector)) if self.state.ledger.account.is_some() => {
                connector.capabilities().not_covered.clone()
            }
            _ => vec![],
        }
    }
}
