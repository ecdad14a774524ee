//! One connection: opened, encrypted, bound; replaced when it breaks.
//!
//! Between the encrypted connection and the library stands [`frame`], so that what comes from the server is looked at whole
//! before anything else reads it, and nothing of it before the server has proven who it is.

use std::{
    collections::HashSet,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, Scope, StdStream};
use reqwest::Url;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncWriteExt, BufReader, split},
    net::{TcpStream, UnixStream},
    sync::{Mutex, OwnedMutexGuard},
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    super::login::Login,
    frame,
    result::{Refusal, Trouble},
    search,
};
use crate::{
    core::fault::{Fault, Reason},
    transport::{SetupError, destination::Place, dial::Dialer, tls, unreachable::unreachable},
};

/// For how long a refused login is not tried again. Directories lock an account after a few wrong passwords, and all
/// leavers share this one login.
const REFUSED_FOR: Duration = Duration::from_mins(1);

/// A bound connection.
#[derive(Debug, Clone)]
pub(super) struct Session {
    /// A handle; a clone of it carries one operation.
    pub ldap: Ldap,
    number: u64,
    controls: Arc<HashSet<String>>,
    /// Held by the paged search that is on; true until that one has ended in order.
    paging: Arc<Mutex<bool>>,
    /// The server sent what LDAP does not have.
    broken: Arc<AtomicBool>,
}

/// The turn of one paged search on its connection.
#[derive(Debug)]
pub(super) struct Paging(OwnedMutexGuard<bool>);

impl Paging {
    /// The search has ended in order: nothing of it is on its way any more.
    pub(super) fn end(mut self) {
        *self.0 = false;
    }
}

impl Session {
    /// Whether the server's root DSE lists the control `oid`.
    pub(super) fn supports(&self, oid: &str) -> bool {
        self.controls.contains(oid)
    }

    /// What it means that an operation has no answer because the connection ended.
    pub(super) fn lost(&self) -> Reason {
        if self.broken.load(Ordering::Relaxed) {
            Reason::Malformed
        } else {
            Reason::Unreachable
        }
    }
}

/// The current connection to one server, if any.
#[derive(Debug)]
pub(super) struct Sessions {
    server: Place,
    /// Encrypted from the first byte on, not after a word in clear.
    ldaps: bool,
    login: Login,
    tls: Arc<ClientConfig>,
    dialer: Dialer,
    opened: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    session: Option<Session>,
    refused: Option<(Instant, Fault)>,
}

impl Sessions {
    pub(super) fn new(url: &str, login: Login, dialer: &Dialer) -> Result<Self, SetupError> {
        let field = "ldap.url";
        let url = Url::parse(url).map_err(|_| SetupError::Field(field))?;
        if !matches!(url.scheme(), "ldap" | "ldaps") {
            return Err(SetupError::Field(field));
        }
        let server = Place::of(&url).ok_or(SetupError::Field(field))?;
        Ok(Self {
            server,
            ldaps: url.scheme() == "ldaps",
            tls: tls::client(login.ca.as_ref())?,
            login,
            dialer: dialer.clone(),
            opened: AtomicU64::new(0),
            state: Mutex::default(),
        })
    }

    /// The current connection, or a new one. Others wait for one that is being opened instead of opening their own.
    pub(super) async fn get(&self, deadline: Instant) -> Result<Session, Fault> {
        let unreachable = |_| Fault::transient(Reason::Unreachable);
        let mut state = timeout_at(deadline, self.state.lock())
            .await
            .map_err(unreachable)?;
        if let Some(session) = &mut state.session
            && !session.ldap.is_closed()
        {
            return Ok(session.clone());
        }
        if let Some((since, fault)) = &state.refused
            && since.elapsed() < REFUSED_FOR
        {
            return Err(fault.clone());
        }
        state.session = None;
        let session = timeout_at(deadline, self.open()).await.map_err(unreachable)?;
        if let Err(fault) = &session
            && fault.reason == Reason::CredentialRejected
        {
            state.refused = Some((Instant::now(), fault.clone()));
        }
        state.session = Some(session?);
        Ok(state
            .session
            .clone()
            .expect("it was put there in the line before"))
    }

