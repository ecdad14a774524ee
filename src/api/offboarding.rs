//! `Offboarding`: one leaver and the wanted end.

use jiff::Timestamp;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Condition, LocalRef,
    policy::{Audience, NotifyOn},
};
use crate::core::{gate::Gate, guard::Admission};

/// What must be true for one employee who leaves: all access revoked, data handed over.
#[derive(Debug, Clone, Default, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "offboard.dev",
    version = "v1alpha1",
    kind = "Offboarding",
    doc = "One leaver, and what must be true for them: all access revoked, data handed over, proven by reading back.",
    namespaced,
    derive = "PartialEq",
    status = "OffboardingStatus",
    shortname = "leaver",
    shortname = "leavers",
    category = "offboard",
    selectable = ".spec.employee.email",
    selectable = ".spec.employee.employeeID",
    selectable = ".spec.lastDay",
    selectable = ".spec.urgency",
    printcolumn(name = "Employee", type_ = "string", json_path = ".spec.employee.email"),
    printcolumn(name = "Last day", type_ = "string", json_path = ".spec.lastDay"),
    printcolumn(name = "Systems", type_ = "string", json_path = ".status.progress"),
    printcolumn(name = "Left", type_ = "integer", json_path = ".status.accessLeft"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Deadline", type_ = "string", json_path = ".status.deadline", priority = 1),
    printcolumn(name = "Drifted", type_ = "string", json_path = ".status.conditions[?(@.type=='Drifted')].status", priority = 1),
    printcolumn(name = "Policy", type_ = "string", json_path = ".spec.policyRef.name", priority = 1),
    validation = Rule::new("has(self.spec.lastDay) || self.spec.urgency == 'Immediate'")
        .message("set either lastDay, or urgency: Immediate"),
    validation = Rule::new("!has(self.spec.transfers) || !has(self.spec.employee.email) || \
        self.spec.transfers.all(t, t.to.lowerAscii() != self.spec.employee.email.lowerAscii())")
        .message("spec.transfers: the successor must be somebody else than the leaver"),
    validation = Rule::new("has(self.spec.requestedBy) == has(oldSelf.spec.requestedBy) && \
        (!has(self.spec.requestedBy) || self.spec.requestedBy == oldSelf.spec.requestedBy)")
        .message("requestedBy cannot be changed")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OffboardingSpec {
    /// Who leaves. Cannot be changed afterwards: create a new Offboarding instead.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "self == oldSelf", "message": "employee is immutable: create a new Offboarding instead"},
        {"rule": "has(self.email) || has(self.employeeID)", "message": "email or employeeID is needed"}
    ]))]
    pub employee: Employee,
    /// The last working day, `YYYY-MM-DD`. Access ends on it at the cutoff time in the employee's time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"))]
    pub last_day: Option<String>,
    /// When on the last day access ends. Default: the policy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cutoff: Option<Cutoff>,
    /// The other clocks of a leaver: notice, the end of the contract, the end of pay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dates: Option<Dates>,
    /// What is known about the person beyond who they are; policies select by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// `Scheduled` waits for the cutoff, `Immediate` ends access now.
    #[serde(default)]
    pub urgency: Urgency,
    /// `Offboarded`, or `Reinstated` to restore exactly what the record says was removed.
    #[serde(default)]
    pub desired: Desired,
    /// Why the person leaves; policies select by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^[A-Z][A-Za-z]*$", "maxLength" = 64))]
    pub reason: Option<String>,
    /// The policy to use. Default: of the policies whose `when` holds for this leaver the one with the highest priority, else
    /// the one named `default`, else the built-in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_ref: Option<LocalRef>,
    /// Who takes over mail, files and records. Default: the policy's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub transfers: Vec<Transfer>,
    /// Systems that are left alone for a while, with a reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64))]
    pub exceptions: Vec<Exception>,
    /// `Hold` keeps everything that could be deleted; access still ends.
    #[serde(default)]
    pub legal_hold: LegalHold,
    /// `Confidential`: the person is not named in messages before the cutoff.
    #[serde(default)]
    pub visibility: Visibility,
    /// A ticket number, copied to messages and evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 128))]
    pub reference: Option<String>,
    /// Your own user name: who asks for this cannot approve it. Cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minLength" = 1, "maxLength" = 256))]
    pub requested_by: Option<String>,
    /// The user names of all who changed what loosens the end, or who takes over: none of them can approve anything of this
    /// leaver. Whoever changes `desired`, `suspend`, `exceptions`, `lastDay`, `cutoff`, `dates`, `urgency`, `legalHold`,
    /// `policyRef`, `profile` or `transfers` adds their own; none is ever removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64, "items" = {"type": "string", "minLength": 1, "maxLength": 256}, "x-kubernetes-list-type" = "set"))]
    pub changed_by: Vec<String>,
    /// Stops all work on this leaver until it is false again. Nothing is given back.
    #[serde(default)]
    pub suspend: bool,
}

