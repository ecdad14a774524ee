//! `offboard definition explain`: the fields of a definition, and the names and functions of its expressions.
//!
//! # Why
//! Nothing is written twice: fields are explained by the schema that the cluster has, names by the table beside the type, and the
//! examples of fields are those of the built-in definitions.

use std::process::ExitCode;

use serde_json::Value;

use crate::{
    api::crds,
    cli::{
        exit,
        terminal::{BOLD, FAINT, PLAIN, out},
    },
    connectors::declarative::{builtin, builtins, nearest, parse},
};

/// The file whose first lines name what expressions may speak of.
const NAMES: &str = include_str!("../../api/definition.rs");
/// The longest example that is shown, in characters.
const LONGEST_EXAMPLE: usize = 300;

/// What expressions may call beside the functions of CEL itself, and an example of each.
const FUNCTIONS: &[(&str, &str)] = &[
    ("size(list)", "size(reads.groups) == 0"),
    ("counted(number, noun)", "counted(size(reads.groups), 'group')"),
    (
        "folded(text): for comparing names and addresses",
        "folded(item.mail) == folded(who.email)",
    ),
    ("quoted(text): for SCIM filters", "quoted(who.email)"),
    ("list.exists(x, …)", "reads.groups.exists(g, g.name == 'admins')"),
    ("list.filter(x, …)", "reads.groups.filter(g, !g.synced)"),
    ("list.map(x, …)", "reads.groups.map(g, g.id)"),
    ("text.lowerAscii()", "item.login.lowerAscii()"),
    ("text.split(separator)", "item.path.split('/')"),
    ("timestamp(text)", "timestamp(item.expires) <= now"),
    ("duration(text)", "now + duration('60m')"),
    ("filetime(instant): as Windows writes it", "filetime(now)"),
    (
        "generalizedTime(instant): as LDAP writes it",
        "generalizedTime(now)",
    ),
    ("link(header, relation)", "link(response.headers.link, 'next')"),
    ("xml(text, element)", "xml(response.body, 'user')"),
    ("merged(map, map)", "merged(item, {'blocked': true})"),
    ("has(field)", "has(who.accountName)"),
];

