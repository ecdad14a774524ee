//! Compiles the requests of a definition and says everything that is wrong with them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    expression::Expression,
    fields::has,
    kinds::wanted_at,
    problems::Problems,
    references::Uses,
    request::{Attributes, BodyTemplate, Compiled, Http, Job, Paging, Sql, Verb, uses},
    request_rules,
    template::{JsonTemplate, Place, Template, has_hole},
    values::{Names, Values},
};
use crate::api::definition::{Page, Request};

/// Which of the driver sections a definition has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `http`.
    Http,
    /// `ldap`.
    Ldap,
    /// `sql`.
    Sql,
    /// `sftp`.
    Sftp,
    /// `job`.
    Job,
    /// `manual`.
    Manual,
}

impl Protocol {
    /// Its section.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Ldap => "ldap",
            Self::Sql => "sql",
            Self::Sftp => "sftp",
            Self::Job => "job",
            Self::Manual => "manual",
        }
    }
}

/// What a request is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Asks the system what an input is.
    Discover,
    /// Finds accounts.
    Find,
    /// Reads more of an element that was found.
    Profile,
    /// Reads.
    Read,
    /// Changes.
    Act,
    /// Reads what an act must leave as it is.
    Spared,
    /// Puts that back.
    PutBack,
    /// Lists people.
    People,
    /// Lists people that changed.
    Changed,
    /// Reads more about one person.
    Detail,
}

/// Names known in the requests and expressions of an account that is bound.
pub const BOUND: &[&str] = &[
    "inputs",
    "who",
    "account",
    "successor",
    "reads",
    "operations",
    "accepted",
    "keys",
    "snapshot",
    "cutoff",
    "now",
    "since",
];

/// Names known in what is done around a request that was resolved before.
const WATCHED: &[&str] = &["inputs", "who", "account", "now"];

/// Which refusals of an act mean that it was done already: what is to be deleted is not there, a value that is to be removed is
/// not there, one that is to be added is.
fn done_already(verb: &Verb) -> Option<&'static str> {
    match verb {
        Verb::Http(http) if http.method == "DELETE" => Some("response.status in [404, 410]"),
        Verb::Delete(_) => Some("response.code == 32"),
        Verb::Modify {
            replace, add, remove, ..
        } if replace.is_empty() => match (add.is_empty(), remove.is_empty()) {
            (true, false) => Some("response.code == 16"),
            (false, true) => Some("response.code in [20, 68]"),
            _ => None,
        },
        _ => None,
    }
}

/// Compiles requests and expressions of one definition.
pub struct Compiler<'p> {
    /// Its driver.
    pub protocol: Protocol,
    /// Its named values.
    pub values: &'p Values,
    /// That the account was deleted by us, an expression; once `account` is compiled.
    pub gone: Option<String>,
    /// What is wrong so far.
    pub problems: &'p mut Problems,
}

