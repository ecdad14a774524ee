//! From what came over the wire to an answer, with what HTTP's own table says about it.

use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use reqwest::{
    Url,
    header::{CONTENT_TYPE, DATE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER, SET_COOKIE},
};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::{
    connectors::{driver::Answer, json},
    core::{
        codes::{Codes, unlisted},
        fault::{Fault, Reason},
    },
    transport::{
        http::Reply,
        limit::LONGEST_SILENCE,
        memory::{self, Reservation},
    },
};

/// Where systems put their error codes, best first. What is a text for people there is no code, and is not looked at.
const CODES: [&str; 12] = [
    "/error/errors/0/reason",
    "/error/code",
    "/error/status",
    "/error",
    "/errorCode",
    "/code",
    "/errors/0/reason",
    "/errors/0/code",
    "/scimType",
    "/0/errorCode",
    "/errorMessage",
    "/errors/0/errorMessage",
];

/// Where systems say which field of what was sent they do not take: its name, never its value.
const FIELDS: [&str; 4] = [
    "/field",
    "/errors/0/field",
    "/0/fields/0",
    "/error/details/0/target",
];

/// The longest header that is shown to expressions, several of one name together, in bytes.
const LONGEST_HEADER: usize = 16 << 10;

/// Whether the body may be read as JSON: its type says so, or there is none.
fn may_be_json(headers: &HeaderMap) -> (bool, bool) {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let Some(kind) = kind else { return (false, true) };
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    let declared = kind.ends_with("/json") || kind.ends_with("+json");
    (declared, declared)
}

/// The memory that going through the body takes, counted.
///
/// # Errors
/// When there are more values in it than in any answer, a header is longer than any, or others do not leave enough memory
/// before the deadline.
pub async fn counted(reply: &Reply, deadline: Instant) -> Result<Reservation, Fault> {
    if has_long_header(&reply.headers) {
        return Err(Fault::unknown_outcome(Reason::Malformed).with_code("header too long"));
    }
    let cost = match may_be_json(&reply.headers) {
        (_, true) => json::cost(&reply.body, reply.largest),
        _ => Some(reply.body.len() * 2),
    };
    let too_many = || Fault::unknown_outcome(Reason::Incomplete).with_code("too many values");
    let cost = cost.ok_or_else(too_many)?;
    let mut memory = Reservation::default();
    memory.count(&memory::READ, (cost, cost), deadline).await?;
    Ok(memory)
}

/// The answer of the system at `host`. `codes` are those that are shown as they are; `reveals` tells whether one has a secret
/// of ours in it.
pub fn read(
    reply: &Reply,
    (host, now): (&str, Timestamp),
    codes: &Codes,
    reveals: impl Fn(&str) -> bool,
) -> Answer {
    let date = reply
        .headers
        .get(DATE)
        .and_then(|value| http_date(value.to_str().ok()?));
    let (body, understood) = body(reply);
    let retry_at = retry_after(&reply.headers, date, now).or_else(|| reset(&reply.headers, date, now));
    let fault = match table(reply.status, retry_at) {
        None if !understood => Some(Fault::unknown_outcome(Reason::Malformed).with_code(reply.status)),
        None => None,
        Some(fault) => {
            let moved = moved(reply, host).filter(|to| !reveals(to));
            let code = moved.unwrap_or_else(|| code(&body, codes, reveals));
            Some(fault.with_code(format!("{} {code}", reply.status).trim_end()))
        }
    };
    Answer {
        response: shown(reply, body),
        value: Value::Null,
        part: Some("body"),
        fault,
        date,
        retry_at,
        rows: None,
        memory: Reservation::default(),
    }
}

/// What expressions see, in which the body lies.
fn shown(reply: &Reply, body: Value) -> Value {
    let mut shown = Map::new();
    shown.insert("status".to_owned(), json!(reply.status));
    shown.insert("headers".to_owned(), Value::Object(headers(&reply.headers)));
    shown.insert("body".to_owned(), body);
    Value::Object(shown)
}

/// Where a redirect from `host` leads to, as far as it concerns which system is spoken to: never a path or a query, which may
/// hold a login, and of another host only a digest.
fn moved(reply: &Reply, host: &str) -> Option<String> {
    if !(300..400).contains(&reply.status) {
        return None;
    }
    let to = reply.headers.get(LOCATION)?.to_str().ok()?;
    Some(match Url::parse(to) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => "to another scheme".to_owned(),
        Ok(url) => match url.host_str().unwrap_or_default() {
            to if to == host => format!("to {}", url.scheme()),
            to => format!("to {} {}", url.scheme(), unlisted(to)),
        },
        Err(_) => "to another path".to_owned(),
    })
}

