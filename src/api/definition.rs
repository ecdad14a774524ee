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

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Condition;
use super::connector::free_value;
use crate::core::{
    fact::{Class, Proof, Stage},
    fault::Reason,
};

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
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectorDefinitionSpec {
    /// The system's name for people.
    #[schemars(extend("maxLength" = 128))]
    pub title: String,
    /// What an operator of the system must grant, and what cannot be done or proven.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(extend("maxLength" = 8192))]
    pub notes: String,
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
    /// What must hold. Not needed for a system that is only asked for `people`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, Fact>,
    /// How an HR system tells who works there, and until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<PeopleSpec>,
}

/// One input of a definition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What it must be.
    #[serde(default, rename = "type")]
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
    /// A look at the system that tells the value where the Connector does not set it, such as whether filters are
    /// supported. Asked once for as long as the Connector is not changed, with `inputs` as they are set. Where the system
    /// does not say (`absent`), the default is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discover: Option<Box<Request>>,
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

/// A system that speaks HTTP.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpDriver {
    /// Template over `inputs`: what every path is put behind.
    pub base: String,
    /// How to log in.
    #[serde(default)]
    pub auth: Auth,
    /// Templates over `inputs`, sent with every request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// How hard the system may be pressed.
    #[serde(default)]
    pub limits: super::connector::ConnectorLimits,
    /// How long one request may take. Default `20s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^([0-9]+(ms|s|m))+$"))]
    pub deadline: Option<String>,
    /// The largest answer that is read, such as `64Mi`. Default `8Mi`; at most `256Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^[0-9]+(Ki|Mi)$"))]
    pub largest_answer: Option<String>,
    /// Where the system may say later what became of a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<Callback>,
}

/// Acts carry an address of their own, `callback`, which is good for that act only, once and for some time. The system posts
/// `{"state": "done"}` there, or `{"state": "failed", "code": "…"}`. A fact that can be read is then read at once; of one that is
/// `reported` this is the system's word. The operator must be reachable at `base` (chart: `wake.enabled`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Callback {
    /// Template over `inputs`: the address under which the system reaches the operator, without the path. Empty: there are no
    /// callbacks.
    pub base: String,
    /// Key of the Secret with the key that addresses are made with: `whsec_` and base64, or any other text of at least 24
    /// bytes. The system need not and should not know it. Default `callbackKey`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How long an address is good. A fact that is `reported` is asked for again when it is over. Default `7d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^([0-9]+(ms|s|m|h|d))+$"))]
    pub lasts: Option<String>,
}

/// A program that speaks to the system. It gets one JSON object and answers with one JSON value; what its exit code
/// means is said by `faults`, else 0 is success, 69 and 75 pass by themselves (`sysexits.h`), 77 is a right that is
/// missing and anything else a refusal. `OFFBOARD_INPUT` names the file with the input, `OFFBOARD_OUTPUT` the file for
/// the answer. Where there is a standard input and output (`offboard run`), they may be used instead.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobDriver {
    /// Template over `inputs`: the image in a cluster. Without one the definition works in `offboard run` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Template over `inputs`: the service account of the pod, for pulling the image. Its token is never mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// All of the program's environment: templates over `inputs`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Keys of the Secret that the program gets as environment variables, by variable.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
    /// What the container is given in a cluster, as request and limit: `cpu`, `memory`. Default 500m and 256Mi.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, String>,
    /// How hard the system may be pressed.
    #[serde(default)]
    pub limits: super::connector::ConnectorLimits,
    /// How long one run may take, start of the container included. Default `30s`, at most `50s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^([0-9]+(ms|s))+$"))]
    pub deadline: Option<String>,
}

/// Work that people do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManualDriver {
    /// Name of an input with a list of tasks, each of which becomes a fact: `fact`, `class`, `title`, `assignee`, `dueIn`,
    /// `instructions`, as texts. Where it has any, the definition's own facts are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<String>,
}

/// How to log in. At most one of the fields but `signed`; none means that no login is needed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Auth {
    /// User name and password: keys `username` and `password` of the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicAuth>,
    /// A fixed token: key `token` of the Secret, sent as `Authorization: Bearer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<BearerAuth>,
    /// A fixed value in a header of the system's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderAuth>,
    /// A token from a token endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2>,
    /// User name and password in the header of each SOAP envelope (WS-Security UsernameToken): keys `username` and `password`
    /// of the Secret. Every request must have an `xml` body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ws_security: Option<BasicAuth>,
    /// Every request is signed, so that the receiver knows who sent it and when; alone or beside a login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<SignedAuth>,
}

