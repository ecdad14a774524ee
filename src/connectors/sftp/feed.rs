//! When a file is believed: which one, how old, whole or not. Pure; an answer that cannot be believed is a fault, never a
//! shorter list (R2).

use jiff::{SignedDuration, Timestamp, Zoned, fmt::strtime, tz::TimeZone};
use regex::Regex;

use crate::{
    api::definition::DatePlace,
    connectors::{
        delimited::{incomplete, malformed},
        driver::{Believed, DateMark},
        glob,
    },
    core::fault::{Fault, Reason},
};

/// Names that files have while they are written.
const UNFINISHED: [&str; 4] = [".part", ".partial", ".filepart", ".tmp"];

/// A file from further ahead than clocks and time zones explain cannot be called fresh.
const AHEAD: SignedDuration = SignedDuration::from_hours(26);

/// A file of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub name: String,
    pub size: u64,
    pub modified: Timestamp,
}

/// Transient: the one who writes is not done yet.
fn unfinished(code: &str) -> Fault {
    Fault::transient(Reason::Incomplete).with_code(code)
}

/// Whether a name is that of a file which is being written, or of a hidden one.
pub(super) fn is_unfinished(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    name.starts_with('.') || UNFINISHED.iter().any(|end| lower.ends_with(end))
}

/// The newest of the files in a folder that match and are complete; none: no file matches.
pub(super) fn newest<'e>(
    entries: &'e [Entry],
    pattern: &str,
    believed: &Believed,
) -> Result<Option<&'e Entry>, Fault> {
    let matching = entries
        .iter()
        .filter(|entry| !is_unfinished(&entry.name) && glob::matches(pattern, &entry.name));
    let mut candidates: Vec<(Timestamp, &Entry)> = vec![];
    let mut unmarked = false;
    for entry in matching {
        if let Some(marker) = &believed.marker {
            if entry.name.ends_with(marker.as_str()) {
                continue;
            }
            let name = format!("{}{marker}", entry.name);
            if !entries.iter().any(|other| other.name == name) {
                unmarked = true;
                continue;
            }
        }
        let date = match &believed.date {
            Some(mark) if mark.place == DatePlace::Name => date(mark, &entry.name)?,
            _ => entry.modified,
        };
        candidates.push((date, entry));
    }
    let newest = candidates
        .into_iter()
        .max_by(|(a, x), (b, y)| (a, x.modified, &x.name).cmp(&(b, y.modified, &y.name)));
    match newest {
        None if unmarked => Err(unfinished("no marker")),
        newest => Ok(newest.map(|(_, entry)| entry)),
    }
}

/// Whether a file is at rest.
pub(super) fn at_rest(modified: Timestamp, believed: &Believed, now: Timestamp) -> Result<(), Fault> {
    match believed.quiet {
        Some(quiet) if !quiet.is_zero() && now.duration_since(modified) < quiet => {
            Err(unfinished("still written"))
        }
        _ => Ok(()),
    }
}

/// The lines of a file without its last one where that is a trailer, the number of rows that this one tells, and the
/// instant of which the file is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Body<'t> {
    pub text: &'t str,
    pub rows: Option<usize>,
    pub as_of: Timestamp,
}

/// Takes a file apart and says whether it is fresh.
pub(super) fn open<'t>(
    entry: &Entry,
    text: &'t str,
    believed: &Believed,
    now: Timestamp,
) -> Result<Body<'t>, Fault> {
    let (before, last) = last_line(text);
    let as_of = match &believed.date {
        None => entry.modified,
        Some(mark) => match mark.place {
            DatePlace::Name => date(mark, &entry.name)?,
            DatePlace::FirstLine => date(mark, text.lines().next().unwrap_or_default())?,
            DatePlace::LastLine => date(mark, last)?,
        },
    };
    fresh(as_of, believed, now)?;
    let Some((pattern, beside)) = &believed.trailer else {
        return Ok(Body {
            text,
            rows: None,
            as_of,
        });
    };
    let whole = group(&format!("^(?:{pattern})$"))?;
    let counted = whole.captures(last).ok_or_else(|| incomplete("no trailer"))?;
    let counted: usize = counted
        .get(1)
        .and_then(|number| number.as_str().trim().parse().ok())
        .ok_or_else(|| incomplete("no count in trailer"))?;
    let rows = counted
        .checked_sub(*beside)
        .ok_or_else(|| incomplete("trailer counts other rows"))?;
    Ok(Body {
        text: before,
        rows: Some(rows),
        as_of,
    })
}

/// Whether there are as many rows as the trailer says.
pub(super) fn counted(body: &Body<'_>, rows: usize) -> Result<(), Fault> {
    match body.rows {
        Some(told) if told != rows => Err(incomplete("trailer counts other rows")),
        _ => Ok(()),
    }
}

