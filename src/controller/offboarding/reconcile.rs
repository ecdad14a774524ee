//! One pass over one Offboarding: gather, validate, drive, report, and one patch if anything but the time has changed.
//!
//! # Why
//! There is no finalizer. Deleting an Offboarding gives nothing back and keeps its record, so there is nothing to do before
//! it is gone; the pass that goes on over it stops before its next act.

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use kube::{ResourceExt, runtime::controller::Action};
use tokio::{sync::SemaphorePermit, time::timeout};

use super::{
    gather::{Gathered, Linked, gather},
    requeue::{INVALID_EVERY, RETRY_SOON, after_a_start, next, seed, wait},
    state::{LeaverState, PendingCallback, State},
    status::{self, ProgressWriter},
    store::{self, ClusterStore, NoRecord, Stored, Version},
};
use crate::{
    api::{
        Offboarding, OffboardingPolicySpec, OffboardingStatus,
        offboarding::{Evidence, Urgency},
    },
    controller::{
        Context,
        approval::approvals,
        connector::registry::Login,
        notification::{self, Notifiable},
        runtime::{
            api_client::ApiError,
            events,
            watch::{Namespace, version},
        },
    },
    core::{
        case::Case,
        fact::{Verdict, Why},
        ledger::Ledger,
        schedule, scope,
    },
    drive::{
        Clock, Drive, Outcome, Record, Row, Scope, SystemClock, drive, report,
        validate::{Invalid, connector_of},
    },
    notify::due,
};

/// The longest message that the schema takes, with room to spare.
const LONGEST_MESSAGE: usize = 1000;

/// A pass that takes longer than this waits for a system, and lets the next one begin.
const BRISK: Duration = Duration::from_millis(500);

/// How a pass ended.
enum Ended {
    /// Nothing was due.
    Idle,
    /// All that is wanted now is true.
    Done,
    /// Something is left.
    Left,
    /// The spec or the record cannot be used.
    Refused,
    /// The API server did not do its part.
    Failed,
    /// The case is not wanted any more.
    Abandoned,
}

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
        Some(pass) => pass.run().await,
        None => (Ended::Idle, Action::await_change()),
    };
    let ended = match ended {
        Ended::Idle => "idle",
        Ended::Done => "done",
        Ended::Left => "left",
        Ended::Refused => "refused",
        Ended::Failed => "failed",
        Ended::Abandoned => "abandoned",
    };
    (ended, action)
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
    if let Some(mut pass) = OffboardingReconcile::new(context, leaver, &mut state, offboarding) {
        let text =
            "offboard met a bug in itself while working on this; its log says where. It is tried again";
        pass.refuse("InternalError", text).await.ok();
    }
    Action::requeue(wait(schedule::backoff_for_a_person(failures, seed(&uid))))
}

struct OffboardingReconcile<'a> {
    context: &'a Context,
    leaver: &'a LeaverState,
    state: &'a mut State,
    offboarding: Arc<Offboarding>,
    namespace: String,
    /// The policy, when it wants somebody to be told.
    tells: Option<OffboardingPolicySpec>,
}

impl<'a> OffboardingReconcile<'a> {
    /// None when the object is gone, or about to be.
    fn new(
        context: &'a Context,
        leaver: &'a LeaverState,
        state: &'a mut State,
        offboarding: &Offboarding,
    ) -> Option<Self> {
        let namespace = offboarding.namespace().unwrap_or_default();
        let cached = context.caches.offboarding(&namespace, &offboarding.name_any())?;
        if cached.metadata.uid != offboarding.metadata.uid || !context.acts() {
            return None;
        }
        // Never from a cache that is older than our own last write.
        state.written = state
            .written
            .take()
            .filter(|written| version(written.as_ref()) > version(cached.as_ref()));
        let newest = state.written.clone().unwrap_or(cached);
        newest.metadata.deletion_timestamp.is_none().then_some(Self {
            context,
            leaver,
            state,
            offboarding: newest,
            namespace,
            tells: None,
        })
    }

    fn earlier(&self) -> OffboardingStatus {
        self.offboarding.status.clone().unwrap_or_default()
    }

