//! Which policy a leaver has, and whether a policy is sound at all.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Invalid, Member, invalid, timeline};
use crate::{
    api::{
        Offboarding, OffboardingPolicySpec,
        policy::{self, During},
    },
    connectors::declarative::{Expression, Problems, Scope},
    core::{
        fact::Class,
        fault::Reason,
        gate::{Approver, Rule},
        schedule::{self, Anchors},
    },
};

/// The policy that is used when no other fits.
const DEFAULT: &str = "default";
/// What expressions of a policy may speak of.
const NAMES: &[&str] = &["employee", "offboarding"];

/// A policy with its name; without one the built-in policy.
#[derive(Debug, Clone, Default)]
pub struct Chosen {
    /// `metadata.name`.
    pub name: Option<String>,
    /// Its spec.
    pub spec: OffboardingPolicySpec,
}

/// The policy of `offboarding` among `policies`: the one it names; else, of those whose `when` holds, the one with the highest
/// priority; else the one named `default`; else the built-in one.
///
/// # Errors
/// When the one that is named is not there, or a `when` has no value for this leaver.
pub fn choose<'p>(
    offboarding: &Offboarding,
    policies: impl IntoIterator<Item = (&'p str, &'p OffboardingPolicySpec)>,
) -> Result<Chosen, Invalid> {
    let policies: BTreeMap<&str, &OffboardingPolicySpec> = policies.into_iter().collect();
    let chosen = |name: &str, spec: &OffboardingPolicySpec| Chosen {
        name: Some(name.to_owned()),
        spec: spec.clone(),
    };
    if let Some(named) = &offboarding.spec.policy_ref {
        let Some(spec) = policies.get(named.name.as_str()) else {
            let problem = format!(
                "there is no OffboardingPolicy {:?} in this namespace: create it, or leave policyRef out",
                named.name
            );
            return Err(invalid("spec.policyRef.name", problem));
        };
        if !spec.selectable && fitting(offboarding, &policies)?.map(|(name, _)| name) != Some(&named.name) {
            let problem = format!(
                "OffboardingPolicy {:?} is not the one that fits, and may not be chosen: leave policyRef out, or have \
                 selectable: true put into that policy",
                named.name
            );
            return Err(invalid("spec.policyRef.name", problem));
        }
        return Ok(chosen(&named.name, spec));
    }
    Ok(fitting(offboarding, &policies)?.map_or_else(Chosen::default, |(name, spec)| chosen(name, spec)))
}

/// The policy of whose `when` holds the one with the highest priority, else the one named `default`; none: the built-in one.
fn fitting<'p>(
    offboarding: &Offboarding,
    policies: &BTreeMap<&'p str, &'p OffboardingPolicySpec>,
) -> Result<Option<(&'p str, &'p OffboardingPolicySpec)>, Invalid> {
    let audience = Audience::of(offboarding);
    let mut best: Option<(&str, &OffboardingPolicySpec)> = None;
    for (name, spec) in policies {
        let Some(when) = &spec.when else { continue };
        let higher = best.is_none_or(|(_, other)| other.priority < spec.priority);
        if higher && audience.fits(when, &format!("OffboardingPolicy {name}: spec.when"))? {
            best = Some((name, spec));
        }
    }
    let fallback = || policies.get(DEFAULT).map(|spec| (DEFAULT, *spec));
    Ok(best.or_else(fallback))
}

/// What expressions of a policy see of one leaver.
pub(super) struct Audience {
    employee: Value,
    offboarding: Value,
}

impl Audience {
    pub(super) fn of(leaver: &Offboarding) -> Self {
        let spec = &leaver.spec;
        let profile = spec.profile.clone().unwrap_or_default();
        let connectors = spec.employee.accounts.iter().map(|a| a.connector.as_str());
        // What is not known is an empty text, so that an expression has a value for everybody.
        Self {
            employee: json!({
                "email": spec.employee.email.as_deref().unwrap_or_default(),
                "employeeID": spec.employee.employee_id.as_deref().unwrap_or_default(),
                "displayName": spec.employee.display_name.as_deref().unwrap_or_default(),
                "accounts": connectors.collect::<Vec<_>>(),
                "manager": profile.manager.unwrap_or_default(),
                "country": profile.country.unwrap_or_default(),
                "department": profile.department.unwrap_or_default(),
                "site": profile.site.unwrap_or_default(),
                "kind": profile.kind.unwrap_or_default(),
                "attributes": profile.attributes,
            }),
            offboarding: json!({
                "name": leaver.metadata.name.as_deref().unwrap_or_default(),
                "labels": leaver.metadata.labels.clone().unwrap_or_default(),
                "reason": spec.reason.as_deref().unwrap_or_default(),
                "urgency": spec.urgency,
                "desired": spec.desired,
                "visibility": spec.visibility,
                "legalHold": spec.legal_hold,
                "reference": spec.reference.as_deref().unwrap_or_default(),
            }),
        }
    }

