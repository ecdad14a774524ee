//! The status of an Offboarding: one patch for each change, at the version that it was made from.
//!
//! # Why
//! A merge patch of what differs is the cheapest write that the API server has. On `/status` a uid in a patch is ignored, so
//! only the version keeps a late write from landing on another Offboarding of the same name.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::{Map, Value, json};

use crate::{
    api::{Offboarding, OffboardingStatus},
    controller::{
        Context,
        runtime::{
            api_client::{ApiError, with_deadline},
            watch,
        },
    },
    core::case::Case,
    drive::{Interim, Link, report},
};

/// The time between the first two patches while a pass goes on; then twice as long each time.
const BETWEEN: Duration = Duration::from_secs(1);
/// The time between two patches is at least so many times as long as the API server took for one: one that is slow has
/// better things to do than to show what is going on.
const SPARE: u32 = 50;

/// What is to be changed in `before` to make it `after`; nothing when they are the same.
pub fn difference(before: &Value, after: &Value) -> Option<Value> {
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

/// Writes `status` if it differs from what `offboarding` has. Returns the object as it is now.
///
/// # Errors
/// When it cannot be written; [`ApiError::Conflict`] when `offboarding` is not the newest version.
pub async fn write(
    context: &Context,
    offboarding: &Arc<Offboarding>,
    status: &OffboardingStatus,
) -> Result<Arc<Offboarding>, ApiError> {
    let shown = |status: &OffboardingStatus| serde_json::to_value(status).map_err(|_| ApiError::Unreadable);
    let before = offboarding.status.clone().unwrap_or_default();
    if context.tenure.over() {
        return Err(ApiError::Conflict);
    }
    // Another term alone is no news; what is written carries ours.
    if before == *status {
        return Ok(offboarding.clone());
    }
    let status = &OffboardingStatus {
        fence: context.tenure.term().or(before.fence),
        ..status.clone()
    };
    let Some(patch) = difference(&shown(&before)?, &shown(status)?) else {
        return Ok(offboarding.clone());
    };
    let patch = json!({
        "metadata": {"resourceVersion": offboarding.resource_version()},
        "status": patch,
    });
    let api: Api<Offboarding> = watch::api(&context.client, &offboarding.namespace().unwrap_or_default());
    let name = offboarding.name_any();
    let written = with_deadline(api.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch))).await;
    let mut written = written?;
    written.meta_mut().managed_fields = None;
    Ok(Arc::new(written))
}

/// What is shown while a pass goes on.
pub struct ProgressWriter<'a> {
    context: &'a Context,
    case: &'a Case,
    links: &'a std::collections::BTreeMap<String, Link>,
    object: Mutex<Newest>,
}

/// The object after the last patch, and when the next one may be.
#[derive(Clone)]
struct Newest {
    object: Arc<Offboarding>,
    next: Option<Instant>,
    patches: u32,
}

impl<'a> ProgressWriter<'a> {
    /// Nothing shown yet beyond what `offboarding` has.
    pub fn new(
        context: &'a Context,
        case: &'a Case,
        links: &'a std::collections::BTreeMap<String, Link>,
        offboarding: Arc<Offboarding>,
    ) -> Self {
        Self {
            context,
            case,
            links,
            object: Mutex::new(Newest {
                object: offboarding,
                next: None,
                patches: 0,
            }),
        }
    }

    /// The newest object, if anything was shown.
    pub fn finish(self) -> Option<Arc<Offboarding>> {
        let newest = self.object.into_inner().unwrap_or_else(PoisonError::into_inner);
        newest.next.map(|_| newest.object)
    }

    /// Shows what is known so far, ever more rarely and only what changed.
    pub async fn progress(&self, interim: &Interim, now: Timestamp) {
        let Newest {
            object,
            next,
            patches,
        } = self.object.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let began = Instant::now();
        if next.is_some_and(|at| began < at) {
            return;
        }
        let earlier = object.status.clone().unwrap_or_default();
        let Some(status) = report::so_far(self.case, self.links, interim, &earlier, now) else {
            return;
        };
        match write(self.context, &object, &status).await {
            Ok(written) => {
                let mut held = self.object.lock().unwrap_or_else(PoisonError::into_inner);
                let pause = (BETWEEN * 2_u32.saturating_pow(patches.min(6))).max(began.elapsed() * SPARE);
                *held = Newest {
                    object: written,
                    next: Some(Instant::now() + pause),
                    patches: patches + 1,
                };
            }
            Err(failed) => tracing::debug!(%failed, "progress not shown"),
        }
    }
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
