//! Whether Approvals can be trusted, and what became of each.
//!
//! # Why
//! Nobody but the API server knows who sent a request. Its admission policies compare the name in an Approval with that of the
//! request, and ask for the verb `approve`. So an Approval is worth something only while these policies are in force; whether
//! they are, word for word, is asked again and again, and without a cache before what cannot be taken back. An Approval that
//! is older than they are was checked by nobody.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject},
    runtime::controller::Action,
};
use serde_json::{Value, json};

use super::{
    Context,
    call::{Failed, within},
    kinds::{self, Verdict},
    watch,
};
use crate::{
    api::{Approval, Condition, ConditionStatus},
    core::{
        gate::{Gate, Refusal, Standing},
        schedule::later,
    },
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

/// So long after the policies were last written an Approval is trusted first: an API server takes a moment to heed them.
const HEEDED: SignedDuration = SignedDuration::from_secs(10);

/// What is known about the policies, and when it was read: since when Approvals can be trusted.
#[derive(Debug, Default)]
pub struct Trust(Mutex<Option<(Instant, Option<Timestamp>)>>);

/// Since when the cluster makes sure of who approves; none: it does not, or nobody knows.
pub async fn trusted_since(context: &Context) -> Option<Timestamp> {
    let known = *context.trust.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((read, since)) = known
        && read.elapsed() < BELIEVED
    {
        return since;
    }
    trusted_since_now(context).await
}

/// The same past the cache.
pub async fn trusted_since_now(context: &Context) -> Option<Timestamp> {
    let since = match in_force(&context.client).await {
        Ok(since) => since,
        Err(failed) => {
            tracing::warn!(%failed, "the admission policies for Approvals were not read: no Approval counts");
            None
        }
    };
    *context.trust.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), since));
    since
}

async fn in_force(client: &Client) -> Result<Option<Timestamp>, Failed> {
    // As they are, with fields that this program does not know.
    let policies = ApiResource::erase::<ValidatingAdmissionPolicy>(&());
    let bindings = ApiResource::erase::<ValidatingAdmissionPolicyBinding>(&());
    let policies = Api::<DynamicObject>::all_with(client.clone(), &policies);
    let bindings = Api::<DynamicObject>::all_with(client.clone(), &bindings);
    let (policy, binding) = tokio::join!(within(policies.get(POLICY)), within(bindings.get(POLICY)));
    match (policy, binding) {
        (Ok(policy), Ok(binding)) => {
            let since = unchanged_since(&policy, &expected_policy());
            let bound = unchanged_since(&binding, &expected_binding());
            Ok(since
                .zip(bound)
                .map(|(since, bound)| later(since.max(bound), HEEDED)))
        }
        (Err(Failed::NotFound), _) | (_, Err(Failed::NotFound)) => Ok(None),
        (Err(failed), _) | (_, Err(failed)) => Err(failed),
    }
}

/// Since when `object` has been what the chart ships: the last time that anybody wrote it; none: it is something else.
fn unchanged_since(object: &DynamicObject, expected: &Value) -> Option<Timestamp> {
    let about = &object.metadata;
    let spec = comparable(object.data.get("spec")?.clone());
    if about.deletion_timestamp.is_some() || spec != comparable(expected.clone()) {
        return None;
    }
    let made = about.creation_timestamp.as_ref()?.0;
    let written = about.managed_fields.iter().flatten();
    let written: Option<Vec<Timestamp>> = written.map(|entry| Some(entry.time.as_ref()?.0)).collect();
    // Who has written it, and when, can be wiped: then nobody knows since when it is as it is.
    let written = written.filter(|times| !times.is_empty())?;
    written.into_iter().chain([made]).max()
}

/// The spec of the policy that the chart ships, with what the API server adds.
fn expected_policy() -> Value {
    json!({
        "failurePolicy": "Fail",
        "matchConstraints": {
            "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
            "resourceRules": [{
                "apiGroups": ["offboard.dev"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"],
                "resources": ["approvals"], "scope": "*",
            }],
        },
        "validations": [{"expression": OWN_NAME}, {"expression": MAY_APPROVE}],
    })
}

fn expected_binding() -> Value {
    json!({"policyName": POLICY, "validationActions": ["Deny", "Audit"]})
}

/// A spec without what makes no difference: blanks in expressions, and the words for whoever is refused.
fn comparable(mut spec: Value) -> Value {
    for validation in spec["validations"].as_array_mut().into_iter().flatten() {
        if let Some(fields) = validation.as_object_mut() {
            fields.remove("message");
        }
        if let Some(expression) = validation["expression"].as_str() {
            validation["expression"] = json!(squeezed(expression));
        }
    }
    if spec["validations"].is_null()
        && let Some(fields) = spec.as_object_mut()
    {
        fields.remove("validations");
    }
    spec
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
    let Some(since) = trusted_since(&context).await else {
        let text = "install the chart's admission policies (approvals.admissionPolicy): without them nobody knows who \
                    made this";
        publish(&context, &approval, refused("PolicyMissing", text)).await?;
        return Ok(Action::requeue(BELIEVED));
    };
    let made = approval.creation_timestamp();
    if made.is_none_or(|made| made.0 < since) {
        let text = "made before the admission policies were what they are now, or in their first seconds: nobody knows who \
                    made this. Make a new Approval";
        publish(&context, &approval, refused("OlderThanPolicy", text)).await?;
        return Ok(Action::await_change());
    }
    let by_anybody = matches!(approval.spec.gate, Gate::Task | Gate::Waiver);
    if by_anybody && context.demands.person_of(&approval.spec.approver).is_none() {
        let (reason, message) = words(Some(Refusal::UnknownPerson));
        publish(&context, &approval, refused(reason, message)).await?;
        return Ok(Action::await_change());
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
        Some(Refusal::UnknownPerson) => (
            "UnknownPerson",
            "nobody knows which person this user name is: set approvals.person in the chart, or name the approvers in the policy's gate or in gates.floor",
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
