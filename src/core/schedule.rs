//! When things happen: the cutoff, wanted instants, backoff, the next look.
//!
//! Pure: every function is handed the instant it works with. Jitter comes from a seed, not from a random source.

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, Time},
    tz::{Disambiguation, TimeZone},
};
use thiserror::Error;

/// The first wait after a fault that passes by itself.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(1);
/// The longest wait between two tries of something that may pass by itself.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(5);
/// The first wait after a fault that only a person can mend; nobody tells us when they did.
const FIRST_WAIT_FOR_A_PERSON: SignedDuration = SignedDuration::from_secs(30);
/// The longest wait between two looks at something that only a person can mend.
const LONGEST_WAIT_FOR_A_PERSON: SignedDuration = SignedDuration::from_mins(10);

/// A date, a time of day, a zone or a duration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// Not a calendar date.
    #[error("{0:?} is not a date: write YYYY-MM-DD")]
    Date(String),
    /// Not a time of day.
    #[error("{0:?} is not a time of day: write HH:MM")]
    Time(String),
    /// Not a known zone.
    #[error("{0:?} is not an IANA time zone: write one such as Europe/Berlin")]
    Zone(String),
    /// Not a duration.
    #[error("{0:?} is not a duration: write a whole number and ms, s, m, h or d, such as 30d")]
    Duration(String),
    /// Not a moment.
    #[error("{0:?} is not a moment: write cutoff, cutoff + 7d or cutoff - 1h")]
    Moment(String),
    /// Beyond the calendar.
    #[error("{0:?} lies outside the calendar")]
    OutOfRange(String),
}

/// The instant at which access ends: `time` on `last_day` in `zone`.
///
/// A local time that a clock change skips means the first instant after the gap; one that occurs twice means the
/// second: nothing happens early (R10).
///
/// # Errors
/// When a part is malformed or the zone is not known.
pub fn cutoff(last_day: &str, time: &str, zone: &str) -> Result<Timestamp, Error> {
    let day: Date = last_day.parse().map_err(|_| Error::Date(last_day.to_owned()))?;
    let (hour, minute) = time
        .split_once(':')
        .and_then(|(h, m)| Some((h.parse::<i8>().ok()?, m.parse::<i8>().ok()?)))
        .ok_or_else(|| Error::Time(time.to_owned()))?;
    let at = Time::new(hour, minute, 0, 0).map_err(|_| Error::Time(time.to_owned()))?;
    let zone = TimeZone::get(zone).map_err(|_| Error::Zone(zone.to_owned()))?;
    zone.into_ambiguous_zoned(day.to_datetime(at))
        .disambiguate(Disambiguation::Later)
        .map(|zoned| zoned.timestamp())
        .map_err(|_| Error::OutOfRange(last_day.to_owned()))
}

/// The first instant after the day `date` in `zone` has ended.
///
/// # Errors
/// When a part is malformed or the zone is not known.
pub fn end_of_day(date: &str, zone: &str) -> Result<Timestamp, Error> {
    let day: Date = date.parse().map_err(|_| Error::Date(date.to_owned()))?;
    let next = day.tomorrow().map_err(|_| Error::OutOfRange(date.to_owned()))?;
    let zone = TimeZone::get(zone).map_err(|_| Error::Zone(zone.to_owned()))?;
    zone.into_ambiguous_zoned(next.to_datetime(Time::midnight()))
        .disambiguate(Disambiguation::Later)
        .map(|zoned| zoned.timestamp())
        .map_err(|_| Error::OutOfRange(date.to_owned()))
}

/// Reads `30d`, `1h30m`, `500ms`.
///
/// # Errors
/// When it is not a sequence of whole numbers with units, or too long.
pub fn duration(text: &str) -> Result<SignedDuration, Error> {
    let wrong = || Error::Duration(text.to_owned());
    let mut rest = text;
    let mut total = SignedDuration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: i64 = rest
            .get(..digits)
            .and_then(|n| n.parse().ok())
            .ok_or_else(wrong)?;
        let after = rest.get(digits..).unwrap_or_default();
        let (unit_ms, length) = match after {
            a if a.starts_with("ms") => (1, 2),
            a if a.starts_with('s') => (1_000, 1),
            a if a.starts_with('m') => (60_000, 1),
            a if a.starts_with('h') => (3_600_000, 1),
            a if a.starts_with('d') => (86_400_000, 1),
            _ => return Err(wrong()),
        };
        let part = number
            .checked_mul(unit_ms)
            .map(SignedDuration::from_millis)
            .ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = after.get(length..).unwrap_or_default();
    }
    if text.is_empty() { Err(wrong()) } else { Ok(total) }
}

