//! Values in PostgreSQL's binary form as JSON. Forms: the `*_send` functions in its source, by type.

use std::{
    fmt::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use jiff::{Timestamp, ToSpan, civil::date, tz::TimeZone};
use serde_json::{Value, json};

use super::super::cell;

/// 2000-01-01T00:00:00Z in microseconds since 1970: what PostgreSQL counts from.
const EPOCH: i64 = 946_684_800_000_000;

/// A value of a built-in type by its number in `pg_type`; none if the type has no text here or the value breaks its form.
pub(super) fn simple(oid: u32, bytes: &[u8]) -> Option<Value> {
    Some(match oid {
        16 => json!(*bytes.first()? != 0),
        // text, varchar, bpchar, name, unknown, xml
        25 | 1043 | 1042 | 19 | 705 | 142 => return text(bytes),
        // "char"
        18 => json!(char::from(*bytes.first()?).to_string()),
        20 => json!(i64::from_be_bytes(bytes.try_into().ok()?)),
        21 => json!(i16::from_be_bytes(bytes.try_into().ok()?)),
        23 => json!(i32::from_be_bytes(bytes.try_into().ok()?)),
        // oid, xid, cid, regproc…regtype, regrole, regnamespace, regcollation
        26 | 28 | 29 | 24 | 2202..=2206 | 4096 | 4089 | 4191 => {
            json!(u32::from_be_bytes(bytes.try_into().ok()?))
        }
        // xid8
        5069 => json!(u64::from_be_bytes(bytes.try_into().ok()?)),
        700 => float(f64::from(f32::from_be_bytes(bytes.try_into().ok()?))),
        701 => float(f64::from_be_bytes(bytes.try_into().ok()?)),
        1700 => json!(numeric(bytes)?),
        1184 => json!(instant(bytes, true)?),
        1114 => json!(instant(bytes, false)?),
        1082 => json!(day(i32::from_be_bytes(bytes.try_into().ok()?))?),
        114 => cell(bytes)?,
        3802 => cell(bytes.strip_prefix(&[1])?)?,
        2950 => json!(uuid(bytes)?),
        869 | 650 => json!(address(bytes)?),
        17 => json!(hexadecimal(bytes)),
        // void
        2278 => Value::Null,
        // int2vector, oidvector
        22 => array(bytes, |bytes| simple(21, bytes))?,
        30 => array(bytes, |bytes| simple(26, bytes))?,
        _ => return None,
    })
}

pub(super) fn text(bytes: &[u8]) -> Option<Value> {
    std::str::from_utf8(bytes).ok().map(|text| json!(text))
}

/// A list of one dimension.
pub(super) fn array(bytes: &[u8], element: impl Fn(&[u8]) -> Option<Value>) -> Option<Value> {
    let (dimensions, bytes) = number(bytes)?;
    // Flags and the type of the elements.
    let (_, bytes) = bytes.split_at_checked(8)?;
    if dimensions == 0 {
        return Some(json!([]));
    }
    let (count, bytes) = number(bytes)?;
    let (_lower_bound, mut bytes) = number(bytes)?;
    if dimensions != 1 {
        return None;
    }
    let mut values = Vec::new();
    for _ in 0..count {
        let (length, rest) = number(bytes)?;
        let Ok(length) = usize::try_from(length) else {
            values.push(Value::Null);
            bytes = rest;
            continue;
        };
        let (value, rest) = rest.split_at_checked(length)?;
        values.push(element(value)?);
        bytes = rest;
    }
    Some(Value::Array(values))
}

fn number(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let (head, rest) = bytes.split_first_chunk()?;
    Some((i32::from_be_bytes(*head), rest))
}

/// JSON has no NaN and no infinity: these stay text.
fn float(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(|| json!(value.to_string()), Value::Number)
}

fn instant(bytes: &[u8], zoned: bool) -> Option<String> {
    let micros = match i64::from_be_bytes(bytes.try_into().ok()?) {
        i64::MAX => return Some("infinity".to_owned()),
        i64::MIN => return Some("-infinity".to_owned()),
        micros => micros.checked_add(EPOCH)?,
    };
    let instant = Timestamp::from_microsecond(micros).ok()?;
    Some(if zoned {
        instant.to_string()
    } else {
        instant.to_zoned(TimeZone::UTC).datetime().to_string()
    })
}

fn day(days: i32) -> Option<String> {
    match days {
        i32::MAX => Some("infinity".to_owned()),
        i32::MIN => Some("-infinity".to_owned()),
        days => date(2000, 1, 1)
            .checked_add(days.days())
            .ok()
            .map(|day| day.to_string()),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::from("\\x");
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a String never fails");
    }
    text
}

fn uuid(bytes: &[u8]) -> Option<String> {
    let value = u128::from_be_bytes(bytes.try_into().ok()?);
    let digits = format!("{value:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &digits[part]);
    Some(parts.join("-"))
}

fn address(bytes: &[u8]) -> Option<String> {
    let [family, bits, _, _, address @ ..] = bytes else {
        return None;
    };
    let (address, all) = match family {
        2 => (
            IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(address).ok()?)),
            32,
        ),
        3 => (
            IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?)),
            128,
        ),
        _ => return None,
    };
    Some(if *bits == all {
        address.to_string()
    } else {
        format!("{address}/{bits}")
    })
}

/// Digits of base 10,000 with a weight, a sign and the number of decimal places to show.
fn numeric(bytes: &[u8]) -> Option<String> {
    let mut words = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let count = words.next()?;
    let weight = words.next()?.cast_signed();
    let sign = words.next()?;
    let places = usize::from(words.next()?);
    let digits: Vec<u16> = words.collect();
    if digits.len() != usize::from(count) {
        return None;
    }
    let mut text = match sign {
        0x0000 => String::new(),
        0x4000 => "-".to_owned(),
        0xc000 => return Some("NaN".to_owned()),
        0xd000 => return Some("infinity".to_owned()),
        0xf000 => return Some("-infinity".to_owned()),
        _ => return None,
    };
    let digit = |power: i16| {
        let place = usize::try_from(i32::from(weight) - i32::from(power)).ok();
        place.and_then(|place| digits.get(place)).copied().unwrap_or(0)
    };
    write!(text, "{}", digit(weight.max(0))).ok()?;
    for power in (0..weight.max(0)).rev() {
        write!(text, "{:04}", digit(power)).ok()?;
    }
    if places > 0 {
        let mut fraction = String::new();
        for power in 1..=i16::try_from(places.div_ceil(4)).ok()? {
            write!(fraction, "{:04}", digit(-power)).ok()?;
        }
        write!(text, ".{}", &fraction[..places]).ok()?;
    }
    Some(text)
}
