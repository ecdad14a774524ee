//! Refusals in the form of the REST API: a list of `{message, errorCode, fields}`.

use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::server::Refusal;

/// Why a request, or one record of it, is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// HTTP status.
    pub status: u16,
    /// `errorCode`; of a record in a collection `statusCode`.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// Fields that it is about.
    pub fields: Vec<String>,
}

impl Refused {
    /// A refusal that names no fields.
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            fields: Vec::new(),
        }
    }

    /// 404 for a record or resource.
    pub fn not_found() -> Self {
        Self::new(404, "NOT_FOUND", "The requested resource does not exist")
    }

    /// What the caller may not do. Like other refused changes it comes with 400.
    pub fn no_right() -> Self {
        Self::new(
            400,
            "INSUFFICIENT_ACCESS_OR_READONLY",
            "insufficient access rights on object id",
        )
    }

    /// One failed record of a collection.
    pub fn as_result(&self) -> Value {
        json!({
            "success": false,
            "errors": [{"statusCode": self.code, "message": self.message, "fields": self.fields}],
        })
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let mut error = json!({"message": refused.message, "errorCode": refused.code});
        if !refused.fields.is_empty() {
            error["fields"] = json!(refused.fields);
        }
        Self {
            status: refused.status,
            headers: Vec::new(),
            body: json!([error]),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        Refusal::from(self).into_response()
    }
}
