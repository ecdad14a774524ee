//! A connector's inputs, checked against what its definition asks for.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value};

use super::problems::Problems;
use crate::api::definition::{ConnectorDefinitionSpec, Input, InputType};

/// The inputs with their defaults.
///
/// # Errors
/// Unknown, missing and unfit inputs, each at `spec.inputs.NAME`.
pub(super) fn check(
    spec: &ConnectorDefinitionSpec,
    given: &BTreeMap<String, Value>,
) -> Result<Value, Problems> {
    let mut problems = Problems::default();
    let known: Vec<&str> = spec.inputs.keys().map(String::as_str).collect();
    for name in given.keys().filter(|name| !spec.inputs.contains_key(*name)) {
        let known = if known.is_empty() {
            "none".into()
        } else {
            known.join(", ")
        };
        problems.add(
            format!("spec.inputs.{name}"),
            format!("unknown input; the definition knows {known}"),
        );
    }
    let mut inputs = Map::new();
    for (name, input) in &spec.inputs {
        let path = format!("spec.inputs.{name}");
        match given.get(name).or(input.default.as_ref()) {
            Some(value) => match fits(input, value) {
                Ok(()) => {
                    inputs.insert(name.clone(), value.clone());
                }
                Err(message) => problems.add(path, message),
            },
            None if input.optional => {}
            None => {
                let about = if input.description.is_empty() {
                    String::new()
                } else {
                    format!(": {}", input.description)
                };
                problems.add(path, format!("missing; set it{about}"));
            }
        }
    }
    problems.or(|| Value::Object(inputs))
}

/// Whether `value` is what `input` asks for.
pub(super) fn fits(input: &Input, value: &Value) -> Result<(), String> {
    let (right, what) = match input.type_ {
        InputType::String => (value.is_string(), "a text"),
        InputType::Integer => (value.is_i64() || value.is_u64(), "a whole number"),
        InputType::Boolean => (value.is_boolean(), "true or false"),
        InputType::List => (value.is_array(), "a list"),
    };
    if !right {
        return Err(format!("must be {what}"));
    }
    if let (Some(pattern), Some(text)) = (&input.pattern, value.as_str()) {
        let whole =
            Regex::new(&format!("^(?:{pattern})$")).map_err(|_| "the definition's pattern is broken")?;
        if !whole.is_match(text) {
            return Err(format!("must match {pattern}"));
        }
    }
    Ok(())
}
