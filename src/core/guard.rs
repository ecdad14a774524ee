//! The mass guard: how many changes a source may make by itself, and whether its feed is believed at all (R18).
//!
//! # Why
//! - A set of changes passes as a whole or is held as a whole. Half a layoff, chosen by the order of a file, is nobody's wish.
//! - What passes is written down ([`State`]) before anything is done. What was written down and is not done yet passes again
//!   without being counted twice; it is counted for the moment at which it is tried again, so that a crash never makes room
//!   for more.
//! - An entry counts for as long as its minute could lie within the window. One that lies ahead of the clock (which was set
//!   back) counts as made now: it never makes room earlier than it should.
//! - Every kind of change counts. An error that takes two hundred ends back is as bad as one that makes two hundred.
//! - Whoever writes a source could loosen its guard, or delete it and make it anew, and all that is held would pass. So a source
//!   begins with the usual [`Limits`], what is looser waits for a yes ([`Tripped::Loosened`]), what is stricter holds at once,
//!   and a source that has lost its memory does nothing by itself ([`Tripped::Recreated`]).

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

mod admission;

use super::{
    gate::{Gate, Rule, Standing, Vote},
    leavers::compare::{hash, hex},
};

pub use admission::{
    Admission, Admissions, AdmittedBy, FirstActs, admit, further_place, further_places, holds,
};

/// The resolution of what is remembered.
const MINUTE: SignedDuration = SignedDuration::from_mins(1);
/// A feed may be so far ahead of our clock.
const SKEW: SignedDuration = SignedDuration::from_hours(1);
/// So many digits of a change's digest are remembered while it is not done.
const DIGITS: usize = 16;
/// Nothing lets more than this pass at once: what is not done yet must fit into one object.
pub const LARGEST: usize = 20_000;

/// What the user allows. By default, what a new source may allow itself without a yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The length of the window.
    pub window: SignedDuration,
    /// Changes within it.
    pub max_new: u32,
    /// The same in percent of all who work here, but one at least.
    pub max_percent: u32,
    /// The share of its people that a feed may lose.
    pub max_shrink_percent: u32,
    /// The age up to which a feed is believed.
    pub max_age: SignedDuration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window: SignedDuration::from_hours(24),
            max_new: 10,
            max_percent: 5,
            max_shrink_percent: 10,
            max_age: SignedDuration::from_hours(36),
        }
    }
}

impl Limits {
    /// In what `wished` lets more through than these, a line for each limit. In a shorter window less is counted.
    pub fn loosened(&self, wished: &Self) -> Vec<String> {
        let number = |name: &str, from: u32, to: u32| (to > from).then(|| format!("{name} {from} -> {to}"));
        let time =
            |name: &str, from: SignedDuration, to: SignedDuration| format!("{name} {from:#} -> {to:#}");
        let lines = [
            (wished.window < self.window).then(|| time("window", self.window, wished.window)),
            number("maxNew", self.max_new, wished.max_new),
            number("maxPercent", self.max_percent, wished.max_percent),
            number(
                "maxShrinkPercent",
                self.max_shrink_percent,
                wished.max_shrink_percent,
            ),
            (wished.max_age > self.max_age).then(|| time("maxAge", self.max_age, wished.max_age)),
        ];
        lines.into_iter().flatten().collect()
    }

    /// The stricter of both in each respect.
    fn strictest(&self, other: &Self) -> Self {
        Self {
            window: self.window.max(other.window),
            max_new: self.max_new.min(other.max_new),
            max_percent: self.max_percent.min(other.max_percent),
            max_shrink_percent: self.max_shrink_percent.min(other.max_shrink_percent),
            max_age: self.max_age.min(other.max_age),
        }
    }

    fn most(&self, population: u32) -> u32 {
        let share = u64::from(population) * u64::from(self.max_percent) / 100;
        let share = u32::try_from(share).unwrap_or(u32::MAX).max(1);
        self.max_new.min(share)
    }
}

/// What is remembered from look to look. Must be durable before what passes is done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// People who were there when the feed was last believed.
    pub population: u32,
    /// How old that feed was.
    pub as_of: Option<Timestamp>,
    /// What passed by itself, by the minute.
    pub admitted: BTreeMap<Timestamp, u32>,
    /// Of these, what is not known to be done.
    pub granted: BTreeSet<String>,
    /// What an Approval let through and is not known to be done. It takes no room.
    pub released: BTreeSet<String>,
    /// Digest of the set that is held, if one Approval could let it through.
    pub held: Option<String>,
    /// Why.
    pub tripped: Option<Tripped>,
    /// The limits that were held to, to which looser ones are compared. None in statuses from before this was kept: then those of
    /// the source.
    pub limits: Option<Limits>,
    /// There was a source of this name before, and what it remembered is lost.
    pub recreated: bool,
}

