use serde_json::json;

use super::*;
use crate::core::{kept::Room, ledger::FactLedger};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

fn spec(name: &str, class: Class) -> FactSpec {
    FactSpec {
        settle: jiff::SignedDuration::from_secs(10),
        ..FactSpec::plain(name, class)
    }
}

/// A ledger in which `F` was asked for at 1 and proven at 2.
fn taken() -> SystemLedger {
    let mut ledger = SystemLedger::default();
    let entry = ledger.facts.entry("F".into()).or_default();
    (entry.accepted, entry.verified) = (Some(at(1)), Some(at(2)));
    ledger
}

fn shown(states: Vec<FactState>) -> Vec<(String, Verdict)> {
    let shown = states.into_iter().map(|state| (state.spec.name, state.verdict));
    shown.collect()
}

#[test]
fn what_we_asked_for_or_may_have_is_ours_and_nothing_else() {
    type Change = fn(&mut FactLedger);
    let cases: &[(&str, Change, bool)] = &[
        ("found true", |entry| entry.verified = Some(at(1)), false),
        ("accepted", |entry| entry.accepted = Some(at(1)), true),
        ("an intent", |entry| entry.intent = Some(at(1)), true),
        ("tried", |entry| entry.tried = Some(at(1)), true),
    ];
    for (what, change, expected) in cases {
        let mut ledger = SystemLedger::default();
        change(ledger.facts.entry("F".into()).or_default());
        assert_eq!(ours(&ledger, "F"), *expected, "{what}");
    }
    let mut kept = SystemLedger::default();
    kept.keep("F", &json!(["a"]), &Room::default());
    assert!(ours(&kept, "F"), "something was taken away");
}

#[test]
fn access_is_given_back_first() {
    let own = [
        FactSpec {
            irreversible: true,
            by_hand: true,
            requires: vec!["X".into()],
            ..spec("Disabled", Class::Access)
        },
        spec("GroupsLeft", Class::Entitlements),
    ];
    let live: Vec<&FactSpec> = own.iter().collect();
    let facts = facts_of_undoing(&live);
    let names: Vec<&str> = facts.iter().map(|fact| fact.name.as_str()).collect();
    assert_eq!(names, ["DisabledUndone", "GroupsLeftUndone"]);
    assert_eq!(original(names[0]), "Disabled");
    assert!(facts[0].prefers_after.is_empty() && facts[0].requires.is_empty());
    assert!(!facts[0].irreversible && !facts[0].by_hand);
    assert_eq!(facts[1].prefers_after, ["DisabledUndone"]);
}

#[test]
fn a_late_read_may_show_what_we_took_for_as_long_as_it_settles() {
    let undoing = spec("FUndone", Class::Access);
    let mut ledger = taken();
    assert_eq!(shown_from(&ledger, &undoing, at(0)), Some(at(11)));
    assert_eq!(
        shown_from(&ledger, &undoing, at(40)),
        Some(at(50)),
        "another process"
    );
    ledger.facts.get_mut("F").unwrap().tried = Some(at(5));
    let unanswered = schedule::later(at(5 + 10), LONGEST_CALL * 2);
    assert_eq!(shown_from(&ledger, &undoing, at(40)), Some(unanswered));
    ledger.facts.entry("FUndone".into()).or_default().accepted = Some(at(60));
    ledger.facts.get_mut("F").unwrap().tried = None;
    assert_eq!(
        shown_from(&ledger, &undoing, at(40)),
        Some(at(11)),
        "asked for since"
    );
}

#[test]
fn what_somebody_else_undid_may_be_shown_late_unless_we_asked_again() {
    let undoing = spec("FUndone", Class::Access);
    let mut ledger = taken();
    ledger.facts.get_mut("F").unwrap().doubted = Some(at(3));
    assert_eq!(doubtful_until(&ledger, &undoing), None);
    ledger.facts.get_mut("F").unwrap().accepted = None;
    assert_eq!(doubtful_until(&ledger, &undoing), Some(at(13)));
}

#[test]
fn what_is_proven_undone_is_forgotten_and_what_cannot_be_is_lost() {
    let facts = [spec("F", Class::Access), spec("G", Class::Data)];
    let mut ledger = taken();
    ledger.facts.entry("G".into()).or_default().accepted = Some(at(1));
    let before = ledger.clone();
    settle(&mut ledger, &facts, |_| true);
    assert_eq!(ledger, before, "nothing is undone yet");
    settle(&mut ledger, &facts, |fact| fact == "F");
    assert!(ledger.fact("GUndone").lost);
    assert!(
        ledger.facts.contains_key("G"),
        "it says how the rest is to be read"
    );
    ledger.facts.entry("FUndone".into()).or_default().verified = Some(at(9));
    settle(&mut ledger, &facts, |fact| fact == "F");
    let left: Vec<&String> = ledger.facts.keys().collect();
    assert_eq!(left, ["FUndone", "GUndone"]);
    let verdicts = shown(settled(&ledger, &facts));
    let lost = Verdict::NotNeeded(Exempt::NotRestorable);
    assert_eq!(
        verdicts,
        [
            ("FUndone".to_owned(), Verdict::Verified),
            ("GUndone".to_owned(), lost)
        ]
    );
    leaves_again(&mut ledger);
    assert!(ledger.facts.is_empty());
}

#[test]
fn what_was_undone_but_for_some_of_it_says_how_many() {
    let mut ledger = SystemLedger::default();
    let entry = ledger.facts.entry("OldUndone".into()).or_default();
    entry.verified = Some(at(9));
    entry.gone = ["a".to_owned(), "b".to_owned()].into();
    let gone = Verdict::NotNeeded(Exempt::GoneMeanwhile(2));
    assert_eq!(
        shown(settled(&ledger, &[])),
        [("OldUndone".to_owned(), gone)],
        "also of a fact that its definition has lost"
    );
}

#[test]
fn what_a_definition_does_not_know_any_more_is_out_of_reach() {
    let ledger = taken();
    let lost = Verdict::NotNeeded(Exempt::NotRestorable);
    assert_eq!(shown(out_of_reach(&ledger, &[])), [("FUndone".to_owned(), lost)]);
    assert_eq!(out_of_reach(&ledger, &[spec("F", Class::Access)]), []);
}

#[test]
fn what_there_is_nothing_left_of_to_give_back_to_is_lost() {
    let state = |name: &str, verdict| FactState::unseen(spec(name, Class::Access), verdict);
    let mut ledger = SystemLedger::default();
    let facts = [
        state("FUndone", Verdict::NotNeeded(Exempt::NotApplicable)),
        state("GUndone", Verdict::NotNeeded(Exempt::Waived)),
    ];
    record_lost(&mut ledger, &facts);
    assert!(ledger.fact("FUndone").lost && !ledger.fact("GUndone").lost);
}
