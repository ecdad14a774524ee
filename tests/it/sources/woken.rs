//! A signed message makes a source look at once, and can do nothing else.

use std::{net::SocketAddr, process::Command, time::Duration};

use jiff::Timestamp;
use offboard::{sources::wake::sign, transport::secret::Secret};
use tokio::net::TcpSocket;

use super::office::{Office, ending, in_days, staff};
use crate::{
    operator::site::PATIENCE,
    support::{self, poll},
};

const KEY: &str = "a key of enough length";

struct Door(SocketAddr);

impl Door {
    /// The status of the answer to a message.
    fn post(&self, path: &str, timestamp: &str, signature: &str, body: &str) -> String {
        let mut curl = Command::new("curl");
        curl.args([
            "-s",
            "-m",
            "10",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-X",
            "POST",
            "-d",
            body,
        ]);
        curl.args(["-H", &format!("x-offboard-timestamp: {timestamp}")]);
        curl.args(["-H", &format!("x-offboard-signature: {signature}")]);
        support::run(curl.arg(format!("http://{}/wake/{path}", self.0)), "").stdout
    }

    fn signed(&self, path: &str, key: &str, timestamp: &str) -> String {
        let signature = sign(&Secret::new(key.into()), path, timestamp, b"{}");
        self.post(path, timestamp, &signature, "{}")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_wakes_its_source_and_a_forged_or_replayed_one_does_not() {
    let office = Office::new("woken").await;
    office.hr.has(&staff(50));
    office.site.secret("wake", "key", KEY);
    office.source(", wake: {secretRef: {name: wake}}");
    office
        .site
        .kubectl(
            &[
                "patch",
                "leaversource",
                "hr",
                "--type=merge",
                "-p",
                "{\"spec\":{\"every\":\"1d\"}}",
            ],
            "",
        )
        .expect_ok();
    let door = Door(SocketAddr::from(([127, 0, 0, 1], support::free_port())));
    let operator = office.site.start_with(&[&format!("--wake={}", door.0)]);
    office.until("True/Synced");
    let path = format!("{}/hr", office.site.namespace);
    let now = || Timestamp::now().as_second().to_string();
    let looked = office.hr.asked();
    let nobody = format!("{}/none", office.site.namespace);
    assert_eq!(door.signed(&path, "another key of enough length", &now()), "401");
    assert_eq!(door.signed(&nobody, KEY, &now()), "401");
    assert_eq!(door.signed("elsewhere/hr", KEY, &now()), "401");
    let old = (Timestamp::now().as_second() - 3600).to_string();
    assert_eq!(door.signed(&path, KEY, &old), "401");
    assert_eq!(door.post(&path, &now(), "", "{}"), "401");
    let at = now();
    let signature = sign(&Secret::new(KEY.into()), &path, &at, b"{}");
    assert_eq!(door.post(&path, &at, &signature, "{} "), "401");
    assert_eq!(office.hr.asked(), looked, "none of these woke it");
    office.hr.has(&[staff(50), vec![ending(1, &in_days(5))]].concat());
    assert_eq!(door.post(&path, &at, &signature, "{}"), "202");
    office.until_leaver("leaver-0001", "lastDay", in_days(5));
    assert_eq!(door.post(&path, &at, &signature, "{}"), "401", "replayed");
    // Renewed: the first message with the new key makes it read.
    office.site.secret("wake", "key", "another key of enough length");
    let renewed = || door.signed(&path, "another key of enough length", &now()) == "202";
    assert!(poll(PATIENCE, renewed), "{}", operator.log());
    // What strangers send takes nothing from anybody; too much of the genuine is put off.
    assert!((0..60).all(|_| door.post(&path, &now(), "", "") == "401"));
    let key = Secret::new("another key of enough length".into());
    let mut sent = 0;
    let mut genuine = || {
        sent += 1;
        let (at, body) = (now(), format!("{{\"nth\": {sent}}}"));
        door.post(&path, &at, &sign(&key, &path, &at, body.as_bytes()), &body)
    };
    assert_eq!(genuine(), "202");
    assert!((0..200).any(|_| genuine() == "429"), "nothing is limited");
    assert!(
        operator.http("/wake/x/y").contains("404"),
        "the door is on an address of its own"
    );
    // A thousand who begin to say something and never end.
    let mut strangers = vec![];
    for nth in 0..1140_u16 {
        let socket = TcpSocket::new_v4().unwrap();
        let [high, low] = (nth % 20 + 256).to_be_bytes();
        socket
            .bind(SocketAddr::from(([127, 0, high, low + 1], 0)))
            .unwrap();
        if let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_secs(1), socket.connect(door.0)).await {
            stream.try_write(b"POST /wake/x/y HTTP/1.1\r\nhost: ").ok();
            strangers.push(stream);
        }
    }
    assert!(operator.http("/livez").contains("200 OK"));
    assert!(
        support::poll_each(Duration::from_millis(200), PATIENCE, || genuine() == "202"),
        "strangers keep everybody out"
    );
    assert!(operator.http("/livez").contains("200 OK"));
    drop(strangers);
}
