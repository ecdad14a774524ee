//! What an Offboarding says of who leaves and when, for [`crate::core::departures`].

use jiff::Timestamp;
use kube::ResourceExt;

use crate::{
    api::{
        Offboarding,
        condition::{self, READY},
        offboarding::{Desired, Urgency},
    },
    core::{
        departures::{Departure, DepartureIndex, Reinstatement},
        duplicate::{self, Duplicate},
        schedule,
    },
};

/// The departure that `offboarding` is about; none while it is suspended.
pub fn departure(offboarding: &Offboarding) -> Option<Departure> {
    let spec = &offboarding.spec;
    if spec.suspend {
        return None;
    }
    let computed = offboarding.status.as_ref().and_then(|status| status.cutoff);
    let day = spec.last_day.as_deref();
    let reinstatement = (spec.desired == Desired::Reinstated).then(|| reinstatement(offboarding));
    let (ends, ends_at_latest) = match spec.urgency {
        _ if reinstatement.is_some() => (None, None),
        Urgency::Immediate => (Some(Timestamp::MIN), None),
        // Until the first look, from the beginning of the last day: too early is on the safe side for whoever approves something,
        // and too late for whoever is the same person.
        Urgency::Scheduled => {
            let begins = || schedule::start_of_day(day?, schedule::FIRST_ZONE).ok();
            let over = || schedule::end_of_day(day?, schedule::LAST_ZONE).ok();
            (
                computed.or_else(begins).or(Some(Timestamp::MAX)),
                computed.or_else(over),
            )
        }
    };
    let employee = &spec.employee;
    let names = [&employee.email, &employee.employee_id].into_iter().flatten();
    let mut names = duplicate::names(names.chain(&employee.other_emails).map(String::as_str));
    names.extend(accounts(offboarding));
    Some(Departure {
        name: offboarding.name_any(),
        names,
        ends,
        ends_at_latest,
        reinstatement,
    })
}