    async fn run(mut self) -> (Ended, Action) {
        let caches = &self.context.caches.namespaces;
        let Some(caches) = caches.get(&self.namespace) else {
            return (Ended::Idle, Action::await_change());
        };
        self.to_be_told();
        let gathered = gather(self.context, caches, &self.offboarding).await;
        let policy = gathered.policy.as_ref().ok();
        let tells = policy.map(|policy| &policy.spec);
        self.tells = tells.filter(|spec| !spec.notify.is_empty()).cloned();
        let now = SystemClock.now();
        // What is not taken before this returns is dropped, and so said again.
        let said = std::mem::take(&mut *self.leaver.said.lock().unwrap_or_else(PoisonError::into_inner));
        let nothing_new = said.is_empty() && gathered.inputs == self.state.inputs;
        if nothing_new && self.state.next.is_none_or(|at| now < at) {
            return (Ended::Idle, self.until_next(now));
        }
        let alone = gathered.case(&self.context.safeguards, caches, &self.offboarding, None, now);
        if self.state.inputs.is_empty()
            && said.is_empty()
            && let Ok((case, _)) = &alone
            && let Some(at) = after_a_start(case, &self.earlier(), now).filter(|_| !self.state.looked)
        {
            self.state.inputs = gathered.inputs;
            self.state.next = Some(at);
            return (Ended::Idle, self.until_next(now));
        }
        self.state.looked = true;
        let (mut record, version) = match self.record().await {
            Ok(record) => record,
            Err(why) => return self.without_record(why, gathered.inputs).await,
        };
        let known = self.recorded_case(&gathered, caches, &record.ledger, now);
        let (mut case, links) = match known.unwrap_or(alone) {
            Ok(linked) => linked,
            Err(invalid) => {
                self.keep(record, version.map_or(Version::None, Version::Of));
                return self
                    .refused(report::INVALID_SPEC, &invalid.to_string(), gathered.inputs)
                    .await;
            }
        };
        scope::include_recorded(&mut case, &record.ledger, |name| {
            gathered.connectors.contains_key(name)
        });
        scope::keep_wanted(&mut case, &record.ledger, now);
        caches
            .first_acts
            .admit(&mut case, &record.ledger, &self.context.safeguards, caches, now);
        self.forget_faults_of_changed_links(&case, &gathered);
        let shown = ProgressWriter::new(self.context, &case, &links, self.offboarding.clone());
        let store = ClusterStore::new(self.context, &self.offboarding, version, shown);
        let work = Drive {
            case: &case,
            links: &links,
            clock: &SystemClock,
            store: &store,
            scope: if gathered.inputs == self.state.inputs {
                Scope::Woken
            } else {
                Scope::Due
            },
        };
        for PendingCallback { statement, .. } in &said {
            let row = self.state.memory.said.entry(statement.row.clone()).or_default();
            row.push(statement.clone());
        }
        let outcome = drive(&work, &mut record, &mut self.state.memory).await;
        if outcome.store_fault.is_none() {
            for PendingCallback { durable, .. } in said {
                durable.send(()).ok();
            }
        }
        let current = crate::drive::Store::current(&store);
        let (version, shown) = store.finish();
        let before = self.earlier();
        self.offboarding = shown.unwrap_or(self.offboarding);
        let evidence = (version != Version::None).then(|| Evidence {
            record: store::record_name(&self.offboarding.name_any(), &case.uid),
            head: record.evidence.last().map(|e| e.digest.clone()),
        });
        self.keep(record, version);
        self.count(&case, &outcome, &before, &gathered).await;
        if !current {
            self.state.inputs.clear();
            return (Ended::Abandoned, Action::requeue(RETRY_SOON));
        }
        self.report(&case, &outcome, &before, evidence, gathered.inputs)
            .await
    }

    async fn without_record(self, why: NoRecord, inputs: String) -> (Ended, Action) {
        match why {
            NoRecord::Unreadable(what) => {
                let text = format!("record: {what}: restore it, or move it away for a new one");
                self.refused("RecordUnreadable", &text, inputs).await
            }
            NoRecord::Altered(what) => {
                let text = format!(
                    "record: {what}: somebody has changed it; find out who, then restore it, or move it away for a new one"
                );
                self.refused("RecordAltered", &text, inputs).await
            }
            NoRecord::Failed(failed) => self.failed("record not read", &failed),
        }
    }

