//! The blocks in YAML. Objects are read as their kind, in which every field is known, and are sound as far as can be told without a
//! cluster; `crds_live` shows them to a real API server. What is no object is a part of the chart's values, of a policy, or the
//! file with the channels.

use std::collections::{BTreeMap, BTreeSet};

use offboard::{
    api::{
        Approval, Connector, ConnectorDefinition, LeaverSource, Offboarding, OffboardingPolicy,
        OffboardingPolicySpec,
    },
    connectors::{
        assemble::places,
        declarative::{Definition, builtin, parse},
    },
    drive::validate::check,
    notify::Outbox,
    sources::settings::Settings,
    transport::destination::{Destinations, HOSTS, Named},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{pages, root};

/// The documents of every block in YAML, each list with the place of its block.
fn blocks() -> Vec<(String, Vec<Value>)> {
    let mut all = vec![];
    for page in pages() {
        for block in page.blocks.iter().filter(|block| block.language == "yaml") {
            let place = format!("{}:{}", page.file, block.line);
            let documents =
                serde_saphyr::from_multiple(&block.text).unwrap_or_else(|error| panic!("{place}: {error}"));
            all.push((place, documents));
        }
    }
    all
}

fn typed<K: DeserializeOwned>(object: &Value) -> Result<K, String> {
    serde_json::from_value(object.clone()).map_err(|error| error.to_string())
}

fn sound(object: &Value, beside: &[Value]) -> Result<(), String> {
    match object["kind"].as_str().unwrap_or_default() {
        "Offboarding" => typed::<Offboarding>(object).map(drop),
        "Approval" => typed::<Approval>(object).map(drop),
        "OffboardingPolicy" => {
            let policy: OffboardingPolicy = typed(object)?;
            let name = policy.metadata.name.as_deref().unwrap();
            check(name, &policy.spec, &[], []).map_err(|error| error.to_string())
        }
        "LeaverSource" => {
            let source: LeaverSource = typed(object)?;
            Settings::read(&source.spec)
                .map(drop)
                .map_err(|error| error.to_string())
        }
        "ConnectorDefinition" => {
            typed::<ConnectorDefinition>(object)?;
            let compiled =
                parse(&object.to_string()).and_then(|(name, spec)| Definition::compile(&name, spec));
            compiled.map(drop).map_err(|problems| problems.to_string())
        }
        "Connector" => connector(&typed(object)?, beside),
        "Secret" => Ok(()),
        other => Err(format!("a kind {other:?}")),
    }
}

/// Its definition accepts it, and the Secret in the same block has the keys that are needed and names where they go.
fn connector(connector: &Connector, beside: &[Value]) -> Result<(), String> {
    let spec = &connector.spec;
    let text = builtin(&spec.definition).ok_or_else(|| format!("no definition {}", spec.definition))?;
    let (name, definition) = parse(text).unwrap();
    let definition = Definition::compile(&name, definition).unwrap();
    definition
        .resolve_driver(&spec.inputs)
        .map_err(|problems| problems.to_string())?;
    let reference = spec.secret_ref.as_ref().ok_or("no Secret")?;
    let secret = beside
        .iter()
        .find(|object| object["kind"] == "Secret" && object["metadata"]["name"] == *reference.name)
        .ok_or("its Secret is not beside it")?;
    for (key, about) in &definition.spec().secret {
        if !about.optional && secret["stringData"][key].is_null() {
            return Err(format!("the Secret has no {key}"));
        }
    }
    let hosts = secret["metadata"]["annotations"][HOSTS]
        .as_str()
        .unwrap_or_default();
    let hosts = Destinations::Named(Named::parse(hosts).unwrap());
    for (_, place) in places(&definition, &spec.inputs).unwrap() {
        if !hosts.include(&place.host, place.port, place.usual) {
            return Err(format!("the Secret does not name {place}"));
        }
    }
    Ok(())
}

#[test]
fn every_object_is_sound_and_a_field_that_nobody_knows_is_refused() {
    let mut kinds = BTreeMap::<String, usize>::new();
    for (place, documents) in blocks() {
        for object in documents.iter().filter(|object| object.get("kind").is_some()) {
            sound(object, &documents).unwrap_or_else(|error| panic!("{place}: {error}"));
            *kinds
                .entry(object["kind"].as_str().unwrap().to_owned())
                .or_default() += 1;
            if object["kind"] != "Secret" {
                let mut more = object.clone();
                more["spec"]["misspelled"] = true.into();
                sound(&more, &documents).expect_err("a field that nobody knows is refused");
            }
        }
    }
    let shown: BTreeSet<&str> = kinds.keys().map(String::as_str).collect();
    let all = [
        "Approval",
        "Connector",
        "ConnectorDefinition",
        "LeaverSource",
        "Offboarding",
        "OffboardingPolicy",
        "Secret",
    ];
    assert_eq!(shown, all.into_iter().collect());
}

#[test]
fn what_is_no_object_is_a_part_of_a_policy_or_the_channels() {
    let mut parts = vec![];
    for (place, documents) in blocks() {
        for part in documents.iter().filter(|object| object.get("kind").is_none()) {
            let name = part.as_object().unwrap().keys().next().unwrap().clone();
            if name == "channels" {
                let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("docs-channels");
                std::fs::create_dir_all(&folder).unwrap();
                let file = folder.join("channels.yaml");
                std::fs::write(&file, part.to_string()).unwrap();
                Outbox::read(&file).unwrap_or_else(|error| panic!("{place}: {error}"));
            } else {
                typed::<OffboardingPolicySpec>(part).unwrap_or_else(|error| panic!("{place}: {error}"));
            }
            parts.push(name);
        }
    }
    parts.sort();
    assert_eq!(parts, ["channels", "notify"]);
}

#[test]
fn the_smallest_offboarding_is_the_one_of_the_example() {
    let minimal = std::fs::read_to_string(root().join("examples/minimal/offboarding.yaml")).unwrap();
    let minimal: Value = serde_saphyr::from_str(&minimal).unwrap();
    let shown = blocks().into_iter().flat_map(|(_, documents)| documents);
    assert_eq!(shown.filter(|object| *object == minimal).count(), 1);
}
