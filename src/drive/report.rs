//! From what a pass found out to the status that users and tools read. Pure.
//!
//! `Ready` sums up; `Reconciling` and `Stalled` are there only while true, and never together, so that kstatus, Argo CD
//! and `kubectl wait` agree on what is going on.

mod gates;
mod reinstated;
mod so_far;
#[cfg(test)]
mod tests;

use jiff::Timestamp;

pub use so_far::so_far;

use super::{
    Outcome, Row,
    advice::{advice, with_advice},
};
use crate::{
    api::{
        Condition, ConditionStatus, OffboardingStatus,
        condition::{READY, STALLED, keep_transition_times},
        offboarding::{Evidence, Exposure, KnownManager, SystemRow},
    },
    core::{
        approvals::APPROVAL_DENIED,
        case::{Case, NO_SYSTEMS, NOTHING_TO_REVOKE, OBSERVED_ONLY, SUSPENDED, System, Wanted},
        duplicate::{self, DUPLICATE},
        fact::{Exempt, FactState, Stage, Verdict, Why},
        fault::{Fault, FaultKind, Reason},
        identity::BY_NAME_ONLY,
        ledger::Manager,
        plan::{LEGAL_HOLD, TASK_AWAITED, TASK_OVERDUE},
    },
};

/// The longest message that sums up what is open, in characters.
const LONGEST_SUMMARY: usize = 200;

use ConditionStatus::{False, True, Unknown};

/// The status after a pass.
pub fn status(
    case: &Case,
    outcome: &Outcome,
    earlier: &OffboardingStatus,
    now: Timestamp,
) -> OffboardingStatus {
    let tally = Tally::of(case, outcome, now);
    let conditions = summary(case, outcome, &tally, earlier, now);
    let watched = watched(case, &conditions, earlier, now);
    let rows = case.systems.iter().zip(&outcome.rows);
    let systems = rows
        .map(|(system, row)| {
            let before = earlier.systems.iter().find(|s| s.name == row.name);
            let shown = row.facts.iter().filter(|state| {
                let waived = state.verdict == Verdict::NotNeeded(Exempt::Waived);
                !(waived && is_unwanted(case, system, &state.spec.name))
            });
            let mut conditions: Vec<_> = shown.map(|state| fact_condition(row, state)).collect();
            if case.invalid.is_some() {
                let known = before.map_or(&[][..], |before| &before.conditions);
                let of_facts = |c: &&Condition| row.facts.iter().any(|state| state.spec.name == c.type_);
                let new: Vec<_> = known
                    .iter()
                    .filter(of_facts)
                    .filter(|c| !conditions.iter().any(|own| own.type_ == c.type_))
                    .cloned()
                    .collect();
                conditions.extend(new);
            }
            if let (Some(by), Some(first)) = (&row.looked_up_by, conditions.first_mut()) {
                first.message.clone_from(by);
            }
            if system.observe_only {
                conditions.push(Condition::new("Enforced", False, "Observe", OBSERVED));
            }
            if let Some(trouble) = &row.trouble {
                conditions.push(Condition::new(
                    "Connected",
                    False,
                    trouble_reason(row).as_str(),
                    trouble,
                ));
            }
            conditions.extend(candidates(row));
            keep_transition_times(&mut conditions, before.map_or(&[], |s| &s.conditions), now);
            // What was back and is gone again within one pass is gone since now.
            let again = conditions.iter_mut().filter(|c| row.drifted.contains(&c.type_));
            again.for_each(|c| c.last_transition_time = now);
            SystemRow {
                name: row.name.clone(),
                account: row.account.as_ref().map(|(id, _)| id.clone()),
                conditions,
            }
        })
        .collect();
    OffboardingStatus {
        observed_generation: case.generation,
        progress: Some(format!("{}/{}", tally.systems_done, outcome.rows.len())),
        fence: earlier.fence,
        access_left: Some(i64::try_from(tally.access_left).unwrap_or(i64::MAX)),
        cutoff: Some(case.cutoff),
        deadline: Some(case.access_deadline),
        data_deadline: Some(case.data_deadline),
        watched,
        exposure: tally.exposed_until.map(|closes_at| Exposure { closes_at }),
        manager: outcome
            .manager
            .as_ref()
            .map(known_manager)
            .or_else(|| earlier.manager.clone()),
        admitted: case.admitted.or_else(|| gates::admitted(outcome, now)),
        plan: earlier.plan.clone(),
        gates: gates::rows(case, outcome, &earlier.gates, now),
        notified: earlier.notified.clone(),
        policy: case.policy.clone(),
        evidence: earlier.evidence.clone(),
        conditions,
        systems,
    }
}

