//! Values as people and programs write them into HR systems: words for none, and days.
//!
//! # Why
//! A word for none is no value: taken for one, it is an address that a whole company shares, or an end that cannot be read.
//! A day is believed only if it can be meant in one way: half a column that happens to make sense in the wrong order of day and
//! month would end access months early for whoever was hired at the beginning of a month.

use jiff::{ToSpan, civil::Date};

/// What kind of value a text is: some words for none are values elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A person's name: there are people called Null.
    Name,
    /// A country: NA is Namibia.
    Country,
    /// A day.
    Day,
}

/// It is not written as the format says, or there is no such day.
pub const NOT_A_DATE: &str = "not a date";
/// The format asks for four digits.
pub const SHORT_YEAR: &str = "the year has two digits: write four, or name a format with %y";
/// Shows that the format is wrong for everything that is written like this.
pub const OTHER_ORDER: &str = "day and month are in another order than the format says";
/// Why a text is no day in its format.
pub const FAULTS: [&str; 3] = [NOT_A_DATE, SHORT_YEAR, OTHER_ORDER];
/// Nobody who works today was hired then.
pub const TOO_EARLY: &str = "a year before 1950";
/// No contract is made for so long.
pub const TOO_LATE: &str = "more than ten years ahead";

/// Years before this one are taken for mistakes.
const FIRST_YEAR: i16 = 1950;
/// The year that stands for "never".
const NEVER: i16 = 9999;
/// How a day is written if nobody says anything else.
const ISO: &str = "%Y-%m-%d";
const ISO_LENGTH: usize = 10;

/// Whether a text says that there is no value: nothing at all, dashes, `n/a`, a day of zeros.
pub fn is_none(text: &str, kind: Kind) -> bool {
    let word = text.trim().to_lowercase();
    if word.chars().all(|c| matches!(c, '-' | '–' | '—')) || is_zero_day(&word, kind) {
        return true;
    }
    match word.as_str() {
        "n/a" | "#n/a" | "n.a." | "none" => true,
        "na" => kind != Kind::Country,
        "null" => kind != Kind::Name,
        _ => kind == Kind::Day && word.starts_with("9999-12-31"),
    }
}

/// `00.00.0000`, `0000-00-00T00:00:00`; of days also `00000000`.
fn is_zero_day(word: &str, kind: Kind) -> bool {
    let (date, time) = word.split_once(['t', ' ']).unwrap_or((word, ""));
    let zeros = |part: &str| (1..=4).contains(&part.len()) && part.chars().all(|c| c == '0');
    let parts: Vec<&str> = date.split(['.', '-', '/']).collect();
    let year = parts.iter().any(|part| part.len() == 4);
    let compact = kind == Kind::Day && date.len() == 8 && date.chars().all(|c| c == '0');
    let timed = time.chars().all(|c| c.is_ascii_digit() || ".:+-z".contains(c));
    timed && (compact || parts.len() == 3 && year && parts.iter().all(|part| zeros(part)))
}

/// The day in a text that is written by a `format` of `strftime`, or as `YYYY-MM-DD` where that can mean nothing else; none for a
/// word for none and for the last day of year 9999.
///
/// # Errors
/// Why it is no day: a fixed phrase, never a value.
pub fn day(text: &str, format: &str) -> Result<Option<Date>, &'static str> {
    let text = text.trim();
    if is_none(text, Kind::Day) {
        return Ok(None);
    }
    let long_year = format.contains("%Y") || format.contains("%F");
    let parsed = match format {
        ISO => iso(text).and_then(|day| day.parse().ok()),
        format => Date::strptime(format, text).ok(),
    };
    match parsed {
        Some(day) if day.year() == NEVER => Ok(None),
        Some(day) if long_year && day.year() < 1000 => Err(SHORT_YEAR),
        Some(day) => Ok(Some(day)),
        None if long_year && Date::strptime(format.replace("%F", ISO).replace("%Y", "%y"), text).is_ok() => {
            Err(SHORT_YEAR)
        }
        // Digits are missing, and the order is the right one.
        None if Date::strptime(format, text).is_ok() => Err(NOT_A_DATE),
        None if orders(format).any(|other| Date::strptime(other, text).is_ok()) => Err(OTHER_ORDER),
        None if format != ISO && text.len() == ISO_LENGTH => day(text, ISO).map_err(|_| NOT_A_DATE),
        None => Err(NOT_A_DATE),
    }
}

