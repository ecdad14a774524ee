//! From a record of an HR system to the normal form of a worker.
//!
//! # Why
//! A record that is not understood in every field is not used at all: half of one could make a leaver of somebody who
//! stays. What is the matter is said by the field and a fixed phrase, never with a value (R19).

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde_json::Value;

use super::{
    compile::Compiler,
    expression::{Expression, Scope, Unevaluable},
};
use crate::{
    api::definition::WorkerFields,
    core::people::{
        Worker, WorkerStatus, addresses,
        written::{self, Kind},
    },
};

/// How the system writes values, as far as one look goes.
#[derive(Debug, Clone, Default)]
pub struct Writing {
    /// More words for none, in lower case.
    pub none: BTreeSet<String>,
    /// How days are written, as in `strftime`.
    pub format: String,
    /// The day of the look.
    pub today: Date,
}

impl Writing {
    /// Whether a text is none.
    pub fn is_none(&self, text: &str, kind: Kind) -> bool {
        written::is_none(text, kind) || self.none.contains(&text.trim().to_lowercase())
    }

    /// The day that an expression gives; none for null and a word for none.
    pub fn date(&self, expression: &Expression, scope: &Scope<'_>) -> Result<Option<Date>, Unevaluable> {
        match text(expression, scope, Kind::Day, self)? {
            Some(text) => self.day(&text).map_err(|why| expression.unevaluable(why)),
            None => Ok(None),
        }
    }

    fn day(&self, text: &str) -> Result<Option<Date>, &'static str> {
        // A day in the words for none is written as YYYY-MM-DD.
        let day = written::day(text, &self.format)?.filter(|day| !self.none.contains(&day.to_string()));
        match day.map(|day| written::plausible(day, self.today)) {
            Some(Err(why)) => Err(why),
            _ => Ok(day),
        }
    }
}