/// The status of an Offboarding that cannot be driven: one word for why, and the field or the object that is wrong with what to
/// do.
pub fn refused(
    generation: i64,
    (reason, problem): (&str, &str),
    earlier: &OffboardingStatus,
    now: Timestamp,
) -> OffboardingStatus {
    let mut conditions = vec![
        Condition::new(READY, False, reason, problem),
        Condition::new(STALLED, True, reason, problem),
    ];
    // What was proven before stays proven; it is just not looked at any more.
    let kept = earlier
        .conditions
        .iter()
        .filter(|c| matches!(c.type_.as_str(), "AccessRevoked" | "DataTransferred"));
    conditions.extend(kept.cloned());
    for condition in &mut conditions {
        condition.observed_generation = Some(generation);
    }
    keep_transition_times(&mut conditions, &earlier.conditions, now);
    OffboardingStatus {
        observed_generation: generation,
        conditions,
        ..earlier.clone()
    }
}

/// Since when the end is looked after. One of several Offboardings about a person that waits for another never began to.
fn watched(
    case: &Case,
    conditions: &[Condition],
    earlier: &OffboardingStatus,
    now: Timestamp,
) -> Option<Timestamp> {
    let agreed = case.terms.end.as_ref()?;
    let end = &agreed.end;
    let goes_on = !(end.reinstated || end.suspended || end.plan_only);
    let began = case.hold.is_none() || earlier.watched.is_some();
    let complete = conditions
        .iter()
        .any(|c| c.type_ == "Complete" && c.status == True);
    let over = complete && case.recheck_until <= now;
    (goes_on && began && !over).then(|| earlier.watched.unwrap_or(agreed.since))
}

/// Whether nobody wants `fact` of `system`; where only what was agreed goes on, nothing is known of what is not part of it.
fn is_unwanted(case: &Case, system: &System, fact: &str) -> bool {
    let wanted = system.wanted.get(fact);
    wanted == Some(&Wanted::Not) || (case.invalid.is_some() && wanted.is_none())
}

fn known_manager(manager: &Manager) -> KnownManager {
    let who = manager.who.as_ref();
    KnownManager {
        email: who.and_then(|who| who.email.clone()),
        employee_id: who.and_then(|who| who.employee_id.clone()),
        system: manager.row.clone(),
    }
}

/// Names the record in the status.
pub fn with_evidence(mut status: OffboardingStatus, record: &str, head: Option<&str>) -> OffboardingStatus {
    status.evidence = Some(Evidence {
        record: record.to_owned(),
        head: head.map(str::to_owned),
    });
    status
}

/// What is left, counted.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "counts and findings, each read by name"
)]
struct Tally {
    systems_done: usize,
    access_left: usize,
    access_due: bool,
    /// Some fact that ends access is not wanted, or waived.
    access_skipped: bool,
    access_unknown: bool,
    data_left: usize,
    data_due: bool,
    not_due: bool,
    left: usize,
    /// A legal hold keeps something that would be deleted by now.
    held: bool,
    /// The word for what waits for a person's yes, or was refused it.
    waiting: Option<&'static str>,
    /// Nothing but a person can move what is left.
    stuck: Option<Reason>,
    moving: bool,
    found: bool,
    drifted: bool,
    /// Of what is left, what is only looked at: of access, and of data.
    observed: (usize, usize),
    /// Some of what is ours to end could not be looked at.
    unknown_ours: bool,
    /// Another Offboarding says that access lasts longer.
    held_up: bool,
    /// Until when something lives on that nobody can shorten.
    exposed_until: Option<Timestamp>,
}

