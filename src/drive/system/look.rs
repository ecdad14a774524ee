//! One look, and every act that the rules allow while it goes on.

use std::sync::Arc;

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};

use super::{SystemRun, longest_call};
use crate::{
    connectors::{Readings, Shared, Subject},
    core::{
        fact::{FactSpec, Receipt, Truth},
        fault::{Fault, Reason},
        intent, scope,
    },
};

/// A pass gives up for now after this many looks: something keeps changing under it.
const MOST_LOOKS: usize = 6;

/// What a call of a look answered.
pub(super) enum Answered {
    Read(Readings),
    Acted {
        fact: String,
        result: Result<Receipt, Fault>,
    },
}

impl SystemRun<'_> {
    /// Looks until a look ends without anything having been sent.
    pub(super) async fn work(&mut self, connector: &Shared, facts: &[FactSpec], mut subject: Subject) {
        for _ in 0..MOST_LOOKS {
            self.look(connector, facts, &subject).await;
            self.record_look(facts);
            if self.look.sent.is_empty() || !self.drive.store.current() {
                return;
            }
            // From here on only reads after our acts count; what `find` showed is history.
            subject.account.item = Arc::default();
            subject.ledger = self.state.ledger.clone();
            subject.now = self.now();
            let parked = self
                .state
                .pace
                .parked_until
                .is_some_and(|until| subject.now < until);
            if parked || self.state.ledger.identity_mismatch {
                return;
            }
        }
    }

    async fn look(&mut self, connector: &Shared, facts: &[FactSpec], subject: &Subject) {
        let now = self.now();
        self.look.begin(now);
        let wanted = facts.iter().filter(|fact| self.wants(fact, now));
        let wanted: Vec<&str> = wanted.map(|fact| fact.name.as_str()).collect();
        let mut readings = Readings::new();
        if !subject.account.item.is_null() {
            self.show(connector, &wanted, subject, &readings);
            self.look.sights.retain(|_, sight| sight.truth != Truth::NotRead);
        }
        let mut calls: FuturesUnordered<BoxFuture<'_, Answered>> = FuturesUnordered::new();
        calls.push(bounded_observe(connector.clone(), subject.clone(), own(&wanted)).boxed());
        loop {
            self.commit_ahead(facts);
            for fact in self.sendable(facts) {
                if let Some(call) = self.send(connector, subject, &fact, facts, &readings) {
                    calls.push(call);
                }
            }
            match calls.next().await {
                None => return,
                Some(Answered::Read(read)) => {
                    self.look.reading = false;
                    readings = read;
                    self.show(connector, &wanted, subject, &readings);
                    self.record_throttling(&readings);
                    self.look.forbidden = self.forbidden_by(connector, subject, &readings).await;
                    self.record_drift(facts, &wanted);
                    // What is proven now is recorded before anything is sent for which it must be proven.
                    self.record_look(facts);
                }
                Some(Answered::Acted { fact, result }) => self.record_answer(&fact, result),
            }
        }
    }

    /// Why nothing may be changed by what was read of the account: it is protected, or not certain to be the person's.
    async fn forbidden_by(
        &mut self,
        connector: &Shared,
        subject: &Subject,
        readings: &Readings,
    ) -> Option<Fault> {
        let reinstate = self.drive.case.reinstate;
        let protected = match connector.protects(subject, readings) {
            Ok(Some(protected)) if reinstate => protected,
            Ok(Some(protected)) => {
                let now = self.now();
                scope::shields(&mut self.state.ledger, &self.system, protected, now)
            }
            Ok(None) => false,
            Err(fault) => return Some(fault),
        };
        if protected {
            return Some(Fault::needs_decision(Reason::Protected));
        }
        if reinstate {
            return None;
        }
        self.recognise(connector, subject, readings).await.err()
    }

    /// Evaluates every wanted fact by what was read. What an act is under way for keeps the sight it was sent for.
    pub(super) fn show(
        &mut self,
        connector: &Shared,
        wanted: &[&str],
        subject: &Subject,
        readings: &Readings,
    ) {
        let subject = Subject {
            ledger: self.state.ledger.clone(),
            ..subject.clone()
        };
        for fact in wanted {
            if !self.look.sent.contains_key(*fact) {
                // Not both at the same time: either may show thousands of things to take away.
                self.look.sights.remove(*fact);
                let sight = connector.sight(&subject, fact, readings);
                self.look.sights.insert((*fact).to_owned(), sight);
            }
        }
    }

    fn sendable(&self, facts: &[FactSpec]) -> Vec<FactSpec> {
        if !intent::still_wanted(self.drive.store.current()) {
            return vec![];
        }
        let view = self.view(facts, self.look.forbidden.as_ref());
        view.sendable().into_iter().cloned().collect()
    }
}

fn own(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

async fn bounded_observe(connector: Shared, subject: Subject, facts: Vec<String>) -> Answered {
    let facts: Vec<&str> = facts.iter().map(String::as_str).collect();
    // A look that hangs as a whole leaves every fact unread, which is Unknown.
    let readings = tokio::time::timeout(longest_call(), connector.observe(&subject, &facts)).await;
    Answered::Read(readings.unwrap_or_default())
}
