//! What the end of somebody's access is held to once it has come, and who may loosen it.
//!
//! # Why
//! Before the cutoff an Offboarding is a plan, and plans change. Afterwards a date that is moved, a pause, an exception or a
//! reinstatement gives somebody access who had lost it, so whoever can write the Offboarding could undo it alone. What was
//! agreed when access ended goes on being done until a person who did not ask for the change says yes. What makes the end
//! stricter needs nobody.
//!
//! Whoever configures systems and policies could do the same from the other side: only look at a system, drop it from the
//! selection, put a fact off, look again once a year, call an account protected that was closed. So the [`Reach`] of the end is
//! agreed too. A row that nothing was known of when it appeared is as its configuration says: who connects a system to look at
//! it first has loosened nothing. Nor has who protects an account that was never touched: it stays untouched.
//!
//! What is agreed is small, and enough to go on by when an Offboarding or its policy cannot be used any more (see
//! [`super::scope::uphold`]): a mistake, or a made one, stops no control.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    fact::Class,
    gate::{Gate, Item, Rule},
};

/// The respects in which the end of access can be loosened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a separate wish of the Offboarding or its policy"
)]
pub struct Commitment {
    /// When access ends.
    pub cutoff: Timestamp,
    /// The other clocks that facts may be wanted by, such as the end of the contract, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dates: BTreeMap<String, Timestamp>,
    /// For how long after the end it is looked at again.
    #[serde(default)]
    pub watched_for: SignedDuration,
    /// What exceptions leave alone, by connector.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: BTreeMap<String, Kept>,
    /// Nothing is done for now (`spec.suspend`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspended: bool,
    /// Nothing is changed (`enforcement: Plan`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plan_only: bool,
    /// What may be deleted is deleted: there is no legal hold.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deletes: bool,
    /// What was taken is given back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reinstated: bool,
    /// Which accounts it is about, when and how often. None in records from before this was kept: then what is wished is agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<Reach>,
}

/// Which accounts an end is about, when what ends access is wanted of them, and how often they are looked at again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// The time between two looks.
    pub every: SignedDuration,
    /// When what ends access is wanted, by class or fact, where a policy names it: none for what is skipped. Anything else at the
    /// cutoff.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub wanted: BTreeMap<String, Option<Timestamp>>,
    /// Rows that are only looked at.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub observed: BTreeSet<String>,
    /// Rows that the record knows and that are not selected, or whose account is not named any more.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub left_out: BTreeSet<String>,
    /// Rows whose account was closed, and is protected now.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub protected: BTreeSet<String>,
}

impl Reach {
    /// When `fact` is wanted; none when it is skipped. A class of security is not skipped as a whole.
    pub fn from(&self, fact: &str, class: Class, cutoff: Timestamp) -> Option<Timestamp> {
        if let Some(named) = self.wanted.get(fact) {
            return *named;
        }
        let class = self.wanted.get(&format!("{class:?}")).copied().flatten();
        Some(class.unwrap_or(cutoff))
    }
}

/// What today's configuration and the record know, as far as the end is compared by it.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The facts that end access and have not begun everywhere, with their classes.
    pub facts: BTreeMap<String, Class>,
    /// The rows of which something was known before.
    pub rows: BTreeSet<String>,
}

/// What a leaver's end is held to from the first look on, whatever becomes of the policy and the Offboarding.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// What the policy demanded of people when the leaver was first seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Rule>,
    /// What was agreed when access had ended; none before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Agreed>,
}

/// A commitment, and since when it is what it is: a yes to loosening an earlier one says nothing about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed {
    /// Since when.
    pub since: Timestamp,
    /// What.
    pub end: Commitment,
}

/// What exceptions leave alone in one connector, until when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<Timestamp>,
    /// These facts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, Timestamp>,
}

/// What is done, what is remembered of it, and what waits for a yes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// What is done.
    pub now: Commitment,
    /// What is to be remembered; none before access has ended.
    pub remembered: Option<Agreed>,
    /// Each gate with what a yes would be about.
    pub asked: Vec<(Gate, BTreeSet<Item>)>,
}