impl Tally {
    fn of(case: &Case, outcome: &Outcome, now: Timestamp) -> Self {
        let mut tally = Self {
            moving: outcome.store_fault.is_some(),
            held_up: case.is_held(now),
            ..Self::default()
        };
        for row in &outcome.rows {
            let left_before = tally.left;
            tally.add_row(case, row);
            if tally.left == left_before {
                tally.systems_done += 1;
            }
        }
        tally
    }

    /// Something waits for `word`; what somebody can answer is said before what is only looked at.
    fn wait(&mut self, word: &'static str) {
        let more = match self.waiting {
            None | Some(OBSERVED_ONLY) => true,
            Some(known) => known != APPROVAL_DENIED && word != OBSERVED_ONLY,
        };
        if more {
            self.waiting = Some(word);
        }
    }

    /// Access and data that are left although they are ours to end.
    fn ours(&self) -> (usize, usize) {
        (
            self.access_left - self.observed.0,
            self.data_left - self.observed.1,
        )
    }

    fn add_row(&mut self, case: &Case, row: &Row) {
        let system = case.systems.iter().find(|system| system.row == row.name);
        let only_looks = system.is_some_and(|system| system.observe_only);
        if row.trouble.is_some() {
            self.left += 1;
            self.access_unknown = true;
            self.unknown_ours |= !only_looks;
            self.access_due = true;
            self.stuck.get_or_insert(trouble_reason(row));
        }
        for FactState {
            spec: fact, verdict, ..
        } in &row.facts
        {
            self.found |= !matches!(verdict, Verdict::NotNeeded(Exempt::NoAccount));
            let wanted = !matches!(verdict, Verdict::NotNeeded(Exempt::Waived));
            let data = wanted && fact.class.hands_over();
            self.not_due |= !verdict.due();
            // An expiry that is armed ahead of the cutoff ends no access yet.
            let ends_access = fact.class.security() && fact.stage != Stage::Ahead;
            self.access_due |= wanted && verdict.due() && ends_access;
            self.access_skipped |= !wanted && ends_access;
            self.data_due |= data && verdict.due();
            if verdict.settled() || !verdict.due() {
                continue;
            }
            if matches!(verdict, Verdict::Unmet(Why::Gated(LEGAL_HOLD))) {
                (self.held, self.not_due) = (true, true);
                continue;
            }
            if let Verdict::Exposed(closes_at) = verdict {
                self.exposed_until = self.exposed_until.max(Some(*closes_at));
                continue;
            }
            self.left += 1;
            if let Verdict::Unmet(Why::Gated(word)) = verdict {
                self.wait(if by_hand(word) { TASK_AWAITED } else { word });
            }
            if fact.class.security() {
                self.access_left += 1;
                let unknown = matches!(verdict, Verdict::Unknown(_));
                self.access_unknown |= unknown;
                self.unknown_ours |= unknown && !only_looks;
            }
            self.data_left += usize::from(data);
            if only_looks {
                self.observed.0 += usize::from(fact.class.security());
                self.observed.1 += usize::from(data);
            }
            self.drifted |= row.drifted.contains(&fact.name) && fact.class.security();
            let mismatch = row.identity_mismatch.then_some(Reason::IdentityMismatch);
            if let Some(reason) = person_needed(verdict).or(mismatch) {
                self.stuck.get_or_insert(reason);
            } else {
                let waits = matches!(verdict, Verdict::Unmet(Why::WaitsFor(_) | Why::Gated(_)));
                self.moving |= !waits && case.enforce;
            }
        }
    }
}

