//! Groups by kind, their members and owners, and what a user belongs to and owns.

use serde_json::{Value, json};

use super::{
    calls::{Call, Reply, bad_request, denied, missing, unknown_path},
    odata,
    state::{Group, GroupKind, Tenant},
    users,
};
use crate::server::Refusal;

const READ: [&str; 6] = [
    "Directory.Read.All",
    "Directory.ReadWrite.All",
    "Group.Read.All",
    "Group.ReadBasic.All",
    "Group.ReadWrite.All",
    "GroupMember.Read.All",
];

/// `memberOf`, `transitiveMemberOf`, `ownedObjects`, with or without a cast.
pub(crate) fn of_user(call: &Call<'_>, key: &str, what: &str, cast: &[&str]) -> Reply {
    let needed: &[&str] = match what {
        // The permissions file lists no GroupMember.Read.All and no User.Read.All here.
        "memberOf" => &[
            "Directory.Read.All",
            "Directory.ReadWrite.All",
            "Group.ReadBasic.All",
            "GroupMember.ReadBasic.All",
        ],
        "transitiveMemberOf" => &[
            "User.Read.All",
            "Directory.Read.All",
            "Directory.ReadWrite.All",
            "Group.Read.All",
            "GroupMember.Read.All",
        ],
        _ => &[
            "User.Read.All",
            "User.ReadWrite.All",
            "Directory.Read.All",
            "Directory.ReadWrite.All",
        ],
    };
    call.needs(needed)?;
    if call.method != "GET" {
        return Err(unknown_path());
    }
    let id = call.user(key)?;
    let mut all = call.look_at_groups(|tenant| {
        if what == "ownedObjects" {
            let groups = tenant.groups.values().filter(|group| group.owners.contains(&id)).map(show);
            let apps = tenant.applications.iter().filter(|(_, (_, owners))| owners.contains(&id)).map(|(app, (name, _))| {
                json!({"@odata.type": "#microsoft.graph.application", "id": app, "displayName": name})
            });
            return groups.chain(apps).collect::<Vec<_>>();
        }
        let groups = tenant.groups.values().filter(|group| group.members.contains(&id)).map(show);
        let roles = tenant.roles.values().filter(|(principal, _)| *principal == id).map(|(_, role)| {
            json!({"@odata.type": "#microsoft.graph.directoryRole", "id": role, "displayName": "role", "roleTemplateId": role})
        });
        groups.chain(roles).collect()
    });
    match cast {
        [] => {}
        [cast] => {
            let wanted = format!("#{cast}");
            all.retain(|item| item["@odata.type"] == wanted.as_str());
        }
        _ => return Err(unknown_path()),
    }
    odata::collection(call, all, &[])
}

pub(crate) fn serve(call: &Call<'_>, id: &str, path: &[&str]) -> Reply {
    if call.method == "GET" {
        shown(call, id, path)
    } else {
        changed(call, id, path)
    }
}

/// A group, its members and owners.
fn shown(call: &Call<'_>, id: &str, path: &[&str]) -> Reply {
    match (call.method, path) {
        ("GET", []) => {
            call.needs(&READ)?;
            let shown = call
                .look_at_groups(|tenant| tenant.groups.get(id).map(show))
                .ok_or_else(|| missing(id))?;
            odata::select(call, shown, &[])
        }
        ("GET", [what @ ("members" | "owners")]) => {
            let more: &[&str] = if *what == "members" {
                &["GroupMember.ReadBasic.All"]
            } else {
                &[]
            };
            call.needs(&[READ.as_slice(), &["GroupMember.ReadWrite.All"], more].concat())?;
            let all = call.look_at_groups(|tenant| {
                let group = tenant.groups.get(id)?;
                let people = if *what == "members" {
                    &group.members
                } else {
                    &group.owners
                };
                let shown = people
                    .iter()
                    .filter_map(|person| tenant.user(person))
                    .map(|user| {
                        let mut shown = users::show(tenant, user);
                        shown["@odata.type"] = json!("#microsoft.graph.user");
                        shown
                    });
                Some(shown.collect())
            });
            odata::collection(
                call,
                all.ok_or_else(|| missing(id))?,
                &["displayName", "mail", "userPrincipalName"],
            )
        }
        _ => Err(unknown_path()),
    }
}

