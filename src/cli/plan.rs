//! `offboard plan`: what would be done, without doing it.

mod lines;
#[cfg(test)]
mod tests;
mod text;

use std::{collections::BTreeMap, path::Path, process::ExitCode};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use self::lines::Making;
pub use self::text::distance;
use super::{
    approvals::Voices,
    exit,
    local::{self, Links, Local, Permissions},
    manifests::Manifests,
    state::State,
    status::quoted,
    terminal::{self, out, tell},
};
use crate::{
    core::{case::Case, digest::digest_of, duplicate, fact::Verdict},
    drive::{Clock, Outcome, Scope, SystemClock, report},
};

/// What one line of a plan means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Mark {
    /// Access is taken away.
    Revoke,
    /// Something that was taken away is given back.
    GiveBack,
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
    /// It was seen, and is not changed before somebody decides.
    Refused,
}

impl Mark {
    /// The sign in front of the line.
    pub fn sign(self) -> char {
        match self {
            Self::Revoke => '-',
            Self::GiveBack => '+',
            Self::HandOver => '~',
            Self::Delete => 'x',
            Self::Keep => '=',
            Self::Unknown | Self::Refused => '!',
            Self::Follow => '·',
            Self::Person => '☐',
        }
    }

    /// Whether something would be changed.
    fn changes(self) -> bool {
        matches!(
            self,
            Self::Revoke | Self::GiveBack | Self::HandOver | Self::Delete
        )
    }
}

/// What a look showed of the access as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Access {
    /// Every system was looked at, and all access is gone there.
    Gone,
    /// There is some.
    Open,
    /// None was seen, but not everything could be looked at.
    Unknown,
    /// Every system was looked at, and none knows the person.
    NoAccount,
    /// There is no system to look at.
    NoSystems,
    /// No system is asked to end any.
    NotWanted,
    /// The person is no leaver any more.
    GivenBack,
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
    /// What the systems have of the person that nobody looks after, by system.
    pub not_covered: BTreeMap<String, Vec<String>>,
    /// Systems that are spoken to without encryption, because their Connectors say so.
    pub insecure: Vec<String>,
    /// Whether anything would be changed.
    pub changes: bool,
    /// How much could not be looked at.
    pub unknown: usize,
    /// What the look showed.
    pub access: Access,
    /// What a person should know before anything else.
    pub remarks: Vec<String>,
    /// How much only a person can do or decide.
    pub asks: usize,
    /// Nothing is done before a person has decided.
    pub waits: bool,
}

/// Makes a plan of what a pass over everything showed at `now`.
pub fn plan(case: &Case, outcome: &Outcome, now: Timestamp) -> Plan {
    let mut made = Making {
        requests: vec![case.uid.clone()],
        ..Making::default()
    };
    for (row, system) in outcome.rows.iter().zip(&case.systems) {
        made.add_row(case, row, system, now);
    }
    let unknown = made.lines.iter().filter(|l| l.mark == Mark::Unknown).count();
    let access = match () {
        () if case.reinstate => Access::GivenBack,
        () if outcome.rows.is_empty() => Access::NoSystems,
        () if made.open > 0 => Access::Open,
        () if unknown > 0 => Access::Unknown,
        () if report::ends_nothing(case, outcome, now) => Access::NotWanted,
        // Where nothing is wanted nobody looks, and knows of nobody.
        () if outcome.rows.iter().all(|row| row.account.is_none()) => Access::NoAccount,
        () => Access::Gone,
    };
    let mut remarks = vec![];
    if !case.rivals(now).is_empty() {
        remarks.push(duplicate::advice(case.rivals(now)));
    }
    match access {
        Access::NoAccount => remarks.push(report::nobody(outcome)),
        Access::NoSystems => remarks.push(report::no_systems(case)),
        Access::NotWanted => remarks.push(report::NOTHING_WANTED.to_owned()),
        _ => {}
    }
    let mut digest = digest_of(made.requests.iter().map(String::as_str));
    digest.truncate(12);
    Plan {
        offboarding: case.name.clone(),
        ends: case.cutoff,
        digest,
        changes: made.lines.iter().any(|l| l.mark.changes()),
        lines: made.lines,
        no_account: made.no_account,
        not_covered: not_covered(outcome),
        insecure: vec![],
        unknown,
        asks: made.asks,
        access,
        remarks,
        waits: matches!(access, Access::NoAccount | Access::NoSystems | Access::NotWanted)
            || case.is_held(now),
    }
}

