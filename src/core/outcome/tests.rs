use std::collections::BTreeSet;

use super::*;
use crate::core::fact::{Act, Class, Sight};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

fn fact() -> FactSpec {
    FactSpec::plain("F", Class::Access)
}

fn refused() -> Fault {
    Fault::permanent(Reason::Refused)
}

/// A look that began at 10 and shows `F` false, with an act on the second of three rungs.
fn look(more: bool) -> Look {
    let mut look = Look::default();
    look.begin(at(10));
    let act = Act {
        fact: "F".into(),
        requests: vec![],
        rung: 1,
        more,
    };
    let sight = Sight {
        act: Some(act),
        ..Sight::of(Truth::DoesNotHold)
    };
    look.sights.insert("F".into(), sight);
    look
}

fn waits_until(state: &SystemState) -> Option<Timestamp> {
    state.pace.facts.get("F").map(|trouble| trouble.not_before)
}

/// `F` was sent at 11 with a durable intent; what `answer` at 20 leaves.
fn answered(answer: Result<Receipt, Fault>) -> (SystemState, Look, Vec<Event>) {
    let (mut state, mut look) = (SystemState::default(), look(true));
    state.entry("F").intent = Some(at(11));
    let happened = state.record_answer(&mut look, "F", answer, at(20));
    assert!(happened.iter().all(|happened| happened.fact == "F"));
    let events = happened.into_iter().map(|happened| happened.event);
    (state, look, events.collect())
}

#[test]
fn an_answer_says_when_it_was_asked_and_never_that_it_is_true() {
    type Answered<'c> = (
        &'c str,
        Result<Receipt, Fault>,
        Option<i64>,
        Option<i64>,
        &'c [Event],
    );
    let cases: [Answered<'_>; 6] = [
        (
            "accepted",
            Ok(Receipt::default()),
            Some(20),
            None,
            &[Event::Asked],
        ),
        (
            "lost",
            Err(Fault::unknown_outcome(Reason::Timeout)),
            None,
            Some(11),
            &[],
        ),
        ("refused", Err(refused()), None, None, &[]),
        ("throttled", Err(Fault::throttled(at(90))), None, None, &[]),
        (
            "another account answered",
            Err(Fault::permanent(Reason::IdentityMismatch)),
            None,
            None,
            &[Event::IdentityMismatch],
        ),
        (
            "others lost something",
            Err(Fault::needs_decision(Reason::OthersAffected).with_code("3 others")),
            None,
            None,
            &[Event::OthersAffected],
        ),
    ];
    for (what, answer, accepted, intent, events) in cases {
        let (state, look, happened) = answered(answer.clone());
        let entry = state.ledger.fact("F");
        assert_eq!(happened, events, "{what}");
        assert_eq!(entry.verified, None, "{what}");
        assert_eq!(
            (entry.accepted, entry.intent),
            (accepted.map(at), intent.map(at)),
            "{what}"
        );
        let sent = match answer {
            Ok(_) => Sent::Accepted,
            Err(fault) => Sent::Failed(fault),
        };
        assert_eq!(look.sent["F"], sent, "{what}");
    }
}

#[test]
fn what_a_fault_says_is_heeded() {
    let (state, ..) = answered(Err(Fault::unknown_outcome(Reason::Timeout)));
    assert_eq!(state.pace.asked["F"], at(20), "its settle time runs from now");
    let (state, ..) = answered(Err(Fault::throttled(at(90))));
    assert_eq!(
        (state.pace.parked_until, waits_until(&state)),
        (Some(at(90)), None)
    );
    let (state, ..) = answered(Err(Fault::permanent(Reason::IdentityMismatch)));
    assert!(state.ledger.identity_mismatch);
    let (state, ..) = answered(Err(
        Fault::needs_decision(Reason::OthersAffected).with_code("3 others")
    ));
    assert_eq!(state.ledger.fact("F").others.as_deref(), Some("3 others"));
}

#[test]
fn a_refusal_tries_the_next_alternative_at_once_until_all_were_tried() {
    let (state, ..) = answered(Err(refused()));
    assert_eq!((state.ledger.fact("F").rung, waits_until(&state)), (2, None));
    let (mut state, mut last) = (SystemState::default(), look(false));
    state.record_answer(&mut last, "F", Err(refused()), at(20));
    assert_eq!(state.ledger.fact("F").rung, 2);
    assert!(waits_until(&state).is_some_and(|until| until > at(20)));
}

