//! `LeaverSource`: an HR system from which leavers come.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, LocalRef, offboarding::Notice};

/// An HR system, read through a Connector whose definition has a `people` section: whoever has an end date there becomes an
/// Offboarding here.
#[derive(Debug, Clone, Default, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "offboard.dev",
    version = "v1alpha1",
    kind = "LeaverSource",
    doc = "An HR system from which leavers come: whoever has an end date there becomes an Offboarding here.",
    namespaced,
    derive = "PartialEq",
    status = "LeaverSourceStatus",
    shortname = "lsrc",
    category = "offboard",
    selectable = ".spec.connectorRef.name",
    printcolumn(name = "Connector", type_ = "string", json_path = ".spec.connectorRef.name"),
    printcolumn(name = "Upcoming", type_ = "integer", json_path = ".status.counts.upcoming"),
    printcolumn(name = "Held", type_ = "integer", json_path = ".status.counts.held"),
    printcolumn(name = "Synced", type_ = "date", json_path = ".status.synced"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LeaverSourceSpec {
    /// A Connector in the same namespace whose definition has a `people` section.
    pub connector_ref: LocalRef,
    /// Time between two looks. Default `15m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^[0-9]+(s|m|h|d)$"))]
    pub every: Option<String>,
    /// Leavers further ahead than this are not taken over yet. Default `14d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^[0-9]+(s|m|h|d)$"))]
    pub look_ahead: Option<String>,
    /// Leavers whose last day is longer past than this are history, not late entries, unless their Offboarding is there
    /// already. Default `365d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^[0-9]+(s|m|h|d)$"))]
    pub look_back: Option<String>,
    /// CEL over `person`, by field of the normal form: what is taken instead of the definition's value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub map: BTreeMap<String, String>,
    /// CEL over `person`: whose end makes an Offboarding at all. Default: everybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 1024))]
    pub when: Option<String>,
    /// The policy that the Offboardings name. Default: none, so that policies select them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_ref: Option<LocalRef>,
    /// What stops an error in the HR system from becoming a mass lockout.
    #[serde(default)]
    pub guard: Guard,
    /// With more unusable records than this, in percent of all, the source is not `Ready` (reason `Degraded`); it goes on with the
    /// others. One is always allowed. Default 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 0, "maximum" = 100))]
    pub max_unusable_percent: Option<u32>,
    /// A person on leave keeps access, or is a leaver until they are back.
    #[serde(default)]
    pub on_leave: OnLeave,
    /// A new contract of the same person that begins after a gap of no more than this is no leaving. Default `3d`: over a
    /// weekend and a holiday. With `0d` it must begin on the next day at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^[0-9]+d$"))]
    pub rehire_bridge: Option<String>,
    /// What happens when the last day moves.
    #[serde(default)]
    pub on_date_moved: OnDateMoved,
    /// What happens when the end is taken back.
    #[serde(default)]
    pub on_withdrawn: OnWithdrawn,
    /// Addresses and employee numbers of people who are never taken over, whatever the HR system says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 256, "items" = {"type": "string", "minLength": 1, "maxLength": 254}))]
    pub protected: Vec<String>,
    /// Lets the HR system say that something changed. Such a message can only make this source look at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake: Option<Wake>,
    /// Stops reading until it is false again.
    #[serde(default)]
    pub suspend: bool,
}

/// How a message that something changed is told from a forged one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wake {
    /// A Secret in the same namespace whose key `key` signs the messages (HMAC-SHA256).
    pub secret_ref: LocalRef,
}

