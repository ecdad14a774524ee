//! What an Offboarding says about a leaver beside who it is and when they leave: it follows the HR system until somebody else
//! has set it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::offboarding::MANAGER;
use crate::{
    api::{
        Offboarding, OffboardingSpec,
        offboarding::{Cutoff, Dates, Profile},
    },
    core::{
        leavers::{Leaving, is_address},
        people::Worker,
    },
};

/// Values by their path in the spec, such as `profile/manager`.
type Details = BTreeMap<String, String>;

/// The details of an Offboarding.
pub fn of(spec: &OffboardingSpec) -> Details {
    let zone = spec.cutoff.as_ref().and_then(|cutoff| cutoff.time_zone.as_ref());
    flat(
        zone,
        spec.reason.as_ref(),
        spec.dates.as_ref(),
        spec.profile.as_ref(),
    )
}

/// The details that a leaver's Offboarding is to have.
pub fn wanted(leaving: &Leaving) -> Details {
    let worker = &leaving.worker;
    let cutoff = cutoff(worker);
    let zone = cutoff.as_ref().and_then(|cutoff| cutoff.time_zone.as_ref());
    flat(
        zone,
        worker.reason.as_ref(),
        dates(worker).as_ref(),
        profile(worker).as_ref(),
    )
}

fn flat(
    zone: Option<&String>,
    reason: Option<&String>,
    dates: Option<&Dates>,
    profile: Option<&Profile>,
) -> Details {
    let mut all = vec![("cutoff/timeZone", zone), ("reason", reason)];
    if let Some(dates) = dates {
        all.extend([
            ("dates/notice", dates.notice.as_ref()),
            ("dates/employmentEnds", dates.employment_ends.as_ref()),
            ("dates/paidThrough", dates.paid_through.as_ref()),
        ]);
    }
    if let Some(profile) = profile {
        all.extend([
            ("profile/manager", profile.manager.as_ref()),
            ("profile/country", profile.country.as_ref()),
            ("profile/department", profile.department.as_ref()),
            ("profile/site", profile.site.as_ref()),
            ("profile/kind", profile.kind.as_ref()),
        ]);
    }
    let plain = all
        .into_iter()
        .filter_map(|(path, value)| Some((path.to_owned(), value?.clone())));
    let attributes = profile.iter().flat_map(|profile| &profile.attributes);
    let attributes = attributes.map(|(name, value)| (format!("{ATTRIBUTES}{name}"), value.clone()));
    plain.chain(attributes).collect()
}

/// Where attributes are; their names may have anything in them.
const ATTRIBUTES: &str = "profile/attributes/";

/// The part of a merge patch of the spec that writes these; what is gone is removed.
pub fn patch(corrections: &BTreeMap<String, Option<&String>>) -> Map<String, Value> {
    let mut patch = json!({});
    for (path, value) in corrections {
        let names: Vec<&str> = match path.strip_prefix(ATTRIBUTES) {
            Some(attribute) => vec!["profile", "attributes", attribute],
            None => path.split('/').collect(),
        };
        let mut place = &mut patch;
        for name in names {
            place = &mut place[name];
        }
        *place = json!(value);
    }
    patch.as_object_mut().map(std::mem::take).unwrap_or_default()
}

/// The paths in the spec that somebody else owns. Needs the object as the API server has it.
pub fn owned_by_others(offboarding: &Offboarding) -> BTreeSet<String> {
    let entries = offboarding.metadata.managed_fields.iter().flatten();
    let others = entries.filter(|e| {
        e.manager.as_deref() != Some(MANAGER) && e.subresource.as_deref().unwrap_or("").is_empty()
    });
    let mut owned = BTreeSet::new();
    for entry in others {
        let fields = entry.fields_v1.as_ref();
        if let Some(spec) = fields.and_then(|fields| fields.0.get("f:spec")) {
            collect(spec, "", &mut owned);
        }
    }
    owned
}

