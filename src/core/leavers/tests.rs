use super::*;

const TODAY: &str = "2026-09-15";

fn rules() -> Rules {
    let now = format!("{TODAY}T12:00:00Z").parse().unwrap();
    let days = |n: i64| SignedDuration::from_hours(24 * n);
    Rules::at(now, days(30), days(365))
}

/// Jane with number 0117, without an end.
fn jane() -> Worker {
    Worker {
        person: "p1".into(),
        record: "r1".into(),
        employee_id: Some("0117".into()),
        email: Some("jane@example.com".into()),
        kind: Some("Employee".into()),
        starts: Some("2020-01-01".into()),
        ..Worker::default()
    }
}

fn until(day: &str, worker: Worker) -> Worker {
    Worker {
        last_day: Some(day.into()),
        ..worker
    }
}

fn from(day: &str, worker: Worker) -> Worker {
    Worker {
        starts: Some(day.into()),
        ..worker
    }
}

fn contractor(worker: Worker) -> Worker {
    Worker {
        kind: Some("Contractor".into()),
        employee_id: Some("C-17".into()),
        ..worker
    }
}

fn decide_with(workers: &[Worker], rules: &Rules) -> Decision {
    let readings: Vec<Reading> = workers.iter().cloned().map(Reading::wanted).collect();
    judge(&readings, rules).0.remove("p1").unwrap()
}

fn decided(workers: &[Worker]) -> Decision {
    decide_with(workers, &rules())
}

#[track_caller]
fn leaver(decision: Decision) -> Leaving {
    match decision {
        Decision::Leaving(leaving) => *leaving,
        other => panic!("not a leaver: {other:?}"),
    }
}

#[track_caller]
fn stays(workers: &[Worker], why: Staying) {
    assert_eq!(decided(workers), Decision::Staying(why));
}

#[track_caller]
fn unusable(workers: &[Worker], field: &str) {
    match decided(workers) {
        Decision::Unusable(text) => assert!(text.starts_with(field), "{text}"),
        other => panic!("usable: {other:?}"),
    }
}

#[test]
fn whoever_has_no_end_stays() {
    stays(&[jane()], Staying::NoEnd);
}

#[test]
fn a_last_day_makes_a_leaver() {
    let leaving = leaver(decided(&[until("2026-09-30", jane())]));
    assert_eq!(leaving.last_day.as_deref(), Some("2026-09-30"));
    assert_eq!((leaving.immediate, leaving.horizon), (false, Horizon::Within));
    assert_eq!(leaving.worker.employee_id.as_deref(), Some("0117"));
}

#[test]
fn the_end_of_the_contract_stands_in_for_a_missing_last_day() {
    let worker = Worker {
        employment_ends: Some("2026-09-30".into()),
        ..jane()
    };
    assert_eq!(leaver(decided(&[worker])).last_day.as_deref(), Some("2026-09-30"));
}

#[test]
fn a_late_entry_is_a_leaver_and_history_is_not() {
    let horizon = |day: &str| leaver(decided(&[until(day, jane())])).horizon;
    assert_eq!(horizon("2026-08-01"), Horizon::Within);
    assert_eq!(horizon("2025-09-15"), Horizon::Within);
    assert_eq!(horizon("2025-09-14"), Horizon::History);
    assert_eq!(horizon("2026-10-15"), Horizon::Within);
    assert_eq!(horizon("2026-10-16"), Horizon::Ahead);
}

#[test]
fn a_contractor_who_was_taken_on_stays() {
    let old = until("2026-09-14", contractor(jane()));
    stays(&[old.clone(), from("2026-09-15", jane())], Staying::Converted);
    stays(
        &[until("2026-09-30", contractor(jane())), jane()],
        Staying::Converted,
    );
}

#[test]
fn somebody_who_was_transferred_stays() {
    stays(
        &[until("2026-08-31", jane()), from("2026-09-01", jane())],
        Staying::Transferred,
    );
}

