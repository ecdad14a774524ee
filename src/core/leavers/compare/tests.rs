use super::*;
use crate::core::people::Worker;

const TODAY: &str = "2026-09-15";

fn leaving(day: &str) -> Leaving {
    Leaving {
        person: "p1".into(),
        worker: Worker {
            person: "p1".into(),
            employee_id: Some("0117".into()),
            email: Some("jane@example.com".into()),
            ..Worker::default()
        },
        last_day: Some(day.into()),
        immediate: false,
        undated: false,
        horizon: Horizon::Within,
        details: BTreeMap::new(),
    }
}

fn leaves(leaving: Leaving) -> Decision {
    Decision::Leaving(Box::new(leaving))
}

/// Jane's Offboarding, made by this source.
fn ours(day: &str) -> Known {
    Known {
        person: Some("p1".into()),
        ..theirs(day)
    }
}

/// Jane's Offboarding, as Git has it.
fn theirs(day: &str) -> Known {
    Known {
        name: "leaver-0117".into(),
        email: Some("jane@example.com".into()),
        number: Some("0117".into()),
        last_day: Some(day.into()),
        ..Known::default()
    }
}

fn compared(decision: Decision, known: &[Known], wishes: Wishes) -> Compared {
    let decisions = BTreeMap::from([("p1".to_owned(), decision)]);
    compare(&decisions, &[], known, wishes, TODAY.parse().unwrap())
}

fn kinds(decision: Decision, known: &[Known]) -> Vec<Kind> {
    let compared = compared(decision, known, Wishes::default());
    compared.changes.iter().map(|change| change.kind).collect()
}

#[track_caller]
fn asks(decision: Decision, known: &[Known], wishes: Wishes, why: &str) {
    let compared = compared(decision, known, wishes);
    assert_eq!(compared.changes, []);
    let [ask] = compared.asks.as_slice() else {
        panic!("{:?}", compared.asks);
    };
    assert!(ask.why.contains(why), "{}", ask.why);
}

#[test]
fn a_new_leaver_is_created_within_the_horizon_only() {
    assert_eq!(kinds(leaves(leaving("2026-09-30")), &[]), [Kind::Create]);
    for horizon in [Horizon::Ahead, Horizon::History] {
        let far = Leaving {
            horizon,
            ..leaving("2026-09-30")
        };
        assert_eq!(kinds(leaves(far), &[]), []);
    }
}

#[test]
fn a_leaver_who_is_there_is_left_alone() {
    let compared = compared(
        leaves(leaving("2026-09-30")),
        &[ours("2026-09-30")],
        Wishes::default(),
    );
    assert_eq!(
        (compared.changes, compared.asks, compared.upcoming),
        (vec![], vec![], 1)
    );
}

#[test]
fn a_moved_day_moves_the_offboarding_or_asks() {
    for day in ["2026-09-20", "2026-10-31"] {
        assert_eq!(kinds(leaves(leaving(day)), &[ours("2026-09-30")]), [Kind::Move]);
        let ask = Wishes {
            ask_when_moved: true,
            ..Wishes::default()
        };
        asks(leaves(leaving(day)), &[ours("2026-09-30")], ask, day);
    }
    let now = Leaving {
        immediate: true,
        ..leaving("2026-09-30")
    };
    let ask = Wishes {
        ask_when_moved: true,
        ..Wishes::default()
    };
    let kind = compared(leaves(now), &[ours("2026-09-30")], ask).changes[0].kind;
    assert_eq!(kind, Kind::Move, "an end now is no moved date");
}

#[test]
fn a_day_that_moves_on_after_access_ended_asks() {
    let over = Known {
        over: true,
        ..ours("2026-09-10")
    };
    asks(
        leaves(leaving("2026-10-31")),
        std::slice::from_ref(&over),
        Wishes::default(),
        "after access had ended",
    );
    assert_eq!(
        kinds(leaves(leaving("2026-09-08")), &[over]),
        [],
        "the past is not moved about"
    );
}

#[test]
fn what_git_has_is_never_changed() {
    assert_eq!(kinds(leaves(leaving("2026-09-30")), &[theirs("2026-09-30")]), []);
    asks(
        leaves(leaving("2026-10-31")),
        &[theirs("2026-09-30")],
        Wishes::default(),
        "last day 2026-10-31",
    );
    assert_eq!(
        kinds(Decision::Staying(Staying::NoEnd), &[theirs("2026-09-30")]),
        []
    );
    let by_address = Known {
        name: "jane-doe".into(),
        number: None,
        ..theirs("2026-09-30")
    };
    assert_eq!(kinds(leaves(leaving("2026-09-30")), &[by_address]), []);
    let upper = Known {
        number: None,
        email: Some("JANE@EXAMPLE.COM".into()),
        ..theirs("2026-09-30")
    };
    assert_eq!(kinds(leaves(leaving("2026-09-30")), &[upper]), []);
}

