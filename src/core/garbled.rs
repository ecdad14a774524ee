//! What strangers may send, for tests: what is right, with a few changes. The same in every run.

use std::fmt::Debug;

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

/// The most bytes of one case.
const LARGEST: usize = 16 * 1024;

/// One change. Where it is made depends on how long the case is by then.
#[derive(Debug, Clone)]
enum Change {
    Byte(Index, u8),
    More(Index, u8),
    Fewer(Index, Index),
    Cut(Index),
    Again(Index, Index, usize),
    Part(Index, Index, Vec<u8>),
    Word(Index, Vec<u8>),
}

impl Change {
    fn make(self, bytes: &mut Vec<u8>) {
        let place = |at: Index| at.index(bytes.len() + 1);
        let part = |from: Index, to: Index| {
            let (from, to) = (place(from), place(to));
            from.min(to)..from.max(to)
        };
        match self {
            Self::Byte(at, byte) => {
                let at = place(at);
                bytes.splice(at..(at + 1).min(bytes.len()), [byte]);
            }
            Self::More(at, byte) => bytes.insert(place(at), byte),
            Self::Fewer(from, to) => drop(bytes.drain(part(from, to))),
            Self::Cut(at) => bytes.truncate(place(at)),
            Self::Again(from, to, times) => {
                let part = part(from, to);
                let again = bytes[part.clone()].repeat(times);
                bytes.splice(part.end..part.end, again);
            }
            Self::Part(from, to, other) => drop(bytes.splice(part(from, to), other)),
            Self::Word(at, word) => {
                let at = place(at);
                bytes.splice(at..at, word);
            }
        }
        bytes.truncate(LARGEST);
    }
}

/// One of `good` with up to four changes: other bytes, more or fewer of them, a part again and again, a part of another one, one of
/// `words`.
pub fn garbled<T: AsRef<[u8]>>(good: &[T], words: &[&str]) -> impl Strategy<Value = Vec<u8>> + use<T> {
    let good: Vec<Vec<u8>> = good.iter().map(|bytes| bytes.as_ref().to_vec()).collect();
    let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    let words = if words.is_empty() { good.clone() } else { words };
    let at = any::<Index>;
    let other = (select(good.clone()), at(), at()).prop_map(|(bytes, from, to)| {
        let (from, to) = (from.index(bytes.len() + 1), to.index(bytes.len() + 1));
        bytes[from.min(to)..from.max(to)].to_vec()
    });
    let change = prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::More(at, byte)),
        (at(), at()).prop_map(|(from, to)| Change::Fewer(from, to)),
        at().prop_map(Change::Cut),
        (at(), at(), 1..200_usize).prop_map(|(from, to, times)| Change::Again(from, to, times)),
        (at(), at(), other).prop_map(|(from, to, other)| Change::Part(from, to, other)),
        (at(), select(words)).prop_map(|(at, word)| Change::Word(at, word)),
    ];
    (select(good), vec(change, 0..5)).prop_map(|(mut bytes, changes)| {
        changes.into_iter().for_each(|change| change.make(&mut bytes));
        bytes
    })
}

/// Runs `holds` on so many cases, the same in every run, and says for how many it was true that they are taken.
///
/// # Panics
/// With the smallest case found for which it panics.
pub fn taken_of<C: Debug>(cases: u32, strategy: &impl Strategy<Value = C>, takes: impl Fn(C) -> bool) -> u32 {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let taken = std::cell::Cell::new(0);
    let result = TestRunner::new_with_rng(config, random).run(strategy, |case| {
        taken.set(taken.get() + u32::from(takes(case)));
        Ok(())
    });
    if let Err(why) = result {
        panic!("{why}");
    }
    taken.get()
}
