//! One fact of a definition, compiled and checked.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::{
    compile::{BOUND, Compiler, Role},
    expression::Expression,
    problems::Problems,
    references::Uses,
    request::Compiled,
    spares::CompiledSpares,
    template::{Place, Template, has_hole},
};
use crate::{
    api::definition::{Callback, ConnectorDefinitionSpec, Fact, Request, TaskSpec},
    core::{
        fact::{Class, FactSpec, Proof, Stage},
        schedule::duration,
    },
};

/// One fact, compiled.
#[derive(Debug)]
pub(super) struct CompiledFact {
    pub spec: FactSpec,
    pub optional: bool,
    pub description: String,
    pub when: Option<Expression>,
    pub holds: Option<Expression>,
    /// The list of which none may be left.
    pub none: Option<Expression>,
    pub from: Option<Expression>,
    pub snapshot: Option<Expression>,
    pub act: Vec<Compiled>,
    pub ladder: Vec<Compiled>,
    pub undo: Vec<Compiled>,
    pub spares: Option<CompiledSpares>,
    pub running: Option<Expression>,
    pub failed: Option<Expression>,
    pub says: Option<Template>,
    /// What a person is asked to do: instead of an act, or where the act finds nothing to send.
    pub task: Option<CompiledTask>,
    /// Everything but `undo` refers to.
    pub uses: Uses,
    /// The reads that only `undo` asks for.
    pub looks_back: BTreeSet<String>,
}

/// What a person is asked to do, compiled.
#[derive(Debug)]
pub(super) struct CompiledTask {
    pub title: Template,
    pub assignee: Template,
    pub instructions: Template,
    pub due_in: Template,
    /// The definition says nothing of it: its title is what the fact says.
    pub implied: bool,
    pub as_of: Option<Expression>,
    pub uses: Uses,
}

/// How long a task may take where nothing is said.
const DUE_IN: &str = "3d";

/// The task of a fact that is read and that nothing of ours makes true, such as a group that another system feeds: a person
/// does it. Whose it is and how long it may take is up to the inputs `assignee` and `dueIn`, where the definition has them.
fn implied_task(name: &str, fact: &Fact, definition: &ConnectorDefinitionSpec) -> Option<TaskSpec> {
    let is_read = fact.proof == Proof::Direct && is_read(fact);
    let input = |name: &str| {
        let known = definition.inputs.contains_key(name);
        known.then(|| format!("${{inputs.{name}}}"))
    };
    is_read.then(|| TaskSpec {
        title: format!("make true: {name}"),
        assignee: input("assignee").unwrap_or_default(),
        due_in: input("dueIn"),
        ..TaskSpec::default()
    })
}

/// Whether it can be read that the fact is true.
fn is_read(fact: &Fact) -> bool {
    fact.holds.is_some() || fact.none.is_some()
}

/// When the fact is true: as it says, else where there is nothing left of `none`.
fn compile_holds(
    fact: &Fact,
    field: impl Fn(&str) -> String,
    compiler: &mut Compiler<'_>,
) -> Option<Expression> {
    match (&fact.holds, &fact.none) {
        (Some(holds), _) => compiler.expression(holds, &field("holds"), BOUND),
        // A comment at the end of the list ends with its line.
        (None, Some(list)) => compiler.expression(&format!("size({list}\n) == 0"), &field("none"), BOUND),
        (None, None) => None,
    }
}

/// Whether the fact concerns the account: as it says, and as long as we have not deleted it. Comments end with their line.
fn compile_when(
    fact: &Fact,
    field: impl Fn(&str) -> String,
    compiler: &mut Compiler<'_>,
) -> Option<Expression> {
    let gone = compiler.gone.clone().filter(|_| fact.class != Class::Deletion);
    match (&fact.when, gone) {
        (when, None) => compiler.optional(when.as_ref(), &field("when"), BOUND),
        (None, Some(gone)) => compiler.expression(&format!("!({gone}\n)"), "account.gone", BOUND),
        (Some(when), Some(gone)) => {
            let both = format!("!({gone}\n) && ({when}\n)");
            compiler.expression(&both, &field("when"), BOUND)
        }
    }
}

