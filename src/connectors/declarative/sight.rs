//! Judges one fact by readings, and resolves the requests that would make it true or take it back. No call, no clock.

use std::{collections::HashSet, sync::Arc};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    expression::{Expression, Scope},
    fact::{CompiledFact, CompiledTask},
    recognise::CompiledLast,
    references::Uses,
    request::{Compiled, Target},
    setting::{Setting, since},
    template::Template,
};
use crate::{
    connectors::{Reading, Readings, Subject},
    core::{
        fact::{Act, Proof, Sight, Truth},
        fault::{Fault, Reason},
        identity::LAST,
        kept::{There, TooLarge},
        schedule::duration,
        task::Task,
    },
};

/// The key beside the fields of a resolved request that says which request of the definition it came from.
pub(super) const STEP: &str = "step";

/// The key beside the fields of a resolved request that says what it was made for, where that is watched.
const WATCHED: &str = "watched";

/// What of a fact is to be taken back still.
pub(super) enum Missing {
    /// Nothing.
    Nothing,
    /// What the definition says, whatever was there before.
    All,
    /// The part of the snapshot that is not `there` now. What it takes to give back what is `there` is needless: the same
    /// group may have another name by now.
    Of { kept: Value, there: Value },
}

/// One fact in the light of one look.
pub(super) struct View<'v> {
    pub target: &'v Target,
    pub subject: &'v Subject,
    pub setting: &'v Setting<'v>,
    pub readings: &'v Readings,
    pub last: Option<&'v CompiledLast>,
}

