//! Who works somewhere, by the `people` section of a definition.

use super::*;
use crate::{
    connectors::People,
    core::people::{Census, Reach, Worker, WorkerStatus},
};

const PEOPLE: &str = r#"
apiVersion: offboard.dev/v1alpha1
kind: ConnectorDefinition
metadata: { name: staff }
spec:
  title: Staff
  inputs:
    url: {}
  http: { base: '${inputs.url}/v1' }
  people:
    everyone:
      - get: /staff
        query: { p: '${page}' }
        items: response.body.staff
        page: { number: { pages: response.body.pages, total: response.body.total } }
    changed:
      - { get: /entered, query: { since: '${since}' }, items: response.body.staff }
      - { get: /effective, query: { since: '${since}' }, items: response.body.staff }
    details:
      history: { read: { get: /history, items: response.body.rows }, by: item.of, of: item.id }
      desk: { read: { get: '/desk/${item.id}', absent: response.status == 404 } }
    when: item.kind != 'robot'
    worker:
      person: item.person
      record: item.id
      email: item.?mail.orValue(null)
      status: item.status
      lastDay: "size(details.history) > 0 ? details.history[0].day : null"
      site: "details.desk == null ? null : details.desk.site"
      manager: item.?boss.orValue(null)
      attributes: { kind: item.kind }
    knownAs: item.id
    asOf: response.body.?at.orValue(null)
"#;

fn one(id: &str, person: &str) -> Value {
    json!({ "id": id, "person": person, "status": "Active", "kind": "staff", "mail": format!("{person}@x.org") })
}

fn with(mut item: Value, key: &str, value: Value) -> Value {
    item[key] = value;
    item
}

/// A system with these people, two on a page, of whom the first has an end.
fn staff(people: Vec<Value>) -> Arc<Script> {
    Script::new(move |request| {
        let url = request.url.trim_start_matches("http://small/v1");
        let page = |n: usize| {
            let staff: Vec<&Value> = people.iter().skip((n - 1) * 2).take(2).collect();
            json!({ "staff": staff, "pages": people.len().div_ceil(2), "total": people.len(), "at": "2026-11-01T00:00:00Z" })
        };
        match url {
            "/history" => (
                200,
                json!({ "rows": [{ "of": "1", "day": "2026-12-31T00:00:00Z" }] }),
            ),
            "/desk/1" => (200, json!({ "site": "Berlin" })),
            "/entered?since=2026-11-25T00%3A00%3A00Z" | "/effective?since=2026-11-25T00%3A00%3A00Z" => (
                200,
                json!({ "staff": [with(one("1", "ada"), "boss", json!("2")), with(one("3", "cleo"), "boss", json!("nobody"))] }),
            ),
            _ if url.starts_with("/desk/") => (404, Value::Null),
            _ => match url.strip_prefix("/staff?p=") {
                Some(n) => (200, page(n.parse().unwrap())),
                None => panic!("{url}"),
            },
        }
    })
}

async fn census_of(script: &Arc<Script>) -> Result<Census, Fault> {
    over(PEOPLE, script).census(Reach::Everyone).await
}

fn records(census: &Census) -> Vec<&str> {
    census
        .workers
        .iter()
        .map(|worker| worker.record.as_str())
        .collect()
}

fn since() -> Reach {
    Reach::ChangedSince("2026-11-25T00:00:00Z".parse().unwrap())
}

