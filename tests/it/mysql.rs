//! A leaver of a real MariaDB, driven by the built-in definition; what holds is asked of the server, with its own client.

mod names;

use std::{net::SocketAddr, time::Duration};

use offboard::core::{
    fact::{Verdict, Why},
    fault::Reason,
    plan::TASK_AWAITED,
};
use serde_json::json;

use crate::{
    driven::{Driven, System},
    relay::Relay,
    support::{self, Mariadb, unique},
};

/// A name made to break out of whatever it is put into.
const HOSTILE: &str = r#"a"b`c'd\; drop user x; --"#;
const PASSWORD: &str = "leaver-Passw0rd";

fn server() -> &'static Mariadb {
    support::mariadb()
}

fn sql(text: &str) -> String {
    server().sql_as_admin(text)
}

/// A name as MariaDB quotes it.
fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn system_at(port: u16, operator: (&str, &str), include: &'static [&'static str]) -> System<'static> {
    System {
        definition: "mysql",
        inputs: json!({"host": "localhost", "port": port, "match": "EmailLocalPart"}),
        secret: vec![
            ("username", operator.0.to_owned()),
            ("password", operator.1.to_owned()),
            ("ca.crt", server().tls.ca_pem()),
        ],
        include,
    }
}

fn system() -> System<'static> {
    system_at(
        server().port,
        (Mariadb::OPERATOR, Mariadb::OPERATOR_PASSWORD),
        &[],
    )
}

/// An operator with these rights, and with reading accounts.
fn operator(rights: &str) -> String {
    let name = unique("op");
    sql(&format!(
        "CREATE USER {name}@'%' IDENTIFIED BY 'operator'; GRANT {rights} ON *.* TO {name}@'%';
         GRANT SELECT ON mysql.* TO {name}@'%'"
    ));
    name
}

/// Adds an account that can log in from everywhere, and one for one host.
fn person(stem: &str) -> String {
    let name = unique(stem);
    let account = quoted(&name);
    sql(&format!(
        "CREATE USER {account}@'%' IDENTIFIED BY '{PASSWORD}'; CREATE USER {account}@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'"
    ));
    name
}

fn leaves(name: &str) -> serde_json::Value {
    json!({"employee": {"email": format!("{name}@example.com")}})
}

fn logs_in(name: &str) -> [bool; 2] {
    ["localhost", "127.0.0.1"].map(|host| server().login(name, host, PASSWORD))
}

#[tokio::test]
async fn a_leaver_can_log_in_from_no_host_and_has_no_session_right_or_role() {
    let (name, role) = (person("alice"), unique("readers"));
    sql(&format!(
        "CREATE DATABASE db_{name}; CREATE TABLE db_{name}.t (a INT); CREATE ROLE {role}; GRANT {role} TO {name}@'%';
         GRANT SELECT ON db_{name}.* TO {name}@'%' WITH GRANT OPTION; GRANT INSERT (a) ON db_{name}.t TO {name}@'127.0.0.1';
         GRANT PROCESS ON *.* TO {name}@'127.0.0.1'"
    ));
    assert_eq!(logs_in(&name), [true, true]);
    let mut session = server().session(&name, PASSWORD);
    let operator = operator("CREATE USER, CONNECTION ADMIN, PROCESS, SHOW VIEW, TRIGGER");
    let system = system_at(server().port, (&operator, "operator"), &[]);
    let mut driven = Driven::leaver(&system, leaves(&name));
    driven.follow(&[]).await;
    driven.assert_done();
    assert_eq!(logs_in(&name), [false, false]);
    assert!(!session.answers(), "the open session is dead");
    for host in ["%", "127.0.0.1"] {
        let grants = sql(&format!("SHOW GRANTS FOR {name}@'{host}'"));
        assert_eq!(grants.lines().count(), 1, "{grants}");
        assert!(grants.starts_with("GRANT USAGE ON *.* TO"), "{grants}");
    }
    let kept = driven.snapshot("GrantsRevoked").to_string();
    for grant in [
        "GRANT SELECT ON",
        "WITH GRANT OPTION",
        "GRANT INSERT (`a`)",
        "GRANT PROCESS",
        &role,
    ] {
        assert!(kept.contains(grant), "{grant} in {kept}");
    }
    let hash = sql(&format!(
        "SELECT JSON_VALUE(Priv, '$.authentication_string') FROM mysql.global_priv WHERE User = '{name}' LIMIT 1"
    ));
    assert!(!kept.contains(&hash) && !kept.contains("IDENTIFIED"), "{kept}");
    // Rehired by hand: the old password opens nothing.
    sql(&format!(
        "ALTER USER {name}@'%' ACCOUNT UNLOCK; ALTER USER {name}@'127.0.0.1' ACCOUNT UNLOCK"
    ));
    assert_eq!(logs_in(&name), [false, false]);
}