fn compile_task(task: &TaskSpec, path: &str, compiler: &mut Compiler<'_>) -> Option<CompiledTask> {
    let due_in = task.due_in.as_deref().unwrap_or(DUE_IN);
    if !has_hole(due_in) && duration(due_in).is_err() {
        compiler
            .problems
            .add(format!("{path}.dueIn"), "not a duration; write it like 3d or 12h");
    }
    if task.title.trim().is_empty() {
        compiler
            .problems
            .add(format!("{path}.title"), "empty; say what is to be done");
    }
    let mut text =
        |text: &str, name: &str| compiler.template(text, Place::Plain, &format!("{path}.{name}"), BOUND);
    let mut compiled = CompiledTask {
        title: text(&task.title, "title")?,
        assignee: text(&task.assignee, "assignee")?,
        instructions: text(&task.instructions, "instructions")?,
        due_in: text(due_in, "dueIn")?,
        implied: false,
        as_of: compiler.optional(task.as_of.as_ref(), &format!("{path}.asOf"), BOUND),
        uses: Uses::default(),
    };
    let mut uses = Uses::default();
    let texts = [
        &compiled.title,
        &compiled.assignee,
        &compiled.instructions,
        &compiled.due_in,
    ];
    for text in texts {
        text.uses(&mut uses);
    }
    compiled.as_of.iter().for_each(|as_of| uses.add(as_of.uses()));
    compiled.uses = uses;
    Some(compiled)
}

/// Compiles one fact and says what is wrong with it.
pub(super) fn compile_fact(
    name: &str,
    fact: &Fact,
    definition: &ConnectorDefinitionSpec,
    compiler: &mut Compiler<'_>,
) -> CompiledFact {
    let field = |part: &str| format!("facts.{name}.{part}");
    let none = compiler.optional(fact.none.as_ref(), &field("none"), BOUND);
    let (left, kept) = (none.as_ref().map(Expression::text), format!("snapshot.{name}"));
    let requests = |list: &[Request], part: &str, compiler: &mut Compiler<'_>| {
        let (of, path) = match part {
            "undo" => (fact.snapshot.as_ref().map(|_| kept.as_str()), field("snapshot")),
            _ => (left, field("none")),
        };
        let of = of.map(|of| (of, path.as_str()));
        let requests = list.iter().enumerate();
        let compiled = requests.filter_map(|(i, request)| {
            compiler.request_for(request, &format!("facts.{name}.{part}[{i}]"), Role::Act, of)
        });
        compiled.collect::<Vec<_>>()
    };
    let act = requests(&fact.act, "act", compiler);
    let ladder = requests(&fact.ladder, "ladder", compiler);
    let undo = requests(&fact.undo, "undo", compiler);
    let spares = fact
        .spares
        .as_ref()
        .and_then(|spares| CompiledSpares::compile(spares, &field("spares"), BOUND, compiler));
    let own = fact.task.clone().or_else(|| implied_task(name, fact, definition));
    let task = own.and_then(|task| compile_task(&task, &field("task"), compiler));
    let task = task.map(|task| CompiledTask {
        implied: fact.task.is_none(),
        ..task
    });
    let acts = !fact.act.is_empty() || !fact.ladder.is_empty();
    let counts: &[&str] = if none.is_some() { &["count"] } else { &[] };
    let said = [BOUND, counts].concat();
    let mut ready = CompiledFact {
        spec: FactSpec {
            // What comes after another fact may come by itself.
            by_hand: fact.task.is_some()
                || (task.is_some() && !acts && fact.requires.is_empty() && fact.after.is_empty()),
            ..fact_spec(name, fact, definition, compiler.problems)
        },
        optional: fact.optional,
        description: fact.description.clone(),
        when: compile_when(fact, field, compiler),
        holds: compile_holds(fact, field, compiler),
        from: compiler.optional(fact.from.as_ref(), &field("from"), BOUND),
        snapshot: compiler.optional(fact.snapshot.as_ref(), &field("snapshot"), BOUND),
        running: compiler.optional(fact.running.as_ref(), &field("running"), BOUND),
        failed: compiler.optional(fact.failed.as_ref(), &field("failed"), BOUND),
        says: fact
            .says
            .as_ref()
            .and_then(|says| compiler.template(says, Place::Plain, &field("says"), &said)),
        none,
        act,
        ladder,
        undo,
        spares,
        task,
        uses: Uses::default(),
        looks_back: BTreeSet::new(),
    };
    let expressions = [
        &ready.when,
        &ready.holds,
        &ready.none,
        &ready.from,
        &ready.snapshot,
        &ready.running,
        &ready.failed,
    ];
    let mut uses = Uses::default();
    expressions.into_iter().flatten().for_each(|e| uses.add(e.uses()));
    ready.says.iter().for_each(|t| t.uses(&mut uses));
    ready.task.iter().for_each(|task| uses.add(&task.uses));
    ready.spares.iter().for_each(|spares| uses.add(spares.of.uses()));
    ready
        .act
        .iter()
        .chain(&ready.ladder)
        .for_each(|r| uses.add(&r.uses));
    let taken_back = ready.undo.iter().flat_map(|request| &request.uses.reads);
    ready.looks_back = taken_back
        .filter(|read| !uses.reads.contains(*read))
        .cloned()
        .collect();
    ready.uses = uses;
    check_fact(name, fact, &ready, compiler.problems);
    let nowhere = definition
        .http
        .as_ref()
        .is_none_or(|http| http.callback.is_none());
    if nowhere && ready.uses.name("callback") {
        compiler
            .problems
            .add(field("act"), "uses 'callback': say in http.callback where");
    }
    ready
}

