//! Who takes over in one system.

use super::{Given, Invalid, invalid};
use crate::{api::offboarding::OffboardingSpec, core::identity::Person};

/// Stands for the leaver's manager.
const MANAGER: &str = "Manager";

/// Who takes over in `connector`: a transfer that names the connector wins over one that does not, the Offboarding over the
/// policy. A manager who is not known, or who leaves too, is replaced by the policy's fallback; without one nobody takes
/// over, and what is to be handed over waits.
pub(super) fn of(given: &Given<'_>, connector: &str) -> Result<Option<Person>, Invalid> {
    let spec = &given.offboarding.spec;
    let Some((taker, field)) = named(given, connector)? else {
        return Ok(None);
    };
    let policy = given.policy.spec.transfer.as_ref();
    let fallback = policy.and_then(|transfer| transfer.fallback.as_deref());
    let taker = if taker == MANAGER {
        manager(spec)
    } else {
        if is_leaver(spec, taker) {
            let problem =
                "the successor must be somebody else than the leaver: name another in spec.transfers";
            return Err(invalid(field, problem));
        }
        Some(taker)
    };
    let stays = |address: &&str| !is_leaver(spec, address) && !(given.leaves_too)(address);
    let taker = taker.filter(stays).or_else(|| fallback.filter(stays));
    Ok(taker.map(|address| Person {
        email: Some(address.to_owned()),
        ..Person::default()
    }))
}

fn manager(spec: &OffboardingSpec) -> Option<&str> {
    spec.profile.as_ref()?.manager.as_deref()
}

fn is_leaver(spec: &OffboardingSpec, address: &str) -> bool {
    let own = spec.employee.email.as_deref();
    own.is_some_and(|email| email.eq_ignore_ascii_case(address))
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
