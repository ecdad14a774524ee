//! The summary of a leaver who is none any more: what was taken away is given back.

use jiff::Timestamp;

use super::{PLAN_ONLY, duplicates, message, no_systems, person_needed, shortened, stalled_reason};
use crate::{
    api::{
        Condition,
        ConditionStatus::{False, True},
        OffboardingStatus,
        condition::keep_transition_times,
    },
    core::{
        case::{Case, NO_SYSTEMS, OBSERVED_ONLY, SUSPENDED},
        duplicate::{self, DUPLICATE},
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
    let left: Vec<&Verdict> = verdicts()
        .map(|state| &state.verdict)
        .filter(|v| !v.settled())
        .collect();
    let broken = outcome.rows.iter().any(|row| row.trouble.is_some());
    let lost = verdicts().filter(|state| {
        matches!(
            &state.verdict,
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
    let was_given_back = earlier.conditions.iter().any(|known| {
        known.type_ == "Ready"
            && known.reason == "Reinstated"
            && known.observed_generation == Some(case.generation)
    });
    let text = message(outcome);
    let mut conditions = match () {
        () if case.suspended => vec![Condition::new("Ready", False, SUSPENDED, "")],
        () if outcome.rows.is_empty() => {
            let text = no_systems(case);
            vec![
                Condition::new("Ready", False, NO_SYSTEMS, &text),
                Condition::new("Stalled", True, NO_SYSTEMS, &text),
            ]
        }
        // What was given back, and taken again by another one, is history.
        () if case.is_held(now) && was_given_back => vec![Condition::new("Ready", True, "Reinstated", "")],
        () if case.is_held(now) => {
            let text = shortened(&duplicate::advice(&case.duplicates));
            vec![
                Condition::new("Ready", False, DUPLICATE, &text),
                Condition::new("Stalled", True, DUPLICATE, &text),
            ]
        }
        () if !case.enforce => vec![Condition::new("Ready", True, PLAN_ONLY, "")],
        () if outcome.store_fault.is_none() && !broken && left.is_empty() => {
            let text = match lost {
                0 => String::new(),
                _ => format!("{lost} cannot be restored, such as passwords and sessions: see status.systems"),
            };
            vec![Condition::new("Ready", True, "Reinstated", &text)]
        }
        () if only_observed && !broken && outcome.store_fault.is_none() => {
            vec![Condition::new("Ready", False, OBSERVED_ONLY, &text)]
        }
        () if broken && left.is_empty() => {
            let reason = "ConnectorNotReady";
            vec![
                Condition::new("Ready", False, reason, &text),
                Condition::new("Stalled", True, reason, &text),
            ]
        }
        () => match stuck {
            Some(reason) if outcome.store_fault.is_none() => {
                let reason = stalled_reason(reason);
                vec![
                    Condition::new("Ready", False, reason, &text),
                    Condition::new("Stalled", True, reason, &text),
                ]
            }
            _ => vec![
                Condition::new("Ready", False, "Reinstating", &text),
                Condition::new("Reconciling", True, "Progressing", &text),
            ],
        },
    };
    for type_ in ["AccessRevoked", "DataTransferred", "Complete"] {
        conditions.push(Condition::new(type_, False, "Reinstated", ""));
    }
    conditions.extend(duplicates(case, now));
    for condition in &mut conditions {
        condition.observed_generation = Some(case.generation);
    }
    keep_transition_times(&mut conditions, &earlier.conditions, now);
    conditions
}