    /// The current connection, or a new one, for a paged search that has it to itself: servers keep one cookie for each
    /// connection, so that a second paged search makes them refuse the next page of the first. Other operations go on.
    pub(super) async fn get_for_pages(&self, deadline: Instant) -> Result<(Session, Paging), Fault> {
        loop {
            let session = self.get(deadline).await?;
            let turn = timeout_at(deadline, Arc::clone(&session.paging).lock_owned()).await;
            let mut turn = turn.map_err(|_| Fault::transient(Reason::Timeout))?;
            // A search that was given up may have a page on its way, which would move the cookie.
            if *turn {
                self.discard(&session).await;
            } else if self.get(deadline).await?.number == session.number {
                *turn = true;
                return Ok((session, Paging(turn)));
            }
        }
    }

    /// Lets the next operation open a new connection. Operations that are on this one may still end.
    pub(super) async fn discard(&self, session: &Session) {
        let mut state = self.state.lock().await;
        if state
            .session
            .as_ref()
            .is_some_and(|current| current.number == session.number)
        {
            state.session = None;
        }
    }

    async fn open(&self) -> Result<Session, Fault> {
        let broken = Arc::<AtomicBool>::default();
        let stream = self.encrypted().await?;
        let lost = |_| Fault::transient(Reason::Unreachable);
        let (ours, theirs) = UnixStream::pair().map_err(lost)?;
        let theirs = theirs.into_std().map_err(lost)?;
        tokio::spawn(relay(stream, ours, broken.clone()));
        let settings = LdapConnSettings::new().set_std_stream(StdStream::Unix(theirs));
        let opened = LdapConnAsync::with_settings(settings, "ldapi://relay").await;
        let (connection, mut ldap) = opened.map_err(|error| unreachable(&error))?;
        // Its end is seen by everybody who holds a handle.
        tokio::spawn(async move { connection.drive().await.is_ok() });
        let lost = |_: LdapError| {
            if broken.load(Ordering::Relaxed) {
                Fault::transient(Reason::Malformed).with_code(NOT_LDAP)
            } else {
                Fault::transient(Reason::Unreachable)
            }
        };
        let bound = ldap
            .simple_bind(self.login.username.expose(), self.login.password.expose())
            .await;
        Refusal::check(&bound.map_err(lost)?).map_err(|refusal| refusal.login_fault())?;
        let controls = controls(&mut ldap).await.map_err(|trouble| match trouble {
            Trouble::Refused(refusal) => refusal.fault(),
            Trouble::Fault(fault) => fault,
            Trouble::Lost(error) => lost(error),
        })?;
        Ok(Session {
            ldap,
            number: self.opened.fetch_add(1, Ordering::Relaxed),
            controls: Arc::new(controls),
            paging: Arc::default(),
            broken,
        })
    }

    /// A connection to a server that has proven who it is. Nothing goes out in clear but the wish for encryption.
    async fn encrypted(&self) -> Result<TlsStream<TcpStream>, Fault> {
        let Place { host, port, usual } = &self.server;
        let mut stream = self.dialer.connect(host, *port, *usual).await?;
        if !self.ldaps {
            start_tls(&mut stream).await?;
        }
        let name = host.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(name)
            .map_err(|_| Fault::permanent(Reason::ConnectorNotReady).with_code("url"))?;
        let connected = TlsConnector::from(self.tls.clone()).connect(name, stream).await;
        connected.map_err(|error| unreachable(&error))
    }
}

/// The code when a server sends what the protocol does not have.
const NOT_LDAP: &str = "no LDAP spoken there";

