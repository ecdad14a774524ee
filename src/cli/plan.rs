//! `offboard plan`: what would be done, without doing it.

use std::{fmt::Write as _, path::Path, process::ExitCode};

use serde::Serialize;
use serde_json::json;

use super::{
    exit,
    local::{self, Links, Local},
    manifests::Manifests,
};
use crate::{
    api::Offboarding,
    connectors::assemble::Assembly,
    core::{
        case::{Case, Wanted},
        fact::{Class, Exempt, FactSpec, Sight, Truth, Verdict},
    },
    drive::{Clock, Outcome, Row, Scope, SystemClock, evidence::digest_of, report},
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
        }
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
    pub cutoff: String,
    /// Digest over accounts, facts and requests: another plan has another digest.
    pub digest: String,
    /// What would be done.
    pub lines: Vec<Line>,
    /// Systems where the person has no account.
    pub no_account: Vec<String>,
    /// Whether anything would be changed.
    pub changes: bool,
}

/// Makes a plan of what a pass over everything showed.
pub fn plan(case: &Case, outcome: &Outcome) -> Plan {
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
        if row.account.is_none() {
            let fault = row.facts.iter().find_map(|(_, v, _)| match v {
                Verdict::Unknown(fault) => Some(fault.to_string()),
                _ => None,
            });
            let text = format!("not looked at: {}", fault.unwrap_or_default());
            lines.push(line(row, "", Mark::Unknown, text, String::new(), 0));
            continue;
        }
        for (fact, verdict, sight) in &row.facts {
            let wanted = system.wanted.get(&fact.name);
            if let Some(line) = fact_line(case, row, fact, verdict, sight.as_ref(), wanted) {
                if let Some(act) = sight.as_ref().and_then(|s| s.act.as_ref()) {
                    let parts = [&row.name, line.account.as_ref().unwrap_or(&row.name), &fact.name];
                    requests.extend(parts.map(Clone::clone));
                    requests.extend(act.requests.iter().map(ToString::to_string));
                }
                lines.push(line);
            }
        }
    }
    let changes = lines
        .iter()
        .any(|l| !matches!(l.mark, Mark::Keep | Mark::Unknown));
    let mut digest = digest_of(requests.iter().map(String::as_str));
    digest.truncate(12);
    Plan {
        offboarding: case.name.clone(),
        cutoff: case.cutoff.to_string(),
        digest,
        lines,
        no_account,
        changes,
    }
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
    row: &Row,
    fact: &FactSpec,
    verdict: &Verdict,
    sight: Option<&Sight>,
    wanted: Option<&Wanted>,
) -> Option<Line> {
    let Some(Wanted::At(at)) = wanted else { return None };
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
    let when = match () {
        () if *at <= case.cutoff && *at > jiff::Timestamp::MIN => "at the cutoff".to_owned(),
        () if *at == jiff::Timestamp::MIN => "now, armed ahead".to_owned(),
        () => at.strftime("%Y-%m-%d").to_string(),
    };
    let said = if sight.says.is_empty() {
        words_of(&fact.name)
    } else {
        sight.says.clone()
    };
    Some(match &sight.truth {
        Truth::NotApplicable => return None,
        Truth::Holds => line(
            row,
            &fact.name,
            Mark::Keep,
            format!("{} already", words_of(&fact.name)),
            String::new(),
            0,
        ),
        Truth::Unreadable(fault) => line(
            row,
            &fact.name,
            Mark::Unknown,
            format!("{}: {fault}", words_of(&fact.name)),
            when,
            0,
        ),
        Truth::NotRead => line(
            row,
            &fact.name,
            Mark::Unknown,
            format!("{}: not read", words_of(&fact.name)),
            when,
            0,
        ),
        Truth::DoesNotHold | Truth::Running | Truth::HoldsFrom(_) => {
            let mark = match fact.class {
                Class::Deletion => Mark::Delete,
                class if class.hands_over() => Mark::HandOver,
                _ => Mark::Revoke,
            };
            line(row, &fact.name, mark, said, when, sight.count)
        }
    })
}

