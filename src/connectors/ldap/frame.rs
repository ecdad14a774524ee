//! Whole messages of a server, looked at before the library reads them (RFC 4511, 5.1; X.690).
//!
//! # Why
//! The library's reader calls itself for each level of nesting, waits for as many bytes as a length says, and panics where a
//! message is not what the protocol has. 40 kB from a server that we have not even logged in to would end the process. So a
//! message comes to it only whole, not too long, not too deep, with not too many parts, and of a shape that it knows.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest message, in bytes.
const LONGEST: usize = 8 << 20;
/// How deep its parts may lie in each other. The deepest of the protocol are the values of an entry, at five.
const DEEPEST: usize = 32;
/// The most parts: each costs the library some hundred bytes.
const PARTS: usize = 1 << 17;

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const TEXT: u8 = 0x04;
const ENUMERATED: u8 = 0x0a;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// Reads the next message into `message`; false: the connection has ended before it.
///
/// # Errors
/// `InvalidData` when it is not one that is handed on.
pub(super) async fn read<R: AsyncRead + Unpin>(from: &mut R, message: &mut Vec<u8>) -> io::Result<bool> {
    message.clear();
    let mut byte = [0];
    if from.read(&mut byte).await? == 0 {
        return Ok(false);
    }
    message.push(byte[0]);
    let length = loop {
        message.push(from.read_u8().await?);
        match length(&message[1..]) {
            Length::Is(length, _) if length <= LONGEST => break length,
            Length::More => {}
            Length::Is(..) | Length::Wrong => return Err(refused("length")),
        }
    };
    // Grows with what has come, not with what was announced.
    let all = message.len() + length;
    from.take(length as u64).read_to_end(message).await?;
    if message.len() != all {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if !sound(message) || !known(message) {
        return Err(refused("message"));
    }
    Ok(true)
}

fn refused(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// What the bytes of a length say.
enum Length {
    /// So many bytes follow; and so many say so.
    Is(usize, usize),
    /// More bytes are needed.
    More,
    /// LDAP knows no such length.
    Wrong,
}

fn length(bytes: &[u8]) -> Length {
    match bytes {
        [] => Length::More,
        [short, ..] if *short < 0x80 => Length::Is(usize::from(*short), 1),
        // Without an end, or longer than any that is taken.
        [0x80 | 0x85.., ..] => Length::Wrong,
        [many, rest @ ..] => {
            let many = usize::from(many & 0x7f);
            match rest.get(..many) {
                None => Length::More,
                Some(digits) => {
                    let length = digits
                        .iter()
                        .fold(0, |length, digit| length << 8 | usize::from(*digit));
                    Length::Is(length, 1 + many)
                }
            }
        }
    }
}

/// The tag of the first part of `bytes`, its content, and what follows.
fn part(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let Length::Is(length, digits) = length(rest) else {
        return None;
    };
    let (content, rest) = rest.get(digits..)?.split_at_checked(length)?;
    // Tags of several bytes are in no message of LDAP.
    (tag & 0x1f != 0x1f).then_some((*tag, content, rest))
}

/// Splits a part with `tag` off the front: its content and what follows.
pub(super) fn element(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = part(bytes)?;
    (found == tag).then_some((content, rest))
}

/// Whether every part lies whole in the one around it, none too deep and not too many.
fn sound(message: &[u8]) -> bool {
    let mut open = vec![message];
    let mut parts = 0;
    while let Some(rest) = open.pop() {
        if rest.is_empty() {
            continue;
        }
        let Some((tag, content, rest)) = part(rest) else {
            return false;
        };
        parts += 1;
        open.push(rest);
        if tag & 0x20 != 0 {
            open.push(content);
        }
        if parts > PARTS || open.len() > DEEPEST + 1 {
            return false;
        }
    }
    true
}

/// Whether the message is of a shape that the protocol has.
fn known(message: &[u8]) -> bool {
    envelope(message).is_some()
}

fn envelope(message: &[u8]) -> Option<()> {
    let (inside, rest) = element(SEQUENCE, message)?;
    let (id, body) = element(INTEGER, inside)?;
    let (operation, content, after) = part(body)?;
    if !rest.is_empty() || !(1..=4).contains(&id.len()) {
        return None;
    }
    match operation {
        // Bind, search done, modify, add, delete, rename, compare, extended.
        0x61 | 0x65 | 0x67 | 0x69 | 0x6b | 0x6d | 0x6f | 0x78 => result(content)?,
        0x64 => entry(content)?,
        0x73 => texts(content)?,
        0x79 => each(content, |tag, _| (tag & 0xe0 == 0x80).then_some(()))?,
        _ => return None,
    }
    match part(after) {
        None => after.is_empty().then_some(()),
        Some((0xa0, controls, [])) => each(controls, |tag, content| {
            (tag == SEQUENCE).then_some(())?;
            control(content)
        }),
        // Active Directory's notice of disconnection has its name out of place.
        Some((0x8a, _, [])) => Some(()),
        Some(_) => None,
    }
}

/// Every part of `content` is what `is` says.
fn each(mut content: &[u8], is: impl Fn(u8, &[u8]) -> Option<()>) -> Option<()> {
    while !content.is_empty() {
        let (tag, inside, rest) = part(content)?;
        is(tag, inside)?;
        content = rest;
    }
    Some(())
}

fn text(bytes: &[u8]) -> Option<&[u8]> {
    let (text, rest) = element(TEXT, bytes)?;
    std::str::from_utf8(text).ok()?;
    Some(rest)
}

/// Texts alone, and one at least: an empty list stands for nothing there.
fn texts(content: &[u8]) -> Option<()> {
    each(content, |tag, inside| {
        (tag == TEXT && std::str::from_utf8(inside).is_ok()).then_some(())
    })
}

fn result(content: &[u8]) -> Option<()> {
    let (code, rest) = element(ENUMERATED, content)?;
    (1..=4).contains(&code.len()).then_some(())?;
    let rest = text(text(rest)?)?;
    each(rest, |tag, inside| match tag {
        // Referrals.
        0xa3 => texts(inside),
        // The name of an extended answer.
        0x8a => std::str::from_utf8(inside).ok().map(drop),
        _ => (tag & 0xe0 == 0x80).then_some(()),
    })
}

fn entry(content: &[u8]) -> Option<()> {
    let rest = text(content)?;
    let (attributes, rest) = element(SEQUENCE, rest)?;
    rest.is_empty().then_some(())?;
    each(attributes, |tag, attribute| {
        (tag == SEQUENCE).then_some(())?;
        let (values, rest) = element(SET, text(attribute)?)?;
        rest.is_empty().then_some(())?;
        each(values, |tag, _| (tag == TEXT).then_some(()))
    })
}

fn control(content: &[u8]) -> Option<()> {
    let rest = text(content)?;
    let rest = match element(BOOLEAN, rest) {
        Some((critical, rest)) => (critical.len() == 1).then_some(rest)?,
        None => rest,
    };
    match rest {
        [] => Some(()),
        rest => element(TEXT, rest)?.1.is_empty().then_some(()),
    }
}

/// The request that asks for encryption (RFC 4511, 4.14), as message 1.
pub(super) const START_TLS: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";

/// The code of the result in a message that [`read`] took.
pub(super) fn code(message: &[u8]) -> Option<u32> {
    let (inside, _) = element(SEQUENCE, message)?;
    let (_, body) = element(INTEGER, inside)?;
    let (code, _) = element(ENUMERATED, part(body)?.1)?;
    Some(code.iter().fold(0, |code, digit| code << 8 | u32::from(*digit)))
}

/// Whether `bytes` begin with a whole message; what holds whatever they are: it is handed on byte by byte, takes no more memory than has
/// come, and the library reads it.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn takes(bytes: &[u8]) -> bool {
    use futures::FutureExt;

    let mut message = vec![];
    let read = read(&mut { bytes }, &mut message).now_or_never();
    assert!(message.len() <= bytes.len() && message.capacity() <= 2 * bytes.len() + 64);
    let taken = matches!(read.expect("all bytes are there"), Ok(true));
    if taken {
        assert_eq!(message, bytes[..message.len()]);
        let parsed = ldap3::asn1::parse_tag(&message);
        assert!(parsed.is_ok_and(|(rest, _)| rest.is_empty()), "{message:?}");
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::garbled::{garbled, taken_of};

    /// A part with its length in the shortest form.
    fn of(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        let length = content.len();
        match length {
            0..0x80 => bytes.push(u8::try_from(length).unwrap()),
            _ => {
                bytes.push(0x84);
                bytes.extend(u32::try_from(length).unwrap().to_be_bytes());
            }
        }
        bytes.extend(content);
        bytes
    }

    fn message(operation: &[u8]) -> Vec<u8> {
        of(SEQUENCE, &[&[INTEGER, 1, 1], operation].concat())
    }

    fn success(tag: u8) -> Vec<u8> {
        of(tag, &[ENUMERATED, 1, 0, TEXT, 0, TEXT, 0])
    }

    fn person() -> Vec<u8> {
        let values = of(SET, &[of(TEXT, b"Jane"), of(TEXT, &[0xff, 0])].concat());
        let attribute = of(SEQUENCE, &[of(TEXT, b"cn"), values].concat());
        of(0x64, &[of(TEXT, b"cn=jane"), of(SEQUENCE, &attribute)].concat())
    }

    async fn taken(bytes: &[u8]) -> Result<Vec<u8>, io::ErrorKind> {
        let mut found = vec![];
        match read(&mut { bytes }, &mut found).await {
            Ok(true) => Ok(found),
            Ok(false) => Err(io::ErrorKind::NotConnected),
            Err(error) => Err(error.kind()),
        }
    }

    #[tokio::test]
    async fn what_the_protocol_has_is_handed_on_byte_by_byte() {
        let page = of(SEQUENCE, &[INTEGER, 1, 0, TEXT, 1, b'c']);
        let control = of(SEQUENCE, &[of(TEXT, b"1.2.840"), of(TEXT, &page)].concat());
        let done = [success(0x65), of(0xa0, &control)].concat();
        for good in [
            message(&person()),
            message(&done),
            message(&success(0x61)),
            message(&of(0x73, &of(TEXT, b"ldap://dc2"))),
        ] {
            let more = [&good[..], b"next"].concat();
            assert_eq!(taken(&more).await, Ok(good));
        }
        assert_eq!(code(&message(&success(0x78))), Some(0));
        assert_eq!(taken(b"").await, Err(io::ErrorKind::NotConnected));
    }

    #[tokio::test]
    async fn what_would_end_the_process_ends_the_connection() {
        let mut nested = of(0x30, &[]);
        while nested.len() < 40_000 {
            nested = of(0x30, &nested);
        }
        let many = of(SET, &of(TEXT, b"").repeat(PARTS));
        let many = of(SEQUENCE, &of(SEQUENCE, &[of(TEXT, b"cn"), many].concat()));
        for bad in [
            nested.clone(),
            message(&nested),
            message(&of(0x64, &[of(TEXT, b"cn=x"), many].concat())),
            // Lengths of 4 GB, of nothing, without an end, and one that is longer than what is around it.
            b"\x30\x84\xff\xff\xff\xff".to_vec(),
            b"\x30\x80\x02\x01\x01".to_vec(),
            b"\x30\x88\0\0\0\0\0\0\0\x01".to_vec(),
            message(&[0x64, 0x7f, TEXT, 1]),
            // What the library panics at.
            of(SEQUENCE, &[]),
            of(SEQUENCE, &[INTEGER, 1, 1]),
            message(&of(0x65, &[])),
            message(&of(0x65, &[ENUMERATED, 1, 0, TEXT, 2, 0xff, 0xfe, TEXT, 0])),
            message(&of(0x64, &[])),
            message(&[person(), of(0xa0, &of(SEQUENCE, &[]))].concat()),
            message(&of(0x73, &[INTEGER, 1, 1])),
        ] {
            assert_eq!(
                taken(&bad).await,
                Err(io::ErrorKind::InvalidData),
                "{:?}",
                &bad[..8.min(bad.len())]
            );
        }
        let cut = message(&person());
        assert_eq!(
            taken(&cut[..cut.len() - 1]).await,
            Err(io::ErrorKind::UnexpectedEof)
        );
    }

    #[test]
    fn whatever_comes_is_taken_or_refused() {
        let good = [
            message(&person()),
            message(&success(0x65)),
            message(&success(0x78)),
        ];
        let taken = taken_of(20_000, &garbled(&good, &[]), |bytes| takes(&bytes));
        assert!(taken > 1_000, "{taken}");
    }
}
