//! Sockets, TLS, logins, limits and secrets: the only place where credentials are in clear.
//!
//! Knows protocols of the wire only: what an answer means is decided by the drivers in [`crate::connectors`].

pub mod assertion;
pub mod callback;
pub mod destination;
pub mod dial;
pub mod egress;
pub mod http;
pub mod limit;
pub mod memory;
pub mod oauth;
pub mod relay;
pub mod secret;
pub mod signature;
pub mod ssh;
pub mod tls;
pub mod trust;
pub mod unreachable;

use std::sync::{Arc, Once};

use jiff::Timestamp;

use self::{
    destination::{DEFINITIONS, HOSTS},
    secret::{DEFINITIONS_FILE, HOSTS_FILE, SecretError},
};

/// Tells the time. Injected, so that expiry and throttling can be tested without waiting.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The clock of the machine.
pub fn system_clock() -> Clock {
    Arc::new(Timestamp::now)
}

/// Why a connection cannot even be set up. The text is fit for the condition of a Connector: it names keys and
/// fields, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The Secret does not have what is needed.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The authorities to trust cannot be read.
    #[error("secret key \"ca.crt\" holds no PEM certificates")]
    Trust,
    /// The platform's own authorities cannot be loaded.
    #[error(
        "the platform's trusted authorities cannot be loaded; put the system's authority into secret key \"ca.crt\""
    )]
    Platform,
    /// The private key cannot be used for signing.
    #[error("secret key {0:?} holds no RSA or P-256 private key in PEM (PKCS#8, or PKCS#1 for RSA)")]
    PrivateKey(String),
    /// The Secret does not say that what is in it may go there.
    #[error(
        "the credentials may not go to {0}: if that is right, add to the Secret the annotation {HOSTS}: \"{0}\", or without \
         a cluster these lines to the file secrets/NAME/{HOSTS_FILE}"
    )]
    Destination(String),
    /// The Secret does not say that the definition may use it.
    #[error(
        "spec.definition: {0} is not built in and may not use the credentials: if it is right, add to the Secret the \
         annotation {DEFINITIONS}: \"{0}\", or without a cluster a line to the file secrets/NAME/{DEFINITIONS_FILE}"
    )]
    DefinitionNotNamed(String),
    /// The address is closed for everybody.
    #[error(
        "{field}: nothing may connect to an address that is {why}: if a system is there, open its network with --allow-egress (chart: \
         egress.allow)"
    )]
    Closed {
        /// The field of the definition.
        field: &'static str,
        /// The word for the network.
        why: &'static str,
    },
    /// What is sent could be read on the way.
    #[error(
        "{0}: it is not encrypted: use https://, or spec.insecure: true if everybody on the way may read the credentials"
    )]
    Plain(&'static str),
    /// Whoever installed the operator does not allow it.
    #[error("{0}: {1:?} is not allowed here: add it to the chart's {2}, if it is right")]
    NotAllowed(&'static str, String, &'static str),
    /// The key for SSH cannot be used.
    #[error(
        "secret key \"privateKey\" holds no private key for SSH, or secret key \"passphrase\" does not open it"
    )]
    SshKey,
    /// No host key is pinned.
    #[error("no host key of the server is pinned: {0}")]
    HostKeys(&'static str),
    /// The key cannot be used for signing requests.
    #[error("secret key {0:?} is no signing key: whsec_ and base64, or another text, of at least 24 bytes")]
    SigningKey(String),
    /// A field of the driver's section is not what it must be.
    #[error("{0} is not valid")]
    Field(&'static str),
}

/// Chooses the TLS implementation for the whole process. Called by everything here that opens a TLS connection.
pub fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that the process has chosen already, which is as good.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    });
}
