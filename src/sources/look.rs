//! One look at an HR system: what it shows, and what the guard remembers of it in the status.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, civil::Date};

use super::settings::Settings;
use crate::{
    api::source::{Admitted, Counts, GuardStatus, Undated},
    core::{
        guard::{Feed, State, Tripped},
        leavers::{
            Decision, Horizon, Leaving, Reading, Rules,
            compare::{Compared, Known, compare},
            judge,
            undated::FirstSeen,
        },
        people::{Census, Worker},
    },
};

/// What a census shows, before it is compared with anything.
#[derive(Debug)]
pub struct Seen {
    /// The decisions, by person.
    pub decisions: BTreeMap<String, Decision>,
    /// The feed as a whole.
    pub feed: Feed,
    /// Counts, as far as the feed tells.
    pub counts: Counts,
    /// Which records are unusable, and why; never a value.
    pub unusable: Vec<(String, String)>,
    /// How many records there are.
    pub records: usize,
    /// What is to be remembered of those who left without a day.
    pub first_seen: FirstSeen,
    now: Timestamp,
}

impl Seen {
    /// What `census` shows at `now`; `before` is remembered of those who left without a day. Takes as long as there are people.
    pub fn of(census: Census, settings: &Settings, before: &FirstSeen, now: Timestamp) -> Self {
        let ended = |w: &Worker| w.last_day.is_some() || w.employment_ends.is_some();
        let with_an_end = census.workers.iter().filter(|w| ended(w)).count();
        let records = census.workers.len() + census.unusable.len();
        tracing::debug!(records, with_an_end, "people were read");
        let numbers = census.numbers.iter().copied().chain(census.numbers.len() + 1..);
        let readings: Vec<_> = census
            .workers
            .into_iter()
            .zip(numbers)
            .map(|(worker, number)| Reading {
                number,
                ..settings.mapping.apply(worker)
            })
            .collect();
        let rules = settings.rules(now);
        let first_seen = before.after(&readings, census.everyone, rules.today);
        let rules = Rules {
            first_seen: first_seen.clone(),
            ..rules
        };
        let (mut decisions, _) = judge(&readings, &rules);
        without_managers_who_leave(&mut decisions, rules.today);
        let unusable = [census.unusable, unusable(&readings, &decisions)].concat();
        let (mut active, mut recent, mut staying) = (0_u32, 0_u32, 0_u32);
        for decision in decisions.values() {
            match decision {
                Decision::Staying(why) => {
                    active += 1;
                    staying += u32::from(why.despite_an_end());
                }
                Decision::Unusable(_) => active += 1,
                // Years of people whose day is the same would be lost to the guard at once.
                Decision::Leaving(leaving) if leaving.undated => recent += 1,
                Decision::Leaving(leaving) if leaving.horizon == Horizon::History => {}
                Decision::Leaving(leaving) => {
                    let day = leaving
                        .last_day
                        .as_deref()
                        .and_then(|day| day.parse::<Date>().ok());
                    match day {
                        Some(day) if day < rules.today => recent += 1,
                        _ => active += 1,
                    }
                }
            }
        }
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            feed: Feed {
                everyone: census.everyone,
                people: active + recent,
                active,
                as_of: census.as_of,
            },
            counts: Counts {
                people: number(decisions.len()),
                active,
                staying,
                unusable: number(unusable.len()),
                ..Counts::default()
            },
            decisions,
            unusable,
            records,
            first_seen,
            now,
        }
    }

    /// What is to be written because of it.
    pub fn compared(&self, known: &[Known], settings: &Settings) -> Compared {
        compare(
            &self.decisions,
            known,
            settings.wishes,
            settings.rules(self.now).today,
        )
    }
}

/// The records that cannot be used, each by its number: of several records of one person the first.
fn unusable(readings: &[Reading], decisions: &BTreeMap<String, Decision>) -> Vec<(String, String)> {
    let mut persons = BTreeSet::new();
    let mut found = vec![];
    for reading in readings {
        let person = reading.worker.person.trim();
        let what = match decisions.get(person) {
            _ if person.is_empty() => "person: empty",
            Some(Decision::Unusable(what)) if persons.insert(person) => what,
            _ => continue,
        };
        found.push((format!("record {}", reading.number), what.to_owned()));
    }
    found
}

/// Nobody's manager is who has left by the time that they leave themselves: nothing is handed over to such a one, whether or
/// not there is an Offboarding of theirs.
fn without_managers_who_leave(decisions: &mut BTreeMap<String, Decision>, today: Date) {
    let leaving = decisions.values().filter_map(|decision| match decision {
        Decision::Leaving(leaving) => Some((
            leaving.worker.email.as_ref()?.to_lowercase(),
            last_day(leaving, today),
        )),
        _ => None,
    });
    let ends: BTreeMap<String, Date> = leaving.collect();
    for decision in decisions.values_mut() {
        let Decision::Leaving(leaving) = decision else {
            continue;
        };
        let until = last_day(leaving, today).max(today);
        let manager = leaving.worker.manager.as_ref();
        if manager.is_some_and(|manager| ends.get(&manager.to_lowercase()).is_some_and(|end| *end <= until)) {
            leaving.worker.manager = None;
        }
    }
}

fn last_day(leaving: &Leaving, today: Date) -> Date {
    let day = leaving.last_day.as_deref().and_then(|day| day.parse().ok());
    if leaving.immediate {
        today
    } else {
        day.unwrap_or(today)
    }
}

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
    }
}