    /// Whether `when`, the field at `path`, holds.
    pub(super) fn fits(&self, when: &str, path: &str) -> Result<bool, Invalid> {
        let expression = compile(when, path)?;
        let scope = Scope::new()
            .with("employee", &self.employee)
            .with("offboarding", &self.offboarding);
        expression.holds(&scope).map_err(|error| match error.reason() {
            Reason::ExpressionTooCostly => {
                let problem =
                    "it goes through too much of this leaver, or makes too much of it: ask for less";
                invalid(path, format!("{}: {problem}", error.reason().as_str()))
            }
            _ => invalid(
                path,
                "has no value for this leaver: test with has() what not everybody has",
            ),
        })
    }
}

fn compile(when: &str, path: &str) -> Result<Expression, Invalid> {
    let mut problems = Problems::default();
    let expression = Expression::compile(when, path, NAMES, &mut problems);
    let complaint = problems.0.into_iter().next();
    // One that speaks of what is not there is an expression all the same.
    expression
        .filter(|_| complaint.is_none())
        .ok_or_else(|| invalid(path, complaint.map(|p| p.message).unwrap_or_default()))
}

/// Whether `spec`, the policy `name`, is sound with the Connectors and the other policies of its namespace.
///
/// # Errors
/// The first field that is wrong; its path begins with `spec`.
pub fn check<'p>(
    name: &str,
    spec: &OffboardingPolicySpec,
    members: &[Member<'_>],
    others: impl IntoIterator<Item = (&'p str, &'p OffboardingPolicySpec)>,
) -> Result<(), Invalid> {
    sound(name, spec, members, others).map_err(|error| Invalid {
        field: error.field.trim_start_matches("policy.").to_owned(),
        problem: error.problem,
    })
}

fn sound<'p>(
    name: &str,
    spec: &OffboardingPolicySpec,
    members: &[Member<'_>],
    others: impl IntoIterator<Item = (&'p str, &'p OffboardingPolicySpec)>,
) -> Result<(), Invalid> {
    if let Some(when) = &spec.when {
        compile(when, "policy.spec.when")?;
        let rival = others
            .into_iter()
            .find(|(other, its)| *other != name && its.when.is_some() && its.priority == spec.priority);
        if let Some((other, _)) = rival {
            let problem = format!(
                "policy {other:?} has the same and a when too: give one of them another, so that it is clear which is used"
            );
            return Err(invalid("policy.spec.priority", problem));
        }
    }
    clocks(spec)?;
    let hours = spec.business_hours.clone().unwrap_or_default();
    timeline::hours(&hours)?;
    let mut certain: Vec<&str> = vec![];
    for (index, entry) in spec.timeline.iter().enumerate() {
        let path = format!("policy.spec.timeline[{index}]");
        timeline::known(entry, &path, members)?;
        moment(entry, &path, members)?;
        for entry_name in entry.want.iter().chain(&entry.skip) {
            if certain.contains(&entry_name.as_str()) {
                let problem = format!(
                    "{entry_name:?} is settled by an earlier entry without when: remove one of them, or put this one first"
                );
                return Err(invalid(path, problem));
            }
        }
        match &entry.when {
            Some(when) => drop(compile(when, &format!("{path}.when"))?),
            None => certain.extend(entry.want.iter().chain(&entry.skip).map(String::as_str)),
        }
    }
    for (index, rule) in spec.gates.iter().enumerate() {
        let path = format!("policy.spec.gates[{index}]");
        if spec.gates.iter().take(index).any(|other| other.gate == rule.gate) {
            return Err(invalid(
                format!("{path}.gate"),
                "there is one rule for each gate: remove one",
            ));
        }
        let named: std::collections::BTreeSet<_> = rule.approvers.iter().map(|a| &a.user).collect();
        if !named.is_empty() && named.len() < usize::from(rule.approvals) {
            let problem = format!(
                "{} approvals of {} people: name more approvers",
                rule.approvals,
                named.len()
            );
            return Err(invalid(format!("{path}.approvals"), problem));
        }
        self::rule(rule, &path, "UTC")?;
    }
    Ok(())
}

fn clocks(spec: &OffboardingPolicySpec) -> Result<(), Invalid> {
    if let Some(cutoff) = &spec.cutoff {
        let time = cutoff.time.as_deref().unwrap_or("17:00");
        let zone = cutoff.time_zone.as_deref().unwrap_or("UTC");
        schedule::cutoff("2026-01-01", time, zone).map_err(|error| {
            let field = match error {
                schedule::Error::Zone(_) => "policy.spec.cutoff.timeZone",
                _ => "policy.spec.cutoff.time",
            };
            invalid(field, error)
        })?;
    }
    for (field, text) in [
        ("deadlines.accessRevoked", &spec.deadlines.access_revoked),
        ("deadlines.dataTransferred", &spec.deadlines.data_transferred),
        ("retention.accounts", &spec.retention.accounts),
        ("recheck.every", &spec.recheck.every),
        ("recheck.for", &spec.recheck.for_),
    ] {
        schedule::duration(text).map_err(|e| invalid(format!("policy.spec.{field}"), e))?;
    }
    Ok(())
}

