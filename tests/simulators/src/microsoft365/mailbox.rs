//! Automatic replies and inbox rules. A user without a mailbox licence has no mailbox to set anything on.

use serde_json::{Value, json};

use super::{
    calls::{Call, Reply, bad_request, refuse, unknown_path},
    odata,
};
use crate::server::Refusal;

pub(crate) fn settings(call: &Call<'_>, key: &str) -> Reply {
    let id = mailbox(call, key)?;
    match call.method {
        "GET" => {
            call.needs(&["MailboxSettings.Read", "MailboxSettings.ReadWrite"])?;
            let shown = call.look(|tenant| {
                let stored = tenant
                    .users
                    .get(&id)
                    .and_then(|user| user.automatic_replies.clone());
                json!({
                    "@odata.context": "$metadata#mailboxSettings",
                    "automaticRepliesSetting": stored.unwrap_or_else(off),
                    "timeZone": "UTC",
                    "userPurpose": "user",
                })
            });
            odata::select(call, shown, &[])
        }
        "PATCH" => {
            call.needs(&["MailboxSettings.ReadWrite"])?;
            let given = call.body["automaticRepliesSetting"].as_object().cloned();
            let given = given.ok_or_else(|| refuse(400, "ErrorInvalidRequest", "The request is invalid."))?;
            call.change(|tenant| {
                let user = tenant
                    .users
                    .get_mut(&id)
                    .ok_or_else(|| super::calls::missing(&id))?;
                let stored = user.automatic_replies.get_or_insert_with(off);
                for (field, value) in &given {
                    stored[field] = checked(field, value)?;
                }
                Ok(json!({"@odata.context": "$metadata#mailboxSettings", "automaticRepliesSetting": stored}))
            })
        }
        _ => Err(unknown_path()),
    }
}

fn off() -> Value {
    json!({"status": "disabled", "externalAudience": "all", "internalReplyMessage": "", "externalReplyMessage": ""})
}

fn checked(field: &str, value: &Value) -> Reply {
    let text = value.as_str();
    let good = match field {
        "status" => matches!(text, Some("disabled" | "alwaysEnabled" | "scheduled")),
        "externalAudience" => matches!(text, Some("none" | "contactsOnly" | "all")),
        "internalReplyMessage" | "externalReplyMessage" => text.is_some(),
        "scheduledStartDateTime" | "scheduledEndDateTime" => value.is_object(),
        _ => false,
    };
    if !good {
        return Err(bad_request(&format!("Invalid value for '{field}'.")));
    }
    // Exchange keeps messages as HTML documents, whatever was sent.
    match text {
        Some(message)
            if field.ends_with("Message") && !message.is_empty() && !message.starts_with("<html") =>
        {
            Ok(json!(format!("<html>\n<body>\n{message}\n</body>\n</html>\n")))
        }
        _ => Ok(value.clone()),
    }
}

pub(crate) fn rules(call: &Call<'_>, key: &str, path: &[&str]) -> Reply {
    let id = mailbox(call, key)?;
    match (call.method, path) {
        ("GET", []) => {
            call.needs(&["MailboxSettings.Read", "MailboxSettings.ReadWrite"])?;
            let all = call.look(|tenant| {
                tenant
                    .users
                    .get(&id)
                    .map(|user| user.rules.values().cloned().collect())
            });
            odata::collection(call, all.unwrap_or_default(), &[])
        }
        ("DELETE", [rule]) => {
            call.needs(&["MailboxSettings.ReadWrite"])?;
            call.change(|tenant| {
                let user = tenant
                    .users
                    .get_mut(&id)
                    .ok_or_else(|| super::calls::missing(&id))?;
                let gone = user.rules.remove(*rule);
                gone.map(|_| Value::Null).ok_or_else(|| {
                    refuse(
                        404,
                        "ErrorItemNotFound",
                        "The specified object was not found in the store.",
                    )
                })
            })
        }
        _ => Err(unknown_path()),
    }
}

/// The id of a user who has a mailbox.
fn mailbox(call: &Call<'_>, key: &str) -> Result<String, Refusal> {
    let id = call.user(key)?;
    let serves = call
        .shared
        .world
        .truth(|tenant| tenant.user(&id).is_some_and(|user| tenant.has_mailbox(user)));
    if serves {
        return Ok(id);
    }
    Err(refuse(
        404,
        "MailboxNotEnabledForRESTAPI",
        "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
    ))
}
