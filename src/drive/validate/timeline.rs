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
    if until.is_some_and(|until| until <= at) {
        let problem = "is not after at: nothing would ever be wanted";
        return Err(invalid(format!("{path}.until"), problem));
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::{
        super::tests::{Company, at, chosen, jane, refused},
        *,
    };
    use crate::core::case::Wanted;

    fn anchors() -> Anchors {
        Anchors {
            notice: at("2026-08-31T22:00:00Z"),
            cutoff: at("2026-09-30T15:00:00Z"),
            employment_ends: at("2026-10-31T23:00:00Z"),
            paid_through: at("2026-12-31T23:00:00Z"),
        }
    }

    fn timeline_of(leaver: &Value, policy: Value) -> Result<Timeline, Invalid> {
        let company = Company::new();
        let (leaver, policy, members) = (jane(leaver), chosen(policy), company.members());
        let given = Given::alone(&leaver, &policy, &members);
        timeline(&policy, &given, &anchors(), "Europe/Berlin")
    }

    /// When the fact of the class Data is wanted.
    fn data(leaver: &Value, entries: Value) -> Wanted {
        let timeline = timeline_of(leaver, json!({"timeline": entries})).unwrap();
        let company = Company::new();
        let members = company.members();
        let fact = members[0]
            .facts
            .iter()
            .find(|fact| fact.class == Class::Data)
            .unwrap();
        timeline.wanted(fact, anchors().cutoff)
    }

    fn from(text: &str) -> Wanted {
        Wanted::At(text.parse::<Timestamp>().unwrap())
    }

    #[test]
    fn instants_are_counted_from_each_anchor_before_and_after() {
        for (text, instant) in [
            ("cutoff", "2026-09-30T15:00:00Z"),
            ("cutoff - 1h", "2026-09-30T14:00:00Z"),
            ("notice", "2026-08-31T22:00:00Z"),
            ("employmentEnds + 1d", "2026-11-01T23:00:00Z"),
            ("paidThrough + 30m", "2026-12-31T23:30:00Z"),
        ] {
            assert_eq!(
                data(&json!({}), json!([{"want": ["Data"], "at": text}])),
                from(instant),
                "{text}"
            );
        }
        assert_eq!(
            data(&json!({}), json!([])),
            from("2026-09-30T15:00:00Z"),
            "the default"
        );
    }

    #[test]
    fn the_first_entry_that_is_for_this_leaver_counts_and_a_facts_own_name_before_its_class() {
        let contractor = json!({"profile": {"kind": "Contractor"}});
        let entries = json!([
            {"skip": ["Data"], "when": "employee.kind == 'Contractor'"},
            {"want": ["Data"], "at": "cutoff + 7d"},
        ]);
        assert_eq!(data(&contractor, entries.clone()), Wanted::Not);
        assert_eq!(data(&json!({}), entries), from("2026-10-07T15:00:00Z"));
        let named = json!([{"want": ["Data"], "at": "cutoff + 7d"}, {"want": ["FilesHandedOver"], "at": "cutoff + 1d"}]);
        assert_eq!(data(&json!({}), named), from("2026-10-01T15:00:00Z"));
        let kept = json!([{"skip": ["Data"]}, {"want": ["FilesHandedOver"], "at": "cutoff"}]);
        assert_eq!(data(&json!({}), kept), from("2026-09-30T15:00:00Z"));
    }

    #[test]
    fn what_falls_outside_of_business_hours_waits_for_the_next_and_is_never_early() {
        let entry = |at: &str| json!([{"want": ["Data"], "at": at, "during": "BusinessHours"}]);
        // Wednesday, five in the afternoon in Berlin: closed.
        assert_eq!(data(&json!({}), entry("cutoff")), from("2026-10-01T07:00:00Z"));
        assert_eq!(
            data(&json!({}), entry("cutoff - 1h")),
            from("2026-09-30T14:00:00Z"),
            "open"
        );
        assert_eq!(
            data(&json!({}), entry("cutoff + 3d")),
            from("2026-10-05T07:00:00Z"),
            "Saturday"
        );
        // The clocks go back on 25 October.
        assert_eq!(
            data(&json!({}), entry("cutoff + 24d")),
            from("2026-10-26T08:00:00Z")
        );
        let own = json!({
            "businessHours": {"days": ["Saturday"], "from": "10:00", "to": "12:00"},
            "timeline": [{"want": ["Data"], "at": "cutoff", "during": "BusinessHours"}],
        });
        let timeline = timeline_of(&json!({}), own).unwrap();
        assert_eq!(timeline.at["Data"].at, at("2026-10-03T08:00:00Z"));
    }

    #[test]
    fn an_end_and_the_retention_are_kept_with_the_instants() {
        let entries = json!([{"want": ["Data"], "at": "cutoff", "until": "paidThrough"}]);
        let (from, until) = (anchors().cutoff, anchors().paid_through);
        assert_eq!(data(&json!({}), entries), Wanted::Between(from, until));
        let policy =
            json!({"retention": {"accounts": "5d"}, "timeline": [{"want": ["Deletion"], "at": "cutoff"}]});
        let timeline = timeline_of(&json!({}), policy).unwrap();
        let company = Company::new();
        let members = company.members();
        let deleted = members[0].facts.last().unwrap();
        let five = jiff::SignedDuration::from_hours(120);
        assert_eq!(timeline.wanted(deleted, from), Wanted::Kept(from, five));
        let default = timeline_of(&json!({}), json!({})).unwrap();
        assert_eq!(
            default.wanted(deleted, from),
            Wanted::Not,
            "nothing is deleted unless a policy says so"
        );
    }

    #[test]
    fn a_name_that_nothing_has_and_a_class_of_security_are_refused_with_their_place() {
        let entries =
            |entry: Value| timeline_of(&json!({}), json!({"timeline": [{"skip": ["Mail"]}, entry]}));
        // A broken connector might know any name: without one, a wrong name is one.
        let company = Company::new();
        let members = company.members();
        let entry: Entry = serde_json::from_value(json!({"skip": ["NoSuchFact"]})).unwrap();
        refused(
            known(&entry, "spec.timeline[0]", &members[..1]),
            "spec.timeline[0]",
            "neither a class nor a fact",
        );
        assert_eq!(known(&entry, "spec.timeline[0]", &members), Ok(()));
        refused(
            entries(json!({"skip": ["Sessions"]})),
            "policy.spec.timeline[1].skip",
            "by their own names",
        );
        refused(
            entries(json!({"want": ["Data"], "at": "cutoff", "when": "employee.attributes.x == '1'"})),
            "policy.spec.timeline[1].when",
            "has()",
        );
    }
}
