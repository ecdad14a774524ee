//! Caches of what the operator works with, kept fresh by watches, and who is told when something changes.
//!
//! # Why
//! A watch is ended by the server every 30 s, so that a half-open connection is noticed. Lists are streamed where the API
//! server can do that. Managed fields
//! are dropped: they are the larger half of a small object, and nothing here reads them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    future::Future,
    sync::Arc,
};

use futures::{
    StreamExt,
    channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    runtime::{
        WatchStreamExt,
        reflector::{self, ObjectRef, Store, store::Writer},
        watcher::{self, Event},
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::watch as signal;

use crate::{
    api::{Approval, Connector, ConnectorDefinition, LeaverSource, Offboarding, OffboardingPolicy},
    controller::{approval::index::ApprovalIndex, safeguards::FirstActGuard},
    core::departures::DepartureIndex,
    drive::departures::departure,
};

/// One kind of object: its cache, and the queue of those that are to be looked at again.
pub struct Kind<K: Resource<DynamicType = ()> + 'static> {
    /// As last seen.
    pub cache: Store<K>,
    queue: UnboundedSender<ObjectRef<K>>,
    listed: signal::Receiver<bool>,
}

/// The other ends of a [`Kind`].
pub struct Ends<K: Resource<DynamicType = ()> + Clone + 'static> {
    /// What fills the cache.
    pub writer: Writer<K>,
    /// What is to be looked at.
    pub work: UnboundedReceiver<ObjectRef<K>>,
    /// Set once the first list is complete. The cache's own `wait_until_ready` wakes one of several that wait (kube 5.0).
    pub listed: signal::Sender<bool>,
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> Kind<K> {
    /// An empty cache and an empty queue.
    pub fn new() -> (Self, Ends<K>) {
        let (cache, writer) = reflector::store();
        let (queue, work) = unbounded();
        let (tell_listed, listed) = signal::channel(false);
        let kind = Self { cache, queue, listed };
        let ends = Ends {
            writer,
            work,
            listed: tell_listed,
        };
        (kind, ends)
    }

    /// `object` is to be looked at.
    pub fn tell(&self, object: &K) {
        // Nobody listens any more only while the process ends.
        self.queue.unbounded_send(ObjectRef::from_obj(object)).ok();
    }

    /// Waits until the first list is complete.
    pub async fn ready(&self) {
        // Without anybody who could tell, the process ends.
        self.listed.clone().wait_for(|listed| *listed).await.ok();
    }

    /// All are to be looked at that `which` says.
    pub fn enqueue_all(&self, which: impl Fn(&K) -> bool) {
        for object in self.cache.state().iter().filter(|object| which(object)) {
            self.tell(object);
        }
    }
}

/// What is known of one namespace.
pub struct Namespace {
    /// Leavers whose access ends now.
    pub urgent: Kind<Offboarding>,
    /// All other leavers.
    pub others: Kind<Offboarding>,
    /// Connectors.
    pub connectors: Kind<Connector>,
    /// Policies.
    pub policies: Kind<OffboardingPolicy>,
    /// HR systems.
    pub sources: Kind<LeaverSource>,
    /// Approvals.
    pub approvals: Kind<Approval>,
    /// Approvals by what they are about.
    pub approval_index: ApprovalIndex,
    /// Who leaves.
    pub departures: DepartureIndex,
    /// Whom the release's guard let through.
    pub first_acts: FirstActGuard,
}

impl Namespace {
    /// Takes in `offboarding` as it is now. Gives the uids of the others about the same person, if that is news to them.
    pub fn record_departure(&self, offboarding: &Offboarding) -> BTreeSet<String> {
        let uid = offboarding.uid().unwrap_or_default();
        self.departures.record(&uid, departure(offboarding))
    }
}

/// What is known without a call.
pub struct Caches {
    /// By name.
    pub namespaces: BTreeMap<String, Namespace>,
    /// Definitions are cluster-scoped.
    pub definitions: Kind<ConnectorDefinition>,
}

impl Caches {
    /// The Offboarding of this name, as last seen.
    pub fn offboarding(&self, namespace: &str, name: &str) -> Option<Arc<Offboarding>> {
        let caches = self.namespaces.get(namespace)?;
        let key = ObjectRef::new(name).within(namespace);
        // While its urgency changes, an object may be in both for a moment.
        let both = [caches.urgent.cache.get(&key), caches.others.cache.get(&key)];
        both.into_iter()
            .flatten()
            .max_by_key(|object| version(object.as_ref()))
    }

    /// The Offboarding with this uid and its namespace, as last seen.
    pub fn leaver(&self, uid: &str) -> Option<(&str, Arc<Offboarding>)> {
        let same = |object: &Offboarding| object.metadata.uid.as_deref() == Some(uid);
        self.namespaces.iter().find_map(|(name, caches)| {
            let found = caches.urgent.cache.find(same);
            let found = found.or_else(|| caches.others.cache.find(same))?;
            Some((name.as_str(), found))
        })
    }

    /// A Connector of this name, as last seen.
    pub fn connector(&self, namespace: &str, name: &str) -> Option<Arc<Connector>> {
        let caches = self.namespaces.get(namespace)?;
        caches
            .connectors
            .cache
            .get(&ObjectRef::new(name).within(namespace))
    }

    /// The Approval with this uid, as last seen.
    pub fn approval(&self, namespace: &str, uid: &str) -> Option<Arc<Approval>> {
        let caches = self.namespaces.get(namespace)?;
        let key = ObjectRef::new(&caches.approval_index.name(uid)?).within(namespace);
        let found = caches.approvals.cache.get(&key)?;
        (found.metadata.uid.as_deref() == Some(uid)).then_some(found)
    }

    /// Somebody said something about `leaver`: it is looked at again.
    pub fn enqueue_offboarding(&self, namespace: &str, leaver: &Offboarding) {
        if let Some(caches) = self.namespaces.get(namespace) {
            caches.urgent.tell(leaver);
            caches.others.tell(leaver);
        }
    }

    /// A `LeaverSource` of this name, as last seen.
    pub fn source(&self, namespace: &str, name: &str) -> Option<Arc<LeaverSource>> {
        let caches = self.namespaces.get(namespace)?;
        caches.sources.cache.get(&ObjectRef::new(name).within(namespace))
    }

    /// What a Connector of `namespace` means has changed: the sources that read it look again.
    pub fn enqueue_sources_of(&self, namespace: &str, connector: &str) {
        if let Some(caches) = self.namespaces.get(namespace) {
            caches
                .sources
                .enqueue_all(|source| source.spec.connector_ref.name == connector);
        }
    }

    /// What a Connector or a policy of `namespace` means has changed: everybody there looks again.
    pub fn enqueue_offboardings(&self, namespace: &str) {
        if let Some(caches) = self.namespaces.get(namespace) {
            caches.urgent.enqueue_all(|_| true);
            caches.others.enqueue_all(|_| true);
        }
    }

    /// What a Connector of `namespace` means has changed: the policies that name its facts are looked at again.
    pub fn enqueue_policies(&self, namespace: &str) {
        if let Some(caches) = self.namespaces.get(namespace) {
            caches.policies.enqueue_all(|_| true);
        }
    }

    /// A definition has changed: the Connectors that use it are looked at again.
    pub fn enqueue_connectors_of(&self, definition: &str) {
        for caches in self.namespaces.values() {
            caches.connectors.enqueue_all(|c| c.spec.definition == definition);
        }
    }

    /// Waits until every first list is complete.
    pub async fn ready(&self) {
        for namespace in self.namespaces.keys() {
            self.sources_ready_in(namespace).await;
        }
    }

    /// As [`Self::ready_in`], and of what a source needs beyond. Leavers do not wait for it.
    pub async fn sources_ready_in(&self, namespace: &str) {
        self.ready_in(namespace).await;
        if let Some(caches) = self.namespaces.get(namespace) {
            caches.sources.ready().await;
            caches.approvals.ready().await;
        }
    }

    /// Waits until the first lists of what a namespace is made of are complete. One that we may not read keeps only itself
    /// waiting.
    pub async fn ready_in(&self, namespace: &str) {
        if let Some(caches) = self.namespaces.get(namespace) {
            caches.urgent.ready().await;
            caches.others.ready().await;
            caches.connectors.ready().await;
            caches.policies.ready().await;
        }
        self.definitions_ready().await;
    }

    /// Whether the first lists of leavers and Connectors are complete: not while another operator acts.
    pub fn leavers_known(&self) -> bool {
        *self.definitions.listed.borrow()
            && self.namespaces.values().all(|namespace| {
                let lists = [
                    &namespace.urgent.listed,
                    &namespace.others.listed,
                    &namespace.connectors.listed,
                ];
                lists.iter().all(|listed| *listed.borrow())
            })
    }

    /// Whether the first lists of sources are complete: not while another operator acts.
    pub fn sources_known(&self) -> bool {
        self.namespaces
            .values()
            .all(|namespace| *namespace.sources.listed.borrow())
    }

    /// Waits until the first list of definitions is complete.
    pub async fn definitions_ready(&self) {
        self.definitions.ready().await;
    }
}

/// The order in which versions of one object were written; comparable since Kubernetes 1.35, and in etcd's numbering before.
pub fn version<K: Resource>(object: &K) -> u64 {
    object
        .meta()
        .resource_version
        .as_deref()
        .and_then(|v| v.parse().ok())
        .unwrap_or_default()
}

/// What a watch saw.
pub enum Seen<'a, K> {
    /// An object is there, new or changed.
    There(&'a K),
    /// An object is gone.
    Gone(&'a K),
    /// A list is complete; the cache holds it.
    Listed,
}

/// Fills a cache for as long as it is polled, and says what it saw once the cache holds it.
pub fn watch<K>(
    api: Api<K>,
    fields: Option<&str>,
    (writer, listed): (Writer<K>, signal::Sender<bool>),
    on: impl Fn(Seen<'_, K>) + Send + 'static,
) -> impl Future<Output = ()> + Send + 'static
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let mut config = watcher::Config::default().timeout(30);
    if let Some(fields) = fields {
        config = config.fields(fields);
    }
    let streamed = watcher::watcher(api.clone(), config.clone().streaming_lists());
    let stream = streamed
        .take_while(|event| std::future::ready(!cannot_stream(event)))
        .chain(watcher::watcher(api, config))
        .default_backoff()
        .modify(|object| object.managed_fields_mut().clear())
        .reflect(writer);
    let kind = K::kind(&()).into_owned();
    stream.for_each(move |event| {
        match event {
            Ok(Event::Apply(object)) => on(Seen::There(&object)),
            Ok(Event::Delete(object)) => on(Seen::Gone(&object)),
            Ok(Event::InitDone) => {
                // Whoever waits for the list may rest on what is made of it.
                on(Seen::Listed);
                listed.send_replace(true);
            }
            Ok(Event::Init | Event::InitApply(_)) => {}
            Err(error) => tracing::warn!(kind, error = %said(&error), "watch ended; trying again"),
        }
        std::future::ready(())
    })
}

/// Whether the API server does not know lists that are streamed: 1.33 has them switched off.
fn cannot_stream<K>(event: &watcher::Result<Event<K>>) -> bool {
    matches!(event, Err(watcher::Error::WatchStartFailed(kube::Error::Api(status))) if status.code == 422)
}

/// Why a watch ended: a status and its reason, never a body.
fn said(error: &watcher::Error) -> String {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    match error {
        WatchError(status) => format!("{} {}", status.code, status.reason),
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => match error {
            kube::Error::Api(status) => format!("{} {}", status.code, status.reason),
            _ => "no answer".to_owned(),
        },
        NoResourceVersion => "no version".to_owned(),
    }
}

/// An [`Api`] for the objects of one namespace.
pub fn api<K>(client: &Client, namespace: &str) -> Api<K>
where
    K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
{
    Api::namespaced(client.clone(), namespace)
}
