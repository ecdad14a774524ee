use serde_json::{Value, json};

use super::*;
use crate::{
    api::offboarding::NoticeState,
    notify::{event, slack, teams},
};

const EVENTS: [NotifyOn; 7] = [
    NotifyOn::Scheduled,
    NotifyOn::ApprovalNeeded,
    NotifyOn::Overdue,
    NotifyOn::Drift,
    NotifyOn::Stalled,
    NotifyOn::Offboarded,
    NotifyOn::Reinstated,
];

fn leaver(spec: Value) -> Offboarding {
    let mut whole = json!({
        "apiVersion": "offboard.dev/v1alpha1", "kind": "Offboarding",
        "metadata": {"name": "leaver-0117", "namespace": "people"},
        "spec": {
            "employee": {"email": "jane.doe@example.com", "employeeID": "10442", "displayName": "Jane Doe",
                "accounts": [{"connector": "corp-ad", "name": "adm-jdoe"}]},
            "lastDay": "2026-09-30",
            "cutoff": {"timeZone": "Europe/Berlin"},
            "reference": "HR-2291",
        },
        "status": {"cutoff": "2026-09-30T15:00:00Z", "progress": "7/9", "accessLeft": 3},
    });
    for (key, value) in spec.as_object().unwrap() {
        whole["spec"][key] = value.clone();
    }
    serde_json::from_value(whole).unwrap()
}

fn notice(event: NotifyOn, audience: Audience, about: &str) -> Notice {
    Notice {
        key: "0123456789abcdef0123456789abcdef".to_owned(),
        event,
        channel: "hr".to_owned(),
        audience,
        about: about.to_owned(),
        state: NoticeState::Due,
        at: now(),
        tries: 0,
        reason: None,
    }
}

fn now() -> Timestamp {
    "2026-09-30T14:59:59Z".parse().unwrap()
}

fn after() -> Timestamp {
    "2026-09-30T15:00:00Z".parse().unwrap()
}

fn all(leaver: &Offboarding, about: &str, now: Timestamp) -> Vec<(NotifyOn, Audience, Message)> {
    let mut all = vec![];
    for event in EVENTS {
        for audience in [Audience::It, Audience::Hr, Audience::Manager] {
            all.push((
                event,
                audience,
                compose(leaver, &notice(event, audience, about), now),
            ));
        }
    }
    all
}

/// Everything of a message, on every channel.
fn everywhere(leaver: &Offboarding, notice: &Notice, message: &Message, now: Timestamp) -> String {
    format!(
        "{message:?} {} {} {} {}",
        message.plain(),
        slack::body(message),
        teams::body(message),
        event::of_leaver(leaver, notice, message, now)
    )
}

#[test]
fn every_message_says_who_by_which_ticket_and_is_short() {
    for (event, audience, message) in all(
        &leaver(json!({})),
        "Delete: plan sha256:77ab03c1, 0/1 so far",
        now(),
    ) {
        let told = format!("{event:?} {audience:?}: {message:#?}");
        assert!(message.subject.ends_with("[HR-2291]"), "{told}");
        assert!(
            message.subject.contains("Jane Doe") && message.subject.len() < 120,
            "{told}"
        );
        assert!(!message.says.is_empty() && message.plain().len() < 800, "{told}");
        assert!(
            message
                .plain()
                .contains("30 September 2026, 17:00 (Europe/Berlin)"),
            "{told}"
        );
    }
}

#[test]
fn texts_for_different_readers_differ_and_hr_reads_no_technical_word() {
    let technical = [
        "Offboarding:",
        "gate",
        "plan",
        "sha256",
        "Approval",
        "connector",
        "Kubernetes",
        "kubectl",
        "API",
        "corp-ad",
        "AccountDisabled",
        "read back",
        "reading back",
        "fact",
        "status",
        "token",
        "sync",
        "namespace",
        "people/",
    ];
    for event in EVENTS {
        let say = |audience| {
            let about =
                "Delete: plan sha256:77ab03c1, 0/1 so far, corp-ad: AccountDisabled PermissionDenied (403)";
            compose(&leaver(json!({})), &notice(event, audience, about), now())
        };
        assert_ne!(say(Audience::It).says, say(Audience::Hr).says, "{event:?}");
        for audience in [Audience::Hr, Audience::Manager] {
            let mut text = format!("{}\n{}", say(audience).subject, say(audience).plain());
            // Plain words that hold one of them.
            text = text.replace("than planned", "");
            for word in technical {
                assert!(
                    !text.contains(word),
                    "{event:?} {audience:?}: {word:?} in\n{text}"
                );
            }
        }
    }
}

#[test]
fn a_confidential_leaver_is_not_named_before_the_cutoff_and_is_after() {
    let secret = leaver(json!({"visibility": "Confidential", "reference": "HR-2291 Jane Doe"}));
    let about = "corp-ad: AccountDisabled of adm-jdoe, jane.doe@example.com, 10442";
    let names = ["Jane", "Doe", "jane", "doe", "10442"];
    for event in EVENTS {
        for audience in [Audience::It, Audience::Hr, Audience::Manager] {
            let notice = notice(event, audience, about);
            let before = compose(&secret, &notice, now());
            let shown = everywhere(&secret, &notice, &before, now());
            for name in names {
                assert!(!shown.contains(name), "{event:?}: {name} in {shown}");
            }
            assert!(before.subject.contains("leaver-0117"), "{before:?}");
            let after_it = compose(&secret, &notice, after());
            assert!(after_it.subject.contains("Jane Doe"), "{after_it:?}");
        }
    }
}

