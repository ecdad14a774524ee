use super::*;

fn at(hours: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + 3600 * hours).unwrap()
}

/// The end at hour 0, looked at in hour 1.
fn end() -> Commitment {
    Commitment {
        cutoff: at(0),
        watched_for: SignedDuration::from_hours(90 * 24),
        deletes: true,
        ..Commitment::default()
    }
}

/// As [`super::settle`], of what was agreed in hour 0; what is remembered without since when.
fn settle(
    agreed: Option<&Commitment>,
    wished: Commitment,
    yes: impl Fn(Gate, &BTreeSet<Item>) -> bool,
    now: Timestamp,
) -> Plain {
    let agreed = agreed.map(|end| Agreed {
        since: at(0),
        end: end.clone(),
    });
    let settled = super::settle(agreed.as_ref(), wished, &Known::default(), yes, now);
    Plain {
        now: settled.now,
        remembered: settled.remembered.map(|agreed| agreed.end),
        asked: settled.asked,
    }
}

struct Plain {
    now: Commitment,
    remembered: Option<Commitment>,
    asked: Vec<(Gate, BTreeSet<Item>)>,
}

fn without_a_yes(wished: Commitment) -> Plain {
    settle(Some(&end()), wished, |_, _| false, at(1))
}

fn keeping(connector: &str, facts: &[(&str, i64)], all: Option<i64>) -> Commitment {
    let facts = facts.iter().map(|(fact, until)| ((*fact).to_owned(), at(*until)));
    let kept = Kept {
        all: all.map(at),
        facts: facts.collect(),
    };
    Commitment {
        kept: [(connector.to_owned(), kept)].into(),
        ..end()
    }
}

#[test]
fn before_the_end_everything_may_change_and_nothing_is_remembered() {
    let later = Commitment {
        cutoff: at(9),
        suspended: true,
        ..end()
    };
    let settled = settle(None, later.clone(), |_, _| false, at(1));
    assert_eq!(
        (settled.now, settled.remembered, settled.asked),
        (later, None, vec![])
    );
    let settled = settle(None, end(), |_, _| false, at(1));
    assert_eq!(settled.remembered, Some(end()));
    for begun in [
        Commitment {
            suspended: true,
            ..end()
        },
        Commitment {
            plan_only: true,
            ..end()
        },
        Commitment {
            reinstated: true,
            ..end()
        },
    ] {
        assert_eq!(settle(None, begun, |_, _| false, at(1)).remembered, None);
    }
}

#[test]
fn what_loosens_the_end_waits_for_a_yes_and_then_stays() {
    for wished in [
        Commitment {
            cutoff: at(9),
            ..end()
        },
        Commitment {
            suspended: true,
            ..end()
        },
        Commitment {
            plan_only: true,
            ..end()
        },
        Commitment {
            watched_for: SignedDuration::from_mins(1),
            ..end()
        },
        keeping("crm", &[], Some(9)),
        keeping("crm", &[("AccountBlocked", 9)], None),
    ] {
        let settled = without_a_yes(wished.clone());
        assert_eq!(
            settled.now,
            Commitment {
                kept: settled.now.kept.clone(),
                ..end()
            },
            "{wished:?}"
        );
        assert!(
            settled.now.kept.values().all(|kept| *kept == Kept::default()),
            "{wished:?}"
        );
        assert!(matches!(&settled.asked[..], [(Gate::Loosen, items)] if items.len() == 1));
        let granted = settle(Some(&end()), wished.clone(), |_, _| true, at(1));
        assert_eq!(granted.now, wished);
        let later = settle(granted.remembered.as_ref(), wished.clone(), |_, _| false, at(2));
        assert_eq!(
            (later.now, later.asked),
            (wished, vec![]),
            "a yes is not needed twice"
        );
    }
}

#[test]
fn a_yes_is_about_exactly_what_is_loosened() {
    let items = |wished| without_a_yes(wished).asked[0].1.clone();
    let one = items(Commitment {
        cutoff: at(9),
        ..end()
    });
    assert_ne!(
        one,
        items(Commitment {
            cutoff: at(10),
            ..end()
        })
    );
    assert_ne!(
        one,
        items(Commitment {
            cutoff: at(9),
            suspended: true,
            ..end()
        })
    );
    assert_ne!(
        items(keeping("crm", &[("A", 9)], None)),
        items(keeping("crm", &[("A", 10)], None))
    );
}

