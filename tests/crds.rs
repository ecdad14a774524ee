//! What users and tools read from the CRDs, checked without a cluster.

#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    reason = "tests are written to be read"
)]
// In a test, a panic is the report.

use std::{fs, path::Path};

use offboard::api::crds::{all, render, templates};
use serde_json::Value;

/// Every node of a JSON tree with its path.
fn nodes<'a>(path: &str, value: &'a Value, found: &mut Vec<(String, &'a Value)>) {
    found.push((path.to_owned(), value));
    match value {
        Value::Object(fields) => fields
            .iter()
            .for_each(|(k, v)| nodes(&format!("{path}.{k}"), v, found)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(n, v)| nodes(&format!("{path}[{n}]"), v, found)),
        _ => {}
    }
}

fn crds() -> Vec<Value> {
    all()
        .iter()
        .map(|crd| serde_json::to_value(crd).unwrap())
        .collect()
}

fn kind(crd: &Value) -> &str {
    crd["spec"]["names"]["kind"].as_str().unwrap()
}

/// All schema nodes below the root of a CRD's schema, the root included, each with its path. What stands under
/// `default` is data and no schema.
fn schemas<'a>(path: &str, node: &'a Value, found: &mut Vec<(String, &'a Value)>) {
    found.push((path.to_owned(), node));
    for (name, property) in node["properties"].as_object().into_iter().flatten() {
        schemas(&format!("{path}.{name}"), property, found);
    }
    for below in ["items", "additionalProperties"] {
        if node[below].is_object() {
            schemas(&format!("{path}[]"), &node[below], found);
        }
    }
}

fn all_schemas(crd: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    schemas(
        kind(crd),
        &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"],
        &mut found,
    );
    found
}

/// Writes everything that is made from the types.
const FIX: &str = "cargo run -- crds --write crds && cargo run -- crds --chart charts/offboard/templates";

/// Fails unless `folder` holds exactly the wanted files, of those whose name starts with `prefix`.
fn fresh(folder: &str, prefix: &str, wanted: &[(String, String)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    for (file, text) in wanted {
        let found = fs::read_to_string(path.join(file)).unwrap_or_default();
        assert!(found == *text, "{folder}/{file} is stale; run: {FIX}");
    }
    for entry in fs::read_dir(&path).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let known = !name.starts_with(prefix) || wanted.iter().any(|(file, _)| *file == name);
        assert!(known, "{folder}/{name} belongs to no kind: remove it");
    }
}

#[test]
fn the_files_in_crds_are_what_the_types_say() {
    fresh("crds", "", &render());
}

#[test]
fn the_chart_installs_what_the_types_say() {
    fresh("charts/offboard/templates", "crd-", &templates());
}

#[test]
fn what_is_written_is_read_back_as_the_same_definition() {
    for ((file, text), crd) in render().iter().zip(crds()) {
        let read: Value = serde_saphyr::from_str(text).unwrap();
        // Through the type, which makes 0 and 0.0 the same limit.
        let read: k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition =
            serde_json::from_value(read).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), crd, "{file}");
    }
}

