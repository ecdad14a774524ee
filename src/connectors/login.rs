//! What directories and databases are logged in to with.

use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::transport::{
    SetupError,
    secret::{Credentials, Secret},
};

/// User name, password and trusted authorities. Its `Debug` shows none of them.
#[derive(Debug)]
pub(super) struct Login {
    pub username: Secret,
    pub password: Secret,
    /// PEM; none: the authorities of the machine.
    pub ca: Option<Secret>,
}

impl Login {
    /// From the keys `username`, `password` and `ca.crt` of a Secret. Neither name nor password is ever empty: a simple bind
    /// of LDAP with an empty password succeeds as *anonymous* (RFC 4513, section 5.1.2).
    pub(super) fn new(credentials: &Credentials) -> Result<Self, SetupError> {
        let login = Self {
            username: credentials.get("username")?.clone(),
            password: credentials.get("password")?.clone(),
            ca: credentials.optional("ca.crt")?.cloned(),
        };
        login.authorities()?;
        Ok(login)
    }

    /// The certificates of the authorities to trust; none: those of the machine.
    pub(super) fn authorities(&self) -> Result<Option<Vec<CertificateDer<'static>>>, SetupError> {
        let Some(ca) = &self.ca else { return Ok(None) };
        let certificates =
            CertificateDer::pem_slice_iter(ca.expose().as_bytes()).collect::<Result<Vec<_>, _>>();
        match certificates {
            Ok(found) if !found.is_empty() => Ok(Some(found)),
            _ => Err(SetupError::Trust),
        }
    }
}
