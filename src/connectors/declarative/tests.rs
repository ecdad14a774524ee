//! The engine over a small system in memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Declarative, Definition, Options, Problems, parse};
use crate::{
    connectors::{
        Connector, Key, Subject,
        driver::{Answer, Body, Driver, HttpRequest, RANDOM, Resolved},
    },
    core::{
        fact::{Act, Truth},
        fault::{Fault, FaultKind, Reason},
        identity::{Account, Person},
        ledger::{FactLedger, SystemLedger},
    },
};

const DEFINITION: &str = r#"
apiVersion: offboard.dev/v1alpha1
kind: ConnectorDefinition
metadata: { name: small }
spec:
  title: Small
  inputs:
    url: { pattern: 'https?://.+' }
  http: { base: '${inputs.url}/v1' }
  faults:
    - { when: response.status == 429, is: Throttled, until: "int(response.headers['x-reset'])" }
  account:
    find:
      - { get: /users, query: { filter: 'mail eq ${quoted(who.email)}' }, items: response.body.users }
      - { get: '/users/by-login/${who.accountName}', absent: response.status == 404 }
    id: item.id
    name: item.login
    same: item.mail == who.email
    protected: item.login == 'root'
    shows: user
    echo: response.body.id
  reads:
    user: { get: '/users/${account.id}' }
    groups: { get: '/users/${account.id}/groups', items: response.body.items, page: { offset: { parameter: start, first: 1, total: response.body.total } } }
    rights: { each: reads.groups, get: '/groups/${item.id}/rights' }
    job: { when: has(operations.FilesMoved), get: '/jobs/${operations.FilesMoved}' }
  facts:
    Suspended:
      class: Access
      holds: '!reads.user.active'
      act: [{ patch: '/users/${account.id}', json: { active: false, password: '${random}', note: '${null}', by: 'k-${key}' }, done: response.status == 409 }]
      undo: [{ patch: '/users/${account.id}', json: { active: true } }]
    GroupsLeft:
      class: Entitlements
      after: [Suspended]
      holds: size(reads.groups) == 0
      snapshot: reads.groups.map(g, g.id)
      act: [{ each: reads.groups, delete: '/groups/${item.id}/members/${account.id}' }]
      undo: [{ each: snapshot.GroupsLeft, put: '/groups/${item}/members/${account.id}' }]
      says: 'leave ${size(reads.groups)} groups'
    Locked:
      class: Credentials
      holds: has(reads.user.locked)
      ladder:
        - { post: '/users/${account.id}/lock' }
        - { post: '/users/${account.id}/ban' }
    FilesMoved:
      class: Data
      holds: has(reads.user.moved)
      running: reads.job.state == 'busy'
      failed: reads.job.state == 'failed'
      act: [{ post: '/users/${account.id}/move', json: { to: '${successor.id}' }, operation: response.body.job }]
    RightsKnown: { class: Record, holds: size(reads.rights) >= 0 }
    Spare: { class: Record, optional: true, holds: 'true' }
"#;

type Answerer = Box<dyn Fn(&HttpRequest) -> (u16, Value) + Send + Sync>;

/// Answers every request by one function, and keeps what was asked.
struct Script {
    answer: Answerer,
    asked: Mutex<Vec<HttpRequest>>,
}

impl Script {
    fn new(answer: impl Fn(&HttpRequest) -> (u16, Value) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            answer: Box::new(answer),
            asked: Mutex::default(),
        })
    }

    fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .map(|r| format!("{} {}", r.method, r.url.trim_start_matches("http://small/v1")))
            .collect()
    }
}

#[async_trait]
impl Driver for Script {
    async fn perform(&self, request: &Resolved) -> Result<Answer, Fault> {
        let Resolved::Http(http) = request else {
            panic!("not http")
        };
        self.asked.lock().unwrap().push(http.clone());
        let (status, body) = (self.answer)(http);
        let fault = match status {
            200..300 => None,
            401 => Some(Fault::needs_decision(Reason::CredentialRejected)),
            429 | 500.. => Some(Fault::transient(Reason::SystemUnavailable)),
            _ => Some(Fault::permanent(Reason::Refused)),
        };
        Ok(Answer {
            response: json!({ "status": status, "headers": { "x-reset": "1800000000" }, "body": body }),
            value: body,
            fault: fault.map(|fault| fault.with_code(status)),
            date: None,
        })
    }
}

