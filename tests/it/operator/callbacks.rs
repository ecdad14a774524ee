//! A flow of an integration platform says at its callback what became of a request. Its word counts once, for that act of that
//! leaver, for some time, and only as its word.

use std::net::SocketAddr;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use offboard::transport::{
    callback::{About, Callbacks, claims},
    secret::Credentials,
};
use serde_json::{Value, json};

use super::site::{Operator, PATIENCE, Site};
use crate::{
    support::{self, poll},
    without_api::flows::{Manner, Platform, call_back, signing_key},
};

/// The value of `callbackKey`, which the flow does not know.
const KEY: &str = "known to the operator and nobody else";
const DONE: &str = r#"{"state": "done"}"#;
const FAILED: &str = r#"{"state": "failed", "code": "E42"}"#;

/// A flow that is connected with callbacks, and where these go to.
struct Scene {
    site: Site,
    platform: Platform,
    door: SocketAddr,
}

impl Scene {
    async fn new(stem: &str, manner: Manner, with_status: bool) -> Self {
        let scene = Self {
            site: Site::new(stem),
            platform: Platform::start(manner).await,
            door: SocketAddr::from(([127, 0, 0, 1], support::free_port())),
        };
        scene
            .site
            .secrets("flow", &[("signingKey", &signing_key()), ("callbackKey", KEY)]);
        let mut inputs = scene.platform.inputs(with_status);
        inputs["callbackUrl"] = json!(format!("http://{}", scene.door));
        scene.site.connector("flow", "ipaas", &inputs.to_string());
        scene
    }

    fn start(&self) -> Operator {
        self.site.start_with(&[&format!("--wake={}", self.door)])
    }

    /// What is said of `leaver` in the flow's row about `fact`: status, reason and message.
    fn fact(&self, leaver: &str, fact: &str) -> String {
        let ran = self
            .site
            .kubectl(&["get", &format!("offboarding/{leaver}"), "-o", "json"], "");
        let object: Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
        let conditions = object["status"]["systems"][0]["conditions"].clone();
        let found = conditions
            .as_array()
            .into_iter()
            .flatten()
            .find(|c| c["type"] == fact);
        let text = |field: &str| {
            found
                .map_or("", |c| c[field].as_str().unwrap_or_default())
                .to_owned()
        };
        format!("{}/{} {}", text("status"), text("reason"), text("message"))
            .trim()
            .to_owned()
    }

    #[track_caller]
    fn until(&self, leaver: &str, fact: &str, expected: &str, operator: &Operator) {
        let reached = poll(PATIENCE, || self.fact(leaver, fact) == expected);
        assert!(reached, "{}\n{}", self.fact(leaver, fact), operator.log());
    }

    /// The address that went out with request `number`, once it did.
    #[track_caller]
    fn address(&self, number: usize, operator: &Operator) -> String {
        let sent = || self.platform.flow.lock().unwrap().addresses().len() > number;
        assert!(poll(PATIENCE, sent), "{}", operator.log());
        self.platform.flow.lock().unwrap().addresses()[number].clone()
    }

    /// Asks Jane's flow, and tells where it may call back once that is waited for.
    #[track_caller]
    fn asked(&self, leaver: &str, operator: &Operator) -> String {
        let number = self.platform.ids().len();
        self.site.leaver(leaver, &format!("{leaver}@example.com"));
        let address = self.address(number, operator);
        self.until(leaver, "FlowReported", "False/Pending", operator);
        address
    }

    /// Everything that was written about anybody, as text.
    fn written(&self) -> String {
        let kinds = "offboardings,offboardingrecords,connectors,events";
        self.site.kubectl(&["get", kinds, "-o", "yaml"], "").expect_ok()
    }

    /// An address as it would be made with `key` for what `about` says.
    fn forged(&self, key: &str, about: About) -> String {
        let credentials = Credentials::from_data([("k".to_owned(), key.as_bytes().to_vec())], "1");
        let base = format!("http://{}", self.door);
        let callbacks = Callbacks::new(&base, &credentials, "k", SignedDuration::from_hours(7 * 24)).unwrap();
        callbacks.address(about).expose().to_owned()
    }
}

fn token(address: &str) -> &str {
    address.rsplit('/').next().unwrap()
}

