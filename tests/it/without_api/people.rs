//! Tasks that people do, and an export in a real PostgreSQL that says whether they did.

use offboard::{
    connectors::declarative::{Definition, Options, builtin, parse},
    core::{
        fact::{Verdict, Why},
        plan::{TASK_AWAITED, TASK_OVERDUE},
    },
};
use serde_json::{Value, json};

use super::System;
use crate::{
    support::{self, Postgres, unique},
    trial::Trial,
};

const AWAITED: Verdict = Verdict::Unmet(Why::Gated(TASK_AWAITED));

fn badge() -> Trial {
    let inputs = json!({"title": "Collect the badge", "assignee": "front-desk@example.com", "dueIn": "1d"});
    System::new("manual", inputs).leaver()
}

#[tokio::test]
async fn a_task_waits_for_a_person_without_being_stalled_and_is_overdue_in_time() {
    let mut leaver = badge();
    leaver.pass().await;
    assert_eq!(leaver.verdict("TaskDone"), AWAITED);
    assert_eq!(leaver.ready(), (TASK_AWAITED.into(), false));
    leaver.wait(86_401);
    leaver.pass().await;
    assert_eq!(
        leaver.verdict("TaskDone"),
        Verdict::Unmet(Why::Gated(TASK_OVERDUE))
    );
    assert_eq!(leaver.ready(), (TASK_AWAITED.into(), false));
    let status = leaver.status();
    let ready = status.conditions.iter().find(|c| c.type_ == "Ready").unwrap();
    assert_eq!(
        ready.message,
        "system: TaskDone ManualTaskOverdue: ask who has the task"
    );
}

#[tokio::test]
async fn what_somebody_says_is_asserted_once_and_for_good() {
    let mut leaver = badge();
    leaver.pass().await;
    leaver.attest("TaskDone", "dora@example.com");
    for _ in 0..3 {
        leaver.pass().await;
        assert_eq!(leaver.verdict("TaskDone"), Verdict::Asserted);
        leaver.wait(86_400);
    }
    assert_eq!(leaver.ready(), ("Offboarded".into(), false));
    assert_eq!(leaver.evidence("TaskDone"), ["Asserted"]);
}

#[tokio::test]
async fn a_connectors_own_list_of_tasks_are_its_facts() {
    let tasks = json!([
        {"fact": "BadgeReturned", "class": "Devices", "title": "Collect the badge of ${who.email}", "assignee": "front desk"},
        {"fact": "KeysReturned", "class": "Record", "title": "Collect the keys", "dueIn": "1h"},
    ]);
    let mut leaver = System::new("manual", json!({"tasks": tasks})).leaver();
    leaver.pass().await;
    let all = [("BadgeReturned", AWAITED), ("KeysReturned", AWAITED)];
    assert_eq!(
        leaver.all(),
        all.map(|(name, verdict)| (name.to_owned(), verdict))
    );
    let status = leaver.status();
    assert_eq!(
        status.access_left,
        Some(1),
        "the badge opens doors, the keys are on record"
    );
    leaver.wait(3601);
    leaver.attest("BadgeReturned", "dora@example.com");
    leaver.pass().await;
    assert_eq!(leaver.verdict("BadgeReturned"), Verdict::Asserted);
    assert_eq!(
        leaver.verdict("KeysReturned"),
        Verdict::Unmet(Why::Gated(TASK_OVERDUE))
    );
}

#[test]
fn what_is_wrong_with_a_list_of_tasks_is_said_at_its_place() {
    let (name, spec) = parse(builtin("manual").unwrap()).unwrap();
    let definition = Definition::compile(&name, spec).unwrap();
    let wrong = |tasks: Value| {
        let inputs = [("tasks".to_owned(), tasks)].into();
        let nobody = std::sync::Arc::new(offboard::connectors::job::NoDriver);
        let built = definition.build(&inputs, Options::default(), nobody);
        built.err().expect("it is wrong").to_string()
    };
    let task = |fact: &str, class: &str| json!({"fact": fact, "class": class, "title": "do it"});
    for (tasks, expected) in [
        (
            json!([task("A", "Devices"), task("A", "Record")]),
            "spec.inputs.tasks[1]: there are two tasks 'A'",
        ),
        (
            json!([task("A", "Doors")]),
            "spec.inputs.tasks[0].class: unknown variant",
        ),
        (json!([{"fact": "A", "class": "Record"}]), "missing field `title`"),
        (
            json!([task("not a fact", "Record")]),
            "a fact's name is PascalCase",
        ),
    ] {
        let problems = wrong(tasks);
        assert!(problems.contains(expected), "{expected} in\n{problems}");
    }
}

