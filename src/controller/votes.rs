//! What people said about a leaver, as far as the cluster vouches for it.

use jiff::Timestamp;
use kube::{Api, ResourceExt};

use super::{
    Context, approvals,
    call::{Failed, within},
    watch::{self, Namespace},
};
use crate::{
    api::{Approval, ApprovalSpec, Offboarding},
    core::{fault::Fault, gate::Vote, schedule},
};

/// The vote that `approval` is about `offboarding`; none when it is about another object, one of the same name included.
pub fn vote(approval: &Approval, offboarding: &Offboarding) -> Option<Vote> {
    let spec = &approval.spec;
    let about = spec.offboarding_ref.as_ref()?;
    let same = about.name == offboarding.name_any() && Some(&about.uid) == offboarding.uid().as_ref();
    (same && approval.metadata.deletion_timestamp.is_none()).then(|| Vote {
        id: approval.uid().unwrap_or_default(),
        name: approval.name_any(),
        gate: spec.gate,
        connector: spec.connector.clone(),
        fact: spec.fact.clone(),
        plan: spec.plan.clone().unwrap_or_default(),
        approver: spec.approver.clone(),
        on_behalf_of: spec.on_behalf_of.clone(),
        decision: spec.decision,
        // The API server's clock, not the approver's.
        at: approval
            .creation_timestamp()
            .map_or(Timestamp::UNIX_EPOCH, |made| made.0),
        until: spec
            .until
            .as_deref()
            .and_then(|day| schedule::end_of_day(day, schedule::LAST_ZONE).ok()),
    })
}

/// All votes about `offboarding`, in a fixed order.
pub fn votes(caches: &Namespace, offboarding: &Offboarding) -> Vec<Vote> {
    let all = caches.approvals.cache.state();
    let mut votes: Vec<Vote> = all
        .iter()
        .filter_map(|approval| vote(approval, offboarding))
        .collect();
    votes.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    votes
}

/// Whether `vote` is still there as it was, by a read past every cache.
///
/// # Errors
/// When the API server does not say.
pub async fn stands(context: &Context, namespace: &str, vote: &Vote) -> Result<bool, Fault> {
    if !approvals::approvals_trusted_now(context).await {
        return Ok(false);
    }
    let api: Api<Approval> = watch::api(&context.client, namespace);
    match within(api.get(&vote.name)).await {
        Ok(approval) => Ok(same(&approval, vote)),
        Err(Failed::NotFound) => Ok(false),
        Err(failed) => Err(failed.into()),
    }
}

fn same(approval: &Approval, vote: &Vote) -> bool {
    let ApprovalSpec {
        gate,
        decision,
        plan,
        approver,
        ..
    } = &approval.spec;
    approval.uid().as_ref() == Some(&vote.id)
        && approval.metadata.deletion_timestamp.is_none()
        && (*gate, *decision, approver) == (vote.gate, vote.decision, &vote.approver)
        && plan.as_deref().unwrap_or_default() == vote.plan
}