/// Reads `cutoff`, `cutoff + 7d`, `cutoff - 1h` as an instant.
///
/// # Errors
/// When it is none of these, or beyond the calendar.
pub fn moment(text: &str, cutoff: Timestamp) -> Result<Timestamp, Error> {
    let wrong = || Error::Moment(text.to_owned());
    let rest = text.strip_prefix("cutoff").ok_or_else(wrong)?.trim();
    if rest.is_empty() {
        return Ok(cutoff);
    }
    let (sign, length) = rest.split_once(' ').ok_or_else(wrong)?;
    let length = duration(length)?;
    match sign {
        "+" => cutoff.checked_add(length),
        "-" => cutoff.checked_sub(length),
        _ => return Err(wrong()),
    }
    .map_err(|_| Error::OutOfRange(text.to_owned()))
}

/// How long to wait before try number `attempts + 1` of something that may pass by itself: doubling, capped, and
/// spread by `seed` over the upper half so that many leavers do not come back together.
pub fn backoff(attempts: u32, seed: u64) -> SignedDuration {
    spread(FIRST_WAIT, LONGEST_WAIT, attempts, seed)
}

/// The same for something that only a person can mend.
pub fn backoff_for_a_person(attempts: u32, seed: u64) -> SignedDuration {
    spread(FIRST_WAIT_FOR_A_PERSON, LONGEST_WAIT_FOR_A_PERSON, attempts, seed)
}

fn spread(first: SignedDuration, longest: SignedDuration, attempts: u32, seed: u64) -> SignedDuration {
    let full = first
        .checked_mul(1 << attempts.min(16))
        .unwrap_or(longest)
        .min(longest);
    let half = full / 2;
    let parts = i32::try_from(mix(seed.wrapping_add(u64::from(attempts))) % 1000).unwrap_or(0);
    half + (full - half) * parts / 1000
}

/// `SplitMix64`: spreads the bits of a seed.
pub fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// `at` plus `wait`, or the end of time.
pub fn later(at: Timestamp, wait: SignedDuration) -> Timestamp {
    at.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a timestamp")
    }

    #[test]
    fn access_ends_at_the_local_time_of_the_employee() {
        assert_eq!(
            cutoff("2026-09-30", "17:00", "Europe/Berlin"),
            Ok(at("2026-09-30T15:00:00Z"))
        );
        assert_eq!(
            cutoff("2026-12-30", "17:00", "Asia/Kolkata"),
            Ok(at("2026-12-30T11:30:00Z"))
        );
    }

    #[test]
    fn a_skipped_or_doubled_local_time_never_ends_access_early() {
        assert_eq!(
            cutoff("2026-03-29", "02:30", "Europe/Berlin"),
            Ok(at("2026-03-29T01:30:00Z"))
        );
        assert_eq!(
            cutoff("2026-10-25", "02:30", "Europe/Berlin"),
            Ok(at("2026-10-25T01:30:00Z"))
        );
    }

    #[test]
    fn an_impossible_date_time_or_zone_is_named() {
        assert_eq!(
            cutoff("2026-02-30", "17:00", "UTC"),
            Err(Error::Date("2026-02-30".into()))
        );
        assert_eq!(
            cutoff("2026-02-20", "25:00", "UTC"),
            Err(Error::Time("25:00".into()))
        );
        assert_eq!(
            cutoff("2026-02-20", "17:00", "Mars/Base"),
            Err(Error::Zone("Mars/Base".into()))
        );
    }

    #[test]
    fn moments_are_counted_from_the_cutoff() {
        let cutoff = at("2026-09-30T15:00:00Z");
        assert_eq!(moment("cutoff", cutoff), Ok(cutoff));
        assert_eq!(moment("cutoff + 7d", cutoff), Ok(at("2026-10-07T15:00:00Z")));
        assert_eq!(moment("cutoff - 1h", cutoff), Ok(at("2026-09-30T14:00:00Z")));
        assert!(moment("cutoff * 2d", cutoff).is_err());
        assert!(moment("noon", cutoff).is_err());
    }

    #[test]
    fn waits_grow_to_a_cap_and_never_below_half() {
        for seed in 0..50 {
            assert!(backoff(0, seed) >= FIRST_WAIT / 2 && backoff(0, seed) <= FIRST_WAIT);
            assert!(backoff(60, seed) <= LONGEST_WAIT && backoff(60, seed) >= LONGEST_WAIT / 2);
        }
    }
}
