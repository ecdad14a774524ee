//! One look at an HR system: what it shows, and what the guard remembers of it in the status.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, civil::Date};

use super::{details, mapping::without_unknown_zones, settings::Settings};
use crate::{
    api::source::Counts,
    core::{
        guard::Feed,
        leavers::{
            Decision, Horizon, Leaving, Reading, Rules,
            compare::{Compared, Keys, Known, compare},
            forget_other_addresses, give_other_addresses, judge,
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
    /// Which records have a time zone that nobody knows: they go without.
    pub zoneless: Vec<(String, String)>,
    /// How many records there are.
    pub records: usize,
    /// What is to be remembered of those who left without a day.
    pub first_seen: FirstSeen,
    staying: Vec<Keys>,
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
        let mut readings: Vec<_> = census
            .workers
            .into_iter()
            .zip(numbers)
            .map(|(worker, number)| Reading {
                number,
                ..settings.mapping.apply(worker)
            })
            .collect();
        let zoneless = without_unknown_zones(&mut readings);
        let rules = settings.rules(now);
        let first_seen = before.after(&readings, census.everyone, rules.today);
        let rules = Rules {
            first_seen: first_seen.clone(),
            ..rules
        };
        let (mut decisions, _) = judge(&readings, &rules);
        without_managers_who_leave(&mut decisions, rules.today);
        if census.everyone {
            give_other_addresses(&mut decisions, &readings);
        } else {
            // Whose else an address is only a list of everybody tells.
            forget_other_addresses(&mut decisions);
        }
        for decision in decisions.values_mut() {
            if let Decision::Leaving(leaving) = decision {
                leaving.details = details::wanted(leaving);
            }
        }
        let unusable = [census.unusable, unusable(&readings, &decisions)].concat();
        let doubtful = census.doubtful.into_iter();
        decisions.extend(doubtful.map(|(person, what)| (person, Decision::Unusable(what))));
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
            staying: keys_of_the_staying(readings, &decisions),
            decisions,
            unusable,
            zoneless,
            records,
            first_seen,
            now,
        }
    }

    /// What is to be written because of it.
    pub fn compared(&self, known: &[Known], settings: &Settings) -> Compared {
        compare(
            &self.decisions,
            &self.staying,
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

/// By what everybody is known who stays.
fn keys_of_the_staying(readings: Vec<Reading>, decisions: &BTreeMap<String, Decision>) -> Vec<Keys> {
    let stays = |worker: &Worker| matches!(decisions.get(worker.person.trim()), Some(Decision::Staying(_)));
    let workers = readings.into_iter().map(|reading| *reading.worker);
    let keys = workers.filter(stays).map(|worker| Keys {
        person: worker.person.trim().to_owned(),
        email: worker.email,
        number: worker.employee_id,
    });
    keys.collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{LeaverSource, LeaverSourceSpec},
        core::people::WorkerStatus,
        sources::{
            offboarding,
            status::{first_seen, undated},
        },
    };

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

    #[expect(clippy::vec_box, reason = "as a census has them")]
    fn boxed(workers: Vec<Worker>) -> Vec<Box<Worker>> {
        workers.into_iter().map(Box::new).collect()
    }

    fn gone(worker: Worker) -> Worker {
        Worker {
            status: WorkerStatus::Terminated,
            ..worker
        }
    }

    #[test]
    fn a_leaver_is_made_with_every_address_that_is_theirs_alone() {
        let known_as = |number, email: &str, others: &[&str]| Worker {
            email: Some(email.into()),
            other_emails: others.iter().map(|other| (*other).to_owned()).collect(),
            ..worker(number, (number == 2).then_some("2026-09-20"))
        };
        let workers = vec![
            known_as(1, "sam@example.com", &["sales@example.com"]),
            known_as(
                2,
                "jane@example.com",
                &["sales@example.com", "jane.born@example.com"],
            ),
        ];
        let settings = Settings::read(&LeaverSourceSpec::default()).unwrap();
        let source = LeaverSource::new("hr", LeaverSourceSpec::default());
        // Whose else an address is cannot be seen among those alone who changed.
        for (everyone, expected) in [(true, &["jane.born@example.com"][..]), (false, &[])] {
            let census = Census {
                workers: boxed(workers.clone()),
                everyone,
                ..Census::default()
            };
            let changes = seen(census, &settings).compared(&[], &settings).changes;
            let [jane] = &changes[..] else {
                panic!("{changes:?}")
            };
            let created = offboarding::create(&source, jane, jane.leaving.as_ref().unwrap());
            assert_eq!(created.spec.employee.other_emails, expected);
        }
    }

    #[test]
    fn everybody_is_counted_once() {
        let census = Census {
            workers: boxed(vec![
                worker(1, None),
                worker(2, Some("2026-09-20")),
                worker(3, Some("2026-09-01")),
                gone(worker(4, Some("2020-01-01"))),
                worker(5, Some("soon")),
                worker(6, Some("2026-09-20")),
                worker(6, None),
            ]),
            numbers: vec![1, 2, 3, 4, 5, 6, 8],
            doubtful: BTreeMap::new(),
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
                workers: (0..20).map(worker).map(Box::new).collect(),
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
            workers: boxed(vec![
                person(1, 2, Some("2026-09-20")),
                person(2, 3, Some("2026-09-20")),
                person(3, 4, Some("2026-09-10")),
                gone(person(4, 5, Some("2020-01-01"))),
                person(5, 6, None),
                person(6, 7, Some("2026-09-21")),
                person(7, 1, Some("2026-09-18")),
                person(8, 6, Some("2026-09-20")),
                person(9, 5, Some("2026-09-20")),
            ]),
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
    fn people_whose_records_cannot_be_read_are_there_and_zones_are_named_by_iana_or_not_at_all() {
        let zoned = |number, zone: &str| Worker {
            time_zone: Some(zone.into()),
            ..worker(number, Some("2026-09-20"))
        };
        let census = Census {
            workers: boxed(vec![
                zoned(1, "W. Europe Standard Time"),
                zoned(2, "PST"),
                worker(3, None),
            ]),
            everyone: true,
            doubtful: BTreeMap::from([("p9".to_owned(), "lastDay: not a date".to_owned())]),
            unusable: vec![("record 4".into(), "people.worker.lastDay: not a date".into())],
            ..Census::default()
        };
        let settings = Settings::read(&LeaverSourceSpec::default()).unwrap();
        let seen = seen(census, &settings);
        assert_eq!(seen.feed.people, 4);
        assert_eq!(seen.unusable.len(), 1);
        let places: Vec<&str> = seen.zoneless.iter().map(|(place, _)| place.as_str()).collect();
        assert_eq!(places, ["record 2"]);
        let zones: Vec<Option<String>> = (seen.compared(&[], &settings).changes)
            .into_iter()
            .map(|change| change.leaving.unwrap().details.get("cutoff/timeZone").cloned())
            .collect();
        assert_eq!(zones, [Some("Europe/Berlin".to_owned()), None]);
        let known = Known {
            name: "leaver-9".into(),
            person: Some("p9".into()),
            number: Some("9".into()),
            ..Known::default()
        };
        let asks = seen.compared(std::slice::from_ref(&known), &settings).asks;
        assert_eq!((asks.len(), asks[0].holds.is_some()), (1, true), "{asks:?}");
        let stays = Known {
            person: Some("other".into()),
            number: Some("3".into()),
            ..known
        };
        let asks = seen.compared(&[stays], &settings).asks;
        assert!(asks[0].why.contains("another id"), "{asks:?}");
    }
}
