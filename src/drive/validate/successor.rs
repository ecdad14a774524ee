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

/// Whether nobody but the request names `taker`, who takes over in `connector`: not the policy, not HR as the manager, and no
/// directory that was asked.
pub(super) fn is_asked_for(given: &Given<'_>, connector: &str, taker: &Person) -> bool {
    let spec = &given.offboarding.spec;
    let named = spec.transfers.iter();
    let here = named.filter(|t| t.connector.as_deref().is_none_or(|name| name == connector));
    let by_name = here
        .map(|t| t.to.as_str())
        .any(|to| to != MANAGER && address(to).is(taker));
    let own = spec
        .profile
        .as_ref()
        .and_then(|profile| profile.manager.as_deref());
    let as_manager = own.is_some_and(|manager| address(manager).is(taker));
    if as_manager && given.from_hr {
        return false;
    }
    let directory = known_manager(given).is_some_and(|manager| manager.is(taker));
    let policy = given.policy.spec.transfer.as_ref();
    let by_policy = policy.is_some_and(|policy| {
        let mut named = [Some(&policy.to), policy.fallback.as_ref()].into_iter().flatten();
        named.any(|named| named != MANAGER && address(named).is(taker))
    });
    (by_name || as_manager) && !directory && !by_policy
}

/// Whether a directory may know who the manager is, and was not asked yet.
pub(super) fn may_be_known(given: &Given<'_>) -> bool {
    let status = given.offboarding.status.as_ref();
    let asked = status.is_some_and(|status| status.manager.is_some());
    !asked && given.members.iter().any(|member| member.knows_managers)
}

