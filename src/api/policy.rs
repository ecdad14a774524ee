//! `OffboardingPolicy`: which systems, when, for how long.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, offboarding::Cutoff};

/// What is the same for many leavers: systems, times, retention, rechecks.
#[derive(Debug, Clone, Default, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "offboard.dev",
    version = "v1alpha1",
    kind = "OffboardingPolicy",
    doc = "What is the same for many leavers: systems, times, retention, rechecks.",
    namespaced,
    derive = "PartialEq",
    status = "PolicyStatus",
    shortname = "offpol",
    category = "offboard",
    printcolumn(name = "Enforcement", type_ = "string", json_path = ".spec.enforcement"),
    printcolumn(
        name = "Deadline",
        type_ = "string",
        json_path = ".spec.deadlines.accessRevoked"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Retention",
        type_ = "string",
        json_path = ".spec.retention.accounts",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OffboardingPolicySpec {
    /// `Enforce` changes things; `Plan` only shows what would be changed.
    pub enforcement: Enforcement,
    /// Which Connectors. Default: all in the namespace.
    pub connectors: ConnectorChoice,
    /// When each class or fact is wanted; what is not named follows the defaults.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64))]
    pub timeline: Vec<Moment>,
    /// When on the last day access ends, unless the Offboarding says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cutoff: Option<Cutoff>,
    /// Until when things must be done, counted from the cutoff.
    pub deadlines: Deadlines,
    /// Who takes over, unless the Offboarding says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer: Option<PolicyTransfer>,
    /// How long things are kept before facts of class Deletion are wanted, counted from the cutoff.
    pub retention: Retention,
    /// How often, and how long, the state is looked at again after it was reached.
    pub recheck: Recheck,
}

/// Whether anything is changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Enforcement {
    /// Things are changed.
    #[default]
    Enforce,
    /// Only a plan is made.
    Plan,
}

/// Which Connectors a policy means.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ConnectorChoice {
    /// Only Connectors with all these labels. Empty: all.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
}

/// One entry of the timeline: either `want` with `at`, or `skip`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.want) != has(self.skip)", "message": "set either want, or skip"},
    {"rule": "has(self.want) == has(self.at)", "message": "at belongs to want"}
]))]
pub struct Moment {
    /// Names of classes or facts that are wanted at `at`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64))]
    pub want: Vec<String>,
    /// `cutoff`, `cutoff + 30d` or `cutoff - 1h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^cutoff( [+-] [0-9]+(s|m|h|d))?$"))]
    pub at: Option<String>,
    /// Names of classes or facts that are not wanted. Security facts can only be skipped by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64))]
    pub skip: Vec<String>,
}

/// Until when things must be done, counted from the cutoff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Deadlines {
    /// All access proven gone. Default `1h`.
    #[schemars(extend("pattern" = "^[0-9]+(s|m|h|d)$"))]
    pub access_revoked: String,
    /// All data proven handed over. Default `7d`.
    #[schemars(extend("pattern" = "^[0-9]+(s|m|h|d)$"))]
    pub data_transferred: String,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            access_revoked: "1h".into(),
            data_transferred: "7d".into(),
        }
    }
}

/// Who takes over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyTransfer {
    /// A work address.
    #[schemars(extend("maxLength" = 254, "pattern" = "^[^@\\s]+@[^@\\s]+$"))]
    pub to: String,
}

/// How long things are kept, counted from the cutoff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Accounts and what is in them. Default `30d`.
    #[schemars(extend("pattern" = "^[0-9]+(s|m|h|d)$"))]
    pub accounts: String,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            accounts: "30d".into(),
        }
    }
}

/// How often the reached state is looked at again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Recheck {
    /// Time between two looks. Default `6h`.
    #[schemars(extend("pattern" = "^[0-9]+(s|m|h|d)$"))]
    pub every: String,
    /// For how long after the cutoff. Default `90d`.
    #[serde(rename = "for")]
    #[schemars(extend("pattern" = "^[0-9]+(s|m|h|d)$"))]
    pub for_: String,
}

impl Default for Recheck {
    fn default() -> Self {
        Self {
            every: "6h".into(),
            for_: "90d".into(),
        }
    }
}

/// What the controller has seen of a policy; written by it only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStatus {
    /// The generation of the spec that was observed; -1 before the first look.
    #[serde(default)]
    pub observed_generation: i64,
    /// `Ready`: the policy is sound; else the path of the wrong field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
