//! The one door that strangers may knock at.
//!
//! - `POST /wake/NAMESPACE/SOURCE`, signed with the source's own key: an HR system says that something changed.
//! - `POST /callback/TOKEN`: a system says what became of what it was asked for, at the address that went with the request.
//!
//! # Why
//! A wake message can do one thing: make its source look now instead of later. Whatever is wrong with one (no such source,
//! no key, a bad signature, an old or a known message) gets the same answer after the same work, so that nobody learns which
//! sources there are. The same holds for callbacks and tokens. Genuine messages are limited for each source, after their
//! signature was checked: what a stranger sends takes nothing from anybody.
//!
//! With several operators only one acts; the others answer 503, and the sender tries again.

use std::{collections::HashMap, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use parking_lot::Mutex;
use tokio::{net::TcpListener, time::Instant};

use crate::{
    controller::{
        Context,
        offboarding::callbacks::{self, Heard},
    },
    serve::connections::{self, Limits},
    sources::wake::{Message, Reception},
    transport::callback,
};

/// The header with the time of a message, in seconds since 1970.
pub const TIMESTAMP: &str = "x-offboard-timestamp";
/// The header with its signature.
pub const SIGNATURE: &str = "x-offboard-signature";
/// No body may be longer.
const LONGEST_BODY: usize = 64 * 1024;
/// Genuine messages of one source at once, and then one for each [`REFILL`].
const BURST: u32 = 20;
const REFILL: Duration = Duration::from_millis(200);
/// Connections of those who may knock.
const LIMITS: Limits = Limits {
    all: 256,
    each: 64,
    head: Duration::from_secs(5),
    longest: Duration::from_secs(30),
};
/// A message must be whole by then.
const WHOLE: Duration = Duration::from_secs(10);

struct Door {
    context: Arc<Context>,
    /// By whom the messages are.
    tokens: Mutex<HashMap<String, (u32, Instant)>>,
}

/// Serves wake messages and callbacks until dropped.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(address: SocketAddr, context: Arc<Context>) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "serving wake messages and callbacks");
    let door = Arc::new(Door {
        context,
        tokens: Mutex::default(),
    });
    let router = Router::new()
        .route("/wake/{namespace}/{source}", post(wake))
        .route(&format!("{}{{token}}", callback::PATH), post(call_back))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .with_state(door);
    connections::serve(listener, router, LIMITS).await
}

async fn wake(
    State(door): State<Arc<Door>>,
    Path((namespace, source)): Path<(String, String)>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let Ok(body) = body(request).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if !door.context.acts() || !door.context.caches.sources_known() {
        return later(StatusCode::SERVICE_UNAVAILABLE);
    }
    door.wake(&namespace, &source, &headers, &body)
}

async fn call_back(State(door): State<Arc<Door>>, Path(token): Path<String>, request: Request) -> Response {
    let Ok(body) = body(request).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if !door.context.acts() || !door.context.caches.leavers_known() {
        return later(StatusCode::SERVICE_UNAVAILABLE);
    }
    match callbacks::hear(&door.context, &token, &body).await {
        Heard::Taken => StatusCode::ACCEPTED.into_response(),
        Heard::Later => later(StatusCode::SERVICE_UNAVAILABLE),
        Heard::Malformed => StatusCode::BAD_REQUEST.into_response(),
        Heard::Refused => StatusCode::UNAUTHORIZED.into_response(),
    }
}

/// The same message may be sent again in a moment.
fn later(status: StatusCode) -> Response {
    (status, [(header::RETRY_AFTER, "5")]).into_response()
}

/// The whole body of a message.
async fn body(request: Request) -> Result<Bytes, ()> {
    let reading = axum::body::to_bytes(request.into_body(), LONGEST_BODY);
    match tokio::time::timeout(WHOLE, reading).await {
        Ok(Ok(body)) => Ok(body),
        _ => Err(()),
    }
}

impl Door {
    fn wake(&self, namespace: &str, source: &str, headers: &HeaderMap, body: &Bytes) -> Response {
        let header = |name: &str| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let message = Message {
            to: &format!("{namespace}/{source}"),
            timestamp: header(TIMESTAMP),
            signature: header(SIGNATURE),
            body,
        };
        let sender = message.to.to_owned();
        let admits = || self.admits(&sender, Instant::now());
        match self.context.wake_by_message(namespace, source, message, admits) {
            Reception::Heeded => StatusCode::ACCEPTED.into_response(),
            Reception::TooMany => later(StatusCode::TOO_MANY_REQUESTS),
            Reception::Refused => StatusCode::UNAUTHORIZED.into_response(),
        }
    }

    /// Whether one more message of `sender` may be heeded. There are as many senders as sources.
    fn admits(&self, sender: &str, now: Instant) -> bool {
        let mut tokens = self.tokens.lock();
        let tokens = tokens.entry(sender.to_owned()).or_insert((BURST, now));
        let (left, since) = *tokens;
        let refills = now.duration_since(since).as_millis() / REFILL.as_millis();
        let refills = u32::try_from(refills).unwrap_or(BURST).min(BURST);
        let left = left.saturating_add(refills).min(BURST);
        let since = if left == BURST {
            now
        } else {
            since + REFILL * refills
        };
        *tokens = (left.saturating_sub(1), since);
        left > 0
    }
}
