//! What an API server would refuse of our kinds: their definitions, asked without one.
//!
//! # Why
//! A text that is no date, an empty reason or a gate for nobody must not mean something in a folder that no cluster would take.
//! Rules that compare with what was there before (`oldSelf`) ask about a change, and a file has none.

use std::{collections::BTreeMap, sync::LazyLock};

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::{
    api::crds,
    connectors::declarative::{Expression, Problems, Scope},
};

/// Where the schema of a version is in a definition.
const SCHEMA: &str = "/spec/versions/0/schema/openAPIV3Schema";

/// What would be refused: where, and why.
#[derive(Debug)]
pub(super) struct Refusal {
    pub path: Vec<Segment>,
    pub why: String,
}

/// A kind as the API server checks it.
struct Kind {
    schema: Value,
    validator: Validator,
    rules: Vec<Rule>,
}

/// A rule in CEL about each value at a place of the schema.
struct Rule {
    place: Vec<Step>,
    holds: Expression,
    message: String,
}

/// A step into a value.
#[derive(Debug, Clone)]
enum Step {
    Field(String),
    /// Into each item of a list, or each value of a map.
    Each,
}

/// What an API server would refuse of `object`, of our kind `kind`; its status is not looked at.
pub(super) fn refusal(kind: &str, object: &Value) -> Option<Refusal> {
    static KINDS: LazyLock<BTreeMap<String, Kind>> = LazyLock::new(kinds);
    KINDS.get(kind)?.refusal(object)
}

fn kinds() -> BTreeMap<String, Kind> {
    let all = crds::all().into_iter();
    all.map(|crd| {
        let kind = crd.spec.names.kind.clone();
        let crd = serde_json::to_value(crd).expect("a definition is plain data");
        let schema = crd.pointer(SCHEMA).expect("every definition has a schema");
        (kind, Kind::new(schema.clone()))
    })
    .collect()
}

impl Kind {
    fn new(schema: Value) -> Self {
        let validator = jsonschema::options()
            .with_draft(Draft::Draft4)
            .with_pattern_options(PatternOptions::regex())
            .should_validate_formats(false)
            .build(&schema)
            .expect("a definition's schema is one");
        let mut rules = vec![];
        rules_of(&schema, &mut vec![], &mut rules);
        Self {
            schema,
            validator,
            rules,
        }
    }

    fn refusal(&self, object: &Value) -> Option<Refusal> {
        let mut object = object.clone();
        if let Some(fields) = object.as_object_mut() {
            fields.remove("status");
        }
        complete(&self.schema, &mut object);
        if let Some(error) = self.validator.iter_errors(&object).next() {
            let pointer = error.instance_path().to_string();
            return Some(Refusal {
                path: segments(&object, &pointer),
                why: error.to_string(),
            });
        }
        self.rules.iter().find_map(|rule| {
            let mut found = vec![];
            values_at(&object, &rule.place, &mut vec![], &mut found);
            let broken = found.into_iter().find(|(value, _)| {
                let scope = Scope::new().with("self", value);
                !rule.holds.holds(&scope).unwrap_or(false)
            });
            broken.map(|(_, path)| Refusal {
                path,
                why: rule.message.clone(),
            })
        })
    }
}

/// As the API server reads it: null means absent, and what is absent has its default.
fn complete(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                if let Some(default) = field.get("default")
                    && name != "status"
                {
                    fields.entry(name.clone()).or_insert_with(|| default.clone());
                }
            }
            for (name, value) in fields {
                let known = &schema["properties"][name.as_str()];
                let schema = if known.is_null() {
                    &schema["additionalProperties"]
                } else {
                    known
                };
                complete(schema, value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| complete(&schema["items"], item)),
        _ => {}
    }
}

