//! What is known about a fact: an ordered list of named checks, of which the first that has an answer decides.
//!
//! | part | about |
//! |---|---|
//! | `EXEMPT` | what needs nothing, or not yet |
//! | `UNSEEN` | what no look showed |
//! | `SEEN_TRUE` | what a look showed true: proven only by a read after the last act (R1) |
//! | `SEEN_FALSE` | what a look showed false: asked for, waiting, or to be asked for |

use jiff::Timestamp;

use super::{
    LEGAL_HOLD, LONGEST_CALL, OPERATION_POLL, PlanInput, REVERSALS_BEFORE_CONFLICT, Sent, held_back,
};
use crate::core::{
    case::{OBSERVED_ONLY, Wanted},
    check::Check,
    fact::{Class, Exempt, FactSpec, Proof, Sight, Truth, Verdict, Why},
    fault::{Fault, Reason},
    ledger::FactLedger,
    pace::without_effect,
    schedule, scope,
};

/// What is asked about one fact.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// All that is known about the system.
    pub view: &'q PlanInput<'q>,
    /// The fact.
    pub fact: &'q FactSpec,
    /// What the look showed of it; none when it was not read yet.
    pub sight: Option<&'q Sight>,
    /// What is durable about it.
    pub entry: &'q FactLedger,
}

