//! Where an HR system may say that something changed: `POST /wake/NAMESPACE/SOURCE`, signed with the source's own key.
//!
//! # Why
//! Such a message can do one thing: make its source look now instead of later. Whatever is wrong with one (no such source,
//! no key, a bad signature, an old or a known message) gets the same answer after the same work, so that nobody learns which
//! sources there are. All messages together are limited before anything else is done.
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
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use tokio::{net::TcpListener, time::Instant};

use crate::{controller::Context, sources::wake::Message};

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

/// Serves wake messages until dropped.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(address: SocketAddr, context: Arc<Context>) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "serving wake messages");
    let door = Arc::new(Door {
        context,
        tokens: Mutex::new((BURST, Instant::now())),
    });
    let router = Router::new()
        .route("/wake/{namespace}/{source}", post(wake))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .with_state(door);
    axum::serve(listener, router).await
}

async fn wake(
    State(door): State<Arc<Door>>,
    Path((namespace, source)): Path<(String, String)>,
    headers: HeaderMap,
    request: axum::extract::Request,
) -> Response {
    if !door.admits(Instant::now()) {
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "5")]).into_response();
    }
    let reading = axum::body::to_bytes(request.into_body(), LONGEST_BODY);
    let Ok(Ok(body)) = tokio::time::timeout(WHOLE, reading).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if !door.context.acts() || !door.context.caches.sources_known() {
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")]).into_response();
    }
    door.judge(&namespace, &source, &headers, &body).into_response()
}

impl Door {
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
