//! What one look means for the plan.

use serde_json::{Value, json};

use super::*;
use crate::{
    core::{
        case::System,
        fact::{Act, Proof, Stage, Why},
        fault::{Fault, Reason},
        identity::Person,
    },
    drive::Row,
};

const NOW: &str = "2026-09-30T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn fact(name: &str, class: Class, after: &[&str]) -> FactSpec {
    FactSpec {
        name: name.into(),
        class,
        stage: Stage::Cutoff,
        proof: Proof::Direct,
        requires: vec![],
        after: after.iter().map(|name| (*name).to_owned()).collect(),
        prefers_after: vec![],
        irreversible: false,
        repeatable: true,
        removes: false,
        settle: jiff::SignedDuration::ZERO,
        by_hand: false,
        reported: None,
    }
}

fn wanting(says: &str, requests: &[Value]) -> Sight {
    let act = (!requests.is_empty()).then(|| Act {
        fact: String::new(),
        requests: requests.to_vec(),
        rung: 0,
        more: false,
    });
    Sight {
        act,
        says: says.into(),
        count: requests.len(),
        ..Sight::of(Truth::DoesNotHold)
    }
}

/// The plan of one account with these facts, wanted at a cutoff in two hours.
fn planned(facts: Vec<(FactSpec, Verdict, Sight)>) -> Plan {
    let cutoff = at("2026-09-30T14:00:00Z");
    let system = System {
        row: "crm".into(),
        who: Person::default(),
        successor: None,
        observe_only: false,
        kept_until: None,
        attested: [].into(),
        wanted: facts
            .iter()
            .map(|(fact, ..)| (fact.name.clone(), Wanted::At(cutoff)))
            .collect(),
        ..System::default()
    };
    let case = Case {
        uid: "u".into(),
        name: "jane".into(),
        generation: 1,
        who: Person::default(),
        cutoff,
        access_deadline: cutoff,
        enforce: true,
        suspended: false,
        legal_hold: false,
        recheck_until: cutoff,
        recheck_every: jiff::SignedDuration::from_mins(15),
        systems: vec![system],
        ..Case::default()
    };
    let row = Row {
        name: "crm".into(),
        account: Some(("7".into(), "jane".into())),
        facts: facts
            .into_iter()
            .map(|(fact, verdict, sight)| (fact, verdict, Some(sight)))
            .collect(),
        trouble: None,
        identity_mismatch: false,
        drifted: vec![],
        wake: None,
    };
    let outcome = Outcome {
        rows: vec![row],
        store_fault: None,
        wake: None,
        ..Outcome::default()
    };
    plan(&case, &outcome, at(NOW))
}

fn unmet() -> Verdict {
    Verdict::Unmet(Why::NotTried)
}

fn shown(plan: &Plan) -> Vec<(char, &str, &str)> {
    let lines = plan.lines.iter();
    lines
        .map(|line| (line.mark.sign(), line.text.as_str(), line.when.as_str()))
        .collect()
}

#[test]
fn every_kind_of_fact_has_its_own_mark() {
    let request = [json!({"http": {}})];
    let lines = planned(vec![
        (
            fact("Disabled", Class::Access, &[]),
            unmet(),
            wanting("disable the account", &request),
        ),
        (
            fact("Moved", Class::Data, &[]),
            unmet(),
            wanting("9 files → sam", &request),
        ),
        (
            fact("Deleted", Class::Deletion, &[]),
            unmet(),
            wanting("delete the account", &request),
        ),
        (
            fact("GroupsLeft", Class::Entitlements, &[]),
            Verdict::Verified,
            Sight::of(Truth::Holds),
        ),
        (
            fact("RolesGone", Class::Entitlements, &["Disabled"]),
            unmet(),
            wanting("roles", &[]),
        ),
        (
            fact("SyncedGroupsLeft", Class::Entitlements, &["GroupsLeft"]),
            unmet(),
            wanting("2 groups must be left in Active Directory", &[]),
        ),
        (
            fact("TokensExpired", Class::Sessions, &[]),
            unmet(),
            Sight::of(Truth::HoldsFrom(at("2026-09-30T15:30:00Z"))),
        ),
        (
            fact("OAuthTokensRevoked", Class::Sessions, &[]),
            unmet(),
            Sight::of(Truth::Unreadable(Fault::permanent(Reason::PermissionDenied))),
        ),
    ]);
    assert_eq!(
        shown(&lines),
        [
            ('-', "disable the account", "at the cutoff"),
            ('~', "9 files → sam", "at the cutoff"),
            ('x', "delete the account", "at the cutoff"),
            ('=', "groups left already", ""),
            ('·', "roles gone, once disabled", "at the cutoff"),
            ('☐', "2 groups must be left in Active Directory", "at the cutoff"),
            ('·', "tokens expired by itself", "2026-09-30 15:30 UTC"),
            ('!', "oauth tokens revoked: PermissionDenied", "at the cutoff"),
        ]
    );
    assert!(lines.changes);
    let sum = lines.sum();
    let expected =
        "1 account · 1 to revoke · 1 to hand over · 1 to delete · 1 kept · 1 unknown · 1 for a person";
    assert!(sum.ends_with(expected), "{sum}");
}

#[test]
fn what_only_others_can_change_is_no_change_of_ours() {
    let person = (
        fact("SyncedGroupsLeft", Class::Entitlements, &[]),
        unmet(),
        wanting("in Active Directory", &[]),
    );
    assert!(!planned(vec![person]).changes);
}

#[test]
fn a_system_that_cannot_be_read_at_all_is_one_line() {
    let fault = || Fault::transient(Reason::Unreachable);
    let unread = |name: &str| {
        let fact = fact(name, Class::Access, &[]);
        (
            fact,
            Verdict::Unknown(fault()),
            Sight::of(Truth::Unreadable(fault())),
        )
    };
    let plan = planned(vec![unread("Disabled"), unread("GroupsLeft")]);
    assert_eq!(shown(&plan), [('!', "not looked at: Unreachable", "")]);
}

#[test]
fn another_request_is_another_digest_and_the_same_ones_are_not() {
    let with = |to: &str| {
        let moved = fact("Moved", Class::Data, &[]);
        planned(vec![(
            moved,
            unmet(),
            wanting("", &[json!({"http": {"to": to}})]),
        )])
        .digest
    };
    assert_eq!(with("sam"), with("sam"));
    assert_ne!(with("sam"), with("eve"));
}

#[test]
fn names_of_facts_are_read_as_words() {
    for (name, words) in [
        ("GroupsRemoved", "groups removed"),
        ("OAuthTokensRevoked", "oauth tokens revoked"),
        ("MovedToLeaversOU", "moved to leavers ou"),
        ("SSHKeysRemoved", "ssh keys removed"),
    ] {
        assert_eq!(words_of(name), words);
    }
}
