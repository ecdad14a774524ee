//! The user's own expressions over each record: what is taken instead of the definition's value, and whose end counts.
//!
//! # Why
//! Every expression sees the record as the definition made it, with every field there and null where it is empty: an
//! expression that compares a missing department says no instead of failing. One that fails spoils its record, and with it the
//! person: somebody about whom something is not understood is not offboarded by what is left.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Invalid;
use crate::{
    connectors::declarative::{Expression, Problems, Scope},
    core::{
        leavers::Reading,
        people::{
            Worker, addresses,
            written::{Kind, is_none},
            zone,
        },
    },
};

/// The one name that expressions know.
const NAMES: &[&str] = &["person"];

/// The fields of the normal form that a mapping may give.
const FIELDS: &[&str] = &[
    "employeeID",
    "email",
    "otherEmails",
    "displayName",
    "kind",
    "status",
    "reason",
    "starts",
    "notice",
    "lastDay",
    "employmentEnds",
    "paidThrough",
    "immediate",
    "site",
    "country",
    "department",
    "timeZone",
    "manager",
];

/// Fields that expressions see beside those.
const SEEN: &[&str] = &["person", "record"];

/// Compiled expressions.
#[derive(Debug, Default)]
pub struct Mapping {
    fields: Vec<(String, Expression)>,
    when: Option<Expression>,
}

impl Mapping {
    /// Compiles `spec.map` and `spec.when`.
    ///
    /// # Errors
    /// The first field that is not one, or not an expression.
    pub fn compile(map: &BTreeMap<String, String>, when: Option<&str>) -> Result<Self, Invalid> {
        let mut problems = Problems::default();
        let mut fields = vec![];
        for (field, text) in map {
            let path = format!("spec.map.{field}");
            let attribute = field
                .strip_prefix("attributes.")
                .is_some_and(|name| !name.is_empty());
            if !attribute && !FIELDS.contains(&field.as_str()) {
                let problem = format!(
                    "no field of a person: one of {}, attributes.NAME",
                    FIELDS.join(", ")
                );
                return Err(Invalid { field: path, problem });
            }
            fields.extend(Expression::compile(text, &path, NAMES, &mut problems).map(|e| (field.clone(), e)));
        }
        let when = when.and_then(|text| Expression::compile(text, "spec.when", NAMES, &mut problems));
        match problems.0.into_iter().next() {
            None => Ok(Self { fields, when }),
            Some(problem) => Err(Invalid {
                field: problem.path,
                problem: problem.message,
            }),
        }
    }

    /// `worker` as the user wants it.
    pub fn apply(&self, worker: Box<Worker>) -> Reading {
        if self.fields.is_empty() && self.when.is_none() {
            return Reading::wanted(worker);
        }
        match self.mapped(&worker) {
            Ok((mapped, wanted)) => Reading {
                worker: Box::new(mapped),
                wanted,
                ..Reading::default()
            },
            Err(what) => Reading {
                worker,
                wanted: true,
                unusable: Some(what),
                ..Reading::default()
            },
        }
    }

    fn mapped(&self, worker: &Worker) -> Result<(Worker, bool), String> {
        let whole = whole(worker)?;
        let scope = Scope::new().with("person", &whole);
        let mut mapped = whole.clone();
        for (field, expression) in &self.fields {
            let value = expression.evaluate(&scope).map_err(|error| error.to_string())?;
            place(&mut mapped, field, value);
        }
        drop_empty(&mut mapped);
        let mapped: Worker = serde_path_to_error::deserialize(mapped)
            // The error's own text may quote a value.
            .map_err(|error| format!("spec.map.{}: not what this field takes", error.path()))?;
        let wanted = match &self.when {
            None => true,
            Some(when) => when.holds(&scope).map_err(|error| error.to_string())?,
        };
        Ok((mapped, wanted))
    }
}

/// The record with every field, null where it is empty.
fn whole(worker: &Worker) -> Result<Value, String> {
    let mut whole = Map::new();
    for field in SEEN.iter().chain(FIELDS) {
        whole.insert((*field).to_owned(), Value::Null);
    }
    whole.insert("immediate".into(), Value::Bool(false));
    whole.insert("otherEmails".into(), Value::Array(vec![]));
    whole.insert("attributes".into(), Value::Object(Map::new()));
    match serde_json::to_value(worker) {
        Ok(Value::Object(known)) => whole.extend(known),
        _ => return Err("a record that cannot be shown to expressions".into()),
    }
    Ok(Value::Object(whole))
}

fn place(person: &mut Value, field: &str, value: Value) {
    let (inside, field) = match field.strip_prefix("attributes.") {
        Some(name) => (person.get_mut("attributes"), name),
        None => (Some(person), field),
    };
    if let Some(object) = inside.and_then(Value::as_object_mut) {
        let value = match value {
            // Numbers and texts are the same to whoever writes an employee number.
            Value::Number(number) if field == "employeeID" => Value::String(number.to_string()),
            value if field == "otherEmails" => addresses(&value).into(),
            value => value,
        };
        object.insert(field.to_owned(), value);
    }
}

