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

use super::details::{self, cutoff, dates, profile, short};
use crate::{
    api::{
        LeaverSource, Offboarding, OffboardingSpec,
        offboarding::{Desired, Employee, Urgency},
    },
    core::leavers::{
        Leaving,
        compare::{Change, Kind, Known},
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
/// The question for which nothing is done, or was not until a person set `suspend: false`.
pub const HELD: &str = "offboard.dev/held";
/// As whom fields are written.
pub const MANAGER: &str = "offboard-source";
/// What client-side `kubectl apply` leaves behind.
const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The source that made `offboarding`, unless somebody else applies it by now. Nobody but the operator may write what says so
/// where the chart's admission policies are in force.
pub fn source_of(offboarding: &Offboarding) -> Option<&str> {
    let annotations = offboarding.annotations();
    let made = annotations.contains_key(PERSON) && !annotations.contains_key(APPLIED);
    annotations.get(SOURCE).filter(|_| made).map(String::as_str)
}

/// What is known of an Offboarding for the source of this name.
pub fn known(offboarding: &Offboarding, source: &str, now: Timestamp) -> Known {
    let annotations = offboarding.annotations();
    let ours =
        annotations.get(SOURCE).is_some_and(|name| name == source) && !annotations.contains_key(APPLIED);
    let spec = &offboarding.spec;
    let immediate = spec.urgency == Urgency::Immediate;
    let cutoff = offboarding.status.as_ref().and_then(|status| status.cutoff);
    let held = annotations.get(HELD).cloned();
    let waits = held.is_some() && spec.suspend;
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
        over: immediate || !waits && cutoff.is_some_and(|cutoff| cutoff <= now),
        details: details::of(spec),
        kept: details::owned_by_others(offboarding),
        governed: held.is_none() && taken_over(offboarding, Kind::Suspend),
        held,
        suspended: spec.suspend,
    }
}

/// Whether somebody else owns a field that `kind` would write. Needs the object as the API server has it, managed fields and
/// all. Who let an Offboarding go on that a source had stopped has answered a question, and has not taken it over.
pub fn taken_over(offboarding: &Offboarding, kind: Kind) -> bool {
    let fields: &[&str] = match kind {
        Kind::Create | Kind::Correct => &[],
        Kind::Move => &["lastDay", "urgency"],
        Kind::Suspend => &["suspend"],
        Kind::Reinstate => &["desired"],
        Kind::Renew => &["lastDay", "urgency", "suspend", "desired"],
    };
    let answered = offboarding.annotations().contains_key(HELD);
    let owned = details::owned_by_others(offboarding);
    fields
        .iter()
        .any(|field| owned.contains(*field) && !(answered && *field == "suspend"))
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
            other_emails: worker.other_emails.clone(),
            employee_id: worker.employee_id.clone(),
            display_name: short(worker.display_name.as_ref(), 256),
            accounts: vec![],
        },
        last_day: leaving.last_day.clone(),
        cutoff: cutoff(worker),
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

/// The merge patch that makes `change` of the Offboarding as it is; it can neither create one nor meet a later one of the
/// same name. What is past by `now` is not moved about.
pub fn patch(offboarding: &Offboarding, change: &Change, now: Timestamp) -> Value {
    let asks = match change.kind {
        Kind::Suspend => {
            Value::from("the source took the end back: set desired: Reinstated, or suspend: false to go on")
        }
        _ => Value::Null,
    };
    let (taken_back, mut spec) = match change.kind {
        Kind::Suspend => (Some(json!("suspended")), json!({"suspend": true})),
        // What was stopped for a question goes on.
        Kind::Reinstate if offboarding.annotations().contains_key(HELD) => (
            Some(json!("reinstated")),
            json!({"desired": "Reinstated", "suspend": false}),
        ),
        Kind::Reinstate => (Some(json!("reinstated")), json!({"desired": "Reinstated"})),
        Kind::Renew => (
            Some(Value::Null),
            json!({"desired": "Offboarded", "suspend": false}),
        ),
        Kind::Create | Kind::Move | Kind::Correct => (None, json!({})),
    };
    if let (Some(leaving), Some(spec)) = (&change.leaving, spec.as_object_mut()) {
        if change.kind != Kind::Correct {
            if leaving.last_day.is_some() || change.kind == Kind::Renew {
                spec.insert("lastDay".into(), json!(leaving.last_day));
            }
            spec.insert("urgency".into(), json!(urgency(leaving)));
        }
        let mut known = known(offboarding, "", now);
        // Another day is another end.
        known.over &= change.kind == Kind::Correct;
        spec.extend(details::patch(&known.corrections(&details::wanted(leaving))));
    }
    let mut annotations = json!({ASKS: asks});
    if let (Some(value), Some(annotations)) = (taken_back, annotations.as_object_mut()) {
        annotations.insert(TAKEN_BACK.into(), value);
        annotations.insert(HELD.into(), Value::Null);
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

/// The merge patch that asks a person something, and does nothing until there is an answer; `key` is the question's.
pub fn holding(offboarding: &Offboarding, what: &str, key: &str) -> Value {
    let mut patch = same(offboarding);
    patch["metadata"]["annotations"] = json!({ASKS: what, HELD: key});
    patch["spec"] = json!({"suspend": true});
    patch
}

/// The merge patch that takes back the question for which nothing was done. Needs the object with its managed fields: what
/// somebody else has stopped too is not let go.
pub fn releasing(offboarding: &Offboarding) -> Value {
    let mut patch = same(offboarding);
    patch["metadata"]["annotations"] = json!({ASKS: null, HELD: null});
    if offboarding.spec.suspend && !details::owned_by_others(offboarding).contains("suspend") {
        patch["spec"] = json!({"suspend": false});
    }
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
    use crate::{
        api::LeaverSourceSpec,
        core::{leavers::Horizon, people::Worker},
    };

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
            details: BTreeMap::new(),
        }
    }

    fn now() -> Timestamp {
        "2026-09-15T12:00:00Z".parse().unwrap()
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
        let now = now();
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
            let patch = patch(&made(), &change(kind), now());
            assert_eq!(patch["metadata"]["uid"], "u1", "{kind:?}");
            assert_eq!(patch["metadata"]["resourceVersion"], "7", "{kind:?}");
            assert!(patch["spec"].get("employee").is_none());
        }
        let renewed = patch(&made(), &change(Kind::Renew), now());
        assert_eq!(renewed["metadata"]["annotations"][TAKEN_BACK], Value::Null);
        assert_eq!(
            (&renewed["spec"]["suspend"], &renewed["spec"]["desired"]),
            (&json!(false), &json!("Offboarded"))
        );
        assert_eq!(
            patch(&made(), &change(Kind::Suspend), now())["spec"],
            json!({"suspend": true})
        );
    }
}
