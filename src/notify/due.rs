//! Which messages are due. Pure: from what is known about a leaver to the entries of `status.notified`.
//!
//! # Why
//! It asks what is true now, not what has changed: a pass that saw the change may have been killed before it could tell. What
//! keeps a piece of news from being told twice is its key, which is made from what happened and not from when we noticed.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::{
    api::{
        Condition, ConditionStatus, OffboardingPolicySpec, OffboardingSpec, OffboardingStatus,
        offboarding::{Desired, GateRow, GateState, Notice, NoticeState},
        policy::{Audience, Enforcement, Escalation, NotifyOn, NotifyRule},
        record::Entry,
    },
    core::{
        case::{NO_SYSTEMS, NOTHING_TO_REVOKE, OBSERVED_ONLY},
        duplicate::DUPLICATE,
        schedule,
    },
};

/// An end that was reached longer ago is no news: somebody may have asked for messages only now.
const FRESH: SignedDuration = SignedDuration::from_hours(24);
/// What is late is told again after this time, and people are reminded so often where the policy does not say.
const DAILY: SignedDuration = SignedDuration::from_hours(24);
/// Somebody whose reason to wait comes and goes is told of only so often.
const CALM: SignedDuration = SignedDuration::from_hours(1);
/// What drifted within so much time before the last of it is told together.
const TOGETHER: SignedDuration = SignedDuration::from_mins(1);
/// So many entries are kept of what is over.
const HISTORY: usize = 16;
/// No more entries than this: a status must stay small. What does not fit is told when there is room.
const MOST: usize = 200;
/// The longest `about` of an entry, in characters.
const LONGEST_ABOUT: usize = 300;

/// What is known about a leaver after a pass.
pub struct Known<'a> {
    /// `metadata.uid`.
    pub uid: &'a str,
    /// What is wanted.
    pub spec: &'a OffboardingSpec,
    /// The policy, which says who is told what.
    pub policy: &'a OffboardingPolicySpec,
    /// The status as it will be written, with what was told before.
    pub status: &'a OffboardingStatus,
    /// What happened, oldest first.
    pub evidence: &'a [Entry],
    /// Now.
    pub now: Timestamp,
}

/// A piece of news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// What it is about.
    pub event: NotifyOn,
    /// What makes it another one than the last of the kind.
    id: String,
    /// Which systems, gate or task; never a person.
    about: String,
    /// It is not told of soon after another one with the same first word, if that came up at this instant or later.
    calm: Option<Timestamp>,
}

impl Occurrence {
    fn new(event: NotifyOn, id: impl std::fmt::Display, about: &str) -> Self {
        Self {
            event,
            id: id.to_string(),
            about: about.chars().take(LONGEST_ABOUT).collect(),
            calm: None,
        }
    }

    /// The same for the same news of the same object on the same channel.
    fn key(&self, uid: &str, channel: &str) -> String {
        let mut digest = Sha256::new();
        let event = format!("{:?}", self.event);
        for part in [uid, &event, channel, &self.id] {
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
        let digest = digest.finalize();
        let bytes = digest.iter().take(16);
        bytes.fold(String::new(), |key, byte| key + &format!("{byte:02x}"))
    }
}

/// `status.notified` as it is to be: what was told, and what is due. `knows` says whether there is such a channel.
pub fn notices(known: &Known<'_>, knows: impl Fn(&str) -> bool) -> Vec<Notice> {
    merge(
        known.uid,
        &known.status.notified,
        &known.policy.notify,
        &occurrences(known),
        knows,
        known.now,
    )
}

/// What a guard of a source has to tell.
pub struct Tripped<'a> {
    /// `metadata.uid` of the source.
    pub uid: &'a str,
    /// Digest of the exact set that is held, if one is.
    pub held: Option<&'a str>,
    /// `Empty`, `Shrunken`, `Stale` or `TooMany`, a colon, and how many are held; never a person.
    pub about: &'a str,
    /// Since when the source is not well.
    pub since: Timestamp,
}