#[tokio::test]
async fn two_spellings_of_one_name_are_one_persons() {
    let name = person("Anna");
    let spelled = name.to_lowercase();
    assert_ne!(name, spelled);
    sql(&format!("CREATE USER {spelled}@'%' IDENTIFIED BY '{PASSWORD}'"));
    let mut session = server().session(&spelled, PASSWORD);
    let mut driven = Driven::leaver(&system(), leaves(&name));
    driven.follow(&[]).await;
    for name in [&name, &spelled] {
        assert_eq!(logs_in(name), [false, false], "{name}");
    }
    assert!(!session.answers());
    assert_eq!(driven.verdict("LoginsLocked"), &Verdict::Verified);
}

#[tokio::test]
async fn a_spelling_that_is_made_later_is_the_same_persons_and_is_locked_too() {
    let name = person("ute");
    let mut driven = Driven::leaver(&system(), leaves(&name));
    driven.follow(&[]).await;
    driven.pass().await;
    let spelled = name.to_uppercase();
    sql(&format!("CREATE USER {spelled}@'%' IDENTIFIED BY '{PASSWORD}'"));
    assert!(server().login(&spelled, "localhost", PASSWORD));
    driven.follow(&[]).await;
    assert_eq!(logs_in(&spelled), [false, false]);
    driven.assert_done();
}

#[tokio::test]
async fn letters_with_marks_count_alike_in_large_and_small() {
    let name = unique("JÜRGEN");
    let account = quoted(&name);
    sql(&format!("CREATE USER {account}@'%' IDENTIFIED BY '{PASSWORD}'"));
    let mut driven = Driven::leaver(&system(), leaves(&name.to_lowercase()));
    driven.follow(&[]).await;
    assert_eq!(logs_in(&name), [false, false]);
    driven.assert_done();
}

#[tokio::test]
async fn who_is_only_called_as_the_address_begins_is_asked_about() {
    let name = person("mia");
    let mut system = system();
    system.inputs.as_object_mut().unwrap().remove("match");
    let mut driven = Driven::leaver(&system, leaves(&name));
    driven.pass().await;
    assert!(
        matches!(driven.verdict("LoginsLocked"), Verdict::Unknown(fault) if fault.reason == Reason::Ambiguous),
        "{:?}",
        driven.row()
    );
    assert_eq!(driven.row().candidates, [name.as_str()]);
    assert_eq!(logs_in(&name), [true, true]);
}

