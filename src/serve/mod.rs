//! Health and metrics over HTTP, for the kubelet and Prometheus. No login, nothing about a person, nothing to change.
//!
//! [`wake`] is a server of its own, on an address of its own: it is the only one that strangers may reach.

pub mod connections;
pub mod wake;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use tokio::{net::TcpListener, sync::oneshot};

use self::connections::Limits;
use crate::controller::Context;

/// Serves `/livez`, `/readyz` and `/metrics` from a thread of their own, whatever the others do; ends only when that fails.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(address: SocketAddr, context: Arc<Context>) -> io::Result<()> {
    tokio::spawn(beat(context.clone()));
    let (ended, end) = oneshot::channel();
    std::thread::Builder::new()
        .name("health".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let served = runtime.and_then(|runtime| runtime.block_on(listen(address, context)));
            // Nobody waits for it when the process ends.
            drop(ended.send(served));
        })?;
    end.await
        .unwrap_or_else(|_| Err(io::Error::other("the thread for health ended")))
}

/// Says again and again that work goes on.
async fn beat(context: Arc<Context>) {
    let mut often = tokio::time::interval(Duration::from_secs(1));
    loop {
        often.tick().await;
        context.heartbeat.beat();
    }
}

async fn listen(address: SocketAddr, context: Arc<Context>) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "serving health and metrics");
    connections::serve(listener, router(context), LIMITS).await
}

/// The kubelet, Prometheus, and whoever looks.
const LIMITS: Limits = Limits {
    all: 128,
    each: 64,
    head: Duration::from_secs(10),
    longest: Duration::from_mins(5),
};

/// The process is not given up for dead before its work has stood still for so long.
const STANDSTILL: Duration = Duration::from_mins(1);

fn router(context: Arc<Context>) -> Router {
    Router::new()
        .route("/livez", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(context)
}

async fn alive(State(context): State<Arc<Context>>) -> (StatusCode, &'static str) {
    if context.heartbeat.still() < STANDSTILL {
        (StatusCode::OK, "ok")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "no work has been done for a minute",
        )
    }
}

async fn ready(State(context): State<Arc<Context>>) -> (StatusCode, &'static str) {
    if context.stopping() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    } else if context.ready() {
        (StatusCode::OK, "ok")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "waiting for the first lists; the log says what is missing",
        )
    }
}

async fn metrics(State(context): State<Arc<Context>>) -> impl IntoResponse {
    const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, TYPE)], context.metrics())
}
