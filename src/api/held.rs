//! `HeldSet`: who is in the set of changes that the guard of a source holds.
//!
//! # Why
//! These are names of people who do not know yet. The status of a source is read by everybody who may see how far leavers are,
//! and a `ConfigMap` by half a cluster; this is a kind of its own so that a right of its own is needed to read it.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::approval::BoundRef;

/// The changes that the guard of a `LeaverSource` holds, or one part of them.
#[derive(Debug, Clone, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "offboard.dev",
    version = "v1alpha1",
    kind = "HeldSet",
    doc = "The changes that the guard of a LeaverSource holds, or one part of them. Written by the controller only; there while they are held.",
    namespaced,
    derive = "PartialEq",
    shortname = "held",
    category = "offboard",
    selectable = ".spec.sourceRef.name",
    printcolumn(name = "Source", type_ = "string", json_path = ".spec.sourceRef.name"),
    printcolumn(name = "Changes", type_ = "integer", json_path = ".spec.total"),
    printcolumn(name = "Part", type_ = "integer", json_path = ".spec.part"),
    printcolumn(name = "Of", type_ = "integer", json_path = ".spec.parts"),
    printcolumn(name = "Plan", type_ = "string", json_path = ".spec.plan", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.spec.plan == oldSelf.spec.plan").message("a HeldSet is about one set for ever")
)]
#[serde(rename_all = "camelCase")]
pub struct HeldSetSpec {
    /// The source whose guard holds them.
    pub source_ref: BoundRef,
    /// Digest of the whole set: `status.guard.held` of the source, and what an Approval names as `plan`.
    #[schemars(extend("maxLength" = 128))]
    pub plan: String,
    /// How many changes the whole set has.
    pub total: u32,
    /// Which part of it this is, from 1 on.
    pub part: u32,
    /// How many parts there are.
    pub parts: u32,
    /// The feed has lost so many people that a person is asked whether to believe it: the yes is about this too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shrunken: Option<Shrunken>,
    /// The guard's limits that were loosened, such as `maxNew 10 -> 500`: the yes is about these too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub loosened: Vec<String>,
    /// The changes of this part.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub changes: Vec<HeldChange>,
}

/// How many people a feed has lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shrunken {
    /// People in the feed that was last believed.
    pub before: u32,
    /// People in the feed now.
    pub now: u32,
}

/// One change that is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldChange {
    /// What would be done.
    pub change: HeldKind,
    /// The Offboarding that would be made or changed.
    pub offboarding: String,
    /// The HR system's id of the person.
    pub person: String,
    /// Employee number.
    #[serde(rename = "employeeID", default, skip_serializing_if = "Option::is_none")]
    pub employee_id: Option<String>,
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Work address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The last day that it would have, `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_day: Option<String>,
    /// The last day that the Offboarding has today.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// Access would end at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub immediate: bool,
}

/// What would be done about one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HeldKind {
    /// A new leaver.
    New,
    /// Another last day, or now.
    Moved,
    /// Leaves after all: the end had been taken back.
    Renewed,
    /// The end was taken back: nothing more is done until a person decides.
    Withdrawn,
    /// The end was taken back: what was removed is given back.
    Reinstated,
}
