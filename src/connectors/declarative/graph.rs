//! What in a definition refers to what: names that must exist, circles that must not, and the order of the facts.

use std::collections::{BTreeMap, BTreeSet};

use super::{fact::CompiledFact, problems::Problems, references::Uses, request::Compiled};
use crate::{api::definition::ConnectorDefinitionSpec, core::fact::FactSpec};

/// What is known about a person.
const PERSON: [&str; 4] = ["email", "employeeID", "displayName", "accountName"];

/// Checks that everything that is referred to exists, and that reads do not refer to each other in a circle.
pub(super) fn check_references<'c>(
    spec: &ConnectorDefinitionSpec,
    find: impl Iterator<Item = &'c Compiled> + Clone,
    reads: &'c BTreeMap<String, Compiled>,
    facts: &BTreeMap<String, CompiledFact>,
    problems: &mut Problems,
) {
    for request in find
        .clone()
        .filter(|request| request.uses.who_at_all.contains("displayName"))
    {
        problems.add(
            &request.path,
            "a name for people finds nobody; use another key of 'who'",
        );
    }
    for request in find.chain(reads.values()) {
        check_uses(&request.path, &request.uses, spec, problems);
    }
    for (name, fact) in facts {
        let path = format!("facts.{name}");
        let requests = fact.act.iter().chain(&fact.ladder).chain(&fact.undo);
        for request in requests {
            check_uses(&request.path, &request.uses, spec, problems);
        }
        let expressions = [
            &fact.when,
            &fact.holds,
            &fact.none,
            &fact.from,
            &fact.snapshot,
            &fact.running,
            &fact.failed,
        ];
        for expression in expressions.into_iter().flatten() {
            check_uses(expression.path(), expression.uses(), spec, problems);
        }
        if let Some(task) = &fact.task {
            check_uses(&format!("{path}.task"), &task.uses, spec, problems);
        }
        if let Some(says) = &fact.says {
            let mut uses = Uses::default();
            says.uses(&mut uses);
            check_uses(&format!("{path}.says"), &uses, spec, problems);
        }
    }
    let edges: BTreeMap<&str, Vec<&str>> = reads
        .iter()
        .map(|(name, read)| {
            (
                name.as_str(),
                read.uses.reads.iter().map(String::as_str).collect(),
            )
        })
        .collect();
    for name in circles(&edges) {
        problems.add(format!("reads.{name}"), "refers to itself through other reads");
    }
}

/// Whether `uses`, or a read that it rests on, compares with when access ends.
pub(super) fn is_dated(uses: &Uses, reads: &BTreeMap<String, Compiled>) -> bool {
    let mut seen = BTreeSet::new();
    let mut next = vec![uses];
    while let Some(uses) = next.pop() {
        if uses.name("cutoff") || uses.name("since") {
            return true;
        }
        let further = uses.reads.iter().filter(|read| seen.insert(read.as_str()));
        next.extend(further.filter_map(|read| reads.get(read)).map(|read| &read.uses));
    }
    false
}

/// Checks that what `uses` names exists.
pub(super) fn check_uses(path: &str, uses: &Uses, spec: &ConnectorDefinitionSpec, problems: &mut Problems) {
    for read in uses.reads.iter().filter(|read| !spec.reads.contains_key(*read)) {
        problems.add(
            path,
            format!("there is no read '{read}'{}", nearest(read, spec.reads.keys())),
        );
    }
    for input in uses
        .inputs
        .iter()
        .filter(|input| !spec.inputs.contains_key(*input))
    {
        problems.add(
            path,
            format!(
                "there is no input '{input}'{}",
                nearest(input, spec.inputs.keys())
            ),
        );
    }
    let none = BTreeMap::new();
    let details = spec.people.as_ref().map_or(&none, |people| &people.details);
    for detail in uses
        .details
        .iter()
        .filter(|detail| !details.contains_key(*detail))
    {
        problems.add(
            path,
            format!("there is no detail '{detail}'{}", nearest(detail, details.keys())),
        );
    }
    for fact in uses
        .operations
        .iter()
        .filter(|fact| !spec.facts.contains_key(*fact))
    {
        problems.add(path, format!("there is no fact '{fact}'"));
    }
    for fact in &uses.snapshots {
        if spec.facts.get(fact).is_none_or(|f| f.snapshot.is_none()) {
            problems.add(path, format!("there is no fact '{fact}' with a snapshot"));
        }
    }
    for key in uses
        .who_at_all
        .iter()
        .filter(|key| !PERSON.contains(&key.as_str()))
    {
        problems.add(
            path,
            format!("'who' has no '{key}'; it has {}", PERSON.join(", ")),
        );
    }
}

/// The end of a sentence about a name that is wrong: the one of `known` that is meant, or which there are.
pub fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a String>) -> String {
    let known: Vec<&str> = known.map(String::as_str).collect();
    // One slip: what is alike before it and after it makes up all but one letter.
    let alike = known.iter().find(|name| {
        let before = name
            .bytes()
            .zip(wrong.bytes())
            .take_while(|(a, b)| a == b)
            .count();
        let after = name
            .bytes()
            .rev()
            .zip(wrong.bytes().rev())
            .take_while(|(a, b)| a == b)
            .count();
        name.eq_ignore_ascii_case(wrong) || before + after + 1 >= name.len().max(wrong.len())
    });
    match alike {
        Some(name) => format!("; '{name}' is meant?"),
        None if known.is_empty() => "; there are none".into(),
        None => format!("; there are {}", known.join(", ")),
    }
}

/// The facts in the order of their edges, then of class, then of name.
pub(super) fn order(
    spec: &ConnectorDefinitionSpec,
    facts: &BTreeMap<String, CompiledFact>,
    problems: &mut Problems,
) -> Vec<FactSpec> {
    let mut edges: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, fact) in &spec.facts {
        let kinds = [
            ("requires", &fact.requires),
            ("after", &fact.after),
            ("prefersAfter", &fact.prefers_after),
        ];
        let into = edges.entry(name).or_default();
        for (kind, others) in kinds {
            for (i, other) in others.iter().enumerate() {
                if spec.facts.contains_key(other) {
                    into.push(other);
                } else {
                    let near = nearest(other, spec.facts.keys());
                    problems.add(
                        format!("facts.{name}.{kind}[{i}]"),
                        format!("there is no fact '{other}'{near}"),
                    );
                }
            }
        }
    }
    for name in circles(&edges) {
        problems.add(
            format!("facts.{name}"),
            "waits for itself through requires, after or prefersAfter",
        );
    }
    let mut left: Vec<&FactSpec> = facts.values().map(|fact| &fact.spec).collect();
    left.sort_by(|a, b| (a.class, &a.name).cmp(&(b.class, &b.name)));
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut order = vec![];
    while let Some(at) = left.iter().position(|fact| {
        edges
            .get(fact.name.as_str())
            .is_none_or(|e| e.iter().all(|o| done.contains(o)))
    }) {
        let next = left.remove(at);
        done.insert(&next.name);
        order.push(next.clone());
    }
    order
}

/// The names that reach themselves.
fn circles<'a>(edges: &BTreeMap<&'a str, Vec<&'a str>>) -> Vec<&'a str> {
    edges
        .keys()
        .copied()
        .filter(|start| {
            let mut seen = BTreeSet::new();
            let mut next: Vec<&str> = edges[start].clone();
            while let Some(name) = next.pop() {
                if name == *start {
                    return true;
                }
                if seen.insert(name) {
                    next.extend(edges.get(name).into_iter().flatten());
                }
            }
            false
        })
        .collect()
}
