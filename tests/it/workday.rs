//! Workday by SOAP, against a real SOAP stack that checks each request by its schema.

use jiff::{SignedDuration, Timestamp};
use offboard::{
    api::definition::ConnectorDefinitionSpec,
    connectors::{People, declarative::Declarative},
    core::{
        fault::{FaultKind, Reason},
        people::{Reach, Worker, WorkerStatus},
    },
};
use serde_json::{Value, json};

use crate::{
    support::{self, Workday, day},
    trial::{self, of},
};

fn ago(minutes: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_mins(minutes)
}

fn connect(workday: &Workday, password: &str, count: u32) -> Declarative {
    let inputs = json!({ "url": workday.url, "tenant": "acme", "count": count });
    trial::people(
        "workday-soap",
        |_| {},
        inputs,
        &[("username", Workday::USER), ("password", password)],
    )
}

fn worker(wid: &str, id: &str, universal: &str, changes: &[Value]) -> Value {
    json!({
        "wid": wid, "id": id, "universal": universal, "email": format!("{universal}@acme.test"), "name": universal,
        "manager": "w-boss", "department": "Research", "site": "Berlin", "country": "DE",
        "hired": "2020-03-01-08:00", "changes": changes,
    })
}

/// Leaves in `ahead` days; entered `minutes` ago.
fn termination(ahead: i64, minutes: i64) -> Value {
    let last = day(ahead);
    json!({
        "entered": ago(minutes).to_string(), "effective": last,
        "status": {
            "Active": "0", "Resignation_Date": day(-3), "Terminated": "1", "Termination_Date": format!("{last}-08:00"),
            "Pay_Through_Date": day(ahead + 10), "Termination_Last_Day_of_Work": format!("{last}-08:00"),
        },
    })
}

fn boss() -> Value {
    worker("w-boss", "20001", "boss", &[])
}

#[tokio::test]
async fn an_end_that_is_entered_for_later_is_seen_and_one_that_is_taken_back_is_gone() {
    let workday = support::workday();
    let workers = |change: Value| {
        [
            boss(),
            worker("w1", "21001", "ada", &[change]),
            worker("w2", "21002", "bob", &[]),
        ]
    };
    workday.employ(&workers(termination(30, 5)));
    let hr = connect(&workday, Workday::PASSWORD, 2);
    let census = hr.census(Reach::Everyone).await.unwrap();
    assert!(census.everyone);
    assert_eq!(census.unusable, []);
    assert_eq!(census.workers.len(), 3, "on two pages, each once");
    let ada = Worker {
        person: "ada".into(),
        record: "w1".into(),
        employee_id: Some("21001".into()),
        email: Some("ada@acme.test".into()),
        display_name: Some("ada".into()),
        kind: Some("Employee".into()),
        status: WorkerStatus::Active,
        reason: Some("Resignation".into()),
        starts: Some("2020-03-01".into()),
        notice: Some(day(-3)),
        last_day: Some(day(30)),
        employment_ends: Some(day(30)),
        paid_through: Some(day(40)),
        site: Some("Berlin".into()),
        country: Some("DE".into()),
        department: Some("Research".into()),
        manager: Some("boss@acme.test".into()),
        ..Worker::default()
    };
    assert_eq!(of(&census, "ada"), [&ada]);
    let bob = of(&census, "bob")[0];
    assert_eq!(
        (bob.last_day.as_deref(), bob.reason.as_deref()),
        (None, None),
        "a record without an end"
    );

    let mut withdrawn = termination(30, 5);
    withdrawn["rescinded"] = json!(ago(1).to_string());
    workday.employ(&workers(withdrawn));
    let census = hr.census(Reach::Everyone).await.unwrap();
    assert_eq!(of(&census, "ada")[0].last_day, None);
}

#[tokio::test]
async fn what_changed_is_told_by_the_moment_of_entry_and_by_the_day_it_takes_effect() {
    let workday = support::workday();
    let mut withdrawn = termination(30, 500);
    withdrawn["rescinded"] = json!(ago(1).to_string());
    let people = [
        boss(),
        worker("w1", "21001", "entered-now", &[termination(45, 2)]),
        worker("w2", "21002", "entered-long-ago", &[termination(0, 9000)]),
        worker("w3", "21003", "withdrawn", &[withdrawn]),
        worker("w4", "21004", "as-before", &[termination(-400, 600_000)]),
    ];
    workday.employ(&people);
    let hr = connect(&workday, Workday::PASSWORD, 100);
    let first = hr.census(Reach::ChangedSince(ago(10))).await.unwrap();
    assert!(first.everyone, "at first nobody's manager is known");
    let census = hr.census(Reach::ChangedSince(ago(10))).await.unwrap();
    assert!(!census.everyone);
    let mut seen: Vec<(&str, Option<&str>)> = census
        .workers
        .iter()
        .map(|w| (w.person.as_str(), w.last_day.as_deref()))
        .collect();
    seen.sort_unstable();
    let (soon, later) = (day(0), day(45));
    assert_eq!(
        seen,
        [
            ("entered-long-ago", Some(soon.as_str())),
            ("entered-now", Some(later.as_str())),
            ("withdrawn", None)
        ]
    );
    assert!(
        census
            .workers
            .iter()
            .all(|w| w.manager.as_deref() == Some("boss@acme.test"))
    );
}