#[tokio::test]
async fn a_host_that_somebody_unlocks_or_adds_is_locked_again_and_reported() {
    let name = person("bob");
    let mut driven = Driven::leaver(&system(), leaves(&name));
    driven.follow(&[]).await;
    // What was seen once may have been seen late; what is seen twice was true.
    driven.pass().await;
    sql(&format!(
        "CREATE USER {name}@'localhost' IDENTIFIED BY '{PASSWORD}'"
    ));
    assert!(server().login(&name, "localhost", PASSWORD));
    let mut session = server().session(&name, PASSWORD);
    driven.pass().await;
    assert!(
        driven.row().drifted.contains(&"LoginsLocked".to_owned()),
        "{:?}",
        driven.row().drifted
    );
    driven.follow(&[]).await;
    assert_eq!(driven.verdict("LoginsLocked"), &Verdict::Verified);
    assert_eq!(driven.verdict("SessionsEnded"), &Verdict::Verified);
    assert_eq!(logs_in(&name), [false, false]);
    assert!(!session.answers());
}

#[tokio::test]
async fn a_name_made_to_break_out_means_only_itself() {
    let name = format!("{HOSTILE}{}", unique(""));
    let account = quoted(&name);
    sql(&format!(
        "CREATE USER {account}@'%' IDENTIFIED BY '{PASSWORD}'; GRANT PROCESS ON *.* TO {account}@'%'"
    ));
    assert_eq!(logs_in(&name), [true, true]);
    let mut driven = Driven::leaver(
        &system(),
        json!({"employee": {"email": format!("{}@example.com", unique("nobody")),
                            "accounts": [{"connector": "system", "name": name}]}}),
    );
    driven.follow(&[]).await;
    for fact in ["LoginsLocked", "SessionsEnded", "GrantsRevoked"] {
        assert_eq!(driven.verdict(fact), &Verdict::Verified, "{fact}");
    }
    assert_eq!(logs_in(&name), [false, false]);
}

#[tokio::test]
async fn programs_in_the_leavers_name_are_told_and_block_the_dropping() {
    let name = person("cleo");
    sql(&format!(
        "CREATE DATABASE db_{name}; CREATE TABLE db_{name}.t (a INT);
         CREATE DEFINER={name}@'%' PROCEDURE db_{name}.p() SELECT 1;
         CREATE DEFINER={name}@'%' EVENT db_{name}.e ON SCHEDULE EVERY 1 DAY DO SELECT 1;
         CREATE DEFINER={name}@'%' VIEW db_{name}.v AS SELECT 1;
         CREATE DEFINER={name}@'%' TRIGGER db_{name}.g BEFORE INSERT ON db_{name}.t FOR EACH ROW SET NEW.a = 1"
    ));
    let operator = (Mariadb::OPERATOR, Mariadb::OPERATOR_PASSWORD);
    let system = system_at(server().port, operator, &["AccountsDropped"]);
    let mut driven = Driven::leaver(&system, leaves(&name));
    driven.follow(&["DefinersReplaced", "AccountsDropped"]).await;
    assert_eq!(
        driven.verdict("DefinersReplaced"),
        &Verdict::Unmet(Why::Gated(TASK_AWAITED))
    );
    // What is not handed over keeps what would be deleted, for ever.
    assert_eq!(
        driven.verdict("AccountsDropped"),
        &Verdict::NotDue(jiff::Timestamp::MAX)
    );
    let rows = || {
        sql(&format!(
            "SELECT COUNT(*) FROM mysql.global_priv WHERE User = '{name}'"
        ))
    };
    assert_eq!(rows(), "2");
    sql(&format!("DROP DATABASE db_{name}"));
    driven.follow(&[]).await;
    driven.assert_done();
    assert_eq!(rows(), "0");
    // Gone by our own doing is still done, now and later.
    driven.restart();
    driven.pass().await;
    driven.assert_done();
}

