//! Which people must say yes, and how their votes are counted.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    Gate,
    vote::{Decision, Vote, human},
};
use crate::core::schedule;

/// Which people must say yes before something is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// What waits.
    pub gate: Gate,
    /// How many must say yes.
    pub approvals: usize,
    /// Only these count; empty: whoever may approve at all, if it is known which person they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<Approver>,
    /// After this time a yes does not count any more.
    pub expires_after: SignedDuration,
    /// When others count too: how long after the waiting began, and who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation: Option<(SignedDuration, Vec<Approver>)>,
    /// Of hand-overs, only those to somebody whom nobody but the request names.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub to_strangers: bool,
    /// The plan that was waited with last, and since when.
    #[serde(skip)]
    pub since: Option<(String, Timestamp)>,
}

/// Who may say yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approver {
    /// The user name.
    pub user: String,
    /// Who may say so in their place, and until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegate: Option<(String, Timestamp)>,
}

/// How a gate stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    /// Enough people said yes.
    Open,
    /// It waits for people.
    #[default]
    Waiting,
    /// Somebody said no.
    Denied,
    /// Those who said yes said it too long ago, or for another plan.
    Expired,
}

/// Why a vote does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is about another plan than the present one.
    PlanChanged,
    /// It was said too long ago.
    Expired,
    /// The leaver, or who asked for it, cannot say yes.
    SelfApproval,
    /// The policy wants somebody else's word.
    NotAnApprover,
    /// Anybody's word would do, and nobody knows which person this user name is.
    UnknownPerson,
    /// The same person said something later.
    Superseded,
}

/// A gate with its votes counted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    /// How it stands.
    pub state: State,
    /// How many have said yes.
    pub yes: usize,
    /// Ids of the votes that count.
    pub counted: Vec<String>,
    /// Ids of the votes that do not, and why.
    pub refused: Vec<(String, Refusal)>,
    /// When it may change by itself: a yes expires, others count too.
    pub wake: Option<Timestamp>,
}

impl Rule {
    /// One yes of anybody who may approve, within thirty days; whose an account is stays so.
    pub fn of(gate: Gate) -> Self {
        let lasting = matches!(gate, Gate::Account | Gate::Guard);
        Self {
            gate,
            approvals: 1,
            approvers: vec![],
            expires_after: if lasting {
                SignedDuration::MAX
            } else {
                SignedDuration::from_hours(30 * 24)
            },
            escalation: None,
            to_strangers: false,
            since: None,
        }
    }

    /// Whether both demand the same, since whenever that is waited for.
    pub fn demands_as(&self, other: &Self) -> bool {
        let since = None;
        let (own, other) = (self.clone(), other.clone());
        Self {
            since: since.clone(),
            ..own
        } == Self { since, ..other }
    }

    /// Counts `votes` about `plan`. `ineligible` are names of people whose vote is ignored; `since` is when the waiting began.
    pub fn count(
        &self,
        plan: &str,
        votes: &[Vote],
        ineligible: &[String],
        since: Timestamp,
        now: Timestamp,
    ) -> Standing {
        let own = votes.iter().filter(|vote| vote.gate == self.gate);
        let mut refused = vec![];
        let mut eligible = vec![];
        for vote in own {
            match self.eligible(vote, plan, ineligible, since, now) {
                Err(why) => refused.push((vote.id.clone(), why)),
                Ok(()) => eligible.push(vote),
            }
        }
        let voices = voices(&eligible);
        let mut latest: BTreeMap<&str, &Vote> = BTreeMap::new();
        for vote in eligible {
            let voice = voices.get(&vote.human()).map_or("", String::as_str);
            match latest.get(voice).copied() {
                Some(other) if order(other) > order(vote) => {
                    refused.push((vote.id.clone(), Refusal::Superseded));
                }
                earlier => {
                    refused.extend(earlier.map(|e| (e.id.clone(), Refusal::Superseded)));
                    latest.insert(voice, vote);
                }
            }
        }
        let voices_for = |decision| latest.values().filter(move |vote| vote.decision == decision);
        let yes = voices_for(Decision::Approved).count();
        let state = if voices_for(Decision::Denied).next().is_some() {
            State::Denied
        } else if yes >= self.approvals.max(1) {
            State::Open
        } else if refused
            .iter()
            .any(|(_, why)| matches!(why, Refusal::Expired | Refusal::PlanChanged))
        {
            State::Expired
        } else {
            State::Waiting
        };
        let expiry = voices_for(Decision::Approved).map(|vote| schedule::later(vote.at, self.expires_after));
        let escalates = self
            .escalation
            .iter()
            .map(|(after, _)| schedule::later(since, *after));
        Standing {
            state,
            yes,
            counted: latest.values().map(|vote| vote.id.clone()).collect(),
            wake: expiry.chain(escalates).filter(|at| *at > now).min(),
            refused,
        }
    }

    /// Whether `vote` may count.
    fn eligible(
        &self,
        vote: &Vote,
        plan: &str,
        ineligible: &[String],
        since: Timestamp,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if ineligible.iter().any(|name| vote.is_of(name)) {
            return Err(Refusal::SelfApproval);
        }
        if vote.plan != plan {
            return Err(Refusal::PlanChanged);
        }
        // A no does not expire: it is taken back by a yes of the same person.
        if vote.decision != Decision::Denied && schedule::later(vote.at, self.expires_after) <= now {
            return Err(Refusal::Expired);
        }
        if self.approvers.is_empty() && vote.on_behalf_of.is_none() && vote.person.is_none() {
            return Err(Refusal::UnknownPerson);
        }
        let may = self.may_approve(vote, since, now);
        may.then_some(()).ok_or(Refusal::NotAnApprover)
    }

    fn may_approve(&self, vote: &Vote, since: Timestamp, now: Timestamp) -> bool {
        let escalated = self
            .escalation
            .iter()
            .filter(|(after, _)| schedule::later(since, *after) <= now)
            .flat_map(|(_, people)| people);
        let mut named = self.approvers.iter().chain(escalated);
        match &vote.on_behalf_of {
            None if self.approvers.is_empty() => true,
            None => named.any(|a| a.user == vote.approver),
            Some(principal) => named.any(|a| {
                let delegate = a.delegate.as_ref();
                a.user == *principal
                    && delegate.is_some_and(|(user, until)| *user == vote.approver && vote.at < *until)
            }),
        }
    }
}

/// Which of two votes of one voice is the later one. In the same second a no counts, whichever came first: times of the API
/// server are whole seconds.
fn order(vote: &Vote) -> (Timestamp, bool, &str) {
    (vote.at, vote.decision == Decision::Denied, &vote.id)
}

/// By person, the voice that they are part of: whoever says yes for somebody else is one voice with them, and with whoever
/// says yes for them in turn. Nobody gets a second voice by being asked to stand in.
fn voices(votes: &[&Vote]) -> BTreeMap<String, String> {
    let mut voices: BTreeMap<String, String> = BTreeMap::new();
    for vote in votes {
        let person = vote.human();
        let principal = vote.principal.as_ref().or(vote.on_behalf_of.as_ref());
        let principal = principal.map(|principal| human(principal));
        let mut join = |person: &str| {
            let voice = voices
                .entry(person.to_owned())
                .or_insert_with(|| person.to_owned());
            voice.clone()
        };
        let own = join(&person);
        let Some(other) = principal.map(|principal| join(&principal)) else {
            continue;
        };
        for voice in voices.values_mut().filter(|voice| **voice == other) {
            own.clone_into(voice);
        }
    }
    voices
}