fn sound(text: &str) -> Definition {
    let (name, spec) = parse(text).unwrap();
    Definition::compile(&name, spec).unwrap_or_else(|problems| panic!("{problems}"))
}

fn wrong(text: &str) -> Problems {
    match parse(text) {
        Ok((name, spec)) => Definition::compile(&name, spec).expect_err("sound"),
        Err(problems) => problems,
    }
}

/// The definition with one text in the place of another, and what is wrong with it then.
fn changed(from: &str, to: &str) -> String {
    assert!(DEFINITION.contains(from), "{from}");
    wrong(&DEFINITION.replacen(from, to, 1)).to_string()
}

fn inputs() -> BTreeMap<String, Value> {
    BTreeMap::from([("url".into(), json!("http://small"))])
}

fn over(text: &str, script: &Arc<Script>) -> Declarative {
    sound(text)
        .build(&inputs(), Options::default(), script.clone())
        .unwrap_or_else(|problems| panic!("{problems}"))
}

fn small(script: &Arc<Script>) -> Declarative {
    over(DEFINITION, script)
}

fn ada() -> Person {
    Person {
        email: Some("ada@x.org".into()),
        ..Person::default()
    }
}

fn subject() -> Subject {
    Subject {
        who: ada(),
        account: Account {
            id: "a/b?c".into(),
            name: "ada".into(),
            item: Value::Null,
        },
        successor: None,
        ledger: SystemLedger::default(),
        cutoff: "2026-01-01T00:00:00Z".parse().unwrap(),
        now: "2026-01-02T00:00:00Z".parse().unwrap(),
    }
}

fn no_key() -> Key {
    Key("k1".into())
}

fn fault_of(truth: &Truth) -> &Fault {
    match truth {
        Truth::Unreadable(fault) => fault,
        other => panic!("{other:?}"),
    }
}

/// One user in two groups.
fn usual(request: &HttpRequest) -> (u16, Value) {
    let url = request.url.trim_start_matches("http://small/v1");
    match url {
        "/users/a%2Fb%3Fc" => (
            200,
            json!({ "id": "a/b?c", "login": "ada", "mail": "ada@x.org", "active": true }),
        ),
        "/users/a%2Fb%3Fc/groups?start=1" => (200, json!({ "items": [{ "id": "g1" }], "total": 2 })),
        "/users/a%2Fb%3Fc/groups?start=2" => (200, json!({ "items": [{ "id": "g2" }], "total": 2 })),
        _ if url.ends_with("/rights") => (200, json!(["r"])),
        _ if request.method != "GET" => (200, json!({ "job": "j1" })),
        _ => (404, Value::Null),
    }
}

mod loading {
    use super::*;

    #[test]
    fn a_sound_definition_orders_its_facts_by_edges_then_class() {
        let names: Vec<String> = sound(DEFINITION).facts().iter().map(|f| f.name.clone()).collect();
        assert_eq!(
            names,
            [
                "Suspended",
                "Locked",
                "GroupsLeft",
                "FilesMoved",
                "RightsKnown",
                "Spare"
            ]
        );
    }

    #[test]
    fn a_misspelt_field_is_refused_with_its_path() {
        let problems = changed("delete: '/groups", "delet: '/groups");
        assert!(
            problems.starts_with("facts.GroupsLeft.act[0].delet: unknown field"),
            "{problems}"
        );
    }

