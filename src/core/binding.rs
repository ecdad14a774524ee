//! Whose account it is, and who takes over: bound once by a durable id, and never a choice of ours (R5, R22).

use jiff::{SignedDuration, Timestamp};

use super::{
    case::System,
    check::Check,
    fact::{Class, FactSpec, Stage, Truth},
    fault::{Fault, Reason},
    identity::{
        self, ANOTHER_ACCOUNT, Account, BY_NAME_ONLY, Binding, CAME_LATER, Correlation, FOUND_BEFORE,
        NEVER_FOUND, NO_OTHER_ACCOUNT, NO_WAY, Person,
    },
    ledger::SystemLedger,
    pace::{Pace, Trouble},
    schedule::{self, LONGEST_WAIT_FOR_A_PERSON},
    state::SystemState,
};

/// By what the accounts of a person in one system are told apart.
#[derive(Debug, Clone, Copy)]
pub struct Search<'s> {
    /// The system.
    pub system: &'s System,
    /// Which system it is: a binding belongs to one.
    pub fingerprint: &'s str,
    /// When access ends.
    pub cutoff: Timestamp,
    /// The person comes back.
    pub reinstate: bool,
    /// Now.
    pub now: Timestamp,
}

/// Why a complete `find` that shows nobody is no answer, or why it is not whose account was found: none if it is one.
type Doubt = fn(&Search<'_>, &SystemLedger) -> Option<Fault>;

/// Who was found once has not left by being found no more: people change their own addresses.
const FOUND_ONCE: Check<Doubt> = Check::new("found once", |_, ledger| {
    let fault = || Fault::needs_decision(Reason::NotFoundUncorroborated).with_code(FOUND_BEFORE);
    ledger.found.map(|_| fault())
});

/// A name that is misspelt ends nobody's access.
const NAMED: Check<Doubt> = Check::new("named", |search, _| {
    let fault = || Fault::needs_decision(Reason::NotFoundUncorroborated).with_code(NEVER_FOUND);
    let named = search.system.who.account_name.is_some() && !search.reinstate;
    named.then(fault)
});

/// Who is hired again is given a new account, and that is not the leaver's. A person decides, by naming it.
const CAME_AFTER_THE_END: Check<Doubt> = Check::new("came after the end", |search, ledger| {
    let late = search.ended_without_account(ledger) && search.system.who.account_name.is_none();
    late.then(|| Fault::needs_decision(Reason::Ambiguous).with_code(CAME_LATER))
});

impl Search<'_> {
    /// Binds what a complete `find` showed to `ledger`. Gives the account; none where the person has none in this row.
    ///
    /// # Errors
    /// `NeedsDecision` where a person must say whose account it is, or that there is none; and the fault of `found`.
    pub fn bind(
        &self,
        ledger: &mut SystemLedger,
        found: Result<Correlation, Fault>,
    ) -> Result<Option<Account>, Fault> {
        let found = found.and_then(|found| self.of_its_time(ledger, found));
        if found.as_ref().is_err_and(identity::shows_somebody) {
            // Somebody is there now, whoever it is.
            ledger.no_account = false;
            ledger.found.get_or_insert(self.now);
        }
        let account = match found? {
            Correlation::One(account) => *account,
            Correlation::NoAccount => return self.nobody(ledger).map(|()| None),
            Correlation::InOwnRows => {
                // Whoever was found before is in those rows.
                (ledger.found, ledger.sought) = (None, None);
                ledger.no_account = true;
                return Ok(None);
            }
        };
        ledger.no_account = false;
        ledger.sought = None;
        ledger.found.get_or_insert(self.now);
        let fresh = || Binding::new(&account, self.fingerprint, self.now);
        let bound = ledger.account.get_or_insert_with(fresh);
        // Records from before fingerprints were kept.
        bound
            .fingerprint
            .get_or_insert_with(|| self.fingerprint.to_owned());
        Ok(Some(account))
    }

    /// A complete `find` shows nobody.
    fn nobody(&self, ledger: &mut SystemLedger) -> Result<(), Fault> {
        let mut doubts = [FOUND_ONCE, NAMED].into_iter();
        if let Some(fault) = doubts.find_map(|doubt| doubt.rule()(self, ledger)) {
            ledger.no_account = false;
            return Err(fault);
        }
        ledger.no_account = true;
        ledger.sought = None;
        if self.cutoff <= self.now && !self.ended_without_account(ledger) {
            ledger.no_account_since = Some(self.now);
        }
        Ok(())
    }

    /// `found`, unless it was not there when access had ended already.
    fn of_its_time(&self, ledger: &SystemLedger, found: Correlation) -> Result<Correlation, Fault> {
        let Correlation::One(account) = &found else {
            return Ok(found);
        };
        match CAME_AFTER_THE_END.rule()(self, ledger) {
            Some(_) if account.is_one_of(&self.system.named) => Ok(Correlation::InOwnRows),
            Some(fault) => Err(fault),
            None => Ok(found),
        }
    }

    /// Whether there was no account when access had ended. A day that is moved makes it an open question again.
    fn ended_without_account(&self, ledger: &SystemLedger) -> bool {
        ledger.no_account_since.is_some_and(|since| self.cutoff <= since)
    }

    /// Binds who takes over to `ledger`, unless it is the leaver's own `account`. Who cannot be found holds up hand-overs only.
    pub fn bind_successor(
        &self,
        ledger: &mut SystemLedger,
        account: &Account,
        successor: Option<(Person, Account)>,
    ) -> Option<(Person, Account)> {
        let (who, taker) = successor.filter(|(_, taker)| taker.id != account.id)?;
        if ledger.successor.is_none() || ledger.successor_known_as != who.email {
            ledger.successor_known_as.clone_from(&who.email);
            ledger.successor = Some(Binding::new(&taker, self.fingerprint, self.now));
        }
        Some((who, taker))
    }

    /// Whether the bound account of `state` was the person's when this process began, access has ended, and nobody comes back.
    fn is_over(&self, bound_before: bool) -> bool {
        bound_before && self.cutoff <= self.now && !self.reinstate
    }
}

