//! When things happen: the cutoff, wanted instants, backoff, the next look.
//!
//! Pure: every function is handed the instant it works with. Jitter comes from a seed, not from a random source.

use std::collections::BTreeMap;

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, Time, Weekday},
    tz::{Disambiguation, TimeZone},
};
use thiserror::Error;

use super::check::Check;

/// The zone in which a day ends last. Where no zone is known, a day that is over there is over everywhere.
pub const LAST_ZONE: &str = "Etc/GMT+12";
/// The zone in which a day begins first.
pub const FIRST_ZONE: &str = "Etc/GMT-14";
/// The first wait after a fault that passes by itself.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(1);
/// The longest wait between two tries of something that may pass by itself.
pub(super) const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(5);
/// The first wait after a fault that only a person can mend; nobody tells us when they did.
const FIRST_WAIT_FOR_A_PERSON: SignedDuration = SignedDuration::from_secs(30);
/// The longest wait between two looks at something that only a person can mend.
pub const LONGEST_WAIT_FOR_A_PERSON: SignedDuration = SignedDuration::from_mins(10);

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
    #[error("{0:?} is not a moment: write cutoff, cutoff + 7d, employmentEnds - 1h, notice or paidThrough")]
    Moment(String),
    /// Hours in which nobody can be at work.
    #[error("{0:?} are no business hours: name a day, and an end after the beginning")]
    Hours(String),
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
    let day = date(last_day)?;
    let at = time_of_day(time)?;
    let zone = TimeZone::get(zone).map_err(|_| Error::Zone(zone.to_owned()))?;
    instant(day, at, &zone)
}

/// The first instant of the day `date` in `zone`; of one that begins twice, the second.
///
/// # Errors
/// When a part is malformed or the zone is not known.
pub fn start_of_day(date: &str, zone: &str) -> Result<Timestamp, Error> {
    cutoff(date, "00:00", zone)
}

/// The first instant after `day` in `zone` has ended.
///
/// # Errors
/// When a part is malformed or the zone is not known.
pub fn end_of_day(day: &str, zone: &str) -> Result<Timestamp, Error> {
    let next = date(day)?
        .tomorrow()
        .map_err(|_| Error::OutOfRange(day.to_owned()))?;
    let zone = TimeZone::get(zone).map_err(|_| Error::Zone(zone.to_owned()))?;
    instant(next, Time::midnight(), &zone)
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

/// The instants that a policy may count from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchors {
    /// When the end was announced.
    pub notice: Timestamp,
    /// When access ends.
    pub cutoff: Timestamp,
    /// The first instant after the contract.
    pub employment_ends: Timestamp,
    /// The first instant after the last paid day.
    pub paid_through: Timestamp,
}

impl Anchors {
    const NOTICE: &str = "notice";
    const EMPLOYMENT_ENDS: &str = "employmentEnds";
    const PAID_THROUGH: &str = "paidThrough";

    /// All but the cutoff, by the names that policies have for them.
    pub fn named(&self) -> BTreeMap<String, Timestamp> {
        let named = [
            (Self::NOTICE, self.notice),
            (Self::EMPLOYMENT_ENDS, self.employment_ends),
            (Self::PAID_THROUGH, self.paid_through),
        ];
        named.map(|(name, at)| (name.to_owned(), at)).into()
    }

    /// The cutoff with the other instants by name; what is missing is the cutoff.
    pub fn of_names(cutoff: Timestamp, named: &BTreeMap<String, Timestamp>) -> Self {
        let at = |name: &str| named.get(name).copied().unwrap_or(cutoff);
        Self {
            notice: at(Self::NOTICE),
            cutoff,
            employment_ends: at(Self::EMPLOYMENT_ENDS),
            paid_through: at(Self::PAID_THROUGH),
        }
    }
}

