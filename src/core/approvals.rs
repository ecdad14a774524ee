//! All gates of one leaver: what is behind each now, and what people said about it.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{
    case::{Case, System, Wanted},
    fact::FactSpec,
    gate::{Ballot, Counted, Gate, Item, Rule, State, Vote},
    guard,
    identity::{Binding, folded},
    ledger::{Ledger, SystemLedger},
};

/// The word for a fact that waits for a yes.
pub const AWAITING_APPROVAL: &str = "AwaitingApproval";
/// The word for a fact that somebody said no to.
pub const APPROVAL_DENIED: &str = "ApprovalDenied";

/// All gates of one leaver.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gates {
    /// One for each rule of the policy.
    pub counted: Vec<Counted>,
    /// When one of them may change by itself.
    pub wake: Option<Timestamp>,
}

impl Gates {
    /// Counts what people said about what is behind the gates of `case` now, by what is bound in `ledger`. `facts` tells the
    /// facts of a row; none while its connector is broken.
    ///
    /// While one is broken that has an account, what it would do is not known: what was said before stands for what it was
    /// said about, and nothing new is opened.
    pub fn count<'f>(
        case: &Case,
        ledger: &Ledger,
        facts: &dyn Fn(&str) -> &'f [FactSpec],
        now: Timestamp,
    ) -> Self {
        let bound = ledger
            .systems
            .values()
            .filter_map(|system| system.account.as_ref());
        let names = bound.flat_map(|account| [account.name.clone(), account.id.clone()]);
        let ineligible: Vec<String> = case.ineligible.iter().cloned().chain(names).collect();
        let behind = case.gates.iter().map(|rule| {
            let (items, unclear) = rule.behind(case, ledger, facts);
            let mut ineligible = ineligible.clone();
            if rule.gate == Gate::Transfer {
                // Who would get it has an interest.
                ineligible.extend(takers(case, ledger));
            }
            let whole = rule.is_whole(case);
            let ballot = Ballot {
                uid: &case.uid,
                votes: &case.votes,
                ineligible: &ineligible,
            };
            let counted = rule.clone().counted(ballot, items, unclear, now);
            Counted { whole, ..counted }
        });
        let counted: Vec<Counted> = behind.chain(case.loosenings.iter().cloned()).collect();
        let wake = counted.iter().filter_map(|c| c.standing.wake).min();
        Self { counted, wake }
    }

    /// The word for why `fact` of `system` waits for people; none when it does not.
    pub fn closed(&self, system: &System, ledger: &SystemLedger, fact: &FactSpec) -> Option<&'static str> {
        let account = ledger.account.as_ref().map_or("", |bound| bound.id.as_str());
        let mut word = None;
        for counted in self.covering(system, ledger, fact) {
            match counted.standing.state {
                State::Open
                    if counted.is_about(&system.row, account, &fact.name)
                        && counted.hands_over_as(system, ledger) => {}
                State::Denied => return Some(APPROVAL_DENIED),
                // What was bound since the people were asked is not what they said yes to.
                State::Open | State::Waiting | State::Expired => word = Some(AWAITING_APPROVAL),
            }
        }
        word
    }

    /// The votes that opened the gates of `fact`.
    pub fn opened_by<'v>(
        &self,
        system: &System,
        ledger: &SystemLedger,
        fact: &FactSpec,
        votes: &'v [Vote],
    ) -> Vec<&'v Vote> {
        let ids: BTreeSet<&String> = self
            .covering(system, ledger, fact)
            .flat_map(|counted| &counted.standing.counted)
            .collect();
        votes.iter().filter(|vote| ids.contains(&vote.id)).collect()
    }

    fn covering<'g>(
        &'g self,
        system: &'g System,
        ledger: &'g SystemLedger,
        fact: &'g FactSpec,
    ) -> impl Iterator<Item = &'g Counted> {
        self.counted
            .iter()
            .filter(|counted| counted.rule.covers(system, ledger, fact))
    }
}

