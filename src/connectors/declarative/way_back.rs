//! How what was taken is given back: as the definition said when it was taken.
//!
//! # Why
//! A snapshot has the shape that its definition gave it, and years may lie between a leaver's last day and their return. A
//! definition that has changed since would give back something else, or nothing at all of a fact that has another name by now. So
//! the record keeps, beside what was taken, the fact and the reads that its undoing rests on.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

use super::{connector::Declarative, load::Definition};
use crate::{
    api::definition::{Fact, Request},
    connectors::{Capabilities, Shared},
    core::way_back::{WayBack, WaysBack},
};

/// The key beside the fields of a fact that is kept, with the values that it rests on.
const VALUES: &str = "values";

impl Declarative {
    /// How `fact` is given back today; none where it cannot be.
    pub(super) fn way_back_of(&self, fact: &str) -> Option<WayBack> {
        let spec = &self.loaded.spec;
        let of = spec.facts.get(fact).filter(|of| !of.undo.is_empty())?;
        let compiled = self.loaded.facts.get(fact)?;
        let reads = compiled.uses.reads.iter().chain(&compiled.looks_back);
        let reads = self.with_their_own(reads.map(String::as_str).collect());
        let asked_by_reads = reads.iter().filter_map(|name| self.loaded.reads.get(*name));
        let undo = compiled.undo.iter().chain(asked_by_reads).map(|read| &read.uses);
        let values = undo.chain([&compiled.uses]).flat_map(|uses| &uses.values);
        let values: BTreeMap<&String, &String> = values
            .filter_map(|name| spec.values.get_key_value(name))
            .collect();
        let reads = reads
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), serde_json::to_value(spec.reads.get(name)?).ok()?)));
        let is_read = of.holds.is_some() || of.none.is_some() || of.from.is_some();
        let asked = |requests: &[Request]| if is_read { vec![] } else { requests.to_vec() };
        let kept = Fact {
            description: String::new(),
            effect: String::new(),
            stage: None,
            optional: false,
            reported: false,
            requires: vec![],
            after: vec![],
            prefers_after: vec![],
            irreversible: false,
            unrepeatable: false,
            act: asked(&of.act),
            ladder: asked(&of.ladder),
            spares: None,
            task: None,
            says: None,
            ..of.clone()
        };
        let mut fact = serde_json::to_value(kept).ok()?;
        if !values.is_empty() {
            fact.as_object_mut()?
                .insert(VALUES.to_owned(), serde_json::to_value(values).ok()?);
        }
        Some(WayBack {
            fact,
            reads: reads.collect(),
        })
    }

    /// For each fact that `kept` gives back in another way than today's the connector that does it so. What does not go with
    /// today's inputs any more is left to today's definition.
    pub(super) fn of_their_time(&self, kept: &WaysBack) -> BTreeMap<String, Shared> {
        let another = kept.facts().filter_map(|fact| {
            let kept = kept.get(fact)?;
            let live = self.capabilities.facts.iter().any(|live| live.name == *fact);
            if live && self.way_back_of(fact).as_ref() == Some(&kept) {
                return None;
            }
            Some((fact.clone(), Arc::new(self.with_way_back(fact, kept)?) as Shared))
        });
        another.collect()
    }

    /// The same system, with this fact alone and as it was.
    fn with_way_back(&self, fact: &str, kept: WayBack) -> Option<Self> {
        let mut spec = self.loaded.spec.clone();
        let WayBack { fact: mut of, reads } = kept;
        if let Some(values) = of.as_object_mut()?.remove(VALUES) {
            let values: BTreeMap<String, String> = serde_json::from_value(values).ok()?;
            spec.values.extend(values);
        }
        spec.facts
            .insert(fact.to_owned(), serde_json::from_value(of).ok()?);
        for (name, read) in reads {
            spec.reads.insert(name, serde_json::from_value(read).ok()?);
        }
        let loaded = Definition::compile(&self.loaded.name, spec).ok()?.0;
        let only = loaded.order.iter().filter(|spec| spec.name == fact).cloned();
        let capabilities = Capabilities {
            facts: only.collect(),
            ..self.capabilities.clone()
        };
        Some(Self {
            loaded,
            inputs: self.inputs.clone(),
            target: self.target.clone(),
            driver: self.driver.clone(),
            part: self.part.clone(),
            capabilities,
            managers: Mutex::default(),
            protected: self.protected.clone(),
        })
    }
}
