//! A request of a definition, compiled, and how it becomes a resolved request of its driver.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    escape::percent,
    expression::{Expression, Scope, Unevaluable},
    files::Files,
    moving::MoveTemplate,
    references::Uses,
    template::{JsonTemplate, KEY, Template},
};
use crate::{
    connectors::driver::{Body, HttpRequest, JobRequest, LdapRequest, Resolved, SqlRequest},
    core::fault::{Fault, Reason},
};

/// A compiled request.
#[derive(Debug)]
pub struct Compiled {
    /// Its place in the definition.
    pub path: String,
    /// Sent only if it holds.
    pub when: Option<Expression>,
    /// Made once for each element.
    pub each: Option<Expression>,
    /// What is sent.
    pub verb: Verb,
    /// This refusal means that nothing is there.
    pub absent: Option<Expression>,
    /// The value of every page.
    pub items: Option<Expression>,
    /// The whole value can show what is judged by it.
    pub proves: Option<Expression>,
    /// This refusal means that it was done already.
    pub done: Option<Expression>,
    /// This refusal means that it cannot be given back any more.
    pub lost: Option<Expression>,
    /// The id of a long-running operation.
    pub operation: Option<Expression>,
    /// How further pages are asked for.
    pub page: Option<Paging>,
    /// How many elements there are in all, where the pages are chained.
    pub total: Option<Expression>,
    /// Everything that it refers to.
    pub uses: Uses,
}

/// What is sent.
#[derive(Debug)]
pub enum Verb {
    /// An HTTP exchange.
    Http(Box<Http>),
    /// Reads one entry.
    Entry(Template, Vec<Template>),
    /// Searches a tree.
    Search {
        /// Where.
        within: Option<Template>,
        /// What.
        filter: Template,
        /// Which attributes.
        attributes: Vec<Template>,
    },
    /// Changes an entry.
    Modify {
        /// The entry.
        dn: Template,
        /// New values.
        replace: Attributes,
        /// Values to add.
        add: Attributes,
        /// Values to remove.
        remove: Attributes,
    },
    /// Moves an entry.
    Move(MoveTemplate),
    /// Deletes an entry.
    Delete(Template),
    /// A statement.
    Sql(Box<Sql>),
    /// Something about files.
    Files(Files),
    /// A run of a program.
    Job(Box<Job>),
}

/// Templates of an attribute's name and of its values.
pub type Attributes = Vec<(Template, Vec<Template>)>;

/// An HTTP exchange.
#[derive(Debug)]
pub struct Http {
    /// `GET`, …
    pub method: &'static str,
    /// Another base than the driver's.
    pub base: Option<Template>,
    /// The path.
    pub path: Template,
    /// The user to act for.
    pub subject: Option<Template>,
    /// Query parameters.
    pub query: Vec<(String, Template)>,
    /// Headers.
    pub headers: Vec<(String, Template)>,
    /// The body.
    pub body: BodyTemplate,
}

/// The body of an HTTP request.
#[derive(Debug)]
pub enum BodyTemplate {
    /// None.
    Empty,
    /// JSON.
    Json(JsonTemplate),
    /// A form.
    Form(Vec<(String, Template)>),
    /// XML.
    Xml(Template),
}

/// A statement.
#[derive(Debug)]
pub struct Sql {
    /// The text, fixed.
    pub statement: String,
    /// The database to log in to.
    pub database: Option<Template>,
    /// Bound in order.
    pub parameters: Vec<Expression>,
    /// Quoted as identifiers.
    pub identifiers: Vec<(String, Template)>,
    /// Quoted as literals.
    pub literals: Vec<(String, Template)>,
}

/// A run of a program.
#[derive(Debug)]
pub struct Job {
    /// The program and its arguments.
    pub run: Vec<Template>,
    /// What it gets.
    pub input: JsonTemplate,
    /// It is an act, and carries its key.
    pub keyed: bool,
}

