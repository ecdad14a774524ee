//! The chain of what happened: each entry's digest binds the entry and everything before it.

use crate::{api::record::Entry, core::digest::digest_of};
use jiff::Timestamp;

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
    /// Somebody had said that it is done, and something newer shows that it is not.
    Reopened,
    /// Had been proven, and was undone by somebody else.
    Drifted,
    /// Something that was to be given back is gone, or somebody else has decided since.
    Gone,
    /// An answer carried another id than the bound one.
    IdentityMismatch,
    /// Others lost what only the leaver was to lose.
    OthersAffected,
    /// What it takes away was too large to be kept, or some of it.
    NotKept,
}

impl Event {
    fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "Asked",
            Self::Verified => "Verified",
            Self::Asserted => "Asserted",
            Self::Reopened => "Reopened",
            Self::Drifted => "Drifted",
            Self::Gone => "Gone",
            Self::IdentityMismatch => "IdentityMismatch",
            Self::OthersAffected => "OthersAffected",
            Self::NotKept => "NotKept",
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
