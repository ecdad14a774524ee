//! The SQL driver against PostgreSQL and MariaDB.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use offboard::{
    api::definition::{self, Dialect},
    connectors::{
        driver::{Answer, Driver, RANDOM, Resolved, SqlRequest},
        sql::SqlDriver,
    },
    core::fault::{Fault, FaultKind, Reason},
    transport::{dial::Dialer, secret::Credentials, system_clock, unreachable::REFUSED},
};
use serde_json::{Value, json};

mod encryption;
mod hostile;

use crate::{
    relay::Relay,
    support::{self, Mariadb, Postgres, unique},
};

/// A name made to break out of whatever it is put into.
const HOSTILE: &str = r#"a"b`c'd\; drop role x; --"#;

struct Place<'a> {
    dialect: Dialect,
    host: &'a str,
    port: u16,
    ca: String,
    deadline: &'a str,
}

fn driver(place: &Place<'_>, username: &str, password: &str) -> SqlDriver {
    let config = definition::SqlDriver {
        dialect: place.dialect,
        host: place.host.to_owned(),
        port: place.port.to_string(),
        database: None,
        limits: Default::default(),
        deadline: Some(place.deadline.to_owned()),
    };
    let secret = [
        ("username", username),
        ("password", password),
        ("ca.crt", &*place.ca),
    ];
    let secret = secret.map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()));
    let limit = SqlDriver::limit(&config, system_clock());
    SqlDriver::new(
        &config,
        &Credentials::from_data(secret, "1"),
        limit,
        &Dialer::trusted(),
    )
    .unwrap()
}

fn postgres() -> Place<'static> {
    let server = support::postgres();
    Place {
        dialect: Dialect::Postgresql,
        host: "localhost",
        port: server.port,
        ca: server.tls.ca_pem(),
        deadline: "20s",
    }
}

fn mariadb() -> Place<'static> {
    let server = support::mariadb();
    Place {
        dialect: Dialect::Mysql,
        host: "127.0.0.1",
        port: server.port,
        ca: server.tls.ca_pem(),
        deadline: "20s",
    }
}

fn postgres_admin() -> SqlDriver {
    driver(&postgres(), Postgres::ADMIN, Postgres::ADMIN_PASSWORD)
}

fn postgres_operator() -> SqlDriver {
    driver(&postgres(), Postgres::OPERATOR, Postgres::OPERATOR_PASSWORD)
}

fn mariadb_operator() -> SqlDriver {
    driver(&mariadb(), Mariadb::OPERATOR, Mariadb::OPERATOR_PASSWORD)
}

fn names(names: &[(&str, &str)]) -> BTreeMap<String, String> {
    names
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect()
}

fn statement(statement: &str) -> SqlRequest {
    SqlRequest {
        database: None,
        statement: statement.to_owned(),
        parameters: Vec::new(),
        identifiers: BTreeMap::new(),
        literals: BTreeMap::new(),
    }
}

fn bound(text: &str, parameters: &[Value]) -> SqlRequest {
    SqlRequest {
        parameters: parameters.to_vec(),
        ..statement(text)
    }
}

async fn perform(driver: &SqlDriver, request: SqlRequest) -> Result<Answer, Fault> {
    driver.perform(&Resolved::Sql(request)).await
}

async fn rows(driver: &SqlDriver, request: SqlRequest) -> Value {
    let answer = perform(driver, request).await.unwrap();
    assert_eq!(answer.fault, None, "{}", answer.response);
    assert_eq!(answer.response["code"], "00000");
    answer.value().clone()
}

async fn fault(driver: &SqlDriver, request: SqlRequest) -> Fault {
    let answer = perform(driver, request).await.unwrap();
    assert!(
        answer.response.get("rows").is_none(),
        "a refusal is never an empty answer"
    );
    let fault = answer.fault.expect("it must be refused");
    assert_eq!(answer.response, json!({ "code": fault.code }));
    fault
}