/// Requests signed as the Standard Webhooks say: `webhook-id`, `webhook-timestamp` (whole seconds) and `webhook-signature`
/// (`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`). The id is the request's own `webhook-id` header, which
/// should be `${key}` in an act so that a repetition is known for one; else it is new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SignedAuth {
    /// Key of the Secret with the signing key: `whsec_` and base64, or any other text of at least 24 bytes, which is taken as
    /// it is.
    pub key: String,
}

impl Default for SignedAuth {
    fn default() -> Self {
        Self {
            key: "signingKey".into(),
        }
    }
}

/// Names of the Secret's keys for a user name and a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BasicAuth {
    /// Key with the user name.
    pub username_key: String,
    /// Key with the password.
    pub password_key: String,
    /// What to send for a password where the user name alone is the secret, such as an API key. Not a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

impl Default for BasicAuth {
    fn default() -> Self {
        Self {
            username_key: "username".into(),
            password_key: "password".into(),
            password: None,
        }
    }
}

/// Name of the Secret's key for a fixed token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BearerAuth {
    /// Key with the token.
    pub token_key: String,
}

impl Default for BearerAuth {
    fn default() -> Self {
        Self {
            token_key: "token".into(),
        }
    }
}

/// A fixed value in a header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderAuth {
    /// Name of the header.
    pub name: String,
    /// Key of the Secret with the value.
    pub key: String,
    /// Put before the value, such as `SSWS `.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
}

/// A token from a token endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OAuth2 {
    /// How the token is asked for.
    pub grant: Grant,
    /// Template over `inputs`: the token endpoint.
    pub token_url: String,
    /// Template over `inputs`: the client id; for `JwtBearer` the issuer.
    pub client_id: String,
    /// Scopes, sent joined by blanks. Templates over `inputs`; one that gives an empty text is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Key of the Secret with the client secret (`ClientCredentials`). Default `clientSecret`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_key: Option<String>,
    /// Key of the Secret with the private key in PEM (`PrivateKeyJwt`, `JwtBearer`). Default `privateKey`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key_key: Option<String>,
    /// Template over `inputs`: the audience of the signed JWT. Default: the token endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Template over `inputs`: the subject of the signed JWT, such as an administrator to act for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Template over `inputs`: the `kid` in the header of the signed JWT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// Whether the client secret goes into the form body (default) or into basic authentication.
    #[serde(default)]
    pub secret_in: SecretIn,
}

/// How a token is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Grant {
    /// RFC 6749 section 4.4, with a client secret.
    ClientCredentials,
    /// RFC 6749 section 4.4, the client known by a signed JWT (RFC 7523 section 2.2).
    PrivateKeyJwt,
    /// A signed JWT as the grant itself (RFC 7523 section 2.1), for service accounts.
    JwtBearer,
}

/// Where the client secret goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SecretIn {
    /// Form field `client_secret`.
    #[default]
    Body,
    /// Basic authentication.
    Header,
}

/// A system that speaks LDAP. Login: keys `username` (a DN or UPN) and `password` of the Secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LdapDriver {
    /// Template over `inputs`: `ldaps://host:port`, or `ldap://` which is upgraded with StartTLS.
    pub url: String,
    /// Template over `inputs`: where searches start.
    pub base: String,
    /// How hard the system may be pressed.
    #[serde(default)]
    pub limits: super::connector::ConnectorLimits,
    /// How long one operation may take. Default `20s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^([0-9]+(ms|s|m))+$"))]
    pub deadline: Option<String>,
}

/// A database. Login: keys `username` and `password` of the Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SqlDriver {
    /// Which database it is.
    pub dialect: Dialect,
    /// Template over `inputs`: host name.
    pub host: String,
    /// Template over `inputs`: port.
    pub port: String,
    /// Template over `inputs`: the database to log in to, unless a request names another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// How hard the system may be pressed.
    #[serde(default)]
    pub limits: super::connector::ConnectorLimits,
    /// How long one statement may take. Default `20s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^([0-9]+(ms|s|m))+$"))]
    pub deadline: Option<String>,
}

