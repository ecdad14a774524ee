//! A flow of an integration platform: a real HTTP server that checks signatures by its own code and remembers what it was
//! asked for.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use offboard::core::{
    fact::{Exempt, Verdict, Why},
    fault::Reason,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::System;
use crate::trial::Trial;

/// The key's bytes; in the Secret they are base64 behind `whsec_`.
const KEY: [u8; 32] = *b"known to the flow and to us only";
/// What is older, or of a time to come, is refused.
const TOLERANCE: i64 = 300;

/// The value of `signingKey`.
pub fn signing_key() -> String {
    format!("whsec_{}", BASE64_STANDARD.encode(KEY))
}

/// HMAC-SHA256 by its definition (RFC 2104), so that nothing here is what it checks.
fn hmac(key: &[u8; 32], text: &[u8]) -> Vec<u8> {
    let pad = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new()
        .chain_update(pad(0x36))
        .chain_update(text)
        .finalize();
    Sha256::new()
        .chain_update(pad(0x5c))
        .chain_update(inner)
        .finalize()
        .to_vec()
}

/// What the flow does with a new request.
#[derive(Clone, Copy, Default, PartialEq)]
pub enum Manner {
    /// Takes it, works for two looks, is done.
    #[default]
    Usual,
    /// Takes it, and knows nothing of it for two looks.
    Late,
    /// Takes it, and its answer breaks off.
    Lost,
    /// Fails the first time.
    Fails,
    /// Takes it, and says at the callback that it is done, until that is taken.
    CallsBack,
    /// Takes it, and stays at work.
    Works,
}

#[derive(Default)]
pub struct Flow {
    manner: Manner,
    /// The state of each request, and how often it was looked at since it was taken.
    known: BTreeMap<String, (&'static str, usize)>,
    /// What was really done, by key.
    effects: Vec<String>,
    /// All requests that were let in: headers and body.
    taken: Vec<(HeaderMap, Bytes)>,
    /// How far the flow's clock is ahead, in seconds.
    ahead: i64,
}

type Shared = Arc<Mutex<Flow>>;

impl Flow {
    /// The id, if the request is signed and fresh.
    fn lets_in(&self, headers: &HeaderMap, body: &[u8]) -> Option<String> {
        let header = |name: &str| headers.get(name)?.to_str().ok();
        let (id, time) = (header("webhook-id")?, header("webhook-timestamp")?);
        let signed = [format!("{id}.{time}.").as_bytes(), body].concat();
        let expected = format!("v1,{}", BASE64_STANDARD.encode(hmac(&KEY, &signed)));
        let now = Timestamp::now().as_second() + self.ahead;
        let fresh = (now - time.parse::<i64>().ok()?).abs() <= TOLERANCE;
        (header("webhook-signature")? == expected && fresh).then(|| id.to_owned())
    }

    fn work(&mut self, key: &str) {
        self.effects.push(key.to_owned());
    }

    /// The addresses where it may call back, in the order of the requests.
    pub fn addresses(&self) -> Vec<String> {
        let bodies = self
            .taken
            .iter()
            .map(|(_, body)| serde_json::from_slice::<Value>(body).unwrap());
        let addresses = bodies.map(|body| body["callback"].as_str().unwrap_or_default().to_owned());
        addresses.collect()
    }

    /// How often anybody asked how far it is.
    pub fn looks(&self) -> usize {
        self.known.values().map(|(_, looks)| looks).sum()
    }

    /// From now on it says that everything is done.
    pub fn is_done(&mut self) {
        self.known.values_mut().for_each(|(state, _)| *state = "done");
    }
}

/// The status of the answer to a callback; 0 when nobody answers.
pub async fn call_back(address: &str, body: &str) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.post(address).body(body.to_owned()).send().await;
    answer.map_or(0, |answer| answer.status().as_u16())
}

