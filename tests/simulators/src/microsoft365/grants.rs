//! Directory roles (active and eligible), app roles and delegated grants.

use serde_json::{Value, json};

use super::{
    GLOBAL_ADMINISTRATOR,
    calls::{Call, Reply, bad_request, missing, unknown_path},
    odata,
    state::Tenant,
};

pub(crate) fn roles(call: &Call<'_>, path: &[&str]) -> Reply {
    if call.method == "GET" {
        shown_roles(call, path)
    } else {
        changed_roles(call, path)
    }
}

/// Active and eligible roles.
fn shown_roles(call: &Call<'_>, path: &[&str]) -> Reply {
    let read = [
        "RoleManagement.Read.Directory",
        "RoleManagement.ReadWrite.Directory",
        "Directory.Read.All",
        "Directory.ReadWrite.All",
    ];
    let eligible = [
        "RoleEligibilitySchedule.Read.Directory",
        "RoleEligibilitySchedule.ReadWrite.Directory",
        "RoleManagement.Read.Directory",
        "RoleManagement.ReadWrite.Directory",
    ];
    match (call.method, path) {
        ("GET", ["roleAssignments"]) => {
            call.needs(&read)?;
            let all = call.look(|tenant| {
                tenant
                    .roles
                    .iter()
                    .map(|(id, (to, role))| assignment(id, to, role))
                    .collect()
            });
            odata::collection(call, all, &[])
        }
        ("GET", ["roleEligibilitySchedules"]) => {
            call.needs(&eligible)?;
            let all = call.look(|tenant| {
                tenant
                    .eligible
                    .iter()
                    .map(|(id, (to, role))| assignment(id, to, role))
                    .collect()
            });
            odata::collection(call, all, &[])
        }
        _ => Err(unknown_path()),
    }
}

/// Roles are given and taken.
fn changed_roles(call: &Call<'_>, path: &[&str]) -> Reply {
    match (call.method, path) {
        ("POST", ["roleAssignments"]) => {
            call.needs(&["RoleManagement.ReadWrite.Directory"])?;
            let text = |name: &str| {
                call.body[name]
                    .as_str()
                    .ok_or_else(|| bad_request(&format!("{name} is missing.")))
            };
            let (to, role) = (text("principalId")?, text("roleDefinitionId")?);
            text("directoryScopeId")?;
            call.change(|tenant| {
                if tenant.user(to).is_none() {
                    return Err(missing(to));
                }
                if tenant.roles.values().any(|(held_by, held)| held_by == to && held == role) {
                    return Err(bad_request("A conflicting object with one or more of the specified property values is present in the directory."));
                }
                let id = tenant.assign(to, role);
                Ok(assignment(&id, to, role))
            })
        }
        ("DELETE", ["roleAssignments", id]) => {
            call.needs(&["RoleManagement.ReadWrite.Directory"])?;
            call.change(|tenant| {
                let (to, role) = tenant.roles.get(*id).cloned().ok_or_else(|| missing(id))?;
                if role == GLOBAL_ADMINISTRATOR && !other_administrator(tenant, &to) {
                    return Err(bad_request("The last Global Administrator cannot be removed."));
                }
                tenant.roles.remove(*id);
                Ok(Value::Null)
            })
        }
        ("POST", ["roleEligibilityScheduleRequests"]) => {
            call.needs(&[
                "RoleEligibilitySchedule.ReadWrite.Directory",
                "RoleManagement.ReadWrite.Directory",
            ])?;
            call.change(|tenant| {
                let body = &call.body;
                if body["action"] == "adminAssign" {
                    return assign_eligible(tenant, body);
                }
                if body["action"] != "adminRemove" {
                    return Err(bad_request("Unsupported action."));
                }
                let before = tenant.eligible.len();
                tenant.eligible.retain(|_, (to, role)| {
                    body["principalId"] != to.as_str() || body["roleDefinitionId"] != role.as_str()
                });
                if tenant.eligible.len() == before {
                    return Err(missing("RoleAssignmentDoesNotExist"));
                }
                let mut answer = body.clone();
                answer["id"] = json!(tenant.id());
                answer["status"] = json!("Revoked");
                Ok(answer)
            })
        }
        _ => Err(unknown_path()),
    }
}

