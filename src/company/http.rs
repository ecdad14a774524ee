//! What the company's own HTTP services share: how they are started and who administers them, refusals, and the client
//! that tries logins.

use std::{io, sync::Arc};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use offboard_simulators::server::{Control, Server, World, bearer};

/// The state of a service that an administrator runs.
pub(super) trait Administered: Clone + Send + 'static {
    /// The administrator's bearer token.
    fn admin(&self) -> &str;

    /// What goes on by itself; done before each request of the administrator.
    fn work(&mut self) {}
}

/// A service that people use and an administrator runs.
#[derive(Debug)]
pub(super) struct Service<S> {
    server: Server,
    admin: String,
    /// Its state.
    pub world: Arc<World<S>>,
    /// Tries logins.
    pub client: reqwest::Client,
}

impl<S: Administered> Service<S> {
    /// Starts it. `doors` are open to everybody, `desk` to the administrator.
    pub async fn start(
        state: S,
        doors: Router<Arc<World<S>>>,
        desk: Router<Arc<World<S>>>,
    ) -> io::Result<Self> {
        let admin = state.admin().to_owned();
        let world = World::new(state);
        let desk = desk.layer(middleware::from_fn_with_state(
            Arc::clone(&world),
            admins_only::<S>,
        ));
        let router = doors.merge(desk).with_state(Arc::clone(&world));
        Ok(Self {
            server: Server::start(router, Control::over(&world)).await?,
            admin,
            world,
            client: client(),
        })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// The administrator's bearer token.
    pub fn admin_token(&self) -> &str {
        &self.admin
    }
}

async fn admins_only<S: Administered>(
    State(world): State<Arc<World<S>>>,
    request: Request,
    next: Next,
) -> Response {
    let known = bearer(request.headers()).is_some_and(|token| world.truth(|state| state.admin() == token));
    if known {
        world.seed(S::work);
        next.run(request).await
    } else {
        UNKNOWN.into_response()
    }
}

/// A refused request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused(pub StatusCode, pub &'static str);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

/// An answer or a refusal.
pub(super) type Reply<T = Json<Value>> = Result<T, Refused>;

/// There is no such thing.
pub(super) const GONE: Refused = Refused(StatusCode::NOT_FOUND, "not found");
/// The credential opens nothing.
pub(super) const UNKNOWN: Refused = Refused(StatusCode::UNAUTHORIZED, "unknown credential");

/// One try to get in, made without any connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The system.
    pub system: &'static str,
    /// With what, for people.
    pub what: String,
    /// Whether it worked.
    pub worked: bool,
}

/// Sends `request`; a try that gets no answer at all is no proof of a refusal, so it is an error.
pub(super) async fn attempt(
    system: &'static str,
    what: String,
    request: reqwest::RequestBuilder,
) -> std::io::Result<Attempt> {
    let answer = request.send().await.map_err(std::io::Error::other)?;
    let status = answer.status().as_u16();
    let worked = match status {
        200..=299 => true,
        401 | 403 => false,
        // RFC 6749, 5.2: how a token endpoint refuses a refresh token.
        400 if error_of(answer).await? == "invalid_grant" => false,
        400 => {
            return Err(std::io::Error::other(format!(
                "{system} did not understand a login"
            )));
        }
        status => {
            return Err(std::io::Error::other(format!(
                "{system} answered {status} to a login"
            )));
        }
    };
    Ok(Attempt { system, what, worked })
}

async fn error_of(answer: reqwest::Response) -> std::io::Result<String> {
    let body: Value = answer.json().await.map_err(std::io::Error::other)?;
    Ok(body["error"].as_str().unwrap_or_default().to_owned())
}

/// A client that speaks to loopback, whatever proxy the environment names.
pub(super) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .build()
        .expect("a client without options of its own can be built")
}
