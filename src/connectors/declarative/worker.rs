//! From a record of an HR system to the normal form of a worker.
//!
//! # Why
//! A record that is not understood in every field is not used at all: half of one could make a leaver of somebody who
//! stays. What is the matter is said by the field and a fixed phrase, never with a value (R19).

use std::{collections::BTreeMap, sync::LazyLock};

use regex::Regex;
use serde_json::Value;

use super::{
    compile::Compiler,
    expression::{Expression, Scope, Unevaluable},
};
use crate::{
    api::definition::WorkerFields,
    core::people::{Worker, WorkerStatus},
};

/// The compiled expressions for the fields of a worker.
#[derive(Debug)]
pub struct Fields {
    person: Expression,
    record: Option<Expression>,
    employee_id: Option<Expression>,
    email: Option<Expression>,
    display_name: Option<Expression>,
    kind: Option<Expression>,
    status: Expression,
    reason: Option<Expression>,
    starts: Option<Expression>,
    notice: Option<Expression>,
    last_day: Option<Expression>,
    employment_ends: Option<Expression>,
    paid_through: Option<Expression>,
    immediate: Option<Expression>,
    site: Option<Expression>,
    country: Option<Expression>,
    department: Option<Expression>,
    time_zone: Option<Expression>,
    manager: Option<Expression>,
    attributes: BTreeMap<String, Expression>,
}

impl Fields {
    /// Compiles the fields, whose expressions may use `names`.
    pub fn compile(fields: &WorkerFields, names: &[&str], compiler: &mut Compiler<'_>) -> Option<Self> {
        let mut optional = |name: &str, text: &Option<String>| {
            compiler.optional(text.as_ref(), &format!("people.worker.{name}"), names)
        };
        let record = optional("record", &fields.record);
        let employee_id = optional("employeeID", &fields.employee_id);
        let email = optional("email", &fields.email);
        let display_name = optional("displayName", &fields.display_name);
        let kind = optional("kind", &fields.kind);
        let reason = optional("reason", &fields.reason);
        let starts = optional("starts", &fields.starts);
        let notice = optional("notice", &fields.notice);
        let last_day = optional("lastDay", &fields.last_day);
        let employment_ends = optional("employmentEnds", &fields.employment_ends);
        let paid_through = optional("paidThrough", &fields.paid_through);
        let immediate = optional("immediate", &fields.immediate);
        let site = optional("site", &fields.site);
        let country = optional("country", &fields.country);
        let department = optional("department", &fields.department);
        let time_zone = optional("timeZone", &fields.time_zone);
        let manager = optional("manager", &fields.manager);
        let attributes = fields
            .attributes
            .iter()
            .filter_map(|(name, text)| {
                let path = format!("people.worker.attributes.{name}");
                Some((name.clone(), compiler.expression(text, &path, names)?))
            })
            .collect();
        let person = compiler.expression(&fields.person, "people.worker.person", names);
        let status = compiler.expression(&fields.status, "people.worker.status", names);
        Some(Self {
            person: person?,
            record,
            employee_id,
            email,
            display_name,
            kind,
            status: status?,
            reason,
            starts,
            notice,
            last_day,
            employment_ends,
            paid_through,
            immediate,
            site,
            country,
            department,
            time_zone,
            manager,
            attributes,
        })
    }

