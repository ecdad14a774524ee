//! Writes the status of an object: one merge patch of what differs, at the version that it was made from.
//!
//! # Why
//! A merge patch of what differs is the cheapest write that the API server has. On `/status` a uid in a patch is ignored, so
//! only the version keeps a late write from landing on another object of the same name. Whoever has lost the lease writes
//! nothing.

use std::{fmt::Debug, sync::Arc};

use jiff::Timestamp;
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
    core::{NamespaceResourceScope, object::HasStatus},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{
    api_client::{ApiError, with_deadline},
    lease::Tenure,
    watch,
};
use crate::{
    api::{
        Condition,
        ConditionStatus::{False, True},
        condition::{READY, STALLED, VALID, keep_transition_times},
    },
    controller::Context,
};

/// Writes statuses of one kind.
pub struct StatusWriter<'c, K> {
    api: Api<K>,
    tenure: &'c Tenure,
}

/// Whether an object can be used, for its `Ready` and `Stalled`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// It can.
    pub ready: bool,
    /// One word for why.
    pub reason: &'static str,
    /// One line for people.
    pub message: String,
}

impl Readiness {
    /// Nothing is wrong; `message` is what is unusual, said loudly.
    pub fn valid(message: impl Into<String>) -> Self {
        Self {
            ready: true,
            reason: VALID,
            message: message.into(),
        }
    }

    /// A person must change something.
    pub fn stalled(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            ready: false,
            reason,
            message: message.into(),
        }
    }

    /// Whether `condition` says the same.
    pub fn is_shown_by(&self, condition: &Condition) -> bool {
        condition.type_ == READY
            && condition.reason == self.reason
            && condition.is_true() == self.ready
            && condition.message == self.message
    }

    fn conditions(&self) -> Vec<Condition> {
        let condition = |type_, status| Condition::new(type_, status, self.reason, &self.message);
        if self.ready {
            vec![condition(READY, True)]
        } else {
            vec![condition(READY, False), condition(STALLED, True)]
        }
    }
}

impl<'c, K> StatusWriter<'c, K>
where
    K: Resource<DynamicType = ()> + HasStatus<Status: Serialize> + Clone + DeserializeOwned + Debug,
{
    /// For objects of a namespace.
    pub fn namespaced(context: &'c Context, namespace: &str) -> Self
    where
        K: Resource<Scope = NamespaceResourceScope>,
    {
        Self::with(context, watch::api(&context.client, namespace))
    }

    /// For objects of the cluster.
    pub fn cluster(context: &'c Context) -> Self {
        Self::with(context, Api::all(context.client.clone()))
    }

    fn with(context: &'c Context, api: Api<K>) -> Self {
        Self {
            api,
            tenure: &context.tenure,
        }
    }

    /// Writes `status` where it differs from what `object` has. Returns the object as it is now.
    ///
    /// # Errors
    /// When it cannot be written; [`ApiError::Conflict`] when `object` is not the newest version, or somebody else acts.
    pub async fn write(&self, object: &Arc<K>, status: &K::Status) -> Result<Arc<K>, ApiError> {
        let before = shown(object.as_ref())?;
        let after = serde_json::to_value(status).map_err(|_| ApiError::Unreadable)?;
        let written = self.patch(object, &before, &after).await?;
        Ok(written.map_or_else(|| object.clone(), Arc::new))
    }

    /// Writes the conditions of `object` if they differ from what it has. Gone, or changed in between: the watch says so, and it
    /// is looked at again then.
    ///
    /// # Errors
    /// When the API server does not do its part.
    pub async fn report(&self, object: &K, readiness: &Readiness) -> Result<(), ApiError> {
        let before = shown(object)?;
        let earlier = before.get("conditions").cloned().unwrap_or_else(|| json!([]));
        let earlier: Vec<Condition> = serde_json::from_value(earlier).map_err(|_| ApiError::Unreadable)?;
        let generation = object.meta().generation.unwrap_or_default();
        let conditions = readiness.conditions().into_iter();
        let mut conditions: Vec<_> = conditions.map(|c| c.observed_for(generation)).collect();
        keep_transition_times(&mut conditions, &earlier, Timestamp::now());
        let mut after = before.clone();
        after["observedGeneration"] = json!(generation);
        after["conditions"] = json!(conditions);
        match self.patch(object, &before, &after).await {
            Ok(_) | Err(ApiError::NotFound | ApiError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn patch(&self, object: &K, before: &Value, after: &Value) -> Result<Option<K>, ApiError> {
        if self.tenure.over() {
            return Err(ApiError::Conflict);
        }
        let Some(patch) = difference(before, after) else {
            return Ok(None);
        };
        let patch = json!({
            "metadata": {"resourceVersion": object.resource_version()},
            "status": patch,
        });
        let (name, patch) = (object.name_any(), Patch::Merge(patch));
        let written = with_deadline(self.api.patch_status(&name, &PatchParams::default(), &patch)).await;
        let mut written = written?;
        written.meta_mut().managed_fields = None;
        Ok(Some(written))
    }
}

fn shown<K: HasStatus<Status: Serialize>>(object: &K) -> Result<Value, ApiError> {
    match object.status() {
        Some(status) => serde_json::to_value(status).map_err(|_| ApiError::Unreadable),
        None => Ok(json!({})),
    }
}

/// What is to be changed in `before` to make it `after`; nothing when they are the same.
fn difference(before: &Value, after: &Value) -> Option<Value> {
    if before == after {
        return None;
    }
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        return Some(after.clone());
    };
    let mut patch = Map::new();
    for (key, value) in new {
        let changed = match old.get(key) {
            Some(earlier) => difference(earlier, value),
            None => Some(value.clone()),
        };
        if let Some(changed) = changed {
            patch.insert(key.clone(), changed);
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_holds_what_differs_and_removes_what_is_gone() {
        let before = json!({"a": 1, "b": {"c": 1, "d": 2}, "list": [1, 2], "gone": true});
        let after = json!({"a": 1, "b": {"c": 3, "d": 2}, "list": [2]});
        let patch = json!({"b": {"c": 3}, "list": [2], "gone": null});
        assert_eq!(difference(&before, &after), Some(patch));
        assert_eq!(difference(&after, &after), None);
    }
}
