//! The doors an employee uses. Not Microsoft's paths: they stand for the login page, a client with a refresh token,
//! an application with an access token, a team's site and a stranger who writes a mail.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Shared,
    state::{Tenant, User},
};
use crate::server::bearer;

type Reply = Result<Json<Value>, StatusCode>;

/// How long an employee's access token lives.
const ACCESS_TOKEN: SignedDuration = SignedDuration::from_hours(1);

pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/login", post(login))
        .route("/refresh", post(refresh))
        .route("/me", get(me))
        .route("/teams/{group}", get(team))
        .route("/mail/{address}", post(mail))
        .with_state(shared)
}

#[derive(Deserialize)]
struct Login {
    username: String,
    password: String,
    /// Id of the authentication method used as the second step.
    method: Option<String>,
}

async fn login(State(shared): State<Arc<Shared>>, Json(login): Json<Login>) -> Reply {
    let refresh = format!("refresh-{:032x}", rand::random::<u128>());
    let access = format!("access-{:032x}", rand::random::<u128>());
    shared.world.seed(|tenant| {
        let user = tenant.user(&login.username).ok_or(StatusCode::UNAUTHORIZED)?;
        let second = user.methods.is_empty()
            || user
                .methods
                .iter()
                .any(|held| login.method.as_ref() == Some(&held.id));
        if !user.enabled || user.password != login.password || !second {
            return Err(StatusCode::UNAUTHORIZED);
        }
        let id = user.id.clone();
        issue(tenant, &id, &access);
        if let Some(user) = tenant.users.get_mut(&id) {
            user.refresh_tokens.push((refresh.clone(), Timestamp::now()));
        }
        Ok(())
    })?;
    Ok(Json(json!({"access_token": access, "refresh_token": refresh})))
}

fn issue(tenant: &mut Tenant, user: &str, token: &str) {
    let until = Timestamp::now()
        .checked_add(ACCESS_TOKEN)
        .unwrap_or(Timestamp::MAX);
    tenant
        .access_tokens
        .insert(token.to_owned(), (user.to_owned(), until));
}

#[derive(Deserialize)]
struct Refresh {
    refresh_token: String,
}

/// Refused while the user is disabled, and for good when the token is older than the sessions' watermark.
async fn refresh(State(shared): State<Arc<Shared>>, Json(refresh): Json<Refresh>) -> Reply {
    let access = format!("access-{:032x}", rand::random::<u128>());
    shared.world.seed(|tenant| {
        let held = |user: &&User| {
            user.refresh_tokens
                .iter()
                .any(|(token, _)| *token == refresh.refresh_token)
        };
        let user = tenant.users.values().find(held).ok_or(StatusCode::BAD_REQUEST)?;
        let (_, issued) = user
            .refresh_tokens
            .iter()
            .find(|(token, _)| *token == refresh.refresh_token)
            .ok_or(StatusCode::BAD_REQUEST)?;
        if user.deleted.is_some() || !user.enabled || issued.as_second() < user.valid_from.as_second() {
            return Err(StatusCode::BAD_REQUEST);
        }
        let id = user.id.clone();
        issue(tenant, &id, &access);
        Ok(())
    })?;
    Ok(Json(json!({"access_token": access})))
}

/// An access token is good until it expires, whatever happened since.
async fn me(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Reply {
    shared
        .world
        .truth(|tenant| known(tenant, &headers).map(|user| Json(json!({"userPrincipalName": user.upn}))))
}

/// A team's site: for members and owners.
async fn team(State(shared): State<Arc<Shared>>, Path(group): Path<String>, headers: HeaderMap) -> Reply {
    shared.world.truth(|tenant| {
        let user = known(tenant, &headers)?;
        let group = tenant.groups.get(&group).ok_or(StatusCode::NOT_FOUND)?;
        if group.members.contains(&user.id) || group.owners.contains(&user.id) {
            return Ok(Json(
                json!({"team": group.name, "owner": group.owners.contains(&user.id)}),
            ));
        }
        Err(StatusCode::FORBIDDEN)
    })
}

/// Somebody outside writes a mail.
async fn mail(State(shared): State<Arc<Shared>>, Path(address): Path<String>) -> Reply {
    shared.world.truth(|tenant| {
        let mailbox = tenant.users.values().find(|user| {
            user.deleted.is_none()
                && user
                    .mail
                    .as_ref()
                    .is_some_and(|mail| mail.eq_ignore_ascii_case(&address))
        });
        let Some(user) = mailbox.filter(|user| tenant.has_mailbox(user)) else {
            return Ok(Json(json!({"bounced": true})));
        };
        let reply = user
            .automatic_replies
            .as_ref()
            .filter(|reply| reply["status"] == "alwaysEnabled");
        Ok(Json(
            json!({"bounced": false, "autoReply": reply.map(|reply| reply["externalReplyMessage"].clone())}),
        ))
    })
}

fn known<'a>(tenant: &'a Tenant, headers: &HeaderMap) -> Result<&'a User, StatusCode> {
    let token = bearer(headers).ok_or(StatusCode::UNAUTHORIZED)?;
    let (user, until) = tenant.access_tokens.get(token).ok_or(StatusCode::UNAUTHORIZED)?;
    if *until <= Timestamp::now() {
        return Err(StatusCode::UNAUTHORIZED);
    }
    tenant.user(user).ok_or(StatusCode::UNAUTHORIZED)
}
