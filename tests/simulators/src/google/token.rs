//! The token endpoint: signed assertions of service accounts, with domain-wide delegation.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Form, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use crate::server::lock;

/// The only grant that is served.
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// An assertion may not be good for longer than this, in seconds.
const LONGEST: u64 = 3600;

/// Service accounts and the access tokens they were given.
#[derive(Default)]
pub(crate) struct Tokens {
    audience: Mutex<String>,
    accounts: Mutex<BTreeMap<String, (DecodingKeyPem, BTreeSet<String>)>>,
    issued: Mutex<BTreeMap<String, Grant>>,
}

type DecodingKeyPem = String;

/// What an access token is good for.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    /// Id of the user acted for; none: the service account itself.
    pub subject: Option<String>,
    pub scopes: Vec<String>,
    expires: Instant,
}

impl Tokens {
    pub(crate) fn set_audience(&self, audience: String) {
        *lock(&self.audience) = audience;
    }

    pub(crate) fn register(&self, email: &str, key: &str, scopes: &[&str]) {
        let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        lock(&self.accounts).insert(email.into(), (key.into(), scopes));
    }

    pub(crate) fn revoke(&self, email: &str, scope: &str) {
        if let Some((_, scopes)) = lock(&self.accounts).get_mut(email) {
            scopes.remove(scope);
        }
        lock(&self.issued).clear();
    }

    pub(crate) fn grant(&self, token: &str) -> Option<Grant> {
        lock(&self.issued)
            .get(token)
            .filter(|grant| grant.expires > Instant::now())
            .cloned()
    }
}

#[derive(Deserialize)]
struct Ask {
    grant_type: String,
    assertion: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    #[serde(default)]
    scope: String,
    sub: Option<String>,
    iat: u64,
    exp: u64,
}

pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    Router::new().route("/token", post(issue)).with_state(shared)
}

async fn issue(State(shared): State<Arc<Shared>>, Form(ask): Form<Ask>) -> Response {
    match grant(&shared, &ask) {
        Ok(grant) => {
            let token = format!("ya29.{:032x}", rand::random::<u128>());
            lock(&shared.tokens.issued).insert(token.clone(), grant);
            axum::Json(json!({"access_token": token, "expires_in": 3599, "token_type": "Bearer"}))
                .into_response()
        }
        Err((status, error, description)) => (
            status,
            axum::Json(json!({"error": error, "error_description": description})),
        )
            .into_response(),
    }
}

type Refused = (StatusCode, &'static str, &'static str);

fn grant(shared: &Shared, ask: &Ask) -> Result<Grant, Refused> {
    let bad = |text| (StatusCode::BAD_REQUEST, "invalid_grant", text);
    if ask.grant_type != GRANT {
        return Err((
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            "Invalid grant_type",
        ));
    }
    let (claims, allowed) = claims(shared, &ask.assertion)?;
    let scopes: Vec<String> = claims.scope.split_whitespace().map(ToOwned::to_owned).collect();
    if scopes.is_empty() {
        return Err((
            StatusCode::BAD_REQUEST,
            "invalid_scope",
            "Invalid OAuth scope or ID token audience provided.",
        ));
    }
    // Delegation is all or nothing: one scope too many and there is no token at all.
    if claims.sub.is_some() && !scopes.iter().all(|scope| allowed.contains(scope)) {
        return Err((
            StatusCode::UNAUTHORIZED,
            "unauthorized_client",
            "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested.",
        ));
    }
    let subject = match claims.sub {
        Some(sub) => Some(
            shared
                .world
                .truth(|domain| {
                    // An id is no address: delegation takes the primary address.
                    domain
                        .user(&sub)
                        .filter(|user| user.email.eq_ignore_ascii_case(&sub))
                        .map(|user| user.id.clone())
                })
                .ok_or_else(|| bad("Invalid email or User ID"))?,
        ),
        None => None,
    };
    Ok(Grant {
        subject,
        scopes,
        expires: Instant::now() + Duration::from_secs(LONGEST),
    })
}

/// The claims of an assertion that is signed, short-lived and for us, and the scopes that its issuer may ask for.
fn claims(shared: &Shared, assertion: &str) -> Result<(Claims, BTreeSet<String>), Refused> {
    let bad = |text| (StatusCode::BAD_REQUEST, "invalid_grant", text);
    let issuer = issuer(assertion).ok_or_else(|| bad("Invalid JWT"))?;
    let Some((key, allowed)) = lock(&shared.tokens.accounts).get(&issuer).cloned() else {
        return Err(bad("Invalid grant: account not found"));
    };
    let key = DecodingKey::from_rsa_pem(key.as_bytes()).map_err(|_| bad("Invalid JWT"))?;
    let mut rules = Validation::new(Algorithm::RS256);
    rules.set_audience(&[lock(&shared.tokens.audience).as_str()]);
    rules.leeway = 0;
    let claims = jsonwebtoken::decode::<Claims>(assertion, &key, &rules)
        .map_err(|error| match error.kind() {
            jsonwebtoken::errors::ErrorKind::InvalidAudience => bad("Invalid JWT: Failed audience check."),
            jsonwebtoken::errors::ErrorKind::ExpiredSignature => {
                bad("Invalid JWT: Token must be a short-lived token and in a reasonable timeframe.")
            }
            _ => bad("Invalid JWT Signature."),
        })?
        .claims;
    if claims.exp.saturating_sub(claims.iat) > LONGEST || claims.iss != issuer {
        return Err(bad(
            "Invalid JWT: Token must be a short-lived token and in a reasonable timeframe.",
        ));
    }
    Ok((claims, allowed))
}

/// The claimed issuer, to find the key that the claim must be signed with.
fn issuer(assertion: &str) -> Option<String> {
    use base64::Engine;
    let payload = assertion.split('.').nth(1)?;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(payload)
        .ok()?;
    serde_json::from_slice::<Value>(&bytes).ok()?["iss"]
        .as_str()
        .map(ToOwned::to_owned)
}