/// The compiled expressions for the fields of a worker.
#[derive(Debug)]
pub struct Fields {
    person: Expression,
    record: Option<Expression>,
    employee_id: Option<Expression>,
    email: Option<Expression>,
    other_emails: Option<Expression>,
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
        let other_emails = optional("otherEmails", &fields.other_emails);
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
            other_emails,
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
            &self.other_emails,
            &self.display_name,
            &self.kind,
            &self.reason,
            &self.immediate,
            &self.site,
            &self.country,
            &self.department,
            &self.time_zone,
            &self.manager,
        ];
        let needed = [&self.person, &self.status];
        let optional = optional.into_iter().flatten();
        let days = self.days().into_iter().filter_map(|(_, day)| day);
        needed
            .into_iter()
            .chain(optional)
            .chain(days)
            .chain(self.attributes.values())
    }

    /// The fields that are days, by name.
    fn days(&self) -> [(&'static str, Option<&Expression>); 5] {
        [
            ("starts", self.starts.as_ref()),
            ("notice", self.notice.as_ref()),
            ("lastDay", self.last_day.as_ref()),
            ("employmentEnds", self.employment_ends.as_ref()),
            ("paidThrough", self.paid_through.as_ref()),
        ]
    }

    /// The person that a record belongs to.
    pub fn person(&self, scope: &Scope<'_>, writing: &Writing) -> Result<String, Unevaluable> {
        text(&self.person, scope, Kind::Text, writing)?.ok_or_else(|| self.person.unevaluable("empty"))
    }

    /// The days of a record that show that the format is wrong for everything that is written there.
    pub fn otherwise(&self, scope: &Scope<'_>, writing: &Writing) -> Vec<&'static str> {
        let shows = |expression: &Expression| {
            day(expression, scope, writing).is_err_and(|error| error.why == written::OTHER_ORDER)
        };
        self.days()
            .into_iter()
            .filter(|(_, expression)| expression.is_some_and(shows))
            .map(|(name, _)| name)
            .collect()
    }

    /// The worker that a record is; `manager` is as the record has it.
    pub fn worker(&self, scope: &Scope<'_>, writing: &Writing) -> Result<Worker, Unevaluable> {
        let person = self.person(scope, writing)?;
        let of = |field: &Option<Expression>, kind| match field {
            Some(expression) => text(expression, scope, kind, writing),
            None => Ok(None),
        };
        let optional = |field| of(field, Kind::Text);
        let day = |field: &Option<Expression>| match field {
            Some(expression) => day(expression, scope, writing),
            None => Ok(None),
        };
        let record = match &self.record {
            Some(record) => optional(&self.record)?.ok_or_else(|| record.unevaluable("empty"))?,
            None => person.clone(),
        };
        let other_emails = match &self.other_emails {
            Some(expression) => addresses(&expression.evaluate(scope)?),
            None => vec![],
        };
        let mut attributes = BTreeMap::new();
        for (name, expression) in &self.attributes {
            let value = value(expression, scope, writing)?;
            if !value.is_null() {
                attributes.insert(name.clone(), value);
            }
        }
        Ok(Worker {
            person,
            record,
            employee_id: optional(&self.employee_id)?,
            email: optional(&self.email)?,
            other_emails,
            display_name: of(&self.display_name, Kind::Name)?,
            kind: optional(&self.kind)?,
            status: status(&self.status, scope, writing)?,
            reason: optional(&self.reason)?,
            starts: day(&self.starts)?,
            notice: day(&self.notice)?,
            last_day: day(&self.last_day)?,
            employment_ends: day(&self.employment_ends)?,
            paid_through: day(&self.paid_through)?,
            immediate: immediate(self.immediate.as_ref(), scope, writing)?,
            site: optional(&self.site)?,
            country: of(&self.country, Kind::Country)?,
            department: optional(&self.department)?,
            time_zone: optional(&self.time_zone)?,
            manager: optional(&self.manager)?,
            attributes,
        })
    }
}

fn text(
    expression: &Expression,
    scope: &Scope<'_>,
    kind: Kind,
    writing: &Writing,
) -> Result<Option<String>, Unevaluable> {
    let text = expression.text_value(scope)?;
    Ok(text
        .map(|text| text.trim().to_owned())
        .filter(|text| !writing.is_none(text, kind)))
}

/// Any value; a word for none is null.
fn value(expression: &Expression, scope: &Scope<'_>, writing: &Writing) -> Result<Value, Unevaluable> {
    Ok(match expression.evaluate(scope)? {
        Value::String(text) if writing.is_none(&text, Kind::Text) => Value::Null,
        value => value,
    })
}

fn status(
    expression: &Expression,
    scope: &Scope<'_>,
    writing: &Writing,
) -> Result<WorkerStatus, Unevaluable> {
    match text(expression, scope, Kind::Text, writing)?.as_deref() {
        Some("Active") => Ok(WorkerStatus::Active),
        Some("Leave") => Ok(WorkerStatus::Leave),
        Some("Terminated") => Ok(WorkerStatus::Terminated),
        Some("Implied") => Ok(WorkerStatus::Implied),
        _ => Err(expression.unevaluable("not Active, Leave or Terminated")),
    }
}

fn immediate(
    expression: Option<&Expression>,
    scope: &Scope<'_>,
    writing: &Writing,
) -> Result<bool, Unevaluable> {
    let Some(expression) = expression else {
        return Ok(false);
    };
    match value(expression, scope, writing)? {
        Value::Null => Ok(false),
        Value::Bool(now) => Ok(now),
        _ => Err(expression.unevaluable("neither true nor false")),
    }
}

fn day(expression: &Expression, scope: &Scope<'_>, writing: &Writing) -> Result<Option<String>, Unevaluable> {
    let day = writing.date(expression, scope)?;
    Ok(day.map(|day| day.to_string()))
}

/// The day of a field of this name.
pub fn day_of<'w>(worker: &'w Worker, field: &str) -> Option<&'w String> {
    match field {
        "starts" => worker.starts.as_ref(),
        "notice" => worker.notice.as_ref(),
        "lastDay" => worker.last_day.as_ref(),
        "employmentEnds" => worker.employment_ends.as_ref(),
        _ => worker.paid_through.as_ref(),
    }
}