impl State {
    /// What is remembered of a source that was never looked at; `recreated`: there are Offboardings of a source of its name.
    pub fn new(recreated: bool) -> Self {
        Self {
            limits: Some(Limits::default()),
            recreated,
            ..Self::default()
        }
    }
}

/// Why nothing passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tripped {
    /// The feed has nobody in it.
    Empty,
    /// The feed has lost too many people.
    Shrunken,
    /// The feed is too old, or older than one that was believed, or from the future.
    Stale,
    /// More changes than the window has room for.
    TooMany,
    /// Something is to be done for a source that has lost its memory.
    Recreated,
    /// The limits were loosened: until somebody says yes they hold as they were.
    Loosened,
}

/// What a feed shows as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Feed {
    /// These are all the people there are.
    pub everyone: bool,
    /// People who work here, or left so recently that they are no history.
    pub people: u32,
    /// Of these, who work here.
    pub active: u32,
    /// When this was true, if it says.
    pub as_of: Option<Timestamp>,
}

/// What a look may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// What is to be remembered, durably, before anything is done.
    pub state: State,
    /// For each change, in the order given, whether it passes.
    pub passes: Vec<bool>,
    /// How many changes the window has room for.
    pub room: u32,
}

/// Judges `lines`, one for each change ([`super::leavers::compare::Change::line`]); `approved` says whether a person let exactly the
/// set of this digest through.
pub fn judge(
    state: &State,
    limits: &Limits,
    feed: &Feed,
    lines: &[String],
    approved: impl Fn(&str) -> bool,
    now: Timestamp,
) -> Passage {
    let mut state = state.clone();
    let wished = limits;
    let agreed = state.limits.as_ref().unwrap_or(wished);
    let mut loosened = agreed.loosened(wished);
    let mut limits = agreed.strictest(wished);
    settle(&mut state.admitted, limits.window, now);
    let ids: Vec<String> = lines.iter().map(|line| hash(line, DIGITS)).collect();
    state.held = None;
    let recreated = state.recreated && !lines.is_empty();
    state.tripped =
        disbelieved(&state, &limits, feed, now).or_else(|| recreated.then_some(Tripped::Recreated));
    if let Some(why) = state.tripped {
        let shrunken = (why == Tripped::Shrunken).then(|| shrunken(state.population, feed.people));
        let digest = digest(lines.iter().chain(&shrunken).chain(&loosened).map(String::as_str));
        let asks = matches!(why, Tripped::Shrunken | Tripped::Recreated) && lines.len() <= LARGEST;
        if !asks || !approved(&digest) {
            state.held = asks.then_some(digest);
            let room = room(&state, &limits, feed);
            state.limits = Some(limits);
            return Passage {
                state,
                passes: vec![false; lines.len()],
                room,
            };
        }
        state.tripped = None;
        loosened.clear();
        limits = wished.clone();
        state
            .released
            .extend(ids.iter().filter(|id| !state.granted.contains(*id)).cloned());
    }
    state.recreated = false;
    if feed.everyone {
        state.population = feed.people;
    }
    state.as_of = feed.as_of.or(state.as_of);
    let wanted: BTreeSet<&String> = ids.iter().collect();
    state.granted.retain(|id| wanted.contains(id));
    state.released.retain(|id| wanted.contains(id));
    recount(&mut state.admitted, state.granted.len(), now);
    let known = |id: &String| state.granted.contains(id) || state.released.contains(id);
    let mut new: Vec<(&String, &String)> = ids.iter().zip(lines).filter(|(id, _)| !known(id)).collect();
    let fits = u32::try_from(new.len()).is_ok_and(|n| n <= room(&state, &limits, feed));
    if fits && new.len() <= LARGEST {
        add(&mut state.admitted, new.len(), now);
        state.granted.extend(new.drain(..).map(|(id, _)| id.clone()));
    }
    if !new.is_empty() || !loosened.is_empty() {
        let asked = new.iter().map(|(_, line)| line.as_str());
        let digest = digest(asked.chain(loosened.iter().map(String::as_str)));
        let asks = new.len() <= LARGEST;
        if asks && approved(&digest) {
            state.released.extend(new.into_iter().map(|(id, _)| id.clone()));
            limits = wished.clone();
        } else {
            state.held = asks.then_some(digest);
            let why = if new.is_empty() {
                Tripped::Loosened
            } else {
                Tripped::TooMany
            };
            state.tripped = Some(why);
        }
    }
    let passes = ids
        .iter()
        .map(|id| state.granted.contains(id) || state.released.contains(id))
        .collect();
    let room = room(&state, &limits, feed);
    state.limits = Some(limits);
    Passage { state, passes, room }
}

