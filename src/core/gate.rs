//! What waits for a person's yes, and what such a yes is worth.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    case::{Case, Wanted},
    digest::digest_of,
    fact::{Class, FactSpec},
    identity::folded,
    ledger::Ledger,
    schedule,
};

/// The word for a fact that waits for a yes.
pub const AWAITING_APPROVAL: &str = "AwaitingApproval";
/// The word for a fact that somebody said no to.
pub const APPROVAL_DENIED: &str = "ApprovalDenied";

/// What a person decides about.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Gate {
    /// Ending access. Gated only by a policy that says so; a leaver keeps access until then.
    Revoke,
    /// Handing mail, files and records over.
    Transfer,
    /// What cannot be brought back.
    #[default]
    Delete,
    /// A task that a person did in a system without an interface.
    Task,
    /// A fact that is left alone until a day.
    Waiver,
    /// A set of new leavers of a source that is larger than its guard lets through.
    Guard,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Decision {
    /// Yes.
    #[default]
    Approved,
    /// No.
    Denied,
    /// The task is done; the approver says so.
    Done,
}

/// Which people must say yes before something is done.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// What waits.
    pub gate: Gate,
    /// How many must say yes.
    pub approvals: usize,
    /// Only these count; empty: whoever may approve at all.
    pub approvers: Vec<Approver>,
    /// After this time a yes does not count any more.
    pub expires_after: SignedDuration,
    /// When others count too: how long after the waiting began, and who.
    pub escalation: Option<(SignedDuration, Vec<Approver>)>,
    /// The plan that was waited with last, and since when.
    pub since: Option<(String, Timestamp)>,
}

/// Who may say yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approver {
    /// The user name.
    pub user: String,
    /// Who may say so in their place, and until when.
    pub delegate: Option<(String, Timestamp)>,
}