#[test]
fn a_new_contract_within_the_bridge_is_no_leaving() {
    let records = [until("2026-09-30", jane()), from("2026-10-11", jane())];
    assert_eq!(
        leaver(decided(&records)).last_day.as_deref(),
        Some("2026-09-30"),
        "no bridge is the default"
    );
    let bridge = Rules {
        bridge_days: 10,
        ..rules()
    };
    assert_eq!(
        decide_with(&records, &bridge),
        Decision::Staying(Staying::RehireBridge)
    );
    let bridge = Rules {
        bridge_days: 9,
        ..rules()
    };
    assert_eq!(
        leaver(decide_with(&records, &bridge)).last_day.as_deref(),
        Some("2026-09-30")
    );
}

#[test]
fn contracts_that_follow_each_other_end_with_the_last() {
    let records = [
        until("2026-08-31", jane()),
        until("2026-10-01", from("2026-09-01", jane())),
    ];
    assert_eq!(leaver(decided(&records)).last_day.as_deref(), Some("2026-10-01"));
}

#[test]
fn whoever_came_back_after_a_gap_works_here_again() {
    stays(
        &[until("2026-01-31", jane()), from("2026-09-01", jane())],
        Staying::Rehired,
    );
    let again = [
        until("2026-01-31", jane()),
        until("2026-09-30", from("2026-09-01", jane())),
    ];
    assert_eq!(leaver(decided(&again)).last_day.as_deref(), Some("2026-09-30"));
}

#[test]
fn a_contract_that_begins_later_does_not_undo_an_end() {
    let records = [until("2026-08-31", jane()), from("2026-12-01", jane())];
    assert_eq!(leaver(decided(&records)).last_day.as_deref(), Some("2026-08-31"));
}

#[test]
fn leave_is_nothing_unless_it_is_wanted() {
    let away = Worker {
        status: WorkerStatus::Leave,
        ..jane()
    };
    stays(std::slice::from_ref(&away), Staying::OnLeave);
    let wanted = Rules {
        leave_is_leaving: true,
        ..rules()
    };
    let leaving = leaver(decide_with(std::slice::from_ref(&away), &wanted));
    assert_eq!(
        (leaving.immediate, leaving.worker.reason.as_deref()),
        (true, Some("Leave"))
    );
    let with_an_end = until("2026-09-30", away);
    assert!(!leaver(decided(&[with_an_end])).immediate);
}

#[test]
fn an_end_now_is_now_unless_another_record_goes_on() {
    let now = Worker {
        immediate: true,
        ..jane()
    };
    let leaving = leaver(decided(std::slice::from_ref(&now)));
    assert_eq!((leaving.immediate, leaving.last_day), (true, None));
    unusable(&[now, contractor(jane())], "immediate:");
}

fn gone(worker: Worker) -> Worker {
    Worker {
        status: WorkerStatus::Terminated,
        ..worker
    }
}

/// The rules when `workers` were seen first on this day.
fn seen_on(day: &str, workers: &[Worker]) -> Rules {
    let readings: Vec<Reading> = workers.iter().cloned().map(Reading::wanted).collect();
    Rules {
        first_seen: FirstSeen::default().after(&readings, true, day.parse().unwrap()),
        ..rules()
    }
}

