//! Tables of reference: what they list is there, and where a list is meant to be whole, all of it is listed.

use std::collections::BTreeSet;

use offboard::{api::crds, controller::runtime::metrics::Metrics, core::fault::Reason};
use serde_json::Value;

use crate::{page::Page, pages, read};

fn chapter(name: &str) -> Page {
    let file = format!("docs/src/{name}.md");
    Page::new(&file, &read(&file))
}

#[test]
fn every_reason_of_a_fault_is_explained_and_no_other() {
    let schema = schemars::schema_for!(Reason).to_value();
    let known: BTreeSet<String> = schema["oneOf"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["const"].as_str().unwrap().to_owned())
        .collect();
    assert!(known.len() > 20);
    let listed: BTreeSet<String> = chapter("statuses").table("faults").names().into_iter().collect();
    assert_eq!(listed, known);
}

#[test]
fn every_word_of_a_status_that_is_explained_is_one_of_the_program() {
    let mut sources = String::new();
    let mut open = vec![crate::root().join("src")];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                sources += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    // As a text, or as a variant that is written by its name.
    let written =
        |word: &str| sources.contains(&format!("\"{word}\"")) || sources.contains(&format!("    {word},\n"));
    let pages = [
        chapter("statuses"),
        chapter("connectors"),
        Page::new("README.md", &read("README.md")),
    ];
    let tables = pages.iter().flat_map(|page| &page.tables);
    let of_statuses =
        |head: &String| ["condition", "reason", "`STATUS`", "`STATUS` of a leaver"].contains(&head.as_str());
    let mut explained = 0;
    for table in tables.filter(|table| of_statuses(&table.rows[0][0])) {
        for word in table.names() {
            assert!(written(&word), "{}: nothing writes {word}", table.heading);
            explained += 1;
        }
    }
    assert!(explained > 80, "{explained}");
}

#[test]
fn every_metric_is_listed_by_its_name() {
    let metrics = Metrics::default();
    metrics.pass("done", 0.2);
    metrics.revoked("crm", 3.0);
    metrics.drifted("crm", 2);
    metrics.synced("people", "bamboo", jiff::Timestamp::UNIX_EPOCH);
    metrics.message("hr", "Offboarded".to_owned(), "sent");
    let text = metrics.text([("Offboarded".to_owned(), 2)], [("crm".to_owned(), 0)]);
    let kind = |name: &str, kind: &str| text.contains(&format!("# TYPE {name} {kind}\n"));
    let operating = chapter("operating");
    let table = operating.table("what-to-watch");
    for row in table.rows.iter().skip(1) {
        let name = row[0].trim_matches('`');
        assert!(kind(name.trim_end_matches("_total"), &row[1]), "{name}\n{text}");
    }
    assert_eq!(table.rows.len() - 1, text.matches("# TYPE ").count());
}

#[test]
fn every_value_of_the_chart_that_is_explained_is_there() {
    let values: Value = serde_saphyr::from_str(&read("charts/offboard/values.yaml")).unwrap();
    let page = chapter("installing");
    let names = page.table("chart-values").names();
    assert!(names.len() > 10);
    for name in names
        .iter()
        .filter(|name| !["true", "false"].contains(&name.as_str()))
    {
        let place = format!("/{}", name.replace('.', "/"));
        assert!(values.pointer(&place).is_some(), "there is no value {name}");
    }
}

/// Every name of a property in a schema.
fn properties(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            let names = fields.get("properties").and_then(Value::as_object);
            found.extend(names.into_iter().flat_map(|names| names.keys().cloned()));
            fields.values().for_each(|below| properties(below, found));
        }
        Value::Array(items) => items.iter().for_each(|below| properties(below, found)),
        _ => {}
    }
}

#[test]
fn every_field_that_a_table_explains_is_one_of_ours() {
    let mut known = BTreeSet::new();
    for crd in crds::all() {
        properties(&serde_json::to_value(crd).unwrap(), &mut known);
    }
    let mut explained = 0;
    for page in pages() {
        let fields = |head: &str| ["field", "section", "field of a gate"].contains(&head);
        for table in page.tables.iter().filter(|table| fields(&table.rows[0][0])) {
            for name in table.names() {
                let name = name.split(':').next().unwrap();
                for part in name.split('.') {
                    let part = part.trim_end_matches("[]");
                    assert!(known.contains(part), "{}: no field {name}", page.file);
                }
                explained += 1;
            }
        }
    }
    assert!(explained > 40, "{explained}");
}

#[test]
fn every_request_of_a_protocol_that_is_named_is_one_of_ours() {
    let mut known = BTreeSet::new();
    for crd in crds::all() {
        properties(&serde_json::to_value(crd).unwrap(), &mut known);
    }
    for row in chapter("definitions").table("protocols").rows.iter().skip(1) {
        for request in row[1].split('`').skip(1).step_by(2) {
            assert!(known.contains(request), "no request {request}");
        }
    }
}
