//! Tokens from a token endpoint: asked for once for all who wait, kept until shortly before they end, dropped when the
//! system refuses them.
//!
//! Never retries: who is refused with an old token is told that it passes by itself, and the next call gets a new one.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex as StdMutex;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{
    Method, Request, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde_json::Value;
use tokio::{sync::Mutex, time::Instant};

use super::{
    Clock,
    assertion::{Assertion, SigningKey},
    http::{Client, Reply},
    secret::Secret,
};
use crate::core::{
    codes::{OAUTH, listed},
    fault::{Fault, FaultKind, Reason},
};

/// How long a token is used whose answer tells no end (Salesforce): shorter than the shortest session there, 15 minutes.
const UNTOLD: SignedDuration = SignedDuration::from_mins(10);

/// A token is not used in its last minute, or last tenth if that is shorter.
const SPARE: SignedDuration = SignedDuration::from_mins(1);

/// A refused token that never worked is taken for a wrong login only while it is younger than this.
const FRESH: SignedDuration = SignedDuration::from_mins(1);

/// The longest answer with a token, in bytes.
const LARGEST_ANSWER: usize = 256 << 10;

/// Subjects whose tokens are kept at the same time.
const SUBJECTS: usize = 1024;

/// How the token is asked for.
#[derive(Debug)]
pub enum Grant {
    /// RFC 6749 section 4.4, with a client secret in the form body.
    SecretInBody(Secret),
    /// RFC 6749 section 4.4, with a client secret in basic authentication.
    SecretInHeader(Secret),
    /// RFC 6749 section 4.4, the client known by a signed JWT (RFC 7523 section 2.2).
    PrivateKeyJwt(SigningKey),
    /// A signed JWT as the grant itself (RFC 7523 section 2.1).
    JwtBearer(SigningKey),
}

impl Grant {
    /// Whether the client's secret is in `text`, or `text` a part of it.
    fn appears_in(&self, text: &str) -> bool {
        match self {
            Self::SecretInBody(secret) | Self::SecretInHeader(secret) => secret.appears_in(text),
            Self::PrivateKeyJwt(_) | Self::JwtBearer(_) => false,
        }
    }
}

/// One login at one token endpoint.
#[derive(Debug)]
pub struct Login {
    /// How.
    pub grant: Grant,
    /// The token endpoint.
    pub token_url: Url,
    /// The client id; for [`Grant::JwtBearer`] the issuer.
    pub client_id: String,
    /// Sent joined by blanks.
    pub scopes: Vec<String>,
    /// The audience of the signed JWT; none: the token endpoint.
    pub audience: Option<String>,
    /// The subject of the signed JWT of [`Grant::JwtBearer`].
    pub subject: Option<String>,
}

/// A token as it was given.
pub struct Token {
    secret: Secret,
    given: Timestamp,
    ends: Timestamp,
    worked: AtomicBool,
}

impl Token {
    /// The token itself, for the `Authorization` header.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}

/// The token of one subject.
#[derive(Debug, Default)]
struct Slot {
    /// Held while a token is asked for, so that one asks and all others get its result.
    state: Mutex<State>,
    /// Answers of the token endpoint so far.
    answers: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Arc<Token>>,
    fault: Option<Fault>,
}

/// The tokens of one login, by subject.
pub struct Tokens {
    login: Login,
    client: Client,
    clock: Clock,
    slots: StdMutex<BTreeMap<Option<String>, Arc<Slot>>>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("login", &self.login)
            .finish_non_exhaustive()
    }
}

impl Tokens {
    /// No token is asked for before it is needed.
    pub fn new(login: Login, client: Client, clock: Clock) -> Self {
        Self {
            login,
            client,
            clock,
            slots: StdMutex::default(),
        }
    }

    /// A token for `subject`, or for the login's own subject.
    ///
    /// # Errors
    /// When the token endpoint gives none. Never `UnknownOutcome`: the request that needs the token was not sent.
    pub async fn get(&self, subject: Option<&str>, deadline: Instant) -> Result<Arc<Token>, Fault> {
        let slot = self.slot(subject);
        let before = slot.answers.load(Ordering::Acquire);
        let waited = tokio::time::timeout_at(deadline, slot.state.lock()).await;
        let mut state = waited.map_err(|_| Fault::transient(Reason::Timeout))?;
        if let Some(token) = state.token.as_ref().filter(|token| self.usable(token)) {
            return Ok(token.clone());
        }
        if slot.answers.load(Ordering::Acquire) != before
            && let Some(fault) = &state.fault
        {
            return Err(fault.clone());
        }
        let result = self.ask(subject, deadline).await.map(Arc::new);
        state.token = result.as_ref().ok().cloned();
        state.fault = result.as_ref().err().cloned();
        slot.answers.fetch_add(1, Ordering::AcqRel);
        result
    }

    /// The system took `token`: if it refuses it later, then because it has ended.
    pub fn accepted(token: &Token) {
        token.worked.store(true, Ordering::Relaxed);
    }

