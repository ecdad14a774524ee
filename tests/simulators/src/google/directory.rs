//! Directory users, and their licences.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    CUSTOMER,
    calls::{Call, Reply, invalid, no_user, not_found, our_customer, refuse},
    state::{Domain, SUPER_ADMIN, User},
};
use crate::server::Refusal;

/// How long a deleted user can be brought back.
const UNDELETE: SignedDuration = SignedDuration::from_hours(20 * 24);
/// Fields of a user that are lists: PATCH cannot empty them, PUT can.
const LISTS: [&str; 9] = [
    "addresses",
    "emails",
    "externalIds",
    "ims",
    "keywords",
    "organizations",
    "phones",
    "relations",
    "websites",
];

pub(crate) fn serve(call: &Call<'_>, path: &[&str]) -> Reply {
    if call.method == "GET" {
        shown(call, path)
    } else {
        changed(call, path)
    }
}

/// Users.
fn shown(call: &Call<'_>, path: &[&str]) -> Reply {
    match (call.method, path) {
        ("GET", []) => list(call),
        ("GET", [key]) => {
            call.needs(&["admin.directory.user", "admin.directory.user.readonly"])?;
            call.look(|domain| domain.user(key).map(|user| show(domain, user)))
                .ok_or_else(no_user)
        }
        _ => Err(not_found("Not Found")),
    }
}

/// Users change, go and come back.
fn changed(call: &Call<'_>, path: &[&str]) -> Reply {
    match (call.method, path) {
        ("PATCH" | "PUT", [key]) => {
            call.needs(&["admin.directory.user"])?;
            let actor = call.subject.clone().unwrap_or_default();
            call.change(|domain| {
                let id = domain.user(key).ok_or_else(no_user)?.id.clone();
                update(domain, &id, &actor, call.method == "PUT", &call.body)?;
                let user = domain.user(&id).ok_or_else(no_user)?;
                Ok(show(domain, user))
            })
        }
        ("DELETE", [key]) => {
            call.needs(&["admin.directory.user"])?;
            call.change(|domain| {
                let id = domain.user(key).ok_or_else(no_user)?.id.clone();
                if domain.is_last_super_admin(&id) {
                    return Err(last_super_admin());
                }
                let user = domain.users.get_mut(&id).ok_or_else(no_user)?;
                user.deleted = Some(Timestamp::now());
                user.licences.clear();
                user.tokens.clear();
                user.app_passwords.clear();
                user.sessions.clear();
                domain
                    .groups
                    .values_mut()
                    .for_each(|group| drop(group.members.remove(&id)));
                domain.assignments.retain(|_, given| given.to != id);
                Ok(Value::Null)
            })
        }
        ("POST", [key, "undelete"]) => {
            call.needs(&["admin.directory.user"])?;
            call.change(|domain| undelete(domain, key, &call.body))
        }
        ("POST", [key, "makeAdmin"]) => make_admin(call, key),
        _ => Err(not_found("Not Found")),
    }
}

/// Gives or takes super administration.
fn make_admin(call: &Call<'_>, key: &str) -> Reply {
    call.needs(&["admin.directory.user"])?;
    call.super_admin()?;
    let wanted = call.body["status"]
        .as_bool()
        .ok_or_else(|| invalid("Invalid Input: status"))?;
    call.change(|domain| {
        let id = domain.user(key).ok_or_else(no_user)?.id.clone();
        if !wanted && domain.is_last_super_admin(&id) {
            return Err(last_super_admin());
        }
        if !wanted {
            domain
                .assignments
                .retain(|_, given| given.role != SUPER_ADMIN || given.to != id);
        } else if !domain.is_super_admin(&id) {
            domain.assign(SUPER_ADMIN, &id);
        }
        Ok(Value::Null)
    })
}

/// The refusal to take the last super administrator away. Its form is not documented.
pub(crate) fn last_super_admin() -> Refusal {
    refuse(403, "forbidden", "Cannot remove the last super administrator.")
}

