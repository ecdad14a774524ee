//! Who leaves, by address: who leaves takes nothing over from another leaver and approves nothing, and two Offboardings about one
//! person know of each other.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};

use super::{
    duplicate::Duplicate,
    gate::{Vote, bare},
};

/// What is known of one Offboarding that does something: one that is suspended is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// `metadata.name`.
    pub name: String,
    /// Addresses, numbers and accounts by which the person is known, as [`super::duplicate::names`] has them.
    pub names: Vec<String>,
    /// When access ends, at the earliest while that is not computed yet; none: it comes back.
    pub ends: Option<Timestamp>,
    /// When access ends, at the latest while that is not computed yet; none while nobody can know.
    pub ends_at_latest: Option<Timestamp>,
    /// How far it is with giving back; none: it ends access.
    pub reinstatement: Option<Reinstatement>,
}

/// How far a reinstatement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reinstatement {
    /// Something may be left to give back.
    Wanted,
    /// Everything is given back.
    Done,
}

/// The departures of one namespace or folder, by uid and by what their people are known as.
#[derive(Debug, Default)]
pub struct DepartureIndex(Mutex<Index>);

#[derive(Debug, Default)]
struct Index {
    by_uid: HashMap<String, Departure>,
    by_name: HashMap<String, BTreeSet<String>>,
}

impl Index {
    /// The uids of others that share a name with `uid`.
    fn others(&self, uid: &str) -> BTreeSet<String> {
        let names = self.by_uid.get(uid).map_or(&[][..], |own| &own.names);
        let sharing = names.iter().filter_map(|name| self.by_name.get(name));
        let others = sharing.flatten().filter(|other| *other != uid);
        others.cloned().collect()
    }

    fn remove(&mut self, uid: &str) -> Option<Departure> {
        let own = self.by_uid.remove(uid)?;
        for name in &own.names {
            if let Some(of) = self.by_name.get_mut(name) {
                of.remove(uid);
                if of.is_empty() {
                    self.by_name.remove(name);
                }
            }
        }
        Some(own)
    }

    fn insert(&mut self, uid: &str, departure: Departure) {
        for name in &departure.names {
            self.by_name
                .entry(name.clone())
                .or_default()
                .insert(uid.to_owned());
        }
        self.by_uid.insert(uid.to_owned(), departure);
    }
}

impl DepartureIndex {
    fn index(&self) -> MutexGuard<'_, Index> {
        self.0.lock()
    }

    /// Takes in the Offboarding `uid` as it is now. Gives the uids of the others about the same person, before or now, if that is
    /// news to them.
    pub fn record(&self, uid: &str, departure: Option<Departure>) -> BTreeSet<String> {
        let mut index = self.index();
        let mut others = index.others(uid);
        let before = index.remove(uid);
        let unchanged = before == departure;
        if let Some(departure) = departure {
            index.insert(uid, departure);
        }
        if unchanged {
            return BTreeSet::new();
        }
        others.extend(index.others(uid));
        others
    }

    /// The other Offboardings about the same person as `uid`, which gives back or ends access, that say something else. One that
    /// has given back what it took says nothing any more.
    pub fn duplicates(&self, uid: &str, reinstates: bool) -> Vec<Duplicate> {
        let index = self.index();
        let others = index.others(uid);
        let others = others.iter().filter_map(|other| index.by_uid.get(other));
        let others = others.filter(|other| match other.reinstatement {
            Some(progress) => !reinstates && progress == Reinstatement::Wanted,
            None => true,
        });
        let mut duplicates: Vec<Duplicate> = others
            .map(|other| Duplicate {
                name: other.name.clone(),
                ends: other.ends_at_latest,
                reinstates: other.reinstatement.is_some(),
            })
            .collect();
        duplicates.sort();
        duplicates
    }

    /// Forgets the Offboarding `uid`, and gives the uids of the others about the same person.
    pub fn forget(&self, uid: &str) -> BTreeSet<String> {
        let mut index = self.index();
        let others = index.others(uid);
        index.remove(uid);
        others
    }

    /// Forgets all Offboardings but these, and gives the uids of others about the same people.
    pub fn retain(&self, uids: &BTreeSet<String>) -> BTreeSet<String> {
        let mut index = self.index();
        let gone: Vec<String> = index
            .by_uid
            .keys()
            .filter(|uid| !uids.contains(*uid))
            .cloned()
            .collect();
        let others: BTreeSet<String> = gone.iter().flat_map(|uid| index.others(uid)).collect();
        for uid in &gone {
            index.remove(uid);
        }
        others.into_iter().filter(|other| !gone.contains(other)).collect()
    }

    /// Of those who voted, whose access ends until `when`, by another Offboarding than `uid`.
    pub fn departed_voters(&self, votes: &[Vote], uid: &str, when: Timestamp) -> Vec<String> {
        let people = votes
            .iter()
            .flat_map(|vote| vote.person.iter().chain([&vote.approver]));
        people
            .filter(|name| self.has_left(bare(name), uid, when))
            .cloned()
            .collect()
    }

    /// Whether the access of somebody known as `name` ends until `when`, by another Offboarding than `uid`.
    pub fn has_left(&self, name: &str, uid: &str, when: Timestamp) -> bool {
        let index = self.index();
        let Some(of) = index.by_name.get(&name.trim().to_lowercase()) else {
            return false;
        };
        let departures = of.iter().filter(|other| *other != uid);
        departures
            .filter_map(|other| index.by_uid.get(other)?.ends)
            .any(|ends| ends <= when)
    }
}
