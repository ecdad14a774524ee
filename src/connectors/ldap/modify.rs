//! Operations that change an entry.

use std::{collections::BTreeMap, time::Duration};

use ldap3::{Mod, controls::RawControl};

use super::{
    super::driver::LdapRequest,
    result::{Refusal, Trouble},
    search::Search,
    session::Session,
    value,
};
use crate::core::fault::{Fault, Reason};

/// `LDAP_SERVER_PERMISSIVE_MODIFY_OID` ([MS-ADTS] 3.1.1.3.4.1.8): removing what is not there is a success.
const PERMISSIVE: &str = "1.2.840.113556.1.4.1413";

type Values = BTreeMap<String, Vec<String>>;

/// Changes one entry in one step.
pub(super) async fn modify(session: &Session, request: &LdapRequest) -> Result<(), Trouble> {
    let LdapRequest::Modify {
        dn,
        replace,
        add,
        remove,
    } = request
    else {
        return Err(Fault::permanent(Reason::Malformed).into());
    };
    let changes = changes(replace, add, remove)?;
    if changes.is_empty() {
        return Err(Fault::permanent(Reason::Malformed)
            .with_code("empty modify")
            .into());
    }
    let mut ldap = session.ldap.clone();
    if may_be_permissive(add, remove) && session.supports(PERMISSIVE) {
        ldap.with_controls(vec![RawControl {
            ctype: PERMISSIVE.to_owned(),
            crit: true,
            val: None,
        }]);
    }
    Ok(Refusal::check(&ldap.modify(dn, changes).await?)?)
}

/// Moves one entry below another parent, under `new_rdn` or the name that it has.
///
/// The value that a name is made of goes with it (Active Directory takes nothing else). One of several values names what
/// the entry has besides, and takes none of it away.
pub(super) async fn relocate(
    session: &Session,
    dn: &str,
    into: &str,
    new_rdn: Option<&str>,
    deadline: Duration,
) -> Result<(), Trouble> {
    let named = if dn.starts_with('<') {
        // `<GUID=…>` does not tell the name that the operation wants to be told again.
        let (found, _) = Search::new(session, dn, true, "(objectClass=*)", &[], deadline)
            .run()
            .await?;
        let dn = found
            .first()
            .and_then(|entry| entry["dn"].as_str())
            .map(str::to_owned);
        dn.ok_or(Fault::permanent(Reason::NotFoundUncorroborated).with_code("ldap 0"))?
    } else {
        dn.to_owned()
    };
    let old = first_name(&named).ok_or(Fault::permanent(Reason::Malformed).with_code("dn"))?;
    let name = new_rdn.unwrap_or(old);
    let mut ldap = session.ldap.clone();
    let old_goes = !has_several_values(old) && !has_several_values(name);
    let moved = ldap.modifydn(dn, name, old_goes, Some(into)).await?;
    Refusal::check(&moved).map_err(|refusal| refusal.about(name))?;
    Ok(())
}

/// Removals come first, so that an old value is gone before its successor is added (a swap). A value that is both added
/// and removed is there only in between, which nobody sees: some servers keep other entries in step only when a value goes.
/// An empty list of values to remove would remove the attribute as a whole, so it is left out.
fn changes(replace: &Values, add: &Values, remove: &Values) -> Result<Vec<Mod<Vec<u8>>>, Fault> {
    let mut changes = Vec::new();
    let encoded = |name: &str, values: &[String]| -> Result<_, Fault> {
        let values = values.iter().map(|text| value::encode(name, text));
        Ok((name.as_bytes().to_vec(), values.collect::<Result<_, _>>()?))
    };
    let (passing, added) = passing(add, remove);
    for (name, values) in passing.iter().filter(|(_, values)| !values.is_empty()) {
        let (name, values) = encoded(name, values)?;
        changes.push(Mod::Add(name, values));
    }
    for (name, values) in remove.iter().filter(|(_, values)| !values.is_empty()) {
        let (name, values) = encoded(name, values)?;
        changes.push(Mod::Delete(name, values));
    }
    for (name, values) in added.iter().filter(|(_, values)| !values.is_empty()) {
        let (name, values) = encoded(name, values)?;
        changes.push(Mod::Add(name, values));
    }
    for (name, values) in replace {
        let (name, values) = encoded(name, values)?;
        changes.push(Mod::Replace(name, values));
    }
    Ok(changes)
}