    /// The case with what the record alone knows: what the end is held to. None where it knows nothing.
    fn recorded_case(
        &self,
        gathered: &Gathered,
        caches: &Namespace,
        ledger: &Ledger,
        now: Timestamp,
    ) -> Option<Result<Linked, Invalid>> {
        let known = *ledger != Ledger::default();
        known.then(|| {
            gathered.case(
                &self.context.safeguards,
                caches,
                &self.offboarding,
                Some(ledger),
                now,
            )
        })
    }

    async fn record(&mut self) -> Result<(Record, Option<Stored>), NoRecord> {
        match self.state.record.take() {
            Some(known) => Ok(known),
            None if self.leaver.new.swap(false, Ordering::Relaxed) => Ok((Record::default(), None)),
            None => store::load(self.context, &self.offboarding).await,
        }
    }

    fn keep(&mut self, record: Record, version: Version) {
        self.state.record = match version {
            Version::None => Some((record, None)),
            Version::Of(stored) => Some((record, Some(stored))),
            Version::Lost => None,
        };
    }

    /// Waiting for a person ends when the person changed the Connector, its definition or its Secret. What the system asked
    /// for, silence above all, stays.
    fn forget_faults_of_changed_links(&mut self, case: &Case, gathered: &Gathered) {
        for system in &case.systems {
            let revision = gathered
                .connectors
                .get(connector_of(&system.row))
                .map_or(0, |(_, made)| made.revision);
            if self.state.links.insert(system.row.clone(), revision) != Some(revision)
                && let Some(pace) = self.state.memory.systems.get_mut(&system.row)
            {
                pace.system = None;
                pace.facts.clear();
            }
        }
    }

    async fn report(
        mut self,
        case: &Case,
        outcome: &Outcome,
        before: &OffboardingStatus,
        evidence: Option<Evidence>,
        inputs: String,
    ) -> (Ended, Action) {
        let now = SystemClock.now();
        let mut status = report::status(case, outcome, &self.earlier(), now);
        if let Some(Evidence { record, head }) = evidence {
            status = report::with_evidence(status, &record, head.as_deref());
        }
        let news = self.note(&mut status);
        let written = match status::write(self.context, &self.offboarding, &status).await {
            Ok(written) => written,
            Err(ApiError::Conflict | ApiError::NotFound) => {
                // A newer version is on its way; what is durable is in the record.
                self.state.inputs.clear();
                return (Ended::Abandoned, Action::requeue(RETRY_SOON));
            }
            Err(failed) => return self.failed("status not written", &failed),
        };
        let done = status.is_true("Ready");
        if done {
            // Thousands of finished leavers are not to be kept in memory.
            self.state.record = None;
            self.state.memory.rested.clear();
        }
        // Nor is what is large of those who are not.
        let large = |(_, stored): &(Record, Option<Stored>)| stored.as_ref().is_some_and(Stored::is_large);
        self.state.record.take_if(|record| large(record));
        for counted in outcome.gates.iter().flat_map(|gates| &gates.counted) {
            approvals::show(self.context, &self.namespace, &counted.standing).await;
        }
        self.state.failures = 0;
        self.state.written = Some(written.clone());
        self.offboarding = written.clone();
        self.to_be_told();
        self.state.inputs = inputs;
        // A date may have come that makes it sound.
        let sound = case
            .invalid
            .is_some()
            .then(|| schedule::later(now, INVALID_EVERY));
        let next = next(case, outcome, &status, now);
        self.state.next = next.into_iter().chain(news).chain(sound).min();
        for news in events::news(before, &status, &outcome.rows) {
            events::tell(self.context, written.as_ref(), Offboarding::ACTION, news).await;
        }
        let ended = if done { Ended::Done } else { Ended::Left };
        (ended, self.until_next(SystemClock.now()))
    }

    fn until_next(&self, now: Timestamp) -> Action {
        match self.state.next {
            Some(at) => Action::requeue(wait(at.duration_since(now))),
            None => Action::await_change(),
        }
    }

    async fn refused(mut self, reason: &str, text: &str, inputs: String) -> (Ended, Action) {
        if let Err(failed) = self.refuse(reason, text).await {
            return self.failed("status not written", &failed);
        }
        let now = SystemClock.now();
        self.state.inputs = inputs;
        self.state.next = Some(schedule::later(now, INVALID_EVERY));
        (Ended::Refused, self.until_next(now))
    }

