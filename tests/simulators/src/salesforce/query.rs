//! Answers SOQL queries over what the caller may see.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::{
    Right, id,
    model::{Record, State},
    refusal::Refused,
    schema::{Kind, Object, object},
    soql::{Condition, Literal, Operator, Query},
};

/// Who asks, and with which rights.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The user's id.
    pub user: String,
    /// What that user may do beyond the own records.
    pub rights: Vec<Right>,
}

impl Caller {
    /// Whether the caller has a right.
    pub fn may(&self, right: Right) -> bool {
        self.rights.contains(&right)
    }

    /// Whether the caller sees a record. What is not seen is left out of answers without a word, as in the real one.
    pub fn sees(&self, object: &Object, record: &Record) -> bool {
        let own = |field: &str| record.get(field).and_then(Value::as_str) == Some(&self.user);
        match object.name {
            "AuthSession" => self.may(Right::ManageUsers) || own("UsersId"),
            "OauthToken" => self.may(Right::CustomizeApplication) || own("UserId"),
            _ if object.setup => true,
            _ => self.may(Right::ViewAllData) || own("OwnerId"),
        }
    }

    /// The object, if the caller may query it.
    ///
    /// # Errors
    /// `INVALID_TYPE`, also for objects that the caller's rights hide.
    pub fn object(&self, name: &str) -> Result<&'static Object, Refused> {
        let refused = || {
            Refused::new(
                400,
                "INVALID_TYPE",
                format!("sObject type '{name}' is not supported."),
            )
        };
        let object = object(name).ok_or_else(refused)?;
        if object.name == "UserLogin" && !self.may(Right::ManageUsers) {
            return Err(refused());
        }
        Ok(object)
    }
}

/// All rows of a query, or only how many there are.
#[derive(Debug)]
pub struct Rows {
    /// How many match.
    pub total: usize,
    /// The rows; none for `COUNT()`.
    pub rows: Vec<Value>,
}

/// Runs a query.
///
/// # Errors
/// Those of the REST API for malformed queries and unknown names.
pub fn run(state: &State, caller: &Caller, query: &Query, data: &str) -> Result<Rows, Refused> {
    let object = caller.object(&query.object)?;
    let mut paths = query.fields.clone().unwrap_or_default();
    paths.extend(query.order.iter().map(|(path, _)| path.clone()));
    for path in &paths {
        resolve(object, path)?;
    }
    if let Some(filter) = &query.filter {
        check(object, filter)?;
    }
    let access = permission_access(object, caller);
    let table = state.table(object);
    let mut found: Vec<&Record> = access
        .iter()
        .chain(table.values())
        .filter(|record| caller.sees(object, record))
        .filter(|record| {
            query
                .filter
                .as_ref()
                .is_none_or(|filter| holds(state, object, record, filter))
        })
        .collect();
    if let Some((path, descending)) = &query.order {
        found.sort_by(|a, b| {
            let order = value(state, object, a, path)
                .to_string()
                .cmp(&value(state, object, b, path).to_string());
            if *descending { order.reverse() } else { order }
        });
    }
    found.truncate(query.limit.unwrap_or(usize::MAX));
    let rows = match &query.fields {
        None => Vec::new(),
        Some(fields) => found
            .iter()
            .map(|record| row(state, object, record, fields, data))
            .collect(),
    };
    Ok(Rows {
        total: found.len(),
        rows,
    })
}

/// The one row of `UserPermissionAccess`: what the caller may do.
fn permission_access(object: &Object, caller: &Caller) -> Option<Record> {
    (object.name == "UserPermissionAccess").then(|| {
        Right::ALL
            .into_iter()
            .map(|right| (right.field().to_owned(), Value::Bool(caller.may(right))))
            .collect()
    })
}

/// A row as the REST API shows it.
pub fn row(state: &State, object: &Object, record: &Record, fields: &[String], data: &str) -> Value {
    let id = record.get("Id").and_then(Value::as_str).unwrap_or_default();
    let mut shown = Map::new();
    shown.insert(
        "attributes".into(),
        json!({"type": object.name, "url": format!("{data}/sobjects/{}/{id}", object.name)}),
    );
    for path in fields {
        let Ok((chain, field)) = resolve(object, path) else {
            continue;
        };
        let value = value(state, object, record, path);
        // The object reference: an OauthToken's Id is reserved and always null.
        let hidden = object.name == "OauthToken" && field == "Id";
        place(
            &mut shown,
            &chain,
            field,
            if hidden { Value::Null } else { value },
        );
    }
    Value::Object(shown)
}

/// Puts a value below its relationships.
fn place(at: &mut Map<String, Value>, chain: &[(&'static str, &'static Object)], field: &str, value: Value) {
    let Some(((relation, target), rest)) = chain.split_first() else {
        at.insert(field.to_owned(), value);
        return;
    };
    let inner = at
        .entry(*relation)
        .or_insert_with(|| json!({"attributes": {"type": target.name}}));
    if let Value::Object(inner) = inner {
        place(inner, rest, field, value);
    }
}

type Chain = Vec<(&'static str, &'static Object)>;

/// Relationship names with their objects, and the field, as they are spelled.
fn resolve(object: &Object, path: &str) -> Result<(Chain, &'static str), Refused> {
    let (chain, field, _) = resolve_kind(object, path)?;
    Ok((chain, field))
}

