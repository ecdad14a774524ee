//! Whether Approvals can be trusted, and what became of each.
//!
//! # Why
//! Nobody but the API server knows who sent a request. Its admission policies compare the name in an Approval with that of the
//! request, and ask for the verb `approve`. So an Approval is worth something only while these policies are in force; whether
//! they are, word for word, is asked again and again, and without a cache before what cannot be taken back.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::{Api, Client, ResourceExt, runtime::controller::Action};

use super::{
    Context,
    call::{Failed, within},
    kinds::{self, Verdict},
    watch,
};
use crate::{
    api::{Approval, Condition, ConditionStatus},
    core::gate::{Refusal, Standing},
};

/// The name of the admission policy and of its binding.
pub const POLICY: &str = "offboard-approvals";
/// How long an answer about the policies is believed.
const BELIEVED: Duration = Duration::from_secs(30);

/// What the policy must check, word for word: the approver is who sends the request.
pub const OWN_NAME: &str = "object.spec.approver == request.userInfo.username";
/// The approver has the verb `approve` on the leaver, or on the source.
pub const MAY_APPROVE: &str = "has(object.spec.offboardingRef) ? \
authorizer.group('offboard.dev').resource('offboardings').namespace(object.metadata.namespace)\
.name(object.spec.offboardingRef.name).check('approve').allowed() : \
authorizer.group('offboard.dev').resource('leaversources').namespace(object.metadata.namespace)\
.name(object.spec.sourceRef.name).check('approve').allowed()";

/// What is known about the policies, and since when.
#[derive(Debug, Default)]
pub struct Trust(Mutex<Option<(Instant, bool)>>);

/// Whether the cluster makes sure of who approves. Not knowing is no.
pub async fn approvals_trusted(context: &Context) -> bool {
    let known = *context.trust.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((since, trusted)) = known
        && since.elapsed() < BELIEVED
    {
        return trusted;
    }
    approvals_trusted_now(context).await
}

/// The same past the cache.
pub async fn approvals_trusted_now(context: &Context) -> bool {
    let trusted = match in_force(&context.client).await {
        Ok(trusted) => trusted,
        Err(failed) => {
            tracing::warn!(%failed, "the admission policies for Approvals were not read: no Approval counts");
            false
        }
    };
    *context.trust.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), trusted));
    trusted
}

async fn in_force(client: &Client) -> Result<bool, Failed> {
    let policies = Api::<ValidatingAdmissionPolicy>::all(client.clone());
    let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(client.clone());
    let (policy, binding) = tokio::join!(within(policies.get(POLICY)), within(bindings.get(POLICY)));
    match (policy, binding) {
        (Ok(policy), Ok(binding)) => Ok(checks(&policy) && binds(&binding)),
        (Err(Failed::NotFound), _) | (_, Err(Failed::NotFound)) => Ok(false),
        (Err(failed), _) | (_, Err(failed)) => Err(failed),
    }
}

/// Whether the policy checks every new Approval for what it must, and lets nothing through when it cannot.
fn checks(policy: &ValidatingAdmissionPolicy) -> bool {
    let Some(spec) = &policy.spec else { return false };
    let says = |expression: &str| {
        let validations = spec.validations.iter().flatten();
        validations
            .into_iter()
            .any(|validation| squeezed(&validation.expression) == squeezed(expression))
    };
    let everywhere = spec.match_constraints.as_ref().is_some_and(|matches| {
        let empty = |selector: &Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector>| {
            selector.as_ref().is_none_or(|s| {
                s.match_labels
                    .as_ref()
                    .is_none_or(std::collections::BTreeMap::is_empty)
                    && s.match_expressions.as_ref().is_none_or(Vec::is_empty)
            })
        };
        let rules = matches.resource_rules.iter().flatten();
        let covers = |list: &Option<Vec<String>>, value: &str| {
            list.iter().flatten().any(|entry| entry == value || entry == "*")
        };
        empty(&matches.namespace_selector)
            && empty(&matches.object_selector)
            && matches.exclude_resource_rules.as_ref().is_none_or(Vec::is_empty)
            && rules.into_iter().any(|rule| {
                covers(&rule.api_groups, "offboard.dev")
                    && covers(&rule.api_versions, "v1alpha1")
                    && covers(&rule.resources, "approvals")
                    && covers(&rule.operations, "CREATE")
                    && rule.resource_names.as_ref().is_none_or(Vec::is_empty)
            })
    });
    policy.metadata.deletion_timestamp.is_none()
        && spec
            .failure_policy
            .as_deref()
            .is_none_or(|failing| failing == "Fail")
        && spec.match_conditions.as_ref().is_none_or(Vec::is_empty)
        && everywhere
        && says(OWN_NAME)
        && says(MAY_APPROVE)
}

