//! Compiles the requests of a definition and says everything that is wrong with them.

use std::collections::BTreeMap;

use super::{
    expression::Expression,
    problems::Problems,
    references::Uses,
    request::{Attributes, BodyTemplate, Compiled, Http, Paging, Sql, Verb},
    template::{JsonTemplate, Place, Template, has_hole},
};
use crate::api::definition::{Page, Request};

/// Which of the three driver sections a definition has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `http`.
    Http,
    /// `ldap`.
    Ldap,
    /// `sql`.
    Sql,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Ldap => "ldap",
            Self::Sql => "sql",
        }
    }
}

/// What a request is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Finds accounts.
    Find,
    /// Reads.
    Read,
    /// Changes.
    Act,
}

/// Names known in the requests and expressions of an account that is bound.
pub const BOUND: &[&str] = &[
    "inputs",
    "who",
    "account",
    "successor",
    "reads",
    "operations",
    "snapshot",
    "cutoff",
    "now",
    "since",
];

/// Compiles requests and expressions of one definition.
pub struct Compiler<'p> {
    /// Its driver.
    pub protocol: Protocol,
    /// What is wrong so far.
    pub problems: &'p mut Problems,
}

impl Compiler<'_> {
    /// An expression.
    pub fn expression(&mut self, text: &str, path: &str, names: &[&str]) -> Option<Expression> {
        Expression::compile(text, path, names, self.problems)
    }

    /// An expression that may be left out.
    pub fn optional(&mut self, text: Option<&String>, path: &str, names: &[&str]) -> Option<Expression> {
        text.and_then(|text| self.expression(text, path, names))
    }

    fn template(&mut self, text: &str, place: Place, path: &str, names: &[&str]) -> Option<Template> {
        Template::compile(text, place, path, names, self.problems)
    }

    fn templates(
        &mut self,
        from: &BTreeMap<String, String>,
        place: Place,
        path: &str,
        names: &[&str],
    ) -> Vec<(String, Template)> {
        from.iter()
            .filter_map(|(key, text)| {
                let template = self.template(text, place, &format!("{path}.{key}"), names)?;
                Some((key.clone(), template))
            })
            .collect()
    }

    /// A request at `path`.
    pub fn request(&mut self, request: &Request, path: &str, role: Role) -> Option<Compiled> {
        let mut names: Vec<&str> = match role {
            Role::Find => vec!["who", "inputs", "now"],
            Role::Read => BOUND.to_vec(),
            Role::Act => [BOUND, &["key", "random"]].concat(),
        };
        let when = self.optional(request.when.as_ref(), &format!("{path}.when"), &names);
        let each = self.optional(request.each.as_ref(), &format!("{path}.each"), &names);
        if request.each.is_some() {
            names.push("item");
        }
        self.fields(request, path, role);
        let verb = self.verb(request, path, &names)?;
        let mut after: Vec<&str> = match role {
            Role::Act => vec!["inputs", "who", "account", "now"],
            _ => names.clone(),
        };
        after.push("response");
        let field = |name: &str| format!("{path}.{name}");
        let mut compiled = Compiled {
            when,
            each,
            verb,
            absent: self.optional(request.absent.as_ref(), &field("absent"), &after),
            items: self.optional(request.items.as_ref(), &field("items"), &after),
            done: self.optional(request.done.as_ref(), &field("done"), &after),
            operation: self.optional(request.operation.as_ref(), &field("operation"), &after),
            page: request
                .page
                .as_ref()
                .and_then(|page| self.page(page, &field("page"), &after)),
            uses: Uses::default(),
            path: path.to_owned(),
        };
        compiled.uses = uses(&compiled);
        Some(compiled)
    }

    /// Whether only fields are set that belong together.
    fn fields(&mut self, request: &Request, path: &str, role: Role) {
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
        let misplaced: &[(&str, bool)] = match role {
            Role::Act => &[
                ("absent", request.absent.is_some()),
                ("items", request.items.is_some()),
                ("page", request.page.is_some()),
            ],
            _ => &[
                ("done", request.done.is_some()),
                ("operation", request.operation.is_some()),
            ],
        };
        for (name, set) in misplaced {
            if *set {
                let whose = if role == Role::Act {
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
        if role == Role::Find && request.each.is_some() {
            self.problems
                .add(format!("{path}.each"), "find asks once; write one find per way");
        }
        let changes = ["put", "patch", "delete", "modify", "move"];
        if role != Role::Act
            && let Some(verb) = changes.iter().find(|verb| has(request, verb))
        {
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

    fn verb(&mut self, request: &Request, path: &str, names: &[&str]) -> Option<Verb> {
        let verbs: &[&str] = match self.protocol {
            Protocol::Http => &["get", "post", "put", "patch", "delete"],
            Protocol::Ldap => &["entry", "filter", "modify", "move", "delete"],
            Protocol::Sql => &["statement"],
        };
        let set: Vec<&str> = verbs.iter().copied().filter(|verb| has(request, verb)).collect();
        let [verb] = set.as_slice() else {
            let what = if set.is_empty() {
                "has none of"
            } else {
                "has several of"
            };
            self.problems.add(
                path,
                format!("{what} {}; exactly one is needed", verbs.join(", ")),
            );
            return None;
        };
        match self.protocol {
            Protocol::Http => self.http(request, verb, path, names),
            Protocol::Ldap => self.ldap(request, verb, path, names),
            Protocol::Sql => self.sql(request, path, names),
        }
    }

    fn http(&mut self, request: &Request, verb: &str, path: &str, names: &[&str]) -> Option<Verb> {
        let (method, text) = match verb {
            "get" => ("GET", request.get.as_ref()?),
            "post" => ("POST", request.post.as_ref()?),
            "put" => ("PUT", request.put.as_ref()?),
            "patch" => ("PATCH", request.patch.as_ref()?),
            _ => ("DELETE", request.delete.as_ref()?),
        };
        let field = |name: &str| format!("{path}.{name}");
        let body = if let Some(json) = &request.json {
            BodyTemplate::Json(JsonTemplate::compile(json, &field("json"), names, self.problems)?)
        } else if let Some(form) = &request.form {
            BodyTemplate::Form(self.templates(form, Place::Plain, &field("form"), names))
        } else if let Some(xml) = &request.xml {
            BodyTemplate::Xml(self.template(xml, Place::Xml, &field("xml"), names)?)
        } else {
            BodyTemplate::Empty
        };
        if request.base.as_ref().is_some_and(|base| base.trim().is_empty()) {
            self.problems
                .add(field("base"), "empty; write an address or leave it out");
        }
        // Another base decides where our login is sent, so only inputs may make it up.
        let base = request
            .base
            .as_ref()
            .and_then(|base| self.template(base, Place::Base, &field("base"), &["inputs"]));
        let subject = request
            .subject
            .as_ref()
            .and_then(|subject| self.template(subject, Place::Plain, &field("subject"), names));
        Some(Verb::Http(Box::new(Http {
            method,
            base,
            path: self.template(text, Place::Path, &field(verb), names)?,
            subject,
            query: self.templates(&request.query, Place::Plain, &field("query"), names),
            headers: self.templates(&request.headers, Place::Header, &field("headers"), names),
            body,
        })))
    }

    fn ldap(&mut self, request: &Request, verb: &str, path: &str, names: &[&str]) -> Option<Verb> {
        let field = |name: &str| format!("{path}.{name}");
        Some(match verb {
            "entry" => Verb::Entry(
                self.template(request.entry.as_ref()?, Place::Dn, &field("entry"), names)?,
                request.attributes.clone(),
            ),
            "filter" => Verb::Search {
                within: request
                    .within
                    .as_ref()
                    .and_then(|within| self.template(within, Place::Dn, &field("within"), names)),
                filter: self.template(request.filter.as_ref()?, Place::Filter, &field("filter"), names)?,
                attributes: request.attributes.clone(),
            },
            "modify" => {
                let changes = [&request.replace, &request.add, &request.remove];
                if changes.iter().all(|c| c.is_empty()) && request.swap.is_empty() {
                    self.problems.add(
                        field("modify"),
                        "changes nothing; add replace, add, remove or swap",
                    );
                }
                let mut add = self.attributes(&request.add, &field("add"), names);
                let mut remove = self.attributes(&request.remove, &field("remove"), names);
                for (name, swap) in &request.swap {
                    let from = self.template(
                        &swap.from,
                        Place::Plain,
                        &format!("{path}.swap.{name}.from"),
                        names,
                    )?;
                    let to =
                        self.template(&swap.to, Place::Plain, &format!("{path}.swap.{name}.to"), names)?;
                    remove.push((name.clone(), vec![from]));
                    add.push((name.clone(), vec![to]));
                }
                Verb::Modify {
                    dn: self.template(request.modify.as_ref()?, Place::Dn, &field("modify"), names)?,
                    replace: self.attributes(&request.replace, &field("replace"), names),
                    add,
                    remove,
                }
            }
            "move" => {
                let Some(into) = &request.into else {
                    self.problems
                        .add(field("into"), "missing; name the new parent's DN");
                    return None;
                };
                Verb::Move(
                    self.template(request.move_.as_ref()?, Place::Dn, &field("move"), names)?,
                    self.template(into, Place::Dn, &field("into"), names)?,
                )
            }
            _ => Verb::Delete(self.template(request.delete.as_ref()?, Place::Dn, &field("delete"), names)?),
        })
    }

    fn attributes(&mut self, from: &BTreeMap<String, Vec<String>>, path: &str, names: &[&str]) -> Attributes {
        from.iter()
            .map(|(name, texts)| {
                let templates = texts
                    .iter()
                    .enumerate()
                    .filter_map(|(i, text)| {
                        self.template(text, Place::Plain, &format!("{path}.{name}[{i}]"), names)
                    })
                    .collect();
                (name.clone(), templates)
            })
            .collect()
    }

    fn sql(&mut self, request: &Request, path: &str, names: &[&str]) -> Option<Verb> {
        let statement = request.statement.as_ref()?;
        if has_hole(statement) {
            self.problems.add(
                format!("{path}.statement"),
                "a statement has no ${} holes; use {name} with identifiers or literals, or parameters",
            );
            return None;
        }
        for name in request.identifiers.keys().chain(request.literals.keys()) {
            if !statement.contains(&format!("{{{name}}}")) {
                self.problems.add(
                    format!("{path}.statement"),
                    format!("does not use {{{name}}}, which is given"),
                );
            }
        }
        let parameters = request
            .parameters
            .iter()
            .enumerate()
            .filter_map(|(i, text)| self.expression(text, &format!("{path}.parameters[{i}]"), names))
            .collect();
        let database = request
            .database
            .as_ref()
            .and_then(|text| self.template(text, Place::Plain, &format!("{path}.database"), names));
        Some(Verb::Sql(Box::new(Sql {
            statement: statement.clone(),
            database,
            parameters,
            identifiers: self.templates(
                &request.identifiers,
                Place::Plain,
                &format!("{path}.identifiers"),
                names,
            ),
            literals: self.templates(
                &request.literals,
                Place::Plain,
                &format!("{path}.literals"),
                names,
            ),
        })))
    }

    fn page(&mut self, page: &Page, path: &str, names: &[&str]) -> Option<Paging> {
        match (&page.next, &page.cursor, &page.offset) {
            (Some(next), None, None) => Some(Paging::Next(self.expression(
                next,
                &format!("{path}.next"),
                names,
            )?)),
            (None, Some(cursor), None) => {
                let value = self.expression(&cursor.value, &format!("{path}.cursor.value"), names)?;
                Some(Paging::Cursor(cursor.parameter.clone(), value))
            }
            (None, None, Some(offset)) => Some(Paging::Offset {
                parameter: offset.parameter.clone(),
                first: offset.first,
                total: self.expression(&offset.total, &format!("{path}.offset.total"), names)?,
            }),
            _ => {
                self.problems
                    .add(path, "exactly one of next, cursor and offset is needed");
                None
            }
        }
    }
}

fn has(request: &Request, verb: &str) -> bool {
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
    use Protocol::{Http, Ldap, Sql};
    vec![
        ("get", r.get.is_some(), &[Http], None),
        ("post", r.post.is_some(), &[Http], None),
        ("put", r.put.is_some(), &[Http], None),
        ("patch", r.patch.is_some(), &[Http], None),
        ("delete", r.delete.is_some(), &[Http, Ldap], None),
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
        ("move", r.move_.is_some(), &[Ldap], None),
        ("into", r.into.is_some(), &[Ldap], Some(&["move"])),
        ("statement", r.statement.is_some(), &[Sql], None),
        ("database", r.database.is_some(), &[Sql], None),
        ("parameters", !r.parameters.is_empty(), &[Sql], None),
        ("identifiers", !r.identifiers.is_empty(), &[Sql], None),
        ("literals", !r.literals.is_empty(), &[Sql], None),
    ]
}

/// Everything that a request refers to.
fn uses(request: &Compiled) -> Uses {
    let mut uses = Uses::default();
    let expressions = [
        &request.when,
        &request.each,
        &request.absent,
        &request.items,
        &request.done,
        &request.operation,
    ];
    for expression in expressions.into_iter().flatten() {
        uses.add(expression.uses());
    }
    match &request.page {
        Some(Paging::Next(e) | Paging::Cursor(_, e) | Paging::Offset { total: e, .. }) => uses.add(e.uses()),
        None => {}
    }
    let named =
        |templates: &[(String, Template)], uses: &mut Uses| templates.iter().for_each(|(_, t)| t.uses(uses));
    match &request.verb {
        Verb::Http(http) => {
            http.path.uses(&mut uses);
            http.base
                .iter()
                .chain(&http.subject)
                .for_each(|t| t.uses(&mut uses));
            named(&http.query, &mut uses);
            named(&http.headers, &mut uses);
            match &http.body {
                BodyTemplate::Empty => {}
                BodyTemplate::Json(json) => json.uses(&mut uses),
                BodyTemplate::Form(form) => named(form, &mut uses),
                BodyTemplate::Xml(xml) => xml.uses(&mut uses),
            }
        }
        Verb::Entry(dn, _) | Verb::Delete(dn) => dn.uses(&mut uses),
        Verb::Search { within, filter, .. } => {
            within.iter().for_each(|t| t.uses(&mut uses));
            filter.uses(&mut uses);
        }
        Verb::Modify {
            dn,
            replace,
            add,
            remove,
        } => {
            dn.uses(&mut uses);
            for (_, values) in replace.iter().chain(add).chain(remove) {
                values.iter().for_each(|t| t.uses(&mut uses));
            }
        }
        Verb::Move(dn, into) => {
            dn.uses(&mut uses);
            into.uses(&mut uses);
        }
        Verb::Sql(sql) => {
            sql.parameters.iter().for_each(|e| uses.add(e.uses()));
            sql.database.iter().for_each(|t| t.uses(&mut uses));
            named(&sql.identifiers, &mut uses);
            named(&sql.literals, &mut uses);
        }
    }
    uses
}
