//! The summary of a leaver who is none any more: what was taken away is given back.

use jiff::Timestamp;

use super::{NO_SYSTEMS, PLAN_ONLY, keep_times, message, no_systems, person_needed, plain, stalled_reason};
use crate::{
    api::{
        Condition,
        ConditionStatus::{False, True},
        OffboardingStatus,
    },
    core::{
        case::{Case, OBSERVED_ONLY},
        fact::{Exempt, Verdict, Why},
    },
    drive::Outcome,
};

/// `Ready` is true once all that can be given back is proven to be. `AccessRevoked` and `Complete` are not any more.
pub(super) fn summary(
    case: &Case,
    outcome: &Outcome,
    earlier: &OffboardingStatus,
    now: Timestamp,
) -> Vec<Condition> {
    let verdicts = || outcome.rows.iter().flat_map(|row| &row.facts);
    let left: Vec<&Verdict> = verdicts().map(|(_, v, _)| v).filter(|v| !v.settled()).collect();
    let broken = outcome.rows.iter().any(|row| row.trouble.is_some());
    let lost = verdicts().filter(|(_, v, _)| {
        matches!(
            v,
            Verdict::NotNeeded(Exempt::NotRestorable | Exempt::GoneMeanwhile(_))
        )
    });
    let lost = lost.count();
    let stuck = left
        .iter()
        .map(|verdict| person_needed(verdict))
        .collect::<Option<Vec<_>>>();
    let stuck = stuck.and_then(|reasons| reasons.first().copied());
    let observed = |verdict: &&Verdict| **verdict == Verdict::Unmet(Why::Gated(OBSERVED_ONLY));
    let only_observed = !left.is_empty() && left.iter().all(observed);
    let text = message(outcome);
    let mut conditions = match () {
        () if case.suspended => vec![plain("Ready", False, "Suspended", "")],
        () if outcome.rows.is_empty() => {
            let text = no_systems(case);
            vec![
                plain("Ready", False, NO_SYSTEMS, &text),
                plain("Stalled", True, NO_SYSTEMS, &text),
            ]
        }
        () if !case.enforce => vec![plain("Ready", True, PLAN_ONLY, "")],
        () if outcome.store_fault.is_none() && !broken && left.is_empty() => {
            let text = match lost {
                0 => String::new(),
                _ => format!("{lost} cannot be given back, such as passwords and sessions: see the rows"),
            };
            vec![plain("Ready", True, "Reinstated", &text)]
        }
        () if only_observed && !broken && outcome.store_fault.is_none() => {
            vec![plain("Ready", False, OBSERVED_ONLY, &text)]
        }
        () if broken && left.is_empty() => {
            let reason = "ConnectorNotReady";
            vec![
                plain("Ready", False, reason, &text),
                plain("Stalled", True, reason, &text),
            ]
        }
        () => match stuck {
            Some(reason) if outcome.store_fault.is_none() => {
                let reason = stalled_reason(reason);
                vec![
                    plain("Ready", False, reason, &text),
                    plain("Stalled", True, reason, &text),
                ]
            }
            _ => vec![
                plain("Ready", False, "Reinstating", &text),
                plain("Reconciling", True, "Progressing", &text),
            ],
        },
    };
    for type_ in ["AccessRevoked", "DataTransferred", "Complete"] {
        conditions.push(plain(type_, False, "Reinstated", ""));
    }
    for condition in &mut conditions {
        condition.observed_generation = Some(case.generation);
    }
    keep_times(&mut conditions, &earlier.conditions, now);
    conditions
}
