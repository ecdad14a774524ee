//! Messages to people while the operator works, is killed, or talks to nobody.

use std::{fs, process::Command};

use offboard_simulators::scim::Scim;
use serde_json::Value;
use tokio::net::TcpListener;

use super::site::{PASSWORD, PATIENCE, Refusal, Site, application, logs_in};
use crate::{
    notify::{
        channels::{Channels, notified, policy, refuse, states, until_sent},
        receiver::Answer,
    },
    support::{self, poll},
};

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
    until_sent(&site, "offboarding/leaver-1", "Offboarded", &operator);
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
    until_sent(&site, "offboarding/leaver-1", "Scheduled", &operator);
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
    until_sent(&site, "offboarding/leaver-1", "Offboarded", &operator);
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
            let states = states(&site, &format!("offboarding/leaver-{n}"), "Offboarded");
            states["teams"] == "Failed" && states["events"] == "Failed"
        })
    };
    assert!(
        poll(PATIENCE, shown),
        "{:#?}",
        notified(&site, "offboarding/leaver-0")
    );
    let reasons = || {
        let all = notified(&site, "offboarding/leaver-0");
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
        let state = |n| states(&site, &format!("offboarding/leaver-{n}"), "Offboarded")["slack"].clone();
        (0..leavers.len()).all(|n| state(n) == "Sent")
    };
    assert!(
        poll(PATIENCE * 3, sent),
        "{:#?}\n{}",
        notified(&site, "offboarding/leaver-0"),
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
    until_sent(&site, "offboarding/leaver-1", "Stalled", &operator);
    let it = &channels.chat.received("/slack")[0].body;
    assert!(it.contains("crm") && it.contains("needs a person"), "{it}");
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
    until_sent(&site, "offboarding/leaver-1", "Drift", &operator);
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

/// The pod in which it is started again.
const POD: &str = "offboard-0";

/// At which moment of a message's life the operator is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// It is not written down yet that there is something to tell.
    BeforeDue,
    /// It is not written down yet that it is being sent.
    BeforeSending,
    /// The receiver has it, and has not answered.
    BeforeAnswer,
    /// The receiver has taken it, and that is not written down yet.
    BeforeSent,
    /// That is written down.
    AfterSent,
}

impl Moment {
    /// What the API server does not take, so that the moment lasts until the operator is killed.
    fn refusal<'s>(self, site: &'s Site, probe: &'s str) -> Option<Refusal<'s>> {
        let state = match self {
            Self::BeforeDue => "Due",
            Self::BeforeSending => "Sending",
            Self::BeforeSent => "Sent",
            Self::BeforeAnswer | Self::AfterSent => return None,
        };
        Some(refuse(site, "offboarding", probe, state))
    }

    /// Whether it is this moment for all messages about a leaver.
    fn has_come(self, site: &Site, channels: &Channels, leaver: &str, reference: &str) -> bool {
        let got = channels.got(reference);
        let states = states(site, &format!("offboarding/{leaver}"), "Offboarded");
        let all = |state: &str| states.len() == 4 && states.values().all(|known| known == state);
        match self {
            // Its systems are done, and the pass has tried to say so.
            Self::BeforeDue => site.refused("offboardings/status", leaver),
            // What tells a second message from the first needs no note before it.
            Self::BeforeSending => {
                site.refused("offboardings/status", leaver)
                    && states.iter().filter(|(_, state)| *state == "Due").count() == 3
                    && got["events"] == 1
            }
            Self::BeforeAnswer => {
                let chat = ["slack", "teams", "events"]
                    .iter()
                    .all(|channel| got[channel] == 1);
                chat && states.get("mail").is_some_and(|state| state == "Sent")
            }
            Self::BeforeSent => got.values().all(|times| *times >= 1),
            Self::AfterSent => all("Sent"),
        }
    }

    /// What is shown in the end of a channel, and how often its receiver got the message.
    fn outcome(self, channel: &str) -> (&'static str, std::ops::RangeInclusive<usize>) {
        match (self, channel) {
            // Its receiver tells a second one by its id.
            (Self::BeforeAnswer | Self::BeforeSent, "events") => ("Sent", 2..=usize::MAX),
            (Self::BeforeSent, _) | (Self::BeforeAnswer, "slack" | "teams") => ("Unsure", 1..=1),
            _ => ("Sent", 1..=1),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_it_tells_nobody_the_same_twice_and_shows_what_it_cannot_know() {
    let (crm, _) = application("jane@example.com").await;
    let channels = Channels::open().await;
    let site = Site::new("killed-telling");
    site.connect("crm", &crm);
    site.policy(&policy("Offboarded"));
    site.offboarding(
        "probe",
        &spec(
            "probe@example.com",
            "HR-none",
            ", urgency: Immediate, suspend: true",
        ),
    );
    let moments = [
        Moment::BeforeDue,
        Moment::BeforeSending,
        Moment::BeforeAnswer,
        Moment::BeforeSent,
        Moment::AfterSent,
    ];
    for (round, moment) in moments.into_iter().enumerate() {
        let (leaver, reference) = (format!("leaver-{round}"), format!("HR-{round}-"));
        let what = format!("offboarding/{leaver}");
        let email = format!("leaver{round}@example.com");
        crm.add_user(&email, None, PASSWORD);
        let refusal = moment.refusal(&site, "probe");
        channels.chat.hold(moment == Moment::BeforeAnswer);
        let mut operator = channels.start(&site, POD);
        site.offboarding(&leaver, &spec(&email, &reference, ", urgency: Immediate"));
        let come = || moment.has_come(&site, &channels, &leaver, &reference);
        assert!(
            poll(PATIENCE, come),
            "{moment:?} {:?} {:#?}\n{}",
            channels.got(&reference),
            notified(&site, &what),
            operator.log()
        );
        operator.kill();
        channels.chat.hold(false);
        if let Some(refusal) = refusal {
            refusal.lift();
        }
        let mut operator = channels.start(&site, POD);
        let over = || {
            let states = states(&site, &what, "Offboarded");
            states.len() == 4 && !states.values().any(|state| state == "Due" || state == "Sending")
        };
        assert!(
            poll(PATIENCE, over),
            "{moment:?} {:#?}\n{}",
            notified(&site, &what),
            operator.log()
        );
        let got = channels.got(&reference);
        for (channel, state) in states(&site, &what, "Offboarded") {
            let (shown, times) = moment.outcome(&channel);
            assert_eq!(
                state,
                shown,
                "{moment:?} {channel}: {:#?}",
                notified(&site, &what)
            );
            assert!(
                times.contains(&got[channel.as_str()]),
                "{moment:?} {channel}: {got:?}"
            );
        }
        let mut ids: Vec<String> = channels
            .chat
            .received("/events")
            .iter()
            .filter(|event| event.body.contains(&reference))
            .map(|event| event.json()["id"].as_str().unwrap().to_owned())
            .collect();
        ids.dedup();
        assert_eq!(ids.len(), 1, "{moment:?}: {ids:?}");
        operator.kill();
    }
}
