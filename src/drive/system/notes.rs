//! What a pass learns, and where it is noted: the ledger is durable, the pace is not.

use jiff::Timestamp;

use super::{CONFIRMED_WITHIN, NOTHING_TO_DO, Pass, bind::latest_silence};
use crate::{
    connectors::Readings,
    core::{
        fact::{FactSpec, Proof, Receipt, Truth, Verdict, Why},
        fault::{Fault, FaultKind, Reason},
        identity::{LAST, LONGEST},
        ledger::FactLedger,
        pace::{Trouble, without_effect},
        plan::Sent,
        planted::{Bug, planted},
        schedule,
    },
    drive::{
        Link,
        evidence::{Event, Happening},
        undo,
    },
};

impl Pass<'_> {
    pub(super) fn entry(&mut self, fact: &str) -> &mut FactLedger {
        self.ledger.facts.entry(fact.to_owned()).or_default()
    }

    pub(super) fn happened(&mut self, fact: &str, event: Event) {
        self.happenings.push(Happening {
            at: self.drive.clock.now(),
            system: self.system.row.clone(),
            fact: fact.to_owned(),
            event,
            account: self
                .ledger
                .account
                .as_ref()
                .map(|a| a.id.clone())
                .unwrap_or_default(),
        });
    }

    pub(super) fn note_answer(&mut self, fact: &str, result: Result<Receipt, Fault>) {
        let now = self.drive.clock.now();
        match result {
            Ok(receipt) => {
                // Asking again for the same thing is not news; it means that the last time was without effect.
                if self.ledger.fact(fact).accepted.is_none() {
                    self.pace.facts.remove(fact);
                    self.happened(fact, Event::Asked);
                } else {
                    let earlier = self.pace.facts.get(fact).filter(|t| t.fault == without_effect());
                    let trouble = Trouble::again(earlier, without_effect(), now, self.seed);
                    self.pace.facts.insert(fact.to_owned(), trouble);
                }
                let known = self.pace.gone.entry(fact.to_owned()).or_default();
                let gone: Vec<String> = receipt.gone.intersection(known).cloned().collect();
                known.extend(receipt.gone);
                if !gone.is_empty() {
                    self.happened(fact, Event::Gone);
                }
                let entry = self.entry(fact);
                entry.gone.extend(gone);
                (entry.accepted, entry.concluded) = (Some(now), false);
                entry.accepted_there = receipt.at;
                entry.intent = None;
                // What is longer is no id, and not written down.
                let operation = receipt.operation.filter(|id| id.len() <= LONGEST);
                entry.operation = operation.or(entry.operation.take());
                self.sent.insert(fact.to_owned(), Sent::Accepted);
            }
            Err(fault) => {
                match fault.kind {
                    // It may have taken effect: its settle time runs from now, and a look comes first.
                    FaultKind::UnknownOutcome => {
                        self.pace.asked.insert(fact.to_owned(), now);
                    }
                    FaultKind::Throttled { until } => self.park(until),
                    _ => {}
                }
                if fault.kind != FaultKind::UnknownOutcome
                    && let Some(entry) = self.ledger.facts.get_mut(fact)
                {
                    entry.intent = None;
                }
                if fault.reason == Reason::IdentityMismatch {
                    self.stop_writes(fact);
                }
                if fault.reason == Reason::OthersAffected {
                    self.entry(fact).others = Some(fault.code.clone());
                    self.happened(fact, Event::OthersAffected);
                }
                if fault.kind == FaultKind::Permanent
                    && fault.reason == Reason::Refused
                    && self.next_rung(fact)
                {
                    // The next look tries the next alternative at once.
                    self.pace.facts.remove(fact);
                } else {
                    self.note_fact_fault(fact, &fault);
                }
                self.sent.insert(fact.to_owned(), Sent::Failed(fault));
            }
        }
    }

    fn stop_writes(&mut self, fact: &str) {
        if !self.ledger.identity_mismatch {
            self.ledger.identity_mismatch = true;
            self.happened(fact, Event::IdentityMismatch);
        }
    }

    /// The next alternative of the ladder, counted from the one that was just tried; says whether there is one that was
    /// not tried since the first.
    pub(super) fn next_rung(&mut self, fact: &str) -> bool {
        let Some(tried) = self.sights.get(fact).and_then(|s| s.act.as_ref()) else {
            return false;
        };
        let (next, more) = (tried.rung + 1, tried.more);
        self.entry(fact).rung = next;
        more
    }

    pub(super) fn park(&mut self, until: Timestamp) {
        self.pace.park(until);
        self.silence.keep(self.pace.parked_until);
    }

    pub(super) fn note_fact_fault(&mut self, fact: &str, fault: &Fault) {
        let now = self.drive.clock.now();
        let earlier = self.pace.facts.get(fact);
        // Passes come for many reasons; only a try at its own time makes the next wait longer.
        if matches!(fault.kind, FaultKind::Throttled { .. }) || earlier.is_some_and(|t| now < t.not_before) {
            return;
        }
        let mut trouble = Trouble::again(
            earlier,
            fault.clone(),
            now,
            schedule::mix(self.seed) ^ fact.len() as u64,
        );
        if planted(Bug::GivesUp) {
            trouble.not_before = Timestamp::MAX;
        }
        self.pace.facts.insert(fact.to_owned(), trouble);
    }

    /// What is not true and nothing of ours makes true is looked at again: soon if it follows from what we did, which may
    /// just show late, else as often as what a person must mend.
    fn note_nothing_to_do(&mut self, fact: &FactSpec) {
        let fault = if fact.after.is_empty() {
            Fault::needs_decision(Reason::Conflict)
        } else {
            Fault::transient(Reason::Conflict)
        };
        self.note_fact_fault(&fact.name, &fault.with_code(NOTHING_TO_DO));
    }

    /// What there is something to do about by now does not wait any longer, and what was held back for the last of its kind goes
    /// on all at once, in its order.
    fn forget_what_was_held_back(&mut self) {
        let sights = &self.sights;
        self.pace.facts.retain(|fact, trouble| {
            let possible = sights.get(fact).is_some_and(|sight| sight.act.is_some());
            let fault = &trouble.fault;
            let last = fault.reason == Reason::Protected && fault.code.starts_with(LAST);
            !possible || !(last || fault.code == NOTHING_TO_DO)
        });
    }

    pub(super) fn note_system_fault(&mut self, fault: &Fault) {
        if let FaultKind::Throttled { until } = fault.kind {
            self.park(until);
            return;
        }
        let now = self.drive.clock.now();
        let mut trouble = Trouble::again(self.pace.system.as_ref(), fault.clone(), now, self.seed);
        let cutoff = self.drive.case.cutoff;
        if now < cutoff {
            // What failed while there was time holds nothing up when there is none.
            trouble.not_before = trouble.not_before.min(cutoff);
        }
        self.pace.system = Some(trouble);
    }

    pub(super) fn note_throttling(&mut self, readings: &Readings) {
        if let Some(until) = latest_silence(readings.values().filter_map(|r| r.as_ref().err())) {
            self.park(until);
        }
    }

    /// A fact that had been proven and is seen false, outside the settle time of our last act, was undone by
    /// somebody else (R14). A proof that was never seen again after the settle time may itself have rested on a late read: it is
    /// dropped, and nobody is blamed.
    pub(super) fn note_drift(&mut self, facts: &[FactSpec]) {
        let now = self.looked_at.unwrap_or_else(|| self.drive.clock.now());
        let was_at_rest = self.was_at_rest(facts, now);
        let mut undone = vec![];
        for fact in facts {
            let gone = self
                .sights
                .get(&fact.name)
                .is_some_and(|s| s.truth == Truth::DoesNotHold);
            let entry = self.ledger.fact(&fact.name);
            let settling = entry
                .accepted
                .is_some_and(|at| now < schedule::later(at, fact.settle));
            let entry_cutoff = entry.cutoff;
            if fact.by_hand {
                if self.note_reopened(fact) {
                    undone.push(fact.name.as_str());
                }
                continue;
            }
            let Some(verified) = entry.verified.filter(|_| fact.proof != Proof::None) else {
                continue;
            };
            if !gone || settling || self.sent.contains_key(&fact.name) {
                continue;
            }
            let (entry_accepted, entry_concluded) = (entry.accepted, entry.concluded);
            let known = verified.max(entry_accepted.unwrap_or(verified));
            let certain = schedule::later(known, fact.settle);
            let entry = self.entry(&fact.name);
            entry.verified = None;
            // A log loses nothing: it was asked about another time, and what it shows of that is no late read.
            entry.doubted = (fact.proof != Proof::Log).then_some(now);
            if now < certain && (!fact.repeatable || fact.irreversible) {
                // What must not happen twice is not asked for again on the word of one read, which may be a late one.
                entry.accepted = Some(known);
                self.pace.seen.remove(&fact.name);
                continue;
            }
            entry.accepted = None;
            entry.accepted_there = None;
            entry.operation = None;
            // Our own acts for other facts may undo this one: a new password ends the lock in some directories.
            // What was accepted and then seen rests on no read from before, however soon after that it is undone.
            let ours = entry_accepted.is_some() && !entry_concluded;
            let by_somebody_else = match self.pace.seen.remove(&fact.name) {
                Some(seen) => {
                    (ours || seen >= certain) && self.pace.last_sent.is_none_or(|sent| sent <= seen)
                }
                // After a restart: else only long after the second look should have been made.
                None => was_at_rest && (ours || now >= schedule::later(certain, CONFIRMED_WITHIN)),
            };
            let wished_otherwise = entry_cutoff.is_some_and(|cutoff| cutoff != self.drive.case.cutoff);
            if by_somebody_else && !wished_otherwise {
                self.entry(&fact.name).reversals += 1;
                self.drifted.push(fact.name.clone());
                self.happened(&fact.name, Event::Drifted);
            }
            undone.push(fact.name.as_str());
        }
        // What comes after it may have been used meanwhile, and a late read may still show it as it was: it is proven anew,
        // and looked at once more when late reads are over.
        let resting = facts.iter().filter(|fact| {
            fact.proof != Proof::None
                && fact.class.security()
                && fact.repeatable
                && !undone.contains(&fact.name.as_str())
                && fact
                    .after
                    .iter()
                    .chain(&fact.requires)
                    .any(|name| undone.contains(&name.as_str()))
        });
        for fact in resting {
            if let Some(entry) = self.ledger.facts.get_mut(&fact.name) {
                entry.verified = None;
            }
            self.pace.seen.remove(&fact.name);
        }
        // What cannot be read was asked for when its requirements held; they did not hold all the time.
        let asserted = facts.iter().filter(|fact| fact.proof == Proof::None);
        for fact in asserted.filter(|fact| fact.requires.iter().any(|name| undone.contains(&name.as_str()))) {
            if let Some(entry) = self.ledger.facts.get_mut(&fact.name) {
                (entry.verified, entry.accepted, entry.intent) = (None, None, None);
                entry.attested_at = None;
                entry.callback_watermark = entry.callback_watermark.map(|_| now);
            }
        }
    }

    /// A task that a read shows undone, though it was proven, or somebody said that it is done: such a word is spent for
    /// good. Says whether it counted as done.
    fn note_reopened(&mut self, fact: &FactSpec) -> bool {
        let seen = self.sights.get(&fact.name);
        let Some(sight) = seen.filter(|sight| sight.truth == Truth::DoesNotHold) else {
            return false;
        };
        let (counts, disproof) = {
            let view = self.view(std::slice::from_ref(fact), None);
            (view.attested_at(fact).is_some(), view.refutation(fact, sight))
        };
        let entry = self.ledger.fact(&fact.name);
        let (done, proven) = (entry.verified.is_some(), entry.attested_at.is_none());
        if disproof.is_none() && (counts || !done) {
            return false;
        }
        let entry = self.entry(&fact.name);
        entry.refuted_at = entry.refuted_at.max(disproof);
        (entry.verified, entry.attested_at) = (None, None);
        self.pace.seen.remove(&fact.name);
        if done && proven {
            self.drifted.push(fact.name.clone());
            self.happened(&fact.name, Event::Drifted);
        } else if done {
            self.happened(&fact.name, Event::Reopened);
        }
        done
    }

    /// On whose word a task counts as done, until it is read.
    fn note_word(&mut self, fact: &FactSpec, verdict: &Verdict, word: Option<Timestamp>) {
        let said = match verdict {
            Verdict::Asserted => word,
            Verdict::Verified => None,
            _ => return,
        };
        if self.ledger.fact(&fact.name).attested_at == said {
            return;
        }
        let looked_at = self.looked_at;
        let entry = self.entry(&fact.name);
        entry.attested_at = said;
        entry.verified = looked_at.filter(|_| said.is_some());
        if said.is_some() {
            self.happened(&fact.name, Event::Asserted);
        }
    }

    /// Whether nothing of ours can have been under way when the process ended before this one: then all there was to do was
    /// proven. What was sent last is not durable.
    fn was_at_rest(&self, facts: &[FactSpec], now: Timestamp) -> bool {
        facts.iter().all(|fact| {
            let sight = self.sights.get(&fact.name);
            !self.wants(fact, now)
                || self.ledger.fact(&fact.name).verified.is_some()
                || sight.is_some_and(|s| s.truth == Truth::NotApplicable)
                || sight.is_some_and(|s| s.truth == Truth::DoesNotHold && s.act.is_none())
        })
    }

    fn is_refused(&self, fact: &str) -> bool {
        self.sights.get(fact).is_some_and(|sight| sight.refused.is_some())
    }

    /// What a finished look proves, and what it failed to read.
    pub(super) fn note_sights(&mut self, facts: &[FactSpec]) {
        self.forget_what_was_held_back();
        let now = self.drive.clock.now();
        let verdicts: Vec<_> = {
            let view = self.view(facts, None);
            facts
                .iter()
                .map(|fact| (fact, view.verdict(fact), view.attested_at(fact)))
                .collect()
        };
        for (fact, verdict, word) in verdicts {
            if fact.by_hand {
                self.note_word(fact, &verdict, word);
            }
            let event = match &verdict {
                Verdict::Verified => Event::Verified,
                Verdict::Asserted => Event::Asserted,
                Verdict::Unknown(fault) => {
                    if fault.reason == Reason::IdentityMismatch {
                        self.stop_writes(&fact.name);
                    }
                    self.note_fact_fault(&fact.name, &fault.clone());
                    continue;
                }
                Verdict::Unmet(Why::Failed(fault)) if self.is_refused(&fact.name) => {
                    self.note_fact_fault(&fact.name, &fault.clone());
                    continue;
                }
                Verdict::Unmet(Why::NoAct) => {
                    self.note_nothing_to_do(fact);
                    continue;
                }
                _ => continue,
            };
            match self.sights.get(&fact.name).map(|sight| &sight.truth) {
                // The proof outlives this, and is looked at again like anything else that could not be read.
                Some(Truth::Unreadable(fault)) => {
                    let fault = fault.clone();
                    self.note_fact_fault(&fact.name, &fault);
                    continue;
                }
                None => continue,
                Some(_) => {}
            }
            self.pace.facts.remove(&fact.name);
            // An act whose answer was lost is known to have been accepted once its effect is seen (R12).
            let unsure = self.pace.asked.remove(&fact.name);
            let looked_at = self.looked_at.unwrap_or(now);
            self.pace.seen.insert(fact.name.clone(), looked_at);
            let cutoff = self.drive.case.cutoff;
            let entry = self.entry(&fact.name);
            if fact.dated {
                entry.cutoff = Some(cutoff);
            }
            let unanswered = entry.intent.take().max(unsure);
            entry.concluded |= unanswered > entry.accepted;
            entry.accepted = entry.accepted.max(unanswered);
            if entry.verified.is_none() {
                entry.verified = Some(looked_at);
                self.happened(&fact.name, event);
                // Security waits for no write: after a crash it may be ours though nothing says so.
                self.keep_way_back(&fact.name);
            }
        }
    }

    /// Drops how `fact` is given back where nothing was taken by it: it is of a time before an act that is sent now.
    pub(super) fn forget_stale_way_back(&mut self, fact: &str) {
        if !undo::ours(&self.ledger, fact) {
            self.ledger.ways_back.forget(fact);
        }
    }

    /// Keeps how `fact` is given back, as its definition says it now.
    pub(super) fn keep_way_back(&mut self, fact: &str) {
        if self.ledger.ways_back.contains(fact) {
            return;
        }
        if let Some(Link::Ready(connector)) = self.drive.links.get(&self.system.row)
            && let Some(way) = connector.way_back(fact)
        {
            self.ledger.ways_back.keep(fact, way);
        }
    }
}
