//! What an Offboarding and its policy wish for as the end of access.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Given, Invalid, Member, connector_of, facts_of, invalid, member, rows_of_today, timeline};
use crate::{
    api::{
        Condition, Offboarding, OffboardingPolicySpec, OffboardingStatus,
        connector::ConnectorMode,
        offboarding::{Desired, LegalHold, OffboardingSpec, Urgency},
        policy::Enforcement,
    },
    core::{
        commitment::{Commitment, Kept, Known, Reach},
        ledger::Ledger,
        schedule::{self, Anchors, LAST_ZONE},
        scope,
    },
};

/// Used where neither the Offboarding nor the policy names a time of day.
const DEFAULT_TIME: &str = "17:00";

/// A last day before this is a mistake in the year, when it is first read.
const LONG_AGO: SignedDuration = SignedDuration::from_hours(20 * 365 * 24);
/// So is one that is further ahead.
const NEVER: SignedDuration = SignedDuration::from_hours(100 * 365 * 24);

/// What the Offboarding and its policy wish for, and what it is compared by.
pub(super) fn wished(
    given: &Given<'_>,
    zone: Option<&str>,
    now: Timestamp,
) -> Result<(Commitment, Known), Invalid> {
    let (offboarding, policy) = (given.offboarding, &given.policy.spec);
    let spec = &offboarding.spec;
    let status = offboarding.status.as_ref();
    let earlier = status.filter(|status| !has_come_back(spec, status));
    let earlier = earlier.and_then(|status| status.cutoff);
    let known = status.and_then(|status| status.cutoff);
    let at_once = given.recorded.and_then(|ledger| ledger.at_once);
    let earlier = at_once.or(earlier).or_else(|| made_as_it_is(offboarding));
    let cutoff = cutoff(spec, policy, zone, (earlier, known), now)?;
    let anchors = anchors(offboarding, cutoff, zone)?;
    let timeline = timeline::timeline(given.policy, given, &anchors, zone.unwrap_or(LAST_ZONE))?;
    let (reach, known) = reach(
        given,
        timeline.of_access(|name| is_no_access(given.members, name)),
    )?;
    let wished = Commitment {
        cutoff,
        dates: anchors.named(),
        watched_for: schedule::duration(&policy.recheck.for_)
            .map_err(|e| invalid("policy.spec.recheck.for", e))?,
        kept: exceptions(given, zone)?,
        suspended: spec.suspend,
        plan_only: policy.enforcement == Enforcement::Plan,
        deletes: spec.legal_hold == LegalHold::None,
        reinstated: spec.desired == Desired::Reinstated,
        reach: Some(reach),
    };
    Ok((wished, known))
}

/// Which accounts are wished to be looked after, when and how often, and what that is compared by.
fn reach(given: &Given<'_>, wanted: BTreeMap<String, Option<Timestamp>>) -> Result<(Reach, Known), Invalid> {
    let nothing = Ledger::default();
    let ledger = given.recorded.unwrap_or(&nothing);
    let every = schedule::duration(&given.policy.spec.recheck.every);
    let today = rows_of_today(given);
    let exists = |name: &str| given.members.iter().any(|member| member.name == name);
    let left_out = scope::left_out(ledger, &today, exists);
    let rows: Vec<&String> = today.iter().chain(&left_out).collect();
    let observes = |row: &str| {
        let mut members = given.members.iter();
        let own = members.find(|member| member.name == connector_of(row));
        own.is_some_and(|member| member.spec.mode == ConnectorMode::Observe)
    };
    let observed = rows.iter().filter(|row| observes(row));
    let reach = Reach {
        every: every.map_err(|e| invalid("policy.spec.recheck.every", e))?,
        wanted,
        observed: observed.map(|row| (*row).clone()).collect(),
        protected: scope::protected(ledger),
        left_out: left_out.clone(),
    };
    let rows = rows
        .iter()
        .map(|row| (row.as_str(), facts_of(given.members, row)));
    Ok((reach, scope::known(ledger, rows)))
}

