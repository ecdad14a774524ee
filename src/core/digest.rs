//! Digests that bind people and entries to exactly what was there.

use std::io::{self, BufWriter, Write};

use serde_json::Value;
use sha2::{Digest, Sha256};

/// A digest of one resolved request.
pub fn request_digest(request: &Value) -> String {
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

/// The digest that [`digest_of`] has of the JSON texts of `values`, and how many bytes these are together. No text is ever there as
/// a whole.
pub fn digest_of_json<'v>(values: impl IntoIterator<Item = &'v Value>) -> (String, usize) {
    let mut hash = Sha256::new();
    let mut all = 0;
    for value in values {
        let length = length_of_json(value);
        all += length;
        hash.update((length as u64).to_be_bytes());
        write_json(value, Hashed(&mut hash));
    }
    (hexadecimal(&hash.finalize()), all)
}

/// How many bytes the JSON text of `value` is long.
pub fn length_of_json(value: &Value) -> usize {
    let mut length = 0;
    write_json(value, Counted(&mut length));
    length
}

/// # Panics
/// Never: `into` takes everything, and a [`Value`] can always be written.
fn write_json(value: &Value, into: impl Write) {
    let mut into = BufWriter::new(into);
    let written = serde_json::to_writer(&mut into, value).map_err(io::Error::from);
    written.and_then(|()| into.flush()).expect("it takes everything");
}

/// Takes everything, and keeps nothing but its digest.
struct Hashed<'h>(&'h mut Sha256);

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes everything, and keeps nothing but its length.
struct Counted<'l>(&'l mut usize);

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        *self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_digest_of_json_is_that_of_its_text() {
        let long: Value = (0..5_000).map(|n| json!({ "n": n, "text": "ä\"" })).collect();
        for values in [
            vec![],
            vec![json!(null)],
            vec![json!("a"), json!([1, {}])],
            vec![long, json!("b")],
        ] {
            let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
            let length = texts.iter().map(String::len).sum();
            assert_eq!(
                digest_of_json(&values),
                (digest_of(texts.iter().map(String::as_str)), length)
            );
        }
    }
}
