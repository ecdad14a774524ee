//! Who of all people in an HR system leaves, and when: from worker records to one decision for each person.
//!
//! Knows dates, not instants: when on the last day access ends is the business of [`super::schedule`]. What is to be
//! written because of a decision is in [`compare`].
//!
//! # Why
//! A person may have several records, at the same time or one after another. Whoever looks at one record alone makes a leaver
//! of a contractor who was taken on, of somebody who was transferred, of a contract that was renewed. Records are therefore
//! laid over the calendar, and a person leaves only where nothing of theirs goes on.
//!
//! A contradiction is never decided here. Two records that end together under different addresses, or one number that two
//! persons claim, make those persons unusable: nothing is written about them until somebody put the HR system right.

mod addresses;
mod calendar;
pub mod compare;
pub mod undated;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};

pub use self::addresses::{forget_other_addresses, give_other_addresses};
use self::{
    calendar::{Span, current_chain, days_between, end_of, far, span},
    undated::FirstSeen,
};
use super::{
    identity::is_invisible,
    people::{Worker, WorkerStatus},
};

/// One record as it was read and mapped.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// The record.
    pub worker: Box<Worker>,
    /// The user's own condition holds for it: its end makes a leaver.
    pub wanted: bool,
    /// Why it cannot be used; never a value.
    pub unusable: Option<String>,
    /// The number of what it was told by, from 1.
    pub number: usize,
}

impl Reading {
    /// A record whose end makes a leaver.
    pub fn wanted(worker: impl Into<Box<Worker>>) -> Self {
        Self {
            worker: worker.into(),
            wanted: true,
            unusable: None,
            number: 0,
        }
    }
}

/// What the user wants.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The day on which this is judged.
    pub today: Date,
    /// Later last days are not taken over yet.
    pub ahead_until: Date,
    /// Earlier last days are history.
    pub history_before: Date,
    /// A gap of so many days between two contracts is none.
    pub bridge_days: i64,
    /// Somebody on leave is a leaver until they are back.
    pub leave_is_leaving: bool,
    /// Addresses and employee numbers, in lower case, of people who are never leavers.
    pub protected: BTreeSet<String>,
    /// Since when records say that somebody has left, where they do not say when.
    pub first_seen: FirstSeen,
}

impl Rules {
    /// The rules at `now`, with nothing protected, no bridge, and nobody who left without a day.
    ///
    /// # Why
    /// The days are those of UTC: they only decide what is looked at this early or this late, never when access ends.
    pub fn at(now: Timestamp, look_ahead: SignedDuration, look_back: SignedDuration) -> Self {
        let day = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
        let later = now.checked_add(look_ahead).unwrap_or(Timestamp::MAX);
        let earlier = now.checked_sub(look_back).unwrap_or(Timestamp::MIN);
        Self {
            today: day(now),
            ahead_until: day(later),
            history_before: day(earlier),
            bridge_days: 0,
            leave_is_leaving: false,
            protected: BTreeSet::new(),
            first_seen: FirstSeen::default(),
        }
    }
}

/// What is to be made of one person.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Leaves, or has left.
    Leaving(Box<Leaving>),
    /// Works here on, or is none of our business.
    Staying(Staying),
    /// The records cannot be understood, or contradict each other. The text names no value.
    Unusable(String),
}

/// Somebody who leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaving {
    /// The HR system's id of the person.
    pub person: String,
    /// The record that ends last. Its address and number are sound; its reason is one word or none.
    pub worker: Worker,
    /// The last day; of whom is only known to have left, when that was first seen. None only with `immediate`.
    pub last_day: Option<String>,
    /// Access ends now.
    pub immediate: bool,
    /// Has left, and the last day is when that was first seen.
    pub undated: bool,
    /// Whether it is time to take this over.
    pub horizon: Horizon,
    /// What an Offboarding of theirs says beside who leaves and when: [`compare::Known::details`].
    pub details: BTreeMap<String, String>,
}

/// Whether it is time to take a leaver over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Horizon {
    /// It is.
    Within,
    /// Not yet.
    Ahead,
    /// It is history: so long past that it is no late entry.
    History,
}

/// Why somebody is not a leaver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Staying {
    /// No record has an end.
    NoEnd,
    /// A record ends, another of the same kind goes on.
    Transferred,
    /// A record ends, one of another kind goes on: a contractor was taken on.
    Converted,
    /// A new contract begins soon enough after the old one.
    RehireBridge,
    /// Had left, and works here again.
    Rehired,
    /// On leave, which ends no access.
    OnLeave,
    /// The user's own condition leaves them out.
    LeftOut,
    /// Listed as never to be taken over.
    Protected,
}

impl Staying {
    /// Whether a record of such a person has an end all the same, or looks like one.
    pub fn despite_an_end(self) -> bool {
        self != Self::NoEnd
    }
}

