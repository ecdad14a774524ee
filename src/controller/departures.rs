//! Who leaves, by address: who leaves takes nothing over from another leaver and approves nothing.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use kube::ResourceExt;

use crate::{
    api::{
        Condition, Offboarding,
        offboarding::{Desired, Urgency},
    },
    core::{
        duplicate::{self, Duplicate},
        gate::{Vote, bare},
        schedule,
    },
};

/// The leavers of one namespace, by the names people know them by, in lower case.
#[derive(Debug, Default)]
pub struct DepartureIndex(Mutex<Names>);

#[derive(Debug, Default)]
struct Names {
    /// By name: uid, and when access ends: never known to be over while that is not computed yet; none for whoever comes back.
    by_name: HashMap<String, BTreeMap<String, Option<Timestamp>>>,
    by_uid: HashMap<String, Known>,
}

/// One leaver.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    /// `metadata.name`.
    name: String,
    names: Vec<String>,
    /// When access ends, at the latest while that is not computed yet; none while nobody can know.
    ends: Option<Timestamp>,
    /// Gives back what was taken; none: ends access.
    reinstatement: Option<Reinstatement>,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reinstatement {
    Wanted,
    Done,
}

impl DepartureIndex {
    /// Takes note of `offboarding` as it is now. Gives the uids of the others about the same person, then or now, if that is
    /// news to them.
    pub fn note(&self, offboarding: &Offboarding) -> Vec<String> {
        let uid = offboarding.uid().unwrap_or_default();
        let before = self.known(&uid);
        let mut others = self.forget(&uid);
        self.keep_in_mind(&uid, offboarding);
        if self.known(&uid) == before {
            return vec![];
        }
        others.extend(self.others(&uid));
        others.sort();
        others.dedup();
        others
    }

    fn known(&self, uid: &str) -> Option<Known> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.by_uid.get(uid).cloned()
    }

    /// The uids of others that share a name with the leaver `uid`.
    fn others(&self, uid: &str) -> Vec<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let names = known.by_uid.get(uid).map_or(&[][..], |own| &own.names);
        let sharing = names.iter().filter_map(|name| known.by_name.get(name));
        let mut others: Vec<String> = sharing.flat_map(|of| of.keys()).cloned().collect();
        others.retain(|other| other != uid);
        others.sort();
        others.dedup();
        others
    }

    /// The other Offboardings about the same person as `offboarding` that say something else. One that has given back what it
    /// took says nothing any more.
    pub fn duplicates(&self, offboarding: &Offboarding) -> Vec<Duplicate> {
        let uid = offboarding.uid().unwrap_or_default();
        let others = self.others(&uid);
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = offboarding.spec.desired == Desired::Offboarded;
        let others = others.iter().filter_map(|other| known.by_uid.get(other));
        let others = others.filter(|other| match other.reinstatement {
            Some(how_far) => ends && how_far == Reinstatement::Wanted,
            None => true,
        });
        let mut duplicates: Vec<Duplicate> = others
            .map(|other| Duplicate {
                name: other.name.clone(),
                ends: other.ends,
                reinstates: other.reinstatement.is_some(),
            })
            .collect();
        duplicates.sort();
        duplicates
    }

    fn keep_in_mind(&self, uid: &str, offboarding: &Offboarding) {
        let spec = &offboarding.spec;
        if spec.suspend {
            return;
        }
        let looked = offboarding.status.as_ref().and_then(|status| status.cutoff);
        let day = spec.last_day.as_deref();
        let reinstatement = (spec.desired == Desired::Reinstated).then(|| reinstatement(offboarding));
        let (ends, at_latest) = match spec.urgency {
            _ if reinstatement.is_some() => (None, None),
            Urgency::Immediate => (Some(Timestamp::MIN), None),
            // Until the first look, from the beginning of the last day: too early is on the safe side for whoever says something,
            // and too late for whoever is the same person.
            Urgency::Scheduled => {
                let begins = || schedule::start_of_day(day?, schedule::FIRST_ZONE).ok();
                let over = || schedule::end_of_day(day?, schedule::LAST_ZONE).ok();
                (
                    looked.or_else(begins).or(Some(Timestamp::MAX)),
                    looked.or_else(over),
                )
            }
        };
        let employee = &spec.employee;
        let names = [&employee.email, &employee.employee_id].into_iter().flatten();
        let mut names = duplicate::names(names.chain(&employee.other_emails).map(String::as_str));
        names.extend(accounts(offboarding));
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for name in &names {
            known
                .by_name
                .entry(name.clone())
                .or_default()
                .insert(uid.to_owned(), ends);
        }
        let own = Known {
            name: offboarding.name_any(),
            names,
            ends: at_latest,
            reinstatement,
        };
        known.by_uid.insert(uid.to_owned(), own);
    }

    /// Forgets the leaver `uid`, and gives the uids of the others about the same person.
    pub fn forget(&self, uid: &str) -> Vec<String> {
        let others = self.others(uid);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = known.by_uid.remove(uid).map(|own| own.names);
        for name in own.unwrap_or_default() {
            if let Some(of) = known.by_name.get_mut(&name) {
                of.remove(uid);
                if of.is_empty() {
                    known.by_name.remove(&name);
                }
            }
        }
        others
    }

    /// Forgets all leavers but these, and gives the uids of others about the same people.
    pub fn keep(&self, uids: &BTreeSet<String>) -> Vec<String> {
        let mut gone: Vec<String> = {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.by_uid.keys().cloned().collect()
        };
        gone.retain(|uid| !uids.contains(uid));
        let mut others: Vec<String> = gone.iter().flat_map(|uid| self.forget(uid)).collect();
        others.retain(|other| !gone.contains(other));
        others
    }

    /// Of those who said something, whose access ends until `when`, by another Offboarding than `uid`.
    pub fn among(&self, votes: &[Vote], uid: &str, when: Timestamp) -> Vec<String> {
        let people = votes
            .iter()
            .flat_map(|vote| vote.person.iter().chain([&vote.approver]));
        people
            .filter(|name| self.has_left(bare(name), uid, when))
            .cloned()
            .collect()
    }

    /// Whether the access of somebody known as `name` ends until `when`, by another Offboarding than `uid`.
    pub fn has_left(&self, name: &str, uid: &str, when: Timestamp) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = known.by_name.get(&name.trim().to_lowercase());
        let until = |ends: &Option<Timestamp>| ends.is_some_and(|ends| ends <= when);
        of.is_some_and(|of| of.iter().any(|(other, ends)| other != uid && until(ends)))
    }
}

