//! `Connector`: a configured connection to one system.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Condition, LocalRef};

/// A connection to one system: a definition, its inputs, a secret and limits.
#[derive(Debug, Clone, Default, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "offboard.dev",
    version = "v1alpha1",
    kind = "Connector",
    doc = "A configured connection to one system: a definition, its inputs, a secret and limits.",
    namespaced,
    derive = "PartialEq",
    status = "ConnectorStatus",
    shortname = "conn",
    category = "offboard",
    selectable = ".spec.definition",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.definition"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectorSpec {
    /// Name of the definition: a built-in one, whose name nobody else can take, or a `ConnectorDefinition` in the cluster,
    /// which the Secret has to name in its annotation `offboard.dev/definitions`.
    #[schemars(extend("minLength" = 1, "maxLength" = 253))]
    pub definition: String,
    /// The definition's inputs, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "free_object")]
    pub inputs: BTreeMap<String, Value>,
    /// The Secret with the credentials, in the same namespace. Its annotation `offboard.dev/hosts` says where they may be
    /// sent. Its keys are named by the definition; `ca.crt` is always understood as the authorities to trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalRef>,
    /// Lets the credentials, and what is known of people, go over http:// without encryption, where anybody on the way can
    /// read them. Said in the Connector's conditions and in every plan. To this machine it needs no permission.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure: bool,
    /// Lower than the definition's own limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ConnectorLimits>,
    /// `Enforce` changes things, `Observe` only looks.
    #[serde(default)]
    pub mode: ConnectorMode,
    /// Facts of the definition that are not wanted here, or optional ones that are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<FactChoice>,
    /// Durable ids or names of accounts that must never be changed here, such as break-glass accounts. The account that
    /// the connector logs in with needs no mention.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 256))]
    pub protected: Vec<String>,
}

/// How hard a connector may press on its system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectorLimits {
    /// Requests a second, all leavers together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 1, "maximum" = 10000))]
    pub requests_per_second: Option<u32>,
    /// Requests at the same time, all leavers together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 1, "maximum" = 1000))]
    pub concurrent: Option<u32>,
}

/// Whether a connector changes things.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConnectorMode {
    /// Looks and changes.
    #[default]
    Enforce,
    /// Only looks.
    Observe,
}

/// Which of a definition's facts are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FactChoice {
    /// Left out here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64))]
    pub skip: Vec<String>,
    /// Optional facts of the definition that are wanted here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64))]
    pub include: Vec<String>,
}

/// What the controller has seen of a connector; written by it only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectorStatus {
    /// The generation of the spec that was observed; -1 before the first look.
    #[serde(default)]
    pub observed_generation: i64,
    /// `Ready`, `Reconciling`, `Stalled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// An object whose fields are checked by us, not by the API server.
pub(crate) fn free_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// Any value, checked by us.
pub(crate) fn free_value(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"x-kubernetes-preserve-unknown-fields": true})
}
