//! To whom a password for a database goes: to nobody who has not proven to be the server, and never in clear.

use std::{fs, process::Command};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use offboard::{connectors::driver::Contained, transport::unreachable::NOT_TLS};

use super::*;
use crate::{
    operator::site::application,
    relay::{behind_tls, certificate},
    support::{Scratch, Slapd, slapd},
};

fn untrusted(why: &str) -> Fault {
    Fault::needs_decision(Reason::Untrusted).with_code(format_args!("certificate {why}"))
}

#[tokio::test]
async fn another_authority_or_host_name_is_refused() {
    let (mut postgres, mut mariadb) = (postgres(), mariadb());
    std::mem::swap(&mut postgres.ca, &mut mariadb.ca);
    for place in [&postgres, &mariadb] {
        let refused = perform(&driver(place, "someone", "pw"), statement("SELECT 1"))
            .await
            .unwrap_err();
        assert_eq!(refused, untrusted("UnknownIssuer"));
    }
    std::mem::swap(&mut postgres.ca, &mut mariadb.ca);
    let listens = [("postgres", &mut postgres), ("mariadb", &mut mariadb)];
    for (name, place) in listens {
        // The certificate is for localhost and 127.0.0.1.
        let server = SocketAddr::from(([127, 0, 0, 1], place.port));
        let relay = Relay::at(Ipv4Addr::new(127, 0, 0, 2), server).await;
        (place.host, place.port) = ("127.0.0.2", relay.port);
        let refused = perform(&driver(place, "someone", "pw"), statement("SELECT 1"))
            .await
            .unwrap_err();
        assert_eq!(refused, untrusted("NotValidForName"), "{name}");
    }
}

/// What somebody else than a database heard who said `first`, then `second` to the first bytes, and what became of it.
async fn met(dialect: Dialect, first: &[u8], second: &[u8]) -> (Vec<u8>, Fault) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (first, second) = (first.to_vec(), second.to_vec());
    let stranger = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        client.write_all(&first).await.unwrap();
        let mut heard = vec![0; 4096];
        let length = client.read(&mut heard).await.unwrap();
        heard.truncate(length);
        drop(client.write_all(&second).await);
        drop(client.read_to_end(&mut heard).await);
        heard
    });
    let place = Place {
        dialect,
        host: "localhost",
        port,
        ca: support::postgres().tls.ca_pem(),
        deadline: "20s",
    };
    let driver = Contained(driver(&place, "offboarder", "canary-Passw0rd"));
    let request = Resolved::Sql(statement("SELECT 1"));
    let refused = driver.perform(&request).await.unwrap_err();
    (stranger.await.unwrap(), refused)
}

/// The greeting of MySQL 8.0.18 with these bytes of what it can.
pub fn greeting(can: &[u8; 2]) -> Vec<u8> {
    let after = b"\xff\x02\x00\xff\xc7\x15\0\0\0\0\0\0\0\0\0\0tL\x03s\x0f[4\rl4. \0caching_sha2_password\0";
    let text = [b"\n8.0.18\0\x19\0\0\0\x114aB0c\x06g\0", &can[..], after].concat();
    [&[u8::try_from(text.len()).unwrap(), 0, 0, 0], &text[..]].concat()
}

/// The request of PostgreSQL for TLS.
const SSL_REQUEST: &[u8] = &[0, 0, 0, 8, 4, 210, 22, 47];

#[tokio::test]
async fn a_server_without_tls_gets_no_login() {
    let no_tls = Fault::transient(Reason::Unreachable).with_code(NOT_TLS);
    let (heard, refused) = met(Dialect::Postgresql, b"", b"N").await;
    assert_eq!((&heard[..], refused), (SSL_REQUEST, no_tls.clone()));
    let (heard, refused) = met(Dialect::Mysql, &greeting(b"\xff\xf7"), b"").await;
    assert_eq!((&heard[..], refused), (&b""[..], no_tls));
}

/// What stands in between puts words of its own before the first of TLS.
#[tokio::test]
async fn what_is_put_in_before_tls_is_not_taken_for_the_servers() {
    // `AuthenticationOk` and `ReadyForQuery`; OK.
    let logged_in = b"SR\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
    let ok = b"\x07\0\0\x02\0\0\0\x02\0\0\0";
    for (dialect, first, second) in [
        (Dialect::Postgresql, vec![], &logged_in[..]),
        (Dialect::Mysql, greeting(b"\xff\xff"), &ok[..]),
    ] {
        let (heard, refused) = met(dialect, &first, second).await;
        let heard = String::from_utf8_lossy(&heard).into_owned();
        assert!(!heard.is_empty() && !heard.contains("offboarder") && !heard.contains("Passw0rd"));
        assert_eq!(refused.reason, Reason::Unreachable, "{refused}");
    }
}

