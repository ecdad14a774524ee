//! Systems that no request reaches: programs, flows of integration platforms, people.

mod commands;
pub mod flows;
mod people;
mod pods;

use std::{collections::BTreeMap, sync::Arc};

use offboard::{
    api::{connector::ConnectorSpec, definition::ConnectorDefinitionSpec},
    connectors::{
        Shared,
        assemble::Assembly,
        declarative::{builtin, parse},
        job::Runner,
    },
    core::identity::Person,
    transport::{egress::Egress, secret::Credentials},
};
use serde_json::{Value, json};

use crate::trial::{Moved, Trial};

/// A connector, as its manifest would say it.
struct System<'a> {
    /// The text of a definition, or the name of a built-in one.
    definition: &'a str,
    inputs: Value,
    secret: Vec<(&'a str, String)>,
    runner: Option<Arc<dyn Runner>>,
    /// Unique among connectors.
    name: String,
}

impl<'a> System<'a> {
    fn new(definition: &'a str, inputs: Value) -> Self {
        Self {
            definition,
            inputs,
            secret: vec![],
            runner: None,
            name: "system".to_owned(),
        }
    }

    fn connect(&self) -> Shared {
        let text = builtin(self.definition).unwrap_or(self.definition);
        let (name, spec) = parse(text).unwrap_or_else(|problems| panic!("{problems}"));
        let own: BTreeMap<String, ConnectorDefinitionSpec> = [(name.clone(), spec)].into();
        let mut assembly = Assembly::default()
            .with_egress(Egress::new(vec![]).with_named_loopback())
            .trusting_hosts();
        if let Some(runner) = &self.runner {
            assembly = assembly.with_runner(runner.clone());
        }
        let definition = assembly
            .definition(&name, &own)
            .unwrap_or_else(|error| panic!("{error}"));
        let connector = json!({"definition": name, "inputs": self.inputs, "secretRef": {"name": "login"}});
        let connector: ConnectorSpec = serde_json::from_value(connector).unwrap();
        let secret = self.secret.iter();
        let secret = secret.map(|(key, value)| ((*key).to_owned(), value.clone().into_bytes()));
        assembly
            .connect(
                &self.name,
                &connector,
                &definition,
                Credentials::from_data(secret, "1"),
            )
            .unwrap_or_else(|error| panic!("{error}"))
            .connector
    }

    /// Jane, who leaves now.
    fn leaver(&self) -> Trial {
        let jane = Person {
            email: Some("jane@example.com".to_owned()),
            employee_id: Some("10442".to_owned()),
            ..Person::default()
        };
        Trial::over(self.connect(), jane, Arc::new(Moved::default()))
    }
}
