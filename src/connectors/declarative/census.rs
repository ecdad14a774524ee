//! Asks an HR system who works there.
//!
//! # Why
//! An answer that is not complete is a fault, so that nobody is missing by accident. A record that cannot be understood is
//! set apart and counted, and so are the other records of the same person: one of two contracts alone would make a leaver
//! of somebody who only changed from one to the other.

mod found;

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures::future::join_all;
use jiff::Timestamp;
use serde_json::Value;

use self::found::{Found, Told};
use super::{
    connector::Declarative,
    exchange::{Check, Exchange, Page},
    expression::{Expression, Scope, Unevaluable},
    people::{CompiledPeople, Managers, Table},
    request::Compiled,
    worker::Writing,
};
use crate::{
    connectors::{People, driver::Answer},
    core::{
        fault::{Fault, Reason},
        people::{Census, Reach, written::Kind},
    },
};

/// How many requests about single people are on their way at the same time.
const ABREAST: usize = 8;
/// The most records that a system may have.
const MOST_RECORDS: usize = 500_000;

#[async_trait]
impl People for Declarative {
    async fn census(&self, reach: Reach) -> Result<Census, Fault> {
        let Some(people) = &self.loaded.people else {
            return Err(Fault::permanent(Reason::ConnectorNotReady).with_code("people"));
        };
        let exchange = self.exchange();
        let inputs = self.inputs.learn(&exchange).await?;
        let now = Timestamp::now();
        let scope = Scope::new().with("inputs", inputs).with_instant("now", now);
        // Whoever is asked for everybody each time need not remember anybody.
        let remembered = !people.changed.is_empty();
        let known = match reach {
            Reach::ChangedSince(_) => self.managers.lock().clone(),
            Reach::Everyone => None,
        };
        // A manager who did not change is not among what changed, so their address must be known from before.
        let complete = people.changed.is_empty() || people.known_as.is_some() && known.is_none();
        let look = Look {
            people,
            exchange: &exchange,
            writing: people.writing(&scope, now)?,
        };
        match reach {
            Reach::ChangedSince(since) if !complete => {
                let scope = Scope::inside(&scope).with_instant("since", since);
                let found = look.all(&people.changed, &scope).await?;
                Ok(found.census(false, known.unwrap_or_default(), remembered).0)
            }
            _ => {
                let found = look.all(&people.everyone, &scope).await?;
                let (census, managers) = found.census(true, Managers::new(), remembered);
                if remembered {
                    *self.managers.lock() = Some(managers);
                }
                Ok(census)
            }
        }
    }
}

/// One look at all people, or at those that changed.
struct Look<'l> {
    people: &'l CompiledPeople,
    exchange: &'l Exchange<'l>,
    writing: Writing,
}

/// Elements one after the other; after a fault the answer is worth nothing.
type Items = Box<dyn Iterator<Item = Result<Value, Fault>> + Send>;

/// The parts of a table, by whose they are.
type Parts = BTreeMap<String, Vec<Value>>;