/// Explains the field at `path`, `names`, `functions`, or everything at the top.
///
/// # Errors
/// When there is no such field.
pub fn run(path: Option<&str>) -> Result<ExitCode, exit::Error> {
    match path {
        Some("names") => {
            names().for_each(|(name, meaning)| out!("{BOLD}{}{PLAIN}\n  {meaning}", name.replace('`', "")));
        }
        Some("functions") => {
            for (call, example) in FUNCTIONS {
                out!("{BOLD}{call}{PLAIN}\n  {FAINT}{example}{PLAIN}");
            }
        }
        path => {
            let schema = schema();
            let path = path.unwrap_or_default();
            let node = find(&schema, path).map_err(exit::Error)?;
            print(path, node);
            if path.is_empty() {
                out!("\nfurther: explain FIELD.FIELD, explain names, explain functions");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The schema of a definition's spec.
fn schema() -> Value {
    let all = crds::all().into_iter();
    let mut crds = all.filter_map(|crd| serde_json::to_value(crd).ok());
    let crd = crds.find(|crd| crd["spec"]["names"]["kind"] == "ConnectorDefinition");
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    crd.and_then(|crd| crd.pointer(spec).cloned()).unwrap_or_default()
}

/// The names and what they mean, as the table beside the type has them.
fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    let rows = NAMES.lines().filter_map(|line| line.strip_prefix("//! | `"));
    rows.filter_map(|row| {
        let (name, meaning) = row.split_once(" | ")?;
        Some((name, meaning.trim_end_matches('|').trim()))
    })
}

fn steps(path: &str) -> impl Iterator<Item = &str> {
    let steps = path.split('.').map(|step| step.split('[').next().unwrap_or(step));
    steps.filter(|step| !step.is_empty())
}

/// The node of the field at `path`; a name of the author's own, such as that of a fact, may be left out.
fn find<'s>(schema: &'s Value, path: &str) -> Result<&'s Value, String> {
    let mut node = schema;
    for step in steps(path) {
        let mut inner = node;
        while inner.get("properties").is_none()
            && let Some(element) = inner
                .get("items")
                .or_else(|| inner.get("additionalProperties"))
                .filter(|element| element.is_object())
        {
            inner = element;
        }
        let fields = inner.get("properties").and_then(Value::as_object);
        let field = fields.and_then(|fields| fields.get(step));
        let known: Vec<String> = fields.into_iter().flat_map(|f| f.keys().cloned()).collect();
        let nearest = nearest(step, known.iter());
        // A slip in the name of a field is no name of the author's own.
        let is_slip = nearest.ends_with("is meant?");
        node = match (field, node.get("additionalProperties")) {
            (Some(field), _) => field,
            (None, Some(named)) if named.is_object() && !is_slip => named,
            (None, _) => {
                return Err(format!("{path}: there is no field '{step}'{nearest}"));
            }
        };
    }
    Ok(node)
}

fn print(path: &str, node: &Value) {
    let description = |node: &Value| node["description"].as_str().unwrap_or_default().to_owned();
    if !path.is_empty() {
        let type_ = node["type"].as_str().unwrap_or("any value");
        out!("{BOLD}{path}{PLAIN} ({type_})\n  {}", description(node));
        if let Some(example) = example(path) {
            out!("  {FAINT}{example}{PLAIN}");
        }
    }
    let mut inner = node;
    while let Some(element) = inner
        .get("items")
        .or_else(|| inner.get("additionalProperties"))
        .filter(|element| element.is_object())
    {
        inner = element;
    }
    let required: Vec<&str> = inner["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, field) in inner["properties"].as_object().into_iter().flatten() {
        let needed = if required.contains(&name.as_str()) {
            " (needed)"
        } else {
            ""
        };
        out!("  {BOLD}{name}{PLAIN}{needed}\n    {}", description(field));
    }
}

/// The shortest use of the field at `path` in a built-in definition, as YAML in one line.
fn example(path: &str) -> Option<String> {
    let last = steps(path).last()?;
    let steps: Vec<&str> = steps(path).collect();
    let specs = builtins().filter_map(|name| serde_json::to_value(parse(builtin(name)?).ok()?.1).ok());
    let mut found = vec![];
    for spec in specs {
        values(&spec, &steps, &mut found);
    }
    let texts = found.into_iter().map(|value| format!("{last}: {value}"));
    texts
        .filter(|text| text.chars().count() <= LONGEST_EXAMPLE)
        .min_by_key(String::len)
}

fn values(value: &Value, steps: &[&str], found: &mut Vec<Value>) {
    match (value, steps) {
        (value, []) => {
            found.push(value.clone());
            // One of a long list is enough of an example.
            let elements = value.as_array().into_iter().flatten();
            found.extend(elements.map(|element| Value::Array(vec![element.clone()])));
        }
        (Value::Array(list), steps) => list.iter().for_each(|value| values(value, steps, found)),
        (Value::Object(map), [step, rest @ ..]) => match map.get(*step) {
            Some(value) => values(value, rest, found),
            None => map.values().for_each(|value| {
                if let Some(value) = value.get(*step) {
                    values(value, rest, found);
                }
            }),
        },
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_explained_by_the_schema_and_shown_by_an_example() {
        let schema = schema();
        for path in [
            "account.find",
            "facts.Blocked.holds",
            "facts.holds",
            "reads.user.items",
            "http.auth",
            "account.keys.email",
        ] {
            let node = find(&schema, path).unwrap();
            assert!(
                node["description"].as_str().is_some_and(|text| !text.is_empty()),
                "{path}"
            );
        }
        assert!(example("facts.holds").unwrap().starts_with("holds: "));
        assert!(example("account.keys.email").is_some() && example("account.find").is_some());
    }

    #[test]
    fn a_field_that_does_not_exist_is_answered_with_the_nearest_one() {
        let error = find(&schema(), "account.finds").unwrap_err();
        assert_eq!(
            error,
            "account.finds: there is no field 'finds'; 'find' is meant?"
        );
    }

    #[test]
    fn every_name_of_the_table_is_there_and_every_example_is_an_expression() {
        let names: Vec<&str> = names().map(|(name, _)| name).collect();
        assert!(
            names.len() > 12 && names.iter().any(|name| name.starts_with("who")),
            "{names:?}"
        );
        for (call, example) in FUNCTIONS {
            let known = ["reads", "item", "who", "now", "response"];
            let mut problems = crate::connectors::declarative::Problems::default();
            let sound =
                crate::connectors::declarative::Expression::compile(example, call, &known, &mut problems);
            assert!(sound.is_some() && problems.0.is_empty(), "{call}: {problems}");
        }
    }
}
