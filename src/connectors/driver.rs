//! What a protocol driver is: one resolved request in, one answer out.
//!
//! A driver knows a protocol, not a system. It never interprets what an answer means for a fact, never retries,
//! never follows pages: the declarative connector does, with the definition's expressions.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, time::Duration};

use async_trait::async_trait;
use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use super::delimited::Rows;
use crate::{
    api::definition::DatePlace,
    core::{
        fault::{Fault, PANICKED, Reason},
        schedule,
    },
    transport::{callback::Callbacks, memory::Reservation},
};

/// Stands for a new random password in a resolved request, and is replaced by one when the request is sent, so that
/// no password is ever in an act, a plan, a ledger or a log.
pub const RANDOM: &str = "\u{1}random\u{1}";

/// A request with every template resolved. What is sent, and what a plan's digest covers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Resolved {
    /// One HTTP exchange.
    Http(HttpRequest),
    /// One LDAP operation.
    Ldap(LdapRequest),
    /// One SQL statement.
    Sql(SqlRequest),
    /// Something about files.
    Sftp(Box<SftpRequest>),
    /// One run of a program.
    Job(JobRequest),
}

/// One HTTP exchange.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// The full address, percent-encoded, with its query.
    pub url: String,
    /// Grant `JwtBearer`: act for this user instead of the login's own subject. Tokens are kept apart by subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Headers beyond those of the driver.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(default)]
    pub body: Body,
}

/// The body of an HTTP request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Body {
    /// None.
    #[default]
    Empty,
    /// `application/json`.
    Json(Value),
    /// `application/x-www-form-urlencoded`.
    Form(BTreeMap<String, String>),
    /// `text/xml; charset=utf-8`, unless a header says otherwise.
    Xml(String),
}

/// One LDAP operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LdapRequest {
    /// Reads one entry or searches a tree, with paged results.
    Search {
        /// Where.
        base: String,
        /// True: the entry itself; false: the whole tree below it.
        entry: bool,
        /// The filter, escaped.
        filter: String,
        /// Attributes; a name ending in `[]` is always a list.
        attributes: Vec<String>,
    },
    /// Changes one entry in one step.
    Modify {
        /// The entry.
        dn: String,
        /// Attribute → new values (none: the attribute goes).
        replace: BTreeMap<String, Vec<String>>,
        /// Attribute → values to add.
        add: BTreeMap<String, Vec<String>>,
        /// Attribute → values to remove.
        remove: BTreeMap<String, Vec<String>>,
    },
    /// Moves one entry.
    #[serde(rename_all = "camelCase")]
    Move {
        /// The entry.
        dn: String,
        /// The new parent.
        into: String,
        /// Its name there; none: the one that it has.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        new_rdn: Option<String>,
    },
    /// Deletes one entry.
    Delete {
        /// The entry.
        dn: String,
    },
}

/// One SQL statement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SqlRequest {
    /// The database to log in to; none: the driver's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The statement; `{name}` stands for an identifier or a literal below.
    pub statement: String,
    /// Bound in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Value>,
    /// Quoted as identifiers by the driver.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub identifiers: BTreeMap<String, String>,
    /// Quoted as text literals by the driver.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub literals: BTreeMap<String, String>,
}

/// Something about files, over SFTP. In a pattern `*` and `?` of the last part are wild, unless a backslash stands before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SftpRequest {
    /// Lists files.
    List {
        /// Which.
        pattern: String,
    },
    /// Reads the newest file that can be believed.
    Read {
        /// Which.
        pattern: String,
        /// How its letters are written.
        encoding: Encoding,
        /// It is a table.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        table: Option<Table>,
        /// When it is believed.
        trust: Believed,
    },
    /// Writes a file, that is there whole or not at all.
    Write {
        /// Where.
        path: String,
        /// How its letters are written.
        encoding: Encoding,
        /// What.
        content: Content,
    },
    /// Moves a file, keeping its name.
    Move {
        /// The file.
        path: String,
        /// The folder.
        into: String,
    },
    /// Deletes a file.
    Delete {
        /// The file.
        path: String,
    },
}

/// How the letters of a file are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// UTF-8, with or without a byte order mark. Anything else is refused.
    #[default]
    Utf8,
    /// ISO 8859-1, as Windows writes it (code page 1252).
    Latin1,
}

/// How a table is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Table {
    /// Between two values.
    pub delimiter: String,
    /// Whether the first row has the names of the columns.
    pub header: bool,
    /// Columns that must be there, and are all that is kept if any are named; or without a header all columns.
    pub columns: Vec<String>,
    /// Lines before the table.
    pub skip: usize,
    /// Whether values may be in double quotes.
    pub quotes: bool,
    /// Whether a value in quotes may have line breaks.
    pub line_breaks: bool,
}

/// When a file is believed. What is none is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Believed {
    /// Not older.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<SignedDuration>,
    /// Not changed for so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet: Option<SignedDuration>,
    /// What follows the file's name in the name of a file beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
    /// The expression for the last line, and how many lines it counts that are no rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trailer: Option<(String, usize)>,
    /// Where its date stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<DateMark>,
}

