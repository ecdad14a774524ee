//! Reads HR systems and keeps their leavers' Offboardings.
//!
//! # Why
//! The order of one look: read everybody, decide, compare with what is there, ask the guard, write down what the guard lets
//! through, and only then write Offboardings. A process that dies in between finds in the status what it was about to do.
//!
//! A source's Offboardings are compared with the cache and with what was last written here; whatever is to be changed is
//! read anew first, with its managed fields, because what Git owns is never written.

mod memory;
mod say;
mod write;

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use kube::{Api, ResourceExt, runtime::controller::Action};
use tokio::{
    sync::MutexGuard,
    time::{Instant, timeout},
};

use self::{
    memory::Pass,
    say::{Findings, Mood, Said},
};
use super::{
    Context,
    approvals::{self, approvals_trusted_now},
    call::Failed,
    events::{self, News},
    gather,
    links::{Login, Made},
    notices::{self, Told},
    pause::{jittered, seed, wait},
    votes::{self, About},
    watch::{self, version},
};
use crate::{
    api::{
        Condition, ConditionStatus, LeaverSource, LeaverSourceStatus, Offboarding, offboarding::Notice,
        policy::NotifyRule,
    },
    connectors::People,
    core::{
        fault::{Fault, FaultKind, Reason},
        gate,
        guard::{self, Passage, State, Tripped},
        leavers::compare::{Change, Compared, Kind},
        people::{Census, Reach},
        schedule,
    },
    notify::due,
    sources::{
        look::{Seen, remembered, written},
        offboarding::{ASKS, asking, known, taken_over},
        settings::Settings,
    },
};

pub use memory::{Memory, Sources};
pub use say::write;

/// Reading everybody may take so long.
const READING: Duration = Duration::from_mins(10);
/// The shortest time between two looks, whoever asks for one.
const BETWEEN: Duration = Duration::from_secs(5);
/// Reading that takes longer is shown.
const SLOW: Duration = Duration::from_secs(3);
/// So many Offboardings are written before it is shown how far it is.
const BATCH: usize = 100;
/// How long what was written is believed to be there though the cache does not have it.
const LAG: Duration = Duration::from_mins(1);

/// Looks at one source, if it is time to.
pub async fn source(source: Arc<LeaverSource>, context: Arc<Context>) -> Result<Action, Failed> {
    let namespace = source.namespace().unwrap_or_default();
    context.caches.sources_ready_in(&namespace).await;
    let memory = context.sources.of(&namespace, &source.name_any());
    let mut pass = memory.pass.lock().await;
    let work = Work::new(&context, &memory, &mut pass, &namespace, &source.name_any()).await;
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

/// The source as last written, while nobody else writes its status.
type Held<'a> = MutexGuard<'a, Option<Arc<LeaverSource>>>;

struct Work<'a> {
    context: &'a Arc<Context>,
    memory: &'a Memory,
    pass: &'a mut Pass,
    namespace: String,
    source: Arc<LeaverSource>,
}

/// A connector whose people can be read, or what is to be said instead.
type Readable = Result<(Arc<Made>, Arc<dyn People>), String>;