#[tokio::test]
async fn a_hostile_name_names_a_postgresql_role_of_exactly_that_name() {
    let driver = postgres_operator();
    let (first, second) = (unique(HOSTILE), unique(&format!("{HOSTILE}2")));
    let create = SqlRequest {
        identifiers: names(&[("role", &first)]),
        literals: names(&[("password", HOSTILE)]),
        ..statement("CREATE ROLE {role} LOGIN PASSWORD {password}")
    };
    rows(&driver, create).await;
    let look = |name: &str| {
        bound(
            "SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname = $1",
            &[json!(name)],
        )
    };
    assert_eq!(
        rows(&driver, look(&first)).await,
        json!([{ "rolname": first, "rolcanlogin": true }])
    );
    assert!(
        support::postgres().login(&first, HOSTILE, "postgres"),
        "the password is exactly that text"
    );
    let rename = SqlRequest {
        identifiers: names(&[("role", &first), ("name", &second)]),
        ..statement("ALTER ROLE {role} RENAME TO {name}")
    };
    rows(&driver, rename).await;
    assert_eq!(rows(&driver, look(&first)).await, json!([]));
    assert_eq!(rows(&driver, look(&second)).await[0]["rolname"], second.as_str());
    let shown = SqlRequest {
        literals: names(&[("text", HOSTILE)]),
        ..statement("SELECT {text} AS text")
    };
    assert_eq!(rows(&driver, shown).await, json!([{ "text": HOSTILE }]));
}

#[tokio::test]
async fn a_hostile_name_names_a_mariadb_account_of_exactly_that_name() {
    let driver = mariadb_operator();
    let (first, second) = (unique(HOSTILE), unique(&format!("{HOSTILE}2")));
    let create = SqlRequest {
        identifiers: names(&[("user", &first), ("host", "%")]),
        literals: names(&[("password", HOSTILE)]),
        ..statement("CREATE USER {user}@{host} IDENTIFIED BY {password}")
    };
    rows(&driver, create).await;
    let look = |name: &str| bound("SELECT User, Host FROM mysql.user WHERE User = ?", &[json!(name)]);
    assert_eq!(
        rows(&driver, look(&first)).await,
        json!([{ "User": first, "Host": "%" }])
    );
    assert!(
        support::mariadb().login(&first, "127.0.0.1", HOSTILE),
        "the password is exactly that text"
    );
    let rename = SqlRequest {
        identifiers: names(&[("user", &first), ("name", &second), ("host", "%")]),
        ..statement("RENAME USER {user}@{host} TO {name}@{host}")
    };
    rows(&driver, rename).await;
    assert_eq!(rows(&driver, look(&first)).await, json!([]));
    assert_eq!(rows(&driver, look(&second)).await[0]["User"], second.as_str());
    let shown = SqlRequest {
        literals: names(&[("text", HOSTILE)]),
        ..statement("SELECT {text} AS text")
    };
    assert_eq!(rows(&driver, shown).await, json!([{ "text": HOSTILE }]));
}

#[tokio::test]
async fn a_login_is_ended_with_its_session_and_its_password() {
    let server = support::postgres();
    let role = unique("alice");
    server.sql_as_admin("postgres", &format!("CREATE ROLE {role} LOGIN PASSWORD 'pw'"));
    let driver = postgres_operator();
    let reset = SqlRequest {
        identifiers: names(&[("role", &role)]),
        literals: names(&[("password", RANDOM)]),
        ..statement("ALTER ROLE {role} PASSWORD {password} VALID UNTIL '-infinity'")
    };
    rows(&driver, reset).await;
    assert!(!server.login(&role, "pw", "postgres"));
    let until = bound(
        "SELECT rolvaliduntil FROM pg_roles WHERE rolname = $1",
        &[json!(role)],
    );
    assert_eq!(rows(&driver, until).await[0]["rolvaliduntil"], "-infinity");

    let (server, user) = (support::mariadb(), unique("alice"));
    server.sql_as_admin(&format!("CREATE USER {user}@'%' IDENTIFIED BY 'pw'"));
    let driver = mariadb_operator();
    for act in [
        "ALTER USER {user}@{host} ACCOUNT LOCK",
        "KILL HARD USER {user}@{host}",
    ] {
        let identifiers = names(&[("user", &user), ("host", "%")]);
        rows(
            &driver,
            SqlRequest {
                identifiers,
                ..statement(act)
            },
        )
        .await;
    }
    assert!(!server.login(&user, "127.0.0.1", "pw"));
    let locked =
        "SELECT JSON_VALUE(Priv, '$.account_locked') AS locked FROM mysql.global_priv WHERE User = ?";
    assert_eq!(
        rows(&driver, bound(locked, &[json!(user)])).await,
        json!([{ "locked": "1" }])
    );
}