/// What one person said, as the cluster vouches for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vote {
    /// The durable id of the Approval.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What about.
    pub gate: Gate,
    /// The Connector, of a task or a waiver.
    pub connector: Option<String>,
    /// The fact, of a waiver.
    pub fact: Option<String>,
    /// The digest that was shown.
    pub plan: String,
    /// Who said it.
    pub approver: String,
    /// In whose place.
    pub on_behalf_of: Option<String>,
    /// What.
    pub decision: Decision,
    /// When.
    pub at: Timestamp,
    /// Until when a waiver lasts.
    pub until: Option<Timestamp>,
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
    /// Counts `votes` about `plan`. `partial` are names of people who cannot say yes; `since` is when the waiting began.
    pub fn count(
        &self,
        plan: &str,
        votes: &[Vote],
        partial: &[String],
        since: Timestamp,
        now: Timestamp,
    ) -> Standing {
        let own = votes.iter().filter(|vote| vote.gate == self.gate);
        let mut refused = vec![];
        let mut eligible = vec![];
        for vote in own {
            match self.eligible(vote, plan, partial, since, now) {
                Err(why) => refused.push((vote.id.clone(), why)),
                Ok(()) => eligible.push(vote),
            }
        }
        let voices = voices(&eligible);
        let mut latest: BTreeMap<&str, &Vote> = BTreeMap::new();
        for vote in eligible {
            let voice = voices.get(&human(&vote.approver)).map_or("", String::as_str);
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
        let said = |decision| latest.values().filter(move |vote| vote.decision == decision);
        let yes = said(Decision::Approved).count();
        let state = if said(Decision::Denied).next().is_some() {
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
        let expiry = said(Decision::Approved).map(|vote| schedule::later(vote.at, self.expires_after));
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
        partial: &[String],
        since: Timestamp,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let people = [Some(&vote.approver), vote.on_behalf_of.as_ref()];
        if people
            .into_iter()
            .flatten()
            .any(|person| partial.iter().any(|name| same_person(person, name)))
        {
            return Err(Refusal::SelfApproval);
        }
        if vote.plan != plan {
            return Err(Refusal::PlanChanged);
        }
        // A no does not expire: it is taken back by a yes of the same person.
        if vote.decision != Decision::Denied && schedule::later(vote.at, self.expires_after) <= now {
            return Err(Refusal::Expired);
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
        let person = human(&vote.approver);
        let principal = vote.on_behalf_of.as_deref().map(human);
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

/// Whether a user name of the API server is a person who is known by `name` (an address, a number, a login name): letters'
/// case and what an API server or an identity provider puts before names make no difference.
pub fn same_person(user: &str, name: &str) -> bool {
    let name = folded(name);
    !name.is_empty() && (folded(user) == name || human(user) == name || human(user) == human(&name))
}

/// A user name without what may stand before it: `oidc:`, the address of an issuer and `#`, an ARN, a Windows domain.
pub fn bare(user: &str) -> &str {
    let name = user.rsplit([':', '#', '\\']).next().unwrap_or(user);
    // `arn:aws:sts::1234:assumed-role/admin/jane@corp.example`
    let name = name.rsplit('/').next().unwrap_or(name);
    if name.is_empty() { user } else { name }
}

/// The person behind a user name, as it is compared with others.
fn human(user: &str) -> String {
    folded(bare(user))
}

/// What one gate keeps from being done: the accounts and facts that a yes is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// The row of the system.
    pub row: String,
    /// The durable id of the account.
    pub account: String,
    /// The fact.
    pub fact: String,
    /// The durable id of the successor's account, of a hand-over.
    pub successor: Option<String>,
}

impl Gate {
    /// The gate that `fact` is behind, if a policy has a rule for it.
    pub fn of(fact: &FactSpec) -> Option<Self> {
        match () {
            () if fact.class.hands_over() => Some(Self::Transfer),
            () if fact.irreversible || fact.class == Class::Deletion => Some(Self::Delete),
            () if fact.class.security() => Some(Self::Revoke),
            () => None,
        }
    }
}

/// One gate of one leaver with what is behind it and what people said about that.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    /// The gate.
    pub gate: Gate,
    /// Digest of what is behind it: another plan needs another yes.
    pub plan: String,
    /// How many must say yes.
    pub needed: usize,
    /// Since when it waits, or would.
    pub since: Timestamp,
    /// How it stands.
    pub standing: Standing,
    items: BTreeSet<Item>,
}

/// All gates of one leaver.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gates {
    /// One for each rule of the policy.
    pub counted: Vec<Counted>,
    /// When one of them may change by itself.
    pub wake: Option<Timestamp>,
}

impl Gates {
    /// Counts what people said about what is behind the gates of `case` now, by what is bound in `ledger`. `facts` tells the
    /// facts of a row; none while its connector is broken.
    ///
    /// While one is broken that has an account, what it would do is not known: what was said before stands for what it was
    /// said about, and nothing new is opened.
    pub fn count<'f>(
        case: &Case,
        ledger: &Ledger,
        facts: &dyn Fn(&str) -> &'f [FactSpec],
        now: Timestamp,
    ) -> Self {
        let bound = ledger
            .systems
            .values()
            .filter_map(|system| system.account.as_ref());
        let names = bound.flat_map(|account| [account.name.clone(), account.id.clone()]);
        let partial: Vec<String> = case.ineligible.iter().cloned().chain(names).collect();
        let counted: Vec<Counted> = case
            .gates
            .iter()
            .map(|rule| rule.counted(case, ledger, facts, &partial, now))
            .collect();
        let wake = counted.iter().filter_map(|c| c.standing.wake).min();
        Self { counted, wake }
    }

    /// The word for why `fact` of `account` waits for people; none when it does not.
    pub fn closed(&self, fact: &FactSpec, row: &str, account: &str) -> Option<&'static str> {
        let gate = Gate::of(fact)?;
        let counted = self.counted.iter().find(|counted| counted.gate == gate)?;
        let known = counted
            .items
            .iter()
            .any(|item| item.row == row && item.account == account && item.fact == fact.name);
        match counted.standing.state {
            State::Open if known => None,
            State::Denied => Some(APPROVAL_DENIED),
            // What was bound since the people were asked is not what they said yes to.
            State::Open | State::Waiting | State::Expired => Some(AWAITING_APPROVAL),
        }
    }

    /// The votes that opened the gate of `fact`.
    pub fn opened_by<'v>(&self, fact: &FactSpec, votes: &'v [Vote]) -> Vec<&'v Vote> {
        let gate = Gate::of(fact);
        let counted = self.counted.iter().find(|counted| Some(counted.gate) == gate);
        let ids = counted.map(|c| c.standing.counted.as_slice()).unwrap_or_default();
        votes.iter().filter(|vote| ids.contains(&vote.id)).collect()
    }
}

