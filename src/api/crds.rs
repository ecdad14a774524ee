//! The `CustomResourceDefinition`s of all kinds, made from their Rust types. Pure: writes no file, calls nobody.
//!
//! # Why
//! The derived schema is not yet what users should get, so these are put right here, once for every kind:
//! - An object that the controller has not seen yet would look healthy to tools that read conditions, and blank to
//!   `kubectl get`. Its status therefore has a default: generation -1 and `Ready` unknown.
//! - `Option` becomes `nullable`, which only says that `null` may be written for "absent". It is removed.
//! - What the values of an enum mean is lost on the way. It is put back into the description.
//! - Each kind whose objects are looked at has the same heads in `kubectl get`: `Ready` and `Status` behind what its spec says,
//!   and `Message` at the end of the wide list.
//! - A text such as `off` or `2026-09-30` means something else to a YAML 1.1 reader when it is not quoted. Every text is.

use std::{collections::BTreeMap, fmt::Write};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use super::{
    Approval, Connector, ConnectorDefinition, HeldSet, LeaverSource, Offboarding, OffboardingPolicy,
    OffboardingRecord,
};

/// Why writing into a text cannot fail.
const WRITES: &str = "a String can always be written to";

/// The definitions of all kinds, in a fixed order.
///
/// # Panics
/// Never: what is derived from the types is plain data.
pub fn all() -> Vec<CustomResourceDefinition> {
    [
        Offboarding::crd(),
        Connector::crd(),
        ConnectorDefinition::crd(),
        OffboardingPolicy::crd(),
        OffboardingRecord::crd(),
        LeaverSource::crd(),
        HeldSet::crd(),
        Approval::crd(),
    ]
    .into_iter()
    .map(|derived| {
        let mut crd = serde_json::to_value(derived).expect("a derived definition is plain data");
        finish(&mut crd);
        serde_json::from_value(crd).expect("what was added is part of the definition's own schema")
    })
    .collect()
}

/// One file for each kind: its name, such as `offboardings.yaml`, and its text.
///
/// # Panics
/// Never: a definition is plain data.
pub fn render() -> Vec<(String, String)> {
    all()
        .into_iter()
        .map(|crd| {
            let file = format!("{}.yaml", crd.spec.names.plural);
            let crd = serde_json::to_value(crd).expect("a definition is plain data");
            (file, yaml(&crd))
        })
        .collect()
}

/// The same definitions as templates of the chart: `crds.enabled` decides whether they are installed at all, `crds.keep`
/// whether they, and with them every Offboarding, outlive the chart.
pub fn templates() -> Vec<(String, String)> {
    render()
        .into_iter()
        .map(|(file, text)| {
            // What a description has in double braces is text, not a template's action.
            let text = text.replace("{{", "{{ \"{{\" }}");
            let text = text.replacen("metadata:\n", &format!("metadata:\n{KEEP}"), 1);
            let text = format!("{{{{- if .Values.crds.enabled }}}}\n{text}{{{{- end }}}}\n");
            (format!("crd-{file}"), text)
        })
        .collect()
}

/// Makes Helm leave an object alone when the chart is uninstalled.
const KEEP: &str = r#"  {{- if .Values.crds.keep }}
  annotations:
    "helm.sh/resource-policy": "keep"
  {{- end }}
  labels:
    {{- include "offboard.labels" . | nindent 4 }}
"#;

/// What the schema of every kind gets beyond what is derived.
fn finish(crd: &mut Value) {
    let meanings = enum_meanings();
    let Some(versions) = crd.pointer_mut("/spec/versions").and_then(Value::as_array_mut) else {
        return;
    };
    for version in versions {
        let Some(schema) = version.pointer_mut("/schema/openAPIV3Schema") else {
            continue;
        };
        settle(schema, &meanings);
        if let Some(status) = schema
            .pointer_mut("/properties/status")
            .and_then(Value::as_object_mut)
        {
            not_observed_yet(status);
            heads(version);
        }
    }
}

/// Adds the heads that all kinds with conditions have.
fn heads(version: &mut Value) {
    let ready = |name: &str, field: &str| {
        let path = format!(".status.conditions[?(@.type=='Ready')].{field}");
        json!({ "name": name, "type": "string", "jsonPath": path })
    };
    let Some(columns) = version
        .pointer_mut("/additionalPrinterColumns")
        .and_then(Value::as_array_mut)
    else {
        return;
    };
    let of_spec = |column: &Value| {
        column["jsonPath"]
            .as_str()
            .is_some_and(|path| path.starts_with(".spec"))
    };
    let behind = columns.iter().take_while(|column| of_spec(column)).count();
    columns.splice(
        behind..behind,
        [ready("Ready", "status"), ready("Status", "reason")],
    );
    let mut message = ready("Message", "message");
    message["priority"] = json!(1);
    columns.push(message);
}

/// Puts one node of a schema right, and everything below it.
fn settle(schema: &mut Value, meanings: &Meanings) {
    match schema {
        Value::Object(node) => {
            node.retain(|key, value| match key.as_str() {
                "nullable" => !value.is_boolean(),
                // The API server knows no unsigned formats; `minimum` says it.
                "format" => !value.as_str().is_some_and(|f| f.starts_with("uint")),
                _ => true,
            });
            describe(node, meanings);
            node.values_mut().for_each(|inner| settle(inner, meanings));
        }
        Value::Array(items) => items.iter_mut().for_each(|inner| settle(inner, meanings)),
        _ => {}
    }
}

