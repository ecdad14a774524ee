//! `offboard plan`: what would be done, without doing it.

#[cfg(test)]
mod tests;
mod text;

use std::{path::Path, process::ExitCode};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::json;

pub use self::text::distance;
use super::{
    approvals::Voices,
    exit,
    local::{self, Links, Local},
    manifests::Manifests,
    terminal::{out, tell},
};
use crate::{
    connectors::assemble::Assembly,
    core::{
        case::{Case, Wanted},
        digest::digest_of,
        fact::{Class, Exempt, FactSpec, Sight, Truth, Verdict},
    },
    drive::{Clock, Outcome, Row, Scope, SystemClock, report},
};

/// What one line of a plan means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Mark {
    /// Access is taken away.
    Revoke,
    /// Something goes to the successor.
    HandOver,
    /// Something is deleted for good.
    Delete,
    /// Nothing to do: it is so already, or is kept on purpose.
    Keep,
    /// It could not be told.
    Unknown,
    /// Nothing is sent for it: it comes true by what is done for others, or when its time has come.
    Follow,
    /// Nothing can be sent for it: somebody must see to it elsewhere.
    Person,
}

impl Mark {
    /// The sign in front of the line.
    pub fn sign(self) -> char {
        match self {
            Self::Revoke => '-',
            Self::HandOver => '~',
            Self::Delete => 'x',
            Self::Keep => '=',
            Self::Unknown => '!',
            Self::Follow => '·',
            Self::Person => '☐',
        }
    }

    /// Whether something would be changed.
    fn changes(self) -> bool {
        matches!(self, Self::Revoke | Self::HandOver | Self::Delete)
    }
}

/// One line of a plan.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// The row.
    pub system: String,
    /// Durable id of the account.
    pub account: Option<String>,
    /// Login name of the account.
    pub login: Option<String>,
    /// The fact.
    pub fact: String,
    /// What would be done.
    pub mark: Mark,
    /// In words.
    pub text: String,
    /// When, in words.
    pub when: String,
    /// How many requests it takes.
    pub requests: usize,
}

/// What would be done about one leaver.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Name of the Offboarding.
    pub offboarding: String,
    /// When access ends.
    #[serde(rename = "cutoff")]
    pub ends: Timestamp,
    /// Digest over accounts, facts and requests: another plan has another digest.
    pub digest: String,
    /// What would be done.
    pub lines: Vec<Line>,
    /// Systems where the person has no account.
    pub no_account: Vec<String>,
    /// Whether anything would be changed.
    pub changes: bool,
}

/// Makes a plan of what a pass over everything showed at `now`.
pub fn plan(case: &Case, outcome: &Outcome, now: Timestamp) -> Plan {
    let mut lines = vec![];
    let mut no_account = vec![];
    let mut requests = vec![case.uid.clone()];
    for (row, system) in outcome.rows.iter().zip(&case.systems) {
        if let Some(text) = &row.trouble {
            lines.push(line(
                row,
                "",
                Mark::Unknown,
                format!("not looked at: {text}"),
                String::new(),
                0,
            ));
            continue;
        }
        if row
            .facts
            .iter()
            .any(|(_, v, _)| *v == Verdict::NotNeeded(Exempt::NoAccount))
        {
            no_account.push(row.name.clone());
            continue;
        }
        if let Some(fault) = unseen(row) {
            let text = format!("not looked at: {fault}");
            lines.push(line(row, "", Mark::Unknown, text, String::new(), 0));
            continue;
        }
        if row.account.is_none() {
            let text = "nothing is wanted here".to_owned();
            lines.push(line(row, "", Mark::Keep, text, String::new(), 0));
            continue;
        }
        for (fact, verdict, sight) in &row.facts {
            let wanted = system.wanted.get(&fact.name);
            if let Some(line) = fact_line(case, now, row, fact, verdict, sight.as_ref(), wanted) {
                if let Some(act) = sight.as_ref().and_then(|s| s.act.as_ref()) {
                    let parts = [&row.name, line.account.as_ref().unwrap_or(&row.name), &fact.name];
                    requests.extend(parts.map(Clone::clone));
                    requests.extend(act.requests.iter().map(ToString::to_string));
                }
                lines.push(line);
            }
        }
    }
    let changes = lines.iter().any(|l| l.mark.changes());
    let mut digest = digest_of(requests.iter().map(String::as_str));
    digest.truncate(12);
    Plan {
        offboarding: case.name.clone(),
        ends: case.cutoff,
        digest,
        lines,
        no_account,
        changes,
    }
}

