//! What an answer, a fault or a look changes in what is known of a system.
//!
//! An answer proves only that we asked (R1): it fills in when something was accepted and until when to wait. A fact is proven by the
//! verdict over a look, and by nothing else.

use jiff::Timestamp;

use super::{
    check::Check,
    event::{Event, Happened},
    fact::{FactSpec, Receipt, Truth, Verdict, Why},
    fault::{Fault, FaultKind, Reason},
    identity::{LAST, LONGEST},
    pace::{Trouble, without_effect},
    plan::{PlanInput, Sent},
    schedule,
    state::{Look, SystemState},
};

/// The code of a trouble that only says when to look again.
const NOTHING_TO_DO: &str = "no act";

/// The next try after a fault.
const TRY_AGAIN: Check<fn(Trouble) -> Trouble> = Check::new("try again", |trouble| trouble);

/// What a look concludes about one fact.
#[derive(Debug, Clone, PartialEq)]
pub struct Conclusion<'f> {
    /// The fact.
    pub fact: &'f FactSpec,
    /// What is known about it.
    pub verdict: Verdict,
    /// When the word was given on which it counts as done, of a task.
    pub attested_at: Option<Timestamp>,
}

/// What the look of `view` concludes about `facts`.
pub fn conclusions<'f>(view: &PlanInput<'_>, facts: &'f [FactSpec]) -> Vec<Conclusion<'f>> {
    let conclude = |fact| Conclusion {
        fact,
        verdict: view.verdict(fact),
        attested_at: view.attested_at(fact),
    };
    facts.iter().map(conclude).collect()
}

/// What taking the conclusions of a look into what is known came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    /// What happened, in order.
    pub happened: Vec<Happened>,
    /// The facts that are proven, or count as asked, for the first time.
    pub proven: Vec<String>,
}

impl SystemState {
    /// Takes `answer` to the act for `fact`, which was sent in `look`, into what is known. Gives what happened, in order.
    pub fn record_answer(
        &mut self,
        look: &mut Look,
        fact: &str,
        answer: Result<Receipt, Fault>,
        now: Timestamp,
    ) -> Vec<Happened> {
        match answer {
            Ok(receipt) => {
                look.sent.insert(fact.to_owned(), Sent::Accepted);
                self.record_receipt(fact, receipt, now)
            }
            Err(fault) => {
                let happened = self.record_refusal(look, fact, &fault, now);
                look.sent.insert(fact.to_owned(), Sent::Failed(fault));
                happened
            }
        }
    }

    fn record_receipt(&mut self, fact: &str, receipt: Receipt, now: Timestamp) -> Vec<Happened> {
        let mut happened = vec![];
        // Asking again for the same thing is not news; it means that the last time was without effect.
        if self.ledger.fact(fact).accepted.is_none() {
            self.pace.facts.remove(fact);
            happened.push(Happened::new(fact, Event::Asked));
        } else {
            let earlier = self.pace.facts.get(fact);
            let earlier = earlier.filter(|trouble| trouble.fault == without_effect());
            let trouble = Trouble::again(earlier, without_effect(), now, self.seed);
            self.pace.facts.insert(fact.to_owned(), trouble);
        }
        // What could not be given back once may have been by a process that is no more; what cannot twice is gone.
        let known = self.pace.gone.entry(fact.to_owned()).or_default();
        let gone: Vec<String> = receipt.gone.intersection(known).cloned().collect();
        known.extend(receipt.gone);
        if !gone.is_empty() {
            happened.push(Happened::new(fact, Event::Gone));
        }
        let entry = self.entry(fact);
        entry.gone.extend(gone);
        (entry.accepted, entry.concluded) = (Some(now), false);
        entry.accepted_there = receipt.at;
        entry.intent = None;
        // What is longer is no id, and not written down.
        let operation = receipt.operation.filter(|id| id.len() <= LONGEST);
        entry.operation = operation.or(entry.operation.take());
        happened
    }

