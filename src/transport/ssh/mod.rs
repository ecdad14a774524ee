//! SSH: a connection to a server whose key is pinned, logged in, with an SFTP session on it.
//!
//! # Why the key comes first
//! The server's key is checked in the key exchange, before anything about us is sent: not even the user name is told to a
//! server that is not trusted.

mod host_keys;
pub mod signers;

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use russh::{
    AlgorithmKind, ChannelMsg, Disconnect, Preferred,
    client::{self, AuthResult, Handle},
    keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate, decode_secret_key},
};
use russh_sftp::client::{Config as SftpConfig, RawSftpSession};

pub use self::host_keys::{HostKeys, Refused};
use super::{
    SetupError,
    dial::Dialer,
    secret::{Credentials, Secret},
};
use crate::core::fault::{Fault, Reason};

/// The usual port of the protocol.
pub const PORT: u16 = 22;

/// A connection on which nothing came for so long is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// What a server knows us by.
pub struct Login {
    username: Secret,
    key: Option<Arc<PrivateKey>>,
    password: Option<Secret>,
}

/// Shows nothing of it.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(..)")
    }
}

impl Login {
    /// From the keys `username` and `privateKey` (with `passphrase`) or `password` of a Secret, or both.
    ///
    /// # Errors
    /// When there is neither, or the key cannot be read.
    pub fn new(credentials: &Credentials) -> Result<Self, SetupError> {
        let username = credentials.get("username")?.clone();
        let passphrase = credentials.optional("passphrase")?.map(Secret::expose);
        let key = match credentials.optional("privateKey")? {
            Some(key) => {
                let key = decode_secret_key(key.expose(), passphrase).map_err(|_| SetupError::SshKey)?;
                Some(Arc::new(key))
            }
            None => None,
        };
        let password = match &key {
            Some(_) => credentials.optional("password")?.cloned(),
            None => Some(credentials.get("password")?.clone()),
        };
        Ok(Self {
            username,
            key,
            password,
        })
    }
}

/// Where a server is, and how to tell that it is the one.
#[derive(Debug)]
pub struct Server {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Its keys.
    pub keys: Arc<HostKeys>,
    /// What connects to it.
    pub dialer: Dialer,
}

/// A connection that is logged in, with one SFTP session on it. Closed when it is dropped.
pub struct Sftp {
    /// The session; many requests may be on their way at the same time.
    pub session: RawSftpSession,
    /// What the server can do beyond version 3 of the protocol.
    pub extensions: BTreeSet<String>,
    handle: Handle<Keeper>,
}

impl fmt::Debug for Sftp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sftp")
            .field("extensions", &self.extensions)
            .finish_non_exhaustive()
    }
}

