//! The status of a source, which a look and what sends messages beside it both write, and who is told of its guard.

use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use tokio::sync::MutexGuard;

use super::{
    SourceSync,
    conditions::{self, StatusUpdate, SyncPhase},
};
use crate::{
    api::{Condition, LeaverSource, LeaverSourceStatus, offboarding::Notice, policy::NotifyRule},
    controller::{
        notification::{self, Notifiable},
        runtime::{
            api_client::ApiError,
            events::{self, News},
            watch::version,
        },
    },
    notify::due,
    sources::look::Seen,
};

/// The source as last written, while nobody else writes its status.
pub(super) type Held<'a> = MutexGuard<'a, Option<Arc<LeaverSource>>>;

impl<'a> SourceSync<'a> {
    pub(super) async fn say(
        &mut self,
        phase: SyncPhase,
        reason: &'static str,
        text: &str,
    ) -> Result<(), ApiError> {
        let said = StatusUpdate {
            phase,
            reason,
            message: text.to_owned(),
        };
        let written = async {
            let mut held = self.hold().await?;
            let status = conditions::status(&self.source, &said, Timestamp::now());
            self.write(&mut held, &status).await
        };
        match written.await {
            // Gone, or changed: the watch says so, and it is looked at again then.
            Err(ApiError::NotFound | ApiError::Conflict) => Ok(()),
            written => written,
        }
    }

    /// From now on nobody else writes the status: what was told since the look began is in [`Self::source`].
    pub(super) async fn hold(&mut self) -> Result<Held<'a>, ApiError> {
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
                return Err(ApiError::Conflict);
            }
            self.source = newest.clone();
        }
        Ok(held)
    }

    pub(super) async fn write(
        &mut self,
        held: &mut Held<'a>,
        status: &LeaverSourceStatus,
    ) -> Result<(), ApiError> {
        if self.source.status.as_ref() != Some(status) {
            self.source = conditions::write(self.context, &self.source, status).await?;
            **held = Some(self.source.clone());
        }
        Ok(())
    }

    /// Sees to it that messages are sent beside the look, if there are any.
    pub(super) fn tell(&self) {
        if due::open(self.source.entries()) {
            notification::take_up(self.context, self.source.as_ref());
        }
    }

    /// What people are to be told, now that `status` shows that the guard has tripped.
    pub(super) fn notices(&self, status: &LeaverSourceStatus, message: &str, now: Timestamp) -> Vec<Notice> {
        let guard = status.guard.clone().unwrap_or_default();
        let why = guard.tripped.unwrap_or_default();
        let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
        let tripped = due::Tripped {
            uid: &self.source.uid().unwrap_or_default(),
            held: guard.held.as_deref(),
            about: &format!("{why}: {}", message.trim_start_matches("guard: ")),
            since: ready.map_or(now, |ready: &Condition| ready.last_transition_time),
        };
        notification::guard_tripped(self.context, &tripped, &status.notified, &self.rules(), now)
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

    /// Every record that cannot be used is in the log, and an Event names the first, once for each set of them.
    pub(super) async fn tell_of_unusable(&mut self, seen: &Seen) {
        let lines = seen
            .unusable
            .iter()
            .map(|(place, what)| format!("{place} {what}"));
        let set = Some(lines.collect::<Vec<_>>()).filter(|lines| !lines.is_empty());
        if self.pass.unusable == set {
            return;
        }
        self.pass.unusable = set;
        for (place, what) in &seen.unusable {
            tracing::warn!(source = self.source.uid(), %place, %what, "a record cannot be used");
        }
        if let Some(text) = conditions::unusable(&seen.unusable, seen.records) {
            let news = News::warning("RecordsUnusable", text);
            events::tell(self.context, self.source.as_ref(), LeaverSource::ACTION, news).await;
        }
    }
}