    #[test]
    fn an_unknown_name_is_refused_with_its_path() {
        let problems = changed("/groups/${item.id}/members", "/groups/${grup.id}/members");
        assert!(
            problems.starts_with("facts.GroupsLeft.act[0].delete: unknown name 'grup'"),
            "{problems}"
        );
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let text = DEFINITION
            .replace("after: [Suspended]", "after: [Suspendet]")
            .replace("holds: size(reads.groups) == 0", "holds: size(reads.grups) == 0")
            .replace("shows: user", "shows: usr");
        let problems = wrong(&text).to_string();
        for part in [
            "facts.GroupsLeft.after[0]: there is no fact 'Suspendet'; 'Suspended' is meant?",
            "facts.GroupsLeft.holds: there is no read 'grups'",
            "account.shows: there is no read 'usr'",
        ] {
            assert!(problems.contains(part), "{part} in\n{problems}");
        }
    }

    #[test]
    fn hostile_expressions_are_refused_before_they_are_parsed() {
        for (hostile, complaint) in [
            ("(".repeat(500), "nested deeper"),
            ("!".repeat(500), "nested deeper"),
            (format!("{}true", "true ? false : ".repeat(60)), "nested deeper"),
            (format!("'{}' == ''", "x".repeat(2000)), "bytes long"),
            (
                "[1].all(a, [1].all(b, [1].all(c, a == b)))".to_owned(),
                "loops inside each other",
            ),
            ("nosuch(1)".to_owned(), "unknown function"),
            ("reads".to_owned(), "write reads.NAME"),
        ] {
            let problems = changed("holds: has(reads.user.locked)", &format!("holds: \"{hostile}\""));
            assert!(problems.contains(complaint), "{complaint} in {problems}");
            assert!(problems.starts_with("facts.Locked.holds: "), "{problems}");
        }
    }

    #[test]
    fn rules_about_facts_are_checked() {
        for (from, to, complaint) in [
            (
                "class: Entitlements",
                "class: Entitlements\n      irreversible: true",
                "facts.GroupsLeft.irreversible",
            ),
            (
                "class: Entitlements",
                "class: Entitlements\n      proof: None",
                "facts.GroupsLeft.after",
            ),
            (
                "holds: '!reads.user.active'",
                "settle: 5m",
                "facts.Suspended.holds: missing",
            ),
            (
                "holds: '!reads.user.active'",
                "holds: 'true'\n      settle: soon",
                "facts.Suspended.settle",
            ),
            (
                "class: Credentials",
                "class: Credentials\n      act: [{ post: /x }]",
                "facts.Locked.ladder",
            ),
            (
                "class: Access",
                "class: Access\n      requires: [GroupsLeft]",
                "facts.Suspended: waits for itself",
            ),
            (
                "get: '/groups/${item.id}/rights'",
                "get: '/g/${reads.rights}'",
                "reads.rights: refers to itself",
            ),
            ("pattern: 'https?://.+'", "pattern: '('", "inputs.url.pattern"),
            (
                "offset: {",
                "next: response.body.next, offset: {",
                "reads.groups.page",
            ),
            (
                "snapshot: reads.groups.map(g, g.id)",
                "optional: false",
                "there is no fact 'GroupsLeft' with a snapshot",
            ),
            (
                "patch: '/users/${account.id}', json: { active: false",
                "entry: x, json: { active: false",
                "belongs to ldap",
            ),
            (
                "get: '/users/${account.id}' }",
                "delete: '/users/${account.id}' }",
                "a look changes nothing",
            ),
            (
                "password: '${random}'",
                "password: 'x${random + \"\"}'",
                "a hole of its own",
            ),
            (
                "get: '/users/${account.id}' }",
                "get: '/users/${account.id' }",
                "a hole is not closed",
            ),
        ] {
            let problems = changed(from, to);
            assert!(problems.contains(complaint), "{complaint} in\n{problems}");
        }
    }

    #[test]
    fn a_statement_with_a_hole_is_refused() {
        let text = r"
apiVersion: offboard.dev/v1alpha1
kind: ConnectorDefinition
metadata: { name: db }
spec:
  title: DB
  sql: { dialect: Postgresql, host: h, port: '5432' }
  account: { find: [{ statement: 'select 1 where x = ${who.email}' }], id: item.id, name: item.id, same: 'true' }
  facts: { A: { class: Access, holds: 'true' } }
";
        let problems = wrong(text).to_string();
        assert!(
            problems.starts_with("account.find[0].statement: a statement has no"),
            "{problems}"
        );
    }

