//! The LDAP driver: one resolved operation over one connection that is always encrypted (RFC 4511, 4513).
//!
//! It never binds over clear text, never follows referrals, never returns a list that was cut, and hands on no
//! text of the server: a result code, and Active Directory's own number for the cause where there is one.
//!
//! # Why
//! LDAP is multiplexed, so one connection carries all operations. After an operation without an answer the
//! connection is left to those still on it and a new one is opened: a late answer can then not be taken for another.

mod modify;
mod result;
mod search;
mod session;
mod value;

use std::time::Duration;

use async_trait::async_trait;
use ldap3::LdapError;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout_at};

use self::{
    result::{Refusal, Trouble},
    session::{Session, Sessions},
};
use super::{
    driver::{Answer, Driver, LdapRequest, Resolved},
    login::Login,
};
use crate::core::fault::{Fault, Reason};

/// Speaks LDAP to one server.
#[derive(Debug)]
pub struct LdapDriver {
    sessions: Sessions,
    deadline: Duration,
}

impl LdapDriver {
    /// A driver for `url` (`ldaps://host[:port]`, or `ldap://host[:port]` which is upgraded by StartTLS). Connects on
    /// first use. `deadline` is for each operation as a whole, all of its pages included.
    ///
    /// # Errors
    /// `ConnectorNotReady` for another kind of URL, authorities that are no certificates, or a login without a name or
    /// a password: a simple bind with an empty password succeeds as *anonymous* (RFC 4513, section 5.1.2).
    pub fn new(url: &str, login: Login, deadline: Duration) -> Result<Self, Fault> {
        Ok(Self {
            sessions: Sessions::new(url, login)?,
            deadline,
        })
    }

    async fn send(&self, session: &Session, request: &LdapRequest) -> Result<Answer, Trouble> {
        let mut ldap = session.ldap.clone();
        match request {
            LdapRequest::Search {
                base,
                entry,
                filter,
                attributes,
            } => {
                let search = search::Search::new(session, base, *entry, filter, attributes, self.deadline);
                let entries = search.run().await?;
                return Ok(found(entries, *entry));
            }
            LdapRequest::Modify { .. } => modify::modify(session, request).await?,
            LdapRequest::Move { dn, into } => modify::relocate(session, dn, into, self.deadline).await?,
            LdapRequest::Delete { dn } => Refusal::check(&ldap.delete(dn).await?)?,
        }
        Ok(found(Vec::new(), false))
    }
}

#[async_trait]
impl Driver for LdapDriver {
    async fn perform(&self, request: &Resolved) -> Result<Answer, Fault> {
        let Resolved::Ldap(request) = request else {
            return Err(Fault::permanent(Reason::Malformed));
        };
        let deadline = Instant::now() + self.deadline;
        let session = self.sessions.get(deadline).await?;
        let trouble = match timeout_at(deadline, self.send(&session, request)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(trouble)) => trouble,
            Err(_) => {
                self.sessions.discard(&session).await;
                return Err(Fault::unknown_outcome(Reason::Timeout));
            }
        };
        match trouble {
            Trouble::Refused(refusal) => {
                if refusal.spoils_connection() {
                    self.sessions.discard(&session).await;
                }
                refused(&refusal)
            }
            Trouble::Fault(fault) => Err(fault),
            Trouble::Lost(error) => {
                self.sessions.discard(&session).await;
                Err(lost(&error))
            }
        }
    }
}

/// The answer of a success.
fn found(entries: Vec<Value>, single: bool) -> Answer {
    let value = if single {
        entries.first().cloned().unwrap_or(Value::Null)
    } else {
        Value::Array(entries.clone())
    };
    // The server answered "success" about an entry that it does not show: not seen, so not known (R2).
    let fault = (single && entries.is_empty())
        .then(|| Fault::permanent(Reason::NotFoundUncorroborated).with_code("ldap 0"));
    Answer {
        response: json!({ "code": 0, "entries": entries }),
        value,
        fault,
        date: None,
    }
}

/// The answer of a refusal. It has no `entries`, so that no expression takes a refusal for an empty list; a search
/// that was cut is no answer at all.
fn refused(refusal: &Refusal) -> Result<Answer, Fault> {
    let fault = refusal.fault();
    if fault.reason == Reason::Incomplete {
        return Err(fault);
    }
    let mut response = Map::from_iter([("code".to_owned(), json!(refusal.code))]);
    if let Some(detail) = &refusal.detail {
        response.insert("detail".to_owned(), json!(detail));
    }
    Ok(Answer {
        response: Value::Object(response),
        value: Value::Null,
        fault: Some(fault),
        date: None,
    })
}

/// The error's own text is not used: an unsent operation carries its values.
fn lost(error: &LdapError) -> Fault {
    match error {
        LdapError::OpSend { .. } => Fault::transient(Reason::Unreachable),
        LdapError::FilterParsing | LdapError::AddNoValues => Fault::permanent(Reason::Malformed),
        _ => Fault::unknown_outcome(Reason::Unreachable),
    }
}
