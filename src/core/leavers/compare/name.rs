//! The names of Offboardings.

use sha2::{Digest, Sha256};

use super::super::Leaving;

/// The name of a person's Offboarding: by the employee number, so that Git and every source mean the same object.
pub fn name_of(leaving: &Leaving) -> String {
    let worker = &leaving.worker;
    let Some(number) = &worker.employee_id else {
        let email = worker.email.as_deref().unwrap_or_default().to_lowercase();
        return format!("leaver-{}", hash(&email, 10));
    };
    let plain: String = number
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let plain = plain.trim_matches('-');
    // Two numbers that are written differently never share a name.
    if plain == number {
        format!("leaver-{plain}")
    } else if plain.is_empty() {
        format!("leaver-{}", hash(number, 8))
    } else {
        format!("leaver-{plain}-{}", hash(number, 8))
    }
}

/// Bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |n: u8| char::from_digit(u32::from(n), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// The first `length` hexadecimal digits of the digest of `text`.
pub(crate) fn hash(text: &str, length: usize) -> String {
    let digest = Sha256::digest(text.as_bytes());
    hex(&digest).chars().take(length).collect()
}
