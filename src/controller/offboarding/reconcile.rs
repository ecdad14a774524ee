//! One reconcile of one Offboarding: gather, validate, drive, report, and one patch if anything but the time has changed.
//!
//! # Why
//! There is no finalizer. Deleting an Offboarding gives nothing back and keeps its record, so there is nothing to do before
//! it is gone; the pass that goes on over it stops before its next act.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use jiff::Timestamp;
use kube::{ResourceExt, runtime::controller::Action};

use super::{
    gather::{Fingerprint, Gathered, Linked, gather},
    measure,
    requeue::{INVALID_EVERY, after_a_start, next},
    state::{LeaverState, PendingCallback, State},
    status::{self, ProgressWriter},
    store::{self, ClusterStore, NoRecord, Stored, Version},
};
use crate::{
    api::{Offboarding, OffboardingPolicySpec, OffboardingStatus, condition::READY, offboarding::Evidence},
    controller::{
        Context, approval,
        notification::{self, Notifiable},
        runtime::{
            api_client::ApiError,
            events,
            requeue::{RETRY_SOON, seed, wait},
            watch::{Namespace, version},
        },
    },
    core::{case::Case, ledger::Ledger, schedule, scope},
    drive::{
        Clock, Drive, Link, Outcome, Record, Scope, Store, SystemClock, drive, report,
        validate::{Invalid, connector_of},
    },
    notify::due,
};

/// How a reconcile ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
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

impl Ended {
    /// As the metrics have it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Done => "done",
            Self::Left => "left",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}

/// One reconcile of one Offboarding.
pub(super) struct OffboardingReconcile<'a> {
    context: &'a Context,
    leaver: &'a LeaverState,
    state: &'a mut State,
    /// As we last read or wrote it.
    offboarding: Arc<Offboarding>,
    /// The status before the reconcile.
    before: OffboardingStatus,
    namespace: String,
    /// The policy, when it wants somebody to be notified.
    notifies: Option<OffboardingPolicySpec>,
}

/// What came of driving the systems.
struct Driven {
    outcome: Outcome,
    /// Where the evidence is, once there is a record.
    evidence: Option<Evidence>,
    /// The case is still wanted as it was gathered.
    current: bool,
}

