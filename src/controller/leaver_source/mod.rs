//! Reads HR systems and keeps their leavers' Offboardings.
//!
//! # Why
//! The order of one look: read everybody, decide, compare with what is there, ask the guard, write down what the guard lets
//! through, and only then write Offboardings. A process that dies in between finds in the status what it was about to do.
//!
//! A source's Offboardings are compared with the cache and with what was last written here; whatever is to be changed is
//! read anew first, with its managed fields, because what Git owns is never written.

mod compare;
mod conditions;
mod listing;
mod reading;
mod release;
mod state;
mod status;
mod write;

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use kube::{ResourceExt, runtime::controller::Action};
use tokio::time::Instant;

use self::{
    conditions::{Findings, SyncPhase},
    listing::Listing,
    release::Judged,
    state::SyncState,
};
use super::{
    Context,
    connector::registry::Login,
    notification::Notifiable,
    runtime::{
        api_client::ApiError,
        events::{self, News},
        requeue::{jittered, seed, wait},
        watch::version,
    },
};
use crate::{
    api::{LeaverSource, Offboarding},
    core::{
        guard::{self, State, Tripped},
        leavers::{
            compare::{Change, Compared},
            undated::FirstSeen,
        },
        people::Census,
        schedule,
    },
    sources::{
        look::Seen,
        offboarding::SOURCE,
        settings::Settings,
        status::{first_seen, remembered, undated, written},
    },
};

pub use conditions::write;
pub use state::{SourceState, SourceStates};

/// The shortest time between two looks, whoever asks for one.
const BETWEEN: Duration = Duration::from_secs(5);
/// So many Offboardings are written before it is shown how far it is.
const BATCH: usize = 100;

/// Looks at one source, if it is time to.
pub async fn reconcile(source: Arc<LeaverSource>, context: Arc<Context>) -> Result<Action, ApiError> {
    let namespace = source.namespace().unwrap_or_default();
    context.caches.sources_ready_in(&namespace).await;
    let memory = context.sources.state_of(&namespace, &source.name_any());
    let mut pass = memory.pass.lock().await;
    let work = SourceSync::new(&context, &memory, &mut pass, &namespace, &source.name_any()).await;
    let Some(mut work) = work else {
        return Ok(Action::await_change());
    };
    work.tell();
    if let Ok(looked) = AssertUnwindSafe(work.run()).catch_unwind().await {
        return looked;
    }
    // A bug of ours with one source must not take the others along.
    tracing::error!(source = source.uid(), "a look at a source panicked");
    pass.failures = pass.failures.saturating_add(1);
    let pause = schedule::backoff_for_a_person(pass.failures, seed(&namespace));
    pass.next = Some(Instant::now() + wait(pause));
    Ok(Action::requeue(wait(pause)))
}

/// Whether what the feed shows is believed, however much of it waits.
fn believed(state: &State) -> bool {
    !matches!(
        state.tripped,
        Some(Tripped::Empty | Tripped::Shrunken | Tripped::Stale)
    )
}

struct SourceSync<'a> {
    context: &'a Arc<Context>,
    memory: &'a SourceState,
    pass: &'a mut SyncState,
    namespace: String,
    source: Arc<LeaverSource>,
}

impl<'a> SourceSync<'a> {
    /// None when the source is gone.
    async fn new(
        context: &'a Arc<Context>,
        memory: &'a SourceState,
        pass: &'a mut SyncState,
        namespace: &str,
        name: &str,
    ) -> Option<Self> {
        let cached = context.caches.source(namespace, name)?;
        // The guard's memory is in the status: never from a version that is older than our own last write.
        let mut written = memory.written.lock().await;
        *written = written.take().filter(|written| {
            written.uid() == cached.uid() && version(written.as_ref()) > version(cached.as_ref())
        });
        let source = written.clone().unwrap_or(cached);
        drop(written);
        let there = source.metadata.deletion_timestamp.is_none() && context.acts();
        there.then(|| Self {
            context,
            memory,
            pass,
            namespace: namespace.to_owned(),
            source,
        })
    }

