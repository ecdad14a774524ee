//! Reads a definition and says everything that is wrong with it, each with the path of the field and the fix.

use std::{collections::BTreeMap, sync::Arc};

use jiff::SignedDuration;
use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use super::{
    compile::{BOUND, Compiler, Protocol, Role},
    expression::Expression,
    graph,
    inputs::fits,
    problems::Problems,
    references::Uses,
    request::Compiled,
    template::{Place, Template},
};
use crate::{
    api::definition::{ConnectorDefinitionSpec, Fact, FaultIs},
    core::{
        fact::{Class, FactSpec, Proof, Stage},
        fault::Reason,
    },
};

/// A definition that is sound, ready to be connected. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Definition(pub(super) Arc<Loaded>);

/// Everything that is compiled of a definition.
#[derive(Debug)]
pub(super) struct Loaded {
    pub name: String,
    pub spec: ConnectorDefinitionSpec,
    pub find: Vec<Compiled>,
    pub id: Expression,
    pub account_name: Expression,
    pub same: Expression,
    pub protected: Option<Expression>,
    pub echo: Option<Expression>,
    pub reads: BTreeMap<String, Compiled>,
    pub facts: BTreeMap<String, CompiledFact>,
    pub order: Vec<FactSpec>,
    pub faults: Vec<Rule>,
}

/// One fact, compiled.
#[derive(Debug)]
pub(super) struct CompiledFact {
    pub spec: FactSpec,
    pub optional: bool,
    pub description: String,
    pub when: Option<Expression>,
    pub holds: Option<Expression>,
    pub from: Option<Expression>,
    pub snapshot: Option<Expression>,
    pub act: Vec<Compiled>,
    pub ladder: Vec<Compiled>,
    pub undo: Vec<Compiled>,
    pub running: Option<Expression>,
    pub failed: Option<Expression>,
    pub says: Option<Template>,
    /// Everything but `undo` refers to.
    pub uses: Uses,
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
        let message: String = error.to_string().lines().next().unwrap_or_default().into();
        Problems::one("(file)", format!("not YAML: {message}"))
    })?;
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