#[tokio::test]
async fn one_person_with_two_records_is_one_person() {
    let workday = support::workday();
    let mut contractor = worker("w-cw", "C-7", "converted", &[termination(-1, 9000)]);
    contractor["contingent"] = json!(true);
    let employee = worker("w-ee", "21007", "converted", &[]);
    let on_leave =
        json!({ "entered": ago(900).to_string(), "effective": day(-20), "status": { "Active": "1" } });
    workday.employ(&[
        boss(),
        contractor,
        employee,
        worker("w5", "21005", "gone", &[termination(-2, 9000), on_leave]),
    ]);
    let census = connect(&workday, Workday::PASSWORD, 100)
        .census(Reach::Everyone)
        .await
        .unwrap();
    let records: Vec<_> = of(&census, "converted")
        .into_iter()
        .map(|w| {
            (
                w.record.as_str(),
                w.kind.as_deref().unwrap(),
                w.status,
                w.last_day.clone(),
            )
        })
        .collect();
    assert_eq!(
        records,
        [
            ("w-cw", "Contractor", WorkerStatus::Terminated, Some(day(-1))),
            ("w-ee", "Employee", WorkerStatus::Active, None)
        ]
    );
    assert_eq!(of(&census, "gone")[0].status, WorkerStatus::Terminated);
}

#[tokio::test]
async fn a_refused_login_says_so_and_never_shows_the_password() {
    let workday = support::workday();
    workday.employ(&[boss()]);
    let fault = connect(&workday, "canary-wrong", 100)
        .census(Reach::Everyone)
        .await
        .unwrap_err();
    assert_eq!(
        (fault.kind, fault.reason),
        (FaultKind::Permanent, Reason::CredentialRejected)
    );
    assert!(!format!("{fault:?}").contains("canary"), "{fault:?}");
}

#[tokio::test]
async fn a_request_that_breaks_the_schema_is_refused_by_the_stack_and_is_no_census() {
    let workday = support::workday();
    workday.employ(&[boss()]);
    let fault = connect(&workday, Workday::PASSWORD, 5000)
        .census(Reach::Everyone)
        .await
        .unwrap_err();
    assert_eq!(
        (fault.kind, fault.reason),
        (FaultKind::Permanent, Reason::Refused)
    );
    assert!(fault.code.contains("SchemaValidationError"), "{fault:?}");
}

#[tokio::test]
async fn half_a_list_is_no_list() {
    let workday = support::workday();
    let people = [
        boss(),
        worker("w1", "21001", "ada", &[]),
        worker("w2", "21002", "bob", &[]),
    ];
    workday.break_down(&people, "short");
    let fault = connect(&workday, Workday::PASSWORD, 2)
        .census(Reach::Everyone)
        .await
        .unwrap_err();
    assert_eq!((fault.reason, fault.code.as_str()), (Reason::Incomplete, "short"));

    workday.break_down(&people, "endless");
    let fault = connect(&workday, Workday::PASSWORD, 2)
        .census(Reach::Everyone)
        .await
        .unwrap_err();
    assert_eq!((fault.reason, fault.code.as_str()), (Reason::Incomplete, "short"));

    workday.break_down(&people, "padded");
    let inputs = json!({ "url": workday.url, "tenant": "acme" });
    let secret = [("username", Workday::USER), ("password", Workday::PASSWORD)];
    let tight = |spec: &mut ConnectorDefinitionSpec| {
        spec.http.as_mut().unwrap().largest_answer = Some("1Mi".into());
    };
    let hr = trial::people("workday-soap", tight, inputs, &secret);
    let fault = hr.census(Reach::Everyone).await.unwrap_err();
    assert_eq!(
        (fault.reason, fault.code.as_str()),
        (Reason::Incomplete, "too large")
    );
}
