//! Sends compiled requests through a driver and judges the answers: absent, faulted, complete, of the right account.
//!
//! # Why
//! Not seeing is never "empty" (R2): a page that is missing, a list that never ends, an answer of another account and a
//! bound account that is not found are faults here, so that no expression can take them for nothing.

use std::{
    collections::{BTreeSet, HashSet},
    hash::{BuildHasher, RandomState},
};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    escape::percent,
    expression::{Expression, Scope},
    load::Loaded,
    request::{Compiled, Paging, Target, add_parameter, same_host},
    sight::step_name,
};
use crate::{
    api::definition::FaultIs,
    connectors::{
        driver::{Answer, Driver, Resolved, Rows},
        json,
    },
    core::fault::{Fault, FaultKind, Reason},
    transport::memory::{Retained, Retention},
};

/// The code when the next page is on another host, where no login of ours goes.
const NEXT_ELSEWHERE: &str = "next page on another host";
/// The most pages that one read may have.
const MOST_PAGES: usize = 10_000;
/// The most data that the pages of one read may have together, in bytes (about).
const MOST_DATA: usize = 8 << 20;

/// The account that is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound<'b> {
    /// Its id.
    pub id: &'b str,
    /// What is read shows it.
    pub shown: bool,
}

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
    ) -> Result<Option<Value>, Fault> {
        let bound = bound.map(|id| Bound { id, shown: false });
        let value = self.whole(request, scope, bound, None).await?;
        Ok(value.map(|(value, _)| value))
    }

    /// The same for what is kept: with the memory that is counted for it.
    pub async fn read(
        &self,
        request: &Compiled,
        scope: &Scope<'_>,
        bound: Bound<'_>,
        retention: &Retention,
    ) -> Result<Option<(Value, Vec<Retained>)>, Fault> {
        self.whole(request, scope, Some(bound), Some(retention)).await
    }

    async fn whole(
        &self,
        request: &Compiled,
        scope: &Scope<'_>,
        bound: Option<Bound<'_>>,
        retention: Option<&Retention>,
    ) -> Result<Option<(Value, Vec<Retained>)>, Fault> {
        let value = if request.page.is_some() {
            self.all_pages(request, scope, bound, retention).await?
        } else {
            self.one_page(request, scope, bound, retention).await?
        };
        if let (Some(proves), Some((items, _))) = (&request.proves, &value)
            && !proves.holds(&Scope::inside(scope).with("items", items))?
        {
            return Err(Fault::permanent(Reason::NotShown).with_code(step_name(&request.path)));
        }
        Ok(value)
    }

    async fn one_page(
        &self,
        request: &Compiled,
        scope: &Scope<'_>,
        bound: Option<Bound<'_>>,
        retention: Option<&Retention>,
    ) -> Result<Option<(Value, Vec<Retained>)>, Fault> {
        let id = bound.map(|bound| bound.id);
        let ask = async || {
            self.pages(request, scope, id)
                .next(&mut |answer, _| is_there(answer, bound))
                .await
        };
        let value = ask().await?;
        let (Some(retention), Some(there)) = (retention, &value) else {
            return Ok(value.map(|value| (value, vec![])));
        };
        let size = json::held(there);
        if let Some(memory) = retention.keep(size) {
            return Ok(value.map(|value| (value, vec![memory])));
        }
        // It waits for its turn with empty hands, and is asked for again.
        drop(value);
        let memory = retention.wait(size).await?;
        Ok(ask().await?.map(|value| (value, vec![memory])))
    }

    async fn all_pages(
        &self,
        request: &Compiled,
        scope: &Scope<'_>,
        bound: Option<Bound<'_>>,
        retention: Option<&Retention>,
    ) -> Result<Option<(Value, Vec<Retained>)>, Fault> {
        let mut pager = self.pages(request, scope, bound.map(|bound| bound.id));
        let (mut together, mut memory) = (vec![], vec![]);
        let mut data = 0;
        while let Some(value) = pager.next(&mut |answer, _| is_there(answer, bound)).await? {
            data += weight(&value);
            if data > MOST_DATA {
                return Err(incomplete("too much"));
            }
            if let Some(retention) = retention {
                let size = json::held(&value);
                memory.push(match retention.keep(size) {
                    Some(memory) => memory,
                    None => retention.wait(size).await?,
                });
            }
            if let Value::Array(items) = value {
                together.extend(items);
            }
        }
        Ok((!pager.absent).then_some((Value::Array(together), memory)))
    }

    /// The pages of a find or a read, one after the other.
    pub fn pages<'p>(
        &'p self,
        request: &'p Compiled,
        scope: &'p Scope<'p>,
        bound: Option<&'p str>,
    ) -> Pager<'p> {
        Pager {
            exchange: self,
            request,
            scope,
            bound,
            next: Next::First,
            read: Read::default(),
            absent: false,
        }
    }

    /// What is wrong with an answer: the definition's rules first, then the protocol's own table. What a rule calls throttling
    /// silences the system for everybody.
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
                FaultIs::Throttled => {
                    let stated = rule
                        .until
                        .as_ref()
                        .and_then(|until| until.instant(&scope).ok().flatten());
                    stated.or(answer.retry_at).map_or(FaultKind::Transient, |until| {
                        // The driver's own table knows of 429 alone.
                        self.driver.park(until);
                        FaultKind::Throttled { until }
                    })
                }
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
            let own = own.map(|fault| fault.code.as_str()).unwrap_or_default();
            // What the driver shows it has judged itself, such as the number of an error.
            let code = match &code {
                Some(code) if own.split(' ').any(|word| word == code) => code.as_str().into(),
                Some(code) => self.loaded.codes.shown(code),
                None => own.into(),
            };
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