/// Answers the question, or leaves it to the checks that follow.
pub(in crate::core) type Rule = fn(&Question<'_>) -> Option<Verdict>;

/// What needs nothing, or not yet.
const EXEMPT: &[Check<Rule>] = &[
    Check::new("no account", |q| {
        let nobody = q.view.ledger.no_account;
        nobody.then_some(Verdict::NotNeeded(Exempt::NoAccount))
    }),
    Check::new("kept", |q| {
        let kept = q.view.system.keeps(&q.fact.name, q.view.now);
        kept.then_some(Verdict::NotNeeded(Exempt::Waived))
    }),
    Check::new("skipped", |q| {
        let skipped = q.wanted().is_none_or(|wanted| wanted == Wanted::Not);
        skipped.then_some(Verdict::NotNeeded(Exempt::Waived))
    }),
    Check::new("over", |q| {
        let over = |wanted| scope::is_over(wanted, q.fact, q.view.ledger, q.view.now);
        q.wanted()
            .is_some_and(over)
            .then_some(Verdict::NotNeeded(Exempt::Over))
    }),
    Check::new("not due", |q| match q.wanted()?.from(q.view.handed_over) {
        None => Some(Verdict::NotDue(Timestamp::MAX)),
        Some(at) => (at > q.view.now).then_some(Verdict::NotDue(at)),
    }),
];

/// What no look showed.
const UNSEEN: &[Check<Rule>] = &[
    Check::new("blocked", |q| Some(unseen(q, q.view.blocked?))),
    Check::new("not read", |q| {
        let read = q.sight.is_some_and(|sight| sight.truth != Truth::NotRead);
        (!read).then(|| Verdict::Unknown(Fault::transient(Reason::Incomplete)))
    }),
    Check::new("switched off", |q| {
        let off = *q.truth()? == Truth::NotApplicable && was_switched_off(q);
        off.then(|| Verdict::Unknown(Fault::needs_decision(Reason::FactGone)))
    }),
    Check::new("not applicable", |q| {
        let exempt = *q.truth()? == Truth::NotApplicable;
        exempt.then_some(Verdict::NotNeeded(Exempt::NotApplicable))
    }),
    Check::new("unreadable", |q| match q.truth()? {
        Truth::Unreadable(fault) => Some(unseen(q, fault)),
        _ => None,
    }),
    Check::new("operation running", |q| {
        let running = *q.truth()? == Truth::Running;
        running.then(|| Verdict::Pending(schedule::later(q.view.now, OPERATION_POLL)))
    }),
];

/// What a look showed true, now or from an instant on.
const SEEN_TRUE: &[Check<Rule>] = &[
    Check::new("true later", |q| match q.truth()? {
        Truth::HoldsFrom(at) if *at > known_at(q) => Some(true_from(q, *at)),
        _ => None,
    }),
    Check::new("stale read", |q| {
        (q.holds() && !q.view.fresh).then_some(Verdict::Pending(q.view.now))
    }),
    Check::new("true before what it comes after", |q| {
        let mut waits = if q.holds() { q.unsettled_before() } else { vec![] };
        // What is not wanted yet holds up no end of access.
        waits.retain(|name| !(q.fact.class.security() && q.view.is_later(name)));
        waits_for(waits)
    }),
    // It was seen undone: what a read shows may be from before that.
    Check::new("doubted", |q| {
        let certain = schedule::later(q.entry.doubted?, q.fact.settle);
        let doubted = q.holds() && q.view.looked_at < certain;
        doubted.then(|| Verdict::Pending(certain.max(q.view.now)))
    }),
    Check::new("verified", |q| q.holds().then_some(Verdict::Verified)),
];

/// What a look showed false, or what cannot be seen.
const SEEN_FALSE: &[Check<Rule>] = &[
    Check::new("task", task),
    Check::new("asserted", asserted),
    Check::new("controller conflict", |q| {
        let conflict = q.entry.reversals >= REVERSALS_BEFORE_CONFLICT;
        conflict.then_some(Verdict::Unmet(Why::ControllerConflict))
    }),
    Check::new("callback awaited", |q| {
        let until = schedule::later(q.entry.accepted?, q.fact.reported?);
        (q.view.now < until).then_some(Verdict::Pending(until))
    }),
    Check::new("settling", settling),
    Check::new("requirements", |q| waits_for(requirements(q))),
    // Asked before the ledger knows when they were proven it would count for nothing, and be asked again.
    Check::new("requirements on record", |q| {
        let unread = q.fact.proof == Proof::None;
        let requires = q.fact.requires.iter().filter(|_| unread);
        let missing = requires.filter(|name| !q.view.gives_way(name, q.fact) && !q.view.is_on_record(name));
        waits_for(missing.cloned().collect())
    }),
    Check::new("observed only", |q| {
        let observed = q.view.system.observe_only;
        observed.then_some(Verdict::Unmet(Why::Gated(OBSERVED_ONLY)))
    }),
    Check::new("refused by its definition", |q| {
        Some(Verdict::Unmet(Why::Failed(q.sight?.refused.clone()?)))
    }),
    Check::new("no act", |q| {
        let sight = q.sight.filter(|sight| sight.act.is_none())?;
        let by_itself = sight.task.is_none() || q.view.may_still_follow(q.fact);
        Some(Verdict::Unmet(if by_itself {
            Why::NoAct
        } else {
            q.view.task_gate(q.fact, sight)
        }))
    }),
    Check::new("legal hold", |q| {
        let held = q.view.legal_hold && held_back(q.fact);
        held.then_some(Verdict::Unmet(Why::Gated(LEGAL_HOLD)))
    }),
    Check::new("gate", |q| {
        let word = q.view.gates.closed(q.view.system, q.view.ledger, q.fact)?;
        Some(Verdict::Unmet(Why::Gated(word)))
    }),
    Check::new("failed in this look", |q| {
        match q.view.sent.get(&q.fact.name)? {
            Sent::Failed(fault) => Some(Verdict::Unmet(Why::Failed(fault.clone()))),
            _ => None,
        }
    }),
    Check::new("failed before", |q| {
        let trouble = q.view.pace.facts.get(&q.fact.name)?;
        let failed = trouble.fault != without_effect();
        failed.then(|| Verdict::Unmet(Why::Failed(trouble.fault.clone())))
    }),
    Check::new("not effective", |q| {
        q.accepted()?;
        Some(Verdict::Unmet(Why::NotEffective))
    }),
];

impl PlanInput<'_> {
    /// What is known about `fact`.
    pub fn verdict(&self, fact: &FactSpec) -> Verdict {
        let question = Question {
            view: self,
            fact,
            sight: self.sights.get(&fact.name),
            entry: self.ledger.fact(&fact.name),
        };
        let mut checks = [EXEMPT, UNSEEN, SEEN_TRUE, SEEN_FALSE].into_iter().flatten();
        checks
            .find_map(|check| check.rule()(&question))
            .unwrap_or(Verdict::Unmet(Why::NotTried))
    }
}

impl Question<'_> {
    fn truth(&self) -> Option<&Truth> {
        self.sight.map(|sight| &sight.truth)
    }

    fn wanted(&self) -> Option<Wanted> {
        self.view.system.wanted.get(&self.fact.name).copied()
    }

    /// Whether the look showed it true.
    fn holds(&self) -> bool {
        matches!(self.truth(), Some(Truth::Holds | Truth::HoldsFrom(_)))
    }

    /// What it comes after, or requires, and is not settled.
    fn unsettled_before(&self) -> Vec<String> {
        self.view
            .unsettled(self.fact.after.iter().chain(&self.fact.requires))
    }

    /// When it was accepted, where there is something to wait for: nothing is, where nothing can be read.
    fn accepted(&self) -> Option<Timestamp> {
        let waits = self.fact.proof != Proof::None || self.fact.reported.is_some();
        self.entry.accepted.filter(|_| waits)
    }
}

fn waits_for(names: Vec<String>) -> Option<Verdict> {
    (!names.is_empty()).then_some(Verdict::Unmet(Why::WaitsFor(names)))
}

