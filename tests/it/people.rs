//! HR systems over HTTP: BambooHR and a Workday report by simulators, SCIM by its own, and any other by `rest`.

mod vendor;

use jiff::Timestamp;
use offboard::{
    api::LeaverSourceSpec,
    connectors::{People, declarative::Declarative},
    core::{
        fault::Reason,
        leavers::{Decision, undated::FirstSeen},
        people::{Census, Reach, Worker, WorkerStatus},
    },
    sources::{look::Seen, settings::Settings},
};
use offboard_simulators::{
    bamboohr::BambooHr,
    raas::Raas,
    scim::Scim,
    server::{Mishap, Refusal},
};
use serde_json::{Value, json};

use crate::{
    support::day,
    trial::{self, of},
};

async fn everyone(hr: &Declarative) -> Census {
    hr.census(Reach::Everyone).await.unwrap()
}

fn bamboo(server: &BambooHr, key: &str) -> Declarative {
    trial::people(
        "bamboohr",
        |_| {},
        json!({ "url": server.url() }),
        &[("apiKey", key)],
    )
}

fn fields(name: &str) -> Value {
    json!({
        "displayName": name, "workEmail": format!("{name}@acme.test"), "employeeNumber": format!("E-{name}"),
        "department": "Research", "location": "Lindon, Utah", "country": "United States", "reportsToId": "1",
    })
}

fn row(date: &str, status: &str) -> Value {
    json!({ "date": date, "employmentStatus": status, "comment": null })
}

/// A company of these, and a manager.
async fn acme(people: &[(&str, &[Value])]) -> BambooHr {
    let server = BambooHr::start().await.unwrap();
    server.employ("1", &fields("boss"), &[row("2010-01-01", "Full-Time")]);
    for (number, (name, rows)) in people.iter().enumerate() {
        server.employ(&(number + 2).to_string(), &fields(name), rows);
    }
    server
}

#[tokio::test]
async fn bamboohr_tells_of_an_end_as_soon_as_it_is_entered() {
    let mut end = row(&day(20), "Terminated");
    end["terminationTypeId"] = json!("Resignation (Voluntary)");
    let hired = row("2020-05-04", "Full-Time");
    let server = acme(&[
        ("ada", &[hired.clone(), end]),
        ("bob", std::slice::from_ref(&hired)),
    ])
    .await;
    let hr = bamboo(&server, BambooHr::KEY);
    let census = everyone(&hr).await;
    assert_eq!(census.unusable, []);
    let ada = Worker {
        person: "2".into(),
        record: "2/0".into(),
        employee_id: Some("E-ada".into()),
        email: Some("ada@acme.test".into()),
        display_name: Some("ada".into()),
        kind: Some("Full-Time".into()),
        status: WorkerStatus::Active,
        reason: Some("Resignation".into()),
        starts: Some("2020-05-04".into()),
        last_day: Some(day(20)),
        site: Some("Lindon, Utah".into()),
        country: Some("United States".into()),
        department: Some("Research".into()),
        manager: Some("boss@acme.test".into()),
        ..Worker::default()
    };
    assert_eq!(of(&census, "2"), [&ada]);
    assert_eq!(of(&census, "3")[0].last_day, None, "a record without an end");

    // Withdrawn: the row is taken out again.
    let before = Timestamp::now();
    server.employ("2", &fields("ada"), &[hired]);
    let census = hr.census(Reach::ChangedSince(before)).await.unwrap();
    assert!(!census.everyone);
    assert_eq!(census.workers.len(), 1);
    assert_eq!(census.workers[0].last_day, None);
    assert_eq!(
        census.workers[0].manager.as_deref(),
        Some("boss@acme.test"),
        "known from before"
    );
    vendor::every_request_is_in_bamboohrs_words(&server.control().journal());
}

