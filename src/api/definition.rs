//! `ConnectorDefinition`: how to talk to one kind of system, as data.
//!
//! Fields of type *template* are text in which each `${…}` is a CEL expression; a text that is one single hole keeps
//! the expression's type. Fields of type *expression* are CEL. Names that an expression may use are fixed:
//!
//! | name | what it is |
//! |---|---|
//! | `inputs` | the connector's inputs |
//! | `who` | the person: `email`, `employeeID`, `displayName`, `accountName` (absent keys are absent) |
//! | `account` | the bound account: `id`, `name` |
//! | `successor` | the successor: `id`, `name`, `email`; using it without a successor makes the fact wait for one |
//! | `reads` | results of the reads, by name |
//! | `values` | the definition's named values |
//! | `operations` | ids of long-running operations, by fact |
//! | `accepted` | when the system last accepted the act of a fact, by its own clock if it told: texts, by fact, absent where nothing was asked |
//! | `keys` | the deterministic keys of the acts, by fact: what a foreign system was given as `key` can be asked for again |
//! | `snapshot` | what was there before our removals, by fact |
//! | `item` | the element of `each`, or the found account in `id`, `name`, `same` and `protected` |
//! | `response` | the answer: http `status`, `headers`, `body`; ldap `code`, `entries`; sql `code`, `rows`; sftp `code`, `files`, or `file` with `rows` or `text`; job `exit`, `output` |
//! | `cutoff`, `now`, `since` | timestamps; `since` is when the system last accepted this fact's act, else the cutoff, and never before the acts of the facts it comes after |
//! | `key` | the deterministic key of the act, for systems that keep one |
//! | `random` | a new random password, known to nobody; only as a whole hole, put in when the request is sent |
//! | `callback` | in an act, the address where the system may say later what became of it; see [`Callback`] |
//! | `page` | in a request with `page.number`, the number of the page that is asked for |
//!
//! The `people` section has names of its own: `inputs` and `now` everywhere, `since` in `changed`, and what [`PeopleSpec`]
//! says of `item`, `details` and `record`. No person is bound there, so `who` and `account` are not known.

mod account;
mod fact;
mod http;
mod job;
mod ldap;
mod people;
mod request;
mod sftp;
mod sql;

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::{
    account::{AccountKeys, AccountSpec, LastSpec, ManagerSpec},
    fact::{Fact, Spares, TaskSpec},
    http::{
        Auth, BasicAuth, BearerAuth, Callback, Grant, HeaderAuth, HttpDriver, Lists, OAuth2, SecretIn,
        SignedAuth,
    },
    job::{JobDriver, ManualDriver},
    ldap::LdapDriver,
    people::{Detail, HistorySpec, PeopleSpec, WorkerFields},
    request::{Cursor, Offset, Page, PageNumber, Request, Swap},
    sftp::{Csv, DatePlace, FileDate, SftpDriver, Trailer, Trust},
    sql::{Dialect, SqlDriver},
};
use super::Condition;
use super::connector::free_value;
use crate::core::fault::Reason;

