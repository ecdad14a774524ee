//! Facts: the smallest predicates about one account, how each can be known, and what is known now.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{fault::Fault, kept::There, task::Task};

/// What a fact is about. Decides when it is wanted and what it may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Class {
    /// The account can no longer log in.
    Access,
    /// Sessions and tokens that are already open.
    Sessions,
    /// Passwords, keys, factors.
    Credentials,
    /// Groups, roles, permissions.
    Entitlements,
    /// Phones and computers.
    Devices,
    /// Incoming mail: replies, forwarding, delegates.
    Mail,
    /// Ownership of what the person made.
    Data,
    /// Paid seats.
    Licenses,
    /// Entries in HR or payroll.
    Record,
    /// Things that cannot be brought back.
    Deletion,
}

impl Class {
    /// Security facts start at the cutoff and wait for nobody (R7).
    pub fn security(self) -> bool {
        matches!(
            self,
            Self::Access | Self::Sessions | Self::Credentials | Self::Entitlements | Self::Devices
        )
    }

    /// Facts that close a way in: a login, a session, a credential, a device.
    pub fn closes_a_way_in(self) -> bool {
        self.security() && self != Self::Entitlements
    }

    /// Facts that hand something over to the successor.
    pub fn hands_over(self) -> bool {
        matches!(self, Self::Mail | Self::Data)
    }

    /// Facts that leave the leaver, and whoever relies on the account, with less than before.
    pub fn takes_away(self) -> bool {
        !self.hands_over() && self != Self::Record
    }
}

/// When a fact is wanted, unless the policy's timeline says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Stage {
    /// As soon as the Offboarding is known: native expiry is armed so that access ends even without us.
    Ahead,
    /// At the cutoff.
    Cutoff,
    /// At the cutoff plus the policy's retention, and only if the policy wants it at all.
    Retention,
}

/// How a fact can be known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Proof {
    /// The state itself can be read.
    #[default]
    Direct,
    /// A timestamp can be read that is not older than our act.
    Watermark,
    /// An entry in the system's audit log can be read.
    Log,
    /// True from an instant that can be computed.
    Elapsed,
    /// Only asked for; can never be Verified.
    None,
}

/// What a definition says about one fact, as far as the rules need it.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a separate property that the rules ask for by name"
)]
pub struct FactSpec {
    /// `PascalCase` name; the type of the condition.
    pub name: String,
    /// What it is about.
    pub class: Class,
    /// When it is wanted by default.
    pub stage: Stage,
    /// How it can be known.
    pub proof: Proof,
    /// Asked for only once these are Verified (or not needed).
    pub requires: Vec<String>,
    /// Asked for once these were accepted; proven only by a read at or after these were seen true.
    pub after: Vec<String>,
    /// These are tried first; if they fail, this goes ahead.
    pub prefers_after: Vec<String>,
    /// Cannot be taken back: needs every gate of R9.
    pub irreversible: bool,
    /// Asking twice does no harm. If not, a durable intent comes before the act (R12).
    pub repeatable: bool,
    /// Whether it holds depends on when access ends: another cutoff may make it untrue, and is nobody's doing.
    pub dated: bool,
    /// Whether it applies is said by the configuration alone, and not by what the account is.
    pub configured: bool,
    /// Takes something away that a reinstatement needs: a durable snapshot comes before the act.
    pub removes: bool,
    /// How long an accepted act may stay invisible to our reads.
    pub settle: SignedDuration,
    /// A person does it: there is a task instead of an act.
    pub by_hand: bool,
    /// Digest of what its definition and its Connector say is sent, and how it is known; empty where nothing is sent.
    pub digest: String,
    /// The system itself says later that it is done, and is waited for so long before it is asked again. Only of what cannot be
    /// read.
    pub reported: Option<SignedDuration>,
}

impl FactSpec {
    /// The plainest one: read directly and at once, asked for by a request that can be repeated and, unless it deletes, taken back.
    pub fn plain(name: impl Into<String>, class: Class) -> Self {
        let deletes = class == Class::Deletion;
        Self {
            name: name.into(),
            class,
            stage: if deletes { Stage::Retention } else { Stage::Cutoff },
            proof: Proof::Direct,
            requires: vec![],
            after: vec![],
            prefers_after: vec![],
            irreversible: deletes,
            repeatable: true,
            dated: false,
            configured: false,
            removes: false,
            settle: SignedDuration::ZERO,
            by_hand: false,
            digest: String::new(),
            reported: None,
        }
    }
}

/// What one look showed about one fact.
#[derive(Debug, Clone, PartialEq)]
pub enum Truth {
    /// The reads it rests on were not done in this look yet.
    NotRead,
    /// The predicate is true.
    Holds,
    /// The predicate is false.
    DoesNotHold,
    /// An accepted long-running operation is still working.
    Running,
    /// The definition says that this fact does not concern this account.
    NotApplicable,
    /// It will be true at this instant without anybody doing anything (`Elapsed`).
    HoldsFrom(Timestamp),
    /// It could be read in principle, and was not (R2).
    Unreadable(Fault),
}

