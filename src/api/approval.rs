//! `Approval`: one person's yes or no, made by that person, bound to exactly what they saw.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Condition;
use crate::core::gate::{Decision, Gate};

/// One person's decision about a gate, a task, an exception or a held set of leavers. Cannot be changed: make another one.
/// Who made it is certain only with the admission policies that the chart ships: they compare `approver` with the user of the
/// request, and ask for the verb `approve`. Without them nothing that needs an Approval is done.
#[derive(Debug, Clone, Default, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "offboard.dev",
    version = "v1alpha1",
    kind = "Approval",
    doc = "One person's yes or no about a gate, a task, an exception or a held set of leavers, bound to exactly what they saw.",
    namespaced,
    derive = "PartialEq",
    status = "ApprovalStatus",
    shortname = "appr",
    category = "offboard",
    selectable = ".spec.offboardingRef.name",
    selectable = ".spec.sourceRef.name",
    printcolumn(name = "Leaver", type_ = "string", json_path = ".spec.offboardingRef.name"),
    printcolumn(name = "Gate", type_ = "string", json_path = ".spec.gate"),
    printcolumn(name = "Decision", type_ = "string", json_path = ".spec.decision"),
    printcolumn(name = "By", type_ = "string", json_path = ".spec.approver"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Plan", type_ = "string", json_path = ".spec.plan", priority = 1),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason", priority = 1),
    validation = Rule::new("self.spec == oldSelf.spec").message("an approval cannot be changed: make another one"),
    validation = Rule::new("has(self.spec.offboardingRef) != has(self.spec.sourceRef)")
        .message("set either offboardingRef, or sourceRef"),
    validation = Rule::new("!has(self.spec.sourceRef) || self.spec.gate == 'Guard'")
        .message("a sourceRef has the gate Guard, and no other"),
    validation = Rule::new("(self.spec.gate == 'Task' || self.spec.gate == 'Waiver') == has(self.spec.connector)")
        .message("connector belongs to the gates Task and Waiver"),
    validation = Rule::new("self.spec.gate == 'Waiver' ? has(self.spec.fact) : (self.spec.gate == 'Task' || !has(self.spec.fact))")
        .message("a waiver names a fact, a task may, nothing else does"),
    validation = Rule::new("(self.spec.decision == 'Done') == (self.spec.gate == 'Task') || self.spec.decision == 'Denied'")
        .message("a task is Done or Denied, everything else Approved or Denied"),
    validation = Rule::new("(self.spec.gate == 'Waiver') == has(self.spec.until)")
        .message("a waiver needs a last day, and nothing else has one: until"),
    validation = Rule::new("(self.spec.gate == 'Waiver') != has(self.spec.plan)")
        .message("plan: the digest that was shown is needed for everything but a waiver")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalSpec {
    /// The leaver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offboarding_ref: Option<BoundRef>,
    /// The source whose held leavers are let through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ref: Option<BoundRef>,
    /// What is decided about.
    pub gate: Gate,
    /// The Connector of the task or of the waiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minLength" = 1, "maxLength" = 253))]
    pub connector: Option<String>,
    /// The fact that is waived, or the one of several tasks that is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minLength" = 1, "maxLength" = 128))]
    pub fact: Option<String>,
    /// The last day of the waiver, `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"))]
    pub until: Option<String>,
    /// Yes or no.
    pub decision: Decision,
    /// The digest that was shown: `plan` of the row in the leaver's `status.gates`, or `status.guard.held` of the source. A
    /// waiver needs none: it says itself what it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^sha256:[0-9a-f]{64}$"))]
    pub plan: Option<String>,
    /// Your own user name.
    #[schemars(extend("minLength" = 1, "maxLength" = 256))]
    pub approver: String,
    /// The approver whose delegate you are, if the policy names you as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minLength" = 1, "maxLength" = 256))]
    pub on_behalf_of: Option<String>,
    /// Why; goes into the evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 512))]
    pub reason: Option<String>,
}

/// A reference to one object and no later one of the same name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BoundRef {
    /// Its name, in the same namespace.
    #[schemars(extend("minLength" = 1, "maxLength" = 253))]
    pub name: String,
    /// Its `metadata.uid`.
    #[schemars(extend("minLength" = 1, "maxLength" = 64))]
    pub uid: String,
}

/// What the controller made of an Approval; written by it only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalStatus {
    /// The generation of the spec that was observed; -1 before the first look.
    #[serde(default)]
    pub observed_generation: i64,
    /// `Ready`: `Counted`, or why not: `SelfApproval`, `NotAnApprover`, `PlanChanged`, `Expired`, `Gone`, `PolicyMissing`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