/// How further pages are asked for.
#[derive(Debug)]
pub enum Paging {
    /// The answer has the next address.
    Next(Expression),
    /// The answer has a token for a query parameter.
    Cursor(String, Expression),
    /// A number counts up to a total.
    Offset {
        /// Query parameter.
        parameter: String,
        /// The first number.
        first: u32,
        /// How many there are.
        total: Expression,
    },
    /// The number of the page, in the templates of the request.
    Number {
        /// The first page.
        first: u32,
        /// How many pages there are.
        pages: Box<Expression>,
        /// How many elements there are.
        total: Option<Box<Expression>>,
    },
}

/// Where requests go: the resolved `base` of the definition's driver (an address for http, a DN for ldap, a folder for
/// sftp).
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// The address, DN or folder.
    pub base: String,
}

impl Compiled {
    /// What is sent in `scope`.
    ///
    /// # Errors
    /// `Malformed` when an expression has no value or the result would leave the system's host.
    pub fn resolve(&self, target: &Target, scope: &Scope<'_>) -> Result<Resolved, Fault> {
        Ok(match &self.verb {
            Verb::Http(http) => Resolved::Http(self.http(http, target, scope)?),
            Verb::Entry(dn, attributes) => Resolved::Ldap(LdapRequest::Search {
                base: dn.text(scope)?,
                entry: true,
                filter: "(objectClass=*)".into(),
                attributes: names(attributes, scope)?,
            }),
            Verb::Search {
                within,
                filter,
                attributes,
            } => Resolved::Ldap(LdapRequest::Search {
                base: match within {
                    Some(within) => within.text(scope)?,
                    None => target.base.clone(),
                },
                entry: false,
                filter: filter.text(scope)?,
                attributes: names(attributes, scope)?,
            }),
            Verb::Modify {
                dn,
                replace,
                add,
                remove,
            } => Resolved::Ldap(LdapRequest::Modify {
                dn: dn.text(scope)?,
                replace: attributes(replace, scope)?,
                add: attributes(add, scope)?,
                remove: attributes(remove, scope)?,
            }),
            Verb::Move(moving) => Resolved::Ldap(moving.resolve(scope)?),
            Verb::Delete(dn) => Resolved::Ldap(LdapRequest::Delete { dn: dn.text(scope)? }),
            Verb::Sql(sql) => Resolved::Sql(SqlRequest {
                database: sql.database.as_ref().map(|t| t.text(scope)).transpose()?,
                statement: sql.statement.clone(),
                parameters: sql
                    .parameters
                    .iter()
                    .map(|e| e.evaluate(scope))
                    .collect::<Result<Vec<Value>, _>>()?,
                identifiers: texts(&sql.identifiers, scope)?,
                literals: texts(&sql.literals, scope)?,
            }),
            Verb::Files(files) => Resolved::Sftp(Box::new(files.resolve(&target.base, scope)?)),
            Verb::Job(job) => Resolved::Job(JobRequest {
                run: names(&job.run, scope)?,
                input: job.input.value(scope)?,
                key: job.keyed.then(|| KEY.to_owned()),
            }),
        })
    }

    fn http(&self, http: &Http, target: &Target, scope: &Scope<'_>) -> Result<HttpRequest, Fault> {
        let base = match &http.base {
            Some(base) => base.text(scope)?,
            None => target.base.clone(),
        };
        let path = http.path.text(scope)?;
        let mut url = if path.is_empty() {
            // The base is the whole address, with its own query.
            base
        } else if path.starts_with("https://") || path.starts_with("http://") {
            same_host(&base, &path).ok_or_else(|| self.malformed())?
        } else {
            format!("{}/{}", base.trim_end_matches('/'), path.trim_start_matches('/'))
        };
        for (name, template) in &http.query {
            if let Some(value) = template.optional_text(scope)? {
                add_parameter(&mut url, name, &value);
            }
        }
        Ok(HttpRequest {
            method: http.method.to_owned(),
            url,
            subject: http.subject.as_ref().map(|t| t.text(scope)).transpose()?,
            headers: texts(&http.headers, scope)?,
            body: match &http.body {
                BodyTemplate::Empty => Body::Empty,
                BodyTemplate::Json(json) => Body::Json(json.value(scope)?),
                BodyTemplate::Form(form) => Body::Form(texts(form, scope)?),
                BodyTemplate::Xml(xml) => Body::Xml(xml.text(scope)?),
            },
        })
    }

