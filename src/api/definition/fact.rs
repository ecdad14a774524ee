//! What must hold in a system, how that is known, and what makes it so.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Request;
use crate::{
    api::connector::free_value,
    core::fact::{Class, Proof, Stage},
};

/// One fact of a definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a separate statement that a definition may make"
)]
pub struct Fact {
    /// What it means, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What makes it effective in the system, and what goes on all the same, for people: a flag is not its effect. What can
    /// be read of that belongs into `holds`. Every fact that ends access should say it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub effect: String,
    /// What it is about.
    pub class: Class,
    /// When it is wanted. Default: `Retention` for class Deletion, else `Cutoff`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// Wanted only where a Connector or a policy asks for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Expression: whether it concerns this account at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Expression: whether it is true. Needed unless there is `none`, or the proof is `None` or `Elapsed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<String>,
    /// Expression: a list of which none may be left, such as `reads.tokens`. Unless `holds` says otherwise, the fact holds
    /// where the list is empty. A request of `act` that speaks of `item`, and has no `each`, is made for each element of the
    /// list; `says` knows how many there are as `count`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub none: Option<String>,
    /// Expression, for proof `Elapsed`: the instant from which it is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// How it can be known.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub proof: Proof,
    /// The system says by the `callback` of its act that it is done: only then is it Asserted. Only with proof `None`; what can
    /// be read is Verified by a read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reported: bool,
    /// Asked for only once these are proven.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// Asked for once these were accepted; proven only by a read at or after these were seen true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// These are tried first, but never block it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefers_after: Vec<String>,
    /// Cannot be taken back. Only for class Deletion or Data.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub irreversible: bool,
    /// Asking twice makes two of something. A durable intent comes before the act.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unrepeatable: bool,
    /// How long an accepted act may stay invisible. Default: the definition's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^([0-9]+(ms|s|m|h|d))+$"))]
    pub settle: Option<String>,
    /// Expression: what is there before and would be taken away, kept for a reinstatement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// The requests that make it true, in order. Nothing further is sent after one that fails; but where `each` makes
    /// several of one, all of them are sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub act: Vec<Request>,
    /// What `act` must leave as it is, such as the other members of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spares: Option<Spares>,
    /// Alternatives to `act`, tried one after the other as each is refused or without effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ladder: Vec<Request>,
    /// A person makes it true, instead of `act`. Whoever says that it is done (an Approval, gate `Task`) is believed until
    /// something that was true later says otherwise: it is Asserted then, and Verified only when `holds` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskSpec>,
    /// The requests that take it back, in order; one that is refused keeps none of the others from being sent. Of a
    /// snapshot that is a list only what is missing is given back; of any other only as long as the fact still holds, so
    /// that nothing older takes the place of what somebody else has changed since. One that speaks of `item`, and has no `each`, is
    /// made for each element of the snapshot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undo: Vec<Request>,
    /// Expression: an operation is still working. Asked even without an id of ours, so that one whose answer was lost, or
    /// that somebody else started, is found too; what speaks of `operations` has no value then and is taken for false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<String>,
    /// Expression: an operation that we started has failed; it is asked for again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// Template: what the act does, for the plan, such as `leave ${counted(count, 'group')}`; `count` is known where there is `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
}

/// What an act with `each` must leave as it is. It is read before and after the first of the requests, and of further ones until
/// there was something to see. Where all of it is gone afterwards it is put back and nothing more is sent in a way that is
/// looked at so (`OthersAffected`): a person lets the Connector ask otherwise, or waives the fact.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spares {
    /// Expression over the `item` of `each`: what `read` and `back` know as `item`, such as its id.
    pub of: String,
    /// The read, a request as any other; its value is a list.
    #[schemars(schema_with = "free_value")]
    pub read: Request,
    /// The request that puts back `lost`, the elements of that list.
    #[schemars(schema_with = "free_value")]
    pub back: Request,
}

/// What a person is asked to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaskSpec {
    /// Template: what is to be done, in one line.
    pub title: String,
    /// Template: who should do it: a name, an address or a team.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub assignee: String,
    /// Template: how, and where to look.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instructions: String,
    /// Template: how long it may take from the moment it is wanted, such as `3d`. Default `3d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_in: Option<String>,
    /// Expression: of which moment the reads tell, where that is not now: the date of an export. One that is older than
    /// somebody's word says nothing against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
}
