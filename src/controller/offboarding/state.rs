//! What the process remembers of each leaver between passes. All of it can be lost: the record and the systems say it again.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, atomic::AtomicBool},
};

use jiff::Timestamp;
use kube::ResourceExt;
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, oneshot};

use super::{gather::Fingerprint, store::Stored};
use crate::{
    api::Offboarding,
    core::callback::Statement,
    drive::{Memory, Record},
};

/// What is remembered of one leaver.
#[derive(Default)]
pub struct LeaverState {
    /// Held for a whole pass: two passes over one leaver never overlap, whichever queue they came from.
    pub pass: AsyncMutex<State>,
    /// The Offboarding was made while we watched, so that nobody can have written a record for it yet.
    pub new: AtomicBool,
    /// A pass found messages that are to be sent.
    pub notify_pending: AtomicBool,
    /// What systems said about what they were asked for, until a pass has taken it into the record.
    pub callbacks: Mutex<Vec<PendingCallback>>,
    /// Security facts that are wanted and not proven, by connector.
    pub access_left: Mutex<BTreeMap<String, usize>>,
}

/// A statement of a system, and who waits until it is durable.
pub struct PendingCallback {
    /// The statement.
    pub statement: Statement,
    /// Dropped when it was not taken: then it has to be said again.
    pub durable: oneshot::Sender<()>,
}

/// What one pass leaves to the next.
#[derive(Default)]
pub struct State {
    /// Of the drive loop.
    pub memory: Memory,
    /// The record with its version; absent when it has to be read.
    pub record: Option<(Record, Option<Stored>)>,
    /// The object as the API server answered our last write, until the cache has caught up.
    pub written: Option<Arc<Offboarding>>,
    /// What the last reconcile was made of; none: the next one is due at once.
    pub fingerprint: Option<Fingerprint>,
    /// A reconcile of it was begun in this process.
    pub visited: bool,
    /// When the next pass is due though nothing changes.
    pub next: Option<Timestamp>,
    /// The version of the link by row.
    pub links: BTreeMap<String, u64>,
    /// Failures of the pass as a whole, in a row.
    pub failures: u32,
}

/// All leavers that were looked at, by uid.
#[derive(Default)]
pub struct LeaverStates {
    known: Mutex<HashMap<String, Arc<LeaverState>>>,
}

impl LeaverStates {
    /// The leaver `uid`.
    pub fn state_of(&self, uid: &str) -> Arc<LeaverState> {
        let mut known = self.known.lock();
        known.entry(uid.to_owned()).or_default().clone()
    }

    /// A watch showed `offboarding` after the first list was complete. Whoever acted before us had stopped by then.
    pub fn appeared(&self, offboarding: &Offboarding) {
        let untouched = offboarding.metadata.generation == Some(1)
            && offboarding
                .status
                .as_ref()
                .is_none_or(|status| status.evidence.is_none());
        let mut known = self.known.lock();
        known
            .entry(offboarding.uid().unwrap_or_default())
            .or_insert_with(|| {
                Arc::new(LeaverState {
                    new: AtomicBool::new(untouched),
                    ..LeaverState::default()
                })
            });
    }

    /// Drops what is remembered of a leaver that is gone, unless a pass over it still goes on: the lock must outlive that.
    pub fn forget(&self, uid: &str) {
        let mut known = self.known.lock();
        if known
            .get(uid)
            .is_some_and(|leaver| Arc::strong_count(leaver) == 1)
        {
            known.remove(uid);
        }
    }

    /// Security facts that are wanted and not proven, by connector, over all leavers.
    pub fn left(&self) -> BTreeMap<String, usize> {
        let known: Vec<_> = {
            let known = self.known.lock();
            known.values().cloned().collect()
        };
        let mut total = BTreeMap::new();
        for leaver in known {
            let left = leaver.access_left.lock();
            for (connector, count) in left.iter() {
                *total.entry(connector.clone()).or_default() += count;
            }
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use serde_json::json;

    use super::*;

    fn offboarding(uid: &str, generation: i64, evidence: bool) -> Offboarding {
        let mut offboarding: Offboarding = serde_json::from_value(json!({
            "metadata": {"name": "jane", "uid": uid, "generation": generation},
            "spec": {"employee": {"email": "jane@x.org"}, "lastDay": "2026-09-30"},
            "status": {"observedGeneration": -1},
        }))
        .unwrap();
        if evidence && let Some(status) = &mut offboarding.status {
            status.evidence = serde_json::from_value(json!({"record": "jane-0f3c11aa"})).unwrap();
        }
        offboarding
    }

    fn new(leavers: &LeaverStates, uid: &str) -> bool {
        leavers.state_of(uid).new.load(Ordering::Relaxed)
    }

    #[test]
    fn only_what_was_made_while_we_watched_has_no_record() {
        let leavers = LeaverStates::default();
        leavers.state_of("listed");
        leavers.appeared(&offboarding("listed", 1, false));
        leavers.appeared(&offboarding("changed", 2, false));
        leavers.appeared(&offboarding("driven", 1, true));
        leavers.appeared(&offboarding("made", 1, false));
        assert!(!new(&leavers, "listed") && !new(&leavers, "changed") && !new(&leavers, "driven"));
        assert!(new(&leavers, "made"));
    }
}