/// Compares what is `wished` with what was `agreed`, by what is `known` of both; `yes` says whether people let exactly these items through.
pub fn settle(
    agreed: Option<&Agreed>,
    wished: Commitment,
    known: &Known,
    yes: impl Fn(Gate, &BTreeSet<Item>) -> bool,
    now: Timestamp,
) -> Settled {
    // Who was given everything back and leaves again has another end.
    let held = agreed.filter(|agreed| !agreed.end.reinstated || wished.reinstated);
    let remember = |end: &Commitment| {
        let since = held
            .filter(|held| held.end == *end)
            .map_or(now, |held| held.since);
        Some(Agreed {
            since,
            end: end.clone(),
        })
    };
    let Some(Agreed { since, end: agreed }) = held else {
        let ended = wished.cutoff <= now && !wished.suspended && !wished.plan_only && !wished.reinstated;
        return Settled {
            remembered: ended.then(|| remember(&wished)).flatten(),
            now: wished,
            asked: vec![],
        };
    };
    let mut asked = vec![];
    if wished.reinstated {
        let items = BTreeSet::from([item("", "desired: Reinstated", None)]);
        let items = of_this_end(items, *since);
        let granted = agreed.reinstated || yes(Gate::Reinstate, &items);
        if !agreed.reinstated {
            asked.push((Gate::Reinstate, items));
        }
        if granted {
            return Settled {
                remembered: remember(&wished),
                now: wished,
                asked,
            };
        }
    }
    let items = of_this_end(loosened(agreed, &wished, known, now), *since);
    let granted = !items.is_empty() && yes(Gate::Loosen, &items);
    if !items.is_empty() {
        asked.push((Gate::Loosen, items));
    }
    let mut settled = if granted {
        wished
    } else {
        strictest(agreed, wished, known, now)
    };
    settled.reinstated = false;
    Settled {
        remembered: remember(&settled),
        now: settled,
        asked,
    }
}

fn item(row: &str, what: &str, until: Option<Timestamp>) -> Item {
    Item {
        row: row.to_owned(),
        fact: what.to_owned(),
        requests: until.map(|at| at.to_string()).unwrap_or_default(),
        ..Item::default()
    }
}

/// `items` of what was agreed since then.
fn of_this_end(items: BTreeSet<Item>, since: Timestamp) -> BTreeSet<Item> {
    let of = |item: Item| Item {
        account: since.to_string(),
        ..item
    };
    items.into_iter().map(of).collect()
}

/// In what `wished` is looser than `agreed`.
fn loosened(agreed: &Commitment, wished: &Commitment, known: &Known, now: Timestamp) -> BTreeSet<Item> {
    let mut items = narrowed(agreed, wished, known, now);
    if is_later(agreed.cutoff, wished.cutoff, now) {
        items.insert(item("", "cutoff", Some(wished.cutoff)));
    }
    for (name, at) in &wished.dates {
        if agreed
            .dates
            .get(name)
            .is_some_and(|agreed| is_later(*agreed, *at, now))
        {
            items.insert(item("", name, Some(*at)));
        }
    }
    if wished.watched_for < agreed.watched_for {
        let what = format!("recheck.for: {:#}", wished.watched_for);
        items.insert(item("", &what, None));
    }
    if wished.suspended && !agreed.suspended {
        items.insert(item("", "suspend", None));
    }
    if wished.plan_only && !agreed.plan_only {
        items.insert(item("", "enforcement: Plan", None));
    }
    if wished.deletes && !agreed.deletes {
        items.insert(item("", "legalHold: None", None));
    }
    for (connector, kept) in &wished.kept {
        let before = agreed.kept.get(connector).cloned().unwrap_or_default();
        let longer = |until: Option<Timestamp>, before: Option<Timestamp>| until > before.max(Some(now));
        if longer(kept.all, before.all) {
            items.insert(item(connector, "", kept.all));
        }
        for (fact, until) in &kept.facts {
            let before = before.facts.get(fact).copied().max(before.all);
            if longer(Some(*until), before) {
                items.insert(item(connector, fact, Some(*until)));
            }
        }
    }
    items
}

