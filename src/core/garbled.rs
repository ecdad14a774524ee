//! What strangers may send, for tests: what is right, with a few changes. The same in every run.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::SmallRng};

/// No case of a few kilobytes takes longer, however busy the machine is.
const LONGEST: Duration = Duration::from_secs(5);

/// The most bytes of one case.
const LARGEST: usize = 16 * 1024;

/// Makes cases out of good ones.
pub struct Garbler {
    random: SmallRng,
}

impl Garbler {
    /// One that makes the cases of this number.
    pub fn new(number: u64) -> Self {
        Self {
            random: SmallRng::seed_from_u64(number),
        }
    }

    /// One of `good` with one to four changes: other bytes, more or fewer of them, a part again and again, a part of another
    /// one, one of `words`.
    pub fn bytes(&mut self, good: &[impl AsRef<[u8]>], words: &[&str]) -> Vec<u8> {
        let mut bytes = self.one_of(good).as_ref().to_vec();
        for _ in 0..self.random.random_range(1..5) {
            let (from, to) = self.range(bytes.len());
            match self.random.random_range(0..7) {
                0 if from < bytes.len() => bytes[from] = self.random.random(),
                1 => bytes.insert(from, self.random.random()),
                2 => drop(bytes.drain(from..to)),
                3 => bytes.truncate(from),
                4 => {
                    let times = self.random.random_range(1..200);
                    let again = bytes[from..to].repeat(times);
                    drop(bytes.splice(to..to, again));
                }
                5 => {
                    let other = self.one_of(good).as_ref();
                    let (begin, end) = self.range(other.len());
                    drop(bytes.splice(from..to, other[begin..end].iter().copied()));
                }
                _ if !words.is_empty() => {
                    let word = self.one_of(words).as_bytes();
                    drop(bytes.splice(from..from, word.iter().copied()));
                }
                _ => {}
            }
            bytes.truncate(LARGEST);
        }
        bytes
    }

    /// The same as a text: what is none becomes `U+FFFD`.
    pub fn text(&mut self, good: &[impl AsRef<[u8]>], words: &[&str]) -> String {
        String::from_utf8_lossy(&self.bytes(good, words)).into_owned()
    }

    fn one_of<'g, T>(&mut self, all: &'g [T]) -> &'g T {
        &all[self.random.random_range(0..all.len())]
    }

    /// Two places in so many bytes, mostly near each other.
    fn range(&mut self, length: usize) -> (usize, usize) {
        let from = self.random.random_range(0..=length);
        let wide = if self.random.random_range(0..4) == 0 {
            length
        } else {
            8
        };
        (from, (from + self.random.random_range(0..=wide)).min(length))
    }
}

/// The result of `work` on `case`.
///
/// # Panics
/// When it takes long.
pub fn soon<T>(case: &impl Debug, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = work();
    let took = began.elapsed();
    assert!(took < LONGEST, "{took:?}: {case:?}");
    result
}
