use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::*;

const PLAN: &str = "sha256:aa";

fn at(hours: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + 3600 * hours).unwrap()
}

fn rule() -> Rule {
    Rule {
        expires_after: SignedDuration::from_hours(24),
        ..Rule::of(Gate::Delete)
    }
}

fn named(user: &str) -> Approver {
    Approver {
        user: user.into(),
        delegate: None,
    }
}

fn vote(id: &str, approver: &str) -> Vote {
    Vote {
        id: id.into(),
        name: id.into(),
        gate: Gate::Delete,
        connector: None,
        fact: None,
        plan: PLAN.into(),
        approver: approver.into(),
        person: Some(approver.into()),
        principal: None,
        on_behalf_of: None,
        decision: Decision::Approved,
        at: at(0),
        until: None,
    }
}

fn count(rule: &Rule, votes: &[Vote], hours: i64) -> Standing {
    rule.count(PLAN, votes, &["jane@example.com".into()], at(0), at(hours))
}

#[test]
fn one_yes_opens_and_none_does_not() {
    assert_eq!(count(&rule(), &[], 1).state, State::Waiting);
    assert_eq!(count(&rule(), &[vote("1", "bob")], 1).state, State::Open);
}

#[test]
fn two_of_one_person_are_one() {
    let two = Rule {
        approvals: 2,
        ..rule()
    };
    let standing = count(&two, &[vote("1", "bob"), vote("2", "bob")], 1);
    assert_eq!((standing.state, standing.yes), (State::Waiting, 1));
    assert_eq!(
        count(&two, &[vote("1", "bob"), vote("2", "ann")], 1).state,
        State::Open
    );
}

#[test]
fn one_human_has_one_voice_however_they_are_written() {
    let two = Rule {
        approvals: 2,
        ..rule()
    };
    for other in [
        "BOB",
        "oidc:bob",
        "https://idp.example#Bob",
        "CORP\\bob",
        "arn:aws:iam::1:user/bob",
    ] {
        let standing = count(&two, &[vote("1", "bob"), vote("2", other)], 1);
        assert_eq!((standing.state, standing.yes), (State::Waiting, 1), "{other}");
    }
    let standing = count(&two, &[vote("1", "bob@a.example"), vote("2", "bob@b.example")], 1);
    assert_eq!(standing.state, State::Open);
}

#[test]
fn standing_in_for_somebody_gives_no_second_voice() {
    let stands_in = |principal: &str, delegate: &str| Approver {
        user: principal.into(),
        delegate: Some((delegate.into(), at(100))),
    };
    let two = Rule {
        approvals: 2,
        approvers: vec![
            stands_in("boss", "bob"),
            stands_in("chief", "bob"),
            stands_in("bob", "boss"),
            named("ann"),
        ],
        ..rule()
    };
    let on_behalf = |id: &str, who: &str, of: &str| Vote {
        on_behalf_of: Some(of.into()),
        ..vote(id, who)
    };
    for votes in [
        // Bob for himself and for the boss; for two; the boss and bob in turn for each other.
        vec![vote("1", "bob"), on_behalf("2", "bob", "boss")],
        vec![on_behalf("1", "bob", "boss"), on_behalf("2", "bob", "chief")],
        vec![on_behalf("1", "bob", "boss"), on_behalf("2", "boss", "bob")],
        vec![on_behalf("1", "bob", "boss"), vote("2", "boss")],
    ] {
        let standing = count(&two, &votes, 1);
        assert_eq!((standing.state, standing.yes), (State::Waiting, 1), "{votes:?}");
    }
    let standing = count(&two, &[on_behalf("1", "bob", "boss"), vote("2", "ann")], 1);
    assert_eq!(standing.state, State::Open);
}

#[test]
fn a_yes_and_a_no_of_one_person_in_one_second_are_a_no() {
    let no = |id: &str| Vote {
        decision: Decision::Denied,
        ..vote(id, "bob")
    };
    for votes in [[no("1"), vote("2", "bob")], [vote("1", "bob"), no("2")]] {
        assert_eq!(count(&rule(), &votes, 1).state, State::Denied);
    }
}

#[test]
fn the_leaver_cannot_say_yes_under_any_spelling() {
    for user in [
        "jane@example.com",
        "Jane@Example.com",
        "oidc:jane@example.com",
        "https://login.example.com/realms/x#jane@example.com",
        "https://login.example.com:8443#JANE@example.com",
        "arn:aws:sts::1234:assumed-role/admin/jane@example.com",
        "EXAMPLE\\jane@example.com",
        "keycloak:EXAMPLE\\Jane@Example.com",
    ] {
        let standing = count(&rule(), &[vote("1", user)], 1);
        assert_eq!(
            standing.refused,
            [("1".to_owned(), Refusal::SelfApproval)],
            "{user}"
        );
        assert_eq!(standing.state, State::Waiting);
    }
    let through_a_delegate = Vote {
        on_behalf_of: Some("jane@example.com".into()),
        ..vote("1", "bob")
    };
    assert_eq!(count(&rule(), &[through_a_delegate], 1).state, State::Waiting);
}

