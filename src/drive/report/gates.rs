//! What waits for people, as the status shows it.

use super::plain;
use crate::{
    api::{
        Condition,
        ConditionStatus::{False, True, Unknown},
        offboarding::{GateRow, GateState},
    },
    core::{
        case::Case,
        fact::{Verdict, Why},
        gate::{APPROVAL_DENIED, AWAITING_APPROVAL, Counted, Gate, State},
    },
    drive::Outcome,
};

/// A row for each gate that something waits behind, or has waited.
pub(super) fn rows(case: &Case, outcome: &Outcome, earlier: &[GateRow]) -> Vec<GateRow> {
    let waits = |gate| waiting(outcome, gate) || earlier.iter().any(|row| row.gate == gate);
    let counted = outcome.gates.counted.iter().filter(|counted| waits(counted.gate));
    counted
        .map(|counted| GateRow {
            gate: counted.gate,
            task: None,
            plan: counted.plan.clone(),
            state: state(case, counted),
            approvals: format!("{}/{}", counted.standing.yes, counted.needed),
            since: counted.since,
        })
        .collect()
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

/// Whether a fact that is due waits behind `gate`.
fn waiting(outcome: &Outcome, gate: Gate) -> bool {
    outcome
        .rows
        .iter()
        .flat_map(|row| &row.facts)
        .any(|(fact, verdict, _)| {
            let gated = matches!(
                verdict,
                Verdict::Unmet(Why::Gated(AWAITING_APPROVAL | APPROVAL_DENIED))
            );
            gated && Gate::of(fact) == Some(gate)
        })
}

/// `Approved`, of a leaver whose policy has gates.
pub(super) fn approved(case: &Case, outcome: &Outcome) -> Option<Condition> {
    if case.gates.is_empty() {
        return None;
    }
    let waits: Vec<&Counted> = outcome
        .gates
        .counted
        .iter()
        .filter(|counted| waiting(outcome, counted.gate))
        .collect();
    let names = |state: State| {
        let of = waits.iter().filter(|counted| counted.standing.state == state);
        of.map(|counted| format!("{:?}", counted.gate))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let (denied, expired) = (names(State::Denied), names(State::Expired));
    Some(match () {
        () if !denied.is_empty() => plain("Approved", False, "Denied", &denied),
        () if case.untrusted && !waits.is_empty() => plain("Approved", False, "PolicyMissing", UNTRUSTED),
        () if !expired.is_empty() => plain("Approved", False, "Expired", &expired),
        () if !waits.is_empty() => {
            let gates: Vec<_> = waits
                .iter()
                .map(|counted| format!("{:?}", counted.gate))
                .collect();
            plain("Approved", Unknown, "AwaitingApproval", &gates.join(", "))
        }
        () if outcome
            .gates
            .counted
            .iter()
            .any(|counted| counted.standing.yes > 0) =>
        {
            plain("Approved", True, "ApprovedBy", "")
        }
        () => plain("Approved", True, "NotRequired", ""),
    })
}

/// What to do when no Approval can be trusted.
const UNTRUSTED: &str =
    "install the chart's admission policies (approvals.admissionPolicy): without them no Approval counts";