#[tokio::test]
async fn postgresql_values_become_json() {
    let driver = postgres_admin();
    let query = "SELECT 'ä'::text t, 'n'::name n, 7::oid o, 1::int2 a, -2::int4 b, 9007199254740993::int8 c, true d, \
        1.5::float4 e, 0.1::float8 f, 'NaN'::float8 nan, 12345.6700::numeric g, -0.00012::numeric h, 100000000::numeric i, \
        '2026-01-02 03:04:05.678+02'::timestamptz j, 'infinity'::timestamptz k, '-infinity'::timestamptz l, \
        '2026-01-02 03:04:05'::timestamp m, '1999-12-31'::date p, ARRAY['x', NULL, 'y']::text[] q, '{a,b}'::name[] r, \
        '{}'::oid[] s, '{1,2}'::int4[] u, '{\"a\": [1]}'::json v, '{\"b\": null}'::jsonb w, NULL::text x, 'c'::\"char\" y, \
        '6b29fc40-ca47-1067-b31d-00dd010662da'::uuid z, '10.0.0.1'::inet aa, '10.0.0.0/8'::cidr ab, '\\x01ff'::bytea ac, \
        'pg_class'::regclass::text ad, '5'::varchar ae";
    let found = rows(&driver, statement(query)).await;
    assert_eq!(
        found[0],
        json!({
            "t": "ä", "n": "n", "o": 7, "a": 1, "b": -2, "c": 9_007_199_254_740_993_i64, "d": true, "e": 1.5, "f": 0.1,
            "nan": "NaN", "g": "12345.6700", "h": "-0.00012", "i": "100000000", "j": "2026-01-02T01:04:05.678Z",
            "k": "infinity", "l": "-infinity", "m": "2026-01-02T03:04:05", "p": "1999-12-31", "q": ["x", null, "y"],
            "r": ["a", "b"], "s": [], "u": [1, 2], "v": { "a": [1] }, "w": { "b": null }, "x": null, "y": "c",
            "z": "6b29fc40-ca47-1067-b31d-00dd010662da", "aa": "10.0.0.1", "ab": "10.0.0.0/8", "ac": "\\x01ff",
            "ad": "pg_class", "ae": "5"
        })
    );
    let unknown = perform(&driver, statement("SELECT '(1,2)'::point AS place"))
        .await
        .unwrap_err();
    assert_eq!(unknown, Fault::permanent(Reason::Malformed).with_code("column 1"));
}

#[tokio::test]
async fn mariadb_values_become_json() {
    let server = support::mariadb();
    let schema = unique("types");
    server.sql_as_admin(&format!(
        "CREATE DATABASE {schema}; CREATE TABLE {schema}.t (a tinyint(1), b tinyint, c smallint unsigned, d bigint, \
         e bigint unsigned, f varchar(20), g text COLLATE utf8mb4_bin, h datetime(3), i timestamp NULL, j date, k time, \
         l decimal(10,2), m double, n float, o json, p enum('x','y'), q blob, r bit(3), s year, t varchar(9)) \
         DEFAULT CHARACTER SET utf8mb4; SET time_zone = '+00:00'; INSERT INTO {schema}.t VALUES (1, -2, 65535, -9007199254740993, 18446744073709551615, \
         'ä', 'bin', '2026-01-02 03:04:05.678', '2026-01-02 03:04:05', '1999-12-31', '-25:00:01', 12.50, 0.1, 1.5, \
         '{{\"a\": 1}}', 'y', x'ff00', b'101', 2026, NULL); GRANT SELECT ON {schema}.* TO {}@'%'",
        Mariadb::OPERATOR
    ));
    let request = SqlRequest {
        database: Some(schema),
        ..statement("SELECT * FROM t")
    };
    let found = rows(&mariadb_operator(), request).await;
    assert_eq!(
        found[0],
        json!({
            "a": 1, "b": -2, "c": 65535, "d": -9_007_199_254_740_993_i64, "e": u64::MAX, "f": "ä", "g": "bin",
            "h": "2026-01-02T03:04:05.678000", "i": "2026-01-02T03:04:05Z", "j": "1999-12-31", "k": "-25:00:01",
            "l": "12.50", "m": 0.1, "n": 1.5, "o": "{\"a\": 1}", "p": "y", "q": "/wA=", "r": 5, "s": 2026, "t": null
        })
    );
}

