//! The company's own certificate authority, made at start and kept in memory. Good for loopback only.

use std::{io, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

/// A server's side of TLS, and what a client must trust to speak to it.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The authority's certificate, in PEM.
    pub authority: String,
    /// For the listener; its certificate is for `localhost` and `127.0.0.1`.
    pub server: Arc<ServerConfig>,
}

impl Tls {
    /// Makes a new authority and one certificate signed by it.
    ///
    /// # Errors
    /// When the cryptographic library refuses.
    pub fn new() -> io::Result<Self> {
        let mut authority = CertificateParams::default();
        authority
            .distinguished_name
            .push(rcgen::DnType::CommonName, "Acme demo authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, key()?).map_err(io::Error::other)?;
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let server_key = key()?;
        let certificate = CertificateParams::new(names)
            .and_then(|params| params.signed_by(&server_key, &authority))
            .map_err(io::Error::other)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
        let server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .map_err(io::Error::other)?;
        Ok(Self {
            authority: authority.pem(),
            server: Arc::new(server),
        })
    }
}

fn key() -> io::Result<KeyPair> {
    KeyPair::generate().map_err(io::Error::other)
}
