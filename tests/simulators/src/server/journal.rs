//! What is kept of a request: everything but its secrets.

use axum::http::{HeaderMap, header};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::pairs;

/// One request as it arrived, without secrets.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When it arrived.
    pub at: Timestamp,
    /// `GET`, `POST`, …
    pub method: String,
    /// The path as sent, percent-encoded.
    pub path: String,
    /// The query, decoded, in order.
    pub query: Vec<(String, String)>,
    /// A JSON body, or a form as an object of texts; else null. Values of secret keys are `***`.
    pub body: Value,
    /// Whom the simulator took the caller for (see [`Caller`]).
    pub by: Option<String>,
    /// The status it was answered with; none when the answer was lost.
    pub status: Option<u16>,
}

impl Entry {
    /// Whether the request may change something: anything but `GET` and `HEAD`.
    pub fn changes(&self) -> bool {
        self.method != "GET" && self.method != "HEAD"
    }

    /// The last value of a query parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .rev()
            .find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }
}

/// Put into a response's extensions by a simulator: whom it took the caller for. Ends up in the journal.
#[derive(Debug, Clone)]
pub struct Caller(pub String);

/// A JSON or form body as data, without secrets.
pub(super) fn readable(headers: &HeaderMap, body: &[u8]) -> Value {
    let form = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
    let mut value = if form {
        let object: Map<_, _> = pairs(body)
            .into_iter()
            .map(|(key, value)| (key, Value::String(value)))
            .collect();
        Value::Object(object)
    } else {
        serde_json::from_slice(body).unwrap_or(Value::Null)
    };
    redact(&mut value);
    value
}

fn redact(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                if secret(key) && !value.is_object() {
                    *value = Value::String("***".into());
                } else {
                    redact(value);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(redact),
        _ => {}
    }
}

/// Whether a field or parameter of this name is a secret.
pub(super) fn secret(key: &str) -> bool {
    const SECRETS: [&str; 7] = [
        "password",
        "client_secret",
        "assertion",
        "client_assertion",
        "access_token",
        "refresh_token",
        "token",
    ];
    SECRETS.iter().any(|secret| key.eq_ignore_ascii_case(secret))
}