/// The manager that a directory named when it was asked.
fn known_manager(given: &Given<'_>) -> Option<Person> {
    let told = given.offboarding.status.as_ref()?.manager.as_ref()?;
    let manager = Person {
        email: told.email.clone(),
        employee_id: told.employee_id.clone(),
        ..Person::default()
    };
    (manager != Person::default()).then_some(manager)
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
    if may_be_known(given) {
        return Taker::Manager;
    }
    known_manager(given).map_or(Taker::Nobody, Taker::Known)
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::api::offboarding::KnownManager;

    use super::{
        super::tests::{Company, chosen, jane, refused},
        *,
    };

    /// Who takes over in `crm`; Max and Sue leave too.
    fn taker(leaver: &Value, policy: &Value) -> Result<Option<String>, Invalid> {
        let company = Company::new();
        let (leaver, policy, members) = (jane(leaver), chosen(policy.clone()), company.members());
        let leaves =
            |name: &str| ["max@example.com", "sue@example.com"].contains(&name.to_lowercase().as_str());
        let given = Given {
            leaves_too: &leaves,
            ..Given::alone(&leaver, &policy, &members)
        };
        of(&given, "crm").map(|taker| match taker {
            Taker::Nobody => None,
            Taker::Known(person) => person.email,
            Taker::Manager => Some(MANAGER.to_owned()),
        })
    }

    fn somebody(name: &str) -> Result<Option<String>, Invalid> {
        Ok(Some(format!("{name}@example.com")))
    }

    fn to(name: &str) -> Value {
        json!({"transfer": {"to": name}})
    }

    fn manager(name: &str) -> Value {
        json!({"profile": {"manager": format!("{name}@example.com")}})
    }

    #[test]
    fn the_offboarding_wins_over_the_policy_and_who_names_the_system_over_who_does_not() {
        let policy = to("sam@example.com");
        assert_eq!(taker(&json!({}), &json!({})), Ok(None));
        assert_eq!(taker(&json!({}), &policy), somebody("sam"));
        let own = |connector: Option<&str>, name: &str| json!({"what": "Files", "connector": connector, "to": format!("{name}@example.com")});
        let any = own(None, "ada");
        assert_eq!(taker(&json!({"transfers": [any]}), &policy), somebody("ada"));
        let here = own(Some("crm"), "eva");
        assert_eq!(
            taker(&json!({"transfers": [any, here]}), &policy),
            somebody("eva")
        );
        let there = own(Some("erp"), "eva");
        assert_eq!(
            taker(&json!({"transfers": [any, there]}), &policy),
            somebody("ada")
        );
        assert_eq!(taker(&json!({"transfers": [there]}), &policy), somebody("sam"));
        let two = json!({"transfers": [any, own(None, "eva")]});
        refused(taker(&two, &policy), "spec.transfers", "name the connector");
        let same = json!({"transfers": [any, own(None, "ADA")]});
        assert_eq!(taker(&same, &policy), somebody("ada"), "one person, twice");
    }

    #[test]
    fn who_is_named_by_the_request_alone_is_asked_for() {
        let company = Company::new();
        let members = company.members();
        let asked = |leaver: &Value, policy: &Value, from_hr: bool, directory: Option<&str>| {
            let (mut leaver, policy) = (jane(leaver), chosen(policy.clone()));
            leaver.status.get_or_insert_default().manager = directory.map(|name| KnownManager {
                email: Some(format!("{name}@example.com")),
                ..KnownManager::default()
            });
            let given = Given {
                from_hr,
                ..Given::alone(&leaver, &policy, &members)
            };
            match of(&given, "crm").unwrap() {
                Taker::Known(taker) => is_asked_for(&given, "crm", &taker),
                Taker::Nobody | Taker::Manager => panic!("nobody takes over"),
            }
        };
        let mallory = json!({"transfers": [{"what": "Files", "to": "Mallory@example.com"}]});
        let elsewhere =
            json!({"transfers": [{"what": "Files", "connector": "crm", "to": "Mallory@example.com"}]});
        let own_manager = manager("mallory");
        let by_manager = to("Manager");
        for (leaver, policy) in [
            (&mallory, &json!({})),
            (&mallory, &to("ada@example.com")),
            (&elsewhere, &json!({})),
            (&own_manager, &by_manager),
        ] {
            assert!(asked(leaver, policy, false, None), "{leaver} {policy}");
            assert!(asked(leaver, policy, false, Some("ada")), "{leaver} {policy}");
            assert!(
                !asked(leaver, policy, false, Some("mallory")),
                "a directory says so: {leaver}"
            );
        }
        assert!(!asked(&own_manager, &by_manager, true, None), "HR says so");
        assert!(asked(&mallory, &by_manager, true, None), "HR says nothing of her");
        assert!(
            !asked(&mallory, &to("mallory@example.com"), false, None),
            "the policy says so"
        );
        assert!(!asked(&json!({}), &to("ada@example.com"), false, None));
    }

    #[test]
    fn a_manager_takes_over_unless_there_is_none_or_they_leave_too() {
        let alone = to("Manager");
        let with_fallback = json!({"transfer": {"to": "Manager", "fallback": "sam@example.com"}});
        assert_eq!(taker(&manager("ada"), &alone), somebody("ada"));
        assert_eq!(taker(&manager("ada"), &with_fallback), somebody("ada"));
        for nobody in [json!({}), manager("max"), manager("MAX"), manager("jane")] {
            assert_eq!(taker(&nobody, &alone), Ok(None), "{nobody}");
            assert_eq!(taker(&nobody, &with_fallback), somebody("sam"), "{nobody}");
        }
        let fallback =
            |name: &str| json!({"transfer": {"to": "Manager", "fallback": format!("{name}@example.com")}});
        for leaves in ["sue", "jane"] {
            assert_eq!(
                taker(&manager("max"), &fallback(leaves)),
                Ok(None),
                "{leaves} leaves too"
            );
        }
    }

    #[test]
    fn who_is_named_and_leaves_too_is_replaced_and_the_leaver_is_never_their_own_successor() {
        let policy = json!({"transfer": {"to": "max@example.com", "fallback": "sam@example.com"}});
        assert_eq!(taker(&json!({}), &policy), somebody("sam"));
        assert_eq!(taker(&json!({}), &to("max@example.com")), Ok(None));
        let own = json!({"transfers": [{"what": "Files", "to": "Jane@example.com"}]});
        refused(
            taker(&own, &policy),
            "spec.transfers",
            "somebody else than the leaver",
        );
        refused(
            taker(&json!({}), &to("jane@example.com")),
            "policy.spec.transfer.to",
            "name another in spec.transfers",
        );
    }
}