/// Which accounts a person must decide about, or name, with the lines that decide.
fn candidates(row: &Row) -> Option<Condition> {
    let name = row.name.split('/').next().unwrap_or_default();
    let nameless = row
        .blocked
        .as_ref()
        .is_some_and(|fault| fault.code == BY_NAME_ONLY);
    if nameless {
        let text = format!(
            "the system finds people by login name only: name the account in spec.employee.accounts of a new Offboarding: [{{connector: {name}, name: LOGIN}}]; if there is none, waive the facts"
        );
        return Some(Condition::new(
            "Identified",
            False,
            Reason::Ambiguous.as_str(),
            &text,
        ));
    }
    let lines: Vec<String> = row
        .candidates
        .iter()
        .map(|account| format!("{{connector: {name}, name: {account:?}}}"))
        .collect();
    if lines.is_empty() {
        return None;
    }
    let text = format!(
        "found {}: name the leaver's accounts in spec.employee.accounts of a new Offboarding: [{}]",
        row.candidates.join(", "),
        lines.join(", ")
    );
    Some(Condition::new(
        "Identified",
        False,
        Reason::Ambiguous.as_str(),
        &text,
    ))
}

/// Why a system cannot be asked at all.
fn trouble_reason(row: &Row) -> Reason {
    let fault = row.blocked.as_ref().map(|fault| fault.reason);
    fault
        .filter(|reason| *reason == Reason::ConnectorGone)
        .unwrap_or(Reason::ConnectorNotReady)
}

/// Whether only a person can move this.
fn person_needed(verdict: &Verdict) -> Option<Reason> {
    match verdict {
        Verdict::Unknown(fault) | Verdict::Unmet(Why::Failed(fault)) => {
            matches!(fault.kind, FaultKind::Permanent | FaultKind::NeedsDecision).then_some(fault.reason)
        }
        Verdict::Unmet(Why::ControllerConflict | Why::NoAct) => Some(Reason::Conflict),
        _ => None,
    }
}

/// Whether a gate is a task that a person has still to do.
fn by_hand(gate: &str) -> bool {
    matches!(gate, TASK_AWAITED | TASK_OVERDUE)
}

fn summary(
    case: &Case,
    outcome: &Outcome,
    tally: &Tally,
    earlier: &OffboardingStatus,
    now: Timestamp,
) -> Vec<Condition> {
    if case.reinstate {
        return reinstated::summary(case, outcome, earlier, now);
    }
    let (access_left, data_left) = tally.ours();
    let late = Late {
        access: now > case.access_deadline && access_left > 0 && !tally.held_up,
        data: now > case.data_deadline && data_left > 0 && !tally.held_up,
    };
    let verdict = ready(case, outcome, tally, late);
    let message = match verdict.1 {
        INVALID_SPEC => case.invalid.clone().unwrap_or_default(),
        NOBODY => nobody(outcome),
        NO_SYSTEMS => no_systems(case),
        NOTHING_TO_REVOKE => NOTHING_WANTED.to_owned(),
        DUPLICATE => shortened(&duplicate::advice(&case.duplicates)),
        _ if tally.held && tally.left == 0 => HELD.to_owned(),
        _ => message(outcome),
    };
    let mut conditions = match verdict {
        (status, reason, Extra::None) => vec![Condition::new("Ready", status, reason, &message)],
        (status, reason, Extra::Reconciling(why)) => {
            vec![
                Condition::new("Ready", status, reason, &message),
                Condition::new("Reconciling", True, why, &message),
            ]
        }
        (status, reason, Extra::Stalled) => {
            vec![
                Condition::new("Ready", status, reason, &message),
                Condition::new("Stalled", True, reason, &message),
            ]
        }
    };
    let unproven = access_left > 0 || tally.unknown_ours;
    let access = access_revoked(case, tally, now > case.access_deadline && unproven);
    let access_is_gone = access.status == True;
    conditions.push(access);
    if case.invalid.is_some() {
        // Nobody looks at anything but what ends access.
        conditions.extend(
            earlier
                .conditions
                .iter()
                .find(|c| c.type_ == "DataTransferred")
                .cloned(),
        );
    } else {
        let mut data = data_transferred(case, tally, late.data);
        if data.status == True {
            data.message = shortened(&not_covered(outcome));
        }
        conditions.push(data);
        conditions.push(complete(case, tally, earlier, access_is_gone));
    }
    conditions.extend(gates::approved(case, outcome, earlier));
    conditions.extend(duplicates(case, now));
    if tally.drifted {
        conditions.push(Condition::new("Drifted", True, "AccessReappeared", &message));
    }
    for condition in &mut conditions {
        condition.observed_generation = Some(case.generation);
    }
    keep_transition_times(&mut conditions, &earlier.conditions, now);
    conditions
}

