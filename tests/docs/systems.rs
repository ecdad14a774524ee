//! The table of systems in README.md: every built-in definition, how its facts are proven, and what it is tested against.

use offboard::{
    connectors::declarative::{Definition, builtin, builtins, parse},
    core::fact::Proof,
};

use crate::{read, root};

const BEGIN: &str = "<!-- systems: written by WRITE_DOCS=1 cargo test --test docs -->\n";
const END: &str = "<!-- /systems -->\n";

/// What each definition is tested against: a real server, or what simulates the vendor's documented rules; and the test.
const TESTED: [(&str, &str, &str); 18] = [
    ("active-directory", "Samba AD", "active_directory.rs"),
    ("bamboohr", "simulator", "sources/cases.rs"),
    ("csv-sftp", "OpenSSH", "csv_sftp.rs"),
    ("google-workspace", "simulator", "google_workspace/scene.rs"),
    ("ipaas", "simulated flow", "without_api/flows.rs"),
    ("keycloak", "Keycloak", "keycloak.rs"),
    ("manual", "API server", "without_api/people.rs"),
    ("microsoft-365", "simulator", "microsoft_365/scene.rs"),
    ("mysql", "MariaDB", "mysql.rs"),
    ("openldap", "OpenLDAP", "openldap.rs"),
    ("payroll-file", "OpenSSH", "payroll_file.rs"),
    ("postgresql", "PostgreSQL", "postgresql.rs"),
    ("rest", "simulator", "people.rs"),
    ("salesforce", "simulator", "salesforce.rs"),
    ("scim", "simulator", "scim.rs"),
    ("scim-inbound", "simulator", "sources/cases.rs"),
    ("workday-raas", "simulator", "people.rs"),
    ("workday-soap", "simulated SOAP service", "workday.rs"),
];

fn tested(name: &str) -> (&'static str, &'static str) {
    let found = TESTED.iter().find(|(of, ..)| *of == name);
    let (_, server, test) = found.unwrap_or_else(|| panic!("nothing tests {name}"));
    (server, test)
}

fn definition(name: &str) -> Definition {
    let (_, spec) = parse(builtin(name).unwrap()).unwrap();
    Definition::compile(name, spec).unwrap()
}

/// How many of its facts are proven in which way.
fn proven(definition: &Definition) -> String {
    let facts = definition.facts();
    let by_hand = facts.iter().filter(|fact| fact.by_hand).count();
    let asserted = facts
        .iter()
        .filter(|fact| !fact.by_hand && fact.proof == Proof::None)
        .count();
    let read_back = facts.len() - by_hand - asserted;
    let counts = [
        (read_back, "read back"),
        (asserted, "asserted"),
        (by_hand, "by a person"),
    ];
    let mut parts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, how)| format!("{count} {how}"))
        .collect();
    if definition.has_people() {
        parts.push("lists leavers".to_owned());
    }
    parts.join(", ")
}

fn protocol(definition: &Definition) -> &'static str {
    let spec = definition.spec();
    match () {
        () if spec.http.is_some() => "HTTP",
        () if spec.ldap.is_some() => "LDAP",
        () if spec.sql.is_some() => "SQL",
        () if spec.sftp.is_some() => "SFTP",
        () if spec.job.is_some() => "program",
        () => "–",
    }
}

fn table() -> String {
    let mut text = "| system | definition | protocol | facts, and how each is proven | tested against |\n|---|---|---|---|---|\n".to_owned();
    let mut rows: Vec<(bool, String, String)> = builtins()
        .map(|name| {
            let definition = definition(name);
            let (server, test) = tested(name);
            let title = &definition.spec().title;
            let row = format!(
                "| {title} | `{name}` | {} | {} | [{server}](tests/it/{test}) |\n",
                protocol(&definition),
                proven(&definition),
            );
            (definition.has_people(), title.to_lowercase(), row)
        })
        .collect();
    rows.sort();
    text.extend(rows.into_iter().map(|(_, _, row)| row));
    text
}

#[test]
fn the_readme_lists_every_built_in_definition_as_it_is() {
    let readme = read("README.md");
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (listed, after) = rest.split_once(END).unwrap();
    if std::env::var_os("WRITE_DOCS").is_some() {
        let text = format!("{before}{BEGIN}{}{END}{after}", table());
        std::fs::write(root().join("README.md"), text).unwrap();
    } else {
        assert_eq!(listed, table(), "write it by WRITE_DOCS=1 cargo test --test docs");
    }
}

#[test]
fn the_test_that_is_named_uses_the_definition() {
    for name in builtins() {
        let (_, test) = tested(name);
        let text = read(&format!("tests/it/{test}"));
        assert!(
            text.contains(&format!("\"{name}\"")) || text.contains(&format!("definition: {name}")),
            "{test} does not use {name}"
        );
    }
    assert_eq!(TESTED.len(), builtins().count());
}
