//! The definitions that come with the program.

/// Name and text of every built-in definition. Adding one is one line.
const BUILTINS: &[(&str, &str)] = &[
    (
        "active-directory",
        include_str!("../definitions/active-directory.yaml"),
    ),
    (
        "google-workspace",
        include_str!("../definitions/google-workspace.yaml"),
    ),
    ("ipaas", include_str!("../definitions/ipaas.yaml")),
    ("manual", include_str!("../definitions/manual.yaml")),
    ("microsoft-365", include_str!("../definitions/microsoft-365.yaml")),
    ("keycloak", include_str!("../definitions/keycloak.yaml")),
    ("mysql", include_str!("../definitions/mysql.yaml")),
    ("postgresql", include_str!("../definitions/postgresql.yaml")),
    ("salesforce", include_str!("../definitions/salesforce.yaml")),
    ("bamboohr", include_str!("../definitions/bamboohr.yaml")),
    ("rest", include_str!("../definitions/rest.yaml")),
    ("scim-inbound", include_str!("../definitions/scim-inbound.yaml")),
    ("workday-raas", include_str!("../definitions/workday-raas.yaml")),
    ("workday-soap", include_str!("../definitions/workday-soap.yaml")),
    ("scim", include_str!("../definitions/scim.yaml")),
    ("csv-sftp", include_str!("../definitions/csv-sftp.yaml")),
    ("payroll-file", include_str!("../definitions/payroll-file.yaml")),
    ("openldap", include_str!("../definitions/openldap.yaml")),
];

/// The text of the built-in definition `name`.
pub fn builtin(name: &str) -> Option<&'static str> {
    BUILTINS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
}

/// The names of all built-in definitions.
pub fn builtins() -> impl Iterator<Item = &'static str> {
    BUILTINS.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::definition::Rights,
        connectors::declarative::{Definition, parse},
    };

    #[test]
    fn every_built_in_definition_is_sound_and_has_its_own_name() {
        for name in builtins() {
            let (own, spec) =
                parse(builtin(name).unwrap()).unwrap_or_else(|problems| panic!("{name}:\n{problems}"));
            assert_eq!(own, name);
            assert!(spec.category.is_some() && spec.criticality.is_some(), "{name}");
            let asked = spec.manual.is_none();
            assert_eq!(asked, spec.rights != Rights::default(), "{name}");
            if let Err(problems) = Definition::compile(name, spec) {
                panic!("{name}:\n{problems}");
            }
        }
    }
}