/// Members and owners come and go.
fn changed(call: &Call<'_>, id: &str, path: &[&str]) -> Reply {
    match (call.method, path) {
        ("POST", [what @ ("members" | "owners"), "$ref"]) => {
            may_change(call, what)?;
            let person = referenced(&call.body)?;
            call.change(|tenant| add(call, tenant, id, what, &person))
        }
        ("DELETE", ["members", person, "$ref"]) => {
            may_change(call, "members")?;
            call.change(|tenant| {
                let group = tenant.groups.get(id).ok_or_else(|| missing(id))?;
                changeable(call, group)?;
                let group = tenant.groups.get_mut(id).ok_or_else(|| missing(id))?;
                if group.members.remove(*person) {
                    Ok(Value::Null)
                } else {
                    Err(missing(person))
                }
            })
        }
        ("DELETE", ["owners", person, "$ref"]) => {
            may_change(call, "owners")?;
            call.change(|tenant| {
                let group = tenant.groups.get_mut(id).ok_or_else(|| missing(id))?;
                changeable(call, group)?;
                if !group.owners.contains(*person) {
                    return Err(missing(person));
                }
                if group.owners.len() == 1 {
                    return Err(bad_request(
                        "The group must have at least one owner, hence this owner cannot be removed.",
                    ));
                }
                group.owners.remove(*person);
                Ok(Value::Null)
            })
        }
        // Documented: without `$ref` it is the member itself that goes, if the application may delete it.
        ("DELETE", ["members", person]) => {
            call.change(|tenant| users::delete_object(call, tenant, person))?;
            Ok(Value::Null)
        }
        _ => Err(unknown_path()),
    }
}

fn may_change(call: &Call<'_>, what: &str) -> Result<(), Refusal> {
    let narrow: &[&str] = if what == "members" {
        &["GroupMember.ReadWrite.All"]
    } else {
        &[]
    };
    call.needs(&[&["Group.ReadWrite.All", "Directory.ReadWrite.All"], narrow].concat())
}

/// Whether Graph changes the members of this kind of group at all.
fn changeable(call: &Call<'_>, group: &Group) -> Result<(), Refusal> {
    match group.kind {
        GroupKind::Dynamic => {
            return Err(bad_request(
                "Insufficient permissions or invalid operation: the group has dynamic membership.",
            ));
        }
        GroupKind::Synced => {
            return Err(bad_request(
                "Unable to update the specified properties for on-premises mastered Directory Sync objects or objects currently undergoing migration.",
            ));
        }
        GroupKind::MailSecurity | GroupKind::Distribution => {
            return Err(bad_request(
                "Cannot Update a mail-enabled security groups and or distribution list.",
            ));
        }
        GroupKind::Security | GroupKind::Unified => {}
    }
    if group.role_assignable && !call.may(&["RoleManagement.ReadWrite.Directory"]) {
        return Err(denied());
    }
    Ok(())
}

fn referenced(body: &Value) -> Result<String, Refusal> {
    let url = body["@odata.id"]
        .as_str()
        .ok_or_else(|| bad_request("Invalid reference."))?;
    let mut parts = url.rsplit('/');
    let id = parts.next().unwrap_or_default();
    match parts.next() {
        Some("users" | "directoryObjects") => Ok(id.to_owned()),
        _ => Err(bad_request("Invalid reference.")),
    }
}

fn add(call: &Call<'_>, tenant: &mut Tenant, id: &str, what: &str, person: &str) -> Reply {
    let person = tenant.user(person).ok_or_else(|| missing(person))?.id.clone();
    let group = tenant.groups.get_mut(id).ok_or_else(|| missing(id))?;
    changeable(call, group)?;
    let people = if what == "members" {
        &mut group.members
    } else {
        &mut group.owners
    };
    if !people.insert(person) {
        let text = format!(
            "One or more added object references already exist for the following modified properties: '{what}'."
        );
        return Err(bad_request(&text));
    }
    Ok(Value::Null)
}

fn show(group: &Group) -> Value {
    let kind = group.kind;
    let types: &[&str] = match kind {
        GroupKind::Unified => &["Unified"],
        GroupKind::Dynamic => &["DynamicMembership"],
        _ => &[],
    };
    json!({
        "@odata.type": "#microsoft.graph.group",
        "id": group.id,
        "displayName": group.name,
        "groupTypes": types,
        "mailEnabled": matches!(kind, GroupKind::Unified | GroupKind::MailSecurity | GroupKind::Distribution),
        "securityEnabled": !matches!(kind, GroupKind::Unified | GroupKind::Distribution),
        "membershipRule": if kind == GroupKind::Dynamic { json!("user.department -eq \"Sales\"") } else { Value::Null },
        "onPremisesSyncEnabled": if kind == GroupKind::Synced { json!(true) } else { Value::Null },
        "isAssignableToRole": if group.role_assignable { json!(true) } else { Value::Null },
        "assignedLicenses": group.licences.iter().map(|sku| json!({"skuId": sku, "disabledPlans": []})).collect::<Vec<_>>(),
    })
}