    #[test]
    fn inputs_are_checked_and_named() {
        let script = Script::new(usual);
        let given = BTreeMap::from([("url".to_owned(), json!("ftp://x")), ("uri".to_owned(), json!(1))]);
        let Err(problems) = sound(DEFINITION).build(&given, Options::default(), script.clone()) else {
            panic!()
        };
        assert_eq!(
            problems.to_string(),
            "spec.inputs.uri: unknown input; the definition knows url\nspec.inputs.url: must match https?://.+"
        );
        let Err(problems) = sound(DEFINITION).build(&BTreeMap::new(), Options::default(), script) else {
            panic!()
        };
        assert_eq!(problems.to_string(), "spec.inputs.url: missing; set it");
    }

    #[test]
    fn optional_facts_are_there_only_when_asked_for_and_skipped_ones_never() {
        let script = Script::new(usual);
        let options = Options {
            include: vec!["Spare".into()],
            skip: vec!["Suspended".into()],
            ..Options::default()
        };
        let connector = sound(DEFINITION)
            .build(&inputs(), options, script.clone())
            .ok()
            .unwrap();
        let facts = &connector.capabilities().facts;
        assert!(facts.iter().any(|fact| fact.name == "Spare"));
        assert!(!facts.iter().any(|fact| fact.name == "Suspended"));
        assert!(
            facts.iter().all(|fact| fact.after.is_empty()),
            "an edge to a skipped fact is no edge"
        );
        assert!(
            !small(&script)
                .capabilities()
                .facts
                .iter()
                .any(|fact| fact.name == "Spare")
        );
    }
}

mod finding {
    use super::*;

    #[tokio::test]
    async fn an_address_with_a_quote_stays_one_value_of_the_filter() {
        let script = Script::new(|_| (200, json!({ "users": [] })));
        let who = Person {
            email: Some("a\"b@x".into()),
            ..Person::default()
        };
        assert_eq!(small(&script).find(&who).await, Ok(vec![]));
        assert_eq!(
            script.asked(),
            ["GET /users?filter=mail%20eq%20%22a%5C%22b%40x%22"]
        );
    }

    #[tokio::test]
    async fn somebody_else_is_not_theirs_and_one_account_is_found_once() {
        let script = Script::new(|_| {
            let theirs = json!({ "id": "1", "login": "ada", "mail": "ada@x.org" });
            let other = json!({ "id": "2", "login": "ida", "mail": "ida@x.org" });
            (200, json!({ "users": [theirs, other, theirs] }))
        });
        let found = small(&script).find(&ada()).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].id.as_str(), found[0].name.as_str()), ("1", "ada"));
    }

    #[tokio::test]
    async fn a_login_name_that_was_given_is_the_only_way() {
        let script = Script::new(|_| (404, Value::Null));
        let who = Person {
            account_name: Some("../x".into()),
            ..ada()
        };
        assert_eq!(small(&script).find(&who).await, Ok(vec![]));
        assert_eq!(script.asked(), ["GET /users/by-login/..%2Fx"]);
    }

    #[tokio::test]
    async fn a_dot_segment_is_never_sent() {
        let script = Script::new(|_| (200, Value::Null));
        let who = Person {
            account_name: Some("..".into()),
            ..ada()
        };
        assert_eq!(
            small(&script).find(&who).await.unwrap_err().reason,
            Reason::Malformed
        );
        assert!(script.asked().is_empty());
    }

    #[tokio::test]
    async fn nobody_is_found_only_if_somebody_was_asked() {
        let script = Script::new(|_| (200, json!({ "users": [] })));
        let fault = small(&script).find(&Person::default()).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::NeedsDecision);
        let refused = Script::new(|_| (401, Value::Null));
        let fault = small(&refused).find(&ada()).await.unwrap_err();
        assert_eq!(fault.reason, Reason::CredentialRejected);
    }

    #[tokio::test]
    async fn protected_accounts_need_a_decision() {
        let user = |login: &str| json!({ "users": [{ "id": "7", "login": login, "mail": "ada@x.org" }] });
        let root = user("root");
        let script = Script::new(move |_| (200, root.clone()));
        assert_eq!(
            small(&script).find(&ada()).await.unwrap_err().reason,
            Reason::Protected
        );
        let listed = user("Break-Glass");
        let script = Script::new(move |_| (200, listed.clone()));
        let options = Options {
            protected: vec!["break-glass".into()],
            ..Options::default()
        };
        let connector = sound(DEFINITION).build(&inputs(), options, script).ok().unwrap();
        assert_eq!(
            connector.find(&ada()).await.unwrap_err().reason,
            Reason::Protected
        );
    }
}

