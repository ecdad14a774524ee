//! Checks requests against Google's own discovery documents: path, method, query parameters, names and types in the
//! body, and that a scope which the definition asks for suffices.

use std::{fs, path::Path};

use offboard_simulators::server::Entry;
use serde_json::Value;

use super::scene::{MAIL_SCOPES, SCOPES};

/// Each document by its name in Google's Python client, which `tests/install` fetches, and by its short name.
const DOCUMENTS: [(&str, &str); 5] = [
    ("admin.directory_v1", "directory"),
    ("admin.datatransfer_v1", "datatransfer"),
    ("drive.v3", "drive"),
    ("gmail.v1", "gmail"),
    ("admin.reports_v1", "reports"),
];

/// Every request of `journal` that goes to Google is one that Google describes.
pub fn every_request_is_in_the_vendors_words(journal: &[Entry]) {
    let Some(documents) = documents() else {
        eprintln!("skipped the check against the vendor's words: run tests/install first");
        return;
    };
    let mut wrong: Vec<String> = vec![];
    let asked = journal
        .iter()
        .filter(|entry| entry.path != "/token" && !entry.path.starts_with("/end-user/"));
    for entry in asked {
        let found = documents
            .iter()
            .find_map(|document| Some((document, method(document, entry)?)));
        match found {
            None => wrong.push(format!("{} {}: not described", entry.method, entry.path)),
            Some((document, method)) => check(document, method, entry, &mut wrong),
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn documents() -> Option<Vec<Value>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |(name, short): &(&str, &str)| {
        let fetched = fs::read_to_string(here.join(format!("target/peers/google/{name}.json")));
        let kept = || fs::read_to_string(here.join(format!("../shared/specs/google-{short}.json")));
        serde_json::from_str(&fetched.or_else(|_| kept()).ok()?).ok()
    };
    DOCUMENTS.iter().map(read).collect()
}

/// The method of a document that a request calls.
fn method<'d>(document: &'d Value, entry: &Entry) -> Option<&'d Value> {
    let mut left = vec![document];
    while let Some(resource) = left.pop() {
        left.extend(
            resource["resources"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(_, inner)| inner),
        );
        for (_, method) in resource["methods"].as_object().into_iter().flatten() {
            let path = method["flatPath"].as_str().or(method["path"].as_str()).unwrap();
            let full = format!("/{}{path}", document["servicePath"].as_str().unwrap());
            if method["httpMethod"] == entry.method.as_str() && shape(&full, &entry.path) {
                return Some(method);
            }
        }
    }
    None
}

fn shape(described: &str, sent: &str) -> bool {
    let (described, sent): (Vec<&str>, Vec<&str>) =
        (described.split('/').collect(), sent.split('/').collect());
    described.len() == sent.len()
        && described
            .iter()
            .zip(&sent)
            .all(|(d, s)| (d.starts_with('{') && !s.is_empty()) || d == s)
}

fn check(document: &Value, method: &Value, entry: &Entry, wrong: &mut Vec<String>) {
    let id = method["id"].as_str().unwrap();
    for (name, _) in &entry.query {
        if method["parameters"].get(name).is_none() && document["parameters"].get(name).is_none() {
            wrong.push(format!("{id}: no query parameter {name}"));
        }
    }
    let needed = method["parameters"].as_object().into_iter().flatten();
    for (name, _) in needed.filter(|(_, p)| p["required"] == true && p["location"] == "query") {
        if entry.parameter(name).is_none() {
            wrong.push(format!("{id}: {name} is required"));
        }
    }
    match (method["request"]["$ref"].as_str(), entry.body.is_null()) {
        (Some(schema), false) => body(document, schema, &entry.body, id, wrong),
        (None, false) => wrong.push(format!("{id}: takes no body")),
        _ => {}
    }
    let granted = [SCOPES.as_slice(), &MAIL_SCOPES].concat();
    let sufficient = method["scopes"].as_array().unwrap();
    if !sufficient
        .iter()
        .any(|scope| granted.contains(&scope.as_str().unwrap()))
    {
        wrong.push(format!("{id}: no scope of ours suffices"));
    }
}

fn body(document: &Value, schema: &str, body: &Value, at: &str, wrong: &mut Vec<String>) {
    let properties = &document["schemas"][schema]["properties"];
    for (name, value) in body.as_object().into_iter().flatten() {
        match properties.get(name) {
            None => wrong.push(format!("{at}: {schema} has no {name}")),
            Some(described) => typed(document, described, value, &format!("{at}.{name}"), wrong),
        }
    }
}

fn typed(document: &Value, described: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    if let Some(schema) = described["$ref"].as_str() {
        return body(document, schema, value, at, wrong);
    }
    let fits = match described["type"].as_str() {
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("array") => {
            for element in value.as_array().into_iter().flatten() {
                typed(document, &described["items"], element, at, wrong);
            }
            value.is_array()
        }
        _ => true,
    };
    if !fits {
        wrong.push(format!("{at}: of another type"));
    }
}
