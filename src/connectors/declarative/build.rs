//! Puts a definition, a connector's inputs and a driver together.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use parking_lot::Mutex;
use serde_json::Value;

use super::{
    connector::Declarative,
    driver_section::{self, ResolvedDriver},
    inputs,
    learned::Inputs,
    load::Definition,
    problems::Problems,
    request::Target,
    tasks,
};
use crate::{
    connectors::{Capabilities, driver::Driver},
    core::{codes::Codes, digest::digest_of, fact::FactSpec},
    transport::memory,
};

/// What a Connector says beyond its inputs.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Optional facts that are wanted.
    pub include: Vec<String>,
    /// Facts that are not wanted.
    pub skip: Vec<String>,
    /// Durable ids or login names that must never be changed.
    pub protected: Vec<String>,
}

impl Definition {
    /// The driver section with every template filled, for whoever makes the driver.
    ///
    /// # Errors
    /// Inputs that are unknown, missing or unfit (at `spec.inputs.NAME`), and templates that have no value for them.
    pub fn resolve_driver(&self, given: &BTreeMap<String, Value>) -> Result<ResolvedDriver, Problems> {
        let inputs = inputs::check(&self.0.spec, given)?;
        let mut resolved = driver_section::resolve(&self.0.spec, &inputs)?;
        if let ResolvedDriver::Http(http) = &mut resolved {
            http.codes = self.0.codes.own().cloned().collect();
        }
        Ok(resolved)
    }

    /// The codes, and sentences of programs, that it lists or names: they are shown as they are.
    pub fn codes(&self) -> Codes {
        self.0.codes.clone()
    }

    /// The bases that requests have beside the one of the driver's section, filled with these inputs.
    ///
    /// # Errors
    /// As [`Self::resolve_driver`].
    pub fn other_bases(&self, given: &BTreeMap<String, Value>) -> Result<BTreeSet<String>, Problems> {
        let inputs = inputs::check(&self.0.spec, given)?;
        driver_section::other_bases(&self.0.spec, &inputs)
    }

    /// A connector with these inputs over `driver`.
    ///
    /// # Errors
    /// As [`Self::resolve_driver`], and names of facts that do not exist.
    pub fn build(
        &self,
        given: &BTreeMap<String, Value>,
        options: Options,
        driver: Arc<dyn Driver>,
    ) -> Result<Declarative, Problems> {
        if let Some(expanded) = tasks::expanded(&self.0.spec, given)? {
            let made = Self::compile(&self.0.name, expanded)?;
            return made.build(given, options, driver);
        }
        let mut problems = Problems::default();
        for (list, names) in [("include", &options.include), ("skip", &options.skip)] {
            for (i, name) in names.iter().enumerate() {
                if !self.0.facts.contains_key(name) {
                    let known: Vec<&str> = self.0.facts.keys().map(String::as_str).collect();
                    problems.add(
                        format!("spec.facts.{list}[{i}]"),
                        format!("there is no fact '{name}'; there are {}", known.join(", ")),
                    );
                }
            }
        }
        let driver_section = self.resolve_driver(given);
        let origin = driver_section
            .as_ref()
            .map(ResolvedDriver::origin)
            .unwrap_or_default();
        let base = match driver_section {
            Ok(ResolvedDriver::Http(http)) => http.base,
            Ok(ResolvedDriver::Ldap(ldap)) => ldap.base,
            Ok(ResolvedDriver::Sftp(sftp)) => sftp.folder.unwrap_or_default(),
            Ok(ResolvedDriver::Sql(_) | ResolvedDriver::Job(_) | ResolvedDriver::Manual) => String::new(),
            Err(more) => {
                problems.0.extend(more.0);
                return Err(problems);
            }
        };
        let inputs = inputs::check(&self.0.spec, given)?;
        let mut capabilities = Capabilities {
            fingerprint: self.fingerprint(&origin, &inputs),
            ..self.capabilities(&options)
        };
        self.digest_facts(&mut capabilities.facts, &[&origin, &base, &inputs.to_string()]);
        problems.or(|| Declarative {
            loaded: self.0.clone(),
            inputs: Arc::new(Inputs::new(
                inputs,
                self.0.discover.keys().filter(|name| !given.contains_key(*name)),
            )),
            target: Target { base },
            driver,
            capabilities,
            part: memory::Part::new(&memory::KEPT),
            managers: Mutex::default(),
            protected: options
                .protected
                .into_iter()
                .map(|name| name.to_lowercase())
                .collect(),
        })
    }

    /// The facts that are wanted; an edge to one that is not is no edge.
    fn capabilities(&self, options: &Options) -> Capabilities {
        let wanted = |name: &String| {
            !options.skip.contains(name)
                && self
                    .0
                    .facts
                    .get(name)
                    .is_some_and(|fact| !fact.optional || options.include.contains(name))
        };
        let mut facts = self.0.order.clone();
        facts.retain(|fact| wanted(&fact.name));
        for fact in &mut facts {
            fact.requires.retain(wanted);
            fact.after.retain(wanted);
            fact.prefers_after.retain(wanted);
        }
        Capabilities {
            definition: self.0.name.clone(),
            facts,
            not_covered: self.0.spec.not_covered.clone(),
            fingerprint: String::new(),
        }
    }

    /// Gives each of `facts` the digest of what decides what is sent for it, and how that is known; `given` is what the Connector
    /// says. Whoever changes a word of it has another plan.
    fn digest_facts(&self, facts: &mut [FactSpec], given: &[&str]) {
        let mut shared = serde_json::to_value(&self.0.spec).unwrap_or_default();
        let all = shared.as_object_mut().and_then(|spec| spec.remove("facts"));
        let shared = shared.to_string();
        for fact in facts {
            let own = all.as_ref().and_then(|all| all.get(&fact.name));
            let own = own.map(Value::to_string).unwrap_or_default();
            let parts = [shared.as_str(), &own].into_iter().chain(given.iter().copied());
            fact.digest = digest_of(parts);
        }
    }

    /// Which system these inputs lead to, and how it tells accounts apart: what a binding belongs to (R22).
    fn fingerprint(&self, origin: &str, inputs: &Value) -> String {
        let id = self
            .0
            .spec
            .account
            .as_ref()
            .map_or("", |account| account.id.as_str());
        let identifying = self.0.spec.inputs.iter().filter(|(_, input)| input.identifies);
        // No system tells its tenants, realms or bases apart by case.
        let values = identifying
            .map(|(name, _)| format!("{name}={}", inputs.get(name).unwrap_or(&Value::Null)).to_lowercase());
        let values: Vec<String> = values.collect();
        digest_of([origin, id].into_iter().chain(values.iter().map(String::as_str)))
    }
}
