//! The status while a pass still goes on.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::status;
use crate::{
    api::{Condition, ConditionStatus, OffboardingStatus},
    core::{
        case::{Case, System, Wanted},
        fact::{Exempt, Verdict},
    },
    drive::{Link, Outcome, Row},
};

/// The status at `now`, when only `rows` are finished; none when they are no news. What `earlier` says of a system stands
/// until that is finished too.
pub fn so_far(
    case: &Case,
    links: &BTreeMap<String, Link>,
    rows: &[Row],
    earlier: &OffboardingStatus,
    now: Timestamp,
) -> Option<OffboardingStatus> {
    let revoked = |c: &Condition| c.type_ == "AccessRevoked" && c.status == ConditionStatus::True;
    // While a reached state is only looked at again, silence is not news.
    if earlier.conditions.iter().any(revoked) && rows.iter().all(settled) {
        return None;
    }
    let finished = |name: &str| rows.iter().find(|row| row.name == name);
    let all = case.systems.iter().map(|system| {
        let row = finished(&system.row).cloned();
        row.unwrap_or_else(|| under_way(system, links, now))
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
    (status != *earlier).then_some(status)
}

fn settled(row: &Row) -> bool {
    row.trouble.is_none() && row.facts.iter().all(|(_, v, _)| v.at_rest() || !v.due())
}

fn under_way(system: &System, links: &BTreeMap<String, Link>, now: Timestamp) -> Row {
    let facts = match links.get(&system.row) {
        Some(Link::Ready(connector)) => connector.capabilities().facts.clone(),
        _ => vec![],
    };
    let verdict = |fact: &str| match system.wanted.get(fact) {
        Some(Wanted::At(at) | Wanted::Between(at, _) | Wanted::Kept(at, _)) if *at > now => {
            Verdict::NotDue(*at)
        }
        Some(Wanted::Kept(..)) => Verdict::NotDue(Timestamp::MAX),
        Some(Wanted::Not) => Verdict::NotNeeded(Exempt::Waived),
        _ => Verdict::Pending(now),
    };
    let facts = facts.into_iter().map(|fact| {
        let verdict = verdict(&fact.name);
        (fact, verdict, None)
    });
    Row {
        name: system.row.clone(),
        facts: facts.collect(),
        ..Row::default()
    }
}