/// Whether a fact that does not apply any more did: who switches off what ended access, or answers that there is nothing to be
/// ended where there was, takes away the look and not the access (R21). With the account that we deleted it is gone.
fn was_switched_off(q: &Question<'_>) -> bool {
    let asked = q.entry.begun() || q.view.ledger.had(&q.fact.name);
    let deleted = || {
        let mut all = q.view.facts.iter();
        all.any(|other| other.class == Class::Deletion && q.view.ledger.fact(&other.name).begun())
    };
    q.fact.class.security() && asked && (q.fact.configured || (q.entry.verified.is_none() && !deleted()))
}

/// A fact that will be seen true at `at`.
fn true_from(q: &Question<'_>, at: Timestamp) -> Verdict {
    let waits = q.unsettled_before();
    match (q.fact.proof, waits.is_empty()) {
        // What lives on is counted from the end of access, which is still to come.
        (Proof::Elapsed, false) => Verdict::Unmet(Why::WaitsFor(waits)),
        (Proof::Elapsed, true) if at == Timestamp::MAX => Verdict::Unmet(Why::NoAct),
        (Proof::Elapsed, true) => Verdict::Exposed(at),
        _ => Verdict::Pending(at.max(q.view.now)),
    }
}

/// The moment of which something is known: an instant that was computed passes by itself, a read is as old as its look.
fn known_at(q: &Question<'_>) -> Timestamp {
    if q.fact.proof == Proof::Elapsed {
        q.view.now
    } else {
        q.view.looked_at
    }
}

/// A fact that could not be read. A proof with nothing sent since it outlives a fault that passes by itself for a while; anything
/// else is Unknown (R2).
fn unseen(q: &Question<'_>, fault: &Fault) -> Verdict {
    let (view, fact) = (q.view, q.fact);
    if fact.proof == Proof::None && !fact.by_hand {
        return if view.asked_since_its_requirements(fact) {
            Verdict::Asserted
        } else {
            Verdict::Unknown(fault.clone())
        };
    }
    let lasts = view.pace.seen.get(&fact.name).is_some_and(|seen| {
        view.pace.last_sent.is_none_or(|sent| sent < *seen)
            && view.now < schedule::later(*seen, view.proof_lasts)
    });
    let proven = q.entry.verified.is_some() && q.entry.attested_at.is_none() && view.sent.is_empty();
    if lasts && proven && fault.passes_by_itself() {
        return Verdict::Verified;
    }
    // A person's word is worth no less because what would prove it cannot be read for a while.
    if fact.by_hand && fault.passes_by_itself() && view.attested_at(fact).is_some() {
        return Verdict::Asserted;
    }
    Verdict::Unknown(fault.clone())
}

/// A task that no read shows done: a person's word counts until something that was true later says otherwise.
fn task(q: &Question<'_>) -> Option<Verdict> {
    let sight = q.sight.filter(|_| q.fact.by_hand)?;
    let waits = q.unsettled_before();
    if !waits.is_empty() {
        return Some(Verdict::Unmet(Why::WaitsFor(waits)));
    }
    if q.view.attested_at(q.fact).is_some() && q.view.refutation(q.fact, sight).is_none() {
        return Some(Verdict::Asserted);
    }
    Some(Verdict::Unmet(q.view.task_gate(q.fact, sight)))
}

/// What cannot be read and was asked for.
pub(in crate::core) fn asserted(q: &Question<'_>) -> Option<Verdict> {
    let asked = q.fact.proof == Proof::None && q.view.asked_since_its_requirements(q.fact);
    asked.then_some(Verdict::Asserted)
}

/// What was asked for and may not be shown yet. An intent without a receipt counts like an acceptance: it may have taken effect
/// (R12).
pub(in crate::core) fn settling(q: &Question<'_>) -> Option<Verdict> {
    let unsure = q.view.pace.asked.get(&q.fact.name).copied();
    let intended = q.entry.intent.map(|at| schedule::later(at, LONGEST_CALL));
    let accepted = q.accepted();
    let asked = accepted.max(intended).max(unsure)?;
    let settled = schedule::later(asked, q.fact.settle);
    if q.view.looked_at >= settled {
        return None;
    }
    // A log that lags is nobody's to hurry.
    let lagging = q.fact.proof == Proof::Log && accepted == Some(asked) && q.unsettled_before().is_empty();
    Some(if lagging {
        Verdict::Exposed(settled)
    } else {
        Verdict::Pending(q.view.poll(asked, settled))
    })
}

/// What it requires and is not settled, but for what is refused for good.
fn requirements(q: &Question<'_>) -> Vec<String> {
    let requires = q.fact.requires.iter();
    q.view
        .unsettled(requires.filter(|name| !q.view.gives_way(name, q.fact)))
}
