//! Who of several operators acts: the holder of one Lease.
//!
//! # Why
//! Whether a Lease has run out is judged by how long *we* have seen it unchanged, never by comparing its time with our
//! clock, so clocks may differ. Every write carries the version that was read. Who cannot renew in time stops acting before
//! anybody else may begin.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{Api, Client, api::PostParams};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{call::Failed, watch};

/// A Lease that was not renewed for this long belongs to nobody.
const LASTS: Duration = Duration::from_secs(15);
/// Who could not renew for this long acts no more.
const GIVE_UP: Duration = Duration::from_secs(10);
/// The time between two tries.
const EVERY: Duration = Duration::from_secs(2);
/// No call takes longer.
const DEADLINE: Duration = Duration::from_secs(4);

/// One operator's interest in a Lease.
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    seen: Seen,
    held: Option<Lease>,
}

impl Candidate {
    /// Nothing is asked for yet. `identity` must be another one for every process that may run at the same time.
    pub fn new(client: &Client, namespace: &str, name: &str, identity: &str) -> Self {
        Self {
            api: watch::api(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            seen: Seen::default(),
            held: None,
        }
    }

    /// Waits until the Lease is ours.
    pub async fn acquire(&mut self) {
        loop {
            match self.take().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(failed) => tracing::warn!(%failed, "lease not taken; trying again"),
            }
            sleep(EVERY).await;
        }
    }

    /// Renews the Lease; returns when it is lost.
    pub async fn keep(&mut self) {
        let mut renewed = Instant::now();
        loop {
            sleep(EVERY).await;
            let began = Instant::now();
            match timeout_at(renewed + GIVE_UP, self.take()).await {
                Ok(Ok(true)) => renewed = began,
                Ok(Ok(false)) => return tracing::error!("somebody else has the lease"),
                Ok(Err(failed)) => tracing::warn!(%failed, "lease not renewed; trying again"),
                Err(_) => return tracing::error!("the lease could not be renewed in time"),
            }
        }
    }

    /// Gives the Lease back, so that the next one need not wait for its end.
    pub async fn release(&mut self) {
        let Some(mut lease) = self.held.take() else { return };
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = None;
        spec.lease_duration_seconds = Some(1);
        // If this does not arrive, the Lease runs out by itself.
        bounded(self.api.replace(&self.name, &PostParams::default(), &lease))
            .await
            .ok();
    }

    /// Takes or renews the Lease if that is allowed; says whether it is ours.
    async fn take(&mut self) -> Result<bool, Failed> {
        let Some(current) = self.read().await? else {
            let mut lease = Lease::default();
            lease.metadata.name = Some(self.name.clone());
            lease.spec = Some(self.spec(None));
            let created = bounded(self.api.create(&PostParams::default(), &lease)).await;
            return self.taken(created);
        };
        if !self
            .seen
            .may_take(&self.identity, current.spec.as_ref(), Instant::now())
        {
            self.held = None;
            return Ok(false);
        }
        let mut lease = current;
        lease.spec = Some(self.spec(lease.spec.as_ref()));
        let replaced = bounded(self.api.replace(&self.name, &PostParams::default(), &lease)).await;
        self.taken(replaced)
    }

    fn taken(&mut self, written: Result<Lease, Failed>) -> Result<bool, Failed> {
        // After a conflict somebody else was faster, or our own last write arrived late: the next read tells.
        self.held = Some(written?);
        Ok(true)
    }

    async fn read(&self) -> Result<Option<Lease>, Failed> {
        match bounded(self.api.get(&self.name)).await {
            Ok(lease) => Ok(Some(lease)),
            Err(Failed::NotFound) => Ok(None),
            Err(failed) => Err(failed),
        }
    }

    fn spec(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        let ours = before.is_some_and(|b| b.holder_identity.as_deref() == Some(&self.identity));
        let transitions = before.and_then(|b| b.lease_transitions).unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(15),
            acquire_time: if ours {
                before.and_then(|b| b.acquire_time.clone())
            } else {
                now.clone()
            },
            renew_time: now,
            lease_transitions: Some(if ours { transitions } else { transitions + 1 }),
            ..LeaseSpec::default()
        }
    }
}

/// What somebody else's Lease looked like, and since when it has looked like that.
#[derive(Default)]
struct Seen(Option<(Option<LeaseSpec>, Instant)>);

impl Seen {
    /// Whether the Lease is ours, nobody's, or was not renewed for longer than it lasts, as far as we have seen.
    fn may_take(&mut self, identity: &str, spec: Option<&LeaseSpec>, now: Instant) -> bool {
        let holder = spec
            .and_then(|s| s.holder_identity.as_deref())
            .unwrap_or_default();
        if holder.is_empty() || holder == identity {
            return true;
        }
        match &self.0 {
            Some((same, since)) if same.as_ref() == spec => now.duration_since(*since) > LASTS,
            _ => {
                self.0 = Some((spec.cloned(), now));
                false
            }
        }
    }
}

async fn bounded<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Failed> {
    match timeout(DEADLINE, call).await {
        Ok(answer) => answer.map_err(Failed::from),
        Err(_) => Err(Failed::Unavailable("timeout".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str, renewed: i64) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            renew_time: Some(MicroTime(Timestamp::from_second(renewed).unwrap())),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_lease_of_somebody_else_is_taken_only_after_it_was_seen_unchanged_for_all_its_time() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        // Its own time says that it ran out long ago: that may be a wrong clock.
        assert!(!seen.may_take("b", Some(&lease("a", 0)), now));
        assert!(!seen.may_take("b", Some(&lease("a", 0)), now + LASTS));
        assert!(!seen.may_take("b", Some(&lease("a", 2)), now + LASTS + EVERY));
        assert!(!seen.may_take("b", Some(&lease("a", 2)), now + LASTS + LASTS));
        assert!(seen.may_take("b", Some(&lease("a", 2)), now + LASTS + LASTS + EVERY + EVERY));
    }

    #[test]
    fn a_lease_that_is_ours_or_given_back_is_taken_at_once() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        assert!(seen.may_take("b", Some(&lease("b", 0)), now));
        assert!(seen.may_take("b", Some(&LeaseSpec::default()), now));
        assert!(seen.may_take("b", None, now));
    }

    #[test]
    fn who_cannot_renew_stops_before_anybody_else_may_begin() {
        assert!(GIVE_UP + EVERY < LASTS);
    }
}
