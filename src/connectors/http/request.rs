//! From a resolved request to the one that is sent.

use std::{borrow::Cow, cell::OnceCell};

use reqwest::{
    Method, Request, Url,
    header::{
        CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER,
        TRANSFER_ENCODING, UPGRADE,
    },
};
use serde_json::Value;
use zeroize::Zeroizing;

use super::password;
use crate::{
    connectors::driver::{Body, HttpRequest, RANDOM},
    core::fault::{Fault, Reason},
};

/// [`RANDOM`] inside an address, where it is percent-encoded.
const RANDOM_IN_URL: &str = "%01random%01";

/// The request without its login. Every [`RANDOM`] in it becomes the same new password.
///
/// # Errors
/// When it is no legal HTTP request.
pub fn build(asked: &HttpRequest, headers: &HeaderMap) -> Result<Request, Fault> {
    let malformed = |what: &'static str| Fault::permanent(Reason::Malformed).with_code(what);
    let fresh = Fresh::default();
    let url = fresh.replace(&asked.url, RANDOM_IN_URL)?;
    let url = Url::parse(&fresh.replace(&url, RANDOM)?).map_err(|_| malformed("url"))?;
    let method = Method::from_bytes(asked.method.as_bytes()).map_err(|_| malformed("method"))?;
    let mut request = Request::new(method, url);
    *request.headers_mut() = headers.clone();
    let (kind, body) = match &asked.body {
        Body::Empty => (None, None),
        Body::Json(value) => {
            let mut value = value.clone();
            fresh.fill(&mut value)?;
            let text = serde_json::to_vec(&value).map_err(|_| malformed("json"))?;
            (Some("application/json"), Some(text.into()))
        }
        Body::Form(fields) => {
            let pair = |(name, value): (&String, &String)| {
                Ok(format!("{}={}", form(name), form(&fresh.replace(value, RANDOM)?)))
            };
            let pairs = fields.iter().map(pair).collect::<Result<Vec<_>, Fault>>()?;
            (
                Some("application/x-www-form-urlencoded"),
                Some(pairs.join("&").into()),
            )
        }
        Body::Xml(text) => {
            let text = fresh.replace(text, RANDOM)?.into_owned();
            (Some("text/xml; charset=utf-8"), Some(text.into()))
        }
    };
    if let Some(kind) = kind {
        let kind = HeaderValue::from_static(kind);
        request.headers_mut().entry(CONTENT_TYPE).or_insert(kind);
    } else {
        request.headers_mut().remove(CONTENT_TYPE);
    }
    *request.body_mut() = body;
    for (name, value) in &asked.headers {
        let name = header(name).ok_or_else(|| malformed("header"))?;
        let value =
            HeaderValue::try_from(&*fresh.replace(value, RANDOM)?).map_err(|_| malformed("header"))?;
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

/// The name of a header that a definition may set: not one that says whom the request is for, or where it ends.
pub fn header(name: &str) -> Option<HeaderName> {
    const OURS: [HeaderName; 7] = [
        HOST,
        CONNECTION,
        CONTENT_LENGTH,
        TRANSFER_ENCODING,
        UPGRADE,
        TE,
        TRAILER,
    ];
    let name = HeaderName::try_from(name).ok()?;
    (!OURS.contains(&name)).then_some(name)
}

/// As in a form body.
fn form(text: &str) -> impl std::fmt::Display {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
}

/// The new password of one request, made when it is first needed.
#[derive(Default)]
struct Fresh(OnceCell<Zeroizing<String>>);

impl Fresh {
    fn replace<'a>(&self, text: &'a str, mark: &str) -> Result<Cow<'a, str>, Fault> {
        if !text.contains(mark) {
            return Ok(Cow::Borrowed(text));
        }
        if self.0.get().is_none() {
            let password = password::generate()?;
            self.0.get_or_init(|| password);
        }
        let password = self.0.get().map_or("", |password| password.as_str());
        Ok(Cow::Owned(text.replace(mark, password)))
    }

    /// Replaces in every text of a JSON value.
    fn fill(&self, value: &mut Value) -> Result<(), Fault> {
        match value {
            Value::String(text) => {
                if let Cow::Owned(new) = self.replace(text, RANDOM)? {
                    *text = new;
                }
                Ok(())
            }
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.fill(item)),
            Value::Object(fields) => fields.values_mut().try_for_each(|field| self.fill(field)),
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        }
    }
}
