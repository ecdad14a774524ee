//! By which other addresses a leaver is known.
//!
//! # Why
//! Somebody whose address was changed keeps accounts under the one before, which nobody finds who looks for the new one only. An
//! address that somebody else has too (a mailbox of a team) would take theirs, so that one is never looked for.

use std::collections::{BTreeMap, BTreeSet};

use super::{Decision, Reading, is_address};
use crate::core::people::Worker;

/// The most that an Offboarding takes.
const MOST: usize = 16;

/// Gives every leaver the addresses that the records of nobody else have: those of all of their own records, earlier ones too.
pub fn give_other_addresses(decisions: &mut BTreeMap<String, Decision>, readings: &[Reading]) {
    let mut holders = BTreeMap::<String, BTreeSet<&str>>::new();
    for worker in workers(readings) {
        if matches!(decisions.get(worker.person.trim()), Some(Decision::Leaving(_))) {
            for address in all_of(worker) {
                holders.entry(address.to_lowercase()).or_default();
            }
        }
    }
    for worker in workers(readings) {
        for address in all_of(worker) {
            if let Some(held_by) = holders.get_mut(&address.to_lowercase()) {
                held_by.insert(worker.person.trim());
            }
        }
    }
    let mut others = BTreeMap::<&str, BTreeMap<String, String>>::new();
    for worker in workers(readings) {
        let person = worker.person.trim();
        for address in all_of(worker) {
            let key = address.to_lowercase();
            if holders.get(&key).is_some_and(|held_by| held_by.len() == 1) {
                others.entry(person).or_default().insert(key, address.to_owned());
            }
        }
    }
    for (person, decision) in decisions {
        if let Decision::Leaving(leaving) = decision {
            let worker = &mut leaving.worker;
            let mut known = others.remove(person.as_str()).unwrap_or_default();
            if let Some(email) = &worker.email {
                known.remove(&email.to_lowercase());
            }
            worker.other_emails = known.into_values().take(MOST).collect();
        }
    }
}

/// Leaves every leaver the one address that the record calls theirs.
pub fn forget_other_addresses(decisions: &mut BTreeMap<String, Decision>) {
    for decision in decisions.values_mut() {
        if let Decision::Leaving(leaving) = decision {
            leaving.worker.other_emails.clear();
        }
    }
}

fn workers(readings: &[Reading]) -> impl Iterator<Item = &Worker> {
    readings.iter().map(|reading| &*reading.worker)
}

/// Every address of a record.
fn all_of(worker: &Worker) -> impl Iterator<Item = &str> {
    let all = worker.email.iter().chain(&worker.other_emails);
    all.map(|text| text.trim()).filter(|text| is_address(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::leavers::{Horizon, Leaving, Staying};

    fn record(person: &str, email: &str, others: &[&str]) -> Reading {
        Reading::wanted(Worker {
            person: person.into(),
            email: Some(email.into()),
            other_emails: others.iter().map(|other| (*other).to_owned()).collect(),
            ..Worker::default()
        })
    }

    /// The other addresses of the person `jane`, who leaves under the address of the last of these records that is hers.
    fn of_jane(readings: &[Reading]) -> Vec<String> {
        let own = readings.iter().rfind(|reading| reading.worker.person == "jane");
        let leaving = Leaving {
            person: "jane".into(),
            worker: (*own.unwrap().worker).clone(),
            last_day: None,
            immediate: false,
            undated: false,
            horizon: Horizon::Within,
            details: BTreeMap::new(),
        };
        let mut decisions = BTreeMap::from([
            ("jane".to_owned(), Decision::Leaving(Box::new(leaving))),
            ("sam".to_owned(), Decision::Staying(Staying::NoEnd)),
        ]);
        give_other_addresses(&mut decisions, readings);
        match decisions.remove("jane") {
            Some(Decision::Leaving(leaving)) => leaving.worker.other_emails,
            _ => panic!(),
        }
    }

    #[test]
    fn those_of_earlier_records_and_what_the_source_names_are_known() {
        let records = [
            record("jane", "jane.born@example.com", &[]),
            record(
                "jane",
                "jane.doe@example.com",
                &["JANE.DOE@example.com", "j.doe@example.com", "-"],
            ),
        ];
        assert_eq!(of_jane(&records), ["j.doe@example.com", "jane.born@example.com"]);
    }

    #[test]
    fn what_somebody_else_has_too_is_nobodys() {
        let records = [
            record(
                "jane",
                "jane@example.com",
                &["sales@example.com", "sam@example.com", "j@example.com"],
            ),
            record("sam", "Sam@example.com", &["Sales@example.com"]),
        ];
        assert_eq!(of_jane(&records), ["j@example.com"]);
    }

    #[test]
    fn no_more_are_kept_than_an_offboarding_takes() {
        let many: Vec<String> = (10..40).map(|n| format!("j{n}@example.com")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(of_jane(&[record("jane", "jane@example.com", &many)]).len(), MOST);
    }
}