/// As [`notices`], for a source whose guard has tripped; `before` is what was told of it. Each held set is told of once. One
/// that grows while people look at it is told of only so often.
pub fn guard_tripped(
    tripped: &Tripped<'_>,
    before: &[Notice],
    rules: &[NotifyRule],
    knows: impl Fn(&str) -> bool,
    now: Timestamp,
) -> Vec<Notice> {
    let id = match tripped.held {
        Some(digest) => digest.to_owned(),
        None => format!("{}/{}", word(tripped.about), tripped.since),
    };
    let mut news = Occurrence::new(NotifyOn::GuardTripped, id, tripped.about);
    news.calm = Some(tripped.since);
    merge(tripped.uid, before, rules, &[news], knows, now)
}

fn merge(
    uid: &str,
    before: &[Notice],
    rules: &[NotifyRule],
    occurrences: &[Occurrence],
    knows: impl Fn(&str) -> bool,
    now: Timestamp,
) -> Vec<Notice> {
    let mut current = BTreeSet::new();
    let mut fresh = vec![];
    for (event, channel, audience) in wanted(rules) {
        for news in occurrences.iter().filter(|news| news.event == event) {
            let key = news.key(uid, channel);
            let told = before.iter().any(|notice| notice.key == key);
            if !current.insert(key.clone()) || told || too_soon(news, channel, before, now) {
                continue;
            }
            let there = knows(channel);
            fresh.push(Notice {
                key,
                event,
                channel: channel.to_owned(),
                audience,
                about: news.about.clone(),
                state: if there {
                    NoticeState::Due
                } else {
                    NoticeState::Failed
                },
                at: now,
                tries: 0,
                reason: (!there).then(|| "NoChannel".to_owned()),
            });
        }
    }
    let mut history = before
        .iter()
        .filter(|notice| !unsent(notice) && !current.contains(&notice.key))
        .count();
    let mut all: Vec<Notice> = before.to_vec();
    // The oldest come first.
    all.retain(|notice| {
        let over = !unsent(notice) && !current.contains(&notice.key);
        let goes = over && history > HISTORY;
        history -= usize::from(goes);
        !goes
    });
    let room = MOST.saturating_sub(all.len());
    all.extend(fresh.into_iter().take(room));
    all
}

/// Event, channel and audience, each channel once for each event: nobody is told the same twice in other words.
fn wanted(rules: &[NotifyRule]) -> Vec<(NotifyOn, &str, Audience)> {
    let mut seen = BTreeSet::new();
    let mut all = vec![];
    for rule in rules {
        for event in &rule.on {
            if seen.insert((*event, rule.channel.as_str())) {
                all.push((*event, rule.channel.as_str(), rule.audience));
            }
        }
    }
    all
}

/// Something that comes and goes is not told of each time.
fn too_soon(news: &Occurrence, channel: &str, before: &[Notice], now: Timestamp) -> bool {
    news.calm.is_some_and(|since| {
        before.iter().any(|notice| {
            notice.event == news.event
                && notice.channel == channel
                && word(&notice.about) == word(&news.about)
                && notice.at >= since
                && now.duration_since(notice.at) < CALM
        })
    })
}

/// The word before the colon.
fn word(about: &str) -> &str {
    about.split(':').next().unwrap_or_default()
}

/// All that is true now and worth telling.
fn occurrences(known: &Known<'_>) -> Vec<Occurrence> {
    let Known {
        spec, status, now, ..
    } = known;
    if spec.suspend || known.policy.enforcement == Enforcement::Plan {
        return vec![];
    }
    let mut all = vec![];
    all.extend(stalled(status));
    all.extend(status.gates.iter().filter_map(|row| approval(known, row)));
    if spec.desired == Desired::Reinstated {
        all.extend(reached(known, NotifyOn::Reinstated));
        return all;
    }
    if let (Some(("Scheduled", _)), Some(cutoff)) = (ready(status), status.cutoff)
        && *now < cutoff
    {
        all.push(Occurrence::new(NotifyOn::Scheduled, cutoff, ""));
    }
    all.extend(overdue(known));
    all.extend(drift(known));
    if matches!(ready(status), Some(("Offboarded" | "Retention", _))) {
        all.extend(reached(known, NotifyOn::Offboarded));
    }
    all
}

fn condition<'s>(status: &'s OffboardingStatus, type_: &str) -> Option<&'s Condition> {
    status.conditions.iter().find(|c| c.type_ == type_)
}

