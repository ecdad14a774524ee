//! What a source remembers from look to look, in its status and back.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::settings;
use crate::{
    api::source::{Admitted, Guard, GuardStatus, Undated},
    core::{
        guard::{Limits, State, Tripped},
        leavers::undated::FirstSeen,
    },
};

/// What is remembered of those who left without a day, from the status.
pub fn first_seen(status: &[Undated]) -> FirstSeen {
    let days = status
        .iter()
        .filter_map(|day| Some((day.since.parse::<Date>().ok()?, &day.records)));
    let all = days.flat_map(|(since, records)| records.iter().map(move |record| (record.clone(), since)));
    FirstSeen(all.collect())
}

/// The same for the status.
pub fn undated(first_seen: &FirstSeen) -> Vec<Undated> {
    let mut days = BTreeMap::<Date, Vec<String>>::new();
    for (record, since) in &first_seen.0 {
        days.entry(*since).or_default().push(record.clone());
    }
    let day = |(since, records): (Date, _)| Undated {
        since: since.to_string(),
        records,
    };
    days.into_iter().map(day).collect()
}

/// What the guard remembers, from the status.
pub fn remembered(status: &GuardStatus) -> State {
    State {
        population: status.population,
        as_of: status.as_of,
        admitted: status.admitted.iter().map(|a| (a.at, a.count)).collect(),
        granted: status.granted.iter().cloned().collect(),
        released: status.released.iter().cloned().collect(),
        held: status.held.clone(),
        tripped: None,
        // What cannot be read holds to what is usual.
        limits: status
            .limits
            .as_ref()
            .map(|limits| settings::limits(limits).unwrap_or_default()),
        recreated: status.recreated,
    }
}

fn limits(limits: &Limits) -> Guard {
    Guard {
        window: format!("{}s", limits.window.as_secs()),
        max_new: limits.max_new,
        max_percent: limits.max_percent,
        max_shrink_percent: limits.max_shrink_percent,
        max_age: format!("{}s", limits.max_age.as_secs()),
    }
}

/// The same for the status.
pub fn written(state: &State) -> GuardStatus {
    let tripped = state.tripped.map(|why| match why {
        Tripped::Empty => "Empty",
        Tripped::Shrunken => "Shrunken",
        Tripped::Stale => "Stale",
        Tripped::TooMany => "TooMany",
        Tripped::Recreated => "Recreated",
        Tripped::Loosened => "Loosened",
    });
    GuardStatus {
        population: state.population,
        as_of: state.as_of,
        admitted: state
            .admitted
            .iter()
            .map(|(at, count)| Admitted {
                at: *at,
                count: *count,
            })
            .collect(),
        granted: state.granted.iter().cloned().collect(),
        released: state.released.iter().cloned().collect(),
        held: state.held.clone(),
        tripped: tripped.map(str::to_owned),
        limits: state.limits.as_ref().map(limits),
        recreated: state.recreated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guard_remembers_through_the_status() {
        let state = State {
            population: 7,
            admitted: BTreeMap::from([("2026-09-15T12:00:00Z".parse().unwrap(), 3)]),
            granted: ["a".to_owned()].into(),
            released: ["b".to_owned()].into(),
            held: Some("sha256:0".into()),
            limits: Some(Limits {
                max_new: 3,
                ..Limits::default()
            }),
            ..State::default()
        };
        assert_eq!(remembered(&written(&state)), state);
        // What lost its memory stays so until somebody has said yes.
        let tripped = State {
            tripped: Some(Tripped::Stale),
            ..State::new(true)
        };
        assert!(remembered(&written(&tripped)).recreated);
    }
}