    async fn run(&mut self) -> Result<Action, ApiError> {
        if self.source.spec.suspend {
            return self
                .rest(SyncPhase::Suspended, "Suspended", "spec.suspend is set")
                .await;
        }
        let settings = match Settings::read(&self.source.spec) {
            Ok(settings) => Arc::new(settings),
            Err(invalid) => {
                return self
                    .rest(SyncPhase::Stalled, "Invalid", &invalid.to_string())
                    .await;
            }
        };
        self.memory.read_key(self.context, &self.source).await;
        let readable = self.readable().await;
        let revision = readable.as_ref().map_or(0, |(made, _)| made.revision);
        let generation = self.source.metadata.generation.unwrap_or_default();
        let looked = Some((self.source.uid().unwrap_or_default(), generation, revision));
        if let Some(pause) = self.not_yet(self.pass.looked == looked) {
            return Ok(Action::requeue(pause));
        }
        self.memory.woken.store(false, Ordering::Relaxed);
        self.pass.looked = looked;
        self.pass.began = Some(Instant::now());
        let (made, people) = match readable {
            Ok(readable) => readable,
            Err(text) => {
                self.say(SyncPhase::Stalled, "ConnectorNotReady", &text).await?;
                let pause = schedule::backoff_for_a_person(self.failed(), self.seed());
                return Ok(self.again(pause));
            }
        };
        let census = match self.read(people.as_ref()).await {
            Ok(census) => census,
            Err(fault) => return self.unread(&made, &fault).await,
        };
        let name = &self.source.spec.connector_ref.name;
        self.context
            .connectors
            .record_login(&self.namespace, name, made.revision, Login::Good)
            .await;
        match self.follow(&settings, census).await {
            Ok(()) => {
                self.pass.failures = 0;
                let every = SignedDuration::try_from(jittered(settings.every)).unwrap_or(settings.every);
                Ok(self.again(every))
            }
            Err(failed) => {
                tracing::warn!(source = self.source.uid(), %failed, "a look was not finished; trying again");
                let pause = schedule::backoff(self.failed(), self.seed());
                Ok(self.again(pause))
            }
        }
    }

    fn seed(&self) -> u64 {
        seed(&self.source.uid().unwrap_or_default())
    }

    /// One more failure in a row.
    fn failed(&mut self) -> u32 {
        self.pass.failures = self.pass.failures.saturating_add(1);
        self.pass.failures - 1
    }

    fn again(&mut self, pause: SignedDuration) -> Action {
        self.pass.next = Some(Instant::now() + wait(pause));
        if self.memory.woken.load(Ordering::Relaxed) {
            return Action::requeue(BETWEEN);
        }
        Action::requeue(wait(pause))
    }

    /// How long to wait before the next look; none when it is time for one.
    fn not_yet(&self, unchanged: bool) -> Option<Duration> {
        let now = Instant::now();
        let woken = self.memory.woken.load(Ordering::Relaxed);
        let until = match self.pass.next {
            _ if !unchanged => None,
            Some(next) if !woken => Some(next),
            _ => self.pass.began.map(|began| began + BETWEEN),
        };
        until.filter(|until| *until > now).map(|until| until - now)
    }

    /// Nothing to do until somebody changes the source.
    async fn rest(&mut self, phase: SyncPhase, reason: &'static str, text: &str) -> Result<Action, ApiError> {
        self.pass.looked = None;
        self.say(phase, reason, text).await?;
        Ok(Action::await_change())
    }

