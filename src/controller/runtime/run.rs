//! Starts the watches and the workers, and ends them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture};
use kube::{
    Api, Client, Resource, ResourceExt,
    runtime::{
        Config,
        controller::{Action, Error, ReconcileRequest},
        events::{Recorder, Reporter},
        reflector::Store,
        watcher,
    },
};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch as signal};

use super::{
    heartbeat::Heartbeat,
    metrics::Metrics,
    perimeter::Perimeter,
    requeue,
    watch::{self, Caches, Ends, Kind, Namespace, Seen},
};
use crate::{
    api::{Approval, Connector, ConnectorDefinition, LeaverSource, Offboarding, OffboardingPolicy},
    controller::{
        Context,
        approval::{self, index::ApprovalIndex},
        connector::{self, jobs::ClusterRunner, registry::ConnectorRegistry},
        definition, leaver_source,
        notification::Notifier,
        offboarding::{self, state::LeaverStates},
        policy,
        safeguards::FirstActGuard,
    },
    core::departures::DepartureIndex,
    notify::Outbox,
};

/// Urgent leavers that are worked on at the same time, in each namespace.
const URGENT_AT_ONCE: u16 = 64;
/// Other leavers that are worked on at the same time, in each namespace.
const OTHERS_AT_ONCE: u16 = 256;
/// Of these so many, as long as they are not slow: a few that end soon are cheaper, and shown done sooner, than many that
/// take turns.
const LANES: usize = 32;
/// Connectors, policies or definitions that are looked at at the same time.
const KINDS_AT_ONCE: u16 = 8;
/// HR systems that are read at the same time. Each may take minutes, and none waits for another.
const SOURCES_AT_ONCE: u16 = 64;
/// How long passes may take to end after the process was told to.
const GRACE: Duration = Duration::from_secs(8);

/// The operator, not running yet.
pub struct Operator {
    context: Arc<Context>,
    namespaces: Vec<(String, NamespaceEnds)>,
    definitions: Ends<ConnectorDefinition>,
}

struct NamespaceEnds {
    urgent: Ends<Offboarding>,
    others: Ends<Offboarding>,
    connectors: Ends<Connector>,
    policies: Ends<OffboardingPolicy>,
    sources: Ends<LeaverSource>,
    approvals: Ends<Approval>,
}

