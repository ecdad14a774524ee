//! The periods of work in somebody's history: rows of which each says what holds from its day on.
//!
//! # Why
//! Rows are corrected by adding others. A new status on the day of an end means that the person stays; an end after an end,
//! with no work between them, is about something else (the end of a severance), and access ends with the first.

use std::collections::BTreeMap;

use jiff::civil::Date;

/// A row of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// From when on it holds; an end is over with that day.
    pub day: Date,
    /// Work ends; else it goes on, or begins.
    pub ends: bool,
}

/// Time of work without an interruption.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Period {
    /// The first day. None: since ever.
    pub starts: Option<Date>,
    /// The last day. None: it goes on.
    pub ends: Option<Date>,
    /// Which row ends it.
    pub end: Option<usize>,
}

/// The periods of `rows`, in the order of time; of no rows one that goes on.
pub fn periods(rows: &[Row]) -> Vec<Period> {
    let mut days = BTreeMap::<Date, (bool, Option<usize>)>::new();
    for (at, row) in rows.iter().enumerate() {
        let (works, end) = days.entry(row.day).or_default();
        if row.ends {
            end.get_or_insert(at);
        } else {
            *works = true;
        }
    }
    let mut periods: Vec<Period> = vec![];
    let mut working = false;
    for (day, (works, end)) in days {
        let first = periods.is_empty();
        // Whoever never worked before has come and gone on this day; everybody else was taken on again.
        let begins = works && (!working || end.is_some());
        if let (true, Some(end), Some(last)) = (working, end, periods.last_mut()) {
            (last.ends, last.end) = (Some(day), Some(end));
            working = false;
        }
        if begins {
            let starts = Some(day);
            periods.push(Period {
                starts,
                ..Period::default()
            });
            working = true;
        }
        if let (true, Some(end)) = (first, end) {
            let starts = Some(day).filter(|_| works);
            periods.clear();
            periods.push(Period {
                starts,
                ends: Some(day),
                end: Some(end),
            });
            working = false;
        }
    }
    if periods.is_empty() {
        periods.push(Period::default());
    }
    periods
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `W` works, `X` ends.
    fn read(rows: &[(&str, char)]) -> Vec<(String, String, Option<usize>)> {
        let rows: Vec<Row> = rows
            .iter()
            .map(|(day, what)| Row {
                day: day.parse().unwrap(),
                ends: *what == 'X',
            })
            .collect();
        let text = |day: Option<Date>| day.map_or("-".to_owned(), |day| day.to_string());
        let periods = periods(&rows).into_iter();
        periods.map(|p| (text(p.starts), text(p.ends), p.end)).collect()
    }

    #[test]
    fn work_ends_with_the_first_end_that_no_work_follows() {
        let period = |starts: &str, ends: &str, end: Option<usize>| (starts.to_owned(), ends.to_owned(), end);
        for (rows, expected, why) in [
            (vec![], vec![period("-", "-", None)], "nothing is known"),
            (
                vec![("2020-01-01", 'W')],
                vec![period("2020-01-01", "-", None)],
                "works",
            ),
            (
                vec![("2026-12-31", 'X'), ("2020-01-01", 'W'), ("2022-01-01", 'W')],
                vec![period("2020-01-01", "2026-12-31", Some(0))],
                "in any order",
            ),
            (
                vec![("2020-01-01", 'W'), ("2026-10-31", 'X'), ("2026-12-31", 'X')],
                vec![period("2020-01-01", "2026-10-31", Some(1))],
                "ended twice",
            ),
            (
                vec![("2025-01-01", 'W'), ("2026-11-16", 'X'), ("2026-11-16", 'W')],
                vec![
                    period("2025-01-01", "2026-11-16", Some(1)),
                    period("2026-11-16", "-", None),
                ],
                "taken on, on the day of the end",
            ),
            (
                vec![
                    ("2025-01-01", 'W'),
                    ("2026-11-16", 'W'),
                    ("2026-11-16", 'X'),
                    ("2027-01-31", 'X'),
                ],
                vec![
                    period("2025-01-01", "2026-11-16", Some(2)),
                    period("2026-11-16", "2027-01-31", Some(3)),
                ],
                "and ends later",
            ),
            (
                vec![("2018-01-01", 'W'), ("2020-06-30", 'X'), ("2021-02-01", 'W')],
                vec![
                    period("2018-01-01", "2020-06-30", Some(1)),
                    period("2021-02-01", "-", None),
                ],
                "came back",
            ),
            (
                vec![
                    ("2018-01-01", 'W'),
                    ("2020-06-30", 'X'),
                    ("2020-12-31", 'X'),
                    ("2020-12-31", 'W'),
                ],
                vec![
                    period("2018-01-01", "2020-06-30", Some(1)),
                    period("2020-12-31", "-", None),
                ],
                "came back on the day of a second end",
            ),
            (
                vec![("2026-11-16", 'W'), ("2026-11-16", 'X')],
                vec![period("2026-11-16", "2026-11-16", Some(1))],
                "never came",
            ),
            (
                vec![("2026-11-16", 'X')],
                vec![period("-", "2026-11-16", Some(0))],
                "only the end is known",
            ),
            (
                vec![("2026-11-16", 'X'), ("2026-12-01", 'W')],
                vec![
                    period("-", "2026-11-16", Some(0)),
                    period("2026-12-01", "-", None),
                ],
                "only the end is known, and comes back",
            ),
        ] {
            assert_eq!(read(&rows), expected, "{why}");
        }
    }
}