impl<'a> OffboardingReconcile<'a> {
    /// None when the object is gone, or about to be.
    pub(super) fn new(
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
            before: newest.status.clone().unwrap_or_default(),
            offboarding: newest,
            namespace,
            notifies: None,
        })
    }

    /// | step | with |
    /// |---|---|
    /// | gather what the Offboarding refers to | caches, Secrets |
    /// | read the record | client |
    /// | validate | pure |
    /// | drive | systems |
    /// | report | pure |
    /// | patch the status | client |
    /// | announce | client |
    pub(super) async fn run(mut self) -> (Ended, Action) {
        let caches = &self.context.caches.namespaces;
        let Some(caches) = caches.get(&self.namespace) else {
            return (Ended::Idle, Action::await_change());
        };
        self.request_delivery();
        let gathered = gather(self.context, caches, &self.offboarding).await;
        let policy = gathered.policy.as_ref().ok().map(|policy| &policy.spec);
        self.notifies = policy.filter(|spec| !spec.notify.is_empty()).cloned();
        let now = SystemClock.now();
        // What is not taken before this returns is dropped, and so sent again.
        let callbacks = std::mem::take(&mut *self.leaver.callbacks.lock());
        let unchanged = self.state.fingerprint.as_ref() == Some(&gathered.fingerprint);
        if callbacks.is_empty() && unchanged && self.state.next.is_none_or(|at| now < at) {
            return (Ended::Idle, self.until_next(now));
        }
        let alone = gathered.case(&self.context.safeguards, caches, &self.offboarding, None, now);
        if callbacks.is_empty()
            && let Ok((case, _)) = &alone
            && let Some(at) = self.first_check(case, now)
        {
            self.state.fingerprint = Some(gathered.fingerprint);
            self.state.next = Some(at);
            return (Ended::Idle, self.until_next(now));
        }
        self.state.visited = true;
        let (record, version) = match self.record().await {
            Ok(record) => record,
            Err(why) => return self.without_record(why, gathered.fingerprint).await,
        };
        let (case, links) = match self.validate(caches, &gathered, alone, &record.ledger, now) {
            Ok(linked) => linked,
            Err(invalid) => {
                self.remember_record(record, version.map_or(Version::None, Version::Of));
                let problem = (report::INVALID_SPEC, &*invalid.to_string());
                return self.refused(problem, gathered.fingerprint).await;
            }
        };
        self.forget_faults_of_changed_links(&case, &gathered);
        let scope = if unchanged { Scope::Woken } else { Scope::Due };
        let work = (&case, &links, scope);
        let driven = self.drive(work, (record, version), callbacks).await;
        measure::outcome(
            self.context,
            self.leaver,
            (&case, &driven.outcome),
            (&self.before, &self.offboarding),
            &gathered,
        )
        .await;
        if !driven.current {
            return self.abandoned();
        }
        self.report(&case, driven, gathered.fingerprint).await
    }

    /// When a finished leaver is looked at for the first time after a start; none: now, or it was already.
    fn first_check(&self, case: &Case, now: Timestamp) -> Option<Timestamp> {
        let first = self.state.fingerprint.is_none() && !self.state.visited;
        first.then(|| after_a_start(case, &self.before, now)).flatten()
    }

    /// The case with what the record knows: what the end is held to.
    fn validate(
        &self,
        caches: &Namespace,
        gathered: &Gathered,
        alone: Result<Linked, Invalid>,
        ledger: &Ledger,
        now: Timestamp,
    ) -> Result<Linked, Invalid> {
        let rules = &self.context.safeguards;
        let recorded = *ledger != Ledger::default();
        let (mut case, links) = if recorded {
            gathered.case(rules, caches, &self.offboarding, Some(ledger), now)?
        } else {
            alone?
        };
        scope::include_recorded(&mut case, ledger, |name| gathered.connectors.contains_key(name));
        scope::keep_wanted(&mut case, ledger, now);
        caches.first_acts.admit(&mut case, ledger, rules, caches, now);
        Ok((case, links))
    }

    async fn drive(
        &mut self,
        (case, links, scope): (&Case, &BTreeMap<String, Link>, Scope),
        (mut record, version): (Record, Option<Stored>),
        callbacks: Vec<PendingCallback>,
    ) -> Driven {
        let progress = ProgressWriter::new(self.context, case, links, self.offboarding.clone());
        let store = ClusterStore::new(self.context, &self.offboarding, version, progress);
        let work = Drive {
            case,
            links,
            clock: &SystemClock,
            store: &store,
            scope,
        };
        for PendingCallback { statement, .. } in &callbacks {
            let row = self.state.memory.said.entry(statement.row.clone()).or_default();
            row.push(statement.clone());
        }
        let outcome = drive(&work, &mut record, &mut self.state.memory).await;
        if outcome.store_fault.is_none() {
            for PendingCallback { durable, .. } in callbacks {
                durable.send(()).ok();
            }
        }
        let current = store.current();
        let (version, shown) = store.finish();
        if let Some(shown) = shown {
            self.offboarding = shown;
        }
        let evidence = (version != Version::None).then(|| Evidence {
            record: store::record_name(&self.offboarding.name_any(), &case.uid),
            head: record.evidence.last().map(|e| e.digest.clone()),
        });
        self.remember_record(record, version);
        Driven {
            outcome,
            evidence,
            current,
        }
    }

    async fn without_record(self, why: NoRecord, fingerprint: Fingerprint) -> (Ended, Action) {
        match why {
            NoRecord::Unreadable(what) => {
                let text = format!("record: {what}: restore it, or move it away for a new one");
                self.refused(("RecordUnreadable", &text), fingerprint).await
            }
            NoRecord::Altered(what) => {
                let text = format!(
                    "record: {what}: somebody has changed it; find out who, then restore it, or move it away for a new one"
                );
                self.refused(("RecordAltered", &text), fingerprint).await
            }
            NoRecord::Failed(error) => self.failed("record not read", &error),
        }
    }

    async fn record(&mut self) -> Result<(Record, Option<Stored>), NoRecord> {
        match self.state.record.take() {
            Some(known) => Ok(known),
            None if self.leaver.new.swap(false, Ordering::Relaxed) => Ok((Record::default(), None)),
            None => store::load(self.context, &self.offboarding).await,
        }
    }

    fn remember_record(&mut self, record: Record, version: Version) {
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

    async fn report(mut self, case: &Case, driven: Driven, fingerprint: Fingerprint) -> (Ended, Action) {
        let Driven {
            outcome, evidence, ..
        } = driven;
        let now = SystemClock.now();
        let shown = self.offboarding.status.clone().unwrap_or_default();
        let mut status = report::status(case, &outcome, &shown, now);
        if let Some(Evidence { record, head }) = evidence {
            status = report::with_evidence(status, &record, head.as_deref());
        }
        let notices = self.plan_notices(&mut status);
        let written = match status::write(self.context, &self.offboarding, &status).await {
            Ok(written) => written,
            // A newer version is on its way; what is durable is in the record.
            Err(ApiError::Conflict | ApiError::NotFound) => return self.abandoned(),
            Err(error) => return self.failed("status not written", &error),
        };
        let done = status.is_true(READY);
        if done {
            // Thousands of finished leavers are not to be kept in memory.
            self.state.record = None;
            self.state.memory.rested.clear();
        }
        // Nor is what is large of those who are not.
        let large = |(_, stored): &(Record, Option<Stored>)| stored.as_ref().is_some_and(Stored::is_large);
        self.state.record.take_if(|record| large(record));
        self.state.failures = 0;
        self.state.fingerprint = Some(fingerprint);
        // A date may have come that makes it sound.
        let sound = case
            .invalid
            .is_some()
            .then(|| schedule::later(now, INVALID_EVERY));
        let next = next(case, &outcome, &status, now);
        self.state.next = next.into_iter().chain(notices).chain(sound).min();
        self.announce(written, &status, &outcome).await;
        let ended = if done { Ended::Done } else { Ended::Left };
        (ended, self.until_next(SystemClock.now()))
    }

    /// Tells Approvals, Events and messages of `status`, which is written.
    async fn announce(&mut self, written: Arc<Offboarding>, status: &OffboardingStatus, outcome: &Outcome) {
        self.offboarding = written.clone();
        self.state.written = Some(written.clone());
        self.request_delivery();
        for counted in outcome.gates.iter().flat_map(|gates| &gates.counted) {
            approval::reconcile::show(self.context, &self.namespace, &counted.standing).await;
        }
        for news in events::news(&self.before, status, &outcome.rows) {
            events::tell(self.context, written.as_ref(), Offboarding::ACTION, news).await;
        }
    }

    /// A newer version is on its way, or nobody wants this any more.
    fn abandoned(self) -> (Ended, Action) {
        self.state.fingerprint = None;
        (Ended::Abandoned, Action::requeue(RETRY_SOON))
    }

    fn until_next(&self, now: Timestamp) -> Action {
        match self.state.next {
            Some(at) => Action::requeue(wait(at.duration_since(now))),
            None => Action::await_change(),
        }
    }

    async fn refused(mut self, problem: (&str, &str), fingerprint: Fingerprint) -> (Ended, Action) {
        if let Err(error) = self.refuse(problem).await {
            return self.failed("status not written", &error);
        }
        let now = SystemClock.now();
        self.state.fingerprint = Some(fingerprint);
        self.state.next = Some(schedule::later(now, INVALID_EVERY));
        (Ended::Refused, self.until_next(now))
    }

    /// Shows that this cannot be worked on: one word for why, and what to do.
    pub(super) async fn refuse(&mut self, problem: (&str, &str)) -> Result<(), ApiError> {
        let generation = self.offboarding.metadata.generation.unwrap_or_default();
        let mut status = report::refused(generation, problem, &self.before, SystemClock.now());
        self.plan_notices(&mut status);
        let written = status::write(self.context, &self.offboarding, &status).await?;
        self.announce(written, &status, &Outcome::default()).await;
        Ok(())
    }

    /// Puts into `status` who is to be notified; says when there may be more.
    fn plan_notices(&self, status: &mut OffboardingStatus) -> Option<Timestamp> {
        let record = self.state.record.as_ref();
        let evidence = record.map_or(&[][..], |(record, _)| &record.evidence);
        let policy = self.notifies.as_ref();
        notification::note(self.context, &self.offboarding, policy, evidence, status)
    }

    /// Sees to it that messages are sent after the reconcile, if there are any.
    fn request_delivery(&self) {
        if due::open(self.offboarding.entries()) {
            self.leaver.notify_pending.store(true, Ordering::Relaxed);
        }
    }

    fn failed(self, what: &str, error: &ApiError) -> (Ended, Action) {
        let uid = self.offboarding.uid().unwrap_or_default();
        tracing::warn!(offboarding = uid, %error, "{what}; trying again");
        self.state.fingerprint = None;
        self.state.failures = self.state.failures.saturating_add(1);
        let pause = schedule::backoff(self.state.failures - 1, seed(&uid));
        (Ended::Failed, Action::requeue(wait(pause)))
    }
}