#[test]
fn git_wins_over_our_own_of_the_same_person() {
    let both = [
        ours("2026-09-30"),
        Known {
            name: "jane-doe".into(),
            ..theirs("2026-09-20")
        },
    ];
    asks(
        leaves(leaving("2026-09-30")),
        &both,
        Wishes::default(),
        "last day 2026-09-30",
    );
}

#[test]
fn a_namesake_by_address_or_name_is_asked_about() {
    let other = Known {
        number: Some("0001".into()),
        ..theirs("2026-09-30")
    };
    asks(
        leaves(leaving("2026-09-30")),
        &[other],
        Wishes::default(),
        "another employee number",
    );
    let stranger = Known {
        number: None,
        email: Some("x@example.com".into()),
        ..theirs("2026-09-30")
    };
    asks(
        leaves(leaving("2026-09-30")),
        &[stranger],
        Wishes::default(),
        "somebody else",
    );
}

#[test]
fn an_end_that_is_taken_back_follows_the_users_wish() {
    let back = || Decision::Staying(Staying::NoEnd);
    assert_eq!(kinds(back(), &[ours("2026-09-30")]), [Kind::Suspend]);
    let over = Known {
        over: true,
        ..ours("2026-09-10")
    };
    asks(
        back(),
        std::slice::from_ref(&over),
        Wishes::default(),
        "took the end back",
    );
    let taken = Known {
        taken_back: true,
        ..ours("2026-09-30")
    };
    asks(back(), &[taken], Wishes::default(), "took the end back");
    let reinstate = Wishes {
        reinstate_when_withdrawn: true,
        ..Wishes::default()
    };
    for known in [ours("2026-09-30"), over] {
        let changes = compared(back(), &[known], reinstate).changes;
        assert_eq!(changes[0].kind, Kind::Reinstate);
    }
    let reinstated = Known {
        reinstated: true,
        ..ours("2026-09-10")
    };
    assert_eq!(kinds(back(), &[reinstated]), []);
}

#[test]
fn whoever_was_rehired_is_neither_cut_off_again_nor_given_back() {
    let over = Known {
        over: true,
        ..ours("2026-01-31")
    };
    let rehired = Decision::Staying(Staying::Rehired);
    assert_eq!(kinds(rehired, &[over]), [Kind::Suspend]);
}

#[test]
fn whoever_leaves_after_all_is_renewed() {
    let taken = Known {
        taken_back: true,
        over: true,
        ..ours("2026-09-30")
    };
    assert_eq!(kinds(leaves(leaving("2026-09-30")), &[taken]), [Kind::Renew]);
    let years_later = Known {
        reinstated: true,
        ..ours("2024-09-30")
    };
    assert_eq!(
        kinds(leaves(leaving("2026-09-30")), &[years_later]),
        [Kind::Renew]
    );
    let by_hand = Known {
        reinstated: true,
        ..ours("2026-09-30")
    };
    asks(
        leaves(leaving("2026-09-30")),
        &[by_hand],
        Wishes::default(),
        "reinstated by somebody",
    );
}

#[test]
fn access_comes_back_with_the_person_after_a_leave() {
    let away = Known {
        leave: true,
        immediate: true,
        over: true,
        last_day: None,
        ..ours("2026-09-30")
    };
    let back = Decision::Staying(Staying::NoEnd);
    assert_eq!(kinds(back, std::slice::from_ref(&away)), [Kind::Reinstate]);
    let again = Leaving {
        immediate: true,
        last_day: None,
        ..leaving("2026-09-30")
    };
    let back = Known {
        reinstated: true,
        ..away
    };
    assert_eq!(kinds(leaves(again), &[back]), [Kind::Renew]);
}

#[test]
fn another_contract_under_another_number_is_another_offboarding() {
    let old = Known {
        name: "leaver-c-17".into(),
        number: Some("C-17".into()),
        over: true,
        ..ours("2026-01-31")
    };
    let compared = compared(leaves(leaving("2026-09-30")), &[old], Wishes::default());
    assert_eq!(
        (compared.changes[0].kind, compared.changes[0].name.as_str()),
        (Kind::Create, "leaver-0117")
    );
}

