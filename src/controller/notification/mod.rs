//! Messages in a cluster: notes what is due in the status of what it is about ([`Notifiable`]), sends it beside the passes, and notes
//! what became of it.
//!
//! # Why
//! A pass never waits for a message. It only writes the entries into the status that it writes anyway; what sends them runs
//! beside it. Their writes take the object's lock for the time of one patch, so that no pass finds its own status changed
//! under it and has to look again.
//!
//! An entry is written down as `Sending` before it is sent, at the version that says `Due`: of two operators of which each
//! believes that it acts, one fails there. See [`crate::notify`] for what that is good for.

mod notifiable;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use kube::{Api, ResourceExt};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, Semaphore},
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::{
    Context,
    runtime::{
        api_client::{ApiError, with_deadline},
        events::{self, News},
        requeue::wait,
        watch,
    },
};
use crate::{
    api::{
        Offboarding, OffboardingPolicySpec, OffboardingStatus,
        offboarding::{Notice, NoticeState},
        policy::NotifyRule,
        record::Entry,
    },
    notify::{Outbox, Sending, due, outbox},
};

pub use notifiable::Notifiable;

/// Messages of all channels that are on their way at the same time.
const AT_ONCE: u32 = 64;
/// How often it is tried to note what became of a message; with the pauses between some ten minutes.
const PERSISTENT: u32 = 14;

/// What sends, and about what it is at work.
pub struct Notifier {
    outbox: Outbox,
    places: Semaphore,
    /// By uid: what is looked after, and how to say that there is more.
    busy: Mutex<HashMap<String, Arc<Notify>>>,
}

impl Notifier {
    /// Sends by `outbox`.
    pub fn new(outbox: Outbox) -> Self {
        Self {
            outbox,
            places: Semaphore::new(AT_ONCE as usize),
            busy: Mutex::default(),
        }
    }

    /// Waits until what was on its way has ended. Nothing more is begun by whoever may not act.
    pub async fn ended(&self) {
        drop(self.places.acquire_many(AT_ONCE).await);
    }

    fn busy(&self) -> parking_lot::MutexGuard<'_, HashMap<String, Arc<Notify>>> {
        self.busy.lock()
    }
}

/// Notes in `status` what is due, before it is written; says when there may be more though nothing changes.
pub fn note(
    context: &Context,
    offboarding: &Offboarding,
    policy: Option<&OffboardingPolicySpec>,
    evidence: &[Entry],
    status: &mut OffboardingStatus,
) -> Option<Timestamp> {
    let policy = policy?;
    let uid = offboarding.uid().unwrap_or_default();
    let known = due::Known {
        uid: &uid,
        spec: &offboarding.spec,
        policy,
        status,
        evidence,
        now: Timestamp::now(),
    };
    let notified = due::notices(&known, |channel| context.notices.outbox.knows(channel));
    let wake = due::wake(&known);
    status.notified = notified;
    wake
}

/// What is to be told of a source whose guard has tripped, after `before`.
pub fn guard_tripped(
    context: &Context,
    tripped: &due::Tripped<'_>,
    before: &[Notice],
    rules: &[NotifyRule],
    now: Timestamp,
) -> Vec<Notice> {
    let knows = |channel: &str| context.notices.outbox.knows(channel);
    due::guard_tripped(tripped, before, rules, knows, now)
}

/// Sees to it that the open entries of `object` are sent.
pub fn take_up<K: Notifiable>(context: &Arc<Context>, object: &K) {
    let uid = object.uid().unwrap_or_default();
    let more = Arc::new(Notify::new());
    {
        let mut busy = context.notices.busy();
        if let Some(more) = busy.get(&uid) {
            more.notify_one();
            return;
        }
        busy.insert(uid.clone(), more.clone());
    }
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let work = Arc::new(Delivery::<K> {
        context: context.clone(),
        memory: K::memory(context, object),
        namespace: namespace.clone(),
        name: name.clone(),
        uid: uid.clone(),
    });
    let context = context.clone();
    tokio::spawn(async move {
        // Whatever happens in there, the next pass may take it up again.
        let done = tokio::spawn(async move { work.run(&more).await }).await;
        if !matches!(done, Ok(true)) {
            context.notices.busy().remove(&uid);
        }
        let still = K::cached(&context, &namespace, &name);
        if still.is_none_or(|o| o.meta().uid.as_deref() != Some(&uid)) {
            K::gone(&context, &uid);
        }
    });
}

