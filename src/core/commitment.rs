//! What the end of somebody's access is held to once it has come, and who may loosen it.
//!
//! # Why
//! Before the cutoff an Offboarding is a plan, and plans change. Afterwards a date that is moved, a pause, an exception or a
//! reinstatement gives somebody access who had lost it, so whoever can write the Offboarding could undo it alone. What was
//! agreed when access ended goes on being done until a person who did not ask for the change says yes. What makes the end
//! stricter needs nobody.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::gate::{Gate, Item, Rule};

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

/// Compares what is `wished` with what was `agreed`; `yes` says whether people let exactly these items through.
pub fn settle(
    agreed: Option<&Agreed>,
    wished: Commitment,
    yes: impl Fn(Gate, &BTreeSet<Item>) -> bool,
    now: Timestamp,
) -> Settled {
    // Who was given everything back and leaves again has another end.
    let known = agreed.filter(|agreed| !agreed.end.reinstated || wished.reinstated);
    let remember = |end: &Commitment| {
        let since = known
            .filter(|known| known.end == *end)
            .map_or(now, |known| known.since);
        Some(Agreed {
            since,
            end: end.clone(),
        })
    };
    let Some(Agreed { since, end: agreed }) = known else {
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
    let items = of_this_end(loosened(agreed, &wished, now), *since);
    let granted = items.is_empty() || yes(Gate::Loosen, &items);
    if !items.is_empty() {
        asked.push((Gate::Loosen, items));
    }
    let mut settled = if granted {
        wished
    } else {
        strictest(agreed, wished, now)
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
fn loosened(agreed: &Commitment, wished: &Commitment, now: Timestamp) -> BTreeSet<Item> {
    let mut items = BTreeSet::new();
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
fn strictest(agreed: &Commitment, wished: Commitment, now: Timestamp) -> Commitment {
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + 3600 * hours).unwrap()
    }

    /// The end at hour 0, looked at in hour 1.
    fn end() -> Commitment {
        Commitment {
            cutoff: at(0),
            watched_for: SignedDuration::from_hours(90 * 24),
            deletes: true,
            ..Commitment::default()
        }
    }

    /// As [`super::settle`], of what was agreed in hour 0; what is remembered without since when.
    fn settle(
        agreed: Option<&Commitment>,
        wished: Commitment,
        yes: impl Fn(Gate, &BTreeSet<Item>) -> bool,
        now: Timestamp,
    ) -> Plain {
        let agreed = agreed.map(|end| Agreed {
            since: at(0),
            end: end.clone(),
        });
        let settled = super::settle(agreed.as_ref(), wished, yes, now);
        Plain {
            now: settled.now,
            remembered: settled.remembered.map(|agreed| agreed.end),
            asked: settled.asked,
        }
    }

    struct Plain {
        now: Commitment,
        remembered: Option<Commitment>,
        asked: Vec<(Gate, BTreeSet<Item>)>,
    }

    fn without_a_yes(wished: Commitment) -> Plain {
        settle(Some(&end()), wished, |_, _| false, at(1))
    }

    fn keeping(connector: &str, facts: &[(&str, i64)], all: Option<i64>) -> Commitment {
        let facts = facts.iter().map(|(fact, until)| ((*fact).to_owned(), at(*until)));
        let kept = Kept {
            all: all.map(at),
            facts: facts.collect(),
        };
        Commitment {
            kept: [(connector.to_owned(), kept)].into(),
            ..end()
        }
    }

    #[test]
    fn before_the_end_everything_may_change_and_nothing_is_remembered() {
        let later = Commitment {
            cutoff: at(9),
            suspended: true,
            ..end()
        };
        let settled = settle(None, later.clone(), |_, _| false, at(1));
        assert_eq!(
            (settled.now, settled.remembered, settled.asked),
            (later, None, vec![])
        );
        let settled = settle(None, end(), |_, _| false, at(1));
        assert_eq!(settled.remembered, Some(end()));
        for begun in [
            Commitment {
                suspended: true,
                ..end()
            },
            Commitment {
                plan_only: true,
                ..end()
            },
            Commitment {
                reinstated: true,
                ..end()
            },
        ] {
            assert_eq!(settle(None, begun, |_, _| false, at(1)).remembered, None);
        }
    }

    #[test]
    fn what_loosens_the_end_waits_for_a_yes_and_then_stays() {
        for wished in [
            Commitment {
                cutoff: at(9),
                ..end()
            },
            Commitment {
                suspended: true,
                ..end()
            },
            Commitment {
                plan_only: true,
                ..end()
            },
            Commitment {
                watched_for: SignedDuration::from_mins(1),
                ..end()
            },
            keeping("crm", &[], Some(9)),
            keeping("crm", &[("AccountBlocked", 9)], None),
        ] {
            let settled = without_a_yes(wished.clone());
            assert_eq!(
                settled.now,
                Commitment {
                    kept: settled.now.kept.clone(),
                    ..end()
                },
                "{wished:?}"
            );
            assert!(
                settled.now.kept.values().all(|kept| *kept == Kept::default()),
                "{wished:?}"
            );
            assert!(matches!(&settled.asked[..], [(Gate::Loosen, items)] if items.len() == 1));
            let granted = settle(Some(&end()), wished.clone(), |_, _| true, at(1));
            assert_eq!(granted.now, wished);
            let later = settle(granted.remembered.as_ref(), wished.clone(), |_, _| false, at(2));
            assert_eq!(
                (later.now, later.asked),
                (wished, vec![]),
                "a yes is not needed twice"
            );
        }
    }

    #[test]
    fn a_yes_is_about_exactly_what_is_loosened() {
        let items = |wished| without_a_yes(wished).asked[0].1.clone();
        let one = items(Commitment {
            cutoff: at(9),
            ..end()
        });
        assert_ne!(
            one,
            items(Commitment {
                cutoff: at(10),
                ..end()
            })
        );
        assert_ne!(
            one,
            items(Commitment {
                cutoff: at(9),
                suspended: true,
                ..end()
            })
        );
        assert_ne!(
            items(keeping("crm", &[("A", 9)], None)),
            items(keeping("crm", &[("A", 10)], None))
        );
    }

    #[test]
    fn another_clock_is_not_put_off_either() {
        let contract = |hours: i64| Commitment {
            dates: [("employmentEnds".to_owned(), at(hours))].into(),
            ..end()
        };
        let agreed = contract(50);
        let settled = settle(Some(&agreed), contract(90), |_, _| false, at(1));
        assert_eq!((settled.now, settled.asked.len()), (agreed.clone(), 1));
        let settled = settle(Some(&agreed), contract(40), |_, _| false, at(1));
        assert_eq!((settled.now, settled.asked), (contract(40), vec![]));
    }

    #[test]
    fn a_yes_is_about_one_end_and_not_about_the_next() {
        let paused = Commitment {
            suspended: true,
            ..end()
        };
        let ask = |agreed: &Agreed, wished: &Commitment, hour: i64| {
            super::settle(Some(agreed), wished.clone(), |_, _| false, at(hour))
        };
        let first = super::settle(None, end(), |_, _| false, at(0))
            .remembered
            .unwrap();
        let asked = ask(&first, &paused, 1).asked;
        assert_eq!(
            ask(&first, &paused, 2).asked,
            asked,
            "the same for as long as it waits"
        );
        let granted = super::settle(Some(&first), paused.clone(), |_, _| true, at(3));
        let goes_on = ask(&granted.remembered.unwrap(), &end(), 4).remembered.unwrap();
        let again = ask(&goes_on, &paused, 5);
        assert_eq!(again.now, end());
        assert_ne!(again.asked, asked, "another pause needs another yes");
    }

    #[test]
    fn what_makes_the_end_stricter_or_changes_nothing_any_more_needs_nobody() {
        let kept = keeping("crm", &[("A", 9)], Some(5));
        for wished in [
            end(),
            Commitment {
                cutoff: at(-5),
                ..end()
            },
            keeping("crm", &[("A", 8)], Some(4)),
            keeping("crm", &[("B", 5)], None),
            Commitment {
                deletes: false,
                ..end()
            },
        ] {
            let settled = settle(Some(&kept), wished.clone(), |_, _| false, at(1));
            assert_eq!((settled.now, settled.asked), (wished, vec![]));
        }
        let past = Commitment {
            cutoff: at(1),
            ..end()
        };
        let settled = settle(Some(&end()), past.clone(), |_, _| false, at(2));
        assert_eq!(
            (settled.now, settled.asked),
            (past, vec![]),
            "a day within the past"
        );
        let over = keeping("crm", &[], Some(1));
        assert_eq!(settle(Some(&end()), over, |_, _| false, at(2)).asked, vec![]);
    }

    #[test]
    fn a_legal_hold_that_is_lifted_waits_for_a_yes() {
        let held = Commitment {
            deletes: false,
            ..end()
        };
        let settled = settle(Some(&held), end(), |_, _| false, at(1));
        assert!(!settled.now.deletes && settled.asked.len() == 1);
    }

    #[test]
    fn a_reinstatement_waits_by_itself_and_whoever_leaves_again_has_another_end() {
        let back = Commitment {
            reinstated: true,
            suspended: true,
            ..end()
        };
        let settled = without_a_yes(back.clone());
        let gates: Vec<Gate> = settled.asked.iter().map(|(gate, _)| *gate).collect();
        assert_eq!(gates, [Gate::Reinstate, Gate::Loosen]);
        assert_eq!(settled.now, end());
        let only_that = |gate, _: &BTreeSet<Item>| gate == Gate::Reinstate;
        let granted = settle(Some(&end()), back.clone(), only_that, at(1));
        assert_eq!(granted.now, back);
        let again = Commitment {
            cutoff: at(99),
            ..end()
        };
        let settled = settle(granted.remembered.as_ref(), again.clone(), |_, _| false, at(3));
        assert_eq!(
            (settled.now, settled.remembered, settled.asked),
            (again, None, vec![])
        );
    }
}
