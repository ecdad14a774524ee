//! What every simulator stands on: a loopback server, a journal of what was asked, faults on demand, and reads that
//! lag behind writes. Knows no vendor.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::{net::TcpListener, sync::RwLock, task::JoinHandle};

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

/// One request as it arrived, without secrets.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When it arrived.
    pub at: Timestamp,
    /// `GET`, `POST`, …
    pub method: String,
    /// The path as sent, percent-encoded.
    pub path: String,
    /// The query, decoded, in order.
    pub query: Vec<(String, String)>,
    /// A JSON body, or a form as an object of texts; else null. Values of secret keys are `***`.
    pub body: Value,
    /// Whom the simulator took the caller for (see [`Caller`]).
    pub by: Option<String>,
    /// The status it was answered with; none when the answer was lost.
    pub status: Option<u16>,
}

impl Entry {
    /// Whether the request may change something: anything but `GET` and `HEAD`.
    pub fn changes(&self) -> bool {
        self.method != "GET" && self.method != "HEAD"
    }

    /// The last value of a query parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .rev()
            .find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }
}

/// Put into a response's extensions by a simulator: whom it took the caller for. Ends up in the journal.
#[derive(Debug, Clone)]
pub struct Caller(pub String);

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

/// Undoes everything that happened to a simulator's state since it was made.
pub type Undo = Box<dyn FnOnce() + Send>;
type Checkpoint = Box<dyn Fn() -> Undo + Send + Sync>;

/// Journal and faults of one simulator.
#[derive(Default)]
pub struct Control {
    journal: Mutex<Vec<Entry>>,
    switches: Mutex<Vec<Switch>>,
    latency: Mutex<Duration>,
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

    /// Every request takes at least this long.
    pub fn set_latency(&self, latency: Duration) {
        *lock(&self.latency) = latency;
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
    let latency = *lock(&control.latency);
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
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

fn readable(headers: &HeaderMap, body: &[u8]) -> Value {
    let form = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
    let mut value = if form {
        let object: Map<_, _> = pairs(body)
            .into_iter()
            .map(|(key, value)| (key, Value::String(value)))
            .collect();
        Value::Object(object)
    } else {
        serde_json::from_slice(body).unwrap_or(Value::Null)
    };
    redact(&mut value);
    value
}

/// Decodes `application/x-www-form-urlencoded`.
pub fn pairs(encoded: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(encoded);
    let plain = |text: &str| {
        let blanks = text.replace('+', " ");
        percent_encoding::percent_decode_str(&blanks)
            .decode_utf8_lossy()
            .into_owned()
    };
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (plain(key), plain(value))
        })
        .collect()
}

fn redact(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                if secret(key) && !value.is_object() {
                    *value = Value::String("***".into());
                } else {
                    redact(value);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(redact),
        _ => {}
    }
}

fn secret(key: &str) -> bool {
    const SECRETS: [&str; 7] = [
        "password",
        "client_secret",
        "assertion",
        "client_assertion",
        "access_token",
        "refresh_token",
        "token",
    ];
    SECRETS.iter().any(|secret| key.eq_ignore_ascii_case(secret))
}

/// How far reads lag behind writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Staleness {
    /// Every read shows the newest state.
    #[default]
    None,
    /// After a change, this many reads still show the state before it.
    Reads(u32),
    /// A change is invisible to reads for this long.
    For(Duration),
}

/// A simulator's state, in which reads may lag behind writes.
#[derive(Debug)]
pub struct World<S> {
    inner: Mutex<Inner<S>>,
}

#[derive(Debug, Clone)]
struct Inner<S> {
    newest: S,
    staleness: Staleness,
    /// The state before the change that reads do not see yet, and how many reads are left.
    before: Option<(S, u32)>,
    /// Replaced states with the instant until which each is shown.
    replaced: VecDeque<(Instant, S)>,
}

impl<S: Clone + Send + 'static> World<S> {
    /// A world that starts as `state` and is never stale.
    pub fn new(state: S) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                newest: state,
                staleness: Staleness::None,
                before: None,
                replaced: VecDeque::new(),
            }),
        })
    }

    /// How far reads lag from now on. What they do not show yet, they show at once.
    pub fn set_staleness(&self, staleness: Staleness) {
        let mut inner = lock(&self.inner);
        inner.staleness = staleness;
        inner.before = None;
        inner.replaced.clear();
    }

    /// A change by a caller: reads may not see it for a while. Nothing changes when `f` fails.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn change<R, E>(&self, f: impl FnOnce(&mut S) -> Result<R, E>) -> Result<R, E> {
        let mut inner = lock(&self.inner);
        let old = inner.newest.clone();
        let result = f(&mut inner.newest);
        if result.is_err() {
            inner.newest = old;
            return result;
        }
        match inner.staleness {
            Staleness::None | Staleness::Reads(0) => {}
            Staleness::Reads(reads) => {
                let shown = inner.before.take().map_or(old, |(shown, _)| shown);
                inner.before = Some((shown, reads));
            }
            Staleness::For(lag) => inner.replaced.push_back((Instant::now() + lag, old)),
        }
        result
    }

    /// A change from outside of the API (seeding, time passing): every read sees it at once.
    pub fn seed<R>(&self, f: impl Fn(&mut S) -> R) -> R {
        let mut inner = lock(&self.inner);
        if let Some((before, _)) = &mut inner.before {
            f(before);
        }
        for (_, state) in &mut inner.replaced {
            f(state);
        }
        f(&mut inner.newest)
    }

    /// What a read of the API shows, which may be older than the truth.
    pub fn look<R>(&self, f: impl FnOnce(&S) -> R) -> R {
        let mut inner = lock(&self.inner);
        let now = Instant::now();
        while inner.replaced.front().is_some_and(|(until, _)| *until <= now) {
            inner.replaced.pop_front();
        }
        if let Some((_, state)) = inner.replaced.front() {
            return f(state);
        }
        if let Some((state, left)) = inner.before.take() {
            let result = f(&state);
            inner.before = (left > 1).then(|| (state, left - 1));
            return result;
        }
        f(&inner.newest)
    }

    /// The newest state: what logins and tokens are judged by.
    pub fn truth<R>(&self, f: impl FnOnce(&S) -> R) -> R {
        f(&lock(&self.inner).newest)
    }

    fn checkpoint(world: &Arc<Self>) -> Undo {
        let saved = lock(&world.inner).clone();
        let world = Arc::clone(world);
        Box::new(move || *lock(&world.inner) = saved)
    }
}