/// Counts what people say about the held set of this digest. One yes is enough; `partial` are names of people who cannot say
/// it: who is in the set, and who leaves.
pub fn count(held: &str, votes: &[Vote], partial: &[String], now: Timestamp) -> Standing {
    let rule = Rule::of(Gate::Guard);
    rule.count(held, votes, partial, now, now)
}

/// What is remembered once the changes of `lines` are done.
pub fn done<'l>(state: &State, lines: impl IntoIterator<Item = &'l String>) -> State {
    let mut state = state.clone();
    for line in lines {
        let id = hash(line, DIGITS);
        state.granted.remove(&id);
        state.released.remove(&id);
    }
    state
}

/// Whether an Approval let the change of this line through, and not the window.
pub fn is_released(state: &State, line: &str) -> bool {
    state.released.contains(&hash(line, DIGITS))
}

/// What else a yes is about when a feed has lost people: how many there were, and are.
pub fn shrunken(before: u32, now: u32) -> String {
    format!("shrunken {before} {now}")
}

/// The digest of exactly this set, whatever its order.
pub fn digest<'l>(lines: impl Iterator<Item = &'l str>) -> String {
    let sorted: BTreeSet<&str> = lines.collect();
    let mut hash = Sha256::new();
    for line in sorted {
        hash.update(line.as_bytes());
        hash.update(b"\n");
    }
    format!("sha256:{}", hex(&hash.finalize()))
}

fn disbelieved(state: &State, limits: &Limits, feed: &Feed, now: Timestamp) -> Option<Tripped> {
    if feed.everyone && feed.people == 0 {
        return Some(Tripped::Empty);
    }
    if let Some(as_of) = feed.as_of {
        let age = now.duration_since(as_of);
        if age > limits.max_age || age < -SKEW || state.as_of.is_some_and(|believed| as_of < believed) {
            return Some(Tripped::Stale);
        }
    }
    let kept = u64::from(feed.people) * 100;
    let needed = u64::from(state.population) * u64::from(100_u32.saturating_sub(limits.max_shrink_percent));
    (feed.everyone && kept < needed).then_some(Tripped::Shrunken)
}

fn room(state: &State, limits: &Limits, feed: &Feed) -> u32 {
    let used = state
        .admitted
        .values()
        .fold(0_u32, |sum, n| sum.saturating_add(*n));
    // An inflated feed makes no room.
    let population = match state.population {
        0 => feed.active,
        before => before.min(feed.active),
    };
    limits.most(population).saturating_sub(used)
}

/// Forgets what lies outside the window, and takes what lies ahead of the clock for made now.
fn settle(admitted: &mut BTreeMap<Timestamp, u32>, window: SignedDuration, now: Timestamp) {
    let minute = floor(now);
    let mut settled = BTreeMap::new();
    for (at, count) in std::mem::take(admitted) {
        let at = at.min(minute);
        let leaves = at.checked_add(window).and_then(|t| t.checked_add(MINUTE));
        if leaves.is_ok_and(|leaves| leaves <= now) {
            continue;
        }
        let entry = settled.entry(at).or_insert(0_u32);
        *entry = entry.saturating_add(count);
    }
    *admitted = settled;
}

/// What is tried again counts for now, not for when it was first let through. The oldest entries make room for it: what
/// stays is never older than what was really done.
fn recount(admitted: &mut BTreeMap<Timestamp, u32>, left_over: usize, now: Timestamp) {
    let mut take = u32::try_from(left_over).unwrap_or(u32::MAX);
    for count in admitted.values_mut() {
        let taken = (*count).min(take);
        take -= taken;
        *count -= taken;
    }
    admitted.retain(|_, count| *count > 0);
    add(admitted, left_over, now);
}

fn add(admitted: &mut BTreeMap<Timestamp, u32>, count: usize, now: Timestamp) {
    if count == 0 {
        return;
    }
    let entry = admitted.entry(floor(now)).or_insert(0);
    *entry = entry.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
}

fn floor(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second().div_euclid(60) * 60).unwrap_or(now)
}

#[cfg(test)]
mod tests;