impl Look<'_> {
    async fn all(&self, requests: &[Compiled], scope: &Scope<'_>) -> Result<Found, Fault> {
        let mut found = Found::default();
        let mut tables = BTreeMap::new();
        for (name, table) in &self.people.tables {
            tables.insert(name.as_str(), self.table(name, table, scope, &mut found).await?);
        }
        for request in requests {
            if let Some(when) = &request.when
                && !when.holds(scope)?
            {
                continue;
            }
            let Some(each) = &request.each else {
                self.list(request, scope, &tables, &mut found).await?;
                continue;
            };
            for item in each.list(scope)? {
                let inner = Scope::inside(scope).with("item", &item);
                self.list(request, &inner, &tables, &mut found).await?;
            }
        }
        if found.requests > 0 {
            Ok(found)
        } else {
            // Nothing was asked, so nothing is known: "nobody works here" would be a guess (R2).
            Err(Fault::permanent(Reason::ConnectorNotReady).with_code("people.everyone"))
        }
    }

    async fn table<'t>(
        &self,
        name: &str,
        table: &'t Table,
        scope: &Scope<'_>,
        found: &mut Found,
    ) -> Result<(&'t Table, Parts), Fault> {
        let mut parts = Parts::new();
        let mut number = 0;
        let mut pager = self.exchange.pages(&table.read, scope, None);
        while let Some(value) = pager.next(&mut |_, _| Ok(())).await? {
            for element in elements(value, &table.read)? {
                number += 1;
                let key = text(&table.by, &Scope::inside(scope).with("item", &element));
                match key {
                    Ok(key) => parts.entry(key).or_default().push(element),
                    Err(error) => {
                        let place = format!("{name} {number}");
                        found.unusable.push((0, place, error.to_string()));
                    }
                }
            }
        }
        Ok((table, parts))
    }

    async fn list(
        &self,
        request: &Compiled,
        scope: &Scope<'_>,
        tables: &BTreeMap<&str, (&Table, Parts)>,
        found: &mut Found,
    ) -> Result<(), Fault> {
        found.requests += 1;
        let mut pager = self.exchange.pages(request, scope, None);
        let mut first = true;
        loop {
            let mut as_of = None;
            let check: &mut Check<'_> = &mut |_: &Answer, scope: &Scope<'_>| {
                if let Some(expression) = self.people.as_of.as_ref().filter(|_| first) {
                    as_of = expression.instant(scope)?;
                }
                Ok(())
            };
            let Some(page) = pager.next_page(check).await? else {
                return Ok(());
            };
            first = false;
            found.as_of = [found.as_of, as_of].into_iter().flatten().min();
            // What was understood goes, and rows come one after the other: a list may have a hundred thousand.
            let mut items = items(page, request)?;
            loop {
                let abreast: Vec<Value> = items.by_ref().take(ABREAST).collect::<Result<_, _>>()?;
                if abreast.is_empty() {
                    break;
                }
                let details = join_all(abreast.iter().map(|item| self.details(item, scope, tables))).await;
                for (item, details) in abreast.iter().zip(details) {
                    self.records(item, &details?, scope, found)?;
                }
            }
        }
    }

    /// Everything more about one item.
    async fn details<'d>(
        &'d self,
        item: &Value,
        scope: &Scope<'_>,
        tables: &BTreeMap<&'d str, (&Table, Parts)>,
    ) -> Result<Details<'d>, Fault> {
        let inner = Scope::inside(scope).with("item", item);
        let mut details = BTreeMap::new();
        for (name, (table, parts)) in tables {
            match text(&table.of, &inner) {
                Ok(key) => details.insert(*name, Value::Array(parts.get(&key).cloned().unwrap_or_default())),
                Err(error) => return Ok(Err(error)),
            };
        }
        for (name, read) in &self.people.each {
            let sent = match read.when.as_ref().map_or(Ok(true), |when| when.holds(&inner)) {
                Ok(sent) => sent,
                Err(error) => return Ok(Err(error)),
            };
            let mut value = None;
            if sent {
                // What is wrong with one item is no reason to know nothing about the others.
                if self.exchange.pages(read, &inner, None).first().is_err() {
                    let (path, why) = (read.path.clone(), "cannot be asked for");
                    return Ok(Err(Unevaluable { path, why }));
                }
                value = self.exchange.look(read, &inner, None).await?;
            }
            details.insert(name, value.unwrap_or(Value::Null));
        }
        Ok(Ok(details))
    }

    /// The workers that one item shows.
    fn records(
        &self,
        item: &Value,
        details: &Details<'_>,
        scope: &Scope<'_>,
        found: &mut Found,
    ) -> Result<(), Fault> {
        found.items += 1;
        let scope = Scope::inside(scope).with("item", item);
        let (details, wrong) = match details {
            Ok(details) => (Some(details), None),
            Err(error) => (None, Some(error.clone())),
        };
        let details = details.into_iter().flatten();
        let scope = scope.with_map("details", details.map(|(name, value)| (*name, value)));
        let records = match (wrong, &self.people.records, &self.people.history) {
            (Some(error), ..) => Err(error),
            (None, Some(records), _) => records.list(&scope).map(Some),
            (None, None, Some(history)) => history.records(&scope, &self.writing).map(Some),
            (None, None, None) => Ok(None),
        };
        match records {
            Ok(None) => self.record(&scope, found),
            Ok(Some(records)) => {
                for record in &records {
                    self.record(&Scope::inside(&scope).with("record", record), found);
                }
            }
            Err(error) => found.unusable(&error, self.person(&scope)),
        }
        if found.workers.len() > MOST_RECORDS {
            return Err(Fault::transient(Reason::Incomplete).with_code("too much"));
        }
        Ok(())
    }

    fn person(&self, scope: &Scope<'_>) -> Option<String> {
        self.people.worker.person(scope, &self.writing).ok()
    }

    fn record(&self, scope: &Scope<'_>, found: &mut Found) {
        let writing = &self.writing;
        let read = || {
            if let Some(when) = &self.people.when
                && !when.holds(scope)?
            {
                return Ok(None);
            }
            let known_as = match &self.people.known_as {
                Some(known_as) => Some(texts(known_as, scope, writing)?),
                None => None,
            };
            Ok(Some((self.people.worker.worker(scope, writing)?, known_as)))
        };
        match read() {
            Ok(None) => {}
            Ok(Some((worker, known_as))) => found.workers.push(Told {
                worker: Box::new(worker),
                known_as,
                request: found.requests,
                item: found.items,
            }),
            Err(error) => {
                found
                    .otherwise
                    .extend(self.people.worker.otherwise(scope, writing));
                found.unusable(&error, self.person(scope));
            }
        }
    }
}

/// What is known beyond an item, or why it cannot be told.
type Details<'d> = Result<BTreeMap<&'d str, Value>, Unevaluable>;

/// The elements of a page, one after the other.
fn items(page: Page, request: &Compiled) -> Result<Items, Fault> {
    Ok(match page {
        Page::Value(value) => Box::new(elements(value, request)?.into_iter().map(Ok)),
        Page::Rows(rows) => Box::new(rows.records()?),
    })
}

/// The elements of an answer; one that is no list is one element, and null is none.
fn elements(value: Value, request: &Compiled) -> Result<Vec<Value>, Fault> {
    match value {
        Value::Array(elements) => Ok(elements),
        Value::Null => Ok(vec![]),
        Value::Object(_) => Ok(vec![value]),
        _ => Err(Fault::permanent(Reason::Malformed).with_code(&request.path)),
    }
}

fn text(expression: &Expression, scope: &Scope<'_>) -> Result<String, Unevaluable> {
    expression
        .text_value(scope)?
        .ok_or_else(|| expression.unevaluable("empty"))
}

/// What a record may be called by; words for none are no names.
fn texts(expression: &Expression, scope: &Scope<'_>, writing: &Writing) -> Result<Vec<String>, Unevaluable> {
    let one = |value: Value| match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let values = match expression.evaluate(scope)? {
        Value::Null => vec![],
        Value::Array(values) => values,
        value => vec![value],
    };
    let values: Option<Vec<String>> = values
        .into_iter()
        .filter(|value| !value.is_null())
        .map(one)
        .collect();
    let mut values = values.ok_or_else(|| expression.unevaluable("not a text"))?;
    values.retain(|text| !writing.is_none(text, Kind::Text));
    Ok(values)
}
