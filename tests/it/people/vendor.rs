//! Checks requests against BambooHR's own description: path, method, query parameters, and that an API key suffices.

use std::{fs, path::Path};

use offboard_simulators::server::Entry;
use serde_json::Value;

/// Every request of `journal` is one that BambooHR describes for basic authentication.
pub fn every_request_is_in_bamboohrs_words(journal: &[Entry]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/specs/bamboohr.json");
    let Ok(text) = fs::read_to_string(file) else {
        eprintln!("skipped the check against the vendor's words: ../shared/specs is not here");
        return;
    };
    let document: Value = serde_json::from_str(&text).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let mut wrong: Vec<String> = vec![];
    for entry in journal {
        let at = format!("{} {}", entry.method, entry.path);
        let verb = entry.method.to_lowercase();
        // A fixed path goes before one with a parameter: `changed` is no employee.
        let mut fitting: Vec<_> = paths
            .iter()
            .filter(|(path, _)| shape(path, &entry.path))
            .collect();
        fitting.sort_by_key(|(path, _)| path.matches('{').count());
        let Some(way) = fitting.first().and_then(|(_, ways)| ways.get(&verb)) else {
            wrong.push(format!("{at}: not described"));
            continue;
        };
        let parameters = way["parameters"].as_array().unwrap();
        for (name, _) in &entry.query {
            if !parameters
                .iter()
                .any(|p| p["in"] == "query" && p["name"] == name.as_str())
            {
                wrong.push(format!("{at}: no parameter {name}"));
            }
        }
        for needed in parameters
            .iter()
            .filter(|p| p["in"] == "query" && p["required"] == true)
        {
            if entry.parameter(needed["name"].as_str().unwrap()).is_none() {
                wrong.push(format!("{at}: {} is missing", needed["name"]));
            }
        }
        if !way["security"]
            .as_array()
            .unwrap()
            .iter()
            .any(|s| s.get("basic").is_some())
        {
            wrong.push(format!("{at}: not for an API key"));
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty() && !journal.is_empty(), "{wrong:#?}");
}

fn shape(described: &str, sent: &str) -> bool {
    let (described, sent): (Vec<&str>, Vec<&str>) =
        (described.split('/').collect(), sent.split('/').collect());
    described.len() == sent.len()
        && described
            .iter()
            .zip(&sent)
            .all(|(d, s)| d.starts_with('{') || d == s)
}