#[tokio::test]
async fn parameters_keep_their_json_types() {
    let values = [json!("text'\\"), json!(7), json!(true), json!(null), json!(0.5)];
    let postgres = bound("SELECT $1 AS a, $2 AS b, $3 AS c, $4 AS d, $5 AS e", &values);
    let found = rows(&postgres_operator(), postgres).await;
    assert_eq!(
        found,
        json!([{ "a": "text'\\", "b": 7, "c": true, "d": null, "e": 0.5 }])
    );
    let mysql = bound("SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e", &values);
    let found = rows(&mariadb_operator(), mysql).await;
    assert_eq!(
        found,
        json!([{ "a": "text'\\", "b": 7, "c": 1, "d": null, "e": 0.5 }])
    );
    let list = perform(&postgres_operator(), bound("SELECT $1", &[json!([1])]))
        .await
        .unwrap_err();
    assert_eq!(list, Fault::permanent(Reason::Malformed).with_code("parameter"));
}

#[tokio::test]
async fn only_one_statement_is_sent_and_every_placeholder_is_known() {
    for driver in [postgres_operator(), mariadb_operator()] {
        for text in ["SELECT 1; SELECT 2", "SELECT {unknown}"] {
            let refused = perform(&driver, statement(text)).await.unwrap_err();
            assert_eq!(refused.reason, Reason::Malformed, "{text}");
        }
    }
    // What this driver takes for one statement is prepared, and a server prepares only one.
    let refused = fault(&mariadb_operator(), statement("SELECT 1 /*! ; SELECT 2 */")).await;
    assert_eq!(refused, Fault::permanent(Reason::Malformed).with_code("1064"));
}

#[tokio::test]
async fn refusals_are_told_apart_by_the_servers_codes() {
    let driver = postgres_operator();
    let permanent = |reason, code: &str| Fault::permanent(reason).with_code(code);
    let denied = fault(&driver, statement("ALTER ROLE admin NOLOGIN")).await;
    assert_eq!(denied, permanent(Reason::PermissionDenied, "42501"));
    let missing = fault(&driver, statement("ALTER ROLE nobody_there NOLOGIN")).await;
    assert_eq!(missing, permanent(Reason::NotFoundUncorroborated, "42704"));
    let (role, table) = (unique("owner"), unique("t"));
    support::postgres().sql_as_admin("postgres", &format!(
        "CREATE ROLE {role}; CREATE TABLE {table} (); ALTER TABLE {table} OWNER TO {role}; GRANT {role} TO offboarder"
    ));
    let owner = SqlRequest {
        identifiers: names(&[("role", &role)]),
        ..statement("DROP ROLE {role}")
    };
    assert_eq!(fault(&driver, owner).await, permanent(Reason::Refused, "2BP01"));
    let elsewhere = SqlRequest {
        database: Some("no_such_database".to_owned()),
        ..statement("SELECT 1")
    };
    assert_eq!(
        perform(&driver, elsewhere).await.unwrap_err(),
        permanent(Reason::ConnectorNotReady, "3D000")
    );
    let wrong = super::drivers_sql::driver(&postgres(), Postgres::OPERATOR, "wrong");
    let rejected = perform(&wrong, statement("SELECT 1")).await.unwrap_err();
    assert_eq!(rejected, permanent(Reason::CredentialRejected, "28P01"));

    let driver = mariadb_operator();
    let denied = fault(&driver, statement("CREATE DATABASE not_allowed")).await;
    assert_eq!(denied, permanent(Reason::PermissionDenied, "1044"));
    let wrong = super::drivers_sql::driver(&mariadb(), Mariadb::OPERATOR, "wrong");
    let rejected = perform(&wrong, statement("SELECT 1")).await.unwrap_err();
    assert_eq!(rejected, permanent(Reason::CredentialRejected, "1045"));
}

#[tokio::test]
async fn another_database_is_opened_by_its_name() {
    let server = support::postgres();
    let database = unique("other");
    server.sql_as_admin("postgres", &format!("CREATE DATABASE {database}"));
    let driver = postgres_operator();
    let mut request = statement("SELECT current_database() AS name");
    assert_eq!(rows(&driver, request.clone()).await[0]["name"], "postgres");
    request.database = Some(database.clone());
    assert_eq!(rows(&driver, request).await[0]["name"], database.as_str());
}