async fn ask(State(flow): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let mut flow = flow.lock().unwrap();
    let Some(key) = flow.lets_in(&headers, &body) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    flow.taken.push((headers, body));
    if flow.known.get(&key).is_some_and(|(state, _)| *state != "failed") {
        return StatusCode::CONFLICT.into_response();
    }
    let again = flow.known.contains_key(&key);
    let state = if flow.manner == Manner::Fails && !again {
        "failed"
    } else {
        flow.work(&key);
        "accepted"
    };
    flow.known.insert(key, (state, 0));
    if flow.manner == Manner::CallsBack {
        let address = flow.addresses().pop().unwrap();
        tokio::spawn(async move { while call_back(&address, r#"{"state": "done"}"#).await != 202 {} });
    }
    if flow.manner == Manner::Lost {
        let broken = [Ok(Bytes::from("{")), Err(std::io::Error::other("broken off"))];
        return Body::from_stream(futures::stream::iter(broken)).into_response();
    }
    StatusCode::ACCEPTED.into_response()
}

async fn status(State(flow): State<Shared>, Path(key): Path<String>, headers: HeaderMap) -> Response {
    let mut flow = flow.lock().unwrap();
    if flow.lets_in(&headers, b"").is_none() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let manner = flow.manner;
    let Some((state, looks)) = flow.known.get_mut(&key) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    *looks += 1;
    *state = match (*state, *looks) {
        ("failed", _) => "failed",
        ("done", _) if manner == Manner::Works => "done",
        _ if manner == Manner::Works => "running",
        (_, 1) => "accepted",
        (_, 2) => "running",
        _ => "done",
    };
    if manner == Manner::Late && *looks <= 2 {
        return StatusCode::NOT_FOUND.into_response();
    }
    axum::Json(json!({"state": state})).into_response()
}

/// A running flow.
pub struct Platform {
    pub flow: Shared,
    url: String,
}

impl Platform {
    pub async fn start(manner: Manner) -> Self {
        let flow = Arc::new(Mutex::new(Flow {
            manner,
            ..Flow::default()
        }));
        let router = Router::new()
            .route("/hooks/in", post(ask))
            .route("/status/{key}", get(status))
            .with_state(flow.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { flow, url }
    }

    fn system(&self, with_status: bool) -> System<'static> {
        System {
            secret: vec![("signingKey", signing_key())],
            ..System::new("ipaas", self.inputs(with_status))
        }
    }

    /// The inputs of a Connector to it.
    pub fn inputs(&self, with_status: bool) -> Value {
        let mut inputs = json!({"url": format!("{}/hooks/in?api-version=1", self.url)});
        if with_status {
            inputs["statusUrl"] = json!(format!("{}/status", self.url));
        }
        inputs
    }

    fn leaver(&self) -> Trial {
        self.system(true).leaver()
    }

    pub fn effects(&self) -> usize {
        self.flow.lock().unwrap().effects.len()
    }

    /// Ids of the requests that were taken.
    pub fn ids(&self) -> Vec<String> {
        let flow = self.flow.lock().unwrap();
        let ids = flow
            .taken
            .iter()
            .map(|(headers, _)| headers["webhook-id"].to_str().unwrap().to_owned());
        ids.collect()
    }
}

#[tokio::test]
async fn a_flow_that_has_taken_a_request_is_not_done_until_it_says_so() {
    let platform = Platform::start(Manner::Usual).await;
    let mut leaver = platform.leaver();
    leaver.pass().await;
    assert!(
        matches!(leaver.verdict("FlowDone"), Verdict::Pending(_)),
        "{:?}",
        leaver.all()
    );
    assert!(leaver.settles(8).await, "{:?}", leaver.all());
    assert_eq!(leaver.verdict("FlowDone"), Verdict::Verified);
    assert_eq!(
        leaver.verdict("FlowAsked"),
        Verdict::NotNeeded(Exempt::NotApplicable)
    );
    assert_eq!(platform.effects(), 1);
    let flow = platform.flow.lock().unwrap();
    let body: Value = serde_json::from_slice(&flow.taken[0].1).unwrap();
    assert_eq!(
        body["who"],
        json!({"email": "jane@example.com", "employeeID": "10442"})
    );
    assert_eq!(
        (&body["account"], &body["type"]),
        (&json!("10442"), &json!("offboarding.requested"))
    );
    assert_eq!(
        body["key"],
        json!(flow.taken[0].0["webhook-id"].to_str().unwrap())
    );
    assert!(
        body["cutoff"].as_str().unwrap().parse::<Timestamp>().is_ok(),
        "{body}"
    );
}

#[tokio::test]
async fn a_flow_that_shows_late_what_it_has_taken_is_not_asked_twice() {
    let platform = Platform::start(Manner::Late).await;
    let mut leaver = platform.leaver();
    assert!(leaver.settles(10).await, "{:?}", leaver.all());
    assert_eq!(leaver.verdict("FlowDone"), Verdict::Verified);
    assert_eq!((platform.effects(), platform.ids().len()), (1, 1));
}

#[tokio::test]
async fn a_lost_answer_is_looked_up_by_its_key_also_after_a_restart() {
    let platform = Platform::start(Manner::Lost).await;
    let mut leaver = platform.leaver();
    leaver.pass().await;
    leaver.restart();
    assert!(leaver.settles(10).await, "{:?}", leaver.all());
    assert_eq!(leaver.verdict("FlowDone"), Verdict::Verified);
    assert_eq!(platform.effects(), 1);
}

#[tokio::test]
async fn without_a_status_a_lost_answer_is_asked_again_by_the_same_key_and_has_one_effect() {
    let platform = Platform::start(Manner::Lost).await;
    let mut leaver = platform.system(false).leaver();
    leaver.pass().await;
    assert!(!leaver.verdict("FlowAsked").settled());
    assert!(leaver.settles(10).await, "{:?}", leaver.all());
    assert_eq!(
        leaver.verdict("FlowAsked"),
        Verdict::Asserted,
        "asked for, and never more than that"
    );
    assert_eq!(
        leaver.verdict("FlowDone"),
        Verdict::NotNeeded(Exempt::NotApplicable)
    );
    let ids = platform.ids();
    assert!(ids.len() == 2 && ids[0] == ids[1], "{ids:?}");
    assert_eq!(platform.effects(), 1);
}

#[tokio::test]
async fn a_flow_that_failed_is_asked_again_by_the_same_key() {
    let platform = Platform::start(Manner::Fails).await;
    let mut leaver = platform.leaver();
    assert!(leaver.settles(12).await, "{:?}", leaver.all());
    assert_eq!(leaver.verdict("FlowDone"), Verdict::Verified);
    let ids = platform.ids();
    assert!(ids.len() == 2 && ids[0] == ids[1], "{ids:?}");
    assert_eq!(platform.effects(), 1);
}

#[tokio::test]
async fn where_nobody_listens_no_callback_is_asked_for() {
    let platform = Platform::start(Manner::Usual).await;
    let mut system = platform.system(false);
    system.inputs["callbackUrl"] = json!("https://offboard.example.com");
    system
        .secret
        .push(("callbackKey", "another text of more than 24 bytes".to_owned()));
    let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(system.connect())));
    let text = refused.unwrap_err();
    let text = text.downcast_ref::<String>().unwrap();
    assert!(
        text.contains("nobody listens") && text.contains("--wake"),
        "{text}"
    );
}

#[tokio::test]
async fn a_flow_with_another_key_lets_nothing_in() {
    let platform = Platform::start(Manner::Usual).await;
    let mut system = platform.system(true);
    system.secret = vec![("signingKey", "another text of more than 24 bytes".to_owned())];
    let mut leaver = system.leaver();
    leaver.pass().await;
    let Verdict::Unknown(fault) = leaver.verdict("FlowDone") else {
        panic!("{:?}", leaver.all())
    };
    assert_eq!(fault.reason, Reason::CredentialRejected);
    assert_eq!((platform.effects(), platform.ids().len()), (0, 0));
    // Where nothing is read before, it is the act that is refused.
    let mut system = platform.system(false);
    system.secret = vec![("signingKey", "another text of more than 24 bytes".to_owned())];
    let mut leaver = system.leaver();
    leaver.pass().await;
    assert!(
        matches!(leaver.verdict("FlowAsked"), Verdict::Unmet(Why::Failed(_))),
        "{:?}",
        leaver.all()
    );
    assert_eq!(platform.effects(), 0);
}

#[tokio::test]
async fn what_was_recorded_cannot_be_played_back_later_nor_changed() {
    let platform = Platform::start(Manner::Usual).await;
    let mut leaver = platform.leaver();
    leaver.pass().await;
    let (headers, body) = platform.flow.lock().unwrap().taken[0].clone();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let play = async |change: &dyn Fn(&mut HeaderMap), body: Bytes| {
        let mut headers = headers.clone();
        change(&mut headers);
        let url = format!("{}/hooks/in", platform.url);
        client
            .post(url)
            .headers(headers)
            .body(body)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(
        play(&|_| {}, body.clone()).await,
        409,
        "at once it is a repetition that the key gives away"
    );
    let other = Bytes::from(String::from_utf8(body.to_vec()).unwrap().replace("jane", "joan"));
    let swapped = |headers: &mut HeaderMap| drop(headers.remove("content-length"));
    assert_eq!(play(&swapped, other).await, 401);
    let renamed = |headers: &mut HeaderMap| drop(headers.insert("webhook-id", "another".parse().unwrap()));
    assert_eq!(play(&renamed, body.clone()).await, 401);
    platform.flow.lock().unwrap().ahead = TOLERANCE + 60;
    assert_eq!(play(&|_| {}, body.clone()).await, 401, "too old");
    let redated = move |headers: &mut HeaderMap| {
        let now = Timestamp::now().as_second() + TOLERANCE + 60;
        headers.insert("webhook-timestamp", now.to_string().parse().unwrap());
    };
    assert_eq!(play(&redated, body).await, 401, "the time is signed too");
    assert_eq!(platform.effects(), 1);
}