fn fact_spec(name: &str, fact: &Fact, spec: &ConnectorDefinitionSpec, problems: &mut Problems) -> FactSpec {
    let (settle, path) = match (&fact.settle, &spec.settle) {
        (Some(own), _) => (own.as_str(), format!("facts.{name}.settle")),
        (None, Some(all)) => (all.as_str(), "settle".to_owned()),
        (None, None) => ("0s", String::new()),
    };
    let settle = duration(settle).unwrap_or_else(|_| {
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
        // Known with what is compiled, and with the Connector.
        digest: String::new(),
        dated: false,
        configured: false,
        removes: fact.snapshot.is_some(),
        settle,
        by_hand: false,
        reported: fact.reported.then(|| {
            let section = spec.http.as_ref().and_then(|http| http.callback.as_ref());
            section.map_or(SignedDuration::ZERO, lasts)
        }),
    }
}

/// How long an address for an answer is good.
pub(in crate::connectors) fn lasts(section: &Callback) -> SignedDuration {
    let own = section.lasts.as_deref().and_then(|text| duration(text).ok());
    own.unwrap_or(SignedDuration::from_hours(7 * 24))
}

fn check_fact(name: &str, fact: &Fact, ready: &CompiledFact, problems: &mut Problems) {
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
    if !is_read(fact) && !unreadable {
        problems.add(
            at("holds"),
            "missing; say when it is true, in none of what nothing may be left, or set proof: None",
        );
    }
    if fact.proof == Proof::Elapsed && fact.from.is_none() && !is_read(fact) {
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
    let keyed = ready.act.iter().chain(&ready.ladder).any(|r| r.uses.name("key"));
    if fact.unrepeatable && !is_read(fact) && !keyed {
        problems.add(
            at("unrepeatable"),
            "must be readable (holds), or its act must carry ${key}",
        );
    }
    if fact.spares.is_some() && !ready.act.iter().any(|request| request.each.is_some()) {
        problems.add(at("spares"), "only goes with an act that has each; remove it");
    }
    if !fact.act.is_empty() && !fact.ladder.is_empty() {
        problems.add(at("ladder"), "act and ladder exclude each other; remove one");
    }
    if fact.task.is_some() {
        let others = [
            ("act", !fact.act.is_empty()),
            ("ladder", !fact.ladder.is_empty()),
            ("undo", !fact.undo.is_empty()),
            ("snapshot", fact.snapshot.is_some()),
            ("irreversible", fact.irreversible),
            ("unrepeatable", fact.unrepeatable),
            ("from", fact.from.is_some()),
            ("reported", fact.reported),
        ];
        for (name, _) in others.into_iter().filter(|(_, set)| *set) {
            problems.add(at(name), "a person does it: it does not go with task; remove one");
        }
        return;
    }
    if fact.act.is_empty() && fact.ladder.is_empty() && !is_read(fact) && fact.from.is_none() {
        problems.add(at("act"), "nothing is asked for and nothing is read");
    }
    if fact.reported && fact.proof != Proof::None {
        problems.add(
            at("reported"),
            "only goes with proof: None; what can be read is read when the system calls back",
        );
    }
    let asks = |requests: &[Compiled]| requests.iter().any(|r| r.uses.name("callback"));
    if fact.reported && !asks(&ready.act) && !asks(&ready.ladder) {
        problems.add(at("reported"), "its act must tell the system where: ${callback}");
    }
    if asks(&ready.undo) {
        problems.add(at("undo"), "nobody waits for an answer to it: it has no callback");
    }
    let undo_uses_snapshot = ready.undo.iter().any(|r| r.uses.name("snapshot"));
    if fact.snapshot.is_none() && undo_uses_snapshot {
        problems.add(
            at("undo"),
            "uses snapshot, and this fact keeps none; add snapshot",
        );
    }
    for request in ready.act.iter().chain(&ready.ladder) {
        if request.lost.is_some() {
            problems.add(format!("{}.lost", request.path), "only goes with undo; remove it");
        }
    }
}