impl Compiler<'_> {
    /// An expression.
    pub fn expression(&mut self, text: &str, path: &str, names: &[&str]) -> Option<Expression> {
        let expression = Expression::compile(text, path, Names::with(names, self.values), self.problems)?;
        if let Some(wanted) = wanted_at(path).filter(|wanted| !expression.kind().may_be(*wanted)) {
            let (kind, wanted) = (expression.kind().name(), wanted.name());
            self.problems
                .add(path, format!("is {kind}, and must be {wanted}"));
        }
        Some(expression)
    }

    /// An expression that may be left out.
    pub fn optional(&mut self, text: Option<&String>, path: &str, names: &[&str]) -> Option<Expression> {
        text.and_then(|text| self.expression(text, path, names))
    }

    pub(super) fn template(
        &mut self,
        text: &str,
        place: Place,
        path: &str,
        names: &[&str],
    ) -> Option<Template> {
        Template::compile(text, place, path, Names::with(names, self.values), self.problems)
    }

    fn json(&mut self, value: &Value, path: &str, names: &[&str]) -> Option<JsonTemplate> {
        JsonTemplate::compile(value, path, Names::with(names, self.values), self.problems)
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
        self.request_for(request, path, role, None)
    }

    /// A request at `path` that is made for each element of `list`, an expression with its own path, where it speaks of
    /// `item` and does not say itself of what.
    pub fn request_for(
        &mut self,
        request: &Request,
        path: &str,
        role: Role,
        list: Option<(&str, &str)>,
    ) -> Option<Compiled> {
        let list = list.filter(|_| request.each.is_none());
        let mut names: Vec<&str> = match role {
            Role::Discover => vec!["inputs"],
            Role::Find => vec!["who", "inputs", "now"],
            Role::Profile => vec!["who", "inputs", "now", "item"],
            Role::Read => BOUND.to_vec(),
            Role::Act => [BOUND, &["key", "random", "callback"]].concat(),
            Role::Spared => [WATCHED, &["item"]].concat(),
            Role::PutBack => [WATCHED, &["item", "lost"]].concat(),
            Role::People => vec!["inputs", "now"],
            Role::Changed => vec!["inputs", "now", "since"],
            Role::Detail => vec!["inputs", "now", "item"],
        };
        let when = self.optional(request.when.as_ref(), &format!("{path}.when"), &names);
        let each = self.optional(request.each.as_ref(), &format!("{path}.each"), &names);
        let each_of = list.and_then(|(list, path)| self.expression(list, path, &names));
        if request.each.is_some() || each_of.is_some() {
            names.push("item");
        }
        self.fields(request, path, role);
        if request.page.as_ref().is_some_and(|page| page.number.is_some()) {
            names.push("page");
        }
        let verb = self.verb(request, path, &names, role)?;
        let mut after: Vec<&str> = match role {
            Role::Act => WATCHED.to_vec(),
            _ => names.clone(),
        };
        after.push("response");
        let field = |name: &str| format!("{path}.{name}");
        let by_default = || done_already(&verb).filter(|_| role == Role::Act && request.lost.is_none());
        let done = request.done.clone().or_else(|| by_default().map(str::to_owned));
        let mut compiled = Compiled {
            when,
            each,
            verb,
            absent: self.optional(request.absent.as_ref(), &field("absent"), &after),
            items: self.optional(request.items.as_ref(), &field("items"), &after),
            proves: self.optional(
                request.proves.as_ref(),
                &field("proves"),
                &[names.as_slice(), &["items"]].concat(),
            ),
            done: self.optional(done.as_ref(), &field("done"), &after),
            lost: self.optional(request.lost.as_ref(), &field("lost"), &after),
            operation: self.optional(request.operation.as_ref(), &field("operation"), &after),
            page: request
                .page
                .as_ref()
                .and_then(|page| self.page(page, &field("page"), &after)),
            total: request
                .page
                .as_ref()
                .and_then(|page| self.optional(page.total.as_ref(), &field("page.total"), &after)),
            uses: Uses::default(),
            path: path.to_owned(),
        };
        compiled.uses = uses(&compiled);
        if each_of.is_some() && compiled.uses.name("item") {
            compiled.each = each_of;
            compiled.uses = uses(&compiled);
        }
        Some(compiled)
    }

    fn verb(&mut self, request: &Request, path: &str, names: &[&str], role: Role) -> Option<Verb> {
        let verbs: &[&str] = match self.protocol {
            Protocol::Manual => {
                self.problems
                    .add(path, "nothing is sent where people do the work; remove it");
                return None;
            }
            Protocol::Job => &["run"],
            Protocol::Http => &["get", "post", "put", "patch", "delete"],
            Protocol::Ldap => &["entry", "filter", "modify", "move", "delete"],
            Protocol::Sql => &["statement"],
            Protocol::Sftp => &["list", "file", "write", "move", "delete"],
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
            Protocol::Http => self.http(request, verb, (path, role), names),
            Protocol::Ldap => self.ldap(request, verb, path, names),
            Protocol::Sql => self.sql(request, path, names),
            Protocol::Sftp => self.files(request, verb, path, names).map(Verb::Files),
            Protocol::Job => self.job(request, path, names, role),
            Protocol::Manual => None,
        }
    }

    fn http(
        &mut self,
        request: &Request,
        verb: &str,
        (path, role): (&str, Role),
        names: &[&str],
    ) -> Option<Verb> {
        let (method, text) = match verb {
            "get" => ("GET", request.get.as_ref()?),
            "post" => ("POST", request.post.as_ref()?),
            "put" => ("PUT", request.put.as_ref()?),
            "patch" => ("PATCH", request.patch.as_ref()?),
            _ => ("DELETE", request.delete.as_ref()?),
        };
        request_rules::check(request, (path, verb, text), role, self.problems);
        let field = |name: &str| format!("{path}.{name}");
        let body = if let Some(json) = &request.json {
            BodyTemplate::Json(self.json(json, &field("json"), names)?)
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
                self.names(&request.attributes, &field("attributes"), names),
            ),
            "filter" => Verb::Search {
                within: request
                    .within
                    .as_ref()
                    .and_then(|within| self.template(within, Place::Dn, &field("within"), names)),
                filter: self.template(request.filter.as_ref()?, Place::Filter, &field("filter"), names)?,
                attributes: self.names(&request.attributes, &field("attributes"), names),
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
                    let path = format!("{path}.swap");
                    remove.push((self.template(name, Place::Plain, &path, names)?, vec![from]));
                    add.push((self.template(name, Place::Plain, &path, names)?, vec![to]));
                }
                Verb::Modify {
                    dn: self.template(request.modify.as_ref()?, Place::Dn, &field("modify"), names)?,
                    replace: self.attributes(&request.replace, &field("replace"), names),
                    add,
                    remove,
                }
            }
            "move" => Verb::Move(self.moving(request, path, names)?),
            _ => Verb::Delete(self.template(request.delete.as_ref()?, Place::Dn, &field("delete"), names)?),
        })
    }

    pub(super) fn names(&mut self, from: &[String], path: &str, names: &[&str]) -> Vec<Template> {
        from.iter()
            .enumerate()
            .filter_map(|(i, name)| self.template(name, Place::Plain, &format!("{path}[{i}]"), names))
            .collect()
    }

    fn attributes(&mut self, from: &BTreeMap<String, Vec<String>>, path: &str, names: &[&str]) -> Attributes {
        from.iter()
            .filter_map(|(name, texts)| {
                let templates = texts
                    .iter()
                    .enumerate()
                    .filter_map(|(i, text)| {
                        self.template(text, Place::Plain, &format!("{path}.{name}[{i}]"), names)
                    })
                    .collect();
                let name = self.template(name, Place::Plain, path, names)?;
                Some((name, templates))
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

    /// The arguments are made of inputs alone: what is known of a person could be taken for an option there, and every process
    /// list would show it.
    fn job(&mut self, request: &Request, path: &str, names: &[&str], role: Role) -> Option<Verb> {
        let run = request
            .run
            .iter()
            .enumerate()
            .filter_map(|(i, text)| {
                self.template(text, Place::Plain, &format!("{path}.run[{i}]"), &["inputs"])
            })
            .collect();
        let nothing = Value::Object(Map::new());
        let input = request.input.as_ref().unwrap_or(&nothing);
        if !input.is_object() {
            self.problems.add(format!("{path}.input"), "must be a map");
        }
        Some(Verb::Job(Box::new(Job {
            run,
            input: self.json(input, &format!("{path}.input"), names)?,
            keyed: role == Role::Act,
        })))
    }

    fn page(&mut self, page: &Page, path: &str, names: &[&str]) -> Option<Paging> {
        if page.total.is_some() && page.next.is_none() && page.cursor.is_none() {
            self.problems.add(
                format!("{path}.total"),
                "only goes with next or cursor; remove it",
            );
        }
        match (&page.next, &page.cursor, &page.offset, &page.number) {
            (Some(next), None, None, None) => Some(Paging::Next(self.expression(
                next,
                &format!("{path}.next"),
                names,
            )?)),
            (None, Some(cursor), None, None) => {
                let value = self.expression(&cursor.value, &format!("{path}.cursor.value"), names)?;
                Some(Paging::Cursor(cursor.parameter.clone(), value))
            }
            (None, None, Some(offset), None) => Some(Paging::Offset {
                parameter: offset.parameter.clone(),
                first: offset.first,
                total: self.expression(&offset.total, &format!("{path}.offset.total"), names)?,
            }),
            (None, None, None, Some(number)) => Some(Paging::Number {
                first: number.first,
                pages: Box::new(self.expression(&number.pages, &format!("{path}.number.pages"), names)?),
                total: self
                    .optional(number.total.as_ref(), &format!("{path}.number.total"), names)
                    .map(Box::new),
            }),
            _ => {
                self.problems
                    .add(path, "exactly one of next, cursor, offset and number is needed");
                None
            }
        }
    }
}
