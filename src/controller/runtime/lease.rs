//! Who of several operators acts: the holder of one Lease.
//!
//! # Why
//! Whether a Lease has run out is judged by how long *we* have seen it unchanged, never by comparing its time with our
//! clock, so clocks may differ. Every write carries the version that was read. Who cannot renew in time stops acting before
//! anybody else may begin: also one that was held up and notices nothing, since before everything that is sent the time of the
//! last renewal is asked for ([`Tenure`]), and since every status carries the number of the term, which never goes back.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{Api, Client, api::PostParams};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{api_client::ApiError, watch};

/// A Lease that was not renewed for this long belongs to nobody.
const LASTS: Duration = Duration::from_secs(15);
/// Who could not renew for this long acts no more.
const GIVE_UP: Duration = Duration::from_secs(10);
/// The time between two renewals.
const EVERY: Duration = Duration::from_secs(2);
/// The time between two looks of one that waits: how long the work rests after an orderly end.
const LOOK: Duration = Duration::from_secs(1);
/// No call takes longer.
const DEADLINE: Duration = Duration::from_secs(4);

/// Whether this process may act, and since which change of hands. Asked before everything that is sent, so that a process
/// that was held up acts no more when it goes on, even before it has noticed that it lost the Lease.
#[derive(Debug, Default)]
pub struct Tenure(Mutex<Hold>);

#[derive(Debug, Default, Clone, Copy)]
enum Hold {
    /// There is no Lease: this is the only operator.
    #[default]
    Unbounded,
    /// Somebody else has it, or nobody.
    Waiting,
    /// It is ours.
    Until { end: Instant, term: i64 },
}

impl Tenure {
    /// Whether this process may act no more, or not yet.
    pub fn over(&self) -> bool {
        match self.hold() {
            Hold::Unbounded => false,
            Hold::Waiting => true,
            Hold::Until { end, .. } => Instant::now() >= end,
        }
    }

    /// How often the Lease had changed hands when it became ours; none without a Lease.
    pub fn term(&self) -> Option<i64> {
        match self.hold() {
            Hold::Until { term, .. } => Some(term),
            Hold::Unbounded | Hold::Waiting => None,
        }
    }

    fn hold(&self) -> Hold {
        *self.0.lock()
    }

    fn set(&self, hold: Hold) {
        *self.0.lock() = hold;
    }
}

/// One operator's interest in a Lease.
pub struct Candidate {
    tenure: Arc<Tenure>,
    api: Api<Lease>,
    name: String,
    identity: String,
    seen: Seen,
    held: Option<Lease>,
}

impl Candidate {
    /// Nothing is asked for yet. `identity` must be another one for every process that may run at the same
    /// time; `tenure` is told what became of it.
    pub fn new(client: &Client, namespace: &str, name: &str, identity: &str, tenure: Arc<Tenure>) -> Self {
        tenure.set(Hold::Waiting);
        Self {
            tenure,
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
            sleep(LOOK).await;
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
        self.tenure.set(Hold::Waiting);
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
    async fn take(&mut self) -> Result<bool, ApiError> {
        let began = Instant::now();
        let Some(current) = self.read().await? else {
            let mut lease = Lease::default();
            lease.metadata.name = Some(self.name.clone());
            lease.spec = Some(self.spec(None));
            let created = bounded(self.api.create(&PostParams::default(), &lease)).await;
            return self.taken(created, began);
        };
        if !self
            .seen
            .may_take(&self.identity, current.spec.as_ref(), Instant::now())
        {
            self.held = None;
            self.tenure.set(Hold::Waiting);
            return Ok(false);
        }
        let mut lease = current;
        lease.spec = Some(self.spec(lease.spec.as_ref()));
        let replaced = bounded(self.api.replace(&self.name, &PostParams::default(), &lease)).await;
        self.taken(replaced, began)
    }

    fn taken(&mut self, written: Result<Lease, ApiError>, began: Instant) -> Result<bool, ApiError> {
        // After a conflict somebody else was faster, or our own last write arrived late: the next read tells.
        let lease = written?;
        let changes = lease.spec.as_ref().and_then(|spec| spec.lease_transitions);
        self.tenure.set(Hold::Until {
            end: began + GIVE_UP,
            term: i64::from(changes.unwrap_or_default()),
        });
        self.held = Some(lease);
        Ok(true)
    }

    async fn read(&self) -> Result<Option<Lease>, ApiError> {
        match bounded(self.api.get(&self.name)).await {
            Ok(lease) => Ok(Some(lease)),
            Err(ApiError::NotFound) => Ok(None),
            Err(failed) => Err(failed),
        }
    }

    fn spec(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        let ours = before.is_some_and(|b| b.holder_identity.as_deref() == Some(&self.identity));
        let transitions = before
            .and_then(|b| b.lease_transitions)
            .unwrap_or_else(|| first_term(Timestamp::now()));
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

/// The changes of hands that a new Lease begins with: more than any earlier Lease of this cluster can have counted, as that
/// began with the minutes of an earlier time and no Lease changes hands every minute. Else the statuses that an earlier one
/// fenced would be closed to everybody when it was deleted.
fn first_term(now: Timestamp) -> i32 {
    i32::try_from(now.as_second() / 60).unwrap_or(i32::MAX / 2)
}

async fn bounded<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, ApiError> {
    match timeout(DEADLINE, call).await {
        Ok(answer) => answer.map_err(ApiError::from),
        Err(_) => Err(ApiError::Unavailable("timeout".to_owned())),
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
    fn a_lease_that_was_deleted_and_made_anew_is_above_every_fence() {
        let at = |text: &str| first_term(text.parse().unwrap());
        assert!(at("2026-10-01T00:00:00Z") > at("2026-09-30T00:00:00Z") + 1000);
        assert!(at("9999-01-01T00:00:00Z") > 0);
    }

    #[test]
    fn who_holds_no_lease_may_not_act_and_who_has_none_to_hold_may() {
        let tenure = Tenure::default();
        assert!(!tenure.over() && tenure.term().is_none());
        tenure.set(Hold::Waiting);
        assert!(tenure.over());
        let now = Instant::now();
        tenure.set(Hold::Until {
            end: now + EVERY,
            term: 7,
        });
        assert!(!tenure.over() && tenure.term() == Some(7));
        tenure.set(Hold::Until { end: now, term: 7 });
        assert!(tenure.over());
    }

    #[test]
    fn who_cannot_renew_stops_before_anybody_else_may_begin() {
        assert!(GIVE_UP + EVERY < LASTS);
    }
}
