//! Admin roles and who holds them.

use serde_json::{Value, json};

use super::{
    calls::{Call, Reply, invalid, not_found},
    directory::last_super_admin,
    state::{Assignment, SUPER_ADMIN},
};

const WRITE: [&str; 1] = ["admin.directory.rolemanagement"];
const READ: [&str; 2] = [
    "admin.directory.rolemanagement",
    "admin.directory.rolemanagement.readonly",
];

pub(crate) fn serve(call: &Call<'_>, path: &[&str]) -> Reply {
    if call.method == "GET" {
        shown(call, path)
    } else {
        changed(call, path)
    }
}

/// Roles and who holds them.
fn shown(call: &Call<'_>, path: &[&str]) -> Reply {
    match (call.method, path) {
        ("GET", ["roles"]) => {
            call.needs(&READ)?;
            let all = call.look(|domain| {
                domain
                    .roles
                    .iter()
                    .map(|(id, name)| {
                        json!({
                            "kind": "admin#directory#role",
                            "roleId": id,
                            "roleName": name,
                            "isSystemRole": true,
                            "isSuperAdminRole": id == SUPER_ADMIN,
                        })
                    })
                    .collect()
            });
            call.page("items", "admin#directory#roles", all, ("maxResults", 100, 100))
        }
        ("GET", ["roleassignments"]) => {
            call.needs(&READ)?;
            list(call)
        }
        ("GET", ["roleassignments", id]) => {
            call.needs(&READ)?;
            call.look(|domain| domain.assignments.get(*id).map(|given| show(id, given)))
                .ok_or_else(|| not_found("Resource Not Found: roleAssignmentId"))
        }
        _ => Err(not_found("Not Found")),
    }
}

/// Roles are given and taken.
fn changed(call: &Call<'_>, path: &[&str]) -> Reply {
    match (call.method, path) {
        ("POST", ["roleassignments"]) => {
            call.needs(&WRITE)?;
            call.super_admin()?;
            let role = call.body["roleId"]
                .as_str()
                .ok_or_else(|| invalid("Invalid Input: roleId"))?;
            let to = call.body["assignedTo"]
                .as_str()
                .ok_or_else(|| invalid("Invalid Input: assignedTo"))?;
            call.change(|domain| {
                if !domain.roles.contains_key(role) || domain.user(to).is_none_or(|user| user.id != to) {
                    return Err(invalid("Invalid Input: assignedTo"));
                }
                let id = domain.assign(role, to);
                Ok(show(&id, &domain.assignments[&id]))
            })
        }
        ("DELETE", ["roleassignments", id]) => {
            call.needs(&WRITE)?;
            call.super_admin()?;
            call.change(|domain| {
                let given = domain
                    .assignments
                    .get(*id)
                    .ok_or_else(|| not_found("Resource Not Found: roleAssignmentId"))?;
                if given.role == SUPER_ADMIN && domain.is_last_super_admin(&given.to) {
                    return Err(last_super_admin());
                }
                domain.assignments.remove(*id);
                Ok(Value::Null)
            })
        }
        _ => Err(not_found("Not Found")),
    }
}

fn list(call: &Call<'_>) -> Reply {
    let indirect = call.parameter("includeIndirectRoleAssignments") == Some("true");
    if indirect && call.parameter("userKey").is_none() {
        return Err(invalid(
            "Invalid Input: includeIndirectRoleAssignments needs userKey",
        ));
    }
    let all = call.look(|domain| {
        let user = match call.parameter("userKey") {
            Some(key) => Some(domain.user(key).ok_or_else(super::calls::no_user)?.id.clone()),
            None => None,
        };
        let wanted = |given: &Assignment| {
            user.as_ref().is_none_or(|user| {
                given.to == *user
                    || (indirect
                        && given.group
                        && domain
                            .groups
                            .get(&given.to)
                            .is_some_and(|group| group.members.contains_key(user)))
            }) && call.parameter("roleId").is_none_or(|role| role == given.role)
        };
        let shown = domain
            .assignments
            .iter()
            .filter(|(_, given)| wanted(given))
            .map(|(id, given)| show(id, given));
        Ok::<_, crate::server::Refusal>(shown.collect())
    })?;
    call.page(
        "items",
        "admin#directory#roleAssignments",
        all,
        ("maxResults", 100, 200),
    )
}

fn show(id: &str, given: &Assignment) -> Value {
    json!({
        "kind": "admin#directory#roleAssignment",
        "roleAssignmentId": id,
        "roleId": given.role,
        "assignedTo": given.to,
        "assigneeType": if given.group { "group" } else { "user" },
        "scopeType": "CUSTOMER",
    })
}