#[tokio::test]
async fn everybody_is_read_page_by_page_with_details_and_the_managers_address() {
    let boss = |id: &str, person: &str| with(one(id, person), "boss", json!("3"));
    let script = staff(vec![boss("1", "ada"), boss("2", "bob"), one("3", "cleo")]);
    let census = census_of(&script).await.unwrap();
    assert!(census.everyone);
    assert_eq!(census.as_of, Some("2026-11-01T00:00:00Z".parse().unwrap()));
    assert_eq!(census.unusable, []);
    assert_eq!(records(&census), ["1", "2", "3"]);
    let ada = Worker {
        person: "ada".into(),
        record: "1".into(),
        email: Some("ada@x.org".into()),
        status: WorkerStatus::Active,
        last_day: Some("2026-12-31".into()),
        site: Some("Berlin".into()),
        manager: Some("cleo@x.org".into()),
        attributes: BTreeMap::from([("kind".into(), json!("staff"))]),
        ..Worker::default()
    };
    assert_eq!(*census.workers[0], ada);
    assert_eq!(census.workers[1].last_day, None);
    assert_eq!(census.workers[2].manager, None);
    let asked = script.asked();
    assert_eq!(
        asked.iter().filter(|url| url.contains("history")).count(),
        1,
        "{asked:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_understood_is_set_apart_by_place_and_never_by_value() {
    let people = vec![
        one("1", "ada"),
        with(one("2", "bob"), "status", json!("gone-secret")),
        one("3", "cleo"),
        json!("secret"),
        json!({ "id": "5", "person": "dora", "kind": "robot" }),
    ];
    let census = census_of(&staff(people)).await.unwrap();
    assert_eq!(records(&census), ["1", "3"]);
    let places: Vec<&str> = census.unusable.iter().map(|(place, _)| place.as_str()).collect();
    assert_eq!(places, ["record 2", "record 4"]);
    let said = format!("{:?}", census.unusable);
    assert!(said.contains("people.worker.status: not Active"), "{said}");
    assert!(!said.contains("secret"), "{said}");
}

#[tokio::test]
async fn one_contract_that_is_not_understood_makes_nobody_a_leaver_by_the_other() {
    let people = vec![
        with(one("1", "ada"), "status", json!("Terminated")),
        with(one("2", "ada"), "status", json!(7)),
        one("3", "cleo"),
    ];
    let census = census_of(&staff(people)).await.unwrap();
    assert_eq!(records(&census), ["3"]);
    assert_eq!(census.unusable.len(), 2);
}

#[tokio::test]
async fn two_records_with_one_id_are_believed_only_if_they_say_the_same() {
    let twice = vec![
        one("1", "ada"),
        one("2", "bob"),
        one("1", "ada"),
        one("2", "eve"),
        one("3", "cleo"),
    ];
    // Counted by pages, an element that comes twice means that the list moved.
    let fault = census_of(&staff(twice.clone())).await.unwrap_err();
    assert_eq!((fault.reason, fault.code.as_str()), (Reason::Incomplete, "moved"));

    let script = Script::new(move |request| match request.url.as_str() {
        url if url.contains("/staff") => (200, json!({ "staff": twice, "pages": 1, "total": 5, "at": null })),
        url if url.contains("/history") => (200, json!({ "rows": [] })),
        _ => (404, Value::Null),
    });
    let census = census_of(&script).await.unwrap();
    assert_eq!(records(&census), ["1", "3"]);
    assert_eq!(census.as_of, None);
    assert_eq!(census.unusable.len(), 2, "{:?}", census.unusable);
}

#[tokio::test]
async fn what_changed_is_asked_for_once_the_managers_are_known() {
    let script = staff(vec![one("1", "ada"), one("2", "bob"), one("3", "cleo")]);
    let system = over(PEOPLE, &script);
    let census = system.census(since()).await.unwrap();
    assert!(census.everyone, "nobody could tell who a manager is");

    let census = system.census(since()).await.unwrap();
    assert!(!census.everyone);
    assert_eq!(records(&census), ["1", "3"], "told twice, counted once");
    assert_eq!(census.workers[0].manager.as_deref(), Some("bob@x.org"));
    assert_eq!(census.workers[1].manager, None);
}

#[tokio::test]
async fn an_answer_that_is_not_complete_is_no_census() {
    type Change = fn(&mut Value);
    let wrong: [(Change, &str); 5] = [
        (|body| body["total"] = json!(4), "short"),
        (|body| body["pages"] = json!(1_000_000), "endless"),
        (
            |body| {
                body["staff"] = json!([]);
                body["pages"] = json!(2);
            },
            "short",
        ),
        (
            |body| body["pages"] = Value::Null,
            "people.everyone0.page.number.pages",
        ),
        (|body| body["staff"] = json!("many"), "people.everyone0"),
    ];
    for (change, code) in wrong {
        let script = Script::new(move |request| {
            if request.url.contains("/history") {
                return (200, json!({ "rows": [] }));
            }
            let mut body = json!({ "staff": [one(&request.url, "ada")], "pages": 1, "total": 1 });
            if request.url.contains("/desk") {
                return (404, Value::Null);
            }
            change(&mut body);
            (200, body)
        });
        assert_eq!(census_of(&script).await.unwrap_err().code, code);
    }
    let broken = Script::new(|request| match request.url.contains("/history") {
        true => (200, json!({ "rows": [] })),
        false => (401, Value::Null),
    });
    assert_eq!(
        census_of(&broken).await.unwrap_err().reason,
        Reason::CredentialRejected
    );
    let half = Script::new(|request| match request.url.as_str() {
        url if url.contains("/history") => (500, Value::Null),
        _ => (200, json!({ "staff": [one("1", "ada")], "pages": 1, "total": 1 })),
    });
    assert!(
        census_of(&half).await.is_err(),
        "without the history nobody's end is known"
    );
}

#[tokio::test]
async fn a_system_that_only_lists_people_has_no_facts_and_finds_nobody() {
    let connector = over(PEOPLE, &staff(vec![]));
    assert_eq!(connector.capabilities().facts.len(), 0);
    assert!(connector.find(&ada()).await.is_err());
}

#[test]
fn a_people_section_is_told_what_is_wrong_by_the_path_of_the_field() {
    for (from, to, complaint) in [
        (
            "person: item.person",
            "person: who.email",
            "people.worker.person: unknown name 'who'",
        ),
        (
            "record: item.id",
            "record: record.id",
            "people.worker.record: unknown name 'record'",
        ),
        (
            "      person: item.person\n",
            "",
            "people.worker: missing field `person`",
        ),
        (
            "      status: item.status\n",
            "",
            "people.worker: missing field `status`",
        ),
        ("lastDay: ", "lastDy: ", "people.worker.lastDy: unknown field"),
        (
            "details.history[0].day",
            "details.story[0].day",
            "people.worker.lastDay: there is no detail 'story'",
        ),
        (
            ", of: item.id",
            "",
            "people.details.history: by and of go together",
        ),
        (
            "get: /effective",
            "put: /effective",
            "people.changed[1].put: a look changes nothing",
        ),
        (
            "query: { p: '${page}' }",
            "query: { p: '${since}' }",
            "people.everyone[0].query.p: unknown name 'since'",
        ),
        (
            "'/desk/${item.id}'",
            "'/desk/${inputs.nr}'",
            "people.details.desk.read: there is no input 'nr'",
        ),
        (
            "pages: response.body.pages, ",
            "",
            "people.everyone[0].page.number: missing field `pages`",
        ),
        (
            "    when: item.kind",
            "    when: item.kind ==",
            "people.when: not an expression",
        ),
    ] {
        assert!(PEOPLE.contains(from), "{from}");
        let problems = wrong(&PEOPLE.replacen(from, to, 1)).to_string();
        assert!(problems.contains(complaint), "{complaint} in\n{problems}");
    }
    let neither = "apiVersion: offboard.dev/v1alpha1\nkind: ConnectorDefinition\nmetadata: { name: nobody }\nspec: { title: Nobody, http: { base: 'http://x' } }";
    assert!(wrong(neither).to_string().starts_with("account: missing"));
    let (start, people) = PEOPLE.split_once("  people:").unwrap();
    let nobody =
        format!("{start}  people: {{ everyone: [], worker: {{ person: item.id, status: item.s }} }}");
    assert!(
        people.contains("everyone")
            && wrong(&nobody)
                .to_string()
                .contains("people.everyone: at least one")
    );
}

/// The same with other lines, over people who are told on one page, each with a desk that nobody knows.
async fn rewritten(changes: &[(&str, &str)], people: Vec<Value>) -> Census {
    let mut text = PEOPLE.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    let script = Script::new(move |request| match request.url.as_str() {
        url if url.contains("/staff") => (200, json!({ "staff": people, "pages": 1, "total": people.len() })),
        url if url.contains("/history") => (200, json!({ "rows": [] })),
        _ => (404, Value::Null),
    });
    over(&text, &script).census(Reach::Everyone).await.unwrap()
}

const DAYS: (&str, &str) = (
    r#"      lastDay: "size(details.history) > 0 ? details.history[0].day : null""#,
    "      lastDay: item.?end.orValue(null)\n      starts: item.?begin.orValue(null)\n      immediate: item.?now.orValue(null)\n      displayName: item.?name.orValue(null)\n      country: item.?land.orValue(null)",
);

fn dated(id: &str, begin: &str, end: &str) -> Value {
    with(
        with(one(id, &format!("p{id}")), "begin", json!(begin)),
        "end",
        json!(end),
    )
}

#[tokio::test]
async fn words_for_none_are_none_in_every_field_by_default_and_more_by_the_definitions_word() {
    let bare = |id: &str, word: &str| {
        let mut item = dated(id, word, word);
        for field in ["mail", "boss", "name", "land", "kind", "now"] {
            item[field] = json!(word);
        }
        item
    };
    let people = vec![
        bare("1", "n/a"),
        bare("2", "-"),
        bare("3", "0000-00-00"),
        bare("4", "Keine"),
    ];
    let more = ("    asOf:", "    none: \"['keine', '2999-12-31']\"\n    asOf:");
    let census = rewritten(&[DAYS, more], people.clone()).await;
    assert_eq!(census.unusable, []);
    for worker in &census.workers {
        let empty = Worker {
            person: worker.person.clone(),
            record: worker.record.clone(),
            ..Worker::default()
        };
        assert_eq!(**worker, empty);
    }
    assert_eq!(census.numbers, [1, 2, 3, 4]);
    let census = rewritten(&[DAYS], people).await;
    assert_eq!(
        census.unusable.len(),
        1,
        "a word that is not known by default: {:?}",
        census.unusable
    );
    let people = vec![
        dated("1", "2020-01-01", "9999-12-31"),
        dated("2", "2020-01-01", "2999-12-31"),
        with(with(one("3", "p3"), "name", json!("Null")), "land", json!("NA")),
    ];
    let census = rewritten(&[DAYS, more], people).await;
    assert_eq!(census.unusable, []);
    assert!(census.workers.iter().all(|worker| worker.last_day.is_none()));
    let (name, country) = (&census.workers[2].display_name, &census.workers[2].country);
    assert_eq!((name.as_deref(), country.as_deref()), (Some("Null"), Some("NA")));
    let nobody = rewritten(&[DAYS], vec![with(one("1", "n/a"), "end", json!("2026-12-31"))]).await;
    assert_eq!(
        nobody.unusable,
        [("record 1".to_owned(), "people.worker.person: empty".to_owned())]
    );
}

#[tokio::test]
async fn a_day_that_shows_that_its_format_is_wrong_makes_no_day_of_that_field_believed() {
    let american = ("    asOf:", "    dateFormat: '%m/%d/%Y'\n    asOf:");
    let people = vec![
        dated("1", "01/02/2020", "05/12/2026"),
        dated("2", "01/02/2020", ""),
        dated("3", "01/02/2020", "18/12/2026"),
        dated("4", "01/02/2020", "n/a"),
        // Cannot be used for another reason, and shows it all the same.
        with(one("5", "p1"), "begin", json!("01/02/2020")),
    ];
    let census = rewritten(&[DAYS, american], people.clone()).await;
    assert_eq!(records(&census), ["2", "4"]);
    assert_eq!(census.numbers, [2, 4]);
    let said: Vec<(&str, &str)> = census
        .unusable
        .iter()
        .map(|(place, what)| (place.as_str(), what.as_str()))
        .collect();
    assert_eq!(
        said,
        [
            (
                "record 1",
                "people.worker.lastDay: another record shows that the format is wrong"
            ),
            (
                "record 3",
                "people.worker.lastDay: day and month are in another order than the format says"
            ),
            ("record 5", "another record of the same person cannot be used"),
        ]
    );
    let mut hidden = people.clone();
    hidden[2]["status"] = json!("gone");
    let census = rewritten(&[DAYS, american], hidden).await;
    assert_eq!(
        records(&census),
        ["2", "4"],
        "whatever else is wrong with that record"
    );
    // Something that is no date in any order says nothing about the others.
    let mut typo = people;
    typo[2]["end"] = json!("31/31/2026");
    let census = rewritten(&[DAYS, american], typo).await;
    assert_eq!(records(&census), ["1", "2", "4", "5"]);
}

#[tokio::test]
async fn a_year_of_two_digits_and_a_day_far_from_today_are_refused_with_the_reason() {
    for (format, end, what) in [
        (
            "%d.%m.%Y",
            "04.12.26",
            "the year has two digits: write four, or name a format with %y",
        ),
        ("%d.%m.%Y", "04.12.1926", "a year before 1950"),
        ("%d.%m.%Y", "04.12.2206", "more than ten years ahead"),
        ("%d.%m.%y", "04.12.2026", "not a date"),
    ] {
        let format = format!("    dateFormat: '{format}'\n    asOf:");
        let census = rewritten(&[DAYS, ("    asOf:", &format)], vec![dated("1", "", end)]).await;
        assert_eq!(
            census.unusable[0].1,
            format!("people.worker.lastDay: {what}"),
            "{end}"
        );
    }
    let asked = ("    asOf:", "    dateFormat: '%d.%m.%y'\n    asOf:");
    let census = rewritten(&[DAYS, asked], vec![dated("1", "01.02.99", "04.12.26")]).await;
    let worker = &census.workers[0];
    assert_eq!(worker.starts.as_deref(), Some("1999-02-01"));
    assert_eq!(worker.last_day.as_deref(), Some("2026-12-04"));
}

#[tokio::test]
async fn a_history_is_cut_into_records() {
    let history = (
        "    when: item.kind != 'robot'\n",
        "    history: { rows: item.rows, day: row.on, ends: row.what == 'end' }\n",
    );
    let fields = (
        DAYS.0,
        "      lastDay: record.ends\n      starts: record.starts\n      reason: at(record, 'end/why')",
    );
    let id = (
        "      record: item.id\n",
        "      record: \"item.id + '/' + string(record.number)\"\n",
    );
    let format = ("    asOf:", "    dateFormat: '%d.%m.%Y'\n    asOf:");
    let row = |on: &str, what: &str| json!({ "on": on, "what": what, "why": "Dismissal" });
    let rows = |id: &str, rows: Vec<Value>| with(one(id, id), "rows", json!(rows));
    let people = vec![
        rows(
            "1",
            vec![
                row("16.11.2026", "end"),
                row("16.11.2026", "work"),
                row("01.01.2025", "work"),
            ],
        ),
        rows(
            "2",
            vec![
                row("01.01.2020", "work"),
                row("31.12.2026", "end"),
                row("31.10.2026", "end"),
            ],
        ),
        rows("3", vec![row("00.00.0000", "end")]),
        rows("4", vec![row("soon", "end")]),
    ];
    let census = rewritten(&[history, fields, id, format], people).await;
    let told: Vec<_> = census
        .workers
        .iter()
        .map(|w| {
            (
                w.record.as_str(),
                w.starts.as_deref(),
                w.last_day.as_deref(),
                w.reason.as_deref(),
            )
        })
        .collect();
    // Records carry days as YYYY-MM-DD, whatever the system's format is.
    assert_eq!(
        told,
        [
            ("1/0", Some("2025-01-01"), Some("2026-11-16"), Some("Dismissal")),
            ("1/1", Some("2026-11-16"), None, None),
            ("2/0", Some("2020-01-01"), Some("2026-10-31"), Some("Dismissal")),
            ("3/0", None, None, None),
        ]
    );
    assert_eq!(
        census.unusable,
        [("record 4".to_owned(), "people.history.day: not a date".to_owned())]
    );
}
