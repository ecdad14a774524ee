//! How long until an object is looked at again.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use kube::runtime::controller::Action;

use super::api_client::ApiError;
use crate::{controller::Context, core::schedule};

/// When to look again after something passed us by, such as a newer version of the object.
pub const RETRY_SOON: Duration = Duration::from_secs(1);

/// `every`, a tenth more or less, so that what began together does not come back together.
pub fn jittered(every: SignedDuration) -> Duration {
    let every = wait(every);
    let seed = schedule::mix(
        u64::try_from(Timestamp::now().as_nanosecond() & i128::from(u32::MAX)).unwrap_or_default(),
    );
    let thousandths = u32::try_from(900 + seed % 201).unwrap_or(1000);
    every * thousandths / 1000
}

/// As the standard library has it; nothing for a negative one.
pub fn wait(length: SignedDuration) -> Duration {
    Duration::try_from(length).unwrap_or_default()
}

/// A number of its own for every leaver.
pub fn seed(uid: &str) -> u64 {
    uid.bytes()
        .fold(0, |seed, byte| schedule::mix(seed ^ u64::from(byte)))
}

/// When to look again after the API server did not take a condition.
pub fn error_policy<K>(_: Arc<K>, error: &ApiError, _: Arc<Context>) -> Action {
    tracing::warn!(%error, "condition not written; trying again");
    Action::requeue(RETRY_SOON)
}