/// Databases that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Dialect {
    /// PostgreSQL.
    Postgresql,
    /// MySQL and MariaDB.
    Mysql,
}

/// A system that is talked to by files over SFTP. Login: key `username` of the Secret with `privateKey` (and `passphrase`) or
/// `password`, or both where the server asks for both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SftpDriver {
    /// Template over `inputs`: host name.
    pub host: String,
    /// Template over `inputs`: port.
    pub port: String,
    /// Template over `inputs`: what every relative path is put behind. Default: where the login begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Template over `inputs`: the host keys to trust, one a line: as in `known_hosts`, as `ssh-keygen -l` prints them, or
    /// `SHA256:…`. Those in key `known_hosts` of the Secret are trusted too. Without any nothing is connected to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_keys: Option<String>,
    /// How hard the system may be pressed.
    #[serde(default)]
    pub limits: super::connector::ConnectorLimits,
    /// How long one request may take, the transfer of its file included. Default `60s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^([0-9]+(ms|s|m))+$"))]
    pub deadline: Option<String>,
}

/// A table in a file, a line for each row. Blanks around a value are dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Csv {
    /// Template: the one character between two values; `\t` is a tab. Default: a comma.
    pub delimiter: String,
    /// Whether the first row has the names of the columns.
    pub header: bool,
    /// Templates. With a header: columns that must be there. Without one: the names of all columns, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Template: how many lines there are before the table. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip: Option<String>,
    /// Whether values may be in double quotes.
    pub quotes: bool,
    /// Whether a value in quotes may have line breaks. Otherwise one is refused: a quote that is not closed would swallow rows.
    pub line_breaks: bool,
}

impl Default for Csv {
    fn default() -> Self {
        Self {
            delimiter: ",".into(),
            header: true,
            columns: vec![],
            skip: None,
            quotes: true,
            line_breaks: false,
        }
    }
}

/// When a file is believed. A rule whose template is one hole that gives null does not apply. A file whose name begins with
/// a dot or ends in `.part`, `.partial`, `.filepart` or `.tmp` is never taken for one that matches a pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Trust {
    /// Template: a file that is older is refused as stale: `26h`. The age is that of `date` where there is one, else of the
    /// file's last change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<String>,
    /// Template: a file that was changed within this time is still being written: `30s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet: Option<String>,
    /// Template: only a file is read beside which there is one of the same name with this behind it: `.done`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
    /// The last line tells how many rows there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trailer: Option<Trailer>,
    /// The file says itself of which day or instant it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<FileDate>,
}

/// A last line that tells how many rows there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Trailer {
    /// Template: a regular expression for the whole line, whose first group is the number, such as `TRAILER;(\d+)`.
    pub pattern: String,
    /// Template: how many lines are counted that are no rows, such as the header and the trailer itself. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<String>,
}

/// Where a file says of which day or instant it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileDate {
    /// Where it stands.
    #[serde(rename = "in")]
    pub place: DatePlace,
    /// Template: a regular expression, whose first group is the date, such as `_(\d{8})`.
    pub pattern: String,
    /// Template: how the date is written, as in `strftime`: `%Y%m%d`.
    pub format: String,
    /// Template: the IANA time zone of a date that tells no offset. A date without a time is the beginning of that day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

/// Where a date stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DatePlace {
    /// In the file's name. The newest file is then the one of the latest date.
    Name,
    /// In the first line.
    FirstLine,
    /// In the last line that is not empty.
    LastLine,
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

/// How to find and recognise an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountSpec {
    /// Ways to find it. All whose `when` holds are used, and all must agree on one durable id. The elements of each
    /// answer are accounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub find: Vec<Request>,
    /// Instead of `find`, for what cannot be asked who is in it: everybody has an account there, and `item` is `who`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub everybody: bool,
    /// Expression over `item`: the durable id, a text.
    pub id: String,
    /// Expression over `item`: the login name.
    pub name: String,
    /// Expression over `item` and `who`: this element really is that person. What does not hold is not theirs.
    pub same: String,
    /// What the account shows of each key that a person may be known by. All that are given must agree: who was found by an
    /// address, and has another number, is somebody else or a mistake, and nothing is changed before a person has decided.
    #[serde(default, skip_serializing_if = "AccountKeys::is_empty")]
    pub keys: AccountKeys,
    /// Expression over `item` and `inputs`: must never be offboarded, such as a built-in administrator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protected: Option<String>,
    /// Who the system cannot be without: nobody is locked out who is the last to administer it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastSpec>,
    /// The read that an element of `find` already shows, so that it need not be read again in the same look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shows: Option<String>,
    /// Expression over `response.body` or the entry: the durable id inside an answer of a read named in `shows`; another
    /// id than the bound one stops all writes to the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo: Option<String>,
    /// How the person's manager is known, of a directory: who takes over where nobody said who the manager is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<ManagerSpec>,
}

