//! What every simulator stands on: a loopback server, a journal of what was asked, faults on demand, and reads that
//! lag behind writes. Knows no vendor.

mod budget;
mod journal;
mod request;
mod world;

use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde_json::Value;
use tokio::{net::TcpListener, sync::RwLock, task::JoinHandle};

use self::journal::{readable, secret};
pub use self::{
    budget::Budget,
    journal::{Caller, Entry},
    request::{basic, bearer, pairs, segments},
    world::{Staleness, Undo, World},
};

/// The largest request body that is read, in bytes.
const LARGEST_BODY: usize = 4 << 20;

/// A running simulator's socket. Dropping it stops the server and closes its connections.
#[derive(Debug)]
pub struct Server {
    url: String,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves `router` on a free port of the loopback interface, with `control` between it and the caller.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(router: Router, control: Arc<Control>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let app = router.layer(middleware::from_fn_with_state(control, attend));
        let task = tokio::spawn(async move {
            // `axum::serve` ends only by being aborted.
            drop(axum::serve(listener, app).await);
        });
        Ok(Self { url, task })
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A simulator that is nothing but its state: no knobs, no tokens of its own.
#[derive(Debug)]
pub struct Serving<S> {
    server: Server,
    control: Arc<Control>,
    world: Arc<World<S>>,
}

impl<S: Clone + Send + 'static> Serving<S> {
    /// Serves `routes` over `state`.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(state: S, routes: Router<Arc<World<S>>>) -> io::Result<Self> {
        let world = World::new(state);
        let control = Control::over(&world);
        let router = routes.with_state(Arc::clone(&world));
        Ok(Self {
            server: Server::start(router, Arc::clone(&control)).await?,
            control,
            world,
        })
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// Journal and faults.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The state, for seeding.
    pub fn world(&self) -> &World<S> {
        &self.world
    }
}

/// What happens to a request instead of the normal.
#[derive(Debug, Clone)]
pub enum Mishap {
    /// Refused with this answer; nothing changes.
    Refuse(Refusal),
    /// Served, but the connection breaks before the answer.
    LoseAnswer,
    /// The connection breaks and nothing changes.
    LoseRequest,
    /// Answered as if served, but nothing changes.
    AcceptOnly,
    /// Served this much later.
    Late(Duration),
    /// Served, but the answer never comes and the connection stays open.
    Hang,
}

/// An answer in the vendor's own form.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
    /// JSON body.
    pub body: Value,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self.body)).into_response();
        for (name, value) in self.headers {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// A switch: the next `times` requests with `method` (any, if none) whose path contains `path` meet `mishap`.
#[derive(Debug, Clone)]
struct Switch {
    method: Option<String>,
    path: String,
    times: u32,
    mishap: Mishap,
}

type Checkpoint = Box<dyn Fn() -> Undo + Send + Sync>;

/// Journal and faults of one simulator.
#[derive(Default)]
pub struct Control {
    journal: Mutex<Vec<Entry>>,
    switches: Mutex<Vec<Switch>>,
    checkpoint: Option<Checkpoint>,
    /// Held for writing while a request must leave no trace.
    turn: RwLock<()>,
}

impl Control {
    /// Control over a simulator without a [`World`]: [`Mishap::AcceptOnly`] then acts like [`Mishap::LoseAnswer`].
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Control over a simulator whose state is `world`.
    pub fn over<S: Clone + Send + 'static>(world: &Arc<World<S>>) -> Arc<Self> {
        let world = Arc::clone(world);
        Arc::new(Self {
            checkpoint: Some(Box::new(move || World::checkpoint(&world))),
            ..Self::default()
        })
    }

    /// All requests so far.
    pub fn journal(&self) -> Vec<Entry> {
        lock(&self.journal).clone()
    }

    /// Forgets the journal, so that a test sees only what comes next.
    pub fn clear_journal(&self) {
        lock(&self.journal).clear();
    }

    /// The next `times` requests with `method` (empty: any) whose path contains `path` meet `mishap`.
    pub fn arrange(&self, method: &str, path: &str, times: u32, mishap: Mishap) {
        lock(&self.switches).push(Switch {
            method: (!method.is_empty()).then(|| method.to_owned()),
            path: path.to_owned(),
            times,
            mishap,
        });
    }

    /// Arranged mishaps that no request has met yet. A test that arranged one asserts that this is zero.
    pub fn arranged(&self) -> u32 {
        lock(&self.switches).iter().map(|switch| switch.times).sum()
    }

    fn mishap(&self, method: &str, path: &str) -> Option<Mishap> {
        let mut switches = lock(&self.switches);
        let at = switches.iter().position(|switch| {
            switch.method.as_deref().is_none_or(|wanted| wanted == method) && path.contains(&switch.path)
        })?;
        switches[at].times = switches[at].times.saturating_sub(1);
        if switches[at].times == 0 {
            return Some(switches.remove(at).mishap);
        }
        Some(switches[at].mishap.clone())
    }

    fn note(&self, entry: Entry) -> usize {
        let mut journal = lock(&self.journal);
        journal.push(entry);
        journal.len() - 1
    }

    fn note_answer(&self, at: usize, response: &Response) {
        if let Some(entry) = lock(&self.journal).get_mut(at) {
            entry.status = Some(response.status().as_u16());
            entry.by = response
                .extensions()
                .get::<Caller>()
                .map(|caller| caller.0.clone());
        }
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

/// Journals a request, lets its mishap happen, and serves it.
async fn attend(State(control): State<Arc<Control>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LARGEST_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let at = control.note(Entry {
        at: Timestamp::now(),
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: pairs(parts.uri.query().unwrap_or_default().as_bytes())
            .into_iter()
            .map(|(key, value)| (key.clone(), if secret(&key) { "***".into() } else { value }))
            .collect(),
        body: readable(&parts.headers, &body),
        by: None,
        status: None,
    });
    let mishap = control.mishap(parts.method.as_str(), parts.uri.path());
    let request = Request::from_parts(parts, Body::from(body));
    let response = match mishap {
        None => serve(&control, request, next).await,
        Some(Mishap::Refuse(refusal)) => refusal.into_response(),
        Some(Mishap::LoseRequest) => return broken(),
        Some(Mishap::LoseAnswer) => {
            serve(&control, request, next).await;
            return broken();
        }
        Some(Mishap::Hang) => {
            serve(&control, request, next).await;
            std::future::pending::<Infallible>().await;
            return broken();
        }
        Some(Mishap::Late(by)) => {
            tokio::time::sleep(by).await;
            serve(&control, request, next).await
        }
        Some(Mishap::AcceptOnly) => {
            let _turn = control.turn.write().await;
            let undo = control.checkpoint.as_ref().map(|checkpoint| checkpoint());
            let response = next.run(request).await;
            match undo {
                Some(undo) => undo(),
                None => return broken(),
            }
            response
        }
    };
    control.note_answer(at, &response);
    response
}

async fn serve(control: &Control, request: Request, next: Next) -> Response {
    let _turn = control.turn.read().await;
    next.run(request).await
}

/// An answer whose body fails before its first byte, so that the connection closes without a complete answer.
fn broken() -> Response {
    let failing =
        futures::stream::once(async { Err::<Bytes, _>(io::Error::other("connection lost on purpose")) });
    Response::new(Body::from_stream(failing))
}

/// Locks; a panic of another request never makes the simulator unusable.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
