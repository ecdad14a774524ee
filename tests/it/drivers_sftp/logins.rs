//! Who we are to the server, and who it is to us.

use std::time::Duration;

use offboard::{
    core::fault::{Fault, Reason},
    transport::SetupError,
};
use serde_json::json;

use super::{Way, fault, list, value};
use crate::{
    relay::Relay,
    support::{self, Sshd, poll},
};

#[tokio::test]
async fn a_login_is_by_key_or_by_password() {
    let server = support::sshd();
    let folder = server.folder("logins");
    let user = ("username", server.user());
    let password = ("password", Sshd::PASSWORD.to_owned());
    let key = |name: &str| ("privateKey", server.private_key(name));
    for secret in [
        vec![user.clone(), key("client_ed25519")],
        vec![user.clone(), key("client_rsa")],
        vec![user.clone(), password.clone()],
        vec![user.clone(), key("other"), password.clone()],
    ] {
        let way = Way {
            secret,
            ..Way::to(server)
        };
        assert_eq!(value(&way.driver(), list(&folder)).await, json!([]));
    }
    let rejected = |code: &str| Fault::permanent(Reason::CredentialRejected).with_code(code);
    for (secret, code) in [
        (vec![user.clone(), key("other")], "publickey"),
        (
            vec![user.clone(), ("password", "wrong-Passw0rd".into())],
            "password",
        ),
        (
            vec![("username", "stranger".into()), key("client_ed25519")],
            "publickey",
        ),
    ] {
        let driver = Way {
            secret,
            ..Way::to(server)
        }
        .driver();
        assert_eq!(fault(&driver, list(&folder)).await, rejected(code));
    }
    let nothing = Way {
        secret: vec![user.clone()],
        ..Way::to(server)
    }
    .try_driver();
    assert!(matches!(nothing, Err(SetupError::Secret(_))), "{nothing:?}");
    let broken = Way {
        secret: vec![user, ("privateKey", "-----BEGIN".into())],
        ..Way::to(server)
    };
    assert_eq!(broken.try_driver().unwrap_err(), SetupError::SshKey);
}

#[tokio::test]
async fn a_refused_login_is_not_tried_again_at_once() {
    let server = support::sshd();
    let relay = Relay::to(server.address()).await;
    let mut way = Way::to(server).through(&relay);
    way.secret = vec![("username", server.user()), ("password", "wrong-Passw0rd".into())];
    let driver = way.driver();
    for _ in 0..3 {
        let refused = fault(&driver, list(&server.folder("refused"))).await;
        assert_eq!(refused.reason, Reason::CredentialRejected);
    }
    assert_eq!(relay.connections(), 1);
}

#[tokio::test]
async fn every_way_to_pin_the_servers_key_is_good() {
    let server = support::sshd();
    let folder = server.folder("pinned");
    let (ed25519, rsa) = (server.public_key("host_ed25519"), server.public_key("host_rsa"));
    let fingerprint = server.fingerprint("host_ed25519");
    let bare = fingerprint.split_whitespace().nth(1).unwrap().to_owned();
    for host_keys in [
        format!("[127.0.0.1]:{} {ed25519}", server.port),
        // A server with several keys shows the one that is pinned.
        rsa,
        server.fingerprint("host_rsa"),
        fingerprint,
        bare,
        format!("{}\n{ed25519}", server.public_key("other")),
    ] {
        let way = Way {
            host_keys,
            ..Way::to(server)
        };
        assert_eq!(value(&way.driver(), list(&folder)).await, json!([]));
    }
    let mut way = Way {
        host_keys: String::new(),
        ..Way::to(server)
    };
    way.secret.push(("known_hosts", ed25519));
    assert_eq!(value(&way.driver(), list(&folder)).await, json!([]));
    let none = Way {
        host_keys: String::new(),
        ..Way::to(server)
    }
    .try_driver();
    assert!(matches!(none, Err(SetupError::HostKeys(_))), "{none:?}");
}

#[tokio::test]
async fn a_server_with_another_key_is_told_nothing_about_us() {
    let server = Sshd::start_with("");
    let folder = server.folder("untrusted");
    let untrusted = |code: &str| Fault::needs_decision(Reason::Untrusted).with_code(code);
    let other = server.public_key("other");
    let bare = server.fingerprint("other");
    let bare = bare.split_whitespace().nth(1).unwrap().to_owned();
    let own = server.public_key("host_ed25519");
    for (host_keys, code) in [
        (other, "host key changed"),
        (bare, "host key unknown"),
        (format!("{own}\n@revoked * {own}"), "host key revoked"),
        (
            "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=".into(),
            "host key of another kind",
        ),
    ] {
        let mut way = Way { host_keys, ..Way::to(&server) };
        way.secret.push(("password", "canary-Passw0rd".into()));
        assert_eq!(fault(&way.driver(), list(&folder)).await, untrusted(code));
    }
    let ended = || server.log().matches("Connection closed by 127.0.0.1").count() >= 1;
    assert!(poll(Duration::from_secs(30), ended), "{}", server.log());
    assert!(
        server.log().matches("Connection from 127.0.0.1").count() >= 4,
        "{}",
        server.log()
    );
    // `userauth-request` is what the server logs for every try to log in, even for one without a credential.
    assert!(!server.log().contains("userauth-request"), "{}", server.log());
    value(&Way::to(&server).driver(), list(&folder)).await;
    assert!(poll(Duration::from_secs(30), || server
        .log()
        .contains("userauth-request")));
}

#[tokio::test]
async fn no_credential_is_ever_shown() {
    let server = support::sshd();
    let (shown, guard) = crate::relay::everything_logged();
    let mut way = Way::to(server);
    way.secret = vec![
        ("username", server.user()),
        ("password", "canary-Passw0rd".into()),
    ];
    let driver = way.driver();
    let rejected = fault(&driver, list(&server.folder("secret"))).await;
    drop(guard);
    let shown = format!("{driver:?} {rejected:?} {}", shown.text());
    assert!(!shown.contains("Passw0rd"), "{shown}");
}