impl Sftp {
    /// Connects, checks the server's key, logs in and opens the session. Answers to a request are waited for no longer than
    /// `patience`.
    ///
    /// # Errors
    /// `Untrusted` when the server's key is not a pinned one; nothing about us was sent then. `CredentialRejected` when the
    /// login is refused. `Transient` without a connection.
    pub async fn open(server: &Server, login: &Login, patience: Duration) -> Result<Self, Fault> {
        let config = client::Config {
            preferred: Preferred {
                key: server.keys.algorithms().into(),
                ..Preferred::DEFAULT
            },
            keepalive_interval: Some(KEEPALIVE),
            nodelay: true,
            ..client::Config::default()
        };
        let socket = server.dialer.connect(&server.host, server.port, PORT).await?;
        let keeper = Keeper(server.keys.clone());
        let connected = client::connect_stream(Arc::new(config), socket, keeper).await;
        let mut handle = connected.map_err(|failure| failure.fault())?;
        prove(&mut handle, login).await?;
        let session = subsystem(&handle, patience).await?;
        let version = session
            .init()
            .await
            .map_err(|_| Fault::transient(Reason::Unreachable))?;
        Ok(Self {
            session,
            extensions: version.extensions.into_keys().collect(),
            handle,
        })
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Tells the server that the connection ends; whether it hears it does not matter.
    pub async fn close(&self) {
        drop(self.handle.disconnect(Disconnect::ByApplication, "", "").await);
    }
}

/// Watches over the server's key.
struct Keeper(Arc<HostKeys>);

/// Why there is no connection.
#[derive(Debug)]
enum Failure {
    HostKey(Refused),
    Ssh(russh::Error),
}

impl From<russh::Error> for Failure {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

impl client::Handler for Keeper {
    type Error = Failure;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Failure> {
        match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => {
                self.0.check(key).map(|()| true).map_err(Failure::HostKey)
            }
            // Never asked for.
            PublicKeyOrCertificate::Certificate(_) => Ok(false),
        }
    }
}

impl Failure {
    /// The error's own text is not used.
    fn fault(&self) -> Fault {
        let untrusted = |code| Fault::needs_decision(Reason::Untrusted).with_code(code);
        match self {
            Self::HostKey(Refused(why)) => untrusted(*why),
            Self::Ssh(error) => match error {
                russh::Error::NoCommonAlgo {
                    kind: AlgorithmKind::Key,
                    ..
                } => untrusted("host key of another kind"),
                russh::Error::UnknownKey | russh::Error::WrongServerSig => untrusted("host key not proven"),
                russh::Error::NoCommonAlgo { .. } => {
                    Fault::permanent(Reason::ConnectorNotReady).with_code("ssh algorithms")
                }
                _ => Fault::transient(Reason::Unreachable),
            },
        }
    }
}

/// Logs in: with the key first, and with the password where the server wants one (too).
async fn prove(handle: &mut Handle<Keeper>, login: &Login) -> Result<(), Fault> {
    let lost = |_| Fault::transient(Reason::Unreachable);
    let username = login.username.expose();
    let mut refused = "no way to log in";
    if let Some(key) = &login.key {
        let hash = if key.algorithm().is_rsa() {
            let told = handle.best_supported_rsa_hash().await.map_err(lost)?;
            told.unwrap_or(Some(HashAlg::Sha256))
        } else {
            None
        };
        let key = PrivateKeyWithHashAlg::new(key.clone(), hash);
        let answer = handle.authenticate_publickey(username, key).await;
        match answer.map_err(lost)? {
            AuthResult::Success => return Ok(()),
            AuthResult::Failure { .. } => refused = "publickey",
        }
    }
    if let Some(password) = &login.password {
        let answer = handle.authenticate_password(username, password.expose()).await;
        match answer.map_err(lost)? {
            AuthResult::Success => return Ok(()),
            AuthResult::Failure { .. } => refused = "password",
        }
    }
    Err(Fault::permanent(Reason::CredentialRejected).with_code(refused))
}

async fn subsystem(handle: &Handle<Keeper>, patience: Duration) -> Result<RawSftpSession, Fault> {
    let refused = || Fault::permanent(Reason::PermissionDenied).with_code("sftp subsystem");
    let mut channel = match handle.channel_open_session().await {
        Ok(channel) => channel,
        Err(russh::Error::ChannelOpenFailure(_)) => return Err(refused()),
        Err(_) => return Err(Fault::transient(Reason::Unreachable)),
    };
    let asked = channel.request_subsystem(true, "sftp").await;
    asked.map_err(|_| Fault::transient(Reason::Unreachable))?;
    loop {
        match channel.wait().await {
            Some(ChannelMsg::Success) => break,
            Some(ChannelMsg::Failure | ChannelMsg::Close | ChannelMsg::Eof) => return Err(refused()),
            Some(_) => {}
            None => return Err(Fault::transient(Reason::Unreachable)),
        }
    }
    let config = SftpConfig {
        // The caller's own deadline is sooner.
        request_timeout_secs: patience.as_secs() + 5,
        ..SftpConfig::default()
    };
    Ok(RawSftpSession::new_with_config(channel.into_stream(), config))
}