    fn record_refusal(&mut self, look: &Look, fact: &str, fault: &Fault, now: Timestamp) -> Vec<Happened> {
        let mut happened = vec![];
        match fault.kind {
            // It may have taken effect: its settle time runs from now, and a look comes first.
            FaultKind::UnknownOutcome => drop(self.pace.asked.insert(fact.to_owned(), now)),
            FaultKind::Throttled { until } => self.pace.park(until),
            _ => {}
        }
        if fault.kind != FaultKind::UnknownOutcome
            && let Some(entry) = self.ledger.facts.get_mut(fact)
        {
            entry.intent = None;
        }
        if fault.reason == Reason::IdentityMismatch {
            happened.extend(self.stop_writes(fact));
        }
        if fault.reason == Reason::OthersAffected {
            self.entry(fact).others = Some(fault.code.clone());
            happened.push(Happened::new(fact, Event::OthersAffected));
        }
        let refused = fault.kind == FaultKind::Permanent && fault.reason == Reason::Refused;
        if refused && self.climb(look, fact) {
            // The next look tries the next alternative at once.
            self.pace.facts.remove(fact);
        } else {
            self.record_fault(fact, fault, now);
        }
        happened
    }

    /// The next alternative of the ladder, counted from the one that `look` tried; says whether there is one that was not tried
    /// since the first.
    pub fn climb(&mut self, look: &Look, fact: &str) -> bool {
        let Some(tried) = look.sights.get(fact).and_then(|sight| sight.act.as_ref()) else {
            return false;
        };
        self.entry(fact).rung = tried.rung + 1;
        tried.more
    }

    /// Stops all writes to the system: an answer about `fact` carried another id than the bound one (R4).
    fn stop_writes(&mut self, fact: &str) -> Option<Happened> {
        let known = std::mem::replace(&mut self.ledger.identity_mismatch, true);
        (!known).then(|| Happened::new(fact, Event::IdentityMismatch))
    }

    /// Waits before `fact` is tried again that failed at `now`.
    pub fn record_fault(&mut self, fact: &str, fault: &Fault, now: Timestamp) {
        let earlier = self.pace.facts.get(fact);
        // Passes come for many reasons; only a try at its own time makes the next wait longer.
        let waits = earlier.is_some_and(|trouble| now < trouble.not_before);
        if waits || matches!(fault.kind, FaultKind::Throttled { .. }) {
            return;
        }
        let seed = schedule::mix(self.seed) ^ fact.len() as u64;
        let trouble = Trouble::again(earlier, fault.clone(), now, seed);
        self.pace.facts.insert(fact.to_owned(), TRY_AGAIN.rule()(trouble));
    }

    /// Waits before the system is asked again that failed as a whole at `now`. What failed while there was time holds nothing up
    /// once there is none, from `cutoff` on.
    pub fn record_system_fault(&mut self, fault: &Fault, cutoff: Timestamp, now: Timestamp) {
        if let FaultKind::Throttled { until } = fault.kind {
            return self.pace.park(until);
        }
        let mut trouble = Trouble::again(self.pace.system.as_ref(), fault.clone(), now, self.seed);
        if now < cutoff {
            trouble.not_before = trouble.not_before.min(cutoff);
        }
        self.pace.system = Some(trouble);
    }

    /// What is not true and nothing of ours makes true is looked at again: soon if it follows from what we did, which may just
    /// show late, else as often as what a person must mend.
    fn record_nothing_to_do(&mut self, fact: &FactSpec, now: Timestamp) {
        let fault = if fact.after.is_empty() {
            Fault::needs_decision(Reason::Conflict)
        } else {
            Fault::transient(Reason::Conflict)
        };
        self.record_fault(&fact.name, &fault.with_code(NOTHING_TO_DO), now);
    }

