//! `OffboardingPolicy`: for whom, which systems, when, with whose yes, for how long.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, offboarding::Cutoff};
use crate::core::gate::Gate;

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
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Retention",
        type_ = "string",
        json_path = ".spec.retention.accounts",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OffboardingPolicySpec {
    /// CEL over `offboarding` (`reason`, `urgency`, `visibility`, `legalHold`) and `employee` (who they are and their
    /// `profile`): for whom this is. Without it the policy is used only by name, or where no other fits if it is named `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 1024))]
    pub when: Option<String>,
    /// Whoever asks for an Offboarding, or a `LeaverSource`, may choose this policy by `policyRef` instead of the one that fits.
    /// Where it asks for less than that one, whoever may make Offboardings may then have less.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub selectable: bool,
    /// Of the policies whose `when` holds, the one with the highest number is used. Two with `when` cannot have the same.
    pub priority: i32,
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
    /// What `during: BusinessHours` means, in the employee's time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub business_hours: Option<BusinessHours>,
    /// Until when things must be done, counted from the cutoff.
    pub deadlines: Deadlines,
    /// Who takes over, unless the Offboarding says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer: Option<PolicyTransfer>,
    /// How long things are kept before facts of class Deletion are wanted, counted from when everything was proven handed
    /// over, or from the cutoff where nothing is.
    pub retention: Retention,
    /// What waits for a person's yes. Without a rule only what cannot be brought back needs none but the policy's own word.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 6))]
    pub gates: Vec<GateRule>,
    /// Who is told what.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub notify: Vec<NotifyRule>,
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
    {"rule": "has(self.want) == has(self.at)", "message": "at belongs to want"},
    {"rule": "!has(self.until) || has(self.want)", "message": "until belongs to want"}
]))]
pub struct Moment {
    /// Names of classes or facts that are wanted at `at`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64))]
    pub want: Vec<String>,
    /// `cutoff`, `cutoff + 30d`, `cutoff - 1h`; also counted from `notice`, `employmentEnds` or `paidThrough`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^(notice|cutoff|employmentEnds|paidThrough)( [+-] [0-9]+(s|m|h|d))?$"))]
    pub at: Option<String>,
    /// From when on it is not kept up any more; written like `at`. Default: for as long as the leaver is watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^(notice|cutoff|employmentEnds|paidThrough)( [+-] [0-9]+(s|m|h|d))?$"))]
    pub until: Option<String>,
    /// CEL like the policy's `when`: for whom this entry is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 1024))]
    pub when: Option<String>,
    /// `BusinessHours` moves an instant outside of them to when they next begin. Not for security facts.
    #[serde(skip_serializing_if = "is_any_time")]
    pub during: During,
    /// Names of classes or facts that are not wanted. Security facts can only be skipped by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64))]
    pub skip: Vec<String>,
}

/// At what time of day something may happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum During {
    /// At any time.
    #[default]
    AnyTime,
    /// Within the policy's `businessHours`.
    BusinessHours,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_any_time(during: &During) -> bool {
    *during == During::AnyTime
}

/// Business hours in the employee's time zone. Default: Monday to Friday, 09:00 to 17:00.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BusinessHours {
    /// Days of the week: `Monday`, `Tuesday`, `Wednesday`, `Thursday`, `Friday`, `Saturday`, `Sunday`.
    #[schemars(extend("minItems" = 1, "maxItems" = 7))]
    pub days: Vec<Weekday>,
    /// `HH:MM` at which they begin.
    #[schemars(extend("pattern" = "^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub from: String,
    /// `HH:MM` at which they end.
    #[schemars(extend("pattern" = "^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub to: String,
}