#[test]
fn asking_again_is_no_news_and_waits_longer_each_time() {
    let (mut state, mut look, _) = answered(Ok(Receipt::default()));
    let again = |state: &mut SystemState, look: &mut Look, now| {
        let happened = state.record_answer(look, "F", Ok(Receipt::default()), at(now));
        assert_eq!(happened, []);
        state.pace.facts["F"].clone()
    };
    let first = again(&mut state, &mut look, 100);
    let second = again(&mut state, &mut look, 200);
    assert_eq!((first.fault, first.attempts), (without_effect(), 0));
    assert_eq!(
        (second.attempts, state.ledger.fact("F").accepted),
        (1, Some(at(200)))
    );
}

#[test]
fn what_cannot_be_given_back_twice_is_gone() {
    let gone = |digest: &str| {
        Ok(Receipt {
            gone: BTreeSet::from([digest.to_owned()]),
            ..Receipt::default()
        })
    };
    let (mut state, mut look, _) = answered(gone("a"));
    assert!(
        state.ledger.fact("F").gone.is_empty(),
        "an earlier process may have done it"
    );
    let happened = state.record_answer(&mut look, "F", gone("a"), at(30));
    assert_eq!(happened, [Happened::new("F", Event::Gone)]);
    assert_eq!(state.ledger.fact("F").gone, BTreeSet::from(["a".to_owned()]));
}

#[test]
fn an_operation_is_known_by_its_last_id_and_a_text_is_no_id() {
    let operation = |id: String| Receipt {
        operation: Some(id),
        ..Receipt::default()
    };
    let (mut state, mut look, _) = answered(Ok(operation("7".into())));
    for (receipt, expected) in [
        (Receipt::default(), "7"),
        (operation("8".into()), "8"),
        (operation("x".repeat(LONGEST + 1)), "8"),
    ] {
        state.record_answer(&mut look, "F", Ok(receipt), at(30)).clear();
        assert_eq!(state.ledger.fact("F").operation.as_deref(), Some(expected));
    }
}

#[test]
fn only_a_try_at_its_own_time_makes_the_next_wait_longer() {
    let fault = Fault::transient(Reason::Timeout);
    let mut state = SystemState::default();
    state.record_fault("F", &fault, at(0));
    let first = state.pace.facts["F"].clone();
    state.record_fault(
        "F",
        &fault,
        first.not_before - jiff::SignedDuration::from_nanos(1),
    );
    assert_eq!(state.pace.facts["F"], first);
    state.record_fault("F", &fault, first.not_before);
    assert_eq!(state.pace.facts["F"].attempts, 1);
}

#[test]
fn what_failed_before_the_end_holds_nothing_up_after_it() {
    let fault = Fault::needs_decision(Reason::PermissionDenied);
    let mut state = SystemState::default();
    state.record_system_fault(&fault, at(5), at(0));
    assert_eq!(state.pace.system.as_ref().map(|t| t.not_before), Some(at(5)));
    state.record_system_fault(&fault, at(5), at(5));
    assert!(
        state
            .pace
            .system
            .is_some_and(|trouble| trouble.not_before > at(5))
    );
}

/// What a look that shows `truth` leaves, of which the rules conclude `verdict`; `F` had been sent at 3 without an answer.
fn concluded(fact: &FactSpec, truth: Truth, verdict: Verdict) -> (SystemState, Recorded) {
    let mut state = SystemState::default();
    state.entry("F").intent = Some(at(3));
    let mut look = look(false);
    look.sights.insert("F".into(), Sight::of(truth));
    let conclusion = Conclusion {
        fact,
        verdict,
        attested_at: Some(at(4)),
    };
    let recorded = state.record_look(&look, vec![conclusion], at(0), at(20));
    (state, recorded)
}

