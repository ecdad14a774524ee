//! What became of each Approval.
//!
//! # Why
//! An Approval is worth something only while the chart's admission policies are in force (see [`super::trust`]); one that is
//! older than they are was checked by nobody.

use std::sync::Arc;

use kube::{ResourceExt, runtime::controller::Action};

use super::trust::{BELIEVED, trusted_since};
use crate::{
    api::{Approval, Condition, condition::READY},
    controller::{
        Context,
        runtime::{
            api_client::ApiError,
            status_writer::{Readiness, StatusWriter},
        },
    },
    core::gate::{Gate, Refusal, Standing},
};

/// Looks at one Approval: whoever it is about looks again, and one that is about nothing says so.
pub async fn reconcile(approval: Arc<Approval>, context: Arc<Context>) -> Result<Action, ApiError> {
    let namespace = approval.namespace().unwrap_or_default();
    context.caches.ready_in(&namespace).await;
    let Some(since) = trusted_since(&context).await else {
        let text = format!(
            "the author cannot be verified: install the admission policies of this release's chart (approvals.admissionPolicy, approvals.automation); missing or changed: {}",
            context.policies.lacking()
        );
        report(&context, &approval, Readiness::stalled("PolicyMissing", &text)).await?;
        return Ok(Action::requeue(BELIEVED));
    };
    let made = approval.creation_timestamp();
    if made.is_none_or(|made| made.0 < since) {
        let text = "created before the current admission policies were in force, or in their first seconds: the author cannot be verified. Create a new Approval";
        report(&context, &approval, Readiness::stalled("OlderThanPolicy", text)).await?;
        return Ok(Action::await_change());
    }
    let by_anybody = matches!(approval.spec.gate, Gate::Task | Gate::Waiver);
    if by_anybody && context.safeguards.person_of(&approval.spec.approver).is_none() {
        let (reason, message) = words(Some(Refusal::UnknownPerson));
        report(&context, &approval, Readiness::stalled(reason, message)).await?;
        return Ok(Action::await_change());
    }
    if let Some(about) = &approval.spec.offboarding_ref {
        match context.caches.offboarding(&namespace, &about.name) {
            Some(leaver) if leaver.uid().as_ref() == Some(&about.uid) => {
                // Whether it counts is found out in that leaver's own pass.
                context.caches.enqueue_offboarding(&namespace, &leaver);
            }
            _ => {
                let text = "spec.offboardingRef: there is no Offboarding with this name and uid";
                report(&context, &approval, Readiness::stalled("Gone", text)).await?;
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
        let already = |c: &Condition| c.type_ == READY && c.is_true();
        let conditions = approval.status.iter().flat_map(|status| &status.conditions);
        // What a yes of old let through stays so; the next set is another.
        let of_old = approval.spec.source_ref.is_some() && why == Some(Refusal::PlanChanged);
        if of_old && conditions.into_iter().any(already) {
            continue;
        }
        let (reason, message) = words(why);
        let readiness = Readiness {
            ready: why.is_none(),
            reason,
            message: message.to_owned(),
        };
        if let Err(failed) = report(context, &approval, readiness).await {
            tracing::warn!(%failed, "what became of an Approval was not shown");
        }
    }
}

fn words(why: Option<Refusal>) -> (&'static str, &'static str) {
    match why {
        None => ("Counted", ""),
        Some(Refusal::PlanChanged) => (
            "PlanChanged",
            "spec.plan differs from the current plan: see status.gates, or status.guard of a source, and create a new Approval",
        ),
        Some(Refusal::Expired) => (
            "Expired",
            "older than the gate's expiresAfter: create a new Approval",
        ),
        Some(Refusal::SelfApproval) => (
            "SelfApproval",
            "the leaver, the requester, people in the held set and other leavers cannot approve this: another person must",
        ),
        Some(Refusal::UnknownPerson) => (
            "UnknownPerson",
            "this user name maps to no person: set approvals.person in the chart, or name the approvers in the policy's gate or in gates.floor",
        ),
        Some(Refusal::NotAnApprover) => ("NotAnApprover", "the policy's gate names other approvers"),
        Some(Refusal::Superseded) => ("Superseded", "the same person decided again later"),
    }
}

/// What was decided is not taken back by looking at it once more: only a change is written.
async fn report(context: &Context, approval: &Approval, readiness: Readiness) -> Result<(), ApiError> {
    let conditions = approval.status.iter().flat_map(|status| &status.conditions);
    if conditions
        .into_iter()
        .any(|condition| readiness.is_shown_by(condition))
    {
        return Ok(());
    }
    let namespace = approval.namespace().unwrap_or_default();
    StatusWriter::namespaced(context, &namespace)
        .report(approval, &readiness)
        .await
}
