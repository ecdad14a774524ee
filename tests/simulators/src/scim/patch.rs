//! PATCH of RFC 7644 section 3.5.2 over a resource as JSON. What may be changed at all is the caller's business.

use serde_json::{Map, Value};

use super::{
    filter::{Filter, Path, field},
    refusal::Refused,
};

/// What one operation asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Adds values.
    Add,
    /// Puts values in the place of others.
    Replace,
    /// Takes values away.
    Remove,
}

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// What is asked for.
    pub kind: Kind,
    /// Of what; none: of the resource, by the fields of the value.
    pub path: Option<Path>,
    /// With what.
    pub value: Value,
}

/// Reads a PATCH body.
///
/// # Errors
/// Those that RFC 7644 names for malformed bodies.
pub fn operations(body: &Value) -> Result<Vec<Operation>, Refused> {
    let schemas = body["schemas"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !schemas
        .iter()
        .any(|schema| schema == "urn:ietf:params:scim:api:messages:2.0:PatchOp")
    {
        return Err(Refused::bad("invalidSyntax", "schemas must name PatchOp"));
    }
    let listed = body
        .as_object()
        .and_then(|body| field(body, "Operations"))
        .and_then(Value::as_array)
        .filter(|operations| !operations.is_empty())
        .ok_or_else(|| Refused::bad("invalidSyntax", "Operations must be a list"))?;
    listed.iter().map(operation).collect()
}

fn operation(given: &Value) -> Result<Operation, Refused> {
    let kind = match given["op"]
        .as_str()
        .unwrap_or_default()
        .to_ascii_lowercase()
        .as_str()
    {
        "add" => Kind::Add,
        "replace" => Kind::Replace,
        "remove" => Kind::Remove,
        _ => return Err(Refused::bad("invalidSyntax", "unknown op")),
    };
    let path = match given.get("path") {
        None | Some(Value::Null) => None,
        Some(path) => Some(
            path.as_str()
                .and_then(|path| Path::parse(path).ok())
                .ok_or_else(|| Refused::bad("invalidPath", "malformed path"))?,
        ),
    };
    if kind == Kind::Remove && path.is_none() {
        return Err(Refused::bad("noTarget", "remove needs a path"));
    }
    let value = given.get("value").cloned().unwrap_or(Value::Null);
    if kind != Kind::Remove && value.is_null() {
        return Err(Refused::bad("invalidValue", "value is missing"));
    }
    if path.is_none() && !value.is_object() {
        return Err(Refused::bad(
            "invalidValue",
            "without a path the value must be an object",
        ));
    }
    Ok(Operation { kind, path, value })
}

/// Applies one operation to `resource`.
///
/// # Errors
/// `noTarget` when a value filter of `replace` matches nothing.
pub fn apply(resource: &mut Map<String, Value>, operation: Operation) -> Result<(), Refused> {
    let Operation { kind, path, value } = operation;
    let Some(path) = path else {
        if let Value::Object(fields) = value {
            for (name, value) in fields {
                put(resource, &name, value, kind == Kind::Add);
            }
        }
        return Ok(());
    };
    let name = key(resource, &path.attribute.name);
    match (path.filter, path.attribute.sub) {
        (Some(filter), sub) => among(resource, &name, &filter, sub.as_deref(), kind, &value),
        (None, Some(sub)) => {
            let slot = resource.entry(name).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(complex) = slot {
                if kind == Kind::Remove {
                    let sub = key(complex, &sub);
                    complex.remove(&sub);
                } else {
                    put(complex, &sub, value, kind == Kind::Add);
                }
            }
            Ok(())
        }
        // RFC 7644 section 3.5.2.2: without a filter all values go, whatever `value` lists.
        (None, None) if kind == Kind::Remove => {
            resource.remove(&name);
            Ok(())
        }
        (None, None) => {
            put(resource, &name, value, kind == Kind::Add);
            Ok(())
        }
    }
}

/// Changes the elements of a list that match a value filter.
fn among(
    resource: &mut Map<String, Value>,
    name: &str,
    filter: &Filter,
    sub: Option<&str>,
    kind: Kind,
    value: &Value,
) -> Result<(), Refused> {
    let hit = |element: &Value| element.as_object().is_some_and(|element| filter.matches(element));
    let empty = &mut Vec::new();
    let list = resource
        .get_mut(name)
        .and_then(Value::as_array_mut)
        .unwrap_or(empty);
    let mut found = false;
    match (kind, sub) {
        (Kind::Remove, None) => {
            list.retain(|element| !hit(element));
            if list.is_empty() {
                resource.remove(name);
            }
            return Ok(());
        }
        (_, None) => {
            for element in list.iter_mut().filter(|element| hit(element)) {
                *element = value.clone();
                found = true;
            }
        }
        (_, Some(sub)) => {
            for element in list.iter_mut().filter(|element| hit(element)) {
                if let Value::Object(element) = element {
                    if kind == Kind::Remove {
                        element.remove(sub);
                    } else {
                        put(element, sub, value.clone(), false);
                    }
                }
                found = true;
            }
        }
    }
    if found || kind == Kind::Remove {
        Ok(())
    } else {
        Err(Refused::bad("noTarget", "no value matches the path"))
    }
}

fn put(object: &mut Map<String, Value>, name: &str, value: Value, adding: bool) {
    let name = key(object, name);
    if adding && let (Some(Value::Array(there)), Value::Array(more)) = (object.get_mut(&name), &value) {
        for element in more {
            if !there.contains(element) {
                there.push(element.clone());
            }
        }
        return;
    }
    object.insert(name, value);
}

/// The key as it is written in `object` already, or `name`.
fn key(object: &Map<String, Value>, name: &str) -> String {
    object
        .keys()
        .find(|key| key.eq_ignore_ascii_case(name))
        .map_or_else(|| name.to_owned(), Clone::clone)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(resource: &Value, operation: &Value) -> Result<Value, &'static str> {
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [operation],
        });
        let mut resource = resource.as_object().unwrap().clone();
        for operation in operations(&body).map_err(|refused| refused.kind)? {
            apply(&mut resource, operation).map_err(|refused| refused.kind)?;
        }
        Ok(Value::Object(resource))
    }

    #[test]
    fn removing_by_value_filter_removes_exactly_one() {
        let group = json!({"members": [{"value": "1"}, {"value": "2"}]});
        assert_eq!(
            patched(
                &group,
                &json!({"op": "remove", "path": "members[value eq \"1\"]"})
            ),
            Ok(json!({"members": [{"value": "2"}]}))
        );
    }

    #[test]
    fn removing_by_value_list_wipes_the_attribute() {
        let group = json!({"members": [{"value": "1"}, {"value": "2"}]});
        let wipe = json!({"op": "remove", "path": "members", "value": [{"value": "1"}]});
        assert_eq!(patched(&group, &wipe), Ok(json!({})));
    }

    #[test]
    fn an_object_without_a_path_replaces_its_fields() {
        assert_eq!(
            patched(
                &json!({"active": true, "title": "x"}),
                &json!({"op": "Replace", "value": {"Active": false}})
            ),
            Ok(json!({"active": false, "title": "x"}))
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_scim_type() {
        let user = json!({"active": true, "emails": [{"type": "work", "value": "a"}]});
        for (operation, kind) in [
            (json!({"op": "remove"}), "noTarget"),
            (
                json!({"op": "set", "path": "active", "value": false}),
                "invalidSyntax",
            ),
            (
                json!({"op": "replace", "path": "emails[", "value": 1}),
                "invalidPath",
            ),
            (json!({"op": "replace", "path": "active"}), "invalidValue"),
            (
                json!({"op": "replace", "path": "emails[type eq \"home\"].value", "value": "b"}),
                "noTarget",
            ),
        ] {
            assert_eq!(patched(&user, &operation), Err(kind), "{operation}");
        }
    }
}
