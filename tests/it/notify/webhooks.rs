//! Slack, Teams and signed events, to receivers that count.

use std::{fs, process::Command};

use offboard::{notify::Sending, transport::egress::Egress};
use serde_json::json;

use super::{
    jane, offboarded, outbox,
    receiver::{Answer, Receiver},
};
use crate::support::{self, Scratch};

/// Channels that all lead to `receiver`, with their secrets in `folder`.
pub fn channels(receiver: &Receiver, folder: &Scratch) -> String {
    for hook in ["slack", "teams"] {
        fs::write(folder.join(hook), receiver.url(&format!("/{hook}/T0-secret\n"))).unwrap();
    }
    fs::write(folder.join("key"), "canary-key\n").unwrap();
    fs::write(folder.join("token"), "canary-token\n").unwrap();
    let at = |name: &str| folder.join(name).display().to_string();
    format!(
        "{{slack: {{slack: {{urlFile: '{}'}}}}, teams: {{teams: {{urlFile: '{}'}}}}, \
         events: {{webhook: {{url: '{}', keyFile: '{}', tokenFile: '{}'}}}}}}",
        at("slack"),
        at("teams"),
        receiver.url("/events"),
        at("key"),
        at("token"),
    )
}

#[tokio::test]
async fn each_channel_posts_what_its_receiver_understands_to_the_address_in_its_file() {
    let receiver = Receiver::start().await;
    let folder = Scratch::new("hooks");
    let (outbox, _files) = outbox(&channels(&receiver, &folder));
    let jane = jane("HR-2291", json!({}));
    for channel in ["slack", "teams", "events"] {
        assert_eq!(
            outbox.send(&jane, &offboarded(channel)).await,
            Sending::Sent(None),
            "{channel}"
        );
    }
    let slack = &receiver.received("/slack/T0-secret")[0];
    assert_eq!(
        slack.json()["blocks"][0]["text"]["text"],
        "Jane Doe is offboarded [HR-2291]"
    );
    let teams = &receiver.received("/teams/T0-secret")[0];
    assert_eq!(teams.json()["attachments"][0]["content"]["type"], "AdaptiveCard");
    let event = &receiver.received("/events")[0];
    assert_eq!(
        event.header("content-type"),
        "application/cloudevents+json; charset=UTF-8"
    );
    assert_eq!(event.header("authorization"), "Bearer canary-token");
    assert_eq!(event.json()["id"], "00112233445566778899aabbccddeeff");
    assert_eq!(event.header("webhook-id"), "00112233445566778899aabbccddeeff");
    // The signature by somebody else's hand.
    let signed = format!(
        "{}.{}.{}",
        event.header("webhook-id"),
        event.header("webhook-timestamp"),
        event.body
    );
    let mut openssl = Command::new("sh");
    openssl.args([
        "-c",
        "openssl dgst -sha256 -mac HMAC -macopt key:canary-key -binary | base64",
    ]);
    let expected = support::run(&mut openssl, &signed).expect_ok();
    assert_eq!(
        event.header("webhook-signature"),
        format!("v1,{}", expected.trim())
    );
}

#[tokio::test]
async fn a_receiver_that_is_not_there_yet_or_asks_for_patience_gets_it_later() {
    let receiver = Receiver::start().await;
    let folder = Scratch::new("hooks");
    let (outbox, _files) = outbox(&channels(&receiver, &folder));
    let jane = jane("HR-2291", json!({}));
    receiver.next(&[Answer::Status(503), Answer::After(2)]);
    for reason in ["503", "429"] {
        match outbox.send(&jane, &offboarded("slack")).await {
            Sending::Again { reason: code, .. } => assert_eq!(code, reason),
            other => panic!("{other:?}"),
        }
    }
    // The channel is left alone until then, whoever asks.
    let began = std::time::Instant::now();
    let turn = outbox.turn("slack").await;
    assert!(turn.is_some() && began.elapsed() > std::time::Duration::from_millis(500));
    assert_eq!(
        outbox.send(&jane, &offboarded("slack")).await,
        Sending::Sent(None)
    );
    let nobody = format!("http://127.0.0.1:{}/x", support::free_port());
    fs::write(folder.join("teams"), nobody).unwrap();
    assert_eq!(
        outbox.send(&jane, &offboarded("teams")).await,
        Sending::again("Unreachable (connection refused)")
    );
    fs::remove_file(folder.join("teams")).unwrap();
    assert_eq!(
        outbox.send(&jane, &offboarded("teams")).await,
        Sending::again("urlFile not readable")
    );
    fs::write(folder.join("teams"), "http://chat.example.com/x").unwrap();
    let sending = outbox.send(&jane, &offboarded("teams")).await;
    assert_eq!(sending, Sending::again("urlFile not an address with https"));
}

#[tokio::test]
async fn what_the_receiver_says_is_in_no_reason() {
    let receiver = Receiver::start().await;
    let folder = Scratch::new("hooks");
    let (outbox, _files) = outbox(&channels(&receiver, &folder));
    let jane = jane("HR-2291", json!({}));
    for (status, chat) in [
        (404, Sending::Failed("404".into())),
        (302, Sending::Failed("302".into())),
        (500, Sending::Unsure("500".into())),
    ] {
        receiver.next(&[Answer::Status(status)]);
        assert_eq!(outbox.send(&jane, &offboarded("slack")).await, chat);
    }
    assert_eq!(receiver.received("/slack").len(), 3);
}

/// Channels go by their names alone, also to the cluster's own services and to this machine, but never where virtual machines
/// get their credentials from, nor where the installation closes more.
#[tokio::test]
async fn no_message_goes_to_metadata_addresses_or_where_the_installation_closes() {
    let receiver = Receiver::start().await;
    let folder = Scratch::new("hooks");
    let letter = |server: &str| {
        format!("{{mail: {{server: '{server}', port: 25, from: a@example.com, to: [b@example.com]}}}}")
    };
    let hooks = channels(&receiver, &folder);
    let hooks = hooks.strip_suffix('}').unwrap();
    let (outbox, _files) = outbox(&format!(
        "{hooks}, near: {}, six: {}, cloud: {}, shut: {}}}",
        letter("169.254.169.254"),
        letter("::ffff:169.254.169.254"),
        letter("100.100.100.200"),
        letter("192.0.2.25"),
    ));
    let outbox = outbox.with_egress(
        Egress::new(vec![])
            .with_named_loopback()
            .without("192.0.2.0/24".parse().unwrap(), "closed"),
    );
    let jane = jane("HR-2291", json!({}));
    let refused = |why: &str| Sending::again(&format!("DestinationRefused (egress {why})"));
    for (channel, why) in [
        ("near", "link-local"),
        ("six", "link-local"),
        ("cloud", "metadata"),
        ("shut", "closed"),
    ] {
        assert_eq!(
            outbox.send(&jane, &offboarded(channel)).await,
            refused(why),
            "{channel}"
        );
    }
    assert_eq!(
        outbox.send(&jane, &offboarded("slack")).await,
        Sending::Sent(None)
    );
    for (address, why) in [
        ("https://169.254.169.254/latest", "link-local"),
        ("https://2852039166/", "link-local"),
        ("https://[fd00:ec2::254]/", "metadata"),
        ("https://192.0.2.25/", "closed"),
    ] {
        fs::write(folder.join("slack"), address).unwrap();
        assert_eq!(
            outbox.send(&jane, &offboarded("slack")).await,
            refused(why),
            "{address}"
        );
    }
}