/// A budget of requests per window, for throttling by a documented rule.
#[derive(Debug, Default)]
pub struct Budget {
    /// Requests per window; none: no limit.
    limit: Mutex<Option<(u32, Duration)>>,
    spent: Mutex<BTreeMap<String, (Instant, u32)>>,
    early: Mutex<u32>,
}

impl Budget {
    /// At most `requests` in each `window`, counted apart for each caller.
    pub fn set(&self, requests: u32, window: Duration) {
        *lock(&self.limit) = Some((requests, window));
        lock(&self.spent).clear();
    }

    /// Spends one request of `caller`.
    ///
    /// # Errors
    /// How long to wait when there is none left.
    pub fn spend(&self, caller: &str) -> Result<(), Duration> {
        let Some((requests, window)) = *lock(&self.limit) else {
            return Ok(());
        };
        let now = Instant::now();
        let mut spent = lock(&self.spent);
        let (since, count) = spent.entry(caller.to_owned()).or_insert((now, 0));
        if now.duration_since(*since) >= window {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        if *count <= requests {
            return Ok(());
        }
        if *count > requests + 1 {
            *lock(&self.early) += 1;
        }
        Err(window.saturating_sub(now.duration_since(*since)))
    }

    /// Requests that came although an earlier one of the same window had been told to wait. Requests that were
    /// already on their way are among them.
    pub fn early(&self) -> u32 {
        *lock(&self.early)
    }
}

/// Locks; a panic of another request never makes the simulator unusable.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn counter() -> (Server, Arc<Control>, Arc<World<u32>>) {
        let world = World::new(0);
        let control = Control::over(&world);
        let up = Arc::clone(&world);
        let show = Arc::clone(&world);
        let router = Router::new()
            .route(
                "/up",
                axum::routing::post(async move || {
                    up.change(|n| {
                        *n += 1;
                        Ok::<_, Infallible>(n.to_string())
                    })
                }),
            )
            .route(
                "/show",
                axum::routing::get(async move || show.look(ToString::to_string)),
            );
        (
            Server::start(router, Arc::clone(&control)).await.unwrap(),
            control,
            world,
        )
    }

    #[tokio::test]
    async fn a_lost_answer_has_had_its_effect_and_a_lost_request_has_not() {
        let (server, control, world) = counter().await;
        control.arrange("POST", "/up", 1, Mishap::LoseAnswer);
        control.arrange("POST", "/up", 1, Mishap::LoseRequest);
        let client = reqwest::Client::new();
        for expected in [1, 1] {
            let failed = client.post(format!("{}/up", server.url())).send().await;
            assert!(failed.is_err(), "an answer came: {failed:?}");
            assert_eq!(world.truth(|n| *n), expected);
        }
        assert_eq!(control.arranged(), 0);
    }

    #[tokio::test]
    async fn accepted_only_answers_well_and_changes_nothing() {
        let (server, control, world) = counter().await;
        control.arrange("", "/up", 1, Mishap::AcceptOnly);
        let client = reqwest::Client::new();
        let answer = client
            .post(format!("{}/up?token=x&a=b%20c", server.url()))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.text().await.unwrap(), "1");
        assert_eq!(world.truth(|n| *n), 0);
        let entry = control.journal().pop().unwrap();
        assert_eq!(
            (entry.status, entry.parameter("token"), entry.parameter("a")),
            (Some(200), Some("***"), Some("b c"))
        );
    }

    #[test]
    fn reads_lag_behind_writes_as_told() {
        let world = World::new(0);
        world.set_staleness(Staleness::Reads(2));
        world
            .change(|n| {
                *n = 7;
                Ok::<_, ()>(())
            })
            .unwrap();
        assert_eq!([(); 3].map(|()| world.look(|n| *n)), [0, 0, 7]);
        world.set_staleness(Staleness::For(Duration::from_secs(3600)));
        world
            .change(|n| {
                *n = 8;
                Ok::<_, ()>(())
            })
            .unwrap();
        assert_eq!((world.look(|n| *n), world.truth(|n| *n)), (7, 8));
        world
            .change(|n| {
                *n = 9;
                Err::<(), ()>(())
            })
            .unwrap_err();
        assert_eq!(world.truth(|n| *n), 8);
    }

    #[test]
    fn a_budget_that_is_spent_says_how_long_to_wait() {
        let budget = Budget::default();
        budget.set(1, Duration::from_secs(60));
        assert_eq!(budget.spend("a"), Ok(()));
        assert!(budget.spend("a").unwrap_err() > Duration::from_secs(50));
        assert_eq!((budget.spend("b"), budget.early()), (Ok(()), 0));
    }
}