/// Reason and message of `Ready`, when it is true.
fn ready(status: &OffboardingStatus) -> Option<(&str, &str)> {
    let ready = condition(status, "Ready").filter(|c| c.status == ConditionStatus::True)?;
    Some((&ready.reason, &ready.message))
}

fn message(status: &OffboardingStatus) -> &str {
    condition(status, "Ready").map_or("", |c| &c.message)
}

fn stalled(status: &OffboardingStatus) -> Option<Occurrence> {
    let stalled = condition(status, "Stalled").filter(|c| c.status == ConditionStatus::True)?;
    let id = format!("{}/{}", stalled.reason, stalled.last_transition_time);
    let about = format!("{}: {}", stalled.reason, stalled.message);
    let mut news = Occurrence::new(NotifyOn::Stalled, id, &about);
    news.calm = Some(Timestamp::MIN);
    Some(news)
}

/// The end that was wanted is reached, not so long ago.
fn reached(known: &Known<'_>, event: NotifyOn) -> Option<Occurrence> {
    let status = known.status;
    ready(status)?;
    let since = ["Ready", "AccessRevoked", "DataTransferred", "Complete"]
        .iter()
        .filter_map(|type_| condition(status, type_))
        .filter(|c| c.status == ConditionStatus::True)
        .map(|c| c.last_transition_time)
        .max()?;
    let recent = known.now.duration_since(since) < FRESH;
    let id = status.cutoff.map(|at| at.to_string()).unwrap_or_default();
    recent.then(|| Occurrence::new(event, id, ""))
}

/// Access that was proven gone was there again. The record tells, even if it is gone again by now.
fn drift(known: &Known<'_>) -> Option<Occurrence> {
    let drifted = || known.evidence.iter().filter(|entry| entry.event == "Drifted");
    let last = drifted().next_back()?;
    if known.now.duration_since(last.at) >= FRESH {
        return None;
    }
    let together = drifted().filter(|entry| last.at.duration_since(entry.at) < TOGETHER);
    let mut each: Vec<String> = together
        .map(|entry| format!("{}: {}", connector(&entry.system), entry.fact))
        .collect();
    each.sort();
    each.dedup();
    Some(Occurrence::new(NotifyOn::Drift, &last.digest, &each.join(", ")))
}

/// The Connector of a row; the text after the slash is a login name.
fn connector(row: &str) -> &str {
    row.split('/').next().unwrap_or_default()
}

/// Since when each of access and data is late, or when it will be.
fn deadlines(known: &Known<'_>) -> Vec<(&'static str, Timestamp)> {
    let status = known.status;
    let left = |type_: &str, but: &[&str]| {
        condition(status, type_)
            .is_some_and(|c| c.status != ConditionStatus::True && !but.contains(&c.reason.as_str()))
    };
    let mut all = vec![];
    let nobodys = [
        "NotDue",
        "EmployeeNotFound",
        NO_SYSTEMS,
        NOTHING_TO_REVOKE,
        OBSERVED_ONLY,
        DUPLICATE,
    ];
    if left("AccessRevoked", &nobodys) {
        all.extend(status.deadline.map(|at| ("Access", at)));
    }
    if left("DataTransferred", &["NotDue", OBSERVED_ONLY, DUPLICATE]) {
        all.extend(status.data_deadline.map(|at| ("Data", at)));
    }
    all
}

fn overdue(known: &Known<'_>) -> Vec<Occurrence> {
    let late = deadlines(known)
        .into_iter()
        .filter(|(_, since)| *since < known.now);
    late.map(|(what, since)| {
        let day = times(since, known.now, DAILY);
        let about = format!("{what}: {}", message(known.status));
        Occurrence::new(NotifyOn::Overdue, format!("{what}/{since}/{day}"), &about)
    })
    .chain(tasks_overdue(known))
    .collect()
}

fn tasks_overdue<'k>(known: &'k Known<'_>) -> impl Iterator<Item = Occurrence> + 'k {
    known.status.gates.iter().filter_map(|row| {
        let (task, since) = (row.task.as_ref()?, row.overdue?);
        let day = times(since, known.now, DAILY);
        let about = format!("Task: {task}: {} done", row.approvals);
        Some(Occurrence::new(
            NotifyOn::Overdue,
            format!("Task {task}/{since}/{day}"),
            &about,
        ))
    })
}