fn resolve_kind(object: &Object, path: &str) -> Result<(Chain, &'static str, Kind), Refused> {
    let mut chain = Chain::new();
    let mut at = *object;
    let mut names: Vec<_> = path.split('.').collect();
    let last = names.pop().unwrap_or_default();
    for name in names {
        let (relation, _, target) = at.relation(name).ok_or_else(|| {
            Refused::new(
                400,
                "INVALID_FIELD",
                format!("Didn't understand relationship '{name}' in field path."),
            )
        })?;
        chain.push((relation, target));
        at = *target;
    }
    let (field, kind) = at.field(last).ok_or_else(|| {
        Refused::new(
            400,
            "INVALID_FIELD",
            format!("No such column '{last}' on entity '{}'.", at.name),
        )
    })?;
    Ok((chain, field, kind))
}

/// The value of a path, null when there is none.
fn value(state: &State, object: &Object, record: &Record, path: &str) -> Value {
    let Some((first, rest)) = path.split_once('.') else {
        return object
            .field(path)
            .and_then(|(field, _)| record.get(field).cloned())
            .unwrap_or(Value::Null);
    };
    let Some((_, field, target)) = object.relation(first) else {
        return Value::Null;
    };
    record
        .get(field)
        .and_then(Value::as_str)
        .and_then(|id| state.table(target).get(id))
        .map_or(Value::Null, |record| value(state, target, record, rest))
}

/// Literals must be of the field's type, or the query is refused.
fn check(object: &Object, condition: &Condition) -> Result<(), Refused> {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => {
            parts.iter().try_for_each(|part| check(object, part))
        }
        Condition::Not(part) => check(object, part),
        Condition::Compare(path, _, literals) => {
            let (_, _, kind) = resolve_kind(object, path)?;
            literals.iter().try_for_each(|literal| fits(path, kind, literal))
        }
    }
}

fn fits(path: &str, kind: Kind, literal: &Literal) -> Result<(), Refused> {
    let sound = match (kind, literal) {
        (_, Literal::Word(word)) if word.eq_ignore_ascii_case("null") => true,
        (Kind::Id, Literal::Text(text)) => {
            if !text.is_empty() && id::whole(text).is_none() {
                return Err(Refused::new(
                    400,
                    "INVALID_QUERY_FILTER_OPERATOR",
                    format!("invalid ID field: {text}"),
                ));
            }
            true
        }
        (Kind::Flag, Literal::Word(word)) => {
            word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("false")
        }
        (Kind::Text, Literal::Text(_)) | (Kind::Number | Kind::Date, Literal::Word(_)) => true,
        _ => false,
    };
    if sound {
        Ok(())
    } else {
        Err(Refused::new(
            400,
            "INVALID_FIELD",
            format!("value of filter criterion for field '{path}' must be of another type"),
        ))
    }
}

fn holds(state: &State, object: &Object, record: &Record, condition: &Condition) -> bool {
    match condition {
        Condition::All(parts) => parts.iter().all(|part| holds(state, object, record, part)),
        Condition::Any(parts) => parts.iter().any(|part| holds(state, object, record, part)),
        Condition::Not(part) => !holds(state, object, record, part),
        Condition::Compare(path, operator, literals) => {
            let there = value(state, object, record, path);
            let equal = |literal| compare(&there, literal) == Some(Ordering::Equal);
            let order = literals.first().and_then(|literal| compare(&there, literal));
            match operator {
                Operator::Eq | Operator::In => literals.iter().any(equal),
                Operator::Ne | Operator::NotIn => !literals.iter().any(equal),
                Operator::Lt => order == Some(Ordering::Less),
                Operator::Le => matches!(order, Some(Ordering::Less | Ordering::Equal)),
                Operator::Gt => order == Some(Ordering::Greater),
                Operator::Ge => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
                Operator::Like => match (literals.first(), there.as_str()) {
                    (Some(Literal::Text(pattern)), Some(text)) => {
                        like(&pattern.to_lowercase(), &text.to_lowercase())
                    }
                    _ => false,
                },
            }
        }
    }
}

fn compare(there: &Value, literal: &Literal) -> Option<Ordering> {
    match (there, literal) {
        (Value::String(there), Literal::Text(wanted)) => {
            if let (Some(a), Some(b)) = (id::whole(there), id::whole(wanted)) {
                return Some(a.cmp(&b));
            }
            let wanted = wanted.replace("\\_", "_").replace("\\%", "%");
            Some(there.to_lowercase().cmp(&wanted.to_lowercase()))
        }
        // Dates are written the same way on both sides, so that texts compare like instants.
        (Value::String(there), Literal::Word(word)) if !word.eq_ignore_ascii_case("null") => {
            Some(there.as_str().cmp(word))
        }
        (Value::Bool(there), Literal::Word(word)) => Some(there.cmp(&word.eq_ignore_ascii_case("true"))),
        (Value::Number(there), Literal::Word(word)) => there.as_f64().partial_cmp(&word.parse().ok()),
        (Value::Null, Literal::Word(word)) if word.eq_ignore_ascii_case("null") => Some(Ordering::Equal),
        (Value::Null, Literal::Text(text)) if text.is_empty() => Some(Ordering::Equal),
        _ => None,
    }
}

/// `%` is any text, `_` one character, a backslash takes their meaning away.
fn like(pattern: &str, text: &str) -> bool {
    let mut pattern_rest = pattern.chars();
    match pattern_rest.next() {
        None => text.is_empty(),
        Some('%') => text
            .char_indices()
            .map(|(at, _)| at)
            .chain([text.len()])
            .any(|at| like(pattern_rest.as_str(), &text[at..])),
        Some(c) => {
            let wanted = if c == '\\' { pattern_rest.next() } else { Some(c) };
            let mut text_rest = text.chars();
            match text_rest.next() {
                Some(there) if (c == '_') || wanted == Some(there) => {
                    like(pattern_rest.as_str(), text_rest.as_str())
                }
                _ => false,
            }
        }
    }
}
