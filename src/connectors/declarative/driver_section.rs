//! The driver section of a definition: its templates checked, and filled with a connector's inputs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    expression::Scope,
    problems::Problems,
    template::{Place, Template},
};
use crate::{
    api::definition::{
        ConnectorDefinitionSpec, HttpDriver, JobDriver, LdapDriver, OAuth2, SftpDriver, SqlDriver,
    },
    connectors::{
        driver::{self, bytes},
        job::LONGEST_RUN,
    },
};

/// A driver section with every template filled: the same structs as in a definition, with plain text in them.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one per connector")]
pub enum ResolvedDriver {
    /// The system speaks HTTP.
    Http(HttpDriver),
    /// The system speaks LDAP.
    Ldap(LdapDriver),
    /// The system is a database.
    Sql(SqlDriver),
    /// The system is talked to by files.
    Sftp(SftpDriver),
    /// A program speaks to the system.
    Job(JobDriver),
    /// People do it.
    Manual,
}

impl ResolvedDriver {
    /// Where the system is: scheme, host and port, in lower case, without a path.
    pub(super) fn origin(&self) -> String {
        let of_url = |text: &str| {
            let host = |url: reqwest::Url| {
                let port = url.port_or_known_default().map(|port| port.to_string());
                let host = url.host_str().unwrap_or_default().to_lowercase();
                format!("{}://{host}:{}", url.scheme(), port.unwrap_or_default())
            };
            reqwest::Url::parse(text).map_or_else(|_| text.to_lowercase(), host)
        };
        match self {
            Self::Http(http) => of_url(&http.base),
            Self::Ldap(ldap) => of_url(&ldap.url),
            Self::Sql(sql) => format!("sql://{}:{}", sql.host.to_lowercase(), sql.port),
            Self::Sftp(sftp) => format!("sftp://{}:{}", sftp.host.to_lowercase(), sftp.port),
            Self::Job(_) | Self::Manual => String::new(),
        }
    }
}

/// Checks the templates and durations of the section.
pub(super) fn check(spec: &ConnectorDefinitionSpec, problems: &mut Problems) {
    let mut section = spec.clone();
    let mut used = super::references::Uses::default();
    visit(&mut section, &mut |text, place, path| {
        if let Some(template) = Template::compile(text, place, &path, &["inputs"], problems) {
            template.uses(&mut used);
        }
    });
    for input in used
        .inputs
        .iter()
        .filter(|input| !spec.inputs.contains_key(*input))
    {
        problems.add(
            "inputs",
            format!("the driver section uses the input '{input}', which is not declared"),
        );
    }
    for input in used.inputs.iter().filter(|input| discovered(spec, input)) {
        problems.add(
            format!("inputs.{input}.discover"),
            "the driver section uses it before anything can be asked; set a default only",
        );
    }
    let deadlines = [
        ("http", spec.http.as_ref().and_then(|d| d.deadline.as_ref())),
        ("ldap", spec.ldap.as_ref().and_then(|d| d.deadline.as_ref())),
        ("sql", spec.sql.as_ref().and_then(|d| d.deadline.as_ref())),
        ("sftp", spec.sftp.as_ref().and_then(|d| d.deadline.as_ref())),
        ("job", spec.job.as_ref().and_then(|d| d.deadline.as_ref())),
    ];
    for (section, deadline) in deadlines {
        if deadline.is_some_and(|text| driver::deadline(text).is_none()) {
            problems.add(format!("{section}.deadline"), "not a duration; write it like 20s");
        }
    }
    if let Some(job) = &spec.job {
        check_job(job, spec, problems);
    }
    if let Some(http) = &spec.http {
        if http
            .largest_answer
            .as_deref()
            .is_some_and(|text| bytes(text).is_none())
        {
            problems.add(
                "http.largestAnswer",
                "not a size up to 256Mi; write it like 512Ki or 64Mi",
            );
        }
        let lasts = http
            .callback
            .as_ref()
            .and_then(|callback| callback.lasts.as_ref());
        if lasts.is_some_and(|text| driver::deadline(text).is_none()) {
            problems.add("http.callback.lasts", "not a duration; write it like 7d");
        }
        let auth = &http.auth;
        let set = [
            auth.basic.is_some(),
            auth.bearer.is_some(),
            auth.header.is_some(),
            auth.oauth2.is_some(),
            auth.ws_security.is_some(),
        ];
        if set.iter().filter(|set| **set).count() > 1 {
            problems.add(
                "http.auth",
                "at most one of basic, bearer, header, oauth2 and wsSecurity",
            );
        }
    }
}