/// What is added to be removed at once, and what is added to stay.
fn passing(add: &Values, remove: &Values) -> (Values, Values) {
    let (mut passing, mut stays) = (Values::new(), Values::new());
    for (name, values) in add {
        let removed = |value: &String| remove.get(name).is_some_and(|removed| removed.contains(value));
        let (passes, stay) = values.iter().cloned().partition(removed);
        passing.insert(name.clone(), passes);
        stays.insert(name.clone(), stay);
    }
    (passing, stays)
}

/// The control forgives every removal of the modify. Where an attribute is both removed from and added to, it is a
/// swap, and forgiving would turn compare-and-swap into a plain overwrite.
fn may_be_permissive(add: &Values, remove: &Values) -> bool {
    let swapped = |name: &String| add.keys().any(|added| added.eq_ignore_ascii_case(name));
    !remove.is_empty() && !remove.keys().any(swapped)
}

/// The leftmost name of a DN (RFC 4514).
fn first_name(dn: &str) -> Option<&str> {
    let name = &dn[..separator(dn, &[',', ';'])?];
    name.contains('=').then_some(name)
}

/// Whether a name is made of several values, as `cn=Jo+employeeNumber=7`.
fn has_several_values(name: &str) -> bool {
    separator(name, &['+']).is_some()
}

/// Where the first of these letters is that is neither escaped nor quoted.
fn separator(dn: &str, letters: &[char]) -> Option<usize> {
    let (mut escaped, mut quoted) = (false, false);
    for (place, letter) in dn.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ if !quoted && letters.contains(&letter) => return Some(place),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(name: &str, values: &[&str]) -> Values {
        Values::from([(
            name.to_owned(),
            values.iter().map(|&value| value.to_owned()).collect(),
        )])
    }

    #[test]
    fn the_name_of_an_entry_may_hold_commas() {
        assert_eq!(first_name(r"CN=Smith\, Jo,OU=Staff,DC=x"), Some(r"CN=Smith\, Jo"));
        assert_eq!(
            first_name(r#"CN="Smith, Jo",OU=Staff"#),
            Some(r#"CN="Smith, Jo""#)
        );
        assert_eq!(first_name(r"CN=back\\,OU=Staff"), Some(r"CN=back\\"));
        assert_eq!(first_name("nonsense"), None);
    }

    #[test]
    fn the_name_of_an_entry_may_have_several_values() {
        assert!(has_several_values("cn=Jo+employeeNumber=7"));
        assert!(!has_several_values(r"cn=Jo\+7"));
        assert!(!has_several_values(r#"cn="Jo+7""#));
        assert!(!has_several_values("cn=Jo"));
    }

    #[test]
    fn a_swap_is_never_permissive() {
        let old = values("userAccountControl", &["512"]);
        let new = values("useraccountcontrol", &["514"]);
        assert!(!may_be_permissive(&new, &old));
        assert!(may_be_permissive(&Values::new(), &old));
        assert!(may_be_permissive(&values("other", &["1"]), &old));
        assert!(!may_be_permissive(&new, &Values::new()));
    }

    #[test]
    fn removing_no_values_never_removes_the_attribute() {
        let none = Values::new();
        assert_eq!(changes(&none, &none, &values("member", &[])).unwrap(), []);
        let gone = changes(&values("description", &[]), &none, &none).unwrap();
        assert_eq!(gone, [Mod::Replace(b"description".to_vec(), [].into())]);
    }

    #[test]
    fn a_value_that_is_added_and_removed_is_not_there_in_the_end() {
        let (none, jane) = (Values::new(), values("member", &["jane"]));
        let passing = changes(&none, &jane, &jane).unwrap();
        let member = || (b"member".to_vec(), [b"jane".to_vec()].into());
        let (added, removed) = (member(), member());
        let expected = [Mod::Add(added.0, added.1), Mod::Delete(removed.0, removed.1)];
        assert_eq!(passing, expected);
    }

    #[test]
    fn an_old_value_goes_before_the_new_one_comes() {
        let changes = changes(&Values::new(), &values("a", &["2"]), &values("a", &["1"])).unwrap();
        assert!(matches!(changes[..], [Mod::Delete(..), Mod::Add(..)]));
    }
}