#[test]
fn another_clock_is_not_put_off_either() {
    let contract = |hours: i64| Commitment {
        dates: [("employmentEnds".to_owned(), at(hours))].into(),
        ..end()
    };
    let agreed = contract(50);
    let settled = settle(Some(&agreed), contract(90), |_, _| false, at(1));
    assert_eq!((settled.now, settled.asked.len()), (agreed.clone(), 1));
    let settled = settle(Some(&agreed), contract(40), |_, _| false, at(1));
    assert_eq!((settled.now, settled.asked), (contract(40), vec![]));
}

#[test]
fn a_yes_is_about_one_end_and_not_about_the_next() {
    let paused = Commitment {
        suspended: true,
        ..end()
    };
    let ask = |agreed: &Agreed, wished: &Commitment, hour: i64| {
        super::settle(
            Some(agreed),
            wished.clone(),
            &Known::default(),
            |_, _| false,
            at(hour),
        )
    };
    let first = super::settle(None, end(), &Known::default(), |_, _| false, at(0))
        .remembered
        .unwrap();
    let asked = ask(&first, &paused, 1).asked;
    assert_eq!(
        ask(&first, &paused, 2).asked,
        asked,
        "the same for as long as it waits"
    );
    let granted = super::settle(
        Some(&first),
        paused.clone(),
        &Known::default(),
        |_, _| true,
        at(3),
    );
    let goes_on = ask(&granted.remembered.unwrap(), &end(), 4).remembered.unwrap();
    let again = ask(&goes_on, &paused, 5);
    assert_eq!(again.now, end());
    assert_ne!(again.asked, asked, "another pause needs another yes");
}

#[test]
fn what_makes_the_end_stricter_or_changes_nothing_any_more_needs_nobody() {
    let kept = keeping("crm", &[("A", 9)], Some(5));
    for wished in [
        end(),
        Commitment {
            cutoff: at(-5),
            ..end()
        },
        keeping("crm", &[("A", 8)], Some(4)),
        keeping("crm", &[("B", 5)], None),
        Commitment {
            deletes: false,
            ..end()
        },
    ] {
        let settled = settle(Some(&kept), wished.clone(), |_, _| false, at(1));
        assert_eq!((settled.now, settled.asked), (wished, vec![]));
    }
    let past = Commitment {
        cutoff: at(1),
        ..end()
    };
    let settled = settle(Some(&end()), past.clone(), |_, _| false, at(2));
    assert_eq!(
        (settled.now, settled.asked),
        (past, vec![]),
        "a day within the past"
    );
    let over = keeping("crm", &[], Some(1));
    assert_eq!(settle(Some(&end()), over, |_, _| false, at(2)).asked, vec![]);
}

#[test]
fn a_legal_hold_that_is_lifted_waits_for_a_yes() {
    let held = Commitment {
        deletes: false,
        ..end()
    };
    let settled = settle(Some(&held), end(), |_, _| false, at(1));
    assert!(!settled.now.deletes && settled.asked.len() == 1);
}

#[test]
fn a_reinstatement_waits_by_itself_and_whoever_leaves_again_has_another_end() {
    let back = Commitment {
        reinstated: true,
        suspended: true,
        ..end()
    };
    let settled = without_a_yes(back.clone());
    let gates: Vec<Gate> = settled.asked.iter().map(|(gate, _)| *gate).collect();
    assert_eq!(gates, [Gate::Reinstate, Gate::Loosen]);
    assert_eq!(settled.now, end());
    let only_that = |gate, _: &BTreeSet<Item>| gate == Gate::Reinstate;
    let granted = settle(Some(&end()), back.clone(), only_that, at(1));
    assert_eq!(granted.now, back);
    let again = Commitment {
        cutoff: at(99),
        ..end()
    };
    let settled = settle(granted.remembered.as_ref(), again.clone(), |_, _| false, at(3));
    assert_eq!(
        (settled.now, settled.remembered, settled.asked),
        (again, None, vec![])
    );
}

const ROW: &str = "crm";

fn reaching(reach: Reach) -> Commitment {
    Commitment {
        reach: Some(reach),
        ..end()
    }
}