/// A list of badges that another system exports into a database now and then.
const BADGES: &str = r#"
apiVersion: offboard.dev/v1alpha1
kind: ConnectorDefinition
metadata: { name: badges }
spec:
  title: Badges
  inputs: { host: {}, port: { type: Integer }, table: {} }
  secret: { username: { description: Login }, password: { description: Login } }
  sql: { dialect: Postgresql, host: '${inputs.host}', port: '${inputs.port}', database: postgres }
  account:
    find:
      - statement: 'SELECT badge, employee FROM {badges} WHERE employee = $1'
        identifiers: { badges: '${inputs.table}' }
        parameters: [who.employeeID]
    id: item.badge
    name: item.badge
    same: item.employee == who.employeeID
  reads:
    badge:
      statement: 'SELECT active, exported FROM {badges} WHERE badge = $1'
      identifiers: { badges: '${inputs.table}' }
      parameters: [account.id]
  facts:
    BadgeReturned:
      class: Devices
      holds: '!reads.badge[0].active'
      task:
        title: Collect badge ${account.id}
        assignee: front desk
        dueIn: 3d
        asOf: reads.badge[0].exported
"#;

/// A leaver with a badge, and the export that lists it.
struct Export {
    table: String,
    leaver: Trial,
}

impl Export {
    fn new() -> Self {
        let server = support::postgres();
        let table = unique("badges").replace('-', "_");
        server.sql_as_admin(
            "postgres",
            &format!(
                "CREATE TABLE {table} (badge text, employee text, active boolean, exported text); \
                 GRANT SELECT ON {table} TO {}; \
                 INSERT INTO {table} VALUES ('B-2231', '10442', true, '2020-01-01T00:00:00Z')",
                Postgres::OPERATOR
            ),
        );
        let inputs = json!({"host": "localhost", "port": server.port, "table": table});
        let system = System {
            secret: vec![
                ("username", Postgres::OPERATOR.to_owned()),
                ("password", Postgres::OPERATOR_PASSWORD.to_owned()),
                ("ca.crt", server.tls.ca_pem()),
            ],
            ..System::new(BADGES, inputs)
        };
        let leaver = system.leaver();
        Self { table, leaver }
    }

    /// The other system exports, by the leaver's clock.
    fn exports(&self, active: bool) {
        let (table, now) = (&self.table, self.leaver.now());
        support::postgres().sql_as_admin(
            "postgres",
            &format!("UPDATE {table} SET active = {active}, exported = '{now}'"),
        );
    }

    async fn verdict(&mut self) -> Verdict {
        self.leaver.wait(60);
        self.leaver.pass().await;
        self.leaver.verdict("BadgeReturned")
    }

    fn says_done(&mut self) {
        self.leaver.wait(60);
        self.leaver.attest("BadgeReturned", "dora@example.com");
    }
}

#[tokio::test]
async fn a_word_counts_until_an_export_proves_it() {
    let mut export = Export::new();
    assert_eq!(export.verdict().await, AWAITED);
    export.says_done();
    assert_eq!(export.verdict().await, Verdict::Asserted, "the export is older");
    export.exports(false);
    assert_eq!(export.verdict().await, Verdict::Verified);
    assert_eq!(export.leaver.evidence("BadgeReturned"), ["Asserted", "Verified"]);
    assert_eq!(export.leaver.ready(), ("Offboarded".into(), false));
}

#[tokio::test]
async fn an_export_that_disagrees_opens_the_task_again_and_spends_the_word_for_good() {
    let mut export = Export::new();
    export.says_done();
    assert_eq!(export.verdict().await, Verdict::Asserted);
    export.exports(true);
    assert_eq!(export.verdict().await, AWAITED);
    assert_eq!(export.leaver.ready(), (TASK_AWAITED.into(), false));
    // Neither a restart nor an older export makes it count again.
    export.leaver.restart();
    support::postgres().sql_as_admin(
        "postgres",
        &format!("UPDATE {} SET exported = '2020-01-01T00:00:00Z'", export.table),
    );
    assert_eq!(export.verdict().await, AWAITED);
    export.says_done();
    assert_eq!(export.verdict().await, Verdict::Asserted);
    export.exports(false);
    assert_eq!(export.verdict().await, Verdict::Verified);
    assert_eq!(
        export.leaver.evidence("BadgeReturned"),
        ["Asserted", "Reopened", "Asserted", "Verified"]
    );
}

#[tokio::test]
async fn a_badge_that_works_again_after_it_was_proven_returned_is_a_drift() {
    let mut export = Export::new();
    export.says_done();
    export.exports(false);
    assert_eq!(export.verdict().await, Verdict::Verified);
    export.leaver.wait(86_400);
    export.exports(true);
    assert_eq!(export.verdict().await, AWAITED);
    assert_eq!(export.leaver.evidence("BadgeReturned"), ["Verified", "Drifted"]);
    let status = export.leaver.status();
    assert!(
        status.conditions.iter().any(|c| c.type_ == "Drifted"),
        "{:?}",
        status.conditions
    );
}