fn complete(case: &Case, tally: &Tally, earlier: &OffboardingStatus, access_is_gone: bool) -> Condition {
    let was_complete = earlier
        .conditions
        .iter()
        .any(|c| c.type_ == "Complete" && c.status == True && c.observed_generation == Some(case.generation));
    let open = tally.exposed_until.is_some();
    let complete = tally.left == 0 && !tally.not_due && !open && tally.found && case.enforce;
    if (complete || was_complete) && access_is_gone {
        Condition::new("Complete", True, "Verified", "")
    } else if tally.left == 0 && open {
        Condition::new("Complete", False, EXPOSURE_OPEN, "")
    } else {
        Condition::new("Complete", False, "InProgress", "")
    }
}

/// That another Offboarding about the same person says something else.
fn duplicates(case: &Case, now: Timestamp) -> Option<Condition> {
    let rivals = case.rivals(now);
    let text = || shortened(&duplicate::advice(rivals));
    (!rivals.is_empty()).then(|| Condition::new("Duplicate", True, "SamePerson", &text()))
}

/// The reason when the Offboarding, or its policy, cannot be used.
pub const INVALID_SPEC: &str = "InvalidSpec";

/// What a row is that is only looked at.
const OBSERVED: &str = "mode: Observe: read, never changed";

/// The reason when the policy only plans.
pub const PLAN_ONLY: &str = "PlanOnly";

/// The reason when what nobody can shorten lives on.
pub const EXPOSURE_OPEN: &str = "ExposureOpen";

/// The message when only a legal hold keeps things from being deleted.
const HELD: &str = "spec.legalHold: Hold: nothing is deleted";

/// The reason when no system knows the employee.
const NOBODY: &str = "EmployeeNotFound";

/// The message when no system knows the employee.
pub fn nobody(outcome: &Outcome) -> String {
    let systems = outcome.rows.len();
    format!(
        "spec.employee: no account in any of {systems} systems: correct email or employeeID in a new Offboarding"
    )
}

/// The message when there is no system to prove anything in.
pub fn no_systems(case: &Case) -> String {
    match case.connectors {
        0 => "no Connector is known: apply one for each system in which access must end".to_owned(),
        all => format!(
            "policy.spec.connectors.matchLabels: selects none of {all} Connectors: correct the labels, or name another policy"
        ),
    }
}

/// Whether no system is asked to end any access that it could end.
pub fn ends_nothing(case: &Case, outcome: &Outcome, now: Timestamp) -> bool {
    let tally = Tally::of(case, outcome, now);
    tally.access_skipped && !tally.access_due && !tally.not_due
}

/// What a person is to do about that.
pub const NOTHING_WANTED: &str =
    "no system is asked to end any access: check skip in the policy's timeline, exceptions and waivers";

/// What should have been done by now.
#[derive(Clone, Copy)]
struct Late {
    access: bool,
    data: bool,
}

