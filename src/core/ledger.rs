//! What must survive a crash: bindings, intents, receipts, snapshots, reversals.
//!
//! A ledger entry never makes a fact true. It says what we asked for and when, so that an open intent is
//! resolved by looking (R12), a settle time is measured from the right moment, and a reinstatement knows what
//! was there before.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    commitment::Terms,
    fact::Class,
    identity::{Binding, Person},
    kept::{Packed, TooLarge},
    way_back::WaysBack,
};

/// Everything durable about one Offboarding, by system.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// By name of the system's row (connector name, or `connector/account` for a named extra account).
    #[serde(default)]
    pub systems: BTreeMap<String, SystemLedger>,
    /// When access of somebody who goes at once ended, as we first knew: acts are compared with it, so that it must not move
    /// in a crash before the first status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_once: Option<Timestamp>,
    /// What the end of access is held to; none before the first look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
    /// When everything that is to be handed over was first proven to be: what is deleted is kept for the policy's retention
    /// from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_over: Option<Timestamp>,
    /// The leaver's manager as a directory first told: what takes it away there later changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<Manager>,
}

/// Whom the directories name as the leaver's manager.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manager {
    /// Who; none when all were asked and no one knows any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<Person>,
    /// The row of the system that told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
}

/// Everything durable about one system of one Offboarding.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemLedger {
    /// The account, once bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Binding>,
    /// The successor's account in the same system, once bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<Binding>,
    /// The address by which that one was found: who takes over may change until they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor_known_as: Option<String>,
    /// Set when a complete `find` said that the person has no account here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_account: bool,
    /// When an account of theirs was first found, whether or not it could be bound: who is not found any more after that is no
    /// nobody (S10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<Timestamp>,
    /// When another active account of theirs was first found beside the bound one: a person is asked about it until a complete
    /// `find` shows none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub another: Option<Timestamp>,
    /// When we first looked for an account with access to be ended and had no answer: somebody may have one there (R21). None as
    /// soon as there is an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sought: Option<Timestamp>,
    /// When there was first no account with access to be ended: one that is there later is somebody's new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_account_since: Option<Timestamp>,
    /// Set when an answer carried another id than the bound one; all writes to the system stay stopped until a
    /// person removes this (R4).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub identity_mismatch: bool,
    /// Since when the account is seen to be one that must not be changed, though it was closed by us: a person decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protected: Option<Timestamp>,
    /// What was there before our first removal, by fact. Never overwritten by less: see [`SystemLedger::keep`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub snapshot: BTreeMap<String, Value>,
    /// The same of the facts where that is too long to be kept as it is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub packed: BTreeMap<String, Packed>,
    /// What was there and is not kept, by fact: a reinstatement cannot give it back.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub too_large: BTreeMap<String, TooLarge>,
    /// How each fact that we made true is taken back, as its definition said when it was first asked for.
    #[serde(default, skip_serializing_if = "WaysBack::is_empty")]
    pub ways_back: WaysBack,
    /// By fact name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, FactLedger>,
    /// The facts that were ever wanted of the bound account, with what each is about: they stay to be proven whatever becomes
    /// of the Connector and its definition (R21).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scope: BTreeMap<String, Class>,
}

/// Everything durable about one fact.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FactLedger {
    /// An act that may have been sent and has no receipt: look before anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Timestamp>,
    /// When an act that can be taken back was last sent: it may be ours that the fact is true, whatever was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried: Option<Timestamp>,
    /// When the system last accepted an act for this fact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Timestamp>,
    /// Nobody answered that act: that it was accepted was concluded from a read, which may have been a late one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub concluded: bool,
    /// The system's own clock when it accepted, if it told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_there: Option<Timestamp>,
    /// The long-running operation that the last act started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Which rung of the ladder of alternatives is tried next.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rung: usize,
    /// When it was first read back as true after our act (or found true).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Timestamp>,
    /// When it was last seen undone after that: for its settle time a read may still show what was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubted: Option<Timestamp>,
    /// The cutoff that it was last seen true for, of a fact that depends on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cutoff: Option<Timestamp>,
    /// It was done and cannot be taken back: of the fact that says that another one is undone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
    /// Digests of the requests that cannot give back any more what they would: of the fact that says that another one is
    /// undone.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub gone: BTreeSet<String>,
    /// When the person, or the system by a callback, spoke on whose word alone it counts as done; none when it was read, or is
    /// not done.
    #[serde(default, rename = "word", skip_serializing_if = "Option::is_none")]
    pub attested_at: Option<Timestamp>,
    /// The newest moment of which a read showed that a task is not done: an older word counts no more.
    #[serde(default, rename = "disproved", skip_serializing_if = "Option::is_none")]
    pub refuted_at: Option<Timestamp>,
    /// Of a fact that the system reports: an answer to what was asked before this moment changes nothing any more.
    #[serde(default, rename = "heard", skip_serializing_if = "Option::is_none")]
    pub callback_watermark: Option<Timestamp>,
    /// How often somebody else undid it after it was verified.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reversals: usize,
    /// How many others lost something by the act for it, and whether they have it again, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl FactLedger {
    /// Whether it was proven, or asked for.
    pub fn begun(&self) -> bool {
        self.verified.is_some() || self.asked()
    }

    /// Whether it was asked for, as far as is known.
    pub fn asked(&self) -> bool {
        self.accepted.or(self.tried).or(self.intent).is_some()
    }
}

