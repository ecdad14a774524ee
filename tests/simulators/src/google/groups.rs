//! Groups and their members.

use serde_json::{Value, json};

use super::{
    calls::{Call, Reply, invalid, not_found, our_customer, refuse},
    state::{Domain, Group, Member},
};
use crate::server::Refusal;

const WRITE: [&str; 2] = ["admin.directory.group", "admin.directory.group.member"];
const READ: [&str; 4] = [
    "admin.directory.group",
    "admin.directory.group.member",
    "admin.directory.group.readonly",
    "admin.directory.group.member.readonly",
];

pub(crate) fn serve(call: &Call<'_>, path: &[&str]) -> Reply {
    if call.method == "GET" {
        shown(call, path)
    } else {
        changed(call, path)
    }
}

/// Groups and members.
fn shown(call: &Call<'_>, path: &[&str]) -> Reply {
    match (call.method, path) {
        ("GET", []) => {
            call.needs(&["admin.directory.group", "admin.directory.group.readonly"])?;
            list(call)
        }
        ("GET", [group]) => {
            call.needs(&["admin.directory.group", "admin.directory.group.readonly"])?;
            call.look(|domain| domain.group(group).map(show))
                .ok_or_else(no_group)
        }
        ("GET", [group, "members"]) => {
            call.needs(&READ)?;
            let roles: Vec<&str> = call
                .parameter("roles")
                .map(|roles| roles.split(',').collect())
                .unwrap_or_default();
            let all = call
                .look(|domain| {
                    let group = domain.group(group)?;
                    let wanted = |(_, member): &(&String, &Member)| {
                        roles.is_empty() || roles.contains(&member.role.as_str())
                    };
                    Some(
                        group
                            .members
                            .iter()
                            .filter(wanted)
                            .map(|(id, member)| show_member(domain, id, member))
                            .collect(),
                    )
                })
                .ok_or_else(no_group)?;
            call.page(
                "members",
                "admin#directory#members",
                all,
                ("maxResults", 200, 200),
            )
        }
        ("GET", [group, "members", key]) => {
            call.needs(&READ)?;
            call.look(|domain| {
                let group = domain.group(group).ok_or_else(no_group)?;
                let id = member_id(domain, group, key).ok_or_else(no_member)?;
                Ok(show_member(domain, &id, &group.members[&id]))
            })
        }
        _ => Err(not_found("Not Found")),
    }
}

/// Memberships come, change and go.
fn changed(call: &Call<'_>, path: &[&str]) -> Reply {
    match (call.method, path) {
        ("POST", [group, "members"]) => {
            call.needs(&WRITE)?;
            call.change(|domain| add(domain, group, &call.body))
        }
        ("PATCH" | "PUT", [group, "members", key]) => {
            call.needs(&WRITE)?;
            call.change(|domain| {
                let (group, id) = place(domain, group, key)?;
                let role = role(&call.body)?;
                let group = domain.groups.get_mut(&group).ok_or_else(no_group)?;
                let member = group.members.get_mut(&id).ok_or_else(no_member)?;
                member.role = role;
                let member = member.clone();
                Ok(show_member(domain, &id, &member))
            })
        }
        ("DELETE", [group, "members", key]) => {
            call.needs(&WRITE)?;
            call.change(|domain| {
                let (group, id) = place(domain, group, key)?;
                let group = domain.groups.get_mut(&group).ok_or_else(no_group)?;
                if group.dynamic {
                    return Err(refuse(
                        412,
                        "conditionNotMet",
                        "Members of a dynamic group follow its query.",
                    ));
                }
                group.members.remove(&id);
                Ok(Value::Null)
            })
        }
        _ => Err(not_found("Not Found")),
    }
}

fn list(call: &Call<'_>) -> Reply {
    let (customer, domain, user) = (
        call.parameter("customer"),
        call.parameter("domain"),
        call.parameter("userKey"),
    );
    if user.is_some() && customer.is_some() {
        return Err(invalid(
            "Invalid Input: userKey and customer cannot be used together",
        ));
    }
    if user.is_none() && customer.is_none() && domain.is_none() {
        return Err(refuse(400, "badRequest", "Bad Request"));
    }
    if let Some(customer) = customer {
        our_customer(customer)?;
    }
    let all = call.look(|domain| {
        let id = match user {
            Some(key) => Some(domain.user(key).ok_or_else(super::calls::no_user)?.id.clone()),
            None => None,
        };
        let direct = |group: &&Group| id.as_ref().is_none_or(|id| group.members.contains_key(id));
        Ok::<_, Refusal>(domain.groups.values().filter(direct).map(show).collect())
    })?;
    call.page("groups", "admin#directory#groups", all, ("maxResults", 200, 200))
}

fn show(group: &Group) -> Value {
    json!({
        "kind": "admin#directory#group",
        "id": group.id,
        "email": group.email,
        "name": group.name,
        "directMembersCount": group.members.len().to_string(),
        "adminCreated": true,
    })
}

fn show_member(domain: &Domain, id: &str, member: &Member) -> Value {
    let email = domain
        .users
        .get(id)
        .map(|user| user.email.clone())
        .or_else(|| domain.groups.get(id).map(|group| group.email.clone()));
    json!({
        "kind": "admin#directory#member",
        "id": id,
        "email": email,
        "role": member.role,
        "type": member.kind,
        "status": "ACTIVE",
    })
}

fn add(domain: &mut Domain, group: &str, body: &Value) -> Reply {
    let key = body["id"]
        .as_str()
        .or(body["email"].as_str())
        .ok_or_else(|| invalid("Missing required field: member"))?;
    let (id, kind) = match (domain.user(key), domain.group(key)) {
        (Some(user), _) => (user.id.clone(), "USER"),
        (None, Some(group)) => (group.id.clone(), "GROUP"),
        (None, None) => return Err(not_found("Resource Not Found: memberKey")),
    };
    let role = role(body)?;
    let group = domain.group(group).ok_or_else(no_group)?.id.clone();
    let group = domain.groups.get_mut(&group).ok_or_else(no_group)?;
    if group.members.contains_key(&id) {
        return Err(refuse(409, "duplicate", "Member already exists."));
    }
    let member = Member {
        role,
        kind: kind.into(),
    };
    group.members.insert(id.clone(), member.clone());
    Ok(show_member(domain, &id, &member))
}

fn role(body: &Value) -> Result<String, Refusal> {
    match body["role"].as_str().unwrap_or("MEMBER") {
        role @ ("OWNER" | "MANAGER" | "MEMBER") => Ok(role.to_owned()),
        _ => Err(invalid("Invalid Input: role")),
    }
}

/// Ids of a group and of one of its members.
fn place(domain: &Domain, group: &str, key: &str) -> Result<(String, String), Refusal> {
    let group = domain.group(group).ok_or_else(no_group)?;
    let member = member_id(domain, group, key).ok_or_else(no_member)?;
    Ok((group.id.clone(), member))
}

fn member_id(domain: &Domain, group: &Group, key: &str) -> Option<String> {
    let id = domain.user(key).map_or(key, |user| user.id.as_str());
    group.members.contains_key(id).then(|| id.to_owned())
}

fn no_group() -> Refusal {
    not_found("Resource Not Found: groupKey")
}

fn no_member() -> Refusal {
    not_found("Resource Not Found: memberKey")
}