impl Counted {
    /// Whether who would get it in `system` now is who people were asked about; so it is where nothing is handed over.
    fn hands_over_as(&self, system: &System, ledger: &SystemLedger) -> bool {
        if self.rule.gate != Gate::Transfer {
            return true;
        }
        let taker = taker(system, ledger);
        let mut own = self.items.iter().filter(|item| item.row == system.row);
        taker.is_some() && own.all(|item| item.successor == taker)
    }
}

impl Rule {
    /// Whether `fact` of `system` waits for this.
    fn covers(&self, system: &System, ledger: &SystemLedger, fact: &FactSpec) -> bool {
        match self.gate {
            Gate::Guard => guard::holds(system, ledger),
            Gate::Account => names_a_stranger(system, ledger),
            Gate::Transfer => {
                Gate::of(fact) == Some(Gate::Transfer)
                    && (!self.to_strangers || system.successor_is_asked_for)
            }
            Gate::Revoke | Gate::Delete => Gate::of(fact) == Some(self.gate),
            Gate::Task | Gate::Waiver | Gate::Reinstate | Gate::Loosen => false,
        }
    }

    /// What is behind it, and whether that is not known as a whole: a connector with an account is broken.
    fn behind<'f>(
        &self,
        case: &Case,
        ledger: &Ledger,
        facts: &dyn Fn(&str) -> &'f [FactSpec],
    ) -> (BTreeSet<Item>, bool) {
        let mut items = BTreeSet::new();
        let mut unclear = false;
        if self.is_whole(case) {
            return (items, unclear);
        }
        for system in &case.systems {
            let Some(kept) = ledger.systems.get(&system.row) else {
                continue;
            };
            let Some(account) = &kept.account else { continue };
            let item = Item {
                row: system.row.clone(),
                system: account.fingerprint.clone().unwrap_or_default(),
                account: account.id.clone(),
                ..Item::default()
            };
            if self.gate == Gate::Account {
                items.extend(names_a_stranger(system, kept).then_some(item));
                continue;
            }
            if self.gate == Gate::Guard {
                items.extend(guard::holds(system, kept).then_some(item));
                continue;
            }
            let known = facts(&system.row);
            unclear |= known.is_empty();
            let wanted = |fact: &&FactSpec| {
                let wanted = system.wanted.get(&fact.name);
                self.covers(system, kept, fact) && wanted.is_some_and(|wanted| *wanted != Wanted::Not)
            };
            let taker = taker(system, kept).filter(|_| self.gate == Gate::Transfer);
            items.extend(known.iter().filter(wanted).map(|fact| Item {
                fact: fact.name.clone(),
                requests: fact.digest.clone(),
                successor: taker.clone(),
                ..item.clone()
            }));
        }
        (items, unclear)
    }

    /// Whether it is about the leaver as such, whatever there is of them.
    fn is_whole(&self, case: &Case) -> bool {
        self.gate == Gate::Guard && case.systems.iter().all(|system| system.places.is_none())
    }
}

/// Whether the request names an account of `system` that shows nothing of the person, or was not found yet.
fn names_a_stranger(system: &System, ledger: &SystemLedger) -> bool {
    let shows = |bound: &Binding| bound.shows(&system.certain);
    system.who.account_name.is_some() && !ledger.account.as_ref().is_some_and(shows)
}

/// Who takes over in `system`, and with which account: another person, or another account, is another hand-over.
fn taker(system: &System, ledger: &SystemLedger) -> Option<String> {
    let who = system.successor.as_ref()?;
    let name = who.email.as_ref().or(who.employee_id.as_ref())?;
    let bound = ledger.successor.as_ref();
    let bound = bound.filter(|_| ledger.successor_known_as == who.email);
    let account = bound.map_or("", |bound| bound.id.as_str());
    Some(format!("{} {account}", folded(name)))
}

/// The names of those who would take something over.
fn takers(case: &Case, ledger: &Ledger) -> Vec<String> {
    let people = case.systems.iter().filter_map(|system| system.successor.as_ref());
    let known = people.flat_map(|taker| taker.emails().chain(&taker.employee_id).cloned());
    let bound = ledger
        .systems
        .values()
        .filter_map(|system| system.successor.as_ref());
    known
        .chain(bound.flat_map(|taker| [taker.name.clone(), taker.id.clone()]))
        .collect()
}

#[cfg(test)]
mod tests;