    /// Shows that this cannot be worked on, and why.
    async fn refuse(&mut self, reason: &str, text: &str) -> Result<(), ApiError> {
        let before = self.earlier();
        let text: String = text.chars().take(LONGEST_MESSAGE).collect();
        let generation = self.offboarding.metadata.generation.unwrap_or_default();
        let mut status = report::invalid(generation, &text, &before, SystemClock.now());
        for condition in &mut status.conditions {
            if matches!(condition.type_.as_str(), "Ready" | "Stalled") {
                reason.clone_into(&mut condition.reason);
            }
        }
        self.note(&mut status);
        let written = status::write(self.context, &self.offboarding, &status).await?;
        for news in events::news(&before, &status, &[]) {
            events::tell(self.context, written.as_ref(), Offboarding::ACTION, news).await;
        }
        self.offboarding = written.clone();
        self.state.written = Some(written);
        self.to_be_told();
        Ok(())
    }

    /// Notes in `status` what people are to be told; says when there may be more.
    fn note(&self, status: &mut OffboardingStatus) -> Option<Timestamp> {
        let evidence = self
            .state
            .record
            .as_ref()
            .map(|(record, _)| record.evidence.as_slice());
        let evidence = evidence.unwrap_or_default();
        notification::note(
            self.context,
            &self.offboarding,
            self.tells.as_ref(),
            evidence,
            status,
        )
    }

    /// Sees to it that messages are sent after the pass, if there are any.
    fn to_be_told(&self) {
        if due::open(self.offboarding.entries()) {
            self.leaver.notify_pending.store(true, Ordering::Relaxed);
        }
    }

    fn failed(self, what: &str, failed: &ApiError) -> (Ended, Action) {
        let uid = self.offboarding.uid().unwrap_or_default();
        tracing::warn!(offboarding = uid, %failed, "{what}; trying again");
        self.state.inputs.clear();
        self.state.failures = self.state.failures.saturating_add(1);
        let pause = schedule::backoff(self.state.failures - 1, seed(&uid));
        (Ended::Failed, Action::requeue(wait(pause)))
    }

    /// Metrics, and what became of the logins.
    async fn count(&self, case: &Case, outcome: &Outcome, before: &OffboardingStatus, gathered: &Gathered) {
        let now = SystemClock.now();
        let created = self.offboarding.metadata.creation_timestamp.as_ref().map(|t| t.0);
        let since = case.cutoff.max(created.unwrap_or(case.cutoff));
        let mut left = std::collections::BTreeMap::new();
        for row in &outcome.rows {
            let connector = connector_of(&row.name);
            let access = row
                .facts
                .iter()
                .filter(|(f, v, _)| f.class.security() && v.due() && !v.settled());
            *left.entry(connector.to_owned()).or_default() += access.count();
            if !row.drifted.is_empty() {
                self.context.metrics.drifted(connector, row.drifted.len());
            }
            if events::revoked(row) && !events::was_revoked(before, row) {
                self.context
                    .metrics
                    .revoked(connector, now.duration_since(since).as_secs_f64().max(0.0));
            }
            let Some((_, made)) = gathered.connectors.get(connector) else {
                continue;
            };
            let Some(login) = login(row) else { continue };
            if made.login != login
                && self
                    .context
                    .connectors
                    .note(&self.namespace, connector, made.revision, login)
                    .await
            {
                self.context.look_at_connector(&self.namespace, connector);
            }
        }
        *self.leaver.left.lock().unwrap_or_else(PoisonError::into_inner) = left;
    }
}

/// What a row says about the login.
fn login(row: &Row) -> Option<Login> {
    let bad = row.facts.iter().find_map(|(_, verdict, _)| match verdict {
        Verdict::Unknown(fault) | Verdict::Unmet(Why::Failed(fault)) => Login::of(fault),
        _ => None,
    });
    let seen = row
        .facts
        .iter()
        .any(|(_, verdict, _)| *verdict == Verdict::Verified)
        || row.account.is_some();
    bad.or(seen.then_some(Login::Good))
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
