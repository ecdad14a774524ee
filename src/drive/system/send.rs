//! What is sent, and what is durable before.

use futures::{FutureExt, future::BoxFuture};
use tokio::sync::oneshot;

use super::{Commit, SystemRun, longest_call, look::Answered, outbox::Durable};
use crate::{
    connectors::{Connector, Order, Readings, Shared, Subject},
    core::{
        event::{Event, Happened},
        fact::{Act, FactSpec, Receipt},
        fault::{Fault, Reason},
        intent::{self, Sending},
        kept::There,
        plan::{self, Sent},
    },
};

impl<'a> SystemRun<'a> {
    /// The call that sends the act of `fact`, with what must be durable before it.
    pub(super) fn send(
        &mut self,
        connector: &Shared,
        subject: &Subject,
        fact: &FactSpec,
        facts: &[FactSpec],
        readings: &Readings,
    ) -> Option<BoxFuture<'a, Answered>> {
        if self.state.ledger.fact(&fact.name).accepted.is_some() {
            // The last act was without effect: the next alternative, if there is one.
            self.state.climb(&self.look, &fact.name);
            self.show(connector, &[&fact.name], subject, readings);
        }
        self.forget_stale_way_back(&fact.name);
        let sight = self.look.sights.get(&fact.name)?;
        let act = sight.act.clone()?;
        let snapshot = sight.snapshot.clone().filter(|_| fact.removes);
        let (ahead, unkept) = match snapshot {
            Some(there) => {
                let news = self.keep(&fact.name, &there);
                let ahead = self.outbox.ahead.remove(&fact.name).filter(|_| !news);
                // Also when it was kept before: that commit may have failed. What is durable already is not written again.
                let unkept = ahead.is_none();
                (ahead, unkept)
            }
            None => (None, false),
        };
        let sending = Sending {
            fact,
            facts,
            unkept,
            can_undo: connector.can_undo(&fact.name),
        };
        let now = self.now();
        let must_commit = self.state.record_intent(&sending, subject.now, now);
        if sending.can_undo {
            self.keep_way_back(&fact.name);
        }
        self.look.sent.insert(fact.name.clone(), Sent::InFlight);
        let committed = must_commit.then(|| self.commit());
        let durable = ahead.into_iter().chain(committed).collect();
        Some(self.call(connector, subject, fact, act, durable))
    }

    /// Sends `act` of `fact` once all that is in `durable` is.
    fn call(
        &self,
        connector: &Shared,
        subject: &Subject,
        fact: &FactSpec,
        act: Act,
        durable: Vec<Durable>,
    ) -> BoxFuture<'a, Answered> {
        let drive = self.drive;
        let gates = &self.input.gates;
        let votes = gates.opened_by(&self.system, &self.state.ledger, fact, &drive.case.votes);
        let held_back = plan::held_back(fact);
        let name = fact.name.clone();
        let key = subject.keys.of(&subject.account.id, &fact.name);
        let (connector, subject) = (connector.clone(), subject.clone());
        let row = self.system.row.clone();
        let silence = self.outbox.silence.clone();
        async move {
            let result = async {
                for durable in durable {
                    durable
                        .await
                        .map_err(|_| Fault::transient(Reason::StoreUnavailable))??;
                }
                if held_back && !drive.store.confirm(&votes).await?
                    || !intent::still_wanted(drive.store.current())
                {
                    return Err(Fault::transient(Reason::Conflict));
                }
                silence.check(drive.clock.now())?;
                audit(&drive.case.uid, &row, &subject.account.id, &act);
                let wanted = || intent::still_wanted(drive.store.current());
                bounded_act(connector.as_ref(), &subject, &act, &Order::new(key, &wanted)).await
            }
            .await;
            Answered::Acted { fact: name, result }
        }
        .boxed()
    }

    /// What an act will take away is known while the act still waits for another one: its snapshot becomes durable
    /// meanwhile, and the write is not on the way of the access that ends.
    pub(super) fn commit_ahead(&mut self, facts: &[FactSpec]) {
        let waiting: Vec<(String, There)> = {
            let view = self.view(facts, None);
            let removing = facts.iter().filter(|fact| {
                let begun =
                    self.look.sent.contains_key(&fact.name) || self.outbox.ahead.contains_key(&fact.name);
                intent::kept_ahead(fact) && !begun
            });
            removing
                .filter(|fact| self.may_act() && view.will_send(fact))
                .filter_map(|fact| {
                    let sight = self.look.sights.get(&fact.name)?;
                    Some((fact.name.clone(), sight.snapshot.clone()?))
                })
                .collect()
        };
        for (fact, there) in waiting {
            self.forget_stale_way_back(&fact);
            if self.keep(&fact, &there) {
                // After a crash nobody else knows when it may have been sent.
                let now = self.now();
                self.state.entry(&fact).tried = Some(now);
                let durable = self.commit();
                self.outbox.ahead.insert(fact, durable);
            }
        }
    }

    /// Keeps what is `there` before it is taken away, and says whether that was news.
    fn keep(&mut self, fact: &str, there: &There) -> bool {
        let before = self.state.ledger.too_large.get(fact).cloned();
        let news = self.state.ledger.keep_there(fact, there, &self.input.room);
        if self.state.ledger.too_large.get(fact) != before.as_ref() {
            self.happened([Happened::new(fact, Event::NotKept)]);
        }
        news
    }

    fn commit(&mut self) -> Durable {
        let (done, committed) = oneshot::channel();
        let commit = Commit {
            row: self.system.row.clone(),
            ledger: self.state.ledger.clone(),
            happenings: std::mem::take(&mut self.journal.happenings),
            done,
        };
        if self.outbox.commits.send(commit).is_err() {
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