/// Who leaves. At least one of `email` and `employeeID`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Employee {
    /// Work address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 254, "pattern" = "^[^@\\s]+@[^@\\s]+$"))]
    pub email: Option<String>,
    /// Employee number, as HR and the directory know it.
    #[serde(default, rename = "employeeID", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minLength" = 1, "maxLength" = 64))]
    pub employee_id: Option<String>,
    /// Name for people to read; never used to find an account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 256))]
    pub display_name: Option<String>,
    /// Other addresses of the person: former ones, aliases. Each is looked for as `email` is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 16, "items" = {"type": "string", "maxLength": 254, "pattern": "^[^@\\s]+@[^@\\s]+$"}))]
    pub other_emails: Vec<String>,
    /// Known extra accounts, beyond what is found by number and address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub accounts: Vec<NamedAccount>,
}

/// An extra account of the person, such as an administrator account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedAccount {
    /// The Connector.
    #[schemars(extend("minLength" = 1, "maxLength" = 253))]
    pub connector: String,
    /// The login name there.
    #[schemars(extend("minLength" = 1, "maxLength" = 256))]
    pub name: String,
}

/// The time of day at which access ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cutoff {
    /// `HH:MM`, 24 hours. Default `17:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub time: Option<String>,
    /// The employee's IANA time zone, such as `Europe/Berlin`. There is no default but the policy's: a last day
    /// without a known zone is an error, never a guess.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    pub time_zone: Option<String>,
}

/// The clocks of a leaver beside the one of access. Dates are whole days, `YYYY-MM-DD`, in the employee's time zone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dates {
    /// The day on which notice was given; the anchor `notice` is its beginning. Default: when the Offboarding was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"))]
    pub notice: Option<String>,
    /// The last day of the contract; the anchor `employmentEnds` is its end. Default: the last day of work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"))]
    pub employment_ends: Option<String>,
    /// The last day that is paid for; the anchor `paidThrough` is its end. Default: the last day of the contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"))]
    pub paid_through: Option<String>,
}

/// What is known about a person beyond who they are. Expressions of a policy see it as `employee`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Profile {
    /// The manager's work address; `Manager` in transfers means this person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 254, "pattern" = "^[^@\\s]+@[^@\\s]+$"))]
    pub manager: Option<String>,
    /// Country, ISO 3166-1 alpha-2, such as `DE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^[A-Z]{2}$"))]
    pub country: Option<String>,
    /// Department.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 256))]
    pub department: Option<String>,
    /// Place of work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 256))]
    pub site: Option<String>,
    /// Kind of the work relationship, such as `Employee` or `Contractor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    pub kind: Option<String>,
    /// Anything else that a policy may ask for.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub attributes: std::collections::BTreeMap<String, String>,
}

/// Whether to wait for the last day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Urgency {
    /// Access ends at the cutoff on the last day.
    #[default]
    Scheduled,
    /// Access ends now.
    Immediate,
}

/// The wanted end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Desired {
    /// All access revoked, data handed over.
    #[default]
    Offboarded,
    /// What the record says was removed is given back, and only that.
    Reinstated,
}

/// Whether anything of this person may be deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LegalHold {
    /// The policy's retention decides.
    #[default]
    None,
    /// Nothing is deleted.
    Hold,
}

/// Who may see the name before the cutoff.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Visibility {
    /// No restriction.
    #[default]
    Normal,
    /// The person is not named in messages before the cutoff.
    Confidential,
}

/// Something that goes to somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// What goes over: `Everything`, `Mailbox`, `Files` or `Records`. A fact of class Mail counts as `Mailbox`.
    pub what: TransferWhat,
    /// Only from this Connector. Default: from every system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 253))]
    pub connector: Option<String>,
    /// The successor's work address, or `Manager`.
    #[schemars(extend("maxLength" = 254, "pattern" = "^(Manager|[^@\\s]+@[^@\\s]+)$"))]
    pub to: String,
}

/// What a transfer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TransferWhat {
    /// Mail, files and records.
    Everything,
    /// Mail and calendar.
    Mailbox,
    /// Files.
    Files,
    /// Records in business systems, objects in databases, entries in directories.
    Records,
}

/// A system, or some facts of it, that are left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// The Connector.
    #[schemars(extend("minLength" = 1, "maxLength" = 253))]
    pub connector: String,
    /// Only these facts. Default: the whole system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64))]
    pub facts: Vec<String>,
    /// The last day of the exception, `YYYY-MM-DD`; then the system is treated like any other.
    #[schemars(extend("pattern" = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"))]
    pub until: String,
    /// Why; goes into the evidence.
    #[schemars(extend("minLength" = 1, "maxLength" = 256))]
    pub reason: String,
}