/// Reads `cutoff`, `cutoff + 7d`, `employmentEnds - 1h` as an instant.
///
/// # Errors
/// When it is none of these, or beyond the calendar.
pub fn moment(text: &str, anchors: &Anchors) -> Result<Timestamp, Error> {
    let wrong = || Error::Moment(text.to_owned());
    let (anchor, rest) = text.split_once(' ').unwrap_or((text, ""));
    let from = match anchor {
        "notice" => anchors.notice,
        "cutoff" => anchors.cutoff,
        "employmentEnds" => anchors.employment_ends,
        "paidThrough" => anchors.paid_through,
        _ => return Err(wrong()),
    };
    if rest.is_empty() {
        return if anchor == text { Ok(from) } else { Err(wrong()) };
    }
    let (sign, length) = rest.split_once(' ').ok_or_else(wrong)?;
    let length = duration(length)?;
    match sign {
        "+" => from.checked_add(length),
        "-" => from.checked_sub(length),
        _ => return Err(wrong()),
    }
    .map_err(|_| Error::OutOfRange(text.to_owned()))
}

/// Hours in which people are at work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    /// Days of the week on which they are.
    pub days: Vec<Weekday>,
    /// When they begin.
    pub from: Time,
    /// When they are over.
    pub to: Time,
}

impl Hours {
    /// Hours from texts like `09:00`.
    ///
    /// # Errors
    /// When one of them is no time of day, or they end before they begin, or there is no day.
    pub fn new(days: Vec<Weekday>, from: &str, to: &str) -> Result<Self, Error> {
        let hours = Self {
            days,
            from: time_of_day(from)?,
            to: time_of_day(to)?,
        };
        if hours.days.is_empty() || hours.from >= hours.to {
            return Err(Error::Hours(format!("{from}-{to}")));
        }
        Ok(hours)
    }

    /// `at`, or the first instant after it within these hours in `zone`: never earlier.
    ///
    /// # Errors
    /// When the zone is not known.
    pub fn next(&self, at: Timestamp, zone: &str) -> Result<Timestamp, Error> {
        let zone = TimeZone::get(zone).map_err(|_| Error::Zone(zone.to_owned()))?;
        let local = at.to_zoned(zone.clone());
        let mut day = local.date();
        // A week and a day: a zone may skip a whole day at the date line.
        for _ in 0..9 {
            if self.days.contains(&day.weekday()) {
                let opens = instant(day, self.from, &zone)?;
                let closes = instant(day, self.to, &zone)?;
                if at < closes {
                    return Ok(at.max(opens));
                }
            }
            day = day.tomorrow().map_err(|_| Error::OutOfRange(day.to_string()))?;
        }
        Err(Error::OutOfRange(local.date().to_string()))
    }
}

fn instant(day: Date, at: Time, zone: &TimeZone) -> Result<Timestamp, Error> {
    zone.to_ambiguous_zoned(day.to_datetime(at))
        .disambiguate(Disambiguation::Later)
        .map(|zoned| zoned.timestamp())
        .map_err(|_| Error::OutOfRange(day.to_string()))
}

/// A day as `YYYY-MM-DD`, and in no other form.
fn date(text: &str) -> Result<Date, Error> {
    let form = text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(at, b)| (b == b'-') == matches!(at, 4 | 7));
    let day = form.then(|| text.parse().ok()).flatten();
    day.ok_or_else(|| Error::Date(text.to_owned()))
}

fn time_of_day(text: &str) -> Result<Time, Error> {
    let wrong = || Error::Time(text.to_owned());
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let number = |part: &str| part.parse::<i8>().map_err(|_| wrong());
    Time::new(number(hour)?, number(minute)?, 0, 0).map_err(|_| wrong())
}

/// The wait after the first fault that passes by itself.
const FIRST: Check<fn() -> SignedDuration> = Check::new("first wait", || FIRST_WAIT);

