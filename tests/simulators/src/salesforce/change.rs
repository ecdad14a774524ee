//! Changes of records, one by one and in collections.

use serde_json::{Map, Value, json};

use super::{
    Right, Shared, id,
    model::{State, now},
    query::Caller,
    refusal::Refused,
    schema::{Kind, Object},
};
use crate::server::lock;

/// The most records of one collection.
const LARGEST: usize = 200;
/// The most runs of one type in one collection.
const CHUNKS: usize = 10;

/// Objects that can be created: who has what.
const ASSIGNMENTS: [&str; 3] = [
    "PermissionSetAssignment",
    "PermissionSetLicenseAssign",
    "GroupMember",
];

/// How a change is asked for.
#[derive(Debug, Clone, Copy)]
pub struct How<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// `Sforce-Auto-Assign`: active assignment rules apply unless it says FALSE.
    pub auto_assign: bool,
}

/// Sets fields of one record.
///
/// # Errors
/// Those of `update()`.
pub fn update(
    shared: &Shared,
    state: &mut State,
    how: How<'_>,
    object: &Object,
    id: &str,
    fields: &Map<String, Value>,
) -> Result<(), Refused> {
    let there = state
        .table(object)
        .get(id)
        .filter(|record| how.caller.sees(object, record))
        .ok_or_else(Refused::not_found)?;
    if !may_change(how.caller, object, there) {
        return Err(Refused::no_right());
    }
    let mut set = checked(object, fields)?;
    unlocked(shared, id)?;
    if object.name == "User" && set.get("IsActive") == Some(&Value::Bool(false)) {
        deactivatable(state, id)?;
    }
    if object.name == "UserLogin" && set.get("IsPasswordLocked") == Some(&Value::Bool(true)) {
        return Err(unsettable("IsPasswordLocked"));
    }
    if let Some(owner) = set.get("OwnerId") {
        let owner = owner.as_str().unwrap_or_default();
        if state.get("User", owner).is_none() {
            return Err(Refused::new(
                400,
                "INVALID_CROSS_REFERENCE_KEY",
                "invalid cross reference id",
            ));
        }
        if !state.active(owner) {
            return Err(Refused::new(
                400,
                "INACTIVE_OWNER_OR_USER",
                "operation performed with inactive user",
            ));
        }
    }
    if how.auto_assign
        && matches!(object.name, "Lead" | "Case")
        && let Some(rule) = &state.assignment
    {
        set.insert("OwnerId".into(), rule.clone().into());
    }
    set.insert("LastModifiedDate".into(), now());
    if let Some(record) = state.get_mut(object, id) {
        record.extend(set);
    }
    if object.name == "User" && !state.active(id) {
        state.end_sessions(|_, _, session| session.get("UsersId").and_then(Value::as_str) == Some(id));
    }
    Ok(())
}

/// Deletes one record.
///
/// # Errors
/// Those of `delete()`.
pub fn delete(
    shared: &Shared,
    state: &mut State,
    caller: &Caller,
    object: &Object,
    id: &str,
) -> Result<(), Refused> {
    if !object.deletable {
        return Err(Refused::new(
            405,
            "METHOD_NOT_ALLOWED",
            "HTTP Method 'DELETE' not allowed. Allowed are HEAD,GET,PATCH",
        ));
    }
    let there = state
        .table(object)
        .get(id)
        .filter(|record| caller.sees(object, record))
        .ok_or_else(Refused::not_found)?;
    if !may_change(caller, object, there) {
        return Err(Refused::no_right());
    }
    unlocked(shared, id)?;
    let by_profile = there
        .get("PermissionSetId")
        .and_then(Value::as_str)
        .and_then(|set| state.get("PermissionSet", set))
        .is_some_and(|set| set.get("IsOwnedByProfile") == Some(&Value::Bool(true)));
    if by_profile {
        return Err(Refused::new(
            400,
            "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
            "insufficient access rights on cross-reference id",
        ));
    }
    if object.name == "AuthSession" {
        state.opened_with.remove(id);
    }
    state.remove(object, id);
    Ok(())
}

