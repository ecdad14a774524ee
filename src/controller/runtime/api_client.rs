//! Calls to the API server: each with a deadline, each failure without a body.
//!
//! # Why
//! The client has no response deadline of its own, and repeats 429, 503 and 504 up to fifteen times inside one call. One
//! half-open connection would hold an object for ever.

use std::{future::Future, time::Duration};

use kube::{Client, Config};
use thiserror::Error;

use crate::core::fault::{Fault, Reason};

/// No call to the API server takes longer.
const DEADLINE: Duration = Duration::from_secs(10);
/// A watch is closed by the server after 30 s; silence for longer than this is a dead connection.
const SILENCE: Duration = Duration::from_secs(45);

/// Why a call to the API server failed. Carries no text of the server.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApiError {
    /// The object is not there.
    #[error("not found")]
    NotFound,
    /// Somebody else wrote in between, or an object of that name is there already.
    #[error("conflict")]
    Conflict,
    /// The operator's own rights do not reach.
    #[error("forbidden")]
    Forbidden,
    /// What was answered cannot be understood.
    #[error("not understood")]
    Unreadable,
    /// Anything that may pass by itself: no connection, no answer in time, an overloaded server.
    #[error("API server: {0}")]
    Unavailable(String),
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => match status.code {
                404 => Self::NotFound,
                409 => Self::Conflict,
                403 => Self::Forbidden,
                code => Self::Unavailable(format!("{code} {}", status.reason).trim_end().to_owned()),
            },
            kube::Error::SerdeError(_) => Self::Unreadable,
            _ => Self::Unavailable("no answer".to_owned()),
        }
    }
}

impl From<ApiError> for Fault {
    fn from(failed: ApiError) -> Self {
        let fault = Fault::transient(Reason::StoreUnavailable);
        match failed {
            ApiError::Conflict => Fault::transient(Reason::Conflict),
            ApiError::Unavailable(code) => fault.with_code(code),
            other => fault.with_code(other),
        }
    }
}

/// Waits for `call` until its deadline.
///
/// # Errors
/// When the call fails or takes too long.
pub async fn with_deadline<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, ApiError> {
    match tokio::time::timeout(DEADLINE, call).await {
        Ok(answer) => answer.map_err(ApiError::from),
        Err(_) => Err(ApiError::Unavailable("timeout".to_owned())),
    }
}

/// A client for everything but the lease: from `KUBECONFIG`, `~/.kube/config`, or the pod's service account. Says also which
/// namespace is the default, and the host of the API server.
///
/// # Errors
/// When there is no configuration, or it cannot be used.
pub async fn client() -> Result<(Client, String, Option<String>), String> {
    let mut config = Config::infer().await.map_err(|e| e.to_string())?;
    let namespace = config.default_namespace.clone();
    let server = config.cluster_url.host().map(str::to_owned);
    config.connect_timeout = Some(Duration::from_secs(5));
    config.write_timeout = Some(DEADLINE);
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    config.default_retry = false;
    let client = Client::try_from(config).map_err(|e| e.to_string())?;
    Ok((client, namespace, server))
}
