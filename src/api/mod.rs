//! The kinds users write and read: types and schema, no behaviour.
//!
//! # Why
//! The words `Class`, `Stage`, `Proof` and `Reason` come from [`crate::core`], so that a definition and the rules
//! cannot drift apart; this is the only edge from here to the inside.

// Columns of `kubectl get` are a list of the same attribute.
#![allow(clippy::duplicated_attributes)]

pub mod approval;
pub mod connector;
pub mod crds;
pub mod definition;
pub mod held;
pub mod offboarding;
pub mod policy;
pub mod record;
pub mod source;

pub use approval::{Approval, ApprovalSpec};
pub use connector::{Connector, ConnectorSpec, ConnectorStatus};
pub use definition::{ConnectorDefinition, ConnectorDefinitionSpec};
pub use held::{HeldSet, HeldSetSpec};
pub use offboarding::{Offboarding, OffboardingSpec, OffboardingStatus};
pub use policy::{OffboardingPolicy, OffboardingPolicySpec};
pub use record::{OffboardingRecord, OffboardingRecordSpec};
pub use source::{LeaverSource, LeaverSourceSpec, LeaverSourceStatus};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The API group of all kinds.
pub const GROUP: &str = "offboard.dev";
/// The version of all kinds.
pub const VERSION: &str = "v1alpha1";

/// Whether a condition is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It is.
    True,
    /// It is not.
    False,
    /// It could not be told.
    Unknown,
}

/// One observation about an object, in the Kubernetes shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What is observed, such as `Ready`, or the name of a fact.
    #[serde(rename = "type")]
    pub type_: String,
    /// Whether it is true.
    pub status: ConditionStatus,
    /// One word for why.
    pub reason: String,
    /// One line for people, naming the system first; absent when there is nothing to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(extend("maxLength" = 1024))]
    pub message: String,
    /// The `metadata.generation` that this was observed for; absent in the rows of `status.systems`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When the status last changed.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub last_transition_time: Timestamp,
}

/// A reference to an object in the same namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalRef {
    /// Its name.
    #[schemars(extend("minLength" = 1, "maxLength" = 253))]
    pub name: String,
}