/// The body as a value, and whether it is what its type says.
fn body(reply: &Reply) -> (Value, bool) {
    if reply.body.iter().all(u8::is_ascii_whitespace) {
        return (Value::Null, true);
    }
    let (declared, json) = may_be_json(&reply.headers);
    let text = || Value::String(String::from_utf8_lossy(&reply.body).into_owned());
    match json.then(|| json::read(&reply.body)).flatten() {
        Some(value) => (value, true),
        None => (text(), !declared),
    }
}

fn has_long_header(all: &HeaderMap) -> bool {
    let mut shown = all.keys().filter(|name| **name != SET_COOKIE);
    shown.any(|name| all.get_all(name).iter().map(HeaderValue::len).sum::<usize>() > LONGEST_HEADER)
}

/// Names in lower case; several of one name joined by commas. Cookies are logins and left out.
fn headers(all: &HeaderMap) -> Map<String, Value> {
    let mut map = Map::new();
    for name in all.keys().filter(|name| **name != SET_COOKIE) {
        let values = all.get_all(name).iter();
        let values: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        map.insert(name.as_str().to_owned(), Value::String(values.join(", ")));
    }
    map
}

/// What HTTP says about a status (RFC 9110), without any knowledge of the system.
///
/// Only 429 speaks of how often we ask. A 503 is about the system, or about the one part of it that served this request,
/// whatever `Retry-After` it carries: it is tried again like any passing fault, and holds up nothing else.
fn table(status: u16, retry_at: Option<Timestamp>) -> Option<Fault> {
    let fault = match status {
        200..=299 => return None,
        401 => Fault::permanent(Reason::CredentialRejected),
        403 => Fault::permanent(Reason::PermissionDenied),
        404 | 410 => Fault::permanent(Reason::NotFoundUncorroborated),
        409 | 412 | 423 => Fault::transient(Reason::Conflict),
        429 => match retry_at {
            Some(until) => Fault::throttled(until),
            None => Fault::transient(Reason::RateLimited),
        },
        408 | 425 | 500 | 502..=599 => Fault::transient(Reason::SystemUnavailable),
        _ => Fault::permanent(Reason::Refused),
    };
    Some(fault)
}

/// `Retry-After` in seconds or as a date (RFC 9110 section 10.2.3). A date is taken relative to the answer's own, since the
/// system's clock and ours may differ.
fn retry_after(headers: &HeaderMap, date: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if text.starts_with(|c: char| c.is_ascii_digit()) {
        let seconds: f64 = text.parse().ok()?;
        SignedDuration::from_secs_f64(seconds.min(LONGEST_SILENCE.as_secs_f64()))
    } else {
        http_date(text)?.duration_since(date.unwrap_or(now))
    };
    after(now, wait)
}

/// The vendors' older headers: whole seconds since 1970, or a small number of seconds from now.
fn reset(headers: &HeaderMap, date: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    let names = ["x-ratelimit-reset", "x-rate-limit-reset"];
    let text = names.iter().find_map(|name| headers.get(*name))?.to_str().ok()?;
    let seconds: i64 = text.trim().parse().ok()?;
    let wait = if seconds <= LONGEST_SILENCE.as_secs() {
        SignedDuration::from_secs(seconds)
    } else {
        Timestamp::from_second(seconds)
            .ok()?
            .duration_since(date.unwrap_or(now))
    };
    after(now, wait)
}

/// `wait` from now, at least a second and at most [`LONGEST_SILENCE`]; none if it lies in the past.
fn after(now: Timestamp, wait: SignedDuration) -> Option<Timestamp> {
    if wait.is_negative() {
        return None;
    }
    now.checked_add(wait.clamp(SignedDuration::from_secs(1), LONGEST_SILENCE))
        .ok()
}

/// A date as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new()
        .relaxed_weekday(true)
        .parse_timestamp(text)
        .ok()
}

/// The system's own error code, and the field that it is about; nothing where one has a secret of ours in it.
fn code(body: &Value, codes: &Codes, reveals: impl Fn(&str) -> bool) -> String {
    let words: Vec<&str> = [&CODES[..], &FIELDS]
        .into_iter()
        .filter_map(|places| word(body, places))
        .collect();
    if words.iter().any(|word| reveals(word)) {
        return String::new();
    }
    let shown: Vec<_> = words.into_iter().map(|word| codes.shown(word)).collect();
    shown.join(" ")
}

/// The first text at one of `places` that looks like a code or the name of a field.
fn word<'b>(body: &'b Value, places: &[&str]) -> Option<&'b str> {
    let plain = |code: &&str| {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        (1..=64).contains(&code.len()) && code.chars().all(legal)
    };
    let mut found = places.iter().filter_map(|place| body.pointer(place)?.as_str());
    found.find(plain)
}
