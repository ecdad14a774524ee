//! Digests that bind people and entries to exactly what was there.

use sha2::{Digest, Sha256};

/// A digest of one resolved request.
pub fn request_digest(request: &serde_json::Value) -> String {
    digest_of([request.to_string().as_str()])
}

/// A digest over texts, each with its length so that no two lists look the same.
pub fn digest_of<'t>(parts: impl IntoIterator<Item = &'t str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hexadecimal(&hash.finalize())
}

/// The SHA-256 of `bytes`, as `sha256sum` writes it.
pub fn sha256_of(bytes: impl AsRef<[u8]>) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes every text");
        text
    })
}
