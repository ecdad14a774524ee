//! With whom work may begin: so many places in a while, whoever asks for them.
//!
//! # Why
//! A leaver takes one place, in however many systems: what shows their own address or number is theirs. But one request may name
//! more: other addresses, which lead to other people's accounts, and several accounts of one system. If all of that took one place,
//! whoever asks would get past the window by asking once. So each further address by which alone an account was bound takes a
//! place of its own, and so does each named account of a system beyond the first. It is taken when the account is bound and before
//! anything is asked for there; what has no room waits by itself, and holds up neither the leaver nor anybody else.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::{
    case::{Case, System},
    identity::{Person, folded},
    ledger::{FactLedger, Ledger, SystemLedger},
    schedule,
};

/// With how many leavers work may begin in a while, whoever asks for them: what a source's own guard lets through counts too, so
/// that nobody gets past it who may write sources or Offboardings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstActs {
    /// The length of the window.
    pub window: SignedDuration,
    /// Places within it: one for each leaver, and for each further person or account that a request names.
    pub max: u32,
}

impl Default for FirstActs {
    fn default() -> Self {
        Self {
            window: SignedDuration::from_hours(24),
            max: 10,
        }
    }
}

/// That work on a leaver may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Admission {
    /// Since when; of several places, since when there was room for the last one.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Why.
    pub by: AdmittedBy,
    /// How many places that takes: one, and one for each further address or account.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub places: u32,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_one(n: &u32) -> bool {
    *n == 1
}

/// Why work on a leaver may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AdmittedBy {
    /// The window had room. Only these take any.
    Room,
    /// Somebody approved this leaver.
    Approval,
    /// Somebody approved the set of the source that it came in.
    Source,
    /// It was begun before anybody counted.
    Begun,
}

/// Who was let through, and who waits. What is lost with the process is in the statuses.
#[derive(Debug, Clone, Default)]
pub struct Admissions {
    recent: BTreeMap<String, (Timestamp, u32)>,
    waiting: BTreeSet<String>,
}

impl Admissions {
    /// Whether the leaver `uid` may take so many `places` in all; `known` are those that statuses say the window had room for. All
    /// who wait for their first place pass together, or none; further ones hold up nobody.
    pub fn ask(
        &mut self,
        (uid, places): (&str, u32),
        known: impl Iterator<Item = (String, Admission)>,
        limits: FirstActs,
        now: Timestamp,
    ) -> bool {
        for (uid, admission) in known {
            let entry = self.recent.entry(uid).or_insert((admission.at, admission.places));
            *entry = (entry.0.max(admission.at), entry.1.max(admission.places));
        }
        // What lies ahead of the clock counts as well.
        self.recent
            .retain(|_, (at, _)| schedule::later(*at, limits.window) > now);
        if places == 1 {
            self.waiting.insert(uid.to_owned());
        }
        let others = self.recent.iter().filter(|(other, _)| *other != uid);
        let taken = others.fold(0_u32, |sum, (_, (_, places))| sum.saturating_add(*places));
        let waiting = self.waiting.iter().filter(|other| *other != uid).count();
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        let fits = taken.saturating_add(waiting).saturating_add(places) <= limits.max;
        if fits {
            self.waiting.remove(uid);
            self.recent.insert(uid.to_owned(), (now, places));
        }
        fits
    }

    /// Only those wait for whom `exists` holds.
    pub fn keep(&mut self, exists: impl Fn(&str) -> bool) {
        self.waiting.retain(|uid| exists(uid));
    }

    /// Nothing is to be begun with the leaver `uid`.
    pub fn forget(&mut self, uid: &str) {
        self.waiting.remove(uid);
    }
}

/// The further place that the account of `system` takes; none where it is the leaver's own, or none is bound. Accounts that one
/// other address leads to are one person's.
pub fn further_place(system: &System, ledger: &SystemLedger) -> Option<String> {
    let bound = ledger.account.as_ref()?;
    if let Some(name) = &system.who.account_name {
        let first = system.named.first() == Some(name);
        return (!first).then(|| system.row.clone());
    }
    let others = system.who.other_emails.iter();
    let mut others = others
        .filter(|email| !system.certain.other_emails.contains(email))
        .peekable();
    if others.peek().is_none() || bound.shows(&system.certain) {
        return None;
    }
    let shows = |email: &String| {
        let person = Person {
            email: Some(email.clone()),
            ..Person::default()
        };
        bound.shows(&person)
    };
    let address = others.find(|email| shows(email));
    Some(address.map_or_else(|| system.row.clone(), |email| folded(email)))
}

/// The further places that what is bound of `case` takes.
pub fn further_places(case: &Case, ledger: &Ledger) -> BTreeSet<String> {
    let bound = case.systems.iter();
    let bound = bound.filter_map(|system| further_place(system, ledger.systems.get(&system.row)?));
    bound.collect()
}

/// Whether nothing may be begun in `system` for want of a place. What was begun goes on.
pub fn holds(system: &System, ledger: &SystemLedger) -> bool {
    let Some(places) = &system.places else {
        return true;
    };
    let place = further_place(system, ledger);
    place.is_some_and(|place| !places.contains(&place)) && !ledger.facts.values().any(FactLedger::asked)
}

/// Whether a request names more than one person or account of a system.
fn names_more(case: &Case) -> bool {
    case.systems.iter().any(|system| {
        let mut others = system.who.other_emails.iter();
        system.named.len() > 1 || others.any(|email| !system.certain.other_emails.contains(email))
    })
}

/// Lets work on `case` begin, or has it wait for a yes: `ask` says whether there is leave to, for so many places in all.
pub fn admit(
    case: &mut Case,
    ledger: &Ledger,
    mut ask: impl FnMut(u32) -> Option<AdmittedBy>,
    now: Timestamp,
) {
    let begins = case.begins(now);
    if case.admitted.is_none() && begins {
        let mut facts = ledger.systems.values().flat_map(|system| system.facts.values());
        // What was only found true was asked for by nobody.
        let by = if facts.any(FactLedger::asked) {
            Some(AdmittedBy::Begun)
        } else {
            ask(1)
        };
        let Some(by) = by else {
            case.gates.append(&mut case.guard);
            return;
        };
        case.admitted = Some(Admission {
            at: now,
            by,
            places: 1,
        });
    }
    let Some(mut admitted) = case.admitted else {
        return;
    };
    let approved = matches!(admitted.by, AdmittedBy::Approval | AdmittedBy::Source);
    if approved || !names_more(case) {
        return;
    }
    let places = further_places(case, ledger);
    let all = u32::try_from(places.len()).unwrap_or(u32::MAX).saturating_add(1);
    if begins
        && admitted.places < all
        && let Some(by) = ask(all)
    {
        admitted = Admission {
            at: now,
            by,
            places: all,
        };
        case.admitted = Some(admitted);
    }
    let room = usize::try_from(admitted.places.saturating_sub(1)).unwrap_or(usize::MAX);
    let places: BTreeSet<String> = places.into_iter().take(room).collect();
    for system in &mut case.systems {
        system.places = Some(places.clone());
    }
    case.gates.append(&mut case.guard);
}

#[cfg(test)]
mod tests;
