//! Whose account it is, and who takes over: bound once, and never a choice of ours.

use jiff::Timestamp;

use super::{Pass, longest_call};
use crate::{
    connectors::{Connector, Readings, Shared, Subject},
    core::{
        fact::{Class, Stage, Truth},
        fault::{Fault, FaultKind, Reason},
        identity::{self, Account, BY_NAME_ONLY, Binding, CAME_LATER, Correlation, NO_WAY, Person},
        pace::Trouble,
        planted::{Bug, planted},
        schedule::{self, LONGEST_WAIT_FOR_A_PERSON},
    },
};

impl Pass<'_> {
    /// The bound account, found now if it was not bound before; none when a complete `find` shows nobody.
    pub(super) async fn bind(&mut self, connector: &Shared) -> Result<Option<Subject>, Fault> {
        let fingerprint = &connector.capabilities().fingerprint;
        let bound = [&self.ledger.account, &self.ledger.successor];
        for binding in bound.into_iter().flatten() {
            binding.check(fingerprint)?;
        }
        let (account, successor) = futures::join!(self.account(connector), self.successor(connector));
        // Whichever of the two was told to wait: both keep the silence, until the later instant.
        let told = [account.as_ref().err(), successor.as_ref().err()];
        if let Some(until) = latest_silence(told.into_iter().flatten()) {
            self.park(until);
            return Err(Fault::throttled(until));
        }
        let now = self.drive.clock.now();
        let account = account.and_then(|found| self.not_of_later(found));
        if let Err(fault) = &account
            && identity::shows_somebody(fault)
        {
            // Somebody is there now, whoever it is.
            self.ledger.no_account = false;
            self.ledger.found.get_or_insert(now);
        }
        let account = match account? {
            Correlation::One(account) => *account,
            Correlation::NoAccount => return self.nobody(now),
            Correlation::InOwnRows => {
                // Whoever was found before is in those rows.
                self.ledger.found = None;
                self.ledger.sought = None;
                self.ledger.no_account = true;
                return Ok(None);
            }
        };
        self.ledger.no_account = false;
        self.ledger.sought = None;
        self.ledger.found.get_or_insert(now);
        if self.ledger.account.is_none() {
            self.ledger.account = Some(Binding::new(&account, fingerprint, now));
        }
        if let Some(bound) = &mut self.ledger.account {
            // Records from before fingerprints were kept.
            bound.fingerprint.get_or_insert_with(|| fingerprint.to_owned());
        }
        // A successor that cannot be found holds up hand-overs only; a later pass looks again.
        let successor = successor
            .ok()
            .flatten()
            .filter(|(_, taker)| taker.id != account.id);
        if let Some((who, taker)) = &successor
            && (self.ledger.successor.is_none() || self.ledger.successor_known_as != who.email)
        {
            self.ledger.successor_known_as.clone_from(&who.email);
            self.ledger.successor = Some(Binding::new(taker, fingerprint, now));
        }
        Ok(Some(self.subject(account, successor, now)))
    }

    /// What a complete `find` means that shows nobody. Who was found once has not left by being found no more: people change
    /// their own addresses. Who was named by a person is there, under a name that is spelt otherwise maybe.
    fn nobody(&mut self, now: Timestamp) -> Result<Option<Subject>, Fault> {
        if self.ledger.found.is_some() && !planted(Bug::ForgetsWhoWasFound) {
            self.ledger.no_account = false;
            return Err(
                Fault::needs_decision(Reason::NotFoundUncorroborated).with_code(identity::FOUND_BEFORE)
            );
        }
        if self.system.who.account_name.is_some() && !self.drive.case.reinstate {
            // A name that is misspelt ends nobody's access.
            self.ledger.no_account = false;
            return Err(
                Fault::needs_decision(Reason::NotFoundUncorroborated).with_code(identity::NEVER_FOUND)
            );
        }
        self.ledger.no_account = true;
        self.ledger.sought = None;
        if self.drive.case.cutoff <= now && !self.ended_without_account() {
            self.ledger.no_account_since = Some(now);
        }
        Ok(None)
    }

    /// `found`, unless it was not there when access had ended already: who is hired again is given a new account, and that is
    /// not the leaver's. A person decides, by naming it.
    fn not_of_later(&self, found: Correlation) -> Result<Correlation, Fault> {
        let late = self.ended_without_account() && self.system.who.account_name.is_none();
        match found {
            Correlation::One(account) if late && !planted(Bug::TakesLateAccounts) => {
                if account.is_one_of(&self.system.named) {
                    return Ok(Correlation::InOwnRows);
                }
                Err(Fault::needs_decision(Reason::Ambiguous).with_code(CAME_LATER))
            }
            found => Ok(found),
        }
    }

    /// Whether there was no account when access had ended. A day that is moved makes it an open question again.
    fn ended_without_account(&self) -> bool {
        let since = self.ledger.no_account_since;
        since.is_some_and(|since| self.drive.case.cutoff <= since)
    }

    pub(super) fn subject(
        &self,
        account: Account,
        successor: Option<(Person, Account)>,
        now: Timestamp,
    ) -> Subject {
        Subject {
            who: self.system.who.clone(),
            account,
            successor,
            ledger: self.ledger.clone(),
            cutoff: self.drive.case.cutoff,
            now,
            keys: self.keys(),
        }
    }

    pub(super) async fn account(&self, connector: &Shared) -> Result<Correlation, Fault> {
        if let Some(bound) = &self.ledger.account {
            return Ok(Correlation::One(Box::new(bound.account())));
        }
        let named = &self.system.named;
        let found = match self.find(connector).await {
            // Nothing else finds them there, and a person has said which ones are theirs.
            Err(fault)
                if !named.is_empty()
                    && (fault.code == BY_NAME_ONLY
                        || fault.code == NO_WAY && self.is_known_by_names_only()) =>
            {
                return Ok(Correlation::InOwnRows);
            }
            found => found?,
        };
        let named = self.in_own_rows();
        let names = identity::candidates(&found, named);
        identity::correlate(found, named).inspect_err(|_| {
            self.candidates.set(names).ok();
        })
    }

    /// The login names whose accounts have rows of their own, seen from this row.
    fn in_own_rows(&self) -> &[String] {
        match self.system.who.account_name {
            Some(_) => &[],
            None => &self.system.named,
        }
    }

    /// Whether nothing but login names is known of the person.
    fn is_known_by_names_only(&self) -> bool {
        let who = &self.system.who;
        who.emails().next().is_none() && who.employee_id.is_none()
    }

    /// The accounts of the person, by every address that is known. Asked by one after the other: an answer that is missing
    /// is none.
    async fn find(&self, connector: &Shared) -> Result<Vec<Account>, Fault> {
        let mut all: Vec<Account> = vec![];
        for who in self.system.who.by_address() {
            for account in bounded_find(connector.as_ref(), &who).await? {
                match all.iter_mut().find(|known| known.id == account.id) {
                    // By one of the addresses it is theirs for certain.
                    Some(known) if account.doubt.is_none() => *known = account,
                    Some(_) => {}
                    None => all.push(account),
                }
            }
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
        if planted(Bug::NeverLooksAgain) || connector.recognise(subject, readings)? {
            return Ok(());
        }
        if self.parked(self.drive.clock.now()) {
            // Nothing is sent now, and the next look asks again.
            return Ok(());
        }
        let found = self.find(connector).await?;
        if identity::others(&found, &subject.account.id, self.in_own_rows()).is_empty() {
            return Ok(());
        }
        Err(Fault::needs_decision(Reason::Ambiguous).with_code(identity::ANOTHER_ACCOUNT))
    }

    /// Whether it is time to look for active accounts beside the bound one.
    pub(super) fn others_due(&self) -> bool {
        let (now, case) = (self.drive.clock.now(), self.drive.case);
        if !self.bound_before || now < case.cutoff || case.reinstate || planted(Bug::NeverLooksAgain) {
            return false;
        }
        self.others_again().is_none_or(|at| now >= at)
    }

    /// When to look for them again, after they were looked for: sooner while a person is asked about one, or it could not be
    /// done.
    pub(super) fn others_again(&self) -> Option<Timestamp> {
        if let Some(trouble) = self.pace.facts.get(identity::NO_OTHER_ACCOUNT) {
            return Some(trouble.not_before);
        }
        let (looked_at, names) = self.pace.others.as_ref()?;
        let every = self.drive.case.recheck_every;
        let waived = self
            .system
            .keeps(identity::NO_OTHER_ACCOUNT, self.drive.clock.now());
        let asked = !names.is_empty() && !waived;
        let every = if asked {
            every.min(LONGEST_WAIT_FOR_A_PERSON)
        } else {
            every
        };
        Some(schedule::later(*looked_at, every))
    }

    /// Looks for active accounts beside that of `subject`, and keeps their login names.
    pub(super) async fn look_for_others(&mut self, connector: &Shared, subject: &Subject) {
        if self.parked(self.drive.clock.now()) {
            return;
        }
        match self.find(connector).await {
            Ok(found) => {
                let others = identity::others(&found, &subject.account.id, self.in_own_rows());
                let active = others
                    .into_iter()
                    .filter(|other| !closed(connector, subject, other));
                let names: Vec<String> = active.map(|other| other.name.clone()).collect();
                let now = self.drive.clock.now();
                self.ledger.another = (!names.is_empty()).then(|| self.ledger.another.unwrap_or(now));
                self.pace.facts.remove(identity::NO_OTHER_ACCOUNT);
                self.pace.others = Some((now, names));
            }
            // Nobody looked: that there is none is not known.
            Err(fault) => {
                if let FaultKind::Throttled { until } = fault.kind {
                    self.park(until);
                }
                let earlier = self.pace.facts.get(identity::NO_OTHER_ACCOUNT);
                let trouble = Trouble::again(earlier, fault, self.drive.clock.now(), self.seed);
                self.pace
                    .facts
                    .insert(identity::NO_OTHER_ACCOUNT.to_owned(), trouble);
            }
        }
    }

    /// Why it is not certain that the bound account is the person's only active one; none if it is, or before it matters.
    pub(super) fn another(&self) -> Option<Fault> {
        let (now, case) = (self.drive.clock.now(), self.drive.case);
        if !self.bound_before || case.reinstate || now < case.cutoff {
            return None;
        }
        let found = match &self.pace.others {
            Some((_, names)) => !names.is_empty(),
            // Before this process could look.
            None => self.ledger.another.is_some(),
        };
        if found {
            return Some(Fault::needs_decision(Reason::Ambiguous).with_code(identity::ANOTHER_ACCOUNT));
        }
        let trouble = self.pace.facts.get(identity::NO_OTHER_ACCOUNT)?;
        // What was seen not long ago outlives a fault that passes by itself.
        let known = self.pace.others.is_some() && trouble.fault.passes_by_itself();
        (!known).then(|| trouble.fault.clone())
    }

    /// Whether the system wants to be left alone at `now`.
    fn parked(&self, now: Timestamp) -> bool {
        self.pace.parked_until.is_some_and(|until| now < until)
    }

    async fn successor(&self, connector: &Shared) -> Result<Option<(Person, Account)>, Fault> {
        let Some(who) = &self.system.successor else {
            return Ok(None);
        };
        // A binding to somebody who does not take over any more says nothing about who does.
        if let Some(bound) = &self.ledger.successor
            && self.ledger.successor_known_as == who.email
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

/// Whether what `find` showed of `other` shows already that nobody can log in with it: of what ends access something holds, and
/// nothing does not.
fn closed(connector: &Shared, subject: &Subject, other: &Account) -> bool {
    let subject = Subject {
        account: other.clone(),
        ..subject.clone()
    };
    let facts = connector.capabilities().facts.iter();
    let access = facts.filter(|fact| fact.class == Class::Access && fact.stage != Stage::Ahead);
    let truths: Vec<Truth> = access
        .map(|fact| connector.sight(&subject, &fact.name, &Readings::new()).truth)
        .collect();
    truths.contains(&Truth::Holds) && !truths.contains(&Truth::DoesNotHold)
}

/// The last of the instants until which the system wants to be left alone.
pub(super) fn latest_silence<'f>(faults: impl Iterator<Item = &'f Fault>) -> Option<Timestamp> {
    let until = faults.filter_map(|fault| match fault.kind {
        FaultKind::Throttled { until } => Some(until),
        _ => None,
    });
    until.max()
}

async fn bounded_find(connector: &dyn Connector, who: &Person) -> Result<Vec<Account>, Fault> {
    let found = tokio::time::timeout(longest_call(), connector.find(who)).await;
    let found = found.unwrap_or_else(|_| Err(Fault::transient(Reason::Timeout)))?;
    found.iter().try_for_each(Account::check)?;
    Ok(found)
}
