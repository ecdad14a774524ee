//! The status while a pass still goes on.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::status;
use crate::{
    api::{ConditionStatus, OffboardingStatus},
    core::{
        case::{Case, System, Wanted},
        fact::{Exempt, FactSpec, FactState, Verdict},
    },
    drive::{Interim, Link, Outcome, Row},
};

/// The status at `now`, in the middle of a pass; none when there is no news. What is known of a system stands until the
/// pass has finished it, and nothing is said to be reached before that.
pub fn so_far(
    case: &Case,
    links: &BTreeMap<String, Link>,
    interim: &Interim,
    earlier: &OffboardingStatus,
    now: Timestamp,
) -> Option<OffboardingStatus> {
    // While a reached state is only looked at again, silence is not news.
    if earlier.is_true("AccessRevoked") && interim.finished.iter().all(settled) {
        return None;
    }
    let finished = |name: &str| interim.finished.iter().find(|row| row.name == name);
    let known = |name: &str| {
        let row = interim.known.iter().find(|row| row.name == name)?;
        still_holds(row, now).then(|| Row {
            drifted: vec![],
            ..row.clone()
        })
    };
    let facts = |name: &str| match links.get(name) {
        Some(Link::Ready(connector)) => connector.capabilities().facts.clone(),
        _ => vec![],
    };
    let of_today = (earlier.observed_generation == case.generation).then_some(earlier);
    let nothing = OffboardingStatus::default();
    let proven = of_today.unwrap_or(&nothing);
    let all = case.systems.iter().map(|system| {
        let row = finished(&system.row).cloned().or_else(|| known(&system.row));
        row.unwrap_or_else(|| under_way(system, facts(&system.row), proven, now))
    });
    let outcome = Outcome {
        rows: all.collect(),
        ..Outcome::default()
    };
    let mut status = status(case, &outcome, earlier, now);
    for system in &mut status.systems {
        let known = earlier.systems.iter().find(|known| known.name == system.name);
        if let (None, Some(known)) = (finished(&system.name), known) {
            system.clone_from(known);
        }
    }
    status.evidence.clone_from(&earlier.evidence);
    let all_finished = case.systems.iter().all(|system| finished(&system.row).is_some());
    let mut reached = REACHED.iter().filter(|type_| status.is_true(type_));
    let premature = reached.any(|type_| !earlier.is_true(type_));
    let news = status != *earlier && (all_finished || !premature);
    news.then_some(status)
}

/// What only a pass that has finished every system may say.
const REACHED: [&str; 3] = ["Ready", "AccessRevoked", "Complete"];

/// Whether what a row of the pass before says is not overtaken by the time.
fn still_holds(row: &Row, now: Timestamp) -> bool {
    let overtaken = |verdict: &Verdict| matches!(verdict, Verdict::NotDue(at) if *at <= now);
    !row.facts.iter().any(|state| overtaken(&state.verdict))
}

fn settled(row: &Row) -> bool {
    row.trouble.is_none()
        && row
            .facts
            .iter()
            .all(|state| state.verdict.at_rest() || !state.verdict.due())
}

/// A system of which only the status is known: what was true for this spec is so until it is found not to be.
pub(super) fn under_way(
    system: &System,
    facts: Vec<FactSpec>,
    proven: &OffboardingStatus,
    now: Timestamp,
) -> Row {
    let known = proven.systems.iter().find(|row| row.name == system.row);
    let proven = |fact: &str| {
        let mut conditions = known?.conditions.iter();
        conditions.find(|c| c.type_ == fact && c.status == ConditionStatus::True)
    };
    let verdict = |fact: &str| match system.wanted.get(fact) {
        Some(Wanted::At(at) | Wanted::Between(at, _) | Wanted::Kept(at, _)) if *at > now => {
            Verdict::NotDue(*at)
        }
        Some(Wanted::Kept(..)) => Verdict::NotDue(Timestamp::MAX),
        Some(Wanted::Not) => Verdict::NotNeeded(Exempt::Waived),
        _ => match proven(fact) {
            Some(c) if c.reason == "NoAccount" => Verdict::NotNeeded(Exempt::NoAccount),
            Some(_) => Verdict::Verified,
            None => Verdict::Pending(now),
        },
    };
    let facts = facts.into_iter().map(|fact| {
        let verdict = verdict(&fact.name);
        FactState::unseen(fact, verdict)
    });
    Row::new(&system.row, facts.collect())
}
