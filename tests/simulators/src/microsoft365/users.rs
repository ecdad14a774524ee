//! Users, their sessions, and the bin.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    calls::{Call, Reply, bad_request, denied, missing, unknown_path},
    licences, odata,
    state::{Tenant, User},
};
use crate::server::Refusal;

/// What a user shows without `$select`.
const DEFAULT: [&str; 5] = ["displayName", "mail", "userPrincipalName", "givenName", "surname"];
/// How long a deleted user can be restored.
const RESTORE: SignedDuration = SignedDuration::from_hours(30 * 24);
const READ: [&str; 4] = [
    "User.Read.All",
    "User.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];

/// The present in whole seconds, as Entra keeps its watermarks.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default()
}

pub(crate) fn serve(call: &Call<'_>, path: &[&str]) -> Reply {
    match (call.method, path) {
        ("GET", []) => {
            may_read(call)?;
            let all = call.look(|tenant| {
                let alive = tenant.users.values().filter(|user| user.deleted.is_none());
                alive.map(|user| show(tenant, user)).collect()
            });
            odata::collection(call, all, &DEFAULT)
        }
        ("GET", [key]) => {
            may_read(call)?;
            let user = call
                .look(|tenant| tenant.user(key).map(|user| show(tenant, user)))
                .ok_or_else(|| missing(key))?;
            odata::select(call, user, &DEFAULT)
        }
        ("PATCH", [key]) => {
            let id = call.user(key)?;
            call.change(|tenant| update(call, tenant, &id))?;
            Ok(Value::Null)
        }
        ("DELETE", [key]) => {
            call.needs(&["User.DeleteRestore.All", "User.ReadWrite.All"])?;
            let id = call.user(key)?;
            call.change(|tenant| delete(call, tenant, &id))?;
            Ok(Value::Null)
        }
        ("POST", [key, "revokeSignInSessions"]) => {
            call.needs(&[
                "User.RevokeSessions.All",
                "User.ReadWrite.All",
                "Directory.ReadWrite.All",
            ])?;
            let id = call.user(key)?;
            call.change(|tenant| {
                let user = tenant.users.get_mut(&id).ok_or_else(|| missing(&id))?;
                // Documented: does nothing for external users.
                if !user.guest {
                    user.valid_from = now();
                }
                Ok(json!({"@odata.context": "$metadata#Edm.Boolean", "value": true}))
            })
        }
        _ => Err(unknown_path()),
    }
}

/// Basic properties need less than the rest.
fn may_read(call: &Call<'_>) -> Result<(), Refusal> {
    let basic = |name: &str| DEFAULT.contains(&name) || name == "id";
    let only_basic = call
        .parameter("$select")
        .is_none_or(|list| list.split(',').all(|name| basic(name.trim())));
    if call.may(&READ) || (only_basic && call.may(&["User.ReadBasic.All"])) {
        Ok(())
    } else {
        Err(denied())
    }
}

pub(crate) fn show(tenant: &Tenant, user: &User) -> Value {
    let proxies: Vec<String> = user
        .mail
        .iter()
        .map(|mail| format!("SMTP:{mail}"))
        .chain(user.aliases.iter().map(|alias| format!("smtp:{alias}")))
        .collect();
    json!({
        "id": user.id,
        "userPrincipalName": user.upn,
        "mail": user.mail,
        "displayName": user.name,
        "givenName": user.name,
        "surname": "Example",
        "employeeId": user.employee_id,
        "proxyAddresses": proxies,
        "otherMails": [],
        "accountEnabled": user.enabled,
        "userType": if user.guest { "Guest" } else { "Member" },
        "onPremisesSyncEnabled": user.on_premises.map(|_| true),
        "signInSessionsValidFromDateTime": user.valid_from.to_string(),
        "lastPasswordChangeDateTime": user.password_changed.to_string(),
        "assignedLicenses": licences::assigned(tenant, user),
        "licenseAssignmentStates": licences::states(tenant, user),
        "showInAddressList": Value::Null,
        "department": Value::Null,
    })
}