/// How a directory tells who somebody's manager is. At least one of `email` and `employeeID`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManagerSpec {
    /// The read that shows the manager: one entry, a list of at most one, or null when there is none.
    pub read: String,
    /// Expression over `item`, what the read shows: the manager's work address, or null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Expression over `item`: the manager's employee number, or null.
    #[serde(default, rename = "employeeID", skip_serializing_if = "Option::is_none")]
    pub employee_id: Option<String>,
}

/// How it is known that an account is the last of those that a system cannot be without. It is looked at before anything is taken
/// away (Mail, Data and Record wait for nothing), and for as long as it holds a person has to make somebody else one first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LastSpec {
    /// What it is the last of, such as `administrator`: at most 40 letters.
    pub of: String,
    /// Expression: whether it can be at all, by what `find` showed already, so that who cannot be is not kept waiting for more
    /// to be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Expression: it is, and nobody else is who can still sign in.
    pub holds: String,
}

/// What an account shows of each key: expressions over `item` and `inputs` that give a text, or a list of those it goes by. Null
/// and an empty list say that the system knows nothing of it. Letters count alike, large or small.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountKeys {
    /// Its addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Its employee number.
    #[serde(default, rename = "employeeID", skip_serializing_if = "Option::is_none")]
    pub employee_id: Option<String>,
}

impl AccountKeys {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One request, of whichever driver the definition has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Request {
    /// Expression: sent only if it holds. A read that is not sent has the value null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Expression: a list; the request is made once for every `item` of it. The results of a read are put together in
    /// one list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub each: Option<String>,

    /// http: template of the path. Each hole is one percent-encoded segment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub get: Option<String>,
    /// http: template of the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post: Option<String>,
    /// http: template of the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub put: Option<String>,
    /// http: template of the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
    /// http, ldap and sftp: template of the path, of the entry's DN, or of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete: Option<String>,
    /// http: template of another base than the driver's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// http, grant `JwtBearer`: template of the user to act for in this request instead of the login's own `subject`
    /// (Google's domain-wide delegation: a mailbox can only be changed in its own user's name).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// http: templates; a parameter whose template is one hole that gives null is left out.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// http: templates.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// http: JSON body; every text in it is a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free_value")]
    pub json: Option<Value>,
    /// http: form body, of templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<BTreeMap<String, String>>,
    /// http: XML body; holes are XML-escaped. Sent as `text/xml` unless `headers` says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xml: Option<String>,
    /// http: how further pages are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<Page>,

    /// ldap: template of the DN of one entry to read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// ldap: template of a filter; holes are filter-escaped. Searches the whole tree below `within`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// ldap: template of the DN below which `filter` searches. Default: the driver's base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
    /// ldap: attributes to read, templates; a name ending in `[]` is always a list, any other is its first value. In all
    /// requests the name of an attribute may be a template too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<String>,
    /// ldap: template of the DN of the entry to change, by `replace`, `add`, `remove` and `swap`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modify: Option<String>,
    /// ldap: new values by attribute, templates; an empty list removes the attribute.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub replace: BTreeMap<String, Vec<String>>,
    /// ldap: values to add by attribute, templates.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub add: BTreeMap<String, Vec<String>>,
    /// ldap: values to remove by attribute, templates.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub remove: BTreeMap<String, Vec<String>>,
    /// ldap: compare-and-swap by attribute: the old value is deleted and the new one added in one step.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub swap: BTreeMap<String, Swap>,
    /// ldap and sftp: template of the DN of the entry, or of the file, to move to `into`, where it keeps its name.
    #[serde(rename = "move", skip_serializing_if = "Option::is_none")]
    pub move_: Option<String>,
    /// ldap and sftp: template of the DN of the new parent, or of the folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,

