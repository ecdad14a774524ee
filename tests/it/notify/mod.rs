//! Messages on real channels: a real mail server, and receivers of webhooks in this process.

pub mod channels;
mod mail;
mod published;
pub mod receiver;
mod run;
pub mod webhooks;

use std::fs;

use offboard::{
    api::{Offboarding, offboarding::Notice},
    notify::Outbox,
};
use serde_json::{Value, json};

use crate::support::Scratch;

/// An outbox with these channels, and the folder its files are in.
pub fn outbox(channels: &str) -> (Outbox, Scratch) {
    let folder = Scratch::new("notify");
    let file = folder.join("notifications.yaml");
    fs::write(&file, format!("channels: {channels}\n")).unwrap();
    let outbox = Outbox::read(&file).unwrap_or_else(|error| panic!("{error}"));
    (outbox, folder)
}

/// Jane, with more in the spec.
pub fn jane(reference: &str, more: Value) -> Offboarding {
    let mut jane = json!({
        "apiVersion": "offboard.dev/v1alpha1", "kind": "Offboarding",
        "metadata": {"name": "leaver-1", "namespace": "people", "uid": "uid-1"},
        "spec": {
            "employee": {"email": "jane@example.com", "displayName": "Jane Doe"},
            "lastDay": "2026-09-30", "reference": reference,
        },
        "status": {"cutoff": "2026-09-30T15:00:00Z", "progress": "3/3"},
    });
    for (key, value) in more.as_object().unwrap() {
        jane["spec"][key] = value.clone();
    }
    serde_json::from_value(jane).unwrap()
}

/// A message for a channel.
pub fn offboarded(channel: &str) -> Notice {
    serde_json::from_value(json!({
        "key": "00112233445566778899aabbccddeeff", "event": "Offboarded", "channel": channel, "audience": "Hr",
        "state": "Due", "at": "2026-09-30T15:00:20Z",
    }))
    .unwrap()
}
