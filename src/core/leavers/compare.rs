//! What is to be written because of the decisions: compared with the Offboardings that are there.
//!
//! # Why
//! An Offboarding that somebody else made, or has made theirs, is never changed: one person is one object, and Git wins.
//! Nobody is missed by being absent: a feed that does not name a person says nothing about them (R2).

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde_json::json;

mod known;
mod name;
mod questions;

pub(crate) use self::name::{hash, hex};
use self::questions::Question;
pub use self::{
    known::{Keys, Known},
    name::name_of,
};
use super::{Decision, Horizon, Leaving, Staying};

/// What the user wants of changes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wishes {
    /// A person is asked when the last day moves.
    pub ask_when_moved: bool,
    /// What was done is taken back when the end is.
    pub reinstate_when_withdrawn: bool,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A new Offboarding.
    Create,
    /// Another last day, or now.
    Move,
    /// Leaves after all, after the end had been taken back.
    Renew,
    /// Other details than the day.
    Correct,
    /// Nothing more is done until a person decides.
    Suspend,
    /// What was removed is wanted back.
    Reinstate,
}

/// One change of one Offboarding.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What is written.
    pub kind: Kind,
    /// The Offboarding.
    pub name: String,
    /// The HR system's id of the person.
    pub person: String,
    /// What it is to say; none when the end is taken back.
    pub leaving: Option<Box<Leaving>>,
}

impl Change {
    /// Exactly this change as one text: a set of changes is bound by it.
    pub fn line(&self) -> String {
        let last_day = self.leaving.as_ref().and_then(|l| l.last_day.as_deref());
        line(self.kind, &self.person, &self.name, last_day, self.urgent())
    }

    /// Whether it makes an Offboarding whose last day is not over.
    pub fn ahead(&self, today: Date) -> bool {
        let leaving = self
            .leaving
            .as_ref()
            .filter(|l| self.kind == Kind::Create && !l.immediate);
        leaving.is_some_and(|leaving| is_ahead(leaving, today))
    }

    /// Whether access ends now by it.
    pub fn urgent(&self) -> bool {
        self.leaving.as_ref().is_some_and(|l| l.immediate)
    }
}

/// What binds a change ([`Change::line`]), by its parts.
pub fn line(kind: Kind, person: &str, name: &str, last_day: Option<&str>, immediate: bool) -> String {
    json!([format!("{kind:?}"), person, name, last_day, immediate]).to_string()
}

/// A person is asked about one Offboarding, or about one that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ask {
    /// The Offboarding.
    pub name: String,
    /// Whether this source may write to it.
    pub ours: bool,
    /// What the matter is: no name, no address.
    pub why: String,
    /// Nothing is done until there is an answer; by this the question is known again.
    pub holds: Option<String>,
}

/// What came of a comparison.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Compared {
    /// What is to be written, if the guard lets it.
    pub changes: Vec<Change>,
    /// What is put right about leavers who are there: no mass of it ends anybody's access.
    pub corrections: Vec<Change>,
    /// Offboardings about which there is no question any more.
    pub released: BTreeSet<String>,
    /// Where a person is asked.
    pub asks: Vec<Ask>,
    /// Leavers whose last day is not past, who are there.
    pub upcoming: u32,
}

impl Compared {
    /// The same when the feed is not believed: whether records still stand is not known from it.
    pub fn disbelieved(&mut self) {
        self.corrections.clear();
        self.released.clear();
        self.asks.retain(|ask| ask.holds.is_none());
    }
}

/// What the decisions ask for, beyond what is there; `staying` are known by their keys, whoever made an Offboarding of them.
pub fn compare(
    decisions: &BTreeMap<String, Decision>,
    staying: &[Keys],
    known: &[Known],
    wishes: Wishes,
    today: Date,
) -> Compared {
    let mut comparison = Comparison::new(known, wishes, today);
    for (person, decision) in decisions {
        match decision {
            Decision::Leaving(leaving) => comparison.leaving(leaving),
            Decision::Staying(why) => comparison.staying(person, *why),
            Decision::Unusable(what) => comparison.unusable(person, what),
        }
    }
    let works_on = |keys: &&Keys| match decisions.get(&keys.person) {
        Some(Decision::Staying(why)) => !matches!(why, Staying::LeftOut | Staying::Protected),
        _ => false,
    };
    for keys in staying.iter().filter(works_on) {
        comparison.elsewhere(keys);
    }
    comparison.compared
}