#[tokio::test]
async fn bamboohr_keeps_a_rehire_apart_from_the_end_before_it() {
    let rows = [
        row("2018-01-01", "Contractor"),
        row("2020-06-30", "Terminated"),
        row(&day(30), "Full-Time"),
    ];
    let again = [rows[0].clone(), rows[1].clone(), row("2021-02-01", "Full-Time")];
    let away = [row("2019-01-01", "Full-Time"), row(&day(-5), "Furloughed")];
    let today = [row("2019-01-01", "Full-Time"), row(&day(0), "Terminated")];
    let gone = [row("2019-01-01", "Full-Time"), row(&day(-1), "Terminated")];
    let server = acme(&[
        ("ahead", &rows),
        ("again", &again),
        ("away", &away),
        ("today", &today),
        ("gone", &gone),
    ])
    .await;
    let census = everyone(&bamboo(&server, BambooHr::KEY)).await;
    assert_eq!(census.unusable, []);
    let records = |person: &str| -> Vec<(WorkerStatus, Option<String>, Option<String>)> {
        let records = of(&census, person).into_iter();
        records
            .map(|w| (w.status, w.starts.clone(), w.last_day.clone()))
            .collect()
    };
    let some = |text: &str| Some(text.to_owned());
    let ended = (WorkerStatus::Terminated, some("2018-01-01"), some("2020-06-30"));
    assert_eq!(
        records("2"),
        [ended.clone(), (WorkerStatus::Active, Some(day(30)), None)]
    );
    assert_eq!(
        records("3"),
        [ended, (WorkerStatus::Active, some("2021-02-01"), None)]
    );
    assert_eq!(records("4"), [(WorkerStatus::Leave, some("2019-01-01"), None)]);
    let (last, over) = (Some(day(0)), Some(day(-1)));
    assert_eq!(
        records("5"),
        [(WorkerStatus::Active, some("2019-01-01"), last)],
        "the day is not over"
    );
    assert_eq!(
        records("6"),
        [(WorkerStatus::Terminated, some("2019-01-01"), over)]
    );
}

#[tokio::test]
async fn bamboohr_ends_with_the_first_end_that_no_work_follows() {
    let hired = || row("2020-01-01", "Full-Time");
    let same_day = [
        row("2025-01-01", "Contractor"),
        row("2026-11-16", "Terminated"),
        row("2026-11-16", "Full-Time"),
    ];
    let mut dismissed = row("2026-10-31", "Terminated");
    dismissed["terminationTypeId"] = json!("Termination (Involuntary)");
    let mut severance = row("2026-12-31", "Terminated");
    severance["terminationTypeId"] = json!("Resignation (Voluntary)");
    let server = acme(&[
        ("same-day", &same_day),
        ("twice", &[hired(), dismissed, severance]),
        ("resigned", &[hired(), row(&day(5), "Resigned")]),
        ("zero", &[hired(), row("0000-00-00", "Terminated")]),
    ])
    .await;
    let census = everyone(&bamboo(&server, BambooHr::KEY)).await;
    assert_eq!(census.unusable, []);
    let records = |person: &str| -> Vec<(WorkerStatus, Option<String>, Option<String>)> {
        let records = of(&census, person).into_iter();
        records
            .map(|w| (w.status, w.starts.clone(), w.last_day.clone()))
            .collect()
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        records("2"),
        [
            (WorkerStatus::Terminated, some("2025-01-01"), some("2026-11-16")),
            (WorkerStatus::Active, some("2026-11-16"), None),
        ]
    );
    let twice = (WorkerStatus::Terminated, some("2020-01-01"), some("2026-10-31"));
    assert_eq!(records("3"), [twice]);
    assert_eq!(
        of(&census, "3")[0].reason.as_deref(),
        Some("Dismissal"),
        "the reason of that end"
    );
    assert_eq!(
        records("4"),
        [(WorkerStatus::Active, some("2020-01-01"), Some(day(5)))]
    );
    assert_eq!(
        records("5"),
        [(WorkerStatus::Active, some("2020-01-01"), None)],
        "a row without a day"
    );

    // The guard of it all: who of them leaves.
    let settings = Settings::read(&LeaverSourceSpec::default()).unwrap();
    let now = "2026-11-29T12:00:00Z".parse().unwrap();
    let seen = Seen::of(census, &settings, &FirstSeen::default(), now);
    let last_day = |person: &str| match &seen.decisions[person] {
        Decision::Leaving(leaving) => leaving.last_day.clone(),
        Decision::Staying(_) => None,
        Decision::Unusable(what) => panic!("{what}"),
    };
    assert_eq!(
        (last_day("2"), last_day("3"), last_day("5")),
        (None, some("2026-10-31"), None)
    );
}

