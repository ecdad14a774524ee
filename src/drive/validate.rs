//! From the kinds users write to a [`Case`]: everything that can be wrong is found here, with its field and the fix.

use std::collections::BTreeMap;

use jiff::Timestamp;
use thiserror::Error;

use crate::{
    api::{
        Offboarding, OffboardingPolicySpec,
        connector::{ConnectorMode, ConnectorSpec},
        offboarding::{Desired, LegalHold, OffboardingSpec, Urgency},
        policy::Enforcement,
    },
    core::{
        case::{Case, System, Timeline, Wanted},
        fact::{Class, FactSpec},
        identity::Person,
        schedule,
    },
};

/// Used where neither the Offboarding nor the policy names a time of day.
const DEFAULT_TIME: &str = "17:00";
/// The zone in which a day ends last. Where no zone is known, a day that is over there is over everywhere.
const LAST_ZONE: &str = "Etc/GMT+12";

/// A field that cannot be used, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// Path of the field, such as `spec.cutoff.timeZone`.
    pub field: String,
    /// What is wrong and how to mend it.
    pub problem: String,
}

#[expect(clippy::needless_pass_by_value, reason = "called with texts and with errors")]
fn invalid(field: impl Into<String>, problem: impl ToString) -> Invalid {
    Invalid {
        field: field.into(),
        problem: problem.to_string(),
    }
}

/// A Connector as far as a case needs it.
#[derive(Debug, Clone)]
pub struct Member<'a> {
    /// `metadata.name`.
    pub name: &'a str,
    /// `metadata.labels`.
    pub labels: &'a BTreeMap<String, String>,
    /// Its spec.
    pub spec: &'a ConnectorSpec,
    /// The facts of its definition; empty when the connector is broken.
    pub facts: &'a [FactSpec],
}