/// What stops an error in the HR system from becoming a mass lockout. Counted over a sliding window that survives restarts. What lets
/// more through than before, and in a new source than the defaults, waits for an Approval of gate `Guard`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Guard {
    /// The length of the window. Default `24h`.
    #[schemars(extend("pattern" = "^[0-9]+(s|m|h|d)$"))]
    pub window: String,
    /// More changes within the window are held: new leavers, moved days, ends that are taken back. Default 10.
    #[schemars(extend("minimum" = 0, "maximum" = 100_000))]
    pub max_new: u32,
    /// The same in percent of all who work here, but one at least. Default 5. The lower of both holds.
    #[schemars(extend("minimum" = 0, "maximum" = 100))]
    pub max_percent: u32,
    /// A feed that has lost more than this share of its people, in percent, is not believed. Default 10.
    #[schemars(extend("minimum" = 0, "maximum" = 100))]
    pub max_shrink_percent: u32,
    /// A feed that says that it is older than this is not believed. Default `36h`.
    #[schemars(extend("pattern" = "^[0-9]+(s|m|h|d)$"))]
    pub max_age: String,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            window: "24h".into(),
            max_new: 10,
            max_percent: 5,
            max_shrink_percent: 10,
            max_age: "36h".into(),
        }
    }
}

/// What a leave of absence means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnLeave {
    /// Nothing.
    #[default]
    Ignore,
    /// Access ends with the reason `Leave`, and comes back with the person.
    Offboard,
}

/// What happens when the last day moves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnDateMoved {
    /// The Offboarding follows.
    #[default]
    Update,
    /// A person is asked; the Offboarding keeps its date.
    Ask,
}

/// What happens when the end is taken back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnWithdrawn {
    /// Before the cutoff the Offboarding is suspended, so that nothing more is done, and a person is asked; after it only that.
    #[default]
    Ask,
    /// `desired: Reinstated` is set: what was done is taken back.
    Reinstate,
}

/// What the controller has seen; written by it only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeaverSourceStatus {
    /// The generation of the spec that was observed; -1 before the first look.
    #[serde(default)]
    pub observed_generation: i64,
    /// When the whole feed was last read and understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub synced: Option<Timestamp>,
    /// What the last look showed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// What the guard remembers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<GuardStatus>,
    /// Records that say that somebody has left, without a last day: that is the day on which they were first seen to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub undated: Vec<Undated>,
    /// What people are told of the guard, or were: one entry per held set and channel. Old ones go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub notified: Vec<Notice>,
    /// `Ready`: `Synced`, `Degraded`, `FetchFailed`, `GuardTripped`, `ConnectorNotReady`, `Invalid`, `Suspended`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// What a look showed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Counts {
    /// Persons in the feed.
    pub people: u32,
    /// Of these, how many work here.
    pub active: u32,
    /// Leavers whose cutoff is still ahead.
    pub upcoming: u32,
    /// Changes that the guard holds: new leavers above all.
    pub held: u32,
    /// People with an end who are no leavers: transferred, converted, rehired, on leave, left out by `when`.
    pub staying: u32,
    /// Records that could not be understood or contradict each other.
    pub unusable: u32,
    /// Leavers about whom a person is asked: the date moved, or the end was taken back.
    pub asked: u32,
}

/// What the guard remembers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GuardStatus {
    /// Persons who worked here, or had left recently, when the feed was last believed.
    pub population: u32,
    /// How old that feed was, if it says. An older one is not believed any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub as_of: Option<Timestamp>,
    /// Changes that were let through, by the minute, as far as the window reaches.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub admitted: Vec<Admitted>,
    /// Changes that were counted and are not known to be written yet, by the beginning of their digest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub granted: Vec<String>,
    /// Changes that an Approval let through and that are not known to be written yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub released: Vec<String>,
    /// Digest of the exact set of changes that is held. An Approval names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// Why the feed is not believed, or why leavers are held: `Empty`, `Shrunken`, `Stale`, `TooMany`, `Recreated` (there was a
    /// source of this name before, and what it remembered is lost), `Loosened` (`limits` hold until an Approval).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tripped: Option<String>,
    /// The limits that hold: the usual ones, or those of an Approval, until `spec.guard` is stricter. What is looser in it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Guard>,
    /// There was a source of this name before, and nothing was done since this one is there: what it is to do first waits.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub recreated: bool,
}

/// Records that were first seen on one day to say that somebody has left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Undated {
    /// The day, `YYYY-MM-DD`.
    pub since: String,
    /// The records, by the beginning of the digest of their ids.
    pub records: Vec<String>,
}

/// Changes that were let through in one minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Admitted {
    /// The beginning of the minute.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// How many.
    pub count: u32,
}