impl Definition {
    /// Checks and compiles a definition.
    ///
    /// # Errors
    /// Everything that is wrong, each with the path of its field.
    pub fn compile(name: &str, spec: ConnectorDefinitionSpec) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let sections = [
            (Protocol::Http, spec.http.is_some()),
            (Protocol::Ldap, spec.ldap.is_some()),
            (Protocol::Sql, spec.sql.is_some()),
        ];
        let set: Vec<Protocol> = sections.iter().filter(|(_, set)| *set).map(|(p, _)| *p).collect();
        let [protocol] = set.as_slice() else {
            return Err(Problems::one(
                "spec",
                "exactly one of http, ldap and sql is needed",
            ));
        };
        check_inputs(&spec, &mut problems);
        let loaded = load(name, spec, *protocol, &mut problems);
        match loaded {
            Some(loaded) if problems.0.is_empty() => Ok(Self(Arc::new(loaded))),
            _ => Err(problems),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What it was made from.
    pub fn spec(&self) -> &ConnectorDefinitionSpec {
        &self.0.spec
    }

    /// All its facts, optional ones too, in the order in which they are asked for.
    pub fn facts(&self) -> &[FactSpec] {
        &self.0.order
    }
}

fn load(
    name: &str,
    spec: ConnectorDefinitionSpec,
    protocol: Protocol,
    problems: &mut Problems,
) -> Option<Loaded> {
    let mut compiler = Compiler { protocol, problems };
    let recognise = ["item", "who", "inputs"];
    let account = &spec.account;
    if account.find.is_empty() {
        compiler
            .problems
            .add("account.find", "at least one way to find an account is needed");
    }
    let find: Vec<Compiled> = account
        .find
        .iter()
        .enumerate()
        .filter_map(|(i, r)| compiler.request(r, &format!("account.find[{i}]"), Role::Find))
        .collect();
    let id = compiler.expression(&account.id, "account.id", &recognise);
    let account_name = compiler.expression(&account.name, "account.name", &recognise);
    let same = compiler.expression(&account.same, "account.same", &recognise);
    let protected = compiler.optional(account.protected.as_ref(), "account.protected", &recognise);
    let echo = compiler.optional(account.echo.as_ref(), "account.echo", &["response", "item"]);
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
    let facts: BTreeMap<String, CompiledFact> = spec
        .facts
        .iter()
        .map(|(fact, f)| (fact.clone(), compile_fact(fact, f, &spec, &mut compiler)))
        .collect();
    let faults = compile_rules(&spec, &mut compiler);
    check_account(&spec, compiler.problems);
    super::driver_section::check(&spec, compiler.problems);
    let order = graph::order(&spec, &facts, problems);
    graph::check_references(&spec, &find, &reads, &facts, problems);
    Some(Loaded {
        name: name.to_owned(),
        find,
        id: id?,
        account_name: account_name?,
        same: same?,
        protected,
        echo,
        reads,
        facts,
        order,
        faults,
        spec,
    })
}

fn check_account(spec: &ConnectorDefinitionSpec, problems: &mut Problems) {
    if let Some(shows) = &spec.account.shows
        && !spec.reads.contains_key(shows)
    {
        problems.add("account.shows", format!("there is no read '{shows}'"));
    }
    if spec.account.echo.is_some() && spec.account.shows.is_none() {
        problems.add(
            "account.echo",
            "needs account.shows: name the read whose answers carry the id",
        );
    }
    if spec.facts.is_empty() {
        problems.add("facts", "at least one fact is needed");
    }
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

fn compile_fact(
    name: &str,
    fact: &Fact,
    definition: &ConnectorDefinitionSpec,
    compiler: &mut Compiler<'_>,
) -> CompiledFact {
    let field = |part: &str| format!("facts.{name}.{part}");
    let requests = |list: &[crate::api::definition::Request], part: &str, compiler: &mut Compiler<'_>| {
        list.iter()
            .enumerate()
            .filter_map(|(i, r)| compiler.request(r, &format!("facts.{name}.{part}[{i}]"), Role::Act))
            .collect::<Vec<_>>()
    };
    let act = requests(&fact.act, "act", compiler);
    let ladder = requests(&fact.ladder, "ladder", compiler);
    let undo = requests(&fact.undo, "undo", compiler);
    let mut compiled = CompiledFact {
        spec: fact_spec(name, fact, definition, compiler.problems),
        optional: fact.optional,
        description: fact.description.clone(),
        when: compiler.optional(fact.when.as_ref(), &field("when"), BOUND),
        holds: compiler.optional(fact.holds.as_ref(), &field("holds"), BOUND),
        from: compiler.optional(fact.from.as_ref(), &field("from"), BOUND),
        snapshot: compiler.optional(fact.snapshot.as_ref(), &field("snapshot"), BOUND),
        running: compiler.optional(fact.running.as_ref(), &field("running"), BOUND),
        failed: compiler.optional(fact.failed.as_ref(), &field("failed"), BOUND),
        says: fact
            .says
            .as_ref()
            .and_then(|says| Template::compile(says, Place::Plain, &field("says"), BOUND, compiler.problems)),
        act,
        ladder,
        undo,
        uses: Uses::default(),
    };
    let expressions = [
        &compiled.when,
        &compiled.holds,
        &compiled.from,
        &compiled.snapshot,
        &compiled.running,
        &compiled.failed,
    ];
    let mut uses = Uses::default();
    expressions.into_iter().flatten().for_each(|e| uses.add(e.uses()));
    compiled.says.iter().for_each(|t| t.uses(&mut uses));
    compiled
        .act
        .iter()
        .chain(&compiled.ladder)
        .for_each(|r| uses.add(&r.uses));
    compiled.uses = uses;
    check_fact(name, fact, &compiled, compiler.problems);
    compiled
}

fn fact_spec(name: &str, fact: &Fact, spec: &ConnectorDefinitionSpec, problems: &mut Problems) -> FactSpec {
    let (settle, path) = match (&fact.settle, &spec.settle) {
        (Some(own), _) => (own.as_str(), format!("facts.{name}.settle")),
        (None, Some(all)) => (all.as_str(), "settle".to_owned()),
        (None, None) => ("0s", String::new()),
    };
    let settle = duration(settle).unwrap_or_else(|| {
        problems.add(path, "not a duration; write it like 30s, 5m or 1h30m");
        SignedDuration::ZERO
    });
    let default = if fact.class == Class::Deletion {
        Stage::Retention
    } else {
        Stage::Cutoff
    };
    FactSpec {
        name: name.to_owned(),
        class: fact.class,
        stage: fact.stage.unwrap_or(default),
        proof: fact.proof,
        requires: fact.requires.clone(),
        after: fact.after.clone(),
        prefers_after: fact.prefers_after.clone(),
        irreversible: fact.irreversible,
        repeatable: !fact.unrepeatable,
        removes: fact.snapshot.is_some(),
        settle,
    }
}

/// A duration such as `1h30m`: whole numbers with `ms`, `s`, `m`, `h` or `d`.
pub(super) fn duration(text: &str) -> Option<SignedDuration> {
    let mut total = SignedDuration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..]
            .find(|c: char| c.is_ascii_digit())
            .map_or(rest.len(), |n| digits + n);
        let part = match &rest[digits..unit] {
            "ms" => SignedDuration::from_millis(number),
            "s" => SignedDuration::from_secs(number),
            "m" => SignedDuration::from_secs(number.checked_mul(60)?),
            "h" => SignedDuration::from_secs(number.checked_mul(3600)?),
            "d" => SignedDuration::from_secs(number.checked_mul(86_400)?),
            _ => return None,
        };
        total = total.checked_add(part)?;
        rest = &rest[unit..];
    }
    (!text.is_empty()).then_some(total)
}

