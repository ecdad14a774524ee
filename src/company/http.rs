//! What the company's HTTP services share: refusals, whom a request comes from, and the client that tries logins.

use axum::{
    Json,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// A refused request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused(pub StatusCode, pub &'static str);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

/// An answer or a refusal.
pub(super) type Reply<T = Json<Value>> = Result<T, Refused>;

/// There is no such thing.
pub(super) const GONE: Refused = Refused(StatusCode::NOT_FOUND, "not found");
/// The credential opens nothing.
pub(super) const UNKNOWN: Refused = Refused(StatusCode::UNAUTHORIZED, "unknown credential");

/// The bearer token of a request.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

/// One try to get in, made without any connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The system.
    pub system: &'static str,
    /// With what, for people.
    pub what: String,
    /// Whether it worked.
    pub worked: bool,
}

/// Sends `request`; a try that gets no answer at all is no proof of a refusal, so it is an error.
pub(super) async fn attempt(
    system: &'static str,
    what: String,
    request: reqwest::RequestBuilder,
) -> std::io::Result<Attempt> {
    let answer = request.send().await.map_err(std::io::Error::other)?;
    let status = answer.status().as_u16();
    let worked = match status {
        200..=299 => true,
        401 | 403 => false,
        // RFC 6749, 5.2: how a token endpoint refuses a refresh token.
        400 if error_of(answer).await? == "invalid_grant" => false,
        400 => {
            return Err(std::io::Error::other(format!(
                "{system} did not understand a login"
            )));
        }
        status => {
            return Err(std::io::Error::other(format!(
                "{system} answered {status} to a login"
            )));
        }
    };
    Ok(Attempt { system, what, worked })
}

async fn error_of(answer: reqwest::Response) -> std::io::Result<String> {
    let body: Value = answer.json().await.map_err(std::io::Error::other)?;
    Ok(body["error"].as_str().unwrap_or_default().to_owned())
}

/// A client that speaks to loopback, whatever proxy the environment names.
pub(super) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .build()
        .expect("a client without options of its own can be built")
}
