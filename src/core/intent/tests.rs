use jiff::SignedDuration;

use super::*;
use crate::core::fact::Class;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

#[test]
fn what_cannot_be_repeated_given_back_or_matched_with_an_answer_is_durable_first() {
    type Change = fn(&mut FactSpec, &mut Sending<'_>);
    let cases: &[(&str, Class, Change, bool)] = &[
        ("repeatable, of access", Class::Access, |_, _| {}, false),
        (
            "not repeatable",
            Class::Access,
            |fact, _| fact.repeatable = false,
            true,
        ),
        (
            "irreversible",
            Class::Access,
            |fact, _| fact.irreversible = true,
            true,
        ),
        (
            "a snapshot under way",
            Class::Access,
            |_, sending| sending.unkept = true,
            true,
        ),
        (
            "access that can be given back",
            Class::Access,
            |_, sending| sending.can_undo = true,
            false,
        ),
        (
            "data that can be given back",
            Class::Data,
            |_, sending| sending.can_undo = true,
            true,
        ),
        (
            "the first that is answered by a callback",
            Class::Access,
            |fact, _| fact.reported = Some(SignedDuration::ZERO),
            true,
        ),
    ];
    for (what, class, change, expected) in cases {
        let mut fact = FactSpec::plain("F", *class);
        let before = fact.clone();
        let mut sending = Sending {
            fact: &before,
            facts: &[],
            unkept: false,
            can_undo: false,
        };
        change(&mut fact, &mut sending);
        let sending = Sending {
            fact: &fact,
            ..sending
        };
        let mut state = SystemState::default();
        assert_eq!(state.record_intent(&sending, at(1), at(2)), *expected, "{what}");
        assert_eq!(state.pace.last_sent, Some(at(2)), "{what}");
        let entry = state.ledger.fact("F");
        let unrepeatable = !fact.repeatable || fact.irreversible;
        assert_eq!(entry.intent, unrepeatable.then_some(at(2)), "{what}");
        assert_eq!(entry.tried, sending.can_undo.then_some(at(2)), "{what}");
        assert_eq!(entry.callback_watermark, fact.reported.map(|_| at(1)), "{what}");
    }
}

#[test]
fn only_the_first_that_is_answered_by_a_callback_waits_for_a_write() {
    let fact = FactSpec {
        reported: Some(SignedDuration::ZERO),
        ..FactSpec::plain("F", Class::Access)
    };
    let sending = Sending {
        fact: &fact,
        facts: &[],
        unkept: false,
        can_undo: false,
    };
    let mut state = SystemState::default();
    assert!(state.record_intent(&sending, at(1), at(2)));
    assert!(!state.record_intent(&sending, at(3), at(4)));
    assert_eq!(state.ledger.fact("F").callback_watermark, Some(at(1)));
}

#[test]
fn what_can_only_be_asserted_and_rests_on_a_fact_makes_it_wait_for_a_write() {
    let facts = [
        FactSpec::plain("F", Class::Access),
        FactSpec {
            proof: Proof::None,
            requires: vec!["F".into()],
            ..FactSpec::plain("Asserted", Class::Sessions)
        },
    ];
    let sending = Sending {
        fact: &facts[0],
        facts: &facts,
        unkept: false,
        can_undo: false,
    };
    let mut state = SystemState::default();
    assert!(
        !state.record_intent(&sending, at(1), at(2)),
        "it was never asked for"
    );
    state.entry("Asserted").accepted = Some(at(1));
    assert!(state.record_intent(&sending, at(1), at(2)));
}
