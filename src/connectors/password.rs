//! New random passwords, put into a request at the moment it is sent.
//!
//! Nobody keeps one: they exist only so that the old password stops working.

use rand::{RngExt, seq::IndexedRandom};
use zeroize::Zeroizing;

use super::driver::RANDOM;

/// Length of a password, in characters (all ASCII).
pub const LENGTH: usize = 40;

const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const DIGIT: &[u8] = b"0123456789";
/// No quote, backslash, `<`, `&` or `%`: the password passes every encoding unchanged.
const OTHER: &[u8] = b"-_.!+=:,";

/// A new password. It has a character of each of the four kinds that Active Directory's "password must meet complexity
/// requirements" counts, where three are asked for.
pub fn generate() -> Zeroizing<String> {
    let mut rng = rand::rng();
    let kinds = [UPPER, LOWER, DIGIT, OTHER];
    let all = kinds.concat();
    let mut letters = Zeroizing::new(Vec::with_capacity(LENGTH));
    letters.extend(kinds.iter().filter_map(|kind| kind.choose(&mut rng)).copied());
    while letters.len() < LENGTH {
        letters.push(all[rng.random_range(0..all.len())]);
    }
    for last in (1..letters.len()).rev() {
        let other = rng.random_range(0..=last);
        letters.swap(last, other);
    }
    Zeroizing::new(letters.iter().map(|letter| char::from(*letter)).collect())
}

/// `text` with every [`RANDOM`] in it replaced by one new password.
pub fn fill(text: &str) -> Zeroizing<String> {
    if text.contains(RANDOM) {
        Zeroizing::new(text.replace(RANDOM, &generate()))
    } else {
        Zeroizing::new(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_has_every_kind_of_character_and_is_new_each_time() {
        let passwords: Vec<_> = (0..200).map(|_| generate()).collect();
        for password in &passwords {
            assert_eq!(password.len(), LENGTH);
            for kind in [UPPER, LOWER, DIGIT, OTHER] {
                assert!(password.bytes().any(|letter| kind.contains(&letter)));
            }
        }
        assert!(passwords.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn only_the_mark_is_replaced() {
        assert_eq!(*fill("plain"), "plain");
        let filled = fill(&format!("a{RANDOM}b"));
        assert!(filled.starts_with('a') && filled.ends_with('b') && filled.len() == LENGTH + 2);
    }
}