    /// The system refused `token` (401). It is dropped. Passes by itself if the token has worked before or is old, since
    /// then a new one may work.
    pub async fn refused(&self, subject: Option<&str>, token: &Arc<Token>) -> Fault {
        let slot = self.slot(subject);
        let mut state = slot.state.lock().await;
        if state
            .token
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, token))
        {
            state.token = None;
        }
        let old = (self.clock)().duration_since(token.given) > FRESH;
        if old || token.worked.load(Ordering::Relaxed) {
            Fault::transient(Reason::CredentialRejected)
        } else {
            Fault::permanent(Reason::CredentialRejected)
        }
    }

    fn usable(&self, token: &Token) -> bool {
        (self.clock)() < token.ends
    }

    fn slot(&self, subject: Option<&str>) -> Arc<Slot> {
        let mut slots = self.slots.lock();
        if slots.len() >= SUBJECTS {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        slots.entry(subject.map(str::to_owned)).or_default().clone()
    }

    /// One exchange with the token endpoint.
    async fn ask(&self, subject: Option<&str>, deadline: Instant) -> Result<Token, Fault> {
        let request = self.request(subject)?;
        let reply = self
            .client
            .send(request, deadline)
            .await
            .map_err(|fault| match fault.kind {
                FaultKind::UnknownOutcome => Fault::transient(fault.reason),
                _ => fault,
            })?;
        self.read(&reply)
    }

    /// The request for a token.
    fn request(&self, subject: Option<&str>) -> Result<Request, Fault> {
        let login = &self.login;
        let audience = login.audience.as_deref().unwrap_or(login.token_url.as_str());
        let scope = login.scopes.join(" ");
        let assertion = |subject: Option<&str>, scope: Option<&str>| Assertion {
            issuer: login.client_id.clone(),
            subject: subject.map(str::to_owned),
            audience: audience.to_owned(),
            scope: scope.filter(|scope| !scope.is_empty()).map(str::to_owned),
        };
        let now = (self.clock)();
        let mut request = Request::new(Method::POST, login.token_url.clone());
        let mut form = vec![("grant_type", "client_credentials".to_owned())];
        let mut send_scope = true;
        match &login.grant {
            Grant::SecretInBody(secret) => {
                form.push(("client_id", login.client_id.clone()));
                form.push(("client_secret", secret.expose().to_owned()));
            }
            Grant::SecretInHeader(secret) => {
                let basic = basic(&encode(&login.client_id), &encode(secret.expose()))?;
                request.headers_mut().insert(AUTHORIZATION, basic);
            }
            Grant::PrivateKeyJwt(key) => {
                let signed = assertion(Some(&login.client_id), None).sign(key, now)?;
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                form.push(("client_id", login.client_id.clone()));
                form.push(("client_assertion_type", kind.to_owned()));
                form.push(("client_assertion", signed));
            }
            Grant::JwtBearer(key) => {
                // The scope is a claim (Google); Salesforce refuses a form field for it.
                send_scope = false;
                let subject = subject.or(login.subject.as_deref());
                let signed = assertion(subject, Some(&scope)).sign(key, now)?;
                form[0] = (
                    "grant_type",
                    "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned(),
                );
                form.push(("assertion", signed));
            }
        }
        if send_scope && !scope.is_empty() {
            form.push(("scope", scope));
        }
        let text = form
            .iter()
            .map(|(name, value)| format!("{name}={}", encode(value)));
        *request.body_mut() = Some(text.collect::<Vec<_>>().join("&").into());
        let headers = request.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        Ok(request)
    }

    /// The token in the answer of the token endpoint (RFC 6749 section 5).
    fn read(&self, reply: &Reply) -> Result<Token, Fault> {
        // What is longer is no answer with a token.
        let body = reply.body.get(..LARGEST_ANSWER).map_or(&reply.body[..], |_| &[]);
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let now = (self.clock)();
        if !(200..300).contains(&reply.status) {
            let fault = match reply.status {
                408 | 425 | 429 | 500.. => Fault::transient(Reason::SystemUnavailable),
                _ => Fault::permanent(Reason::CredentialRejected),
            };
            let code = body["error"]
                .as_str()
                .filter(|code| !self.login.grant.appears_in(code));
            let code = listed(code.unwrap_or_default(), OAUTH);
            return Err(fault.with_code(format!("token {} {code}", reply.status).trim_end()));
        }
        let Some(token) = body["access_token"].as_str().filter(|token| !token.is_empty()) else {
            return Err(Fault::transient(Reason::Malformed).with_code("token"));
        };
        let told = body["expires_in"].as_i64();
        let told = told.or_else(|| body["expires_in"].as_str().and_then(|text| text.parse().ok()));
        let lives = told.map_or(UNTOLD, |seconds| {
            SignedDuration::from_secs(seconds.clamp(0, 86_400))
        });
        let spare = SPARE.min(lives / 10);
        Ok(Token {
            secret: Secret::new(token.to_owned()),
            given: now,
            ends: now.saturating_add(lives - spare).unwrap_or(now),
            worked: AtomicBool::new(false),
        })
    }
}

/// `Authorization: Basic`, never shown.
///
/// # Errors
/// Never in practice: base64 is always a legal header.
pub fn basic(user: &str, password: &str) -> Result<HeaderValue, Fault> {
    sensitive(&format!(
        "Basic {}",
        BASE64_STANDARD.encode(format!("{user}:{password}"))
    ))
}

/// A header value that nothing shows.
///
/// # Errors
/// When it has a character that no header may have.
pub fn sensitive(text: &str) -> Result<HeaderValue, Fault> {
    let not_ready = |_| Fault::permanent(Reason::ConnectorNotReady).with_code("header");
    let mut value = HeaderValue::from_str(text).map_err(not_ready)?;
    value.set_sensitive(true);
    Ok(value)
}

/// As in a form body.
fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests;