/// Whether an answer that must show the account shows anything.
fn is_there(answer: &Answer, bound: Option<Bound<'_>>) -> Result<(), Fault> {
    let shown = bound.is_some_and(|bound| bound.shown);
    if shown && answer.value().as_array().is_some_and(Vec::is_empty) {
        return Err(Fault::permanent(Reason::NotFoundUncorroborated));
    }
    Ok(())
}

/// What the answer says about further pages.
enum Mark {
    Text(Option<String>),
    Total(usize),
    Pages(usize, Option<usize>),
}

fn paging_mark(paging: &Paging, scope: &Scope<'_>) -> Result<Mark, Fault> {
    let number = |expression: &Expression| -> Result<usize, Fault> {
        whole_number(expression, &expression.evaluate(scope)?)
    };
    Ok(match paging {
        Paging::Next(expression) | Paging::Cursor(_, expression) => Mark::Text(expression.text_value(scope)?),
        Paging::Offset { total, .. } => Mark::Total(number(total)?),
        Paging::Number { pages, total, .. } => {
            Mark::Pages(number(pages)?, total.as_deref().map(number).transpose()?)
        }
    })
}

fn whole_number(expression: &Expression, value: &Value) -> Result<usize, Fault> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let number = number.and_then(|n| usize::try_from(n).ok());
    number.ok_or_else(|| expression.unevaluable("not a number").into())
}

/// What is asked for next.
enum Next {
    First,
    Page(Resolved),
    Nothing,
}

/// One page of a find or a read.
pub(super) enum Page {
    /// Its value.
    Value(Value),
    /// Rows that are the value.
    Rows(Rows),
}

impl Page {
    fn whole(self) -> Result<Value, Fault> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Rows(rows) => rows.all().map(Value::Array),
        }
    }
}

/// Looks at an answer before its value is taken.
pub(super) type Check<'c> = dyn FnMut(&Answer, &Scope<'_>) -> Result<(), Fault> + Send + 'c;

