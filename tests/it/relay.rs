//! A wire between a driver and a server that can be cut, frozen and listened to.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use offboard::transport::secret::Secret;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::{fmt::MakeWriter, util::SubscriberInitExt};

/// Forwards connections to a port of this machine to a server, and keeps what the client sent.
pub struct Relay {
    /// The port to connect to.
    pub port: u16,
    address: IpAddr,
    server: SocketAddr,
    sent: Arc<Mutex<Vec<u8>>>,
    frozen: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
    running: Option<JoinHandle<()>>,
}

impl Relay {
    /// A wire to the server at `server` that works.
    pub async fn to(server: SocketAddr) -> Self {
        Self::at(Ipv4Addr::LOCALHOST, server).await
    }

    /// The same at another address of this machine, for which no server has a certificate.
    pub async fn at(address: Ipv4Addr, server: SocketAddr) -> Self {
        let mut relay = Self {
            port: 0,
            address: address.into(),
            server,
            sent: Arc::default(),
            frozen: Arc::default(),
            connections: Arc::default(),
            running: None,
        };
        relay.mend().await;
        relay
    }

    /// Connections are accepted again, on the same port.
    pub async fn mend(&mut self) {
        self.frozen.store(false, Ordering::SeqCst);
        let listener = TcpListener::bind((self.address, self.port)).await.unwrap();
        self.port = listener.local_addr().unwrap().port();
        let (server, sent, frozen) = (self.server, Arc::clone(&self.sent), Arc::clone(&self.frozen));
        let connected = Arc::clone(&self.connections);
        self.running = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                connected.fetch_add(1, Ordering::SeqCst);
                connections.spawn(forward(client, server, Arc::clone(&sent), Arc::clone(&frozen)));
            }
        }));
    }

    /// All connections end, and no new one is accepted.
    pub async fn cut(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
            drop(running.await);
        }
    }

    /// From now on nothing comes back from the server.
    pub fn freeze(&self) {
        self.frozen.store(true, Ordering::SeqCst);
    }

    /// Connections made from now on work; those that were frozen stay so, as half-open ones do.
    pub fn thaw(&self) {
        self.frozen.store(false, Ordering::SeqCst);
    }

    /// How many connections there were so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Everything that clients sent.
    pub fn sent(&self) -> Vec<u8> {
        self.sent.lock().unwrap().clone()
    }
}

async fn forward(client: TcpStream, server: SocketAddr, sent: Arc<Mutex<Vec<u8>>>, frozen: Arc<AtomicBool>) {
    let server = TcpStream::connect(server).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let forth = async {
        let mut buffer = vec![0; 65536];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            sent.lock().unwrap().extend(&buffer[..length]);
            if to_server.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    };
    let back = async {
        let mut buffer = vec![0; 65536];
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
            if frozen.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            if to_client.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! { () = forth => {}, () = back => {} }
}

/// A certificate with its key for 127.0.0.1 that nobody else signed.
pub fn certificate() -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap()
}

/// The port of a wire to the application at `url` that begins with TLS.
pub async fn behind_tls(url: &str, made: &rcgen::CertifiedKey<rcgen::KeyPair>) -> u16 {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    offboard::transport::install_crypto();
    let tls = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let server = url.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, server) = (acceptor.clone(), server.clone());
            tokio::spawn(async move {
                if let Ok(mut client) = acceptor.accept(socket).await {
                    let mut server = TcpStream::connect(server).await.unwrap();
                    drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
                }
            });
        }
    });
    port
}

/// What was logged on this thread, by any crate and at every level.
#[derive(Clone, Default)]
pub struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    /// All of it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    /// None of `secrets` is in it or in `more`, in whatever encoding, though this `library` logged at its finest.
    #[track_caller]
    pub fn shows_none(&self, library: &str, secrets: &[String], more: &str) {
        let text = self.text();
        let of_library = |line: &str| line.contains(" TRACE ") && line.contains(library);
        assert!(text.lines().any(of_library), "{library} logged nothing at TRACE");
        for (number, secret) in secrets.iter().enumerate() {
            // As bytes are written in Rust, and in every encoding that an echo is known by.
            let bytes = format!("{:?}", secret.as_bytes());
            let bytes = bytes.trim_matches(['[', ']']);
            let secret = Secret::new(secret.clone());
            let shows = |line: &&str| secret.appears_in(line) || line.contains(bytes);
            let found = text.lines().chain(more.lines()).find(shows);
            assert!(
                found.is_none(),
                "secret {number} is shown: {}",
                found.unwrap_or_default()
            );
        }
    }
}

impl io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logged {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Collects everything that is logged on this thread until the guard is dropped.
pub fn everything_logged() -> (Logged, DefaultGuard) {
    let logged = Logged::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(logged.clone())
        .finish();
    // Libraries log by two crates; this takes both.
    (logged, SubscriberInitExt::set_default(subscriber))
}
