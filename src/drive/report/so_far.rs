//! What is known while a pass still goes on.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    core::{
        case::{Case, System, Wanted},
        fact::{Exempt, Verdict},
    },
    drive::{Link, Outcome, Row},
};

/// What is known at `now` of all systems of `case`: of those that are finished their `rows`, of the others that they are being
/// worked on.
pub fn so_far(case: &Case, links: &BTreeMap<String, Link>, rows: &[Row], now: Timestamp) -> Outcome {
    let known = |system: &System| rows.iter().find(|row| row.name == system.row).cloned();
    let all = case.systems.iter();
    Outcome {
        rows: all
            .map(|system| known(system).unwrap_or_else(|| under_way(system, links, now)))
            .collect(),
        ..Outcome::default()
    }
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
