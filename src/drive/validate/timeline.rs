//! When each class or fact is wanted, by the policy's timeline for this leaver.

use jiff::civil;

use super::{Chosen, Given, Invalid, Member, invalid, policy::Audience};
use crate::{
    api::policy::{BusinessHours, During, Moment as Entry, OffboardingPolicySpec, Weekday},
    core::{
        case::{Moment, Timeline},
        fact::Class,
        schedule::{self, Anchors, Hours},
    },
};

/// The timeline of one leaver: of the entries that are for them, the first that names a class or fact counts.
pub(super) fn timeline(
    policy: &Chosen,
    given: &Given<'_>,
    anchors: &Anchors,
    zone: &str,
) -> Result<Timeline, Invalid> {
    let retention = schedule::duration(&policy.spec.retention.accounts);
    let mut timeline = Timeline {
        retention: retention.map_err(|e| invalid("policy.spec.retention.accounts", e))?,
        ..Timeline::default()
    };
    let audience = Audience::of(given.offboarding);
    for (index, entry) in policy.spec.timeline.iter().enumerate() {
        let path = format!("policy.spec.timeline[{index}]");
        known(entry, &path, given.members)?;
        if let Some(when) = &entry.when
            && !audience.fits(when, &format!("{path}.when"))?
        {
            continue;
        }
        let settled = |name: &String| timeline.at.contains_key(name) || timeline.skip.contains(name);
        let fresh = |names: &[String]| names.iter().filter(|n| !settled(n)).cloned().collect::<Vec<_>>();
        let (want, skip) = (fresh(&entry.want), fresh(&entry.skip));
        if let Some(moment) = moment(entry, &policy.spec, &path, anchors, zone)? {
            timeline.at.extend(want.into_iter().map(|name| (name, moment)));
        }
        timeline.skip.extend(skip);
    }
    Ok(timeline)
}

fn moment(
    entry: &Entry,
    policy: &OffboardingPolicySpec,
    path: &str,
    anchors: &Anchors,
    zone: &str,
) -> Result<Option<Moment>, Invalid> {
    let read = |field: &str, text: &Option<String>| {
        let instant = text
            .as_ref()
            .map(|text| schedule::moment(text, anchors))
            .transpose();
        instant.map_err(|e| invalid(format!("{path}.{field}"), e))
    };
    let (Some(mut at), until) = (read("at", &entry.at)?, read("until", &entry.until)?) else {
        return Ok(None);
    };
    if entry.during == During::BusinessHours {
        let hours = hours(&policy.business_hours.clone().unwrap_or_default())?;
        at = hours
            .next(at, zone)
            .map_err(|e| invalid(format!("{path}.during"), e))?;
    }
    Ok(Some(Moment { at, until }))
}

pub(super) fn hours(hours: &BusinessHours) -> Result<Hours, Invalid> {
    let days = hours.days.iter().map(|day| weekday(*day)).collect();
    Hours::new(days, &hours.from, &hours.to).map_err(|e| invalid("policy.spec.businessHours", e))
}

fn weekday(day: Weekday) -> civil::Weekday {
    match day {
        Weekday::Monday => civil::Weekday::Monday,
        Weekday::Tuesday => civil::Weekday::Tuesday,
        Weekday::Wednesday => civil::Weekday::Wednesday,
        Weekday::Thursday => civil::Weekday::Thursday,
        Weekday::Friday => civil::Weekday::Friday,
        Weekday::Saturday => civil::Weekday::Saturday,
        Weekday::Sunday => civil::Weekday::Sunday,
    }
}

/// Every name is a class or a fact, and no class of security is skipped as a whole.
pub(super) fn known(entry: &Entry, path: &str, members: &[Member<'_>]) -> Result<(), Invalid> {
    for name in entry.want.iter().chain(&entry.skip) {
        // A broken connector hides its facts, so a name that only it may know is let through.
        let fact = |m: &Member<'_>| m.facts.is_empty() || m.facts.iter().any(|f| f.name == *name);
        if class(name).is_none() && !members.iter().any(fact) {
            let problem = format!("{name:?} is neither a class nor a fact of any selected connector");
            return Err(invalid(path, problem));
        }
    }
    let secure = |name: &&String| class(name).is_some_and(Class::security);
    if let Some(name) = entry.skip.iter().find(secure) {
        let problem =
            format!("security facts can only be skipped by their own names, not by the class {name}");
        return Err(invalid(format!("{path}.skip"), problem));
    }
    Ok(())
}

/// The class named so.
pub(super) fn class(name: &str) -> Option<Class> {
    serde_json::from_value(serde_json::Value::String(name.to_owned())).ok()
}