/// Whether a day of somebody's work can be meant, seen from `today`.
///
/// # Errors
/// Why not.
pub fn plausible(day: Date, today: Date) -> Result<(), &'static str> {
    if day.year() < FIRST_YEAR {
        return Err(TOO_EARLY);
    }
    match today.checked_add(10.years()) {
        Ok(last) if day > last => Err(TOO_LATE),
        _ => Ok(()),
    }
}

/// `2026-12-31` of a text that may have a whole day's time and a zone after it, as XML and databases write it: midnight, or
/// the day's last minute. Any other time of day would make the day a guess.
fn iso(text: &str) -> Option<&str> {
    let (day, rest) = text.split_at_checked(10)?;
    let shape = |(at, c): (usize, char)| match at {
        4 | 7 => c == '-',
        _ => c.is_ascii_digit(),
    };
    let time = rest
        .strip_prefix(['T', ' '])
        .map_or(Some(""), |time| Some(time).filter(|time| !time.is_empty()))?;
    let zone_at = |time: &str| time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = match time {
        "" => ("", rest),
        time => time.split_at(zone_at(time)),
    };
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let whole = match seconds {
        "" | "00:00" | "00:00:00" => fraction.chars().all(|c| c == '0'),
        "23:59" | "23:59:59" => fraction.chars().all(|c| c.is_ascii_digit()),
        _ => false,
    };
    (day.char_indices().all(shape) && whole && is_zone(zone)).then_some(day)
}

/// Nothing, `Z`, `+01:00` or `-0800`.
fn is_zone(zone: &str) -> bool {
    let digits = |text: &str| text.len() == 2 && text.chars().all(|c| c.is_ascii_digit());
    match zone.strip_prefix(['+', '-']) {
        Some(offset) => offset.split_at_checked(2).is_some_and(|(hours, minutes)| {
            digits(hours) && digits(minutes.strip_prefix(':').unwrap_or(minutes))
        }),
        None => matches!(zone, "" | "Z"),
    }
}

