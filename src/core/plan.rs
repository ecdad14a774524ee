//! What is true, what may be sent now, and when to look again. Decides; never awaits.
//!
//! One [`View`] is everything the rules know about one system of one leaver at one instant of one look. From it
//! [`View::verdict`] says what is known about a fact, [`View::sendable`] which acts may go out now, and
//! [`View::wake`] when something will change without anybody telling us.
//!
//! # Why
//! A look and the acts that follow from it overlap in time: an act whose edges allow goes out while other reads of
//! the same look are still under way. So the rules are asked again after every single answer, always with the
//! whole view; there is no list of steps that could be out of date.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{
    approvals::Gates,
    case::{OBSERVED_ONLY, System, Wanted},
    fact::{Class, Exempt, FactSpec, Proof, Sight, Truth, Verdict, Why},
    fault::{Fault, FaultKind, Reason},
    ledger::SystemLedger,
    planted::{Bug, planted},
    schedule, scope,
};

/// After so many reversals by somebody else we stop fighting over a fact (R14).
pub const REVERSALS_BEFORE_CONFLICT: usize = 3;

/// No call takes longer. An intent without a receipt may take effect until this much later.
pub const LONGEST_CALL: SignedDuration = SignedDuration::from_secs(60);

/// What follows from an act by itself, such as a membership from a group that was left, is there after this time.
const FOLLOWS_WITHIN: SignedDuration = SignedDuration::from_mins(10);
/// The gate of a task that a person has not done yet.
pub const TASK_AWAITED: &str = "AwaitingManualTask";
/// The same once it should have been done.
pub const TASK_OVERDUE: &str = "ManualTaskOverdue";

/// The shortest wait before looking again at something that was accepted and is not visible yet.
const FIRST_SETTLE_POLL: SignedDuration = SignedDuration::from_millis(500);
/// The wait between two looks at a long-running operation.
const OPERATION_POLL: SignedDuration = SignedDuration::from_secs(5);

/// The word for a fact that a legal hold keeps from being asked for.
pub const LEGAL_HOLD: &str = "LegalHold";

/// What a legal hold keeps: whatever is deleted, cannot be brought back, or goes away some time after its seat is given up.
pub fn held_back(fact: &FactSpec) -> bool {
    fact.irreversible || matches!(fact.class, Class::Deletion | Class::Licenses)
}

/// What happened to the act of one fact since the look began.
#[derive(Debug, Clone, PartialEq)]
pub enum Sent {
    /// Under way.
    InFlight,
    /// The system accepted it.
    Accepted,
    /// It failed.
    Failed(Fault),
}

/// What is remembered of earlier passes without being durable: how often something failed, and until when to wait.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    /// Since when this process has driven the system: what another one sent right before is known to nobody.
    pub since: Option<Timestamp>,
    /// By fact.
    pub facts: BTreeMap<String, Trouble>,
    /// Of the system as a whole: `find`, login, the successor.
    pub system: Option<Trouble>,
    /// The system wants to be left alone until then.
    pub parked_until: Option<Timestamp>,
    /// When an act was last sent whose outcome is not known, by fact.
    pub asked: BTreeMap<String, Timestamp>,
    /// When anything was last sent to the system, whatever became of it.
    pub last_sent: Option<Timestamp>,
    /// When each fact was last seen true with nothing sent since.
    pub seen: BTreeMap<String, Timestamp>,
    /// Digests of requests that once could not give back any more what they would, by fact: one that was asked for before by a
    /// process that is no more may have done so. They are gone when they cannot after another look either.
    pub gone: BTreeMap<String, BTreeSet<String>>,
    /// When other accounts of the person were last looked for, and the login names of those that are active.
    pub others: Option<(Timestamp, Vec<String>)>,
}

/// A fault that was met, and when to try again.
#[derive(Debug, Clone, PartialEq)]
pub struct Trouble {
    /// The last fault.
    pub fault: Fault,
    /// How often in a row.
    pub attempts: u32,
    /// Not before this instant.
    pub not_before: Timestamp,
}

/// An act was accepted, its settle time is over, and nothing has changed: it is repeated with backoff, like a fault.
pub fn without_effect() -> Fault {
    Fault::transient(Reason::Conflict).with_code("no effect")
}