    /// All expressions.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        let optional = [
            &self.record,
            &self.employee_id,
            &self.email,
            &self.display_name,
            &self.kind,
            &self.reason,
            &self.starts,
            &self.notice,
            &self.last_day,
            &self.employment_ends,
            &self.paid_through,
            &self.immediate,
            &self.site,
            &self.country,
            &self.department,
            &self.time_zone,
            &self.manager,
        ];
        let needed = [&self.person, &self.status];
        let optional = optional.into_iter().flatten();
        needed.into_iter().chain(optional).chain(self.attributes.values())
    }

    /// The person that a record belongs to.
    pub fn person(&self, scope: &Scope<'_>) -> Result<String, Unevaluable> {
        text(&self.person, scope)?.ok_or_else(|| self.person.unevaluable("empty"))
    }

    /// The worker that a record is; `manager` is as the record has it.
    pub fn worker(&self, scope: &Scope<'_>) -> Result<Worker, Unevaluable> {
        let person = self.person(scope)?;
        let optional = |field: &Option<Expression>| match field {
            Some(expression) => text(expression, scope),
            None => Ok(None),
        };
        let day = |field: &Option<Expression>| match field {
            Some(expression) => day(expression, scope),
            None => Ok(None),
        };
        let record = match &self.record {
            Some(record) => text(record, scope)?.ok_or_else(|| record.unevaluable("empty"))?,
            None => person.clone(),
        };
        let mut attributes = BTreeMap::new();
        for (name, expression) in &self.attributes {
            let value = expression.evaluate(scope)?;
            if !value.is_null() {
                attributes.insert(name.clone(), value);
            }
        }
        Ok(Worker {
            person,
            record,
            employee_id: optional(&self.employee_id)?,
            email: optional(&self.email)?,
            display_name: optional(&self.display_name)?,
            kind: optional(&self.kind)?,
            status: status(&self.status, scope)?,
            reason: optional(&self.reason)?,
            starts: day(&self.starts)?,
            notice: day(&self.notice)?,
            last_day: day(&self.last_day)?,
            employment_ends: day(&self.employment_ends)?,
            paid_through: day(&self.paid_through)?,
            immediate: immediate(self.immediate.as_ref(), scope)?,
            site: optional(&self.site)?,
            country: optional(&self.country)?,
            department: optional(&self.department)?,
            time_zone: optional(&self.time_zone)?,
            manager: optional(&self.manager)?,
            attributes,
        })
    }
}

fn text(expression: &Expression, scope: &Scope<'_>) -> Result<Option<String>, Unevaluable> {
    let text = expression.text_value(scope)?;
    Ok(text
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty()))
}

fn status(expression: &Expression, scope: &Scope<'_>) -> Result<WorkerStatus, Unevaluable> {
    match text(expression, scope)?.as_deref() {
        Some("Active") => Ok(WorkerStatus::Active),
        Some("Leave") => Ok(WorkerStatus::Leave),
        Some("Terminated") => Ok(WorkerStatus::Terminated),
        _ => Err(expression.unevaluable("not Active, Leave or Terminated")),
    }
}

fn immediate(expression: Option<&Expression>, scope: &Scope<'_>) -> Result<bool, Unevaluable> {
    match expression.map(|e| (e, e.evaluate(scope))) {
        None | Some((_, Ok(Value::Null))) => Ok(false),
        Some((_, Ok(Value::Bool(now)))) => Ok(now),
        Some((expression, Ok(_))) => Err(expression.unevaluable("neither true nor false")),
        Some((_, Err(error))) => Err(error),
    }
}

fn day(expression: &Expression, scope: &Scope<'_>) -> Result<Option<String>, Unevaluable> {
    let Some(text) = text(expression, scope)? else {
        return Ok(None);
    };
    match normal(&text) {
        Some(day) => Ok(Some(day)),
        None => Err(expression.unevaluable("not a date")),
    }
}

/// The day of a text that is a date: `2026-12-31`, also with a midnight or a zone after it as XML and databases write it. Any
/// other time of day would make the day a guess.
fn normal(text: &str) -> Option<String> {
    static DATE: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"^(\d{4}-\d{2}-\d{2})([T ]00:00(:00(\.0+)?)?)?(Z|[+-]\d{2}:?\d{2})?$").ok()
    });
    let found = DATE.as_ref()?.captures(text)?;
    let day: jiff::civil::Date = found.get(1)?.as_str().parse().ok()?;
    Some(day.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_a_day_and_never_a_guess() {
        for text in [
            "2026-12-31",
            "2026-12-31-08:00",
            "2026-12-31Z",
            "2026-12-31T00:00:00.000-07:00",
            "2026-12-31 00:00:00",
        ] {
            assert_eq!(normal(text).as_deref(), Some("2026-12-31"), "{text}");
        }
        for text in [
            "2026-12-31T23:00:00Z",
            "2026-02-30",
            "0000-00-00",
            "31.12.2026",
            "12/31/2026",
            "20261231",
            "soon",
        ] {
            assert_eq!(normal(text), None, "{text}");
        }
    }
}
