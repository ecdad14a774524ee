//! A leaver as an Offboarding, and which Offboardings are whose.
//!
//! # Why
//! An Offboarding belongs to a source by two annotations that only its creation writes. It stops being the source's when
//! somebody else applies it (`kubectl apply` leaves its own annotation) or owns a field that the source would have to write
//! (server-side apply, an edit): whoever wrote last by hand or by Git knows why.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::{
    api::{
        LeaverSource, Offboarding, OffboardingSpec,
        offboarding::{Cutoff, Dates, Desired, Employee, Profile, Urgency},
    },
    core::{
        leavers::{
            Leaving,
            compare::{Change, Kind, Known},
            is_address,
        },
        people::Worker,
    },
};

/// Names the `LeaverSource` that made an Offboarding.
pub const SOURCE: &str = "offboard.dev/source";
/// The HR system's id of the person.
pub const PERSON: &str = "offboard.dev/person";
/// Set when the source has taken the end back.
pub const TAKEN_BACK: &str = "offboard.dev/taken-back";
/// What a person is asked.
pub const ASKS: &str = "offboard.dev/asks";
/// As whom fields are written.
pub const MANAGER: &str = "offboard-source";
/// What client-side `kubectl apply` leaves behind.
const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What is known of an Offboarding for the source of this name.
pub fn known(offboarding: &Offboarding, source: &str, now: Timestamp) -> Known {
    let annotations = offboarding.annotations();
    let ours =
        annotations.get(SOURCE).is_some_and(|name| name == source) && !annotations.contains_key(APPLIED);
    let spec = &offboarding.spec;
    let immediate = spec.urgency == Urgency::Immediate;
    let cutoff = offboarding.status.as_ref().and_then(|status| status.cutoff);
    Known {
        name: offboarding.name_any(),
        person: annotations.get(PERSON).filter(|_| ours).cloned(),
        email: spec.employee.email.clone(),
        number: spec.employee.employee_id.clone(),
        last_day: spec.last_day.clone(),
        immediate,
        reinstated: spec.desired == Desired::Reinstated,
        taken_back: annotations.contains_key(TAKEN_BACK),
        leave: spec.reason.as_deref() == Some("Leave"),
        over: immediate || cutoff.is_some_and(|cutoff| cutoff <= now),
    }
}

/// Whether somebody else owns a field that `kind` would write. Needs the object as the API server has it, managed fields and
/// all.
pub fn taken_over(offboarding: &Offboarding, kind: Kind) -> bool {
    let fields: &[&str] = match kind {
        Kind::Create => &[],
        Kind::Move => &["f:lastDay", "f:urgency", "f:dates"],
        Kind::Suspend => &["f:suspend"],
        Kind::Reinstate => &["f:desired"],
        Kind::Renew => &["f:lastDay", "f:urgency", "f:dates", "f:suspend", "f:desired"],
    };
    let entries = offboarding.metadata.managed_fields.iter().flatten();
    let others = entries.filter(|e| {
        e.manager.as_deref() != Some(MANAGER) && e.subresource.as_deref().unwrap_or("").is_empty()
    });
    let mut owned = others.filter_map(|e| e.fields_v1.as_ref()?.0.get("f:spec").cloned());
    owned.any(|spec| fields.iter().any(|field| spec.get(field).is_some()))
}

/// The Offboarding of a new leaver.
pub fn create(source: &LeaverSource, change: &Change, leaving: &Leaving) -> Offboarding {
    let mut offboarding = Offboarding::new(&change.name, spec(source, leaving));
    offboarding.metadata.namespace = source.namespace();
    offboarding.metadata.annotations = Some(BTreeMap::from([
        (SOURCE.to_owned(), source.name_any()),
        (PERSON.to_owned(), change.person.clone()),
    ]));
    offboarding
}