/// The fields at the ends of `fields`.
fn collect(fields: &Value, path: &str, into: &mut BTreeSet<String>) {
    for (key, inner) in fields.as_object().into_iter().flatten() {
        let Some(name) = key.strip_prefix("f:") else {
            continue;
        };
        let path = if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}/{name}")
        };
        let below = inner
            .as_object()
            .is_some_and(|inner| inner.keys().any(|key| key.starts_with("f:")));
        if below {
            collect(inner, &path, into);
        } else {
            into.insert(path);
        }
    }
}

/// The leaver's own time zone.
pub(super) fn cutoff(worker: &Worker) -> Option<Cutoff> {
    short(worker.time_zone.as_ref(), 64).map(|zone| Cutoff {
        time: None,
        time_zone: Some(zone),
    })
}

/// The other days of a leaver.
pub(super) fn dates(worker: &Worker) -> Option<Dates> {
    let dates = Dates {
        notice: worker.notice.clone(),
        employment_ends: worker.employment_ends.clone(),
        paid_through: worker.paid_through.clone(),
    };
    (dates != Dates::default()).then_some(dates)
}

/// What the schema does not take is left out: it must not keep anybody's access open.
pub(super) fn profile(worker: &Worker) -> Option<Profile> {
    let country = worker.country.as_ref().map(|c| c.trim().to_ascii_uppercase());
    let attributes = worker.attributes.iter().filter_map(|(name, value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(yes) => yes.to_string(),
            _ => return None,
        };
        Some((name.clone(), short(Some(&text), 256)?))
    });
    let profile = Profile {
        manager: worker.manager.clone().filter(|manager| is_address(manager)),
        country: country.filter(|c| c.len() == 2 && c.chars().all(|c| c.is_ascii_uppercase())),
        department: short(worker.department.as_ref(), 256),
        site: short(worker.site.as_ref(), 256),
        kind: short(worker.kind.as_ref(), 64),
        attributes: attributes.take(32).collect(),
    };
    (profile != Profile::default()).then_some(profile)
}

/// A text that fits; none of an empty one.
pub(super) fn short(text: Option<&String>, longest: usize) -> Option<String> {
    let text: String = text?.trim().chars().take(longest).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(values: &[(&str, &str)]) -> Details {
        let values = values.iter();
        values
            .map(|(path, value)| ((*path).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn what_an_offboarding_says_and_what_it_is_to_say_are_read_alike() {
        let worker = Worker {
            time_zone: Some("Europe/Berlin".into()),
            reason: Some("Resignation".into()),
            paid_through: Some("2026-10-31".into()),
            manager: Some("b@example.com".into()),
            country: Some("de".into()),
            attributes: BTreeMap::from([("cost/center".into(), json!(7))]),
            ..Worker::default()
        };
        let spec = OffboardingSpec {
            cutoff: cutoff(&worker),
            reason: worker.reason.clone(),
            dates: dates(&worker),
            profile: profile(&worker),
            ..OffboardingSpec::default()
        };
        let expected = owned(&[
            ("cutoff/timeZone", "Europe/Berlin"),
            ("dates/paidThrough", "2026-10-31"),
            ("profile/attributes/cost/center", "7"),
            ("profile/country", "DE"),
            ("profile/manager", "b@example.com"),
            ("reason", "Resignation"),
        ]);
        assert_eq!(of(&spec), expected);
        let leaving = Leaving {
            person: "p1".into(),
            worker,
            last_day: None,
            immediate: false,
            undated: false,
            horizon: crate::core::leavers::Horizon::Within,
            details: Details::new(),
        };
        assert_eq!(wanted(&leaving), expected);
    }

    #[test]
    fn what_is_put_right_is_written_and_what_is_gone_is_removed() {
        let manager = "c@example.com".to_owned();
        let corrections = BTreeMap::from([
            ("profile/manager".to_owned(), Some(&manager)),
            ("profile/attributes/cost/center".to_owned(), None),
            ("reason".to_owned(), None),
        ]);
        let expected = json!({
            "profile": {"manager": "c@example.com", "attributes": {"cost/center": null}}, "reason": null,
        });
        assert_eq!(Value::Object(patch(&corrections)), expected);
    }
}
