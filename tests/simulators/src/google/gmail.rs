//! Mail settings. Only in the mailbox's own user's name, and never for a suspended one.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    calls::{Call, Reply, invalid, not_found, refuse},
    state::User,
};
use crate::server::Refusal;

/// The most delegates of one mailbox.
const MOST_DELEGATES: usize = 25;
const READ: [&str; 4] = [
    "https://mail.google.com/",
    "gmail.modify",
    "gmail.readonly",
    "gmail.settings.basic",
];

pub(crate) fn serve(call: &Call<'_>, user: &str, path: &[&str]) -> Reply {
    let me = mailbox(call, user)?;
    let ["settings", path @ ..] = path else {
        return Err(not_found("Requested entity was not found."));
    };
    if call.method == "GET" {
        shown(call, &me, path)
    } else {
        changed(call, &me, path)
    }
}

/// How a mailbox is set.
fn shown(call: &Call<'_>, me: &str, path: &[&str]) -> Reply {
    match (call.method, path) {
        ("GET", ["vacation"]) => read(call, me, |user| with(&user.vacation, "enableAutoReply")),
        ("GET", ["autoForwarding"]) => read(call, me, |user| with(&user.forwarding, "enabled")),
        ("GET", ["forwardingAddresses"]) => read(call, me, |user| {
            let all: Vec<Value> = user
                .forwarding_addresses
                .iter()
                .map(|(to, ok)| forwarding_address(to, *ok))
                .collect();
            json!({"forwardingAddresses": all})
        }),
        ("GET", ["filters"]) => read(call, me, |user| {
            let all: Vec<&Value> = user.filters.values().collect();
            if all.is_empty() {
                json!({})
            } else {
                json!({"filter": all})
            }
        }),
        ("GET", ["delegates"]) => {
            let lag = call.knobs.delegate_lag;
            read(call, me, |user| {
                let all: Vec<Value> = user
                    .delegates
                    .iter()
                    .map(|(to, since)| delegate(to, *since, lag))
                    .collect();
                if all.is_empty() {
                    json!({})
                } else {
                    json!({"delegates": all})
                }
            })
        }
        _ => Err(not_found("Requested entity was not found.")),
    }
}

/// Sets it otherwise.
fn changed(call: &Call<'_>, me: &str, path: &[&str]) -> Reply {
    match (call.method, path) {
        ("PUT", ["vacation"]) => set_vacation(call, me),
        ("PUT", ["autoForwarding"]) => {
            call.needs(&["gmail.settings.sharing"])?;
            change(call, me, |user| {
                let given = object(&call.body)?;
                let to = given
                    .get("emailAddress")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                if given.get("enabled") == Some(&json!(true))
                    && user.forwarding_addresses.get(to) != Some(&true)
                {
                    return Err(refuse(
                        400,
                        "failedPrecondition",
                        "Unrecognized forwarding address",
                    ));
                }
                user.forwarding = given;
                Ok(with(&user.forwarding, "enabled"))
            })
        }
        ("POST", ["forwardingAddresses"]) => {
            call.needs(&["gmail.settings.sharing"])?;
            let to = text(&call.body, "forwardingEmail")?;
            // An address of the same domain needs no mail to be answered first.
            let inside = call.look(|domain| domain.user(&to).is_some());
            change(call, me, |user| {
                user.forwarding_addresses.insert(to.clone(), inside);
                Ok(forwarding_address(&to, inside))
            })
        }
        ("POST", ["delegates"]) => {
            call.needs(&["gmail.settings.sharing"])?;
            add_delegate(call, me)
        }
        ("DELETE", ["filters", id]) => {
            call.needs(&["gmail.settings.basic"])?;
            change(call, me, |user| {
                let gone = user.filters.remove(*id);
                gone.map(|_| Value::Null)
                    .ok_or_else(|| not_found("Requested entity was not found."))
            })
        }
        ("DELETE", ["delegates", to]) => {
            call.needs(&["gmail.settings.sharing"])?;
            change(call, me, |user| {
                let gone = user.delegates.remove(*to);
                gone.map(|_| Value::Null)
                    .ok_or_else(|| not_found("Requested entity was not found."))
            })
        }
        _ => Err(not_found("Requested entity was not found.")),
    }
}