struct Comparison<'k> {
    by_person: BTreeMap<&'k str, Vec<&'k Known>>,
    by_number: BTreeMap<String, Vec<&'k Known>>,
    by_email: BTreeMap<String, Vec<&'k Known>>,
    names: BTreeSet<&'k str>,
    wishes: Wishes,
    today: Date,
    compared: Compared,
}

impl<'k> Comparison<'k> {
    fn new(known: &'k [Known], wishes: Wishes, today: Date) -> Self {
        let mut by_person = BTreeMap::<_, Vec<_>>::new();
        let mut by_number = BTreeMap::<_, Vec<_>>::new();
        let mut by_email = BTreeMap::<_, Vec<_>>::new();
        for one in known {
            if let Some(person) = &one.person {
                by_person.entry(person.as_str()).or_default().push(one);
            }
            if let Some(number) = &one.number {
                by_number.entry(number.to_lowercase()).or_default().push(one);
            }
            if let Some(email) = &one.email {
                by_email.entry(email.to_lowercase()).or_default().push(one);
            }
        }
        Self {
            by_person,
            by_number,
            by_email,
            names: known.iter().map(|one| one.name.as_str()).collect(),
            wishes,
            today,
            compared: Compared::default(),
        }
    }

    fn ask(&mut self, name: &str, ours: bool, why: impl Into<String>) {
        self.compared.asks.push(Ask {
            name: name.to_owned(),
            ours,
            why: why.into(),
            holds: None,
        });
    }

    /// Nothing is done about one of ours until a person answers; what was answered is not asked again. Says whether it is.
    fn hold(&mut self, one: &Known, question: Question) -> bool {
        let answered = one.held.as_ref() == Some(&question.key) && !one.suspended;
        if !answered && !self.compared.asks.iter().any(|ask| ask.name == one.name) {
            self.compared.asks.push(Ask {
                name: one.name.clone(),
                ours: true,
                why: question.why,
                holds: Some(question.key).filter(|_| !one.governed),
            });
        }
        !answered
    }

    fn release(&mut self, one: &Known) {
        if one.held.is_some() {
            self.compared.released.insert(one.name.clone());
        }
    }

    fn change(&mut self, kind: Kind, name: &str, person: &str, leaving: Option<&Leaving>) {
        let change = Change {
            kind,
            name: name.to_owned(),
            person: person.to_owned(),
            leaving: leaving.map(|l| Box::new(l.clone())),
        };
        match kind {
            Kind::Correct => self.compared.corrections.push(change),
            _ => self.compared.changes.push(change),
        }
    }

