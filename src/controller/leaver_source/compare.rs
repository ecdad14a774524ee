//! Compares a feed with the Offboardings that are there, and shows what a person is asked about them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use kube::{Api, ResourceExt};
use tokio::time::Instant;

use super::{SourceSync, write};
use crate::{
    api::{LeaverSource, Offboarding},
    controller::{
        notification::Notifiable,
        runtime::{
            events::{self, News},
            watch::{self, version},
        },
    },
    core::leavers::compare::{Ask, Change, Compared, Kind},
    sources::{
        look::Seen,
        offboarding::{ASKS, HELD, asking, holding, known, releasing, taken_over},
        settings::Settings,
    },
};

/// How long what was written is believed to be there though the cache does not have it.
const LAG: Duration = Duration::from_mins(1);

impl SourceSync<'_> {
    /// Compares with what is there. What is to be changed is read anew, and what somebody else has made theirs is not ours.
    pub(super) async fn compare(
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
        let kinds = written(&compared);
        if kinds.is_empty() {
            return (compared, BTreeMap::new());
        }
        let read = write::fresh(self.context, &self.namespace, kinds.keys().cloned().collect()).await;
        for (key, kind) in kinds {
            match read.get(&key) {
                Some(one) => {
                    let mut newest = known(one, &name, now);
                    let taken = kind.is_some_and(|kind| taken_over(one, kind));
                    newest.person = newest.person.filter(|_| !taken);
                    all.insert(key, newest);
                }
                None => drop(all.remove(&key)),
            }
        }
        (seen.compared(&list(&all), settings), read)
    }

    /// The Offboardings of the namespace: as cached, or as last written here.
    pub(super) fn there(&mut self) -> BTreeMap<String, Arc<Offboarding>> {
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

    /// Shows on each Offboarding what a person is asked about it, once, and takes questions back; `read` are those for which
    /// nothing may be done meanwhile, or again.
    pub(super) async fn ask(
        &mut self,
        compared: &Compared,
        passing: &[Change],
        read: &BTreeMap<String, Offboarding>,
    ) {
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
            let holds = ask.holds.as_ref().zip(read.get(&ask.name));
            let held =
                holds.is_none_or(|(key, _)| one.annotations().get(HELD) == Some(key) && one.spec.suspend);
            if ask.ours {
                if held && one.annotations().get(ASKS) == Some(&ask.why) {
                    told.insert(what(one, ask));
                    continue;
                }
                let patch = match holds {
                    Some((key, newest)) => holding(newest, &ask.why, key),
                    None => asking(one, Some(&ask.why)),
                };
                match write::apply(&api, &ask.name, patch).await {
                    Ok(made) => drop(self.pass.made.insert(ask.name.clone(), (Instant::now(), made))),
                    Err(failed) => tracing::warn!(%failed, "a question was not written; trying again"),
                }
            }
            let what = what(one, ask);
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
            let known = asked.contains(key.as_str()) || changed.contains(key.as_str());
            let released = compared.released.contains(key);
            if !ours || known || !(released || one.annotations().contains_key(ASKS)) {
                continue;
            }
            let patch = match read.get(key) {
                Some(newest) if released => releasing(newest),
                // Of whom a feed says nothing any more is not let go.
                _ if one.annotations().contains_key(HELD) && one.spec.suspend => continue,
                _ => asking(one, None),
            };
            if let Ok(made) = write::apply(&api, key, patch).await {
                self.pass.made.insert(key.clone(), (Instant::now(), made));
            }
        }
    }
}

/// What is told once.
fn what(one: &Offboarding, ask: &Ask) -> String {
    format!("{} {}", one.uid().unwrap_or_default(), ask.why)
}

/// The existing Offboardings that are to be written, and by what kind of change; none of a question.
fn written(compared: &Compared) -> BTreeMap<String, Option<Kind>> {
    let questions = compared.asks.iter().filter(|ask| ask.holds.is_some());
    let names = questions.map(|ask| &ask.name).chain(&compared.released);
    let mut written: BTreeMap<String, Option<Kind>> = names.map(|name| (name.clone(), None)).collect();
    let changes = compared.changes.iter().chain(&compared.corrections);
    let existing = changes.filter(|change| change.kind != Kind::Create);
    written.extend(existing.map(|change| (change.name.clone(), Some(change.kind))));
    written
}
