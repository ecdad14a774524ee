//! The SFTP driver: one resolved request about files over one connection to a server whose key is pinned.
//!
//! A file is written under another name, made durable where the server can do that, and only then renamed, so that nobody
//! ever reads half of it. A file is read only if it is believed: whole, at rest, fresh. Nothing of the server's texts is
//! handed on: a refusal is its number.
//!
//! # Why
//! Requests of SFTP have numbers, so one connection carries all of them, as in [`super::ldap`]. After a request without an
//! answer the connection is left to those still on it and a new one is opened.

mod feed;
mod files;
mod sessions;
mod table;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use self::{
    files::{Folder, Trouble},
    sessions::Sessions,
};
use super::driver::{Answer, Believed, Driver, Encoding, Resolved, Rows, SftpRequest, Table, deadline};
use crate::{
    api::definition,
    core::{
        codes::unlisted,
        fault::{Fault, Reason},
    },
    transport::{
        Clock, SetupError,
        dial::Dialer,
        limit::Limit,
        memory::Reservation,
        secret::Credentials,
        ssh::{HostKeys, Login, Server},
    },
};

/// How long one request may take where the definition says nothing.
const DEADLINE: Duration = Duration::from_mins(1);

/// Speaks SFTP to one server. Shared by all leavers.
pub struct SftpDriver {
    sessions: Sessions,
    limit: Arc<Limit>,
    deadline: Duration,
    clock: Clock,
}

impl std::fmt::Debug for SftpDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SftpDriver")
            .field("sessions", &self.sessions)
            .finish_non_exhaustive()
    }
}

impl SftpDriver {
    /// A driver from the definition's `sftp` section, in which every template is resolved. Connects on first use, where `dialer`
    /// does. The
    /// deadline is for a request as a whole, the transfer of its file included. `limit` is the connector's own (see
    /// [`SftpDriver::limit`]).
    ///
    /// # Errors
    /// When a secret or every host key is missing, or a field is not what it must be.
    pub fn new(
        config: &definition::SftpDriver,
        credentials: &Credentials,
        limit: Arc<Limit>,
        clock: Clock,
        dialer: &Dialer,
    ) -> Result<Self, SetupError> {
        if config.host.is_empty() {
            return Err(SetupError::Field("sftp.host"));
        }
        let folder = config.folder.as_deref().unwrap_or_default();
        if folder.split('/').any(|part| matches!(part, "." | "..")) || folder.chars().any(char::is_control) {
            return Err(SetupError::Field("sftp.folder"));
        }
        let deadline = match &config.deadline {
            Some(text) => deadline(text).ok_or(SetupError::Field("sftp.deadline"))?,
            None => DEADLINE,
        };
        let port = config.port.parse().map_err(|_| SetupError::Field("sftp.port"))?;
        let given = config.host_keys.as_deref().unwrap_or_default();
        let secret = credentials
            .optional("known_hosts")?
            .map_or("", |keys| keys.expose());
        let server = Server {
            host: config.host.clone(),
            port,
            dialer: dialer.clone(),
            keys: Arc::new(HostKeys::parse(
                given.lines().chain(secret.lines()),
                &config.host,
                port,
            )?),
        };
        Ok(Self {
            sessions: Sessions::new(server, Login::new(credentials)?),
            limit,
            deadline,
            clock,
        })
    }

    /// The limits that the definition, or the connector, asks for.
    pub fn limit(config: &definition::SftpDriver, clock: Clock) -> Arc<Limit> {
        let limits = &config.limits;
        Arc::new(Limit::new(limits.requests_per_second, limits.concurrent, clock))
    }

    async fn send(&self, folder: &Folder<'_>, request: &SftpRequest) -> Result<Answer, Trouble> {
        match request {
            SftpRequest::List { pattern } => {
                let (entries, memory) = folder.list(pattern).await?;
                let listed: Vec<Value> = entries.iter().map(described).collect();
                let answer = done(json!({ "code": 0, "files": listed }), "files");
                Ok(Answer { memory, ..answer })
            }
            SftpRequest::Read {
                pattern,
                encoding,
                table,
                trust,
            } => {
                let now = (self.clock)();
                let (entry, bytes, memory) = folder.read(pattern, trust, now).await?;
                let answer = read(&entry, bytes, *encoding, table.as_ref(), trust, now)?;
                Ok(Answer { memory, ..answer })
            }
            SftpRequest::Write {
                path,
                encoding,
                content,
            } => {
                folder.write(path, &table::written(content, *encoding)?).await?;
                Ok(done(json!({ "code": 0 }), ""))
            }
            SftpRequest::Move { path, into } => {
                folder.relocate(path, into).await?;
                Ok(done(json!({ "code": 0 }), ""))
            }
            SftpRequest::Delete { path } => {
                folder.delete(path).await?;
                Ok(done(json!({ "code": 0 }), ""))
            }
        }
    }
}

