//! What waits for a person's yes, and what such a yes is worth.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod safeguards;

use super::{
    case::{Case, System, Wanted},
    digest::digest_of,
    fact::{Class, FactSpec},
    guard,
    identity::{Binding, folded},
    ledger::{Ledger, SystemLedger},
    schedule,
};

pub use safeguards::{Replacement, Safeguards};

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
    /// More leavers than a guard lets through: the held set of a source, or somebody with whom more would be begun in a while
    /// than whoever installed the operator allows.
    Guard,
    /// An account that the Offboarding names, and that shows no address and no number of the leaver.
    Account,
    /// Giving back what was taken, after access has ended.
    Reinstate,
    /// An exception, a pause or a later date, after access has ended.
    Loosen,
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
    /// Who said it: a user name.
    pub approver: String,
    /// Which person that is, as people are known here; none where nothing maps user names to people.
    pub person: Option<String>,
    /// In whose place.
    pub on_behalf_of: Option<String>,
    /// Which person that is.
    pub principal: Option<String>,
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

impl Vote {
    /// Whether somebody who is known by `name` said it, or has it said in their place.
    pub fn is_of(&self, name: &str) -> bool {
        let users = [
            Some(&self.approver),
            self.person.as_ref(),
            self.on_behalf_of.as_ref(),
            self.principal.as_ref(),
        ];
        users.into_iter().flatten().any(|user| same_person(user, name))
    }

    /// Who it is as a voice: the person, else what the user name says of one.
    fn human(&self) -> String {
        human(self.person.as_ref().unwrap_or(&self.approver))
    }
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

    /// Whether `fact` of `system` waits for this.
    pub fn covers(&self, system: &System, ledger: &SystemLedger, fact: &FactSpec) -> bool {
        match self.gate {
            Gate::Guard => guard::holds(system, ledger),
            Gate::Account => names_a_stranger(system, ledger),
            Gate::Transfer => {
                Gate::of(fact) == Some(Gate::Transfer)
                    && (!self.to_strangers || system.successor_is_asked_for)
            }
            Gate::Revoke | Gate::Delete => Gate::of(fact) == Some(self.gate),
            Gate::Task | Gate::Waiver | Gate::Reinstate | Gate::Loosen => false,
        }
    }

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
        if partial.iter().any(|name| vote.is_of(name)) {
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

/// Whether the request names an account of `system` that shows nothing of the person, or was not found yet.
fn names_a_stranger(system: &System, ledger: &SystemLedger) -> bool {
    let shows = |bound: &Binding| bound.shows(&system.certain);
    system.who.account_name.is_some() && !ledger.account.as_ref().is_some_and(shows)
}

/// What one gate keeps from being done: the accounts and facts that a yes is about, and what would be sent for them.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// The row of the system.
    pub row: String,
    /// The fingerprint of the system.
    pub system: String,
    /// The durable id of the account.
    pub account: String,
    /// The fact; empty where it is about the account as a whole.
    pub fact: String,
    /// The digest of what its definition and Connector say would be sent.
    pub requests: String,
    /// Who takes over and the durable id of their account, of a hand-over.
    pub successor: Option<String>,
}

/// Who takes over in `system`, and with which account: another person, or another account, is another hand-over.
fn taker(system: &System, ledger: &SystemLedger) -> Option<String> {
    let who = system.successor.as_ref()?;
    let name = who.email.as_ref().or(who.employee_id.as_ref())?;
    let bound = ledger.successor.as_ref();
    let bound = bound.filter(|_| ledger.successor_known_as == who.email);
    let account = bound.map_or("", |bound| bound.id.as_str());
    Some(format!("{} {account}", folded(name)))
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
    /// The rule by which it was counted.
    pub rule: Rule,
    /// Digest of what is behind it: another plan needs another yes.
    pub plan: String,
    /// Since when it waits, or would.
    pub since: Timestamp,
    /// How it stands.
    pub standing: Standing,
    /// It is about the leaver as a whole.
    pub whole: bool,
    /// It asks whether this rule of then may give way to what the policy says now.
    pub replaces: Option<Box<Rule>>,
    items: BTreeSet<Item>,
}

impl Counted {
    /// The same as the question whether `rule` may give way to what the policy says now.
    #[must_use]
    pub fn about(self, rule: Rule) -> Self {
        Self {
            replaces: Some(Box::new(rule)),
            ..self
        }
    }

