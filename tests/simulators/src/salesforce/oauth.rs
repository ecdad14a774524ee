//! OAuth 2.0 endpoints and people's logins: who gets a session, and what ends it.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Right, Shared,
    model::{self, Record, now},
    query::Caller,
    schema::object,
};
use crate::server::{bearer, lock, pairs};

/// The longest life of a JWT that is taken, in seconds.
const LONGEST: i64 = 300;
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// What an access token or a session cookie opens.
#[derive(Debug, Clone)]
pub struct Door {
    /// The user's id.
    pub user: String,
    /// The `AuthSession`; when it is gone, the door is closed.
    pub session: String,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: i64,
}

type Denied = (&'static str, &'static str);

/// `POST /services/oauth2/token`.
pub async fn token(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let form: BTreeMap<String, String> = pairs(&body).into_iter().collect();
    match granted(&shared, &form) {
        Ok((user, opened_with)) => {
            let token = open(&shared, &user, "Remote Access 2.0", opened_with.as_deref());
            let url = shared.url();
            Json(json!({
                "access_token": token,
                "instance_url": url,
                "id": format!("{url}/id/{}/{user}", super::ORGANISATION),
                "token_type": "Bearer",
                "issued_at": Timestamp::now().as_millisecond().to_string(),
                "signature": "c2ltdWxhdGVk",
                "scope": "api",
            }))
            .into_response()
        }
        Err(denied) => denial(denied),
    }
}

fn denial((error, description): Denied) -> Response {
    (
        StatusCode::BAD_REQUEST,
        Json(json!({"error": error, "error_description": description})),
    )
        .into_response()
}

fn granted(shared: &Shared, form: &BTreeMap<String, String>) -> Result<(String, Option<String>), Denied> {
    let given = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    match given("grant_type") {
        "client_credentials" => {
            client(shared, given("client_id"))?;
            if given("client_secret") != shared.client_secret {
                return Err(("invalid_client", "invalid client credentials"));
            }
            Ok((shared.integration.clone(), None))
        }
        JWT_BEARER => by_assertion(shared, given("assertion")).map(|user| (user, None)),
        "refresh_token" => {
            client(shared, given("client_id"))?;
            let opened_with = lock(&shared.refresh)
                .get(given("refresh_token"))
                .cloned()
                .ok_or(("invalid_grant", "expired access/refresh token"))?;
            let user = shared
                .world
                .truth(|state| {
                    let user = state.text("OauthToken", &opened_with, "UserId")?;
                    // A frozen user cannot log in; a refresh is not a login.
                    state.active(user).then(|| user.to_owned())
                })
                .ok_or(("invalid_grant", "expired access/refresh token"))?;
            Ok((user, Some(opened_with)))
        }
        _ => Err(("unsupported_grant_type", "grant type not supported")),
    }
}

fn client(shared: &Shared, id: &str) -> Result<(), Denied> {
    if id == shared.client_id {
        Ok(())
    } else {
        Err(("invalid_client_id", "client identifier invalid"))
    }
}

fn by_assertion(shared: &Shared, assertion: &str) -> Result<String, Denied> {
    let keys = lock(&shared.keys).clone();
    let mut rules = Validation::new(Algorithm::RS256);
    rules.set_audience(&[
        "https://login.salesforce.com",
        "https://test.salesforce.com",
        shared.url(),
    ]);
    rules.set_issuer(&[&shared.client_id]);
    rules.set_required_spec_claims(&["exp", "iss", "sub", "aud"]);
    let mut why: Denied = ("invalid_grant", "invalid assertion");
    for key in keys {
        let Ok(key) = DecodingKey::from_rsa_pem(key.as_bytes()) else {
            continue;
        };
        match jsonwebtoken::decode::<Claims>(assertion, &key, &rules) {
            Ok(decoded) => {
                if decoded.claims.exp > Timestamp::now().as_second() + LONGEST {
                    return Err(("invalid_grant", "invalid assertion"));
                }
                // The user must be pre-authorised for the app; only the integration user is.
                let named = shared.world.truth(|state| {
                    state
                        .user_named(&decoded.claims.sub)
                        .filter(|user| state.active(user))
                        .map(str::to_owned)
                });
                return named
                    .filter(|user| *user == shared.integration)
                    .ok_or(("invalid_grant", "user hasn't approved this consumer"));
            }
            Err(error) => {
                why = match error.kind() {
                    jsonwebtoken::errors::ErrorKind::ExpiredSignature => {
                        ("invalid_grant", "expired authorization code")
                    }
                    jsonwebtoken::errors::ErrorKind::InvalidAudience => {
                        ("invalid_grant", "audience is invalid")
                    }
                    jsonwebtoken::errors::ErrorKind::InvalidIssuer => {
                        ("invalid_client_id", "client identifier invalid")
                    }
                    _ => why,
                }
            }
        }
    }
    Err(why)
}