#[test]
fn whoever_has_left_without_a_day_leaves_as_of_when_that_was_first_seen() {
    for (day, horizon) in [
        (TODAY, Horizon::Within),
        ("2026-08-01", Horizon::Within),
        ("2025-09-14", Horizon::History),
    ] {
        let workers = [gone(jane())];
        let leaving = leaver(decide_with(&workers, &seen_on(day, &workers)));
        assert_eq!(leaving.last_day.as_deref(), Some(day));
        assert_eq!(
            (leaving.immediate, leaving.undated, leaving.horizon),
            (true, true, horizon)
        );
    }
    unusable(&[gone(jane())], "lastDay:");
    // Another record goes on, or still ends.
    let workers = [gone(contractor(jane())), from("2026-09-01", jane())];
    let rules = seen_on("2026-09-10", &workers);
    assert_eq!(
        decide_with(&workers, &rules),
        Decision::Staying(Staying::Converted)
    );
    let workers = [gone(jane()), until("2026-09-30", jane())];
    let leaving = leaver(decide_with(&workers, &seen_on(TODAY, &workers)));
    assert_eq!(
        (leaving.last_day.as_deref(), leaving.immediate),
        (Some("2026-09-30"), false)
    );
    // The number went to somebody else since.
    let john = Worker {
        person: "p2".into(),
        ..until("2026-09-30", jane())
    };
    let readings = [gone(jane()), john].map(Reading::wanted);
    let rules = seen_on("2025-01-01", &[gone(jane())]);
    assert!(matches!(judge(&readings, &rules).0["p2"], Decision::Leaving(_)));
}

#[test]
fn whoever_never_came_is_a_leaver_and_a_contradiction_is_not() {
    let never = until("2026-09-13", from("2026-09-14", jane()));
    let leaving = leaver(decided(&[gone(never.clone())]));
    assert_eq!(
        (leaving.last_day.as_deref(), leaving.undated),
        (Some("2026-09-13"), false)
    );
    let workers = [gone(from("2026-10-01", jane()))];
    let leaving = leaver(decide_with(&workers, &seen_on(TODAY, &workers)));
    assert_eq!(
        (leaving.last_day.as_deref(), leaving.immediate),
        (Some(TODAY), true)
    );
    unusable(&[never], "lastDay:");
}

#[test]
fn a_day_that_cannot_be_meant_is_not_believed() {
    unusable(&[until("0026-12-04", jane())], "lastDay: a year before 1950");
    unusable(
        &[until("2206-12-04", jane())],
        "lastDay: more than ten years ahead",
    );
    unusable(&[from("1920-01-01", jane())], "starts: a year before 1950");
    let long_past = || until("2016-09-30", from("2010-01-01", jane()));
    unusable(&[long_past()], "lastDay: more than two years past");
    for status in [WorkerStatus::Terminated, WorkerStatus::Implied] {
        let worker = Worker {
            status,
            ..long_past()
        };
        assert_eq!(leaver(decided(&[worker])).horizon, Horizon::History);
    }
    unusable(
        &[gone(until("2029-09-30", jane()))],
        "lastDay: more than two years ahead",
    );
    unusable(
        &[gone(until("2016-09-30", jane()))],
        "lastDay: lies before the first day",
    );
    let contract = Worker {
        employment_ends: Some("2062-12-31".into()),
        ..until("2026-09-30", jane())
    };
    unusable(
        &[Worker {
            employment_ends: Some("2029-12-31".into()),
            ..contract.clone()
        }],
        "employmentEnds: more than two years",
    );
    unusable(&[contract], "employmentEnds: more than ten years");
    let fixed_term = Worker {
        last_day: None,
        employment_ends: Some("2030-12-31".into()),
        ..jane()
    };
    assert_eq!(leaver(decided(&[fixed_term])).horizon, Horizon::Ahead);
}

#[test]
fn records_that_end_together_must_agree() {
    let other = Worker {
        email: Some("jane.doe@example.com".into()),
        ..jane()
    };
    unusable(
        &[until("2026-09-30", jane()), until("2026-09-30", other)],
        "email:",
    );
    let other = Worker {
        employee_id: Some("0118".into()),
        ..jane()
    };
    unusable(
        &[until("2026-09-30", jane()), until("2026-09-30", other)],
        "employeeID:",
    );
    let loud = Worker {
        email: Some("JANE@example.com".into()),
        employee_id: None,
        ..jane()
    };
    let leaving = leaver(decided(&[until("2026-09-30", loud), until("2026-09-30", jane())]));
    assert_eq!(leaving.worker.employee_id.as_deref(), Some("0117"));
}

