//! User name, password and trusted authorities of a directory or a database.

use std::fmt;

use rustls::pki_types::{CertificateDer, pem::PemObject};
use zeroize::Zeroizing;

/// What a driver logs in with. Its `Debug` shows nothing.
#[derive(Clone)]
pub struct Login {
    pub(super) username: String,
    pub(super) password: Zeroizing<String>,
    pub(super) ca: Option<Vec<u8>>,
}

impl Login {
    /// A login with the authorities to trust, in PEM; none: those of the machine.
    pub fn new(username: impl Into<String>, password: impl Into<String>, ca: Option<Vec<u8>>) -> Self {
        Self {
            username: username.into(),
            password: Zeroizing::new(password.into()),
            ca,
        }
    }

    /// Whether the authorities, if any are given, are at least one certificate and nothing else.
    pub(super) fn authorities_are_certificates(&self) -> bool {
        let Some(ca) = &self.ca else { return true };
        let mut certificates = CertificateDer::pem_slice_iter(ca).peekable();
        certificates.peek().is_some() && certificates.all(|certificate| certificate.is_ok())
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(..)")
    }
}