/// What the controller has seen; written by it only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(oldSelf.fence) || has(self.fence) && self.fence >= oldSelf.fence",
    "message": "fence: an operator that lost the Lease may write no more"
}]))]
pub struct OffboardingStatus {
    /// The generation of the spec that everything below was observed for; -1 before the first look.
    #[serde(default)]
    pub observed_generation: i64,
    /// Systems done and all systems, such as `7/9`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// The term of the operator that wrote this: how often the Lease had changed hands. Never goes back, so that an operator
    /// that lost the Lease without noticing cannot write any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<i64>,
    /// How many security facts are wanted now and not proven yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_left: Option<i64>,
    /// When access ends, as an instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub cutoff: Option<Timestamp>,
    /// When all access must be proven gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub deadline: Option<Timestamp>,
    /// When all data must be proven handed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub data_deadline: Option<Timestamp>,
    /// Since when the end of access is looked after: while this is there nobody deletes the Offboarding, because nobody would look
    /// any more. Absent before the end, during a pause that people agreed to, after a reinstatement, and once it is complete and
    /// looked at no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub watched: Option<Timestamp>,
    /// What lives on although access ended, and nobody can shorten; absent when there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<Exposure>,
    /// The leaver's manager as a directory tells, where the Offboarding names none. Stays as first told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<KnownManager>,
    /// That there is leave to begin with this leaver: the release's guard asks nobody again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admitted: Option<Admission>,
    /// Digest of the plan: accounts, facts and acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// What waits, or waited, for a person's yes: one row per gate and task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub gates: Vec<GateRow>,
    /// What people are told, or were: one entry per piece of news and channel. Old ones go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub notified: Vec<Notice>,
    /// The policy that was chosen; absent for the built-in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Where the evidence is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// The summary: `Ready`, `Reconciling`, `Stalled`, `AccessRevoked`, `DataTransferred`, `Complete`, `Drifted`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// One row per system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub systems: Vec<SystemRow>,
}

impl OffboardingStatus {
    /// Whether the condition `type_` is true.
    pub fn is_true(&self, type_: &str) -> bool {
        let mut conditions = self.conditions.iter();
        conditions.any(|c| c.type_ == type_ && c.status == super::ConditionStatus::True)
    }
}

/// What lives on although access ended: an access token, a ticket, what a lagging log does not show yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exposure {
    /// When the last of it has ended by itself.
    #[schemars(with = "String")]
    pub closes_at: Timestamp,
}

/// A manager whom a directory told of; without an address and a number, no directory knows one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KnownManager {
    /// Work address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Employee number.
    #[serde(default, rename = "employeeID", skip_serializing_if = "Option::is_none")]
    pub employee_id: Option<String>,
    /// The row of the system that told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
}

/// What waits, or waited, for a person's yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GateRow {
    /// The gate, or `task`.
    pub gate: Gate,
    /// The Connector whose task it is; absent for the other gates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Digest of what would be done: accounts and facts. An Approval names it, and holds for nothing else.
    pub plan: String,
    /// How it stands.
    pub state: GateState,
    /// How many have said yes, of how many.
    pub approvals: String,
    /// Since when it waits.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// What a yes would loosen, of an end of access that has come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loosens: Vec<String>,
    /// Since when it is known that a task should have been done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub overdue: Option<Timestamp>,
}

/// How a gate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum GateState {
    /// Enough people said yes.
    Open,
    /// It waits for people.
    Waiting,
    /// Somebody said no.
    Denied,
    /// Those who said yes said it too long ago, or for another plan.
    Expired,
    /// The cluster lacks the policies that make Approvals trustworthy.
    Untrusted,
}

/// A piece of news for one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// The same for the same news on the same channel, however often it is sent: a receiver drops the second one by it.
    pub key: String,
    /// What it is about.
    pub event: NotifyOn,
    /// The channel of the operator's notifications.
    pub channel: String,
    /// Whom the text is for.
    #[serde(default)]
    pub audience: Audience,
    /// Which systems, facts, gate or task; never a person. Absent when there is nothing to name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// How far it is.
    pub state: NoticeState,
    /// When it came up.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// How often it could not be sent.
    #[serde(default, skip_serializing_if = "none")]
    pub tries: u32,
    /// Why it is not sent: a status or an error code, never a text of the receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn none(number: &u32) -> bool {
    *number == 0
}

/// How far a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NoticeState {
    /// Not sent yet; it will be.
    Due,
    /// On its way. An operator that starts anew and finds this does not send it again unless the receiver tells a second
    /// one from the first.
    Sending,
    /// The receiver has taken it.
    Sent,
    /// The receiver did not take it, and will not.
    Failed,
    /// It may have been received, or not: the operator ended, or the connection broke, while it was on its way.
    Unsure,
}

/// Where the evidence of one leaver is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// The `OffboardingRecord`.
    pub record: String,
    /// Digest of its newest entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
}

/// One system of one leaver.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SystemRow {
    /// The Connector, or `connector/account` for a named extra account.
    pub name: String,
    /// The durable id of the account; absent while none is bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// One condition per fact: `True` with `Verified`, `Asserted`, `NoAccount`, `NotApplicable` or `Waived`; `False` or
    /// `Unknown` with why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