/// Makes a case from an Offboarding, its policy and the Connectors of its namespace.
///
/// # Errors
/// The first field that cannot be used.
pub fn validate(
    offboarding: &Offboarding,
    policy: &OffboardingPolicySpec,
    members: &[Member<'_>],
    now: Timestamp,
) -> Result<Case, Invalid> {
    let spec = &offboarding.spec;
    if spec.desired == Desired::Reinstated {
        return Err(invalid(
            "spec.desired",
            "Reinstated is not supported by this version: set it to Offboarded",
        ));
    }
    let zone = spec.cutoff.as_ref().and_then(|c| c.time_zone.as_deref());
    let zone = zone.or_else(|| policy.cutoff.as_ref().and_then(|c| c.time_zone.as_deref()));
    let earlier = offboarding.status.as_ref().and_then(|status| status.cutoff);
    let earlier = earlier.or_else(|| made_as_it_is(offboarding));
    let cutoff = cutoff(spec, policy, zone, earlier, now)?;
    let from_cutoff = |field: &str, text: &str| {
        let length = schedule::duration(text).map_err(|e| invalid(field, e))?;
        Ok(schedule::later(cutoff, length))
    };
    let deadline = from_cutoff(
        "policy.spec.deadlines.accessRevoked",
        &policy.deadlines.access_revoked,
    )?;
    let retention_over = from_cutoff("policy.spec.retention.accounts", &policy.retention.accounts)?;
    let recheck_every = schedule::duration(&policy.recheck.every);
    let timeline = timeline(policy, members, cutoff)?;
    let mut systems = vec![];
    for member in members.iter().filter(|m| selected(policy, m)) {
        systems.push(system(spec, policy, member, None, zone)?);
    }
    for (index, account) in spec.employee.accounts.iter().enumerate() {
        let member = members
            .iter()
            .find(|m| m.name == account.connector)
            .ok_or_else(|| {
                let problem = format!("there is no Connector {:?} in this namespace", account.connector);
                invalid(format!("spec.employee.accounts[{index}].connector"), problem)
            })?;
        systems.push(system(spec, policy, member, Some(&account.name), zone)?);
    }
    for system in &mut systems {
        let name = system.row.split('/').next().unwrap_or_default();
        let facts = members
            .iter()
            .find(|m| m.name == name)
            .map_or(&[][..], |m| m.facts);
        let wanted = facts
            .iter()
            .map(|f| (f.name.clone(), timeline.wanted(f, cutoff, retention_over)));
        system.wanted = wanted.collect();
    }
    Ok(Case {
        uid: offboarding.metadata.uid.clone().unwrap_or_default(),
        name: offboarding.metadata.name.clone().unwrap_or_default(),
        generation: offboarding.metadata.generation.unwrap_or_default(),
        policy: None,
        who: person(spec),
        cutoff,
        access_deadline: deadline,
        enforce: policy.enforcement == Enforcement::Enforce,
        suspended: spec.suspend,
        legal_hold: spec.legal_hold == LegalHold::Hold,
        recheck_until: from_cutoff("policy.spec.recheck.for", &policy.recheck.for_)?,
        recheck_every: recheck_every.map_err(|e| invalid("policy.spec.recheck.every", e))?,
        systems,
    })
}

/// When an Offboarding was made that nobody has changed since.
fn made_as_it_is(offboarding: &Offboarding) -> Option<Timestamp> {
    let about = &offboarding.metadata;
    let made = about.creation_timestamp.as_ref()?;
    (about.generation == Some(1)).then_some(made.0)
}

/// When access ends. `Immediate` means the moment when that was asked for: when the object was made, else the first moment
/// we heard of it, which the status remembers. It must not move in a crash before the first status: accounts are made to
/// expire at it.
fn cutoff(
    spec: &OffboardingSpec,
    policy: &OffboardingPolicySpec,
    zone: Option<&str>,
    earlier: Option<Timestamp>,
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
    if zone.is_none() && at > now {
        let problem = "the employee's time zone is not known: set it here, or cutoff.timeZone in the policy";
        return Err(invalid("spec.cutoff.timeZone", problem));
    }
    Ok(at)
}

fn timeline(
    policy: &OffboardingPolicySpec,
    members: &[Member<'_>],
    cutoff: Timestamp,
) -> Result<Timeline, Invalid> {
    let mut timeline = Timeline::default();
    for (index, moment) in policy.timeline.iter().enumerate() {
        let path = format!("policy.spec.timeline[{index}]");
        for name in moment.want.iter().chain(&moment.skip) {
            if !known(name, members) {
                let problem = format!("{name:?} is neither a class nor a fact of any selected connector");
                return Err(invalid(path, problem));
            }
        }
        if let Some(at) = &moment.at {
            let at = schedule::moment(at, cutoff).map_err(|e| invalid(format!("{path}.at"), e))?;
            timeline
                .at
                .extend(moment.want.iter().map(|name| (name.clone(), at)));
        }
        if let Some(name) = moment
            .skip
            .iter()
            .find(|name| class(name).is_some_and(Class::security))
        {
            let problem =
                format!("security facts can only be skipped by their own names, not by the class {name}");
            return Err(invalid(format!("{path}.skip"), problem));
        }
        timeline.skip.extend(moment.skip.iter().cloned());
    }
    Ok(timeline)
}

fn class(name: &str) -> Option<Class> {
    serde_json::from_value(serde_json::Value::String(name.to_owned())).ok()
}

/// A broken connector hides its facts, so a name that only it may know is let through.
fn known(name: &str, members: &[Member<'_>]) -> bool {
    class(name).is_some()
        || members
            .iter()
            .any(|m| m.facts.is_empty() || m.facts.iter().any(|f| f.name == name))
}

fn selected(policy: &OffboardingPolicySpec, member: &Member<'_>) -> bool {
    policy
        .connectors
        .match_labels
        .iter()
        .all(|(key, value)| member.labels.get(key) == Some(value))
}

fn person(spec: &OffboardingSpec) -> Person {
    Person {
        email: spec.employee.email.clone(),
        employee_id: spec.employee.employee_id.clone(),
        display_name: spec.employee.display_name.clone(),
        account_name: None,
    }
}

fn system(
    spec: &OffboardingSpec,
    policy: &OffboardingPolicySpec,
    member: &Member<'_>,
    account: Option<&str>,
    zone: Option<&str>,
) -> Result<System, Invalid> {
    let mut kept_until = None;
    for (index, exception) in spec.exceptions.iter().enumerate() {
        if exception.connector == member.name {
            let until = schedule::end_of_day(&exception.until, zone.unwrap_or(LAST_ZONE));
            kept_until = Some(until.map_err(|e| invalid(format!("spec.exceptions[{index}].until"), e))?);
        }
    }
    Ok(System {
        row: account.map_or_else(
            || member.name.to_owned(),
            |account| format!("{}/{account}", member.name),
        ),
        who: Person {
            account_name: account.map(str::to_owned),
            ..person(spec)
        },
        successor: successor(spec, policy, member.name)?,
        observe_only: member.spec.mode == ConnectorMode::Observe,
        kept_until,
        attested: BTreeMap::new(),
        wanted: BTreeMap::<String, Wanted>::new(),
    })
}

/// Who takes over in one system: a transfer that names the connector wins over one that does not, the Offboarding
/// over the policy.
fn successor(
    spec: &OffboardingSpec,
    policy: &OffboardingPolicySpec,
    connector: &str,
) -> Result<Option<Person>, Invalid> {
    let named = |own: bool| {
        let transfers = spec
            .transfers
            .iter()
            .filter(move |t| t.connector.is_some() == own);
        transfers
            .filter(|t| t.connector.as_deref().is_none_or(|name| name == connector))
            .map(|t| t.to.as_str())
    };
    let mut takers: Vec<&str> = named(true).collect();
    if takers.is_empty() {
        takers = named(false).collect();
    }
    let mut field = "spec.transfers";
    if takers.is_empty() {
        field = "policy.spec.transfer.to";
        takers.extend(policy.transfer.as_ref().map(|t| t.to.as_str()));
    }
    takers.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
    let taker = match takers[..] {
        [] => return Ok(None),
        [one] => one,
        _ => {
            let problem =
                format!("one successor for each connector: {connector} has several; name the connector");
            return Err(invalid("spec.transfers", problem));
        }
    };
    if spec
        .employee
        .email
        .as_deref()
        .is_some_and(|email| email.eq_ignore_ascii_case(taker))
    {
        let problem = "the successor must be somebody else than the leaver: name another in spec.transfers";
        return Err(invalid(field, problem));
    }
    Ok(Some(Person {
        email: Some(taker.to_owned()),
        ..Person::default()
    }))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    #[test]
    fn an_immediate_cutoff_is_when_it_was_asked_for_however_often_we_begin_anew() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let leaver = r#"{"apiVersion": "offboard.dev/v1alpha1", "kind": "Offboarding", "metadata": {"name": "jane"},
            "spec": {"employee": {"email": "jane@example.com"}, "urgency": "Immediate"}}"#;
        let mut leaver: Offboarding = serde_json::from_str(leaver).unwrap();
        let cutoff = |leaver: &Offboarding, now| {
            validate(leaver, &OffboardingPolicySpec::default(), &[], now)
                .unwrap()
                .cutoff
        };
        // A file: nobody knows since when.
        assert_eq!(cutoff(&leaver, at(70)), at(70));
        leaver.metadata.creation_timestamp = Some(Time(at(50)));
        leaver.metadata.generation = Some(1);
        assert_eq!(cutoff(&leaver, at(70)), at(50));
        assert_eq!(cutoff(&leaver, at(90)), at(50));
        // Made urgent later: when that was, only the status tells.
        leaver.metadata.generation = Some(2);
        assert_eq!(cutoff(&leaver, at(90)), at(90));
        leaver.status.get_or_insert_default().cutoff = Some(at(80));
        assert_eq!(cutoff(&leaver, at(90)), at(80));
    }
}
