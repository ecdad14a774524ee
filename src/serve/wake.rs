//! The one door that strangers may knock at.
//!
//! - `POST /wake/NAMESPACE/SOURCE`, signed with the source's own key: an HR system says that something changed.
//! - `POST /callback/TOKEN`: a system says what became of what it was asked for, at the address that went with the request.
//!
//! # Why
//! A wake message can do one thing: make its source look now instead of later. Whatever is wrong with one (no such source,
//! no key, a bad signature, an old or a known message) gets the same answer after the same work, so that nobody learns which
//! sources there are. The same holds for callbacks and tokens. All messages together are limited before anything else is done.
//!
//! With several operators only one acts; the others answer 503, and the sender tries again.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use tokio::{net::TcpListener, time::Instant};

use crate::{
    controller::{
        Context,
        callbacks::{self, Heard},
    },
    sources::wake::Message,
    transport::callback,
};

/// The header with the time of a message, in seconds since 1970.
pub const TIMESTAMP: &str = "x-offboard-timestamp";
/// The header with its signature.
pub const SIGNATURE: &str = "x-offboard-signature";
/// No body may be longer.
const LONGEST_BODY: usize = 64 * 1024;
/// Messages at once, and then one for each [`REFILL`].
const BURST: u32 = 20;
const REFILL: Duration = Duration::from_millis(200);
/// A message must be whole by then.
const WHOLE: Duration = Duration::from_secs(10);

struct Door {
    context: Arc<Context>,
    tokens: Mutex<(u32, Instant)>,
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
        tokens: Mutex::new((BURST, Instant::now())),
    });
    let router = Router::new()
        .route("/wake/{namespace}/{source}", post(wake))
        .route(&format!("{}{{token}}", callback::PATH), post(call_back))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .with_state(door);
    axum::serve(listener, router).await
}

async fn wake(
    State(door): State<Arc<Door>>,
    Path((namespace, source)): Path<(String, String)>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let body = match door.body(request).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    if !door.context.acts() || !door.context.caches.sources_known() {
        return later(StatusCode::SERVICE_UNAVAILABLE);
    }
    door.judge(&namespace, &source, &headers, &body).into_response()
}

async fn call_back(State(door): State<Arc<Door>>, Path(token): Path<String>, request: Request) -> Response {
    let body = match door.body(request).await {
        Ok(body) => body,
        Err(refused) => return refused,
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

impl Door {
    /// The body of a message, if one more may be looked at.
    async fn body(&self, request: Request) -> Result<Bytes, Response> {
        if !self.admits(Instant::now()) {
            return Err(later(StatusCode::TOO_MANY_REQUESTS));
        }
        let reading = axum::body::to_bytes(request.into_body(), LONGEST_BODY);
        match tokio::time::timeout(WHOLE, reading).await {
            Ok(Ok(body)) => Ok(body),
            _ => Err(StatusCode::BAD_REQUEST.into_response()),
        }
    }

    fn judge(&self, namespace: &str, source: &str, headers: &HeaderMap, body: &Bytes) -> StatusCode {
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
        if self.context.wake_by_message(namespace, source, message) {
            StatusCode::ACCEPTED
        } else {
            StatusCode::UNAUTHORIZED
        }
    }

    /// Whether one more message may be looked at.
    fn admits(&self, now: Instant) -> bool {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
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