/// What is agreed: looked at each hour, keys a day after the rest.
fn agreed_reach() -> Reach {
    Reach {
        every: SignedDuration::from_hours(1),
        wanted: [("Credentials".to_owned(), Some(at(24)))].into(),
        ..Reach::default()
    }
}

fn wanting(name: &str, hour: Option<i64>) -> Reach {
    let mut reach = agreed_reach();
    reach.wanted.insert(name.to_owned(), hour.map(at));
    reach
}

/// Of somebody with an account in [`ROW`], whose keys and groups are still there.
fn known() -> Known {
    let facts = [
        ("KeysDeleted", Class::Credentials),
        ("GroupsRemoved", Class::Entitlements),
    ];
    Known {
        facts: facts.map(|(fact, class)| (fact.to_owned(), class)).into(),
        rows: [ROW.to_owned()].into(),
    }
}

fn reach_after(wished: Reach, known: &Known, yes: bool) -> (Reach, Vec<String>) {
    let agreed = Agreed {
        since: at(0),
        end: reaching(agreed_reach()),
    };
    let settled = super::settle(Some(&agreed), reaching(wished), known, |_, _| yes, at(1));
    assert_eq!(settled.remembered.unwrap().end, settled.now);
    let items = settled.asked.into_iter().flat_map(|(gate, items)| {
        assert_eq!(gate, Gate::Loosen);
        items
            .into_iter()
            .map(|item| format!("{}: {}", item.row, item.fact))
    });
    (settled.now.reach.unwrap(), items.collect())
}

#[test]
fn what_a_configurer_loosens_waits_for_a_yes_about_exactly_that() {
    let rows = || [ROW.to_owned()].into();
    for (wished, item) in [
        (
            Reach {
                every: SignedDuration::from_hours(9000),
                ..agreed_reach()
            },
            ": recheck.every: 9000h",
        ),
        (wanting("KeysDeleted", Some(48)), ": timeline.at: KeysDeleted"),
        (wanting("Credentials", Some(48)), ": timeline.at: KeysDeleted"),
        (wanting("KeysDeleted", None), ": timeline.skip: KeysDeleted"),
        (wanting("GroupsRemoved", Some(9)), ": timeline.at: GroupsRemoved"),
        (
            Reach {
                observed: rows(),
                ..agreed_reach()
            },
            "crm: mode: Observe",
        ),
        (
            Reach {
                left_out: rows(),
                ..agreed_reach()
            },
            "crm: not selected",
        ),
        (
            Reach {
                protected: rows(),
                ..agreed_reach()
            },
            "crm: protected",
        ),
    ] {
        let (now, asked) = reach_after(wished.clone(), &known(), false);
        assert_eq!((now, asked), (agreed_reach(), vec![item.to_owned()]));
        let (now, _) = reach_after(wished.clone(), &known(), true);
        assert_eq!(now, wished, "{item}");
    }
}

#[test]
fn a_reach_that_is_stricter_or_of_what_nobody_knew_needs_nobody() {
    let sooner = Reach {
        every: SignedDuration::from_mins(1),
        ..wanting("KeysDeleted", Some(2))
    };
    assert_eq!(reach_after(sooner.clone(), &known(), false), (sooner, vec![]));
    let new = Reach {
        observed: ["new".to_owned()].into(),
        ..agreed_reach()
    };
    assert_eq!(
        reach_after(new.clone(), &known(), false),
        (new, vec![]),
        "a system that is connected to look at it first"
    );
    let begun = Known {
        facts: BTreeMap::new(),
        ..known()
    };
    let later = wanting("KeysDeleted", Some(48));
    assert_eq!(
        reach_after(later, &begun, false),
        (agreed_reach(), vec![]),
        "what was begun, or is of a system that is broken, stays as it was agreed"
    );
}

#[test]
fn what_an_earlier_version_did_not_keep_is_agreed_as_it_is() {
    let wished = reaching(wanting("KeysDeleted", None));
    let agreed = Agreed {
        since: at(0),
        end: end(),
    };
    let settled = super::settle(Some(&agreed), wished.clone(), &known(), |_, _| false, at(1));
    assert_eq!((settled.now, settled.asked), (wished, vec![]));
}
