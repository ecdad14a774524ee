use super::*;
use crate::core::{
    fact::Class,
    gate::{Decision, Refusal},
};

fn at(hours: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + 3600 * hours).unwrap()
}

/// A yes to the hand-over.
fn vote(id: &str, approver: &str) -> Vote {
    Vote {
        id: id.into(),
        name: id.into(),
        gate: Gate::Transfer,
        approver: approver.into(),
        person: Some(approver.into()),
        decision: Decision::Approved,
        at: at(0),
        ..Vote::default()
    }
}

/// Files of one account that wait to be handed over to Bob, with a yes to that.
fn hand_over() -> (Case, Ledger, Vec<FactSpec>) {
    let account = |id: &str| {
        let account = crate::core::identity::Account {
            id: id.into(),
            name: id.into(),
            item: serde_json::Value::Null.into(),
            doubt: None,
            keys: vec![],
        };
        Binding::new(&account, "crm", at(0))
    };
    let facts = vec![FactSpec::plain("FilesMoved", Class::Data)];
    let mut ledger = Ledger::default();
    let system = ledger.systems.entry("crm".into()).or_default();
    system.account = Some(account("7"));
    system.successor = Some(account("bob-id"));
    system.successor_known_as = Some("bob@example.com".into());
    let bob = crate::core::identity::Person {
        email: Some("bob@example.com".into()),
        ..Default::default()
    };
    let case = Case {
        gates: vec![Rule::of(Gate::Transfer)],
        systems: vec![System {
            row: "crm".into(),
            successor: Some(bob),
            wanted: [("FilesMoved".to_owned(), Wanted::At(at(0)))].into(),
            ..System::default()
        }],
        ..Case::default()
    };
    (case, ledger, facts)
}

#[test]
fn a_yes_to_a_hand_over_is_no_yes_to_another_successor_though_they_are_bound_in_the_same_pass() {
    let (mut case, mut ledger, facts) = hand_over();
    let of = |_: &str| facts.as_slice();
    let waits = Gates::count(&case, &ledger, &of, at(1));
    case.votes = vec![Vote {
        plan: waits.counted[0].plan.clone(),
        ..vote("1", "alice")
    }];
    let gates = Gates::count(&case, &ledger, &of, at(1));
    let closed = |gates: &Gates, case: &Case, ledger: &Ledger| {
        gates.closed(&case.systems[0], &ledger.systems["crm"], &facts[0])
    };
    assert_eq!(closed(&gates, &case, &ledger), None);
    let before = ledger.clone();
    let system = ledger.systems.get_mut("crm").unwrap();
    system.successor.as_mut().unwrap().id = "mallory-id".into();
    assert_eq!(closed(&gates, &case, &ledger), Some(AWAITING_APPROVAL));
    // Named in the Offboarding, and not bound yet.
    let mallory = case.systems[0].successor.as_mut().unwrap();
    mallory.email = Some("mallory@example.com".into());
    assert_eq!(closed(&gates, &case, &before), Some(AWAITING_APPROVAL));
    let gates = Gates::count(&case, &before, &of, at(1));
    assert_eq!(gates.counted[0].standing.state, State::Expired, "another plan");
    case.systems[0].successor = None;
    assert_eq!(
        closed(&gates, &case, &before),
        Some(AWAITING_APPROVAL),
        "nobody takes over"
    );
}

#[test]
fn who_would_get_it_and_whoever_has_the_same_person_behind_another_name_approve_nothing() {
    let (mut case, ledger, facts) = hand_over();
    let of = |_: &str| facts.as_slice();
    let plan = Gates::count(&case, &ledger, &of, at(1)).counted[0].plan.clone();
    let yes = |user: &str, person: &str| Vote {
        plan: plan.clone(),
        person: Some(person.into()),
        ..vote("1", user)
    };
    for (user, person) in [
        ("u-1", "bob@example.com"),
        ("bob-id", "x"),
        ("7", "y"),
        ("oidc:bob@example.com", "z"),
    ] {
        case.votes = vec![yes(user, person)];
        let counted = &Gates::count(&case, &ledger, &of, at(1)).counted[0];
        assert_eq!(
            counted.standing.refused,
            [("1".to_owned(), Refusal::SelfApproval)],
            "{user}"
        );
    }
}