impl View<'_> {
    /// What the look showed of `fact`.
    pub fn sight(&self, fact: &CompiledFact) -> Sight {
        match self.truth(fact) {
            Err(truth) => Sight::of(truth),
            Ok(()) => self.wanting(fact).unwrap_or_else(Sight::of),
        }
    }

    /// What of `fact` is to be taken back still.
    pub fn missing(&self, fact: &CompiledFact) -> Result<Missing, Truth> {
        let since = since(self.subject, &fact.spec);
        if let Some(when) = &fact.when
            && !self.holds(when, since)?
        {
            return Err(Truth::NotApplicable);
        }
        let held = || match self.truth(fact) {
            Ok(()) => Ok(false),
            Err(Truth::Holds) => Ok(true),
            Err(truth) => Err(truth),
        };
        let by_snapshot = fact.undo.iter().any(|request| request.uses.name("snapshot"));
        let Some(snapshot) = fact.snapshot.as_ref().filter(|_| by_snapshot) else {
            return Ok(if held()? { Missing::All } else { Missing::Nothing });
        };
        let ledger = &self.subject.ledger;
        let asked = fact.undo.iter().flat_map(|request| &request.uses.snapshots);
        let lost = |name: &String| ledger.too_large.contains_key(name) && ledger.kept(name).is_none();
        if asked.clone().any(lost) {
            return Err(Truth::NotApplicable);
        }
        let Some(kept) = ledger.kept(&fact.spec.name) else {
            return Ok(Missing::Nothing);
        };
        let kept = kept.as_ref();
        if !kept.is_array() && !held()? {
            // Somebody else has changed since what we had made true.
            return Ok(Missing::Nothing);
        }
        self.ready(snapshot.uses())?;
        let scope = self.setting.scope(snapshot.uses(), self.readings, since);
        let there = snapshot.evaluate(&scope).map_err(unreadable)?;
        Ok(match lacking(kept, &there) {
            Some(kept) => Missing::Of { kept, there },
            None => Missing::Nothing,
        })
    }

    /// The requests that take `fact` back, by the snapshot.
    pub fn requests_back(&self, fact: &CompiledFact) -> Result<Vec<Value>, Truth> {
        self.requests(fact, &fact.undo)
    }

    /// `Ok` when the fact does not hold and nothing else is to be said about it.
    fn truth(&self, fact: &CompiledFact) -> Result<(), Truth> {
        let since = since(self.subject, &fact.spec);
        if let Some(when) = &fact.when
            && !self.holds(when, since)?
        {
            return Err(Truth::NotApplicable);
        }
        if let Some(holds) = &fact.holds
            && self.holds(holds, since)?
        {
            return Err(Truth::Holds);
        }
        if let (Proof::Elapsed, Some(from)) = (fact.spec.proof, &fact.from) {
            self.ready(from.uses())?;
            let scope = self.setting.scope(from.uses(), self.readings, since);
            match from.instant(&scope).map_err(unreadable)? {
                Some(from) if from <= self.subject.now => return Err(Truth::Holds),
                Some(from) => return Err(Truth::HoldsFrom(from)),
                None => {}
            }
        }
        let operation = self
            .subject
            .ledger
            .facts
            .get(&fact.spec.name)
            .is_some_and(|ledger| ledger.operation.is_some());
        if let Some(failed) = fact.failed.as_ref().filter(|_| operation)
            && self.holds(failed, since)?
        {
            return Ok(());
        }
        if let Some(running) = &fact.running {
            let runs = match self.holds(running, since) {
                // Without an id of ours, what speaks of one has no value.
                Err(Truth::Unreadable(fault)) if !operation && fault.reason == Reason::Malformed => false,
                runs => runs?,
            };
            if runs {
                return Err(Truth::Running);
            }
        }
        Ok(())
    }

    /// What could be done about a fact that does not hold.
    fn wanting(&self, fact: &CompiledFact) -> Result<Sight, Truth> {
        let since = since(self.subject, &fact.spec);
        let mut sight = Sight::of(Truth::DoesNotHold);
        if fact.spec.by_hand {
            return self.left_to_somebody(fact, sight, since);
        }
        if let Some(snapshot) = &fact.snapshot {
            self.ready(snapshot.uses())?;
            let scope = self.setting.scope(snapshot.uses(), self.readings, since);
            let evaluate = || snapshot.evaluate(&scope).map(Arc::new);
            sight.snapshot = Some(match self.whole_read(snapshot).map_or_else(evaluate, Ok) {
                Ok(there) => There::Whole(there),
                // That there is so much keeps nobody's access.
                Err(error) if error.reason() == Reason::ExpressionTooCostly => {
                    self.too_large(snapshot.uses())
                }
                Err(error) => return Err(unreadable(error)),
            });
        }
        let (requests, rung) = if fact.ladder.is_empty() {
            (self.requests(fact, &fact.act)?, 0)
        } else {
            let tried = self
                .subject
                .ledger
                .facts
                .get(&fact.spec.name)
                .map_or(0, |ledger| ledger.rung);
            let rungs = self.rungs(fact, since)?;
            let rung = tried % rungs.len().max(1);
            let step = rungs.get(rung).copied();
            (
                self.requests(fact, step.map(std::slice::from_ref).unwrap_or_default())?,
                rung,
            )
        };
        if requests.is_empty() {
            return self.left_to_somebody(fact, sight, since);
        }
        sight.count = requests.len();
        sight.says = self.says(fact, since);
        if fact.spec.class.takes_away()
            && let Some(of) = self.is_last(since)?
        {
            let code = format!("{LAST}{of}");
            sight.refused = Some(Fault::needs_decision(Reason::Protected).with_code(code));
            return Ok(sight);
        }
        if let Some(others) = self.took_from_others(fact, since)? {
            sight.refused = Some(Fault::needs_decision(Reason::OthersAffected).with_code(others));
            return Ok(sight);
        }
        sight.act = Some(Act {
            fact: fact.spec.name.clone(),
            requests,
            rung,
            more: rung + 1 < fact.ladder.len(),
        });
        Ok(sight)
    }

    /// What was read, where `expression` is nothing but that.
    fn whole_read(&self, expression: &Expression) -> Option<Arc<Value>> {
        let place = expression.place_in("reads")?;
        let read = self.readings.get(place.strip_prefix('/')?)?;
        read.as_ref().ok().map(Reading::shared)
    }

    /// What is there of all that `uses` reads.
    fn too_large(&self, uses: &Uses) -> There {
        let reads = uses
            .reads
            .iter()
            .filter_map(|read| self.readings.get(read)?.as_ref().ok().map(|read| &**read));
        There::TooLarge(TooLarge::new(reads))
    }

    /// `sight` of a fact that nothing can be sent for: a person may have to do it.
    fn left_to_somebody(
        &self,
        fact: &CompiledFact,
        mut sight: Sight,
        since: Timestamp,
    ) -> Result<Sight, Truth> {
        sight.says = self.says(fact, since);
        if let Some(compiled) = &fact.task {
            let mut task = self.task(compiled, since)?;
            if compiled.implied && fact.says.is_some() {
                task.title = std::mem::take(&mut sight.says);
            }
            sight.says = said(&task);
            sight.task = Some(task);
        }
        Ok(sight)
    }

    /// What others lost by the way in which this would be sent again: no second time before somebody has decided.
    fn took_from_others(&self, fact: &CompiledFact, since: Timestamp) -> Result<Option<&str>, Truth> {
        let entry = self.subject.ledger.facts.get(&fact.spec.name);
        let others = entry.and_then(|entry| entry.others.as_deref());
        let (Some(spares), Some(others)) = (&fact.spares, others) else {
            return Ok(None);
        };
        Ok(match spares.when() {
            Some(when) if !self.holds(when, since)? => None,
            _ => Some(others),
        })
    }

    /// What the account is the last of, that the system cannot be without.
    fn is_last(&self, since: Timestamp) -> Result<Option<&str>, Truth> {
        let Some(last) = self.last else { return Ok(None) };
        if let Some(when) = &last.when
            && !self.holds(when, since)?
        {
            return Ok(None);
        }
        Ok(self.holds(&last.holds, since)?.then_some(last.of.as_str()))
    }

    /// What a person is asked to do.
    fn task(&self, task: &CompiledTask, since: Timestamp) -> Result<Task, Truth> {
        self.ready(&task.uses)?;
        let scope = self.setting.scope(&task.uses, self.readings, since);
        let text = |template: &Template| template.text(&scope).map_err(unreadable);
        let due_in = duration(&text(&task.due_in)?).ok();
        let malformed = || Truth::Unreadable(Fault::permanent(Reason::Malformed).with_code("dueIn"));
        let as_of = task.as_of.as_ref().map(|as_of| as_of.instant(&scope)).transpose();
        Ok(Task {
            title: text(&task.title)?,
            assignee: text(&task.assignee)?,
            instructions: text(&task.instructions)?,
            due_in: due_in.ok_or_else(malformed)?,
            as_of: as_of.map_err(unreadable)?.flatten(),
        })
    }

    /// The alternatives that may be tried: those whose `when` holds.
    fn rungs<'f>(&self, fact: &'f CompiledFact, since: Timestamp) -> Result<Vec<&'f Compiled>, Truth> {
        let mut rungs = vec![];
        for rung in &fact.ladder {
            let open = match &rung.when {
                Some(when) => self.holds(when, since)?,
                None => true,
            };
            if open {
                rungs.push(rung);
            }
        }
        Ok(rungs)
    }

    /// A sentence for people. One that has no value must not keep anything from being done.
    fn says(&self, fact: &CompiledFact, since: Timestamp) -> String {
        let first = fact.description.split(['.', '\n']).next().unwrap_or_default();
        let Some(says) = &fact.says else {
            return first.to_owned();
        };
        let mut uses = Uses::default();
        says.uses(&mut uses);
        let list = fact.none.as_ref().filter(|_| uses.name("count"));
        if let Some(list) = list {
            uses.add(list.uses());
        }
        let scope = self.setting.scope(&uses, self.readings, since);
        let count = list
            .and_then(|list| list.list(&scope).ok())
            .map(|list| list.len());
        let counted = Scope::inside(&scope);
        let scope = match count {
            Some(count) => counted.with_owned("count", count.into()),
            None => counted,
        };
        says.text(&scope).unwrap_or_else(|_| first.to_owned())
    }

    /// The resolved requests, each with the step of the definition that it comes from.
    fn requests(&self, fact: &CompiledFact, steps: &[Compiled]) -> Result<Vec<Value>, Truth> {
        let since = since(self.subject, &fact.spec);
        let mut requests = vec![];
        for step in steps {
            self.ready(&step.uses)?;
            let scope = self.setting.scope(&step.uses, self.readings, since);
            if let Some(when) = &step.when
                && !when.holds(&scope).map_err(unreadable)?
            {
                continue;
            }
            match &step.each {
                None => requests.push(self.request(step, &scope)?),
                Some(each) => {
                    for item in each.list(&scope).map_err(unreadable)? {
                        let scope = Scope::inside(&scope).with("item", &item);
                        let mut request = self.request(step, &scope)?;
                        let watched = fact
                            .spares
                            .as_ref()
                            .filter(|_| step_name(&step.path).starts_with("act"));
                        if let Some(spares) = watched {
                            mark(
                                &mut request,
                                WATCHED,
                                spares.of.evaluate(&scope).map_err(unreadable)?,
                            );
                        }
                        requests.push(request);
                    }
                }
            }
        }
        Ok(requests)
    }

    fn request(&self, step: &Compiled, scope: &Scope<'_>) -> Result<Value, Truth> {
        let resolved = step.resolve(self.target, scope).map_err(Truth::Unreadable)?;
        let malformed = || Truth::Unreadable(Fault::permanent(Reason::Malformed).with_code(&step.path));
        let mut request = serde_json::to_value(resolved).map_err(|_| malformed())?;
        if !request.is_object() {
            return Err(malformed());
        }
        mark(&mut request, STEP, step_name(&step.path).into());
        Ok(request)
    }

    fn holds(&self, expression: &Expression, since: Timestamp) -> Result<bool, Truth> {
        self.ready(expression.uses())?;
        self.lists(expression)?;
        let scope = self.setting.scope(expression.uses(), self.readings, since);
        expression.holds(&scope).map_err(unreadable)
    }

    /// Whether what `expression` counts or goes through are lists: a text or an object without content has no elements either, and
    /// proves nothing.
    fn lists(&self, expression: &Expression) -> Result<(), Truth> {
        let mut reads = expression.uses().lists.iter();
        let other = |read: &&String| match self.readings.get(*read).and_then(|read| read.as_deref().ok()) {
            Some(Value::String(_)) => true,
            Some(Value::Object(object)) => object.is_empty(),
            _ => false,
        };
        match reads.find(other) {
            Some(read) => {
                let code = format!("reads.{read}: not a list");
                Err(Truth::Unreadable(
                    Fault::permanent(Reason::Malformed).with_code(code),
                ))
            }
            None => Ok(()),
        }
    }

    /// Whether everything that `uses` asks for was read.
    fn ready(&self, uses: &Uses) -> Result<(), Truth> {
        let mut missing = false;
        for read in &uses.reads {
            match self.readings.get(read) {
                None => missing = true,
                Some(Err(fault)) => return Err(Truth::Unreadable(fault.clone())),
                Some(Ok(_)) => {}
            }
        }
        if missing {
            return Err(Truth::NotRead);
        }
        if self.setting.lacks_successor(uses) {
            return Err(Truth::Unreadable(Fault::needs_decision(Reason::NoSuccessor)));
        }
        Ok(())
    }
}