#[tokio::test]
async fn what_bamboohr_does_not_show_is_not_taken_for_nothing() {
    let hired = [row("2020-05-04", "Full-Time")];
    let server = acme(&[
        ("ada", &hired),
        ("bob", &[row("soon", "Terminated")]),
        ("cleo", &hired),
    ])
    .await;
    let census = everyone(&bamboo(&server, BambooHr::KEY)).await;
    assert!(of(&census, "3").is_empty(), "an end that is no date");
    assert_eq!(census.workers.len(), 3);
    assert_eq!(census.unusable.len(), 1, "{:?}", census.unusable);
    assert!(!format!("{:?}", census.unusable).contains("soon"));

    let fault = bamboo(&server, "canary-other")
        .census(Reach::Everyone)
        .await
        .unwrap_err();
    assert_eq!(fault.reason, Reason::CredentialRejected);
    assert!(!format!("{fault:?}").contains("canary"));

    let hr = bamboo(&server, BambooHr::KEY);
    for (path, mishap) in [
        ("/tables/", Mishap::Refuse(refusal(403))),
        ("/employees/3", Mishap::Refuse(refusal(500))),
        ("/changed", Mishap::LoseAnswer),
    ] {
        server.control().arrange("GET", path, 1, mishap);
        assert!(hr.census(Reach::Everyone).await.is_err(), "{path}");
        assert_eq!(server.control().arranged(), 0, "{path}");
    }
}

fn refusal(status: u16) -> Refusal {
    Refusal {
        status,
        headers: vec![],
        body: Value::Null,
    }
}

fn report(server: &Raas, inputs: Value) -> Declarative {
    let mut all = json!({ "url": server.url(), "tenant": "acme", "owner": Raas::USER, "report": "Leavers" });
    all.as_object_mut()
        .unwrap()
        .extend(inputs.as_object().unwrap().clone());
    let secret = [("username", Raas::USER), ("password", Raas::PASSWORD)];
    trial::people("workday-raas", |_| {}, all, &secret)
}

fn entry(person: &str, record: &str, active: &str) -> Value {
    json!({
        "Person_ID": person, "WID": record, "Employee_ID": "21001", "Work_Email": format!("{person}@acme.test"),
        "Worker": person, "Worker_Type": "Employee", "Active": active, "Hire_Date": "2020-01-01",
        "Location": "Berlin", "Country": "DE", "Time_Zone": "Europe/Berlin", "Manager_Email": "boss@acme.test",
    })
}

fn with(mut row: Value, key: &str, value: &str) -> Value {
    row[key] = json!(value);
    row
}

#[tokio::test]
async fn a_workday_report_is_read_by_the_names_of_its_columns() {
    let server = Raas::start().await.unwrap();
    server.rows(&[
        with(
            with(entry("ada", "w1", "0"), "Last_Day_of_Work", &day(1)),
            "Termination_Date",
            &day(15),
        ),
        with(
            with(entry("converted", "c1", "0"), "Termination_Date", "2026-01-31"),
            "Worker_Type",
            "Contingent",
        ),
        entry("converted", "e1", "1"),
        with(entry("eva", "w3", "1"), "On_Leave", "1"),
        with(entry("odd", "w4", "perhaps"), "Last_Day_of_Work", &day(1)),
        with(entry("when", "w5", "1"), "Last_Day_of_Work", "31.12.2026"),
        json!({ "Worker": "no ids" }),
    ]);
    let census = everyone(&report(&server, json!({}))).await;
    let ada = of(&census, "ada")[0];
    assert_eq!(ada.status, WorkerStatus::Active, "the day is not over");
    assert_eq!(
        (&ada.last_day, &ada.employment_ends),
        (&Some(day(1)), &Some(day(15)))
    );
    assert_eq!(ada.time_zone.as_deref(), Some("Europe/Berlin"));
    assert_eq!(ada.manager.as_deref(), Some("boss@acme.test"));
    let converted: Vec<_> = of(&census, "converted")
        .iter()
        .map(|w| (w.record.as_str(), w.status))
        .collect();
    assert_eq!(
        converted,
        [("c1", WorkerStatus::Terminated), ("e1", WorkerStatus::Active)]
    );
    assert_eq!(of(&census, "eva")[0].status, WorkerStatus::Leave);
    assert_eq!(census.workers.len(), 4);
    let places: Vec<&str> = census.unusable.iter().map(|(place, _)| place.as_str()).collect();
    assert_eq!(places, ["record 5", "record 6", "record 7"]);
}

#[tokio::test]
async fn a_report_that_is_refused_renamed_or_not_one_is_no_census() {
    let server = Raas::start().await.unwrap();
    server.rows(&[entry("ada", "w1", "1")]);
    let fault = report(&server, json!({ "report": "Other" }))
        .census(Reach::Everyone)
        .await
        .unwrap_err();
    assert_eq!(fault.reason, Reason::NotFoundUncorroborated);
    let answer = Refusal {
        status: 200,
        headers: vec![],
        body: json!({ "error": "report is being generated" }),
    };
    server
        .control()
        .arrange("GET", "/Leavers", 1, Mishap::Refuse(answer));
    let fault = report(&server, json!({}))
        .census(Reach::Everyone)
        .await
        .unwrap_err();
    assert_eq!(fault.reason, Reason::Malformed);
    assert_eq!(server.control().arranged(), 0);
    let renamed = everyone(&report(&server, json!({ "person": "Person" }))).await;
    assert_eq!((renamed.workers.len(), renamed.unusable.len()), (0, 1));
}

