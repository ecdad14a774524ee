//! Attribute values as text and back.
//!
//! Text is text; `objectGUID` is a GUID, identifiers of security principals are `S-1-…`, anything else that is not
//! UTF-8 is base64.

use std::{fmt::Write, sync::LazyLock};

use base64::{Engine, engine::general_purpose::STANDARD};
use regex::{Captures, Regex};

use super::super::password;
use crate::core::fault::Fault;

/// Attributes of Active Directory that hold security identifiers ([MS-ADA3]).
const IDENTIFIERS: [&str; 4] = [
    "objectsid",
    "sidhistory",
    "tokengroups",
    "tokengroupsglobalanduniversal",
];

/// The text of a value of the attribute `name`.
pub(super) fn decode(name: &str, value: &[u8]) -> String {
    let special = match name.to_ascii_lowercase() {
        name if name == "objectguid" => guid(value),
        name if IDENTIFIERS.contains(&name.as_str()) => identifier(value),
        _ => None,
    };
    special.unwrap_or_else(|| match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => STANDARD.encode(value),
    })
}

/// The bytes of a value to be written to the attribute `name`, with a new password where one is asked for.
pub(super) fn encode(name: &str, text: &str) -> Result<Vec<u8>, Fault> {
    let text = password::fill(text)?;
    let special = match name.to_ascii_lowercase() {
        // Active Directory takes a new password only as quoted UTF-16LE ([MS-ADTS] section 3.1.1.3.1.5).
        name if name == "unicodepwd" => {
            let quoted = format!("\"{}\"", *text);
            Some(quoted.encode_utf16().flat_map(u16::to_le_bytes).collect())
        }
        name if name == "objectguid" => guid_bytes(&text).map(Vec::from),
        name if IDENTIFIERS.contains(&name.as_str()) => identifier_bytes(&text),
        _ => None,
    };
    Ok(special.unwrap_or_else(|| text.as_bytes().to_vec()))
}

/// `filter` with GUIDs written as their bytes: servers compare `objectGUID` as an octet string.
pub(super) fn filter(filter: &str) -> String {
    static GUID: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)\((objectGUID)=([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\)")
            .expect("a constant pattern that compiles")
    });
    let bytes = |found: &Captures<'_>| {
        let mut escaped = format!("({}=", &found[1]);
        for byte in guid_bytes(&found[2]).into_iter().flatten() {
            write!(escaped, "\\{byte:02x}").expect("writing to a String never fails");
        }
        escaped + ")"
    };
    GUID.replace_all(filter, bytes).into_owned()
}

/// Places of the bytes of a GUID in its text: the first three fields are stored little-endian ([MS-DTYP] 2.3.4.2).
const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

fn guid(value: &[u8]) -> Option<String> {
    let value: &[u8; 16] = value.try_into().ok()?;
    let mut text = String::with_capacity(36);
    for (place, byte) in ORDER.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        write!(text, "{:02x}", value[*byte]).expect("writing to a String never fails");
    }
    Some(text)
}

fn guid_bytes(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text.bytes().filter(|letter| *letter != b'-').collect();
    if digits.len() != 32 || text.len() != 36 {
        return None;
    }
    let mut bytes = [0; 16];
    for (pair, place) in digits.chunks(2).zip(ORDER) {
        bytes[place] = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// `S-revision-authority-subauthorities…` ([MS-DTYP] 2.4.2).
fn identifier(value: &[u8]) -> Option<String> {
    let (head, rest) = value.split_at_checked(8)?;
    if rest.len() != usize::from(head[1]) * 4 {
        return None;
    }
    let authority = head[2..]
        .iter()
        .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let mut text = format!("S-{}-{authority}", head[0]);
    for part in rest.chunks_exact(4) {
        let part = u32::from_le_bytes(part.try_into().ok()?);
        write!(text, "-{part}").expect("writing to a String never fails");
    }
    Some(text)
}

fn identifier_bytes(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.strip_prefix("S-")?.split('-');
    let revision: u8 = parts.next()?.parse().ok()?;
    let authority: u64 = parts.next()?.parse().ok()?;
    let rest: Vec<u32> = parts.map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let mut bytes = vec![revision, u8::try_from(rest.len()).ok()?];
    bytes.extend(&authority.to_be_bytes()[2..]);
    bytes.extend(rest.into_iter().flat_map(u32::to_le_bytes));
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::{driver::RANDOM, password::LENGTH},
        *,
    };

    /// The example of [MS-DTYP] 2.3.4.3 in its two forms.
    const GUID_TEXT: &str = "6b29fc40-ca47-1067-b31d-00dd010662da";
    const GUID_BYTES: [u8; 16] = [
        0x40, 0xfc, 0x29, 0x6b, 0x47, 0xca, 0x67, 0x10, 0xb3, 0x1d, 0x00, 0xdd, 0x01, 0x06, 0x62, 0xda,
    ];

    #[test]
    fn a_guid_goes_both_ways() {
        assert_eq!(decode("objectGUID", &GUID_BYTES), GUID_TEXT);
        assert_eq!(encode("objectGUID", GUID_TEXT).unwrap(), GUID_BYTES);
        let written = filter(&format!("(&(objectClass=user)(objectGUID={GUID_TEXT}))"));
        assert!(written.contains(r"(objectGUID=\40\fc\29\6b\47\ca"), "{written}");
        assert_eq!(filter("(uid=a)"), "(uid=a)");
    }

    #[test]
    fn a_security_identifier_goes_both_ways() {
        let administrators = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 32, 2, 0, 0];
        assert_eq!(decode("objectSid", &administrators), "S-1-5-32-544");
        assert_eq!(encode("objectSid", "S-1-5-32-544").unwrap(), administrators);
    }

    #[test]
    fn bytes_that_are_no_text_become_base64() {
        assert_eq!(decode("jpegPhoto", &[0xff, 0xd8]), "/9g=");
        assert_eq!(decode("cn", "Zoë".as_bytes()), "Zoë");
        assert_eq!(decode("objectGUID", b"short"), "short");
    }

    #[test]
    fn a_new_password_is_quoted_utf16_and_random() {
        let one = encode("unicodePwd", RANDOM).unwrap();
        assert_eq!(one.len(), (LENGTH + 2) * 2);
        assert!(one.starts_with(b"\"\0") && one.ends_with(b"\"\0"));
        assert_ne!(one, encode("unicodePwd", RANDOM).unwrap());
        assert_eq!(encode("userPassword", RANDOM).unwrap().len(), LENGTH);
    }
}
