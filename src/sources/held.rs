//! The listing of what a guard holds: who is in the set, exactly, in parts that fit into an object.
//!
//! # Why
//! A person who releases a set answers for everybody in it. The listing has all that the digest is made of, so whoever reads it
//! can make the digest anew: what is shown is what is approved, or it is said that it is not.

use std::collections::BTreeMap;

use crate::{
    api::{
        HeldSet, HeldSetSpec, Offboarding,
        approval::BoundRef,
        held::{HeldChange, HeldKind, Shrunken},
    },
    core::{
        guard,
        leavers::compare::{Change, Kind, line},
    },
};

/// A part has no more bytes of changes: an object may have a million and a half.
const LARGEST_PART: usize = 512 * 1024;
/// The longest part of a source's name in the name of a listing.
const LONGEST_STEM: usize = 180;
/// So many digits of the digest are in the name.
const DIGITS: usize = 16;

/// What would be done, as people read it.
fn kind(kind: Kind) -> Option<HeldKind> {
    match kind {
        Kind::Create => Some(HeldKind::New),
        Kind::Move => Some(HeldKind::Moved),
        Kind::Renew => Some(HeldKind::Renewed),
        Kind::Suspend => Some(HeldKind::Withdrawn),
        Kind::Reinstate => Some(HeldKind::Reinstated),
        // Never held.
        Kind::Correct => None,
    }
}

fn kind_of(held: HeldKind) -> Kind {
    match held {
        HeldKind::New => Kind::Create,
        HeldKind::Moved => Kind::Move,
        HeldKind::Renewed => Kind::Renew,
        HeldKind::Withdrawn => Kind::Suspend,
        HeldKind::Reinstated => Kind::Reinstate,
    }
}

/// One change as it is listed; `there` is the Offboarding that it changes.
fn listed(change: &Change, there: Option<&Offboarding>) -> Option<HeldChange> {
    let leaving = change.leaving.as_deref();
    let worker = leaving.map(|leaving| &leaving.worker);
    let employee = there.map(|there| &there.spec.employee);
    Some(HeldChange {
        change: kind(change.kind)?,
        offboarding: change.name.clone(),
        person: change.person.clone(),
        employee_id: worker
            .and_then(|w| w.employee_id.clone())
            .or_else(|| employee?.employee_id.clone()),
        display_name: worker
            .and_then(|w| w.display_name.clone())
            .or_else(|| employee?.display_name.clone()),
        email: worker
            .and_then(|w| w.email.clone())
            .or_else(|| employee?.email.clone()),
        last_day: leaving.and_then(|leaving| leaving.last_day.clone()),
        was: there.and_then(|there| there.spec.last_day.clone()),
        immediate: change.urgent(),
    })
}

/// What a yes is about beside the changes of a set.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// The feed has lost so many people.
    pub shrunken: Option<Shrunken>,
    /// The limits of the guard that were loosened ([`guard::Limits::loosened`]).
    pub loosened: Vec<String>,
}

/// Everybody in the set of this digest, in parts, by last day and number; `there` are the Offboardings that are there, by name.
pub fn parts<'o>(
    source: &BoundRef,
    plan: &str,
    changes: &[&Change],
    there: impl Fn(&str) -> Option<&'o Offboarding>,
    beside: &Beside,
) -> Vec<HeldSet> {
    let mut all: Vec<HeldChange> = changes
        .iter()
        .filter_map(|change| listed(change, there(&change.name)))
        .collect();
    all.sort_by(|a, b| {
        let key = |one: &HeldChange| (!one.immediate, one.last_day.clone(), one.employee_id.clone());
        key(a).cmp(&key(b)).then_with(|| a.person.cmp(&b.person))
    });
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let total = number(all.len());
    let parts = in_parts(all);
    let count = parts.len();
    let part = |(at, changes): (usize, Vec<HeldChange>)| {
        let spec = HeldSetSpec {
            source_ref: source.clone(),
            plan: plan.to_owned(),
            total,
            part: number(at + 1),
            parts: number(count),
            shrunken: beside.shrunken,
            loosened: beside.loosened.clone(),
            changes,
        };
        HeldSet::new(&name_of(source, plan, at + 1, count), spec)
    };
    parts.into_iter().enumerate().map(part).collect()
}

/// One part at least: something can be held though nothing changes but who is missing, or the guard.
fn in_parts(all: Vec<HeldChange>) -> Vec<Vec<HeldChange>> {
    let mut parts = vec![vec![]];
    let mut size = 0;
    for one in all {
        let bytes = serde_json::to_vec(&one).map_or(0, |text| text.len());
        if size + bytes > LARGEST_PART && size > 0 {
            parts.push(vec![]);
            size = 0;
        }
        size += bytes;
        parts.last_mut().expect("there is one from the start").push(one);
    }
    parts
}

fn name_of(source: &BoundRef, plan: &str, part: usize, parts: usize) -> String {
    let stem: String = source.name.chars().take(LONGEST_STEM).collect();
    let short = |text: &str, digits: usize| -> String {
        let hex = text.rsplit(':').next().unwrap_or_default();
        hex.chars()
            .filter(char::is_ascii_alphanumeric)
            .take(digits)
            .collect()
    };
    let (uid, plan) = (short(&source.uid, 8), short(plan, DIGITS));
    format!("{stem}-{uid}-{plan}-{part}-of-{parts}")
}