mod looking {
    use super::*;

    #[tokio::test]
    async fn only_the_reads_that_the_facts_rest_on_are_sent_each_once() {
        let script = Script::new(usual);
        let connector = small(&script);
        let readings = connector.observe(&subject(), &["Suspended", "Locked"]).await;
        assert_eq!(readings.len(), 1);
        assert_eq!(script.asked(), ["GET /users/a%2Fb%3Fc"]);
    }

    #[tokio::test]
    async fn what_find_showed_is_not_read_again() {
        let script = Script::new(usual);
        let mut subject = subject();
        subject.account.item = json!({ "active": false });
        let connector = small(&script);
        let readings = connector.observe(&subject, &["Suspended"]).await;
        assert!(script.asked().is_empty());
        assert_eq!(
            connector.sight(&subject, "Suspended", &readings).truth,
            Truth::Holds
        );
    }

    #[tokio::test]
    async fn pages_are_put_together_and_reads_may_rest_on_reads() {
        let script = Script::new(usual);
        let readings = small(&script).observe(&subject(), &["RightsKnown"]).await;
        assert_eq!(readings["groups"], Ok(json!([{ "id": "g1" }, { "id": "g2" }])));
        assert_eq!(readings["rights"], Ok(json!(["r", "r"])));
    }

    #[tokio::test]
    async fn a_list_that_is_shorter_than_its_total_is_incomplete() {
        let script = Script::new(|r| {
            let items = if r.url.ends_with("start=1") {
                json!([{ "id": "g1" }])
            } else {
                json!([])
            };
            (200, json!({ "items": items, "total": 3 }))
        });
        let readings = small(&script).observe(&subject(), &["GroupsLeft"]).await;
        assert_eq!(
            readings["groups"].as_ref().unwrap_err().reason,
            Reason::Incomplete
        );
    }

    fn paged(page: &str) -> String {
        DEFINITION.replace(
            "page: { offset: { parameter: start, first: 1, total: response.body.total } }",
            &format!("page: {{ {page} }}"),
        )
    }

    #[tokio::test]
    async fn cursors_are_followed_to_their_end_and_never_in_a_circle() {
        let text = paged("cursor: { parameter: cursor, value: response.body.next }");
        let script = Script::new(|r| match r.url.split_once("cursor=") {
            None => (200, json!({ "items": [1], "next": "a b" })),
            Some((_, "a%20b")) => (200, json!({ "items": [2], "next": "" })),
            _ => (500, Value::Null),
        });
        let readings = over(&text, &script).observe(&subject(), &["GroupsLeft"]).await;
        assert_eq!(readings["groups"], Ok(json!([1, 2])));
        let circle = Script::new(|_| (200, json!({ "items": [1], "next": "same" })));
        let readings = over(&text, &circle).observe(&subject(), &["GroupsLeft"]).await;
        assert_eq!(
            readings["groups"].as_ref().unwrap_err().reason,
            Reason::Incomplete
        );
        assert_eq!(circle.asked().len(), 2);
    }

    #[tokio::test]
    async fn an_endless_list_is_given_up() {
        let text = paged("cursor: { parameter: cursor, value: response.body.next }");
        let count = Mutex::new(0);
        let script = Script::new(move |_| {
            let mut count = count.lock().unwrap();
            *count += 1;
            (
                200,
                json!({ "items": ["x".repeat(100_000)], "next": count.to_string() }),
            )
        });
        let readings = over(&text, &script).observe(&subject(), &["GroupsLeft"]).await;
        assert_eq!(
            readings["groups"].as_ref().unwrap_err().reason,
            Reason::Incomplete
        );
        assert!(script.asked().len() < 100);
    }