/// The library panics by these two.
#[tokio::test]
async fn a_greeting_that_ends_too_soon_is_the_fault_of_one_call() {
    for greeting in [&b"\x02\0\0\0\x0a\0"[..], b"\x01\0\0\0\xff"] {
        let (heard, refused) = met(Dialect::Mysql, greeting, b"").await;
        assert_eq!(heard, b"");
        let expected = [Reason::Malformed, Reason::Unreachable];
        assert!(expected.contains(&refused.reason), "{refused}");
    }
}

/// Whoever stands in between can say anything, and nobody is sent to change a good password.
#[tokio::test]
async fn a_refusal_in_clear_says_nothing_of_the_login() {
    let refused_login = b"\x11\0\0\0\xff\x15\x04Access denied ";
    let (heard, refused) = met(Dialect::Mysql, refused_login, b"").await;
    assert_eq!(heard, b"");
    assert_eq!(refused, Fault::transient(Reason::Unreachable).with_code(NOT_TLS));
}

#[tokio::test]
async fn a_server_that_has_no_room_says_so_in_clear() {
    let full = b"\x17\0\0\0\xff\x10\x04Too many connections";
    let (heard, refused) = met(Dialect::Mysql, full, b"").await;
    assert_eq!(heard, b"");
    assert_eq!(
        refused,
        Fault::transient(Reason::SystemUnavailable).with_code("1040")
    );
}

/// What a plan says of a system for which the machine trusts `machine` and its Secret `own`, if anybody.
fn plan(definition: &str, inputs: &Value, login: (&str, &str), machine: &str, own: Option<&str>) -> String {
    let folder = Scratch::new("authorities");
    let mut secret = json!({"username": login.0, "password": login.1, "token": login.1});
    if let Some(own) = own {
        secret["ca.crt"] = own.into();
    }
    let object = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "offboard.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    let spec = json!({"definition": definition, "inputs": inputs, "secretRef": {"name": "s"}});
    let who = json!({"employee": {"email": "nobody@example.com"}, "urgency": "Immediate"});
    for (file, object) in [
        ("connector.json", object("Connector", "system", spec)),
        ("nobody.json", object("Offboarding", "nobody", who)),
        (
            "secret.json",
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": secret}),
        ),
    ] {
        fs::write(folder.join(file), object.to_string()).unwrap();
    }
    fs::write(folder.join(".machine.pem"), machine).unwrap();
    let mut offboard = Command::new(env!("CARGO_BIN_EXE_offboard"));
    offboard.args(["plan", "--trust-hosts", "-f"]);
    offboard
        .arg(&*folder)
        .env("SSL_CERT_FILE", folder.join(".machine.pem"));
    offboard
        .env_remove("SSL_CERT_DIR")
        .env("XDG_STATE_HOME", folder.join(".state"));
    let planned = offboard.output().unwrap();
    String::from_utf8_lossy(&planned.stdout).into_owned() + &String::from_utf8_lossy(&planned.stderr)
}

/// Whoever holds a certificate of an authority that the machine trusts is nobody where the Secret names another authority.
#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_is_given_is_trusted_alone() {
    let (postgres, mariadb, slapd) = (postgres(), mariadb(), slapd());
    let (own, other) = (certificate(), certificate().cert.pem());
    let (app, _) = application("jane@example.com").await;
    let port = behind_tls(app.url(), &own).await;
    let database = |place: &Place<'_>| json!({"host": "localhost", "port": place.port});
    let scim = app
        .base()
        .replace(app.url(), &format!("https://127.0.0.1:{port}"));
    let systems = [
        (
            "postgresql",
            database(&postgres),
            (Postgres::OPERATOR, Postgres::OPERATOR_PASSWORD),
            &postgres.ca,
        ),
        (
            "mysql",
            database(&mariadb),
            (Mariadb::OPERATOR, Mariadb::OPERATOR_PASSWORD),
            &mariadb.ca,
        ),
        (
            "openldap",
            json!({"url": slapd.ldaps, "base": Slapd::BASE}),
            (Slapd::SERVICE, Slapd::SERVICE_PASSWORD),
            &slapd.tls.ca_pem(),
        ),
        ("scim", json!({"url": scim}), ("", app.token()), &own.cert.pem()),
    ];
    for (definition, inputs, login, ca) in systems {
        let refused = "certificate UnknownIssuer";
        for (machine, own, trusted) in [
            (&**ca, None, true),
            (&other, Some(&**ca), true),
            (ca, Some(&*other), false),
            (&other, None, false),
        ] {
            let planned = plan(definition, &inputs, login, machine, own);
            assert_eq!(
                planned.contains("no account found"),
                trusted,
                "{definition}: {planned}"
            );
            assert_eq!(planned.contains(refused), !trusted, "{definition}: {planned}");
        }
    }
}