/// Why a listing does not show the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unlisted {
    /// Parts are missing: it is being written, or could not be.
    Incomplete,
    /// Somebody has changed it: it makes another digest.
    Altered,
}

/// Everybody in the set `plan` of this source, if these objects show exactly that set.
///
/// # Errors
/// When they do not.
pub fn whole(source: &BoundRef, plan: &str, found: Vec<HeldSet>) -> Result<HeldSetSpec, Unlisted> {
    let of = |set: &HeldSetSpec| set.source_ref == *source && set.plan == plan;
    let found = found.into_iter().map(|set| set.spec).filter(of);
    let mut parts: BTreeMap<u32, HeldSetSpec> = found.map(|set| (set.part, set)).collect();
    let Some((_, mut whole)) = parts.pop_first() else {
        return Err(Unlisted::Incomplete);
    };
    let mut read = 1;
    for (_, part) in parts {
        whole.changes.extend(part.changes);
        read += 1;
    }
    if read != whole.parts || u32::try_from(whole.changes.len()) != Ok(whole.total) {
        return Err(Unlisted::Incomplete);
    }
    let lines = whole.changes.iter().map(|one| {
        line(
            kind_of(one.change),
            &one.person,
            &one.offboarding,
            one.last_day.as_deref(),
            one.immediate,
        )
    });
    let shrunken = whole.shrunken.map(|feed| guard::shrunken(feed.before, feed.now));
    let lines: Vec<String> = lines
        .chain(shrunken)
        .chain(whole.loosened.iter().cloned())
        .collect();
    if guard::digest(lines.iter().map(String::as_str)) == plan {
        Ok(whole)
    } else {
        Err(Unlisted::Altered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> BoundRef {
        BoundRef {
            name: "hr".into(),
            uid: "0f3c-11aa-bb".into(),
        }
    }

    fn withdrawn(number: usize) -> Change {
        Change {
            kind: Kind::Suspend,
            name: format!("leaver-{number:05}"),
            person: format!("p{number}"),
            leaving: None,
        }
    }

    fn digest(changes: &[Change]) -> String {
        let lines: Vec<String> = changes.iter().map(Change::line).collect();
        guard::digest(lines.iter().map(String::as_str))
    }

    fn sets(changes: &[Change], plan: &str, beside: Beside) -> Vec<HeldSet> {
        let mut there = Offboarding::new("x", crate::api::OffboardingSpec::default());
        there.spec.employee.display_name = Some("Jane Doe".repeat(8));
        let all: Vec<&Change> = changes.iter().collect();
        parts(&source(), plan, &all, |_| Some(&there), &beside)
    }

    #[test]
    fn the_largest_set_is_listed_whole_in_parts_that_fit_into_objects() {
        let changes: Vec<Change> = (0..guard::LARGEST).map(withdrawn).collect();
        let plan = digest(&changes);
        let sets = sets(&changes, &plan, Beside::default());
        assert!(sets.len() > 1);
        for set in &sets {
            assert!(serde_json::to_vec(set).unwrap().len() < 1_000_000);
        }
        let names: std::collections::BTreeSet<_> = sets.iter().map(|set| set.metadata.name.clone()).collect();
        assert_eq!(names.len(), sets.len());
        let shown = whole(&source(), &plan, sets.clone()).unwrap();
        assert_eq!(shown.changes.len(), guard::LARGEST);
        assert_eq!(
            whole(&source(), &plan, sets[1..].to_vec()),
            Err(Unlisted::Incomplete)
        );
    }

    #[test]
    fn what_is_shown_is_what_the_digest_is_of_or_it_is_not_shown() {
        let changes = [withdrawn(1), withdrawn(2)];
        let plan = digest(&changes);
        let mut altered = sets(&changes, &plan, Beside::default());
        assert!(whole(&source(), &plan, altered.clone()).is_ok());
        altered[0].spec.changes[0].person = "p3".into();
        assert_eq!(whole(&source(), &plan, altered), Err(Unlisted::Altered));
        let mut fewer = sets(&changes, &plan, Beside::default());
        fewer[0].spec.changes.pop();
        assert_eq!(whole(&source(), &plan, fewer), Err(Unlisted::Incomplete));
        // Of another source, or of one of that name that was there before.
        let other = BoundRef {
            uid: "another".into(),
            ..source()
        };
        assert_eq!(
            whole(&other, &plan, sets(&changes, &plan, Beside::default())),
            Err(Unlisted::Incomplete)
        );
    }

    #[test]
    fn a_feed_that_lost_people_and_a_looser_guard_are_listed_though_nothing_else_changes() {
        let feed = Shrunken { before: 100, now: 50 };
        let looser = "maxNew 10 -> 500".to_owned();
        let line = guard::shrunken(100, 50);
        let plan = guard::digest([line.as_str(), looser.as_str()].into_iter());
        let beside = |loosened| Beside {
            shrunken: Some(feed),
            loosened,
        };
        let shown = whole(&source(), &plan, sets(&[], &plan, beside(vec![looser]))).unwrap();
        assert_eq!((shown.total, shown.shrunken), (0, Some(feed)));
        assert_eq!(
            whole(&source(), &plan, sets(&[], &plan, beside(vec![]))),
            Err(Unlisted::Altered)
        );
    }
}