/// There was no answer at `now` to whether a person whose access ends at `cutoff` has an account: somebody may have one once the end
/// has come.
pub fn record_sought(ledger: &mut SystemLedger, cutoff: Timestamp, now: Timestamp) {
    if ledger.account.is_none() && !ledger.no_account && cutoff <= now {
        ledger.sought.get_or_insert(now);
    }
}

/// Unites the accounts that were found by one address with those found by others. By one of the addresses an account is the
/// person's for certain.
pub fn unite(all: &mut Vec<Account>, found: Vec<Account>) {
    for account in found {
        match all.iter_mut().find(|known| known.id == account.id) {
            Some(known) if account.doubt.is_none() => *known = account,
            Some(_) => {}
            None => all.push(account),
        }
    }
}

/// The login names whose accounts have rows of their own, seen from the row of `system`.
pub fn in_own_rows(system: &System) -> &[String] {
    match system.who.account_name {
        Some(_) => &[],
        None => &system.named,
    }
}

/// Whether `fault` of a `find` means that nothing but the login names finds the person, whose accounts were named.
pub fn found_by_name_alone(system: &System, fault: &Fault) -> bool {
    let who = &system.who;
    let names_only = who.emails().next().is_none() && who.employee_id.is_none();
    let by_name = fault.code == BY_NAME_ONLY || fault.code == NO_WAY && names_only;
    !system.named.is_empty() && by_name
}

type Recognise = fn(Result<bool, Fault>) -> Result<bool, Fault>;

/// Whether the account that a look showed is still the person's; `shown` is whether one of their keys is.
const RECOGNISED: Check<Recognise> = Check::new("recognised", |shown| shown);

/// Whether what a look showed is certain to be the person's: an account that shows none of their keys any more is taken for theirs
/// only if these find no other one.
///
/// # Errors
/// When that cannot be computed, or a key contradicts.
pub fn recognised(shown: Result<bool, Fault>) -> Result<bool, Fault> {
    RECOGNISED.rule()(shown)
}

/// Why the account with the id `bound`, which shows none of the person's keys, is not certain to be theirs: these find another one.
pub fn found_elsewhere(system: &System, found: &[Account], bound: &str) -> Option<Fault> {
    let others = identity::others(found, bound, in_own_rows(system));
    let fault = || Fault::needs_decision(Reason::Ambiguous).with_code(ANOTHER_ACCOUNT);
    (!others.is_empty()).then(fault)
}

