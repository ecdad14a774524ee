//! What was proven, or counted as done, and is seen undone (R14).
//!
//! # Why
//! Three things look alike: somebody gave access back, a late read shows what was there before, and an act of ours for another fact
//! undid this one. Only the first may be counted against anybody. What must not happen twice is never asked for again on the word
//! of one read.

use jiff::{SignedDuration, Timestamp};

use super::{
    event::{Event, Happened},
    fact::{FactSpec, Proof, Truth},
    plan::PlanInput,
    schedule,
    state::SystemState,
};

/// Within this time after late reads are over, a proof is looked at once more.
const CONFIRMED_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// What a look shows of a fact that had counted as done, or that rests on one that had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drift {
    /// What must not happen twice, shown undone by a read that may be a late one: it counts as accepted at this instant and waits
    /// for its proof.
    Doubted {
        /// The last instant at which it was known to be done.
        accepted: Timestamp,
    },
    /// The proof may itself have rested on a late read, or was for another end of access: asked for again, and nobody is blamed.
    Unproven,
    /// Undone by somebody else.
    Undone,
    /// A task that is not done.
    Reopened {
        /// The moment of which it was read.
        refuted: Option<Timestamp>,
        /// As what it had counted.
        counted: Counted,
    },
    /// It comes after something that was undone, and may have been used meanwhile: proven anew.
    Unsettled,
    /// It cannot be read, and what it requires did not hold all the time since it was asked for: asked for again.
    Unasked,
}

/// As what a task had counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Not done.
    Open,
    /// Done, on somebody's word.
    Attested,
    /// Done, by a read.
    Proven,
}

/// One drift.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The fact.
    pub fact: String,
    /// What is seen of it.
    pub drift: Drift,
}

impl Finding {
    /// Whether the fact had been done, and is not.
    fn undone(&self) -> bool {
        match &self.drift {
            Drift::Unproven | Drift::Undone => true,
            Drift::Reopened { counted, .. } => *counted != Counted::Open,
            Drift::Doubted { .. } | Drift::Unsettled | Drift::Unasked => false,
        }
    }
}

/// What the look of `view` shows undone, in the order of the facts; what rests on that comes last. `wanted` are the names of the
/// facts that the look was about, `cutoff` is when access ends.
pub fn find(view: &PlanInput<'_>, wanted: &[&str], cutoff: Timestamp) -> Vec<Finding> {
    let at_rest = view.facts.iter().all(|fact| is_at_rest(view, fact, wanted));
    let finding = |fact: &FactSpec, drift| Finding {
        fact: fact.name.clone(),
        drift,
    };
    let own = view.facts.iter().filter_map(|fact| {
        let drift = of_fact(view, fact, (at_rest, cutoff))?;
        Some(finding(fact, drift))
    });
    let mut findings: Vec<Finding> = own.collect();
    let undone: Vec<String> = findings
        .iter()
        .filter(|finding| finding.undone())
        .map(|finding| finding.fact.clone())
        .collect();
    let rests = |names: &[String]| names.iter().any(|name| undone.contains(name));
    let proven = view.facts.iter().filter(|fact| {
        let readable = fact.proof != Proof::None && fact.class.security() && fact.repeatable;
        readable && !undone.contains(&fact.name) && (rests(&fact.after) || rests(&fact.requires))
    });
    findings.extend(proven.map(|fact| finding(fact, Drift::Unsettled)));
    let asked = view.facts.iter();
    let asked = asked.filter(|fact| fact.proof == Proof::None && rests(&fact.requires));
    findings.extend(asked.map(|fact| finding(fact, Drift::Unasked)));
    findings
}

/// Whether nothing of ours for `fact` can have been under way when the process before this one ended: what was sent last is not
/// durable.
fn is_at_rest(view: &PlanInput<'_>, fact: &FactSpec, wanted: &[&str]) -> bool {
    let sight = view.sights.get(&fact.name);
    !wanted.contains(&fact.name.as_str())
        || view.ledger.fact(&fact.name).verified.is_some()
        || sight.is_some_and(|sight| sight.truth == Truth::NotApplicable)
        || sight.is_some_and(|sight| sight.truth == Truth::DoesNotHold && sight.act.is_none())
}

