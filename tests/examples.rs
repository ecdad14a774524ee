//! The examples, checked without a cluster: what people copy must be sound.

#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    reason = "tests are written to be read"
)]
// In a test, a panic is the report.

use std::{collections::BTreeMap, fs, path::Path};

use offboard::{
    api::{ApprovalSpec, Connector, LeaverSourceSpec, Offboarding, OffboardingPolicy},
    connectors::declarative::{Definition, builtin, builtins, parse},
    sources::settings::Settings,
};
use serde_json::Value;

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file))
        .unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The examples that are complete in themselves.
const COMPLETE: [&str; 3] = ["full", "company", "without-api"];

/// Every object of an example.
fn objects(example: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(example);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .iter()
        .flat_map(|file| {
            serde_saphyr::from_multiple::<Value>(&fs::read_to_string(file).unwrap())
                .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
        })
        .filter(|object| !object.is_null())
        .collect()
}

fn of_kind(example: &str, kind: &str) -> Vec<Value> {
    let all = objects(example);
    all.into_iter().filter(|object| object["kind"] == kind).collect()
}

/// The built-in definition, or the one among the examples, which wins.
fn definition(name: &str) -> Definition {
    let own = COMPLETE
        .iter()
        .flat_map(|example| of_kind(example, "ConnectorDefinition"));
    let own = own
        .filter(|object| object["metadata"]["name"] == name)
        .map(|object| object.to_string());
    let built_in = || builtin(name).map(str::to_owned);
    let text = own
        .chain(built_in())
        .next()
        .unwrap_or_else(|| panic!("no definition {name}"));
    let (name, spec) = parse(&text).unwrap_or_else(|problems| panic!("{name}: {problems}"));
    Definition::compile(&name, spec).unwrap_or_else(|problems| panic!("{name}: {problems}"))
}

#[test]
fn definitions_of_ones_own_are_sound() {
    for name in ["acme-crm", "legacy-payroll", "door-badges"] {
        definition(name);
    }
}

#[test]
fn every_object_has_the_fields_of_its_kind() {
    let kinds = [
        "Offboarding",
        "OffboardingPolicy",
        "Connector",
        "ConnectorDefinition",
        "Secret",
    ];
    for example in COMPLETE {
        for object in of_kind(example, "Offboarding") {
            serde_json::from_value::<Offboarding>(object).unwrap();
        }
        for object in of_kind(example, "OffboardingPolicy") {
            serde_json::from_value::<OffboardingPolicy>(object).unwrap();
        }
        for object in objects(example) {
            assert!(kinds.contains(&object["kind"].as_str().unwrap()), "{object}");
        }
    }
}

#[test]
fn the_smallest_offboarding_has_eight_lines_and_is_the_one_that_the_chart_shows() {
    let minimal = read("examples/minimal/offboarding.yaml");
    assert_eq!(minimal.lines().count(), 8);
    let object: Value = serde_saphyr::from_str(&minimal).unwrap();
    let chart: Value = serde_saphyr::from_str(&read("charts/offboard/Chart.yaml")).unwrap();
    let shown = chart["annotations"]["artifacthub.io/crdsExamples"]
        .as_str()
        .unwrap();
    let shown: Value = serde_saphyr::from_str(shown).unwrap();
    assert_eq!(shown[0], object);
}

#[test]
fn every_definition_has_a_connector_whose_inputs_it_accepts() {
    let mut missing: Vec<String> = builtins().map(str::to_owned).collect();
    let all = COMPLETE.iter().flat_map(|example| of_kind(example, "Connector"));
    for object in all {
        let connector: Connector = serde_json::from_value(object).unwrap();
        let name = &connector.spec.definition;
        let problems = definition(name).resolve_driver(&connector.spec.inputs).err();
        assert!(problems.is_none(), "{name}: {}", problems.unwrap());
        missing.retain(|other| other != name);
    }
    assert!(missing.is_empty(), "no example of a Connector for {missing:?}");
}

