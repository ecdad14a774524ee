//! The doors an employee uses. Not Google's paths: they stand for the login page, IMAP, an application with a
//! stored token, the Drive web page and a stranger who writes a mail.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Shared,
    state::{Domain, User},
};
use crate::server::bearer;

type Reply = Result<Json<Value>, StatusCode>;

pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/login", post(login))
        .route("/imap", post(imap))
        .route("/me", get(me))
        .route("/files/{id}", get(file))
        .route("/mail/{address}", post(mail))
        .with_state(shared)
}

#[derive(Deserialize)]
struct Login {
    email: String,
    password: String,
    code: Option<String>,
}

/// Password and, where enrolled, a second step: the current code or a backup code, which is then spent.
async fn login(State(shared): State<Arc<Shared>>, Json(login): Json<Login>) -> Reply {
    let session = format!("session-{:032x}", rand::random::<u128>());
    shared.world.seed(|domain| {
        let user = domain.user_mut(&login.email).ok_or(StatusCode::UNAUTHORIZED)?;
        if user.suspended.is_some() || user.archived || user.password != login.password {
            return Err(StatusCode::UNAUTHORIZED);
        }
        if let Some(current) = &user.second_step {
            let code = login.code.as_ref().ok_or(StatusCode::UNAUTHORIZED)?;
            if code != current {
                let at = user
                    .backup_codes
                    .iter()
                    .position(|good| good == code)
                    .ok_or(StatusCode::UNAUTHORIZED)?;
                user.backup_codes.remove(at);
            }
        }
        user.sessions.push(session.clone());
        Ok(())
    })?;
    Ok(Json(json!({"session": session})))
}

#[derive(Deserialize)]
struct Imap {
    email: String,
    password: String,
}

/// An old mail program: address and app password, no second step.
async fn imap(State(shared): State<Arc<Shared>>, Json(login): Json<Imap>) -> Reply {
    shared.world.truth(|domain| {
        let user = domain.user(&login.email).filter(|user| user.suspended.is_none());
        user.filter(|user| {
            user.app_passwords
                .iter()
                .any(|(_, _, password)| *password == login.password)
        })
        .map(|user| Json(json!({"mailbox": user.email})))
        .ok_or(StatusCode::UNAUTHORIZED)
    })
}

/// Whom a session or a third-party token lets in as.
async fn me(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Reply {
    shared
        .world
        .truth(|domain| known(domain, &headers).map(|user| Json(json!({"email": user.email}))))
}

async fn file(State(shared): State<Arc<Shared>>, Path(id): Path<String>, headers: HeaderMap) -> Reply {
    shared.world.truth(|domain| {
        let user = known(domain, &headers)?;
        let file = domain.files.get(&id).ok_or(StatusCode::NOT_FOUND)?;
        if file.owner != user.id && !file.shared_with.contains(&user.id) {
            return Err(StatusCode::NOT_FOUND);
        }
        Ok(Json(
            json!({"content": file.content, "mine": file.owner == user.id}),
        ))
    })
}

/// Somebody outside writes a mail: a suspended mailbox bounces it.
async fn mail(State(shared): State<Arc<Shared>>, Path(address): Path<String>) -> Reply {
    shared.world.truth(|domain| {
        let Some(user) = domain.user(&address).filter(|user| user.suspended.is_none()) else {
            return Ok(Json(json!({"bounced": true})));
        };
        let on = user.vacation.get("enableAutoReply") == Some(&json!(true));
        let reply = on
            .then(|| user.vacation.get("responseBodyPlainText").cloned())
            .flatten();
        let readers: Vec<&String> = user.delegates.keys().collect();
        let forwarded = (user.forwarding.get("enabled") == Some(&json!(true)))
            .then(|| &user.forwarding["emailAddress"])
            .into_iter()
            .chain(
                user.filters
                    .values()
                    .filter_map(|filter| filter["action"].get("forward")),
            );
        let forwarded: Vec<&Value> = forwarded.collect();
        Ok(Json(
            json!({"bounced": false, "autoReply": reply, "readBy": readers, "sentOnTo": forwarded}),
        ))
    })
}

fn known<'a>(domain: &'a Domain, headers: &HeaderMap) -> Result<&'a User, StatusCode> {
    let secret = bearer(headers).ok_or(StatusCode::UNAUTHORIZED)?;
    let opens = |user: &&User| {
        user.deleted.is_none()
            && user.suspended.is_none()
            && !user.archived
            && (user.sessions.iter().any(|session| session == secret)
                || user.tokens.iter().any(|token| token.secret == secret))
    };
    domain.users.values().find(opens).ok_or(StatusCode::UNAUTHORIZED)
}