    #[tokio::test]
    async fn links_are_followed_on_the_same_host_only() {
        let text = paged("next: response.body.next");
        let script = Script::new(|r| {
            let here = r.url.contains("page=2");
            let next = if here {
                Value::Null
            } else {
                json!("http://small/v1/x?page=2")
            };
            (200, json!({ "items": [1], "next": next }))
        });
        let readings = over(&text, &script).observe(&subject(), &["GroupsLeft"]).await;
        assert_eq!(readings["groups"], Ok(json!([1, 1])));
        let away = Script::new(|_| (200, json!({ "items": [1], "next": "http://evil/v1/x?page=2" })));
        let readings = over(&text, &away).observe(&subject(), &["GroupsLeft"]).await;
        assert_eq!(readings["groups"].as_ref().unwrap_err().reason, Reason::Malformed);
        assert_eq!(away.asked().len(), 1);
    }

    #[tokio::test]
    async fn an_answer_of_another_account_is_a_mismatch() {
        let script = Script::new(|_| (200, json!({ "id": "other", "active": false })));
        let connector = small(&script);
        let readings = connector.observe(&subject(), &["Suspended"]).await;
        let sight = connector.sight(&subject(), "Suspended", &readings);
        assert_eq!(fault_of(&sight.truth).reason, Reason::IdentityMismatch);
        assert_eq!(sight.act, None);
    }

    #[tokio::test]
    async fn a_bound_account_that_is_not_found_is_never_empty() {
        let script = Script::new(|_| (404, Value::Null));
        let readings = small(&script).observe(&subject(), &["GroupsLeft"]).await;
        assert_eq!(
            readings["groups"].as_ref().unwrap_err().reason,
            Reason::NotFoundUncorroborated
        );
    }

    #[tokio::test]
    async fn a_throttled_read_says_until_when() {
        let script = Script::new(|_| (429, Value::Null));
        let readings = small(&script).observe(&subject(), &["Suspended"]).await;
        let until = "2027-01-15T08:00:00Z".parse().unwrap();
        assert_eq!(
            readings["user"].as_ref().unwrap_err().kind,
            FaultKind::Throttled { until }
        );
    }
}

mod acting {
    use super::*;

    async fn sight_of(connector: &Declarative, subject: &Subject, fact: &str) -> crate::core::fact::Sight {
        let readings = connector.observe(subject, &[fact]).await;
        connector.sight(subject, fact, &readings)
    }

    #[tokio::test]
    async fn each_element_becomes_a_request_of_one_segment_a_hole() {
        let script = Script::new(usual);
        let connector = small(&script);
        let sight = sight_of(&connector, &subject(), "GroupsLeft").await;
        assert_eq!(sight.truth, Truth::DoesNotHold);
        assert_eq!((sight.count, sight.says.as_str()), (2, "leave 2 groups"));
        assert_eq!(sight.snapshot, Some(json!(["g1", "g2"])));
        connector
            .act(&subject(), &sight.act.unwrap(), &no_key())
            .await
            .unwrap();
        let asked = script.asked();
        assert_eq!(
            asked[asked.len() - 2..],
            [
                "DELETE /groups/g1/members/a%2Fb%3Fc",
                "DELETE /groups/g2/members/a%2Fb%3Fc"
            ]
        );
    }

    #[tokio::test]
    async fn the_act_shows_no_password_and_the_key_is_put_in_when_it_is_sent() {
        let script = Script::new(usual);
        let connector = small(&script);
        let act = sight_of(&connector, &subject(), "Suspended").await.act.unwrap();
        let Resolved::Http(http) = serde_json::from_value(act.requests[0].clone()).unwrap() else {
            panic!()
        };
        let Body::Json(body) = &http.body else { panic!() };
        assert_eq!(body["password"], RANDOM, "the stand-in");
        assert_eq!(body.get("note"), None, "a hole that gives null drops its key");
        assert_eq!(body["active"], false);
        connector.act(&subject(), &act, &no_key()).await.unwrap();
        let sent = script.asked.lock().unwrap().pop().unwrap();
        let Body::Json(body) = sent.body else { panic!() };
        assert_eq!(body["by"], "k-k1");
        assert_eq!(body["password"], RANDOM, "the driver's to replace");
    }

