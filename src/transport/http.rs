//! The one place that builds an HTTP client: TLS, trust, time and size limits. Sends one request and reads one answer.
//!
//! Never follows redirects, never uses proxies from the environment, never retries.

use std::{net::IpAddr, sync::Arc, time::Duration};

use reqwest::{Request, Response, Url, header::HeaderMap, redirect::Policy, retry};
use rustls::ClientConfig;
use tokio::time::{Instant, timeout_at};

use super::{
    SetupError,
    dial::Dialer,
    install_crypto,
    memory::{self, Reservation},
    secret::Secret,
    tls,
    unreachable::unreachable,
};
use crate::core::fault::{Fault, Reason};

/// The largest answer that is read, in bytes.
pub const LARGEST_ANSWER: usize = 8 << 20;

/// How long a connection may take to be there, TLS included.
const CONNECT: Duration = Duration::from_secs(5);

/// How long an unused connection is kept: less than the five seconds after which common servers close theirs, since a
/// request that meets a closing connection has an unknown outcome.
const IDLE: Duration = Duration::from_secs(4);

/// A complete answer.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
    /// How large it might have been.
    pub largest: usize,
    /// The memory that is counted for it.
    pub memory: Reservation,
}

/// An HTTP client for one connector. Connections are reused.
#[derive(Debug, Clone)]
pub struct Client {
    inner: reqwest::Client,
    dialer: Dialer,
    plain: bool,
    largest: usize,
}

impl Client {
    /// A client that connects where `dialer` does, and trusts the platform's authorities, or only those in `trust` (PEM) if
    /// given. `plain` allows unencrypted connections to other machines, which is the user's choice; to this machine they are
    /// always allowed.
    ///
    /// # Errors
    /// When there are no authorities to trust.
    pub fn new(trust: Option<&Secret>, plain: bool, dialer: Dialer) -> Result<Self, SetupError> {
        install_crypto();
        let mut builder = reqwest::Client::builder()
            .dns_resolver(Arc::new(dialer.clone()))
            .http1_only()
            .no_proxy()
            .redirect(Policy::none())
            .retry(retry::never())
            .referer(false)
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true)
            .user_agent(concat!("offboard/", env!("CARGO_PKG_VERSION")));
        let tls = match tls::client(trust) {
            // Nobody is trusted, which is enough where nothing is encrypted.
            Err(SetupError::Platform) if plain => tls::client_of_nobody(),
            tls => tls,
        }?;
        builder = builder.tls_backend_preconfigured(ClientConfig::clone(&tls));
        Ok(Self {
            inner: builder.build().map_err(|_| SetupError::Trust)?,
            dialer,
            plain,
            largest: LARGEST_ANSWER,
        })
    }

    /// The same client with another size limit, in bytes.
    #[must_use]
    pub fn with_largest(mut self, largest: usize) -> Self {
        self.largest = largest;
        self
    }

    /// Sends `request` and reads the whole answer before `deadline`.
    ///
    /// # Errors
    /// `Transient` when nothing was sent, `Permanent` when the address may not be used, else `UnknownOutcome`.
    pub async fn send(&self, request: Request, deadline: Instant) -> Result<Reply, Fault> {
        self.check(request.url())?;
        let exchange = async {
            let response = self.inner.execute(request).await.map_err(|error| sort(&error))?;
            self.read(response, deadline).await
        };
        timeout_at(deadline, exchange)
            .await
            .map_err(|_| Fault::unknown_outcome(Reason::Timeout))?
    }

    /// Whether the address may be used at all.
    fn check(&self, url: &Url) -> Result<(), Fault> {
        match url.scheme() {
            "https" => {}
            "http" if self.plain || loopback(url) => {}
            _ => return Err(Fault::permanent(Reason::ConnectorNotReady).with_code("unencrypted")),
        }
        self.dialer.check_url(url).map_err(|refusal| refusal.fault())
    }

    /// Reads the body up to the limit.
    async fn read(&self, mut response: Response, deadline: Instant) -> Result<Reply, Fault> {
        let incomplete = || Fault::unknown_outcome(Reason::Incomplete);
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        // What grows as it comes takes twice as much in the end, and as much again while it is moved.
        let stated = response
            .content_length()
            .and_then(|length| usize::try_from(length).ok());
        let most = stated.map_or(self.largest, |stated| stated.min(self.largest));
        let mut body = Vec::with_capacity(if stated.is_some() { most } else { 0 });
        let mut memory = Reservation::default();
        loop {
            let whole = (body.len(), most);
            memory.count(&memory::COMING, whole, deadline).await?;
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > self.largest => {
                    return Err(incomplete().with_code("too large"));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(_) => return Err(incomplete().with_code(status)),
            }
        }
        Ok(Reply {
            status,
            headers,
            body,
            largest: self.largest,
            memory,
        })
    }
}

/// Whether the address is on this machine.
pub fn loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let bare = host.trim_matches(['[', ']']);
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What a failure to get an answer's head means.
fn sort(error: &reqwest::Error) -> Fault {
    if error.is_builder() {
        Fault::permanent(Reason::Malformed)
    } else if error.is_connect() {
        unreachable(error)
    } else if error.is_timeout() {
        Fault::unknown_outcome(Reason::Timeout)
    } else {
        Fault::unknown_outcome(Reason::Unreachable)
    }
}
