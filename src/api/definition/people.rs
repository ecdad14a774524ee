//! How an HR system tells who works there, and until when.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Request;

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
    /// Instead of `records`, for a system that keeps rows of which each says what holds from its day on: every period of
    /// work is a `record` with `number` (from 0), `starts`, `ends` (its last day), and `end`, the row that ends it; null where
    /// there is none. Work on the day of an end goes on; of several ends the first that no work follows counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<HistorySpec>,
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
    /// Expression over `inputs`: a list of more words that mean no value, in any field; of days as `YYYY-MM-DD` too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub none: Option<String>,
    /// Template over `inputs`: how the fields that are days are written, as in `strftime`: `%d.%m.%Y`. A day that an
    /// expression gives as `YYYY-MM-DD` is read all the same. Default `%Y-%m-%d`, after which a midnight, the last minute of
    /// the day and a zone are dropped; any other time of day is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date_format: Option<String>,
}

/// Rows about a person, in any order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistorySpec {
    /// Expression over `item` and `details`: the list of rows.
    pub rows: String,
    /// Expression over the same and `row`: from when on it holds, as `dateFormat` says. A row without a day says nothing.
    pub day: String,
    /// Expression over the same: work ends with that day. All other rows are work.
    pub ends: String,
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

/// Expressions for the fields of a worker, over `item`, `details` and `record`. None are null, an empty text, dashes, `n/a`,
/// `na` (but not as a country), `none`, `null` (but not as a name), a day of zeros such as `00.00.0000`, the last day of the
/// year 9999, and what `none` names. Dates are texts as `dateFormat` says. One that is not, a year of two digits where the
/// format has four, a day before 1950 or more than ten years ahead, days of an end that are more than two years apart or
/// from what the status says make the record unusable; where one record shows that day
/// and month are in another order than the format says, so is every record with a date in that field.
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
    /// Other addresses of the person, former ones and aliases: a list, or a text with commas, semicolons or spaces between them.
    /// One that another person of the system has too is not looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_emails: Option<String>,
    /// The name for people to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The kind of work relationship, such as `Employee` or `Contractor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `Active`, `Leave` or `Terminated`; `Implied` where the system does not say: works until the last day.
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