/// Posts until the operator does not say "later" any more; what it says then.
async fn told(address: &str, body: &str) -> u16 {
    let began = std::time::Instant::now();
    loop {
        let status = call_back(address, body).await;
        if !matches!(status, 0 | 429 | 503) || began.elapsed() > PATIENCE {
            return status;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_word_of_a_flow_that_calls_back_is_asserted_and_outlives_a_restart() {
    let scene = Scene::new("calledback", Manner::CallsBack, false).await;
    let mut operator = scene.start();
    scene.site.leaver("jane", "jane@example.com");
    scene.until("jane", "FlowReported", "True/Asserted", &operator);
    scene
        .site
        .until("offboarding/jane", "AccessRevoked", "True/Verified");
    operator.kill();
    let operator = scene.start();
    // Something to look at again for: what was said is not asked for a second time.
    scene.site.offboarding(
        "jane",
        "{employee: {email: jane@example.com}, urgency: Immediate, legalHold: Hold}",
    );
    let seen = || scene.site.get("offboarding/jane")["status"]["observedGeneration"] == 2;
    assert!(poll(PATIENCE, seen), "{}", operator.log());
    assert_eq!(scene.fact("jane", "FlowReported"), "True/Asserted");
    assert_eq!((scene.platform.ids().len(), scene.platform.effects()), (1, 1));
    let address = scene.address(0, &operator);
    let shown = scene.written() + &operator.log();
    assert!(!shown.contains(token(&address)) && !shown.contains(KEY));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_is_forged_late_replayed_or_another_leavers_changes_nothing() {
    let scene = Scene::new("forged", Manner::Works, false).await;
    let operator = scene.start();
    let jane = scene.asked("jane", &operator);
    let joan = scene.asked("joan", &operator);
    let (ours, hers) = (claims(token(&jane)).unwrap(), claims(token(&joan)).unwrap());
    let (payload, mac) = token(&jane).split_once('.').unwrap();
    let (her_payload, her_mac) = token(&joan).split_once('.').unwrap();
    let base = format!("http://{}/callback", scene.door);
    let longer = json!({"o": ours.case, "s": ours.row, "f": ours.fact, "k": ours.key, "a": ours.asked,
        "u": "2999-01-01T00:00:00Z"});
    let longer = BASE64_URL_SAFE_NO_PAD.encode(longer.to_string());
    let late = About {
        asked: Timestamp::now() - SignedDuration::from_hours(7 * 24),
        ..ours.clone()
    };
    let refused = [
        format!("{base}/{payload}.{her_mac}"),
        format!("{base}/{her_payload}.{mac}"),
        format!("{base}/{payload}."),
        format!("{base}/{payload}"),
        format!("{base}/.{mac}"),
        format!("{base}/{longer}.{mac}"),
        format!("{base}/nothing"),
        scene.forged("another key of at least 24 bytes", ours.clone()),
        scene.forged(&signing_key(), ours.clone()),
        scene.forged(KEY, late),
        scene.forged(
            KEY,
            About {
                case: "0f3c-11aa".into(),
                ..ours.clone()
            },
        ),
        scene.forged(
            KEY,
            About {
                row: "another".into(),
                ..ours.clone()
            },
        ),
    ];
    for address in &refused {
        assert_eq!(told(address, DONE).await, 401, "{address}");
        assert_eq!(told(address, FAILED).await, 401, "{address}");
    }
    // Made with the right key, and yet not for what was asked: taken, so that nobody learns why, and nothing more.
    let hour = SignedDuration::from_hours(1);
    let strange = [
        About {
            asked: ours.asked - hour,
            ..ours.clone()
        },
        About {
            key: hers.key.clone(),
            ..ours.clone()
        },
        About {
            fact: "FlowAsked".into(),
            ..ours.clone()
        },
        About {
            case: hers.case.clone(),
            ..ours.clone()
        },
        About {
            row: "flow/extra".into(),
            ..ours.clone()
        },
    ];
    for about in strange {
        assert_eq!(
            told(&scene.forged(KEY, about.clone()), DONE).await,
            202,
            "{about:?}"
        );
    }
    for nonsense in ["", "done", "{}", r#"{"state": "finished"}"#, "[]"] {
        assert_eq!(told(&jane, nonsense).await, 400, "{nonsense}");
    }
    assert_eq!(told(&jane, r#"{"state": "running", "left": 3}"#).await, 202);
    let (jane_now, joan_now) = (
        scene.fact("jane", "FlowReported"),
        scene.fact("joan", "FlowReported"),
    );
    assert_eq!(
        (jane_now.as_str(), joan_now.as_str()),
        ("False/Pending", "False/Pending")
    );
    // Hers ends hers.
    assert_eq!(told(&joan, DONE).await, 202);
    scene.until("joan", "FlowReported", "True/Asserted", &operator);
    assert_eq!(scene.fact("jane", "FlowReported"), "False/Pending");
    // What was said once is not unsaid by the same address.
    let version = || {
        scene
            .site
            .records()
            .iter()
            .map(|r| r["metadata"]["resourceVersion"].clone())
            .collect::<Vec<_>>()
    };
    scene.site.until("offboarding/joan", "Ready", "True/Offboarded");
    let before = version();
    for body in [FAILED, DONE, FAILED] {
        assert_eq!(told(&joan, body).await, 202);
    }
    assert_eq!(version(), before, "nothing was written");
    assert_eq!(scene.fact("joan", "FlowReported"), "True/Asserted");
    assert_eq!(scene.platform.ids().len(), 2, "nobody was asked again");
    let huge = format!("{{\"state\": \"done\", \"x\": \"{}\"}}", "x".repeat(70_000));
    assert_eq!(told(&jane, &huge).await, 400);
    // What strangers send takes nothing from those who were asked.
    for _ in 0..200 {
        assert_eq!(call_back(&refused[0], DONE).await, 401);
    }
    assert_eq!(scene.fact("jane", "FlowReported"), "False/Pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_that_failed_is_told_by_its_code_alone_and_asked_again() {
    let scene = Scene::new("flowfailed", Manner::Works, false).await;
    let mut operator = scene.start();
    let first = scene.asked("jane", &operator);
    let body = r#"{"state": "failed", "code": "E42", "message": "canary: Jane is still an owner"}"#;
    assert_eq!(told(&first, body).await, 202);
    // printf %s E42 | sha256sum
    let failed = "False/OperationFailed unlisted code 47aa6d19";
    scene.until("jane", "FlowReported", failed, &operator);
    let shown = scene.written() + &operator.log();
    assert!(!shown.contains("canary"), "{shown}");
    // Before the failure is forgotten by waiting: a restart asks at once.
    operator.kill();
    let operator = scene.start();
    let second = scene.address(1, &operator);
    scene.until("jane", "FlowReported", "False/Pending", &operator);
    let ids = scene.platform.ids();
    assert_eq!(ids[0], ids[1], "the same key");
    assert_eq!(told(&first, DONE).await, 202);
    assert_eq!(
        scene.fact("jane", "FlowReported"),
        "False/Pending",
        "that one had failed"
    );
    assert_eq!(told(&second, DONE).await, 202);
    scene.until("jane", "FlowReported", "True/Asserted", &operator);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_status_can_be_read_a_callback_only_makes_it_be_read() {
    let scene = Scene::new("wokenflow", Manner::Works, true).await;
    let operator = scene.start();
    scene.site.leaver("jane", "jane@example.com");
    let address = scene.address(0, &operator);
    scene.until("jane", "FlowDone", "False/Pending", &operator);
    let looks = || scene.platform.flow.lock().unwrap().looks();
    let before = looks();
    assert_eq!(told(&address, DONE).await, 202);
    assert!(looks() > before, "it was looked at before the answer");
    assert_eq!(
        scene.fact("jane", "FlowDone"),
        "False/Pending",
        "the status says running"
    );
    assert_eq!(told(&address, FAILED).await, 202);
    assert_eq!(scene.fact("jane", "FlowDone"), "False/Pending");
    scene.platform.flow.lock().unwrap().is_done();
    assert_eq!(told(&address, DONE).await, 202);
    scene.until("jane", "FlowDone", "True/Verified", &operator);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_act_sends_the_flow_away_and_the_next_that_acts_takes_its_word() {
    let scene = Scene::new("otherone", Manner::Works, false).await;
    let other = SocketAddr::from(([127, 0, 0, 1], support::free_port()));
    let start = |door: SocketAddr| {
        scene
            .site
            .start_with(&["--lease=offboard", &format!("--wake={door}")])
    };
    let mut first = start(scene.door);
    let acts = |operator: &Operator| operator.log().contains("the lease is ours");
    assert!(poll(PATIENCE, || acts(&first)), "{}", first.log());
    let address = scene.asked("jane", &first);
    let second = start(other);
    let waits = || second.http("/readyz").contains("200 OK");
    assert!(poll(PATIENCE, waits), "{}", second.log());
    let there = address.replace(&scene.door.to_string(), &other.to_string());
    assert_eq!(call_back(&there, DONE).await, 503);
    assert_eq!(scene.fact("jane", "FlowReported"), "False/Pending");
    first.kill();
    assert_eq!(told(&there, DONE).await, 202);
    scene.until("jane", "FlowReported", "True/Asserted", &second);
    assert_eq!(scene.platform.ids().len(), 1, "it was not asked again");
}