/// The accounts that were found by what is known of the person: who has the same is the same, whatever they are known by. Those that
/// were named may be several people's.
fn accounts(offboarding: &Offboarding) -> impl Iterator<Item = String> {
    let rows = offboarding.status.iter().flat_map(|status| &status.systems);
    let found = rows.filter(|row| !row.name.contains('/'));
    // No address or number has a control character.
    found.filter_map(|row| Some(format!("{}\n{}", row.name, row.account.as_ref()?)))
}

/// How far the reinstatement is that `offboarding` wants.
fn reinstatement(offboarding: &Offboarding) -> Reinstatement {
    let conditions = offboarding.status.iter().flat_map(|status| &status.conditions);
    let is_back = |condition: &Condition| condition.type_ == "Ready" && condition.reason == "Reinstated";
    if conditions.into_iter().any(is_back) {
        Reinstatement::Done
    } else {
        Reinstatement::Wanted
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn leaver(uid: &str, email: &str, spec: &serde_json::Value) -> Offboarding {
        let mut object = json!({
            "apiVersion": "offboard.dev/v1alpha1", "kind": "Offboarding",
            "metadata": {"name": uid, "uid": uid},
            "spec": {"employee": {"email": email}},
            "status": {"observedGeneration": 1, "cutoff": "2026-09-30T15:00:00Z"},
        });
        for (key, value) in spec.as_object().unwrap() {
            object["spec"][key] = value.clone();
        }
        serde_json::from_value(object).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn somebody_has_left_from_their_own_cutoff_on_until_they_come_back() {
        let leaving = DepartureIndex::default();
        leaving.note(&leaver("1", "Sam@example.com", &json!({"lastDay": "2026-09-30"})));
        let left = |when| leaving.has_left("sam@EXAMPLE.com", "2", at(when));
        assert!(!left("2026-09-30T14:59:59Z"));
        assert!(left("2026-09-30T15:00:00Z"));
        assert!(
            !leaving.has_left("sam@example.com", "1", Timestamp::MAX),
            "not by their own"
        );
        let back = json!({"lastDay": "2026-09-30", "desired": "Reinstated"});
        leaving.note(&leaver("1", "Sam@example.com", &back));
        assert!(!leaving.has_left("sam@example.com", "2", Timestamp::MAX));
    }

    #[test]
    fn who_was_not_looked_at_yet_leaves_on_their_last_day_wherever_they_are() {
        let leaving = DepartureIndex::default();
        let mut new = leaver("1", "sam@example.com", &json!({"lastDay": "2026-09-30"}));
        new.status = None;
        leaving.note(&new);
        let left = |when| leaving.has_left("sam@example.com", "2", at(when));
        assert!(!left("2026-09-29T09:59:59Z"));
        assert!(left("2026-09-29T10:00:00Z"), "the day begins in Kiritimati");
    }

    #[test]
    fn two_offboardings_of_one_person_are_forgotten_one_by_one() {
        let leaving = DepartureIndex::default();
        for uid in ["1", "2"] {
            leaving.note(&leaver(uid, "sam@example.com", &json!({"urgency": "Immediate"})));
        }
        leaving.forget("1");
        assert!(leaving.has_left("sam@example.com", "3", Timestamp::MIN));
        leaving.keep(&["4".to_owned()].into());
        assert!(!leaving.has_left("sam@example.com", "3", Timestamp::MAX));
    }

    #[test]
    fn two_about_one_person_know_of_each_other_until_one_is_gone() {
        let leaving = DepartureIndex::default();
        let number = |uid: &str, email: &str, day: &str, number: &str| {
            let employee = json!({"email": email, "employeeID": number});
            let mut one = leaver(uid, email, &json!({"lastDay": day, "employee": employee}));
            one.status = None;
            one
        };
        let one = number("1", "jane@example.com", "2026-11-20", "0117");
        let two = number("2", "Jane.Doe@example.com", "2027-01-31", "0117 ");
        assert!(leaving.note(&one).is_empty());
        assert!(
            leaving
                .note(&number("3", "sam@example.com", "2027-01-31", "0200"))
                .is_empty()
        );
        assert_eq!(leaving.note(&two), ["1"]);
        assert!(leaving.note(&two).is_empty(), "no news");
        let ends = |others: &[Duplicate]| others[0].ends.map(|at| at.to_string());
        let of_one = leaving.duplicates(&one);
        assert_eq!(of_one.len(), 1);
        assert_eq!(
            (&*of_one[0].name, ends(&of_one).unwrap()),
            ("2", "2027-02-01T12:00:00Z".into())
        );
        assert_eq!(&*leaving.duplicates(&two)[0].name, "1");
        let suspended = json!({"lastDay": "2027-01-31", "suspend": true});
        assert_eq!(leaving.note(&leaver("2", "jane@example.com", &suspended)), ["1"]);
        assert!(leaving.duplicates(&one).is_empty(), "that one does nothing");
        leaving.note(&two);
        assert_eq!(leaving.forget("2"), ["1"]);
        assert!(leaving.duplicates(&one).is_empty());
        leaving.note(&two);
        assert_eq!(leaving.keep(&["1".to_owned(), "3".to_owned()].into()), ["1"]);
    }

    #[test]
    fn who_has_the_same_account_is_the_same_person() {
        let leaving = DepartureIndex::default();
        let found = |uid: &str, email: &str, row: &str, account: Option<&str>| {
            let mut one = leaver(uid, email, &json!({"lastDay": "2026-09-30"}));
            let row = json!([{"name": row, "account": account, "conditions": []}]);
            one.status.as_mut().unwrap().systems = serde_json::from_value(row).unwrap();
            one
        };
        let one = found("1", "jane@example.com", "crm", Some("7"));
        let two = found("2", "j.doe@example.com", "crm", Some("7"));
        leaving.note(&one);
        assert!(
            leaving
                .note(&found("2", "j.doe@example.com", "crm", None))
                .is_empty()
        );
        assert_eq!(leaving.note(&two), ["1"]);
        assert_eq!(leaving.duplicates(&one).len(), 1);
        assert_eq!(leaving.duplicates(&two).len(), 1);
        for other in [("wiki", "7"), ("crm", "8"), ("crm/shared", "7")] {
            leaving.note(&found("2", "j.doe@example.com", other.0, Some(other.1)));
            assert!(leaving.duplicates(&one).is_empty(), "{other:?}");
        }
    }

    #[test]
    fn who_comes_back_is_a_duplicate_until_everything_is_given_back() {
        let leaving = DepartureIndex::default();
        let ends = leaver("1", "jane@example.com", &json!({"lastDay": "2026-09-30"}));
        let mut back = leaver("2", "Jane@example.com", &json!({"desired": "Reinstated"}));
        leaving.note(&ends);
        assert_eq!(leaving.note(&back), ["1"]);
        let known = |of: &Offboarding| {
            let all = leaving.duplicates(of).into_iter();
            all.map(|one| (one.name, one.reinstates)).collect::<Vec<_>>()
        };
        assert_eq!(known(&ends), [("2".to_owned(), true)]);
        assert_eq!(known(&back), [("1".to_owned(), false)]);
        back.status = serde_json::from_value(json!({
            "observedGeneration": 1,
            "conditions": [{"type": "Ready", "status": "True", "reason": "Reinstated", "message": "",
                "lastTransitionTime": "2026-09-30T15:00:00Z"}],
        }))
        .unwrap();
        assert_eq!(leaving.note(&back), ["1"]);
        assert!(known(&ends).is_empty(), "that one is history");
        assert_eq!(
            known(&back),
            [("1".to_owned(), false)],
            "and takes nothing back again"
        );
        let third = leaver("3", "jane@example.com", &json!({"desired": "Reinstated"}));
        leaving.note(&third);
        assert_eq!(known(&third), [("1".to_owned(), false)], "both want the same");
    }

    #[test]
    fn whoever_has_an_offboarding_leaves_some_day_though_nobody_has_looked_at_it_yet() {
        let leaving = DepartureIndex::default();
        let mut new = leaver("1", "sam@example.com", &json!({"lastDay": "some day"}));
        new.status = None;
        leaving.note(&new);
        assert!(!leaving.has_left("sam@example.com", "2", at("2026-10-30T15:00:00Z")));
        assert!(leaving.has_left("sam@example.com", "2", Timestamp::MAX));
    }
}
