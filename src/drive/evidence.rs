//! The chain of what happened: each entry's digest binds the entry and everything before it.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::api::record::Entry;

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

/// What can happen to a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The system accepted our act.
    Asked,
    /// Read back as true.
    Verified,
    /// Asked for, and nothing to read.
    Asserted,
    /// Had been proven, and was undone by somebody else.
    Drifted,
    /// An answer carried another id than the bound one.
    IdentityMismatch,
}

impl Event {
    fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "Asked",
            Self::Verified => "Verified",
            Self::Asserted => "Asserted",
            Self::Drifted => "Drifted",
            Self::IdentityMismatch => "IdentityMismatch",
        }
    }
}

/// Appends `happening` to `chain`.
pub fn append(chain: &mut Vec<Entry>, happening: Happening) {
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

/// A digest over texts, each with its length so that no two lists look the same.
pub fn digest_of<'t>(parts: impl IntoIterator<Item = &'t str>) -> String {
    use std::fmt::Write as _;
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize()
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a String takes every text");
            text
        })
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