#[test]
fn names_come_from_numbers_and_never_meet() {
    let name = |number: &str| {
        let mut leaving = leaving("2026-09-30");
        leaving.worker.employee_id = Some(number.into());
        name_of(&leaving)
    };
    assert_eq!(name("0117"), "leaver-0117");
    let odd = [
        "A/1", "a-1", "a1", "A1", "-a-1", "a-1-", "a_1", "A-1", "é", "ü", "/",
    ];
    let names: BTreeSet<String> = odd.iter().map(|number| name(number)).collect();
    assert_eq!(names.len(), odd.len(), "{names:?}");
    for name in names {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(
            name.chars().all(plain) && !name.ends_with('-') && name.len() <= 253,
            "{name}"
        );
    }
    let mut nameless = leaving("2026-09-30");
    nameless.worker.employee_id = None;
    assert!(name_of(&nameless).starts_with("leaver-") && !name_of(&nameless).contains("jane"));
}

#[test]
fn a_set_of_changes_is_bound_to_people_days_and_kinds() {
    let line = |decision| compared(decision, &[], Wishes::default()).changes[0].line();
    let day = line(leaves(leaving("2026-09-30")));
    assert_ne!(day, line(leaves(leaving("2026-10-01"))));
    assert_ne!(
        day,
        line(leaves(Leaving {
            immediate: true,
            ..leaving("2026-09-30")
        }))
    );
    assert_ne!(
        day,
        line(leaves(Leaving {
            person: "p2".into(),
            ..leaving("2026-09-30")
        }))
    );
}

/// What is asked, with whether nothing is done meanwhile; no change is made.
#[track_caller]
fn question(decision: Decision, staying: &[Keys], known: &[Known]) -> (String, bool) {
    let decisions = BTreeMap::from([("p1".to_owned(), decision)]);
    let compared = compare(
        &decisions,
        staying,
        known,
        Wishes::default(),
        TODAY.parse().unwrap(),
    );
    assert_eq!((compared.changes, compared.corrections), (vec![], vec![]));
    let [ask] = compared.asks.as_slice() else {
        panic!("{:?}", compared.asks);
    };
    (ask.why.clone(), ask.holds.is_some())
}

/// Held for what is asked about it; `answered` by a person who let it go on.
fn held(decision: &Decision, known: Known, answered: bool) -> Known {
    let decisions = BTreeMap::from([("p1".to_owned(), decision.clone())]);
    let compared = compare(
        &decisions,
        &[],
        std::slice::from_ref(&known),
        Wishes::default(),
        TODAY.parse().unwrap(),
    );
    Known {
        held: compared.asks[0].holds.clone(),
        suspended: !answered,
        ..known
    }
}

#[test]
fn what_changes_who_is_meant_waits_for_an_answer() {
    let changed = |email: &str, number: Option<&str>| {
        let mut leaving = leaving("2026-10-31");
        leaving.worker.email = Some(email.into());
        leaving.worker.employee_id = number.map(str::to_owned);
        leaves(leaving)
    };
    for (decision, what) in [
        (changed("smith@example.com", Some("0117")), "another address"),
        (changed("smith@example.com", None), "another address"),
        (
            changed("jane@example.com", Some("0171")),
            "another employee number",
        ),
    ] {
        let (why, holds) = question(decision.clone(), &[], &[ours("2026-09-30")]);
        assert!(why.contains(what) && holds, "{why}");
        let waiting = held(&decision, ours("2026-09-30"), false);
        assert!(
            question(decision.clone(), &[], &[waiting]).1,
            "as long as there is no answer"
        );
        let answered = held(&decision, ours("2026-09-30"), true);
        assert_eq!(
            kinds(decision, std::slice::from_ref(&answered)),
            [Kind::Move],
            "its day is followed"
        );
        let (_, holds) = question(changed("other@example.com", Some("0117")), &[], &[answered]);
        assert!(holds, "another question");
    }
    let over = Known {
        over: true,
        ..ours("2026-09-10")
    };
    let (why, holds) = question(changed("smith@example.com", None), &[], &[over]);
    assert!(why.contains("after access had ended") && !holds, "{why}");
    let spelt = changed("Jane@Example.com", Some("0117"));
    assert_eq!(kinds(spelt, &[ours("2026-09-30")]), [Kind::Move]);
    let unnumbered = Known {
        number: None,
        ..ours("2026-10-31")
    };
    let (why, holds) = question(changed("jane@example.com", Some("0117")), &[], &[unnumbered]);
    assert!(
        why.contains("employee number for this person by now") && !holds,
        "{why}"
    );
}