/// What stands beside `Ready`.
enum Extra {
    None,
    Reconciling(&'static str),
    Stalled,
}

fn ready(
    case: &Case,
    outcome: &Outcome,
    tally: &Tally,
    late: Late,
) -> (ConditionStatus, &'static str, Extra) {
    if case.invalid.is_some() {
        return (False, INVALID_SPEC, Extra::Stalled);
    }
    if case.suspended {
        return (False, SUSPENDED, Extra::None);
    }
    if outcome.rows.is_empty() {
        return (False, NO_SYSTEMS, Extra::Stalled);
    }
    if tally.held_up {
        return (False, DUPLICATE, Extra::Stalled);
    }
    if !case.enforce {
        return (True, PLAN_ONLY, Extra::None);
    }
    if outcome.store_fault.is_some() {
        return (
            False,
            "SystemUnavailable",
            Extra::Reconciling("ProgressingWithRetry"),
        );
    }
    if !outcome.rows.is_empty() && tally.left == 0 && !tally.found {
        return (False, NOBODY, Extra::Stalled);
    }
    if tally.left > 0 {
        if let (Some(reason), false) = (tally.stuck, tally.moving) {
            return (False, stalled_reason(reason), Extra::Stalled);
        }
        if let (Some(word), false) = (tally.waiting, tally.moving) {
            let refused = word == APPROVAL_DENIED;
            return (False, word, if refused { Extra::Stalled } else { Extra::None });
        }
        let retrying = outcome
            .rows
            .iter()
            .flat_map(|r| &r.facts)
            .any(|state| has_fault(&state.verdict));
        let progress = match (tally.drifted, retrying || tally.stuck.is_some()) {
            (true, _) => "CorrectingDrift",
            (_, true) => "ProgressingWithRetry",
            _ => "Progressing",
        };
        let reason = match () {
            () if late.access => "DeadlineExceeded",
            () if tally.drifted => "AccessReappeared",
            () if late.data => "DeadlineExceeded",
            () if retrying => "SystemUnavailable",
            () if tally.access_left > 0 => "Revoking",
            () if tally.data_left > 0 => "TransferringData",
            () => "Verifying",
        };
        return (False, reason, Extra::Reconciling(progress));
    }
    if tally.exposed_until.is_some() {
        return (True, EXPOSURE_OPEN, Extra::None);
    }
    match (tally.not_due, tally.access_due) {
        (true, false) => (True, "Scheduled", Extra::None),
        (true, true) => (True, "Retention", Extra::None),
        (false, false) if tally.access_skipped => (False, NOTHING_TO_REVOKE, Extra::Stalled),
        (false, _) => (True, "Offboarded", Extra::None),
    }
}

fn stalled_reason(reason: Reason) -> &'static str {
    match reason {
        Reason::CredentialRejected | Reason::Untrusted => "ConnectorNotReady",
        Reason::NoSuccessor => "NoSuccessor",
        other => other.as_str(),
    }
}

fn has_fault(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Unknown(_) | Verdict::Unmet(Why::Failed(_)))
}

fn access_revoked(case: &Case, tally: &Tally, late: bool) -> Condition {
    if case.systems.is_empty() {
        return Condition::new("AccessRevoked", Unknown, NO_SYSTEMS, "");
    }
    if !tally.access_due {
        let reason = if tally.not_due {
            "NotDue"
        } else {
            NOTHING_TO_REVOKE
        };
        return Condition::new("AccessRevoked", Unknown, reason, "");
    }
    if tally.access_left == 0 && !tally.access_unknown && case.enforce {
        return if tally.found {
            Condition::new("AccessRevoked", True, "Verified", "")
        } else {
            Condition::new("AccessRevoked", Unknown, NOBODY, "")
        };
    }
    let left = format!("{} left", tally.access_left);
    match () {
        () if tally.held_up => Condition::new("AccessRevoked", False, DUPLICATE, &left),
        () if tally.drifted => Condition::new("AccessRevoked", False, "AccessReappeared", &left),
        () if late => Condition::new("AccessRevoked", False, "DeadlineExceeded", &left),
        () if tally.access_unknown => Condition::new("AccessRevoked", Unknown, "CannotVerify", &left),
        () if tally.ours().0 == 0 => Condition::new("AccessRevoked", False, OBSERVED_ONLY, &left),
        () => Condition::new("AccessRevoked", False, "Revoking", &left),
    }
}