fn list(call: &Call<'_>) -> Reply {
    call.needs(&["admin.directory.user", "admin.directory.user.readonly"])?;
    match (call.parameter("customer"), call.parameter("domain")) {
        (Some(customer), None) => our_customer(customer)?,
        (None, Some(_)) => {}
        _ => return Err(refuse(400, "badRequest", "Bad Request")),
    }
    let deleted = call.parameter("showDeleted") == Some("true");
    let terms: Vec<&str> = call
        .parameter("query")
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let found = call.look(|domain| {
        let wanted = |user: &&User| {
            user.deleted.is_some() == deleted
                && call.parameter("domain").is_none_or(|name| name == domain.name)
                && terms.iter().all(|term| matches(domain, user, term))
        };
        let mut found: Vec<Value> = domain
            .users
            .values()
            .filter(wanted)
            .map(|user| show(domain, user))
            .collect();
        found.sort_by_key(|user| user["primaryEmail"].to_string());
        found
    });
    call.page("users", "admin#directory#users", found, ("maxResults", 100, 500))
}

/// One term of the user search: `field=value` or `field:value` (prefix or word).
fn matches(domain: &Domain, user: &User, term: &str) -> bool {
    let Some((field, value)) = term.split_once(['=', ':']) else {
        return user.email.starts_with(term) || user.given.eq_ignore_ascii_case(term);
    };
    let value = value.trim_matches('\'');
    match field {
        "email" => user.email.eq_ignore_ascii_case(value),
        "externalId" => user.employee_id.as_deref() == Some(value),
        "isAdmin" => domain.is_super_admin(&user.id) == (value == "true"),
        "isDelegatedAdmin" => domain.is_delegated_admin(&user.id) == (value == "true"),
        "isSuspended" => user.suspended.is_some() == (value == "true"),
        "orgUnitPath" => user.org_unit == value,
        _ => false,
    }
}

fn show(domain: &Domain, user: &User) -> Value {
    let primary = json!({"address": user.email, "primary": true});
    let others = user.aliases.iter().map(|alias| json!({"address": alias}));
    let emails: Vec<Value> = std::iter::once(primary).chain(others).collect();
    let mut shown = json!({
        "kind": "admin#directory#user",
        "id": user.id,
        "primaryEmail": user.email,
        "name": {
            "givenName": user.given,
            "familyName": user.family,
            "fullName": format!("{} {}", user.given, user.family),
        },
        "isAdmin": domain.is_super_admin(&user.id),
        "isDelegatedAdmin": domain.is_delegated_admin(&user.id),
        "isEnrolledIn2Sv": user.second_step.is_some(),
        "isEnforcedIn2Sv": user.second_step_enforced,
        "suspended": user.suspended.is_some(),
        "archived": user.archived,
        "changePasswordAtNextLogin": false,
        "customerId": CUSTOMER,
        "orgUnitPath": user.org_unit,
        "isMailboxSetup": true,
        "includeInGlobalAddressList": user.in_address_list,
        "emails": emails,
        "aliases": user.aliases,
    });
    let Some(object) = shown.as_object_mut() else {
        return shown;
    };
    if let Some(at) = user.suspended {
        object.insert("suspensionReason".into(), json!("ADMIN"));
        object.insert("suspensionTime".into(), json!(at.to_string()));
    }
    if let Some(at) = user.deleted {
        object.insert("deletionTime".into(), json!(at.to_string()));
    }
    for (name, value) in [
        ("recoveryEmail", &user.recovery_email),
        ("recoveryPhone", &user.recovery_phone),
    ] {
        if let Some(value) = value {
            object.insert(name.into(), json!(value));
        }
    }
    if let Some(number) = &user.employee_id {
        object.insert(
            "externalIds".into(),
            json!([{"type": "organization", "value": number}]),
        );
    }
    object.extend(user.profile.clone());
    shown
}