#[test]
fn what_two_persons_claim_is_nobodys() {
    let john = Worker {
        person: "p2".into(),
        employee_id: Some("0200".into()),
        ..jane()
    };
    unusable(&[until("2026-09-30", jane()), john.clone()], "email:");
    let john = Worker {
        email: Some("john@example.com".into()),
        employee_id: Some("0117".into()),
        ..john
    };
    unusable(&[until("2026-09-30", jane()), john.clone()], "employeeID:");
    let long_gone = until("2025-01-31", john);
    leaver(decided(&[until("2026-09-30", jane()), long_gone]));
}

#[test]
fn two_people_of_the_same_name_are_two_people() {
    let named = |worker: Worker| Worker {
        display_name: Some("Jane Doe".into()),
        ..worker
    };
    let other = Worker {
        person: "p2".into(),
        employee_id: Some("0200".into()),
        email: Some("jane.doe2@example.com".into()),
        ..jane()
    };
    let readings = [until("2026-09-30", named(jane())), named(other)].map(Reading::wanted);
    let decisions = judge(&readings, &rules()).0;
    assert_eq!(decisions["p2"], Decision::Staying(Staying::NoEnd));
    assert_eq!(
        leaver(decisions["p1"].clone()).worker.employee_id.as_deref(),
        Some("0117")
    );
}

#[test]
fn one_record_that_is_not_understood_spoils_the_person() {
    unusable(&[until("30.09.2026", jane())], "lastDay:");
    let broken = Reading {
        unusable: Some("spec.map.kind: no such key".into()),
        ..Reading::wanted(jane())
    };
    let readings = [Reading::wanted(until("2026-09-30", jane())), broken];
    let decision = judge(&readings, &rules()).0.remove("p1").unwrap();
    assert_eq!(decision, Decision::Unusable("spec.map.kind: no such key".into()));
    unusable(&[until("2019-09-30", jane())], "lastDay:");
    unusable(
        &[until(
            "2026-09-30",
            Worker {
                email: Some("jane".into()),
                ..jane()
            },
        )],
        "email:",
    );
    unusable(
        &[until(
            "2026-09-30",
            Worker {
                email: None,
                employee_id: None,
                ..jane()
            },
        )],
        "employeeID:",
    );
}

#[test]
fn records_without_a_person_are_counted() {
    let readings = [Reading::wanted(Worker {
        person: " ".into(),
        ..jane()
    })];
    assert_eq!(judge(&readings, &rules()), (BTreeMap::new(), 1));
}

#[test]
fn protected_people_and_people_left_out_stay() {
    let ends = until("2026-09-30", jane());
    for key in ["0117", "jane@example.com"] {
        let rules = Rules {
            protected: BTreeSet::from([key.to_owned()]),
            ..rules()
        };
        let louder = Worker {
            email: Some("Jane@Example.com".into()),
            ..ends.clone()
        };
        assert_eq!(
            decide_with(&[louder], &rules),
            Decision::Staying(Staying::Protected)
        );
    }
    let left_out = Reading {
        wanted: false,
        ..Reading::wanted(ends)
    };
    let decision = judge(&[left_out], &rules()).0.remove("p1").unwrap();
    assert_eq!(decision, Decision::Staying(Staying::LeftOut));
}

#[test]
fn a_reason_is_one_word_or_none() {
    let reason = |text: &str| {
        let worker = Worker {
            reason: Some(text.into()),
            ..jane()
        };
        leaver(decided(&[until("2026-09-30", worker)])).worker.reason
    };
    assert_eq!(reason("resignation").as_deref(), Some("Resignation"));
    assert_eq!(reason("end of contract").as_deref(), Some("EndOfContract"));
    assert_eq!(reason("§ 626 BGB"), None);
}