impl Rule {
    fn counted<'f>(
        &self,
        case: &Case,
        ledger: &Ledger,
        facts: &dyn Fn(&str) -> &'f [FactSpec],
        partial: &[String],
        now: Timestamp,
    ) -> Counted {
        let mut items = BTreeSet::new();
        let mut unclear = false;
        for system in &case.systems {
            let Some(kept) = ledger.systems.get(&system.row) else {
                continue;
            };
            let Some(account) = &kept.account else { continue };
            let known = facts(&system.row);
            unclear |= known.is_empty();
            let wanted = |fact: &&FactSpec| {
                let wanted = system.wanted.get(&fact.name);
                Gate::of(fact) == Some(self.gate) && wanted.is_some_and(|wanted| *wanted != Wanted::Not)
            };
            items.extend(known.iter().filter(wanted).map(|fact| {
                Item {
                    row: system.row.clone(),
                    account: account.id.clone(),
                    fact: fact.name.clone(),
                    successor: kept
                        .successor
                        .as_ref()
                        .filter(|_| self.gate == Gate::Transfer)
                        .map(|taker| taker.id.clone()),
                }
            }));
        }
        let mut plan = plan_of(&case.uid, self.gate, &items);
        let mut since = now;
        if let Some((earlier, began)) = &self.since {
            if unclear {
                plan.clone_from(earlier);
            }
            if plan == *earlier {
                since = *began;
            }
        }
        let mut standing = self.count(&plan, &case.votes, partial, since, now);
        if unclear && standing.state == State::Open {
            standing.state = State::Waiting;
        }
        Counted {
            gate: self.gate,
            plan,
            needed: self.approvals.max(1),
            since,
            standing,
            items,
        }
    }
}

/// The digest of what is behind a gate of the Offboarding `uid`.
pub fn plan_of(uid: &str, gate: Gate, items: &BTreeSet<Item>) -> String {
    let gate = format!("{gate:?}");
    let parts = items.iter().flat_map(|item| {
        let successor = item.successor.as_deref().unwrap_or_default();
        [item.row.as_str(), &item.account, &item.fact, successor]
    });
    format!("sha256:{}", digest_of([uid, &gate].into_iter().chain(parts)))
}

/// The digest of what a person is asked to do by hand for the Offboarding `uid` in one connector.
pub fn task_plan<'t>(uid: &str, connector: &str, facts: impl IntoIterator<Item = &'t str>) -> String {
    let items = facts.into_iter().map(|fact| Item {
        row: connector.to_owned(),
        fact: fact.to_owned(),
        ..Item::default()
    });
    plan_of(uid, Gate::Task, &items.collect())
}

/// A person's word that a task of one fact is done. Whoever hands it in has checked who said it and that it was about this
/// task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attestation {
    /// Who said it: the requester's name as the API server knew it.
    pub by: String,
    /// When. What was read of a later moment weighs more.
    pub at: Timestamp,
    /// The digest of what they saw.
    pub plan: String,
}

/// What a person is asked to do where no request can do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// What is to be done, in one line.
    pub title: String,
    /// Who should do it: a name, an address or a team.
    pub assignee: String,
    /// How; may be empty.
    pub instructions: String,
    /// How long it may take from the moment it is wanted.
    pub due_in: SignedDuration,
    /// When what was read of it was true, if that is older than the look: the date of an export.
    pub as_of: Option<Timestamp>,
}

#[cfg(test)]
mod tests;