#[test]
fn what_a_connector_skips_or_includes_are_facts_of_its_definition() {
    let all = COMPLETE.iter().flat_map(|example| of_kind(example, "Connector"));
    for object in all {
        let connector: Connector = serde_json::from_value(object).unwrap();
        let definition = definition(&connector.spec.definition);
        let choice = connector.spec.facts.unwrap_or_default();
        for fact in choice.skip.iter().chain(&choice.include) {
            let known = definition.facts().iter().any(|known| known.name == *fact);
            assert!(known, "{} has no fact {fact}", definition.name());
        }
    }
}

#[test]
fn every_connectors_secret_has_the_keys_that_its_definition_asks_for() {
    COMPLETE.into_iter().for_each(secrets_fit);
}

fn secrets_fit(example: &str) {
    let secrets: BTreeMap<String, Value> = of_kind(example, "Secret")
        .into_iter()
        .map(|secret| {
            (
                secret["metadata"]["name"].as_str().unwrap().to_owned(),
                secret["stringData"].clone(),
            )
        })
        .collect();
    let mut used = Vec::new();
    for object in of_kind(example, "Connector") {
        let connector: Connector = serde_json::from_value(object).unwrap();
        let definition = definition(&connector.spec.definition);
        let Some(reference) = &connector.spec.secret_ref else {
            assert!(
                definition.spec().secret.is_empty(),
                "{} needs a Secret",
                definition.name()
            );
            continue;
        };
        let secret = secrets
            .get(&reference.name)
            .unwrap_or_else(|| panic!("no Secret {}", reference.name));
        let keys = secret.as_object().unwrap();
        for (key, about) in &definition.spec().secret {
            assert!(
                about.optional || keys.contains_key(key),
                "{}: {key}",
                reference.name
            );
        }
        for key in keys.keys() {
            let known = definition.spec().secret.contains_key(key) || key == "ca.crt";
            assert!(known, "{}: {} knows no {key}", reference.name, definition.name());
        }
        used.push(reference.name.clone());
    }
    for name in secrets.keys() {
        assert!(used.contains(name), "nobody uses {name}");
    }
}

#[test]
fn no_secret_in_the_examples_could_be_a_real_one() {
    for secret in COMPLETE.iter().flat_map(|example| of_kind(example, "Secret")) {
        for (key, value) in secret["stringData"].as_object().unwrap() {
            let value = value.as_str().unwrap();
            let placeholder = value.contains("REPLACE-ME") || value.contains("example");
            assert!(placeholder, "{}: {key}", secret["metadata"]["name"]);
        }
    }
}

#[test]
fn what_names_a_connector_names_one_of_the_examples() {
    let connectors: Vec<String> = of_kind("full", "Connector")
        .iter()
        .map(|object| object["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    for object in of_kind("full", "Offboarding") {
        let offboarding: Offboarding = serde_json::from_value(object).unwrap();
        let spec = &offboarding.spec;
        let named = spec.employee.accounts.iter().map(|account| &account.connector);
        let named = named.chain(
            spec.transfers
                .iter()
                .filter_map(|transfer| transfer.connector.as_ref()),
        );
        for name in named.chain(spec.exceptions.iter().map(|exception| &exception.connector)) {
            assert!(connectors.contains(name), "no Connector {name}");
        }
    }
}

#[test]
fn flux_never_prunes_a_leaver_and_waits_by_our_conditions() {
    let flux: Value = serde_saphyr::from_str(&read("examples/flux/kustomization.yaml")).unwrap();
    assert_eq!(flux["spec"]["prune"], false);
    for check in flux["spec"]["healthCheckExprs"].as_array().unwrap() {
        assert_eq!(check["apiVersion"], "offboard.dev/v1alpha1");
    }
}

#[test]
fn the_source_is_sound_and_its_definition_lists_people() {
    let source: LeaverSourceSpec =
        serde_json::from_value(of_kind("sources", "LeaverSource")[0]["spec"].clone()).unwrap();
    Settings::read(&source).unwrap();
    let (_, spec) = parse(&read("examples/sources/definition.yaml")).unwrap();
    let definition = Definition::compile("acme-hr", spec).unwrap();
    assert!(definition.has_people() && !definition.has_account());
    let connector = &of_kind("sources", "Connector")[0];
    assert_eq!(connector["metadata"]["name"], source.connector_ref.name);
    let approval = &of_kind("sources", "Approval")[0]["spec"];
    serde_json::from_value::<ApprovalSpec>(approval.clone()).unwrap();
}
