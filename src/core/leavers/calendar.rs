//! Records laid over the calendar: when each begins and ends, and which follow each other without a gap.

use jiff::civil::Date;

use super::{Reading, Rules, undated::is_undated};
use crate::core::people::{Worker, WorkerStatus, written::plausible};

/// One record on the calendar.
pub(super) struct Span<'r> {
    pub reading: &'r Reading,
    /// None: since ever.
    pub starts: Option<Date>,
    /// None: no end.
    pub ends: Option<Date>,
    /// It has ended, and the end is when that was first seen.
    pub undated: bool,
}

pub(super) fn span<'r>(reading: &'r Reading, rules: &Rules) -> Result<Span<'r>, String> {
    let worker = &reading.worker;
    for (field, text) in [
        ("notice", &worker.notice),
        ("lastDay", &worker.last_day),
        ("employmentEnds", &worker.employment_ends),
        ("paidThrough", &worker.paid_through),
        ("starts", &worker.starts),
    ] {
        let Some(text) = text else { continue };
        let day = text.parse::<Date>().ok().filter(|_| text.len() == 10);
        let day = day.ok_or_else(|| format!("{field}: not a date YYYY-MM-DD"))?;
        plausible(day, rules.today).map_err(|why| format!("{field}: {why}"))?;
    }
    let starts: Option<Date> = worker.starts.as_deref().and_then(|text| text.parse().ok());
    let undated = is_undated(worker);
    let ends = match end_of(worker) {
        Some(end) => Some(end),
        None if worker.immediate => Some(rules.today),
        None if undated => {
            let since = rules.first_seen.since(worker);
            Some(since.ok_or("lastDay: has left, and too many people have without a day: map one")?)
        }
        None => None,
    };
    if let Some(what) = contradiction(worker, rules.today) {
        return Err(what);
    }
    let never_came = starts.zip(ends).filter(|(starts, ends)| ends < starts);
    if never_came.is_some_and(|(starts, ends)| worker.status != WorkerStatus::Terminated || far(ends, starts))
    {
        return Err("lastDay: lies before the first day".into());
    }
    let never_came = never_came.is_some();
    Ok(Span {
        reading,
        starts: if never_came { ends } else { starts },
        ends,
        undated,
    })
}

/// Days of one record that cannot be meant together: a year that was mistyped ends access years early, or never.
fn contradiction(worker: &Worker, today: Date) -> Option<String> {
    let day = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<Date>().ok());
    let days = [
        ("lastDay", day(&worker.last_day)),
        ("employmentEnds", day(&worker.employment_ends)),
        ("paidThrough", day(&worker.paid_through)),
        ("notice", day(&worker.notice)),
    ];
    let mut known = days.into_iter().filter_map(|(field, day)| Some((field, day?)));
    let (first, end) = known.next()?;
    if let Some((field, _)) = known.find(|(_, day)| far(end, *day)) {
        return Some(format!("{field}: more than two years from {first}"));
    }
    let over = worker.status == WorkerStatus::Terminated;
    (over && end > today && far(today, end))
        .then(|| format!("{first}: more than two years ahead, and the status says that work has ended"))
}

/// More than two years apart.
pub(super) fn far(a: Date, b: Date) -> bool {
    const TWO_YEARS: i64 = 731;
    days_between(a, b).abs() > TWO_YEARS
}

/// The records that follow each other without a gap around today, or the last that did; and whether there were others before.
pub(super) fn current_chain<'s, 'r>(spans: &'s [Span<'r>], rules: &Rules) -> (Vec<&'s Span<'r>>, bool) {
    let mut sorted: Vec<&Span<'_>> = spans.iter().collect();
    sorted.sort_by_key(|s| s.starts);
    let mut chains: Vec<(Vec<&Span<'_>>, Option<Date>)> = vec![];
    for span in sorted {
        if let Some((chain, end)) = chains.last_mut()
            && follows(*end, span.starts, rules.bridge_days)
        {
            chain.push(span);
            *end = end.zip(span.ends).map(|(a, b)| a.max(b));
        } else {
            chains.push((vec![span], span.ends));
        }
    }
    let begun =
        |(chain, _): &(Vec<&Span<'_>>, _)| chain.iter().any(|s| s.starts.is_none_or(|d| d <= rules.today));
    let at = chains.iter().rposition(begun).unwrap_or(0);
    let chain = chains
        .into_iter()
        .nth(at)
        .map(|(chain, _)| chain)
        .unwrap_or_default();
    (chain, at > 0)
}

/// Whether something that starts then goes on with what ends then.
fn follows(end: Option<Date>, starts: Option<Date>, bridge_days: i64) -> bool {
    match (end, starts) {
        (None, _) | (_, None) => true,
        (Some(end), Some(starts)) => days_between(end, starts) <= bridge_days.saturating_add(1),
    }
}

pub(super) fn days_between(from: Date, to: Date) -> i64 {
    i64::from(from.until(to).map_or(i32::MAX, |span| span.get_days()))
}

/// The day on which a record ends: the last day of work, else that of the contract.
pub(super) fn end_of(worker: &Worker) -> Option<Date> {
    let text = worker.last_day.as_ref().or(worker.employment_ends.as_ref())?;
    text.parse().ok()
}
