//! New random passwords, known to nobody: put into a request at the moment it is sent.

use rand::{TryRng, rngs::SysRng};
use zeroize::Zeroizing;

use super::driver::RANDOM;
use crate::core::fault::{Fault, Reason};

/// Characters in a password: more than any policy asks for, fewer than any system's limit.
pub const LENGTH: usize = 40;

/// What passwords are made of: 64 characters, so that six random bits choose one without a bias. The letters and digits that
/// people mix up are left out; no symbol needs an escape in JSON, XML or a query.
const ALPHABET: &[u8; 64] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz123456789-_.!*~";

/// A new password with an upper and a lower case letter, a digit and a symbol, from the operating system's generator.
///
/// # Errors
/// When the operating system has no randomness to give.
pub fn generate() -> Result<Zeroizing<String>, Fault> {
    loop {
        let mut bytes = Zeroizing::new([0_u8; LENGTH]);
        let none = |_| Fault::transient(Reason::ConnectorNotReady).with_code("random");
        SysRng.try_fill_bytes(&mut *bytes).map_err(none)?;
        let characters = bytes
            .iter()
            .map(|byte| char::from(ALPHABET[usize::from(byte % 64)]));
        let password = Zeroizing::new(characters.collect::<String>());
        let has = |kind: fn(&char) -> bool| password.chars().any(|c| kind(&c));
        if has(char::is_ascii_uppercase)
            && has(char::is_ascii_lowercase)
            && has(char::is_ascii_digit)
            && has(char::is_ascii_punctuation)
        {
            return Ok(password);
        }
    }
}

/// `text` with a new password in every place that [`RANDOM`] stands for.
///
/// # Errors
/// When the operating system has no randomness to give.
pub fn fill(text: &str) -> Result<Zeroizing<String>, Fault> {
    if text.contains(RANDOM) {
        Ok(Zeroizing::new(text.replace(RANDOM, &generate()?)))
    } else {
        Ok(Zeroizing::new(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_password_is_new_and_has_every_kind_of_character() {
        let many: BTreeSet<String> = (0..500).map(|_| generate().unwrap().to_string()).collect();
        assert_eq!(many.len(), 500);
        for password in many {
            assert_eq!(password.len(), LENGTH);
            assert!(password.contains(|c: char| c.is_ascii_uppercase()));
            assert!(password.contains(|c: char| c.is_ascii_lowercase()));
            assert!(password.contains(|c: char| c.is_ascii_digit()));
            assert!(password.contains(['-', '_', '.', '!', '*', '~']));
        }
    }

    #[test]
    fn no_character_is_more_likely_than_another() {
        assert_eq!(ALPHABET.iter().collect::<BTreeSet<_>>().len(), 64);
    }

    #[test]
    fn only_the_mark_is_replaced() {
        assert_eq!(*fill("plain").unwrap(), "plain");
        let filled = fill(&format!("a{RANDOM}b")).unwrap();
        assert!(filled.starts_with('a') && filled.ends_with('b') && filled.len() == LENGTH + 2);
    }
}
