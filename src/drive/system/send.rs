//! What is sent, and what must be durable before.

use std::sync::{Arc, Mutex, PoisonError};

use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use tokio::sync::oneshot;

use super::{Answered, Commit, Pass, longest_call};
use crate::{
    connectors::{Connector, Order, Readings, Shared, Subject},
    core::{
        fact::{Act, FactSpec, Proof, Receipt},
        fault::{Fault, Reason},
        kept::There,
        pace::parked,
        plan::{self, Sent},
        planted::{Bug, planted},
    },
    drive::evidence::Event,
};

impl<'a> Pass<'a> {
    /// The call that sends the act of `fact`, with what must be durable before it.
    pub(super) fn send(
        &mut self,
        connector: &Shared,
        subject: &Subject,
        fact: &FactSpec,
        facts: &[FactSpec],
        readings: &Readings,
    ) -> Option<BoxFuture<'a, Answered>> {
        if self.ledger.fact(&fact.name).accepted.is_some() {
            // The last act was without effect: the next alternative, if there is one.
            self.next_rung(&fact.name);
            self.show(connector, &[&fact.name], subject, readings);
        }
        self.forget_stale_way_back(&fact.name);
        let sight = self.sights.get(&fact.name)?;
        let act = sight.act.clone()?;
        let mut must_commit = false;
        let mut ahead = None;
        if let Some(there) = sight.snapshot.clone().filter(|_| fact.removes) {
            let news = self.keep(&fact.name, &there);
            ahead = self.ahead.remove(&fact.name).filter(|_| !news);
            // Also when it was kept before: that commit may have failed. What is durable already is not written again.
            must_commit |= ahead.is_none() && !planted(Bug::NoSnapshot);
        }
        if !fact.repeatable || fact.irreversible {
            self.entry(&fact.name).intent = Some(self.drive.clock.now());
            must_commit |= !planted(Bug::NoIntent);
        }
        if connector.can_undo(&fact.name) {
            self.entry(&fact.name).tried = Some(self.drive.clock.now());
            self.keep_way_back(&fact.name);
            // Security waits for no write; of the rest it must be known for certain that it was ours.
            must_commit |= !fact.class.security();
        }
        if fact.reported.is_some() && self.ledger.fact(&fact.name).callback_watermark.is_none() {
            // An answer to anything from before belongs to another time.
            self.entry(&fact.name).callback_watermark = Some(subject.now);
            must_commit = true;
        }
        // What could only be asserted rests on this fact; that it was undone must not be forgotten in a crash right after
        // it is mended.
        must_commit |= facts.iter().any(|other| {
            let rests = other.proof == Proof::None && other.requires.contains(&fact.name);
            rests && self.ledger.facts.contains_key(&other.name)
        });
        self.sent.insert(fact.name.clone(), Sent::InFlight);
        self.pace.last_sent = Some(self.drive.clock.now());
        let committed = must_commit.then(|| self.commit());
        let drive = self.drive;
        let gates = &self.around.gates;
        let votes = gates.opened_by(&self.system, &self.ledger, fact, &drive.case.votes);
        let fact = fact.clone();
        let name = fact.name.clone();
        let key = subject.keys.of(&subject.account.id, &fact.name);
        let (connector, subject) = (connector.clone(), subject.clone());
        let row = self.system.row.clone();
        let silence = self.silence.clone();
        Some(
            async move {
                let result = async {
                    for durable in ahead.into_iter().chain(committed) {
                        durable
                            .await
                            .map_err(|_| Fault::transient(Reason::StoreUnavailable))??;
                    }
                    if plan::held_back(&fact) && !drive.store.confirm(&votes).await?
                        || !(drive.store.current() || planted(Bug::IgnoresDeletion))
                    {
                        return Err(Fault::transient(Reason::Conflict));
                    }
                    silence.check(drive.clock.now())?;
                    audit(&drive.case.uid, &row, &subject.account.id, &act);
                    let wanted = || drive.store.current() || planted(Bug::IgnoresDeletion);
                    bounded_act(connector.as_ref(), &subject, &act, &Order::new(key, &wanted)).await
                }
                .await;
                Answered::Acted { fact: name, result }
            }
            .boxed(),
        )
    }

    /// What an act will take away is known while the act still waits for another one: its snapshot becomes durable
    /// meanwhile, and the write is not on the way of the access that ends.
    pub(super) fn commit_ahead(&mut self, facts: &[FactSpec]) {
        let waiting: Vec<(String, There)> = {
            let view = self.view(facts, None);
            let removing = facts.iter().filter(|fact| {
                fact.removes && !self.sent.contains_key(&fact.name) && !self.ahead.contains_key(&fact.name)
            });
            removing
                .filter(|fact| self.may_act() && view.will_send(fact))
                .filter_map(|fact| Some((fact.name.clone(), self.sights.get(&fact.name)?.snapshot.clone()?)))
                .collect()
        };
        if waiting.is_empty() || planted(Bug::NoSnapshot) {
            return;
        }
        for (fact, there) in waiting {
            self.forget_stale_way_back(&fact);
            if self.keep(&fact, &there) {
                // After a crash nobody else knows when it may have been sent.
                self.entry(&fact).tried = Some(self.drive.clock.now());
                let durable = self.commit();
                self.ahead.insert(fact, durable);
            }
        }
    }

    /// Keeps what is `there` before it is taken away, and says whether that was news.
    fn keep(&mut self, fact: &str, there: &There) -> bool {
        let before = self.ledger.too_large.get(fact).cloned();
        let news = self.ledger.keep_there(fact, there, &self.around.room);
        if self.ledger.too_large.get(fact) != before.as_ref() {
            self.happened(fact, Event::NotKept);
        }
        news
    }

    fn commit(&mut self) -> oneshot::Receiver<Result<(), Fault>> {
        let (done, committed) = oneshot::channel();
        let commit = Commit {
            row: self.system.row.clone(),
            ledger: self.ledger.clone(),
            happenings: std::mem::take(&mut self.happenings),
            done,
        };
        if self.commits.send(commit).is_err() {
            tracing::debug!("nobody commits any more: the pass is being abandoned");
        }
        committed
    }
}

async fn bounded_act(
    connector: &dyn Connector,
    subject: &Subject,
    act: &Act,
    order: &Order<'_>,
) -> Result<Receipt, Fault> {
    match tokio::time::timeout(longest_call(), connector.act(subject, act, order)).await {
        Ok(result) => result,
        Err(_) => Err(Fault::unknown_outcome(Reason::Timeout)),
    }
}

/// The line in the audit stream that precedes every changing call (S6). Ids only, no person.
fn audit(uid: &str, row: &str, account: &str, act: &Act) {
    let requests = act.requests.len();
    tracing::info!(target: "offboard::audit", offboarding = uid, system = row, account, fact = act.fact, requests, "act");
}

/// Until when the system wants to be left alone, for acts that waited for something durable while it said so.
#[derive(Debug, Clone, Default)]
pub(super) struct Silence(Arc<Mutex<Option<Timestamp>>>);

impl Silence {
    pub(super) fn keep(&self, until: Option<Timestamp>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    pub(super) fn check(&self, now: Timestamp) -> Result<(), Fault> {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parked(until, now).map_or(Ok(()), |until| Err(Fault::throttled(until)))
    }
}