/// One fact as one look showed it, with what could be done about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    /// What the look showed.
    pub truth: Truth,
    /// The requests that would make it true, in order; empty when it holds or nothing can be sent.
    pub act: Option<Act>,
    /// What is there now and would be taken away; goes into the snapshot before the act.
    pub snapshot: Option<There>,
    /// A person's sentence for the plan, such as `leave 14 groups`.
    pub says: String,
    /// How many things the act would change (for `leave 14 groups`: 14).
    pub count: usize,
    /// What a person is asked to do, of a fact that is done by hand.
    pub task: Option<Task>,
    /// Why there is no act though something could be sent: a person must decide first.
    pub refused: Option<Fault>,
}

impl Sight {
    /// A sight without an act.
    pub fn of(truth: Truth) -> Self {
        Self {
            truth,
            act: None,
            snapshot: None,
            says: String::new(),
            count: 0,
            task: None,
            refused: None,
        }
    }

    /// The same for showing it: what is there may be large, and is of no use once the look is over.
    #[must_use]
    pub fn without_snapshot(&self) -> Self {
        Self {
            truth: self.truth.clone(),
            act: self.act.clone(),
            snapshot: None,
            says: self.says.clone(),
            count: self.count,
            task: self.task.clone(),
            refused: self.refused.clone(),
        }
    }
}

/// The requests that make one fact true. What they are is the connector's business; the rules only see that
/// they exist, their number and a digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Act {
    /// The fact it is for.
    pub fact: String,
    /// Fully resolved requests, in order. `Null` never occurs.
    pub requests: Vec<Value>,
    /// Which rung of the definition's ladder of alternatives this is.
    pub rung: usize,
    /// There is another alternative after this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// What a system answered to an act. It proves only that we asked (R1).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The id of a long-running operation, to be polled by a read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The system's own clock when it answered, if it told. Watermarks are compared with this, not with our clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Digests of the requests that give back what is gone by now, and so cannot be given back.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub gone: BTreeSet<String>,
}

/// What is known about one fact after a look, judged by the rules.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Read after the last act on that system, and true.
    Verified,
    /// Asked for; nothing to read.
    Asserted,
    /// There is no account, or the fact does not concern it, or the policy leaves it out.
    NotNeeded(Exempt),
    /// Not wanted before this instant.
    NotDue(Timestamp),
    /// False, and an act is allowed now or as soon as its edges allow.
    Unmet(Why),
    /// Asked for and within its settle time, or an operation is running: look again then.
    Pending(Timestamp),
    /// All is done, and what nobody can shorten lives on until this instant: no access left, no lateness, and not done.
    Exposed(Timestamp),
    /// Could be read and was not. Never counts as done (R2).
    Unknown(Fault),
}

/// Why a fact needs nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exempt {
    /// The person has no account there; a complete `find` said so.
    NoAccount,
    /// The definition says the fact does not concern this account.
    NotApplicable,
    /// The policy skips it, or an exception with a reason keeps it.
    Waived,
    /// It was wanted until an instant that is past.
    Over,
    /// It was done and cannot be taken back: a reinstatement leaves it to a person.
    NotRestorable,
    /// It was taken back but for so many things that are gone by now, or that somebody else has decided since.
    GoneMeanwhile(usize),
}

/// Why a fact is not true yet.
#[derive(Debug, Clone, PartialEq)]
pub enum Why {
    /// Nothing was tried yet.
    NotTried,
    /// Waits for the facts named.
    WaitsFor(Vec<String>),
    /// The act was accepted, its settle time is over and the read still shows it false.
    NotEffective,
    /// The act failed.
    Failed(Fault),
    /// Somebody else undid it three times: we stopped fighting (R14).
    ControllerConflict,
    /// A gate of R9 is closed; the text says which.
    Gated(&'static str),
    /// The fact can be read but the definition has no act for it.
    NoAct,
}

/// One fact after a look: what its definition says of it, what is known, and what the look showed.
#[derive(Debug, Clone, PartialEq)]
pub struct FactState {
    /// What its definition says.
    pub spec: FactSpec,
    /// What the rules conclude.
    pub verdict: Verdict,
    /// What the look showed; none where nothing was looked at.
    pub sight: Option<Sight>,
}

impl FactState {
    /// A fact that this look showed.
    pub fn seen(spec: FactSpec, verdict: Verdict, sight: Sight) -> Self {
        Self {
            spec,
            verdict,
            sight: Some(sight),
        }
    }

    /// A fact of which something is known without a look.
    pub fn unseen(spec: FactSpec, verdict: Verdict) -> Self {
        Self {
            spec,
            verdict,
            sight: None,
        }
    }
}

impl Verdict {
    /// Whether nothing is left to do or to know for this fact.
    pub fn settled(&self) -> bool {
        matches!(self, Self::Verified | Self::Asserted | Self::NotNeeded(_))
    }

    /// Whether there is nothing that anybody could do about it now: settled, or an exposure.
    pub fn at_rest(&self) -> bool {
        self.settled() || matches!(self, Self::Exposed(_))
    }

    /// Whether the fact is wanted now (or nothing needs to be done about it at all).
    pub fn due(&self) -> bool {
        !matches!(self, Self::NotDue(_))
    }
}
