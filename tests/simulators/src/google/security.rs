//! What can be done about a user's ways in: third-party tokens, app passwords, backup codes, the second step,
//! open sessions. None of it has a read-only scope.

use serde_json::{Value, json};

use super::{
    calls::{Call, Reply, invalid, no_user, not_found, refuse},
    state::User,
};
use crate::server::Refusal;

pub(crate) fn serve(call: &Call<'_>, key: &str, what: &str, rest: &[&str]) -> Reply {
    if call.method == "GET" {
        shown(call, key, what, rest)
    } else {
        changed(call, key, what, rest)
    }
}

/// What a user has.
fn shown(call: &Call<'_>, key: &str, what: &str, rest: &[&str]) -> Reply {
    call.needs(&["admin.directory.user.security"])?;
    match (call.method, what, rest) {
        ("GET", "tokens", []) => read(call, key, "items", "admin#directory#tokenList", |user| {
            user.tokens
                .iter()
                .map(|token| {
                    json!({
                        "kind": "admin#directory#token",
                        "clientId": token.client_id,
                        "displayText": token.name,
                        "scopes": token.scopes,
                        "userKey": user.id,
                        "anonymous": false,
                        "nativeApp": false,
                    })
                })
                .collect()
        }),
        ("GET", "asps", []) => read(call, key, "items", "admin#directory#aspList", |user| {
            user.app_passwords
                .iter()
                .map(|(number, name, _)| {
                    json!({
                        "kind": "admin#directory#asp",
                        "codeId": number,
                        "name": name,
                        "creationTime": "1700000000000",
                        "lastTimeUsed": "0",
                        "userKey": user.id,
                    })
                })
                .collect()
        }),
        ("GET", "verificationCodes", []) => read(
            call,
            key,
            "items",
            "admin#directory#verificationCodesList",
            |user| {
                user.backup_codes
                    .iter()
                    .map(|code| {
                        json!({
                            "kind": "admin#directory#verificationCode",
                            "userId": user.id,
                            "verificationCode": code,
                        })
                    })
                    .collect()
            },
        ),
        _ => Err(not_found("Not Found")),
    }
}

/// Takes it away.
fn changed(call: &Call<'_>, key: &str, what: &str, rest: &[&str]) -> Reply {
    call.needs(&["admin.directory.user.security"])?;
    match (call.method, what, rest) {
        ("DELETE", "tokens", [client]) => change(call, key, |user| {
            let before = user.tokens.len();
            user.tokens.retain(|token| token.client_id != *client);
            (user.tokens.len() < before)
                .then_some(())
                .ok_or_else(|| not_found("Resource Not Found: clientId"))
        }),
        ("DELETE", "asps", [code]) => change(call, key, |user| {
            let before = user.app_passwords.len();
            user.app_passwords
                .retain(|(number, _, _)| number.to_string() != *code);
            (user.app_passwords.len() < before)
                .then_some(())
                .ok_or_else(|| not_found("Resource Not Found: codeId"))
        }),
        ("POST", "verificationCodes", ["invalidate"]) => change(call, key, |user| {
            not_suspended(user)?;
            user.backup_codes.clear();
            Ok(())
        }),
        ("POST", "twoStepVerification", ["turnOff"]) => change(call, key, |user| {
            not_suspended(user)?;
            if user.second_step.is_none() {
                return Err(invalid("User is not enrolled in 2-Step Verification."));
            }
            if user.second_step_enforced {
                return Err(invalid("2-Step Verification is enforced for this user."));
            }
            user.second_step = None;
            user.backup_codes.clear();
            Ok(())
        }),
        ("POST", "signOut", []) => {
            let actor = call.subject.clone().unwrap_or_default();
            call.change(|domain| {
                let user = domain.user_mut(key).ok_or_else(no_user)?;
                user.sessions.clear();
                let email = user.email.clone();
                domain.note("RESET_SIGNIN_COOKIES", &actor, &email);
                Ok(Value::Null)
            })
        }
        _ => Err(not_found("Not Found")),
    }
}

fn not_suspended(user: &User) -> Result<(), Refusal> {
    if user.suspended.is_none() {
        return Ok(());
    }
    Err(refuse(400, "failedPrecondition", "User is suspended."))
}

fn read(call: &Call<'_>, key: &str, name: &str, kind: &str, show: impl Fn(&User) -> Vec<Value>) -> Reply {
    let all = call
        .look(|domain| domain.user(key).map(&show))
        .ok_or_else(no_user)?;
    let mut answer = json!({"kind": kind});
    if !all.is_empty() {
        answer[name] = Value::Array(all);
    }
    Ok(answer)
}

fn change(call: &Call<'_>, key: &str, f: impl FnOnce(&mut User) -> Result<(), Refusal>) -> Reply {
    call.change(|domain| {
        f(domain.user_mut(key).ok_or_else(no_user)?)?;
        Ok(Value::Null)
    })
}
