//! Checks requests against Microsoft's own description of Graph v1.0: path, method, query options, names in the body,
//! and that a permission which the definition's rights name suffices.

use std::{fs, path::Path};

use offboard::connectors::declarative::{builtin, parse};
use offboard_simulators::server::Entry;
use serde_json::Value;

/// Every request of `journal` that goes to Graph is one that Microsoft describes.
pub fn every_request_is_in_the_vendors_words(journal: &[Entry]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/specs/msgraph.json");
    let Ok(text) = fs::read_to_string(file) else {
        eprintln!("skipped the check against the vendor's words: ../shared/specs is not here");
        return;
    };
    let document: Value = serde_json::from_str(&text).unwrap();
    let granted = granted();
    let mut wrong: Vec<String> = vec![];
    for entry in journal {
        let Some(path) = entry.path.strip_prefix("/v1.0") else {
            continue;
        };
        let at = format!("{} {path}", entry.method);
        let paths = document["paths"].as_object().unwrap();
        let verb = entry.method.to_lowercase();
        let found = paths
            .iter()
            .find(|(described, ways)| shape(described, path) && ways.get(&verb).is_some());
        match found {
            None => wrong.push(format!("{at}: not described")),
            Some((_, ways)) => check(&document, &ways[&verb], entry, &at, &granted, &mut wrong),
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The permissions that the definition names.
fn granted() -> Vec<String> {
    let (_, spec) = parse(builtin("microsoft-365").unwrap()).unwrap();
    let rights = spec.rights.read.iter().chain(&spec.rights.write);
    // What needs them alone is in brackets.
    let named = rights.filter_map(|right| right.split(' ').next());
    named.map(ToOwned::to_owned).collect()
}

fn shape(described: &str, sent: &str) -> bool {
    let (described, sent): (Vec<&str>, Vec<&str>) =
        (described.split('/').collect(), sent.split('/').collect());
    described.len() == sent.len()
        && described.iter().zip(&sent).all(|(d, s)| {
            // A parameter stands for an id, never for `$ref` or a type's name.
            (d.starts_with('{') && !s.starts_with('$')) || d == s
        })
}

fn check(
    document: &Value,
    way: &Value,
    entry: &Entry,
    at: &str,
    granted: &[String],
    wrong: &mut Vec<String>,
) {
    let known: Vec<&str> = way["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|parameter| parameter["in"] == "query")
        .filter_map(|parameter| parameter["name"].as_str())
        .collect();
    for (name, _) in &entry.query {
        // The token of a next link is the server's own.
        if !known.contains(&name.as_str()) && name != "$skiptoken" {
            wrong.push(format!("{at}: no query option {name}"));
        }
    }
    let schema = &way["requestBody"]["content"]["application/json"]["schema"];
    match (schema.is_null(), entry.body.is_null()) {
        (false, false) => body(document, schema, &entry.body, at, wrong),
        (true, false) => wrong.push(format!("{at}: takes no body")),
        _ => {}
    }
    // A way without `security` is not in the permissions file.
    if let Some(security) = way["security"].as_array() {
        let suffices = security
            .iter()
            .flat_map(|way| way.as_object().into_iter().flatten())
            .any(|(_, names)| {
                let names = names.as_array().into_iter().flatten().filter_map(Value::as_str);
                names
                    .into_iter()
                    .all(|name| granted.iter().any(|held| held == name))
            });
        if !suffices {
            wrong.push(format!("{at}: no permission of the rights suffices"));
        }
    }
}

fn body(document: &Value, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    let Some(object) = value.as_object() else { return };
    for (name, value) in object {
        match property(document, schema, name) {
            None => wrong.push(format!("{at}: the body has no {name}")),
            Some(described) => body(document, described, value, &format!("{at}.{name}"), wrong),
        }
    }
}

/// The property of a schema, of what it refers to, or of what it is made of.
fn property<'d>(document: &'d Value, schema: &'d Value, name: &str) -> Option<&'d Value> {
    if let Some(reference) = schema["$ref"].as_str() {
        return property(
            document,
            document.pointer(reference.trim_start_matches('#'))?,
            name,
        );
    }
    if let Some(found) = schema["properties"].get(name) {
        return Some(found);
    }
    let parts = ["allOf", "anyOf", "oneOf"]
        .into_iter()
        .filter_map(|of| schema[of].as_array())
        .flatten();
    parts.into_iter().find_map(|part| property(document, part, name))
}
