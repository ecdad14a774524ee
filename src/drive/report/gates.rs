//! What waits for people, as the status shows it.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::{
    api::{
        Condition,
        ConditionStatus::{False, True, Unknown},
        OffboardingStatus,
        offboarding::{GateRow, GateState},
    },
    core::{
        approvals::{APPROVAL_DENIED, AWAITING_APPROVAL},
        case::Case,
        fact::{Verdict, Why},
        gate::{Counted, Gate, State, task_plan},
        guard::{Admission, AdmittedBy},
        plan::TASK_OVERDUE,
    },
    drive::{Outcome, validate::connector_of},
};

/// A row for each gate that something waits behind, or has waited, and for each connector with tasks.
pub(super) fn rows(case: &Case, outcome: &Outcome, earlier: &[GateRow], now: Timestamp) -> Vec<GateRow> {
    let Some(gates) = &outcome.gates else {
        return earlier.to_vec();
    };
    let waits = |counted: &Counted| {
        let known = earlier
            .iter()
            .any(|row| row.gate == counted.rule.gate && row.plan == counted.plan);
        known || waiting(outcome, counted)
    };
    let mut shown: Vec<&Counted> = vec![];
    for counted in gates.counted.iter().filter(|counted| waits(counted)) {
        // Of several rules for one gate, the one that keeps it closed.
        // What would loosen the end, and what would loosen a rule, are questions of their own.
        let same = |other: &&mut &Counted| {
            let question = other.replaces.is_none() && counted.replaces.is_none();
            other.rule.gate == counted.rule.gate && (question || other.plan == counted.plan)
        };
        match shown.iter_mut().find(same) {
            Some(other) if other.standing.state == State::Open => *other = counted,
            Some(_) => {}
            None => shown.push(counted),
        }
    }
    let gates = shown.into_iter().map(|counted| GateRow {
        gate: counted.rule.gate,
        task: None,
        plan: counted.plan.clone(),
        state: state(case, counted),
        approvals: format!("{}/{}", counted.standing.yes, counted.rule.approvals.max(1)),
        since: counted.since,
        loosens: counted.loosens(),
        overdue: None,
    });
    gates.chain(tasks(case, outcome, earlier, now)).collect()
}

/// That somebody approved of beginning with this leaver.
pub(super) fn admitted(outcome: &Outcome, now: Timestamp) -> Option<Admission> {
    let counted = outcome.gates.iter().flat_map(|gates| &gates.counted);
    let guard: Vec<&Counted> = counted.filter(|counted| counted.whole).collect();
    let open = guard.iter().all(|counted| counted.standing.state == State::Open);
    (open && !guard.is_empty()).then_some(Admission {
        at: now,
        by: AdmittedBy::Approval,
        places: 1,
    })
}

/// One row for each connector whose tasks a person has still to do, or has done.
fn tasks(case: &Case, outcome: &Outcome, earlier: &[GateRow], now: Timestamp) -> Vec<GateRow> {
    let mut rows: Vec<GateRow> = vec![];
    for row in &outcome.rows {
        let connector = connector_of(&row.name);
        let due = || {
            row.facts
                .iter()
                .filter(|state| state.spec.by_hand && state.verdict.due())
        };
        let (all, done) = (
            due().count(),
            due().filter(|state| state.verdict.settled()).count(),
        );
        let overdue = due().any(|state| matches!(&state.verdict, Verdict::Unmet(Why::Gated(TASK_OVERDUE))));
        let shown = rows.iter().any(|known| known.task.as_deref() == Some(connector));
        if all == 0 || shown {
            continue;
        }
        let facts = row
            .facts
            .iter()
            .filter(|state| state.spec.by_hand)
            .map(|state| state.spec.name.as_str());
        let plan = task_plan(&case.uid, connector, facts);
        let before = earlier
            .iter()
            .find(|known| known.task.as_deref() == Some(connector) && known.plan == plan);
        rows.push(GateRow {
            gate: Gate::Task,
            task: Some(connector.to_owned()),
            state: match () {
                () if done == all => GateState::Open,
                () if case.untrusted => GateState::Untrusted,
                () => GateState::Waiting,
            },
            plan,
            approvals: format!("{done}/{all}"),
            since: before.map_or(now, |known| known.since),
            loosens: vec![],
            overdue: overdue.then(|| before.and_then(|known| known.overdue).unwrap_or(now)),
        });
    }
    rows
}

fn state(case: &Case, counted: &Counted) -> GateState {
    match counted.standing.state {
        State::Open => GateState::Open,
        _ if case.untrusted => GateState::Untrusted,
        State::Waiting => GateState::Waiting,
        State::Denied => GateState::Denied,
        State::Expired => GateState::Expired,
    }
}

/// Whether somebody is waited for behind `counted`: a fact that is due, or what would loosen the end.
fn waiting(outcome: &Outcome, counted: &Counted) -> bool {
    if let Some(rule) = &counted.replaces {
        let gates = outcome.gates.iter().flat_map(|gates| &gates.counted);
        let mut kept = gates.filter(|other| other.replaces.is_none() && other.rule.demands_as(rule));
        return counted.standing.state != State::Open
            && kept.any(|other| other.standing.state != State::Open && waiting(outcome, other));
    }
    if matches!(counted.rule.gate, Gate::Reinstate | Gate::Loosen) {
        return counted.standing.state != State::Open;
    }
    outcome.rows.iter().any(|row| {
        let account = row.account.as_ref().map_or("", |(id, _)| id.as_str());
        row.facts.iter().any(|state| {
            let gated = matches!(
                &state.verdict,
                Verdict::Unmet(Why::Gated(AWAITING_APPROVAL | APPROVAL_DENIED))
            );
            gated && counted.is_about(&row.name, account, &state.spec.name)
        })
    })
}

/// `Approved`, of a leaver whose policy has gates.
pub(super) fn approved(case: &Case, outcome: &Outcome, earlier: &OffboardingStatus) -> Option<Condition> {
    let Some(gates) = &outcome.gates else {
        return earlier.conditions.iter().find(|c| c.type_ == "Approved").cloned();
    };
    let waits: Vec<&Counted> = gates
        .counted
        .iter()
        .filter(|counted| counted.standing.state != State::Open && waiting(outcome, counted))
        .collect();
    let yes = gates.counted.iter().any(|counted| counted.standing.yes > 0);
    if waits.is_empty() && !yes && !case.asks_people {
        return None;
    }
    let names = |state: State| {
        let of = waits.iter().filter(|counted| counted.standing.state == state);
        let names: BTreeSet<_> = of.map(|counted| format!("{:?}", counted.rule.gate)).collect();
        names.into_iter().collect::<Vec<_>>().join(", ")
    };
    let (denied, expired) = (names(State::Denied), names(State::Expired));
    Some(match () {
        () if !denied.is_empty() => Condition::new("Approved", False, "Denied", &denied),
        () if case.untrusted && !waits.is_empty() => {
            Condition::new("Approved", False, "PolicyMissing", UNTRUSTED)
        }
        () if !expired.is_empty() => Condition::new("Approved", False, "Expired", &expired),
        () if !waits.is_empty() => {
            Condition::new("Approved", Unknown, "AwaitingApproval", &names(State::Waiting))
        }
        () if yes => Condition::new("Approved", True, "ApprovedBy", ""),
        () => Condition::new("Approved", True, "NotRequired", ""),
    })
}

/// What to do when no Approval can be trusted.
const UNTRUSTED: &str = "approvers cannot be verified: install the chart's admission policies (approvals.admissionPolicy), or run with --approvers";