/// Creates an assignment of a right; the id that it gets is `id`. Nothing else is created here.
///
/// # Errors
/// Those of `create()`.
pub fn create(
    state: &mut State,
    caller: &Caller,
    object: &Object,
    id: &str,
    fields: &Map<String, Value>,
) -> Result<(), Refused> {
    if !ASSIGNMENTS.contains(&object.name) {
        return Err(Refused::new(405, "METHOD_NOT_ALLOWED", "not created here"));
    }
    let mut record = object.blank();
    if !may_change(caller, object, &record) {
        return Err(Refused::no_right());
    }
    for (name, value) in fields {
        let (field, _) = object
            .field(name)
            .ok_or_else(|| Refused::new(400, "INVALID_FIELD", format!("No such column '{name}'")))?;
        let id = value.as_str().and_then(id::whole);
        let id = id.ok_or_else(|| Refused::new(400, "MALFORMED_ID", "malformed id"))?;
        let target = object
            .relations
            .iter()
            .find(|(_, reference, _)| *reference == field);
        if target.is_some_and(|(_, _, target)| state.get(target, &id).is_none()) {
            return Err(Refused::new(
                400,
                "INVALID_CROSS_REFERENCE_KEY",
                "invalid cross reference id",
            ));
        }
        record.insert(field.to_owned(), id.into());
    }
    let twin = |there: &Map<String, Value>| {
        record
            .iter()
            .all(|(field, value)| there.get(field) == Some(value))
    };
    if state.table(object).values().any(twin) {
        return Err(Refused::new(400, "DUPLICATE_VALUE", "duplicate value found"));
    }
    state.put(object, id, record);
    Ok(())
}

