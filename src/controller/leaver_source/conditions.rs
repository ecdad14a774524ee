//! What a source's status says, and what is told by Events.

use std::{fmt::Write as _, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::listing::Listing;
use crate::{
    api::{
        Condition,
        ConditionStatus::{False, True},
        LeaverSource,
        condition::{
            PROGRESSING, PROGRESSING_WITH_RETRY, READY, RECONCILING, STALLED, keep_transition_times,
        },
        source::{GuardStatus, LeaverSourceStatus},
    },
    controller::{
        Context,
        runtime::{api_client::ApiError, status_writer::StatusWriter},
    },
    core::leavers::compare::{Ask, Change},
};

/// So many kinds of unusable records are named, and so many records of each.
const NAMED: usize = 5;
/// When only the time has changed, it is written so often.
const SYNCED_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// How a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPhase {
    /// All is well.
    Synced,
    /// It is being worked on.
    Progressing,
    /// It failed, and is tried again.
    Retrying,
    /// A person must change something.
    Stalled,
    /// A person wanted it so.
    Suspended,
}

/// What is to be said about a source.
#[derive(Debug, Clone)]
pub struct StatusUpdate {
    /// How it is.
    pub phase: SyncPhase,
    /// One word for `Ready`.
    pub reason: &'static str,
    /// One line.
    pub message: String,
}

/// The status that says so.
pub fn status(source: &LeaverSource, said: &StatusUpdate, now: Timestamp) -> LeaverSourceStatus {
    let before = source.status.clone().unwrap_or_default();
    let generation = source.metadata.generation.unwrap_or_default();
    let condition = |type_, status, reason| Condition::new(type_, status, reason, &said.message);
    let ready = match said.phase {
        SyncPhase::Synced => True,
        _ => False,
    };
    let beside = match said.phase {
        SyncPhase::Progressing => Some(condition(RECONCILING, True, PROGRESSING)),
        SyncPhase::Retrying => Some(condition(RECONCILING, True, PROGRESSING_WITH_RETRY)),
        SyncPhase::Stalled => Some(condition(STALLED, True, said.reason)),
        SyncPhase::Synced | SyncPhase::Suspended => None,
    };
    let conditions = [condition(READY, ready, said.reason)].into_iter().chain(beside);
    let mut conditions: Vec<_> = conditions.map(|c| c.observed_for(generation)).collect();
    keep_transition_times(&mut conditions, &before.conditions, now);
    LeaverSourceStatus {
        observed_generation: generation,
        conditions,
        ..before
    }
}

/// Whether `after` says more than that time went by.
pub fn worth_writing(
    before: &LeaverSourceStatus,
    after: &LeaverSourceStatus,
    window: SignedDuration,
    now: Timestamp,
) -> bool {
    let timeless = |status: &LeaverSourceStatus| {
        let mut status = status.clone();
        status.synced = None;
        if let Some(guard) = &mut status.guard {
            guard.as_of = None;
            guard.admitted.retain(|a| now.duration_since(a.at) < window);
        }
        status
    };
    let due = match (before.synced, after.synced) {
        (Some(before), Some(after)) => after.duration_since(before) >= SYNCED_EVERY,
        (before, after) => before != after,
    };
    due || timeless(before) != timeless(after)
}

/// Writes `status`, at the version of `source`. Returns the source as it is now.
pub async fn write(
    context: &Context,
    source: &Arc<LeaverSource>,
    status: &LeaverSourceStatus,
) -> Result<Arc<LeaverSource>, ApiError> {
    if !context.acts() {
        return Err(ApiError::Conflict);
    }
    let namespace = source.namespace().unwrap_or_default();
    StatusWriter::namespaced(context, &namespace)
        .write(source, status)
        .await
}

