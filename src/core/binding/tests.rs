use std::collections::BTreeMap;

use serde_json::Value;

use super::*;

fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + 3600 * hour).unwrap()
}

fn account(id: &str, name: &str) -> Account {
    Account {
        id: id.into(),
        name: name.into(),
        item: Value::Null.into(),
        doubt: None,
        keys: vec![],
    }
}

fn correlation(id: &str) -> Result<Correlation, Fault> {
    Ok(Correlation::One(Box::new(account(id, "jane"))))
}

fn search(system: &System) -> Search<'_> {
    Search {
        system,
        fingerprint: "crm",
        cutoff: at(0),
        reinstate: false,
        now: at(1),
    }
}

fn code(result: Result<Option<Account>, Fault>) -> String {
    result.map_or_else(
        |fault| fault.code,
        |found| found.map_or("nobody".into(), |account| account.id),
    )
}

#[test]
fn what_a_complete_answer_means_depends_on_what_was_known_before() {
    let named = |name: &str| {
        let mut system = System::default();
        system.who.account_name = Some(name.into());
        system
    };
    let lists = System {
        named: vec!["jane".into()],
        ..System::default()
    };
    let plain = System::default();
    let found = SystemLedger {
        found: Some(at(-9)),
        ..SystemLedger::default()
    };
    let ended = SystemLedger {
        no_account_since: Some(at(0)),
        ..SystemLedger::default()
    };
    let moved = SystemLedger {
        no_account_since: Some(at(-1)),
        ..SystemLedger::default()
    };
    let new = SystemLedger::default();
    let nobody = || Ok(Correlation::NoAccount);
    let cases = [
        ("bound", &plain, &new, correlation("7"), "7"),
        ("nobody", &plain, &new, nobody(), "nobody"),
        ("nobody any more", &plain, &found, nobody(), FOUND_BEFORE),
        ("nobody of this name", &named("adm"), &new, nobody(), NEVER_FOUND),
        (
            "there only after the end",
            &plain,
            &ended,
            correlation("8"),
            CAME_LATER,
        ),
        ("named by a person", &named("jane"), &ended, correlation("8"), "8"),
        ("in a row of its own", &lists, &ended, correlation("8"), "nobody"),
        ("the day was moved", &plain, &moved, correlation("8"), "8"),
        (
            "in their own rows",
            &plain,
            &found,
            Ok(Correlation::InOwnRows),
            "nobody",
        ),
    ];
    for (what, system, known, answer, expected) in cases {
        let mut ledger = known.clone();
        assert_eq!(code(search(system).bind(&mut ledger, answer)), expected, "{what}");
        assert_eq!(ledger.no_account, expected == "nobody", "{what}");
        let bound = ledger.account.as_ref().map(|bound| bound.id.as_str());
        assert_eq!(bound, Some(expected).filter(|id| id.len() == 1), "{what}");
    }
}

#[test]
fn a_fault_that_shows_somebody_is_remembered_and_any_other_changes_nothing() {
    let several = Fault::needs_decision(Reason::Ambiguous).with_code("2 accounts");
    for (fault, found) in [(several, Some(at(1))), (Fault::transient(Reason::Timeout), None)] {
        let mut ledger = SystemLedger {
            no_account: true,
            ..SystemLedger::default()
        };
        let system = System::default();
        assert_eq!(search(&system).bind(&mut ledger, Err(fault.clone())), Err(fault));
        assert_eq!((ledger.found, ledger.no_account), (found, found.is_none()));
    }
}

#[test]
fn that_nobody_was_there_at_the_end_is_noted_once() {
    let system = System::default();
    let mut ledger = SystemLedger::default();
    let early = Search {
        cutoff: at(5),
        ..search(&system)
    };
    early.bind(&mut ledger, Ok(Correlation::NoAccount)).unwrap();
    assert_eq!(ledger.no_account_since, None, "access has not ended");
    for hour in [6, 7] {
        let later = Search {
            now: at(hour),
            ..early
        };
        later.bind(&mut ledger, Ok(Correlation::NoAccount)).unwrap();
    }
    assert_eq!(ledger.no_account_since, Some(at(6)));
}

#[test]
fn a_binding_keeps_its_id_and_learns_its_fingerprint() {
    let system = System::default();
    let mut ledger = SystemLedger::default();
    search(&system).bind(&mut ledger, correlation("7")).unwrap();
    ledger.account.as_mut().unwrap().fingerprint = None;
    let later = Search {
        now: at(9),
        ..search(&system)
    };
    later.bind(&mut ledger, correlation("7")).unwrap();
    let bound = ledger.account.unwrap();
    assert_eq!((bound.id.as_str(), bound.bound_at), ("7", at(1)));
    assert_eq!(bound.fingerprint.as_deref(), Some("crm"));
}

#[test]
fn who_takes_over_is_never_the_leaver_and_may_change() {
    let system = System::default();
    let person = |email: &str| Person {
        email: Some(email.into()),
        ..Person::default()
    };
    let leaver = account("7", "jane");
    let mut ledger = SystemLedger::default();
    let mut bind = |email: &str, id: &str| {
        let taker = Some((person(email), account(id, email)));
        let bound = search(&system).bind_successor(&mut ledger, &leaver, taker);
        let kept = ledger.successor.as_ref().map(|bound| bound.id.clone());
        (bound.map(|(_, taker)| taker.id), kept)
    };
    assert_eq!(bind("jane@x", "7"), (None, None));
    assert_eq!(bind("bob@x", "8"), (Some("8".into()), Some("8".into())));
    assert_eq!(bind("eve@x", "9"), (Some("9".into()), Some("9".into())));
}

