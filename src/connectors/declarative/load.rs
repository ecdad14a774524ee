//! Reads a definition and says everything that is wrong with it, each with the path of the field and the fix.

use std::{collections::BTreeMap, sync::Arc};

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use super::{
    compile::{Compiler, Protocol, Role},
    expression::Expression,
    fact::{CompiledFact, compile_fact},
    graph,
    inputs::fits,
    lists,
    people::{self, CompiledPeople},
    presets,
    problems::Problems,
    recognise::{self, Recognise},
    references::Uses,
    request::Compiled,
    values::Values,
};
use crate::{
    api::definition::{ConnectorDefinitionSpec, FaultIs},
    core::{codes::Codes, fact::FactSpec, fault::Reason},
};

/// A definition that is sound, ready to be connected. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Definition(pub(super) Arc<Loaded>);

/// Everything that is compiled of a definition.
#[derive(Debug)]
pub(super) struct Loaded {
    pub name: String,
    pub spec: ConnectorDefinitionSpec,
    pub discover: BTreeMap<String, Compiled>,
    /// None: the system is only asked for people.
    pub account: Option<Recognise>,
    pub reads: BTreeMap<String, Compiled>,
    pub facts: BTreeMap<String, CompiledFact>,
    pub order: Vec<FactSpec>,
    pub faults: Vec<Rule>,
    /// The codes that it names.
    pub codes: Codes,
    pub people: Option<CompiledPeople>,
}

/// One rule that tells faults apart.
#[derive(Debug)]
pub(super) struct Rule {
    pub when: Expression,
    pub is: FaultIs,
    pub until: Option<Expression>,
    pub reason: Option<Reason>,
    pub code: Option<Expression>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Manifest {
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: ConnectorDefinitionSpec,
    #[serde(default, rename = "status")]
    _status: Option<Value>,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

/// Reads one `ConnectorDefinition` manifest, and gives its name and spec.
///
/// # Errors
/// The place of the first field that is unknown, missing or of the wrong type.
pub fn parse(text: &str) -> Result<(String, ConnectorDefinitionSpec), Problems> {
    let value: Value = serde_saphyr::from_str(text).map_err(|error| {
        let line = error.location().map_or(0, |at| at.line());
        Problems::one(format!("(line {line})"), not_yaml(&error))
    })?;
    parse_value(&value)
}

/// The same of a document that was read already.
pub(super) fn parse_value(value: &Value) -> Result<(String, ConnectorDefinitionSpec), Problems> {
    let manifest: Manifest = serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let path = path.strip_prefix("spec.").unwrap_or(&path).to_owned();
        Problems::one(path, error.into_inner().to_string())
    })?;
    if manifest.api_version != "offboard.dev/v1alpha1" {
        return Err(Problems::one("apiVersion", "must be offboard.dev/v1alpha1"));
    }
    if manifest.kind != "ConnectorDefinition" {
        return Err(Problems::one("kind", "must be ConnectorDefinition"));
    }
    Ok((manifest.metadata.name, manifest.spec))
}

/// What is wrong with a text that is no YAML, without its place.
pub fn not_yaml(error: &serde_saphyr::Error) -> String {
    match error.without_snippet() {
        serde_saphyr::Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("a key");
            format!("{key}: is there twice: leave one of them out")
        }
        other => {
            let text = other.to_string();
            let said = text.split(" at line ").next().unwrap_or_default();
            format!("not YAML: {}", said.lines().next().unwrap_or_default())
        }
    }
}