fn data_transferred(case: &Case, tally: &Tally, late: bool) -> Condition {
    let left = format!("{} left", tally.data_left);
    match () {
        () if case.systems.is_empty() => Condition::new("DataTransferred", Unknown, NO_SYSTEMS, ""),
        () if tally.held_up && tally.data_left > 0 => {
            Condition::new("DataTransferred", False, DUPLICATE, &left)
        }
        () if late => Condition::new("DataTransferred", False, "DeadlineExceeded", &left),
        () if tally.data_left > 0 && tally.ours().1 == 0 => {
            Condition::new("DataTransferred", False, OBSERVED_ONLY, &left)
        }
        () if tally.data_left > 0 => Condition::new("DataTransferred", False, "InProgress", &left),
        () if tally.data_due && case.enforce => Condition::new("DataTransferred", True, "Verified", ""),
        () if !tally.access_due && tally.not_due => Condition::new("DataTransferred", Unknown, "NotDue", ""),
        () if tally.access_unknown => Condition::new("DataTransferred", Unknown, "CannotVerify", ""),
        () => Condition::new("DataTransferred", True, "NothingToTransfer", ""),
    }
}

/// What is not looked after, one system after the other; empty when that is nothing.
fn not_covered(outcome: &Outcome) -> String {
    let rows = outcome.rows.iter().filter(|row| !row.not_covered.is_empty());
    let each = rows.map(|row| {
        let name = row.name.split('/').next().unwrap_or_default();
        format!("{name}: {}", row.not_covered.join(", "))
    });
    let each: Vec<_> = each.collect();
    if each.is_empty() {
        return String::new();
    }
    format!("not covered: {}", each.join("; "))
}

/// What is left, one system after the other, worst first; never a person's name.
fn message(outcome: &Outcome) -> String {
    let mut parts: Vec<(u8, String)> = outcome.rows.iter().filter_map(row_message).collect();
    parts.sort_by_key(|(rank, _)| *rank);
    let mut text = outcome
        .store_fault
        .as_ref()
        .map(|f| format!("record: {f}"))
        .unwrap_or_default();
    for (_, part) in parts {
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(&part);
    }
    shortened(&text)
}

fn shortened(text: &str) -> String {
    if text.chars().count() > LONGEST_SUMMARY {
        return text.chars().take(LONGEST_SUMMARY - 1).collect::<String>() + "…";
    }
    text.to_owned()
}

fn row_message(row: &Row) -> Option<(u8, String)> {
    // The text after the slash is a login name.
    let name = row.name.split('/').next().unwrap_or_default();
    if let Some(trouble) = &row.trouble {
        return Some((0, format!("{name}: {trouble}")));
    }
    if row.identity_mismatch {
        return Some((0, format!("{name}: IdentityMismatch, all writes stopped")));
    }
    let rank = |verdict: &Verdict| match verdict {
        Verdict::Unknown(_) | Verdict::Unmet(Why::Failed(_)) => 1,
        Verdict::Unmet(Why::WaitsFor(_)) => 3,
        Verdict::Exposed(_) => 4,
        _ => 2,
    };
    let left = row
        .facts
        .iter()
        .filter(|state| state.verdict.due() && !state.verdict.settled());
    let Some(FactState {
        spec: fact, verdict, ..
    }) = left.min_by_key(|state| rank(&state.verdict))
    else {
        return early_question(name, row);
    };
    let (_, reason, detail) = words(verdict);
    let detail = if detail.is_empty() {
        String::new()
    } else {
        format!(" ({detail})")
    };
    let advice = advice(verdict)
        .map(|text| format!(": {text}"))
        .unwrap_or_default();
    Some((
        rank(verdict),
        format!("{name}: {} {reason}{detail}{advice}", fact.name),
    ))
}