fn not_covered(outcome: &Outcome) -> BTreeMap<String, Vec<String>> {
    let rows = outcome.rows.iter().filter(|row| !row.not_covered.is_empty());
    rows.map(|row| (row.name.clone(), row.not_covered.clone()))
        .collect()
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
    state: &State,
    permissions: &Permissions,
    approvers: Option<&Path>,
    (output, detailed): (Output, bool),
) -> Result<ExitCode, exit::Error> {
    if output == Output::Text {
        state.say();
    }
    let apart: Vec<&Path> = [Some(state.path.as_path()), approvers]
        .into_iter()
        .flatten()
        .collect();
    let manifests = Manifests::read_without(folder, &apart)?;
    let mut wrong = manifests.say();
    let links = Links::new(&manifests, &permissions.assembly());
    let voices = Voices::hear(
        &manifests,
        &links,
        &state.path,
        approvers,
        &permissions.safeguards,
        SystemClock.now(),
    )?;
    let mut plans = vec![];
    for leaver in &manifests.offboardings {
        let now = SystemClock.now();
        let mut local = match Local::look(leaver, &manifests, &links, &state.path, &voices, now) {
            Ok(local) => {
                wrong.extend(local.invalid());
                local
            }
            Err(error) => {
                wrong.push(error.to_string());
                continue;
            }
        };
        let outcome = local.pass(Scope::Everything, &SystemClock).await?;
        let mut plan = plan(&local.case, &outcome, now);
        let insecure = outcome.rows.iter().filter(|row| manifests.is_insecure(&row.name));
        plan.insecure = insecure.map(|row| row.name.clone()).collect();
        if output == Output::Text {
            out!("{}", plan.text(leaver, now));
        }
        plans.push(plan);
    }
    if output == Output::Json {
        let unknown: usize = plans.iter().map(|plan| plan.unknown).sum();
        let all = json!({ "plans": plans, "unknown": unknown, "state": state.path });
        terminal::json(&all)?;
    } else if !plans.is_empty() {
        tell!("Nothing was changed. Next: {}", next(folder, state, approvers));
    }
    if plans.is_empty() {
        wrong.push(format!("no Offboarding in {} can be used", folder.display()));
    }
    if !wrong.is_empty() {
        return Err(exit::Error(wrong.join("\n")));
    }
    Ok(code(&plans, detailed).into())
}

/// The exit code of a command that made these plans: what was not looked at is no "nothing to do".
fn code(plans: &[Plan], detailed: bool) -> u8 {
    match () {
        () if plans.iter().any(|plan| plan.unknown > 0) => 1,
        () if plans.iter().any(|plan| plan.waits) => exit::WAITS_FOR_A_PERSON,
        () if detailed && plans.iter().any(|plan| plan.changes) => exit::CHANGES,
        () if detailed && plans.iter().any(|plan| plan.asks > 0) => exit::WAITS_FOR_A_PERSON,
        () => 0,
    }
}

/// The command that does what was planned.
fn next(folder: &Path, state: &State, approvers: Option<&Path>) -> String {
    let mut words = vec![
        "offboard run -f".to_owned(),
        quoted(&folder.display().to_string()),
    ];
    for (option, path) in [("--state", state.beside_manifests()), ("--approvers", approvers)] {
        if let Some(path) = path {
            words.extend([option.to_owned(), quoted(&path.display().to_string())]);
        }
    }
    words.join(" ")
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