/// Opens a session and gives the token for it.
pub fn open(shared: &Shared, user: &str, login: &str, opened_with: Option<&str>) -> String {
    let session = shared.fresh("0Ak");
    let token = format!("{}!{:032x}", super::ORGANISATION, rand::random::<u128>());
    let mut record = Record::new();
    record.insert("UsersId".into(), user.into());
    record.insert("SessionType".into(), "UI".into());
    record.insert("LoginType".into(), login.into());
    record.insert("NumSecondsValid".into(), 7200.into());
    record.insert("CreatedDate".into(), now());
    record.insert("LastModifiedDate".into(), now());
    shared.world.seed(|state| {
        if let Some(sessions) = object("AuthSession") {
            state.put(sessions, &session, record.clone());
        }
        if let Some(opened_with) = opened_with {
            state.opened_with.insert(session.clone(), opened_with.to_owned());
        }
    });
    let door = Door {
        user: user.to_owned(),
        session,
    };
    lock(&shared.doors).insert(token.clone(), door);
    token
}

/// `POST /services/oauth2/revoke`: an access token, a refresh token or a delete token.
pub async fn revoke(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let form: BTreeMap<String, String> = pairs(&body).into_iter().collect();
    let given = form.get("token").map(String::as_str).unwrap_or_default();
    let session = lock(&shared.doors).get(given).map(|door| door.session.clone());
    let refresh = lock(&shared.refresh).get(given).cloned();
    let outcome = shared.world.change(|state| {
        if let Some(session) = session {
            state.end_sessions(|_, id, _| id == session);
            return Ok(());
        }
        let token = refresh
            .filter(|id| state.get("OauthToken", id).is_some())
            .or_else(|| {
                state
                    .rows("OauthToken")
                    .find(|(_, token)| token.get("DeleteToken").and_then(Value::as_str) == Some(given))
                    .map(|(id, _)| id.to_owned())
            })
            .ok_or(("invalid_token", "the token is invalid"))?;
        forget(state, &token);
        Ok(())
    });
    match outcome {
        Ok(()) => StatusCode::OK.into_response(),
        Err(denied) => denial(denied),
    }
}

/// Revokes a refresh token with the sessions that were opened with it.
fn forget(state: &mut model::State, token: &str) {
    if let Some(tokens) = object("OauthToken") {
        state.remove(tokens, token);
    }
    state.end_sessions(|state, session, _| state.opened_with.get(session).map(String::as_str) == Some(token));
}

/// `POST /login`: a person logs in with `{"username","password"}` → `{"session"}`.
pub async fn log_in(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<Json<Value>, StatusCode> {
    let given: Value = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    let text = |name: &str| given[name].as_str().unwrap_or_default();
    let user = shared
        .world
        .truth(|state| {
            let user = state.user_named(text("username"))?;
            let known = state.passwords.get(user).map(String::as_str) == Some(text("password"));
            (known && state.active(user) && !state.frozen(user)).then(|| user.to_owned())
        })
        .ok_or(StatusCode::UNAUTHORIZED)?;
    let session = open(&shared, &user, "Application", None);
    Ok(Json(json!({"session": session})))
}

/// `GET /services/oauth2/userinfo`: who a session or access token belongs to.
pub async fn user_info(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<Json<Value>, StatusCode> {
    let caller = caller(&shared, &headers).ok_or(StatusCode::FORBIDDEN)?;
    let name = shared.world.truth(|state| {
        state
            .text("User", &caller.user, "Username")
            .map(str::to_owned)
            .unwrap_or_default()
    });
    Ok(Json(json!({
        "sub": format!("{}/id/{}/{}", shared.url(), super::ORGANISATION, caller.user),
        "user_id": caller.user,
        "organization_id": super::ORGANISATION,
        "preferred_username": name,
        "active": true,
    })))
}

/// Who a request comes from, if its session is still open.
pub fn caller(shared: &Shared, headers: &HeaderMap) -> Option<Caller> {
    let token = bearer(headers)?;
    let door = lock(&shared.doors).get(token).cloned()?;
    let open = shared
        .world
        .truth(|state| state.get("AuthSession", &door.session).is_some() && state.active(&door.user));
    let rights = if door.user == shared.integration {
        let lacks = lock(&shared.knobs).lacks.clone();
        Right::ALL
            .into_iter()
            .filter(|right| !lacks.contains(right))
            .collect()
    } else {
        Vec::new()
    };
    open.then_some(Caller {
        user: door.user,
        rights,
    })
}
