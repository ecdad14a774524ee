//! What answers and looks leave in what is known: what that is, the rules say ([`outcome`], [`drift`]); here it reaches the
//! evidence, and the acts that are under way.

use super::SystemRun;
use crate::{
    connectors::Readings,
    core::{
        binding, drift,
        event::{Event, Happened},
        fact::{FactSpec, Receipt},
        fault::Fault,
        outcome, reinstate,
    },
    drive::{Link, evidence::Happening},
};

impl SystemRun<'_> {
    pub(super) fn happened(&mut self, happened: impl IntoIterator<Item = Happened>) {
        let now = self.now();
        let bound = self.state.ledger.account.as_ref();
        let account = bound.map_or_else(String::new, |bound| bound.id.clone());
        for Happened { fact, event } in happened {
            if event == Event::Drifted {
                self.journal.drifted.push(fact.clone());
            }
            self.journal.happenings.push(Happening {
                at: now,
                system: self.system.row.clone(),
                fact,
                event,
                account: account.clone(),
            });
        }
    }

    /// Acts that wait for something durable heed what the system asked for meanwhile.
    pub(super) fn heed_silence(&self) {
        self.outbox.silence.keep(self.state.pace.parked_until);
    }

    pub(super) fn record_answer(&mut self, fact: &str, answer: Result<Receipt, Fault>) {
        let now = self.now();
        let happened = self.state.record_answer(&mut self.look, fact, answer, now);
        self.heed_silence();
        self.happened(happened);
    }

    pub(super) fn record_system_fault(&mut self, fault: &Fault) {
        let (cutoff, now) = (self.drive.case.cutoff, self.now());
        self.state.record_system_fault(fault, cutoff, now);
        self.heed_silence();
    }

    pub(super) fn record_throttling(&mut self, readings: &Readings) {
        let faults = readings.values().filter_map(|read| read.as_ref().err());
        if let Some(until) = faults.filter_map(Fault::silent_until).max() {
            self.state.pace.park(until);
            self.heed_silence();
        }
    }

    /// There was no answer to whether the person has an account.
    pub(super) fn record_sought(&mut self) {
        if !self.drive.case.reinstate {
            let now = self.now();
            binding::record_sought(&mut self.state.ledger, self.drive.case.cutoff, now);
        }
    }

    /// Takes what the system said about what it was asked for into what is known.
    pub(super) fn apply_callbacks(&mut self, facts: &[FactSpec]) {
        let Some(account) = self.state.ledger.account.as_ref().map(|bound| bound.id.clone()) else {
            return;
        };
        let now = self.now();
        for callback in std::mem::take(&mut self.input.callbacks) {
            let Some(fact) = facts.iter().find(|fact| fact.name == callback.fact) else {
                continue;
            };
            let key = self.keys().of(&account, &fact.name);
            let state = &mut self.state;
            if let Some(fault) = callback.apply(fact, &key.0, &mut state.ledger, &mut state.pace, now) {
                state.pace.facts.remove(&fact.name);
                state.record_fault(&fact.name, &fault, now);
            }
        }
    }

    /// What a look shows undone that had counted as done.
    pub(super) fn record_drift(&mut self, facts: &[FactSpec], wanted: &[&str]) {
        let view = self.view(facts, None);
        let looked_at = view.looked_at;
        let findings = drift::find(&view, wanted, self.drive.case.cutoff);
        let happened = drift::record(&findings, facts, &mut self.state, looked_at);
        self.happened(happened);
    }

    /// What a look proves, and what it failed to read.
    pub(super) fn record_look(&mut self, facts: &[FactSpec]) {
        self.state.release_held_back(&self.look);
        let conclusions = outcome::conclusions(&self.view(facts, None), facts);
        let (cutoff, now) = (self.drive.case.cutoff, self.now());
        let recorded = self.state.record_look(&self.look, conclusions, cutoff, now);
        self.happened(recorded.happened);
        for fact in recorded.proven {
            // Security waits for no write: after a crash it may be ours though nothing says so.
            self.keep_way_back(&fact);
        }
    }

    /// Drops how `fact` is given back where nothing was taken by it: it is of a time before an act that is sent now.
    pub(super) fn forget_stale_way_back(&mut self, fact: &str) {
        if !reinstate::ours(&self.state.ledger, fact) {
            self.state.ledger.ways_back.forget(fact);
        }
    }

    /// Keeps how `fact` is given back, as its definition says it now.
    pub(super) fn keep_way_back(&mut self, fact: &str) {
        if self.state.ledger.ways_back.contains(fact) {
            return;
        }
        if let Some(Link::Ready(connector)) = self.drive.links.get(&self.system.row)
            && let Some(way) = connector.way_back(fact)
        {
            self.state.ledger.ways_back.keep(fact, way);
        }
    }
}
