//! The further objects of a record that is too long for one.
//!
//! # Why
//! A record must be whole after a crash at any moment, and no object of this kind is ever deleted by the operator. So there are
//! two sets of parts: what is written goes to the one that the durable record does not name, and counts when the record names
//! it. No more objects come to be than the largest record took.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use kube::{Api, ResourceExt, api::PostParams};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{NoRecord, object};
use crate::{
    api::{
        OffboardingRecord, OffboardingRecordSpec,
        record::{Part, PartSet, Parts, RecordOf},
    },
    controller::runtime::api_client::{ApiError, with_deadline},
    core::{
        fault::{Fault, Reason},
        parts::{self, MOST_PIECES, Split, WHOLE},
    },
};

/// Parts that are read or written at the same time.
const AT_ONCE: usize = 4;

/// What parts hold in the place of the record.
#[derive(Serialize, Deserialize)]
struct Body {
    systems: BTreeMap<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    manager: Option<Value>,
}

/// The name of a part of the record `name`.
pub(super) fn part_name(name: &str, set: PartSet, number: usize) -> String {
    format!("{name}-{}{number}", set.letter())
}

/// Puts what is in parts back into `record`, which is called `name`.
///
/// # Errors
/// When a part is missing, is not what was written, or cannot be read.
pub(super) async fn gather(
    api: &Api<OffboardingRecord>,
    name: &str,
    record: &mut OffboardingRecord,
) -> Result<(), NoRecord> {
    let Some(parts) = record.spec.parts.clone() else {
        return Ok(());
    };
    let body = match put_together(api, name, &record.spec.offboarding, &parts).await {
        Ok(body) => body,
        Err(NoRecord::Altered(what)) => {
            // It may have been written anew since it was read.
            let now = with_deadline(api.get(name)).await.map_err(NoRecord::Failed)?;
            return Err(if now.resource_version() == record.resource_version() {
                NoRecord::Altered(format!("{name}: {what}"))
            } else {
                NoRecord::Failed(ApiError::Conflict)
            });
        }
        Err(other) => return Err(other),
    };
    record.spec.systems = body.systems;
    record.spec.manager = body.manager;
    Ok(())
}

async fn put_together(
    api: &Api<OffboardingRecord>,
    name: &str,
    of: &RecordOf,
    parts: &Parts,
) -> Result<Body, NoRecord> {
    let altered = |what: &str| NoRecord::Altered(what.to_owned());
    let count = parts.count.min(MOST_PIECES);
    let reads = (0..count).map(|number| async move {
        let name = part_name(name, parts.set, number);
        match with_deadline(api.get(&name)).await {
            Ok(part) => match part.spec.part {
                Some(held)
                    if part.spec.offboarding == *of && (held.set, held.number) == (parts.set, number) =>
                {
                    Ok(held.data)
                }
                _ => Err(altered(&format!("its part {name} is another one"))),
            },
            Err(ApiError::NotFound) => Err(altered(&format!("its part {name} is missing"))),
            Err(ApiError::Unreadable) => Err(altered(&format!("its part {name} is not understood"))),
            Err(failed) => Err(NoRecord::Failed(failed)),
        }
    });
    let pieces: Vec<String> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
    let split = Split {
        pieces,
        digest: parts.digest.clone(),
        size: parts.size,
    };
    let body = move || parts::join(&split).and_then(|text| serde_json::from_slice(&text).ok());
    let body = tokio::task::spawn_blocking(body).await.ok().flatten();
    body.ok_or_else(|| altered("its parts are not what was written"))
}

/// Moves what is too long for one object from `spec`, that of the record `name`, into parts, which are durable then. `before` are
/// the parts of the record as it is stored; `lasts` says whether we may still write.
///
/// # Errors
/// When they cannot be written.
pub(super) async fn spread(
    api: &Api<OffboardingRecord>,
    name: &str,
    spec: &mut OffboardingRecordSpec,
    before: Option<&Parts>,
    lasts: &(dyn Fn() -> bool + Sync),
) -> Result<(), Fault> {
    let body = Body {
        systems: std::mem::take(&mut spec.systems),
        manager: spec.manager.take(),
    };
    let unusable = || Fault::permanent(Reason::StoreUnavailable);
    let text = serde_json::to_vec(&body).map_err(|_| unusable())?;
    if text.len() <= WHOLE {
        (spec.systems, spec.manager) = (body.systems, body.manager);
        return Ok(());
    }
    drop(body);
    let split = tokio::task::spawn_blocking(move || parts::split(&text)).await;
    let split = split.ok().flatten();
    let split = split.ok_or_else(|| unusable().with_code("record too large"))?;
    let known = before.filter(|parts| parts.digest == split.digest);
    if let Some(known) = known {
        spec.parts = Some(known.clone());
        return Ok(());
    }
    let set = before.map_or(PartSet::A, |parts| parts.set.other());
    spec.parts = Some(Parts {
        set,
        count: split.pieces.len(),
        digest: split.digest,
        size: split.size,
    });
    let of = &spec.offboarding;
    let writes = split
        .pieces
        .into_iter()
        .enumerate()
        .map(|(number, data)| async move {
            if lasts() {
                put(api, name, of, Part { set, number, data }).await
            } else {
                Err(Fault::transient(Reason::StoreUnavailable).with_code("lease lost"))
            }
        });
    stream::iter(writes).buffer_unordered(AT_ONCE).try_collect().await
}

/// Makes `part` durable, in the place of what was there.
async fn put(api: &Api<OffboardingRecord>, record: &str, of: &RecordOf, part: Part) -> Result<(), Fault> {
    let name = part_name(record, part.set, part.number);
    let mut object = object(
        &name,
        OffboardingRecordSpec {
            part: Some(part),
            ..OffboardingRecordSpec::empty(of.clone())
        },
    );
    match with_deadline(api.get(&name)).await {
        Ok(there) if there.spec == object.spec => {}
        Ok(there) => {
            object.metadata.resource_version = there.resource_version();
            with_deadline(api.replace(&name, &PostParams::default(), &object)).await?;
        }
        Err(ApiError::NotFound) => {
            with_deadline(api.create(&PostParams::default(), &object)).await?;
        }
        Err(failed) => return Err(failed.into()),
    }
    Ok(())
}

/// Empties the parts of the record `name`, which has none any more: what was given back is kept nowhere. As far as it goes; nothing
/// depends on it.
pub(super) async fn clear(api: &Api<OffboardingRecord>, name: &str) {
    for set in [PartSet::A, PartSet::B] {
        for number in 0..MOST_PIECES {
            let Ok(there) = with_deadline(api.get(&part_name(name, set, number))).await else {
                break;
            };
            let data = String::new();
            let emptied = put(api, name, &there.spec.offboarding, Part { set, number, data }).await;
            if emptied.is_err() {
                tracing::debug!(record = name, "a part that is not in use was not emptied");
                return;
            }
        }
    }
}
