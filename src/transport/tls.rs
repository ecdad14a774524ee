//! Whom a TLS connection trusts: the authorities of a Secret alone, else those of the machine.

use std::{
    fmt,
    sync::{Arc, LazyLock, OnceLock},
};

use rcgen::CertifiedKey;
use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, ServerConfig, WantsVerifier,
    client::WantsClientCert,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use rustls_platform_verifier::BuilderVerifierExt;

use super::{SetupError, secret::Secret};

/// The certificates in PEM of `ca.crt`, at least one.
///
/// # Errors
/// [`SetupError::Trust`] when there is none, or something that is none.
pub fn authorities(pem: &Secret) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let found = CertificateDer::pem_slice_iter(pem.expose().as_bytes()).collect::<Result<Vec<_>, _>>();
    found
        .ok()
        .filter(|found| !found.is_empty())
        .ok_or(SetupError::Trust)
}

/// A client that checks the server's name, and its certificate against `trust` (PEM) alone, or against the machine's authorities.
///
/// # Errors
/// [`SetupError::Trust`] when `trust` holds no certificates, [`SetupError::Platform`] when the machine has no authorities.
pub fn client(trust: Option<&Secret>) -> Result<Arc<ClientConfig>, SetupError> {
    let Some(trust) = trust else { return machine() };
    let mut roots = RootCertStore::empty();
    for certificate in authorities(trust)? {
        roots.add(certificate).map_err(|_| SetupError::Trust)?;
    }
    Ok(without_certificate(builder()?.with_root_certificates(roots)))
}

/// A client that trusts nobody, for where nothing is encrypted.
///
/// # Errors
/// [`SetupError::Platform`] when there is no cryptography.
pub fn client_of_nobody() -> Result<Arc<ClientConfig>, SetupError> {
    Ok(without_certificate(
        builder()?.with_root_certificates(RootCertStore::empty()),
    ))
}

/// Trust in the machine's authorities. They are read once and shared by all clients: there are some 150, and reading them
/// for each connector would cost more time and memory than all the rest of it.
fn machine() -> Result<Arc<ClientConfig>, SetupError> {
    static MACHINE: OnceLock<Result<Arc<ClientConfig>, SetupError>> = OnceLock::new();
    let read = || {
        let verified = builder()?.with_platform_verifier();
        Ok(without_certificate(verified.map_err(|_| SetupError::Platform)?))
    };
    MACHINE.get_or_init(read).clone()
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, SetupError> {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| SetupError::Platform)
}

fn without_certificate(builder: ConfigBuilder<ClientConfig, WantsClientCert>) -> Arc<ClientConfig> {
    Arc::new(builder.with_no_client_auth())
}

/// Who this process is towards a library in it that speaks TLS to a [`super::relay::Door`]. The key never leaves the process.
pub struct Inside {
    /// The certificate, PEM: the only one that the library has to trust.
    pub certificate: String,
    /// The server's side.
    pub server: Arc<ServerConfig>,
}

impl fmt::Debug for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inside(..)")
    }
}

impl Inside {
    /// The name in the certificate. No name server knows it (RFC 6761).
    pub const NAME: &str = "door.invalid";

    /// The one of this process.
    pub fn get() -> &'static Self {
        static INSIDE: LazyLock<Inside> =
            LazyLock::new(|| Inside::new().expect("a key of a usual kind is usable"));
        &INSIDE
    }

    fn new() -> Option<Self> {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed([Self::NAME.to_owned()]).ok()?;
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).ok()?;
        let server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .ok()?
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .ok()?;
        Some(Self {
            certificate: cert.pem(),
            server: Arc::new(server),
        })
    }
}