/// How often `every` has passed between two instants.
fn times(since: Timestamp, now: Timestamp, every: SignedDuration) -> i64 {
    now.duration_since(since).as_secs() / every.as_secs().max(1)
}

fn waits(row: &GateRow) -> bool {
    matches!(row.state, GateState::Waiting | GateState::Expired)
}

fn approval(known: &Known<'_>, row: &GateRow) -> Option<Occurrence> {
    if !waits(row) {
        return None;
    }
    let (every, escalation) = patience(known, row);
    let reminder = times(row.since, known.now, every);
    let escalated = escalation.filter(|(at, _)| *at <= known.now);
    let name = row.task.as_ref().map_or_else(
        || format!("{:?}", row.gate),
        |task| format!("{:?} {task}", row.gate),
    );
    let mut about = format!("{name}: plan {}, {} so far", row.plan, row.approvals);
    if let Some((_, escalation)) = &escalated {
        let people: Vec<&str> = escalation.approvers.iter().map(|a| a.user.as_str()).collect();
        about = format!("{about}, asked too: {}", people.join(", "));
    }
    let id = format!(
        "{name}/{}/{}/{reminder}/{}",
        row.plan,
        row.since,
        escalated.is_some()
    );
    Some(Occurrence::new(NotifyOn::ApprovalNeeded, id, &about))
}

/// How often people are reminded of a gate, and when somebody else is asked too.
fn patience<'p>(known: &Known<'p>, row: &GateRow) -> (SignedDuration, Option<(Timestamp, &'p Escalation)>) {
    let rule = known.policy.gates.iter().find(|rule| rule.gate == row.gate);
    let every = rule.and_then(|rule| schedule::duration(&rule.remind_every).ok());
    let every = every
        .filter(|every| *every >= SignedDuration::from_secs(1))
        .unwrap_or(DAILY);
    let escalation = rule.and_then(|rule| rule.escalation.as_ref()).and_then(|e| {
        let after = schedule::duration(&e.after).ok()?;
        Some((schedule::later(row.since, after), e))
    });
    (every, escalation)
}

/// When something becomes news though nothing changes; none when nobody wants to know.
pub fn wake(known: &Known<'_>) -> Option<Timestamp> {
    let now = known.now;
    if known.spec.suspend || known.policy.enforcement == Enforcement::Plan {
        return None;
    }
    let asked = |event| known.policy.notify.iter().any(|rule| rule.on.contains(&event));
    let after = |since: Timestamp, every: SignedDuration| {
        let next = i32::try_from(times(since, now, every) + 1).unwrap_or(i32::MAX);
        schedule::later(since, every.checked_mul(next).unwrap_or(SignedDuration::MAX))
    };
    let mut moments = vec![];
    if asked(NotifyOn::ApprovalNeeded) {
        for row in known.status.gates.iter().filter(|row| waits(row)) {
            let (every, escalation) = patience(known, row);
            moments.push(after(row.since, every));
            moments.extend(escalation.map(|(at, _)| at).filter(|at| *at > now));
        }
    }
    if asked(NotifyOn::Overdue) && known.spec.desired == Desired::Offboarded {
        moments.extend(deadlines(known).into_iter().map(|(_, since)| {
            if since < now {
                after(since, DAILY)
            } else {
                schedule::later(since, SignedDuration::from_secs(1))
            }
        }));
        let overdue = known.status.gates.iter().filter_map(|row| row.overdue);
        moments.extend(overdue.map(|since| after(since, DAILY)));
    }
    moments.into_iter().min()
}

/// The pause before a message is tried again that could not be sent: from seconds to a quarter of an hour.
pub fn pause(notice: &Notice) -> SignedDuration {
    const LONGEST: SignedDuration = SignedDuration::from_mins(15);
    SignedDuration::from_secs(1 << notice.tries.min(12)).min(LONGEST)
}

/// Whether a message has waited so long that nobody would know what to do with it.
pub fn stale(notice: &Notice, now: Timestamp) -> bool {
    now.duration_since(notice.at) >= DAILY
}

/// Whether there is something left to send.
pub fn open(notified: &[Notice]) -> bool {
    notified.iter().any(unsent)
}

fn unsent(notice: &Notice) -> bool {
    matches!(notice.state, NoticeState::Due | NoticeState::Sending)
}

#[cfg(test)]
mod tests;