/// An entry's instants can be read, do not contradict each other, and do not make security wait for office hours.
fn moment(entry: &policy::Moment, path: &str, members: &[Member<'_>]) -> Result<(), Invalid> {
    // Any instants in the right order: what contradicts itself does so for everybody.
    let day = |n: i64| Timestamp::from_second(1_800_000_000 + 86_400 * n).unwrap_or(Timestamp::UNIX_EPOCH);
    let anchors = Anchors {
        notice: day(0),
        cutoff: day(60),
        employment_ends: day(61),
        paid_through: day(61),
    };
    let read = |field: &str, text: &Option<String>| {
        let at = text
            .as_ref()
            .map(|text| schedule::moment(text, &anchors))
            .transpose();
        at.map_err(|e| invalid(format!("{path}.{field}"), e))
    };
    if let (Some(at), Some(until)) = (read("at", &entry.at)?, read("until", &entry.until)?)
        && until <= at
    {
        return Err(invalid(
            format!("{path}.until"),
            "lies before at: nothing would ever be wanted",
        ));
    }
    let secure = |name: &&String| {
        let fact = |m: &Member<'_>| m.facts.iter().any(|f| f.name == **name && f.class.security());
        timeline::class(name).is_some_and(Class::security) || members.iter().any(fact)
    };
    if entry.during == During::BusinessHours
        && let Some(name) = entry.want.iter().find(secure)
    {
        let problem = format!("{name} is about security and waits for no office hours: remove during");
        return Err(invalid(format!("{path}.during"), problem));
    }
    if entry.until.is_some()
        && let Some(name) = entry.want.iter().find(secure)
    {
        let problem = format!("{name} is about security and is kept up for good: remove until");
        return Err(invalid(format!("{path}.until"), problem));
    }
    Ok(())
}

/// What `policy` demands of people.
pub(super) fn gates(policy: &OffboardingPolicySpec, zone: &str) -> Result<Vec<Rule>, Invalid> {
    rules(&policy.gates, "policy.spec.gates", zone)
}

/// The rules that the list at `path` says; last days are days of the time zone `zone`.
///
/// # Errors
/// The first field that is wrong.
pub fn rules(list: &[policy::GateRule], path: &str, zone: &str) -> Result<Vec<Rule>, Invalid> {
    let rules = list.iter().enumerate();
    rules
        .map(|(index, rule)| self::rule(rule, &format!("{path}[{index}]"), zone))
        .collect()
}

/// Since when each of `rules` is waited with, as the status of `offboarding` remembers.
pub(super) fn remember(rules: &mut [Rule], offboarding: &Offboarding) {
    let rows = offboarding.status.as_ref().map(|status| status.gates.as_slice());
    for rule in rules {
        let mut rows = rows.unwrap_or_default().iter();
        let row = rows.find(|row| row.gate == rule.gate);
        rule.since = row.map(|row| (row.plan.clone(), row.since));
    }
}

/// The same of `rules` that are counted for one plan of several behind their gate.
pub(super) fn remember_plan(rules: &mut [Rule], offboarding: &Offboarding, plan: &str) {
    let rows = offboarding.status.as_ref().map(|status| status.gates.as_slice());
    for rule in rules {
        let mut rows = rows.unwrap_or_default().iter();
        let row = rows.find(|row| row.gate == rule.gate && row.plan == plan);
        rule.since = row.map(|row| (row.plan.clone(), row.since));
    }
}

fn rule(rule: &policy::GateRule, path: &str, zone: &str) -> Result<Rule, Invalid> {
    let length =
        |field: &str, text: &str| schedule::duration(text).map_err(|e| invalid(format!("{path}.{field}"), e));
    length("remindEvery", &rule.remind_every)?;
    let escalation = rule.escalation.as_ref().map(|escalation| {
        let after = length("escalation.after", &escalation.after)?;
        Ok((
            after,
            approvers(&escalation.approvers, &format!("{path}.escalation"), zone)?,
        ))
    });
    Ok(Rule {
        gate: rule.gate,
        approvals: usize::from(rule.approvals),
        approvers: approvers(&rule.approvers, path, zone)?,
        expires_after: length("expiresAfter", &rule.expires_after)?,
        escalation: escalation.transpose()?,
        to_strangers: false,
        since: None,
    })
}

fn approvers(named: &[policy::Approver], path: &str, zone: &str) -> Result<Vec<Approver>, Invalid> {
    let delegate = |index: usize, delegate: &policy::Delegate| {
        let until = delegate
            .until
            .as_ref()
            .map(|day| schedule::end_of_day(day, zone))
            .transpose();
        let until = until.map_err(|e| invalid(format!("{path}.approvers[{index}].delegate.until"), e))?;
        Ok((delegate.user.clone(), until.unwrap_or(Timestamp::MAX)))
    };
    named
        .iter()
        .enumerate()
        .map(|(index, approver)| {
            let delegate = approver
                .delegate
                .as_ref()
                .map(|d| delegate(index, d))
                .transpose()?;
            Ok(Approver {
                user: approver.user.clone(),
                delegate,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
