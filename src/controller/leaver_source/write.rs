//! Writes Offboardings for a source: each at the version that was read, none that is gone, none twice.

use std::{collections::BTreeMap, sync::Arc};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use jiff::Timestamp;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::Value;

use crate::{
    api::{LeaverSource, Offboarding},
    controller::{
        Context,
        runtime::{
            api_client::{ApiError, with_deadline},
            watch,
        },
    },
    core::leavers::compare::{Change, Kind},
    sources::offboarding::{MANAGER, PERSON, create, patch},
};

/// Writes that go on at the same time.
const AT_ONCE: usize = 16;

/// What came of some changes.
#[derive(Default)]
pub struct Outcome {
    /// The changes that are done.
    pub done: Vec<String>,
    /// The Offboardings as they are now.
    pub made: Vec<Offboarding>,
    /// How many were refused, or not answered.
    pub failed: usize,
}

/// The Offboardings of these names as the API server has them now, with their managed fields. One that is gone or cannot be
/// read is left out.
pub async fn fresh(context: &Context, namespace: &str, names: Vec<String>) -> BTreeMap<String, Offboarding> {
    let api: Api<Offboarding> = watch::api(&context.client, namespace);
    stream::iter(names)
        .map(|name| {
            let api = api.clone();
            async move {
                with_deadline(api.get(&name))
                    .await
                    .ok()
                    .map(|found| (name, found))
            }
            .boxed()
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await
}

/// Makes `changes`; those of existing Offboardings at the versions in `read`.
pub async fn make(
    context: &Context,
    source: &Arc<LeaverSource>,
    changes: &[&Change],
    read: &BTreeMap<String, Offboarding>,
    approved: impl Fn(&Change) -> bool,
) -> Outcome {
    let namespace = context
        .caches
        .namespaces
        .get(&source.namespace().unwrap_or_default());
    // Before any of them is there to be looked at.
    for change in changes
        .iter()
        .filter(|change| change.kind == Kind::Create && approved(change))
    {
        if let Some(caches) = namespace {
            caches.first_acts.approve(&change.name);
        }
    }
    let each: Vec<BoxFuture<'_, (&Change, Result<Offboarding, ApiError>)>> = changes
        .iter()
        .map(|change| {
            let change: &Change = change;
            async move {
                if !context.acts() {
                    return (change, Err(ApiError::Unavailable("stopping".into())));
                }
                (change, one(context, source, change, read.get(&change.name)).await)
            }
            .boxed()
        })
        .collect();
    let mut outcome = Outcome::default();
    let mut each = stream::iter(each).buffer_unordered(AT_ONCE);
    while let Some((change, made)) = each.next().await {
        match made {
            Ok(made) => {
                tracing::info!(target: "offboard::audit", offboarding = made.uid(), source = source.uid(),
                    change = ?change.kind, "an HR system's change was written");
                outcome.done.push(change.line());
                outcome.made.push(made);
            }
            Err(failed) => {
                tracing::warn!(source = source.uid(), change = ?change.kind, %failed, "a leaver was not written; trying again");
                if let Some(caches) = namespace {
                    // Whoever makes one of that name instead has nobody's yes.
                    caches.first_acts.take_back(&change.name);
                }
                outcome.failed += 1;
            }
        }
    }
    outcome
}

async fn one(
    context: &Context,
    source: &LeaverSource,
    change: &Change,
    read: Option<&Offboarding>,
) -> Result<Offboarding, ApiError> {
    let api: Api<Offboarding> = watch::api(&context.client, &source.namespace().unwrap_or_default());
    let made = match (change.kind, &change.leaving, read) {
        (Kind::Create, Some(leaving), _) => {
            let parameters = PostParams {
                field_manager: Some(MANAGER.to_owned()),
                ..PostParams::default()
            };
            match with_deadline(api.create(&parameters, &create(source, change, leaving))).await {
                // Ours, from before a crash; or somebody else's, which the next look compares with.
                Err(ApiError::Conflict) => with_deadline(api.get(&change.name)).await.and_then(|there| {
                    let same = there.annotations().get(PERSON) == Some(&change.person);
                    if same { Ok(there) } else { Err(ApiError::Conflict) }
                }),
                made => made,
            }
        }
        (_, _, Some(read)) => apply(&api, &change.name, patch(read, change, Timestamp::now())).await,
        _ => Err(ApiError::NotFound),
    }?;
    Ok(lean(made))
}

/// Patches one Offboarding; `patch` says which object at which version.
pub async fn apply(api: &Api<Offboarding>, name: &str, patch: Value) -> Result<Offboarding, ApiError> {
    let parameters = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    with_deadline(api.patch(name, &parameters, &Patch::Merge(patch)))
        .await
        .map(lean)
}

fn lean(mut offboarding: Offboarding) -> Offboarding {
    offboarding.metadata.managed_fields = None;
    offboarding
}