#[tokio::test]
async fn what_an_application_reads_in_the_leavers_name_works_until_somebody_has_replaced_it() {
    let (name, app) = (person("erin"), person("app"));
    sql(&format!(
        "CREATE DATABASE db_{name}; CREATE TABLE db_{name}.orders (n INT); INSERT INTO db_{name}.orders VALUES (7);
         GRANT SELECT ON db_{name}.* TO {name}@'%'"
    ));
    let view = |definer: &str| {
        sql(&format!(
            "CREATE OR REPLACE DEFINER={definer}@'%' SQL SECURITY DEFINER VIEW db_{name}.report AS
             SELECT n FROM db_{name}.orders; GRANT SELECT ON db_{name}.report TO {app}@'%', {app}@'127.0.0.1'"
        ))
    };
    view(&name);
    let reads = || {
        server()
            .sql_as(&app, PASSWORD, &format!("SELECT n FROM db_{name}.report"))
            .ok()
    };
    assert!(reads());
    let mut driven = Driven::leaver(&system(), leaves(&name));
    driven.follow(&["DefinersReplaced", "GrantsRevoked"]).await;
    assert_eq!(logs_in(&name), [false, false]);
    let waits = Why::WaitsFor(vec!["DefinersReplaced".to_owned()]);
    assert_eq!(driven.verdict("GrantsRevoked"), &Verdict::Unmet(waits));
    assert_eq!(
        driven.verdict("DefinersReplaced"),
        &Verdict::Unmet(Why::Gated(TASK_AWAITED))
    );
    assert!(reads(), "the application goes on");
    sql("CREATE USER IF NOT EXISTS reports@'%' ACCOUNT LOCK");
    sql(&format!("GRANT SELECT ON db_{name}.orders TO reports@'%'"));
    view("reports");
    driven.follow(&[]).await;
    driven.assert_done();
    assert!(reads(), "and with the new definer too");
}

