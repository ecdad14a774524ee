//! What the systems' journal says about leavers: the oracle of every figure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{
    company::Leaver,
    systems::{Entry, What},
};

/// The requests about one leaver, by system, in the order of their arrival.
pub struct Story<'j>(BTreeMap<usize, Vec<&'j Entry>>);

impl<'j> Story<'j> {
    /// Of every leaver in the journal.
    pub fn all(journal: &'j [Entry]) -> BTreeMap<usize, Self> {
        let mut all = BTreeMap::<usize, Self>::new();
        for entry in journal {
            let story = all.entry(entry.leaver).or_insert_with(|| Self(BTreeMap::new()));
            story.0.entry(entry.system).or_default().push(entry);
        }
        all
    }

    /// When the first request that changes something arrived.
    pub fn first_change(&self) -> Option<Instant> {
        self.0
            .values()
            .flatten()
            .filter(|e| e.what.changes())
            .map(|e| e.at)
            .min()
    }

    /// When the last read arrived.
    pub fn last_read(&self) -> Option<Instant> {
        self.0
            .values()
            .flatten()
            .filter(|e| !e.what.changes())
            .map(|e| e.at)
            .max()
    }

    /// How many requests there were in all systems.
    pub fn requests(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// The most requests to one system that could not have been on their way together.
    pub fn longest_chain(&self, round_trip: Duration) -> usize {
        let chain = |entries: &Vec<&Entry>| {
            let (mut length, mut over) = (0, None);
            for entry in entries {
                if over.is_none_or(|over| entry.at >= over) {
                    length += 1;
                    over = Some(entry.at + round_trip);
                }
            }
            length
        };
        self.0.values().map(chain).max().unwrap_or(0)
    }

    /// Whether every system was read, completely and before `shown`, after the last act on it had its effect there.
    pub fn read_after_the_last_act(&self, shown: Instant, systems: usize) -> bool {
        let proven = |entries: &Vec<&Entry>| {
            let before: Vec<_> = entries.iter().filter(|e| e.at <= shown).collect();
            let last = before
                .iter()
                .filter(|e| e.what.changes() && e.done)
                .map(|e| e.at)
                .max();
            let read = |what| {
                before
                    .iter()
                    .any(|e| e.what == what && e.status == Some(200) && last.is_none_or(|last| e.at > last))
            };
            read(What::ReadUser) && read(What::ReadSessions)
        };
        self.0.len() == systems && self.0.values().all(proven)
    }
}

/// Requests of a journal that came before they were welcome again.
pub fn early(journal: &[Entry]) -> usize {
    journal.iter().filter(|e| e.early).count()
}

/// Requests that were refused with 429.
pub fn refused(journal: &[Entry]) -> usize {
    journal.iter().filter(|e| e.status == Some(429)).count()
}

/// From apply to something, for each leaver.
pub fn since_applied(leavers: &[Leaver], until: impl Fn(&Leaver) -> Option<Instant>) -> Vec<Duration> {
    leavers
        .iter()
        .filter_map(|l| Some(until(l)?.saturating_duration_since(l.applied)))
        .collect()
}

/// How many of `leavers` are in it.
pub fn met(journal: &[Entry], fault: impl Fn(&Entry) -> bool) -> usize {
    journal
        .iter()
        .filter(|e| fault(e))
        .map(|e| e.leaver)
        .collect::<BTreeSet<_>>()
        .len()
}