fn check_job(job: &JobDriver, spec: &ConnectorDefinitionSpec, problems: &mut Problems) {
    let deadline = job.deadline.as_deref().and_then(driver::deadline);
    if deadline.is_some_and(|deadline| deadline > LONGEST_RUN) {
        problems.add(
            "job.deadline",
            "at most 50s: an act that takes longer ends in the background",
        );
    }
    for (variable, key) in &job.secrets {
        if !spec.secret.contains_key(key) {
            problems.add(
                format!("job.secrets.{variable}"),
                format!("the definition's secret has no key '{key}'"),
            );
        }
    }
    for name in job
        .resources
        .keys()
        .filter(|name| !matches!(name.as_str(), "cpu" | "memory"))
    {
        problems.add(
            format!("job.resources.{name}"),
            "only cpu and memory are understood",
        );
    }
}

fn discovered(spec: &ConnectorDefinitionSpec, input: &str) -> bool {
    spec.inputs
        .get(input)
        .is_some_and(|input| input.discover.is_some())
}

/// The section of `spec`, filled with `inputs`.
///
/// # Errors
/// A template that has no value for these inputs, at its place in the definition.
pub(super) fn resolve(spec: &ConnectorDefinitionSpec, inputs: &Value) -> Result<ResolvedDriver, Problems> {
    let mut spec = spec.clone();
    let mut problems = Problems::default();
    let scope = Scope::new().with("inputs", inputs);
    visit(&mut spec, &mut |text, place, path| {
        let Some(template) = Template::compile(text, place, &path, &["inputs"], &mut problems) else {
            return;
        };
        match template.text(&scope) {
            Ok(filled) => *text = filled,
            Err(error) => problems.add(
                error.path,
                format!("{}; look at the connector's spec.inputs", error.why),
            ),
        }
    });
    if let Some(http) = &spec.http
        && problems.0.is_empty()
        && !reqwest::Url::parse(&http.base)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    {
        problems.add(
            "http.base",
            "not an http or https address with these inputs; look at spec.inputs",
        );
    }
    if let Some(oauth2) = spec.http.as_mut().and_then(|http| http.auth.oauth2.as_mut()) {
        oauth2.scopes.retain(|scope| !scope.is_empty());
    }
    let resolved = match spec {
        ConnectorDefinitionSpec { http: Some(http), .. } => Some(ResolvedDriver::Http(http)),
        ConnectorDefinitionSpec { ldap: Some(ldap), .. } => Some(ResolvedDriver::Ldap(ldap)),
        ConnectorDefinitionSpec { sql: Some(sql), .. } => Some(ResolvedDriver::Sql(sql)),
        ConnectorDefinitionSpec { sftp: Some(sftp), .. } => Some(ResolvedDriver::Sftp(sftp)),
        ConnectorDefinitionSpec { job: Some(job), .. } => Some(ResolvedDriver::Job(job)),
        ConnectorDefinitionSpec { manual: Some(_), .. } => Some(ResolvedDriver::Manual),
        _ => None,
    };
    match resolved {
        Some(resolved) if problems.0.is_empty() => Ok(resolved),
        _ => Err(problems),
    }
}