    /// sql: one statement. `{name}` is an identifier or a literal named below; parameters as the database writes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// sql: template of the database to log in to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// sql: expressions, bound in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<String>,
    /// sql: templates, quoted as identifiers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub identifiers: BTreeMap<String, String>,
    /// sql: templates, quoted as text literals, where the database takes no parameter.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub literals: BTreeMap<String, String>,

    /// sftp: template of the path of the files to list. In all paths of sftp a hole over `inputs` alone stands as it is, any
    /// other is a part of one name. `*` and `?` in the last part match any text and any character, other than in what such
    /// a hole brings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// sftp: template of the path of the file to read, as in `list`: the newest of those that match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// sftp: template of the path of the file to write, from `text` or `rows`. It is there whole or not at all, and takes
    /// the place of one of that name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write: Option<String>,
    /// sftp: template of what is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// sftp: expression: a list of rows, each a list of values, written as `csv` says. A header is a row as any other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<String>,
    /// sftp: the file is a table. Each row that is read is a map from the names of the columns to texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csv: Option<Csv>,
    /// sftp: template: how the file's letters are written: `Utf8` (default, anything else is refused) or `Latin1` (as Windows
    /// writes it, code page 1252).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// sftp: when the file is believed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,
    /// job: the program and its arguments. Templates over `inputs` only: what is known of a person goes into `input`, where
    /// it cannot be taken for an option and no process list shows it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub run: Vec<String>,
    /// job: the JSON object that the program gets; every text in it is a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free_value")]
    pub input: Option<Value>,

    /// Expression over `response`: this refusal means that there is nothing there. The read is then null, or the find is
    /// empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
    /// Expression over `response` and `item`: the value of the read, of every page. Default: the body, the entries, the rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<String>,
    /// Expression over `response`: of an act, this refusal means that it was done already; the next look decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<String>,
    /// Expression over `response`: of a request of `undo`, this refusal means that it cannot be given back any more, because
    /// what it was taken from is gone, or somebody else has decided since. 404, 410 and LDAP 32 mean that by themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
    /// Expression over `response`: of an act, the id of the long-running operation that it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
}

/// A compare-and-swap of one value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Swap {
    /// Template: the value that must be there.
    pub from: String,
    /// Template: the value that takes its place.
    pub to: String,
}

/// How further pages are asked for. Exactly one of `next`, `cursor`, `offset`, `number`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Page {
    /// Expression over `response`: the full address of the next page, or null. Its host must be the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The next page is asked for by a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// The next page is asked for by the number of its first element.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<Offset>,
    /// The next page is asked for by its own number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<PageNumber>,
}

/// Paging by a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// Query parameter that takes the token.
    pub parameter: String,
    /// Expression over `response`: the token, or null or an empty text at the end.
    pub value: String,
}

/// Paging by a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Offset {
    /// Query parameter that takes the number.
    pub parameter: String,
    /// The first number: 0, or 1 as in SCIM.
    #[serde(default)]
    pub first: u32,
    /// Expression over `response`: how many there are in all. Reading fewer is an incomplete answer, never the end.
    pub total: String,
}

/// Paging by the number of the page, which every template of the request knows as `page`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PageNumber {
    /// The number of the first page. Default 1.
    #[serde(default = "one")]
    pub first: u32,
    /// Expression over `response`: how many pages there are.
    pub pages: String,
    /// Expression over `response`: how many elements there are in all. Reading another number is an incomplete answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<String>,
}

fn one() -> u32 {
    1
}

/// How an HR system tells who works there, and until when. The answers of its requests together are a list; each element of
/// it is an `item`, and `worker` says what it means.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PeopleSpec {
    /// Requests that list everybody. All of them are sent; of a record that several of them tell the last counts.
    pub everyone: Vec<Request>,
    /// The same for what changed since the instant `since`. Default: everybody is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<Request>,
    /// More reads, known as `details.NAME`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, Detail>,
    /// Expression over `item` and `details`: a list with an element for each work relationship of the person, known as
    /// `record`. Default: the item is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<String>,
    /// Expression over `item`, `details` and `record`: this is a worker at all. Default: all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// The normal form of a worker.
    pub worker: WorkerFields,
    /// Expression over the same: the texts (one, or a list) that the `manager` of another worker may call this one by. That
    /// worker's manager becomes this one's address. Default: `manager` gives the address itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_as: Option<String>,
    /// Expression over `response`, of the first page: when the system says that the list was true. Of several the earliest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
}