fn binds(binding: &ValidatingAdmissionPolicyBinding) -> bool {
    let spec = &binding.spec;
    binding.metadata.deletion_timestamp.is_none()
        && spec.policy_name == POLICY
        && spec.match_resources.is_none()
        && spec.validation_actions.iter().any(|action| action == "Deny")
}

/// Line breaks and blanks make no difference.
fn squeezed(expression: &str) -> String {
    expression.split_whitespace().collect()
}

/// Looks at one Approval: whoever it is about looks again, and one that is about nothing says so.
pub async fn approval(approval: Arc<Approval>, context: Arc<Context>) -> Result<Action, Failed> {
    let namespace = approval.namespace().unwrap_or_default();
    context.caches.ready_in(&namespace).await;
    let refused = |reason, message: &str| Verdict {
        good: false,
        reason,
        message: message.to_owned(),
    };
    if !approvals_trusted(&context).await {
        let text = "install the chart's admission policies (approvals.admissionPolicy): without them nobody knows who \
                    made this";
        publish(&context, &approval, refused("PolicyMissing", text)).await?;
        return Ok(Action::requeue(BELIEVED));
    }
    if let Some(about) = &approval.spec.offboarding_ref {
        match context.caches.offboarding(&namespace, &about.name) {
            Some(leaver) if leaver.uid().as_ref() == Some(&about.uid) => {
                // Whether it counts is found out in that leaver's own pass.
                context.caches.tell_leaver(&namespace, &leaver);
            }
            _ => {
                let text = "spec.offboardingRef: there is no Offboarding with this name and uid";
                publish(&context, &approval, refused("Gone", text)).await?;
            }
        }
    }
    Ok(Action::await_change())
}

/// Shows what became of the votes of one gate.
pub async fn show(context: &Context, namespace: &str, standing: &Standing) {
    let counted = standing.counted.iter().map(|id| (id, None));
    let refused = standing.refused.iter().map(|(id, why)| (id, Some(*why)));
    for (id, why) in counted.chain(refused) {
        let Some(approval) = context.caches.approval(namespace, id) else {
            continue;
        };
        let already = |c: &Condition| c.type_ == "Ready" && c.status == ConditionStatus::True;
        let conditions = approval.status.iter().flat_map(|status| &status.conditions);
        // What a yes of old let through stays so; the next set is another.
        let of_old = approval.spec.source_ref.is_some() && why == Some(Refusal::PlanChanged);
        if of_old && conditions.into_iter().any(already) {
            continue;
        }
        let (reason, message) = words(why);
        let verdict = Verdict {
            good: why.is_none(),
            reason,
            message: message.to_owned(),
        };
        if let Err(failed) = publish(context, &approval, verdict).await {
            tracing::warn!(%failed, "what became of an Approval was not shown");
        }
    }
}

fn words(why: Option<Refusal>) -> (&'static str, &'static str) {
    match why {
        None => ("Counted", ""),
        Some(Refusal::PlanChanged) => (
            "PlanChanged",
            "spec.plan is not what would be done now: look at status.gates, or at status.guard of a source, and make a new Approval",
        ),
        Some(Refusal::Expired) => ("Expired", "made too long ago by the policy: make a new Approval"),
        Some(Refusal::SelfApproval) => (
            "SelfApproval",
            "the leaver, who asked for this, who is in the held set, and who leaves too cannot approve it: somebody else must",
        ),
        Some(Refusal::NotAnApprover) => ("NotAnApprover", "the policy's gate names other approvers"),
        Some(Refusal::Superseded) => ("Superseded", "the same person decided again later"),
    }
}

async fn publish(context: &Context, approval: &Approval, verdict: Verdict) -> Result<(), Failed> {
    let namespace = approval.namespace().unwrap_or_default();
    let status = approval.status.clone().unwrap_or_default();
    // What was decided is not taken back by looking at it once more: only a change is written.
    let same = status.conditions.iter().any(|c| {
        c.type_ == "Ready"
            && c.reason == verdict.reason
            && (c.status == ConditionStatus::True) == verdict.good
            && c.message == verdict.message
    });
    if same {
        return Ok(());
    }
    let api = watch::api::<Approval>(&context.client, &namespace);
    kinds::publish(
        context,
        &api,
        approval,
        status.observed_generation,
        &status.conditions,
        verdict,
    )
    .await
}
