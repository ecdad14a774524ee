//! The kinds users write and read: types and schema, no behaviour.
//!
//! # Why
//! The words `Class`, `Stage`, `Proof` and `Reason` come from [`crate::core`], so that a definition and the rules
//! cannot drift apart; this is the only edge from here to the inside.

// Columns of `kubectl get` are a list of the same attribute.
#![allow(clippy::duplicated_attributes)]

pub mod approval;
pub mod condition;
pub mod connector;
pub mod crds;
pub mod definition;
pub mod held;
pub mod offboarding;
pub mod policy;
pub mod record;
pub mod reference;
pub mod source;

pub use approval::{Approval, ApprovalSpec};
pub use condition::{Condition, ConditionStatus};
pub use connector::{Connector, ConnectorSpec, ConnectorStatus};
pub use definition::{ConnectorDefinition, ConnectorDefinitionSpec};
pub use held::{HeldSet, HeldSetSpec};
pub use offboarding::{Offboarding, OffboardingSpec, OffboardingStatus};
pub use policy::{OffboardingPolicy, OffboardingPolicySpec};
pub use record::{OffboardingRecord, OffboardingRecordSpec};
pub use reference::LocalRef;
pub use source::{LeaverSource, LeaverSourceSpec, LeaverSourceStatus};

/// The API group of all kinds.
pub const GROUP: &str = "offboard.dev";
/// The version of all kinds.
pub const VERSION: &str = "v1alpha1";
