//! The channels of an installation with a real mail server and a receiver of webhooks, and what became of its messages.

use std::{collections::BTreeMap, fs};

use serde_json::json;

use super::receiver::Receiver;
use crate::{
    operator::site::{Operator, PATIENCE, Refusal, Site},
    support::{Mailpit, Scratch, poll},
};

/// Channels of an installation: `mail`, `slack`, `teams` and `events`.
pub struct Channels {
    pub mail: Mailpit,
    pub chat: Receiver,
    pub folder: Scratch,
}

impl Channels {
    pub async fn open() -> Self {
        let channels = Self {
            mail: Mailpit::start(),
            chat: Receiver::start().await,
            folder: Scratch::new("channels"),
        };
        let mail = channels.mail.channel(&["hr@example.com"], "");
        channels.set(&mail, &channels.chat.url(""));
        channels
    }

    /// Leads `mail` by this channel, the others to this address.
    pub fn set(&self, mail: &str, chat: &str) {
        let file = |name: &str, text: &str| {
            let path = self.folder.join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let slack = file("slack-url", &format!("{chat}/slack"));
        let teams = file("teams-url", &format!("{chat}/teams"));
        let key = file("key", "a key");
        let text = format!(
            "channels: {{mail: {mail}, slack: {{slack: {{urlFile: '{slack}'}}}}, teams: {{teams: {{urlFile: '{teams}'}}}}, \
             events: {{webhook: {{url: '{}/events', keyFile: '{key}'}}}}}}",
            self.chat.url("")
        );
        file("notifications.yaml", &text);
    }

    pub fn start(&self, site: &Site, pod: &str) -> Operator {
        let file = self.folder.join("notifications.yaml");
        site.start_in(pod, &["--notifications", file.to_str().unwrap()])
    }

    /// How often each channel got a message in which `word` occurs.
    pub fn got(&self, word: &str) -> BTreeMap<&'static str, usize> {
        let chat = |path: &str| {
            let all = self.chat.received(path);
            all.iter().filter(|r| r.body.contains(word)).count()
        };
        BTreeMap::from([
            ("mail", self.mail.search(&format!("\"{word}\"")).len()),
            ("slack", chat("/slack")),
            ("teams", chat("/teams")),
            ("events", chat("/events")),
        ])
    }
}

/// A policy by which all channels are told of these.
pub fn policy(events: &str) -> String {
    let rule = |channel: &str, audience: &str| {
        format!("{{channel: {channel}, events: [{events}], audience: {audience}}}")
    };
    format!(
        "{{notify: [{}, {}, {}, {}]}}",
        rule("mail", "Hr"),
        rule("slack", "It"),
        rule("teams", "Manager"),
        rule("events", "It")
    )
}

/// Channel, event, state and reason of each entry of an object, such as `offboarding/leaver-1`.
pub fn notified(site: &Site, what: &str) -> Vec<[String; 4]> {
    let status = &site.get(what)["status"];
    let none = vec![];
    let all = status["notified"].as_array().unwrap_or(&none).iter();
    all.map(|n| ["channel", "event", "state", "reason"].map(|f| n[f].as_str().unwrap_or_default().to_owned()))
        .collect()
}

/// How far each channel's message about `event` is.
pub fn states(site: &Site, what: &str, event: &str) -> BTreeMap<String, String> {
    let all = notified(site, what).into_iter();
    all.filter(|[_, of, ..]| of == event)
        .map(|[channel, _, state, _]| (channel, state))
        .collect()
}

/// Waits until all channels have taken their message about `event`.
#[track_caller]
pub fn until_sent(site: &Site, what: &str, event: &str, operator: &Operator) {
    let sent = || {
        let states = states(site, what, event);
        states.len() == 4 && states.values().all(|state| state == "Sent")
    };
    assert!(
        poll(PATIENCE, sent),
        "{:#?}\n{}",
        notified(site, what),
        operator.log()
    );
}

/// From now on the API server takes no status of this kind that says of a message that it is in this state. `probe` is an
/// object of that kind.
#[track_caller]
pub fn refuse<'s>(site: &'s Site, kind: &'s str, probe: &'s str, state: &str) -> Refusal<'s> {
    let holds = format!("!object.?status.?notified.orValue([]).exists(n, n.state == '{state}')");
    let notice = json!({
        "key": "k", "event": "Offboarded", "channel": "c", "state": state, "at": "2026-01-01T00:00:00Z",
    });
    let patch = json!({"status": {"observedGeneration": 1, "notified": [notice]}}).to_string();
    site.refuse(&format!("{kind}s/status"), "UPDATE", &holds, move |site| {
        let how = [
            "--subresource=status",
            "--type=merge",
            "--dry-run=server",
            "-p",
            &patch,
        ];
        site.kubectl(&[&["patch", kind, probe][..], &how].concat(), "")
    })
}