/// Whether `name` is a class or a fact that ends no access anywhere.
fn is_no_access(members: &[Member<'_>], name: &str) -> bool {
    if let Some(class) = timeline::class(name) {
        return !class.security();
    }
    let mut facts = members
        .iter()
        .flat_map(|member| member.facts)
        .filter(|fact| fact.name == name);
    facts.clone().next().is_some() && facts.all(|fact| !fact.class.security())
}

/// The instants that a policy counts from. What HR did not say follows the last day of work; that is the field's rule, and
/// never earlier than it.
fn anchors(offboarding: &Offboarding, cutoff: Timestamp, zone: Option<&str>) -> Result<Anchors, Invalid> {
    let spec = &offboarding.spec;
    let dates = spec.dates.clone().unwrap_or_default();
    let zone = zone.unwrap_or(LAST_ZONE);
    let end = |field: &str, date: Option<&String>| {
        let end = date.map(|date| schedule::end_of_day(date, zone)).transpose();
        end.map_err(|e| invalid(format!("spec.{field}"), e))
    };
    let last_day = end("lastDay", spec.last_day.as_ref())?.map_or(cutoff, |end| end.max(cutoff));
    let employment_ends = end("dates.employmentEnds", dates.employment_ends.as_ref())?.unwrap_or(last_day);
    let paid_through = end("dates.paidThrough", dates.paid_through.as_ref())?.unwrap_or(employment_ends);
    let made = offboarding.metadata.creation_timestamp.as_ref();
    let notice = match &dates.notice {
        Some(date) => schedule::start_of_day(date, zone).map_err(|e| invalid("spec.dates.notice", e))?,
        None => made.map_or(cutoff, |made| made.0).min(cutoff),
    };
    Ok(Anchors {
        notice,
        cutoff,
        employment_ends,
        paid_through,
    })
}

/// Whether somebody leaves again who was given everything back: their access ends anew, and not when it did before.
fn has_come_back(spec: &OffboardingSpec, status: &OffboardingStatus) -> bool {
    let back = |condition: &Condition| condition.type_ == "Ready" && condition.reason == "Reinstated";
    spec.desired == Desired::Offboarded && status.conditions.iter().any(back)
}

/// When an Offboarding was made that nobody has changed since.
fn made_as_it_is(offboarding: &Offboarding) -> Option<Timestamp> {
    let about = &offboarding.metadata;
    let made = about.creation_timestamp.as_ref()?;
    (about.generation == Some(1)).then_some(made.0)
}

/// When access ends. `Immediate` means the moment when that was asked for: when the object was made, else the first moment
/// we heard of it, which the record and the status remember. It must not move in a crash before the first status: accounts are made to
/// expire at it. `known` is the one that the status has.
fn cutoff(
    spec: &OffboardingSpec,
    policy: &OffboardingPolicySpec,
    zone: Option<&str>,
    (earlier, known): (Option<Timestamp>, Option<Timestamp>),
    now: Timestamp,
) -> Result<Timestamp, Invalid> {
    if spec.urgency == Urgency::Immediate {
        return Ok(earlier.filter(|at| *at <= now).unwrap_or(now));
    }
    let day = spec.last_day.as_deref();
    let day = day.ok_or_else(|| invalid("spec.lastDay", "set either lastDay, or urgency: Immediate"))?;
    let time = spec.cutoff.as_ref().and_then(|c| c.time.as_deref());
    let time = time
        .or_else(|| policy.cutoff.as_ref().and_then(|c| c.time.as_deref()))
        .unwrap_or(DEFAULT_TIME);
    let at = schedule::cutoff(day, time, zone.unwrap_or(LAST_ZONE)).map_err(|e| {
        use schedule::Error::{Time, Zone};
        let own = spec.cutoff.as_ref();
        let field = match e {
            Time(_) if own.is_some_and(|c| c.time.is_some()) => "spec.cutoff.time",
            Time(_) => "policy.spec.cutoff.time",
            Zone(_) if own.is_some_and(|c| c.time_zone.is_some()) => "spec.cutoff.timeZone",
            Zone(_) => "policy.spec.cutoff.timeZone",
            _ => "spec.lastDay",
        };
        invalid(field, e)
    })?;
    if known != Some(at) {
        plausible(at, now)?;
    }
    if zone.is_none() && at > now {
        let problem = "the employee's time zone is not known: set it here, or cutoff.timeZone in the policy";
        return Err(invalid("spec.cutoff.timeZone", problem));
    }
    Ok(at)
}

/// Refuses a year that somebody mistyped: access would end now, or never.
fn plausible(at: Timestamp, now: Timestamp) -> Result<(), Invalid> {
    let problem = match () {
        () if at < schedule::later(now, -LONG_AGO) => {
            "is more than twenty years ago: check the year; if access is to end now, set urgency: Immediate"
        }
        () if at > schedule::later(now, NEVER) => "is more than a hundred years ahead: check the year",
        () => return Ok(()),
    };
    Err(invalid("spec.lastDay", problem))
}

/// What the exceptions leave alone, by connector.
fn exceptions(given: &Given<'_>, zone: Option<&str>) -> Result<BTreeMap<String, Kept>, Invalid> {
    let mut all: BTreeMap<String, Kept> = BTreeMap::new();
    for (index, exception) in given.offboarding.spec.exceptions.iter().enumerate() {
        let field = format!("spec.exceptions[{index}]");
        // A name that fits none would leave alone nothing.
        let member = member(given, &exception.connector, format!("{field}.connector"))?;
        let until = schedule::end_of_day(&exception.until, zone.unwrap_or(LAST_ZONE));
        let until = until.map_err(|e| invalid(format!("{field}.until"), e))?;
        let kept = all.entry(exception.connector.clone()).or_default();
        if exception.facts.is_empty() {
            kept.all = kept.all.max(Some(until));
        }
        for fact in &exception.facts {
            // A broken connector hides its facts.
            let facts = member.map_or(&[][..], |member| member.facts);
            if !facts.is_empty() && !facts.iter().any(|f| f.name == *fact) {
                let problem = format!("{:?} has no fact {fact:?}", exception.connector);
                return Err(invalid(format!("{field}.facts"), problem));
            }
            kept.facts.insert(fact.clone(), until);
        }
    }
    Ok(all)
}
