//! Messages to people while the operator works, is killed, or talks to nobody.

use std::{collections::BTreeMap, fs, process::Command, time::Duration};

use offboard::{core::schedule::mix, simulators::scim::Scim};
use serde_json::Value;
use tokio::net::TcpListener;

use super::site::{Operator, PASSWORD, PATIENCE, Site, application, logs_in};
use crate::{
    notify::receiver::{Answer, Receiver},
    support::{self, Mailpit, Scratch, poll, poll_each},
};

/// Channels of an installation: `mail`, `slack`, `teams` and `events`.
struct Channels {
    mail: Mailpit,
    chat: Receiver,
    folder: Scratch,
}

impl Channels {
    async fn open() -> Self {
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
    fn set(&self, mail: &str, chat: &str) {
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

    fn start(&self, site: &Site, pod: &str) -> Operator {
        let file = self.folder.join("notifications.yaml");
        site.start_in(pod, &["--notifications", file.to_str().unwrap()])
    }

    /// How often each channel got a message in which `word` occurs.
    fn got(&self, word: &str) -> BTreeMap<&'static str, usize> {
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

/// All channels are told of these.
fn policy(events: &str) -> String {
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

/// Channel, event, state and reason of each entry of a leaver.
fn notified(site: &Site, leaver: &str) -> Vec<[String; 4]> {
    let status = &site.get(&format!("offboarding/{leaver}"))["status"];
    let none = vec![];
    let all = status["notified"].as_array().unwrap_or(&none).iter();
    all.map(|n| ["channel", "event", "state", "reason"].map(|f| n[f].as_str().unwrap_or_default().to_owned()))
        .collect()
}

fn states(site: &Site, leaver: &str, event: &str) -> BTreeMap<String, String> {
    let all = notified(site, leaver).into_iter();
    all.filter(|[_, of, ..]| of == event)
        .map(|[channel, _, state, _]| (channel, state))
        .collect()
}

#[track_caller]
fn until_sent(site: &Site, leaver: &str, event: &str, operator: &Operator) {
    let sent = || {
        let states = states(site, leaver, event);
        states.len() == 4 && states.values().all(|state| state == "Sent")
    };
    assert!(
        poll(PATIENCE, sent),
        "{:#?}\n{}",
        notified(site, leaver),
        operator.log()
    );
}

fn spec(email: &str, reference: &str, more: &str) -> String {
    format!("{{employee: {{email: '{email}', displayName: Jane Doe}}, reference: {reference}{more}}}")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_channel_is_told_once_and_looking_again_tells_nobody_anything() {
    let (crm, _) = application("jane@example.com").await;
    let channels = Channels::open().await;
    let site = Site::new("told");
    site.connect("crm", &crm);
    site.policy(&policy("Offboarded").replacen('{', "{recheck: {every: 1s}, ", 1));
    let operator = channels.start(&site, "offboard-0");
    site.offboarding(
        "leaver-1",
        &spec("jane@example.com", "HR-2291", ", urgency: Immediate"),
    );
    until_sent(&site, "leaver-1", "Offboarded", &operator);
    let looks = crm.control().journal().len();
    assert!(poll(PATIENCE, || crm.control().journal().len() > looks + 10));
    for (channel, times) in channels.got("HR-2291") {
        assert_eq!(times, 1, "{channel}");
    }
    let mail = channels.mail.search("subject:HR-2291").remove(0);
    assert_eq!(mail["Subject"], "Jane Doe is offboarded [HR-2291]");
    let metrics = operator.http("/metrics");
    for channel in ["mail", "slack", "teams", "events"] {
        let line = format!(
            "offboarding_messages_total{{channel=\"{channel}\",event=\"Offboarded\",result=\"sent\"}} 1"
        );
        assert!(metrics.contains(&line), "{metrics}");
    }
    let log = operator.log();
    for secret in ["jane@", "Jane", "HR-2291", "/slack", "a key"] {
        assert!(
            !log.contains(secret) && !metrics.contains(secret),
            "{secret} in\n{log}\n{metrics}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_is_to_be_told_nothing_more_is_written() {
    let (crm, _) = application("jane@example.com").await;
    let channels = Channels::open().await;
    let site = Site::new("untold");
    site.connect("crm", &crm);
    let _operator = channels.start(&site, "offboard-0");
    site.leaver("leaver-1", "jane@example.com");
    site.until("offboarding/leaver-1", "Ready", "True/Offboarded");
    let writes = site.writes();
    let about = writes
        .iter()
        .filter(|w| !w.resource.starts_with("connectors"))
        .count();
    assert!(about <= 4, "{writes:#?}");
    assert_eq!(
        site.get("offboarding/leaver-1")["status"]["notified"],
        Value::Null
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confidential_leaver_is_named_only_after_the_cutoff() {
    let (crm, _) = application("jane@example.com").await;
    let channels = Channels::open().await;
    let site = Site::new("confidential");
    site.connect("crm", &crm);
    site.policy(&policy("Scheduled, Offboarded"));
    let operator = channels.start(&site, "offboard-0");
    let later = ", visibility: Confidential, lastDay: '2099-01-31', cutoff: {timeZone: Europe/Berlin}";
    site.offboarding("leaver-1", &spec("jane@example.com", "HR-2291", later));
    until_sent(&site, "leaver-1", "Scheduled", &operator);
    assert!(channels.got("leaver-1").values().all(|times| *times == 1));
    for name in ["Jane", "Doe", "jane"] {
        assert!(channels.got(name).values().all(|times| *times == 0), "{name}");
    }
    let patch = r#"{"spec": {"urgency": "Immediate"}}"#;
    site.kubectl(
        &["patch", "offboarding", "leaver-1", "--type=merge", "-p", patch],
        "",
    )
    .expect_ok();
    until_sent(&site, "leaver-1", "Offboarded", &operator);
    assert!(
        channels.got("Jane Doe").values().all(|times| *times == 1),
        "{:?}",
        channels.got("Jane Doe")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_and_chat_are_down_and_everybody_leaves_on_time_all_the_same() {
    let leavers: Vec<String> = (0..10).map(|n| format!("jane{n}@example.com")).collect();
    let (crm, _) = application("jane@example.com").await;
    for email in &leavers {
        crm.add_user(email, None, PASSWORD);
    }
    let channels = Channels::open().await;
    // A mail server that takes the connection and says nothing; a chat that is not there; one that knows us no more.
    let silent = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let mail = channels.mail.channel(&["hr@example.com"], "");
    let hangs = mail.replace(&format!("port: {}", channels.mail.port), &format!("port: {port}"));
    channels.set(&hangs, &format!("http://127.0.0.1:{}", support::free_port()));
    fs::write(channels.folder.join("teams-url"), channels.chat.url("/teams")).unwrap();
    channels.chat.always(Some(Answer::Status(404)));
    let site = Site::new("down");
    site.connect("crm", &crm);
    site.policy(&policy("Offboarded"));
    let operator = channels.start(&site, "offboard-0");
    for (n, email) in leavers.iter().enumerate() {
        let spec = spec(email, &format!("HR-{n}-"), ", urgency: Immediate");
        site.offboarding(&format!("leaver-{n}"), &spec);
    }
    for (n, email) in leavers.iter().enumerate() {
        site.until(&format!("offboarding/leaver-{n}"), "Ready", "True/Offboarded");
        assert!(!logs_in(&crm, email));
        let status = &site.get(&format!("offboarding/leaver-{n}"))["status"];
        let conditions = status["conditions"].as_array().unwrap();
        let revoked = conditions.iter().find(|c| c["type"] == "AccessRevoked").unwrap();
        let at = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        assert!(at(&revoked["lastTransitionTime"]) < at(&status["deadline"]));
    }
    let shown = || {
        (0..leavers.len()).all(|n| {
            let states = states(&site, &format!("leaver-{n}"), "Offboarded");
            states["teams"] == "Failed" && states["events"] == "Failed"
        })
    };
    assert!(poll(PATIENCE, shown), "{:#?}", notified(&site, "leaver-0"));
    let reasons = || {
        let all = notified(&site, "leaver-0");
        let reason = |channel: &str| all.iter().find(|n| n[0] == channel).unwrap()[3].clone();
        ["teams", "events", "slack"].map(reason)
    };
    assert_eq!(reasons()[..2], ["404", "404"]);
    let told = || site.kubectl(&["get", "events", "-o", "json"], "").stdout;
    assert!(
        poll(PATIENCE, || told().contains("\"MessageNotSent\"")),
        "{}",
        told()
    );
    assert!(
        operator
            .http("/metrics")
            .contains("event=\"Offboarded\",result=\"failed\"")
    );
    assert!(poll(PATIENCE, || operator.http("/metrics").contains(
        "channel=\"slack\",event=\"Offboarded\",result=\"retried\""
    )));
    // Chat comes back: everybody is told once.
    channels.chat.always(None);
    fs::write(channels.folder.join("slack-url"), channels.chat.url("/slack")).unwrap();
    let sent = || {
        let state = |n| states(&site, &format!("leaver-{n}"), "Offboarded")["slack"].clone();
        (0..leavers.len()).all(|n| state(n) == "Sent")
    };
    assert!(
        poll(PATIENCE * 3, sent),
        "{:#?}\n{}",
        notified(&site, "leaver-0"),
        operator.log()
    );
    for n in 0..leavers.len() {
        assert_eq!(channels.got(&format!("HR-{n}-"))["slack"], 1);
    }
    assert!(channels.mail.search("subject:HR").is_empty());
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_person_can_mend_and_what_comes_back_is_told_to_those_who_can() {
    let (crm, id) = application("jane@example.com").await;
    let channels = Channels::open().await;
    let site = Site::new("drifts");
    site.connect("crm", &crm);
    site.secret("crm", "token", "wrong");
    site.policy(&policy("Stalled, Drift").replacen('{', "{recheck: {every: 1s}, ", 1));
    let operator = channels.start(&site, "offboard-0");
    site.offboarding(
        "leaver-1",
        &spec("jane@example.com", "HR-2291", ", urgency: Immediate"),
    );
    until_sent(&site, "leaver-1", "Stalled", &operator);
    let it = &channels.chat.received("/slack")[0].body;
    assert!(it.contains("crm") && it.contains("waits for a person"), "{it}");
    let mail = channels.mail.search("subject:HR-2291").remove(0);
    assert!(
        !channels.mail.text(&mail).contains("crm"),
        "{}",
        channels.mail.text(&mail)
    );
    site.secret("crm", "token", crm.token());
    site.until("offboarding/leaver-1", "Ready", "True/Offboarded");
    // Only what was seen again after late reads are over can be called given back: SCIM's settle time is 15 s, a look 1 s.
    let passes = operator.passes("done");
    assert!(poll(PATIENCE, || operator.passes("done") >= passes + 20));
    give_back(&crm, &id);
    until_sent(&site, "leaver-1", "Drift", &operator);
    site.until("offboarding/leaver-1", "Ready", "True/Offboarded");
    let slack = channels.chat.received("/slack");
    assert_eq!(slack.len(), 2);
    assert!(
        slack[1].body.contains("came back") && slack[1].body.contains("AccountDisabled"),
        "{}",
        slack[1].body
    );
}

/// Somebody else enables the account.
fn give_back(crm: &Scim, id: &str) {
    let body = r#"{"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "active", "value": true}]}"#;
    let mut curl = Command::new("curl");
    curl.args([
        "-sf",
        "-X",
        "PATCH",
        "-H",
        "content-type: application/scim+json",
        "-d",
        body,
    ])
    .args(["-H", &format!("authorization: Bearer {}", crm.token())])
    .arg(format!("{}/Users/{id}", crm.base()));
    support::run(&mut curl, "").expect_ok();
    assert_eq!(crm.is_active(id), Some(true));
}

/// Rounds in which the operator is killed.
const ROUNDS: usize = 20;
/// The pod in which it is started again.
const POD: &str = "offboard-0";

#[tokio::test(flavor = "multi_thread")]
async fn killed_twenty_times_it_tells_nobody_the_same_twice_and_shows_what_it_cannot_know() {
    let (crm, _) = application("jane@example.com").await;
    let channels = Channels::open().await;
    let site = Site::new("killed-telling");
    site.connect("crm", &crm);
    site.policy(&policy("Offboarded"));
    let mut operator = channels.start(&site, POD);
    let heard = |channels: &Channels| channels.chat.received("/").len();
    for round in 0..ROUNDS {
        let email = format!("leaver{round}@example.com");
        crm.add_user(&email, None, PASSWORD);
        let before = heard(&channels);
        site.offboarding(
            &format!("leaver-{round}"),
            &spec(&email, &format!("HR-{round}-"), ", urgency: Immediate"),
        );
        let seed = mix(round as u64);
        match round % 3 {
            // As soon as somebody has heard something: it was sent, and that is not noted yet.
            0 => {
                poll_each(Duration::from_millis(1), PATIENCE, || heard(&channels) > before);
            }
            // While messages are written down.
            1 => {
                let due = || !notified(&site, &format!("leaver-{round}")).is_empty();
                poll_each(Duration::from_millis(5), PATIENCE, due);
            }
            _ => std::thread::sleep(Duration::from_millis(500 + seed % 2500)),
        }
        operator.kill();
        operator = channels.start(&site, POD);
    }
    let open = |leaver: &str| {
        let states = states(&site, leaver, "Offboarded");
        states.len() < 4 || states.values().any(|state| state == "Due" || state == "Sending")
    };
    let (mut sent, mut unsure) = (0, 0);
    for round in 0..ROUNDS {
        let leaver = format!("leaver-{round}");
        site.until(&format!("offboarding/{leaver}"), "Ready", "True/Offboarded");
        assert!(
            poll(PATIENCE, || !open(&leaver)),
            "{:#?}\n{}",
            notified(&site, &leaver),
            operator.log()
        );
        let got = channels.got(&format!("HR-{round}-"));
        for (channel, state) in states(&site, &leaver, "Offboarded") {
            let times = got[channel.as_str()];
            match (channel.as_str(), state.as_str()) {
                // Its receiver tells a second one by its id.
                ("events", "Sent") => assert!(times >= 1, "{leaver}: {got:?}"),
                (_, "Sent") => assert_eq!(times, 1, "{leaver} {channel}: {:#?}", notified(&site, &leaver)),
                (_, "Unsure") => assert!(times <= 1, "{leaver} {channel}: {times}"),
                other => panic!("{leaver}: {other:?}"),
            }
            sent += usize::from(state == "Sent");
            unsure += usize::from(state == "Unsure");
        }
        let events = channels.chat.received("/events");
        let mut ids: Vec<String> = events
            .iter()
            .filter(|event| event.body.contains(&format!("HR-{round}-")))
            .map(|event| event.json()["id"].as_str().unwrap().to_owned())
            .collect();
        ids.dedup();
        assert_eq!(ids.len(), 1, "{leaver}: {ids:?}");
    }
    eprintln!("{ROUNDS} kills: {sent} messages sent once, {unsure} shown as unsure");
    assert_eq!(sent + unsure, 4 * ROUNDS);
    assert!(sent >= 2 * ROUNDS, "{sent} sent, {unsure} unsure");
}
