//! What people said about a leaver or a source: which Approvals are about it, and what each says.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use kube::{Api, ResourceExt, runtime::reflector::ObjectRef};
use parking_lot::Mutex;

use super::trust::trusted_since_now;
use crate::{
    api::Approval,
    controller::{
        Context,
        runtime::{
            api_client::{ApiError, with_deadline},
            watch::{self, Namespace},
        },
        safeguards::ReleaseSafeguards,
    },
    core::{fault::Fault, gate::Vote},
    drive::approval::{ApprovalTarget, vote},
};

/// The names of the Approvals of one namespace: by their own uid, and by that of what they are about.
#[derive(Debug, Default)]
pub struct ApprovalIndex(Mutex<Names>);

#[derive(Debug, Default)]
struct Names {
    /// By its own uid: its name, and the uid of what it is about.
    known: HashMap<String, (String, String)>,
    about: HashMap<String, BTreeSet<String>>,
}

impl ApprovalIndex {
    /// Takes in `approval` as it is now.
    pub fn insert(&self, approval: &Approval) {
        self.0.lock().insert(approval);
    }

    /// `approval` is gone.
    pub fn forget(&self, approval: &Approval) {
        let mut names = self.0.lock();
        names.forget(&approval.uid().unwrap_or_default());
    }

    /// These are all there are.
    pub fn replace(&self, all: &[Arc<Approval>]) {
        let mut names = self.0.lock();
        *names = Names::default();
        for approval in all {
            names.insert(approval);
        }
    }

    /// The name of the one with this uid.
    pub fn name(&self, uid: &str) -> Option<String> {
        let names = self.0.lock();
        names.known.get(uid).map(|(name, _)| name.clone())
    }

    fn about(&self, uid: &str) -> BTreeSet<String> {
        let names = self.0.lock();
        names.about.get(uid).cloned().unwrap_or_default()
    }
}

impl Names {
    fn insert(&mut self, approval: &Approval) {
        let uid = approval.uid().unwrap_or_default();
        self.forget(&uid);
        let Some(target) = ApprovalTarget::of(approval) else {
            return;
        };
        let name = approval.name_any();
        let names = self.about.entry(target.uid().to_owned()).or_default();
        names.insert(name.clone());
        self.known.insert(uid, (name, target.uid().to_owned()));
    }

    fn forget(&mut self, uid: &str) {
        let Some((name, about)) = self.known.remove(uid) else {
            return;
        };
        if let Some(names) = self.about.get_mut(&about) {
            names.remove(&name);
            if names.is_empty() {
                self.about.remove(&about);
            }
        }
    }
}

/// All votes about `target` in `namespace`, in a fixed order.
pub fn votes(
    rules: &ReleaseSafeguards,
    caches: &Namespace,
    namespace: &str,
    target: &ApprovalTarget,
) -> Vec<Vote> {
    let names = caches.approval_index.about(target.uid());
    let cached = |name: &String| {
        let key = ObjectRef::new(name).within(namespace);
        caches.approvals.cache.get(&key)
    };
    let all = names.iter().filter_map(cached);
    let votes = all.filter_map(|approval| vote(&approval, target));
    let mut votes: Vec<Vote> = votes.map(|vote| rules.identify(vote)).collect();
    votes.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    votes
}

/// Whether `given`, about `target`, is still there as it was, by a read past every cache.
///
/// # Errors
/// When the API server does not say.
pub async fn stands(
    context: &Context,
    namespace: &str,
    target: &ApprovalTarget,
    given: &Vote,
) -> Result<bool, Fault> {
    let api: Api<Approval> = watch::api(&context.client, namespace);
    match with_deadline(api.get(&given.name)).await {
        Ok(approval) => {
            let since = trusted_since_now(context).await;
            let there = vote(&approval, target).map(|vote| context.safeguards.identify(vote));
            Ok(there.as_ref() == Some(given) && since.is_some_and(|since| given.at >= since))
        }
        Err(ApiError::NotFound) => Ok(false),
        Err(failed) => Err(failed.into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn approval(name: &str, uid: &str, about: &str) -> Arc<Approval> {
        let approval = json!({
            "metadata": {"name": name, "uid": uid, "namespace": "people"},
            "spec": {"offboardingRef": {"name": "leaver-1", "uid": about}, "gate": "Delete", "decision": "Approved",
                "approver": "alice"},
        });
        Arc::new(serde_json::from_value(approval).unwrap())
    }

    #[test]
    fn an_approval_is_found_by_what_it_is_about_until_it_is_gone() {
        let index = ApprovalIndex::default();
        let (first, second) = (approval("a", "1", "jane"), approval("b", "2", "jane"));
        index.insert(&first);
        index.insert(&second);
        index.insert(&approval("c", "3", "sam"));
        assert_eq!(index.about("jane"), ["a".to_owned(), "b".to_owned()].into());
        assert_eq!(index.name("3").as_deref(), Some("c"));
        index.forget(&first);
        assert_eq!(index.about("jane"), ["b".to_owned()].into());
        // What a list does not have was deleted while nobody watched.
        index.replace(&[second]);
        assert!(index.about("sam").is_empty() && index.name("3").is_none());
    }
}
