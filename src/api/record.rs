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
    /// Bindings, intents, receipts and snapshots by system.
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