/// The messages about one object.
struct Delivery<K: Notifiable> {
    context: Arc<Context>,
    memory: Arc<K::Memory>,
    namespace: String,
    name: String,
    uid: String,
}

impl<K: Notifiable> Delivery<K> {
    /// Until nothing is open. True: it is noted already that nobody looks after this any more.
    async fn run(self: Arc<Self>, more: &Notify) -> bool {
        let mut left = vec![];
        let Ok(object) = self.change(true, |notices| left = self.adopt(notices)).await else {
            return false;
        };
        if let Some(object) = object {
            for notice in &left {
                self.complain(object.as_ref(), notice).await;
            }
        }
        // Tasks of their own: one that holds the object's lock must go on while this waits for it.
        let mut under_way = JoinSet::new();
        let mut flying = HashSet::new();
        let mut pauses: HashMap<String, Instant> = HashMap::new();
        loop {
            let Some(open) = self.open().await else {
                return true;
            };
            if !self.context.acts() && flying.is_empty() {
                return false;
            }
            let now = Instant::now();
            for notice in open {
                let pausing = pauses.get(&notice.key).is_some_and(|until| *until > now);
                if !pausing && flying.insert(notice.key.clone()) {
                    let work = self.clone();
                    under_way.spawn(async move { work.one(notice).await });
                }
            }
            let waiting = pauses
                .iter()
                .filter(|(key, until)| !flying.contains(*key) && **until > now);
            let next = waiting.map(|(_, until)| *until).min();
            let next = next.unwrap_or(now + Duration::from_mins(1));
            tokio::select! {
                Some(done) = under_way.join_next() => {
                    // One that panicked is adopted by whoever takes this up next.
                    let Ok((key, pause)) = done else { return false };
                    flying.remove(&key);
                    pauses.insert(key, Instant::now() + pause);
                }
                () = more.notified() => {}
                () = sleep_until(next) => {}
            }
        }
    }

    /// What another process left behind on its way, and what must be thought of it.
    fn adopt(&self, notices: &mut [Notice]) -> Vec<Notice> {
        let mut left = vec![];
        for notice in notices {
            if self.context.notices.outbox.adopt(notice) {
                self.count(notice);
                left.push(notice.clone());
            }
        }
        left
    }

    /// The entries that are due. None: there is nothing open, and nobody looks after this any more.
    async fn open(&self) -> Option<Vec<Notice>> {
        // No pass adds an entry between this look and the note that nobody looks any more.
        let written = K::hold(&self.memory).await;
        let newest = self.newest(written.as_ref());
        let Some(newest) = newest.filter(|newest| due::open(newest.entries())) else {
            self.context.notices.busy().remove(&self.uid);
            return None;
        };
        let entries = newest.entries().iter();
        let due = entries.filter(|notice| notice.state == NoticeState::Due);
        Some(due.cloned().collect())
    }

    /// One try of one message; says how long to wait before the next.
    async fn one(&self, notice: Notice) -> (String, Duration) {
        let outbox = &self.context.notices.outbox;
        let turn = outbox.turn(&notice.channel).await;
        let place = self.context.notices.places.acquire().await;
        let claimed = self.claim(&notice).await;
        let pause = wait(due::pause(&notice));
        let Ok(Some(object)) = claimed else {
            return (notice.key, pause);
        };
        let sending = if due::stale(&notice, Timestamp::now()) {
            let last = notice.reason.as_deref().unwrap_or("not sent in time");
            Sending::Failed(format!("given up: {last}"))
        } else {
            object.send(outbox, &notice).await
        };
        drop(turn);
        self.settle(&notice, sending).await;
        drop(place);
        (notice.key, pause)
    }

