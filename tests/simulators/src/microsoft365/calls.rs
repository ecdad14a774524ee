//! What is the same for every Graph call: which application calls with which permissions, throttling, error bodies,
//! and which file serves which path.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    Knobs, Shared, devices, grants, groups, licences, mailbox, methods, state::Tenant, token::Grant, users,
};
use crate::server::{Caller, Refusal, bearer, lock, pairs, segments};

/// One call, with its caller known.
pub(crate) struct Call<'a> {
    pub shared: &'a Shared,
    pub method: &'a str,
    /// Path as sent.
    pub path: &'a str,
    pub query: Vec<(String, String)>,
    pub body: Value,
    pub grant: Grant,
    pub knobs: Knobs,
}

/// A JSON answer; null is 204.
pub(crate) type Reply = Result<Value, Refusal>;

pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    Router::new().fallback(serve).with_state(shared)
}

async fn serve(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(grant) = bearer(&headers).and_then(|token| shared.tokens.grant(token)) else {
        return refuse(401, "InvalidAuthenticationToken", "Access token is empty.").into_response();
    };
    let client = grant.client.clone();
    let mut response = answer(&shared, &method, &uri, &body, grant);
    response.extensions_mut().insert(Caller(client));
    response
}

fn answer(shared: &Shared, method: &Method, uri: &Uri, body: &[u8], grant: Grant) -> Response {
    if let Err(wait) = shared.budget.spend(&grant.client) {
        let mut refusal = refuse(429, "TooManyRequests", "Too many requests");
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        refusal.headers.push(("retry-after", seconds.to_string()));
        return refusal.into_response();
    }
    let body = match body {
        [] => Value::Null,
        text => match serde_json::from_slice(text) {
            Ok(body) => body,
            Err(_) => return bad_request("Unable to read JSON request payload.").into_response(),
        },
    };
    let path = segments(uri);
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    let call = Call {
        shared,
        method: method.as_str(),
        path: uri.path(),
        query: pairs(uri.query().unwrap_or_default().as_bytes()),
        body,
        grant,
        knobs: *lock(&shared.knobs),
    };
    let created = call.method == "POST"
        && matches!(
            parts.last(),
            Some(&("roleAssignments" | "appRoleAssignments" | "roleEligibilityScheduleRequests"))
        );
    match dispatch(&call, &parts) {
        Ok(Value::Null) => StatusCode::NO_CONTENT.into_response(),
        Ok(value) if created => (StatusCode::CREATED, axum::Json(value)).into_response(),
        Ok(value) => axum::Json(value).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

fn dispatch(call: &Call<'_>, path: &[&str]) -> Reply {
    let ["v1.0", path @ ..] = path else {
        return Err(refuse(404, "ResourceNotFound", "Invalid version."));
    };
    match path {
        ["users", user, "authentication", rest @ ..] => methods::serve(call, user, rest),
        [
            "users",
            user,
            "memberOf" | "transitiveMemberOf" | "ownedObjects",
            rest @ ..,
        ] => groups::of_user(call, user, path[2], rest),
        ["users", user, "assignLicense"] => licences::assign(call, user),
        ["users", user, "licenseDetails"] => licences::details(call, user),
        ["users", user, "mailboxSettings"] => mailbox::settings(call, user),
        ["users", user, "mailFolders", "inbox", "messageRules", rest @ ..] => {
            mailbox::rules(call, user, rest)
        }
        ["users", user, "appRoleAssignments", rest @ ..] => grants::app_roles(call, user, rest),
        ["users", user, "oauth2PermissionGrants"] => grants::of_user(call, user),
        ["users", user, "registeredDevices" | "ownedDevices"] => devices::of_user(call, user),
        ["users", rest @ ..] => users::serve(call, rest),
        ["directory", "deletedItems", rest @ ..] => users::deleted(call, rest),
        ["groups", group, rest @ ..] => groups::serve(call, group, rest),
        ["roleManagement", "directory", rest @ ..] => grants::roles(call, rest),
        ["oauth2PermissionGrants", rest @ ..] => grants::serve(call, rest),
        ["devices", rest @ ..] => devices::serve(call, rest),
        ["deviceManagement", "managedDevices", rest @ ..] => devices::managed(call, rest),
        _ => Err(unknown_path()),
    }
}

impl Call<'_> {
    /// The last value of a query parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .rev()
            .find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }

    /// Whether the application has one of the permissions.
    pub(crate) fn may(&self, permissions: &[&str]) -> bool {
        permissions
            .iter()
            .any(|name| self.grant.permissions.contains(*name))
    }

    /// Refuses unless the application has one of the permissions.
    pub(crate) fn needs(&self, permissions: &[&str]) -> Result<(), Refusal> {
        if self.may(permissions) {
            Ok(())
        } else {
            Err(denied())
        }
    }

    /// What a read shows.
    pub(crate) fn look<R>(&self, f: impl FnOnce(&Tenant) -> R) -> R {
        if self.knobs.only_groups_lag {
            self.shared.world.truth(f)
        } else {
            self.shared.world.look(f)
        }
    }

    /// What a read of memberships and owners shows.
    pub(crate) fn look_at_groups<R>(&self, f: impl FnOnce(&Tenant) -> R) -> R {
        self.shared.world.look(f)
    }

    pub(crate) fn change<R>(&self, f: impl FnOnce(&mut Tenant) -> Result<R, Refusal>) -> Result<R, Refusal> {
        self.shared.world.change(f)
    }

    /// The id of a user by id or name, as it really is.
    pub(crate) fn user(&self, key: &str) -> Result<String, Refusal> {
        self.shared
            .world
            .truth(|tenant| tenant.user(key).map(|user| user.id.clone()))
            .ok_or_else(|| missing(key))
    }
}

/// The vendor's error body.
pub(crate) fn refuse(status: u16, code: &str, message: &str) -> Refusal {
    Refusal {
        status,
        headers: Vec::new(),
        body: json!({"error": {
            "code": code,
            "message": message,
            "innerError": {
                "date": "2026-01-01T00:00:00",
                "request-id": "00000000-0000-0000-0000-000000000000",
                "client-request-id": "00000000-0000-0000-0000-000000000000",
            },
        }}),
    }
}

pub(crate) fn bad_request(message: &str) -> Refusal {
    refuse(400, "Request_BadRequest", message)
}

pub(crate) fn denied() -> Refusal {
    refuse(
        403,
        "Authorization_RequestDenied",
        "Insufficient privileges to complete the operation.",
    )
}

pub(crate) fn missing(id: &str) -> Refusal {
    let text = format!(
        "Resource '{id}' does not exist or one of its queried reference-property objects are not present."
    );
    refuse(404, "Request_ResourceNotFound", &text)
}

pub(crate) fn unknown_path() -> Refusal {
    bad_request("Resource not found for the segment.")
}