    /// What would be loosened, in words.
    pub fn loosens(&self) -> Vec<String> {
        let loosens = matches!(self.rule.gate, Gate::Loosen | Gate::Reinstate);
        let items = self.items.iter().filter(|_| loosens);
        items
            .map(|item| {
                let parts = [&item.row, &item.fact, &item.requests];
                let parts = parts.into_iter().filter(|part| !part.is_empty());
                parts.cloned().collect::<Vec<_>>().join(": ")
            })
            .collect()
    }

    /// Whether who would get it in `system` now is who people were asked about; so it is where nothing is handed over.
    fn hands_over_as(&self, system: &System, ledger: &SystemLedger) -> bool {
        if self.rule.gate != Gate::Transfer {
            return true;
        }
        let taker = taker(system, ledger);
        let mut own = self.items.iter().filter(|item| item.row == system.row);
        taker.is_some() && own.all(|item| item.successor == taker)
    }

    /// Counts what `votes` say about `items` as a whole, wherever they are, for the Offboarding `uid`; those who are `partial`
    /// cannot say yes.
    pub fn new(
        rule: Rule,
        (uid, votes, partial): (&str, &[Vote], &[String]),
        items: BTreeSet<Item>,
        now: Timestamp,
    ) -> Self {
        rule.counted((uid, votes, partial), items, false, now)
    }

    /// Whether it is about `fact` of `account` in this row.
    pub fn is_about(&self, row: &str, account: &str, fact: &str) -> bool {
        let concerns = |item: &Item| {
            item.row == row && item.account == account && (item.fact == fact || item.fact.is_empty())
        };
        self.whole || self.items.iter().any(concerns)
    }
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
        let behind = case.gates.iter().map(|rule| {
            let (items, unclear) = rule.behind(case, ledger, facts);
            let mut partial = partial.clone();
            if rule.gate == Gate::Transfer {
                // Who would get it has an interest.
                partial.extend(takers(case, ledger));
            }
            let whole = rule.is_whole(case);
            let said = (case.uid.as_str(), case.votes.as_slice(), partial.as_slice());
            let counted = rule.clone().counted(said, items, unclear, now);
            Counted { whole, ..counted }
        });
        let counted: Vec<Counted> = behind.chain(case.loosenings.iter().cloned()).collect();
        let wake = counted.iter().filter_map(|c| c.standing.wake).min();
        Self { counted, wake }
    }

    /// The word for why `fact` of `system` waits for people; none when it does not.
    pub fn closed(&self, system: &System, ledger: &SystemLedger, fact: &FactSpec) -> Option<&'static str> {
        let account = ledger.account.as_ref().map_or("", |bound| bound.id.as_str());
        let mut word = None;
        for counted in self.covering(system, ledger, fact) {
            match counted.standing.state {
                State::Open
                    if counted.is_about(&system.row, account, &fact.name)
                        && counted.hands_over_as(system, ledger) => {}
                State::Denied => return Some(APPROVAL_DENIED),
                // What was bound since the people were asked is not what they said yes to.
                State::Open | State::Waiting | State::Expired => word = Some(AWAITING_APPROVAL),
            }
        }
        word
    }

    /// The votes that opened the gates of `fact`.
    pub fn opened_by<'v>(
        &self,
        system: &System,
        ledger: &SystemLedger,
        fact: &FactSpec,
        votes: &'v [Vote],
    ) -> Vec<&'v Vote> {
        let ids: BTreeSet<&String> = self
            .covering(system, ledger, fact)
            .flat_map(|counted| &counted.standing.counted)
            .collect();
        votes.iter().filter(|vote| ids.contains(&vote.id)).collect()
    }

    fn covering<'g>(
        &'g self,
        system: &'g System,
        ledger: &'g SystemLedger,
        fact: &'g FactSpec,
    ) -> impl Iterator<Item = &'g Counted> {
        self.counted
            .iter()
            .filter(|counted| counted.rule.covers(system, ledger, fact))
    }
}