fn update(call: &Call<'_>, tenant: &mut Tenant, id: &str) -> Result<(), Refusal> {
    let body = call.body.as_object().filter(|body| !body.is_empty());
    let body = body.ok_or_else(|| {
        bad_request("Write requests (excluding DELETE) must contain the Content-Type header declaration.")
    })?;
    // Documented: to change people with directory roles an application needs a role of its own.
    let sensitive = body
        .keys()
        .any(|field| field == "accountEnabled" || field == "passwordProfile");
    if sensitive && tenant.holds_role(id) && !call.grant.privileged {
        return Err(denied());
    }
    let user = tenant.users.get_mut(id).ok_or_else(|| missing(id))?;
    for (field, value) in body {
        match field.as_str() {
            "accountEnabled" => {
                call.needs(&[
                    "User.EnableDisableAccount.All",
                    "User.ReadWrite.All",
                    "Directory.ReadWrite.All",
                ])?;
                user.enabled = value
                    .as_bool()
                    .ok_or_else(|| bad_request("A value without a type name was found."))?;
            }
            "passwordProfile" => {
                call.needs(&["User-PasswordProfile.ReadWrite.All"])?;
                if user.on_premises.is_some() {
                    return Err(bad_request(
                        "Unable to update the specified properties for on-premises mastered Directory Sync objects or objects currently undergoing migration.",
                    ));
                }
                let password = value["password"].as_str().filter(|password| password.len() >= 8);
                password
                    .ok_or_else(|| {
                        bad_request(
                            "The specified password does not comply with password complexity requirements.",
                        )
                    })?
                    .clone_into(&mut user.password);
                user.password_changed = now();
            }
            "showInAddressList" | "department" | "employeeLeaveDateTime" => {
                call.needs(&["User.ReadWrite.All"])?;
            }
            other => return Err(bad_request(&format!("Invalid property '{other}'."))),
        }
    }
    Ok(())
}

fn delete(call: &Call<'_>, tenant: &mut Tenant, id: &str) -> Result<(), Refusal> {
    if tenant.holds_role(id) && !call.grant.privileged {
        return Err(denied());
    }
    let user = tenant.users.get_mut(id).ok_or_else(|| missing(id))?;
    user.deleted = Some(Timestamp::now());
    Ok(())
}

/// A user removed as a *member object*: what `DELETE …/members/{id}` without `$ref` does.
pub(crate) fn delete_object(call: &Call<'_>, tenant: &mut Tenant, id: &str) -> Result<(), Refusal> {
    if !call.may(&["User.DeleteRestore.All", "User.ReadWrite.All"]) {
        return Err(denied());
    }
    delete(call, tenant, id)
}

pub(crate) fn deleted(call: &Call<'_>, path: &[&str]) -> Reply {
    let rights = [
        "User.DeleteRestore.All",
        "User.Read.All",
        "User.ReadWrite.All",
        "Directory.Read.All",
    ];
    let typed = |tenant: &Tenant, user: &User| {
        let mut shown = show(tenant, user);
        shown["@odata.type"] = json!("#microsoft.graph.user");
        shown["deletedDateTime"] = json!(user.deleted.map(|at| at.to_string()));
        shown
    };
    match (call.method, path) {
        ("GET", ["microsoft.graph.user"]) => {
            call.needs(&rights)?;
            let all = call.look(|tenant| {
                let gone = tenant.users.values().filter(|user| in_bin(user));
                gone.map(|user| typed(tenant, user)).collect()
            });
            odata::collection(call, all, &[])
        }
        ("GET", [id]) => {
            call.needs(&rights)?;
            let found = call.look(|tenant| {
                tenant
                    .users
                    .get(*id)
                    .filter(|user| in_bin(user))
                    .map(|user| typed(tenant, user))
            });
            odata::select(call, found.ok_or_else(|| missing(id))?, &[])
        }
        ("POST", [id, "restore"]) => {
            call.needs(&["User.DeleteRestore.All", "User.ReadWrite.All"])?;
            call.change(|tenant| {
                let user = tenant
                    .users
                    .get_mut(*id)
                    .filter(|user| in_bin(user))
                    .ok_or_else(|| missing(id))?;
                user.deleted = None;
                Ok(json!({"@odata.type": "#microsoft.graph.user", "id": user.id}))
            })
        }
        _ => Err(unknown_path()),
    }
}

fn in_bin(user: &User) -> bool {
    user.deleted
        .is_some_and(|at| Timestamp::now().duration_since(at) <= RESTORE)
}