/// In what `wished` reaches less far than `agreed`.
fn narrowed(agreed: &Commitment, wished: &Commitment, known: &Known, now: Timestamp) -> BTreeSet<Item> {
    let mut items = BTreeSet::new();
    let (Some(before), Some(after)) = (&agreed.reach, &wished.reach) else {
        return items;
    };
    if after.every > before.every {
        items.insert(item("", &format!("recheck.every: {:#}", after.every), None));
    }
    for (fact, class) in &known.facts {
        let was = before.from(fact, *class, agreed.cutoff);
        let is = after.from(fact, *class, agreed.cutoff);
        if is_put_off(was, is, now) {
            let what = if is.is_some() { "at" } else { "skip" };
            items.insert(item("", &format!("timeline.{what}: {fact}"), is));
        }
    }
    let more = |before: &BTreeSet<String>, after: &BTreeSet<String>| {
        let rows = after.difference(before).filter(|row| known.rows.contains(*row));
        rows.cloned().collect::<Vec<_>>()
    };
    for (what, rows) in [
        ("mode: Observe", more(&before.observed, &after.observed)),
        ("not selected", more(&before.left_out, &after.left_out)),
        ("protected", more(&before.protected, &after.protected)),
    ] {
        items.extend(rows.iter().map(|row| item(row, what, None)));
    }
    items
}

/// Whether what `was` wanted then is wanted later, and not yet; none is never.
fn is_put_off(was: Option<Timestamp>, is: Option<Timestamp>, now: Timestamp) -> bool {
    was.is_some_and(|was| is.is_none_or(|is| is_later(was, is, now)))
}

/// The reach of both together: what one of them reaches is reached.
fn widest(agreed: &Commitment, wished: &Commitment, known: &Known, now: Timestamp) -> Option<Reach> {
    let Some((before, after)) = agreed.reach.as_ref().zip(wished.reach.as_ref()) else {
        return wished.reach.clone();
    };
    // What nobody knows of now, because its system is broken, stays as it was agreed.
    let mut wanted = before.wanted.clone();
    for (fact, class) in &known.facts {
        let was = before.from(fact, *class, agreed.cutoff);
        let is = after.from(fact, *class, agreed.cutoff);
        if was != is && !is_put_off(was, is, now) {
            wanted.insert(fact.clone(), is);
        }
    }
    let fewer = |before: &BTreeSet<String>, after: &BTreeSet<String>| {
        let rows = after
            .iter()
            .filter(|row| before.contains(*row) || !known.rows.contains(*row));
        rows.cloned().collect()
    };
    Some(Reach {
        every: before.every.min(after.every),
        wanted,
        observed: fewer(&before.observed, &after.observed),
        left_out: fewer(&before.left_out, &after.left_out),
        protected: fewer(&before.protected, &after.protected),
    })
}

/// A day that is moved within the past reopens nothing.
fn is_later(agreed: Timestamp, wished: Timestamp, now: Timestamp) -> bool {
    wished > agreed && wished > now
}

/// `wished`, unless that is later.
fn no_later(agreed: Timestamp, wished: Timestamp, now: Timestamp) -> Timestamp {
    if is_later(agreed, wished, now) {
        agreed
    } else {
        wished
    }
}

/// In each respect the stricter of both.
fn strictest(agreed: &Commitment, wished: Commitment, known: &Known, now: Timestamp) -> Commitment {
    let reach = widest(agreed, &wished, known, now);
    let dates = wished.dates.into_iter().map(|(name, at)| {
        let at = agreed
            .dates
            .get(&name)
            .map_or(at, |agreed| no_later(*agreed, at, now));
        (name, at)
    });
    let kept = wished.kept.into_iter().filter_map(|(connector, kept)| {
        let before = agreed.kept.get(&connector)?;
        let facts = kept.facts.into_iter().filter_map(|(fact, until)| {
            let before = before.facts.get(&fact).copied().max(before.all)?;
            Some((fact, until.min(before)))
        });
        let all = kept.all.zip(before.all).map(|(until, before)| until.min(before));
        let facts = facts.collect();
        Some((connector, Kept { all, facts }))
    });
    Commitment {
        cutoff: no_later(agreed.cutoff, wished.cutoff, now),
        dates: dates.collect(),
        watched_for: wished.watched_for.max(agreed.watched_for),
        kept: kept.collect(),
        suspended: wished.suspended && agreed.suspended,
        plan_only: wished.plan_only && agreed.plan_only,
        deletes: wished.deletes && agreed.deletes,
        reinstated: wished.reinstated && agreed.reinstated,
        reach,
    }
}

#[cfg(test)]
mod tests;
