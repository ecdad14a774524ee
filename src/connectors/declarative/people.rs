//! The `people` section of a definition, compiled: how an HR system is asked who works there.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, tz::TimeZone};

use super::{
    compile::{Compiler, Role},
    expression::{Expression, Scope, Unevaluable},
    graph::check_uses,
    history::History,
    problems::Problems,
    references::Uses,
    request::Compiled,
    template::{Place, Template},
    worker::{Fields, Writing},
};
use crate::api::definition::{ConnectorDefinitionSpec, Detail, PeopleSpec, Request};

/// By what managers are known as, their addresses.
pub type Managers = BTreeMap<String, String>;

/// A compiled `people` section.
#[derive(Debug)]
pub struct CompiledPeople {
    /// The requests that list everybody.
    pub everyone: Vec<Compiled>,
    /// The requests that list what changed.
    pub changed: Vec<Compiled>,
    /// Reads that are done once, for all.
    pub tables: BTreeMap<String, Table>,
    /// Reads that are done for each item.
    pub each: BTreeMap<String, Compiled>,
    /// The records of an item.
    pub records: Option<Expression>,
    /// Or how they follow from a history.
    pub history: Option<History>,
    /// Whether a record is a worker.
    pub when: Option<Expression>,
    /// What a record means.
    pub worker: Fields,
    /// What other records' `manager` may call this one.
    pub known_as: Option<Expression>,
    /// When the list was true.
    pub as_of: Option<Expression>,
    none: Option<Expression>,
    date_format: Option<Template>,
}

impl CompiledPeople {
    /// How the system writes values; `scope` knows the inputs.
    pub fn writing(&self, scope: &Scope<'_>, now: Timestamp) -> Result<Writing, Unevaluable> {
        let mut none = BTreeSet::new();
        for word in self.none.as_ref().map_or(Ok(vec![]), |none| none.list(scope))? {
            none.extend(word.as_str().map(|word| word.trim().to_lowercase()));
        }
        let format = match &self.date_format {
            Some(format) => format.text(scope)?,
            None => "%Y-%m-%d".to_owned(),
        };
        Ok(Writing {
            none,
            format,
            today: now.to_zoned(TimeZone::UTC).date(),
        })
    }
}

/// A list about everybody, of which each item gets its part.
#[derive(Debug)]
pub struct Table {
    /// Lists it.
    pub read: Compiled,
    /// Whose an element is.
    pub by: Expression,
    /// What `by` gives for the elements of an item.
    pub of: Expression,
}

/// Compiles the section; what is wrong is added to the compiler's problems.
pub fn compile(
    people: &PeopleSpec,
    spec: &ConnectorDefinitionSpec,
    compiler: &mut Compiler<'_>,
) -> Option<CompiledPeople> {
    if people.everyone.is_empty() {
        compiler.problems.add(
            "people.everyone",
            "at least one request is needed that lists everybody",
        );
    }
    let everyone = requests(&people.everyone, "people.everyone", Role::People, compiler);
    let changed = requests(&people.changed, "people.changed", Role::Changed, compiler);
    let (mut tables, mut each) = (BTreeMap::new(), BTreeMap::new());
    for (name, detail) in &people.details {
        let path = format!("people.details.{name}");
        match (&detail.by, &detail.of) {
            (Some(by), Some(of)) => {
                if let Some(table) = table(detail, by, of, &path, compiler) {
                    tables.insert(name.clone(), table);
                }
            }
            (None, None) => {
                let read = compiler.request(&detail.read, &format!("{path}.read"), Role::Detail);
                each.extend(read.map(|read| (name.clone(), read)));
            }
            _ => compiler.problems.add(
                path,
                "by and of go together: whose an element of the read is, and whose are meant",
            ),
        }
    }
    let names = names(people);
    let worker = Fields::compile(&people.worker, &names, compiler);
    let expression = |text: &Option<String>, path: &str, names: &[&str], compiler: &mut Compiler<'_>| {
        compiler.optional(text.as_ref(), path, names)
    };
    let without_record: Vec<&str> = names.iter().copied().filter(|name| *name != "record").collect();
    let records = expression(&people.records, "people.records", &without_record, compiler);
    if people.records.is_some() && people.history.is_some() {
        let problem = "records come from history or from records; remove one of them";
        compiler.problems.add("people.records", problem);
    }
    let history = people.history.as_ref();
    let history = history.and_then(|history| History::compile(history, &without_record, compiler));
    let when = expression(&people.when, "people.when", &names, compiler);
    let known_as = expression(&people.known_as, "people.knownAs", &names, compiler);
    let as_of = expression(
        &people.as_of,
        "people.asOf",
        &["inputs", "now", "response"],
        compiler,
    );
    let inputs = &["inputs"];
    let none = expression(&people.none, "people.none", inputs, compiler);
    let date_format = people
        .date_format
        .as_ref()
        .and_then(|format| compiler.template(format, Place::Plain, "people.dateFormat", inputs));
    let compiled = CompiledPeople {
        everyone,
        changed,
        tables,
        each,
        records,
        history,
        when,
        worker: worker?,
        known_as,
        as_of,
        none,
        date_format,
    };
    check_references(&compiled, spec, compiler.problems);
    Some(compiled)
}

/// The names that the expressions about a worker know.
fn names(people: &PeopleSpec) -> Vec<&'static str> {
    let mut names = vec!["item", "inputs", "now"];
    if !people.details.is_empty() {
        names.push("details");
    }
    if people.records.is_some() || people.history.is_some() {
        names.push("record");
    }
    names
}

fn requests(from: &[Request], path: &str, role: Role, compiler: &mut Compiler<'_>) -> Vec<Compiled> {
    from.iter()
        .enumerate()
        .filter_map(|(i, request)| compiler.request(request, &format!("{path}[{i}]"), role))
        .collect()
}

fn table(detail: &Detail, by: &str, of: &str, path: &str, compiler: &mut Compiler<'_>) -> Option<Table> {
    let names = ["item", "inputs", "now"];
    let read = compiler.request(&detail.read, &format!("{path}.read"), Role::People);
    let by = compiler.expression(by, &format!("{path}.by"), &names);
    let of = compiler.expression(of, &format!("{path}.of"), &names);
    Some(Table {
        read: read?,
        by: by?,
        of: of?,
    })
}

fn check_references(people: &CompiledPeople, spec: &ConnectorDefinitionSpec, problems: &mut Problems) {
    let tables = people.tables.values();
    let requests = people.everyone.iter().chain(&people.changed);
    let requests = requests
        .chain(people.each.values())
        .chain(tables.clone().map(|table| &table.read));
    for request in requests {
        check_uses(&request.path, &request.uses, spec, problems);
    }
    if let Some(format) = &people.date_format {
        let mut uses = Uses::default();
        format.uses(&mut uses);
        check_uses("people.dateFormat", &uses, spec, problems);
    }
    let optional = [
        &people.records,
        &people.when,
        &people.known_as,
        &people.as_of,
        &people.none,
    ];
    let keys = tables.flat_map(|table| [&table.by, &table.of]);
    for expression in optional
        .into_iter()
        .flatten()
        .chain(keys)
        .chain(people.history.iter().flat_map(History::expressions))
        .chain(people.worker.expressions())
    {
        check_uses(expression.path(), expression.uses(), spec, problems);
    }
}