/// The names of those who would take something over.
fn takers(case: &Case, ledger: &Ledger) -> Vec<String> {
    let people = case.systems.iter().filter_map(|system| system.successor.as_ref());
    let known = people.flat_map(|taker| taker.emails().chain(&taker.employee_id).cloned());
    let bound = ledger
        .systems
        .values()
        .filter_map(|system| system.successor.as_ref());
    known
        .chain(bound.flat_map(|taker| [taker.name.clone(), taker.id.clone()]))
        .collect()
}

impl Rule {
    /// What is behind it, and whether that is not known as a whole: a connector with an account is broken.
    fn behind<'f>(
        &self,
        case: &Case,
        ledger: &Ledger,
        facts: &dyn Fn(&str) -> &'f [FactSpec],
    ) -> (BTreeSet<Item>, bool) {
        let mut items = BTreeSet::new();
        let mut unclear = false;
        if self.is_whole(case) {
            return (items, unclear);
        }
        for system in &case.systems {
            let Some(kept) = ledger.systems.get(&system.row) else {
                continue;
            };
            let Some(account) = &kept.account else { continue };
            let item = Item {
                row: system.row.clone(),
                system: account.fingerprint.clone().unwrap_or_default(),
                account: account.id.clone(),
                ..Item::default()
            };
            if self.gate == Gate::Account {
                items.extend(names_a_stranger(system, kept).then_some(item));
                continue;
            }
            if self.gate == Gate::Guard {
                items.extend(guard::holds(system, kept).then_some(item));
                continue;
            }
            let known = facts(&system.row);
            unclear |= known.is_empty();
            let wanted = |fact: &&FactSpec| {
                let wanted = system.wanted.get(&fact.name);
                self.covers(system, kept, fact) && wanted.is_some_and(|wanted| *wanted != Wanted::Not)
            };
            let taker = taker(system, kept).filter(|_| self.gate == Gate::Transfer);
            items.extend(known.iter().filter(wanted).map(|fact| Item {
                fact: fact.name.clone(),
                requests: fact.digest.clone(),
                successor: taker.clone(),
                ..item.clone()
            }));
        }
        (items, unclear)
    }

    /// Counts the `votes` about `items` for the Offboarding `uid`; those who are `partial` cannot say yes.
    fn counted(
        self,
        (uid, votes, partial): (&str, &[Vote], &[String]),
        items: BTreeSet<Item>,
        unclear: bool,
        now: Timestamp,
    ) -> Counted {
        let mut plan = plan_of(uid, self.gate, &items);
        let mut since = now;
        if let Some((earlier, began)) = &self.since {
            if unclear {
                plan.clone_from(earlier);
            }
            if plan == *earlier {
                since = *began;
            }
        }
        let mut standing = self.count(&plan, votes, partial, since, now);
        if unclear && standing.state == State::Open {
            standing.state = State::Waiting;
        }
        Counted {
            rule: self,
            plan,
            since,
            standing,
            whole: false,
            replaces: None,
            items,
        }
    }

    /// Whether it is about the leaver as such, whatever there is of them.
    fn is_whole(&self, case: &Case) -> bool {
        self.gate == Gate::Guard && case.systems.iter().all(|system| system.places.is_none())
    }
}

/// The digest of what is behind a gate of the Offboarding `uid`.
pub fn plan_of(uid: &str, gate: Gate, items: &BTreeSet<Item>) -> String {
    let gate = format!("{gate:?}");
    let parts = items.iter().flat_map(|item| {
        let successor = item.successor.as_deref().unwrap_or_default();
        [
            item.row.as_str(),
            &item.system,
            &item.account,
            &item.fact,
            &item.requests,
            successor,
        ]
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