impl Default for BusinessHours {
    fn default() -> Self {
        use Weekday::{Friday, Monday, Thursday, Tuesday, Wednesday};
        Self {
            days: vec![Monday, Tuesday, Wednesday, Thursday, Friday],
            from: "09:00".into(),
            to: "17:00".into(),
        }
    }
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Weekday {
    /// The first day of the week.
    Monday,
    /// The second.
    Tuesday,
    /// The third.
    Wednesday,
    /// The fourth.
    Thursday,
    /// The fifth.
    Friday,
    /// The sixth.
    Saturday,
    /// The seventh.
    Sunday,
}

/// What waits for a person's yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.gate in ['Revoke', 'Transfer', 'Delete', 'Account', 'Reinstate', 'Loosen']",
        "message": "gate: one of Revoke, Transfer, Delete, Account, Reinstate, Loosen"}
]))]
pub struct GateRule {
    /// What waits.
    pub gate: Gate,
    /// How many people must say yes.
    #[serde(default = "one")]
    #[schemars(extend("minimum" = 1, "maximum" = 8))]
    pub approvals: u8,
    /// Only these people count. Default: whoever has the verb `approve`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub approvers: Vec<Approver>,
    /// After this time a yes does not count any more. Default `30d`.
    #[serde(default = "thirty_days")]
    #[schemars(extend("pattern" = "^[0-9]+(s|m|h|d)$"))]
    pub expires_after: String,
    /// People are told again that they are waited for. Default `1d`.
    #[serde(default = "one_day")]
    #[schemars(extend("pattern" = "^[0-9]+(s|m|h|d)$"))]
    pub remind_every: String,
    /// What happens when nobody answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation: Option<Escalation>,
}

fn one() -> u8 {
    1
}

fn thirty_days() -> String {
    "30d".into()
}

fn one_day() -> String {
    "1d".into()
}

/// Who may say yes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    /// Their user name, as the API server knows it.
    #[schemars(extend("minLength" = 1, "maxLength" = 256))]
    pub user: String,
    /// Who may say yes in their place, as an Approval with `onBehalfOf`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegate: Option<Delegate>,
}

/// Who may act in an approver's place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delegate {
    /// Their user name, as the API server knows it.
    #[schemars(extend("minLength" = 1, "maxLength" = 256))]
    pub user: String,
    /// The last day, `YYYY-MM-DD`. Default: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"))]
    pub until: Option<String>,
}

/// What happens when nobody answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Escalation {
    /// How long the first ones are waited for.
    #[schemars(extend("pattern" = "^[0-9]+(s|m|h|d)$"))]
    pub after: String,
    /// Who may say yes too from then on.
    #[schemars(extend("minItems" = 1, "maxItems" = 32))]
    pub approvers: Vec<Approver>,
}

/// Who is told what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyRule {
    /// A channel of the operator's notifications.
    #[schemars(extend("minLength" = 1, "maxLength" = 63))]
    pub channel: String,
    /// What about.
    // Not `on`: kubectl reads YAML 1.1, where that is the boolean true.
    #[serde(rename = "events")]
    #[schemars(extend("minItems" = 1, "maxItems" = 16))]
    pub on: Vec<NotifyOn>,
    /// Whom the text is for.
    #[serde(default)]
    pub audience: Audience,
}

/// What somebody is told about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum NotifyOn {
    /// A leaver is known, and when access will end.
    Scheduled,
    /// A gate or a task waits for a person.
    ApprovalNeeded,
    /// Access is left, or data not handed over, past the deadline.
    Overdue,
    /// Access came back after it was proven gone.
    Drift,
    /// Only a person can go on.
    Stalled,
    /// All that is due is done and proven.
    Offboarded,
    /// What was taken away is given back and proven.
    Reinstated,
    /// A source holds leavers back, or is not believed.
    GuardTripped,
}

/// Whom a text is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Audience {
    /// People who can mend a system: names systems, facts and faults.
    #[default]
    It,
    /// People who look after the leaver's papers: dates and what is done, no technical words.
    Hr,
    /// The manager: what they get and what they must do.
    Manager,
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
    /// A work address, or `Manager`: the leaver's `profile.manager`.
    #[schemars(extend("maxLength" = 254, "pattern" = "^(Manager|[^@\\s]+@[^@\\s]+)$"))]
    pub to: String,
    /// Who takes over where there is no manager, or the manager leaves too: a work address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 254, "pattern" = "^[^@\\s]+@[^@\\s]+$"))]
    pub fallback: Option<String>,
}

/// How long things are kept, counted from when everything was proven handed over.
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