fn fresh(as_of: Timestamp, believed: &Believed, now: Timestamp) -> Result<(), Fault> {
    let Some(oldest) = believed.max_age else {
        return Ok(());
    };
    let age = now.duration_since(as_of);
    if age > oldest {
        return Err(incomplete("stale"));
    }
    if -age > AHEAD {
        return Err(incomplete("dated ahead"));
    }
    Ok(())
}

/// What comes before the last line that is not empty, and that line.
fn last_line(text: &str) -> (&str, &str) {
    let trimmed = text.trim_end();
    let start = trimmed.rfind('\n').map_or(0, |at| at + 1);
    (&text[..start], trimmed[start..].trim_start())
}

fn group(pattern: &str) -> Result<Regex, Fault> {
    Regex::new(pattern)
        .ok()
        .filter(|regex| regex.captures_len() > 1)
        .ok_or_else(|| malformed("pattern"))
}

/// The instant that stands in `text`.
fn date(mark: &DateMark, text: &str) -> Result<Timestamp, Fault> {
    let found = group(&mark.pattern)?;
    let found = found.captures(text).and_then(|captures| captures.get(1));
    let found = found.ok_or_else(|| incomplete("no date"))?;
    let wrong = || malformed("date");
    let parsed = strtime::parse(&mark.format, found.as_str()).map_err(|_| wrong())?;
    if let Ok(instant) = parsed.to_timestamp() {
        return Ok(instant);
    }
    // A date without a zone is never taken for UTC (R10).
    let zone = mark.zone.as_deref().ok_or_else(|| malformed("zone"))?;
    let zone = TimeZone::get(zone).map_err(|_| malformed("zone"))?;
    let local = match parsed.to_datetime() {
        Ok(local) => local,
        Err(_) => parsed
            .to_date()
            .map_err(|_| wrong())?
            .to_datetime(jiff::civil::Time::midnight()),
    };
    let zoned: Zoned = local.to_zoned(zone).map_err(|_| wrong())?;
    Ok(zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn entry(name: &str, modified: &str) -> Entry {
        Entry {
            name: name.to_owned(),
            size: 7,
            modified: at(modified),
        }
    }

    fn by_name() -> Option<DateMark> {
        Some(DateMark {
            place: DatePlace::Name,
            pattern: r"-(\d{8})\.".into(),
            format: "%Y%m%d".into(),
            zone: Some("Europe/Berlin".into()),
        })
    }

    const NOW: &str = "2026-11-25T12:00:00Z";

    #[test]
    fn the_newest_complete_file_is_the_one_that_is_read() {
        let entries = [
            entry("hr-20261123.csv", "2026-11-25T11:00:00Z"),
            entry("hr-20261124.csv", "2026-11-24T04:00:00Z"),
            entry("hr-20261125.csv.part", "2026-11-25T11:59:00Z"),
            entry(".hr-20261126.csv", "2026-11-25T11:59:00Z"),
            entry("hr-20261125.csv.TMP", "2026-11-25T11:59:00Z"),
            entry("other.csv", "2026-11-25T11:59:00Z"),
        ];
        let name = |believed: &Believed, pattern: &str| {
            newest(&entries, pattern, believed).map(|found| found.map(|entry| entry.name.clone()))
        };
        let by_change = Believed::default();
        assert_eq!(name(&by_change, "hr-*"), Ok(Some("hr-20261123.csv".into())));
        let by_date = Believed {
            date: by_name(),
            ..Believed::default()
        };
        assert_eq!(name(&by_date, "hr-*"), Ok(Some("hr-20261124.csv".into())));
        assert_eq!(name(&by_date, "pay-*"), Ok(None));
        assert_eq!(
            name(&by_date, "*.csv").unwrap_err().code,
            "no date",
            "one of them cannot be placed"
        );
    }

    #[test]
    fn a_file_without_its_marker_is_not_there_yet() {
        let marked = Believed {
            marker: Some(".done".into()),
            ..Believed::default()
        };
        let mut entries = vec![
            entry("hr-1.csv", "2026-11-24T04:00:00Z"),
            entry("hr-2.csv", "2026-11-25T04:00:00Z"),
        ];
        assert_eq!(
            newest(&entries, "hr-*", &marked).unwrap_err(),
            unfinished("no marker")
        );
        entries.push(entry("hr-1.csv.done", "2026-11-24T04:01:00Z"));
        let found = newest(&entries, "hr-*", &marked).unwrap();
        assert_eq!(found.unwrap().name, "hr-1.csv", "the newest that is complete");
    }

    #[test]
    fn a_file_that_changed_just_now_is_still_written() {
        let quiet = Believed {
            quiet: Some(SignedDuration::from_secs(30)),
            ..Believed::default()
        };
        for (modified, rests) in [
            ("2026-11-25T11:59:29Z", true),
            ("2026-11-25T11:59:31Z", false),
            ("2026-11-25T12:00:05Z", false),
        ] {
            assert_eq!(
                at_rest(at(modified), &quiet, at(NOW)).is_ok(),
                rests,
                "{modified}"
            );
        }
    }

    fn opened(
        name: &str,
        modified: &str,
        text: &str,
        believed: &Believed,
    ) -> Result<(String, Option<usize>), String> {
        let entry = entry(name, modified);
        let body = open(&entry, text, believed, at(NOW)).map_err(|fault| fault.code)?;
        Ok((body.text.to_owned(), body.rows))
    }

    #[test]
    fn a_list_without_its_true_trailer_is_no_list() {
        let believed = Believed {
            trailer: Some((r"TRAILER;(\d+)".into(), 0)),
            ..Believed::default()
        };
        let open = |text: &str| opened("hr.csv", NOW, text, &believed);
        assert_eq!(
            open("id\n1\n2\nTRAILER;2\n\n"),
            Ok(("id\n1\n2\n".into(), Some(2)))
        );
        assert_eq!(
            open("id\r\n1\r\nTRAILER;000001\r\n"),
            Ok(("id\r\n1\r\n".into(), Some(1)))
        );
        assert_eq!(open("TRAILER;0"), Ok((String::new(), Some(0))));
        for text in [
            "id\n1\n2\n",
            "",
            "id\nTRAILER;2\n1\n",
            "id\n1\nTRAILER;2;x",
            "id\n1\nTRAILE",
        ] {
            assert_eq!(open(text), Err("no trailer".into()), "{text:?}");
        }
        let all_lines = Believed {
            trailer: Some((r"END (\d+)".into(), 2)),
            ..Believed::default()
        };
        assert_eq!(
            opened("hr", NOW, "id\n1\nEND 3", &all_lines),
            Ok(("id\n1\n".into(), Some(1)))
        );
        assert!(opened("hr", NOW, "id\n1\nEND 1", &all_lines).is_err());
        let body = Body {
            text: "",
            rows: Some(2),
            as_of: at(NOW),
        };
        assert!(counted(&body, 2).is_ok() && counted(&body, 1).is_err() && counted(&body, 3).is_err());
    }

    #[test]
    fn an_old_file_is_stale_by_its_own_date_where_it_has_one() {
        let day = |date| Believed {
            max_age: Some(SignedDuration::from_hours(36)),
            date,
            ..Believed::default()
        };
        let by_change = day(None);
        let fresh = |name: &str, modified: &str, text: &str, believed: &Believed| {
            opened(name, modified, text, believed).map(|_| ())
        };
        assert_eq!(fresh("hr", "2026-11-24T00:00:01Z", "", &by_change), Ok(()));
        assert_eq!(
            fresh("hr", "2026-11-23T23:59:59Z", "", &by_change),
            Err("stale".into())
        );
        assert_eq!(
            fresh("hr", "2026-11-27T12:00:00Z", "", &by_change),
            Err("dated ahead".into())
        );
        // An old export that was copied today is still old.
        let named = day(by_name());
        assert_eq!(
            fresh("hr-20261125.csv", "2026-11-01T00:00:00Z", "", &named),
            Ok(())
        );
        assert_eq!(
            fresh("hr-20261124.csv", NOW, "", &named),
            Err("stale".into()),
            "began 37 hours ago in Berlin"
        );
        let line = |place, format: &str, zone: Option<&str>| {
            day(Some(DateMark {
                place,
                pattern: r"^HEADER;([^;]+)".into(),
                format: format.into(),
                zone: zone.map(str::to_owned),
            }))
        };
        let first = line(DatePlace::FirstLine, "%Y-%m-%dT%H:%M%:z", None);
        assert_eq!(
            fresh("hr", NOW, "HEADER;2026-11-25T09:00+01:00;x\nid\n", &first),
            Ok(())
        );
        assert_eq!(
            fresh("hr", NOW, "HEADER;2026-11-20T09:00+01:00;x\nid\n", &first),
            Err("stale".into())
        );
        assert_eq!(fresh("hr", NOW, "id\n1\n", &first), Err("no date".into()));
        let last = line(DatePlace::LastLine, "%Y-%m-%d", None);
        let unknown = fresh("hr", NOW, "id\nHEADER;2026-11-25", &last);
        assert_eq!(unknown, Err("zone".into()), "never UTC by guess");
        let last = line(DatePlace::LastLine, "%d.%m.%Y", Some("Europe/Berlin"));
        assert_eq!(fresh("hr", NOW, "id\nHEADER;25.11.2026", &last), Ok(()));
    }
}