/// PUT and PATCH both leave out what is not named; only PUT empties a list.
fn update(domain: &mut Domain, id: &str, actor: &str, put: bool, body: &Value) -> Result<(), Refusal> {
    let body = body
        .as_object()
        .ok_or_else(|| refuse(400, "parseError", "Parse Error"))?;
    if body.get("suspended") == Some(&json!(true)) && domain.is_last_super_admin(id) {
        return Err(last_super_admin());
    }
    let mut notes = Vec::new();
    let user = domain.users.get_mut(id).ok_or_else(no_user)?;
    for (field, value) in body {
        if let Some(note) = set(user, field, value, put)? {
            notes.push(note);
        }
    }
    let email = user.email.clone();
    for note in notes {
        domain.note(note, actor, &email);
    }
    Ok(())
}

/// Sets one field; answers the name of the audit event.
fn set(user: &mut User, field: &str, value: &Value, put: bool) -> Result<Option<&'static str>, Refusal> {
    let wrong = || invalid(&format!("Invalid Input: {field}"));
    let text = || value.as_str().or(value.is_null().then_some("")).ok_or_else(wrong);
    let flag = || value.as_bool().ok_or_else(wrong);
    match field {
        "suspended" => {
            let (was, wanted) = (user.suspended.is_some(), flag()?);
            if was != wanted {
                user.suspended = wanted.then(Timestamp::now);
                return Ok(Some(if wanted { "SUSPEND_USER" } else { "UNSUSPEND_USER" }));
            }
        }
        "password" => {
            let password = text()?;
            if !(8..=100).contains(&password.len()) {
                return Err(invalid("Invalid Password"));
            }
            password.clone_into(&mut user.password);
            return Ok(Some("CHANGE_PASSWORD"));
        }
        "archived" => {
            let wanted = flag()?;
            if wanted && !user.licences.iter().any(|(_, sku)| sku.starts_with("10103400")) {
                return Err(refuse(
                    412,
                    "conditionNotMet",
                    "Insufficient archived user licenses.",
                ));
            }
            user.archived = wanted;
        }
        "recoveryEmail" => user.recovery_email = Some(text()?.to_owned()).filter(|text| !text.is_empty()),
        "recoveryPhone" => user.recovery_phone = Some(text()?.to_owned()).filter(|text| !text.is_empty()),
        "orgUnitPath" => text()?.clone_into(&mut user.org_unit),
        "includeInGlobalAddressList" => user.in_address_list = flag()?,
        "primaryEmail" => text()?.clone_into(&mut user.email),
        "changePasswordAtNextLogin" => drop(flag()?),
        "id" | "isAdmin" | "isDelegatedAdmin" | "kind" | "etag" | "customerId" => {}
        list if LISTS.contains(&list) => {
            if value.as_array().is_some_and(Vec::is_empty) || value.is_null() {
                if put {
                    user.profile.remove(list);
                }
            } else {
                user.profile.insert(list.into(), value.clone());
            }
        }
        "name" => rename(user, value),
        _ => {
            return Err(invalid(&format!(
                "Invalid JSON payload received. Unknown name \"{field}\""
            )));
        }
    }
    Ok(None)
}

fn rename(user: &mut User, names: &Value) {
    for (part, target) in [("givenName", &mut user.given), ("familyName", &mut user.family)] {
        if let Some(name) = names[part].as_str() {
            name.clone_into(target);
        }
    }
}

/// Brings a deleted user back, by id only and for 20 days. Groups, roles and licences do not come back.
fn undelete(domain: &mut Domain, key: &str, body: &Value) -> Reply {
    let user = domain.users.get_mut(key).ok_or_else(no_user)?;
    let at = user
        .deleted
        .ok_or_else(|| refuse(412, "conditionNotMet", "User is not deleted."))?;
    if Timestamp::now().duration_since(at) > UNDELETE {
        return Err(no_user());
    }
    user.deleted = None;
    if let Some(unit) = body["orgUnitPath"].as_str() {
        unit.clone_into(&mut user.org_unit);
    }
    Ok(Value::Null)
}