    fn malformed(&self) -> Fault {
        Fault::permanent(Reason::Malformed).with_code(&self.path)
    }
}

fn texts(
    templates: &[(String, Template)],
    scope: &Scope<'_>,
) -> Result<BTreeMap<String, String>, Unevaluable> {
    let mut texts = BTreeMap::new();
    for (name, template) in templates {
        if let Some(text) = template.optional_text(scope)? {
            texts.insert(name.clone(), text);
        }
    }
    Ok(texts)
}

fn names(templates: &[Template], scope: &Scope<'_>) -> Result<Vec<String>, Unevaluable> {
    templates.iter().map(|name| name.text(scope)).collect()
}

fn attributes(
    templates: &Attributes,
    scope: &Scope<'_>,
) -> Result<BTreeMap<String, Vec<String>>, Unevaluable> {
    let mut attributes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, values) in templates {
        let into = attributes.entry(name.text(scope)?).or_default();
        for value in values {
            into.extend(value.texts(scope)?);
        }
    }
    Ok(attributes)
}

/// Adds a query parameter.
pub(super) fn add_parameter(url: &mut String, name: &str, value: &str) {
    url.push(if url.contains('?') { '&' } else { '?' });
    percent(url, name);
    url.push('=');
    percent(url, value);
}

/// `url` in its normal form if it goes to the same host, port and scheme as `base`.
pub(super) fn same_host(base: &str, url: &str) -> Option<String> {
    let base = reqwest::Url::parse(base).ok()?;
    let url = base.join(url).ok()?;
    let same = url.origin() == base.origin() && url.username().is_empty() && url.password().is_none();
    same.then(|| url.to_string())
}

/// Everything that a request refers to.
pub(super) fn uses(request: &Compiled) -> Uses {
    let mut uses = Uses::default();
    let expressions = [
        &request.when,
        &request.each,
        &request.absent,
        &request.items,
        &request.proves,
        &request.total,
        &request.done,
        &request.lost,
        &request.operation,
    ];
    for expression in expressions.into_iter().flatten() {
        uses.add(expression.uses());
    }
    match &request.page {
        Some(Paging::Next(e) | Paging::Cursor(_, e) | Paging::Offset { total: e, .. }) => uses.add(e.uses()),
        Some(Paging::Number { pages, total, .. }) => {
            total.iter().chain([pages]).for_each(|e| uses.add(e.uses()));
        }
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
        Verb::Delete(dn) => dn.uses(&mut uses),
        Verb::Entry(dn, attributes) => {
            dn.uses(&mut uses);
            for name in attributes {
                name.uses(&mut uses);
            }
        }
        Verb::Search {
            within,
            filter,
            attributes,
        } => {
            for name in attributes {
                name.uses(&mut uses);
            }
            if let Some(within) = within {
                within.uses(&mut uses);
            }
            filter.uses(&mut uses);
        }
        Verb::Modify {
            dn,
            replace,
            add,
            remove,
        } => {
            dn.uses(&mut uses);
            for (name, values) in replace.iter().chain(add).chain(remove) {
                for template in values.iter().chain([name]) {
                    template.uses(&mut uses);
                }
            }
        }
        Verb::Move(moving) => moving.uses(&mut uses),
        Verb::Sql(sql) => {
            sql.parameters.iter().for_each(|e| uses.add(e.uses()));
            sql.database.iter().for_each(|t| t.uses(&mut uses));
            named(&sql.identifiers, &mut uses);
            named(&sql.literals, &mut uses);
        }
        Verb::Files(files) => files.uses(&mut uses),
        Verb::Job(job) => {
            job.run.iter().for_each(|t| t.uses(&mut uses));
            job.input.uses(&mut uses);
        }
    }
    uses
}
