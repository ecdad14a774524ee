//! Whose account it is, and who takes over: the calls that ask. What their answers mean is [`binding`]'s.

use super::{SystemRun, longest_call};
use crate::{
    connectors::{Connector, Readings, Shared, Subject},
    core::{
        binding,
        fact::Truth,
        fault::{Fault, Reason},
        identity::{self, Account, Correlation, Person},
    },
};

/// Who takes over, and their account in the same system.
type Successor = (Person, Account);

impl SystemRun<'_> {
    /// The bound account, found now if it was not bound before; none when a complete `find` shows nobody.
    pub(super) async fn bind(&mut self, connector: &Shared) -> Result<Option<Subject>, Fault> {
        let fingerprint = &connector.capabilities().fingerprint;
        let bound = [&self.state.ledger.account, &self.state.ledger.successor];
        for binding in bound.into_iter().flatten() {
            binding.check(fingerprint)?;
        }
        let ((account, candidates), successor) =
            futures::join!(self.account(connector), self.successor(connector));
        self.journal.candidates = candidates;
        // Whichever of the two was throttled: both keep the silence, until the later instant.
        let faults = [account.as_ref().err(), successor.as_ref().err()];
        if let Some(until) = faults.into_iter().flatten().filter_map(Fault::silent_until).max() {
            self.state.pace.park(until);
            self.heed_silence();
            return Err(Fault::throttled(until));
        }
        let mut ledger = std::mem::take(&mut self.state.ledger);
        let search = self.search(fingerprint);
        let bound = search.bind(&mut ledger, account);
        // A successor that cannot be found holds up hand-overs only; a later pass looks again.
        let bound = bound.map(|account| {
            let account = account?;
            let taker = search.bind_successor(&mut ledger, &account, successor.ok().flatten());
            Some((account, taker))
        });
        self.state.ledger = ledger;
        let Some((account, successor)) = bound? else {
            return Ok(None);
        };
        Ok(Some(self.subject(account, successor)))
    }

    fn subject(&self, account: Account, successor: Option<Successor>) -> Subject {
        Subject {
            who: self.system.who.clone(),
            account,
            successor,
            ledger: self.state.ledger.clone(),
            cutoff: self.drive.case.cutoff,
            now: self.now(),
            keys: self.keys(),
        }
    }

    /// What a complete `find` means, or the account that is bound; with the login names between which a person must decide, where
    /// one must.
    async fn account(&self, connector: &Shared) -> (Result<Correlation, Fault>, Option<Vec<String>>) {
        if let Some(bound) = &self.state.ledger.account {
            return (Ok(Correlation::One(Box::new(bound.account()))), None);
        }
        let found = match self.find(connector).await {
            Ok(found) => found,
            // Nothing else finds them there, and a person has said which ones are theirs.
            Err(fault) if binding::found_by_name_alone(&self.system, &fault) => {
                return (Ok(Correlation::InOwnRows), None);
            }
            Err(fault) => return (Err(fault), None),
        };
        let named = binding::in_own_rows(&self.system);
        let names = identity::candidates(&found, named);
        let correlation = identity::correlate(found, named);
        let candidates = correlation.is_err().then_some(names);
        (correlation, candidates)
    }

    /// The accounts of the person, by every address that is known. Asked by one after the other: an answer that is missing
    /// is none.
    async fn find(&self, connector: &Shared) -> Result<Vec<Account>, Fault> {
        let mut all: Vec<Account> = vec![];
        for who in self.system.who.by_address() {
            binding::unite(&mut all, bounded_find(connector.as_ref(), &who).await?);
        }
        Ok(all)
    }

    /// Whether what was read shows the account of `subject` to be the person's still. One that shows none of their keys any more
    /// is taken for theirs only if these find no other one.
    pub(super) async fn recognise(
        &self,
        connector: &Shared,
        subject: &Subject,
        readings: &Readings,
    ) -> Result<(), Fault> {
        let recognised = binding::recognised(connector.recognise(subject, readings))?;
        // What is left alone is asked by the next look: nothing is sent now.
        if recognised || self.is_left_alone() {
            return Ok(());
        }
        let found = self.find(connector).await?;
        let elsewhere = binding::found_elsewhere(&self.system, &found, &subject.account.id);
        elsewhere.map_or(Ok(()), Err)
    }

    /// Looks for active accounts beside that of `subject`, and keeps their login names.
    pub(super) async fn look_for_others(&mut self, connector: &Shared, subject: &Subject) {
        if self.is_left_alone() {
            return;
        }
        let found = self.find(connector).await;
        let active = found.map(|found| {
            let named = binding::in_own_rows(&self.system);
            let others = identity::others(&found, &subject.account.id, named).into_iter();
            let active = others.filter(|other| !closed(connector, subject, other));
            active.map(|other| other.name.clone()).collect()
        });
        let mut state = std::mem::take(&mut self.state);
        self.others(connector).record(&mut state, active);
        self.state = state;
        self.heed_silence();
    }

    /// Whether the system wants to be left alone now.
    fn is_left_alone(&self) -> bool {
        let now = self.now();
        self.state.pace.parked_until.is_some_and(|until| now < until)
    }

    async fn successor(&self, connector: &Shared) -> Result<Option<Successor>, Fault> {
        let Some(who) = &self.system.successor else {
            return Ok(None);
        };
        // A binding to somebody who does not take over any more says nothing about who does.
        if let Some(bound) = &self.state.ledger.successor
            && self.state.ledger.successor_known_as == who.email
        {
            return Ok(Some((who.clone(), bound.account())));
        }
        let found = bounded_find(connector.as_ref(), who).await?;
        Ok(match identity::correlate(found, &[])? {
            Correlation::NoAccount | Correlation::InOwnRows => None,
            Correlation::One(account) => Some((who.clone(), *account)),
        })
    }
}

/// Whether what `find` showed of `other` shows already that nobody can log in with it.
fn closed(connector: &Shared, subject: &Subject, other: &Account) -> bool {
    let subject = Subject {
        account: other.clone(),
        ..subject.clone()
    };
    let facts = connector.capabilities().facts.iter();
    let access = facts.filter(|fact| binding::ends_access(fact));
    let truths: Vec<Truth> = access
        .map(|fact| connector.sight(&subject, &fact.name, &Readings::new()).truth)
        .collect();
    binding::is_closed(&truths)
}

async fn bounded_find(connector: &dyn Connector, who: &Person) -> Result<Vec<Account>, Fault> {
    let found = tokio::time::timeout(longest_call(), connector.find(who)).await;
    let found = found.unwrap_or_else(|_| Err(Fault::transient(Reason::Timeout)))?;
    found.iter().try_for_each(Account::check)?;
    Ok(found)
}
