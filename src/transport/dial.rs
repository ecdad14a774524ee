//! The one place that opens a connection to a system: where the credential may go, and to no address that is closed.
//!
//! # Why
//! A name is resolved here, and the addresses that were checked are the ones that are dialed: whoever answers for the name
//! cannot say one thing to the check and another to the connection. Every new connection is checked anew.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use tokio::net::{TcpStream, lookup_host};

use super::{
    destination::{Destinations, Place, host},
    egress::{Closed, Egress},
    unreachable::unreachable,
};
use crate::core::{
    codes::unlisted,
    fault::{Fault, Reason},
};

/// Opens connections for one credential.
#[derive(Debug, Clone)]
pub struct Dialer {
    egress: Arc<Egress>,
    destinations: Destinations,
}

/// Why a connection is not even tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The Secret does not name the host.
    #[error("host {0}")]
    Host(Place),
    /// The address is one that is closed.
    #[error("{0}")]
    Address(Closed),
    /// It is no host.
    #[error("no host")]
    NoHost,
}

impl Refusal {
    /// What it means for the call. Where inputs lead to was checked before: this host is out of an answer.
    pub fn fault(&self) -> Fault {
        let fault = Fault::needs_decision(Reason::DestinationRefused);
        match self {
            Self::Host(place) => fault.with_code(format_args!("host {}", unlisted(&place.to_string()))),
            _ => fault.with_code(self),
        }
    }
}

impl Dialer {
    /// To `destinations`, as far as `egress` is open.
    pub fn new(egress: Arc<Egress>, destinations: Destinations) -> Self {
        Self { egress, destinations }
    }

    /// Where whoever installed the operator says by name where it goes, such as for messages.
    pub fn trusted() -> Self {
        Self::new(
            Arc::new(Egress::new(vec![]).with_named_loopback()),
            Destinations::Trusted,
        )
    }

    /// Whether the credential may go to `place`, as far as its name tells.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, place: &Place) -> Result<(), Refusal> {
        if !self.destinations.include(&place.host, place.port, place.usual) {
            return Err(Refusal::Host(place.clone()));
        }
        match place.host.trim_matches(['[', ']']).parse() {
            Ok(address) => self.open(address, &place.host),
            Err(_) => Ok(()),
        }
    }

    /// The same for an address of the web.
    ///
    /// # Errors
    /// Why not.
    pub fn check_url(&self, url: &Url) -> Result<(), Refusal> {
        self.check(&Place::of(url).ok_or(Refusal::NoHost)?)
    }

    /// A connection to `name` at `port`.
    ///
    /// # Errors
    /// `DestinationRefused`, or why there is none.
    pub async fn connect(&self, name: &str, port: u16, usual: u16) -> Result<TcpStream, Fault> {
        let place = Place::new(name, port, usual).ok_or_else(|| Refusal::NoHost.fault())?;
        self.check(&place).map_err(|refusal| refusal.fault())?;
        let failed = |error: &(dyn std::error::Error + 'static)| unreachable(error);
        let found = self.resolve(&place.host, port).await;
        let mut last = None;
        for address in found.map_err(|error| failed(&error))? {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // An answer later by a few milliseconds is no fault.
                    drop(stream.set_nodelay(true));
                    return Ok(stream);
                }
                Err(error) => last = Some(error),
            }
        }
        let last = last.unwrap_or_else(|| io::Error::from(io::ErrorKind::HostUnreachable));
        Err(failed(&last))
    }

    fn open(&self, address: IpAddr, name: &str) -> Result<(), Refusal> {
        let named = self.destinations.name(name);
        self.egress.check(address, named).map_err(Refusal::Address)
    }

    /// The open addresses of a name.
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let bare = name.trim_matches(['[', ']']);
        let all: Vec<_> = lookup_host((bare, port)).await?.collect();
        let mut open = vec![];
        let mut closed = None;
        for address in all {
            match self.open(address.ip(), name) {
                Ok(()) => open.push(address),
                Err(refusal) => closed = Some(refusal),
            }
        }
        match closed {
            Some(refusal) if open.is_empty() => Err(io::Error::other(refusal)),
            _ => Ok(open),
        }
    }
}

/// Names for [`reqwest`], which asks for them at each connection. Addresses it does not ask about.
impl Resolve for Dialer {
    fn resolve(&self, name: Name) -> Resolving {
        let dialer = self.clone();
        Box::pin(async move {
            let name = host(name.as_str()).ok_or(Refusal::NoHost)?;
            let found = Self::resolve(&dialer, &name, 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::transport::destination::Named;

    fn named(text: &str) -> Destinations {
        Destinations::Named(Named::parse(text).unwrap())
    }

    async fn code(dialer: &Dialer, name: &str, port: u16) -> String {
        let refused = dialer.connect(name, port, 443).await.expect_err("connected");
        assert_eq!(refused.reason, Reason::DestinationRefused, "{name}");
        refused.code
    }

    #[tokio::test]
    async fn nothing_is_sent_to_a_host_that_nobody_named_or_to_a_closed_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cluster = Arc::new(Egress::new(vec![]));
        let entry = format!("crm.example.com 127.0.0.1:{port} localhost:{port}");
        let dialer = Dialer::new(cluster.clone(), named(&entry));
        assert_eq!(
            code(&dialer, "evil.example.com", 443).await,
            // printf %s evil.example.com | sha256sum
            "host unlisted code 497cb114"
        );
        for spelling in ["127.0.0.1", "2130706433", "0x7f000001", "017700000001", "127.1"] {
            assert_eq!(code(&dialer, spelling, port).await, "egress loopback");
        }
        // A name that leads to a closed address.
        assert_eq!(code(&dialer, "localhost", port).await, "egress loopback");
        let nobody = Dialer::new(cluster, Destinations::NoCredential);
        for spelling in ["[::1]", "::ffff:127.0.0.1", "[::ffff:7f00:1]", "0.0.0.0"] {
            assert!(code(&nobody, spelling, port).await.starts_with("egress "));
        }
        // Nobody was connected to so far; where this machine is named for a person who runs it for themselves, it is.
        let folder = Arc::new(Egress::new(vec![]).with_named_loopback());
        let unnamed = Dialer::new(folder.clone(), Destinations::NoCredential);
        assert_eq!(code(&unnamed, "127.0.0.1", port).await, "egress loopback");
        let connected = Dialer::new(folder, named(&entry))
            .connect("localhost", port, 443)
            .await;
        let peer = connected.unwrap().local_addr().unwrap();
        assert_eq!(listener.accept().await.unwrap().1, peer);
    }
}
