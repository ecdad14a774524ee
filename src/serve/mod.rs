//! Health and metrics over HTTP, for the kubelet and Prometheus. No login, nothing about a person, nothing to change.
//!
//! [`wake`] is a server of its own, on an address of its own: it is the only one that strangers may reach.

pub mod wake;

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use tokio::net::TcpListener;

use crate::controller::Context;

/// Serves `/livez`, `/readyz` and `/metrics` until dropped.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(address: SocketAddr, context: Arc<Context>) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "serving health and metrics");
    axum::serve(listener, router(context)).await
}

fn router(context: Arc<Context>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(context)
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
