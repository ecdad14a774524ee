//! What directories and databases are logged in to with.

use crate::transport::{
    SetupError,
    secret::{Credentials, Secret},
    tls,
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
        login.ca.as_ref().map(tls::authorities).transpose()?;
        Ok(login)
    }
}