#[async_trait]
impl Driver for SftpDriver {
    async fn perform(&self, request: &Resolved) -> Result<Answer, Fault> {
        let Resolved::Sftp(request) = request else {
            return Err(Fault::permanent(Reason::Malformed));
        };
        let start = Instant::now();
        let deadline = start + self.deadline;
        let _turn = self.limit.enter(start + self.deadline / 2).await?;
        let lease = self.sessions.lease(deadline).await?;
        // Until a request is sent that others can see the effect of, nothing has happened, whatever breaks.
        let begun = AtomicBool::new(false);
        let folder = Folder {
            sftp: lease.sftp(),
            begun: &begun,
            // Before the time is over, so that it is said what was waited for.
            deadline: deadline - self.deadline / 4,
        };
        let broken = |reason| {
            if begun.load(Ordering::SeqCst) {
                Fault::unknown_outcome(reason)
            } else {
                Fault::transient(reason)
            }
        };
        match timeout_at(deadline, self.send(&folder, request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Trouble::Fault(fault))) => Err(fault),
            Ok(Err(Trouble::Refused(code))) => Ok(refused(code)),
            Ok(Err(Trouble::Lost)) => {
                lease.discard().await;
                Err(broken(Reason::Unreachable))
            }
            Err(_) => {
                lease.discard().await;
                Err(broken(Reason::Timeout))
            }
        }
    }

    fn park(&self, until: Timestamp) {
        self.limit.park(until);
    }
}

/// The answer of a success, whose value is one of its fields.
fn done(mut response: Value, part: &'static str) -> Answer {
    let taken = response
        .as_object_mut()
        .and_then(|response| response.remove(part));
    Answer {
        value: taken.unwrap_or_default(),
        part: Some(part),
        response,
        fault: None,
        date: None,
        retry_at: None,
        rows: None,
        memory: Reservation::default(),
    }
}

/// The answer of a refusal. It has no `files` and no `rows`, so that no expression takes a refusal for an empty list.
fn refused(code: u32) -> Answer {
    let fault = match code {
        // A file that is not there is not an answer about a person.
        2 => Fault::permanent(Reason::NotFoundUncorroborated),
        3 => Fault::permanent(Reason::PermissionDenied),
        5 => Fault::permanent(Reason::Malformed),
        6 | 7 => Fault::transient(Reason::SystemUnavailable),
        // 4 is whatever has no number of its own, 8 what the server cannot do.
        _ => Fault::permanent(Reason::Refused),
    };
    Answer {
        response: json!({ "code": code }),
        value: Value::Null,
        part: None,
        fault: Some(fault.with_code(format_args!("sftp {}", number(code)))),
        date: None,
        retry_at: None,
        rows: None,
        memory: Reservation::default(),
    }
}

/// The number of a status; one that no version of the protocol has is no code.
fn number(code: u32) -> String {
    let number = code.to_string();
    if code < 32 { number } else { unlisted(&number) }
}

fn described(entry: &feed::Entry) -> Value {
    json!({ "name": entry.name, "size": entry.size, "modified": entry.modified.to_string() })
}

/// The answer that a file is, if it is believed.
fn read(
    entry: &feed::Entry,
    bytes: Vec<u8>,
    encoding: Encoding,
    table: Option<&Table>,
    believed: &Believed,
    now: Timestamp,
) -> Result<Answer, Fault> {
    let mut text = table::decode(bytes, encoding)?;
    let body = feed::open(entry, &text, believed, now)?;
    let mut file = described(entry);
    file["asOf"] = json!(body.as_of.to_string());
    let Some(table) = table else {
        let lines = body.text.lines().filter(|line| !line.trim().is_empty());
        feed::counted(&body, lines.count())?;
        return Ok(done(
            json!({ "code": 0, "file": file, "text": body.text }),
            "text",
        ));
    };
    let (end, counted) = (body.text.len(), body.rows);
    text.truncate(end);
    let mut answer = done(json!({ "code": 0, "file": file }), "rows");
    answer.rows = Some(Rows::new(text, table.clone(), counted));
    Ok(answer)
}
