//! Who takes over in one system.

use super::{Given, Invalid, invalid, person};
use crate::core::identity::Person;

/// Stands for the leaver's manager.
const MANAGER: &str = "Manager";

/// Who takes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Taker {
    /// Nobody: what is to be handed over waits.
    Nobody,
    /// This person.
    Known(Person),
    /// The leaver's manager, whom a directory may know.
    Manager,
}

/// Who takes over in `connector`: a transfer that names the connector wins over one that does not, the Offboarding over the
/// policy. The manager is who HR says, else who a directory says. One who is not known, or who leaves too, is replaced by the
/// policy's fallback; without one nobody takes over, and what is to be handed over waits.
pub(super) fn of(given: &Given<'_>, connector: &str) -> Result<Taker, Invalid> {
    let Some((taker, field)) = named(given, connector)? else {
        return Ok(Taker::Nobody);
    };
    let taker = if taker == MANAGER {
        match manager(given) {
            Taker::Known(manager) => Some(manager),
            Taker::Nobody => None,
            Taker::Manager => return Ok(Taker::Manager),
        }
    } else {
        let taker = address(taker);
        if person(&given.offboarding.spec).is(&taker) {
            let problem =
                "the successor must be somebody else than the leaver: name another in spec.transfers";
            return Err(invalid(field, problem));
        }
        Some(taker)
    };
    let taker = taker
        .filter(|taker| stays(given, taker))
        .or_else(|| fallback(given));
    Ok(taker.map_or(Taker::Nobody, Taker::Known))
}

/// Who takes over where there is no manager who stays.
pub(super) fn fallback(given: &Given<'_>) -> Option<Person> {
    let policy = given.policy.spec.transfer.as_ref()?;
    let fallback = address(policy.fallback.as_deref()?);
    stays(given, &fallback).then_some(fallback)
}

fn address(address: &str) -> Person {
    Person {
        email: Some(address.to_owned()),
        ..Person::default()
    }
}

fn stays(given: &Given<'_>, taker: &Person) -> bool {
    let mut names = [&taker.email, &taker.employee_id].into_iter().flatten();
    !person(&given.offboarding.spec).is(taker) && !names.any(|name| (given.leaves_too)(name))
}

/// Who the manager is, as far as that is known.
fn manager(given: &Given<'_>) -> Taker {
    let profile = given.offboarding.spec.profile.as_ref();
    if let Some(email) = profile.and_then(|profile| profile.manager.as_deref()) {
        return Taker::Known(address(email));
    }
    let status = given.offboarding.status.as_ref();
    if let Some(told) = status.and_then(|status| status.manager.as_ref()) {
        let manager = Person {
            email: told.email.clone(),
            employee_id: told.employee_id.clone(),
            ..Person::default()
        };
        return if manager == Person::default() {
            Taker::Nobody
        } else {
            Taker::Known(manager)
        };
    }
    if given.members.iter().any(|member| member.knows_managers) {
        Taker::Manager
    } else {
        Taker::Nobody
    }
}

/// Who is named, and where.
fn named<'g>(given: &'g Given<'_>, connector: &str) -> Result<Option<(&'g str, &'static str)>, Invalid> {
    let spec = &given.offboarding.spec;
    let own = |named: bool| {
        let transfers = spec
            .transfers
            .iter()
            .filter(move |t| t.connector.is_some() == named);
        transfers
            .filter(|t| t.connector.as_deref().is_none_or(|name| name == connector))
            .map(|t| t.to.as_str())
    };
    let mut takers: Vec<&str> = own(true).collect();
    if takers.is_empty() {
        takers = own(false).collect();
    }
    let mut field = "spec.transfers";
    if takers.is_empty() {
        field = "policy.spec.transfer.to";
        takers.extend(given.policy.spec.transfer.as_ref().map(|t| t.to.as_str()));
    }
    takers.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
    match takers[..] {
        [] => Ok(None),
        [one] => Ok(Some((one, field))),
        _ => {
            let problem =
                format!("one successor for each connector: {connector} has several; name the connector");
            Err(invalid("spec.transfers", problem))
        }
    }
}