/// What of `kept` is not `there`. What was added meanwhile makes no difference.
fn lacking(kept: &Value, there: &Value) -> Option<Value> {
    match (kept, there) {
        (Value::Array(kept), Value::Array(there)) => {
            let same: HashSet<&Value> = there.iter().collect();
            // What is no object is included in nothing but its like.
            let alike = |k: &Value| (k.is_object() || k.is_array()) && there.iter().any(|t| includes(t, k));
            let lacking: Vec<Value> = kept
                .iter()
                .filter(|k| !same.contains(k) && !alike(k))
                .cloned()
                .collect();
            (!lacking.is_empty()).then_some(Value::Array(lacking))
        }
        _ => (!includes(there, kept)).then(|| kept.clone()),
    }
}

fn includes(there: &Value, kept: &Value) -> bool {
    match (there, kept) {
        (Value::Object(there), Value::Object(kept)) => kept
            .iter()
            .all(|(key, value)| there.get(key).is_some_and(|t| includes(t, value))),
        (Value::Array(there), Value::Array(kept)) => {
            kept.iter().all(|k| there.iter().any(|t| includes(t, k)))
        }
        _ => there == kept,
    }
}

/// `collect the badge (front desk)`.
fn said(task: &Task) -> String {
    match task.assignee.as_str() {
        "" => task.title.clone(),
        assignee => format!("{} ({assignee})", task.title),
    }
}