#[test]
fn a_confidential_leaver_whose_cutoff_is_not_known_is_not_named() {
    let mut secret = leaver(json!({"visibility": "Confidential"}));
    secret.status = None;
    let notice = notice(NotifyOn::Stalled, Audience::It, "InvalidSpec: spec.lastDay");
    let message = compose(&secret, &notice, after());
    assert!(!everywhere(&secret, &notice, &message, after()).contains("Jane"));
}

#[test]
fn a_name_that_is_markup_or_a_header_is_only_a_name() {
    let evil =
        "Eve\r\nBcc: all@example.com\u{202e} <!channel> <https://x|y> *b* _i_ `c` [l](http://x) & <at>a</at>";
    let evil = leaver(
        json!({"employee": {"email": "eve@example.com", "displayName": evil}, "reference": "A\r\n\r\nB"}),
    );
    for (_, _, message) in all(&evil, "crm: F\n*x*", now()) {
        assert!(!message.subject.contains(['\r', '\n', '\u{202e}']), "{message:?}");
        assert!(!message.plain().contains("\nBcc:"), "{message:?}");
        let slack = slack::body(&message);
        assert_eq!(slack["mrkdwn"], false);
        for text in texts(&slack["blocks"]) {
            assert_eq!(text["type"], "plain_text", "{text}");
            assert_eq!(text["emoji"], false);
            assert!(!text["text"].as_str().unwrap().contains(['<', '>']), "{text}");
        }
        assert!(!slack["text"].as_str().unwrap().contains(['<', '>']));
        let card = teams::body(&message)["attachments"][0]["content"].to_string();
        let card = card.replace("\\\\", "\u{1}");
        for (at, letter) in card
            .char_indices()
            .filter(|(_, c)| matches!(c, '*' | '_' | '`' | '('))
        {
            assert!(card[..at].ends_with('\u{1}'), "{letter} is not escaped in {card}");
        }
        assert!(!card.contains("<at>") && !card.contains("<!channel>"), "{card}");
    }
}

/// All text objects of a Slack message.
fn texts(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().flat_map(texts).collect(),
        Value::Object(object) if object.contains_key("emoji") => vec![value],
        Value::Object(object) => object.values().flat_map(texts).collect(),
        _ => vec![],
    }
}

#[test]
fn a_slack_message_keeps_slacks_limits_whatever_the_names_are() {
    let long = "&".repeat(256);
    let long = leaver(
        json!({"employee": {"email": "a@example.com", "displayName": long}, "reference": "<".repeat(128)}),
    );
    for (_, _, message) in all(&long, &"&<>".repeat(100), now()) {
        let body = slack::body(&message);
        let blocks = body["blocks"].as_array().unwrap();
        assert!(blocks.len() <= 50);
        for block in blocks {
            let most = if block["type"] == "header" { 150 } else { 3000 };
            for text in texts(block) {
                let shown = text["text"].as_str().unwrap();
                assert!(!shown.is_empty() && shown.chars().count() <= most, "{shown}");
                let cut = shown.rsplit_once('&').map_or("", |(_, rest)| rest);
                assert!(
                    shown.is_empty() || cut.is_empty() || cut.contains(';'),
                    "cut inside an escape: {shown}"
                );
            }
            assert!(block["fields"].as_array().is_none_or(|fields| fields.len() <= 10));
        }
    }
}

#[test]
fn a_cloud_event_has_what_the_specification_asks_for() {
    let leaver = leaver(json!({}));
    let notice = notice(NotifyOn::Offboarded, Audience::It, "");
    let event = event::of_leaver(&leaver, &notice, &compose(&leaver, &notice, after()), after());
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["id"], notice.key.as_str());
    assert_eq!(event["type"], "dev.offboard.offboarded");
    assert_eq!(
        event["source"],
        "/apis/offboard.dev/namespaces/people/offboardings"
    );
    assert!(event["time"].as_str().unwrap().parse::<Timestamp>().is_ok());
    let names = event.as_object().unwrap().keys();
    assert!(
        names
            .into_iter()
            .all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()))
    );
    assert_eq!(event["data"]["leaver"]["email"], "jane.doe@example.com");
}

#[test]
fn a_guard_says_to_hr_what_to_look_at_and_to_it_what_to_mend() {
    let notice = |audience| notice(NotifyOn::GuardTripped, audience, "TooMany: 40 held");
    let it = guard_tripped("people", "bamboo", &notice(Audience::It));
    let hr = guard_tripped("people", "bamboo", &notice(Audience::Hr));
    assert!(it.plain().contains("TooMany: 40 held") && it.subject.contains("[bamboo]"));
    assert!(hr.plain().contains("check the latest changes") && !hr.plain().contains("Guard"));
    assert!(hr.plain().contains("An unusual number of people leave at once"));
    let about = |about: &str| self::notice(NotifyOn::GuardTripped, Audience::Hr, about);
    let empty = guard_tripped("people", "bamboo", &about("Empty: the feed has nobody in it"));
    assert!(empty.plain().contains("list of people is empty"));
}
