//! A leaver of a real PostgreSQL, driven by the built-in definition; what holds is asked of the server, with psql.

mod newer;

use std::{net::SocketAddr, process::Stdio, time::Duration};

use offboard::core::{
    fact::{Verdict, Why},
    fault::{FaultKind, Reason},
};
use serde_json::json;

use crate::{
    driven::{Driven, System},
    relay::Relay,
    support::{self, Postgres, poll, unique},
};

/// A name made to break out of whatever it is put into.
const HOSTILE: &str = r#"a"b`c'd\; drop role x; --"#;
const PASSWORD: &str = "leaver-Passw0rd";

fn server() -> &'static Postgres {
    support::postgres()
}

fn sql(text: &str) -> String {
    server().sql_as_admin("postgres", text)
}

/// A name as PostgreSQL quotes it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

fn system_at(port: u16, operator: (&str, &str), include: &'static [&'static str]) -> System<'static> {
    System {
        definition: "postgresql",
        inputs: json!({"host": "localhost", "port": port, "match": "EmailLocalPart"}),
        secret: vec![
            ("username", operator.0.to_owned()),
            ("password", operator.1.to_owned()),
            ("ca.crt", server().tls.ca_pem()),
        ],
        include,
    }
}

fn system(include: &'static [&'static str]) -> System<'static> {
    let operator = (Postgres::OPERATOR, Postgres::OPERATOR_PASSWORD);
    system_at(server().port, operator, include)
}

/// Adds a role that can log in.
fn person(stem: &str) -> String {
    let name = unique(stem);
    sql(&format!(
        "CREATE ROLE {} LOGIN PASSWORD '{PASSWORD}'",
        quoted(&name)
    ));
    name
}

fn leaves(name: &str) -> serde_json::Value {
    json!({"employee": {"email": format!("{name}@example.com")}})
}

/// The same, who leaves everything to a successor.
fn leaves_all(name: &str, successor: &str) -> serde_json::Value {
    let mut spec = leaves(name);
    spec["transfers"] = json!([{"what": "Everything", "to": format!("{successor}@example.com")}]);
    spec
}

#[tokio::test]
async fn a_leaver_can_no_longer_log_in_and_has_no_session_password_power_or_role() {
    let (name, group) = (person("alice"), unique("readers"));
    sql(&format!(
        "CREATE ROLE {group}; GRANT {group} TO {name} WITH ADMIN OPTION; ALTER ROLE {name} CREATEDB"
    ));
    assert!(server().login(&name, PASSWORD, "postgres"));
    let mut session = server().session(&name, PASSWORD, "postgres");
    let mut driven = Driven::leaver(&system(&[]), leaves(&name));
    driven.follow(&[]).await;
    driven.assert_done();
    assert!(!server().login(&name, PASSWORD, "postgres"));
    assert!(!session.answers(), "the open session is dead");
    let left = format!(
        "SELECT rolcanlogin, rolcreatedb, rolpassword IS NULL, rolvaliduntil <= now(),
         (SELECT count(*) FROM pg_auth_members m WHERE m.member = a.oid) FROM pg_authid a WHERE rolname = '{name}'"
    );
    assert_eq!(sql(&left), "f|f|t|t|0");
    assert_eq!(driven.verdict("LoginRevoked"), &Verdict::Verified);
    // Nobody let the connector read passwords, so it cannot know.
    assert_eq!(driven.verdict("PasswordCleared"), &Verdict::Asserted);
    assert_eq!(driven.snapshot("MembershipsRevoked")[0]["role"], group);
    assert_eq!(driven.snapshot("MembershipsRevoked")[0]["admin"], true);
    assert_eq!(driven.snapshot("AttributesRevoked"), json!(["createdb"]));
    // Rehired by hand: the old password opens nothing.
    sql(&format!("ALTER ROLE {name} LOGIN VALID UNTIL 'infinity'"));
    assert!(!server().login(&name, PASSWORD, "postgres"));
}

#[tokio::test]
async fn a_password_is_proven_gone_where_the_connector_may_read_that() {
    let (name, operator) = (person("nell"), unique("reader"));
    sql(&format!(
        "CREATE ROLE {operator} LOGIN CREATEROLE PASSWORD 'operator'; GRANT pg_signal_backend TO {operator};
         GRANT SELECT (oid, rolpassword) ON pg_catalog.pg_authid TO {operator}"
    ));
    let system = system_at(server().port, (&operator, "operator"), &[]);
    let mut driven = Driven::leaver(&system, leaves(&name));
    driven.follow(&[]).await;
    driven.assert_done();
    assert_eq!(driven.verdict("PasswordCleared"), &Verdict::Verified);
}