#[test]
fn a_record_that_cannot_be_used_any_more_is_asked_about_before_it_acts() {
    let broken = || Decision::Unusable("lastDay: not a date".into());
    let (why, holds) = question(broken(), &[], &[ours("2026-09-30")]);
    assert!(why.contains("lastDay: not a date") && holds, "{why}");
    let over = Known {
        over: true,
        ..ours("2026-09-10")
    };
    assert!(!question(broken(), &[], &[over]).1, "access has ended");
    let governed = Known {
        governed: true,
        ..ours("2026-09-30")
    };
    assert!(
        !question(broken(), &[], &[governed]).1,
        "somebody else says that it goes on"
    );
    assert_eq!(
        compared(broken(), &[theirs("2026-09-30")], Wishes::default()),
        Compared::default()
    );
    let answered = held(&broken(), ours("2026-09-30"), true);
    assert_eq!(
        compared(broken(), &[answered], Wishes::default()),
        Compared::default()
    );
    let waiting = held(&broken(), ours("2026-09-30"), false);
    let readable = compared(
        leaves(leaving("2026-09-30")),
        std::slice::from_ref(&waiting),
        Wishes::default(),
    );
    assert_eq!(readable.released, BTreeSet::from(["leaver-0117".to_owned()]));
    assert_eq!(
        kinds(Decision::Staying(Staying::NoEnd), std::slice::from_ref(&waiting)),
        [Kind::Suspend]
    );
    let mut disbelieved = compared(broken(), &[ours("2026-09-30")], Wishes::default());
    disbelieved.disbelieved();
    assert_eq!(disbelieved, Compared::default());
}

#[test]
fn whoever_works_on_under_another_id_or_beside_git_is_asked_about() {
    let keys = |email: &str, number: &str| Keys {
        person: "p1".into(),
        email: Some(email.into()),
        number: Some(number.into()),
    };
    let old = Known {
        person: Some("p0".into()),
        ..ours("2026-09-30")
    };
    let back = Known {
        over: true,
        ..old.clone()
    };
    let stays = || Decision::Staying(Staying::NoEnd);
    for known in [&old, &back] {
        for keys in [
            keys("jane@example.com", "0117"),
            keys("smith@example.com", "0117"),
        ] {
            let (why, holds) = question(stays(), &[keys], std::slice::from_ref(known));
            assert!(why.contains("another id") && holds, "{why}");
        }
    }
    let moved = leaves(leaving("2026-10-31"));
    assert!(question(moved, &[], std::slice::from_ref(&old)).1);
    assert_eq!(
        kinds(leaves(leaving("2026-09-30")), std::slice::from_ref(&old)),
        [],
        "leaves on the same day"
    );
    let (why, holds) = question(
        stays(),
        &[keys("jane@example.com", "0117")],
        &[theirs("2026-09-30")],
    );
    assert!(why.contains("works here on") && !holds, "{why}");
    let none = |decision: Decision, keys: Keys, known: &Known| {
        let decisions = BTreeMap::from([("p1".to_owned(), decision)]);
        let known = std::slice::from_ref(known);
        assert_eq!(
            compare(
                &decisions,
                &[keys],
                known,
                Wishes::default(),
                TODAY.parse().unwrap()
            ),
            Compared::default()
        );
    };
    none(stays(), keys("jane@example.com", "0118"), &old);
    none(
        Decision::Staying(Staying::LeftOut),
        keys("jane@example.com", "0117"),
        &old,
    );
    let reinstated = Known {
        reinstated: true,
        ..old
    };
    none(stays(), keys("jane@example.com", "0117"), &reinstated);
}

#[test]
fn other_details_than_the_day_follow_unless_somebody_set_them() {
    let details = |manager: &str, zone: &str| {
        BTreeMap::from([
            ("profile/manager".to_owned(), manager.to_owned()),
            ("cutoff/timeZone".to_owned(), zone.to_owned()),
        ])
    };
    let decision = leaves(Leaving {
        details: details("c@example.com", "America/Los_Angeles"),
        ..leaving("2026-09-30")
    });
    let known = Known {
        details: details("b@example.com", "Europe/Berlin"),
        ..ours("2026-09-30")
    };
    let corrected = |known: &Known| -> Vec<String> {
        let compared = compared(decision.clone(), std::slice::from_ref(known), Wishes::default());
        assert_eq!((compared.changes, compared.asks), (vec![], vec![]));
        let corrections = compared.corrections.iter();
        let leaving = corrections.filter_map(|change| change.leaving.as_ref());
        leaving
            .flat_map(|leaving| known.corrections(&leaving.details).into_keys())
            .collect()
    };
    assert_eq!(corrected(&known), ["cutoff/timeZone", "profile/manager"]);
    let over = Known {
        over: true,
        ..known.clone()
    };
    assert_eq!(
        corrected(&over),
        ["profile/manager"],
        "the past is not moved about"
    );
    for kept in ["profile/manager", "profile"] {
        let kept = Known {
            kept: BTreeSet::from([kept.to_owned()]),
            ..known.clone()
        };
        assert_eq!(corrected(&kept), ["cutoff/timeZone"]);
    }
    assert_eq!(
        corrected(&Known {
            details: details("c@example.com", "America/Los_Angeles"),
            ..known
        }),
        [""; 0]
    );
}