impl Operator {
    /// An operator for these namespaces, which sends messages by `outbox` and lets nobody out of `perimeter`.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the outbox is the operator's from now on"
    )]
    pub fn new(client: Client, namespaces: &[String], outbox: Outbox, perimeter: Perimeter) -> Self {
        let (definitions, definition_ends) = Kind::new();
        let mut known = BTreeMap::new();
        let mut ends = vec![];
        for name in namespaces {
            let (urgent, urgent_ends) = Kind::new();
            let (others, others_ends) = Kind::new();
            let (connectors, connector_ends) = Kind::new();
            let (policies, policy_ends) = Kind::new();
            let (sources, source_ends) = Kind::new();
            let (approvals, approval_ends) = Kind::new();
            let namespace = Namespace {
                urgent,
                others,
                connectors,
                policies,
                sources,
                approvals,
                approval_index: ApprovalIndex::default(),
                first_acts: FirstActGuard::default(),
                departures: DepartureIndex::default(),
            };
            if known.insert(name.clone(), namespace).is_none() {
                let namespace = NamespaceEnds {
                    urgent: urgent_ends,
                    others: others_ends,
                    connectors: connector_ends,
                    policies: policy_ends,
                    sources: source_ends,
                    approvals: approval_ends,
                };
                ends.push((name.clone(), namespace));
            }
        }
        let reporter = Reporter {
            controller: "offboard.dev/operator".to_owned(),
            instance: std::env::var("POD_NAME").ok(),
        };
        let context = Context {
            recorder: Recorder::new(client.clone(), reporter),
            client: client.clone(),
            caches: Caches {
                namespaces: known,
                definitions,
            },
            connectors: ConnectorRegistry::new(
                Arc::new(ClusterRunner::new(client.clone(), perimeter.jobs)),
                perimeter.egress,
            ),
            leavers: LeaverStates::default(),
            sources: leaver_source::SourceStates::default(),
            metrics: Metrics::default(),
            safeguards: perimeter.safeguards,
            policies: perimeter.policies,
            notices: Notifier::new(outbox),
            tenure: Arc::default(),
            heartbeat: Heartbeat::default(),
            lanes: Semaphore::new(LANES),
            ready: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            revisions: Mutex::default(),
        };
        Self {
            context: Arc::new(context),
            namespaces: ends,
            definitions: definition_ends,
        }
    }

    /// What passes share.
    pub fn context(&self) -> Arc<Context> {
        self.context.clone()
    }

    /// Works until `stop`, then lets passes end. What does not end in time is abandoned; the record says what was asked.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let (told, stopped) = signal::channel(false);
        let context = self.context.clone();
        let mut workers: Vec<BoxFuture<'static, ()>> = vec![];
        let mut watches: Vec<BoxFuture<'static, ()>> = vec![];
        self.definitions(&stopped, &mut workers, &mut watches);
        let watching: Vec<_> = watches.into_iter().map(tokio::spawn).collect();
        let working: Vec<_> = workers.into_iter().map(tokio::spawn).collect();
        let readiness = tokio::spawn({
            let context = context.clone();
            async move {
                context.caches.ready().await;
                context.ready.store(true, Ordering::Relaxed);
                tracing::info!("all first lists are complete");
            }
        });
        stop.await;
        tracing::info!("stopping");
        context.stop.store(true, Ordering::Relaxed);
        told.send(true).ok();
        let ended = async {
            futures::future::join_all(working).await;
            context.notices.ended().await;
        };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            tracing::warn!("passes were abandoned; they go on from their records");
        }
        readiness.abort();
        for watching in watching {
            watching.abort();
        }
    }

    fn definitions(
        self,
        stopped: &signal::Receiver<bool>,
        workers: &mut Vec<BoxFuture<'static, ()>>,
        watches: &mut Vec<BoxFuture<'static, ()>>,
    ) {
        let context = self.context;
        let Ends { writer, work, listed } = self.definitions;
        let api = Api::<ConnectorDefinition>::all(context.client.clone());
        let on = {
            let context = context.clone();
            move |seen: Seen<'_, ConnectorDefinition>| match seen {
                Seen::There(definition) => {
                    context.caches.definitions.tell(definition);
                    context.caches.enqueue_connectors_of(&definition.name_any());
                }
                Seen::Gone(definition) => context.caches.enqueue_connectors_of(&definition.name_any()),
                Seen::Listed => context.caches.definitions.enqueue_all(|_| true),
            }
        };
        watches.push(watch::watch(api, None, (writer, listed), on).boxed());
        let cache = context.caches.definitions.cache.clone();
        workers.push(worker(
            &context,
            cache,
            work,
            KINDS_AT_ONCE,
            stopped,
            definition::reconcile,
            requeue::error_policy,
        ));
        for (name, ends) in self.namespaces {
            namespace(&context, &name, ends, stopped, workers, watches);
        }
    }
}