fn spec(source: &LeaverSource, leaving: &Leaving) -> OffboardingSpec {
    let worker = &leaving.worker;
    OffboardingSpec {
        employee: Employee {
            email: worker.email.clone(),
            employee_id: worker.employee_id.clone(),
            display_name: short(worker.display_name.as_ref(), 256),
            accounts: vec![],
        },
        last_day: leaving.last_day.clone(),
        cutoff: short(worker.time_zone.as_ref(), 64).map(|zone| Cutoff {
            time: None,
            time_zone: Some(zone),
        }),
        dates: dates(worker),
        profile: profile(worker),
        urgency: urgency(leaving),
        reason: worker.reason.clone(),
        policy_ref: source.spec.policy_ref.clone(),
        ..OffboardingSpec::default()
    }
}

fn urgency(leaving: &Leaving) -> Urgency {
    if leaving.immediate {
        Urgency::Immediate
    } else {
        Urgency::Scheduled
    }
}

fn dates(worker: &Worker) -> Option<Dates> {
    let dates = Dates {
        notice: worker.notice.clone(),
        employment_ends: worker.employment_ends.clone(),
        paid_through: worker.paid_through.clone(),
    };
    (dates != Dates::default()).then_some(dates)
}

/// What the schema does not take is left out: it must not keep anybody's access open.
fn profile(worker: &Worker) -> Option<Profile> {
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

fn short(text: Option<&String>, longest: usize) -> Option<String> {
    let text: String = text?.trim().chars().take(longest).collect();
    (!text.is_empty()).then_some(text)
}

/// The merge patch that makes `change` of the Offboarding as it is; it can neither create one nor meet a later one of the
/// same name.
pub fn patch(offboarding: &Offboarding, change: &Change) -> Value {
    let asks = match change.kind {
        Kind::Suspend => {
            Value::from("the source took the end back: set desired: Reinstated, or suspend: false to go on")
        }
        _ => Value::Null,
    };
    let (taken_back, mut spec) = match change.kind {
        Kind::Suspend => (Some(json!("suspended")), json!({"suspend": true})),
        Kind::Reinstate => (Some(json!("reinstated")), json!({"desired": "Reinstated"})),
        Kind::Renew => (
            Some(Value::Null),
            json!({"desired": "Offboarded", "suspend": false}),
        ),
        Kind::Create | Kind::Move => (None, json!({})),
    };
    if let (Some(leaving), Some(spec)) = (&change.leaving, spec.as_object_mut()) {
        let worker = &leaving.worker;
        if leaving.last_day.is_some() || change.kind == Kind::Renew {
            spec.insert("lastDay".into(), json!(leaving.last_day));
        }
        spec.insert("urgency".into(), json!(urgency(leaving)));
        spec.insert("reason".into(), json!(worker.reason));
        let dates = dates(worker).map(|dates| {
            json!({"notice": dates.notice, "employmentEnds": dates.employment_ends, "paidThrough": dates.paid_through})
        });
        spec.insert("dates".into(), json!(dates));
    }
    let mut annotations = json!({ASKS: asks});
    if let (Some(value), Some(annotations)) = (taken_back, annotations.as_object_mut()) {
        annotations.insert(TAKEN_BACK.into(), value);
    }
    let mut patch = same(offboarding);
    patch["metadata"]["annotations"] = annotations;
    patch["spec"] = spec;
    patch
}

/// The merge patch that asks a person something, or takes the question back.
pub fn asking(offboarding: &Offboarding, what: Option<&str>) -> Value {
    let mut patch = same(offboarding);
    patch["metadata"]["annotations"] = json!({ASKS: what});
    patch
}

/// This object, at this version, and no other.
fn same(offboarding: &Offboarding) -> Value {
    json!({"metadata": {
        "uid": offboarding.metadata.uid,
        "resourceVersion": offboarding.metadata.resource_version,
    }})
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};

    use super::*;
    use crate::{api::LeaverSourceSpec, core::leavers::Horizon};

    fn leaving() -> Leaving {
        Leaving {
            person: "p1".into(),
            worker: Worker {
                employee_id: Some("0117".into()),
                email: Some("jane@example.com".into()),
                country: Some("de".into()),
                manager: Some("nobody".into()),
                department: Some("x".repeat(300)),
                paid_through: Some("2026-10-31".into()),
                time_zone: Some("Europe/Berlin".into()),
                attributes: BTreeMap::from([("badge".into(), json!(7)), ("list".into(), json!([1]))]),
                ..Worker::default()
            },
            last_day: Some("2026-09-30".into()),
            immediate: false,
            undated: false,
            horizon: Horizon::Within,
        }
    }

    fn change(kind: Kind) -> Change {
        Change {
            kind,
            name: "leaver-0117".into(),
            person: "p1".into(),
            leaving: (!matches!(kind, Kind::Suspend | Kind::Reinstate)).then(|| Box::new(leaving())),
        }
    }

    fn made() -> Offboarding {
        let mut source = LeaverSource::new("bamboo", LeaverSourceSpec::default());
        source.metadata.namespace = Some("people".into());
        let mut made = create(&source, &change(Kind::Create), &leaving());
        made.metadata.uid = Some("u1".into());
        made.metadata.resource_version = Some("7".into());
        made
    }

    fn owned_by(manager: &str, field: &str, subresource: Option<&str>) -> Offboarding {
        let entry = ManagedFieldsEntry {
            manager: Some(manager.into()),
            subresource: subresource.map(str::to_owned),
            fields_v1: Some(FieldsV1(json!({"f:spec": {field: {}}}))),
            ..ManagedFieldsEntry::default()
        };
        let mut made = made();
        made.metadata.managed_fields = Some(vec![entry]);
        made
    }

    #[test]
    fn a_leaver_becomes_an_offboarding_that_the_schema_takes() {
        let made = made();
        assert_eq!(made.spec.employee.employee_id.as_deref(), Some("0117"));
        assert_eq!(
            made.spec.cutoff.unwrap().time_zone.as_deref(),
            Some("Europe/Berlin")
        );
        let profile = made.spec.profile.unwrap();
        assert_eq!((profile.country.as_deref(), profile.manager), (Some("DE"), None));
        assert_eq!(profile.department.unwrap().len(), 256);
        assert_eq!(
            profile.attributes,
            BTreeMap::from([("badge".to_owned(), "7".to_owned())])
        );
    }

    #[test]
    fn what_a_source_made_is_its_own_until_somebody_applies_it() {
        let now = "2026-09-15T12:00:00Z".parse().unwrap();
        let mut made = made();
        assert_eq!(known(&made, "bamboo", now).person.as_deref(), Some("p1"));
        assert_eq!(known(&made, "other", now).person, None);
        made.annotations_mut().insert(APPLIED.into(), "{}".into());
        assert_eq!(known(&made, "bamboo", now).person, None);
    }

    #[test]
    fn a_field_that_somebody_else_owns_is_not_written() {
        assert!(taken_over(
            &owned_by("kustomize-controller", "f:lastDay", None),
            Kind::Move
        ));
        assert!(!taken_over(
            &owned_by("kustomize-controller", "f:lastDay", None),
            Kind::Suspend
        ));
        assert!(!taken_over(
            &owned_by("kustomize-controller", "f:legalHold", None),
            Kind::Renew
        ));
        assert!(!taken_over(&owned_by(MANAGER, "f:lastDay", None), Kind::Move));
        assert!(!taken_over(
            &owned_by("offboard", "f:lastDay", Some("status")),
            Kind::Move
        ));
    }

    #[test]
    fn every_patch_is_for_one_object_at_one_version() {
        for kind in [Kind::Move, Kind::Renew, Kind::Suspend, Kind::Reinstate] {
            let patch = patch(&made(), &change(kind));
            assert_eq!(patch["metadata"]["uid"], "u1", "{kind:?}");
            assert_eq!(patch["metadata"]["resourceVersion"], "7", "{kind:?}");
            assert!(patch["spec"].get("employee").is_none());
        }
        let renewed = patch(&made(), &change(Kind::Renew));
        assert_eq!(renewed["metadata"]["annotations"][TAKEN_BACK], Value::Null);
        assert_eq!(
            (&renewed["spec"]["suspend"], &renewed["spec"]["desired"]),
            (&json!(false), &json!("Offboarded"))
        );
        assert_eq!(
            patch(&made(), &change(Kind::Suspend))["spec"],
            json!({"suspend": true})
        );
    }
}
