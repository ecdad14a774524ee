//! The engine over a small system in memory.

mod acting;
mod checking;
mod files;
mod finding;
mod garbled;
mod loading;
mod looking;
mod people;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{Declarative, Definition, Options, Problems, parse};
use crate::{
    connectors::{
        Connector, Key, Keys, Order, Subject,
        driver::{Answer, Body, Driver, HttpRequest, LdapRequest, RANDOM, Resolved},
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
    keys: { employeeID: "has(item.number) ? item.number : null", email: "has(item.mails) ? item.mails : [item.mail]" }
    protected: item.login == 'root'
    shows: user
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
      none: reads.groups
      snapshot: reads.groups.map(g, g.id)
      act: [{ delete: '/groups/${item.id}/members/${account.id}' }]
      undo: [{ each: snapshot.GroupsLeft, put: '/groups/${item}/members/${account.id}' }]
      says: 'leave ${count} groups'
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
    parked: Mutex<Vec<jiff::Timestamp>>,
}

impl Script {
    fn new(answer: impl Fn(&HttpRequest) -> (u16, Value) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            answer: Box::new(answer),
            asked: Mutex::default(),
            parked: Mutex::default(),
        })
    }

    fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock();
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
        self.asked.lock().push(http.clone());
        let (status, body) = (self.answer)(http);
        let fault = match status {
            200..300 => None,
            401 => Some(Fault::needs_decision(Reason::CredentialRejected)),
            429 | 500.. => Some(Fault::transient(Reason::SystemUnavailable)),
            _ => Some(Fault::permanent(Reason::Refused)),
        };
        Ok(Answer {
            part: None,
            response: json!({ "status": status, "headers": { "x-reset": "1800000000" }, "body": body }),
            value: body,
            fault: fault.map(|fault| fault.with_code(status)),
            date: None,
            retry_at: (status >= 429).then(|| "2027-02-01T00:00:00Z".parse().unwrap()),
            rows: None,
            memory: Default::default(),
        })
    }

    fn park(&self, until: jiff::Timestamp) {
        self.parked.lock().push(until);
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
            item: Value::Null.into(),
            doubt: None,
            keys: vec![],
        },
        successor: None,
        ledger: SystemLedger::default(),
        cutoff: "2026-01-01T00:00:00Z".parse().unwrap(),
        now: "2026-01-02T00:00:00Z".parse().unwrap(),
        keys: Keys::default(),
    }
}

fn no_key() -> Order<'static> {
    Order::new(Key("k1".into()), &|| true)
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
