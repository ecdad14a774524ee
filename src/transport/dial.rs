//! The one place that opens a connection to a system: where the credential may go, and to no address that is closed.
//!
//! # Why
//! A name is resolved here, and the addresses that were checked are the ones that are dialed: whoever answers for the name
//! cannot say one thing to the check and another to the connection. Every new connection is checked anew.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use futures::future::BoxFuture;
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

/// Knows the addresses of names.
pub trait Names: fmt::Debug + Send + Sync {
    /// The addresses of `name`, which is a name or an address without brackets, each with `port`.
    ///
    /// # Errors
    /// When there is none, or nobody to ask.
    fn addresses<'a>(&'a self, name: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;
}

/// Names as the machine resolves them.
#[derive(Debug)]
struct Machine;

impl Names for Machine {
    fn addresses<'a>(&'a self, name: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(lookup_host((name, port)).await?.collect()) })
    }
}

/// Opens connections for one credential.
#[derive(Debug, Clone)]
pub struct Dialer {
    egress: Arc<Egress>,
    destinations: Destinations,
    names: Arc<dyn Names>,
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
        Self {
            egress,
            destinations,
            names: Arc::new(Machine),
        }
    }

    /// The same with somebody else who knows the addresses of names.
    #[must_use]
    pub fn with_names(mut self, names: Arc<dyn Names>) -> Self {
        self.names = names;
        self
    }

    /// Where whoever installed the operator says by name where it goes, such as for messages, as far as a person's own machine
    /// is open.
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
        let mut last = None;
        for address in self.addresses(name, port, usual).await? {
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
        Err(unreachable(&last))
    }

    /// The open addresses of `name`, for a connection at once.
    ///
    /// # Errors
    /// `DestinationRefused` when there is none, or why there are none.
    pub async fn addresses(&self, name: &str, port: u16, usual: u16) -> Result<Vec<SocketAddr>, Fault> {
        let place = Place::new(name, port, usual).ok_or_else(|| Refusal::NoHost.fault())?;
        self.check(&place).map_err(|refusal| refusal.fault())?;
        let found = self.resolve(&place.host, port).await;
        found.map_err(|error| unreachable(&error))
    }

    fn open(&self, address: IpAddr, name: &str) -> Result<(), Refusal> {
        let named = self.destinations.name(name);
        self.egress.check(address, named).map_err(Refusal::Address)
    }

    /// The open addresses of a name.
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let bare = name.trim_matches(['[', ']']);
        let mut open = vec![];
        let mut closed = None;
        for address in self.names.addresses(bare, port).await? {
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
    use parking_lot::Mutex;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        time::{Duration, Instant},
    };

    use super::*;
    use crate::transport::{destination::Named, http::Client};

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
    /// A name that leads elsewhere each time that it is asked for, and at last always to the same.
    #[derive(Debug)]
    struct Changing {
        answers: Mutex<Vec<Vec<IpAddr>>>,
        asked: Mutex<usize>,
    }

    impl Changing {
        fn through(answers: &[&[&str]]) -> Arc<Self> {
            let parsed = |answer: &&[&str]| answer.iter().map(|text| text.parse().unwrap()).collect();
            Arc::new(Self {
                answers: Mutex::new(answers.iter().rev().map(parsed).collect()),
                asked: Mutex::new(0),
            })
        }

        fn asked(&self) -> usize {
            *self.asked.lock()
        }
    }

    impl Names for Changing {
        fn addresses<'a>(&'a self, _: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
            *self.asked.lock() += 1;
            let mut answers = self.answers.lock();
            let answer = if answers.len() > 1 {
                answers.pop().unwrap()
            } else {
                answers[0].clone()
            };
            let found = answer.into_iter().map(|address| (address, port).into());
            let found = found.collect();
            Box::pin(async move { Ok(found) })
        }
    }

    /// Where the system is that a name leads to at first, on this machine as everything is that a test may connect to.
    const SYSTEM: &str = "127.0.0.2";

    /// What a name may lead to the next time.
    const INSIDE: [(&[&str], &str); 9] = [
        (&["127.0.0.1"], "egress loopback"),
        (&["::1"], "egress loopback"),
        (&["::ffff:127.0.0.1"], "egress loopback"),
        (&["::ffff:7f00:1", "::1"], "egress loopback"),
        (&["0.0.0.0"], "egress unspecified"),
        (&["169.254.169.254"], "egress link-local"),
        (&["::ffff:169.254.169.254"], "egress link-local"),
        (&["64:ff9b::a9fe:a9fe"], "egress link-local"),
        (&["fd00:ec2::254"], "egress metadata"),
    ];

    /// A system at [`SYSTEM`], and traps on this machine's own addresses at the same port.
    async fn system_and_traps() -> (TcpListener, [TcpListener; 2], u16) {
        loop {
            let system = TcpListener::bind((SYSTEM, 0)).await.unwrap();
            let port = system.local_addr().unwrap().port();
            let traps = (
                TcpListener::bind(("127.0.0.1", port)).await,
                TcpListener::bind(("::1", port)).await,
            );
            // Somebody else may have one of them.
            if let (Ok(four), Ok(six)) = traps {
                return (system, [four, six], port);
            }
        }
    }

    /// Whoever connected is in the queue of the listener by now.
    fn nobody_in(traps: [TcpListener; 2]) {
        for trap in traps {
            let trap = trap.into_std().unwrap();
            assert_eq!(trap.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        }
    }

    fn cluster() -> Arc<Egress> {
        Arc::new(Egress::new(vec![format!("{SYSTEM}/32").parse().unwrap()]))
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_the_next_time_is_refused_at_that_connection() {
        let (system, traps, port) = system_and_traps().await;
        for (inside, code) in INSIDE {
            let names = Changing::through(&[&[SYSTEM], inside]);
            let named = named(&format!("crm.example.com:{port}"));
            let dialer = Dialer::new(cluster(), named).with_names(names.clone());
            dialer.connect("crm.example.com", port, 443).await.unwrap();
            system.accept().await.unwrap();
            assert_eq!(
                self::code(&dialer, "crm.example.com", port).await,
                code,
                "{inside:?}"
            );
            assert_eq!(names.asked(), 2, "each connection asks anew");
        }
        nobody_in(traps);
    }

    #[tokio::test]
    async fn of_mixed_answers_only_the_open_address_is_dialed() {
        let (system, traps, port) = system_and_traps().await;
        for (inside, _) in INSIDE {
            let mixed = [inside, &[SYSTEM], inside].concat();
            let names = Changing::through(&[&mixed]);
            let dialer = Dialer::new(cluster(), Destinations::NoCredential).with_names(names);
            let connected = dialer.connect("crm.example.com", port, 443).await.unwrap();
            let (_, peer) = system.accept().await.unwrap();
            assert_eq!(connected.local_addr().unwrap(), peer);
        }
        nobody_in(traps);
    }

    #[tokio::test]
    async fn a_web_client_asks_for_the_name_at_each_connection() {
        let (system, traps, port) = system_and_traps().await;
        let met = tokio::spawn(async move {
            let mut met = 0;
            while let Ok((mut socket, _)) = system.accept().await {
                met += 1;
                drop(socket.read(&mut [0; 4096]).await);
                let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
                drop(socket.write_all(answer).await);
                if met == 2 * INSIDE.len() {
                    return;
                }
            }
        });
        let url = Url::parse(&format!("http://crm.example.com:{port}/")).unwrap();
        let get = || reqwest::Request::new(reqwest::Method::GET, url.clone());
        for (inside, code) in INSIDE {
            let mixed = [inside, &[SYSTEM]].concat();
            let names = Changing::through(&[&[SYSTEM], &mixed, inside]);
            let dialer = Dialer::new(cluster(), Destinations::Trusted).with_names(names.clone());
            let client = Client::new(None, true, dialer).unwrap();
            let send = || client.send(get(), Instant::now() + Duration::from_secs(20));
            assert_eq!(send().await.unwrap().status, 200);
            assert_eq!(send().await.unwrap().status, 200, "the open one of {mixed:?}");
            let refused = send().await.unwrap_err();
            let expected = Fault::needs_decision(Reason::DestinationRefused).with_code(code);
            assert_eq!((refused, names.asked()), (expected, 3), "{inside:?}");
        }
        met.await.unwrap();
        nobody_in(traps);
    }
}