fn namespace(
    context: &Arc<Context>,
    name: &str,
    ends: NamespaceEnds,
    stopped: &signal::Receiver<bool>,
    workers: &mut Vec<BoxFuture<'static, ()>>,
    watches: &mut Vec<BoxFuture<'static, ()>>,
) {
    let Some(caches) = context.caches.namespaces.get(name) else {
        return;
    };
    for (ends, urgent) in [(ends.urgent, true), (ends.others, false)] {
        let fields = if urgent {
            "spec.urgency=Immediate"
        } else {
            "spec.urgency!=Immediate"
        };
        let api = watch::api::<Offboarding>(&context.client, name);
        let on = leavers(context.clone(), name.to_owned(), urgent);
        watches.push(watch::watch(api, Some(fields), (ends.writer, ends.listed), on).boxed());
        let (cache, at_once) = if urgent {
            (caches.urgent.cache.clone(), URGENT_AT_ONCE)
        } else {
            (caches.others.cache.clone(), OTHERS_AT_ONCE)
        };
        let later = |_, never: &std::convert::Infallible, _| match *never {};
        workers.push(worker(
            context,
            cache,
            ends.work,
            at_once,
            stopped,
            offboarding::worker::reconcile,
            later,
        ));
    }
    let api = watch::api::<Connector>(&context.client, name);
    let on = connectors(context.clone(), name.to_owned());
    watches.push(watch::watch(api, None, (ends.connectors.writer, ends.connectors.listed), on).boxed());
    let cache = caches.connectors.cache.clone();
    workers.push(worker(
        context,
        cache,
        ends.connectors.work,
        KINDS_AT_ONCE,
        stopped,
        connector::reconcile::reconcile,
        requeue::error_policy,
    ));
    let api = watch::api::<OffboardingPolicy>(&context.client, name);
    let on = policies(context.clone(), name.to_owned());
    watches.push(watch::watch(api, None, (ends.policies.writer, ends.policies.listed), on).boxed());
    let cache = caches.policies.cache.clone();
    workers.push(worker(
        context,
        cache,
        ends.policies.work,
        KINDS_AT_ONCE,
        stopped,
        policy::reconcile,
        requeue::error_policy,
    ));
    let api = watch::api::<Approval>(&context.client, name);
    let on = said(context.clone(), name.to_owned());
    watches.push(watch::watch(api, None, (ends.approvals.writer, ends.approvals.listed), on).boxed());
    let cache = caches.approvals.cache.clone();
    workers.push(worker(
        context,
        cache,
        ends.approvals.work,
        KINDS_AT_ONCE,
        stopped,
        approval::reconcile::reconcile,
        requeue::error_policy,
    ));
    let api = watch::api::<LeaverSource>(&context.client, name);
    let on = hr_systems(context.clone(), name.to_owned());
    watches.push(watch::watch(api, None, (ends.sources.writer, ends.sources.listed), on).boxed());
    workers.push(worker(
        context,
        caches.sources.cache.clone(),
        ends.sources.work,
        SOURCES_AT_ONCE,
        stopped,
        leaver_source::reconcile,
        requeue::error_policy,
    ));
}

fn hr_systems(context: Arc<Context>, namespace: String) -> impl Fn(Seen<'_, LeaverSource>) + Send {
    move |seen| {
        let Some(caches) = context.caches.namespaces.get(&namespace) else {
            return;
        };
        match seen {
            Seen::There(source) => caches.sources.tell(source),
            Seen::Listed => caches.sources.enqueue_all(|_| true),
            Seen::Gone(source) => context.sources.forget(&namespace, &source.name_any()),
        }
    }
}

fn leavers(context: Arc<Context>, namespace: String, urgent: bool) -> impl Fn(Seen<'_, Offboarding>) + Send {
    move |seen| {
        let Some(caches) = context.caches.namespaces.get(&namespace) else {
            return;
        };
        let kind = if urgent { &caches.urgent } else { &caches.others };
        let look_again = |others: BTreeSet<String>| {
            for (namespace, other) in others.iter().filter_map(|uid| context.caches.leaver(uid)) {
                context.caches.enqueue_offboarding(namespace, &other);
            }
        };
        match seen {
            Seen::There(offboarding) => {
                context.leavers.appeared(offboarding);
                look_again(caches.record_departure(offboarding));
                kind.tell(offboarding);
            }
            Seen::Listed => {
                // Who was deleted while nobody watched leaves no more.
                let both = [caches.urgent.cache.state(), caches.others.cache.state()].concat();
                let known = both.iter().filter_map(|o| o.uid()).collect();
                look_again(caches.departures.retain(&known));
                for offboarding in kind.cache.state() {
                    look_again(caches.record_departure(&offboarding));
                    context.leavers.state_of(&offboarding.uid().unwrap_or_default());
                }
                kind.enqueue_all(|_| true);
            }
            Seen::Gone(offboarding) => {
                let uid = offboarding.uid().unwrap_or_default();
                context.leavers.forget(&uid);
                // One whose urgency changed is gone from one of the two only.
                let others = match context.caches.offboarding(&namespace, &offboarding.name_any()) {
                    Some(still) if still.uid().as_deref() == Some(&uid) => caches.record_departure(&still),
                    _ => caches.departures.forget(&uid),
                };
                look_again(others);
            }
        }
    }
}