#[test]
fn a_look_proves_what_the_rules_conclude_and_nothing_else() {
    let unreadable = || Truth::Unreadable(Fault::transient(Reason::Timeout));
    let cases: [(Truth, Verdict, Option<i64>, &[Event]); 6] = [
        (Truth::Holds, Verdict::Verified, Some(10), &[Event::Verified]),
        (
            Truth::DoesNotHold,
            Verdict::Asserted,
            Some(10),
            &[Event::Asserted],
        ),
        (unreadable(), Verdict::Verified, None, &[]),
        (Truth::Holds, Verdict::Pending(at(30)), None, &[]),
        (Truth::DoesNotHold, Verdict::Unmet(Why::NotTried), None, &[]),
        (
            unreadable(),
            Verdict::Unknown(Fault::permanent(Reason::IdentityMismatch)),
            None,
            &[Event::IdentityMismatch],
        ),
    ];
    for (truth, verdict, verified, events) in cases {
        let (state, recorded) = concluded(&fact(), truth, verdict.clone());
        let entry = state.ledger.fact("F");
        assert_eq!(entry.verified, verified.map(at), "{verdict:?}");
        let happened: Vec<Event> = recorded.happened.iter().map(|happened| happened.event).collect();
        assert_eq!(happened, events, "{verdict:?}");
        assert_eq!(
            recorded.proven.len(),
            usize::from(verified.is_some()),
            "{verdict:?}"
        );
        if verified.is_some() {
            // Its effect is seen: whoever did not answer had accepted it.
            assert_eq!((entry.accepted, entry.intent), (Some(at(3)), None));
            assert!(entry.concluded);
            assert_eq!(state.pace.seen["F"], at(10));
        }
    }
}

#[test]
fn what_is_not_known_or_cannot_be_done_is_looked_at_again_later() {
    let fault = || Fault::needs_decision(Reason::PermissionDenied);
    let follows = FactSpec {
        after: vec!["G".into()],
        ..fact()
    };
    for (spec, verdict, reason) in [
        (fact(), Verdict::Unknown(fault()), Reason::PermissionDenied),
        (fact(), Verdict::Unmet(Why::NoAct), Reason::Conflict),
        (follows.clone(), Verdict::Unmet(Why::NoAct), Reason::Conflict),
    ] {
        let (state, _) = concluded(&spec, Truth::DoesNotHold, verdict.clone());
        assert_eq!(state.pace.facts["F"].fault.reason, reason, "{verdict:?}");
    }
    let soon = concluded(&follows, Truth::DoesNotHold, Verdict::Unmet(Why::NoAct)).0;
    let late = concluded(&fact(), Truth::DoesNotHold, Verdict::Unmet(Why::NoAct)).0;
    assert!(
        waits_until(&soon) < waits_until(&late),
        "what follows by itself shows soon"
    );
}

#[test]
fn a_task_counts_as_done_on_a_word_until_it_is_read() {
    let task = FactSpec {
        by_hand: true,
        ..fact()
    };
    let (mut state, recorded) = concluded(&task, Truth::DoesNotHold, Verdict::Asserted);
    assert_eq!(recorded.happened, [Happened::new("F", Event::Asserted)]);
    assert_eq!(recorded.proven, [""; 0], "nothing of ours is to be given back");
    assert_eq!(state.ledger.fact("F").attested_at, Some(at(4)));
    let conclusion = Conclusion {
        fact: &task,
        verdict: Verdict::Verified,
        attested_at: Some(at(4)),
    };
    let mut seen = look(false);
    seen.sights.insert("F".into(), Sight::of(Truth::Holds));
    let recorded = state.record_look(&seen, vec![conclusion], at(0), at(30));
    assert_eq!(recorded.happened, [Happened::new("F", Event::Verified)]);
    assert_eq!(state.ledger.fact("F").attested_at, None);
}

#[test]
fn what_depends_on_the_cutoff_is_proven_for_one() {
    let dated = FactSpec {
        dated: true,
        ..fact()
    };
    let (state, _) = concluded(&dated, Truth::Holds, Verdict::Verified);
    assert_eq!(state.ledger.fact("F").cutoff, Some(at(0)));
}

#[test]
fn what_was_held_back_goes_on_at_once_when_there_is_something_to_do() {
    for (fault, possible, left) in [
        (
            Fault::transient(Reason::Conflict).with_code(NOTHING_TO_DO),
            true,
            false,
        ),
        (
            Fault::transient(Reason::Conflict).with_code(NOTHING_TO_DO),
            false,
            true,
        ),
        (
            Fault::needs_decision(Reason::Protected).with_code("last administrator"),
            true,
            false,
        ),
        (Fault::needs_decision(Reason::Protected), true, true),
        (Fault::transient(Reason::Timeout), true, true),
    ] {
        let mut state = SystemState::default();
        state.record_fault("F", &fault, at(0));
        let mut look = look(false);
        if !possible {
            look.sights.clear();
        }
        state.release_held_back(&look);
        assert_eq!(state.pace.facts.contains_key("F"), left, "{fault:?} {possible}");
    }
}
