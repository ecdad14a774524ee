//! Which fields of a request go together.

use super::compile::{Compiler, Protocol, Role};
use crate::api::definition::Request;

impl Compiler<'_> {
    /// Whether only fields are set that belong together.
    pub(super) fn fields(&mut self, request: &Request, path: &str, role: Role) {
        let protocol = self.protocol;
        for (name, set, owners, verb) in fields(request) {
            if set && !owners.contains(&protocol) {
                let owner = owners.first().map_or("other", |o| o.name());
                self.problems.add(
                    format!("{path}.{name}"),
                    format!(
                        "belongs to {owner}, and this definition speaks {}; remove it",
                        protocol.name()
                    ),
                );
            } else if set && verb.is_some_and(|verb| !verb.iter().any(|v| has(request, v))) {
                let verbs = verb.unwrap_or_default().join(" or ");
                self.problems.add(
                    format!("{path}.{name}"),
                    format!("only goes with {verbs}; remove it"),
                );
            }
        }
        let changes_something = matches!(role, Role::Act | Role::PutBack);
        let misplaced: &[(&str, bool)] = match role {
            Role::Act | Role::PutBack => &[
                ("absent", request.absent.is_some()),
                ("items", request.items.is_some()),
                ("proves", request.proves.is_some()),
                ("page", request.page.is_some()),
            ],
            _ => &[
                ("done", request.done.is_some()),
                ("lost", request.lost.is_some()),
                ("operation", request.operation.is_some()),
            ],
        };
        for (name, set) in misplaced {
            if *set {
                let whose = if changes_something {
                    "reads and find"
                } else {
                    "acts"
                };
                self.problems.add(
                    format!("{path}.{name}"),
                    format!("only {whose} have it; remove it"),
                );
            }
        }
        let once = match role {
            Role::Find => Some("find asks once; write one find per way"),
            Role::Discover => Some("an input is asked for once; remove it"),
            Role::Profile => Some("a profile is read once for each item; remove it"),
            Role::Detail => Some("a detail is asked for once for each item; remove it"),
            Role::Spared | Role::PutBack => Some("it is made for one item of the act's own each; remove it"),
            Role::Read | Role::Act | Role::People | Role::Changed => None,
        };
        if let (Some(message), Some(_)) = (once, &request.each) {
            self.problems.add(format!("{path}.each"), message);
        }
        let changes = ["put", "patch", "delete", "modify", "move", "write"];
        if !changes_something && let Some(verb) = changes.iter().find(|verb| has(request, verb)) {
            self.problems.add(
                format!("{path}.{verb}"),
                "a look changes nothing; only acts may use it",
            );
        }
        let bodies = [
            request.json.is_some(),
            request.form.is_some(),
            request.xml.is_some(),
        ];
        if bodies.iter().filter(|set| **set).count() > 1 {
            self.problems
                .add(path, "has several bodies; keep one of json, form and xml");
        }
    }
}

/// Whether the request has `verb`.
pub(super) fn has(request: &Request, verb: &str) -> bool {
    match verb {
        "get" => request.get.is_some(),
        "post" => request.post.is_some(),
        "put" => request.put.is_some(),
        "patch" => request.patch.is_some(),
        "delete" => request.delete.is_some(),
        "entry" => request.entry.is_some(),
        "filter" => request.filter.is_some(),
        "modify" => request.modify.is_some(),
        "move" => request.move_.is_some(),
        "list" => request.list.is_some(),
        "file" => request.file.is_some(),
        "write" => request.write.is_some(),
        "run" => !request.run.is_empty(),
        _ => request.statement.is_some(),
    }
}

type Field = (
    &'static str,
    bool,
    &'static [Protocol],
    Option<&'static [&'static str]>,
);

/// Every field that belongs to a driver: whether it is set, whose it is, and the verbs it goes with.
fn fields(r: &Request) -> Vec<Field> {
    use Protocol::{Http, Job, Ldap, Sftp, Sql};
    vec![
        ("get", r.get.is_some(), &[Http], None),
        ("post", r.post.is_some(), &[Http], None),
        ("put", r.put.is_some(), &[Http], None),
        ("patch", r.patch.is_some(), &[Http], None),
        ("delete", r.delete.is_some(), &[Http, Ldap, Sftp], None),
        ("base", r.base.is_some(), &[Http], None),
        ("subject", r.subject.is_some(), &[Http], None),
        ("query", !r.query.is_empty(), &[Http], None),
        ("headers", !r.headers.is_empty(), &[Http], None),
        ("json", r.json.is_some(), &[Http], None),
        ("form", r.form.is_some(), &[Http], None),
        ("xml", r.xml.is_some(), &[Http], None),
        ("page", r.page.is_some(), &[Http], None),
        ("entry", r.entry.is_some(), &[Ldap], None),
        ("filter", r.filter.is_some(), &[Ldap], None),
        ("within", r.within.is_some(), &[Ldap], Some(&["filter"])),
        (
            "attributes",
            !r.attributes.is_empty(),
            &[Ldap],
            Some(&["entry", "filter"]),
        ),
        ("modify", r.modify.is_some(), &[Ldap], None),
        ("replace", !r.replace.is_empty(), &[Ldap], Some(&["modify"])),
        ("add", !r.add.is_empty(), &[Ldap], Some(&["modify"])),
        ("remove", !r.remove.is_empty(), &[Ldap], Some(&["modify"])),
        ("swap", !r.swap.is_empty(), &[Ldap], Some(&["modify"])),
        ("move", r.move_.is_some(), &[Ldap, Sftp], None),
        ("into", r.into.is_some(), &[Ldap, Sftp], Some(&["move"])),
        ("newRdn", r.new_rdn.is_some(), &[Ldap], Some(&["move"])),
        ("statement", r.statement.is_some(), &[Sql], None),
        ("database", r.database.is_some(), &[Sql], None),
        ("parameters", !r.parameters.is_empty(), &[Sql], None),
        ("identifiers", !r.identifiers.is_empty(), &[Sql], None),
        ("literals", !r.literals.is_empty(), &[Sql], None),
        ("list", r.list.is_some(), &[Sftp], None),
        ("file", r.file.is_some(), &[Sftp], None),
        ("write", r.write.is_some(), &[Sftp], None),
        ("text", r.text.is_some(), &[Sftp], Some(&["write"])),
        ("rows", r.rows.is_some(), &[Sftp], Some(&["write"])),
        ("csv", r.csv.is_some(), &[Sftp], Some(&["file", "write"])),
        (
            "encoding",
            r.encoding.is_some(),
            &[Sftp],
            Some(&["file", "write"]),
        ),
        ("trust", r.trust.is_some(), &[Sftp], Some(&["file"])),
        ("run", !r.run.is_empty(), &[Job], None),
        ("input", r.input.is_some(), &[Job], None),
    ]
}
