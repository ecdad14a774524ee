//! When to look at a leaver again though nothing changes.

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::OffboardingStatus,
    controller::runtime::requeue::{jittered, seed},
    core::{case::Case, schedule},
    drive::Outcome,
};

/// The shortest time between two passes over one leaver.
const SOON: SignedDuration = SignedDuration::from_millis(100);
/// When to look again at a spec that cannot be used: a date may have come that makes it sound.
pub const INVALID_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// After a start, finished leavers are looked at again within this time, not all at once.
const SPREAD: SignedDuration = SignedDuration::from_mins(10);

/// When a finished leaver is looked at for the first time after a start; none when that should be now.
pub fn after_a_start(case: &Case, status: &OffboardingStatus, now: Timestamp) -> Option<Timestamp> {
    let finished = status.is_true("Ready")
        && status.is_true("AccessRevoked")
        && status.observed_generation == case.generation;
    finished.then(|| {
        let thousandths = i32::try_from(seed(&case.uid) % 1000).unwrap_or_default();
        schedule::later(now, case.recheck_every.min(SPREAD) * thousandths / 1000)
    })
}

/// When to look again though nothing changes.
pub fn next(case: &Case, outcome: &Outcome, status: &OffboardingStatus, now: Timestamp) -> Option<Timestamp> {
    let recheck = (!case.reinstate && case.cutoff <= now && now < case.recheck_until).then(|| {
        let every = SignedDuration::try_from(jittered(case.recheck_every)).unwrap_or(case.recheck_every);
        schedule::later(now, every)
    });
    // Nor is it forgotten that it is over.
    let over = (status.watched.is_some() && now < case.recheck_until).then_some(case.recheck_until);
    // Being late is news of its own.
    let open = [
        (case.access_deadline, "AccessRevoked"),
        (case.data_deadline, "DataTransferred"),
    ];
    let open = open.into_iter().filter(|(deadline, type_)| {
        !case.reinstate && case.cutoff <= now && now <= *deadline && !status.is_true(type_)
    });
    let deadlines = open.map(|(deadline, _)| schedule::later(deadline, SignedDuration::from_secs(1)));
    let soonest = outcome
        .wake
        .into_iter()
        .chain(recheck)
        .chain(over)
        .chain(deadlines)
        .min()?;
    Some(soonest.max(schedule::later(now, SOON)))
}