fn rules_of(schema: &Value, place: &mut Vec<Step>, rules: &mut Vec<Rule>) {
    for rule in schema["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let text = rule["rule"].as_str().unwrap_or_default();
        if text.contains("oldSelf") {
            continue;
        }
        let mut problems = Problems::default();
        let holds = Expression::compile(text, "rule", &["self"], &mut problems);
        rules.push(Rule {
            place: place.clone(),
            holds: holds.expect("a definition's rules can be compiled"),
            message: rule["message"].as_str().unwrap_or(text).to_owned(),
        });
    }
    let mut below = |step, schema: &Value| {
        place.push(step);
        rules_of(schema, place, rules);
        place.pop();
    };
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        if name != "status" {
            below(Step::Field(name.clone()), field);
        }
    }
    for each in ["items", "additionalProperties"] {
        if schema[each].is_object() {
            below(Step::Each, &schema[each]);
        }
    }
}

/// The values of `value` at `place`, each with where it is.
fn values_at<'v>(
    value: &'v Value,
    place: &[Step],
    path: &mut Vec<Segment>,
    found: &mut Vec<(&'v Value, Vec<Segment>)>,
) {
    let Some((step, rest)) = place.split_first() else {
        return found.push((value, path.clone()));
    };
    let mut into = |segment, value| {
        path.push(segment);
        values_at(value, rest, path, found);
        path.pop();
    };
    let field = |key: &str| Segment::Map { key: key.to_owned() };
    match (step, value) {
        (Step::Field(name), value) => {
            if let Some(value) = value.get(name) {
                into(field(name), value);
            }
        }
        (Step::Each, Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                into(Segment::Seq { index }, item);
            }
        }
        (Step::Each, Value::Object(fields)) => {
            for (key, value) in fields {
                into(field(key), value);
            }
        }
        (Step::Each, _) => {}
    }
}

/// A JSON pointer into `object` as a path.
fn segments(object: &Value, pointer: &str) -> Vec<Segment> {
    let (mut path, mut at) = (vec![], Some(object));
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        let (segment, below) = match (at, part.parse()) {
            (Some(Value::Array(items)), Ok(index)) => (Segment::Seq { index }, items.get(index)),
            (at, _) => (
                Segment::Map { key: part.clone() },
                at.and_then(|at| at.get(&part)),
            ),
        };
        path.push(segment);
        at = below;
    }
    path
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(kind: &str, spec: &Value) -> Option<(String, String)> {
        let object = json!({"apiVersion": "offboard.dev/v1alpha1", "kind": kind, "metadata": {"name": "x"}, "spec": spec});
        let refusal = refusal(kind, &object)?;
        let path = refusal.path.iter().map(|segment| match segment {
            Segment::Seq { index } => format!("[{index}]"),
            Segment::Map { key } => format!(".{key}"),
            _ => "?".to_owned(),
        });
        Some((path.collect(), refusal.why))
    }

    #[test]
    fn what_no_cluster_would_take_is_refused_with_its_place() {
        let leaver = |more: Value| {
            let mut spec = json!({"employee": {"email": "jane@example.com"}, "lastDay": "2026-09-30"});
            for (key, value) in more.as_object().unwrap() {
                spec[key] = value.clone();
            }
            refused("Offboarding", &spec)
        };
        assert_eq!(leaver(json!({})), None);
        assert_eq!(leaver(json!({"reason": null})), None);
        for (more, place, part) in [
            (json!({"lastDay": "20260930"}), ".spec.lastDay", "20260930"),
            (json!({"lastDay": "2026-09-30T10:00"}), ".spec.lastDay", "T10:00"),
            (json!({"reason": ""}), ".spec.reason", ""),
            (
                json!({"employee": {"email": "mailto jane"}}),
                ".spec.employee.email",
                "mailto",
            ),
            (
                json!({"exceptions": [{"connector": "", "until": "2026-10-01", "reason": "x"}]}),
                ".spec.exceptions[0].connector",
                "",
            ),
            (
                json!({"employee": {"displayName": "Jane"}}),
                ".spec.employee",
                "email",
            ),
            (json!({"lastDay": null}), "", "set either lastDay"),
        ] {
            let (path, why) = leaver(more.clone()).unwrap_or_else(|| panic!("{more}"));
            assert_eq!(path, place, "{why}");
            assert!(why.contains(part), "{part} in {why}");
        }
        let gate = json!({"gates": [{"gate": "Revoke", "approvals": 0}]});
        let (path, why) = refused("OffboardingPolicy", &gate).unwrap();
        assert_eq!(path, ".spec.gates[0].approvals", "{why}");
    }
}
