//! What waits for somebody, and what does not.

use std::{fs, net::SocketAddr};

use offboard::notify::settings;
use serde_json::{Value, json};

use super::{staff::NOWHERE, story::Story};
use crate::{
    notify::receiver::{Answer, Receiver},
    operator::site::PATIENCE,
    relay::Relay,
    support::{self, Mailpit, Scratch, poll},
};

#[test]
fn approver_on_holiday_has_a_delegate_and_who_does_not_answer_is_escalated() {
    let people = ["jane.doe"];
    let mut story = Story::open_with("approver-on-holiday", &people, &[("after: 2d", "after: 12s")]);
    story.begin();
    story.next("kubectl apply");
    story.next("kubectl get leavers");
    assert_eq!(story.staff.gets_in("jane.doe"), NOWHERE);
    let shown = story.next("kubectl get leaver");
    let (uid, plan) = shown.split_once(' ').unwrap();
    for file in ["later/eva.yaml", "later/ada.yaml"] {
        story.fill_approval(file, uid, plan);
    }
    story.next("kubectl create");
    story.next("kubectl get leaver");
    assert!(story.staff.has_role("jane.doe"), "one yes is not two");
    story.next("kubectl create");
    story.next("kubectl get leavers");
    assert!(!story.staff.has_role("jane.doe"));
    story.end();
}

#[test]
fn hold_set_in_the_middle_keeps_what_would_go_until_it_is_lifted() {
    let mut story = Story::open("hold-set-in-the-middle", &["jane.doe"]);
    story.begin();
    story.next("kubectl apply");
    story.next("kubectl wait");
    story.next("kubectl patch");
    // As if thirty days had passed.
    let policy = "offboardingpolicy/deleted-after-thirty-days";
    let over = r#"{"spec": {"retention": {"accounts": "1s"}}}"#;
    story
        .site
        .kubectl(&["patch", policy, "--type=merge", "-p", over], "")
        .expect_ok();
    story.next("kubectl get leaver");
    story.next("kubectl get leavers");
    assert_eq!(story.staff.gets_in("jane.doe"), NOWHERE);
    assert!(story.staff.has_role("jane.doe"));
    story.next("kubectl patch");
    story.next("kubectl get leavers");
    assert!(!story.staff.has_role("jane.doe"));
    story.end();
}

/// The example's channels, over the servers of this machine.
fn channels(story: &Story, port: u16, mail: &Mailpit, folder: &Scratch) -> String {
    let values: Value = serde_saphyr::from_str(&story.read("helm/values.yaml")).unwrap();
    let mut file = json!({"channels": values["notifications"]["channels"]});
    let ours = json!({"server": "localhost", "port": port, "user": Mailpit::USER, "passwordFile": mail.password,
        "caFile": mail.tls.ca});
    support::replace(&mut file, "/channels/hr/mail", &ours);
    let url = json!({"urlFile": folder.join("slack-url")});
    support::replace(&mut file, "/channels/it-ops/slack", &url);
    let path = folder.join("notifications.yaml");
    fs::write(&path, file.to_string()).unwrap();
    settings::read(&path).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_and_chat_down_delay_nobody_and_everybody_is_told_once_they_are_back() {
    let mut story = Story::open("mail-and-chat-down", &["jane.doe"]);
    let (mail, chat, folder) = (
        Mailpit::start(),
        Receiver::start().await,
        Scratch::new("channels"),
    );
    // A mail server that takes the connection and says nothing, and a chat that has an outage.
    let wire = Relay::to(SocketAddr::from(([127, 0, 0, 1], mail.port))).await;
    wire.freeze();
    let file = channels(&story, wire.port, &mail, &folder);
    fs::write(folder.join("slack-url"), chat.url("/slack")).unwrap();
    chat.always(Some(Answer::Status(503)));
    story.operator(&["--notifications", &file]);
    story.next("kubectl apply");
    story.next("kubectl apply");
    story.next("kubectl get leavers");
    assert_eq!(story.staff.gets_in("jane.doe"), NOWHERE);
    let status = story.leaver("jane-doe")["status"].clone();
    let conditions = status["conditions"].as_array().unwrap();
    let revoked = conditions.iter().find(|c| c["type"] == "AccessRevoked").unwrap();
    let at = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(at(&revoked["lastTransitionTime"]) < at(&status["deadline"]));
    let tried = || wire.connections() > 0 && !chat.received("/slack").is_empty();
    assert!(poll(PATIENCE, tried), "nobody tried");

    wire.thaw();
    chat.always(None);
    let before = chat.received("/slack").len();
    story.next("kubectl get leaver");
    assert_eq!(mail.search("subject:HR-2291").len(), 1);
    assert_eq!(chat.received("/slack").len(), before + 1);
    story.end();
}
