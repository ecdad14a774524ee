//! How an account is found, told from others, and kept from being locked out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Request;

/// How to find and recognise an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountSpec {
    /// Ways to find it. Each is used where all of `who` that it rests on is known and its `when` holds (which decides alone where it
    /// speaks of `who`), of a person with a named account only those that rest on `who.accountName`. All must agree on one
    /// durable id. The elements of each answer are accounts. Where all of them need `who.accountName`, people are found only by a login name that a person
    /// gives, and who has none given is asked about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub find: Vec<Request>,
    /// Read once for every `item` that `find` shows, where a list does not tell who somebody is: its value takes the item's
    /// place, and an item that is `absent` there is left out. Needs a request for each of them in every look for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Request>,
    /// Instead of `find`, for what cannot be asked who is in it: everybody has an account there, and `item` is `who`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub everybody: bool,
    /// Expression over `item`: the durable id, a text.
    pub id: String,
    /// Expression over `item`: the login name.
    pub name: String,
    /// Expression over `item` and `who`: this element really is that person. What does not hold is not theirs. Left out, it
    /// follows from `keys`: whoever shows one of the keys that the person is known by, of a named account the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same: Option<String>,
    /// Expression over `item`, `who` and `inputs`: found by something that may be somebody else's by now, such as an alias. A
    /// person names the account then; one that was bound before is not doubted again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubtful: Option<String>,
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
    /// Expression over what is known of a bound account: we have deleted it ourselves. Every fact of another class than Deletion
    /// is then not applicable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<String>,
    /// The read that an element of `find` already shows, so that it need not be read again in the same look. What is read there
    /// must have the `id` of the account: another one stops all writes to the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shows: Option<String>,
    /// Expression: the durable id in an `item` of what the read in `shows` gives, or in its whole `response.body`. Left out, it is
    /// where `id` has it.
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

/// What an account shows of each key: expressions over `item`, `who` and `inputs` that give a text, or a list of those it goes by. Null
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
    /// Its login names.
    #[serde(default, rename = "accountName", skip_serializing_if = "Option::is_none")]
    pub account_name: Option<String>,
}

impl AccountKeys {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