fn connectors(context: Arc<Context>, namespace: String) -> impl Fn(Seen<'_, Connector>) + Send {
    move |seen| {
        let Some(caches) = context.caches.namespaces.get(&namespace) else {
            return;
        };
        match seen {
            // A changed label may choose another policy's systems, so leavers look too.
            Seen::There(connector) => {
                caches.connectors.tell(connector);
                context.caches.enqueue_offboardings(&namespace);
                context
                    .caches
                    .enqueue_sources_of(&namespace, &connector.name_any());
            }
            Seen::Gone(connector) => {
                context
                    .caches
                    .enqueue_sources_of(&namespace, &connector.name_any());
                context.connectors.forget(&namespace, &connector.name_any());
                context.caches.enqueue_offboardings(&namespace);
                context.caches.enqueue_policies(&namespace);
            }
            Seen::Listed => {
                caches.connectors.enqueue_all(|_| true);
                context.caches.enqueue_offboardings(&namespace);
            }
        }
    }
}

fn policies(context: Arc<Context>, namespace: String) -> impl Fn(Seen<'_, OffboardingPolicy>) + Send {
    move |seen| {
        let Some(caches) = context.caches.namespaces.get(&namespace) else {
            return;
        };
        match seen {
            // Whether a priority is taken depends on the others.
            Seen::There(_) | Seen::Gone(_) | Seen::Listed => caches.policies.enqueue_all(|_| true),
        }
        context.caches.enqueue_offboardings(&namespace);
    }
}

fn said(context: Arc<Context>, namespace: String) -> impl Fn(Seen<'_, Approval>) + Send {
    move |seen| {
        let Some(caches) = context.caches.namespaces.get(&namespace) else {
            return;
        };
        let source = match &seen {
            Seen::There(approval) | Seen::Gone(approval) => approval.spec.source_ref.clone(),
            Seen::Listed => None,
        };
        match seen {
            Seen::There(approval) => {
                caches.approval_index.insert(approval);
                caches.approvals.tell(approval);
            }
            Seen::Listed => {
                caches.approval_index.replace(&caches.approvals.cache.state());
                caches.approvals.enqueue_all(|_| true);
            }
            // A yes that is taken back by deleting it does not count any more.
            Seen::Gone(approval) => {
                caches.approval_index.forget(approval);
                let about = approval.spec.offboarding_ref.as_ref();
                if let Some(leaver) =
                    about.and_then(|about| context.caches.offboarding(&namespace, &about.name))
                {
                    context.caches.enqueue_offboarding(&namespace, &leaver);
                }
            }
        }
        if let Some(source) = source {
            context.wake_source(&namespace, &source.name);
        }
    }
}

/// Looks at what is in `work`, never twice at the same object at once, until told to stop; then ends what was begun.
fn worker<K, F, E>(
    context: &Arc<Context>,
    cache: Store<K>,
    work: futures::channel::mpsc::UnboundedReceiver<kube::runtime::reflector::ObjectRef<K>>,
    at_once: u16,
    stopped: &signal::Receiver<bool>,
    look: impl Fn(Arc<K>, Arc<Context>) -> F + Send + Sync + Copy + 'static,
    later: impl Fn(Arc<K>, &E, Arc<Context>) -> Action + Send + Sync + 'static,
) -> BoxFuture<'static, ()>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
    F: Future<Output = Result<Action, E>> + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let mut stopped = stopped.clone();
    let queue = work
        .map(|object| Ok::<_, watcher::Error>(ReconcileRequest::from(object)))
        .take_until(async move { stopped.wait_for(|stopped| *stopped).await.is_ok() });
    let spawned = move |object, context| {
        // A task of its own, so that all cores are used.
        let task = tokio::spawn(look(object, context));
        async move {
            match task.await {
                Ok(looked) => looked,
                Err(_) => Ok(Action::requeue(Duration::from_mins(1))),
            }
        }
        .boxed()
    };
    kube::runtime::applier(
        spawned,
        later,
        context.clone(),
        cache,
        queue,
        Config::default().concurrency(at_once),
    )
    .for_each(|done| {
        if let Err(Error::QueueError(_) | Error::RunnerError(_)) = done {
            tracing::warn!("a queue broke");
        }
        std::future::ready(())
    })
    .boxed()
}

#[cfg(test)]
mod tests;