/// What a look leaves for people to read.
pub struct Findings<'f> {
    /// Which records are unusable, and why.
    pub unusable: &'f [(String, String)],
    /// Which records have a time zone that nobody knows.
    pub zoneless: &'f [(String, String)],
    /// How many records there are.
    pub records: usize,
    /// More are unusable than the user allows.
    pub degraded: bool,
    /// Where a person is asked.
    pub asks: &'f [Ask],
    /// Writes that the API server refused.
    pub refused: usize,
    /// What is wrong with the wake message's key.
    pub key: Option<String>,
    /// The guard after the look.
    pub guard: &'f GuardStatus,
    /// The changes that it holds.
    pub held: &'f [&'f Change],
    /// Its limits that were loosened, and hold as they were.
    pub loosened: &'f [String],
    /// The most that it lets through.
    pub most: u32,
    /// The window that holds.
    pub window: String,
    /// Where a person reads who is in the held set.
    pub listing: Listing<'f>,
    /// Somebody said no to what is held.
    pub denied: bool,
    /// An Approval was there and could not be trusted.
    pub untrusted: bool,
}

/// What a look that went through says.
pub fn synced(found: &Findings<'_>) -> StatusUpdate {
    if let Some(why) = &found.guard.tripped {
        return StatusUpdate {
            phase: SyncPhase::Stalled,
            reason: "GuardTripped",
            message: tripped(found, why),
        };
    }
    let mut parts = vec![];
    if found.refused > 0 {
        parts.push(format!(
            "{} Offboardings could not be written, see the log",
            found.refused
        ));
    }
    parts.extend(found.key.clone());
    parts.extend(found.listing.left());
    if let Some(ask) = found.asks.first() {
        parts.push(format!(
            "{} to decide: {}: {}",
            found.asks.len(),
            ask.name,
            ask.why
        ));
    }
    let unusable = unusable(found.unusable, found.records);
    let degraded = unusable.is_some() && found.degraded;
    if degraded {
        // Why it is not ready comes first.
        parts.splice(0..0, unusable);
    } else {
        parts.extend(unusable);
    }
    if !found.zoneless.is_empty() {
        parts.push(kinds(found.zoneless));
    }
    StatusUpdate {
        phase: if degraded {
            SyncPhase::Stalled
        } else {
            SyncPhase::Synced
        },
        reason: if degraded { "Degraded" } else { "Synced" },
        message: parts.join("; "),
    }
}

/// How many of the records are unusable, and the first of them with the field: by what is the matter, never by a value.
pub fn unusable(all: &[(String, String)], records: usize) -> Option<String> {
    if all.is_empty() {
        return None;
    }
    let each = kinds(all);
    Some(format!("{} of {records} records are unusable: {each}", all.len()))
}

/// What is the matter with records, each kind with the first of them.
fn kinds(all: &[(String, String)]) -> String {
    let mut kinds: Vec<(&str, Vec<&str>)> = vec![];
    for (place, what) in all {
        let what = what.strip_prefix("people.worker.").unwrap_or(what);
        match kinds.iter_mut().find(|(known, _)| *known == what) {
            Some((_, places)) => places.push(place),
            None => kinds.push((what, vec![place])),
        }
    }
    let each = kinds.iter().take(NAMED).map(|(what, places)| {
        let first = places.iter().take(NAMED);
        let more = match places.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{what} ({}{more})", first.copied().collect::<Vec<_>>().join(", "))
    });
    let each = each.collect::<Vec<_>>().join("; ");
    let more = if kinds.len() > NAMED {
        "; all are in the log"
    } else {
        ""
    };
    format!("{each}{more}")
}