/// The decisions about all persons in `readings`, by person; and how many records name no person.
pub fn judge(readings: &[Reading], rules: &Rules) -> (BTreeMap<String, Decision>, usize) {
    let mut persons = BTreeMap::<&str, Vec<&Reading>>::new();
    let mut nameless = 0;
    for reading in readings {
        match reading.worker.person.trim() {
            "" => nameless += 1,
            person => persons.entry(person).or_default().push(reading),
        }
    }
    let contested = contested(&persons, rules);
    let decisions = persons.into_iter().map(|(person, readings)| {
        let decision = match contested.get(person) {
            Some(what) => Decision::Unusable((*what).to_owned()),
            None => decide(person, &readings, rules).unwrap_or_else(Decision::Unusable),
        };
        (person.to_owned(), decision)
    });
    (decisions.collect(), nameless)
}

/// Persons who claim an address or a number that somebody else claims too. History claims nothing: numbers and addresses are
/// given to others later.
fn contested<'r>(
    persons: &BTreeMap<&'r str, Vec<&Reading>>,
    rules: &Rules,
) -> BTreeMap<&'r str, &'static str> {
    let mut claims = BTreeMap::<(&str, String), &str>::new();
    let mut several = BTreeSet::new();
    for (person, readings) in persons {
        let end = |r: &Reading| end_of(&r.worker).or_else(|| rules.first_seen.since(&r.worker));
        let current = |r: &&&Reading| end(r).is_none_or(|end| end >= rules.history_before);
        for Reading { worker, .. } in readings.iter().filter(current) {
            for (what, claimed) in [("e-mail", email_of(worker)), ("number", number_of(worker))] {
                if let Some(claimed) = claimed {
                    let claim = (what, claimed.to_lowercase());
                    let first = *claims.entry(claim).or_insert(person);
                    if first != *person {
                        several.extend([(what, first), (what, *person)]);
                    }
                }
            }
        }
    }
    let text = |what: &str| match what {
        "number" => "employeeID: another person has the same employee number",
        _ => "email: another person has the same address",
    };
    several
        .into_iter()
        .map(|(what, person)| (person, text(what)))
        .collect()
}

fn decide(person: &str, readings: &[&Reading], rules: &Rules) -> Result<Decision, String> {
    if let Some(what) = readings.iter().find_map(|r| r.unusable.clone()) {
        return Err(what);
    }
    if readings.iter().any(|r| protected(&r.worker, rules)) {
        return Ok(Decision::Staying(Staying::Protected));
    }
    let spans = readings
        .iter()
        .map(|r| span(r, rules))
        .collect::<Result<Vec<_>, _>>()?;
    let now: Vec<&Span<'_>> = spans.iter().filter(|s| s.reading.worker.immediate).collect();
    if !now.is_empty() {
        let goes_on = |s: &&Span<'_>| !s.reading.worker.immediate && s.ends.is_none_or(|e| e > rules.today);
        if spans.iter().any(|s| goes_on(&s)) {
            return Err("immediate: one record wants access to end now, another goes on".into());
        }
        return leaving(person, &now, rules);
    }
    let (chain, earlier) = current_chain(&spans, rules);
    match chain
        .iter()
        .map(|s| s.ends)
        .max_by_key(|end| end.unwrap_or(Date::MAX))
    {
        None | Some(None) => going_on(person, &chain, earlier, rules),
        Some(Some(end)) => {
            let last: Vec<&Span<'_>> = chain.iter().copied().filter(|s| s.ends == Some(end)).collect();
            leaving(person, &last, rules)
        }
    }
}

fn protected(worker: &Worker, rules: &Rules) -> bool {
    let known = [email_of(worker), number_of(worker)];
    known
        .into_iter()
        .flatten()
        .any(|key| rules.protected.contains(&key.to_lowercase()))
}

