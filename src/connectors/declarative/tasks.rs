//! A connector's own list of tasks, made the facts of a `manual` definition.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{inputs, problems::Problems};
use crate::{
    api::definition::{ConnectorDefinitionSpec, Fact, TaskSpec},
    core::fact::{Class, Proof},
};

/// One element of the list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Listed {
    fact: String,
    class: Class,
    title: String,
    #[serde(default)]
    assignee: String,
    #[serde(default)]
    instructions: String,
    due_in: Option<String>,
}

/// `spec` with the tasks that the connector lists as its facts; none where it lists none.
///
/// # Errors
/// What is wrong with the list, at its place in the connector.
pub(super) fn expanded(
    spec: &ConnectorDefinitionSpec,
    given: &BTreeMap<String, Value>,
) -> Result<Option<ConnectorDefinitionSpec>, Problems> {
    let Some(name) = spec.manual.as_ref().and_then(|manual| manual.tasks.as_ref()) else {
        return Ok(None);
    };
    let checked = inputs::check(spec, given)?;
    let Some(Value::Array(list)) = checked.get(name).filter(|list| **list != Value::Array(vec![])) else {
        return Ok(None);
    };
    let (mut facts, mut problems) = (BTreeMap::new(), Problems::default());
    for (i, element) in list.iter().enumerate() {
        let path = format!("spec.inputs.{name}[{i}]");
        match serde_path_to_error::deserialize::<_, Listed>(element) {
            Ok(listed) => {
                let fact = listed.fact.clone();
                if facts.insert(fact.clone(), listed.into_fact()).is_some() {
                    problems.add(path, format!("there are two tasks '{fact}'"));
                }
            }
            Err(error) => problems.add(format!("{path}.{}", error.path()), error.inner().to_string()),
        }
    }
    problems.or(|| {
        let mut spec = spec.clone();
        spec.facts = facts;
        spec.manual = Some(crate::api::definition::ManualDriver::default());
        Some(spec)
    })
}

impl Listed {
    /// Its texts are data: nothing in them is a hole.
    fn into_fact(self) -> Fact {
        let plain = |text: String| text.replace("${", "$${");
        Fact {
            description: String::new(),
            effect: String::new(),
            class: self.class,
            stage: None,
            optional: false,
            when: None,
            holds: None,
            none: None,
            from: None,
            proof: Proof::None,
            reported: false,
            requires: vec![],
            after: vec![],
            prefers_after: vec![],
            irreversible: false,
            unrepeatable: false,
            settle: None,
            snapshot: None,
            act: vec![],
            ladder: vec![],
            task: Some(TaskSpec {
                title: plain(self.title),
                assignee: plain(self.assignee),
                instructions: plain(self.instructions),
                due_in: self.due_in.map(plain),
                as_of: None,
            }),
            spares: None,
            undo: vec![],
            running: None,
            failed: None,
            says: None,
        }
    }
}