/// Why nothing at all is known about a row: the system could not be looked at, or no fact of it could be read.
fn unseen(row: &Row) -> Option<String> {
    // Before its time a fact says nothing of this.
    if let Some(fault) = &row.blocked {
        return Some(fault.to_string());
    }
    let faults = row.facts.iter().map(|(_, verdict, _)| match verdict {
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
    fact: &FactSpec,
    verdict: &Verdict,
    sight: Option<&Sight>,
    wanted: Option<&Wanted>,
) -> Option<Line> {
    let wanted = wanted.filter(|wanted| **wanted != Wanted::Not)?;
    if *verdict == Verdict::NotNeeded(Exempt::Over) {
        return None;
    }
    if *verdict == Verdict::NotNeeded(Exempt::Waived) {
        return Some(line(
            row,
            &fact.name,
            Mark::Keep,
            "kept: an exception".into(),
            String::new(),
            0,
        ));
    }
    let sight = sight?;
    let words = words_of(&fact.name);
    let entry = |mark: Mark, text: String, when: String| {
        let requests = if mark.changes() { sight.count } else { 0 };
        Some(line(row, &fact.name, mark, text, when, requests))
    };
    let when = when(case, now, *wanted, verdict);
    let changing = match fact.class {
        Class::Deletion => Mark::Delete,
        class if class.hands_over() => Mark::HandOver,
        _ => Mark::Revoke,
    };
    match &sight.truth {
        Truth::NotApplicable => None,
        Truth::Holds => entry(Mark::Keep, format!("{words} already"), String::new()),
        Truth::Unreadable(fault) => entry(Mark::Unknown, format!("{words}: {fault}"), when),
        Truth::NotRead => entry(Mark::Unknown, format!("{words}: not read"), when),
        Truth::HoldsFrom(from) if *from == Timestamp::MAX => {
            entry(Mark::Person, format!("{words}: never by itself"), when)
        }
        Truth::HoldsFrom(from) => {
            let from = from.strftime("%Y-%m-%d %H:%M UTC").to_string();
            entry(Mark::Follow, format!("{words} by itself"), from)
        }
        Truth::Running => entry(changing, format!("{words}: asked for, still at work"), when),
        Truth::DoesNotHold if sight.act.is_some() => {
            let said = if sight.says.is_empty() {
                words
            } else {
                sight.says.clone()
            };
            entry(changing, said, when)
        }
        Truth::DoesNotHold if sight.refused.is_some() => {
            let why = sight.refused.iter().map(ToString::to_string).collect::<String>();
            entry(Mark::Unknown, format!("{words}: {why}"), when)
        }
        Truth::DoesNotHold => match before(row, fact) {
            others if others.is_empty() => entry(Mark::Person, sight.says.clone(), when),
            others => entry(
                Mark::Follow,
                format!("{words}, once {}", others.join(" and ")),
                when,
            ),
        },
    }
}

/// What this fact comes after and is about to be changed, in words.
fn before(row: &Row, fact: &FactSpec) -> Vec<String> {
    let acts = |name: &&String| {
        let other = row.facts.iter().find(|(other, ..)| other.name == **name);
        other.is_some_and(|(.., sight)| sight.as_ref().is_some_and(|sight| sight.act.is_some()))
    };
    let others = fact.requires.iter().chain(&fact.after).chain(&fact.prefers_after);
    others.filter(acts).map(|name| words_of(name)).collect()
}

fn when(case: &Case, now: Timestamp, wanted: Wanted, verdict: &Verdict) -> String {
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

/// `GroupsRemoved` as `groups removed`, `OAuthTokensRevoked` as `oauth tokens revoked`.
pub fn words_of(fact: &str) -> String {
    let letters: Vec<char> = fact.chars().collect();
    let mut words = String::with_capacity(fact.len() + 4);
    let mut begun = 0;
    for (at, letter) in letters.iter().enumerate() {
        let upper = |at: usize| letters.get(at).is_some_and(|letter| letter.is_uppercase());
        let last_of_many = at > begun + 1 && letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        if at > 0 && letter.is_uppercase() && (!upper(at - 1) || last_of_many) {
            words.push(' ');
            begun = at;
        }
        words.extend(letter.to_lowercase());
    }
    words
}

/// How a plan is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Plans every leaver of `folder`. One that is wrong keeps no other from being planned.
///
/// # Errors
/// When the folder, a leaver or the state cannot be used.
pub async fn run(
    folder: &Path,
    state: &Path,
    assembly: &Assembly,
    approvers: Option<&Path>,
    (output, detailed): (Output, bool),
) -> Result<ExitCode, exit::Error> {
    let apart: Vec<&Path> = [Some(state), approvers].into_iter().flatten().collect();
    let manifests = Manifests::read_without(folder, &apart)?;
    let mut wrong = manifests.say();
    let links = Links::new(&manifests, assembly);
    let voices = Voices::hear(&manifests, &links, state, approvers, SystemClock.now())?;
    let mut plans = vec![];
    for leaver in &manifests.offboardings {
        let now = SystemClock.now();
        let mut local = match Local::look(leaver, &manifests, &links, state, &voices, now) {
            Ok(local) => local,
            Err(error) => {
                wrong.push(error.to_string());
                continue;
            }
        };
        let outcome = local.pass(Scope::Everything, &SystemClock).await?;
        let plan = plan(&local.case, &outcome, now);
        if output == Output::Text {
            out!("{}", plan.text(leaver, now));
        }
        plans.push(plan);
    }
    if output == Output::Json {
        let text = serde_json::to_string_pretty(&json!({ "plans": plans })).map_err(std::io::Error::from)?;
        out!("{text}");
    } else if !plans.is_empty() {
        tell!("Nothing was changed. Next: offboard run -f {}", folder.display());
    }
    if plans.is_empty() {
        wrong.push(format!("no Offboarding in {} can be used", folder.display()));
    }
    if !wrong.is_empty() {
        return Err(exit::Error(wrong.join("\n")));
    }
    let changes = plans.iter().any(|p| p.changes);
    Ok(if detailed && changes {
        exit::CHANGES.into()
    } else {
        ExitCode::SUCCESS
    })
}

/// The verdict words of a row's fact, for progress lines.
pub fn verdict_words(verdict: &Verdict) -> String {
    let (_, reason, detail) = report::words(verdict);
    if detail.is_empty() {
        reason
    } else {
        format!("{reason} ({detail})")
    }
}

impl From<local::Error> for exit::Error {
    fn from(error: local::Error) -> Self {
        Self(error.to_string())
    }
}