impl Ledger {
    /// Whether all snapshots are kept as they are.
    pub fn is_plain(&self) -> bool {
        let mut systems = self.systems.values();
        systems.all(|ledger| ledger.packed.is_empty() && ledger.too_large.is_empty())
    }

    /// The first system and fact whose snapshot is not what was written, as `system/fact`.
    pub fn first_altered(&self) -> Option<String> {
        let mut systems = self.systems.iter();
        systems.find_map(|(row, ledger)| Some(format!("{row}/{}", ledger.first_altered()?)))
    }

    /// The same with all instants of asking set to one value: what is left differs only when something happened.
    #[must_use]
    pub fn without_times(&self) -> Self {
        let mut same = self.clone();
        same.at_once = None;
        for fact in same
            .systems
            .values_mut()
            .flat_map(|system| system.facts.values_mut())
        {
            for at in [
                &mut fact.intent,
                &mut fact.tried,
                &mut fact.accepted,
                &mut fact.accepted_there,
                &mut fact.doubted,
            ] {
                *at = at.map(|_| Timestamp::UNIX_EPOCH);
            }
        }
        same
    }
}

impl SystemLedger {
    /// Whether somebody has an account there, or may have: what is so stays to be proven (R21).
    pub fn concerns_somebody(&self) -> bool {
        let maybe = self.found.or(self.sought).is_some() && !self.no_account;
        self.account.is_some() || maybe
    }

    /// Whether we asked for the end of access of the bound account, or may have.
    pub fn was_closed(&self) -> bool {
        let mut access = self.scope.iter().filter(|(_, class)| class.security());
        self.account.is_some() && access.any(|(fact, _)| self.fact(fact).asked())
    }

    /// How often somebody else undid each fact after it was verified; none for those that nobody undid.
    pub fn reversals(&self) -> BTreeMap<String, usize> {
        let undone = self.facts.iter().filter(|(_, entry)| entry.reversals > 0);
        undone
            .map(|(name, entry)| (name.clone(), entry.reversals))
            .collect()
    }

    /// What others lost by the acts for each fact; none for those that spared everybody.
    pub fn others(&self) -> BTreeMap<String, String> {
        let others = self.facts.iter();
        others
            .filter_map(|(name, entry)| Some((name.clone(), entry.others.clone()?)))
            .collect()
    }

    /// What is not kept of what was taken away, by fact, in words.
    pub fn not_kept(&self) -> BTreeMap<String, String> {
        let not_kept = self.too_large.iter();
        not_kept
            .map(|(fact, too_large)| (fact.clone(), too_large.to_string()))
            .collect()
    }

    /// What is durable about `fact`, empty when nothing is yet.
    pub fn fact(&self, fact: &str) -> &FactLedger {
        const NOTHING: &FactLedger = &FactLedger {
            intent: None,
            tried: None,
            accepted: None,
            concluded: false,
            accepted_there: None,
            operation: None,
            rung: 0,
            verified: None,
            doubted: None,
            cutoff: None,
            lost: false,
            gone: BTreeSet::new(),
            attested_at: None,
            refuted_at: None,
            callback_watermark: None,
            reversals: 0,
            others: None,
        };
        self.facts.get(fact).unwrap_or(NOTHING)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::kept::Room;

    #[test]
    fn a_stored_record_keeps_the_names_it_was_written_with() {
        let stored = json!({
            "word": "2026-09-30T10:00:00Z",
            "disproved": "2026-09-30T11:00:00Z",
            "heard": "2026-09-30T12:00:00Z",
        });
        let entry: FactLedger = serde_json::from_value(stored.clone()).unwrap();
        let at = |hour: i64| Timestamp::from_second(1_790_762_400 + hour * 3600).ok();
        let read = [entry.attested_at, entry.refuted_at, entry.callback_watermark];
        assert_eq!(read, [at(0), at(1), at(2)]);
        assert_eq!(serde_json::to_value(entry).unwrap(), stored);
    }

    #[test]
    fn a_later_look_never_shrinks_a_snapshot() {
        let (mut ledger, room) = (SystemLedger::default(), Room::default());
        assert!(ledger.keep("GroupsRemoved", &json!(["a", "b"]), &room));
        assert!(!ledger.keep("GroupsRemoved", &json!(["b"]), &room));
        assert!(ledger.keep("GroupsRemoved", &json!(["c"]), &room));
        assert_eq!(ledger.snapshot["GroupsRemoved"], json!(["a", "b", "c"]));
    }
}