#[tokio::test]
async fn a_right_that_is_missing_hurts_only_its_own_fact() {
    let (name, no_kill, blind) = (
        person("dora"),
        operator("CREATE USER, PROCESS"),
        operator("CREATE USER, CONNECTION ADMIN"),
    );
    let mut session = server().session(&name, PASSWORD);
    let mut driven = Driven::leaver(
        &system_at(server().port, (&no_kill, "operator"), &[]),
        leaves(&name),
    );
    driven.pass().await;
    match driven.verdict("SessionsEnded") {
        Verdict::Unmet(Why::Failed(fault)) => assert_eq!(fault.reason, Reason::PermissionDenied),
        other => panic!("{other:?}"),
    }
    match driven.verdict("DefinersReplaced") {
        Verdict::Unknown(fault) => assert_eq!(fault.reason, Reason::PermissionDenied),
        other => panic!("{other:?}"),
    }
    assert_eq!(driven.verdict("LoginsLocked"), &Verdict::Verified);
    // Who cannot see what runs with these rights takes none of them.
    let waits = Why::WaitsFor(vec!["DefinersReplaced".to_owned()]);
    assert_eq!(driven.verdict("GrantsRevoked"), &Verdict::Unmet(waits));
    assert!(session.answers(), "and so it is");
    // Who cannot see sessions must not take that for there being none.
    let mut driven = Driven::leaver(
        &system_at(server().port, (&blind, "operator"), &[]),
        leaves(&name),
    );
    driven.pass().await;
    match driven.verdict("SessionsEnded") {
        Verdict::Unknown(fault) => assert_eq!(fault.reason, Reason::PermissionDenied),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_connectors_own_account_and_the_servers_are_never_offboarded() {
    for name in [Mariadb::OPERATOR, "root"] {
        let mut driven = Driven::leaver(&system(), leaves(name));
        driven.pass().await;
        match driven.verdict("LoginsLocked") {
            Verdict::Unknown(fault) => assert_eq!(fault.reason, Reason::Protected),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(server().login(Mariadb::OPERATOR, "localhost", Mariadb::OPERATOR_PASSWORD));
}

#[tokio::test]
async fn an_account_that_vanished_for_no_reason_of_ours_is_never_taken_for_done() {
    let name = person("eve");
    let mut driven = Driven::leaver(&system(), leaves(&name));
    driven.follow(&[]).await;
    assert_eq!(driven.verdict("LoginsLocked"), &Verdict::Verified);
    sql(&format!("DROP USER {name}@'%'; DROP USER {name}@'127.0.0.1'"));
    driven.pass().await;
    match driven.verdict("LoginsLocked") {
        Verdict::Unknown(fault) => assert_eq!(fault.reason, Reason::NotFoundUncorroborated),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_last_administrator_stays_until_another_one_can_log_in() {
    let server = support::another_mariadb();
    server.sql_as_admin(
        "CREATE USER jane@'%' IDENTIFIED BY 'jane'; CREATE USER bob@'%' IDENTIFIED BY 'bob' ACCOUNT LOCK; CREATE ROLE dba;
         GRANT ALL PRIVILEGES ON *.* TO dba WITH GRANT OPTION; GRANT dba TO jane@'%'; SET DEFAULT ROLE dba FOR jane@'%';
         GRANT SUPER ON *.* TO bob@'%' WITH GRANT OPTION;
         CREATE USER operator@'%' IDENTIFIED BY 'operator'; GRANT ALL PRIVILEGES ON *.* TO operator@'%' WITH GRANT OPTION;
         CREATE USER small@'%' IDENTIFIED BY 'small'; GRANT SUPER ON *.* TO small@'%'",
    );
    let sql = |text: &str| server.sql_as("jane", "jane", text).expect_ok();
    for host in sql("SELECT Host FROM mysql.global_priv WHERE User = 'root'").lines() {
        sql(&format!("ALTER USER root@'{host}' ACCOUNT LOCK"));
    }
    let mut system = system_at(server.port, ("operator", "operator"), &[]);
    system.secret[2].1 = server.tls.ca_pem();
    let mut driven = Driven::leaver(&system, leaves("jane"));
    driven.pass().await;
    for fact in ["LoginsLocked", "PasswordsRandomised", "GrantsRevoked"] {
        let verdict = driven.verdict(fact);
        assert!(
            matches!(verdict, Verdict::Unmet(Why::Failed(fault))
                if fault.reason == Reason::Protected && fault.code == "last administrator"),
            "{fact}: {verdict:?}"
        );
    }
    assert!(sql("SHOW GRANTS").contains("GRANT ALL PRIVILEGES ON *.* TO `dba` WITH GRANT OPTION"));
    // Who is less is no administrator, and leaves.
    let mut small = Driven::leaver(&system, leaves("small"));
    small.follow(&[]).await;
    small.assert_done();
    sql("ALTER USER bob@'%' ACCOUNT UNLOCK");
    driven.restart();
    driven.follow(&[]).await;
    driven.assert_done();
    assert!(!server.login("jane", "localhost", "jane"));

    system.inputs["keepLastAdministrator"] = json!(false);
    let mut driven = Driven::leaver(&system, leaves("bob"));
    driven.follow(&[]).await;
    driven.assert_done();
}

#[tokio::test]
async fn whatever_moment_the_wire_is_cut_the_end_is_the_same() {
    let name = person("frank");
    let mut session = server().session(&name, PASSWORD);
    let mut relay = Relay::to(SocketAddr::from(([127, 0, 0, 1], server().port))).await;
    let operator = (Mariadb::OPERATOR, Mariadb::OPERATOR_PASSWORD);
    let mut driven = Driven::leaver(&system_at(relay.port, operator, &[]), leaves(&name));
    for cut_after in [15, 40, 80] {
        let pass = tokio::time::timeout(Duration::from_millis(cut_after), driven.pass());
        drop(pass.await);
        relay.cut().await;
        driven.pass().await;
        relay.mend().await;
        // What was only in memory is lost as well.
        driven.restart();
    }
    driven.follow(&[]).await;
    for fact in ["LoginsLocked", "SessionsEnded", "GrantsRevoked"] {
        assert_eq!(driven.verdict(fact), &Verdict::Verified, "{fact}");
    }
    assert_eq!(logs_in(&name), [false, false]);
    assert!(!session.answers());
}
