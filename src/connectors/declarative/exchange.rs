//! Sends compiled requests through a driver and judges the answers: absent, faulted, complete, of the right account.
//!
//! # Why
//! Not seeing is never "empty" (R2): a page that is missing, a list that never ends, an answer of another account and a
//! bound account that is not found are faults here, so that no expression can take them for nothing.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    escape::percent,
    expression::{Expression, Scope},
    load::Loaded,
    request::{Compiled, Paging, Target, add_parameter, same_host},
};
use crate::{
    api::definition::FaultIs,
    connectors::driver::{Answer, Driver, Resolved},
    core::fault::{Fault, FaultKind, Reason},
};

/// The most pages that one read may have.
const MOST_PAGES: usize = 10_000;
/// The most data that the pages of one read may have together, in bytes (about).
const MOST_DATA: usize = 8 << 20;

/// One system, as far as sending requests needs it.
pub(super) struct Exchange<'e> {
    pub loaded: &'e Loaded,
    pub driver: &'e dyn Driver,
    pub target: &'e Target,
}

impl Exchange<'_> {
    /// Sends a find or a read and gives its whole value; none when the definition says that nothing is there. With
    /// `bound`, the id of the account that is looked at.
    pub async fn look(
        &self,
        request: &Compiled,
        scope: &Scope<'_>,
        bound: Option<&str>,
        echo: Option<&Expression>,
    ) -> Result<Option<Value>, Fault> {
        let mut resolved = request.resolve(self.target, scope)?;
        if let (Some(Paging::Offset { parameter, first, .. }), Resolved::Http(http)) =
            (&request.page, &mut resolved)
        {
            set_parameter(&mut http.url, parameter, &first.to_string());
        }
        let mut pages = Pages::default();
        loop {
            let answer = self.driver.perform(&resolved).await?;
            let inner = Scope::inside(scope).with("response", &answer.response);
            if pages.count == 0 && absent(request, &answer, &inner) {
                return Ok(None);
            }
            if let Some(fault) = self.fault(&answer, &inner) {
                return Err(match bound {
                    Some(_) if gone(&answer) => {
                        Fault::permanent(Reason::NotFoundUncorroborated).with_code(fault.code)
                    }
                    _ => fault,
                });
            }
            if let (Some(id), Some(echo)) = (bound, echo) {
                if answer.value.as_array().is_some_and(Vec::is_empty) {
                    return Err(Fault::permanent(Reason::NotFoundUncorroborated));
                }
                same_account(echo, &Scope::inside(&inner).with("item", &answer.value), id)?;
            }
            let next = match &request.page {
                Some(paging) => Some((paging, paging_mark(paging, &inner)?)),
                None => None,
            };
            let value = if let Some(items) = &request.items {
                items.evaluate(&inner)?
            } else {
                drop(inner);
                answer.value
            };
            let Some((paging, mark)) = next else {
                return Ok(Some(value));
            };
            pages.add(value, request)?;
            if !pages.advance(paging, mark, &mut resolved, request)? {
                return Ok(Some(Value::Array(pages.items)));
            }
        }
    }

    /// What is wrong with an answer: the definition's rules first, then the protocol's own table.
    pub fn fault(&self, answer: &Answer, scope: &Scope<'_>) -> Option<Fault> {
        let now = answer.date.unwrap_or_else(Timestamp::now);
        let scope = Scope::inside(scope).with_instant("now", now);
        for rule in &self.loaded.faults {
            // A rule that cannot be evaluated over this answer is not about this answer.
            if !rule.when.holds(&scope).unwrap_or(false) {
                continue;
            }
            let own = answer.fault.as_ref();
            let kind = match rule.is {
                FaultIs::Transient => FaultKind::Transient,
                FaultIs::Permanent => FaultKind::Permanent,
                FaultIs::NeedsDecision => FaultKind::NeedsDecision,
                FaultIs::UnknownOutcome => FaultKind::UnknownOutcome,
                FaultIs::Throttled => match (&rule.until, own.map(|fault| fault.kind)) {
                    (Some(until), _) if matches!(until.instant(&scope), Ok(Some(_))) => {
                        FaultKind::Throttled {
                            until: until.instant(&scope).ok().flatten().unwrap_or(now),
                        }
                    }
                    (_, Some(throttled @ FaultKind::Throttled { .. })) => throttled,
                    _ => FaultKind::Transient,
                },
            };
            let by_kind = match rule.is {
                FaultIs::Throttled => Reason::RateLimited,
                FaultIs::Transient => Reason::SystemUnavailable,
                _ => Reason::Refused,
            };
            let reason = rule.reason.or(own.map(|fault| fault.reason)).unwrap_or(by_kind);
            let code = rule
                .code
                .as_ref()
                .and_then(|code| code.text_value(&scope).ok().flatten());
            let code = code.or(own.map(|fault| fault.code.clone())).unwrap_or_default();
            return Some(Fault::new(kind, reason).with_code(code));
        }
        answer.fault.clone()
    }
}