/// What a person should decide about an account before its last day comes.
fn early_question(name: &str, row: &Row) -> Option<(u8, String)> {
    let fault = row.blocked.as_ref().filter(|fault| !fault.passes_by_itself())?;
    let waits = row.facts.iter().any(|state| !state.verdict.due());
    waits.then(|| (2, format!("{name}: {}", with_advice(fault))))
}

fn fact_condition(
    row: &Row,
    FactState {
        spec: fact,
        verdict,
        sight,
    }: &FactState,
) -> Condition {
    let (status, reason, mut detail) = words(verdict);
    if let (Verdict::Unmet(Why::NoAct), Some(sight)) = (verdict, sight) {
        detail.clone_from(&sight.says);
    }
    let back = row.reversals.get(&fact.name).map(|times| given_back(*times));
    let others = row.others.get(&fact.name).filter(|others| **others != detail);
    let parts = [
        Some(detail.clone()).filter(|text| !text.is_empty()),
        back,
        others.cloned(),
        row.not_kept.get(&fact.name).cloned(),
    ];
    let text = parts.into_iter().flatten().collect::<Vec<_>>().join("; ");
    Condition::new(&fact.name, status, &reason, &text)
}

/// How often access came back after it was proven gone.
pub fn given_back(times: usize) -> String {
    match times {
        1 => "restored by somebody else once".to_owned(),
        _ => format!("restored by somebody else {times} times"),
    }
}

/// A verdict in the words of a condition: status, reason, detail.
pub fn words(verdict: &Verdict) -> (ConditionStatus, String, String) {
    let said = |status, reason: &str| (status, reason.to_owned(), String::new());
    match verdict {
        Verdict::Verified => said(True, "Verified"),
        Verdict::Asserted => said(True, "Asserted"),
        Verdict::NotNeeded(Exempt::NoAccount) => said(True, "NoAccount"),
        Verdict::NotNeeded(Exempt::NotApplicable) => said(True, "NotApplicable"),
        Verdict::NotNeeded(Exempt::Waived) => said(True, "Waived"),
        Verdict::NotNeeded(Exempt::Over) => said(True, "Over"),
        Verdict::NotNeeded(Exempt::NotRestorable) => said(False, "NotRestorable"),
        Verdict::NotNeeded(Exempt::GoneMeanwhile(gone)) => {
            let text = format!("{gone} gone, or changed by somebody else since; the rest is restored");
            (False, "NotRestorable".into(), text)
        }
        Verdict::NotDue(_) => said(Unknown, "NotDue"),
        Verdict::Pending(_) => said(False, "Pending"),
        Verdict::Exposed(at) => {
            let text = format!("expires by {}", at.strftime("%Y-%m-%d %H:%M:%SZ"));
            (False, EXPOSURE_OPEN.into(), text)
        }
        Verdict::Unknown(fault) => fault_words(Unknown, fault),
        Verdict::Unmet(Why::NotTried) => said(False, "NotTried"),
        Verdict::Unmet(Why::WaitsFor(names)) => {
            (False, "Waiting".into(), format!("waits for {}", names.join(", ")))
        }
        Verdict::Unmet(Why::NotEffective) => said(False, "ActNotEffective"),
        Verdict::Unmet(Why::Failed(fault)) => fault_words(False, fault),
        Verdict::Unmet(Why::ControllerConflict) => said(False, "ControllerConflict"),
        Verdict::Unmet(Why::Gated(gate)) => said(False, gate),
        Verdict::Unmet(Why::NoAct) => said(False, "NoAct"),
    }
}

fn fault_words(status: ConditionStatus, fault: &Fault) -> (ConditionStatus, String, String) {
    (status, fault.reason.as_str().to_owned(), fault.code.clone())
}
