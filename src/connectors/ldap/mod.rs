//! The LDAP driver: one resolved operation over one connection that is always encrypted (RFC 4511, 4513).
//!
//! It never binds over clear text, never follows referrals, never returns a list that was cut, and hands on no
//! text of the server: a result code, and Active Directory's own number for the cause where there is one.
//!
//! # Why
//! LDAP is multiplexed, so one connection carries all operations; only paged searches take turns on it. After an operation without an answer the
//! connection is left to those still on it and a new one is opened: a late answer can then not be taken for another.

pub(crate) mod frame;
mod modify;
mod result;
mod search;
mod session;
mod value;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use ldap3::LdapError;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout_at};

use self::{
    result::{Refusal, Trouble},
    session::{Session, Sessions},
};
use super::{
    driver::{Answer, Driver, LdapRequest, Resolved, deadline},
    login::Login,
};
use crate::{
    api::definition,
    core::fault::{Fault, Reason},
    transport::{Clock, SetupError, dial::Dialer, limit::Limit, memory::Reservation, secret::Credentials},
};

/// How long one operation may take where the definition says nothing.
const DEADLINE: Duration = Duration::from_secs(20);

/// Speaks LDAP to one server. Shared by all leavers.
#[derive(Debug)]
pub struct LdapDriver {
    sessions: Sessions,
    limit: Arc<Limit>,
    deadline: Duration,
}

impl LdapDriver {
    /// A driver from the definition's `ldap` section, in which every template is resolved. Connects on first use, where `dialer`
    /// does. The
    /// deadline is for an operation as a whole, all of its pages included. `limit` is the connector's own (see
    /// [`LdapDriver::limit`]).
    ///
    /// # Errors
    /// When a secret is missing, or the URL is neither `ldaps://` nor `ldap://` (which is upgraded by StartTLS).
    pub fn new(
        config: &definition::LdapDriver,
        credentials: &Credentials,
        limit: Arc<Limit>,
        dialer: &Dialer,
    ) -> Result<Self, SetupError> {
        let deadline = match &config.deadline {
            Some(text) => deadline(text).ok_or(SetupError::Field("ldap.deadline"))?,
            None => DEADLINE,
        };
        Ok(Self {
            sessions: Sessions::new(&config.url, Login::new(credentials)?, dialer)?,
            limit,
            deadline,
        })
    }

    /// The limits that the definition, or the connector, asks for.
    pub fn limit(config: &definition::LdapDriver, clock: Clock) -> Arc<Limit> {
        let limits = &config.limits;
        Arc::new(Limit::new(limits.requests_per_second, limits.concurrent, clock))
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
                let (entries, memory) = search.run().await?;
                return Ok(Answer {
                    memory,
                    ..found(&entries, *entry)
                });
            }
            LdapRequest::Modify { .. } => modify::modify(session, request).await?,
            LdapRequest::Move { dn, into, new_rdn } => {
                modify::relocate(session, dn, into, new_rdn.as_deref(), self.deadline).await?;
            }
            LdapRequest::Delete { dn } => Refusal::check(&ldap.delete(dn).await?)?,
        }
        Ok(found(&[], false))
    }
}

#[async_trait]
impl Driver for LdapDriver {
    async fn perform(&self, request: &Resolved) -> Result<Answer, Fault> {
        let Resolved::Ldap(request) = request else {
            return Err(Fault::permanent(Reason::Malformed));
        };
        let start = Instant::now();
        let deadline = start + self.deadline;
        let _turn = self.limit.enter(start + self.deadline / 2).await?;
        let (session, paging) = if matches!(request, LdapRequest::Search { entry: false, .. }) {
            let (session, paging) = self.sessions.get_for_pages(deadline).await?;
            (session, Some(paging))
        } else {
            (self.sessions.get(deadline).await?, None)
        };
        let sent = timeout_at(deadline, self.send(&session, request)).await;
        if let (Some(paging), Ok(Ok(_) | Err(Trouble::Refused(_)))) = (paging, &sent) {
            paging.end();
        }
        let trouble = match sent {
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
                Err(lost(&error, session.lost()))
            }
        }
    }

    fn park(&self, until: Timestamp) {
        self.limit.park(until);
    }
}

/// The answer of a success.
fn found(entries: &[Value], single: bool) -> Answer {
    // The server answered "success" about an entry that it does not show: not seen, so not known (R2).
    let fault = (single && entries.is_empty())
        .then(|| Fault::permanent(Reason::NotFoundUncorroborated).with_code("ldap 0"));
    let value = entries.first().filter(|_| single).cloned();
    Answer {
        response: json!({ "code": 0, "entries": entries }),
        value: value.unwrap_or(Value::Null),
        part: (!single).then_some("entries"),
        fault,
        date: None,
        retry_at: None,
        rows: None,
        memory: Reservation::default(),
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
        part: None,
        fault: Some(fault),
        date: None,
        retry_at: None,
        rows: None,
        memory: Reservation::default(),
    })
}

/// The error's own text is not used: an unsent operation carries its values.
fn lost(error: &LdapError, why: Reason) -> Fault {
    match error {
        LdapError::OpSend { .. } => Fault::transient(why),
        LdapError::FilterParsing | LdapError::AddNoValues => Fault::permanent(Reason::Malformed),
        _ => Fault::unknown_outcome(why),
    }
}
