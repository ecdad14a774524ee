//! Exchanges with a system, written down as they happen or answered from what was written down.
//!
//! # Why
//! A definition is written against answers: whoever writes one must see them, and must be able to ask again about the same ones
//! without the system. Credentials are taken out before anything is kept, so that nothing that is shown or written has them.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::driver::{Answer, Driver, Resolved};
use crate::{
    core::fault::{Fault, Reason},
    transport::{callback::Callbacks, secret::Credentials},
};

/// Stands where a credential was.
pub const REMOVED: &str = "REMOVED";

/// Headers that log somebody in, in small letters.
const PRIVATE_HEADERS: &[&str] = &[
    "authorization",
    "cookie",
    "proxy-authorization",
    "set-cookie",
    "www-authenticate",
];

/// The code of a request for which no answer was recorded.
const NOT_RECORDED: &str = "no recorded answer";

/// The parts of a response that a value can lie in.
const PARTS: &[&str] = &["body", "entries", "rows", "files", "text", "output"];

/// One request and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exchanged {
    /// The request, without credentials.
    pub request: Value,
    /// The answer, or why there is none.
    pub answer: Result<RecordedAnswer, Fault>,
}

/// An answer as it is written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordedAnswer {
    /// What expressions know as `response`.
    pub response: Value,
    /// The value, where it does not lie in the response.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub value: Value,
    /// The field of the response that the value is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// What the protocol's own table says about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// The system's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Timestamp>,
    /// When the system wants to be asked again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
}

impl RecordedAnswer {
    fn of(answer: &Answer, credentials: &Credentials) -> Self {
        Self {
            response: without_credentials(&answer.response, credentials),
            value: without_credentials(&answer.value, credentials),
            part: answer.part.map(str::to_owned),
            fault: answer.fault.clone(),
            date: answer.date,
            retry_at: answer.retry_at,
        }
    }

    fn answer(&self) -> Answer {
        let part = self.part.as_deref();
        Answer {
            response: self.response.clone(),
            value: self.value.clone(),
            part: PARTS.iter().copied().find(|known| Some(*known) == part),
            fault: self.fault.clone(),
            date: self.date,
            retry_at: self.retry_at,
            rows: None,
            memory: crate::transport::memory::Reservation::default(),
        }
    }
}

/// `value` without credentials in it, and without what headers log in with.
pub fn without_credentials(value: &Value, credentials: &Credentials) -> Value {
    match value {
        Value::String(text) if credentials.appear_in(text) => REMOVED.into(),
        Value::Array(list) => list
            .iter()
            .map(|value| without_credentials(value, credentials))
            .collect(),
        Value::Object(map) => {
            let cleaned = map.iter().map(|(key, value)| {
                let private = key == "headers" && value.is_object();
                let mut value = without_credentials(value, credentials);
                if private && let Value::Object(headers) = &mut value {
                    headers.retain(|name, _| !PRIVATE_HEADERS.contains(&name.to_lowercase().as_str()));
                }
                (key.clone(), value)
            });
            Value::Object(cleaned.collect())
        }
        other => other.clone(),
    }
}

/// The exchanges of one system, in the order in which they began; shared by whoever asks and whoever shows.
#[derive(Debug, Default)]
pub struct Transcript {
    /// None: the answer is still awaited.
    exchanges: Mutex<Vec<Option<Exchanged>>>,
    /// Requests for which a replay had no answer.
    missing: Mutex<Vec<Value>>,
}

impl Transcript {
    /// What was asked and answered so far.
    pub fn exchanges(&self) -> Vec<Exchanged> {
        self.exchanges.lock().iter().flatten().cloned().collect()
    }

    /// Keeps the place of an exchange that begins.
    fn begin(&self) -> usize {
        let mut exchanges = self.exchanges.lock();
        exchanges.push(None);
        exchanges.len() - 1
    }

    /// Puts an exchange into its place.
    fn end(&self, place: usize, exchanged: Exchanged) {
        if let Some(there) = self.exchanges.lock().get_mut(place) {
            *there = Some(exchanged);
        }
    }

    /// Requests that a replay could not answer.
    pub fn missing(&self) -> Vec<Value> {
        self.missing.lock().clone()
    }
}

/// What a transcript has to do with the system.
#[derive(Debug, Clone)]
pub enum Tap {
    /// The system is asked, and everything is written down.
    Record(Arc<Transcript>),
    /// The system is not asked: these answers are given, and it is written down which.
    Replay(Arc<Transcript>, Arc<Vec<Exchanged>>),
}

/// A driver of which every exchange is written down.
pub struct Recording {
    /// The driver that is asked.
    pub driver: Arc<dyn Driver>,
    /// What must not be written down.
    pub credentials: Credentials,
    /// Where it is written down.
    pub transcript: Arc<Transcript>,
}