fn of_fact(view: &PlanInput<'_>, fact: &FactSpec, (at_rest, cutoff): (bool, Timestamp)) -> Option<Drift> {
    if fact.by_hand {
        return reopened(view, fact);
    }
    let entry = view.ledger.fact(&fact.name);
    let verified = entry.verified.filter(|_| fact.proof != Proof::None)?;
    let now = view.looked_at;
    let settling = entry.accepted.map(|at| schedule::later(at, fact.settle));
    let sight = view.sights.get(&fact.name)?;
    let seen_false = sight.truth == Truth::DoesNotHold && !view.sent.contains_key(&fact.name);
    if !seen_false || settling.is_some_and(|until| now < until) {
        return None;
    }
    let known = verified.max(entry.accepted.unwrap_or(verified));
    let certain = schedule::later(known, fact.settle);
    if now < certain && (!fact.repeatable || fact.irreversible) {
        return Some(Drift::Doubted { accepted: known });
    }
    // Our own acts for other facts may undo this one: a new password ends the lock in some directories. What was accepted and then
    // seen rests on no read from before, however soon after that it is undone.
    let ours = entry.accepted.is_some() && !entry.concluded;
    let by_somebody_else = match view.pace.seen.get(&fact.name) {
        Some(seen) => (ours || *seen >= certain) && view.pace.last_sent.is_none_or(|sent| sent <= *seen),
        // After a restart: else only long after the second look should have been made.
        None => at_rest && (ours || now >= schedule::later(certain, CONFIRMED_WITHIN)),
    };
    let wished_otherwise = entry.cutoff.is_some_and(|known| known != cutoff);
    Some(if by_somebody_else && !wished_otherwise {
        Drift::Undone
    } else {
        Drift::Unproven
    })
}

/// A task that a read shows undone though it counted as done, or though somebody had said so: such a word is spent for good.
fn reopened(view: &PlanInput<'_>, fact: &FactSpec) -> Option<Drift> {
    let sight = view.sights.get(&fact.name)?;
    if sight.truth != Truth::DoesNotHold {
        return None;
    }
    let counts = view.attested_at(fact).is_some();
    let refuted = view.refutation(fact, sight);
    let entry = view.ledger.fact(&fact.name);
    let counted = match (entry.verified, entry.attested_at) {
        (None, _) => Counted::Open,
        (Some(_), Some(_)) => Counted::Attested,
        (Some(_), None) => Counted::Proven,
    };
    let stands = refuted.is_none() && (counts || counted == Counted::Open);
    (!stands).then_some(Drift::Reopened { refuted, counted })
}

/// Takes `findings` of a look at `now` into what is known. Gives what happened, in order.
pub fn record(
    findings: &[Finding],
    facts: &[FactSpec],
    state: &mut SystemState,
    now: Timestamp,
) -> Vec<Happened> {
    let mut happened = vec![];
    for Finding { fact, drift } in findings {
        // A log loses nothing: it was asked about another time, and what it shows of that is no late read.
        let spec = facts.iter().find(|spec| spec.name == *fact);
        let doubted = spec.is_some_and(|spec| spec.proof != Proof::Log).then_some(now);
        match drift {
            Drift::Doubted { accepted } => {
                let entry = state.entry(fact);
                (entry.verified, entry.doubted, entry.accepted) = (None, doubted, Some(*accepted));
            }
            Drift::Unproven | Drift::Undone => {
                let entry = state.entry(fact);
                (entry.verified, entry.doubted, entry.accepted) = (None, doubted, None);
                (entry.accepted_there, entry.operation) = (None, None);
                if *drift == Drift::Undone {
                    entry.reversals += 1;
                    happened.push(Happened::new(fact, Event::Drifted));
                }
            }
            Drift::Reopened { refuted, counted } => {
                let entry = state.entry(fact);
                entry.refuted_at = entry.refuted_at.max(*refuted);
                (entry.verified, entry.attested_at) = (None, None);
                happened.extend(match counted {
                    Counted::Open => None,
                    Counted::Attested => Some(Happened::new(fact, Event::Reopened)),
                    Counted::Proven => Some(Happened::new(fact, Event::Drifted)),
                });
            }
            Drift::Unsettled => {
                if let Some(entry) = state.ledger.facts.get_mut(fact) {
                    entry.verified = None;
                }
            }
            Drift::Unasked => {
                if let Some(entry) = state.ledger.facts.get_mut(fact) {
                    (entry.verified, entry.accepted, entry.intent) = (None, None, None);
                    entry.attested_at = None;
                    entry.callback_watermark = entry.callback_watermark.map(|_| now);
                }
                continue;
            }
        }
        state.pace.seen.remove(fact);
    }
    happened
}

#[cfg(test)]
mod tests;