#[tokio::test]
async fn what_a_leaver_owns_goes_to_the_successor_in_every_database() {
    let (name, successor, other) = (person("bob"), person("sue"), unique("second"));
    sql(&format!("CREATE DATABASE {other}"));
    for database in ["postgres", &other] {
        let all = format!(
            "CREATE SCHEMA s_{name} AUTHORIZATION {name}; SET ROLE {name};
             CREATE TABLE s_{name}.orders (id serial PRIMARY KEY, n int); INSERT INTO s_{name}.orders (n) VALUES (7);
             CREATE VIEW s_{name}.totals AS SELECT sum(n) FROM s_{name}.orders"
        );
        // A schema goes to somebody else only by one who may create schemas.
        server().sql_as_admin(
            database,
            &format!(
                "GRANT CREATE ON DATABASE {database} TO {}; {all}",
                Postgres::OPERATOR
            ),
        );
        let read = format!("SELECT n FROM s_{name}.orders");
        assert!(!server().sql_as(&successor, PASSWORD, database, &read).ok());
    }
    let spec = leaves_all(&name, &successor);
    let mut driven = Driven::leaver(&system(&["GrantsRemoved", "RoleDropped"]), spec);
    driven.follow(&[]).await;
    driven.assert_done();
    for database in ["postgres", &other] {
        let read = format!("SELECT n FROM s_{name}.orders");
        let seen = server().sql_as(&successor, PASSWORD, database, &read).expect_ok();
        assert_eq!(seen.trim(), "7", "{database}");
        let owner = format!("SELECT tableowner FROM pg_tables WHERE schemaname = 's_{name}'");
        assert_eq!(server().sql_as_admin(database, &owner), successor);
    }
    assert_eq!(
        sql(&format!("SELECT count(*) FROM pg_roles WHERE rolname = '{name}'")),
        "0"
    );
    // The leaver's role is gone; the successor's is what was borrowed. Other leavers of this server borrow their own.
    let members = format!(
        "SELECT count(*) FROM pg_auth_members WHERE member = '{}'::regrole AND roleid = '{successor}'::regrole",
        Postgres::OPERATOR
    );
    assert_eq!(sql(&members), "0", "what was borrowed is given back");
    // Gone by our own doing is still done, now and later.
    driven.restart();
    driven.pass().await;
    driven.assert_done();
}