#[async_trait]
impl Driver for Recording {
    async fn perform(&self, request: &Resolved) -> Result<Answer, Fault> {
        let place = self.transcript.begin();
        let mut outcome = self.driver.perform(request).await;
        if let Ok(answer) = &mut outcome
            && let Some(rows) = answer.rows.take()
        {
            answer.value = Value::Array(rows.all()?);
        }
        let answer = outcome.as_ref();
        let exchanged = Exchanged {
            request: written(request, &self.credentials),
            answer: answer
                .map(|answer| RecordedAnswer::of(answer, &self.credentials))
                .map_err(Clone::clone),
        };
        self.transcript.end(place, exchanged);
        outcome
    }

    fn callbacks(&self) -> Option<&Callbacks> {
        self.driver.callbacks()
    }

    fn park(&self, until: Timestamp) {
        self.driver.park(until);
    }
}

/// A driver that knows nothing but what was recorded. A request that was made several times is answered as it was each time, and
/// then as the last time.
pub struct Replay {
    answers: BTreeMap<String, Vec<Exchanged>>,
    asked: Mutex<BTreeMap<String, usize>>,
    transcript: Arc<Transcript>,
}

impl Replay {
    /// Answers with `exchanges`, and writes into `transcript` which were asked for.
    pub fn new(exchanges: &[Exchanged], transcript: Arc<Transcript>) -> Self {
        let mut answers: BTreeMap<String, Vec<Exchanged>> = BTreeMap::new();
        for exchanged in exchanges {
            let request = exchanged.request.to_string();
            answers.entry(request).or_default().push(exchanged.clone());
        }
        Self {
            answers,
            asked: Mutex::default(),
            transcript,
        }
    }
}

#[async_trait]
impl Driver for Replay {
    async fn perform(&self, request: &Resolved) -> Result<Answer, Fault> {
        let request = written(request, &Credentials::default());
        let key = request.to_string();
        let Some(answers) = self.answers.get(&key) else {
            self.transcript.missing.lock().push(request);
            return Err(Fault::permanent(Reason::Incomplete).with_code(NOT_RECORDED));
        };
        let turn = {
            let mut asked = self.asked.lock();
            let turn = asked.entry(key).or_default();
            *turn += 1;
            *turn - 1
        };
        let Some(exchanged) = answers.get(turn).or(answers.last()) else {
            return Err(Fault::permanent(Reason::Incomplete).with_code(NOT_RECORDED));
        };
        let place = self.transcript.begin();
        self.transcript.end(place, exchanged.clone());
        exchanged
            .answer
            .as_ref()
            .map(RecordedAnswer::answer)
            .map_err(Clone::clone)
    }
}

fn written(request: &Resolved, credentials: &Credentials) -> Value {
    let request = serde_json::to_value(request).unwrap_or_default();
    without_credentials(&request, credentials)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::connectors::driver::{Body, HttpRequest};

    struct Fixed;

    #[async_trait]
    impl Driver for Fixed {
        async fn perform(&self, _: &Resolved) -> Result<Answer, Fault> {
            Ok(RecordedAnswer {
                response: json!({"status": 200, "headers": {"set-cookie": "s", "date": "d"}, "body": {"echo": "Bearer hunter22", "id": 1}}),
                value: Value::Null,
                part: Some("body".to_owned()),
                fault: None,
                date: None,
                retry_at: None,
            }
            .answer())
        }
    }

    fn get(url: &str) -> Resolved {
        Resolved::Http(HttpRequest {
            method: "GET".to_owned(),
            url: url.to_owned(),
            subject: None,
            headers: BTreeMap::from([("Authorization".to_owned(), "x".to_owned())]),
            body: Body::Empty,
        })
    }

    #[tokio::test]
    async fn what_was_recorded_is_replayed_without_credentials_and_nothing_else_is() {
        let transcript = Arc::new(Transcript::default());
        let credentials = Credentials::from_data([("token".to_owned(), b"hunter22".to_vec())], "1");
        let driver = Recording {
            driver: Arc::new(Fixed),
            credentials,
            transcript: transcript.clone(),
        };
        driver.perform(&get("https://a/users")).await.unwrap();
        let recorded = transcript.exchanges();
        let text = serde_json::to_string(&recorded).unwrap();
        assert!(
            !text.contains("hunter22") && !text.contains("set-cookie") && !text.contains("Authorization")
        );
        let read: Vec<Exchanged> = serde_json::from_str(&text).unwrap();
        assert_eq!(read, recorded);

        let shown = Arc::new(Transcript::default());
        let replay = Replay::new(&read, shown.clone());
        let again = replay.perform(&get("https://a/users")).await.unwrap();
        assert_eq!(again.value(), &json!({"echo": REMOVED, "id": 1}));
        assert_eq!(shown.exchanges(), recorded);
        let unknown = replay.perform(&get("https://a/groups")).await.unwrap_err();
        assert_eq!(unknown.code, NOT_RECORDED);
        assert_eq!(shown.missing()[0]["http"]["url"], "https://a/groups");
    }
}
