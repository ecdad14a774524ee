//! The lines of a plan: what a look at a system means for each of its facts.

use jiff::{SignedDuration, Timestamp};

use super::{Line, Mark, words_of};
use crate::{
    core::{
        case::{Case, System, Wanted},
        duplicate::Hold,
        fact::{Class, Exempt, FactSpec, FactState, Sight, Truth, Verdict},
        fault::Reason,
    },
    drive::Row,
};

/// A plan while it is made.
#[derive(Default)]
pub(super) struct Making {
    pub lines: Vec<Line>,
    /// Rows of systems that do not know the person.
    pub no_account: Vec<String>,
    /// What the digest is of.
    pub requests: Vec<String>,
    /// Security facts that were seen false.
    pub open: usize,
    /// Facts that only a person can move.
    pub asks: usize,
}

impl Making {
    pub fn add_row(&mut self, case: &Case, row: &Row, system: &System, now: Timestamp) {
        let alone = |mark: Mark, text: String| line(row, "", mark, text, String::new(), 0);
        if let Some(text) = &row.trouble {
            return self
                .lines
                .push(alone(Mark::Unknown, format!("not looked at: {text}")));
        }
        let nobody = |state: &FactState| state.verdict == Verdict::NotNeeded(Exempt::NoAccount);
        if row.facts.iter().any(nobody) {
            return self.no_account.push(row.name.clone());
        }
        if let Some(fault) = unseen(row) {
            return self
                .lines
                .push(alone(Mark::Unknown, format!("not looked at: {fault}")));
        }
        if row.account.is_none() {
            let text = if case.reinstate {
                "nothing was taken here"
            } else {
                "nothing is wanted here"
            };
            return self.lines.push(alone(Mark::Keep, text.to_owned()));
        }
        if system.observe_only {
            let text = "mode: Observe: looked at, nothing is sent";
            self.lines.push(alone(Mark::Follow, text.to_owned()));
        }
        // What is given back is given at once.
        let back = Wanted::At(now);
        for seen in &row.facts {
            let FactState {
                spec: fact,
                verdict,
                sight,
            } = seen;
            let wanted = if case.reinstate {
                Some(&back)
            } else {
                system.wanted.get(&fact.name)
            };
            let Some(mut line) = fact_line(case, now, row, seen, wanted) else {
                continue;
            };
            let open = matches!(line.mark, Mark::Revoke | Mark::Person | Mark::Refused);
            self.open += usize::from(open && fact.class.security());
            if system.observe_only && line.mark.changes() {
                (line.mark, line.requests) = (Mark::Person, 0);
            } else if let Some(act) = sight.as_ref().and_then(|s| s.act.as_ref()) {
                let parts = [&row.name, line.account.as_ref().unwrap_or(&row.name), &fact.name];
                self.requests.extend(parts.map(Clone::clone));
                self.requests.extend(act.requests.iter().map(ToString::to_string));
            }
            let asks = matches!(line.mark, Mark::Person | Mark::Refused) && !verdict.settled();
            self.asks += usize::from(asks);
            self.lines.push(line);
        }
    }
}

/// Why nothing at all is known about a row: the system could not be looked at, or no fact of it could be read.
fn unseen(row: &Row) -> Option<String> {
    // Before its time a fact says nothing of this.
    if let Some(fault) = &row.blocked {
        return Some(fault.to_string());
    }
    let faults = row.facts.iter().map(|state| match &state.verdict {
        Verdict::Unknown(fault) => Some(fault.to_string()),
        _ => None,
    });
    if row.facts.is_empty() {
        return None;
    }
    let faults: Option<Vec<String>> = faults.collect();
    let mut faults = faults?;
    faults.dedup();
    let [fault] = faults.as_slice() else { return None };
    Some(fault.clone())
}

fn line(row: &Row, fact: &str, mark: Mark, text: String, when: String, requests: usize) -> Line {
    let (account, login) = row.account.clone().unzip();
    Line {
        system: row.name.clone(),
        account,
        login,
        fact: fact.to_owned(),
        mark,
        text,
        when,
        requests,
    }
}

fn fact_line(
    case: &Case,
    now: Timestamp,
    row: &Row,
    seen: &FactState,
    wanted: Option<&Wanted>,
) -> Option<Line> {
    let FactState {
        spec: fact,
        verdict,
        sight,
    } = seen;
    if let (Verdict::Unknown(fault), None) = (verdict, sight) {
        // Nothing can look at it any more, or somebody has to say whose it is.
        let mark = match fault.reason {
            Reason::Ambiguous => Mark::Person,
            _ => Mark::Unknown,
        };
        let text = format!("{}: {fault}", words_of(&fact.name));
        return Some(line(row, &fact.name, mark, text, String::new(), 0));
    }
    let wanted = wanted.filter(|wanted| **wanted != Wanted::Not)?;
    match (verdict, sight) {
        (Verdict::NotNeeded(Exempt::Over), _) => None,
        (Verdict::NotNeeded(Exempt::Waived), _) => {
            let text = "kept: an exception".to_owned();
            Some(line(row, &fact.name, Mark::Keep, text, String::new(), 0))
        }
        // It would be sent again for ever otherwise: no look shows it.
        (Verdict::Asserted, _) => {
            let text = format!("{}: asserted, no look shows it", words_of(&fact.name));
            Some(line(row, &fact.name, Mark::Keep, text, String::new(), 0))
        }
        (_, None) if case.reinstate => unseen_line(row, fact, verdict),
        (_, None) => None,
        (_, Some(sight)) => {
            let (mark, text) = meaning(case.reinstate, row, fact, sight)?;
            let when = match (mark, &sight.truth) {
                (Mark::Follow, Truth::HoldsFrom(from)) => from.strftime("%Y-%m-%d %H:%M UTC").to_string(),
                (Mark::Keep, _) => String::new(),
                _ => when(case, now, *wanted, verdict),
            };
            let requests = if mark.changes() { sight.count } else { 0 };
            Some(line(row, &fact.name, mark, text, when, requests))
        }
    }
}