fn assign_eligible(tenant: &mut Tenant, body: &Value) -> Reply {
    let text = |name: &str| {
        let text = body[name].as_str().map(ToOwned::to_owned);
        text.ok_or_else(|| bad_request(&format!("{name} is missing.")))
    };
    let given = (text("principalId")?, text("roleDefinitionId")?);
    if body["scheduleInfo"]["expiration"]["type"].as_str().is_none() {
        return Err(bad_request("The schedule info is invalid."));
    }
    if tenant.eligible.values().any(|held| *held == given) {
        return Err(bad_request("The Role assignment already exists."));
    }
    let id = tenant.id();
    tenant.eligible.insert(id, given);
    let mut answer = body.clone();
    answer["id"] = json!(tenant.id());
    answer["status"] = json!("Provisioned");
    Ok(answer)
}

fn other_administrator(tenant: &Tenant, than: &str) -> bool {
    tenant.roles.values().any(|(to, role)| {
        role == GLOBAL_ADMINISTRATOR && to != than && tenant.user(to).is_some_and(|user| user.enabled)
    })
}

fn assignment(id: &str, to: &str, role: &str) -> Value {
    json!({"id": id, "principalId": to, "roleDefinitionId": role, "directoryScopeId": "/", "appScopeId": Value::Null})
}

pub(crate) fn app_roles(call: &Call<'_>, key: &str, path: &[&str]) -> Reply {
    let id = call.user(key)?;
    match (call.method, path) {
        ("GET", []) => {
            call.needs(&["AppRoleAssignment.ReadWrite.All", "Directory.Read.All"])?;
            let all = call.look(|tenant| {
                let mine = tenant
                    .app_roles
                    .iter()
                    .filter(|(_, (principal, _, _))| *principal == id);
                mine.map(|(assignment, given)| app_role(assignment, given))
                    .collect()
            });
            odata::collection(call, all, &[])
        }
        ("POST", []) => {
            call.needs(&["AppRoleAssignment.ReadWrite.All"])?;
            let text = |name: &str| {
                call.body[name]
                    .as_str()
                    .map(ToOwned::to_owned)
                    .ok_or_else(|| bad_request(&format!("{name} is missing.")))
            };
            let given = (text("principalId")?, text("resourceId")?, text("appRoleId")?);
            call.change(|tenant| {
                if tenant.app_roles.values().any(|held| *held == given) {
                    return Err(bad_request(
                        "Permission being assigned already exists on the object",
                    ));
                }
                let assignment = tenant.id();
                tenant.app_roles.insert(assignment.clone(), given.clone());
                Ok(app_role(&assignment, &given))
            })
        }
        ("DELETE", [assignment]) => {
            call.needs(&["AppRoleAssignment.ReadWrite.All"])?;
            call.change(|tenant| {
                let mine = tenant
                    .app_roles
                    .get(*assignment)
                    .is_some_and(|(principal, _, _)| *principal == id);
                if !mine {
                    return Err(missing(assignment));
                }
                tenant.app_roles.remove(*assignment);
                Ok(Value::Null)
            })
        }
        _ => Err(unknown_path()),
    }
}

fn app_role(id: &str, (principal, resource, role): &(String, String, String)) -> Value {
    json!({
        "id": id,
        "principalId": principal,
        "principalType": "User",
        "resourceId": resource,
        "resourceDisplayName": "application",
        "appRoleId": role,
    })
}

fn grant(id: &str, [client, principal, resource, scope]: &[String; 4]) -> Value {
    json!({
        "id": id,
        "clientId": client,
        "consentType": "Principal",
        "principalId": principal,
        "resourceId": resource,
        "scope": scope,
    })
}

pub(crate) fn of_user(call: &Call<'_>, key: &str) -> Reply {
    call.needs(&["Directory.Read.All", "DelegatedPermissionGrant.ReadWrite.All"])?;
    let user = call.user(key)?;
    let all = call.look(|tenant| {
        tenant
            .grants
            .iter()
            .filter(|(_, given)| given[1] == user)
            .map(|(id, given)| grant(id, given))
            .collect()
    });
    odata::collection(call, all, &[])
}

pub(crate) fn serve(call: &Call<'_>, path: &[&str]) -> Reply {
    match (call.method, path) {
        ("GET", []) => {
            call.needs(&["Directory.Read.All", "DelegatedPermissionGrant.ReadWrite.All"])?;
            let all = call.look(|tenant| tenant.grants.iter().map(|(id, given)| grant(id, given)).collect());
            odata::collection(call, all, &[])
        }
        ("DELETE", [id]) => {
            call.needs(&[
                "DelegatedPermissionGrant.ReadWrite.All",
                "Directory.ReadWrite.All",
            ])?;
            call.change(|tenant| {
                tenant
                    .grants
                    .remove(*id)
                    .map(|_| Value::Null)
                    .ok_or_else(|| missing(id))
            })
        }
        _ => Err(unknown_path()),
    }
}
