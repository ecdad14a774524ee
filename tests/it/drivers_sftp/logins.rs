//! Who we are to the server, and who it is to us.

use std::{fs, os::unix::fs::PermissionsExt, process::Command, time::Duration};

use offboard::{
    core::fault::{Fault, Reason},
    transport::SetupError,
};
use serde_json::json;

use super::{Way, fault, list, value};
use crate::{
    relay::Relay,
    support::{self, Scratch, Sshd, poll},
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
    let folder = server.folder("secret");
    let locked = Scratch::new("locked-key");
    let (phrase, file) = ("canary-passphrase", locked.join("key"));
    fs::write(&file, server.private_key("client_ed25519")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let mut lock = Command::new("ssh-keygen");
    lock.args(["-p", "-q", "-P", "", "-N", phrase, "-f"]).arg(&file);
    support::run(&mut lock, "").expect_ok();
    let locked = fs::read_to_string(&file).unwrap();
    let user = ("username", server.user());
    let (shown, guard) = crate::relay::everything_logged();
    let with = |secret: Vec<(&'static str, String)>| Way {
        secret: [vec![user.clone()], secret].concat(),
        ..Way::to(server)
    };
    let wrong = with(vec![("password", "canary-Passw0rd".into())]).driver();
    let rejected = fault(&wrong, list(&folder)).await;
    let mut more = format!("{wrong:?} {rejected:?}");
    for secret in [
        vec![("password", Sshd::PASSWORD.to_owned())],
        vec![("privateKey", server.private_key("client_ed25519"))],
        vec![("privateKey", server.private_key("client_rsa"))],
        vec![("privateKey", locked.clone()), ("passphrase", phrase.to_owned())],
    ] {
        let driver = with(secret).driver();
        more += &format!("{driver:?} {}", value(&driver, list(&folder)).await);
    }
    drop(guard);
    let mut secrets = vec![
        Sshd::PASSWORD.to_owned(),
        "canary-Passw0rd".to_owned(),
        phrase.to_owned(),
    ];
    for key in [
        server.private_key("client_ed25519"),
        server.private_key("client_rsa"),
        locked,
    ] {
        // What all keys begin with is no secret.
        let lines = key.lines().filter(|line| !line.starts_with("-----"));
        secrets.extend(lines.skip(2).map(str::to_owned));
    }
    shown.shows_none("russh", &secrets, &more);
}
