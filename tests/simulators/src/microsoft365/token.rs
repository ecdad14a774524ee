//! Entra's token endpoint: client credentials with a client secret.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Form, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::json;

use super::{App, Shared, TENANT};
use crate::server::lock;

/// The resource whose permissions are asked for as a whole.
const SCOPE: &str = "https://graph.microsoft.com/.default";

#[derive(Debug, Clone)]
struct Registered {
    secret: String,
    permissions: BTreeSet<String>,
    privileged: bool,
}

/// Applications and the tokens they were given.
#[derive(Default)]
pub(crate) struct Tokens {
    apps: Mutex<BTreeMap<String, Registered>>,
    issued: Mutex<BTreeMap<String, (String, Instant)>>,
}

/// What an application may do.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub client: String,
    pub permissions: BTreeSet<String>,
    pub privileged: bool,
}

impl Tokens {
    pub(crate) fn register(&self, app: &App, permissions: &[&str], privileged: bool) {
        let permissions = permissions.iter().map(|&name| name.to_owned()).collect();
        let registered = Registered {
            secret: app.secret.clone(),
            permissions,
            privileged,
        };
        lock(&self.apps).insert(app.client_id.clone(), registered);
    }

    pub(crate) fn revoke(&self, client: &str, permission: &str) {
        if let Some(app) = lock(&self.apps).get_mut(client) {
            app.permissions.remove(permission);
        }
    }

    pub(crate) fn grant(&self, token: &str) -> Option<Grant> {
        let client = {
            let issued = lock(&self.issued);
            let (client, expires) = issued.get(token)?;
            (*expires > Instant::now()).then(|| client.clone())?
        };
        let apps = lock(&self.apps);
        let app = apps.get(&client)?;
        Some(Grant {
            client,
            permissions: app.permissions.clone(),
            privileged: app.privileged,
        })
    }
}

pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/{tenant}/oauth2/v2.0/token", post(issue))
        .with_state(shared)
}

async fn issue(
    State(shared): State<Arc<Shared>>,
    Path(tenant): Path<String>,
    Form(form): Form<BTreeMap<String, String>>,
) -> Response {
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    if tenant != TENANT {
        return refuse(400, "invalid_request", 90002, "Tenant not found.");
    }
    if field("grant_type") != "client_credentials" {
        return refuse(
            400,
            "unsupported_grant_type",
            70003,
            "The app requested an unsupported grant type.",
        );
    }
    let Some(app) = lock(&shared.tokens.apps).get(field("client_id")).cloned() else {
        return refuse(
            400,
            "unauthorized_client",
            700_016,
            "Application was not found in the directory.",
        );
    };
    if app.secret != field("client_secret") {
        return refuse(
            401,
            "invalid_client",
            7_000_215,
            "Invalid client secret provided.",
        );
    }
    if field("scope") != SCOPE {
        return refuse(
            400,
            "invalid_scope",
            1_002_012,
            "The provided value for scope is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier.",
        );
    }
    let token = format!("eyJ{:032x}", rand::random::<u128>());
    let expires = Instant::now() + Duration::from_secs(3599);
    lock(&shared.tokens.issued).insert(token.clone(), (field("client_id").to_owned(), expires));
    axum::Json(
        json!({"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token}),
    )
    .into_response()
}

fn refuse(status: u16, error: &str, code: u32, text: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let body = json!({
        "error": error,
        "error_description": format!("AADSTS{code}: {text}"),
        "error_codes": [code],
        "timestamp": "2026-01-01 00:00:00Z",
        "trace_id": "00000000-0000-0000-0000-000000000000",
        "correlation_id": "00000000-0000-0000-0000-000000000000",
    });
    (status, axum::Json(body)).into_response()
}