fn unreadable(error: super::expression::Unevaluable) -> Truth {
    Truth::Unreadable(error.into())
}

/// `act[0]` of `facts.GroupsRemoved.act[0]`.
pub(super) fn step_name(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// Puts something beside the fields of a resolved request.
fn mark(request: &mut Value, key: &str, value: Value) {
    if let Some(inner) = request
        .as_object_mut()
        .and_then(|outer| outer.values_mut().next())
    {
        mark_fields(inner, key, value);
    }
}

/// An operation of LDAP or SFTP is one level deeper than the others.
fn mark_fields(request: &mut Value, key: &str, value: Value) {
    let Value::Object(map) = request else { return };
    let operation = ["search", "modify", "move", "delete", "list", "read", "write"];
    if map.len() == 1
        && let Some(name) = operation.iter().find(|name| map.contains_key(**name))
        && let Some(inner) = map.get_mut(*name)
    {
        if let Value::Object(inner) = inner {
            inner.insert(key.into(), value);
        }
        return;
    }
    map.insert(key.into(), value);
}

/// What a resolved request was made for, where that is watched.
pub(super) fn watched_of(request: &Value) -> Option<&Value> {
    beside(request, WATCHED)
}

/// The step that a resolved request came from.
pub(super) fn step_of(request: &Value) -> Option<&str> {
    beside(request, STEP)?.as_str()
}

fn beside<'r>(request: &'r Value, key: &str) -> Option<&'r Value> {
    let inner = request.as_object()?.values().next()?;
    inner
        .get(key)
        .or_else(|| inner.as_object()?.values().next()?.get(key))
}