#[tokio::test]
async fn what_still_hangs_on_a_role_that_cannot_be_dropped_is_named() {
    let elsewhere = unique("other");
    sql(&format!("CREATE DATABASE {elsewhere}"));
    for (database, code) in [
        ("postgres", "2BP01 it has rights on table public.t_KAY".to_owned()),
        (&elsewhere, format!("2BP01 it is in database {elsewhere}")),
    ] {
        let kay = person("kay");
        let table = format!("CREATE TABLE t_{kay} (n int); GRANT SELECT ON t_{kay} TO {kay}");
        server().sql_as_admin(database, &table);
        let mut driven = Driven::leaver(&system(&["RoleDropped"]), leaves_all(&kay, &person("sue")));
        driven.follow(&["RoleDropped"]).await;
        // What ends the account is due once the rest is known to be over.
        driven.pass().await;
        match driven.verdict("RoleDropped") {
            Verdict::Unmet(Why::Failed(fault)) => assert_eq!(fault.code, code.replace("KAY", &kay)),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn whose_right_it_is_that_the_connector_cannot_take_is_named() {
    let (kay, owner, schema) = (person("kay"), person("owner"), unique("s"));
    sql(&format!(
        "CREATE SCHEMA {schema} AUTHORIZATION {owner}; CREATE TABLE {schema}.t (n int);
         ALTER TABLE {schema}.t OWNER TO {owner}; GRANT SELECT ON {schema}.t TO {kay}"
    ));
    let mut driven = Driven::leaver(&system(&["GrantsRemoved"]), leaves_all(&kay, &person("sue")));
    driven.follow(&["GrantsRemoved"]).await;
    driven.pass().await;
    match driven.verdict("GrantsRemoved") {
        Verdict::Unmet(Why::Failed(fault)) => assert_eq!(
            (fault.reason, fault.code.clone()),
            (
                Reason::PermissionDenied,
                format!("42501 only {owner} can take the right on {schema}.t in postgres")
            )
        ),
        other => panic!("{other:?}"),
    }
    // Once it may, it does.
    sql(&format!("GRANT {owner} TO {}", Postgres::OPERATOR));
    driven.restart();
    driven.follow(&[]).await;
    driven.assert_done();
}

#[tokio::test]
async fn what_the_leaver_gave_others_stays_until_the_owner_has_given_it_anew() {
    let (jane, bob, superuser) = (person("jane"), person("bob"), unique("admin"));
    sql(&format!(
        "CREATE ROLE {superuser} LOGIN SUPERUSER PASSWORD 'operator';
         CREATE TABLE t_{jane} (n int); INSERT INTO t_{jane} VALUES (7);
         GRANT SELECT ON t_{jane} TO {jane} WITH GRANT OPTION;
         SET ROLE {jane}; GRANT SELECT ON t_{jane} TO {bob}"
    ));
    let read = format!("SELECT n FROM t_{jane}");
    let bob_reads = || server().sql_as(&bob, PASSWORD, "postgres", &read).ok();
    assert!(bob_reads());
    let system = system_at(
        server().port,
        (&superuser, "operator"),
        &["GrantsRemoved", "RoleDropped"],
    );
    let mut driven = Driven::leaver(&system, leaves_all(&jane, &bob));
    driven.follow(&["GrantsRemoved", "RoleDropped"]).await;
    driven.pass().await;
    assert!(!server().login(&jane, PASSWORD, "postgres"));
    assert!(bob_reads(), "a colleague's work goes on");
    match driven.verdict("GrantsRemoved") {
        Verdict::Unmet(Why::Failed(fault)) => {
            assert_eq!(
                fault.code,
                format!("2BP01 {bob} has rights from {jane} in postgres")
            );
        }
        other => panic!("{other:?}"),
    }
    let facts = &driven.row().facts;
    let grants = facts
        .iter()
        .find(|state| state.spec.name == "GrantsRemoved")
        .unwrap();
    let says = &grants.sight.as_ref().unwrap().says;
    assert!(
        says.contains("the owners must grant them anew in 1 database"),
        "{says}"
    );

    sql(&format!(
        "GRANT SELECT ON t_{jane} TO {bob}; SET ROLE {jane}; REVOKE SELECT ON t_{jane} FROM {bob}"
    ));
    driven.restart();
    driven.follow(&[]).await;
    driven.assert_done();
    assert!(bob_reads());
}

#[tokio::test]
async fn leavers_with_one_successor_hand_over_at_the_same_time_and_a_failure_leaves_nobody_in_anothers_role()
{
    // As long as a name may be: nothing of what the message says is cut off.
    let (successor, stranger) = (person("sid"), format!("{:x<63}", unique("private")));
    let borrowed = format!(
        "SELECT roleid::regrole FROM pg_auth_members WHERE member = '{}'::regrole AND roleid = '{successor}'::regrole",
        Postgres::OPERATOR
    );
    // Here the connector may not create schemas, so handing one over fails.
    sql(&format!("CREATE DATABASE {stranger}"));
    let names: Vec<String> = (0..4).map(|_| person("lou")).collect();
    let spec = |name: &str| {
        let mut spec = leaves(name);
        spec["transfers"] = json!([{"what": "Everything", "to": format!("{successor}@example.com")}]);
        spec
    };
    let [failing, others @ ..] = &names[..] else {
        panic!()
    };
    let schema = format!("CREATE SCHEMA s_{failing} AUTHORIZATION {failing}");
    server().sql_as_admin(&stranger, &schema);
    let mut driven = Driven::leaver(&system(&[]), spec(failing));
    driven.pass().await;
    let code = format!("42501 connector lacks CREATE on the database in {stranger}");
    denied(&driven, &code);
    assert_eq!(sql(&borrowed), "");

    for name in others {
        sql(&format!(
            "CREATE TABLE t_{name} (n int); ALTER TABLE t_{name} OWNER TO {name}"
        ));
    }
    let all = others.iter().map(|name| {
        let mut driven = Driven::leaver(&system(&[]), spec(name));
        async move {
            driven.follow(&[]).await;
            driven.assert_done();
        }
    });
    futures::future::join_all(all).await;
    for name in others {
        let owner = format!("SELECT tableowner FROM pg_tables WHERE tablename = 't_{name}'");
        assert_eq!(sql(&owner), successor);
    }
    assert_eq!(sql(&borrowed), "");
}

/// The hand-over is refused, and for what.
#[track_caller]
fn denied(driven: &Driven, code: &str) {
    match driven.verdict("ObjectsReassigned") {
        Verdict::Unmet(Why::Failed(fault)) => {
            assert_eq!(
                (fault.reason, fault.code.as_str()),
                (Reason::PermissionDenied, code)
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_right_that_the_successor_lacks_is_named_with_its_place() {
    let (name, successor, database) = (person("ann"), person("sam"), unique("apps"));
    sql(&format!("CREATE DATABASE {database}"));
    server().sql_as_admin(
        &database,
        &format!(
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC;
             CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 7'; ALTER FUNCTION f() OWNER TO {name};
             CREATE TABLE t (n int); ALTER TABLE t OWNER TO {name}"
        ),
    );
    let mut spec = leaves(&name);
    spec["transfers"] = json!([{"what": "Everything", "to": format!("{successor}@example.com")}]);
    let mut driven = Driven::leaver(&system(&[]), spec);
    driven.pass().await;
    denied(
        &driven,
        &format!("42501 successor lacks CREATE on schema public in {database}"),
    );
    let grant = format!("GRANT CREATE ON SCHEMA public TO {successor}");
    server().sql_as_admin(&database, &grant);
    driven.restart();
    driven.follow(&[]).await;
    driven.assert_done();
    let owner = "SELECT proowner::regrole FROM pg_proc WHERE proname = 'f'";
    assert_eq!(server().sql_as_admin(&database, owner), successor);
}

#[tokio::test]
async fn without_a_successor_only_the_hand_over_waits() {
    let name = person("cleo");
    sql(&format!("CREATE SCHEMA s_{name} AUTHORIZATION {name}"));
    let mut driven = Driven::leaver(&system(&[]), leaves(&name));
    driven.follow(&["ObjectsReassigned"]).await;
    let Verdict::Unknown(fault) = driven.verdict("ObjectsReassigned") else {
        panic!("{:?}", driven.verdict("ObjectsReassigned"));
    };
    assert_eq!(fault.reason, Reason::NoSuccessor);
    assert_eq!(driven.verdict("LoginRevoked"), &Verdict::Verified);
    assert!(!server().login(&name, PASSWORD, "postgres"));
}

#[tokio::test]
async fn a_login_that_somebody_gives_back_is_taken_again_and_reported() {
    let name = person("dora");
    let mut driven = Driven::leaver(&system(&[]), leaves(&name));
    driven.follow(&[]).await;
    driven.assert_done();
    driven.pass().await;
    sql(&format!(
        "ALTER ROLE {name} LOGIN PASSWORD '{PASSWORD}' VALID UNTIL 'infinity'"
    ));
    assert!(server().login(&name, PASSWORD, "postgres"));
    let mut session = server().session(&name, PASSWORD, "postgres");
    driven.pass().await;
    assert!(
        driven.row().drifted.contains(&"LoginRevoked".to_owned()),
        "{:?}",
        driven.row().drifted
    );
    driven.follow(&[]).await;
    driven.assert_done();
    assert!(!server().login(&name, PASSWORD, "postgres"));
    assert!(!session.answers());
}

#[tokio::test]
async fn a_name_made_to_break_out_means_only_itself() {
    let (name, successor) = (format!("{HOSTILE}{}", unique("")), person("eve"));
    let role = quoted(&name);
    sql(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'; GRANT {role} TO {successor};
         CREATE SCHEMA {role} AUTHORIZATION {role}; GRANT CREATE ON DATABASE postgres TO {}",
        Postgres::OPERATOR
    ));
    assert!(server().login(&name, PASSWORD, "postgres"));
    let mut driven = Driven::leaver(
        &system(&[]),
        json!({
            "employee": {"email": format!("{}@example.com", unique("nobody")),
                         "accounts": [{"connector": "system", "name": name}]},
            "transfers": [{"what": "Everything", "to": format!("{successor}@example.com")}],
        }),
    );
    driven.follow(&[]).await;
    driven.assert_done();
    assert!(!server().login(&name, PASSWORD, "postgres"));
    let owner = format!(
        "SELECT nspowner::regrole FROM pg_namespace WHERE nspname = {}",
        text(&name)
    );
    assert_eq!(sql(&owner), successor);
}

#[tokio::test]
async fn a_superuser_stays_out_of_reach_and_that_is_said_of_each_fact() {
    let name = person("frank");
    sql(&format!("ALTER ROLE {name} SUPERUSER"));
    let mut driven = Driven::leaver(&system(&[]), leaves(&name));
    driven.pass().await;
    for fact in ["LoginRevoked", "PasswordCleared", "AttributesRevoked"] {
        match driven.verdict(fact) {
            Verdict::Unmet(Why::Failed(fault)) => {
                assert_eq!(fault.reason, Reason::PermissionDenied, "{fact}")
            }
            other => panic!("{fact}: {other:?}"),
        }
    }
    assert_eq!(driven.verdict("MembershipsRevoked"), &Verdict::Verified);
    assert!(server().login(&name, PASSWORD, "postgres"));
}

/// Says that `facts` wait for another administrator.
#[track_caller]
fn assert_held(driven: &Driven, facts: &[&str]) {
    for fact in facts {
        let verdict = driven.verdict(fact);
        assert!(
            matches!(verdict, Verdict::Unmet(Why::Failed(fault))
                if fault.reason == Reason::Protected && fault.code == "last administrator"),
            "{fact}: {verdict:?}"
        );
    }
}

#[tokio::test]
async fn the_last_superuser_stays_until_another_one_can_log_in() {
    let server = support::another_postgres();
    server.sql_as_admin(
        "postgres",
        "CREATE ROLE operator LOGIN SUPERUSER PASSWORD 'operator';
         CREATE ROLE jane LOGIN SUPERUSER PASSWORD 'jane'; CREATE ROLE bob NOLOGIN SUPERUSER PASSWORD 'bob';
         ALTER ROLE admin NOLOGIN",
    );
    let sql = |text: &str| server.sql_as("jane", "jane", "postgres", text).expect_ok();
    let mut system = system_at(server.port, ("operator", "operator"), &[]);
    system.secret[2].1 = server.tls.ca_pem();
    let mut driven = Driven::leaver(&system, leaves("jane"));
    driven.pass().await;
    let taken = [
        "LoginRevoked",
        "ExpiryArmed",
        "PasswordCleared",
        "AttributesRevoked",
    ];
    assert_held(&driven, &taken);
    sql("ALTER ROLE bob LOGIN VALID UNTIL '2001-01-01'");
    driven.pass().await;
    assert_held(&driven, &taken);
    let now = "SELECT rolcanlogin, rolsuper, rolvaliduntil IS NULL FROM pg_roles WHERE rolname = 'jane'";
    assert_eq!(sql(now), "t|t|t\n");
    sql("ALTER ROLE bob VALID UNTIL 'infinity'");
    driven.restart();
    driven.follow(&[]).await;
    driven.assert_done();
    assert!(!server.login("jane", "jane", "postgres"));

    system.inputs["adminRole"] = json!("");
    let mut driven = Driven::leaver(&system, leaves("bob"));
    driven.follow(&[]).await;
    driven.assert_done();
}

#[tokio::test]
async fn where_a_role_administers_its_last_member_stays_also_through_others() {
    let (jane, bob) = (person("jane"), person("bob"));
    let (admins, team) = (unique("rds_superuser"), unique("team"));
    sql(&format!(
        "CREATE ROLE {admins}; CREATE ROLE {team}; GRANT {admins} TO {team}; GRANT {team} TO {jane}; GRANT {admins} TO {bob};
         GRANT {admins} TO {}; ALTER ROLE {bob} NOLOGIN",
        Postgres::OPERATOR
    ));
    let mut system = system(&[]);
    system.inputs["adminRole"] = json!(admins);
    let mut driven = Driven::leaver(&system, leaves(&jane));
    driven.pass().await;
    assert_held(
        &driven,
        &["LoginRevoked", "PasswordCleared", "MembershipsRevoked"],
    );
    assert!(server().login(&jane, PASSWORD, "postgres"));
    sql(&format!("ALTER ROLE {bob} LOGIN"));
    driven.restart();
    driven.follow(&[]).await;
    driven.assert_done();
    assert!(!server().login(&jane, PASSWORD, "postgres"));
}

#[tokio::test]
async fn a_right_that_is_missing_hurts_only_its_own_fact() {
    let (name, operator) = (person("gil"), unique("small"));
    sql(&format!(
        "CREATE ROLE {operator} LOGIN CREATEROLE PASSWORD 'operator'"
    ));
    let mut session = server().session(&name, PASSWORD, "postgres");
    let system = system_at(server().port, (&operator, "operator"), &[]);
    let mut driven = Driven::leaver(&system, leaves(&name));
    driven.pass().await;
    match driven.verdict("SessionsEnded") {
        Verdict::Unmet(Why::Failed(fault)) => assert_eq!(fault.reason, Reason::PermissionDenied),
        other => panic!("{other:?}"),
    }
    assert_eq!(driven.verdict("LoginRevoked"), &Verdict::Verified);
    assert_eq!(driven.verdict("PasswordCleared"), &Verdict::Asserted);
    assert!(session.answers(), "and so it is");
    assert!(!server().login(&name, PASSWORD, "postgres"));
}

#[tokio::test]
async fn the_connectors_own_role_is_never_offboarded() {
    let mut driven = Driven::leaver(&system(&[]), leaves(Postgres::OPERATOR));
    driven.pass().await;
    match driven.verdict("LoginRevoked") {
        Verdict::Unknown(fault) => assert_eq!(fault.reason, Reason::Protected),
        other => panic!("{other:?}"),
    }
    assert!(server().login(Postgres::OPERATOR, Postgres::OPERATOR_PASSWORD, "postgres"));
}

#[tokio::test]
async fn a_role_that_was_renamed_is_still_the_same_and_its_old_name_is_left_alone() {
    let name = person("hugo");
    let mut driven = Driven::leaver(&system(&[]), leaves(&name));
    driven.follow(&[]).await;
    driven.assert_done();
    let renamed = unique("renamed");
    sql(&format!(
        "ALTER ROLE {name} RENAME TO {renamed}; ALTER ROLE {renamed} LOGIN VALID UNTIL 'infinity' PASSWORD '{PASSWORD}';
         CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'"
    ));
    // Whether the new one is the leaver's too, only a person knows.
    driven.follow(&["NoOtherAccount"]).await;
    assert!(matches!(driven.verdict("NoOtherAccount"), Verdict::Unknown(_)));
    assert_eq!(driven.row().candidates, [name.as_str()]);
    assert!(!server().login(&renamed, PASSWORD, "postgres"));
    assert!(
        server().login(&name, PASSWORD, "postgres"),
        "somebody else has the name now"
    );
}

#[tokio::test]
async fn a_role_that_vanished_for_no_reason_of_ours_is_never_taken_for_done() {
    let name = person("iris");
    let mut driven = Driven::leaver(&system(&[]), leaves(&name));
    driven.follow(&[]).await;
    driven.assert_done();
    sql(&format!("DROP ROLE {name}"));
    driven.pass().await;
    match driven.verdict("LoginRevoked") {
        Verdict::Unknown(fault) => assert_eq!(fault.reason, Reason::NotFoundUncorroborated),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn before_the_last_day_only_the_end_of_the_password_is_set_moves_with_the_day_and_is_never_later_than_it_was()
 {
    let (name, early) = (person("jack"), person("jill"));
    sql(&format!("ALTER ROLE {early} VALID UNTIL '2030-01-01T00:00:00Z'"));
    for (name, own) in [(&name, "2099-01-01"), (&early, "2030-01-01")] {
        let mut spec = leaves(name);
        spec["urgency"] = json!("Scheduled");
        spec["cutoff"] = json!({"time": "16:00", "timeZone": "UTC"});
        spec["lastDay"] = json!("2031-05-05");
        let mut driven = Driven::leaver(&system(&[]), spec);
        for day in ["2031-05-05", "2032-05-05", "2029-05-05", "2031-05-05"] {
            driven.changed(json!({"lastDay": day}));
            driven.pass().await;
            assert_eq!(driven.verdict("ExpiryArmed"), &Verdict::Verified, "{day}");
            assert_eq!(driven.verdict("LoginRevoked"), &Verdict::NotDue(driven.cutoff()));
            let armed =
                format!("SET timezone = 'UTC'; SELECT rolvaliduntil FROM pg_roles WHERE rolname = '{name}'");
            let until = if own < day {
                format!("{own} 00:00:00+00")
            } else {
                format!("{day} 16:00:00+00")
            };
            assert_eq!(sql(&armed), until, "{name} on {day}");
            assert!(server().login(name, PASSWORD, "postgres"));
        }
    }
}

#[tokio::test]
async fn a_namesake_of_another_mail_domain_is_asked_about_and_a_whole_address_is_taken() {
    let name = person("mia");
    let whole = format!("{}@partner.example", unique("lee"));
    sql(&format!(
        "CREATE ROLE {} LOGIN PASSWORD '{PASSWORD}'",
        quoted(&whole)
    ));
    let mut system = system(&[]);
    system.inputs.as_object_mut().unwrap().remove("match");
    let mut driven = Driven::leaver(
        &system,
        json!({"employee": {"email": format!("{name}@partner.example")}}),
    );
    driven.pass().await;
    assert!(
        matches!(driven.verdict("LoginRevoked"), Verdict::Unknown(fault) if fault.reason == Reason::Ambiguous),
        "{:?}",
        driven.row()
    );
    assert_eq!(driven.row().candidates, [name.as_str()]);
    assert!(server().login(&name, PASSWORD, "postgres"));
    let mut driven = Driven::leaver(&system, json!({"employee": {"email": whole}}));
    driven.follow(&[]).await;
    driven.assert_done();
    assert!(!server().login(&whole, PASSWORD, "postgres"));
}

#[tokio::test]
async fn a_role_is_also_known_by_the_employee_number_in_its_comment() {
    let (name, near) = (person("kim"), person("kit"));
    let number = unique("e");
    sql(&format!(
        "COMMENT ON ROLE {name} IS 'data team, employeeID={number}'; COMMENT ON ROLE {near} IS 'employeeID={number}9'"
    ));
    let mut system = system(&[]);
    system.inputs["match"] = json!("Comment");
    let mut driven = Driven::leaver(&system, json!({"employee": {"employeeID": number}}));
    driven.follow(&[]).await;
    driven.assert_done();
    assert!(!server().login(&name, PASSWORD, "postgres"));
    assert!(server().login(&near, PASSWORD, "postgres"));
}

#[tokio::test]
async fn whatever_moment_the_wire_is_cut_the_end_is_the_same() {
    let name = person("lars");
    let mut session = server().session(&name, PASSWORD, "postgres");
    let mut relay = Relay::to(SocketAddr::from(([127, 0, 0, 1], server().port))).await;
    let operator = (Postgres::OPERATOR, Postgres::OPERATOR_PASSWORD);
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
    driven.assert_done();
    assert!(!server().login(&name, PASSWORD, "postgres"));
    assert!(!session.answers());
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_says_nothing_about_the_leaver() {
    let name = person("mia");
    let mut relay = Relay::to(SocketAddr::from(([127, 0, 0, 1], server().port))).await;
    let operator = (Postgres::OPERATOR, Postgres::OPERATOR_PASSWORD);
    let mut driven = Driven::leaver(&system_at(relay.port, operator, &[]), leaves(&name));
    relay.cut().await;
    driven.pass().await;
    match driven.verdict("LoginRevoked") {
        Verdict::Unknown(fault) => assert_eq!(fault.kind, FaultKind::Transient),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_session_that_slips_in_is_ended_in_the_end() {
    let name = person("nina");
    let mut driven = Driven::leaver(&system(&[]), leaves(&name));
    let (opened, first) = std::sync::mpsc::channel();
    let opener = std::thread::spawn({
        let name = name.clone();
        move || {
            // Opens sessions for as long as the server lets it.
            let mut open = vec![];
            while server().login(&name, PASSWORD, "postgres") {
                let mut client = server().client(&name, PASSWORD, "postgres");
                let client = client
                    .stdin(Stdio::piped())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null());
                open.push(client.spawn().unwrap());
                opened.send(()).ok();
            }
            open
        }
    });
    // On a machine that is busy access might be gone before anybody came.
    first.recv().unwrap();
    driven.follow(&[]).await;
    let open = opener.join().unwrap();
    assert!(!open.is_empty());
    driven.follow(&[]).await;
    driven.assert_done();
    let none = || {
        sql(&format!(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = '{name}'"
        )) == "0"
    };
    assert!(poll(Duration::from_secs(5), none));
    for mut client in open {
        drop(client.kill());
        drop(client.wait());
    }
}
