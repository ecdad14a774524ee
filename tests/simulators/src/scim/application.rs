//! The application behind the SCIM interface, as its users meet it. Nothing here goes through SCIM, so that what a
//! test sees here is proof of its own.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde_json::{Value, json};

use super::{Shared, model};
use crate::server::bearer;

type Answer = Result<Json<Value>, StatusCode>;

/// `POST /app/login`.
pub async fn log_in(State(shared): State<Arc<Shared>>, body: Bytes) -> Answer {
    let given: Value = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    let text = |name: &str| given[name].as_str().unwrap_or_default();
    let user = shared
        .world
        .truth(|state| state.knows(text("userName"), text("password")))
        .ok_or(StatusCode::UNAUTHORIZED)?;
    let session = shared.fresh("s");
    shared.world.seed(|state| state.add_key(&session, &user));
    Ok(Json(json!({"session": session})))
}

/// `POST /app/tokens`.
pub async fn issue_token(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Answer {
    let user = shared
        .world
        .truth(|state| caller(state, &headers))
        .ok_or(StatusCode::UNAUTHORIZED)?;
    let token = shared.fresh("t");
    shared.world.seed(|state| state.add_key(&token, &user));
    Ok(Json(json!({"token": token})))
}

/// `GET /app/me`.
pub async fn me(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Answer {
    shared
        .world
        .truth(|state| {
            let id = caller(state, &headers)?;
            let name = state.users.get(&id)?.name().to_owned();
            Some(Json(json!({"id": id, "userName": name})))
        })
        .ok_or(StatusCode::UNAUTHORIZED)
}

/// Whose session or API token it is.
fn caller(state: &model::State, headers: &HeaderMap) -> Option<String> {
    let given = bearer(headers)?;
    state.opened_by(given).map(str::to_owned)
}