/// Reads the pages of one find or read.
pub(super) struct Pager<'p> {
    exchange: &'p Exchange<'p>,
    request: &'p Compiled,
    scope: &'p Scope<'p>,
    bound: Option<&'p str>,
    next: Next,
    read: Read,
    /// The definition says that nothing is there.
    pub absent: bool,
}

impl Pager<'_> {
    /// The value of the next page, which is a list where there may be several; none after the last.
    pub async fn next(&mut self, check: &mut Check<'_>) -> Result<Option<Value>, Fault> {
        let page = self.page(check, true).await?;
        page.map(Page::whole).transpose()
    }

    /// The same; rows that need not be there as a whole are not taken apart yet.
    pub async fn next_page(&mut self, check: &mut Check<'_>) -> Result<Option<Page>, Fault> {
        let whole = self.request.items.is_some() || self.request.page.is_some();
        self.page(check, whole).await
    }

    async fn page(&mut self, check: &mut Check<'_>, whole: bool) -> Result<Option<Page>, Fault> {
        let resolved = match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Nothing => return Ok(None),
            Next::Page(resolved) => resolved,
            Next::First => self.first()?,
        };
        let mut answer = self.exchange.driver.perform(&resolved).await?;
        if whole && let Some(rows) = answer.rows.take() {
            answer.value = Value::Array(rows.all()?);
        }
        if self.request.items.is_some() {
            answer.show_value();
        }
        let inner = Scope::inside(self.scope).with("response", &answer.response);
        if self.read.pages == 0 && absent(self.request, &answer, &inner) {
            self.absent = true;
            return Ok(None);
        }
        if let Some(fault) = self.exchange.fault(&answer, &inner) {
            return Err(match self.bound {
                Some(_) if gone(&answer) => {
                    // Only some of what is read is the account itself.
                    let code = format!("{} {}", fault.code, self.request.path);
                    Fault::permanent(Reason::NotFoundUncorroborated).with_code(code)
                }
                _ => fault,
            });
        }
        check(&answer, &inner)?;
        let paging = self.request.page.as_ref();
        let mark = paging.map(|paging| paging_mark(paging, &inner)).transpose()?;
        if let Some(total) = &self.request.total {
            let stated = total.evaluate(&inner)?;
            if !stated.is_null() {
                self.read.total = Some(whole_number(total, &stated)?);
            }
        }
        let value = if let Some(items) = &self.request.items {
            match items.place_in("response") {
                Some(place) if answer.response.pointer(&place).is_some() => {
                    drop(inner);
                    answer
                        .response
                        .pointer_mut(&place)
                        .map(Value::take)
                        .unwrap_or_default()
                }
                _ => items.evaluate(&inner)?,
            }
        } else {
            drop(inner);
            answer.take_value()
        };
        if let (Some(paging), Some(mark)) = (paging, mark) {
            self.read.add(&value, paging, self.request)?;
            let empty = value.as_array().is_some_and(Vec::is_empty);
            self.next = self.after(paging, mark, empty, resolved)?;
        }
        Ok(Some(match answer.rows {
            Some(rows) => Page::Rows(rows),
            None => Page::Value(value),
        }))
    }

    /// The request for the first page.
    pub fn first(&self) -> Result<Resolved, Fault> {
        match &self.request.page {
            Some(Paging::Number { first, .. }) => self.numbered(*first),
            Some(Paging::Offset { parameter, first, .. }) => {
                let mut resolved = self.request.resolve(self.exchange.target, self.scope)?;
                if let Resolved::Http(http) = &mut resolved {
                    set_parameter(&mut http.url, parameter, &first.to_string());
                }
                Ok(resolved)
            }
            _ => self.request.resolve(self.exchange.target, self.scope),
        }
    }

    /// The request for the page with this number.
    fn numbered(&self, page: u32) -> Result<Resolved, Fault> {
        let scope = Scope::inside(self.scope).with_owned("page", Value::from(page));
        self.request.resolve(self.exchange.target, &scope)
    }

    /// The page after the one that `resolved` asked for, if there is one.
    fn after(
        &mut self,
        paging: &Paging,
        mark: Mark,
        empty: bool,
        mut resolved: Resolved,
    ) -> Result<Next, Fault> {
        let Resolved::Http(http) = &mut resolved else {
            return Ok(Next::Nothing);
        };
        let read = &mut self.read;
        match (paging, mark) {
            (Paging::Cursor(parameter, _), Mark::Text(Some(token))) => {
                set_parameter(&mut http.url, parameter, &token);
                read.fresh(token)?;
            }
            (_, Mark::Text(Some(next))) => {
                let next = same_host(&http.url, &next)
                    .ok_or_else(|| Fault::permanent(Reason::Malformed).with_code(NEXT_ELSEWHERE))?;
                http.url.clone_from(&next);
                read.fresh(next)?;
            }
            (Paging::Offset { .. }, Mark::Total(total)) if read.items >= total => {
                read.all_different()?;
                return Ok(Next::Nothing);
            }
            (Paging::Offset { parameter, first, .. }, Mark::Total(_)) => {
                let next = u64::from(*first) + u64::try_from(read.items).unwrap_or(u64::MAX);
                set_parameter(&mut http.url, parameter, &next.to_string());
                read.fresh(next.to_string()).map_err(|_| incomplete("short"))?;
            }
            (Paging::Number { .. }, Mark::Pages(pages, total)) if read.pages >= pages => {
                if total.is_some_and(|total| total != read.items) {
                    return Err(incomplete("short"));
                }
                read.all_different()?;
                return Ok(Next::Nothing);
            }
            (Paging::Number { .. }, Mark::Pages(..)) if empty => return Err(incomplete("short")),
            (Paging::Number { first, .. }, Mark::Pages(..)) => {
                let next = u32::try_from(read.pages)
                    .unwrap_or(u32::MAX)
                    .saturating_add(*first);
                read.fresh(next.to_string())?;
                return self.numbered(next).map(Next::Page);
            }
            (_, Mark::Text(None)) if read.total.is_some_and(|total| read.items < total) => {
                return Err(incomplete("short"));
            }
            (_, Mark::Text(None) | Mark::Total(_) | Mark::Pages(..)) => return Ok(Next::Nothing),
        }
        Ok(Next::Page(resolved))
    }
}