/// The other Offboardings in `index` about the same person as `offboarding` that say something else.
pub fn duplicates(index: &DepartureIndex, offboarding: &Offboarding) -> Vec<Duplicate> {
    let uid = offboarding.uid().unwrap_or_default();
    index.duplicates(&uid, offboarding.spec.desired == Desired::Reinstated)
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
    let conditions = offboarding
        .status
        .as_ref()
        .map_or(&[][..], |status| &status.conditions);
    match condition::find(conditions, READY) {
        Some(ready) if ready.reason == "Reinstated" => Reinstatement::Done,
        _ => Reinstatement::Wanted,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// An index of Offboardings.
    #[derive(Default)]
    struct Departures(DepartureIndex);

    impl Departures {
        fn record(&self, offboarding: &Offboarding) -> Vec<String> {
            let others = self.0.record(&offboarding.uid().unwrap(), departure(offboarding));
            others.into_iter().collect()
        }

        fn duplicates(&self, offboarding: &Offboarding) -> Vec<Duplicate> {
            duplicates(&self.0, offboarding)
        }
    }

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
        let departures = Departures::default();
        departures.record(&leaver("1", "Sam@example.com", &json!({"lastDay": "2026-09-30"})));
        let left = |when| departures.0.has_left("sam@EXAMPLE.com", "2", at(when));
        assert!(!left("2026-09-30T14:59:59Z"));
        assert!(left("2026-09-30T15:00:00Z"));
        assert!(
            !departures.0.has_left("sam@example.com", "1", Timestamp::MAX),
            "not by their own"
        );
        let back = json!({"lastDay": "2026-09-30", "desired": "Reinstated"});
        departures.record(&leaver("1", "Sam@example.com", &back));
        assert!(!departures.0.has_left("sam@example.com", "2", Timestamp::MAX));
    }

    #[test]
    fn who_was_not_looked_at_yet_leaves_on_their_last_day_wherever_they_are() {
        let departures = Departures::default();
        let mut new = leaver("1", "sam@example.com", &json!({"lastDay": "2026-09-30"}));
        new.status = None;
        departures.record(&new);
        let left = |when| departures.0.has_left("sam@example.com", "2", at(when));
        assert!(!left("2026-09-29T09:59:59Z"));
        assert!(left("2026-09-29T10:00:00Z"), "the day begins in Kiritimati");
    }

    #[test]
    fn two_offboardings_of_one_person_are_forgotten_one_by_one() {
        let departures = Departures::default();
        for uid in ["1", "2"] {
            departures.record(&leaver(uid, "sam@example.com", &json!({"urgency": "Immediate"})));
        }
        departures.0.forget("1");
        assert!(departures.0.has_left("sam@example.com", "3", Timestamp::MIN));
        assert!(departures.0.retain(&["4".to_owned()].into()).is_empty());
        assert!(!departures.0.has_left("sam@example.com", "3", Timestamp::MAX));
    }

    #[test]
    fn two_about_one_person_know_of_each_other_until_one_is_gone() {
        let departures = Departures::default();
        let number = |uid: &str, email: &str, day: &str, number: &str| {
            let employee = json!({"email": email, "employeeID": number});
            let mut one = leaver(uid, email, &json!({"lastDay": day, "employee": employee}));
            one.status = None;
            one
        };
        let one = number("1", "jane@example.com", "2026-11-20", "0117");
        let two = number("2", "Jane.Doe@example.com", "2027-01-31", "0117 ");
        assert!(departures.record(&one).is_empty());
        assert!(
            departures
                .record(&number("3", "sam@example.com", "2027-01-31", "0200"))
                .is_empty()
        );
        assert_eq!(departures.record(&two), ["1"]);
        assert!(departures.record(&two).is_empty(), "no news");
        let ends = |others: &[Duplicate]| others[0].ends.map(|at| at.to_string());
        let of_one = departures.duplicates(&one);
        assert_eq!(of_one.len(), 1);
        assert_eq!(
            (&*of_one[0].name, ends(&of_one).unwrap()),
            ("2", "2027-02-01T12:00:00Z".into())
        );
        assert_eq!(&*departures.duplicates(&two)[0].name, "1");
        let suspended = json!({"lastDay": "2027-01-31", "suspend": true});
        assert_eq!(
            departures.record(&leaver("2", "jane@example.com", &suspended)),
            ["1"]
        );
        assert!(departures.duplicates(&one).is_empty(), "that one does nothing");
        departures.record(&two);
        assert_eq!(departures.0.forget("2"), ["1".to_owned()].into());
        assert!(departures.duplicates(&one).is_empty());
        departures.record(&two);
        assert_eq!(
            departures.0.retain(&["1".to_owned(), "3".to_owned()].into()),
            ["1".to_owned()].into()
        );
    }

    #[test]
    fn who_has_the_same_account_is_the_same_person() {
        let departures = Departures::default();
        let found = |uid: &str, email: &str, row: &str, account: Option<&str>| {
            let mut one = leaver(uid, email, &json!({"lastDay": "2026-09-30"}));
            let row = json!([{"name": row, "account": account, "conditions": []}]);
            one.status.as_mut().unwrap().systems = serde_json::from_value(row).unwrap();
            one
        };
        let one = found("1", "jane@example.com", "crm", Some("7"));
        let two = found("2", "j.doe@example.com", "crm", Some("7"));
        departures.record(&one);
        assert!(
            departures
                .record(&found("2", "j.doe@example.com", "crm", None))
                .is_empty()
        );
        assert_eq!(departures.record(&two), ["1"]);
        assert_eq!(departures.duplicates(&one).len(), 1);
        assert_eq!(departures.duplicates(&two).len(), 1);
        for other in [("wiki", "7"), ("crm", "8"), ("crm/shared", "7")] {
            departures.record(&found("2", "j.doe@example.com", other.0, Some(other.1)));
            assert!(departures.duplicates(&one).is_empty(), "{other:?}");
        }
    }

    #[test]
    fn who_comes_back_is_a_duplicate_until_everything_is_given_back() {
        let departures = Departures::default();
        let ends = leaver("1", "jane@example.com", &json!({"lastDay": "2026-09-30"}));
        let mut back = leaver("2", "Jane@example.com", &json!({"desired": "Reinstated"}));
        departures.record(&ends);
        assert_eq!(departures.record(&back), ["1"]);
        let known = |of: &Offboarding| {
            let all = departures.duplicates(of).into_iter();
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
        assert_eq!(departures.record(&back), ["1"]);
        assert!(known(&ends).is_empty(), "that one is history");
        assert_eq!(
            known(&back),
            [("1".to_owned(), false)],
            "and takes nothing back again"
        );
        let third = leaver("3", "jane@example.com", &json!({"desired": "Reinstated"}));
        departures.record(&third);
        assert_eq!(known(&third), [("1".to_owned(), false)], "both want the same");
    }

    #[test]
    fn whoever_has_an_offboarding_leaves_some_day_though_nobody_has_looked_at_it_yet() {
        let departures = Departures::default();
        let mut new = leaver("1", "sam@example.com", &json!({"lastDay": "some day"}));
        new.status = None;
        departures.record(&new);
        assert!(
            !departures
                .0
                .has_left("sam@example.com", "2", at("2026-10-30T15:00:00Z"))
        );
        assert!(departures.0.has_left("sam@example.com", "2", Timestamp::MAX));
    }
}
