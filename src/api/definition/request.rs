//! One request of a definition, whatever its driver, and how its further pages are asked for.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Csv, Trust};
use crate::api::connector::free_value;

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
    /// ldap: attributes to read, templates; `find` needs none where `account.shows` names a read that has them; a name ending in `[]` is always a list, any other is its first value. In all
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
    /// ldap and sftp: template of the DN of the entry, or of the file, to move to `into`, where it keeps its name unless
    /// `newRdn` gives it another one.
    #[serde(rename = "move", skip_serializing_if = "Option::is_none")]
    pub move_: Option<String>,
    /// ldap and sftp: template of the DN of the new parent, or of the folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
    /// ldap: template of the first part of the DN that the moved entry gets, such as `cn=${reads.user.cn}`. One of several
    /// values takes none from the entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_rdn: Option<String>,

    /// sql: one statement. `{name}` is an identifier or a literal named below; parameters as the database writes them.
    /// Of an error its number is shown; a program of PostgreSQL says more by `RAISE … USING CONSTRAINT = 'lacks USAGE on {schema}',
    /// SCHEMA = name`: a sentence that stands in the definition, with the error's schema, table and column in its holes.
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

    /// http: template of the path of a list, which is read to its end as `http.lists` says. sftp: template of the path of the
    /// files to list. In all paths of sftp a hole over `inputs` alone stands as it is, any
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
    /// Expression over `items`, the value of the whole read: it can show what is judged by it. Where that does not hold, such as
    /// in a list of groups none of which shows its members, the read proves nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proves: Option<String>,
    /// Expression over `response`: of an act, this refusal means that it was done already; the next look decides. Default: of an
    /// HTTP `delete` 404 and 410, of an LDAP `delete` 32, of a `modify` that only removes 16, of one that only adds 20 and 68.
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
    /// Expression over `response`, beside `next` or `cursor`: how many elements there are in all, or null. Reading fewer is an
    /// incomplete answer, though no page says that another one follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<String>,
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