/// `GroupsRemoved` as `groups removed`.
pub fn words_of(fact: &str) -> String {
    let mut words = String::with_capacity(fact.len() + 4);
    for letter in fact.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

impl Plan {
    /// The plan as people read it.
    pub fn text(&self, leaver: &Offboarding) -> String {
        let mut text = String::new();
        let employee = &leaver.spec.employee;
        let who = [
            employee.display_name.as_deref(),
            employee.email.as_deref(),
            employee.employee_id.as_deref(),
        ];
        let who: Vec<&str> = who.into_iter().flatten().collect();
        writeln!(
            text,
            "{} · {} · access ends {}\n",
            self.offboarding,
            who.join(" · "),
            self.cutoff
        )
        .expect("a String takes every text");
        let widths = (
            width(self.lines.iter().map(|l| &l.system)),
            width(self.lines.iter().filter_map(|l| l.login.as_ref())),
        );
        let texts = width(self.lines.iter().map(|l| &l.text)).min(60);
        let mut last = "";
        for line in &self.lines {
            let (system, login) = if line.system == last {
                ("", "")
            } else {
                (line.system.as_str(), line.login.as_deref().unwrap_or("?"))
            };
            last = &line.system;
            let (one, two) = widths;
            let (sign, said, when) = (line.mark.sign(), &line.text, &line.when);
            let row = format!("  {system:<one$}  {login:<two$}  {sign} {said:<texts$}  {when}");
            writeln!(text, "{}", row.trim_end()).expect("a String takes every text");
        }
        for system in &self.no_account {
            let (one, two) = widths;
            writeln!(text, "  {system:<one$}  {:<two$}  · no account", "–")
                .expect("a String takes every text");
        }
        writeln!(text, "\n{}", self.sum()).expect("a String takes every text");
        text
    }

    /// The last line: digest and counts.
    pub fn sum(&self) -> String {
        let count = |mark: Mark| self.lines.iter().filter(|l| l.mark == mark).count();
        let mut accounts: Vec<_> = self
            .lines
            .iter()
            .filter_map(|l| Some((&l.system, l.account.as_ref()?)))
            .collect();
        accounts.dedup();
        format!(
            "Plan {}: {} accounts · {} to revoke · {} to hand over · {} to delete · {} kept · {} unknown",
            self.digest,
            accounts.len(),
            count(Mark::Revoke),
            count(Mark::HandOver),
            count(Mark::Delete),
            count(Mark::Keep),
            count(Mark::Unknown)
        )
    }
}

fn width<'t>(texts: impl Iterator<Item = &'t String>) -> usize {
    texts.map(|t| t.chars().count()).max().unwrap_or(0)
}

/// How a plan is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Plans every leaver of `folder`.
///
/// # Errors
/// When the folder, a leaver or the state cannot be used.
pub async fn run(
    folder: &Path,
    state: &Path,
    output: Output,
    detailed: bool,
) -> Result<ExitCode, exit::Error> {
    let manifests = Manifests::read(folder)?;
    let assembly = Assembly::default();
    let links = Links::new(&manifests, &assembly);
    let mut plans = vec![];
    for leaver in &manifests.offboardings {
        let mut local = Local::open(leaver, &manifests, &links, state, SystemClock.now())?;
        let outcome = local.pass(Scope::Everything, &SystemClock).await?;
        let plan = plan(&local.case, &outcome);
        if output == Output::Text {
            anstream::print!("{}", plan.text(leaver));
        }
        plans.push(plan);
    }
    if output == Output::Json {
        let text = serde_json::to_string_pretty(&json!({ "plans": plans })).map_err(std::io::Error::from)?;
        anstream::println!("{text}");
    } else if plans.is_empty() {
        anstream::eprintln!("no Offboarding in {}", folder.display());
    } else {
        anstream::eprintln!("Nothing was changed. Next: offboard run -f {}", folder.display());
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