#[test]
fn somebody_may_have_an_account_where_nobody_answered_once_the_end_has_come() {
    let sought = |ledger: &SystemLedger, now| {
        let mut ledger = ledger.clone();
        record_sought(&mut ledger, at(0), at(now));
        ledger.sought
    };
    let new = SystemLedger::default();
    assert_eq!(sought(&new, -1), None);
    assert_eq!(sought(&new, 2), Some(at(2)));
    let nobody = SystemLedger {
        no_account: true,
        ..SystemLedger::default()
    };
    assert_eq!(sought(&nobody, 2), None, "that was the answer");
}

#[test]
fn an_account_that_one_address_finds_for_certain_is_not_in_doubt_by_another() {
    let doubtful = |id: &str| Account {
        doubt: Some("number".into()),
        ..account(id, id)
    };
    let united = |answers: [Vec<Account>; 2]| {
        let mut all = vec![];
        answers.into_iter().for_each(|found| unite(&mut all, found));
        let ids = all
            .iter()
            .map(|account| (account.id.clone(), account.doubt.is_some()));
        ids.collect::<Vec<_>>()
    };
    let (certain, doubt) = (("7".to_owned(), false), ("7".to_owned(), true));
    let plain = || account("7", "7");
    assert_eq!(
        united([vec![doubtful("7")], vec![plain()]]),
        std::slice::from_ref(&certain)
    );
    assert_eq!(
        united([vec![plain()], vec![doubtful("7")]]),
        std::slice::from_ref(&certain)
    );
    assert_eq!(united([vec![doubtful("7")], vec![doubtful("7")]]), [doubt]);
    let other = ("8".to_owned(), true);
    assert_eq!(united([vec![plain()], vec![doubtful("8")]]), [certain, other]);
}

#[test]
fn nothing_but_a_name_finds_a_person_only_where_their_accounts_were_named() {
    let by_name = Fault::needs_decision(Reason::Ambiguous).with_code(BY_NAME_ONLY);
    let no_way = Fault::needs_decision(Reason::Ambiguous).with_code(NO_WAY);
    let listed = System {
        named: vec!["adm".into()],
        ..System::default()
    };
    let mut known = listed.clone();
    known.who.email = Some("jane@x".into());
    for (system, fault, expected) in [
        (&listed, &by_name, true),
        (&listed, &no_way, true),
        (&known, &by_name, true),
        (&known, &no_way, false),
        (&System::default(), &by_name, false),
    ] {
        assert_eq!(found_by_name_alone(system, fault), expected, "{fault}");
    }
}

#[test]
fn an_account_is_closed_only_if_something_shows_it_and_nothing_says_otherwise() {
    for (truths, closed) in [
        (vec![], false),
        (vec![Truth::Holds], true),
        (vec![Truth::Holds, Truth::NotRead], true),
        (vec![Truth::Holds, Truth::DoesNotHold], false),
        (vec![Truth::NotRead], false),
    ] {
        assert_eq!(is_closed(&truths), closed, "{truths:?}");
    }
}

fn others(system: &System) -> Others<'_> {
    Others {
        search: search(system),
        bound_before: true,
        recheck_every: SignedDuration::from_hours(240),
    }
}

#[test]
fn others_are_looked_for_after_the_end_and_again_in_time() {
    let system = System::default();
    let pace = Pace::default();
    assert!(others(&system).due(&pace));
    let fresh = Others {
        bound_before: false,
        ..others(&system)
    };
    let mut early = others(&system);
    early.search.cutoff = at(2);
    let mut back = others(&system);
    back.search.reinstate = true;
    for not_due in [fresh, early, back] {
        assert!(!not_due.due(&pace), "{not_due:?}");
    }
    let looked = |names: &[&str]| Pace {
        others: Some((at(1), names.iter().map(|name| (*name).to_owned()).collect())),
        ..Pace::default()
    };
    let kept = System {
        kept_facts: BTreeMap::from([(NO_OTHER_ACCOUNT.to_owned(), at(99))]),
        ..System::default()
    };
    assert_eq!(others(&system).again(&looked(&[])), Some(at(241)));
    let asked = schedule::later(at(1), LONGEST_WAIT_FOR_A_PERSON);
    assert_eq!(others(&system).again(&looked(&["jane2"])), Some(asked));
    assert_eq!(others(&kept).again(&looked(&["jane2"])), Some(at(241)), "waived");
}

#[test]
fn another_active_account_is_a_question_until_nobody_finds_it_any_more() {
    let system = System::default();
    let mut state = SystemState::default();
    let doubt = |state: &SystemState| others(&system).doubt(state).map(|fault| fault.code);
    assert_eq!(doubt(&state), None);
    let timeout = || Fault::transient(Reason::Timeout).with_code("504");
    others(&system).record(&mut state, Err(timeout()));
    assert_eq!(doubt(&state).as_deref(), Some("504"), "nobody could look");
    others(&system).record(&mut state, Ok(vec!["jane2".into()]));
    assert_eq!(
        (doubt(&state).as_deref(), state.ledger.another),
        (Some(ANOTHER_ACCOUNT), Some(at(1)))
    );
    state.pace = Pace::default();
    assert_eq!(doubt(&state).as_deref(), Some(ANOTHER_ACCOUNT), "after a restart");
    others(&system).record(&mut state, Ok(vec![]));
    assert_eq!((doubt(&state), state.ledger.another), (None, None));
    others(&system).record(&mut state, Err(timeout()));
    assert_eq!(doubt(&state), None, "what was seen outlives a fault that passes");
}