/// The same for the status.
pub fn written(state: &State) -> GuardStatus {
    let tripped = state.tripped.map(|why| match why {
        Tripped::Empty => "Empty",
        Tripped::Shrunken => "Shrunken",
        Tripped::Stale => "Stale",
        Tripped::TooMany => "TooMany",
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::LeaverSourceSpec, core::people::WorkerStatus};

    fn seen(census: Census, settings: &Settings) -> Seen {
        let now = "2026-09-15T12:00:00Z".parse().unwrap();
        Seen::of(census, settings, &FirstSeen::default(), now)
    }

    fn worker(number: u32, last_day: Option<&str>) -> Worker {
        Worker {
            person: number.to_string(),
            record: number.to_string(),
            employee_id: Some(number.to_string()),
            last_day: last_day.map(str::to_owned),
            ..Worker::default()
        }
    }

    #[test]
    fn everybody_is_counted_once() {
        let census = Census {
            workers: vec![
                worker(1, None),
                worker(2, Some("2026-09-20")),
                worker(3, Some("2026-09-01")),
                worker(4, Some("2020-01-01")),
                worker(5, Some("soon")),
                worker(6, Some("2026-09-20")),
                worker(6, None),
            ],
            numbers: vec![1, 2, 3, 4, 5, 6, 8],
            everyone: true,
            as_of: None,
            unusable: vec![("record 7".into(), "lastDay: not a date".into())],
        };
        let settings = Settings::read(&LeaverSourceSpec::default()).unwrap();
        let seen = seen(census, &settings);
        let feed = (seen.feed.everyone, seen.feed.people, seen.feed.active);
        assert_eq!(feed, (true, 5, 4));
        let counts = &seen.counts;
        assert_eq!(
            (counts.people, counts.active, counts.staying, counts.unusable),
            (6, 4, 1, 2)
        );
        assert_eq!(seen.compared(&[], &settings).changes.len(), 2);
        let unusable = [
            ("record 7", "lastDay: not a date"),
            ("record 5", "lastDay: not a date YYYY-MM-DD"),
        ];
        let unusable = unusable.map(|(place, what)| (place.to_owned(), what.to_owned()));
        assert_eq!((seen.unusable.as_slice(), seen.records), (unusable.as_slice(), 8));
    }

    #[test]
    fn whoever_left_without_a_day_is_remembered_and_is_never_missed_by_the_guard() {
        let settings = Settings::read(&LeaverSourceSpec::default()).unwrap();
        let look = |gone: u32, before: &FirstSeen, now: &str| {
            let worker = |number| Worker {
                status: if number < gone {
                    WorkerStatus::Terminated
                } else {
                    WorkerStatus::Active
                },
                ..worker(number, None)
            };
            let census = Census {
                workers: (0..20).map(worker).collect(),
                everyone: true,
                ..Census::default()
            };
            Seen::of(census, &settings, before, now.parse().unwrap())
        };
        let first = look(2, &FirstSeen::default(), "2026-09-15T12:00:00Z");
        assert_eq!((first.feed.people, first.feed.active), (20, 18));
        let remembered = first_seen(&undated(&first.first_seen));
        assert_eq!(remembered, first.first_seen, "through the status");
        let later = look(3, &remembered, "2026-09-20T12:00:00Z");
        let days: Vec<Option<String>> = later
            .compared(&[], &settings)
            .changes
            .into_iter()
            .map(|change| change.leaving.unwrap().last_day)
            .collect();
        let days: Vec<&str> = days.iter().flatten().map(String::as_str).collect();
        assert_eq!(days, ["2026-09-15", "2026-09-15", "2026-09-20"]);
        let history = look(3, &remembered, "2028-01-01T12:00:00Z");
        assert_eq!((history.feed.people, history.feed.active), (20, 17));
        assert_eq!(history.compared(&[], &settings).changes.len(), 1);
    }

    #[test]
    fn nobodys_manager_is_who_has_left_by_then() {
        let person = |number: u32, manager: u32, last_day: Option<&str>| Worker {
            email: Some(format!("P{number}@example.com")),
            manager: Some(format!("p{manager}@example.com")),
            ..worker(number, last_day)
        };
        let census = Census {
            workers: vec![
                person(1, 2, Some("2026-09-20")),
                person(2, 3, Some("2026-09-20")),
                person(3, 4, Some("2026-09-10")),
                person(4, 5, Some("2020-01-01")),
                person(5, 6, None),
                person(6, 7, Some("2026-09-21")),
                person(7, 1, Some("2026-09-18")),
                person(8, 6, Some("2026-09-20")),
                person(9, 5, Some("2026-09-20")),
            ],
            everyone: true,
            ..Census::default()
        };
        let settings = Settings::read(&LeaverSourceSpec::default()).unwrap();
        let seen = seen(census, &settings);
        let manager = |person: &str| match &seen.decisions[person] {
            Decision::Leaving(leaving) => leaving.worker.manager.as_deref().map(|m| m.to_owned()),
            other => panic!("{other:?}"),
        };
        assert_eq!(manager("1"), None, "leaves on the same day");
        assert_eq!(manager("2"), None, "has left");
        assert_eq!(manager("3"), None, "left long ago");
        assert_eq!(manager("6"), None, "leaves before");
        assert_eq!(manager("7").as_deref(), Some("p1@example.com"), "leaves later");
        assert_eq!(
            manager("8").as_deref(),
            Some("p6@example.com"),
            "leaves the day after"
        );
        assert_eq!(manager("9").as_deref(), Some("p5@example.com"), "stays");
    }

    #[test]
    fn the_guard_remembers_through_the_status() {
        let state = State {
            population: 7,
            admitted: BTreeMap::from([("2026-09-15T12:00:00Z".parse().unwrap(), 3)]),
            granted: ["a".to_owned()].into(),
            released: ["b".to_owned()].into(),
            held: Some("sha256:0".into()),
            ..State::default()
        };
        assert_eq!(remembered(&written(&state)), state);
    }
}
