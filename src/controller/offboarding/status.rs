//! The status of an Offboarding: with the term of the lease in every write, and now and then while its systems are driven.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use kube::ResourceExt;
use parking_lot::Mutex;

use crate::{
    api::{Offboarding, OffboardingStatus},
    controller::{
        Context,
        runtime::{api_client::ApiError, status_writer::StatusWriter},
    },
    core::case::Case,
    drive::{Interim, Link, report},
};

/// The time between the first two patches while a pass goes on; then twice as long each time.
const BETWEEN: Duration = Duration::from_secs(1);
/// The time between two patches is at least so many times as long as the API server took for one: one that is slow has
/// better things to do than to show what is going on.
const SPARE: u32 = 50;

/// Writes `status` if it differs from what `offboarding` has. Returns the object as it is now.
///
/// # Errors
/// When it cannot be written; [`ApiError::Conflict`] when `offboarding` is not the newest version.
pub async fn write(
    context: &Context,
    offboarding: &Arc<Offboarding>,
    status: &OffboardingStatus,
) -> Result<Arc<Offboarding>, ApiError> {
    if context.tenure.over() {
        return Err(ApiError::Conflict);
    }
    let before = offboarding.status.clone().unwrap_or_default();
    // Another term alone is no news; what is written carries ours.
    if before == *status {
        return Ok(offboarding.clone());
    }
    let status = &OffboardingStatus {
        fence: context.tenure.term().or(before.fence),
        ..status.clone()
    };
    let namespace = offboarding.namespace().unwrap_or_default();
    StatusWriter::namespaced(context, &namespace)
        .write(offboarding, status)
        .await
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
        let newest = self.object.into_inner();
        newest.next.map(|_| newest.object)
    }

    /// Shows what is known so far, ever more rarely and only what changed.
    pub async fn progress(&self, interim: &Interim, now: Timestamp) {
        let Newest {
            object,
            next,
            patches,
        } = self.object.lock().clone();
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
                let mut held = self.object.lock();
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