/// Undoes the line breaks of the source and says what each value of an enum means, unless the text names them all.
fn describe(node: &mut Map<String, Value>, meanings: &Meanings) {
    let values = node.get("enum").cloned();
    let Some(Value::String(text)) = node.get_mut("description") else {
        return;
    };
    let paragraphs: Vec<String> = text.split("\n\n").map(|p| p.replace('\n', " ")).collect();
    *text = paragraphs.join("\n\n");
    let Some(meaning) = values.and_then(|v| meanings.get(&v.to_string())) else {
        return;
    };
    if meaning
        .iter()
        .all(|(value, _)| text.contains(&format!("`{value}`")))
    {
        return;
    }
    for (value, means) in meaning {
        write!(text, "\n- `{value}`: {means}").expect(WRITES);
    }
}

/// By the list of an enum's values, as JSON: each value with its description.
type Meanings = BTreeMap<String, Vec<(String, String)>>;

/// What the values of all enums mean; the derived definitions keep only the values.
fn enum_meanings() -> Meanings {
    let mut meanings = Meanings::new();
    for schema in [
        schemars::schema_for!(Offboarding),
        schemars::schema_for!(Connector),
        schemars::schema_for!(ConnectorDefinition),
        schemars::schema_for!(OffboardingPolicy),
        schemars::schema_for!(OffboardingRecord),
        schemars::schema_for!(LeaverSource),
        schemars::schema_for!(HeldSet),
        schemars::schema_for!(Approval),
    ] {
        let types = schema.get("$defs").and_then(Value::as_object);
        for variants in types
            .into_iter()
            .flat_map(Map::values)
            .filter_map(|t| t["oneOf"].as_array())
        {
            let described: Option<Vec<(String, String)>> = variants
                .iter()
                .map(|v| {
                    Some((
                        v["const"].as_str()?.into(),
                        v["description"].as_str()?.replace('\n', " "),
                    ))
                })
                .collect();
            if let Some(described) = described {
                let values: Vec<&String> = described.iter().map(|(value, _)| value).collect();
                meanings.insert(json!(values).to_string(), described);
            }
        }
    }
    meanings
}

/// The status of an object that the controller has not seen: no tool may take it for done.
fn not_observed_yet(status: &mut Map<String, Value>) {
    if let Some(generation) = status
        .get_mut("properties")
        .and_then(|p| p.get_mut("observedGeneration"))
    {
        generation["default"] = json!(-1);
    }
    let ready = json!({
        "type": "Ready",
        "status": "Unknown",
        "reason": "NotObserved",
        "message": "the controller has not looked at this yet",
        "lastTransitionTime": "1970-01-01T00:00:00Z",
    });
    status.insert(
        "default".into(),
        json!({"observedGeneration": -1, "conditions": [ready]}),
    );
    status
        .entry("description")
        .or_insert_with(|| json!("What the controller has seen; written by it only."));
}

/// YAML in which every text is written as in JSON, so that no reader takes one for a boolean, a number or a date.
fn yaml(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

/// Writes `value` as a block whose lines start at column `indent`, and the first line at the cursor.
fn block(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (n, (key, inner)) in fields.iter().enumerate() {
                let margin = if n == 0 { 0 } else { indent };
                write!(out, "{:margin$}{}:", "", key_text(key)).expect(WRITES);
                if nests(inner) {
                    write!(out, "\n{:1$}", "", indent + 2).expect(WRITES);
                } else {
                    out.push(' ');
                }
                block(inner, indent + 2, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (n, inner) in items.iter().enumerate() {
                let margin = if n == 0 { 0 } else { indent };
                write!(out, "{:margin$}- ", "").expect(WRITES);
                block(inner, indent + 2, out);
            }
        }
        // Limits are floating-point numbers in the definition's type, and whole ones in every schema.
        Value::Number(n) if n.as_f64().is_some_and(|f| f.fract() == 0.0) => {
            writeln!(out, "{:.0}", n.as_f64().unwrap_or_default()).expect(WRITES);
        }
        scalar => writeln!(out, "{scalar}").expect(WRITES),
    }
}

/// Whether a value needs lines of its own.
fn nests(value: &Value) -> bool {
    match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

/// A key: plain where no reader can take it for anything else.
fn key_text(key: &str) -> String {
    let word = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let other = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    if word && !other.contains(&key.to_ascii_lowercase().as_str()) {
        key.into()
    } else {
        Value::from(key).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_yaml_1_1_takes_for_a_boolean_is_quoted_as_key_and_as_value() {
        assert_eq!(yaml(&json!({"off": "no"})), "\"off\": \"no\"\n");
    }

    #[test]
    fn what_is_written_reads_back_as_the_same_data() {
        let data =
            json!({"list": [{"a": [], "b": {}}, [1, "x: y # z\n"]], "empty": {}, "deep": {"x-y/z": [true]}});
        let back: Value = serde_saphyr::from_str(&yaml(&data)).unwrap();
        assert_eq!(back, data);
    }

    #[test]
    fn an_object_that_nobody_looked_at_is_not_ready() {
        let crds: Vec<Value> = all().iter().map(|c| serde_json::to_value(c).unwrap()).collect();
        let defaults: Vec<&Value> = crds
            .iter()
            .filter_map(|c| c.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/status"))
            .map(|status| &status["default"])
            .collect();
        assert_eq!(
            defaults.len(),
            6,
            "every kind but those of the controller's own has a status"
        );
        for default in defaults {
            assert_eq!(default["observedGeneration"], -1);
            assert_eq!(default["conditions"][0]["status"], "Unknown");
        }
    }
}