/// The id of the mailbox's user, if the caller acts in their name and the mailbox serves.
fn mailbox(call: &Call<'_>, key: &str) -> Result<String, Refusal> {
    let denied = || refuse(403, "forbidden", &format!("Delegation denied for {key}"));
    let me = call
        .subject
        .clone()
        .ok_or_else(|| refuse(400, "failedPrecondition", "Precondition check failed."))?;
    call.shared.world.truth(|domain| {
        let user = domain.user(&me).ok_or_else(denied)?;
        if key != "me" && !key.eq_ignore_ascii_case(&user.email) && key != user.id {
            return Err(denied());
        }
        if user.suspended.is_some() {
            return Err(refuse(400, "failedPrecondition", "Mail service not enabled"));
        }
        Ok(user.id.clone())
    })
}

fn set_vacation(call: &Call<'_>, me: &str) -> Reply {
    call.needs(&["gmail.settings.basic"])?;
    change(call, me, |user| {
        let given = object(&call.body)?;
        let texts = ["responseBodyPlainText", "responseBodyHtml", "responseSubject"];
        if given.get("enableAutoReply") == Some(&json!(true))
            && !texts.iter().any(|name| given.contains_key(*name))
        {
            return Err(invalid("Subject or body of the auto-reply is needed"));
        }
        user.vacation = given;
        Ok(with(&user.vacation, "enableAutoReply"))
    })
}

fn add_delegate(call: &Call<'_>, me: &str) -> Reply {
    let to = text(&call.body, "delegateEmail")?;
    let lag = call.knobs.delegate_lag;
    call.change(|domain| {
        let target = domain
            .user(&to)
            .filter(|user| user.email.eq_ignore_ascii_case(&to));
        if target.is_none_or(|user| user.suspended.is_some() || user.id == me) {
            return Err(invalid("Invalid delegate"));
        }
        let user = domain
            .user_mut(me)
            .ok_or_else(|| not_found("Requested entity was not found."))?;
        if user.delegates.contains_key(&to) {
            return Err(refuse(409, "alreadyExists", "Delegate already exists"));
        }
        if user.delegates.len() >= MOST_DELEGATES {
            return Err(refuse(400, "failedPrecondition", "Too many delegates"));
        }
        let since = Timestamp::now();
        user.delegates.insert(to.clone(), since);
        Ok(delegate(&to, since, lag))
    })
}

fn delegate(to: &str, since: Timestamp, lag: std::time::Duration) -> Value {
    let age = Timestamp::now().duration_since(since);
    let accepted = std::time::Duration::try_from(age).unwrap_or_default() >= lag;
    json!({"delegateEmail": to, "verificationStatus": if accepted { "accepted" } else { "pending" }})
}

fn forwarding_address(to: &str, accepted: bool) -> Value {
    json!({"forwardingEmail": to, "verificationStatus": if accepted { "accepted" } else { "pending" }})
}

/// Stored settings; `flag` is always shown.
fn with(settings: &Map<String, Value>, flag: &str) -> Value {
    let mut shown = settings.clone();
    shown.entry(flag).or_insert(json!(false));
    Value::Object(shown)
}

fn object(body: &Value) -> Result<Map<String, Value>, Refusal> {
    body.as_object()
        .cloned()
        .ok_or_else(|| refuse(400, "parseError", "Parse Error"))
}

fn text(body: &Value, name: &str) -> Result<String, Refusal> {
    body[name]
        .as_str()
        .map(ToOwned::to_owned)
        .ok_or_else(|| invalid(&format!("Missing {name}")))
}

fn read(call: &Call<'_>, me: &str, show: impl FnOnce(&User) -> Value) -> Reply {
    call.needs(&READ)?;
    call.look(|domain| domain.user(me).map(show))
        .ok_or_else(|| not_found("Requested entity was not found."))
}

fn change(call: &Call<'_>, me: &str, f: impl FnOnce(&mut User) -> Reply) -> Reply {
    call.change(|domain| {
        f(domain
            .user_mut(me)
            .ok_or_else(|| not_found("Requested entity was not found."))?)
    })
}
