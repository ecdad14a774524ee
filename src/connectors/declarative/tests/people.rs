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
    assert_eq!(census.workers[0], ada);
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