fn tripped(found: &Findings<'_>, why: &str) -> String {
    let mut text = match why {
        "Empty" => return "guard: the feed is empty: no change is made until it lists people".to_owned(),
        "Stale" => {
            return "guard: the feed is too old, older than the last one, or dated in the future: no change is made"
                .to_owned();
        }
        "Shrunken" => "guard: the feed has lost too many people: no change is made".to_owned(),
        "Recreated" => format!(
            "guard: {} changes are held: an earlier source had this name, and it is not known what that one let through",
            found.held.len()
        ),
        "Loosened" => "guard".to_owned(),
        _ => format!(
            "guard: {} changes are held, {} fit into {}",
            found.held.len(),
            found.most,
            found.window
        ),
    };
    if !found.loosened.is_empty() {
        let looser = found.loosened.join(", ");
        write!(text, ": spec.guard was loosened ({looser}): it holds as it was")
            .expect("a String takes every text");
    }
    let urgent = found.held.iter().filter(|change| change.urgent()).count();
    if urgent > 0 {
        write!(text, "; {urgent} END ACCESS NOW").expect("a String takes every text");
    }
    if found.guard.held.is_some() {
        write!(text, "; {}", found.listing.text()).expect("a String takes every text");
    }
    text.push_str(match () {
        () if found.denied => "; denied by an Approval",
        () if found.untrusted => "; the Approval is not trusted: install the chart's admission policies",
        () if found.guard.held.is_none() => "; too many for one Approval",
        () => "; one Approval (gate Guard) with plan = status.guard.held releases them",
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{condition::LONGEST_MESSAGE, source::Admitted};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn time_alone_is_written_once_an_hour() {
        let before = LeaverSourceStatus {
            synced: Some(at("2026-09-15T12:00:00Z")),
            guard: Some(GuardStatus {
                population: 5,
                admitted: vec![Admitted {
                    at: at("2026-09-14T12:00:00Z"),
                    count: 1,
                }],
                ..GuardStatus::default()
            }),
            ..LeaverSourceStatus::default()
        };
        let window = SignedDuration::from_hours(24);
        let later = |minutes: i64, guard: GuardStatus| LeaverSourceStatus {
            synced: before.synced.map(|at| at + SignedDuration::from_mins(minutes)),
            guard: Some(guard),
            ..before.clone()
        };
        let now = at("2026-09-15T12:15:00Z");
        let newer = GuardStatus {
            population: 5,
            as_of: Some(now),
            ..GuardStatus::default()
        };
        assert!(!worth_writing(&before, &later(15, newer.clone()), window, now));
        assert!(worth_writing(&before, &later(60, newer.clone()), window, now));
        assert!(worth_writing(
            &before,
            &later(
                15,
                GuardStatus {
                    population: 6,
                    ..newer
                }
            ),
            window,
            now
        ));
    }

    #[test]
    fn unusable_records_are_named_by_number_and_field_and_the_rest_is_counted() {
        assert_eq!(unusable(&[], 3), None);
        let one = |place: &str, what: &str| (place.to_owned(), what.to_owned());
        let mut all = vec![
            one("record 21", "people.worker.lastDay: not a date"),
            one(
                "record 22",
                "people.worker.status: not Active, Leave or Terminated",
            ),
            one("record 24", "people.worker.lastDay: not a date"),
        ];
        assert_eq!(
            unusable(&all, 26).unwrap(),
            "3 of 26 records are unusable: lastDay: not a date (record 21, record 24); \
             status: not Active, Leave or Terminated (record 22)"
        );
        all = (1..=8).map(|n| one(&format!("record {n}"), "email: x")).collect();
        let text = unusable(&all, 9).unwrap();
        assert!(
            text.ends_with("email: x (record 1, record 2, record 3, record 4, record 5 and 3 more)"),
            "{text}"
        );
        all = (1..=8)
            .map(|n| one(&format!("record {n}"), &format!("field{n}: x")))
            .collect();
        let text = unusable(&all, 9).unwrap();
        assert!(
            text.contains("field5") && !text.contains("field6") && text.ends_with("in the log"),
            "{text}"
        );
    }

    #[test]
    fn a_source_never_reconciles_and_stalls_at_once() {
        let source = LeaverSource::new("bamboo", crate::api::LeaverSourceSpec::default());
        for phase in [
            SyncPhase::Synced,
            SyncPhase::Progressing,
            SyncPhase::Retrying,
            SyncPhase::Stalled,
            SyncPhase::Suspended,
        ] {
            let said = StatusUpdate {
                phase,
                reason: "Synced",
                message: "x".repeat(900),
            };
            let status = status(&source, &said, at("2026-09-15T12:00:00Z"));
            let is = |type_: &str| {
                status
                    .conditions
                    .iter()
                    .find(|c| c.type_ == type_)
                    .map(|c| c.status)
            };
            assert!(is("Reconciling").is_none() || is("Stalled").is_none());
            assert_eq!(is("Ready") == Some(True), phase == SyncPhase::Synced);
            assert!(
                status
                    .conditions
                    .iter()
                    .all(|c| c.message.chars().count() <= LONGEST_MESSAGE)
            );
        }
    }
}