    /// Writes down that it is being sent. None: it is not to be sent.
    async fn claim(&self, notice: &Notice) -> Result<Option<Arc<K>>, ApiError> {
        if !self.context.acts() {
            return Ok(None);
        }
        let again = self.context.notices.outbox.deduplicates(&notice.channel);
        let mut ours = false;
        let written = self
            .change(false, |notices| {
                let mut entries = notices.iter_mut();
                let entry = entries.find(|n| n.key == notice.key && n.state == NoticeState::Due);
                ours = entry.is_some();
                if let Some(entry) = entry.filter(|_| !again) {
                    entry.state = NoticeState::Sending;
                }
            })
            .await?;
        Ok(written.filter(|_| ours))
    }

    /// Writes down what became of it.
    async fn settle(&self, notice: &Notice, sending: Sending) {
        let mut entry = notice.clone();
        outbox::settle(&mut entry, sending);
        self.count(&entry);
        for attempt in 0..PERSISTENT {
            let put = |notices: &mut Vec<Notice>| {
                if let Some(known) = notices.iter_mut().find(|n| n.key == entry.key) {
                    *known = entry.clone();
                }
            };
            match self.change(true, put).await {
                Ok(Some(object)) => return self.complain(object.as_ref(), &entry).await,
                Ok(None) => return,
                Err(_) if self.context.tenure.over() => return,
                Err(failed) => {
                    tracing::warn!(%failed, channel = entry.channel, "what became of a message is not noted yet");
                    sleep(Duration::from_secs(1 << attempt.min(6))).await;
                }
            }
        }
    }

    /// Changes the entries of the newest version. None: it is gone.
    async fn change(
        &self,
        to_the_end: bool,
        mut change: impl FnMut(&mut Vec<Notice>),
    ) -> Result<Option<Arc<K>>, ApiError> {
        let mut written = K::hold(&self.memory).await;
        let mut newest = self.newest(written.as_ref());
        for _ in 0..3 {
            let Some(object) = newest else {
                return Ok(None);
            };
            if !to_the_end && !self.context.acts() {
                return Ok(None);
            }
            let mut entries = object.entries().to_vec();
            change(&mut entries);
            match K::write(&self.context, &object, entries).await {
                Ok(now) => {
                    *written = Some(now.clone());
                    return Ok(Some(now));
                }
                Err(ApiError::Conflict) if !self.context.tenure.over() => newest = self.fresh().await?,
                Err(ApiError::NotFound) => return Ok(None),
                Err(failed) => return Err(failed),
            }
        }
        Err(ApiError::Conflict)
    }

    /// The newest version that we know of.
    fn newest(&self, written: Option<&Arc<K>>) -> Option<Arc<K>> {
        let cached = K::cached(&self.context, &self.namespace, &self.name)?;
        let ours = |object: &K| object.meta().uid.as_deref() == Some(self.uid.as_str());
        let newer =
            written.filter(|w| ours(w) && watch::version(w.as_ref()) > watch::version(cached.as_ref()));
        ours(&cached).then(|| newer.cloned().unwrap_or(cached))
    }

    async fn fresh(&self) -> Result<Option<Arc<K>>, ApiError> {
        let api: Api<K> = watch::api(&self.context.client, &self.namespace);
        match with_deadline(api.get(&self.name)).await {
            Ok(object) if object.meta().uid.as_deref() == Some(self.uid.as_str()) => {
                Ok(Some(Arc::new(object)))
            }
            Ok(_) | Err(ApiError::NotFound) => Ok(None),
            Err(failed) => Err(failed),
        }
    }

    fn count(&self, notice: &Notice) {
        let result = match notice.state {
            NoticeState::Sent => "sent",
            NoticeState::Failed => "failed",
            NoticeState::Unsure => "unsure",
            NoticeState::Due | NoticeState::Sending => "retried",
        };
        let event = format!("{:?}", notice.event);
        self.context.metrics.message(&notice.channel, event, result);
    }

    /// A message that nobody got is told by an Event, which needs neither mail nor chat.
    async fn complain(&self, object: &K, notice: &Notice) {
        if !matches!(notice.state, NoticeState::Failed | NoticeState::Unsure) {
            return;
        }
        let reason = notice.reason.as_deref().unwrap_or_default();
        let note = format!("{}: {:?}: {reason}", notice.channel, notice.event);
        let news = News {
            reason: "MessageNotSent",
            warning: true,
            note,
        };
        events::tell(&self.context, object, K::ACTION, news).await;
    }
}
