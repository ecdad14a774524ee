//! Values in MySQL's binary form as JSON ("Binary Protocol Value" in its internals manual).

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::super::cell;

/// A value by the name of its type; none if the type has no text here or the value breaks its form.
pub(super) fn decode(type_name: &str, bytes: &[u8]) -> Option<Value> {
    Some(match type_name {
        "BOOLEAN" | "TINYINT" | "SMALLINT" | "INT" | "MEDIUMINT" | "BIGINT" => json!(signed(bytes)?),
        "TINYINT UNSIGNED" | "SMALLINT UNSIGNED" | "INT UNSIGNED" | "MEDIUMINT UNSIGNED"
        | "BIGINT UNSIGNED" | "YEAR" => json!(unsigned(bytes.iter().rev())?),
        "BIT" => json!(unsigned(bytes.iter())?),
        "FLOAT" => json!(f32::from_le_bytes(bytes.try_into().ok()?)),
        "DOUBLE" => json!(f64::from_le_bytes(bytes.try_into().ok()?)),
        "DECIMAL" => json!(std::str::from_utf8(bytes).ok()?),
        // MariaDB has no such type: there it is text.
        "JSON" => cell(bytes)?,
        "DATE" => json!(moment(bytes)?.0),
        "DATETIME" => {
            let (day, time) = moment(bytes)?;
            json!(format!("{day}T{time}"))
        }
        // The session's time zone is UTC.
        "TIMESTAMP" => {
            let (day, time) = moment(bytes)?;
            json!(format!("{day}T{time}Z"))
        }
        "TIME" => json!(duration(bytes)?),
        "GEOMETRY" => return None,
        // Text; in a binary collation it has the type of a byte string.
        _ => json!(std::str::from_utf8(bytes).map_or_else(|_| STANDARD.encode(bytes), str::to_owned)),
    })
}

fn signed(bytes: &[u8]) -> Option<i64> {
    Some(match bytes {
        [one] => i64::from(one.cast_signed()),
        [_, _] => i64::from(i16::from_le_bytes(bytes.try_into().ok()?)),
        [_, _, _, _] => i64::from(i32::from_le_bytes(bytes.try_into().ok()?)),
        _ => i64::from_le_bytes(bytes.try_into().ok()?),
    })
}

/// The number whose bytes come from the highest to the lowest.
fn unsigned<'a>(bytes: impl ExactSizeIterator<Item = &'a u8>) -> Option<u64> {
    (bytes.len() <= 8).then(|| bytes.fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

/// Length, year, month, day and, unless all are zero, hour, minute, second, microseconds.
fn moment(bytes: &[u8]) -> Option<(String, String)> {
    let (length, bytes) = bytes.split_first()?;
    let [low, high, month, day, rest @ ..] = bytes.get(..usize::from(*length))? else {
        return None;
    };
    let day = format!("{:04}-{month:02}-{day:02}", u16::from_le_bytes([*low, *high]));
    Some((day, time(rest)?))
}

/// Length, sign, days, and hour, minute, second, microseconds.
fn duration(bytes: &[u8]) -> Option<String> {
    let (length, bytes) = bytes.split_first()?;
    let (negative, days, rest) = match bytes.get(..usize::from(*length))? {
        [] => (0, 0, &[][..]),
        [negative, a, b, c, d, rest @ ..] => (*negative, u32::from_le_bytes([*a, *b, *c, *d]), rest),
        _ => return None,
    };
    let text = time(rest)?;
    let (hours, rest) = text.split_once(':')?;
    let hours = u64::from(days) * 24 + hours.parse::<u64>().ok()?;
    Some(format!(
        "{}{hours:02}:{rest}",
        if negative == 0 { "" } else { "-" }
    ))
}

fn time(bytes: &[u8]) -> Option<String> {
    Some(match bytes {
        [] => "00:00:00".to_owned(),
        [hour, minute, second] => format!("{hour:02}:{minute:02}:{second:02}"),
        [hour, minute, second, micros @ ..] => {
            let micros = u32::from_le_bytes(micros.try_into().ok()?);
            format!("{hour:02}:{minute:02}:{second:02}.{micros:06}")
        }
        _ => return None,
    })
}