    /// Follows what the census shows.
    async fn follow(&mut self, settings: &Arc<Settings>, census: Census) -> Result<(), ApiError> {
        let now = Timestamp::now();
        let judging = settings.clone();
        let before = self
            .source
            .status
            .as_ref()
            .map(|status| first_seen(&status.undated));
        let before = before.unwrap_or_default();
        let seen = tokio::task::spawn_blocking(move || Seen::of(census, &judging, &before, now)).await;
        let seen = seen.map_err(|_| ApiError::Unreadable)?;
        let (mut compared, read) = self.compare(&seen, settings, now).await;
        let state = self.guard_state();
        let lines: Vec<String> = compared.changes.iter().map(Change::line).collect();
        let members = self.members(&compared);
        let judged = self.judge(&state, settings, &seen, &lines, &members, now).await;
        let passing = |(change, passes): (&'_ Change, &bool)| passes.then(|| change.clone());
        let passing: Vec<Change> = compared
            .changes
            .iter()
            .zip(&judged.passage.passes)
            .filter_map(passing)
            .collect();
        let mut state = judged.passage.state.clone();
        if !believed(&state) {
            compared.disbelieved();
        }
        if !passing.is_empty() {
            self.write_down(&state, &seen.first_seen).await?;
        }
        let written = [passing.as_slice(), compared.corrections.as_slice()].concat();
        let refused = self.make(&written, &read, &mut state).await;
        if !self.context.acts() {
            return Err(ApiError::Conflict);
        }
        self.ask(&compared, &written, &read).await;
        self.conclude(settings, &seen, &compared, &judged, &state, refused, now)
            .await
    }

    /// What the guard remembers. A source that was made anew has forgotten it, but what one of its name did is there.
    fn guard_state(&mut self) -> State {
        let status = self.source.status.as_ref();
        if let Some(guard) = status.and_then(|status| status.guard.as_ref()) {
            return remembered(guard);
        }
        let name = self.source.name_any();
        State::new(
            self.there()
                .values()
                .any(|one| one.annotations().get(SOURCE) == Some(&name)),
        )
    }

    /// Makes `changes`; how many were refused.
    async fn make(
        &mut self,
        changes: &[Change],
        read: &BTreeMap<String, Offboarding>,
        state: &mut State,
    ) -> usize {
        let mut refused = 0;
        for (at, batch) in changes.chunks(BATCH).enumerate() {
            if at > 0 {
                self.progress(at * BATCH, changes.len()).await;
            }
            let batch: Vec<&Change> = batch.iter().collect();
            let approved = |change: &Change| guard::is_released(state, &change.line());
            let outcome = write::make(self.context, &self.source, &batch, read, approved).await;
            *state = guard::done(state, &outcome.done);
            refused += outcome.failed;
            for made in outcome.made {
                self.pass.made.insert(made.name_any(), (Instant::now(), made));
            }
        }
        refused
    }

    /// What the guard remembers, and since when people have left, becomes durable. Nothing may be written before.
    async fn write_down(&mut self, state: &State, first_seen: &FirstSeen) -> Result<(), ApiError> {
        let mut held = self.hold().await?;
        let mut status = self.source.status.clone().unwrap_or_default();
        status.guard = Some(written(state));
        status.undated = undated(first_seen);
        self.write(&mut held, &status).await
    }

    async fn progress(&mut self, done: usize, all: usize) {
        let text = format!("{done} of {all} Offboardings written");
        self.say(SyncPhase::Progressing, "Writing", &text).await.ok();
    }

    #[expect(clippy::too_many_arguments, reason = "everything that a look found")]
    async fn conclude(
        &mut self,
        settings: &Settings,
        seen: &Seen,
        compared: &Compared,
        judged: &Judged,
        state: &State,
        refused: usize,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let waiting: Vec<&Change> = compared
            .changes
            .iter()
            .zip(&judged.passage.passes)
            .filter_map(|(change, passes)| (!passes).then_some(change))
            .collect();
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let today = settings.rules(now).today;
        let passed = compared
            .changes
            .iter()
            .zip(&judged.passage.passes)
            .filter(|(_, passes)| **passes);
        let created = passed.filter(|(change, _)| change.ahead(today)).count();
        let mut counts = seen.counts.clone();
        counts.held = number(waiting.len());
        counts.asked = number(compared.asks.len());
        counts.upcoming = compared.upcoming.saturating_add(number(created));
        let guard = written(state);
        // Before the status names the set: whoever reads of it finds who is in it.
        let limits = state.limits.as_ref().unwrap_or(&settings.limits);
        let loosened = limits.loosened(&settings.limits);
        let unlisted = self.list(state, seen, &waiting, &loosened).await;
        let said = conditions::synced(&Findings {
            unusable: &seen.unusable,
            zoneless: &seen.zoneless,
            records: seen.records,
            degraded: settings.too_many_unusable(seen.unusable.len(), seen.records),
            asks: &compared.asks,
            refused,
            key: self.memory.key_problem(),
            guard: &guard,
            held: &waiting,
            loosened: &loosened,
            most: judged.passage.room,
            window: format!("{:#}", limits.window),
            listing: Listing {
                namespace: &self.namespace,
                source: &self.source.name_any(),
                failed: unlisted,
            },
            denied: judged.denied,
            untrusted: judged.untrusted,
        });
        let mut held = self.hold().await?;
        let before = self.source.status.clone().unwrap_or_default();
        let mut status = conditions::status(&self.source, &said, now);
        let believed = believed(state);
        if believed {
            status.synced = Some(now);
            status.undated = undated(&seen.first_seen);
        }
        let news = guard.held != before.guard.as_ref().and_then(|g| g.held.clone())
            || guard.tripped != before.guard.as_ref().and_then(|g| g.tripped.clone());
        status.guard = Some(guard);
        status.counts = Some(counts);
        if state.tripped.is_some() {
            status.notified = self.notices(&status, &said.message, now);
        }
        if conditions::worth_writing(&before, &status, settings.limits.window, now) {
            self.write(&mut held, &status).await?;
        }
        drop(held);
        self.tell();
        if believed {
            self.context
                .metrics
                .synced(&self.namespace, &self.source.name_any(), now);
        }
        self.tell_of_unusable(seen).await;
        if state.tripped.is_some() && news {
            let news = News::warning("GuardTripped", said.message);
            events::tell(self.context, self.source.as_ref(), LeaverSource::ACTION, news).await;
        }
        Ok(())
    }
}