impl Trouble {
    /// The same trouble once more, at `now`.
    pub fn again(earlier: Option<&Self>, fault: Fault, now: Timestamp, seed: u64) -> Self {
        let attempts = earlier.map_or(0, |t| t.attempts.saturating_add(1));
        let not_before = match fault.kind {
            FaultKind::Throttled { until } => until,
            FaultKind::Transient | FaultKind::UnknownOutcome => {
                schedule::later(now, schedule::backoff(attempts, seed))
            }
            FaultKind::Permanent | FaultKind::NeedsDecision => {
                schedule::later(now, schedule::backoff_for_a_person(attempts, seed))
            }
        };
        Self {
            fault,
            attempts,
            not_before,
        }
    }
}

/// Everything the rules know about one system of one leaver at one instant of one look.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a separate condition that the rules ask for by name"
)]
pub struct View<'a> {
    /// What is wanted.
    pub system: &'a System,
    /// The facts, in the order in which they are tried.
    pub facts: &'a [FactSpec],
    /// What the look showed, by fact. A fact without a sight was not read yet.
    pub sights: &'a BTreeMap<String, Sight>,
    /// What is durable.
    pub ledger: &'a SystemLedger,
    /// What earlier passes remember.
    pub pace: &'a Pace,
    /// What was sent since the look began.
    pub sent: &'a BTreeMap<String, Sent>,
    /// The look began after the last act on this system was answered (R1).
    pub fresh: bool,
    /// Reads of the look are still under way.
    pub reading: bool,
    /// Why the system as a whole could not be looked at.
    pub blocked: Option<&'a Fault>,
    /// Things may be changed: the policy enforces, the leaver is not suspended, the connector is not observe-only.
    pub may_act: bool,
    /// Nothing may be deleted.
    pub legal_hold: bool,
    /// Since when everything is handed over.
    pub handed_over: Option<Timestamp>,
    /// What waits for people.
    pub gates: &'a Gates,
    /// For how long a proof outlives a read that fails for a passing reason.
    pub proof_lasts: SignedDuration,
    /// When the look began: what it read may be as old as this.
    pub looked_at: Timestamp,
    /// Now.
    pub now: Timestamp,
}