#[test]
fn a_yes_to_another_plan_or_of_long_ago_does_not_count() {
    let other = Vote {
        plan: "sha256:bb".into(),
        ..vote("1", "bob")
    };
    assert_eq!(count(&rule(), &[other], 1).state, State::Expired);
    assert_eq!(count(&rule(), &[vote("1", "bob")], 23).state, State::Open);
    assert_eq!(count(&rule(), &[vote("1", "bob")], 24).state, State::Expired);
    assert_eq!(count(&rule(), &[vote("1", "bob")], 23).wake, Some(at(24)));
}

#[test]
fn a_no_stands_until_its_maker_says_yes() {
    let no = Vote {
        decision: Decision::Denied,
        at: at(1),
        ..vote("2", "ann")
    };
    let votes = [vote("1", "bob"), no.clone()];
    assert_eq!(count(&rule(), &votes, 2).state, State::Denied);
    assert_eq!(count(&rule(), &votes, 2000).state, State::Denied);
    let yes = Vote {
        at: at(3),
        ..vote("3", "ann")
    };
    let votes = [vote("1", "bob"), no, yes];
    assert_eq!(count(&rule(), &votes, 4).state, State::Open);
}

#[test]
fn only_those_the_policy_names_count_until_nobody_answers() {
    let rule = Rule {
        approvers: vec![named("boss")],
        escalation: Some((SignedDuration::from_hours(5), vec![named("deputy")])),
        ..rule()
    };
    let deputy = [vote("1", "deputy")];
    let early = count(&rule, &deputy, 4);
    assert_eq!(early.refused, [("1".to_owned(), Refusal::NotAnApprover)]);
    assert_eq!(early.wake, Some(at(5)));
    assert_eq!(count(&rule, &deputy, 5).state, State::Open);
    assert_eq!(count(&rule, &[vote("1", "boss")], 1).state, State::Open);
    assert_eq!(count(&rule, &[vote("1", "somebody")], 9).state, State::Waiting);
}

#[test]
fn a_delegate_counts_as_the_one_they_stand_in_for_and_not_for_ever() {
    let boss = Approver {
        delegate: Some(("deputy".into(), at(10))),
        ..named("boss")
    };
    let rule = Rule {
        approvers: vec![boss],
        approvals: 2,
        ..rule()
    };
    let stands_in = |hours| Vote {
        on_behalf_of: Some("boss".into()),
        at: at(hours),
        ..vote("1", "deputy")
    };
    assert_eq!(count(&rule, &[stands_in(9)], 9).yes, 1);
    assert_eq!(count(&rule, &[stands_in(10)], 11).yes, 0);
    assert_eq!(count(&rule, &[stands_in(9), vote("2", "boss")], 9).yes, 1);
    assert_eq!(count(&rule, &[vote("3", "deputy")], 9).yes, 0);
    let uninvited = Vote {
        approver: "mallory".into(),
        ..stands_in(9)
    };
    assert_eq!(count(&rule, &[uninvited], 9).yes, 0);
}

#[test]
fn a_vote_for_one_gate_opens_no_other() {
    let other = Vote {
        gate: Gate::Transfer,
        ..vote("1", "bob")
    };
    assert_eq!(count(&rule(), &[other], 1).state, State::Waiting);
}

#[test]
fn the_plan_is_bound_to_the_object_the_gate_the_accounts_and_the_facts() {
    let item = Item {
        row: "crm".into(),
        account: "7".into(),
        fact: "AccountDeleted".into(),
        ..Item::default()
    };
    let of = |uid, gate, item: &Item| plan_of(uid, gate, &BTreeSet::from([item.clone()]));
    let plan = of("u", Gate::Delete, &item);
    assert_eq!(plan.len(), "sha256:".len() + 64);
    let others = [
        of("v", Gate::Delete, &item),
        of("u", Gate::Revoke, &item),
        of(
            "u",
            Gate::Delete,
            &Item {
                account: "8".into(),
                ..item.clone()
            },
        ),
        of(
            "u",
            Gate::Delete,
            &Item {
                fact: "MailboxDeleted".into(),
                ..item.clone()
            },
        ),
        of(
            "u",
            Gate::Delete,
            &Item {
                row: "hr".into(),
                ..item.clone()
            },
        ),
        of(
            "u",
            Gate::Delete,
            &Item {
                successor: Some("9".into()),
                ..item
            },
        ),
        plan_of("u", Gate::Delete, &BTreeSet::new()),
    ];
    assert!(!others.contains(&plan));
}

#[test]
fn a_person_and_her_delegate_are_one_voice() {
    let two = Rule {
        approvals: 2,
        approvers: vec![
            Approver {
                delegate: Some(("dora".into(), at(99))),
                ..named("u-123")
            },
            named("alice"),
        ],
        ..rule()
    };
    let by_delegate = Vote {
        on_behalf_of: Some("u-123".into()),
        principal: Some("alice@corp".into()),
        ..vote("2", "dora")
    };
    let own = Vote {
        person: Some("alice@corp".into()),
        ..vote("1", "alice")
    };
    assert_eq!(
        count(&two, &[own, by_delegate], 1).yes,
        1,
        "one person and her delegate"
    );
}