/// The bases of requests, which only inputs make up.
pub(super) fn other_bases(
    spec: &ConnectorDefinitionSpec,
    inputs: &Value,
) -> Result<BTreeSet<String>, Problems> {
    let mut written = BTreeSet::new();
    if spec.http.is_some() {
        let spec = serde_json::json!([spec.inputs, spec.account, spec.reads, spec.facts, spec.people]);
        find_bases(&spec, &mut written);
    }
    let mut problems = Problems::default();
    let scope = Scope::new().with("inputs", inputs);
    let mut filled = BTreeSet::new();
    for text in written {
        let template = Template::compile(&text, Place::Base, "base", &["inputs"], &mut problems);
        // One that has no value with these inputs is not used.
        if let Some(Ok(base)) = template.map(|template| template.text(&scope)) {
            filled.insert(base);
        }
    }
    problems.or(|| filled)
}

fn find_bases(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            let request = ["get", "post", "put", "patch", "delete"];
            if let Some(Value::String(base)) = fields.get("base")
                && request.iter().any(|method| fields.contains_key(*method))
            {
                found.insert(base.clone());
            }
            fields.values().for_each(|value| find_bases(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| find_bases(value, found)),
        _ => {}
    }
}

type Visitor<'v> = dyn FnMut(&mut String, Place, String) + 'v;

/// Shows every template of the section.
fn visit(spec: &mut ConnectorDefinitionSpec, see: &mut Visitor<'_>) {
    if let Some(http) = &mut spec.http {
        see(&mut http.base, Place::Base, "http.base".into());
        if let Some(callback) = &mut http.callback {
            see(&mut callback.base, Place::Base, "http.callback.base".into());
        }
        visit_map(&mut http.headers, "http.headers", see);
        if let Some(oauth2) = &mut http.auth.oauth2 {
            visit_oauth2(oauth2, see);
        }
    }
    if let Some(ldap) = &mut spec.ldap {
        see(&mut ldap.url, Place::Base, "ldap.url".into());
        see(&mut ldap.base, Place::Plain, "ldap.base".into());
    }
    if let Some(sql) = &mut spec.sql {
        see(&mut sql.host, Place::Base, "sql.host".into());
        see(&mut sql.port, Place::Base, "sql.port".into());
        if let Some(database) = &mut sql.database {
            see(database, Place::Plain, "sql.database".into());
        }
    }
    if let Some(sftp) = &mut spec.sftp {
        see(&mut sftp.host, Place::Base, "sftp.host".into());
        see(&mut sftp.port, Place::Base, "sftp.port".into());
        if let Some(folder) = &mut sftp.folder {
            see(folder, Place::Plain, "sftp.folder".into());
        }
        if let Some(keys) = &mut sftp.host_keys {
            see(keys, Place::Plain, "sftp.hostKeys".into());
        }
    }
    if let Some(job) = &mut spec.job {
        let optional = [
            ("image", &mut job.image),
            ("serviceAccount", &mut job.service_account),
        ];
        for (name, text) in optional {
            if let Some(text) = text {
                see(text, Place::Plain, format!("job.{name}"));
            }
        }
        for (section, map) in [
            ("environment", &mut job.environment),
            ("resources", &mut job.resources),
        ] {
            for (name, text) in map {
                see(text, Place::Plain, format!("job.{section}.{name}"));
            }
        }
    }
}

fn visit_map(map: &mut BTreeMap<String, String>, path: &str, see: &mut Visitor<'_>) {
    for (name, text) in map {
        see(text, Place::Header, format!("{path}.{name}"));
    }
}

fn visit_oauth2(oauth2: &mut OAuth2, see: &mut Visitor<'_>) {
    let path = |name: &str| format!("http.auth.oauth2.{name}");
    see(&mut oauth2.token_url, Place::Base, path("tokenUrl"));
    see(&mut oauth2.client_id, Place::Plain, path("clientId"));
    for (i, scope) in oauth2.scopes.iter_mut().enumerate() {
        see(scope, Place::Plain, path(&format!("scopes[{i}]")));
    }
    let optional = [
        ("audience", &mut oauth2.audience),
        ("subject", &mut oauth2.subject),
        ("keyId", &mut oauth2.key_id),
    ];
    for (name, text) in optional {
        if let Some(text) = text {
            see(text, Place::Plain, path(name));
        }
    }
}