#[tokio::test]
async fn a_server_that_went_away_is_found_again() {
    for (mut place, username, password) in [
        (postgres(), Postgres::OPERATOR, Postgres::OPERATOR_PASSWORD),
        (mariadb(), Mariadb::OPERATOR, Mariadb::OPERATOR_PASSWORD),
    ] {
        let mut relay = Relay::to(SocketAddr::from(([127, 0, 0, 1], place.port))).await;
        place.port = relay.port;
        let driver = driver(&place, username, password);
        rows(&driver, statement("SELECT 1 AS one")).await;
        relay.cut().await;
        let first = perform(&driver, statement("SELECT 1 AS one")).await.unwrap_err();
        assert!(
            first.passes_by_itself() && first.reason == Reason::Unreachable,
            "{first}"
        );
        let asked = Instant::now();
        let second = perform(&driver, statement("SELECT 1 AS one")).await.unwrap_err();
        assert_eq!(second, Fault::transient(Reason::Unreachable).with_code(REFUSED));
        assert!(
            asked.elapsed() < Duration::from_secs(5),
            "a refused connection is told at once"
        );
        relay.mend().await;
        assert_eq!(
            rows(&driver, statement("SELECT 1 AS one")).await,
            json!([{ "one": 1 }])
        );
        assert!(relay.connections() == 2);
    }
}

#[tokio::test]
async fn a_session_that_was_ended_is_transient_and_replaced() {
    let driver = postgres_admin();
    let pid = rows(&driver, statement("SELECT pg_backend_pid() AS pid")).await[0]["pid"].clone();
    support::postgres().sql_as_admin("postgres", &format!("SELECT pg_terminate_backend({pid}, 5000)"));
    let first = match perform(&driver, statement("SELECT 1 AS one")).await {
        Ok(answer) => answer.fault,
        Err(fault) => Some(fault),
    };
    if let Some(first) = first {
        assert!(first.passes_by_itself(), "{first}");
    }
    assert_eq!(
        rows(&driver, statement("SELECT 1 AS one")).await,
        json!([{ "one": 1 }])
    );
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_stopped_by_the_server_in_time() {
    let mut place = postgres();
    place.deadline = "6s";
    let driver_ = driver(&place, Postgres::OPERATOR, Postgres::OPERATOR_PASSWORD);
    let stopped = fault(&driver_, statement("SELECT pg_sleep(30)")).await;
    assert_eq!(stopped, Fault::transient(Reason::Timeout).with_code("57014"));
    let mut place = mariadb();
    place.deadline = "6s";
    let driver_ = driver(&place, Mariadb::OPERATOR, Mariadb::OPERATOR_PASSWORD);
    let stopped = fault(&driver_, statement("SELECT COUNT(*) FROM (SELECT SLEEP(30)) s")).await;
    assert_eq!(stopped.kind, FaultKind::Transient);
    assert_eq!((stopped.reason, stopped.code.as_str()), (Reason::Timeout, "1969"));
}

#[tokio::test]
async fn a_server_that_does_not_answer_leaves_the_outcome_unknown() {
    let mut place = postgres();
    let relay = Relay::to(SocketAddr::from(([127, 0, 0, 1], place.port))).await;
    (place.port, place.deadline) = (relay.port, "2s");
    let driver = driver(&place, Postgres::OPERATOR, Postgres::OPERATOR_PASSWORD);
    rows(&driver, statement("SELECT 1 AS one")).await;
    relay.freeze();
    let lost = perform(&driver, statement("SELECT 1 AS one")).await.unwrap_err();
    assert_eq!(lost, Fault::unknown_outcome(Reason::Timeout));
}

#[tokio::test]
async fn no_password_is_ever_shown() {
    let (shown, guard) = crate::relay::everything_logged();
    let drivers = [postgres_operator(), mariadb_operator()];
    let role = unique("alice");
    let create = SqlRequest {
        identifiers: names(&[("role", &role)]),
        literals: names(&[("password", "canary-Passw0rd")]),
        ..statement("CREATE ROLE {role} PASSWORD {password}")
    };
    rows(&drivers[0], create.clone()).await;
    let again = fault(&drivers[0], create).await;
    let create = SqlRequest {
        identifiers: names(&[("user", &role)]),
        literals: names(&[("password", "canary-Passw0rd")]),
        ..statement("CREATE USER {user} IDENTIFIED BY {password}")
    };
    rows(&drivers[1], create).await;
    let wrong = driver(&postgres(), Postgres::OPERATOR, "other-Passw0rd");
    let rejected = perform(&wrong, statement("SELECT 1")).await.unwrap_err();
    drop(guard);
    let secrets = [
        Postgres::OPERATOR_PASSWORD,
        Mariadb::OPERATOR_PASSWORD,
        "canary-Passw0rd",
        "other-Passw0rd",
    ];
    let more = format!("{drivers:?} {wrong:?} {again:?} {rejected:?}");
    shown.shows_none("rustls", &secrets.map(str::to_owned), &more);
}