impl<'a> Work<'a> {
    /// None when the source is gone.
    async fn new(
        context: &'a Arc<Context>,
        memory: &'a Memory,
        pass: &'a mut Pass,
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

    async fn run(&mut self) -> Result<Action, Failed> {
        if self.source.spec.suspend {
            return self.rest(Mood::Resting, "Suspended", "spec.suspend is set").await;
        }
        let settings = match Settings::read(&self.source.spec) {
            Ok(settings) => Arc::new(settings),
            Err(invalid) => return self.rest(Mood::Stalled, "Invalid", &invalid.to_string()).await,
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
                self.say(Mood::Stalled, "ConnectorNotReady", &text).await?;
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
            .links
            .note(&self.namespace, name, made.revision, Login::Good)
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
    async fn rest(&mut self, mood: Mood, reason: &'static str, text: &str) -> Result<Action, Failed> {
        self.pass.looked = None;
        self.say(mood, reason, text).await?;
        Ok(Action::await_change())
    }

    async fn say(&mut self, mood: Mood, reason: &'static str, text: &str) -> Result<(), Failed> {
        let said = Said {
            mood,
            reason,
            message: text.to_owned(),
        };
        let written = async {
            let mut held = self.hold().await?;
            let status = say::status(&self.source, &said, Timestamp::now());
            self.write(&mut held, &status).await
        };
        match written.await {
            // Gone, or changed: the watch says so, and it is looked at again then.
            Err(Failed::NotFound | Failed::Conflict) => Ok(()),
            written => written,
        }
    }

    /// From now on nobody else writes the status: what was told since the look began is in [`Self::source`].
    async fn hold(&mut self) -> Result<Held<'a>, Failed> {
        let held = self.memory.written.lock().await;
        let newer = held.as_ref().filter(|written| {
            written.uid() == self.source.uid() && version(written.as_ref()) > version(self.source.as_ref())
        });
        if let Some(newest) = newer {
            let guard =
                |source: &LeaverSource| source.status.as_ref().and_then(|status| status.guard.clone());
            // Who told found another spec, or another operator's memory: this look is about something else.
            if newest.metadata.generation != self.source.metadata.generation
                || guard(newest) != guard(&self.source)
            {
                return Err(Failed::Conflict);
            }
            self.source = newest.clone();
        }
        Ok(held)
    }

    async fn write(&mut self, held: &mut Held<'a>, status: &LeaverSourceStatus) -> Result<(), Failed> {
        if self.source.status.as_ref() != Some(status) {
            self.source = say::write(self.context, &self.source, status).await?;
            **held = Some(self.source.clone());
        }
        Ok(())
    }

    /// Sees to it that messages are sent beside the look, if there are any.
    fn tell(&self) {
        if due::open(self.source.entries()) {
            notices::take_up(self.context, self.source.as_ref());
        }
    }

    async fn readable(&self) -> Readable {
        let name = &self.source.spec.connector_ref.name;
        let Some(connector) = self.context.caches.connector(&self.namespace, name) else {
            return Err(format!(
                "spec.connectorRef.name: there is no Connector {name:?} in this namespace: create it"
            ));
        };
        let made = gather::make(self.context, &self.context.links, &connector).await;
        if made.reason != "Valid" {
            return Err(format!("{name}: {}", made.text));
        }
        match made.people.clone() {
            Some(people) => Ok((made, people)),
            None => Err(format!(
                "{name}: its definition {:?} lists no people",
                connector.spec.definition
            )),
        }
    }

    /// All people; shown if that takes long and nothing good is shown yet.
    async fn read(&mut self, people: &dyn People) -> Result<Census, Fault> {
        let late = || Fault::transient(Reason::Timeout);
        let mut reading = people.census(Reach::Everyone);
        if let Ok(read) = timeout(SLOW, &mut reading).await {
            return read;
        }
        let ready = self
            .source
            .status
            .iter()
            .flat_map(|s| &s.conditions)
            .any(|c| c.type_ == "Ready" && c.status == ConditionStatus::True);
        if !ready {
            let text = format!("{}: reading everybody", self.source.spec.connector_ref.name);
            self.say(Mood::Working, "Reading", &text).await.ok();
        }
        timeout(READING, reading).await.unwrap_or_else(|_| Err(late()))
    }

    async fn unread(&mut self, made: &Made, fault: &Fault) -> Result<Action, Failed> {
        let name = self.source.spec.connector_ref.name.clone();
        let login = match fault.reason {
            Reason::CredentialRejected => Some(Login::Refused),
            Reason::Untrusted => Some(Login::Untrusted),
            _ => None,
        };
        if let Some(login) = login
            && self
                .context
                .links
                .note(&self.namespace, &name, made.revision, login)
                .await
        {
            self.context.look_at_connector(&self.namespace, &name);
        }
        let code = if fault.code.is_empty() {
            String::new()
        } else {
            format!(" ({})", fault.code)
        };
        let text = format!(
            "{name}: the people could not be read: {}{code}",
            fault.reason.as_str()
        );
        self.say(Mood::Trying, "FetchFailed", &text).await?;
        let pause = match fault.kind {
            FaultKind::Throttled { until } => until
                .duration_since(Timestamp::now())
                .max(SignedDuration::from_secs(1)),
            FaultKind::Permanent | FaultKind::NeedsDecision => {
                schedule::backoff_for_a_person(self.failed(), self.seed())
            }
            _ => schedule::backoff(self.failed(), self.seed()),
        };
        Ok(self.again(pause))
    }

    /// Follows what the census shows.
    async fn follow(&mut self, settings: &Arc<Settings>, census: Census) -> Result<(), Failed> {
        let now = Timestamp::now();
        let judging = settings.clone();
        let seen = tokio::task::spawn_blocking(move || Seen::of(census, &judging, now)).await;
        let seen = seen.map_err(|_| Failed::Unreadable)?;
        let (compared, read) = self.compare(&seen, settings, now).await;
        let state = remembered(
            &self
                .source
                .status
                .clone()
                .unwrap_or_default()
                .guard
                .unwrap_or_default(),
        );
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
        let mut refused = 0;
        if !passing.is_empty() {
            self.write_down(&state).await?;
            for (at, batch) in passing.chunks(BATCH).enumerate() {
                if at > 0 {
                    self.progress(at * BATCH, passing.len()).await;
                }
                let batch: Vec<&Change> = batch.iter().collect();
                let outcome = write::make(self.context, &self.source, &batch, &read).await;
                state = guard::done(&state, &outcome.done);
                refused += outcome.failed;
                for made in outcome.made {
                    self.pass.made.insert(made.name_any(), (Instant::now(), made));
                }
            }
        }
        if !self.context.acts() {
            return Err(Failed::Conflict);
        }
        self.ask(&compared, &passing).await;
        self.conclude(settings, &seen, &compared, &judged, &state, refused, now)
            .await
    }

    /// Compares with what is there. What is to be changed is read anew, and what somebody else has made theirs is not ours.
    async fn compare(
        &mut self,
        seen: &Seen,
        settings: &Settings,
        now: Timestamp,
    ) -> (Compared, BTreeMap<String, Offboarding>) {
        let name = self.source.name_any();
        let there = self.there();
        let mut all: BTreeMap<String, _> = there
            .iter()
            .map(|(key, one)| (key.clone(), known(one, &name, now)))
            .collect();
        let list = |all: &BTreeMap<String, _>| all.values().cloned().collect::<Vec<_>>();
        let compared = seen.compared(&list(&all), settings);
        let changed = compared
            .changes
            .iter()
            .filter(|change| change.kind != Kind::Create);
        let kinds: BTreeMap<String, Kind> = changed.map(|c| (c.name.clone(), c.kind)).collect();
        if kinds.is_empty() {
            return (compared, BTreeMap::new());
        }
        let read = write::fresh(self.context, &self.namespace, kinds.keys().cloned().collect()).await;
        for (key, kind) in kinds {
            match read.get(&key) {
                Some(one) => {
                    let mut newest = known(one, &name, now);
                    newest.person = newest.person.filter(|_| !taken_over(one, kind));
                    all.insert(key, newest);
                }
                None => drop(all.remove(&key)),
            }
        }
        (seen.compared(&list(&all), settings), read)
    }

    /// The Offboardings of the namespace: as cached, or as last written here.
    fn there(&mut self) -> BTreeMap<String, Arc<Offboarding>> {
        let mut there = BTreeMap::<String, Arc<Offboarding>>::new();
        if let Some(caches) = self.context.caches.namespaces.get(&self.namespace) {
            for one in caches
                .urgent
                .cache
                .state()
                .into_iter()
                .chain(caches.others.cache.state())
            {
                let newer = there
                    .get(&one.name_any())
                    .is_none_or(|known| version(known.as_ref()) < version(one.as_ref()));
                if newer {
                    there.insert(one.name_any(), one);
                }
            }
        }
        self.pass.made.retain(|name, (at, made)| match there.get(name) {
            Some(known) => version(known.as_ref()) < version(made),
            None => at.elapsed() < LAG,
        });
        for (name, (_, made)) in &self.pass.made {
            there.insert(name.clone(), Arc::new(made.clone()));
        }
        there
    }

    /// The names of everybody whom a change is about, as people know them.
    fn members(&mut self, compared: &Compared) -> Vec<String> {
        if compared.changes.is_empty() {
            return vec![];
        }
        let there = self.there();
        let mut names = vec![];
        for change in &compared.changes {
            let employee = there.get(&change.name).map(|one| &one.spec.employee);
            names.extend(employee.and_then(|e| e.email.clone()));
            names.extend(employee.and_then(|e| e.employee_id.clone()));
            names.extend(
                employee
                    .iter()
                    .flat_map(|e| &e.accounts)
                    .map(|account| account.name.clone()),
            );
            let worker = change.leaving.as_ref().map(|leaving| &leaving.worker);
            names.extend(worker.and_then(|worker| worker.email.clone()));
            names.extend(worker.and_then(|worker| worker.employee_id.clone()));
        }
        names
    }

    async fn judge(
        &self,
        state: &State,
        settings: &Settings,
        seen: &Seen,
        lines: &[String],
        members: &[String],
        now: Timestamp,
    ) -> Judged {
        let judge = |approved: Option<&str>| {
            guard::judge(
                state,
                &settings.limits,
                &seen.feed,
                lines,
                |d| Some(d) == approved,
                now,
            )
        };
        let passage = judge(None);
        let mut judged = Judged {
            passage,
            denied: false,
            untrusted: false,
        };
        let Some(held) = judged.passage.state.held.clone() else {
            return judged;
        };
        match self.vote(&held, members).await {
            Voted::Nobody => {}
            Voted::No => judged.denied = true,
            Voted::Untrusted => judged.untrusted = true,
            Voted::Yes => judged.passage = judge(Some(&held)),
        }
        judged
    }

    /// What people say about the set of this digest, in which are these `members`.
    async fn vote(&self, held: &str, members: &[String]) -> Voted {
        let Some(caches) = self.context.caches.namespaces.get(&self.namespace) else {
            return Voted::Nobody;
        };
        let about = About::source(&self.source);
        let votes = votes::votes(caches, &self.namespace, &about);
        if votes.is_empty() {
            return Voted::Nobody;
        }
        // Who has an Offboarding at all has an interest, whenever it ends their access.
        let leaving = caches.leaving.among(&votes, "", Timestamp::MAX);
        let partial = [members, &leaving].concat();
        let standing = guard::count(held, &votes, &partial, Timestamp::now());
        if !standing.counted.is_empty() && !approvals_trusted_now(self.context).await {
            return Voted::Untrusted;
        }
        approvals::show(self.context, &self.namespace, &standing).await;
        match standing.state {
            gate::State::Denied => return Voted::No,
            gate::State::Open => {}
            gate::State::Waiting | gate::State::Expired => return Voted::Nobody,
        }
        for vote in votes.iter().filter(|vote| standing.counted.contains(&vote.id)) {
            // The cache may not know yet that it was taken back.
            if votes::stands(self.context, &self.namespace, &about, vote).await == Ok(true) {
                return Voted::Yes;
            }
        }
        Voted::Nobody
    }

    /// The guard's memory becomes durable. Nothing may be written before.
    async fn write_down(&mut self, state: &State) -> Result<(), Failed> {
        let mut held = self.hold().await?;
        let mut status = self.source.status.clone().unwrap_or_default();
        status.guard = Some(written(state));
        self.write(&mut held, &status).await
    }

    async fn progress(&mut self, done: usize, all: usize) {
        let text = format!("{done} of {all} Offboardings written");
        self.say(Mood::Working, "Writing", &text).await.ok();
    }

    /// Shows on each Offboarding what a person is asked about it, once; and takes questions back.
    async fn ask(&mut self, compared: &Compared, passing: &[Change]) {
        let there = self.there();
        let changed: BTreeSet<&str> = passing.iter().map(|change| change.name.as_str()).collect();
        let mut asked = BTreeSet::new();
        let api: Api<Offboarding> = watch::api(&self.context.client, &self.namespace);
        let mut told = BTreeSet::new();
        for ask in compared
            .asks
            .iter()
            .filter(|ask| !changed.contains(ask.name.as_str()))
        {
            let Some(one) = there.get(&ask.name) else { continue };
            asked.insert(ask.name.as_str());
            if ask.ours {
                if one.annotations().get(ASKS) == Some(&ask.why) {
                    continue;
                }
                match write::apply(&api, &ask.name, asking(one, Some(&ask.why))).await {
                    Ok(made) => drop(self.pass.made.insert(ask.name.clone(), (Instant::now(), made))),
                    Err(failed) => tracing::warn!(%failed, "a question was not written; trying again"),
                }
            }
            let what = format!("{} {}", one.uid().unwrap_or_default(), ask.why);
            if !self.pass.told.contains(&what) {
                let news = News::warning("SourceDiffers", ask.why.clone());
                events::tell(self.context, one.as_ref(), LeaverSource::ACTION, news).await;
            }
            told.insert(what);
        }
        self.pass.told = told;
        let name = self.source.name_any();
        for (key, one) in &there {
            let ours = known(one, &name, Timestamp::now()).person.is_some();
            if !ours
                || asked.contains(key.as_str())
                || changed.contains(key.as_str())
                || !one.annotations().contains_key(ASKS)
            {
                continue;
            }
            if let Ok(made) = write::apply(&api, key, asking(one, None)).await {
                self.pass.made.insert(key.clone(), (Instant::now(), made));
            }
        }
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
    ) -> Result<(), Failed> {
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
        let said = say::synced(&Findings {
            counts: &counts,
            unusable: &seen.unusable,
            asks: &compared.asks,
            refused,
            key: self.memory.key_problem(),
            guard: &guard,
            held: &waiting,
            most: judged.passage.room,
            window: &self.source.spec.guard.window,
            denied: judged.denied,
            untrusted: judged.untrusted,
        });
        let mut held = self.hold().await?;
        let before = self.source.status.clone().unwrap_or_default();
        let mut status = say::status(&self.source, &said, now);
        let believed = !matches!(
            state.tripped,
            Some(Tripped::Empty | Tripped::Shrunken | Tripped::Stale)
        );
        if believed {
            status.synced = Some(now);
        }
        let news = guard.held != before.guard.as_ref().and_then(|g| g.held.clone())
            || guard.tripped != before.guard.as_ref().and_then(|g| g.tripped.clone());
        status.guard = Some(guard);
        status.counts = Some(counts);
        if state.tripped.is_some() {
            status.notified = self.notices(&status, &said.message, now);
        }
        if say::worth_writing(&before, &status, settings.limits.window, now) {
            self.write(&mut held, &status).await?;
        }
        drop(held);
        self.tell();
        if believed {
            self.context
                .metrics
                .synced(&self.namespace, &self.source.name_any(), now);
        }
        if state.tripped.is_some() && news {
            let news = News::warning("GuardTripped", said.message);
            events::tell(self.context, self.source.as_ref(), LeaverSource::ACTION, news).await;
        }
        Ok(())
    }

    /// What people are to be told, now that `status` shows that the guard has tripped.
    fn notices(&self, status: &LeaverSourceStatus, message: &str, now: Timestamp) -> Vec<Notice> {
        let guard = status.guard.clone().unwrap_or_default();
        let why = guard.tripped.unwrap_or_default();
        let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
        let tripped = due::Tripped {
            uid: &self.source.uid().unwrap_or_default(),
            held: guard.held.as_deref(),
            about: &format!("{why}: {}", message.trim_start_matches("guard: ")),
            since: ready.map_or(now, |ready: &Condition| ready.last_transition_time),
        };
        notices::guard_tripped(self.context, &tripped, &status.notified, &self.rules(), now)
    }

    /// Who is told: as the policy says that the source names, else as all policies of the namespace say together.
    fn rules(&self) -> Vec<NotifyRule> {
        let Some(caches) = self.context.caches.namespaces.get(&self.namespace) else {
            return vec![];
        };
        let mut policies = caches.policies.cache.state();
        policies.sort_by_key(|policy| policy.name_any());
        let named = self.source.spec.policy_ref.as_ref().map(|policy| &policy.name);
        if policies.iter().any(|policy| Some(&policy.name_any()) == named) {
            policies.retain(|policy| Some(&policy.name_any()) == named);
        }
        policies
            .iter()
            .flat_map(|policy| policy.spec.notify.clone())
            .collect()
    }
}

/// What the guard says, with what people say about it.
struct Judged {
    passage: Passage,
    denied: bool,
    untrusted: bool,
}

/// What people say about a held set.
enum Voted {
    Nobody,
    Yes,
    No,
    Untrusted,
}
