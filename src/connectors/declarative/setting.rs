//! What expressions see of a look at one account.

use std::collections::BTreeMap;

use jiff::{Timestamp, Unit};
use serde_json::{Map, Value, json};

use super::{
    expression::Scope,
    references::Uses,
    template::{CALLBACK, KEY},
};
use crate::{
    connectors::{Readings, Subject, driver::RANDOM},
    core::{fact::FactSpec, identity::Person},
};

/// The parts of a subject that expressions see, as data.
pub(super) struct Setting<'s> {
    subject: &'s Subject,
    inputs: &'s Value,
    who: Value,
    account: Value,
    successor: Option<Value>,
    operations: Value,
    accepted: Value,
}

/// A person as expressions see them; what is not known is absent.
pub(super) fn person(who: &Person) -> Value {
    serde_json::to_value(who).unwrap_or_else(|_| json!({}))
}

impl<'s> Setting<'s> {
    pub fn new(subject: &'s Subject, inputs: &'s Value) -> Self {
        let operations: Map<String, Value> = subject
            .ledger
            .facts
            .iter()
            .filter_map(|(name, fact)| Some((name.clone(), Value::String(fact.operation.clone()?))))
            .collect();
        let acceptances: Map<String, Value> = subject
            .ledger
            .facts
            .keys()
            .filter_map(|name| Some((name.clone(), Value::String(accepted(subject, name)?.to_string()))))
            .collect();
        let successor = subject.successor.as_ref().map(|(person, account)| {
            let mut value = json!({ "id": account.id, "name": account.name });
            if let (Some(email), Value::Object(map)) = (&person.email, &mut value) {
                map.insert("email".into(), Value::String(email.clone()));
            }
            value
        });
        Self {
            subject,
            inputs,
            who: person(&subject.who),
            account: json!({ "id": subject.account.id, "name": subject.account.name }),
            successor,
            operations: Value::Object(operations),
            accepted: Value::Object(acceptances),
        }
    }

    /// Whether `uses` asks for a successor and there is none.
    pub fn lacks_successor(&self, uses: &Uses) -> bool {
        self.successor.is_none() && uses.name("successor")
    }

    fn keys(&self, uses: &Uses) -> Value {
        let keys = uses.operations.iter().map(|fact| {
            let key = self.subject.keys.of(&self.subject.account.id, fact);
            (fact.clone(), Value::String(key.0))
        });
        Value::Object(keys.collect())
    }

    /// What was there before our removals. What is kept packed is unpacked only for what asks for it.
    fn with_snapshots<'a>(&'a self, scope: Scope<'a>, uses: &Uses) -> Scope<'a> {
        let ledger = &self.subject.ledger;
        let plain = |fact: &String| ledger.snapshot.contains_key(fact) || !ledger.packed.contains_key(fact);
        if uses.snapshots.iter().all(plain) {
            return scope.with_map("snapshot", entries(&ledger.snapshot));
        }
        let kept = uses.snapshots.iter();
        let kept = kept.filter_map(|fact| Some((fact.clone(), ledger.kept(fact)?.into_owned())));
        scope.with_owned("snapshot", Value::Object(kept.collect()))
    }

    /// The names that `uses` asks for. A read that is faulted or missing is not there.
    pub fn scope<'a>(&'a self, uses: &'a Uses, readings: &'a Readings, since: Timestamp) -> Scope<'a> {
        let mut scope = Scope::new();
        for name in &uses.names {
            scope = match name.as_str() {
                "inputs" => scope.with("inputs", self.inputs),
                "who" => scope.with("who", &self.who),
                "account" => scope.with("account", &self.account),
                "successor" => match &self.successor {
                    Some(successor) => scope.with("successor", successor),
                    None => scope,
                },
                "operations" => scope.with("operations", &self.operations),
                "accepted" => scope.with("accepted", &self.accepted),
                "keys" => scope.with_owned("keys", self.keys(uses)),
                "snapshot" => self.with_snapshots(scope, uses),
                "reads" => scope.with_map(
                    "reads",
                    uses.reads.iter().filter_map(|name| {
                        let value = readings.get(name)?.as_ref().ok()?;
                        Some((name.as_str(), &**value))
                    }),
                ),
                "cutoff" => scope.with_instant("cutoff", self.subject.cutoff),
                "now" => scope.with_instant("now", self.subject.now),
                "since" => scope.with_instant("since", since),
                "key" => scope.with_owned("key", Value::String(KEY.into())),
                "callback" => scope.with_owned("callback", Value::String(CALLBACK.into())),
                "random" => scope.with_owned("random", Value::String(RANDOM.into())),
                _ => scope,
            };
        }
        scope
    }
}

fn entries(map: &BTreeMap<String, Value>) -> impl Iterator<Item = (&str, &Value)> {
    map.iter().map(|(name, value)| (name.as_str(), value))
}

/// When the system last accepted this fact's act, by its own clock if it told, else the cutoff; never before the acts of
/// the facts that it comes after.
pub(super) fn since(subject: &Subject, fact: &FactSpec) -> Timestamp {
    let before = fact.requires.iter().chain(&fact.after).chain(&fact.prefers_after);
    before
        .filter_map(|other| accepted(subject, other))
        .fold(accepted(subject, &fact.name).unwrap_or(subject.cutoff), Ord::max)
}

/// Systems keep whole seconds: our own finer clock would make their stamp look too early.
fn accepted(subject: &Subject, fact: &str) -> Option<Timestamp> {
    let ledger = subject.ledger.facts.get(fact)?;
    ledger.accepted_there.or_else(|| {
        let mut options = jiff::TimestampRound::new().smallest(Unit::Second);
        options = options.mode(jiff::RoundMode::Floor);
        let accepted = ledger.accepted?;
        Some(accepted.round(options).unwrap_or(accepted))
    })
}
