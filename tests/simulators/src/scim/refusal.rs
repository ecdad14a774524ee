//! Refusals in the form of RFC 7644 section 3.12.

use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::server::Refusal;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// HTTP status.
    pub status: u16,
    /// The `scimType`, or nothing.
    pub kind: &'static str,
    /// For people.
    pub detail: &'static str,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
}

impl Refused {
    /// A refusal without a `scimType`.
    pub fn plain(status: u16, detail: &'static str) -> Self {
        Self {
            status,
            kind: "",
            detail,
            retry_after: None,
        }
    }

    /// 400 with a `scimType`.
    pub fn bad(kind: &'static str, detail: &'static str) -> Self {
        Self {
            kind,
            ..Self::plain(400, detail)
        }
    }

    /// 429: come back in `seconds`.
    pub fn throttled(seconds: u64) -> Self {
        Self {
            retry_after: Some(seconds),
            ..Self::plain(429, "too many requests")
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let mut body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": refused.status.to_string(),
            "detail": refused.detail,
        });
        if !refused.kind.is_empty() {
            body["scimType"] = refused.kind.into();
        }
        let mut headers = vec![("content-type", "application/scim+json".to_owned())];
        if let Some(seconds) = refused.retry_after {
            headers.push(("retry-after", seconds.to_string()));
        }
        if refused.status == 401 {
            headers.push(("www-authenticate", "Bearer".to_owned()));
        }
        Self {
            status: refused.status,
            headers,
            body,
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        Refusal::from(self).into_response()
    }
}
