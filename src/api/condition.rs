//! Conditions in the Kubernetes shape: what is observed of an object, since when, and why.
//!
//! # Why
//! `Ready` sums up, as kstatus, Argo CD and `kubectl wait` expect it; `Reconciling` and `Stalled` are there only while true. Types
//! and reasons are an API: people write alerts on them. So each has one constant, and one place builds them.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Everything is as wanted.
pub const READY: &str = "Ready";
/// It is being worked on, or tried again.
pub const RECONCILING: &str = "Reconciling";
/// It does not go on before a person has changed something.
pub const STALLED: &str = "Stalled";
/// Of an Offboarding: all access that is due to end is proven gone.
pub const ACCESS_REVOKED: &str = "AccessRevoked";
/// Of an Offboarding: all data is handed over.
pub const DATA_TRANSFERRED: &str = "DataTransferred";
/// Of an Offboarding: access that was proven gone came back.
pub const DRIFTED: &str = "Drifted";

/// `Reconciling`: it is being worked on.
pub const PROGRESSING: &str = "Progressing";
/// `Reconciling`: it failed, and is tried again.
pub const PROGRESSING_WITH_RETRY: &str = "ProgressingWithRetry";
/// `Ready` of a Connector, a definition or a policy: nothing is wrong with it, as far as can be told without the system.
pub const VALID: &str = "Valid";
/// `Ready` and `Stalled` of a definition or a policy: a field cannot be used.
pub const INVALID: &str = "Invalid";

/// The longest message, in characters: what the schema takes, with room to spare.
pub const LONGEST_MESSAGE: usize = 1000;

/// Whether a condition is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It is.
    True,
    /// It is not.
    False,
    /// It could not be told.
    Unknown,
}

/// One observation about an object, in the Kubernetes shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What is observed, such as `Ready`, or the name of a fact.
    #[serde(rename = "type")]
    pub type_: String,
    /// Whether it is true.
    pub status: ConditionStatus,
    /// One word for why.
    pub reason: String,
    /// One line for people, naming the system first; absent when there is nothing to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(extend("maxLength" = 1024))]
    pub message: String,
    /// The `metadata.generation` that this was observed for; absent in the rows of `status.systems`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When the status last changed.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub last_transition_time: Timestamp,
}

impl Condition {
    /// A condition that has no generation and no time yet; see [`keep_transition_times`]. A message that is too long is cut.
    pub fn new(type_: &str, status: ConditionStatus, reason: &str, message: &str) -> Self {
        Self {
            type_: type_.to_owned(),
            status,
            reason: reason.to_owned(),
            message: message.chars().take(LONGEST_MESSAGE).collect(),
            observed_generation: None,
            last_transition_time: Timestamp::UNIX_EPOCH,
        }
    }

    /// The same, observed for this generation of the object.
    #[must_use]
    pub fn observed_for(self, generation: i64) -> Self {
        Self {
            observed_generation: Some(generation),
            ..self
        }
    }

    /// Whether it is true.
    pub fn is_true(&self) -> bool {
        self.status == ConditionStatus::True
    }
}

/// The condition of this type.
pub fn find<'c>(conditions: &'c [Condition], type_: &str) -> Option<&'c Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Gives each of `conditions` its time: `lastTransitionTime` moves only with the status.
pub fn keep_transition_times(conditions: &mut [Condition], earlier: &[Condition], now: Timestamp) {
    for condition in conditions {
        let before = find(earlier, &condition.type_).filter(|before| before.status == condition.status);
        condition.last_transition_time = before.map_or(now, |before| before.last_transition_time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_moves_only_with_the_status_and_a_message_fits_the_schema() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let condition = |status| Condition::new(READY, status, VALID, &"é".repeat(2000));
        let earlier = [Condition {
            last_transition_time: at(1),
            ..condition(ConditionStatus::True)
        }];
        let mut same = [
            condition(ConditionStatus::True),
            Condition::new(STALLED, ConditionStatus::True, "X", ""),
        ];
        keep_transition_times(&mut same, &earlier, at(2));
        assert_eq!(same.each_ref().map(|c| c.last_transition_time), [at(1), at(2)]);
        let mut other = [condition(ConditionStatus::False)];
        keep_transition_times(&mut other, &earlier, at(2));
        assert_eq!(other[0].last_transition_time, at(2));
        assert_eq!(other[0].message.chars().count(), LONGEST_MESSAGE);
    }
}