/// How long to wait before try number `attempts + 1` of something that may pass by itself: doubling, capped, and
/// spread by `seed` over the upper half so that many leavers do not come back together.
pub fn backoff(attempts: u32, seed: u64) -> SignedDuration {
    spread(FIRST.rule()(), LONGEST_WAIT, attempts, seed)
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
    fn moments_are_counted_from_what_they_name() {
        let anchors = Anchors {
            notice: at("2026-08-01T00:00:00Z"),
            cutoff: at("2026-09-30T15:00:00Z"),
            employment_ends: at("2026-12-31T23:00:00Z"),
            paid_through: at("2027-01-31T23:00:00Z"),
        };
        let moment = |text| moment(text, &anchors);
        assert_eq!(moment("cutoff"), Ok(anchors.cutoff));
        assert_eq!(moment("cutoff + 7d"), Ok(at("2026-10-07T15:00:00Z")));
        assert_eq!(moment("cutoff - 1h"), Ok(at("2026-09-30T14:00:00Z")));
        assert_eq!(moment("notice + 1d"), Ok(at("2026-08-02T00:00:00Z")));
        assert_eq!(moment("employmentEnds - 1d"), Ok(at("2026-12-30T23:00:00Z")));
        assert_eq!(moment("paidThrough"), Ok(anchors.paid_through));
        for wrong in ["cutoff * 2d", "noon", "cutoff ", "cutoff +7d", "cutoff + 7", ""] {
            assert!(moment(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn business_hours_move_an_instant_to_later_and_never_to_earlier() {
        let hours = Hours::new(vec![Weekday::Monday, Weekday::Friday], "09:00", "17:00").unwrap();
        let next = |text| hours.next(at(text), "Europe/Berlin").unwrap();
        // Friday 2026-09-25, two hours ahead of UTC.
        assert_eq!(next("2026-09-25T10:00:00Z"), at("2026-09-25T10:00:00Z"));
        assert_eq!(next("2026-09-25T03:00:00Z"), at("2026-09-25T07:00:00Z"));
        assert_eq!(next("2026-09-25T15:00:00Z"), at("2026-09-28T07:00:00Z"));
        assert_eq!(next("2026-09-29T10:00:00Z"), at("2026-10-02T07:00:00Z"));
        assert!(Hours::new(vec![Weekday::Monday], "17:00", "09:00").is_err());
        assert!(Hours::new(vec![], "09:00", "17:00").is_err());
    }

    /// All zones that are bundled, each day of two years and the whole hours and halves of a day: access never ends while the
    /// employee's clock can still come to show an earlier time of that day, and at most a gap later.
    #[test]
    fn in_no_zone_and_on_no_day_access_ends_early_or_by_guess() {
        let zones: Vec<String> = jiff::tz::db().available().map(|zone| zone.to_string()).collect();
        assert!(zones.len() > 400, "only {} zones", zones.len());
        for (index, name) in zones.iter().enumerate() {
            let zone = TimeZone::get(name).unwrap();
            let changes: Vec<_> = zone.following(at("2026-01-01T00:00:00Z")).take(4).collect();
            // The days around every change of the clock, and some others.
            let around = changes
                .iter()
                .flat_map(|change| (-1..=1).map(|d| change.timestamp() + SignedDuration::from_hours(24 * d)));
            let others =
                (0..12).map(|month| at("2026-01-15T12:00:00Z") + SignedDuration::from_hours(730 * month));
            for instant in around.chain(others) {
                let day = instant.to_zoned(zone.clone()).date();
                for half_hour in 0..48 {
                    let (hour, minute) = (half_hour / 2, half_hour % 2 * 30);
                    let ends = cutoff(&day.to_string(), &format!("{hour:02}:{minute:02}"), name).unwrap();
                    never_early(&zone, day.at(hour, minute, 0, 0), ends, index);
                }
            }
        }
    }

    fn never_early(zone: &TimeZone, wished: jiff::civil::DateTime, ends: Timestamp, index: usize) {
        let shown = ends.to_zoned(zone.clone()).datetime();
        assert!(shown >= wished, "zone {index}: {wished} ended at {shown}");
        // Not later than the clock shows it, unless the clock never shows it.
        let gap = shown.duration_since(wished);
        assert!(
            gap < SignedDuration::from_hours(25),
            "zone {index}: {wished} ended at {shown}"
        );
        if gap > SignedDuration::ZERO {
            assert!(
                zone.to_ambiguous_timestamp(wished).is_ambiguous(),
                "zone {index}: {wished} was shown"
            );
        }
        // The clock does not show an earlier time of that day again after access has ended.
        let again = (1..=8).map(|quarter| ends + SignedDuration::from_mins(15 * quarter));
        for later in again {
            let then = later.to_zoned(zone.clone()).datetime();
            assert!(then > wished, "zone {index}: {then} comes after {wished} ended");
        }
    }

    #[test]
    fn waits_grow_to_a_cap_and_never_below_half() {
        for seed in 0..50 {
            assert!(backoff(0, seed) >= FIRST_WAIT / 2 && backoff(0, seed) <= FIRST_WAIT);
            assert!(backoff(60, seed) <= LONGEST_WAIT && backoff(60, seed) >= LONGEST_WAIT / 2);
        }
    }
}