impl View<'_> {
    /// What is known about `fact`.
    pub fn verdict(&self, fact: &FactSpec) -> Verdict {
        if self.ledger.no_account {
            return Verdict::NotNeeded(Exempt::NoAccount);
        }
        if self.system.keeps(&fact.name, self.now) {
            return Verdict::NotNeeded(Exempt::Waived);
        }
        match self.system.wanted.get(&fact.name).copied() {
            None | Some(Wanted::Not) => return Verdict::NotNeeded(Exempt::Waived),
            Some(wanted) if scope::is_over(wanted, fact, self.ledger, self.now) => {
                return Verdict::NotNeeded(Exempt::Over);
            }
            Some(wanted) => match wanted.from(self.handed_over) {
                None => return Verdict::NotDue(Timestamp::MAX),
                Some(at) if at > self.now => return Verdict::NotDue(at),
                Some(_) => {}
            },
        }
        if let Some(fault) = self.blocked {
            return self.unseen(fact, fault);
        }
        let Some(sight) = self.sights.get(&fact.name) else {
            return Verdict::Unknown(Fault::transient(Reason::Incomplete));
        };
        match &sight.truth {
            Truth::NotRead => Verdict::Unknown(Fault::transient(Reason::Incomplete)),
            Truth::NotApplicable if self.was_switched_off(fact) => {
                Verdict::Unknown(Fault::needs_decision(Reason::FactGone))
            }
            Truth::NotApplicable => Verdict::NotNeeded(Exempt::NotApplicable),
            Truth::Unreadable(fault) => self.unseen(fact, fault),
            Truth::Running => Verdict::Pending(schedule::later(self.now, OPERATION_POLL)),
            Truth::HoldsFrom(at) if *at > self.known_at(fact) => self.held_from(fact, *at),
            Truth::HoldsFrom(_) | Truth::Holds => self.held(fact),
            Truth::DoesNotHold => self.missed(fact, sight),
        }
    }

    /// Whether `fact`, which does not apply any more, did: who switches off what ended access, or answers that there is nothing
    /// to be ended where there was, takes away the look and not the access (R21). With the account that we deleted it is gone.
    fn was_switched_off(&self, fact: &FactSpec) -> bool {
        let entry = self.ledger.fact(&fact.name);
        let asked = entry.begun() || self.ledger.had(&fact.name);
        let deleted = || {
            let mut all = self.facts.iter();
            all.any(|other| other.class == Class::Deletion && self.ledger.fact(&other.name).begun())
        };
        fact.class.security() && asked && (fact.configured || (entry.verified.is_none() && !deleted()))
    }

    /// A fact that will be seen true at `at`.
    fn held_from(&self, fact: &FactSpec, at: Timestamp) -> Verdict {
        let waits = self.unsettled(fact.after.iter().chain(&fact.requires));
        match (fact.proof, waits.is_empty()) {
            // What lives on is counted from the end of access, which is still to come.
            (Proof::Elapsed, false) => Verdict::Unmet(Why::WaitsFor(waits)),
            (Proof::Elapsed, true) if at == Timestamp::MAX => Verdict::Unmet(Why::NoAct),
            (Proof::Elapsed, true) => Verdict::Exposed(at),
            _ => Verdict::Pending(at.max(self.now)),
        }
    }

    /// The moment of which something is known about `fact`: an instant that was computed passes by itself, a read is as old as
    /// its look.
    fn known_at(&self, fact: &FactSpec) -> Timestamp {
        if fact.proof == Proof::Elapsed {
            self.now
        } else {
            self.looked_at
        }
    }

    /// A fact that was seen true: proven only by a read after the last act (R1), and not before what it comes after.
    fn held(&self, fact: &FactSpec) -> Verdict {
        if !self.fresh && !planted(Bug::StaleReadIsProof) {
            return Verdict::Pending(self.now);
        }
        let mut waits = self.unsettled(fact.after.iter().chain(&fact.requires));
        // What is not wanted yet holds up no end of access.
        waits.retain(|name| !(fact.class.security() && self.is_later(name)));
        if !waits.is_empty() {
            return Verdict::Unmet(Why::WaitsFor(waits));
        }
        // It was seen undone: what a read shows may be from before that.
        let doubted = self.ledger.fact(&fact.name).doubted;
        match doubted.map(|at| schedule::later(at, fact.settle)) {
            Some(certain) if self.looked_at < certain => Verdict::Pending(certain.max(self.now)),
            _ => Verdict::Verified,
        }
    }

    /// A fact that could not be read. A proof with nothing sent since it outlives a fault that passes by itself for a
    /// while; anything else is Unknown (R2).
    fn unseen(&self, fact: &FactSpec, fault: &Fault) -> Verdict {
        if planted(Bug::UnreadableIsDone) {
            return Verdict::Verified;
        }
        if fact.proof == Proof::None && !fact.by_hand {
            let asked = self.asked_since_its_requirements(fact);
            return if asked {
                Verdict::Asserted
            } else {
                Verdict::Unknown(fault.clone())
            };
        }
        let lasts = self.pace.seen.get(&fact.name).is_some_and(|seen| {
            self.pace.last_sent.is_none_or(|sent| sent < *seen)
                && self.now < schedule::later(*seen, self.proof_lasts)
        });
        let entry = self.ledger.fact(&fact.name);
        let proven = entry.verified.is_some() && entry.attested_at.is_none() && self.sent.is_empty();
        if lasts && proven && fault.passes_by_itself() {
            return Verdict::Verified;
        }
        // A person's word is worth no less because what would prove it cannot be read for a while.
        if fact.by_hand && fault.passes_by_itself() && self.word(fact).is_some() {
            return Verdict::Asserted;
        }
        Verdict::Unknown(fault.clone())
    }

    /// A fact that was seen false, or that cannot be seen.
    fn missed(&self, fact: &FactSpec, sight: &Sight) -> Verdict {
        if fact.by_hand {
            return self.task(fact, sight);
        }
        let entry = self.ledger.fact(&fact.name);
        if planted(Bug::ReceiptIsProof) && entry.accepted.is_some() {
            return Verdict::Verified;
        }
        if fact.proof == Proof::None && self.asked_since_its_requirements(fact) {
            return Verdict::Asserted;
        }
        if entry.reversals >= REVERSALS_BEFORE_CONFLICT {
            return Verdict::Unmet(Why::ControllerConflict);
        }
        // An intent without a receipt counts like an acceptance: it may have taken effect (R12).
        let unsure = self.pace.asked.get(&fact.name).copied();
        let intended = entry.intent.map(|at| schedule::later(at, LONGEST_CALL));
        if let (Some(accepted), Some(within)) = (entry.accepted, fact.reported)
            && self.now < schedule::later(accepted, within)
        {
            return Verdict::Pending(schedule::later(accepted, within));
        }
        // There is nothing to wait for where nothing can be read.
        let accepted = entry
            .accepted
            .filter(|_| fact.proof != Proof::None || fact.reported.is_some());
        if let Some(asked) = accepted.max(intended).max(unsure) {
            let settled = schedule::later(asked, fact.settle);
            if self.looked_at < settled && !(planted(Bug::RepeatsBlindly) && entry.accepted.is_none()) {
                // A log that lags is nobody's to hurry.
                let waits = self.unsettled(fact.after.iter().chain(&fact.requires));
                if fact.proof == Proof::Log && accepted == Some(asked) && waits.is_empty() {
                    return Verdict::Exposed(settled);
                }
                return Verdict::Pending(self.poll(asked, settled));
            }
        }
        let requires = if planted(Bug::ForgetsRequirements) {
            &[][..]
        } else {
            &fact.requires[..]
        };
        let requires = || requires.iter().filter(|name| !self.gives_way(name, fact));
        let mut waits = self.unsettled(requires());
        if fact.proof == Proof::None && waits.is_empty() && !planted(Bug::AssertsForEver) {
            // Asked before the ledger knows when they were proven it would count for nothing, and be asked again.
            waits = requires().filter(|name| !self.is_noted(name)).cloned().collect();
        }
        if !waits.is_empty() {
            return Verdict::Unmet(Why::WaitsFor(waits));
        }
        if self.system.observe_only {
            return Verdict::Unmet(Why::Gated(OBSERVED_ONLY));
        }
        if let Some(fault) = &sight.refused {
            return Verdict::Unmet(Why::Failed(fault.clone()));
        }
        if sight.act.is_none() {
            let by_itself = sight.task.is_none() || self.may_still_follow(fact);
            return Verdict::Unmet(if by_itself {
                Why::NoAct
            } else {
                self.task_gate(fact, sight)
            });
        }
        if let Some(gate) = self.closed(fact) {
            return Verdict::Unmet(Why::Gated(gate));
        }
        if let Some(Sent::Failed(fault)) = self.sent.get(&fact.name) {
            return Verdict::Unmet(Why::Failed(fault.clone()));
        }
        if let Some(trouble) = self.pace.facts.get(&fact.name)
            && trouble.fault != without_effect()
        {
            return Verdict::Unmet(Why::Failed(trouble.fault.clone()));
        }
        Verdict::Unmet(if accepted.is_some() {
            Why::NotEffective
        } else {
            Why::NotTried
        })
    }

    /// When to look again for what was asked for at `asked` and is shown at `settled` at the latest: less and less often.
    fn poll(&self, asked: Timestamp, settled: Timestamp) -> Timestamp {
        let waited = self.now.duration_since(asked).max(FIRST_SETTLE_POLL);
        schedule::later(self.now, waited).min(settled.max(self.now))
    }

    /// The word for the gate that keeps `fact` from being asked for.
    fn closed(&self, fact: &FactSpec) -> Option<&'static str> {
        if self.legal_hold && held_back(fact) && !planted(Bug::IgnoresHold) {
            return Some(LEGAL_HOLD);
        }
        self.gates.closed(self.system, self.ledger, fact)
    }

    /// A task that no read shows done: a person's word counts until something that was true later says otherwise.
    fn task(&self, fact: &FactSpec, sight: &Sight) -> Verdict {
        let waits = self.unsettled(fact.after.iter().chain(&fact.requires));
        if !waits.is_empty() {
            return Verdict::Unmet(Why::WaitsFor(waits));
        }
        if self.word(fact).is_some() && self.disproof(fact, sight).is_none() {
            return Verdict::Asserted;
        }
        Verdict::Unmet(self.task_gate(fact, sight))
    }

    /// Whether `fact`, which comes after others, may still follow from them by itself.
    fn may_still_follow(&self, fact: &FactSpec) -> bool {
        fact.after
            .iter()
            .any(|name| match self.ledger.fact(name).verified {
                Some(at) => self.looked_at < schedule::later(at, fact.settle.max(FOLLOWS_WITHIN)),
                None => !self.verdict_of(name).is_some_and(|verdict| verdict.settled()),
            })
    }

    fn task_gate(&self, fact: &FactSpec, sight: &Sight) -> Why {
        let late = self.task_due(fact, sight).is_some_and(|due| due <= self.now);
        Why::Gated(if late { TASK_OVERDUE } else { TASK_AWAITED })
    }

    /// When the word was given that counts for a task. One that was taken stays, whatever becomes of the object it was
    /// written in; one that something newer disagrees with is spent for good.
    pub fn word(&self, fact: &FactSpec) -> Option<Timestamp> {
        let disproved = self.ledger.fact(&fact.name).refuted_at;
        self.said(fact)
            .filter(|said| disproved.is_none_or(|at| at <= schedule::later(*said, fact.settle)))
    }

    fn said(&self, fact: &FactSpec) -> Option<Timestamp> {
        let now = self.system.attested.get(&fact.name).map(|word| word.at);
        now.max(self.ledger.fact(&fact.name).attested_at)
            .filter(|_| fact.by_hand)
    }

    /// The moment of which a read shows that the task is not done, though somebody had said before that it is.
    pub fn disproof(&self, fact: &FactSpec, sight: &Sight) -> Option<Timestamp> {
        if fact.proof == Proof::None || sight.truth != Truth::DoesNotHold {
            return None;
        }
        let as_of = sight.task.as_ref().and_then(|task| task.as_of);
        // An export of a day to come is no newer than the look, whatever it says.
        let as_of = as_of.unwrap_or(self.looked_at).min(self.looked_at);
        (as_of > schedule::later(self.said(fact)?, fact.settle)).then_some(as_of)
    }

    /// When a task is overdue: counted from when it is wanted, or from when we first knew whose it is.
    pub fn task_due(&self, fact: &FactSpec, sight: &Sight) -> Option<Timestamp> {
        let wanted = self.system.wanted.get(&fact.name)?.from(self.handed_over)?;
        let known = self.ledger.account.as_ref().map(|account| account.bound_at);
        let opened = known.map_or(wanted, |known| known.max(wanted));
        Some(schedule::later(opened, sight.task.as_ref()?.due_in))
    }

    /// When something about a task may change though nobody says so: it becomes overdue, or a newer export is there.
    fn task_wake(&self, fact: &FactSpec) -> Option<Timestamp> {
        let sight = self.sights.get(&fact.name)?;
        let due = match self.verdict(fact) {
            Verdict::Unmet(_) => self.task_due(fact, sight).filter(|due| *due > self.now),
            _ => None,
        };
        let looked = (fact.proof != Proof::None).then(|| schedule::later(self.now, self.proof_lasts / 2));
        due.into_iter().chain(looked).min()
    }

    /// A fact without a read counts as asked only if it was asked after everything it requires was proven, the last
    /// time that was proven: after a drift it is asked again.
    fn asked_since_its_requirements(&self, fact: &FactSpec) -> bool {
        let entry = self.ledger.fact(&fact.name);
        let said = fact.reported.is_none() || entry.attested_at.is_some();
        let Some(accepted) = entry.accepted.filter(|_| said) else {
            return false;
        };
        fact.requires
            .iter()
            .all(|name| match self.ledger.fact(name).verified {
                Some(verified) => accepted >= verified || planted(Bug::AssertsForEver),
                None => self.is_noted(name),
            })
    }

    /// Whether the ledger knows when `name` was proven, or there is nothing to prove.
    fn is_noted(&self, name: &str) -> bool {
        self.ledger.fact(name).verified.is_some()
            || matches!(self.verdict_of(name), Some(Verdict::NotNeeded(_)))
    }

    fn verdict_of(&self, name: &str) -> Option<Verdict> {
        self.facts
            .iter()
            .find(|f| f.name == name)
            .map(|f| self.verdict(f))
    }

    /// Whether `fact` waits no longer for `name`, which is refused for good: what ends access another way is not held up by it.
    /// Nothing that cannot be repeated or taken back goes out before its time.
    fn gives_way(&self, name: &str, fact: &FactSpec) -> bool {
        let Some(earlier) = self.facts.iter().find(|f| f.name == name) else {
            return false;
        };
        let security = earlier.class.security() && fact.class.security();
        // While it is tried once more its answer comes first.
        let tried = match self.sent.get(name) {
            Some(sent) => !matches!(sent, Sent::Failed(_)),
            None => self.has_its_turn(earlier),
        };
        if !security || tried || fact.irreversible || !fact.repeatable || planted(Bug::WaitsForTheRefused) {
            return false;
        }
        let for_good = |fault: &Fault| matches!(fault.kind, FaultKind::Permanent | FaultKind::NeedsDecision);
        match self.verdict(earlier) {
            Verdict::Unmet(Why::Failed(fault)) | Verdict::Unknown(fault) => for_good(&fault),
            Verdict::Unmet(Why::NoAct | Why::ControllerConflict) | Verdict::NotDue(_) => true,
            // There is nothing that we could send for it.
            Verdict::Unmet(Why::Gated(TASK_AWAITED | TASK_OVERDUE)) => !earlier.by_hand,
            Verdict::Unmet(Why::WaitsFor(_)) => {
                let mut before = earlier.after.iter().chain(&earlier.requires);
                before.any(|name| self.gives_way(name, fact))
            }
            _ => false,
        }
    }

    /// Whether `name` is about access too, and wanted later only.
    fn is_later(&self, name: &str) -> bool {
        let fact = self.facts.iter().find(|fact| fact.name == name);
        fact.is_some_and(|fact| fact.class.security() && matches!(self.verdict(fact), Verdict::NotDue(_)))
    }

    fn unsettled<'n>(&self, names: impl Iterator<Item = &'n String>) -> Vec<String> {
        names
            .filter(|name| self.verdict_of(name).is_none_or(|v| !v.settled()))
            .cloned()
            .collect()
    }

    /// The facts whose acts may go out now, in order.
    pub fn sendable(&self) -> Vec<&FactSpec> {
        let parked = self.pace.parked_until.is_some_and(|t| self.now < t) && !planted(Bug::IgnoresThrottling);
        if !self.may_act || self.ledger.identity_mismatch || parked {
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
        let wanting = matches!(
            self.verdict(fact),
            Verdict::Unmet(Why::NotTried | Why::NotEffective | Why::Failed(_))
        );
        wanting
            && !self.sent.contains_key(&fact.name)
            && self.has_its_turn(fact)
            // What cannot be repeated or taken back rests on reads of the present state only.
            && (self.fresh || planted(Bug::StaleReadIsProof) || (fact.repeatable && !fact.irreversible))
            && fact.after.iter().all(|name| self.lets_pass(name, fact))
            && !fact.prefers_after.iter().any(|name| self.still_coming(name))
    }

    /// Whether there is an act, and no trouble that it has to wait for.
    fn has_its_turn(&self, fact: &FactSpec) -> bool {
        self.sights.get(&fact.name).is_some_and(|s| s.act.is_some())
            && self
                .pace
                .facts
                .get(&fact.name)
                .is_none_or(|t| self.now >= t.not_before)
    }

    /// Whether `fact` need not wait for `name` any more before it is sent.
    fn lets_pass(&self, name: &str, fact: &FactSpec) -> bool {
        self.asked(name) || self.gives_way(name, fact)
    }

    /// Whether `name` was accepted, or need not be.
    fn asked(&self, name: &str) -> bool {
        let seen = self.sights.get(name).is_some_and(|s| s.truth == Truth::Holds);
        let accepted = matches!(self.sent.get(name), Some(Sent::Accepted));
        let pending = || matches!(self.verdict_of(name), Some(Verdict::Pending(_)));
        seen || accepted || self.verdict_of(name).is_some_and(|v| v.settled()) || pending()
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

#[cfg(test)]
mod tests;
