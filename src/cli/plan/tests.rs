//! What one look means for the plan.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::{
    api::Offboarding,
    core::{
        case::{System, Wanted},
        fact::{Act, Class, Exempt, FactSpec, FactState, Sight, Stage, Truth, Why},
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
        stage: Stage::Cutoff,
        irreversible: false,
        after: after.iter().map(|name| (*name).to_owned()).collect(),
        ..FactSpec::plain(name, class)
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

/// The cutoff, in two hours.
const CUTOFF: &str = "2026-09-30T14:00:00Z";

/// The plan of one account with these facts, wanted at the cutoff.
fn planned(facts: Vec<(FactSpec, Verdict, Sight)>) -> Plan {
    let row = Row {
        account: Some(("7".into(), "jane".into())),
        ..Row::new("crm", seen(facts))
    };
    planned_row(row, Wanted::At(at(CUTOFF)))
}

fn seen(facts: Vec<(FactSpec, Verdict, Sight)>) -> Vec<FactState> {
    facts
        .into_iter()
        .map(|(spec, verdict, sight)| FactState::seen(spec, verdict, sight))
        .collect()
}

/// The plan of this row, all of whose facts are wanted alike.
fn planned_row(row: Row, wanted: Wanted) -> Plan {
    let cutoff = at(CUTOFF);
    let system = System {
        row: "crm".into(),
        who: Person::default(),
        successor: None,
        observe_only: false,
        kept_until: None,
        attested: [].into(),
        wanted: row
            .facts
            .iter()
            .map(|state| (state.spec.name.clone(), wanted))
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
            ('·', "tokens expired by itself (exposure)", "2026-09-30 15:30 UTC"),
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

/// A row that was not looked at, before its time.
fn blank(verdict: &Verdict) -> Row {
    let disabled = FactState::unseen(fact("Disabled", Class::Access, &[]), verdict.clone());
    Row::new("crm", vec![disabled])
}

#[test]
fn a_system_that_cannot_be_reached_before_the_cutoff_says_why() {
    let row = Row {
        blocked: Some(Fault::transient(Reason::Unreachable)),
        ..blank(&Verdict::NotDue(at(CUTOFF)))
    };
    let plan = planned_row(row, Wanted::At(at(CUTOFF)));
    assert_eq!(shown(&plan), [('!', "not looked at: Unreachable", "")]);
    let kept = blank(&Verdict::NotNeeded(Exempt::Waived));
    let plan = planned_row(kept, Wanted::Not);
    assert_eq!(shown(&plan), [('=', "nothing is wanted here", "")]);
}

#[test]
fn what_is_kept_for_a_while_says_so_and_nothing_happens_in_the_year_9999() {
    let kept = |keep: SignedDuration, verdict: Verdict| {
        let row = Row {
            account: Some(("7".into(), "jane".into())),
            facts: vec![FactState::seen(
                fact("Deleted", Class::Deletion, &[]),
                verdict,
                wanting("delete the account", &[json!({})]),
            )],
            ..blank(&unmet())
        };
        let plan = planned_row(row, Wanted::Kept(at(CUTOFF), keep));
        shown(&plan)
            .iter()
            .map(|(sign, text, when)| format!("{sign} {text}  {when}"))
            .collect::<String>()
    };
    let (days, never) = (
        |n: i64| SignedDuration::from_hours(24 * n),
        Verdict::NotDue(Timestamp::MAX),
    );
    assert_eq!(
        kept(days(30), never.clone()),
        "x delete the account  30 d after everything is handed over"
    );
    assert_eq!(
        kept(SignedDuration::ZERO, never),
        "x delete the account  once everything is handed over"
    );
    let known = Verdict::NotDue(at("2026-10-30T14:00:00Z"));
    assert_eq!(kept(days(30), known), "x delete the account  2026-10-30");
    assert_eq!(kept(days(30), unmet()), "x delete the account  now");
    let by_itself = planned(vec![(
        fact("Expired", Class::Access, &[]),
        unmet(),
        Sight::of(Truth::HoldsFrom(Timestamp::MAX)),
    )]);
    assert_eq!(
        shown(&by_itself),
        [('☐', "expired: never by itself", "at the cutoff")]
    );
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

/// What a look at the account of a leaver showed, whose case is made other than usual.
fn made(case: impl FnOnce(&mut Case), facts: Vec<(FactSpec, Verdict, Sight)>, now: &str) -> Plan {
    let wanted = facts
        .iter()
        .map(|(fact, ..)| (fact.name.clone(), Wanted::At(at(CUTOFF))));
    let system = System {
        row: "crm".into(),
        wanted: wanted.collect(),
        ..System::default()
    };
    let mut own = Case {
        name: "jane".into(),
        cutoff: at(CUTOFF),
        enforce: true,
        systems: vec![system],
        ..Case::default()
    };
    case(&mut own);
    let row = Row {
        account: Some(("7".into(), "jane".into())),
        facts: seen(facts),
        ..blank(&unmet())
    };
    let outcome = Outcome {
        rows: vec![row],
        ..Outcome::default()
    };
    plan(&own, &outcome, at(now))
}

const LATER: &str = "2026-10-01T12:00:00Z";

fn disabled(truth: Truth) -> Vec<(FactSpec, Verdict, Sight)> {
    let sight = match truth {
        Truth::DoesNotHold => wanting("disable the account", &[json!({})]),
        truth => Sight::of(truth),
    };
    vec![(fact("Disabled", Class::Access, &[]), unmet(), sight)]
}

#[test]
fn the_headline_says_what_the_look_showed_and_not_what_the_clock_does() {
    let unreadable = || Truth::Unreadable(Fault::permanent(Reason::PermissionDenied));
    for (truth, now, access, words) in [
        (
            Truth::DoesNotHold,
            NOW,
            Access::Open,
            "access open, to end by 2026-09-30 14:00 UTC (in 2 h 0 min)",
        ),
        (
            Truth::DoesNotHold,
            LATER,
            Access::Open,
            "access open, to end by 2026-09-30 14:00 UTC (22 h 0 min ago)",
        ),
        (Truth::Holds, NOW, Access::Gone, "access gone, to end by"),
        (Truth::Holds, LATER, Access::Gone, "access gone, to end by"),
        (unreadable(), NOW, Access::Unknown, "access unknown, to end by"),
        (unreadable(), LATER, Access::Unknown, "access unknown, to end by"),
        (
            Truth::NotRead,
            LATER,
            Access::Unknown,
            "access unknown, to end by",
        ),
    ] {
        let plan = made(|_| {}, disabled(truth), now);
        assert_eq!(plan.access, access);
        let leaver = Offboarding::new("jane", crate::api::OffboardingSpec::default());
        let head = plan.text(&leaver, at(now));
        assert!(head.contains(words), "{words} in {head}");
    }
}

#[test]
fn what_was_not_looked_at_is_neither_nothing_nor_a_change() {
    let plan_of = |truth| made(|_| {}, disabled(truth), LATER);
    let unseen = || plan_of(Truth::NotRead);
    let (change, nothing) = (plan_of(Truth::DoesNotHold), plan_of(Truth::Holds));
    let waits = made(
        |case| case.hold = Some(duplicate::Hold::Until(at("2026-12-01T00:00:00Z"))),
        disabled(Truth::DoesNotHold),
        LATER,
    );
    assert_eq!((unseen().unknown, change.unknown), (1, 0));
    for (plans, plain, detailed) in [
        (vec![nothing.clone()], 0, 0),
        (vec![change.clone()], 0, 2),
        (vec![waits.clone(), change.clone()], 3, 3),
        (vec![unseen()], 1, 1),
        (vec![change, waits, unseen(), nothing], 1, 1),
    ] {
        assert_eq!((code(&plans, false), code(&plans, true)), (plain, detailed));
    }
}

#[test]
fn what_is_held_up_by_another_offboarding_comes_with_the_later_date() {
    let held = made(
        |case| {
            let until = at("2027-01-31T16:00:00Z");
            case.hold = Some(duplicate::Hold::Until(until));
            case.duplicates = vec![duplicate::Duplicate {
                name: "again".into(),
                ends: Some(until),
                reinstates: false,
            }];
        },
        disabled(Truth::DoesNotHold),
        LATER,
    );
    assert!(
        held.waits && held.remarks[0].contains("Offboarding again"),
        "{:?}",
        held.remarks
    );
    assert_eq!(shown(&held), [('-', "disable the account", "2027-01-31")]);
}

#[test]
fn a_system_that_is_only_observed_is_planned_for_a_person() {
    let plan = made(
        |case| case.systems[0].observe_only = true,
        disabled(Truth::DoesNotHold),
        LATER,
    );
    assert_eq!(
        shown(&plan),
        [
            ('·', "mode: Observe: looked at, nothing is sent", ""),
            ('☐', "disable the account", "now")
        ]
    );
    assert!(!plan.changes && plan.lines.iter().all(|line| line.requests == 0));
    assert_eq!(plan.access, Access::Open);
    assert_eq!(
        (code(std::slice::from_ref(&plan), false), code(&[plan], true)),
        (0, 3)
    );
}

#[test]
fn what_was_asked_for_and_cannot_be_seen_is_not_asked_for_again() {
    let mut facts = disabled(Truth::DoesNotHold);
    facts[0].1 = Verdict::Asserted;
    let plan = made(|_| {}, facts, LATER);
    assert_eq!(shown(&plan), [('=', "disabled: asserted, no look shows it", "")]);
    assert_eq!((plan.access, code(&[plan], true)), (Access::Gone, 0));
}

#[test]
fn without_a_successor_it_is_not_the_look_that_is_missing() {
    let missing = Truth::Unreadable(Fault::needs_decision(Reason::NoSuccessor));
    let sight = Sight::of(missing);
    let plan = made(
        |_| {},
        vec![(fact("FilesHandedOver", Class::Data, &[]), unmet(), sight)],
        LATER,
    );
    assert_eq!(shown(&plan), [('!', "files handed over: NoSuccessor", "now")]);
    assert_eq!((plan.unknown, code(&[plan], true)), (0, 3));
}

#[test]
fn what_is_refused_was_seen() {
    let mut facts = disabled(Truth::DoesNotHold);
    facts[0].2.act = None;
    facts[0].2.refused = Some(Fault::needs_decision(Reason::Protected));
    let plan = made(|_| {}, facts, LATER);
    assert_eq!((plan.unknown, plan.access), (0, Access::Open));
    assert_eq!(shown(&plan), [('!', "disabled: Protected", "now")]);
    assert!(
        plan.sum().ends_with("0 unknown · 1 to be decided"),
        "{}",
        plan.sum()
    );
}

#[test]
fn who_comes_back_is_planned_like_who_leaves() {
    let undone = |name: &str, verdict, sight| (fact(name, Class::Access, &[]), verdict, sight);
    let give = wanting("give back what Disabled took", &[json!({}), json!({})]);
    let plan = made(
        |case| case.reinstate = true,
        vec![
            undone("DisabledUndone", unmet(), give),
            undone("GroupsLeftUndone", Verdict::Verified, Sight::of(Truth::Holds)),
        ],
        LATER,
    );
    assert_eq!(
        shown(&plan),
        [
            ('+', "give back what Disabled took", "now"),
            ('=', "groups left undone already", "")
        ]
    );
    assert!(plan.changes && plan.access == Access::GivenBack);
    assert!(plan.sum().ends_with("1 to give back"), "{}", plan.sum());
}

#[test]
fn what_nobody_looks_after_is_shown_and_changes_no_exit_code() {
    let disabled = FactState::seen(
        fact("AccountDisabled", Class::Access, &[]),
        Verdict::Verified,
        Sight::of(Truth::Holds),
    );
    let row = Row {
        account: Some(("7".into(), "jane".into())),
        not_covered: vec!["notes".into(), "private files".into()],
        ..Row::new("crm", vec![disabled])
    };
    let plan = planned_row(row, Wanted::At(at(CUTOFF)));
    let leaver = Offboarding::new("jane", crate::api::OffboardingSpec::default());
    assert!(
        plan.text(&leaver, at(NOW))
            .contains("not covered: notes, private files\n")
    );
    assert_eq!(
        serde_json::to_value(&plan).unwrap()["notCovered"],
        json!({"crm": ["notes", "private files"]})
    );
    assert_eq!(code(&[plan], true), 0);
}