impl Definition {
    /// Checks and compiles a definition.
    ///
    /// # Errors
    /// Everything that is wrong, each with the path of its field.
    pub fn compile(name: &str, spec: ConnectorDefinitionSpec) -> Result<Self, Problems> {
        let mut spec = presets::extended(spec)?;
        let mut problems = Problems::default();
        lists::write_out(&mut spec, &mut problems);
        let sections = [
            (Protocol::Http, spec.http.is_some()),
            (Protocol::Ldap, spec.ldap.is_some()),
            (Protocol::Sql, spec.sql.is_some()),
            (Protocol::Sftp, spec.sftp.is_some()),
            (Protocol::Job, spec.job.is_some()),
            (Protocol::Manual, spec.manual.is_some()),
        ];
        let set: Vec<Protocol> = sections.iter().filter(|(_, set)| *set).map(|(p, _)| *p).collect();
        let [protocol] = set.as_slice() else {
            return Err(Problems::one(
                "spec",
                "exactly one of http, ldap, sql, sftp, job and manual is needed",
            ));
        };
        check_inputs(&spec, &mut problems);
        // A section that could not be compiled is missing from it, and is among the problems.
        let loaded = load(name, spec, *protocol, &mut problems);
        problems.or(|| Self(Arc::new(loaded)))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What it was made from, with every request written out.
    pub fn spec(&self) -> &ConnectorDefinitionSpec {
        &self.0.spec
    }

    /// Whether it knows accounts, and so concerns every leaver; else it is only asked for people.
    pub fn has_account(&self) -> bool {
        self.0.account.is_some()
    }

    /// Whether it can list people.
    pub fn has_people(&self) -> bool {
        self.0.people.is_some()
    }

    /// All its facts, optional ones too, in the order in which they are asked for.
    pub fn facts(&self) -> &[FactSpec] {
        &self.0.order
    }
}

fn load(name: &str, spec: ConnectorDefinitionSpec, protocol: Protocol, problems: &mut Problems) -> Loaded {
    let values = Values::compile(&spec.values, problems);
    for (path, uses) in values.uses() {
        graph::check_uses(&path, uses, &spec, problems);
    }
    let mut compiler = Compiler {
        protocol,
        values: &values,
        gone: None,
        problems,
    };
    let discover: BTreeMap<String, Compiled> = spec
        .inputs
        .iter()
        .filter_map(|(input, i)| {
            let path = format!("inputs.{input}.discover");
            let request = compiler.request(i.discover.as_ref()?, &path, Role::Discover)?;
            Some((input.clone(), request))
        })
        .collect();
    let account = spec
        .account
        .as_ref()
        .and_then(|account| recognise::compile(account, &mut compiler));
    let people = spec
        .people
        .as_ref()
        .and_then(|people| people::compile(people, &spec, &mut compiler));
    let reads: BTreeMap<String, Compiled> = spec
        .reads
        .iter()
        .filter_map(|(read, r)| {
            Some((
                read.clone(),
                compiler.request(r, &format!("reads.{read}"), Role::Read)?,
            ))
        })
        .collect();
    let last = account.as_ref().and_then(|account| account.last.as_ref());
    let last_uses: Vec<&Uses> = last
        .into_iter()
        .flat_map(|last| last.when.iter().chain([&last.holds]))
        .map(Expression::uses)
        .collect();
    for uses in &last_uses {
        graph::check_uses("account.last", uses, &spec, compiler.problems);
    }
    let facts: BTreeMap<String, CompiledFact> = spec
        .facts
        .iter()
        .map(|(fact, f)| {
            let mut ready = compile_fact(fact, f, &spec, &mut compiler);
            if ready.spec.class.takes_away() {
                for uses in &last_uses {
                    ready.uses.add(uses);
                }
            }
            ready.spec.configured = ready.when.as_ref().is_some_and(|when| when.uses().only("inputs"));
            ready.spec.dated = ready
                .holds
                .as_ref()
                .is_some_and(|holds| graph::is_dated(holds.uses(), &reads));
            (fact.clone(), ready)
        })
        .collect();
    let faults = compile_rules(&spec, &mut compiler);
    recognise::check(&spec, compiler.problems);
    super::driver_section::check(&spec, compiler.problems);
    let order = graph::order(&spec, &facts, problems);
    let find = account
        .iter()
        .flat_map(|account| account.find.iter().chain(&account.profile));
    graph::check_references(&spec, discover.values().chain(find), &reads, &facts, problems);
    Loaded {
        name: name.to_owned(),
        discover,
        account,
        reads,
        facts,
        order,
        faults,
        codes: codes(&spec, problems),
        people,
        spec,
    }
}

/// The codes that a definition lists, and those that it names.
fn codes(spec: &ConnectorDefinitionSpec, problems: &mut Problems) -> Codes {
    // What was read from text can be written as text.
    let named = Codes::of(&serde_json::to_value(spec).unwrap_or_default());
    let listed = || spec.http.iter().flat_map(|http| &http.codes);
    for (index, code) in listed().enumerate() {
        // A word that was broken at the end of a line, mostly.
        if code.is_empty() || code.contains(char::is_whitespace) {
            let problem = format!("{code:?} is no code: write one word for each");
            problems.add(format!("http.codes[{index}]"), problem);
        }
    }
    named.with(listed().cloned())
}

fn check_inputs(spec: &ConnectorDefinitionSpec, problems: &mut Problems) {
    for (name, input) in &spec.inputs {
        if let Some(pattern) = &input.pattern
            && let Err(error) = Regex::new(pattern)
        {
            let why = error.to_string().lines().last().unwrap_or_default().to_owned();
            problems.add(
                format!("inputs.{name}.pattern"),
                format!("not a regular expression: {why}"),
            );
            continue;
        }
        if let Some(default) = &input.default
            && let Err(message) = fits(input, default)
        {
            problems.add(format!("inputs.{name}.default"), message);
        }
        if input.discover.is_some() && input.default.is_none() {
            problems.add(
                format!("inputs.{name}.default"),
                "missing; say what holds where the system does not tell",
            );
        }
    }
}

fn compile_rules(spec: &ConnectorDefinitionSpec, compiler: &mut Compiler<'_>) -> Vec<Rule> {
    let names = ["response", "now", "inputs"];
    let mut rules = vec![];
    for (i, rule) in spec.faults.iter().enumerate() {
        let field = |name: &str| format!("faults[{i}].{name}");
        if rule.until.is_some() && rule.is != FaultIs::Throttled {
            compiler
                .problems
                .add(field("until"), "only goes with is: Throttled; remove it");
        }
        let when = compiler.expression(&rule.when, &field("when"), &names);
        let until = compiler.optional(rule.until.as_ref(), &field("until"), &names);
        let code = compiler.optional(rule.code.as_ref(), &field("code"), &names);
        if let Some(when) = when {
            rules.push(Rule {
                when,
                is: rule.is,
                until,
                reason: rule.reason,
                code,
            });
        }
    }
    rules
}