/// Whether the definition says that this answer means that nothing is there. A refused login, and an answer that may be
/// another one later, never mean that.
fn absent(request: &Compiled, answer: &Answer, scope: &Scope<'_>) -> bool {
    let certain = answer
        .fault
        .as_ref()
        .is_none_or(|fault| !fault.passes_by_itself() && fault.reason != Reason::CredentialRejected);
    certain
        && request
            .absent
            .as_ref()
            .is_some_and(|absent| absent.holds(scope).unwrap_or(false))
}

/// Whether the answer says that the object itself is not there: HTTP 404 and 410, LDAP 32.
fn gone(answer: &Answer) -> bool {
    let number = |key: &str| answer.response.get(key).and_then(Value::as_i64);
    matches!(number("status"), Some(404 | 410)) || number("code") == Some(32)
}

fn same_account(echo: &Expression, scope: &Scope<'_>, id: &str) -> Result<(), Fault> {
    match echo.text_value(scope)? {
        Some(echoed) if echoed == id => Ok(()),
        Some(_) => Err(Fault::needs_decision(Reason::IdentityMismatch)),
        None => Err(Fault::permanent(Reason::Malformed).with_code(echo.path())),
    }
}

/// What the answer says about further pages.
enum Mark {
    Text(Option<String>),
    Total(usize),
}

fn paging_mark(paging: &Paging, scope: &Scope<'_>) -> Result<Mark, Fault> {
    Ok(match paging {
        Paging::Next(expression) | Paging::Cursor(_, expression) => Mark::Text(expression.text_value(scope)?),
        Paging::Offset { total, .. } => {
            let value = total.evaluate(scope)?;
            let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
            let number = number.and_then(|n| usize::try_from(n).ok());
            Mark::Total(number.ok_or_else(|| total.unevaluable("not a number"))?)
        }
    })
}

#[derive(Default)]
struct Pages {
    items: Vec<Value>,
    count: usize,
    data: usize,
    seen: std::collections::BTreeSet<String>,
}

impl Pages {
    fn add(&mut self, value: Value, request: &Compiled) -> Result<(), Fault> {
        self.count += 1;
        self.data += weight(&value);
        if self.count > MOST_PAGES || self.data > MOST_DATA {
            return Err(incomplete("too much"));
        }
        match value {
            Value::Array(items) => self.items.extend(items),
            _ => return Err(Fault::permanent(Reason::Malformed).with_code(&request.path)),
        }
        Ok(())
    }

    /// Turns `resolved` to the next page, if there is one.
    fn advance(
        &mut self,
        paging: &Paging,
        mark: Mark,
        resolved: &mut Resolved,
        request: &Compiled,
    ) -> Result<bool, Fault> {
        let Resolved::Http(http) = resolved else {
            return Ok(false);
        };
        match (paging, mark) {
            (Paging::Cursor(parameter, _), Mark::Text(Some(token))) => {
                set_parameter(&mut http.url, parameter, &token);
                self.fresh(token)
            }
            (_, Mark::Text(Some(next))) => {
                let next = same_host(&http.url, &next)
                    .ok_or_else(|| Fault::permanent(Reason::Malformed).with_code(&request.path))?;
                http.url.clone_from(&next);
                self.fresh(next)
            }
            (Paging::Offset { parameter, first, .. }, Mark::Total(total)) => {
                if self.items.len() >= total {
                    return self.all_different().map(|()| false);
                }
                let next = u64::from(*first) + u64::try_from(self.items.len()).unwrap_or(u64::MAX);
                set_parameter(&mut http.url, parameter, &next.to_string());
                self.fresh(next.to_string()).map_err(|_| incomplete("short"))
            }
            (_, Mark::Text(None) | Mark::Total(_)) => Ok(false),
        }
    }

    /// An element that comes twice on pages counted by number has pushed another one out: the list moved while it was read.
    fn all_different(&self) -> Result<(), Fault> {
        let mut seen = std::collections::BTreeSet::new();
        if self.count < 2 || self.items.iter().all(|item| seen.insert(item.to_string())) {
            return Ok(());
        }
        Err(incomplete("moved"))
    }

    /// A page that was already asked for would be asked for again for ever.
    fn fresh(&mut self, mark: String) -> Result<bool, Fault> {
        if self.count == MOST_PAGES {
            return Err(incomplete("endless"));
        }
        if self.seen.insert(mark) {
            Ok(true)
        } else {
            Err(incomplete("repeated page"))
        }
    }
}

fn incomplete(code: &str) -> Fault {
    Fault::transient(Reason::Incomplete).with_code(code)
}

/// Puts a query parameter in the place of one of the same name.
fn set_parameter(url: &mut String, name: &str, value: &str) {
    if let Some((path, query)) = url.clone().split_once('?') {
        let mut encoded = String::new();
        percent(&mut encoded, name);
        let others: Vec<&str> = query
            .split('&')
            .filter(|pair| {
                let key = pair.split('=').next().unwrap_or_default();
                key != encoded && key != name
            })
            .collect();
        path.clone_into(url);
        if !others.is_empty() {
            url.push('?');
            url.push_str(&others.join("&"));
        }
    }
    add_parameter(url, name, value);
}

/// About how much memory data takes.
fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len() + 8,
        Value::Array(list) => list.iter().map(weight).sum::<usize>() + 8,
        Value::Object(map) => map.iter().map(|(k, v)| k.len() + weight(v) + 8).sum::<usize>() + 8,
    }
}
