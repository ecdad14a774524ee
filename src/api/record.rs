//! `OffboardingRecord`: what was there before, what was asked for, what was proven.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::connector::free_object;

/// Snapshots, intents and evidence of one leaver. Written by the controller; outlives the Offboarding.
#[derive(Debug, Clone, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "offboard.dev",
    version = "v1alpha1",
    kind = "OffboardingRecord",
    doc = "Snapshots, intents and evidence of one leaver. Written by the controller only; outlives the Offboarding.",
    namespaced,
    derive = "PartialEq",
    shortname = "leaverrecord",
    category = "offboard",
    printcolumn(name = "Leaver", type_ = "string", json_path = ".spec.offboarding.name"),
    printcolumn(name = "Part", type_ = "integer", json_path = ".spec.part.number", priority = 1),
    printcolumn(name = "Entries", type_ = "integer", json_path = ".spec.entries"),
    printcolumn(name = "Head", type_ = "string", json_path = ".spec.head", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.spec.offboarding == oldSelf.spec.offboarding")
        .message("a record belongs to one Offboarding for ever")
)]
#[serde(rename_all = "camelCase")]
pub struct OffboardingRecordSpec {
    /// The Offboarding it belongs to.
    pub offboarding: RecordOf,
    /// Bindings, intents, receipts and snapshots by system. Empty where they are in `parts`.
    #[schemars(schema_with = "free_object")]
    pub systems: BTreeMap<String, Value>,
    /// When access of somebody who goes at once ended, as we first knew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub at_once: Option<Timestamp>,
    /// What the end of access is held to: what people must say yes to, and what was agreed when it had come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free_object")]
    pub terms: Option<Value>,
    /// When everything that is to be handed over was first proven to be; retention counts from then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub handed_over: Option<Timestamp>,
    /// The leaver's manager as a directory told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free_object")]
    pub manager: Option<Value>,
    /// Where the systems and the manager are, when they are too long for one object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Parts>,
    /// Set in an object that is a part of a record, and holds nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// What happened, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub evidence: Vec<Entry>,
    /// How many entries there are.
    #[serde(default)]
    pub entries: i64,
    /// Digest of the newest entry, which binds all before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
}

impl OffboardingRecordSpec {
    /// A record of an Offboarding of which nothing is known.
    pub fn empty(offboarding: RecordOf) -> Self {
        Self {
            offboarding,
            systems: BTreeMap::new(),
            at_once: None,
            terms: None,
            handed_over: None,
            manager: None,
            parts: None,
            part: None,
            evidence: vec![],
            entries: 0,
            head: None,
        }
    }
}

/// Further objects that hold what is too long for one: `NAME-SET0`, `NAME-SET1` and so on, beside the record NAME.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Parts {
    /// Which of the two sets of objects: what is written next goes to the other one, so that a crash leaves one whole.
    pub set: PartSet,
    /// How many there are.
    #[schemars(range(min = 1, max = 64))]
    pub count: usize,
    /// Digest of all of them together.
    #[schemars(extend("maxLength" = 64))]
    pub digest: String,
    /// How long the text is that they make up, in bytes.
    #[schemars(range(min = 0))]
    pub size: usize,
}

/// One of the two sets of objects that hold the parts of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PartSet {
    /// The first one.
    A,
    /// The other one.
    B,
}

impl PartSet {
    /// Its letter, as in names.
    pub fn letter(self) -> char {
        match self {
            Self::A => 'a',
            Self::B => 'b',
        }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// A part of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Part {
    /// Which of the two sets it belongs to.
    pub set: PartSet,
    /// Its place among the parts, from 0.
    #[schemars(range(min = 0, max = 63))]
    pub number: usize,
    /// Base64; all parts together are JSON, compressed (DEFLATE). Empty when it is not in use.
    pub data: String,
}

/// Which Offboarding a record belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordOf {
    /// Its name.
    #[schemars(extend("maxLength" = 253))]
    pub name: String,
    /// Its uid.
    #[schemars(extend("maxLength" = 64))]
    pub uid: String,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The system's row.
    pub system: String,
    /// The fact.
    pub fact: String,
    /// What happened: `Asked`, `Verified`, `Asserted`, `Drifted`.
    pub event: String,
    /// Durable id of the account.
    pub account: String,
    /// Digest of this entry and the one before it.
    pub digest: String,
}
