//! The shell around the drive loop in a cluster: what is watched, what a reconcile is made of, and what it writes.
//!
//! | module | what it does |
//! |---|---|
//! | [`offboarding`] | one Offboarding: gather, validate, drive, report, patch, announce; its record; callbacks about it |
//! | [`leaver_source`] | HR systems read, their leavers' Offboardings kept |
//! | [`connector`] | Connector + definition + Secret → a connector that can be driven; programs of `job` definitions as Jobs |
//! | [`definition`], [`policy`] | whether they can be used |
//! | [`approval`] | Approvals: which is about what, whether the cluster vouches for who made it, what became of it |
//! | [`notification`] | messages: what is due, and what became of it |
//! | [`safeguards`] | what the release demands of people, whatever policies say |
//! | [`runtime`] | watches, caches and workers; calls with deadlines; the one writer of statuses; the lease, Events, metrics |
//!
//! It decides nothing about systems: that is [`crate::core::plan`], driven by [`crate::drive`].

pub mod approval;
pub mod connector;
pub mod definition;
pub mod leaver_source;
pub mod notification;
pub mod offboarding;
pub mod policy;
pub mod runtime;
pub mod safeguards;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use kube::{Client, runtime::events::Recorder};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use self::{
    approval::trust::Policies,
    connector::registry::ConnectorRegistry,
    leaver_source::SourceStates,
    notification::Notifier,
    offboarding::state::LeaverStates,
    runtime::{heartbeat::Heartbeat, lease::Tenure, metrics::Metrics, watch::Caches},
    safeguards::ReleaseSafeguards,
};

pub use runtime::Operator;

/// Everything that passes share.
pub struct Context {
    /// For all calls.
    pub client: Client,
    /// What is known without a call.
    pub caches: Caches,
    /// Connectors that are in use.
    pub connectors: ConnectorRegistry,
    /// What is remembered of leavers.
    pub leavers: LeaverStates,
    /// What is remembered of HR systems.
    pub sources: SourceStates,
    /// What is counted.
    pub metrics: Metrics,
    /// What sends messages.
    pub notices: Notifier,
    /// For Events.
    pub recorder: Recorder,
    /// What is demanded of people.
    pub safeguards: ReleaseSafeguards,
    /// The admission policies that are relied on.
    pub policies: Policies,
    /// Whether this process may act.
    pub tenure: Arc<Tenure>,
    /// Whether work goes on.
    pub heartbeat: Heartbeat,
    /// Passes over leavers who are not urgent, that go on at the same time and are not slow.
    lanes: Semaphore,
    ready: AtomicBool,
    stop: AtomicBool,
    revisions: Mutex<HashMap<(String, String), u64>>,
}

impl Context {
    /// Whether the process was told to end.
    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether work may be begun and sent: not while stopping, nor without the lease.
    pub fn acts(&self) -> bool {
        !self.stopping() && !self.tenure.over()
    }

    /// Whether every first list is complete, or somebody else acts.
    pub fn ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Somebody else acts; nothing is wrong with waiting.
    pub fn stand_by(&self, waiting: bool) {
        self.ready.store(waiting, Ordering::Relaxed);
    }

    /// Whether the link of this connector is another one than when this was last asked.
    fn link_changed(&self, namespace: &str, connector: &str, revision: u64) -> bool {
        let mut known = self.revisions.lock();
        known.insert((namespace.to_owned(), connector.to_owned()), revision) != Some(revision)
    }

    /// Something was found out about a Connector.
    fn look_at_connector(&self, namespace: &str, name: &str) {
        let connector = self.caches.connector(namespace, name);
        if let (Some(connector), Some(caches)) = (connector, self.caches.namespaces.get(namespace)) {
            caches.connectors.tell(&connector);
        }
    }

    /// The metrics as text.
    pub fn metrics(&self) -> String {
        let mut states = BTreeMap::<String, usize>::new();
        for caches in self.caches.namespaces.values() {
            for leaver in caches
                .urgent
                .cache
                .state()
                .iter()
                .chain(&caches.others.cache.state())
            {
                let conditions = leaver.status.iter().flat_map(|s| &s.conditions);
                let ready = conditions.into_iter().find(|c| c.type_ == "Ready");
                let state = ready.map_or("NotObserved", |c| c.reason.as_str());
                *states.entry(state.to_owned()).or_default() += 1;
            }
        }
        self.metrics.text(states, self.leavers.left())
    }
}