/// How to talk to one kind of system.
#[derive(Debug, Clone, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "offboard.dev",
    version = "v1alpha1",
    kind = "ConnectorDefinition",
    doc = "How to talk to one kind of system, as data: how to find an account, what to read, which facts must hold and what makes them true.",
    derive = "PartialEq",
    status = "DefinitionStatus",
    shortname = "conndef",
    category = "offboard",
    printcolumn(name = "Title", type_ = "string", json_path = ".spec.title"),
    printcolumn(
        name = "Category",
        type_ = "string",
        json_path = ".spec.category",
        priority = 1
    ),
    printcolumn(
        name = "Criticality",
        type_ = "string",
        json_path = ".spec.criticality",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectorDefinitionSpec {
    /// The system's name for people.
    #[schemars(extend("maxLength" = 128))]
    pub title: String,
    /// Name of a built-in definition. Everything that is not said here is as it is there: of a map entry by entry, lists and
    /// texts as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extends: Option<String>,
    /// What kind of system it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// How much harm an account there can do that is left open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub criticality: Option<Criticality>,
    /// What the login must be allowed there, each in the system's own words.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rights: Rights,
    /// What an operator of the system must grant, and what cannot be done or proven.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(extend("maxLength" = 8192))]
    pub notes: String,
    /// What the system has of a person that is not looked after here, data first: said beside `DataTransferred`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_covered: Vec<String>,
    /// What a Connector must or may set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, Input>,
    /// Keys that the Connector's Secret must or may have, with what each is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret: BTreeMap<String, SecretKey>,
    /// The system speaks HTTP. Exactly one of `http`, `ldap`, `sql`, `sftp`, `job`, `manual`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpDriver>,
    /// The system speaks LDAP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ldap: Option<LdapDriver>,
    /// The system is a database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<SqlDriver>,
    /// The system is talked to by files over SFTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sftp: Option<SftpDriver>,
    /// A program speaks to the system: a Kubernetes Job, or a command in `offboard run`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobDriver>,
    /// People do it: every fact has a `task`, and nothing is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manual: Option<ManualDriver>,
    /// How faults are told apart; the first that matches wins, then the driver's own table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultRule>,
    /// How long an accepted change may stay invisible, unless the fact says otherwise: `30s`, `5m`. Default `0s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^([0-9]+(ms|s|m|h|d))+$"))]
    pub settle: Option<String>,
    /// How to find and recognise an account. Not needed for a system that is only asked for `people`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountSpec>,
    /// What is read in a look, each once.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reads: BTreeMap<String, Request>,
    /// Expressions with a name, which any other expression but those of the driver's section may use as `values.NAME`, as if what
    /// it stands for were written there. They may use each other, and what is known of a bound account.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
    /// What must hold. Not needed for a system that is only asked for `people`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, Fact>,
    /// How an HR system tells who works there, and until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<PeopleSpec>,
}

/// What kind of system a definition is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Category {
    /// People and computers of a network.
    Directory,
    /// Logins for other systems.
    IdentityProvider,
    /// Mail, files, calendars, chat.
    Collaboration,
    /// Customers and sales.
    CustomerRelations,
    /// A database server.
    Database,
    /// Source code.
    SourceControl,
    /// Who works there, and until when.
    HumanResources,
    /// Who is paid.
    Payroll,
    /// It passes requests on to other systems.
    Integration,
    /// People do the work.
    Tasks,
    /// Anything else.
    Other,
}

/// How much harm an account can do that is left open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Criticality {
    /// Hardly any.
    Low,
    /// To the system's own work.
    Medium,
    /// To data that others rest on.
    High,
    /// To other systems: it opens them.
    Critical,
}

/// What a login must be allowed. Each list adds to those before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rights {
    /// To plan, to watch and to prove.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<String>,
    /// To change accounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub write: Vec<String>,
    /// To delete accounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub purge: Vec<String>,
}

/// One input of a definition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What it must be.
    #[serde(default, rename = "type", skip_serializing_if = "is_default")]
    pub type_: InputType,
    /// Regular expression that a text must match as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Used when the Connector does not set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free_value")]
    pub default: Option<Value>,
    /// May be left out without a default; expressions test it with `has(inputs.name)`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// It tells which system is meant, beside the origin of the driver section: a tenant, a realm, a base, a customer, a database. Another
    /// value means another system, in which no id that was bound before is anybody's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub identifies: bool,
    /// A look at the system that tells the value where the Connector does not set it, such as whether filters are
    /// supported. Asked once for as long as the Connector is not changed, with `inputs` as they are set. Where the system
    /// does not say (`absent`), the default is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discover: Option<Box<Request>>,
}

/// Whether it need not be written down.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The type of an input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum InputType {
    /// A text.
    #[default]
    String,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// A list of anything.
    List,
}

/// One key of a connector's Secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretKey {
    /// What it is, for people.
    pub description: String,
    /// May be absent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// What a kind of answer means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Expression over `response`.
    pub when: String,
    /// What to do next.
    pub is: FaultIs,
    /// Expression over `response` and `now`: for `Throttled`, when to come back; a timestamp, or whole seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// What went wrong. Default: by the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Expression over `response`: the system's own error code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// What to do next about a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FaultIs {
    /// Try again later.
    Transient,
    /// The system says when.
    Throttled,
    /// The same request will not succeed until something else changes.
    Permanent,
    /// A person must decide first.
    NeedsDecision,
    /// It may have taken effect.
    UnknownOutcome,
}

/// What the controller has seen of a definition; written by it only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DefinitionStatus {
    /// The generation of the spec that was observed; -1 before the first look.
    #[serde(default)]
    pub observed_generation: i64,
    /// `Ready`: the definition is sound; else the path of the wrong field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