/// People with an end that lies ahead in an attribute of the server's own.
async fn scim() -> (Scim, Vec<String>) {
    let server = Scim::start().await.unwrap();
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let ids: Vec<String> = ["boss", "ada", "bob"]
        .iter()
        .map(|name| server.add_user(&format!("{name}@acme.test"), Some(name), "x"))
        .collect();
    let boss = ids[0].clone();
    let ada = ids[1].clone();
    let bob = ids[2].clone();
    server.world().seed(|state| {
        let mut user = state.users.get(&ada).cloned().unwrap();
        user.attributes
            .insert("urn:acme:2.0:User".into(), json!({ "lastDay": "2026-12-31" }));
        user.attributes.insert(
            enterprise.into(),
            json!({ "employeeNumber": "7", "department": "Research", "manager": { "value": boss } }),
        );
        state.users.insert(&ada, user);
        let mut user = state.users.get(&bob).cloned().unwrap();
        user.attributes.insert("active".into(), json!(false));
        state.users.insert(&bob, user);
    });
    (server, ids)
}

#[tokio::test]
async fn people_are_listed_by_scim_over_all_pages() {
    let (server, ids) = scim().await;
    server.set_quirks(|quirks| quirks.page_size = 2);
    let inputs = json!({ "url": server.base(), "endDate": "urn:acme:2.0:User/lastDay" });
    let hr = trial::people(
        "scim-inbound",
        |_| {},
        inputs.clone(),
        &[("token", server.token())],
    );
    let census = everyone(&hr).await;
    assert_eq!(census.unusable, []);
    assert_eq!(census.workers.len(), 3);
    let ada = of(&census, &ids[1])[0];
    assert_eq!(ada.last_day.as_deref(), Some("2026-12-31"));
    assert_eq!(ada.employee_id.as_deref(), Some("7"));
    assert_eq!(ada.department.as_deref(), Some("Research"));
    assert_eq!(ada.manager.as_deref(), Some("boss@acme.test"));
    assert_eq!(of(&census, &ids[2])[0].status, WorkerStatus::Terminated);

    server.set_quirks(|quirks| quirks.active_as_text = true);
    assert_eq!(
        of(&everyone(&hr).await, &ids[2])[0].status,
        WorkerStatus::Terminated
    );
    server.set_quirks(|quirks| quirks.shuffled = 2);
    let fault = hr.census(Reach::Everyone).await.unwrap_err();
    assert_eq!(
        fault.reason,
        Reason::Incomplete,
        "the list moved while it was read"
    );

    let stranger = trial::people("scim-inbound", |_| {}, inputs, &[("token", "canary")]);
    let fault = stranger.census(Reach::Everyone).await.unwrap_err();
    assert_eq!(fault.reason, Reason::CredentialRejected);
}

#[tokio::test]
async fn any_json_list_of_people_is_told_by_paths() {
    let (server, ids) = scim().await;
    let inputs = json!({
        "url": format!("{}/Users", server.base()), "list": "Resources", "email": "emails/0/value", "name": "displayName",
        "status": "active", "lastDay": "urn:acme:2.0:User/lastDay",
        "manager": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/manager/value",
    });
    let hr = trial::people("rest", |_| {}, inputs, &[("token", server.token())]);
    let census = everyone(&hr).await;
    assert_eq!(census.unusable, []);
    let ada = of(&census, &ids[1])[0];
    assert_eq!(ada.status, WorkerStatus::Active);
    assert_eq!(ada.last_day.as_deref(), Some("2026-12-31"));
    assert_eq!(ada.manager.as_deref(), Some("boss@acme.test"));
    assert_eq!(of(&census, &ids[2])[0].status, WorkerStatus::Terminated);

    let astray = json!({ "url": format!("{}/Users", server.base()), "list": "people" });
    let hr = trial::people("rest", |_| {}, astray, &[("token", server.token())]);
    assert_eq!(
        hr.census(Reach::Everyone).await.unwrap_err().reason,
        Reason::Malformed,
        "no list is not an empty one"
    );
}
