//! People as an HR system tells of them, in one normal form whatever the system is.
//!
//! Dates stay the texts that HR wrote (`YYYY-MM-DD`): they become instants only together with a zone, in
//! [`super::schedule`].

pub mod history;
pub mod written;
pub mod zone;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One work relationship of one person. A person may have several: a contract after another, or two at a time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Worker {
    /// The HR system's durable id of the person, the same in all of the person's records.
    pub person: String,
    /// The id of this record; the same as `person` where a system has only one record of each person.
    pub record: String,
    /// Employee number of this record, as the directory knows it.
    #[serde(rename = "employeeID", skip_serializing_if = "Option::is_none")]
    pub employee_id: Option<String>,
    /// Work address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Other addresses of the person: former ones, aliases.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_emails: Vec<String>,
    /// Name for people to read; never used to tell people apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Kind of the work relationship, such as `Employee` or `Contractor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What the record says about now.
    pub status: WorkerStatus,
    /// Why the person leaves: one word, such as `Resignation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// First day, `YYYY-MM-DD`. May lie ahead: a rehire that is agreed already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts: Option<String>,
    /// When notice was given, `YYYY-MM-DD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// The last day of work, `YYYY-MM-DD`. None: the record has no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_day: Option<String>,
    /// The last day of the contract, `YYYY-MM-DD`; later than `last_day` in a garden leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub employment_ends: Option<String>,
    /// The last day that is paid for, `YYYY-MM-DD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paid_through: Option<String>,
    /// The HR system wants access to end now, whatever the dates say.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub immediate: bool,
    /// Place of work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Country, ISO 3166-1 alpha-2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Department.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    /// The person's IANA time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// The manager's work address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
    /// Anything else that a mapping or a policy may ask for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Value>,
}

/// The addresses that a value names: a text with commas, semicolons or spaces between them, or a list of such; anything else
/// names none.
pub fn addresses(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => {
            let each = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';'));
            let each = each.map(|word| word.trim_matches(['<', '>']));
            each.filter(|word| word.contains('@'))
                .map(str::to_owned)
                .collect()
        }
        Value::Array(values) => values.iter().flat_map(addresses).collect(),
        _ => vec![],
    }
}

/// What a worker record says about now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerStatus {
    /// Works here, or will.
    #[default]
    Active,
    /// On leave: parental, medical, sabbatical.
    Leave,
    /// Has left.
    Terminated,
    /// The system does not say: works until the last day.
    Implied,
}

/// What a look into an HR system showed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Census {
    /// The records, in the system's order.
    pub workers: Vec<Box<Worker>>,
    /// For each of them, the number of what it was told by, from 1. Fewer: as they are counted.
    pub numbers: Vec<usize>,
    /// These are all records there are; else only the ones that changed.
    pub everyone: bool,
    /// When the system (or the file) says this was true, if it says.
    pub as_of: Option<Timestamp>,
    /// People of whom a record could not be understood, and what is the matter; none of them is among the workers.
    pub doubtful: BTreeMap<String, String>,
    /// Records that could not be understood, in the system's order: where, and what is the matter. Never a value.
    pub unusable: Vec<(String, String)>,
}

/// How much of an HR system is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All records.
    Everyone,
    /// Records that changed since this instant, where the system can tell; else all.
    ChangedSince(Timestamp),
}
