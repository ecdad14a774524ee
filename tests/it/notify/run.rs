//! `offboard run --notifications FILE`: people are told without a cluster too, once however often it is run.

use std::{fs, process::Command};

use serde_json::{Value, json};

use super::receiver::{Answer, Receiver};
use crate::{
    operator::site::application,
    support::{self, Mailpit, Ran, Scratch},
};

/// A folder with one leaver, and a file with the channels `hr`, by mail, and `it`, by webhook.
struct Desk {
    manifests: Scratch,
    channels: Scratch,
}

impl Desk {
    fn new(objects: &[Value], mail: &Mailpit, it: &Receiver) -> Self {
        let (manifests, channels) = (Scratch::new("told"), Scratch::new("channels"));
        for (number, object) in objects.iter().enumerate() {
            fs::write(manifests.join(format!("{number}.json")), object.to_string()).unwrap();
        }
        let key = channels.join("key");
        fs::write(&key, "a key").unwrap();
        let file = format!(
            "channels: {{hr: {}, it: {{webhook: {{url: '{}', keyFile: '{}'}}}}}}",
            mail.channel(&["hr@example.com", "Manager"], ""),
            it.url("/it"),
            key.display()
        );
        fs::write(channels.join("notifications.yaml"), file).unwrap();
        Self { manifests, channels }
    }

    fn run(&self) -> Ran {
        let mut offboard = Command::new(env!("CARGO_BIN_EXE_offboard"));
        offboard.arg("run").arg("-f").arg(&*self.manifests);
        offboard.env("XDG_STATE_HOME", self.manifests.join(".state"));
        offboard
            .arg("--notifications")
            .arg(self.channels.join("notifications.yaml"));
        support::run(&mut offboard, "")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn run_tells_each_once_and_what_was_not_taken_is_told_by_the_next_run() {
    let (crm, _) = application("jane@example.com").await;
    let (mail, it) = (Mailpit::start(), Receiver::start().await);
    let object = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "offboard.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    let desk = Desk::new(
        &[
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "crm", "annotations": support::scope("")}, "stringData": {"token": crm.token()}}),
            object(
                "Connector",
                "crm",
                json!({
                    "definition": "scim", "inputs": {"url": crm.base()}, "secretRef": {"name": "crm"},
                }),
            ),
            object(
                "OffboardingPolicy",
                "default",
                json!({"notify": [
                    {"channel": "hr", "events": ["Offboarded"], "audience": "Hr"},
                    {"channel": "it", "events": ["Offboarded"]},
                    {"channel": "nowhere", "events": ["Offboarded"]},
                ]}),
            ),
            object(
                "Offboarding",
                "leaver-1",
                json!({
                    "employee": {"email": "jane@example.com", "displayName": "Jane Doe"}, "urgency": "Immediate",
                    "reference": "HR-2291", "profile": {"manager": "sam@example.com"},
                }),
            ),
        ],
        &mail,
        &it,
    );
    it.always(Some(Answer::Status(503)));
    let told = || mail.search("subject:HR-2291");
    desk.run().expect_ok();
    assert_eq!(told().len(), 1);
    assert_eq!(told()[0]["Subject"], "Jane Doe is offboarded [HR-2291]");
    let to = told()[0]["To"].to_string();
    assert!(
        to.contains("hr@example.com") && to.contains("sam@example.com"),
        "{to}"
    );
    let refused = it.received("/it").len();
    assert!(refused >= 1);
    // The receiver is back: what it did not take comes, and nobody gets a second mail.
    it.always(None);
    desk.run().expect_ok();
    assert_eq!((told().len(), it.received("/it").len()), (1, refused + 1));
    let ids: Vec<Value> = it
        .received("/it")
        .iter()
        .map(|event| event.json()["id"].clone())
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    desk.run().expect_ok();
    assert_eq!((told().len(), it.received("/it").len()), (1, refused + 1));
}
