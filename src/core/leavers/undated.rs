//! Records that say that somebody has left, and not when: since when they were seen to say so.
//!
//! # Why
//! A directory that only knows active and inactive tells of an end by showing it. Whoever is shown so has left by then; the
//! day is kept, so that it never moves and becomes history like any other. A record that says otherwise in between begins anew.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde_json::json;

use super::{Reading, calendar::end_of, compare::hash};
use crate::core::people::{Worker, WorkerStatus};

/// So many records are remembered: they must fit into one object.
pub const MOST: usize = 20_000;
/// A record is remembered by so many digits of the digest of its ids.
const DIGITS: usize = 12;

/// Since when each record says that somebody has left, by [`key`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FirstSeen(pub BTreeMap<String, Date>);

/// By what a record is remembered; it names nobody.
pub fn key(worker: &Worker) -> String {
    hash(&json!([worker.person, worker.record]).to_string(), DIGITS)
}

/// Whether a record says that somebody has left, and not when.
pub fn is_undated(worker: &Worker) -> bool {
    worker.status == WorkerStatus::Terminated && end_of(worker).is_none() && !worker.immediate
}

impl FirstSeen {
    /// Since when a record says so.
    pub fn since(&self, worker: &Worker) -> Option<Date> {
        self.0.get(&key(worker)).copied()
    }

    /// What is to be remembered after `readings` were seen `today`; a record that is not among all there are is forgotten.
    #[must_use]
    pub fn after(&self, readings: &[Reading], everyone: bool, today: Date) -> Self {
        let mut after = if everyone { BTreeMap::new() } else { self.0.clone() };
        let mut new = vec![];
        for Reading { worker, .. } in readings {
            let key = key(worker);
            match (is_undated(worker), self.0.get(&key)) {
                (true, Some(since)) => drop(after.insert(key, *since)),
                (true, None) => new.push(key),
                (false, _) => drop(after.remove(&key)),
            }
        }
        let room = MOST.saturating_sub(after.len());
        after.extend(new.into_iter().take(room).map(|key| (key, today)));
        Self(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    fn record(person: &str, status: WorkerStatus) -> Reading {
        Reading::wanted(Worker {
            person: person.into(),
            record: person.into(),
            status,
            ..Worker::default()
        })
    }

    #[test]
    fn a_day_is_kept_for_as_long_as_the_record_says_so() {
        let gone = || record("p1", WorkerStatus::Terminated);
        let first = FirstSeen::default().after(&[gone()], true, day("2026-11-29"));
        let since = |seen: &FirstSeen| seen.since(&gone().worker).map(|day| day.to_string());
        assert_eq!(since(&first).as_deref(), Some("2026-11-29"));
        let later = first.after(
            &[gone(), record("p2", WorkerStatus::Active)],
            true,
            day("2026-12-05"),
        );
        assert_eq!(later, first);
        let back = later.after(&[record("p1", WorkerStatus::Active)], true, day("2026-12-06"));
        assert_eq!(since(&back), None);
        let again = back.after(&[gone()], true, day("2026-12-07"));
        assert_eq!(since(&again).as_deref(), Some("2026-12-07"));
        assert_eq!(
            again.after(&[], false, day("2026-12-08")),
            again,
            "nobody said anything about it"
        );
        assert_eq!(since(&again.after(&[], true, day("2026-12-08"))), None);
        let mut dated = gone();
        dated.worker.last_day = Some("2026-11-01".into());
        assert_eq!(since(&again.after(&[dated], true, day("2026-12-08"))), None);
    }

    #[test]
    fn what_is_remembered_names_nobody_and_fits_into_an_object() {
        let many: Vec<Reading> = (0..MOST + 5)
            .map(|n| record(&format!("jane{n}"), WorkerStatus::Terminated))
            .collect();
        let seen = FirstSeen::default().after(&many, true, day("2026-11-29"));
        assert_eq!(seen.0.len(), MOST);
        assert!(
            seen.0
                .keys()
                .all(|key| key.len() == DIGITS && !key.contains("jane"))
        );
        let later = seen.after(&many, true, day("2026-11-30"));
        assert_eq!(later, seen, "whoever is known stays known");
    }
}