/// Whether `truths`, what `find` shows already of another account by the facts that end access, show that nobody can log in with
/// it: something holds, and nothing does not.
pub fn is_closed(truths: &[Truth]) -> bool {
    truths.contains(&Truth::Holds) && !truths.contains(&Truth::DoesNotHold)
}

/// Whether `fact` ends access of an account: by these another account is seen to be closed.
pub fn ends_access(fact: &FactSpec) -> bool {
    fact.class == Class::Access && fact.stage != Stage::Ahead
}

/// Whether it is time to look for other active accounts beside the bound one.
const OTHERS_DUE: Check<fn(Option<Timestamp>, Timestamp) -> bool> =
    Check::new("others due", |again, now| again.is_none_or(|at| now >= at));

/// Other active accounts of the person beside the bound one.
#[derive(Debug, Clone, Copy)]
pub struct Others<'s> {
    /// By what they are told apart.
    pub search: Search<'s>,
    /// The account was bound when the pass began.
    pub bound_before: bool,
    /// How often they are looked for.
    pub recheck_every: SignedDuration,
}

impl Others<'_> {
    /// Whether it is time to look for them.
    pub fn due(&self, pace: &Pace) -> bool {
        let over = self.search.is_over(self.bound_before);
        over && OTHERS_DUE.rule()(self.again(pace), self.search.now)
    }

    /// When to look for them again, after they were looked for: sooner while a person is asked about one, or it could not be done.
    pub fn again(&self, pace: &Pace) -> Option<Timestamp> {
        if let Some(trouble) = pace.facts.get(NO_OTHER_ACCOUNT) {
            return Some(trouble.not_before);
        }
        let (looked_at, names) = pace.others.as_ref()?;
        let waived = self.search.system.keeps(NO_OTHER_ACCOUNT, self.search.now);
        let every = if names.is_empty() || waived {
            self.recheck_every
        } else {
            self.recheck_every.min(LONGEST_WAIT_FOR_A_PERSON)
        };
        Some(schedule::later(*looked_at, every))
    }

    /// Takes what looking for them showed, the login names of those that are active, into what is known.
    pub fn record(&self, state: &mut SystemState, found: Result<Vec<String>, Fault>) {
        let now = self.search.now;
        match found {
            Ok(names) => {
                let since = state.ledger.another.unwrap_or(now);
                state.ledger.another = (!names.is_empty()).then_some(since);
                state.pace.facts.remove(NO_OTHER_ACCOUNT);
                state.pace.others = Some((now, names));
            }
            // Nobody looked: that there is none is not known.
            Err(fault) => {
                if let Some(until) = fault.silent_until() {
                    state.pace.park(until);
                }
                let earlier = state.pace.facts.get(NO_OTHER_ACCOUNT);
                let trouble = Trouble::again(earlier, fault, now, state.seed);
                state.pace.facts.insert(NO_OTHER_ACCOUNT.to_owned(), trouble);
            }
        }
    }

    /// Why it is not certain that the bound account is the person's only active one; none if it is, or before it matters.
    pub fn doubt(&self, state: &SystemState) -> Option<Fault> {
        if !self.search.is_over(self.bound_before) {
            return None;
        }
        let found = match &state.pace.others {
            Some((_, names)) => !names.is_empty(),
            // Before this process could look.
            None => state.ledger.another.is_some(),
        };
        if found {
            return Some(Fault::needs_decision(Reason::Ambiguous).with_code(ANOTHER_ACCOUNT));
        }
        let trouble = state.pace.facts.get(NO_OTHER_ACCOUNT)?;
        // What was seen not long ago outlives a fault that passes by itself.
        let known = state.pace.others.is_some() && trouble.fault.passes_by_itself();
        (!known).then(|| trouble.fault.clone())
    }

    /// The login names of those that were found.
    pub fn names<'p>(&self, pace: &'p Pace) -> &'p [String] {
        match &pace.others {
            Some((_, names)) if self.bound_before && !self.search.reinstate => names,
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests;
