//! Definitions that say only where they differ from a built-in one.

use serde_json::Value;

use super::{builtin, builtins, graph::nearest, parse, problems::Problems};
use crate::api::definition::ConnectorDefinitionSpec;

/// The field that names the definition which is extended.
const EXTENDS: &str = "extends";
/// The most definitions that may rest on each other, so that one which rests on itself ends.
const DEEPEST: usize = 4;

/// `spec` with everything that it does not say itself from the built-in definition that it extends: maps entry by entry, lists
/// and texts as a whole.
///
/// # Errors
/// There is no such definition, or what comes out is none.
pub(super) fn extended(spec: ConnectorDefinitionSpec) -> Result<ConnectorDefinitionSpec, Problems> {
    let mut spec = spec;
    for _ in 0..DEEPEST {
        let Some(base) = spec.extends.take() else {
            return Ok(spec);
        };
        let Some(text) = builtin(&base) else {
            let known: Vec<String> = builtins().map(str::to_owned).collect();
            let hint = nearest(&base, known.iter());
            return Err(Problems::one(
                EXTENDS,
                format!("there is no built-in definition '{base}'{hint}"),
            ));
        };
        spec = merged(parse(text)?.1, &spec)?;
    }
    Err(Problems::one(EXTENDS, "too many definitions rest on each other"))
}

fn merged(
    base: ConnectorDefinitionSpec,
    own: &ConnectorDefinitionSpec,
) -> Result<ConnectorDefinitionSpec, Problems> {
    let unwritable = |error: serde_json::Error| Problems::one(EXTENDS, error.to_string());
    let mut whole = serde_json::to_value(base).map_err(unwritable)?;
    overlay(&mut whole, serde_json::to_value(own).map_err(unwritable)?);
    serde_path_to_error::deserialize(whole).map_err(|error| {
        let path = error.path().to_string();
        Problems::one(path, error.into_inner().to_string())
    })
}

fn overlay(base: &mut Value, own: Value) {
    match (base, own) {
        (Value::Object(base), Value::Object(own)) => {
            for (key, value) in own {
                overlay(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (base, own) => *base = own,
    }
}

#[cfg(test)]
mod tests {
    use crate::connectors::declarative::{Definition, parse};

    const PRESET: &str = "
apiVersion: offboard.dev/v1alpha1
kind: ConnectorDefinition
metadata: { name: wiki }
spec:
  title: Wiki
  extends: scim
  notCovered: [pages of the person]
  inputs:
    url: { pattern: 'https://[a-z0-9-]+\\.wiki\\.example/scim' }
    patch: { default: false }
  settle: 1m
";

    fn compiled(text: &str) -> Result<Definition, String> {
        let (name, spec) = parse(text).map_err(|problems| problems.to_string())?;
        Definition::compile(&name, spec).map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_preset_is_what_it_extends_but_for_what_it_says_itself() {
        let preset = compiled(PRESET).unwrap();
        let base = parse(crate::connectors::declarative::builtin("scim").unwrap())
            .unwrap()
            .1;
        let scim = Definition::compile("scim", base).unwrap();
        let names = |definition: &Definition| -> Vec<String> {
            definition.facts().iter().map(|fact| fact.name.clone()).collect()
        };
        assert_eq!(names(&preset), names(&scim));
        let (own, theirs) = (preset.spec(), scim.spec());
        assert_eq!(own.title, "Wiki");
        assert_eq!(own.not_covered, ["pages of the person"]);
        assert_eq!(own.notes, theirs.notes);
        assert_eq!(own.settle.as_deref(), Some("1m"));
        let (patch, theirs) = (&own.inputs["patch"], &theirs.inputs["patch"]);
        assert_eq!(patch.default, Some(false.into()));
        assert_eq!(
            (&patch.type_, &patch.description),
            (&theirs.type_, &theirs.description)
        );
        assert!(own.inputs["url"].pattern.as_ref().unwrap().contains("wiki"));
        assert_eq!(own.extends, None, "what a record keeps of it stands alone");
    }

    #[test]
    fn what_is_wrong_with_a_preset_has_its_place() {
        for (from, to, problem) in [
            (
                "extends: scim",
                "extends: scm",
                "extends: there is no built-in definition 'scm'; 'scim' is meant?",
            ),
            ("settle: 1m", "settle: soon", "settle: "),
            (
                "settle: 1m",
                "ldap: { url: 'ldaps://x', base: 'dc=x' }",
                "spec: exactly one of http, ldap,",
            ),
        ] {
            assert!(PRESET.contains(from));
            let problems = compiled(&PRESET.replacen(from, to, 1)).unwrap_err();
            assert!(problems.starts_with(problem), "{problems}");
        }
    }
}
