//! Everything the demo found out, as numbers and texts: what is printed, and what the report says.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::{
    api::record::Entry,
    cli::plan::{Mark, Plan, verdict_words, words_of},
    company::Attempt,
    core::fact::{FactState, Verdict},
    drive::{Outcome, Row},
};

/// Whether nothing is left to do or to know in a system.
pub(super) fn done(row: &Row) -> bool {
    row.trouble.is_none()
        && !row.identity_mismatch
        && row.account.is_some()
        && row
            .facts
            .iter()
            .all(|state| state.verdict.settled() || !state.verdict.due())
}

/// What is left in a system, for people.
pub(super) fn left(row: &Row) -> Vec<String> {
    let mut left: Vec<String> = row.trouble.iter().cloned().collect();
    let facts = row
        .facts
        .iter()
        .filter(|state| state.verdict.due() && !state.verdict.settled());
    left.extend(facts.map(|state| format!("{} {}", state.spec.name, verdict_words(&state.verdict))));
    if left.is_empty() && row.account.is_none() {
        left.push("no account found".to_owned());
    }
    left
}

/// Tries of one kind of person at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tries {
    pub made: usize,
    pub worked: usize,
    /// Which ones worked.
    pub open: Vec<String>,
    /// How many were made in each system, and how many of them worked.
    pub systems: BTreeMap<&'static str, (usize, usize)>,
}

impl Tries {
    pub fn of(attempts: &[Attempt]) -> Self {
        let mut systems: BTreeMap<_, (usize, usize)> = BTreeMap::new();
        for attempt in attempts {
            let (made, worked) = systems.entry(attempt.system).or_default();
            *made += 1;
            *worked += usize::from(attempt.worked);
        }
        let open: Vec<_> = attempts
            .iter()
            .filter(|attempt| attempt.worked)
            .map(|attempt| format!("{}: {}", attempt.system, attempt.what))
            .collect();
        Self {
            made: attempts.len(),
            worked: open.len(),
            open,
            systems,
        }
    }

    pub fn refused(&self) -> usize {
        self.made - self.worked
    }
}

/// Things that belonged to the leaver in one system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Owned {
    pub system: String,
    /// What the leaver had before.
    pub before: usize,
    /// What is still the leaver's.
    pub left: usize,
    /// What the successor has more than before.
    pub arrived: usize,
}

/// Access that was given back and taken away again.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Drift {
    pub system: String,
    pub given_back_at: Timestamp,
    pub facts: Vec<String>,
    pub open_meanwhile: usize,
    pub open_after: usize,
    /// Seconds from being given back to being proven gone.
    pub seconds: f64,
}

/// Everything.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Findings {
    pub leaver: String,
    pub successor: String,
    pub cutoff: Timestamp,
    pub started: Timestamp,
    /// Seconds until all was read back.
    pub seconds: f64,
    pub plan: Plan,
    /// What the leaver could get in with before.
    pub before: Tries,
    /// The same tries after.
    pub after: Tries,
    /// The successor's own tries after: they must still work.
    pub control: Tries,
    pub owned: Vec<Owned>,
    pub drift: Option<Drift>,
    pub facts: Vec<FactShown>,
    /// What is not done.
    pub left: Vec<String>,
    /// Facts that nobody wanted now, by system.
    pub not_wanted: Vec<String>,
    pub evidence: Vec<Entry>,
    pub chain_sound: bool,
}

/// One fact of one account at the end.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FactShown {
    pub system: String,
    pub account: String,
    pub class: String,
    pub fact: String,
    pub verdict: String,
    /// How it can be known.
    pub proof: String,
    /// When it was last read back as true.
    pub verified: Option<Timestamp>,
    /// When it was first read back as true.
    pub first: Option<Timestamp>,
    /// Whether it is about access, sessions, credentials, entitlements or devices.
    pub security: bool,
}

impl Findings {
    /// Whether everything that the demo says is proven.
    pub fn proven(&self) -> bool {
        self.left.is_empty()
            && self.chain_sound
            && self.before.worked == self.before.made
            && self.before.made > 0
            && self.after.made == self.before.made
            && self.after.worked == 0
            && self.control.worked == self.control.made
            && self
                .owned
                .iter()
                .all(|owned| owned.left == 0 && owned.arrived == owned.before)
            && self
                .drift
                .as_ref()
                .is_some_and(|drift| drift.open_meanwhile > 0 && drift.open_after == 0)
    }

    /// How many accounts there are.
    pub fn accounts(&self) -> usize {
        let lines = self.plan.lines.iter();
        let accounts: BTreeSet<_> = lines
            .filter_map(|line| Some((&line.system, line.account.as_ref()?)))
            .collect();
        accounts.len()
    }
}

/// How many things a plan takes away: groups, sessions, keys, not requests or facts.
pub(super) fn things(plan: &Plan) -> usize {
    let lines = plan.lines.iter().filter(|line| line.mark == Mark::Revoke);
    lines.map(|line| line.requests.max(1)).sum()
}

/// The facts of an outcome with the instants of the evidence.
pub(super) fn facts(outcome: &Outcome, chain: &[Entry]) -> Vec<FactShown> {
    let mut shown = Vec::new();
    for row in &outcome.rows {
        for FactState {
            spec: fact, verdict, ..
        } in row.facts.iter().filter(|state| state.verdict.due())
        {
            let mut proofs = chain.iter().filter(|entry| {
                entry.system == row.name && entry.fact == fact.name && entry.event == "Verified"
            });
            let first = proofs.next().map(|entry| entry.at);
            let last = proofs.next_back().map(|entry| entry.at);
            shown.push(FactShown {
                system: row.name.clone(),
                account: row.account.as_ref().map_or("-", |(_, name)| name).to_owned(),
                class: format!("{:?}", fact.class),
                fact: fact.name.clone(),
                verdict: verdict_words(verdict),
                proof: format!("{:?}", fact.proof),
                verified: last.or(first),
                first,
                security: fact.class.security(),
            });
        }
    }
    shown
}

/// Seconds between two instants, to the hundredth.
pub(super) fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    let length: SignedDuration = to.duration_since(from);
    (length.as_secs_f64() * 100.0).round() / 100.0
}

/// Facts of an outcome that are not wanted now, or do not concern the account.
pub(super) fn not_wanted(outcome: &Outcome) -> Vec<String> {
    let mut names = Vec::new();
    for row in &outcome.rows {
        let spared = |verdict: &Verdict| matches!(verdict, Verdict::NotDue(_) | Verdict::NotNeeded(_));
        let facts = row.facts.iter().filter(|state| spared(&state.verdict));
        names.extend(facts.map(|state| format!("{}: {}", row.name, words_of(&state.spec.name))));
    }
    names
}