#[test]
fn every_property_has_a_description() {
    let bare: Vec<String> = crds()
        .iter()
        .flat_map(|crd| {
            let of_kubernetes = ["apiVersion", "kind", "metadata"].map(|f| format!("{}.{f}", kind(crd)));
            all_schemas(crd)
                .into_iter()
                .filter(|(path, _)| !path.ends_with("[]") && !of_kubernetes.contains(path))
                .filter(|(_, node)| node["description"].as_str().is_none_or(|text| text.len() < 4))
                .map(|(path, _)| path)
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(bare.is_empty(), "no description: {bare:#?}");
}

#[test]
fn no_description_carries_a_line_break_of_the_source_or_the_text_of_the_derive_macro() {
    for crd in crds() {
        for (path, node) in all_schemas(&crd) {
            let text = node["description"].as_str().unwrap_or_default();
            assert!(!text.contains("Auto-generated"), "{path}: {text}");
            for line in text.split('\n').skip(1) {
                assert!(
                    line.is_empty() || line.starts_with("- `"),
                    "{path} breaks a line at: {line}"
                );
            }
        }
    }
}

#[test]
fn every_value_of_an_enum_is_described_where_it_is_used() {
    let mut enums = 0;
    for crd in crds() {
        for (path, node) in all_schemas(&crd) {
            for value in node["enum"].as_array().into_iter().flatten() {
                let value = value
                    .as_str()
                    .unwrap_or_else(|| panic!("{path}: {value} is no text"));
                let text = node["description"].as_str().unwrap();
                assert!(
                    text.contains(&format!("`{value}`")),
                    "{path}: nothing says what {value} means"
                );
                enums += 1;
            }
        }
    }
    assert!(enums > 20, "enums were not found any more");
}

#[test]
fn a_reference_never_names_a_namespace() {
    for crd in crds() {
        for (path, node) in all_schemas(&crd) {
            let field = path.rsplit('.').next().unwrap();
            assert!(
                !field.eq_ignore_ascii_case("namespace"),
                "{path}: references stay in their namespace (R20)"
            );
            if field.ends_with("Ref") {
                let fields: Vec<&String> = node["properties"].as_object().unwrap().keys().collect();
                assert!(
                    fields
                        .iter()
                        .all(|f| ["name", "key", "uid"].contains(&f.as_str())),
                    "{path} has {fields:?}"
                );
            }
        }
    }
}

#[test]
fn no_name_is_a_boolean_for_a_yaml_1_1_reader() {
    let booleans = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    for crd in crds() {
        let names = &crd["spec"]["names"];
        let mut all = vec![&names["plural"], &names["singular"]];
        all.extend(names["shortNames"].as_array().unwrap());
        for name in all {
            let name = name.as_str().unwrap();
            assert!(!booleans.contains(&name), "{name} is read as a boolean");
        }
    }
}

/// kubectl takes a word for a category before it takes it for a kind: `get offboarding jane` would ask for all kinds.
#[test]
fn no_category_is_also_the_name_of_a_kind() {
    let crds = crds();
    let names: Vec<&Value> = crds.iter().map(|crd| &crd["spec"]["names"]).collect();
    for category in names
        .iter()
        .flat_map(|names| names["categories"].as_array().unwrap())
    {
        assert_eq!(category, "offboard", "one word shows everything of this project");
        for name in &names {
            let short = name["shortNames"].as_array().unwrap();
            assert!(
                name["singular"] != *category && name["plural"] != *category && !short.contains(category)
            );
        }
    }
}

#[test]
fn every_text_is_quoted() {
    for (file, text) in render() {
        for (n, line) in text.lines().enumerate() {
            let line = line.trim_start().trim_start_matches("- ");
            let scalar = match line.split_once(": ") {
                Some((key, value)) if key.matches('"').count() % 2 == 0 => value,
                _ => line,
            };
            let fine = scalar.starts_with('"')
                || scalar.ends_with(':')
                || ["{}", "[]", "true", "false"].contains(&scalar)
                || scalar.parse::<i64>().is_ok();
            assert!(fine, "{file}:{}: {line} is not quoted", n + 1);
        }
    }
}

#[test]
fn an_object_that_nobody_looked_at_says_so() {
    for crd in crds() {
        let version = &crd["spec"]["versions"][0];
        if version["subresources"]["status"].is_null() {
            assert!(
                ["OffboardingRecord", "HeldSet"].contains(&kind(&crd)),
                "every kind that users write has a status"
            );
            continue;
        }
        let default = &version["schema"]["openAPIV3Schema"]["properties"]["status"]["default"];
        assert_eq!(default["observedGeneration"], -1, "{}", kind(&crd));
        let ready = &default["conditions"][0];
        for (field, value) in [
            ("type", "Ready"),
            ("status", "Unknown"),
            ("reason", "NotObserved"),
            ("lastTransitionTime", "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(ready[field], value, "{}", kind(&crd));
        }
    }
}

#[test]
fn absent_is_never_written_as_null() {
    for crd in crds() {
        let mut found = Vec::new();
        nodes(kind(&crd), &crd, &mut found);
        assert!(
            found
                .iter()
                .all(|(path, value)| !path.ends_with(".nullable") || !value.is_boolean())
        );
    }
}

/// Columns that `kubectl get` prints, with the widest value each usually has.
const COLUMNS: [(&str, &[(&str, &str)]); 8] = [
    (
        "HeldSet",
        &[
            ("Source", "hr"),
            ("Changes", "20000"),
            ("Part", "10"),
            ("Of", "10"),
            ("Age", "14d"),
        ],
    ),
    (
        "Offboarding",
        &[
            ("Employee", "firstname.lastname@example.com"),
            ("Last day", "2026-09-30"),
            ("Ready", "Unknown"),
            ("Status", "AwaitingApproval"),
            ("Systems", "12/12"),
            ("Left", "128"),
            ("Age", "364d"),
        ],
    ),
    (
        "Connector",
        &[
            ("Type", "google-workspace"),
            ("Ready", "Unknown"),
            ("Status", "MissingPermission"),
            ("Age", "364d"),
        ],
    ),
    (
        "ConnectorDefinition",
        &[
            ("Title", "Microsoft 365 (Entra ID)"),
            ("Ready", "Unknown"),
            ("Status", "NotObserved"),
            ("Age", "364d"),
        ],
    ),
    (
        "OffboardingPolicy",
        &[
            ("Enforcement", "Enforce"),
            ("Deadline", "1h"),
            ("Ready", "Unknown"),
            ("Status", "Invalid"),
            ("Age", "364d"),
        ],
    ),
    (
        "LeaverSource",
        &[
            ("Connector", "workday-soap"),
            ("Ready", "Unknown"),
            ("Status", "ConnectorNotReady"),
            ("Upcoming", "1200"),
            ("Held", "200"),
            ("Synced", "59m"),
            ("Age", "364d"),
        ],
    ),
    (
        "Approval",
        &[
            ("Leaver", "leaver-0117"),
            ("Gate", "Transfer"),
            ("Decision", "Approved"),
            ("By", "alice@example.com"),
            ("Ready", "Unknown"),
            ("Status", "NotAnApprover"),
            ("Age", "364d"),
        ],
    ),
    (
        "OffboardingRecord",
        &[("Leaver", "leaver-0117"), ("Entries", "128"), ("Age", "364d")],
    ),
];

#[test]
fn the_columns_are_those_that_the_documentation_shows_and_fit_110_characters() {
    let crds = crds();
    assert_eq!(crds.len(), COLUMNS.len(), "a new kind needs its columns here");
    for crd in &crds {
        let columns = crd["spec"]["versions"][0]["additionalPrinterColumns"]
            .as_array()
            .unwrap();
        let shown: Vec<&str> = columns
            .iter()
            .filter(|column| column["priority"].as_i64().unwrap_or(0) == 0)
            .map(|column| column["name"].as_str().unwrap())
            .collect();
        let (_, wanted) = COLUMNS
            .iter()
            .find(|(of, _)| *of == kind(crd))
            .expect("a new kind needs its columns here");
        assert_eq!(
            shown,
            wanted.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            "{}",
            kind(crd)
        );

        // kubectl puts three blanks between columns; NAME comes first.
        let width = wanted.iter().fold("leaver-0117".len(), |sum, (name, value)| {
            sum + 3 + name.len().max(value.len())
        });
        assert!(width <= 110, "{} is {width} wide", kind(crd));
    }
}

#[test]
fn a_date_that_may_lie_ahead_is_a_text_because_kubectl_prints_ages() {
    for crd in crds() {
        for column in crd["spec"]["versions"][0]["additionalPrinterColumns"]
            .as_array()
            .unwrap()
        {
            if column["type"] == "date" {
                // When a feed was last read lies in the past too.
                let past = [".metadata.creationTimestamp", ".status.synced"];
                let path = column["jsonPath"].as_str().unwrap();
                assert!(past.contains(&path), "{}: {column}", kind(&crd));
            }
        }
    }
}

/// Fields of `JSONSchemaProps` in `k8s.io/apiextensions-apiserver` v0.33.0, those left out that a structural schema may
/// not have anyway.
const SCHEMA_FIELDS_OF_1_33: [&str; 30] = [
    "description",
    "type",
    "format",
    "title",
    "default",
    "maximum",
    "exclusiveMaximum",
    "minimum",
    "exclusiveMinimum",
    "maxLength",
    "minLength",
    "pattern",
    "maxItems",
    "minItems",
    "multipleOf",
    "enum",
    "maxProperties",
    "minProperties",
    "required",
    "items",
    "properties",
    "additionalProperties",
    "nullable",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
    "x-kubernetes-validations",
];

/// Fields of the definition itself around the schema, of the same version.
const FIELDS_OF_1_33: [(&str, &[&str]); 3] = [
    (
        "/spec",
        &[
            "group",
            "names",
            "scope",
            "versions",
            "conversion",
            "preserveUnknownFields",
        ],
    ),
    (
        "/spec/names",
        &[
            "plural",
            "singular",
            "shortNames",
            "kind",
            "listKind",
            "categories",
        ],
    ),
    (
        "/spec/versions/0",
        &[
            "name",
            "served",
            "storage",
            "deprecated",
            "deprecationWarning",
            "schema",
            "subresources",
            "additionalPrinterColumns",
            "selectableFields",
        ],
    ),
];

#[test]
fn no_field_is_newer_than_kubernetes_1_33() {
    for crd in crds() {
        for (pointer, known) in FIELDS_OF_1_33 {
            for field in crd.pointer(pointer).unwrap().as_object().unwrap().keys() {
                assert!(
                    known.contains(&field.as_str()),
                    "{}{pointer}: {field}",
                    kind(&crd)
                );
            }
        }
        for (path, node) in all_schemas(&crd) {
            for field in node.as_object().unwrap().keys() {
                assert!(SCHEMA_FIELDS_OF_1_33.contains(&field.as_str()), "{path}: {field}");
            }
            for rule in node["x-kubernetes-validations"].as_array().into_iter().flatten() {
                for field in rule.as_object().unwrap().keys() {
                    let known = [
                        "rule",
                        "message",
                        "messageExpression",
                        "reason",
                        "fieldPath",
                        "optionalOldSelf",
                    ];
                    assert!(known.contains(&field.as_str()), "{path}: {field}");
                }
                assert!(
                    rule["message"].is_string(),
                    "{path}: a rule says in words what is wrong"
                );
            }
        }
    }
}

/// `int32`, `int64`, `date-time`: what the API server of 1.33 knows of the formats that we could use.
#[test]
fn the_api_server_knows_every_format() {
    for crd in crds() {
        for (path, node) in all_schemas(&crd) {
            if let Some(format) = node["format"].as_str() {
                assert!(
                    ["int32", "int64", "date-time", "double"].contains(&format),
                    "{path}: {format}"
                );
            }
        }
    }
}

#[test]
fn everything_that_a_rule_compares_has_a_limit() {
    let bounded = |node: &Value| match node["type"].as_str() {
        Some("string") => node["maxLength"].is_number() || node["enum"].is_array(),
        Some("array") => node["maxItems"].is_number(),
        Some("object") => !node["additionalProperties"].is_object() || node["maxProperties"].is_number(),
        _ => true,
    };
    let crds = crds();
    for (of, compared) in [
        ("Offboarding", "Offboarding.spec.employee"),
        ("OffboardingRecord", "OffboardingRecord.spec.offboarding"),
    ] {
        let crd = crds.iter().find(|crd| kind(crd) == of).unwrap();
        let below: Vec<_> = all_schemas(crd)
            .into_iter()
            .filter(|(path, _)| path.starts_with(compared))
            .collect();
        assert!(below.len() > 2, "{compared} was not found");
        for (path, node) in below {
            assert!(bounded(node), "{path} has no limit");
        }
    }
}