    /// The Offboardings of this person.
    ///
    /// # Errors
    /// One of the same address that is somebody else's by its number.
    fn of(&self, leaving: &Leaving) -> Result<Vec<&'k Known>, &'k Known> {
        let key = |text: &Option<String>| text.as_ref().map(|t| t.to_lowercase());
        let (number, email) = (key(&leaving.worker.employee_id), key(&leaving.worker.email));
        let other = |one: &Known| key(&one.number).zip(number.clone()).is_some_and(|(a, b)| a != b);
        // Of another contract, under another number, unless that one is still to end.
        let own = self.by_person.get(leaving.person.as_str()).into_iter().flatten();
        let earlier = |one: &&Known| other(one) && (one.over || one.taken_back || one.reinstated);
        let mut found: Vec<&Known> = own.copied().filter(|one| !earlier(one)).collect();
        let numbered = number
            .as_ref()
            .and_then(|n| self.by_number.get(n))
            .into_iter()
            .flatten();
        found.extend(numbered.copied());
        for one in email.and_then(|e| self.by_email.get(&e)).into_iter().flatten() {
            let earlier = one.person.as_deref() == Some(leaving.person.as_str());
            match other(one) {
                true if earlier => {}
                true => return Err(one),
                false => found.push(one),
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found.dedup_by(|a, b| a.name == b.name);
        Ok(found)
    }

    fn leaving(&mut self, leaving: &Leaving) {
        let found = match self.of(leaving) {
            Ok(found) => found,
            Err(other) => {
                let why = "the source has somebody of the same address with another employee number";
                return self.ask(&other.name, false, why);
            }
        };
        let name = name_of(leaving);
        match found.as_slice() {
            [] if leaving.horizon != Horizon::Within => {}
            [] if self.names.contains(name.as_str()) => {
                self.ask(
                    &name,
                    false,
                    "the source has a leaver of this name who is somebody else",
                );
            }
            [] => self.change(Kind::Create, &name, &leaving.person, Some(leaving)),
            [one] if one.person.as_deref() == Some(leaving.person.as_str()) => self.ours(one, leaving),
            [one] => self.theirs(one, leaving),
            [first, ..] => match found.iter().find(|one| one.person.is_none()) {
                Some(one) => self.theirs(one, leaving),
                None => self.ask(
                    &first.name,
                    false,
                    "several Offboardings are about the same person",
                ),
            },
        }
    }

    /// Git, or somebody by hand, says what is wanted.
    fn theirs(&mut self, one: &Known, leaving: &Leaving) {
        self.upcoming(leaving);
        if !one.immediate && one.last_day != leaving.last_day {
            let day = leaving.last_day.as_deref().unwrap_or("now");
            if one.person.is_some() && one.acts() {
                self.hold(
                    one,
                    questions::other_id(&leaving.person, &format!("with last day {day}")),
                );
                return;
            }
            self.ask(&one.name, false, format!("the source says last day {day}"));
        }
    }

    fn upcoming(&mut self, leaving: &Leaving) {
        if !leaving.immediate && is_ahead(leaving, self.today) {
            self.compared.upcoming += 1;
        }
    }

    fn ours(&mut self, one: &Known, leaving: &Leaving) {
        let sooner = leaving.immediate && !one.immediate;
        let moved = leaving.last_day.is_some() && one.last_day != leaving.last_day;
        if one.taken_back || one.reinstated && (one.leave || moved) {
            if leaving.horizon == Horizon::Within {
                self.change(Kind::Renew, &one.name, &leaving.person, Some(leaving));
            }
            return;
        }
        if one.reinstated {
            return self.ask(
                &one.name,
                true,
                "reinstated by somebody, and the source still has the end",
            );
        }
        self.upcoming(leaving);
        match questions::who(one, leaving) {
            Some(question) if one.over => return self.ask(&one.name, true, question.why),
            Some(question) => {
                if self.hold(one, question) {
                    return;
                }
            }
            None => self.release(one),
        }
        // What is past is not moved about.
        if !sooner && (!moved || one.over && !is_ahead(leaving, self.today)) {
            if questions::gained_number(one, leaving) {
                self.ask(&one.name, true, questions::GAINED_NUMBER);
            }
            if !one.corrections(&leaving.details).is_empty() {
                self.change(Kind::Correct, &one.name, &leaving.person, Some(leaving));
            }
            return;
        }
        let day = leaving.last_day.clone().unwrap_or_default();
        if !sooner && one.over {
            let why = format!("the source moved the last day to {day} after access had ended: reinstate?");
            self.ask(&one.name, true, why);
        } else if !sooner && self.wishes.ask_when_moved {
            self.ask(&one.name, true, format!("the source moved the last day to {day}"));
        } else {
            self.change(Kind::Move, &one.name, &leaving.person, Some(leaving));
        }
    }

    fn staying(&mut self, person: &str, why: Staying) {
        for one in self.own(person) {
            if one.reinstated {
                continue;
            }
            match why {
                Staying::LeftOut | Staying::Protected => {
                    self.ask(&one.name, true, "the LeaverSource leaves this person out now");
                }
                Staying::OnLeave if one.leave => {
                    self.ask(&one.name, true, "leave ends no access any more: spec.onLeave");
                }
                // With the person, access comes back.
                _ if one.leave => self.change(Kind::Reinstate, &one.name, person, None),
                _ if one.taken_back => self.ask(&one.name, true, WITHDRAWN),
                // The account may be another one now: nothing is given back, and nothing taken away again.
                Staying::Rehired => self.change(Kind::Suspend, &one.name, person, None),
                _ if self.wishes.reinstate_when_withdrawn => {
                    self.change(Kind::Reinstate, &one.name, person, None);
                }
                _ if one.over => self.ask(&one.name, true, WITHDRAWN),
                _ => self.change(Kind::Suspend, &one.name, person, None),
            }
        }
    }
}

/// Whether the last day is not over yet.
fn is_ahead(leaving: &Leaving, today: Date) -> bool {
    let day = leaving
        .last_day
        .as_deref()
        .and_then(|day| day.parse::<Date>().ok());
    day.is_some_and(|day| day >= today)
}

const WITHDRAWN: &str = "the source took the end back: set desired: Reinstated, or suspend: false to go on";

#[cfg(test)]
mod tests;
