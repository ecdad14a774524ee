//! Whether Approvals can be trusted: the cluster must have the admission policy that compares an Approval's `approver` with
//! whoever makes it.
//!
//! # Why
//! Without the policy an Approval is a text that anybody who may create one has written. It is asked for again and again,
//! because somebody who may delete a policy could otherwise approve in its absence.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::Api;
use tokio::time::Instant;

use super::{
    Context,
    call::{Failed, within},
};

/// The name of the policy and of its binding.
pub const POLICY: &str = "offboard-approvals";
/// For how long an answer holds.
const LASTS: Duration = Duration::from_secs(30);

/// What was last found out.
#[derive(Debug, Default)]
pub struct Trust(Mutex<Option<(Instant, bool)>>);

impl Trust {
    fn known(&self) -> Option<bool> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (*known)
            .filter(|(at, _)| at.elapsed() < LASTS)
            .map(|(_, trusted)| trusted)
    }

    fn learn(&self, trusted: bool) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), trusted));
    }
}

/// Whether the policy and its binding are there, and refuse what they do not allow. What cannot be read is not trusted.
pub async fn approvals_trusted(context: &Context) -> bool {
    if let Some(known) = context.trust.known() {
        return known;
    }
    match look(context).await {
        Ok(trusted) => {
            context.trust.learn(trusted);
            trusted
        }
        Err(failed) => {
            tracing::warn!(%failed, "the admission policy of Approvals could not be read: they are not trusted");
            false
        }
    }
}

async fn look(context: &Context) -> Result<bool, Failed> {
    let policies = Api::<ValidatingAdmissionPolicy>::all(context.client.clone());
    let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(context.client.clone());
    let (policy, binding) = tokio::join!(within(policies.get(POLICY)), within(bindings.get(POLICY)));
    match (policy, binding) {
        (Ok(policy), Ok(binding)) => Ok(refuses(&policy) && binds(&binding)),
        (Err(Failed::NotFound), _) | (_, Err(Failed::NotFound)) => Ok(false),
        (Err(failed), _) | (_, Err(failed)) => Err(failed),
    }
}

/// Whether the policy looks at new Approvals, asks something of them, and fails closed.
fn refuses(policy: &ValidatingAdmissionPolicy) -> bool {
    let Some(spec) = &policy.spec else {
        return false;
    };
    let has = |list: &Option<Vec<String>>, wanted: &str| {
        list.iter().flatten().any(|one| one == wanted || one == "*")
    };
    let rules = spec
        .match_constraints
        .iter()
        .flat_map(|m| m.resource_rules.iter().flatten());
    let mut looked_at = rules.filter(|rule| {
        has(&rule.api_groups, "offboard.dev")
            && has(&rule.resources, "approvals")
            && has(&rule.operations, "CREATE")
            && rule.resource_names.iter().flatten().next().is_none()
    });
    let left_out = spec
        .match_constraints
        .iter()
        .flat_map(|m| m.exclude_resource_rules.iter().flatten())
        .count();
    spec.failure_policy.as_deref() == Some("Fail")
        && spec.validations.iter().flatten().next().is_some()
        && spec.match_conditions.iter().flatten().next().is_none()
        && looked_at.next().is_some()
        && left_out == 0
}

/// Whether the binding refuses, everywhere.
fn binds(binding: &ValidatingAdmissionPolicyBinding) -> bool {
    let spec = &binding.spec;
    let denies = spec.validation_actions.iter().any(|action| action == "Deny");
    denies && spec.policy_name == POLICY && spec.match_resources.is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn policy(change: impl FnOnce(&mut Value)) -> bool {
        let mut spec = json!({
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": ["offboard.dev"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["approvals"],
            }]},
            "validations": [{"expression": "object.spec.approver == request.userInfo.username"}],
        });
        change(&mut spec);
        refuses(&serde_json::from_value(json!({"spec": spec})).unwrap())
    }

    fn binding(change: impl FnOnce(&mut Value)) -> bool {
        let mut spec = json!({"policyName": POLICY, "validationActions": ["Deny", "Audit"]});
        change(&mut spec);
        binds(&serde_json::from_value(json!({"spec": spec})).unwrap())
    }

    #[test]
    fn the_policy_as_it_ships_is_trusted() {
        assert!(policy(|_| {}) && binding(|_| {}));
    }

    #[test]
    fn a_policy_that_refuses_nothing_is_not_trusted() {
        assert!(!policy(|p| p["failurePolicy"] = json!("Ignore")));
        assert!(!policy(|p| p["validations"] = json!([])));
        assert!(!policy(
            |p| p["matchConstraints"]["resourceRules"][0]["operations"] = json!(["UPDATE"])
        ));
        assert!(!policy(
            |p| p["matchConstraints"]["resourceRules"][0]["resourceNames"] = json!(["one"])
        ));
        assert!(!policy(
            |p| p["matchConstraints"]["resourceRules"][0]["resources"] = json!(["connectors"])
        ));
        let all =
            json!([{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}]);
        assert!(!policy(|p| p["matchConstraints"]["excludeResourceRules"] = all));
        assert!(!policy(
            |p| p["matchConditions"] = json!([{"name": "never", "expression": "false"}])
        ));
    }

    #[test]
    fn a_binding_that_refuses_nothing_is_not_trusted() {
        assert!(!binding(|b| b["validationActions"] = json!(["Warn"])));
        assert!(!binding(|b| b["policyName"] = json!("other")));
        assert!(!binding(
            |b| b["matchResources"] = json!({"namespaceSelector": {"matchLabels": {"a": "b"}}})
        ));
    }
}
