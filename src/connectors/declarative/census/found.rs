//! What the pages of an HR system showed, as people.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::super::{expression::Unevaluable, people::Managers, worker::day_of};
use crate::core::people::{Census, Worker};

/// A worker as the system told it.
pub(super) struct Told {
    pub worker: Box<Worker>,
    /// What other records may call it; none when managers are told by address.
    pub known_as: Option<Vec<String>>,
    /// The number of the request that it was told by.
    pub request: usize,
    /// Its item's number.
    pub item: usize,
}

/// What the pages showed so far.
#[derive(Default)]
pub(super) struct Found {
    pub workers: Vec<Told>,
    /// The number of the item, the place, and what is the matter.
    pub unusable: Vec<(usize, String, String)>,
    /// People of whom a record could not be understood.
    doubtful: BTreeMap<String, String>,
    /// Fields of which a day shows that all of them are written otherwise than was said.
    pub otherwise: BTreeSet<&'static str>,
    pub as_of: Option<Timestamp>,
    pub requests: usize,
    pub items: usize,
}

impl Found {
    /// The item at hand cannot be used.
    pub fn unusable(&mut self, error: &Unevaluable, person: Option<String>) {
        self.spoiled(self.items, error.to_string());
        self.doubts(person, &error.to_string());
    }

    /// Of several things that are the matter with a person's records the first is kept.
    fn doubts(&mut self, person: Option<String>, what: &str) {
        if let Some(person) = person {
            let what = what.strip_prefix("people.worker.").unwrap_or(what);
            self.doubtful.entry(person).or_insert_with(|| what.to_owned());
        }
    }

    fn spoiled(&mut self, item: usize, what: String) {
        self.unusable.push((item, place(item), what));
    }

    /// The census, and by what managers are known as their addresses; `known` are those of before. Unless all are to be
    /// `remembered`, only those whom somebody has.
    pub fn census(mut self, everyone: bool, known: Managers, remembered: bool) -> (Census, Managers) {
        self.once();
        self.disbelieve();
        let managers = self.managers(known, remembered);
        let count = self.workers.len();
        let (mut workers, mut numbers) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for told in std::mem::take(&mut self.workers) {
            let mut worker = told.worker;
            if self.doubtful.contains_key(&worker.person) {
                let why = "another record of the same person cannot be used";
                self.spoiled(told.item, why.to_owned());
                continue;
            }
            if told.known_as.is_some() {
                worker.manager = worker.manager.and_then(|manager| match managers.get(&manager) {
                    Some(address) => Some(address.clone()),
                    None => Some(manager).filter(|manager| manager.contains('@')),
                });
            }
            workers.push(worker);
            numbers.push(told.item);
        }
        self.unusable.sort_by_key(|(item, _, _)| *item);
        let unusable = self.unusable.into_iter();
        let census = Census {
            workers,
            numbers,
            everyone,
            as_of: self.as_of,
            doubtful: self.doubtful,
            unusable: unusable.map(|(_, place, what)| (place, what)).collect(),
        };
        (census, managers)
    }

    /// Sets every record apart that has a day in a field whose days are written otherwise than was said: those that can be
    /// read mean other days.
    fn disbelieve(&mut self) {
        for told in std::mem::take(&mut self.workers) {
            let field = self
                .otherwise
                .iter()
                .find(|field| day_of(&told.worker, field).is_some());
            let Some(field) = field else {
                self.workers.push(told);
                continue;
            };
            let what = format!("people.worker.{field}: another record shows that the format is wrong");
            self.doubts(Some(told.worker.person), &what);
            self.spoiled(told.item, what);
        }
    }

    /// Keeps one of each record: of several requests that tell it the last counts. One that a single request tells in two
    /// ways is doubtful.
    fn once(&mut self) {
        let mut at: BTreeMap<String, usize> = BTreeMap::new();
        let mut kept: Vec<Told> = vec![];
        for told in std::mem::take(&mut self.workers) {
            let Some(&first) = at.get(&told.worker.record) else {
                at.insert(told.worker.record.clone(), kept.len());
                kept.push(told);
                continue;
            };
            if kept[first].request != told.request {
                kept[first] = told;
            } else if kept[first].worker != told.worker {
                let why = "people.worker.record: another record has the same id";
                self.spoiled(told.item, why.to_owned());
                let first = kept[first].worker.person.clone();
                self.doubts(Some(first), why);
                self.doubts(Some(told.worker.person), why);
            }
        }
        self.workers = kept;
    }

    fn managers(&self, mut managers: Managers, remembered: bool) -> Managers {
        let mut addresses: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let of = |told: &Told| told.worker.manager.clone();
        let needed: BTreeSet<String> = self.workers.iter().filter_map(of).collect();
        for told in &self.workers {
            let names = told.known_as.iter().flatten();
            for name in names.filter(|name| remembered || needed.contains(*name)) {
                addresses
                    .entry(name)
                    .or_default()
                    .extend(told.worker.email.as_deref());
            }
        }
        for (name, addresses) in addresses {
            match addresses.iter().collect::<Vec<_>>().as_slice() {
                [address] => managers.insert(name.to_owned(), (**address).to_owned()),
                // No address, or several: nobody may be told another's leavers.
                _ => managers.remove(name),
            };
        }
        managers
    }
}

fn place(item: usize) -> String {
    format!("record {item}")
}