/// `PATCH /composite/sobjects`: one result per record, in order.
///
/// # Errors
/// When the request as a whole is malformed.
pub fn collection(
    shared: &Shared,
    state: &mut State,
    how: How<'_>,
    body: &Value,
) -> Result<Vec<Value>, Refused> {
    let records = body["records"]
        .as_array()
        .ok_or_else(|| Refused::new(400, "JSON_PARSER_ERROR", "records must be a list"))?;
    if records.len() > LARGEST {
        return Err(Refused::new(
            400,
            "EXCEEDED_ID_LIMIT",
            "record limit reached. cannot submit more than 200 records into this call",
        ));
    }
    let mut parsed = Vec::with_capacity(records.len());
    for record in records {
        parsed.push(parse(how.caller, record)?);
    }
    let mut names: Vec<_> = parsed.iter().map(|(object, ..)| object.name).collect();
    names.dedup();
    if names.len() > CHUNKS {
        return Err(Refused::new(400, "LIMIT_EXCEEDED", "too many chunks"));
    }
    let mixed = names.len() > 1 && parsed.iter().any(|(object, ..)| object.setup);
    let before = state.clone();
    let mut results = Vec::with_capacity(parsed.len());
    let mut failed = false;
    for (object, id, fields) in &parsed {
        let outcome = if mixed {
            Err(Refused::new(
                400,
                "MIXED_DML_OPERATION",
                "DML operation on setup object is not permitted after you have updated a non-setup object (or vice versa)",
            ))
        } else {
            update(shared, state, how, object, id, fields)
        };
        failed |= outcome.is_err();
        results.push(match outcome {
            Ok(()) => json!({"id": id, "success": true, "errors": []}),
            Err(refused) if refused.status == 404 => {
                Refused::new(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id").as_result()
            }
            Err(refused) => refused.as_result(),
        });
    }
    if failed && body["allOrNone"] == true {
        *state = before;
        let rolled_back = Refused::new(
            400,
            "ALL_OR_NONE_OPERATION_ROLLED_BACK",
            "Record rolled back because not all records were valid and the request was using AllOrNone header",
        );
        for result in results.iter_mut().filter(|result| result["success"] == true) {
            *result = rolled_back.as_result();
        }
    }
    Ok(results)
}

type Parsed = (&'static Object, String, Map<String, Value>);

fn parse(caller: &Caller, record: &Value) -> Result<Parsed, Refused> {
    let mut fields = record.as_object().cloned().unwrap_or_default();
    let attributes = fields.remove("attributes").unwrap_or_default();
    let name = attributes["type"]
        .as_str()
        .ok_or_else(|| Refused::new(400, "INVALID_INPUT", "attributes.type is required"))?;
    let object = caller.object(name)?;
    let given = fields
        .remove("id")
        .or_else(|| fields.remove("Id"))
        .unwrap_or_default();
    let id = given
        .as_str()
        .and_then(id::whole)
        .ok_or_else(|| Refused::new(400, "MALFORMED_ID", "malformed id"))?;
    Ok((object, id, fields))
}

fn may_change(caller: &Caller, object: &Object, record: &Map<String, Value>) -> bool {
    let own = |field: &str| record.get(field).and_then(Value::as_str) == Some(&caller.user);
    match object.name {
        "User" | "UserLogin" | "GroupMember" | "UserPackageLicense" => caller.may(Right::ManageUsers),
        "AuthSession" => caller.may(Right::ManageUsers) || own("UsersId"),
        "PermissionSetAssignment" | "PermissionSetLicenseAssign" => caller.may(Right::AssignPermissionSets),
        _ if object.setup => caller.may(Right::CustomizeApplication),
        _ => caller.may(Right::ModifyAllData) || own("OwnerId"),
    }
}

fn unsettable(field: &str) -> Refused {
    Refused {
        fields: vec![field.to_owned()],
        ..Refused::new(
            400,
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            format!(
                "Unable to create/update fields: {field}. Please check the security settings of this field."
            ),
        )
    }
}

/// The fields as they are spelled, with values of their type and ids in full.
fn checked(object: &Object, fields: &Map<String, Value>) -> Result<Map<String, Value>, Refused> {
    let mut checked = Map::new();
    for (name, value) in fields {
        let (field, kind) = object.field(name).ok_or_else(|| {
            Refused::new(
                400,
                "INVALID_FIELD",
                format!("No such column '{name}' on sobject of type {}", object.name),
            )
        })?;
        if !object.updatable.contains(&field) {
            return Err(unsettable(field));
        }
        let value = match (kind, value) {
            (_, Value::Null) => Some(Value::Null),
            (Kind::Id, Value::String(text)) => id::whole(text).map(Value::from),
            (Kind::Flag, Value::Bool(_))
            | (Kind::Text | Kind::Date, Value::String(_))
            | (Kind::Number, Value::Number(_)) => Some(value.clone()),
            _ => None,
        };
        let code = if kind == Kind::Id {
            "MALFORMED_ID"
        } else {
            "JSON_PARSER_ERROR"
        };
        let value = value.ok_or_else(|| Refused {
            fields: vec![field.to_owned()],
            ..Refused::new(400, code, format!("{field}: value not of required type"))
        })?;
        checked.insert(field.to_owned(), value);
    }
    Ok(checked)
}

fn unlocked(shared: &Shared, id: &str) -> Result<(), Refused> {
    let mut locks = lock(&shared.locks);
    let Some(left) = locks.get_mut(id) else {
        return Ok(());
    };
    *left = left.saturating_sub(1);
    if *left == 0 {
        locks.remove(id);
    }
    Err(Refused::new(
        400,
        "UNABLE_TO_LOCK_ROW",
        "unable to obtain exclusive access to this record",
    ))
}

fn deactivatable(state: &State, user: &str) -> Result<(), Refused> {
    match state.blockers.iter().find(|(blocked, _)| blocked == user) {
        None => Ok(()),
        // The messages are the vendor's; which code comes with them is not documented.
        Some((_, blocker)) => Err(Refused::new(400, "FIELD_INTEGRITY_EXCEPTION", blocker.message())),
    }
}
