//! What goes on where an Offboarding or its policy cannot be used any more.
//!
//! # Why
//! Whoever may edit either could end the control of a leaver for ever by a mistake in it, made or not. So the mistake is shown as
//! loudly as ever, and what was agreed when access ended goes on: accounts that are known are looked at, and access that comes
//! back is taken away. Nothing else begins: what is to be handed over or deleted is what those say that cannot be read.

use jiff::{SignedDuration, Timestamp};

use super::{Given, Invalid, agreement::Agreement, attest, certain, connector_of, hold, ineligible, person};
use crate::{
    api::{OffboardingPolicySpec, connector::ConnectorMode},
    core::{
        case::{Case, System},
        commitment::Reach,
        identity::{Person, is_invisible},
        leavers,
        schedule::{self, LAST_ZONE},
        scope,
    },
};

/// The case of what was agreed, of which `invalid` says why it is no more than that; none before an end was agreed.
pub(super) fn case(given: &Given<'_>, invalid: &Invalid, now: Timestamp) -> Option<Case> {
    let mut agreement = Agreement::upheld(given, LAST_ZONE)?;
    if agreement.end.cutoff > now {
        return None;
    }
    agreement.end.reach.get_or_insert_with(|| usual_reach(given));
    let end = agreement.end.clone();
    let ineligible = ineligible(given);
    let mut systems = vec![];
    let left_out = end.reach.iter().flat_map(|reach| &reach.left_out);
    let left_out: Vec<&String> = left_out.collect();
    let recorded = given.recorded?.systems.iter();
    for (row, recorded) in recorded.filter(|(row, _)| !left_out.contains(row)) {
        let mut members = given.members.iter();
        let Some(member) = members.find(|member| member.name == connector_of(row)) else {
            continue;
        };
        let mut system = System {
            who: Person {
                account_name: row.split_once('/').map(|(_, account)| account.to_owned()),
                ..readable(&person(&given.offboarding.spec))
            },
            certain: readable(&certain(given)),
            named: named(given, member.name),
            ..scope::uphold(row, recorded, member.facts, &end)
        };
        attest(given, &mut system, &ineligible);
        systems.push(system);
    }
    // When it is late is not known from the policy then.
    let deadlines = OffboardingPolicySpec::default().deadlines;
    let status = given.offboarding.status.as_ref();
    let until = |known: Option<Timestamp>, text: &str| {
        let usual = schedule::duration(text).map(|length| schedule::later(end.cutoff, length));
        known.unwrap_or(usual.unwrap_or(end.cutoff))
    };
    Some(Case {
        policy: status.and_then(|status| status.policy.clone()),
        invalid: Some(invalid.to_string()),
        access_deadline: until(
            status.and_then(|status| status.deadline),
            &deadlines.access_revoked,
        ),
        data_deadline: until(
            status.and_then(|status| status.data_deadline),
            &deadlines.data_transferred,
        ),
        hold: hold(given, &end),
        ineligible,
        systems,
        ..agreement.case()
    })
}

/// How far an end reaches of which that was not kept.
fn usual_reach(given: &Given<'_>) -> Reach {
    let observed = given
        .members
        .iter()
        .filter(|member| member.spec.mode == ConnectorMode::Observe);
    let observed: Vec<&str> = observed.map(|member| member.name).collect();
    let rows = given
        .recorded
        .into_iter()
        .flat_map(|ledger| ledger.systems.keys());
    let every = schedule::duration(&OffboardingPolicySpec::default().recheck.every);
    Reach {
        every: every.unwrap_or(SignedDuration::from_hours(6)),
        observed: rows
            .filter(|row| observed.contains(&connector_of(row)))
            .cloned()
            .collect(),
        ..Reach::default()
    }
}

/// The login names whose accounts have rows of their own.
fn named(given: &Given<'_>, connector: &str) -> Vec<String> {
    let rows = given
        .recorded
        .into_iter()
        .flat_map(|ledger| ledger.systems.keys());
    let named = rows.filter_map(|row| row.split_once('/'));
    named
        .filter(|(own, _)| *own == connector)
        .map(|(_, account)| account.to_owned())
        .collect()
}

/// Nobody is looked for by what cannot be read.
fn readable(who: &Person) -> Person {
    let is_readable = |text: &String| !text.chars().any(is_invisible);
    let is_address = |text: &String| is_readable(text) && leavers::is_address(text);
    Person {
        email: who.email.clone().filter(is_address),
        other_emails: who
            .other_emails
            .iter()
            .filter(|text| is_address(text))
            .cloned()
            .collect(),
        employee_id: who.employee_id.clone().filter(is_readable),
        ..who.clone()
    }
}
