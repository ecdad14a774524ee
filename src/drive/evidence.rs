//! The chain of what happened: each entry's digest binds the entry and everything before it.

use crate::{
    api::record::Entry,
    core::{digest::digest_of, event::Event},
};
use jiff::Timestamp;

/// So many entries are kept of one fact: more come of a system that goes back and forth, which must not fill the record.
const MOST_OF_A_FACT: usize = 100;

/// How much room the entries of one leaver may take, in bytes; the object that they are in holds three times as much.
const LARGEST: usize = 512 * 1024;

/// What an entry takes beside its own texts, in bytes.
const FRAME: usize = 180;

/// What happened, before it has a place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// When.
    pub at: Timestamp,
    /// Row of the system.
    pub system: String,
    /// The fact.
    pub fact: String,
    /// What.
    pub event: Event,
    /// Durable id of the account.
    pub account: String,
}

/// Appends `happening` to `chain`, as long as there is room: then once that more happened, and nothing any more.
pub fn append(chain: &mut Vec<Entry>, mut happening: Happening) {
    let same = |entry: &&Entry| entry.system == happening.system && entry.fact == happening.fact;
    let mut of_the_fact = chain.iter().filter(same);
    let known = of_the_fact.clone().count();
    let taken: usize = chain.iter().map(|entry| FRAME + texts(entry)).sum();
    if known >= MOST_OF_A_FACT || taken >= LARGEST {
        let omitted = Event::Omitted.as_str();
        let mut last = of_the_fact.next_back().into_iter().chain(chain.last());
        if last.any(|entry| entry.event == omitted) {
            return;
        }
        happening.event = Event::Omitted;
    }
    let mut entry = Entry {
        at: happening.at,
        system: happening.system,
        fact: happening.fact,
        event: happening.event.as_str().to_owned(),
        account: happening.account,
        digest: String::new(),
    };
    entry.digest = digest(chain.last().map_or("", |last| &last.digest), &entry);
    chain.push(entry);
}

fn texts(entry: &Entry) -> usize {
    entry.system.len() + entry.fact.len() + entry.account.len()
}

/// The place of the first entry that does not fit the chain.
pub fn first_broken(chain: &[Entry]) -> Option<usize> {
    let mut before = "";
    for (index, entry) in chain.iter().enumerate() {
        if entry.digest != digest(before, entry) {
            return Some(index);
        }
        before = &entry.digest;
    }
    None
}

fn digest(before: &str, entry: &Entry) -> String {
    let at = entry.at.to_string();
    digest_of([
        before,
        &at,
        &entry.system,
        &entry.fact,
        &entry.event,
        &entry.account,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> Vec<Entry> {
        let mut chain = vec![];
        for (n, event) in [Event::Asked, Event::Verified, Event::Drifted]
            .into_iter()
            .enumerate()
        {
            let at = Timestamp::from_second(1_000 + n as i64).unwrap();
            append(
                &mut chain,
                Happening {
                    at,
                    system: "ad".into(),
                    fact: "F".into(),
                    event,
                    account: "1".into(),
                },
            );
        }
        chain
    }

    fn happening(fact: &str, account: &str) -> Happening {
        Happening {
            at: Timestamp::UNIX_EPOCH,
            system: "ad".into(),
            fact: fact.into(),
            event: Event::Drifted,
            account: account.into(),
        }
    }

    #[test]
    fn what_goes_back_and_forth_does_not_fill_the_record() {
        let mut chain = vec![];
        for _ in 0..1_000 {
            append(&mut chain, happening("F", "1"));
        }
        append(&mut chain, happening("G", "1"));
        let events: Vec<&str> = chain.iter().map(|entry| entry.event.as_str()).collect();
        assert_eq!(events.len(), MOST_OF_A_FACT + 2);
        assert_eq!(events[MOST_OF_A_FACT - 1..], ["Drifted", "Omitted", "Drifted"]);
        assert_eq!(first_broken(&chain), None);
    }

    #[test]
    fn all_of_it_is_bounded_too() {
        let mut chain = vec![];
        for fact in 0..5_000 {
            append(&mut chain, happening(&format!("F{fact}"), &"7".repeat(900)));
        }
        let text = serde_json::to_string(&chain).unwrap();
        assert!(text.len() < LARGEST + 10_000, "{}", text.len());
        assert_eq!(chain.last().unwrap().event, "Omitted");
        assert_eq!(first_broken(&chain), None);
    }

    #[test]
    fn a_changed_dropped_or_swapped_entry_breaks_the_chain() {
        assert_eq!(first_broken(&chain()), None);
        let mut changed = chain();
        changed[1].account = "2".into();
        assert_eq!(first_broken(&changed), Some(1));
        let mut dropped = chain();
        dropped.remove(1);
        assert_eq!(first_broken(&dropped), Some(1));
        let mut swapped = chain();
        swapped.swap(1, 2);
        assert_eq!(first_broken(&swapped), Some(1));
    }
}
