//! What is the same for every API call: who calls, with which scopes, the vendor's error bodies, pages and field
//! masks, and which file serves which path.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use super::{
    Knobs, Shared, audit, directory, drive, gmail, groups, licences, roles, security, state::Domain, transfer,
};
use crate::server::{Caller, Refusal, bearer, lock, pairs, segments};

/// One call, with its caller known.
pub(crate) struct Call<'a> {
    pub shared: &'a Shared,
    pub method: &'a str,
    pub query: Vec<(String, String)>,
    pub body: Value,
    /// Id of the user acted for; none: a service account for itself.
    pub subject: Option<String>,
    pub scopes: Vec<String>,
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
        return refuse(401, "authError", "Invalid Credentials").into_response();
    };
    let caller = grant.subject.clone().unwrap_or_else(|| "service account".into());
    let mut response = answer(&shared, &method, &uri, &body, grant);
    response.extensions_mut().insert(Caller(caller));
    response
}

fn answer(shared: &Shared, method: &Method, uri: &Uri, body: &[u8], grant: super::token::Grant) -> Response {
    if shared
        .budget
        .spend(grant.subject.as_deref().unwrap_or_default())
        .is_err()
    {
        return refuse(403, "userRateLimitExceeded", "User Rate Limit Exceeded").into_response();
    }
    let body = match body {
        [] => Value::Null,
        text => match serde_json::from_slice(text) {
            Ok(body) => body,
            Err(_) => return refuse(400, "parseError", "Parse Error").into_response(),
        },
    };
    let path = segments(uri);
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let call = Call {
        shared,
        method: method.as_str(),
        query: pairs(uri.query().unwrap_or_default().as_bytes()),
        body,
        subject: grant.subject,
        scopes: grant.scopes,
        knobs: *lock(&shared.knobs),
    };
    match dispatch(&call, &path) {
        Ok(Value::Null) => StatusCode::NO_CONTENT.into_response(),
        Ok(value) => axum::Json(call.masked(value)).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

fn dispatch(call: &Call<'_>, path: &[&str]) -> Reply {
    match path {
        [
            "admin",
            "directory",
            "v1",
            "users",
            user,
            what @ ("tokens" | "asps" | "verificationCodes" | "twoStepVerification" | "signOut"),
            rest @ ..,
        ] => {
            call.admin()?;
            security::serve(call, user, what, rest)
        }
        ["admin", "directory", "v1", "users", rest @ ..] => {
            call.admin()?;
            directory::serve(call, rest)
        }
        ["admin", "directory", "v1", "groups", rest @ ..] => {
            call.admin()?;
            groups::serve(call, rest)
        }
        ["admin", "directory", "v1", "customer", customer, rest @ ..] => {
            call.admin()?;
            our_customer(customer)?;
            roles::serve(call, rest)
        }
        ["admin", "datatransfer", "v1", rest @ ..] => {
            call.admin()?;
            transfer::serve(call, rest)
        }
        [
            "admin",
            "reports",
            "v1",
            "activity",
            "users",
            user,
            "applications",
            application,
        ] => {
            call.admin()?;
            audit::serve(call, user, application)
        }
        ["apps", "licensing", "v1", "product", product, rest @ ..] => {
            call.admin()?;
            licences::serve(call, product, rest)
        }
        ["drive", "v3", rest @ ..] => drive::serve(call, rest),
        ["gmail", "v1", "users", user, rest @ ..] => gmail::serve(call, user, rest),
        _ => Err(not_found("Not Found")),
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

    /// Refuses unless one of `scopes` (last parts of their addresses) was granted.
    pub(crate) fn needs(&self, scopes: &[&str]) -> Result<(), Refusal> {
        let held = |scope: &&str| {
            let full = if scope.starts_with("https:") {
                (*scope).to_owned()
            } else {
                format!("https://www.googleapis.com/auth/{scope}")
            };
            self.scopes.contains(&full)
        };
        if scopes.iter().any(held) {
            return Ok(());
        }
        Err(refuse(
            403,
            "insufficientPermissions",
            "Request had insufficient authentication scopes.",
        ))
    }

    /// Refuses unless the user acted for is an active administrator.
    fn admin(&self) -> Result<(), Refusal> {
        let admin = self.subject.as_deref().is_some_and(|id| {
            self.shared.world.truth(|domain| {
                domain.user(id).is_some_and(|user| user.suspended.is_none())
                    && (domain.is_super_admin(id) || domain.is_delegated_admin(id))
            })
        });
        if admin {
            Ok(())
        } else {
            Err(refuse(
                403,
                "forbidden",
                "Not Authorized to access this resource/api",
            ))
        }
    }

    /// Refuses unless the user acted for is a super administrator.
    pub(crate) fn super_admin(&self) -> Result<(), Refusal> {
        let id = self.subject.as_deref().unwrap_or_default();
        if self.shared.world.truth(|domain| domain.is_super_admin(id)) {
            return Ok(());
        }
        Err(refuse(
            403,
            "forbidden",
            "Not Authorized to access this resource/api",
        ))
    }

    pub(crate) fn look<R>(&self, f: impl FnOnce(&Domain) -> R) -> R {
        self.shared.world.look(f)
    }

    pub(crate) fn change<R>(&self, f: impl FnOnce(&mut Domain) -> Result<R, Refusal>) -> Result<R, Refusal> {
        self.shared.world.change(f)
    }

    /// Cuts `all` to the page asked for by `pageToken` and the size parameter; adds `nextPageToken`.
    pub(crate) fn page(&self, name: &str, kind: &str, all: Vec<Value>, size: (&str, usize, usize)) -> Reply {
        let (parameter, default, most) = size;
        let asked = match self.parameter(parameter).map(str::parse::<usize>) {
            None => default,
            Some(Ok(asked)) if (1..=most).contains(&asked) => asked,
            Some(_) => return Err(refuse(400, "invalid", &format!("Invalid value for {parameter}"))),
        };
        let size = asked.min(self.knobs.page.unwrap_or(usize::MAX));
        let start = match self
            .parameter("pageToken")
            .map(|token| token.strip_prefix("page-").and_then(|at| at.parse().ok()))
        {
            None => 0_usize,
            Some(Some(start)) if start <= all.len() => start,
            Some(_) => return Err(refuse(400, "invalid", "Invalid Input: pageToken")),
        };
        let total = all.len();
        let page: Vec<Value> = all.into_iter().skip(start).take(size).collect();
        let end = start + page.len();
        let mut answer = Map::from_iter([("kind".to_owned(), json!(kind))]);
        // Google leaves an empty list out.
        if !page.is_empty() {
            answer.insert(name.into(), Value::Array(page));
        }
        if end < total {
            answer.insert("nextPageToken".into(), json!(format!("page-{end}")));
        }
        Ok(Value::Object(answer))
    }

    /// Applies the `fields` parameter to the outermost object: what is not named is not there, page tokens included.
    fn masked(&self, value: Value) -> Value {
        let (Some(fields), Value::Object(object)) = (self.parameter("fields"), &value) else {
            return value;
        };
        let mut names = Vec::new();
        let mut depth = 0;
        let mut name = String::new();
        for c in fields.chars().chain([',']) {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                ',' if depth == 0 => names.push(std::mem::take(&mut name)),
                _ if depth == 0 => name.push(c),
                _ => {}
            }
        }
        let names: Vec<&str> = names
            .iter()
            .filter_map(|name| name.trim().split('/').next())
            .collect();
        let kept = object
            .iter()
            .filter(|(key, _)| names.contains(&"*") || names.contains(&key.as_str()));
        Value::Object(kept.map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

/// The vendor's error body.
pub(crate) fn refuse(status: u16, reason: &str, message: &str) -> Refusal {
    let domain = if reason.ends_with("Exceeded") {
        "usageLimits"
    } else {
        "global"
    };
    Refusal {
        status,
        headers: Vec::new(),
        body: json!({"error": {
            "code": status,
            "message": message,
            "errors": [{"message": message, "domain": domain, "reason": reason}],
        }}),
    }
}

pub(crate) fn not_found(message: &str) -> Refusal {
    refuse(404, "notFound", message)
}

pub(crate) fn no_user() -> Refusal {
    not_found("Resource Not Found: userKey")
}

pub(crate) fn invalid(message: &str) -> Refusal {
    refuse(400, "invalid", message)
}

/// Refuses another customer than ours.
pub(crate) fn our_customer(customer: &str) -> Result<(), Refusal> {
    if matches!(customer, "my_customer" | super::CUSTOMER) {
        return Ok(());
    }
    Err(refuse(400, "badRequest", "Bad Request"))
}