/// What is seen of a fact, as its line says it.
fn meaning(reinstate: bool, row: &Row, fact: &FactSpec, sight: &Sight) -> Option<(Mark, String)> {
    let words = words_of(&fact.name);
    let changing = match fact.class {
        _ if reinstate => Mark::GiveBack,
        Class::Deletion => Mark::Delete,
        class if class.hands_over() => Mark::HandOver,
        _ => Mark::Revoke,
    };
    Some(match &sight.truth {
        Truth::NotApplicable => return None,
        Truth::Holds => (Mark::Keep, format!("{words} already")),
        // What is missing is not the look.
        Truth::Unreadable(fault) if fault.reason == Reason::NoSuccessor => {
            (Mark::Refused, format!("{words}: {fault}"))
        }
        Truth::Unreadable(fault) => (Mark::Unknown, format!("{words}: {fault}")),
        Truth::NotRead => (Mark::Unknown, format!("{words}: not read")),
        Truth::HoldsFrom(from) if *from == Timestamp::MAX => {
            (Mark::Person, format!("{words}: never by itself"))
        }
        Truth::HoldsFrom(_) => (Mark::Follow, format!("{words} by itself (exposure)")),
        Truth::Running => (changing, format!("{words}: asked for, still at work")),
        Truth::DoesNotHold => match (&sight.act, &sight.refused) {
            (Some(_), _) => {
                let what = if sight.says.is_empty() {
                    words
                } else {
                    sight.says.clone()
                };
                match task_before(row, fact) {
                    Some(task) => (
                        Mark::Refused,
                        format!("{what}, but not before a person has done: {task}"),
                    ),
                    None => (changing, what),
                }
            }
            (None, Some(fault)) => (Mark::Refused, format!("{words}: {fault}")),
            (None, None) => match before(row, fact) {
                others if others.is_empty() => (Mark::Person, sight.says.clone()),
                others => (Mark::Follow, format!("{words}, once {}", others.join(" and "))),
            },
        },
    })
}

/// The line of what needs no look to be known, of a leaver who is none any more.
fn unseen_line(row: &Row, fact: &FactSpec, verdict: &Verdict) -> Option<Line> {
    let words = words_of(&fact.name);
    let (mark, text) = match verdict {
        Verdict::Verified => (Mark::Keep, format!("{words} already")),
        Verdict::NotNeeded(Exempt::NotRestorable) => (Mark::Person, format!("{words}: cannot be given back")),
        Verdict::NotNeeded(Exempt::GoneMeanwhile(gone)) => (
            Mark::Person,
            format!("{words}, but for {gone} that are gone or changed by somebody else since"),
        ),
        _ => return None,
    };
    Some(line(row, &fact.name, mark, text, String::new(), 0))
}

/// What a person must do before this fact may be changed.
fn task_before(row: &Row, fact: &FactSpec) -> Option<String> {
    let mut others = row
        .facts
        .iter()
        .filter(|state| fact.requires.contains(&state.spec.name));
    others.find_map(|state| Some(state.sight.as_ref()?.task.as_ref()?.title.clone()))
}

/// What this fact comes after and is about to be changed, in words.
fn before(row: &Row, fact: &FactSpec) -> Vec<String> {
    let acts = |name: &&String| {
        let other = row.facts.iter().find(|state| state.spec.name == **name);
        other.is_some_and(|state| state.sight.as_ref().is_some_and(|sight| sight.act.is_some()))
    };
    let others = fact.requires.iter().chain(&fact.after).chain(&fact.prefers_after);
    others.filter(acts).map(|name| words_of(name)).collect()
}

fn when(case: &Case, now: Timestamp, wanted: Wanted, verdict: &Verdict) -> String {
    let wanted = match (wanted, case.hold) {
        // Nothing is done before a person has decided, or the later of two dates has come.
        (Wanted::At(at), Some(Hold::Until(until))) if now < until => Wanted::At(at.max(until)),
        (wanted, _) => wanted,
    };
    let at = match (wanted, verdict) {
        (Wanted::Not, _) => return String::new(),
        (Wanted::At(at) | Wanted::Between(at, _), _) => at,
        // When that is depends on when everything is handed over.
        (Wanted::Kept(_, keep), Verdict::NotDue(at)) if *at == Timestamp::MAX => {
            return after_hand_over(keep);
        }
        (Wanted::Kept(..), Verdict::NotDue(at)) => *at,
        (Wanted::Kept(..), _) => now,
    };
    match () {
        () if at == Timestamp::MIN => "now, armed ahead".to_owned(),
        () if at <= now => "now".to_owned(),
        () if at <= case.cutoff => "at the cutoff".to_owned(),
        () => at.strftime("%Y-%m-%d").to_string(),
    }
}

/// `30 d after everything is handed over`.
fn after_hand_over(keep: SignedDuration) -> String {
    let hours = keep.as_hours();
    let length = match () {
        () if keep.is_zero() => return "once everything is handed over".to_owned(),
        () if hours >= 24 && hours % 24 == 0 => format!("{} d", hours / 24),
        () if hours >= 24 => format!("{} d {} h", hours / 24, hours % 24),
        () if hours > 0 => format!("{hours} h"),
        () => format!("{} min", keep.as_mins().max(1)),
    };
    format!("{length} after everything is handed over")
}