/// What an expression gives is none by the same words as what a system says.
fn drop_empty(person: &mut Value) {
    let none = |value: &Value, kind| match value {
        Value::Null => true,
        Value::String(text) => is_none(text, kind),
        _ => false,
    };
    let Some(object) = person.as_object_mut() else {
        return;
    };
    object.retain(|field, value| {
        let kind = match field.as_str() {
            "displayName" => Kind::Name,
            "country" => Kind::Country,
            "starts" | "notice" | "lastDay" | "employmentEnds" | "paidThrough" => Kind::Day,
            _ => Kind::Text,
        };
        !none(value, kind)
    });
    if let Some(attributes) = object.get_mut("attributes").and_then(Value::as_object_mut) {
        attributes.retain(|_, value| !none(value, Kind::Text));
    }
}

/// Names every zone as IANA does, and takes away those that nobody knows: which records have them.
pub fn without_unknown_zones(readings: &mut [Reading]) -> Vec<(String, String)> {
    let mut unknown = vec![];
    let mut known = BTreeMap::<String, Option<String>>::new();
    for reading in readings {
        let Some(text) = reading.worker.time_zone.take() else {
            continue;
        };
        let zone = known
            .entry(text)
            .or_insert_with_key(|text| zone::iana(text))
            .clone();
        if zone.is_none() {
            let what = "timeZone: no zone of IANA or Windows: the policy's counts";
            unknown.push((format!("record {}", reading.number), what.to_owned()));
        }
        reading.worker.time_zone = zone;
    }
    unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(map: &[(&str, &str)], when: Option<&str>) -> Result<Mapping, Invalid> {
        let map = map
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Mapping::compile(&map, when)
    }

    fn jane() -> Worker {
        Worker {
            person: "p1".into(),
            record: "r1".into(),
            email: Some("jane@example.com".into()),
            site: Some("Berlin".into()),
            employment_ends: Some("2026-09-30".into()),
            attributes: BTreeMap::from([("costCentre".into(), "K1".into())]),
            ..Worker::default()
        }
    }

    #[test]
    fn fields_are_taken_from_expressions() {
        let map = [
            ("lastDay", "person.employmentEnds"),
            (
                "timeZone",
                "person.site == 'Berlin' ? 'Europe/Berlin' : person.timeZone",
            ),
            ("employeeID", "100 + 17"),
            ("department", "person.attributes.costCentre"),
            ("attributes.badge", "'B-' + person.person"),
            ("email", "person.email.lowerAscii()"),
            (
                "otherEmails",
                "person.otherEmails + ['j@example.com; jd@example.com', null]",
            ),
            ("site", "null"),
            ("reason", "'n/a'"),
            ("paidThrough", "'9999-12-31'"),
            ("attributes.none", "'-'"),
        ];
        let reading = compiled(&map, None).unwrap().apply(Box::new(jane()));
        assert_eq!((reading.unusable, reading.wanted), (None, true));
        let worker = reading.worker;
        assert_eq!(worker.last_day.as_deref(), Some("2026-09-30"));
        assert_eq!(worker.time_zone.as_deref(), Some("Europe/Berlin"));
        assert_eq!(worker.employee_id.as_deref(), Some("117"));
        assert_eq!(worker.department.as_deref(), Some("K1"));
        assert_eq!(worker.other_emails, ["j@example.com", "jd@example.com"]);
        assert_eq!(worker.attributes["badge"], "B-p1");
        assert_eq!(
            (worker.site, worker.reason, worker.paid_through),
            (None, None, None)
        );
        assert!(!worker.attributes.contains_key("none"));
        assert_eq!((worker.person.as_str(), worker.record.as_str()), ("p1", "r1"));
    }

    #[test]
    fn a_condition_over_a_missing_field_says_no() {
        let wanted = |when: &str| compiled(&[], Some(when)).unwrap().apply(Box::new(jane()));
        assert!(wanted("!(person.department in ['Interns'])").wanted);
        assert!(!wanted("person.department == 'Sales'").wanted);
        assert!(!wanted("person.site != 'Berlin'").wanted);
        assert!(!wanted("person.immediate").wanted);
    }

    #[test]
    fn what_has_no_value_spoils_the_record_and_quotes_nothing() {
        for (map, when) in [
            (vec![("kind", "person.attributes.none")], None),
            (vec![("status", "person.site")], None),
            (vec![("lastDay", "1 / 0")], None),
            (vec![], Some("person.site")),
        ] {
            let reading = compiled(&map, when).unwrap().apply(Box::new(jane()));
            let text = reading.unusable.expect("spoiled");
            assert!(text.starts_with("spec.") && !text.contains("Berlin"), "{text}");
        }
    }

    #[test]
    fn an_expression_that_cannot_be_used_is_refused_with_its_path() {
        let field = |map: &[(&str, &str)], when| compiled(map, when).unwrap_err().field;
        assert_eq!(field(&[("lastDay", "person.")], None), "spec.map.lastDay");
        assert_eq!(field(&[("lastDay", "employee.x")], None), "spec.map.lastDay");
        assert_eq!(field(&[("lastDay", &"(".repeat(40))], None), "spec.map.lastDay");
        assert_eq!(field(&[("lastDy", "'x'")], None), "spec.map.lastDy");
        assert_eq!(field(&[("person", "'x'")], None), "spec.map.person");
        assert_eq!(field(&[], Some("secrets.token")), "spec.when");
    }
}