fn check_fact(name: &str, fact: &Fact, compiled: &CompiledFact, problems: &mut Problems) {
    let at = |part: &str| format!("facts.{name}.{part}");
    if !name.starts_with(|c: char| c.is_ascii_uppercase()) || !name.chars().all(|c| c.is_ascii_alphanumeric())
    {
        problems.add(
            format!("facts.{name}"),
            "a fact's name is PascalCase, such as GroupsRemoved",
        );
    }
    if fact.irreversible && !matches!(fact.class, Class::Deletion | Class::Data) {
        let why = if fact.class.security() {
            "a security fact must be possible to take back"
        } else {
            "only class Deletion and Data may be"
        };
        problems.add(
            at("irreversible"),
            format!("{why}; remove it or change the class"),
        );
    }
    let unreadable = matches!(fact.proof, Proof::None | Proof::Elapsed);
    if fact.holds.is_none() && !unreadable {
        problems.add(at("holds"), "missing; say when it is true, or set proof: None");
    }
    if fact.proof == Proof::Elapsed && fact.from.is_none() && fact.holds.is_none() {
        problems.add(
            at("from"),
            "missing; proof Elapsed needs the instant from which it is true",
        );
    }
    if fact.from.is_some() && fact.proof != Proof::Elapsed {
        problems.add(at("from"), "only goes with proof: Elapsed; remove it");
    }
    if matches!(fact.proof, Proof::None | Proof::Log) && !fact.after.is_empty() {
        problems.add(
            at("after"),
            "what cannot be read back as a state waits with requires, not after",
        );
    }
    let keyed = compiled
        .act
        .iter()
        .chain(&compiled.ladder)
        .any(|r| r.uses.name("key"));
    if fact.unrepeatable && fact.holds.is_none() && !keyed {
        problems.add(
            at("unrepeatable"),
            "must be readable (holds), or its act must carry ${key}",
        );
    }
    if !fact.act.is_empty() && !fact.ladder.is_empty() {
        problems.add(at("ladder"), "act and ladder exclude each other; remove one");
    }
    if fact.act.is_empty() && fact.ladder.is_empty() && fact.holds.is_none() && fact.from.is_none() {
        problems.add(at("act"), "nothing is asked for and nothing is read");
    }
    let undo_uses_snapshot = compiled.undo.iter().any(|r| r.uses.name("snapshot"));
    if fact.snapshot.is_none() && undo_uses_snapshot {
        problems.add(
            at("undo"),
            "uses snapshot, and this fact keeps none; add snapshot",
        );
    }
    for request in &compiled.undo {
        for read in request.uses.reads.difference(&compiled.uses.reads) {
            problems.add(
                request.path.clone(),
                format!("uses reads.{read}, which nothing else of this fact reads"),
            );
        }
    }
}