/// Where a file says of which day or instant it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DateMark {
    /// Where it stands.
    pub place: DatePlace,
    /// The expression whose first group it is.
    pub pattern: String,
    /// How it is written.
    pub format: String,
    /// The IANA time zone where it tells no offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

/// What is written into a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Content {
    /// A text as it is.
    Text(String),
    /// A table.
    Rows {
        /// Between two values.
        delimiter: String,
        /// Rows of values.
        rows: Vec<Vec<String>>,
    },
}

/// One run of a program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobRequest {
    /// The program and its arguments.
    pub run: Vec<String>,
    /// What it gets.
    pub input: Value,
    /// The key of the act; none of a look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A complete answer, good or bad.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What `response` is in expressions: http `{status, headers, body}`, ldap `{code, entries}`, sql `{code, rows}`,
    /// sftp `{code}` with `files`, or with `file` and `rows` or `text`.
    /// job `{exit, output}`.
    /// Header names are lower case.
    pub response: Value,
    /// The value of a read without `items`: the body, the entry or entries, the rows, the
    /// files, the text. Null where it lies in `response`, as it is never kept twice.
    pub value: Value,
    /// The field of `response` that the value is, or lies in.
    pub part: Option<&'static str>,
    /// What the protocol's own table says about it; none for a success. The definition's rules are asked first.
    pub fault: Option<Fault>,
    /// The system's own clock, when the answer tells it (the HTTP `Date`).
    pub date: Option<Timestamp>,
    /// When the system wants to be asked again, by our clock, when the answer tells it (the HTTP `Retry-After`). Silence
    /// follows from it only where the table or the definition calls the answer throttling.
    pub retry_at: Option<Timestamp>,
    /// The rows that are the value, where they are not taken apart yet.
    pub rows: Option<Rows>,
    /// The memory that is counted for it.
    pub memory: Reservation,
}

impl Answer {
    /// The value, wherever it lies.
    pub fn value(&self) -> &Value {
        match self.part.and_then(|part| self.response.get(part)) {
            Some(there) if self.value.is_null() => there,
            _ => &self.value,
        }
    }

    /// The value, taken out of where it lies.
    pub fn take_value(&mut self) -> Value {
        match self.part.and_then(|part| self.response.get_mut(part)) {
            Some(there) if self.value.is_null() => there.take(),
            _ => self.value.take(),
        }
    }

    /// Puts the value where expressions find it.
    pub fn show_value(&mut self) {
        if let Some(part) = self.part
            && !self.value.is_null()
        {
            self.response[part] = self.value.take();
        }
    }
}

/// One protocol spoken to one system, with its credentials, limits and deadlines.
#[async_trait]
pub trait Driver: Send + Sync {
    /// Sends one request and reads its answer, within the deadline and the size limit.
    ///
    /// # Errors
    /// Only when there is no complete answer: `Transient` when the request cannot have had an effect (no connection),
    /// `UnknownOutcome` when it may have had one (sent, and no complete answer), whatever the request was.
    async fn perform(&self, request: &Resolved) -> Result<Answer, Fault>;

    /// Where the system may say later what became of a request.
    fn callbacks(&self) -> Option<&Callbacks> {
        None
    }

    /// Nothing is sent before `until`: the definition's rules found out that the system wants silence. What the driver's own
    /// table finds out is kept already.
    fn park(&self, until: Timestamp) {
        let _ = until;
    }
}

/// A driver of which a panic is the fault of one call.
///
/// # Why
/// Libraries that read what strangers send have met bytes by which they panic. Whatever waits for the call, other systems of the
/// leaver above all, goes on.
pub struct Contained<D>(pub D);

#[async_trait]
impl<D: Driver> Driver for Contained<D> {
    async fn perform(&self, request: &Resolved) -> Result<Answer, Fault> {
        let performed = AssertUnwindSafe(self.0.perform(request)).catch_unwind();
        performed
            .await
            .unwrap_or_else(|_| Err(Fault::unknown_outcome(Reason::Malformed).with_code(PANICKED)))
    }

    fn callbacks(&self) -> Option<&Callbacks> {
        self.0.callbacks()
    }

    fn park(&self, until: Timestamp) {
        self.0.park(until);
    }
}

/// How long one request may take, such as `20s`: longer than nothing.
pub(super) fn deadline(text: &str) -> Option<Duration> {
    let length = Duration::try_from(schedule::duration(text).ok()?).ok()?;
    (!length.is_zero()).then_some(length)
}

/// A size such as `64Mi`, up to 256Mi.
pub(super) fn bytes(text: &str) -> Option<usize> {
    let unit = text.len().checked_sub(2)?;
    let (number, unit) = text.split_at_checked(unit)?;
    let unit = match unit {
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        _ => return None,
    };
    let size = number.parse::<usize>().ok()?.checked_mul(unit)?;
    (1..=256 << 20).contains(&size).then_some(size)
}