    /// What `look` shows something to do about does not wait any longer, and what was held back for the last of its kind goes on
    /// all at once, in its order.
    pub fn release_held_back(&mut self, look: &Look) {
        self.pace.facts.retain(|fact, trouble| {
            let possible = look.sights.get(fact).is_some_and(|sight| sight.act.is_some());
            let fault = &trouble.fault;
            let last = fault.reason == Reason::Protected && fault.code.starts_with(LAST);
            !possible || !(last || fault.code == NOTHING_TO_DO)
        });
    }

    /// Takes the `conclusions` of `look` at `now` into what is known, with access ending at `cutoff`: what is proven, on whose word
    /// a task counts as done, and what was not read.
    pub fn record_look(
        &mut self,
        look: &Look,
        conclusions: Vec<Conclusion<'_>>,
        cutoff: Timestamp,
        now: Timestamp,
    ) -> Recorded {
        let mut recorded = Recorded::default();
        for conclusion in conclusions {
            if conclusion.fact.by_hand {
                recorded
                    .happened
                    .extend(self.record_attestation(look, &conclusion));
            }
            let Conclusion { fact, verdict, .. } = conclusion;
            let sight = look.sights.get(&fact.name);
            let event = match verdict {
                Verdict::Verified => Event::Verified,
                Verdict::Asserted => Event::Asserted,
                Verdict::Unknown(fault) => {
                    if fault.reason == Reason::IdentityMismatch {
                        recorded.happened.extend(self.stop_writes(&fact.name));
                    }
                    self.record_fault(&fact.name, &fault, now);
                    continue;
                }
                Verdict::Unmet(Why::Failed(fault)) if sight.is_some_and(|sight| sight.refused.is_some()) => {
                    self.record_fault(&fact.name, &fault, now);
                    continue;
                }
                Verdict::Unmet(Why::NoAct) => {
                    self.record_nothing_to_do(fact, now);
                    continue;
                }
                _ => continue,
            };
            let Some(sight) = sight else { continue };
            if let Truth::Unreadable(fault) = &sight.truth {
                // The proof outlives this, and is looked at again like anything else that could not be read.
                self.record_fault(&fact.name, fault, now);
            } else if self.prove(fact, look.began.unwrap_or(now), cutoff) {
                recorded.happened.push(Happened::new(&fact.name, event));
                recorded.proven.push(fact.name.clone());
            }
        }
        recorded
    }

    /// `fact` was seen true by a look that began at `looked_at`. Says whether that is news.
    fn prove(&mut self, fact: &FactSpec, looked_at: Timestamp, cutoff: Timestamp) -> bool {
        self.pace.facts.remove(&fact.name);
        // An act whose answer was lost is known to have been accepted once its effect is seen (R12).
        let unsure = self.pace.asked.remove(&fact.name);
        self.pace.seen.insert(fact.name.clone(), looked_at);
        let entry = self.entry(&fact.name);
        if fact.dated {
            entry.cutoff = Some(cutoff);
        }
        let unanswered = entry.intent.take().max(unsure);
        entry.concluded |= unanswered > entry.accepted;
        entry.accepted = entry.accepted.max(unanswered);
        let news = entry.verified.is_none();
        entry.verified = entry.verified.or(Some(looked_at));
        news
    }

    /// On whose word a task counts as done, until it is read.
    fn record_attestation(&mut self, look: &Look, conclusion: &Conclusion<'_>) -> Option<Happened> {
        let attested_at = match conclusion.verdict {
            Verdict::Asserted => conclusion.attested_at,
            Verdict::Verified => None,
            _ => return None,
        };
        let fact = &conclusion.fact.name;
        if self.ledger.fact(fact).attested_at == attested_at {
            return None;
        }
        let entry = self.entry(fact);
        entry.attested_at = attested_at;
        entry.verified = look.began.filter(|_| attested_at.is_some());
        attested_at.map(|_| Happened::new(fact, Event::Asserted))
    }
}

#[cfg(test)]
mod tests;