/// Nothing of this person ends for good: why not, if a record does.
fn going_on(person: &str, chain: &[&Span<'_>], earlier: bool, rules: &Rules) -> Result<Decision, String> {
    let on: Vec<&Span<'_>> = chain.iter().copied().filter(|s| s.ends.is_none()).collect();
    let away = !on.is_empty() && on.iter().all(|s| s.reading.worker.status == WorkerStatus::Leave);
    if away && rules.leave_is_leaving {
        let Decision::Leaving(mut leaving) = leaving(person, &on, rules)? else {
            return Ok(Decision::Staying(Staying::LeftOut));
        };
        leaving.worker.reason = Some("Leave".into());
        leaving.immediate = true;
        return Ok(Decision::Leaving(leaving));
    }
    let last_end = chain
        .iter()
        .filter_map(|s| s.ends.map(|end| (end, s)))
        .max_by_key(|(end, _)| *end);
    let why = match last_end {
        _ if away => Staying::OnLeave,
        None if earlier => Staying::Rehired,
        None => Staying::NoEnd,
        Some((end, ended)) => {
            let gap = |s: &Span<'_>| s.starts.map_or(0, |starts| days_between(end, starts));
            let same_kind = on
                .iter()
                .any(|s| s.reading.worker.kind == ended.reading.worker.kind);
            match on.iter().map(|s| gap(s)).min() {
                Some(gap) if gap > 1 => Staying::RehireBridge,
                _ if same_kind => Staying::Transferred,
                _ => Staying::Converted,
            }
        }
    };
    Ok(Decision::Staying(why))
}

/// A leaver by the records that end last.
fn leaving(person: &str, last: &[&Span<'_>], rules: &Rules) -> Result<Decision, String> {
    if !last.iter().any(|s| s.reading.wanted) {
        return Ok(Decision::Staying(Staying::LeftOut));
    }
    let workers = || last.iter().map(|s| &*s.reading.worker);
    let email = agreed(workers().map(email_of), true)
        .map_err(|()| "email: records that end together have different addresses")?;
    let number = agreed(workers().map(number_of), false)
        .map_err(|()| "employeeID: records that end together have different employee numbers")?;
    if email.as_deref().is_some_and(|email| !is_address(email)) {
        return Err("email: not an address".into());
    }
    if number
        .as_deref()
        .is_some_and(|number| number.chars().count() > 64)
    {
        return Err("employeeID: longer than 64 characters".into());
    }
    if email.is_none() && number.is_none() {
        return Err("employeeID: neither a number nor an address: map one".into());
    }
    let deciding = last
        .iter()
        .find(|s| number.is_none() || number_of(&s.reading.worker).is_some());
    let mut worker = deciding.map(|s| (*s.reading.worker).clone()).unwrap_or_default();
    worker.email = email;
    worker.employee_id = number;
    worker.reason = worker.reason.as_deref().and_then(one_word);
    // Whoever has left has no last day that is still to be worked.
    let undated = last.iter().all(|s| s.undated);
    let end = match deciding {
        Some(deciding) if undated => deciding.ends,
        _ => end_of(&worker),
    };
    let goes_on = |s: &&Span<'_>| {
        matches!(
            s.reading.worker.status,
            WorkerStatus::Active | WorkerStatus::Leave
        )
    };
    if end.is_some_and(|end| end < rules.today && far(end, rules.today)) && last.iter().all(goes_on) {
        return Err("lastDay: more than two years past, and the status says that work goes on".into());
    }
    let horizon = match end {
        _ if worker.immediate => Horizon::Within,
        Some(end) if end > rules.ahead_until => Horizon::Ahead,
        Some(end) if end < rules.history_before => Horizon::History,
        _ => Horizon::Within,
    };
    Ok(Decision::Leaving(Box::new(Leaving {
        person: person.to_owned(),
        last_day: end.map(|end| end.to_string()),
        immediate: worker.immediate || undated,
        undated,
        horizon,
        details: BTreeMap::new(),
        worker,
    })))
}

/// The one value that all who have one have.
fn agreed<'w>(values: impl Iterator<Item = Option<&'w str>>, any_case: bool) -> Result<Option<String>, ()> {
    let mut agreed: Option<&str> = None;
    for value in values.flatten() {
        match agreed {
            None => agreed = Some(value),
            Some(same) if same == value || any_case && same.eq_ignore_ascii_case(value) => {}
            Some(_) => return Err(()),
        }
    }
    Ok(agreed.map(str::to_owned))
}

fn filled(text: Option<&String>) -> Option<&str> {
    text.map(|text| text.trim()).filter(|text| !text.is_empty())
}

fn email_of(worker: &Worker) -> Option<&str> {
    filled(worker.email.as_ref())
}

fn number_of(worker: &Worker) -> Option<&str> {
    filled(worker.employee_id.as_ref())
}

/// Whether it is an address by itself: none with a name, a scheme or a second one around it (RFC 5322, 3.2.3).
pub fn is_address(text: &str) -> bool {
    let special = |c: char| "@()<>[]:;,\\\"".contains(c);
    let strange = |c: char| special(c) || c.is_whitespace() || is_invisible(c);
    let sound = |part: &str| !part.is_empty() && !part.contains(strange);
    let halves = text.split_once('@');
    text.len() <= 254 && halves.is_some_and(|(name, domain)| sound(name) && sound(domain))
}

/// `end of contract` as `EndOfContract`: a reason as policies know it; none when it is more than letters.
fn one_word(text: &str) -> Option<String> {
    let mut word = String::new();
    for part in text.split(|c: char| c.is_whitespace() || matches!(c, '-' | '_' | '/')) {
        let mut letters = part.chars();
        word.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        word.push_str(letters.as_str());
    }
    let sound = !word.is_empty() && word.len() <= 64 && word.chars().all(|c| c.is_ascii_alphabetic());
    sound.then_some(word)
}

#[cfg(test)]
mod tests;
