//! How a person's programme logs in to the directory: by a bind, and nothing of the connectors'.

use std::{io, sync::Arc, time::Duration};

use ldap3::{Ldap, LdapConnAsync, LdapConnSettings};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};

const DEADLINE: Duration = Duration::from_secs(5);

/// A connection that trusts only `authority` (PEM).
///
/// # Errors
/// When there is no connection.
pub async fn connect(url: &str, authority: &str) -> io::Result<Ldap> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(authority.as_bytes()).map_err(io::Error::other)?;
    roots.add(certificate).map_err(io::Error::other)?;
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let settings = LdapConnSettings::new()
        .set_conn_timeout(DEADLINE)
        .set_config(Arc::new(config));
    let (connection, ldap) = LdapConnAsync::with_settings(settings, url)
        .await
        .map_err(io::Error::other)?;
    ldap3::drive!(connection);
    Ok(ldap)
}

/// Whether `dn` gets in with `password`. Any answer but yes or "invalid credentials" proves nothing and is an error.
///
/// # Errors
/// When the directory gives no such answer.
pub async fn admitted(url: &str, authority: &str, dn: &str, password: &str) -> io::Result<bool> {
    let mut ldap = connect(url, authority).await?;
    let answer = ldap
        .with_timeout(DEADLINE)
        .simple_bind(dn, password)
        .await
        .map_err(io::Error::other)?;
    match answer.rc {
        0 => Ok(true),
        49 => Ok(false),
        code => Err(io::Error::other(format!(
            "the directory answered {code} to a bind"
        ))),
    }
}