/// One more read about people: once for every `item`, or, with `by` and `of`, once for all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Detail {
    /// The request. Its value is what `details.NAME` is.
    pub read: Request,
    /// Expression over an `item` of this read, which then is a list of everybody's: whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Expression over the `item` of the people: what `by` gives for theirs. `details.NAME` is the list of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
}

/// Expressions for the fields of a worker, over `item`, `details` and `record`. Null and an empty text are none. Dates are
/// texts, `YYYY-MM-DD`; a midnight and a zone after it are dropped, any other time of day is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkerFields {
    /// The durable id of the person, the same in all of the person's records.
    pub person: String,
    /// The id of the record. Default: `person`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// The employee number, as the directory knows it.
    #[serde(default, rename = "employeeID", skip_serializing_if = "Option::is_none")]
    pub employee_id: Option<String>,
    /// The work address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The name for people to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The kind of work relationship, such as `Employee` or `Contractor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `Active`, `Leave` or `Terminated`.
    pub status: String,
    /// Why the person leaves, one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The first day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts: Option<String>,
    /// When notice was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// The last day of work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_day: Option<String>,
    /// The last day of the contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub employment_ends: Option<String>,
    /// The last day that is paid for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_through: Option<String>,
    /// Access is to end now: true or false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub immediate: Option<String>,
    /// The place of work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The country, ISO 3166-1 alpha-2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The department.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    /// The IANA time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// The manager: an address, or with `knownAs` what the manager is known as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
    /// Anything else that a mapping or a policy may ask for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// One fact of a definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fact {
    /// What it means, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What it is about.
    pub class: Class,
    /// When it is wanted. Default: `Retention` for class Deletion, else `Cutoff`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// Wanted only where a Connector or a policy asks for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Expression: whether it concerns this account at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Expression: whether it is true. Needed unless the proof is `None` or `Elapsed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<String>,
    /// Expression, for proof `Elapsed`: the instant from which it is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// How it can be known.
    #[serde(default)]
    pub proof: Proof,
    /// The system says by the `callback` of its act that it is done: only then is it Asserted. Only with proof `None`; what can
    /// be read is Verified by a read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reported: bool,
    /// Asked for only once these are proven.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// Asked for once these were accepted; proven only by a read at or after these were seen true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// These are tried first, but never block it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefers_after: Vec<String>,
    /// Cannot be taken back. Only for class Deletion or Data.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub irreversible: bool,
    /// Asking twice makes two of something. A durable intent comes before the act.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unrepeatable: bool,
    /// How long an accepted act may stay invisible. Default: the definition's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^([0-9]+(ms|s|m|h|d))+$"))]
    pub settle: Option<String>,
    /// Expression: what is there before and would be taken away, kept for a reinstatement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// The requests that make it true, in order. Nothing further is sent after one that fails; but where `each` makes
    /// several of one, all of them are sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub act: Vec<Request>,
    /// Alternatives to `act`, tried one after the other as each is refused or without effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ladder: Vec<Request>,
    /// A person makes it true, instead of `act`. Whoever says that it is done (an Approval, gate `Task`) is believed until
    /// something that was true later says otherwise: it is Asserted then, and Verified only when `holds` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskSpec>,
    /// The requests that take it back, in order; one that is refused keeps none of the others from being sent. Of a
    /// snapshot that is a list only what is missing is given back; of any other only as long as the fact still holds, so
    /// that nothing older takes the place of what somebody else has changed since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undo: Vec<Request>,
    /// Expression: an operation is still working. Asked even without an id of ours, so that one whose answer was lost, or
    /// that somebody else started, is found too; what speaks of `operations` has no value then and is taken for false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<String>,
    /// Expression: an operation that we started has failed; it is asked for again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// Template: what the act does, for the plan, such as `leave ${size(reads.groups)} groups`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
}

/// What a person is asked to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaskSpec {
    /// Template: what is to be done, in one line.
    pub title: String,
    /// Template: who should do it: a name, an address or a team.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub assignee: String,
    /// Template: how, and where to look.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instructions: String,
    /// Template: how long it may take from the moment it is wanted, such as `3d`. Default `3d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_in: Option<String>,
    /// Expression: of which moment the reads tell, where that is not now: the date of an export. One that is older than
    /// somebody's word says nothing against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
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