/// What was read so far.
#[derive(Default)]
struct Read {
    pages: usize,
    items: usize,
    /// How many elements there are in all, as far as that was stated.
    total: Option<usize>,
    marks: BTreeSet<String>,
    elements: HashSet<u64>,
    hasher: RandomState,
    twice: bool,
}

impl Read {
    fn add(&mut self, value: &Value, paging: &Paging, request: &Compiled) -> Result<(), Fault> {
        self.pages += 1;
        if self.pages > MOST_PAGES {
            return Err(incomplete("too much"));
        }
        let Value::Array(items) = value else {
            return Err(Fault::permanent(Reason::Malformed).with_code(&request.path));
        };
        self.items += items.len();
        if matches!(paging, Paging::Offset { .. } | Paging::Number { .. }) {
            for item in items {
                let digest = self.hasher.hash_one(item.to_string());
                self.twice |= !self.elements.insert(digest);
            }
        }
        Ok(())
    }

    /// An element that comes twice on pages counted by number has pushed another one out: the list moved while it was read.
    fn all_different(&self) -> Result<(), Fault> {
        if self.pages < 2 || !self.twice {
            return Ok(());
        }
        Err(incomplete("moved"))
    }

    /// A page that was already asked for would be asked for again for ever.
    fn fresh(&mut self, mark: String) -> Result<(), Fault> {
        if self.pages == MOST_PAGES {
            return Err(incomplete("endless"));
        }
        if self.marks.insert(mark) {
            Ok(())
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
