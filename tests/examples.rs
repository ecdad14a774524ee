//! The examples, checked without a cluster: what people copy must be sound.

#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    reason = "tests are written to be read"
)]
// In a test, a panic is the report.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use offboard::{
    api::{
        Approval, ApprovalSpec, Connector, ConnectorDefinition, LeaverSource, LeaverSourceSpec, Offboarding,
        OffboardingPolicy,
    },
    connectors::{
        assemble::places,
        declarative::{Definition, builtin, builtins, parse},
    },
    drive::validate::{Member, check},
    sources::settings::Settings,
    transport::destination::{DEFINITIONS, Destinations, HOSTS, Named},
};
use serde_json::Value;

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file))
        .unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The examples that are complete in themselves.
const COMPLETE: [&str; 6] = [
    "full",
    "company",
    "without-api",
    "sources/built-in",
    "scenarios/common",
    "scenarios/hr",
];
/// What all scenarios share.
const SHARED: [&str; 2] = ["common", "hr"];

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// The objects of the manifests of an example, not of those below.
fn objects(example: &str) -> Vec<Value> {
    let mut files: Vec<_> = fs::read_dir(examples().join(example))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
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

/// Every folder with examples of ours, by its path below `examples`; not settings of Flux and Helm.
fn folders() -> Vec<String> {
    let mut found = vec![];
    let mut open = vec![examples()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("helm") && !path.ends_with("flux") {
                let below = path.strip_prefix(examples()).unwrap();
                found.push(below.to_str().unwrap().to_owned());
                open.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The folders of scenarios.
fn scenarios() -> BTreeSet<String> {
    let below = |folder: String| folder.strip_prefix("scenarios/").map(str::to_owned);
    let all = folders().into_iter().filter_map(below);
    all.filter(|folder| !folder.contains('/') && !SHARED.contains(&folder.as_str()))
        .collect()
}

fn of_kind(example: &str, kind: &str) -> Vec<Value> {
    let all = objects(example);
    all.into_iter().filter(|object| object["kind"] == kind).collect()
}

/// The built-in definition, or the one among the examples, which wins.
fn definition(name: &str) -> Definition {
    let own = folders()
        .into_iter()
        .flat_map(|example| of_kind(&example, "ConnectorDefinition"));
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
fn every_fact_that_ends_access_says_what_makes_it_effective_and_what_goes_on() {
    let examples = folders()
        .into_iter()
        .flat_map(|example| of_kind(&example, "ConnectorDefinition"));
    let all = builtins()
        .filter_map(builtin)
        .map(str::to_owned)
        .chain(["forge", "mail"].map(|name| read(&format!("src/company/{name}/definition.yaml"))))
        .chain(examples.map(|object| object.to_string()));
    let mut answered = 0;
    for text in all {
        let (name, spec) = parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
        for (fact, about) in &spec.facts {
            let asked = about.class.closes_a_way_in();
            assert!(!asked || about.effect.len() > 20, "{name}: {fact} has no effect");
            answered += usize::from(asked);
        }
    }
    assert!(answered > 40, "{answered}");
}

/// Reads an object as its kind, in which every field is known. Kinds that are not ours are not looked at.
fn read_strictly(object: &Value) -> Result<(), String> {
    fn read<K: serde::de::DeserializeOwned>(object: &Value) -> Result<(), String> {
        serde_json::from_value::<K>(object.clone())
            .map(drop)
            .map_err(|error| error.to_string())
    }
    match object["kind"].as_str().unwrap_or_default() {
        "Offboarding" => read::<Offboarding>(object),
        "OffboardingPolicy" => read::<OffboardingPolicy>(object),
        "Connector" => read::<Connector>(object),
        "ConnectorDefinition" => read::<ConnectorDefinition>(object),
        "LeaverSource" => read::<LeaverSource>(object),
        "Approval" => read::<Approval>(object),
        "Secret" | "RoleBinding" => Ok(()),
        other => Err(format!("a kind {other:?}")),
    }
}

#[test]
fn every_object_of_every_example_has_the_fields_of_its_kind_and_no_other() {
    let mut ours = 0;
    for folder in folders() {
        for object in objects(&folder) {
            let name = &object["metadata"];
            read_strictly(&object).unwrap_or_else(|error| panic!("{folder}: {name}: {error}"));
            if object["apiVersion"] == "offboard.dev/v1alpha1" {
                ours += 1;
                let mut more = object.clone();
                more["spec"]["misspelled"] = true.into();
                read_strictly(&more).expect_err("a field that nobody knows is refused");
            }
        }
    }
    assert!(ours > 60, "only {ours} were found");
}

#[test]
fn every_policy_and_every_source_of_every_example_is_accepted() {
    for folder in folders() {
        let shared = folder.starts_with("scenarios/") && !SHARED.iter().any(|own| folder.ends_with(own));
        let shared = if shared {
            objects("scenarios/common")
        } else {
            vec![]
        };
        let all: Vec<Value> = shared.into_iter().chain(objects(&folder)).collect();
        let of = |kind: &'static str| all.iter().filter(move |object| object["kind"] == kind);
        let connectors: Vec<(Connector, Definition)> = of("Connector")
            .map(|object| {
                let connector: Connector = serde_json::from_value(object.clone()).unwrap();
                let definition = definition(&connector.spec.definition);
                (connector, definition)
            })
            .collect();
        let labels = BTreeMap::new();
        let members: Vec<Member<'_>> = connectors
            .iter()
            .map(|(connector, definition)| Member {
                name: connector.metadata.name.as_deref().unwrap(),
                labels: &labels,
                spec: &connector.spec,
                facts: definition.facts(),
                knows_managers: false,
            })
            .collect();
        let policies: Vec<OffboardingPolicy> = of("OffboardingPolicy")
            .map(|object| serde_json::from_value(object.clone()).unwrap())
            .collect();
        let name = |policy: &'_ OffboardingPolicy| policy.metadata.name.clone().unwrap();
        let named: Vec<_> = policies
            .iter()
            .map(|policy| (name(policy), &policy.spec))
            .collect();
        for (name, spec) in &named {
            let others = named.iter().map(|(name, spec)| (name.as_str(), *spec));
            check(name, spec, &members, others).unwrap_or_else(|error| panic!("{folder}: {name}: {error}"));
        }
        for object in of("LeaverSource") {
            let source: LeaverSource = serde_json::from_value(object.clone()).unwrap();
            Settings::read(&source.spec).unwrap_or_else(|error| panic!("{folder}: {error}"));
        }
    }
}

#[test]
fn the_table_of_scenarios_names_each_folder_with_the_test_that_runs_its_readme() {
    let mut listed = BTreeSet::new();
    let table = read("examples/scenarios/README.md");
    for row in table.lines().filter(|line| line.contains("`scenarios::")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [title, link, test] = cells[..] else {
            panic!("{row}")
        };
        let folder = link.trim_start_matches('[').split(']').next().unwrap();
        assert_eq!(link, format!("[{folder}]({folder})"));
        let readme = read(&format!("examples/scenarios/{folder}/README.md"));
        assert_eq!(readme.lines().next().unwrap(), format!("# {title}"));
        let (module, test) = test
            .trim_matches('`')
            .strip_prefix("scenarios::")
            .unwrap()
            .split_once("::")
            .unwrap();
        let tests = read(&format!("tests/it/scenarios/{module}.rs"));
        let (_, body) = tests
            .split_once(&format!("fn {test}"))
            .unwrap_or_else(|| panic!("no test {test}"));
        let body = body.split("\n}\n").next().unwrap();
        assert!(
            body.contains("Story::open") && body.contains(&format!("\"{folder}\"")),
            "{test} does not run {folder}"
        );
        listed.insert(folder.to_owned());
    }
    assert_eq!(listed, scenarios());
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
fn every_connectors_secret_says_where_its_credentials_may_go() {
    let mut wrong = vec![];
    for example in COMPLETE {
        let secrets = of_kind(example, "Secret");
        for connector in of_kind(example, "Connector") {
            let connector: Connector = serde_json::from_value(connector).unwrap();
            let Some(reference) = &connector.spec.secret_ref else {
                continue;
            };
            let secret = secrets
                .iter()
                .find(|secret| secret["metadata"]["name"] == *reference.name);
            let annotations = &secret.unwrap()["metadata"]["annotations"];
            let said = |name: &str| annotations[name].as_str().unwrap_or_default();
            let hosts = Destinations::Named(Named::parse(said(HOSTS)).unwrap());
            let kind = &connector.spec.definition;
            for (_, place) in places(&definition(kind), &connector.spec.inputs).unwrap() {
                if !hosts.include(&place.host, place.port, place.usual) {
                    wrong.push(format!("{example} {} {HOSTS} {place}", reference.name));
                }
            }
            if builtin(kind).is_none() && !said(DEFINITIONS).split_whitespace().any(|name| name == kind) {
                wrong.push(format!("{example} {} {DEFINITIONS} {kind}", reference.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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

#[test]
fn every_built_in_definition_that_lists_people_has_a_source() {
    let connectors = of_kind("sources/built-in", "Connector");
    let sources = of_kind("sources/built-in", "LeaverSource");
    let read = |source: &Value| {
        let name = &source["spec"]["connectorRef"]["name"];
        let connector = connectors.iter().find(|c| c["metadata"]["name"] == *name);
        let connector = connector.unwrap_or_else(|| panic!("no Connector {name}"));
        connector["spec"]["definition"].as_str().unwrap().to_owned()
    };
    let shown: BTreeSet<String> = sources.iter().map(read).collect();
    let people = |name: &str| definition(name).has_people();
    let known: BTreeSet<String> = builtins()
        .filter(|name| people(name))
        .map(str::to_owned)
        .collect();
    assert!(known.len() > 4);
    assert_eq!(shown, known);
}