    #[tokio::test]
    async fn a_refusal_that_means_done_is_no_fault_and_any_other_stops() {
        for (status, fine) in [(409, true), (403, false)] {
            let script = Script::new(move |r| {
                if r.method == "GET" {
                    usual(r)
                } else {
                    (status, Value::Null)
                }
            });
            let connector = small(&script);
            let act = sight_of(&connector, &subject(), "Suspended").await.act.unwrap();
            assert_eq!(connector.act(&subject(), &act, &no_key()).await.is_ok(), fine);
        }
    }

    #[tokio::test]
    async fn the_ladder_goes_on_with_the_next_rung_and_starts_again_at_its_end() {
        let script = Script::new(usual);
        let connector = small(&script);
        for (rung, path) in [(0, "lock"), (1, "ban"), (2, "lock")] {
            let mut subject = subject();
            let ledger = FactLedger {
                rung,
                ..FactLedger::default()
            };
            subject.ledger.facts.insert("Locked".into(), ledger);
            let act = sight_of(&connector, &subject, "Locked").await.act.unwrap();
            assert_eq!(act.rung, rung % 2);
            assert!(act.requests[0]["http"]["url"].as_str().unwrap().ends_with(path));
        }
    }

    #[tokio::test]
    async fn without_a_successor_a_hand_over_waits_for_a_decision() {
        let script = Script::new(usual);
        let connector = small(&script);
        let sight = sight_of(&connector, &subject(), "FilesMoved").await;
        assert_eq!(fault_of(&sight.truth).reason, Reason::NoSuccessor);
    }

    #[tokio::test]
    async fn an_operation_runs_and_a_failed_one_is_asked_for_again() {
        let mut subject = subject();
        let heir = Account {
            id: "h".into(),
            name: "heir".into(),
            item: Value::Null,
        };
        subject.successor = Some((Person::default(), heir));
        let script = Script::new(|r| match r.url.split_once("/jobs/") {
            Some((_, "busy")) => (200, json!({ "state": "busy" })),
            Some((_, "bad")) => (200, json!({ "state": "failed" })),
            _ => usual(r),
        });
        let connector = small(&script);
        let act: Act = sight_of(&connector, &subject, "FilesMoved").await.act.unwrap();
        let receipt = connector.act(&subject, &act, &no_key()).await.unwrap();
        assert_eq!(receipt.operation.as_deref(), Some("j1"));
        for (operation, running) in [("busy", true), ("bad", false)] {
            let ledger = FactLedger {
                operation: Some(operation.into()),
                ..FactLedger::default()
            };
            subject.ledger.facts.insert("FilesMoved".into(), ledger);
            let sight = sight_of(&connector, &subject, "FilesMoved").await;
            assert_eq!(sight.truth == Truth::Running, running);
            assert_eq!(sight.act.is_none(), running);
        }
    }

    #[tokio::test]
    async fn undo_brings_back_what_the_snapshot_has() {
        let script = Script::new(usual);
        let connector = small(&script);
        let mut subject = subject();
        subject.ledger.snapshot.insert("GroupsLeft".into(), json!(["g7"]));
        let readings = connector.observe(&subject, &["GroupsLeft"]).await;
        let act = connector
            .undo(&subject, "GroupsLeft", &readings)
            .unwrap()
            .unwrap();
        assert_eq!(
            act.requests[0]["http"]["url"],
            "http://small/v1/groups/g7/members/a%2Fb%3Fc"
        );
        assert_eq!(act.requests[0]["http"]["method"], "PUT");
    }

    #[test]
    fn what_was_not_read_is_not_judged() {
        let connector = small(&Script::new(usual));
        let sight = connector.sight(&subject(), "Suspended", &BTreeMap::new());
        assert_eq!(sight.truth, Truth::NotRead);
    }
}
