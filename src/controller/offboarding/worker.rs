//! What surrounds a reconcile: its turn among the others, one at a time for each leaver, and a panic that stays with its leaver.

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use futures::{FutureExt, future::BoxFuture};
use kube::{ResourceExt, runtime::controller::Action};
use tokio::{sync::SemaphorePermit, time::timeout};

use super::{
    reconcile::{Ended, OffboardingReconcile},
    state::{LeaverState, State},
};
use crate::{
    api::{Offboarding, offboarding::Urgency},
    controller::{
        Context, notification,
        runtime::requeue::{seed, wait},
    },
    core::schedule,
};

/// A pass that takes longer than this waits for a system, and lets the next one begin.
const BRISK: Duration = Duration::from_millis(500);

/// Looks at one Offboarding, whatever happens.
pub async fn reconcile(offboarding: Arc<Offboarding>, context: Arc<Context>) -> Result<Action, Infallible> {
    context
        .caches
        .ready_in(&offboarding.namespace().unwrap_or_default())
        .await;
    let began = Instant::now();
    let uid = offboarding.uid().unwrap_or_default();
    let leaver = context.leavers.state_of(&uid);
    // Who leaves now waits for nobody.
    let lane = match offboarding.spec.urgency {
        Urgency::Immediate => None,
        Urgency::Scheduled => context.lanes.acquire().await.ok(),
    };
    let pass = AssertUnwindSafe(pass(&context, &leaver, &offboarding))
        .catch_unwind()
        .boxed();
    let pass = in_lane(lane, pass).await;
    let (ended, action) = match pass {
        Ok(ended) => ended,
        Err(_) => ("panicked", poisoned(&context, &leaver, &offboarding).await),
    };
    if ended != "idle" {
        context.metrics.pass(ended, began.elapsed().as_secs_f64());
    }
    if leaver.notify_pending.swap(false, Ordering::Relaxed) {
        notification::take_up(&context, offboarding.as_ref());
    }
    drop(leaver);
    let still = context.caches.offboarding(
        &offboarding.namespace().unwrap_or_default(),
        &offboarding.name_any(),
    );
    if still.is_none_or(|o| o.metadata.uid != offboarding.metadata.uid) {
        context.leavers.forget(&uid);
        if let Some(caches) = context
            .caches
            .namespaces
            .get(&offboarding.namespace().unwrap_or_default())
        {
            caches.first_acts.forget(&offboarding);
        }
    }
    Ok(action)
}

/// Does `work`, and gives `lane` back when it is done, or as soon as it is slow.
async fn in_lane<T>(lane: Option<SemaphorePermit<'_>>, mut work: BoxFuture<'_, T>) -> T {
    if let Ok(done) = timeout(BRISK, &mut work).await {
        return done;
    }
    drop(lane);
    work.await
}

async fn pass(context: &Context, leaver: &LeaverState, offboarding: &Offboarding) -> (&'static str, Action) {
    let mut state = leaver.pass.lock().await;
    let (ended, action) = match OffboardingReconcile::new(context, leaver, &mut state, offboarding) {
        Some(reconcile) => Box::pin(reconcile.run()).await,
        None => (Ended::Idle, Action::await_change()),
    };
    (ended.as_str(), action)
}

/// A pass that panicked is a bug of ours. Its leaver is shown as stalled and tried again, alone and ever more rarely.
async fn poisoned(context: &Context, leaver: &LeaverState, offboarding: &Offboarding) -> Action {
    let mut state = leaver.pass.lock().await;
    let failures = state.failures.saturating_add(1);
    *state = State {
        failures,
        ..State::default()
    };
    let uid = offboarding.uid().unwrap_or_default();
    tracing::error!(offboarding = uid, failures, "a pass panicked");
    if let Some(mut reconcile) = OffboardingReconcile::new(context, leaver, &mut state, offboarding) {
        let text = "internal error while working on this leaver: see the operator's log. It is retried";
        reconcile.refuse(("InternalError", text)).await.ok();
    }
    Action::requeue(wait(schedule::backoff_for_a_person(failures, seed(&uid))))
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pass_that_waits_for_a_system_keeps_no_lane() {
        let lanes = Semaphore::new(1);
        let hangs = in_lane(lanes.acquire().await.ok(), std::future::pending::<()>().boxed());
        let next = async { lanes.acquire().await.is_ok() };
        tokio::select! {
            () = hangs => unreachable!("it never ends"),
            got = next => assert!(got),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn passes_that_are_brisk_take_turns() {
        let lanes = Semaphore::new(1);
        let first = in_lane(lanes.acquire().await.ok(), tokio::time::sleep(BRISK / 2).boxed());
        let next = async { lanes.try_acquire().is_ok() };
        let (between, ()) = tokio::join!(next, first);
        assert!(!between);
        assert!(lanes.try_acquire().is_ok());
    }
}
