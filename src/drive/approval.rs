//! What an Approval is about, and the vote that it is.

use jiff::Timestamp;
use kube::ResourceExt;

use crate::{
    api::{Approval, LeaverSource, Offboarding, approval::BoundRef},
    core::{gate::Vote, schedule},
};

/// What an Approval can be about: one object, and no later one of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApprovalTarget {
    /// A leaver.
    Leaver(BoundRef),
    /// A source.
    Source(BoundRef),
}

impl ApprovalTarget {
    /// This leaver.
    pub fn leaver(offboarding: &Offboarding) -> Self {
        Self::Leaver(reference(offboarding))
    }

    /// This source.
    pub fn source(source: &LeaverSource) -> Self {
        Self::Source(reference(source))
    }

    /// What `approval` is about; none: nothing, or two things at once.
    pub fn of(approval: &Approval) -> Option<Self> {
        let spec = &approval.spec;
        match (&spec.offboarding_ref, &spec.source_ref) {
            (Some(leaver), None) => Some(Self::Leaver(leaver.clone())),
            (None, Some(source)) => Some(Self::Source(source.clone())),
            _ => None,
        }
    }

    /// The uid of the object.
    pub fn uid(&self) -> &str {
        match self {
            Self::Leaver(object) | Self::Source(object) => &object.uid,
        }
    }
}

fn reference(object: &impl ResourceExt) -> BoundRef {
    BoundRef {
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
    }
}

/// The vote that `approval` is about `target`; none when it is about something else, an object of the same name included.
pub fn vote(approval: &Approval, target: &ApprovalTarget) -> Option<Vote> {
    let spec = &approval.spec;
    let same = ApprovalTarget::of(approval).as_ref() == Some(target);
    (same && approval.metadata.deletion_timestamp.is_none()).then(|| Vote {
        id: approval.uid().unwrap_or_default(),
        name: approval.name_any(),
        gate: spec.gate,
        connector: spec.connector.clone(),
        fact: spec.fact.clone(),
        plan: spec.plan.clone().unwrap_or_default(),
        approver: spec.approver.clone(),
        person: None,
        principal: None,
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_about_a_leaver_is_not_about_a_source_of_the_same_name_and_uid() {
        let object = BoundRef {
            name: "leaver-1".into(),
            uid: "jane".into(),
        };
        let approval: Approval = serde_json::from_value(json!({
            "metadata": {"name": "a", "uid": "1", "namespace": "people"},
            "spec": {"offboardingRef": {"name": "leaver-1", "uid": "jane"}, "gate": "Delete", "decision": "Approved",
                "approver": "alice"},
        }))
        .unwrap();
        assert!(vote(&approval, &ApprovalTarget::Leaver(object.clone())).is_some());
        assert!(vote(&approval, &ApprovalTarget::Source(object)).is_none());
    }
}