/// The same format with what has two digits in every other order: day, month, and a year of two digits.
fn orders(format: &str) -> impl Iterator<Item = String> {
    let format = format.replace("%F", ISO).replace("%D", "%m/%d/%y");
    let bytes = format.as_bytes();
    let mut places = vec![];
    for (at, _) in format.match_indices('%') {
        let flagged = matches!(bytes.get(at + 1), Some(b'-' | b'_' | b'0'));
        let end = at + 2 + usize::from(flagged);
        if matches!(bytes.get(end - 1), Some(b'd' | b'e' | b'm' | b'y')) {
            places.push(at..end);
        }
    }
    let own: Vec<String> = places
        .iter()
        .map(|place| format[place.clone()].to_owned())
        .collect();
    let swaps: &[&[usize]] = match own.len() {
        2 => &[&[1, 0]],
        3 => &[&[0, 2, 1], &[1, 0, 2], &[1, 2, 0], &[2, 0, 1], &[2, 1, 0]],
        _ => &[],
    };
    swaps.iter().map(move |order| {
        let mut other = format.clone();
        for (place, from) in places.iter().zip(*order).rev() {
            other.replace_range(place.clone(), &own[*from]);
        }
        other
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, format: &str) -> Result<Option<String>, &'static str> {
        day(text, format).map(|day| day.map(|day| day.to_string()))
    }

    #[test]
    fn words_for_none_are_none_and_names_and_countries_are_what_they_are() {
        for text in [
            "",
            " ",
            "-",
            "--",
            "–",
            "n/a",
            "N/A",
            "NA",
            "None",
            "NULL",
            "#N/A",
            "00.00.0000",
            "0000-00-00",
            "00/00/0000",
            "0000-00-00T00:00:00Z",
            "0000-00-00 00:00:00",
        ] {
            for kind in [Kind::Text, Kind::Day] {
                assert!(is_none(text, kind), "{text:?} as {kind:?}");
            }
        }
        assert!(is_none("00000000", Kind::Day) && !is_none("00000000", Kind::Text));
        assert!(is_none("9999-12-31T00:00:00", Kind::Day) && !is_none("9999-12-31", Kind::Text));
        assert!(!is_none("NA", Kind::Country) && is_none("n/a", Kind::Country));
        assert!(!is_none("Null", Kind::Name) && is_none("n/a", Kind::Name));
        for text in [
            "Nadia",
            "n",
            "0",
            "0-0-0",
            "000",
            "Nullmeier",
            "a-b",
            "Dash - er",
            "0117",
        ] {
            assert!(!is_none(text, Kind::Text), "{text:?}");
        }
    }

    #[test]
    fn a_date_is_a_day_and_never_a_guess() {
        for text in [
            "2026-12-31",
            " 2026-12-31 ",
            "2026-12-31-08:00",
            "2026-12-31Z",
            "2026-12-31T00:00:00.000-07:00",
            "2026-12-31 00:00:00",
            "2026-12-31T00:00:00",
            "2026-12-31T23:59:59Z",
            "2026-12-31T23:59:59.999+0100",
        ] {
            assert_eq!(read(text, ISO), Ok(Some("2026-12-31".into())), "{text}");
        }
        for text in [
            "2026-12-31T23:00:00Z",
            "2026-12-31T",
            "2026-12-31T00:00:00.5Z",
            "2026-12-31+1",
            "2026-12-31x",
            "2026-02-30",
            "31.12.2026",
            "12/31/2026",
            "20261231",
            "2026-12-3ä",
            "soon",
        ] {
            assert_eq!(read(text, ISO), Err(NOT_A_DATE), "{text}");
        }
    }

    #[test]
    fn a_day_is_read_by_its_format_or_refused_with_the_reason() {
        for (text, format, expected) in [
            ("31.12.2026", "%d.%m.%Y", Ok("2026-12-31")),
            ("04.12.26", "%d.%m.%y", Ok("2026-12-04")),
            ("04.12.26", "%d.%m.%Y", Err(SHORT_YEAR)),
            ("26-12-04", ISO, Err(SHORT_YEAR)),
            ("12/04/26", "%m/%d/%Y", Err(SHORT_YEAR)),
            ("18/12/2026", "%m/%d/%Y", Err(OTHER_ORDER)),
            ("12/18/2026", "%d/%m/%Y", Err(OTHER_ORDER)),
            ("12/18/2026", "%-d/%-m/%Y", Err(OTHER_ORDER)),
            ("2026-18-12", ISO, Err(OTHER_ORDER)),
            ("2026-18-12", "%F", Err(OTHER_ORDER)),
            ("18/12/26", "%D", Err(OTHER_ORDER)),
            ("32.05.01", "%d.%m.%y", Err(OTHER_ORDER)),
            ("31.02.2026", "%d.%m.%Y", Err(NOT_A_DATE)),
            ("04.12.2026", ISO, Err(NOT_A_DATE)),
            ("2026-12-04", "%d.%m.%Y", Ok("2026-12-04")),
            ("2026-18-12", "%d.%m.%Y", Err(NOT_A_DATE)),
            ("2026-01-13", "%Y-%d-%m", Err(OTHER_ORDER)),
        ] {
            assert_eq!(
                read(text, format),
                expected.map(|day| Some(day.to_owned())),
                "{text} as {format}"
            );
        }
        for (text, format) in [
            ("00.00.0000", "%d.%m.%Y"),
            ("n/a", ISO),
            ("9999-12-31", ISO),
            ("31.12.9999", "%d.%m.%Y"),
            ("99991231", "%Y%m%d"),
            ("00000000", "%Y%m%d"),
        ] {
            assert_eq!(read(text, format), Ok(None), "{text} as {format}");
        }
    }

    #[test]
    fn a_day_far_from_today_is_not_believed() {
        let today: Date = "2026-11-29".parse().unwrap();
        for (day, expected) in [
            ("1949-12-31", Err(TOO_EARLY)),
            ("0026-12-04", Err(TOO_EARLY)),
            ("1950-01-01", Ok(())),
            ("2036-11-29", Ok(())),
            ("2036-11-30", Err(TOO_LATE)),
            ("2206-12-04", Err(TOO_LATE)),
        ] {
            assert_eq!(plausible(day.parse().unwrap(), today), expected, "{day}");
        }
    }
}
