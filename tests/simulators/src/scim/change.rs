//! Changes of users and groups: PATCH, PUT and DELETE of RFC 7644 sections 3.5 and 3.6.

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::{
    PatchSupport, Right, Shared,
    filter::field,
    model::{GROUP, State, USER, etag},
    patch::{self, Kind, Operation},
    protocol::{Asked, Reply, allow, not_found},
    refusal::Refused,
};

/// PATCH, PUT or DELETE of a user.
pub fn user(shared: &Shared, method: &Method, asked: &Asked<'_>, id: &str) -> Result<Reply, Refused> {
    allow(&asked.quirks, Right::WriteUsers)?;
    shared.world.change(|state| {
        let user = state.users.get(id).ok_or_else(not_found)?;
        precondition(asked, method, user.version)?;
        if method == Method::DELETE {
            state.delete_user(id);
            return Ok(Reply::nothing());
        }
        let there = user.attributes.clone();
        let attributes = if method == Method::PATCH {
            patched_user(asked, there)?
        } else {
            replaced_user(asked, &there)?
        };
        unique_name(state, id, &attributes)?;
        let mut user = state.users.get(id).cloned().ok_or_else(not_found)?;
        user.set(attributes)?;
        state.put_user(id, user);
        if !asked.quirks.sessions_survive {
            state.end_if_inactive(id);
        }
        let user = state.user(id, asked.base).ok_or_else(not_found)?;
        if asked.quirks.deletes_inactive && user.get("active") == Some(&Value::Bool(false)) {
            state.delete_user(id);
        }
        Ok(Reply::of(Value::Object(asked.as_sent(user))))
    })
}

/// PATCH, PUT or DELETE of a group.
pub fn group(shared: &Shared, method: &Method, asked: &Asked<'_>, id: &str) -> Result<Reply, Refused> {
    allow(&asked.quirks, Right::WriteGroups)?;
    shared.world.change(|state| {
        let group = state.groups.get(id).ok_or_else(not_found)?;
        precondition(asked, method, group.version)?;
        if method == Method::DELETE {
            state.remove_group(id);
            return Ok(Reply::nothing());
        }
        let attributes = if method == Method::PATCH {
            patched(asked, group.attributes.clone(), &["id", "meta", "schemas"])?
        } else {
            let mut attributes = whole(asked, GROUP, id)?;
            attributes.insert("schemas".into(), json!([GROUP]));
            attributes
        };
        known_members(state, &attributes)?;
        let mut group = state.groups.get(id).cloned().ok_or_else(not_found)?;
        group.set(attributes)?;
        state.put_group(id, group);
        let group = state.group(id, asked.base).ok_or_else(not_found)?;
        Ok(Reply::of(Value::Object(asked.as_sent(group))))
    })
}

/// RFC 7644 section 3.14.
fn precondition(asked: &Asked<'_>, method: &Method, version: u64) -> Result<(), Refused> {
    if !asked.quirks.etag {
        return Ok(());
    }
    match asked.if_match {
        Some("*") => Ok(()),
        Some(tags) if tags.split(',').any(|tag| tag.trim() == etag(version)) => Ok(()),
        Some(_) => Err(Refused::plain(412, "the resource has changed")),
        None if asked.quirks.if_match_needed && method == Method::PUT => {
            Err(Refused::plain(428, "If-Match is needed"))
        }
        None => Ok(()),
    }
}

fn patched_user(asked: &Asked<'_>, there: Map<String, Value>) -> Result<Map<String, Value>, Refused> {
    let mut read_only = vec!["id", "meta", "schemas", "groups"];
    if asked.quirks.active_read_only {
        read_only.push("active");
    }
    patched(asked, there, &read_only)
}

fn patched(
    asked: &Asked<'_>,
    mut there: Map<String, Value>,
    read_only: &[&str],
) -> Result<Map<String, Value>, Refused> {
    for mut operation in patch::operations(&asked.body)? {
        if let (true, Kind::Remove, Some(path)) =
            (asked.quirks.empties_groups, operation.kind, &mut operation.path)
        {
            path.filter = None;
        }
        let pathless = operation.path.is_none();
        match asked.quirks.patch {
            PatchSupport::WithoutPathOnly if !pathless => {
                return Err(Refused::bad("invalidPath", "paths are not supported"));
            }
            PatchSupport::PathIgnored if !pathless => continue,
            PatchSupport::Ignored => continue,
            _ => {}
        }
        if targets(&operation, read_only) {
            return Err(Refused::bad("mutability", "the attribute is read-only"));
        }
        patch::apply(&mut there, operation)?;
    }
    Ok(there)
}

fn targets(operation: &Operation, names: &[&str]) -> bool {
    let among = |name: &str| names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name));
    match (&operation.path, &operation.value) {
        (Some(path), _) => among(&path.attribute.name),
        (None, Value::Object(fields)) => fields.keys().any(|name| among(name)),
        (None, _) => false,
    }
}

/// RFC 7644 section 3.5.1: read-only attributes are ignored, what is not given is cleared.
fn replaced_user(asked: &Asked<'_>, there: &Map<String, Value>) -> Result<Map<String, Value>, Refused> {
    let id = there["id"].as_str().unwrap_or_default();
    let mut attributes = whole(asked, USER, id)?;
    if asked.quirks.active_read_only {
        attributes.insert("active".into(), there["active"].clone());
    }
    attributes.insert("schemas".into(), json!([USER]));
    Ok(attributes)
}

/// The body of a PUT.
fn whole(asked: &Asked<'_>, schema: &str, id: &str) -> Result<Map<String, Value>, Refused> {
    let given = asked
        .body
        .as_object()
        .ok_or_else(|| Refused::bad("invalidSyntax", "a resource is needed"))?;
    let named = given
        .get("schemas")
        .and_then(Value::as_array)
        .is_some_and(|schemas| schemas.iter().any(|named| named == schema));
    if !named {
        return Err(Refused::bad(
            "invalidSyntax",
            "schemas must name the resource's schema",
        ));
    }
    if given.get("id").is_some_and(|given| given != id) {
        return Err(Refused::bad("mutability", "id cannot be changed"));
    }
    let mut attributes = given.clone();
    attributes.retain(|_, value| !value.is_null());
    attributes.insert("id".into(), id.into());
    Ok(attributes)
}

fn unique_name(state: &State, id: &str, attributes: &Map<String, Value>) -> Result<(), Refused> {
    let name = field(attributes, "userName")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let taken = state.named(name).is_some_and(|other| other != id);
    if taken {
        return Err(Refused {
            kind: "uniqueness",
            ..Refused::plain(409, "userName is taken")
        });
    }
    Ok(())
}

fn known_members(state: &State, attributes: &Map<String, Value>) -> Result<(), Refused> {
    let members = attributes.get("members").and_then(Value::as_array);
    let known = members.into_iter().flatten().all(|member| {
        member["value"]
            .as_str()
            .is_some_and(|id| state.users.contains_key(id) || state.groups.contains_key(id))
    });
    if known {
        Ok(())
    } else {
        Err(Refused::bad("invalidValue", "no such member"))
    }
}