/// Asks for encryption. Byte by byte, so that nothing said in clear is taken for what comes after.
async fn start_tls(stream: &mut TcpStream) -> Result<(), Fault> {
    let mut answer = vec![];
    let asked = async {
        stream.write_all(frame::START_TLS).await?;
        frame::read(stream, &mut answer).await
    };
    match asked.await {
        Ok(true) => {}
        Ok(false) => return Err(Fault::transient(Reason::Unreachable)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(Fault::transient(Reason::Malformed).with_code(NOT_LDAP));
        }
        Err(error) => return Err(unreachable(&error)),
    }
    // Refused. Going on in clear text is not an option.
    match frame::code(&answer) {
        Some(0) => Ok(()),
        Some(code) => Err(Refusal {
            code,
            detail: None,
            name: None,
        }
        .fault()),
        None => Err(Fault::transient(Reason::Malformed).with_code(NOT_LDAP)),
    }
}

/// Carries bytes between the server and the library until one of them is gone, from the server only whole messages.
async fn relay(server: TlsStream<TcpStream>, library: UnixStream, broken: Arc<AtomicBool>) {
    let (from_server, mut to_server) = split(server);
    let (mut from_library, mut to_library) = library.into_split();
    let answers = async {
        let mut from_server = BufReader::new(from_server);
        let mut message = vec![];
        while frame::read(&mut from_server, &mut message).await? {
            to_library.write_all(&message).await?;
            if message.capacity() > KEPT {
                message = vec![];
            }
        }
        Ok(())
    };
    let requests = async {
        tokio::io::copy(&mut from_library, &mut to_server).await?;
        to_server.shutdown().await
    };
    let ended: io::Result<()> = tokio::select! {
        ended = answers => ended,
        ended = requests => ended,
    };
    let refused = ended.is_err_and(|error| error.kind() == io::ErrorKind::InvalidData);
    broken.fetch_or(refused, Ordering::Relaxed);
}

/// A longer buffer is not kept for the next message.
const KEPT: usize = 64 << 10;

/// The controls that the server says it knows. A server that hides its root DSE knows none.
async fn controls(ldap: &mut Ldap) -> Result<HashSet<String>, Trouble> {
    let attributes = vec!["supportedControl"];
    let mut stream = ldap
        .streaming_search("", Scope::Base, "(objectClass=*)", attributes)
        .await?;
    let mut controls = HashSet::new();
    while let Some(raw) = stream.next().await? {
        let Some(entry) = search::Entry::parse(raw) else {
            continue;
        };
        let values = entry
            .attributes
            .into_iter()
            .flat_map(|attribute| attribute.values);
        controls.extend(values.filter_map(|value| String::from_utf8(value).ok()));
    }
    stream.finish().await;
    Ok(controls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::secret::{Credentials, SecretError};

    fn refused(url: &str, secret: &[(&str, &str)]) -> SetupError {
        let secret = secret
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()));
        let login = Login::new(&Credentials::from_data(secret, "1"));
        login
            .and_then(|login| Sessions::new(url, login, &Dialer::trusted()))
            .expect_err("it must be refused")
    }

    #[test]
    fn a_login_that_would_be_anonymous_is_refused() {
        let missing = |key: &str| SetupError::Secret(SecretError::Missing(key.to_owned()));
        assert_eq!(
            refused("ldaps://dc1", &[("username", "cn=svc"), ("password", "")]),
            missing("password")
        );
        assert_eq!(
            refused("ldaps://dc1", &[("password", "secret")]),
            missing("username")
        );
    }

    #[test]
    fn only_ldap_over_tcp_is_spoken() {
        let login = [("username", "cn=svc"), ("password", "secret")];
        assert_eq!(refused("ldapi://socket", &login), SetupError::Field("ldap.url"));
        assert_eq!(refused("dc1:636", &login), SetupError::Field("ldap.url"));
    }

    #[test]
    fn authorities_that_are_no_certificates_are_refused() {
        let login = [
            ("username", "cn=svc"),
            ("password", "secret"),
            ("ca.crt", "nonsense"),
        ];
        assert_eq!(refused("ldaps://dc1", &login), SetupError::Trust);
    }
}
