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
    people::{self, CompiledPeople},
    problems::Problems,
    request::Compiled,
};
use crate::{
    api::definition::{AccountSpec, ConnectorDefinitionSpec, FaultIs},
    core::{fact::FactSpec, fault::Reason},
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
    pub people: Option<CompiledPeople>,
}

/// How an account is found and recognised.
#[derive(Debug)]
pub(super) struct Recognise {
    pub find: Vec<Compiled>,
    pub id: Expression,
    pub name: Expression,
    pub same: Expression,
    pub protected: Option<Expression>,
    /// The read that an element of `find` shows.
    pub shows: Option<String>,
    pub echo: Option<Expression>,
    pub manager: Option<CompiledManager>,
}

/// How the manager is known.
#[derive(Debug)]
pub(super) struct CompiledManager {
    pub read: String,
    pub email: Option<Expression>,
    pub employee_id: Option<Expression>,
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

    /// What it was made from.
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
    let mut compiler = Compiler { protocol, problems };
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
        .and_then(|account| recognise(account, &mut compiler));
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
    let facts: BTreeMap<String, CompiledFact> = spec
        .facts
        .iter()
        .map(|(fact, f)| (fact.clone(), compile_fact(fact, f, &spec, &mut compiler)))
        .collect();
    let faults = compile_rules(&spec, &mut compiler);
    check_account(&spec, compiler.problems);
    super::driver_section::check(&spec, compiler.problems);
    let order = graph::order(&spec, &facts, problems);
    let find = account.iter().flat_map(|account| &account.find);
    graph::check_references(&spec, discover.values().chain(find), &reads, &facts, problems);
    Loaded {
        name: name.to_owned(),
        discover,
        account,
        reads,
        facts,
        order,
        faults,
        people,
        spec,
    }
}

fn recognise(account: &AccountSpec, compiler: &mut Compiler<'_>) -> Option<Recognise> {
    let names = ["item", "who", "inputs"];
    match (account.everybody, account.find.is_empty()) {
        (false, true) => compiler.problems.add(
            "account.find",
            "at least one way to find an account is needed; or everybody: true, where nobody can be asked",
        ),
        (true, false) => compiler.problems.add(
            "account.everybody",
            "nobody is looked for then; remove find, or this",
        ),
        _ => {}
    }
    let find: Vec<Compiled> = account
        .find
        .iter()
        .enumerate()
        .filter_map(|(i, r)| compiler.request(r, &format!("account.find[{i}]"), Role::Find))
        .collect();
    let id = compiler.expression(&account.id, "account.id", &names);
    let name = compiler.expression(&account.name, "account.name", &names);
    let same = compiler.expression(&account.same, "account.same", &names);
    let protected = compiler.optional(account.protected.as_ref(), "account.protected", &names);
    let echo = compiler.optional(account.echo.as_ref(), "account.echo", &["response", "item"]);
    let manager = account.manager.as_ref().map(|manager| CompiledManager {
        read: manager.read.clone(),
        email: compiler.optional(manager.email.as_ref(), "account.manager.email", &["item"]),
        employee_id: compiler.optional(
            manager.employee_id.as_ref(),
            "account.manager.employeeID",
            &["item"],
        ),
    });
    Some(Recognise {
        find,
        id: id?,
        name: name?,
        same: same?,
        protected,
        shows: account.shows.clone(),
        echo,
        manager,
    })
}

fn check_account(spec: &ConnectorDefinitionSpec, problems: &mut Problems) {
    let Some(account) = &spec.account else {
        if spec.people.is_none() {
            problems.add(
                "account",
                "missing; say how to find an account, or in people how to list the people of an HR system",
            );
        }
        if !spec.facts.is_empty() {
            problems.add("facts", "are about an account; add account, or remove them");
        }
        if !spec.reads.is_empty() {
            problems.add("reads", "are about an account; add account, or remove them");
        }
        return;
    };
    if let Some(shows) = &account.shows
        && !spec.reads.contains_key(shows)
    {
        problems.add("account.shows", format!("there is no read '{shows}'"));
    }
    if let Some(manager) = &account.manager {
        if !spec.reads.contains_key(&manager.read) {
            problems.add(
                "account.manager.read",
                format!("there is no read '{}'", manager.read),
            );
        }
        if manager.email.is_none() && manager.employee_id.is_none() {
            problems.add(
                "account.manager",
                "email or employeeID is needed: by what others know the manager",
            );
        }
    }
    if account.echo.is_some() && account.shows.is_none() {
        problems.add(
            "account.echo",
            "needs account.shows: name the read whose answers carry the id",
        );
    }
    if spec.facts.is_empty() {
        problems.add("facts", "at least one fact is needed where there is an account");
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
