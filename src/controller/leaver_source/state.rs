//! What is kept of each source between looks, and who may make it look at once.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret as Stored;
use kube::ResourceExt;
use parking_lot::Mutex;
use tokio::{sync::Mutex as AsyncMutex, time::Instant};

use crate::{
    api::{LeaverSource, Offboarding},
    controller::{
        Context,
        runtime::{api_client::with_deadline, watch},
    },
    sources::wake::{Message, Reception, Replays},
    transport::secret::{Credentials, Secret},
};

/// A signing key is not read again before.
const KEY_LASTS: Duration = Duration::from_secs(30);
/// A shorter key could be guessed.
const SHORTEST_KEY: usize = 16;

/// All sources.
#[derive(Default)]
pub struct SourceStates {
    known: Mutex<HashMap<(String, String), Arc<SourceState>>>,
    replays: Replays,
}

/// What is kept of one source.
#[derive(Default)]
pub struct SourceState {
    /// It is to be looked at now.
    pub woken: AtomicBool,
    /// Held while a look goes on.
    pub pass: AsyncMutex<SyncState>,
    /// The source as we last wrote it. Held while its status is written: by a look, or by what sends messages beside it.
    pub written: AsyncMutex<Option<Arc<LeaverSource>>>,
    key: Mutex<Option<Key>>,
}

/// A signing key.
struct Key {
    /// None: why there is none, for a person to read.
    secret: Result<Secret, String>,
    read: Instant,
}

/// What looks leave behind.
#[derive(Default)]
pub struct SyncState {
    /// Which object and version of its spec was looked at, with which link.
    pub looked: Option<(String, i64, u64)>,
    /// When the last look began.
    pub began: Option<Instant>,
    /// When to look again though nothing changes.
    pub next: Option<Instant>,
    /// Looks in a row that did not succeed.
    pub failures: u32,
    /// Offboardings as we last wrote them, until the cache has them.
    pub made: HashMap<String, (Instant, Offboarding)>,
    /// What was told by an Event already.
    pub told: BTreeSet<String>,
    /// There is no listing of held changes.
    pub unlisted: bool,
    /// The records that could not be used, as they were told.
    pub unusable: Option<Vec<String>>,
}

impl SourceStates {
    /// What is kept of this source.
    pub fn state_of(&self, namespace: &str, name: &str) -> Arc<SourceState> {
        let mut known = self.known.lock();
        let key = (namespace.to_owned(), name.to_owned());
        known.entry(key).or_default().clone()
    }

    /// The source is gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        let mut known = self.known.lock();
        known.remove(&(namespace.to_owned(), name.to_owned()));
    }
}

impl Context {
    /// This source is to be looked at now.
    pub fn wake_source(&self, namespace: &str, name: &str) {
        let Some(source) = self.caches.source(namespace, name) else {
            return;
        };
        self.sources
            .state_of(namespace, name)
            .woken
            .store(true, Ordering::Relaxed);
        if let Some(caches) = self.caches.namespaces.get(namespace) {
            caches.sources.tell(&source);
        }
    }

    /// Wakes the source that `message` is for, if it is to be believed and one more is admitted. Asks the API server for nothing.
    pub fn wake_by_message(
        self: &Arc<Self>,
        namespace: &str,
        name: &str,
        message: Message<'_>,
        admits: impl FnOnce() -> bool,
    ) -> Reception {
        let source = self.caches.source(namespace, name);
        let source = source.filter(|source| source.spec.wake.is_some());
        let memory = source.as_ref().map(|_| self.sources.state_of(namespace, name));
        let key = memory.as_ref().and_then(|memory| memory.key());
        let replays = &self.sources.replays;
        let received = replays.receive(message, key.as_ref(), Timestamp::now(), admits);
        match received {
            Reception::Heeded => self.wake_source(namespace, name),
            Reception::TooMany => {}
            Reception::Refused => {
                if let (Some(source), Some(memory)) = (source, memory) {
                    // The key may have been renewed; the sender tries again.
                    let context = self.clone();
                    tokio::spawn(async move { memory.read_key(&context, &source).await });
                }
            }
        }
        received
    }
}

impl SourceState {
    fn key(&self) -> Option<Secret> {
        let key = self.key.lock();
        key.as_ref()?.secret.as_ref().ok().cloned()
    }

    /// What is wrong with the signing key, if anything.
    pub fn key_problem(&self) -> Option<String> {
        let key = self.key.lock();
        key.as_ref()?.secret.as_ref().err().cloned()
    }

    /// Reads the signing key of `source`, unless that was done a moment ago.
    pub async fn read_key(&self, context: &Context, source: &LeaverSource) {
        let Some(wake) = &source.spec.wake else {
            *self.key.lock() = None;
            return;
        };
        {
            let known = self.key.lock();
            if known.as_ref().is_some_and(|key| key.read.elapsed() < KEY_LASTS) {
                return;
            }
        }
        let name = &wake.secret_ref.name;
        let api = watch::api::<Stored>(&context.client, &source.namespace().unwrap_or_default());
        let secret = match with_deadline(api.get(name)).await {
            Ok(stored) => {
                let data = stored
                    .data
                    .unwrap_or_default()
                    .into_iter()
                    .map(|(key, value)| (key, value.0));
                match Credentials::from_data(data, "").get("key") {
                    Ok(key) if key.expose().len() < SHORTEST_KEY => Err(format!(
                        "spec.wake.secretRef.name: key \"key\" of Secret {name:?} is too short"
                    )),
                    Ok(key) => Ok(key.clone()),
                    Err(error) => Err(format!("spec.wake.secretRef.name: Secret {name:?}: {error}")),
                }
            }
            Err(failed) => Err(format!("spec.wake.secretRef.name: Secret {name:?}: {failed}")),
        };
        let key = Key {
            secret,
            read: Instant::now(),
        };
        *self.key.lock() = Some(key);
    }
}
