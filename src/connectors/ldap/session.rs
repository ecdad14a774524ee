//! One connection: opened, encrypted, bound; replaced when it breaks.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, Scope};
use rustls::{ClientConfig, RootCertStore};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::{Instant, timeout_at},
};

use super::{
    super::login::Login,
    result::{Refusal, Trouble},
    search,
};
use crate::{
    core::fault::{Fault, Reason},
    transport::{SetupError, unreachable::unreachable},
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
}

/// The current connection to one server, if any.
#[derive(Debug)]
pub(super) struct Sessions {
    url: String,
    login: Login,
    tls: Arc<ClientConfig>,
    opened: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    session: Option<Session>,
    refused: Option<(Instant, Fault)>,
}

impl Sessions {
    pub(super) fn new(url: &str, login: Login) -> Result<Self, SetupError> {
        let scheme = url
            .split_once("://")
            .map(|(scheme, _)| scheme.to_ascii_lowercase());
        if !matches!(scheme.as_deref(), Some("ldap" | "ldaps")) {
            return Err(SetupError::Field("ldap.url"));
        }
        Ok(Self {
            url: url.to_owned(),
            tls: tls(&login)?,
            login,
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
        let settings = LdapConnSettings::new()
            .set_config(Arc::clone(&self.tls))
            .set_starttls(true);
        let opened = LdapConnAsync::with_settings(settings, &self.url).await;
        let (connection, mut ldap) = opened.map_err(|error| not_opened(&error))?;
        // Its end is seen by everybody who holds a handle.
        tokio::spawn(async move { connection.drive().await.is_ok() });
        // The library only ever hands out an encrypted connection for these settings. A password is worth a second look.
        if !matches!(ldap.get_peer_certificate().await, Ok(Some(_))) {
            return Err(Fault::permanent(Reason::Refused).with_code("no TLS"));
        }
        let bound = ldap
            .simple_bind(self.login.username.expose(), self.login.password.expose())
            .await;
        let bound = bound.map_err(|_| Fault::transient(Reason::Unreachable))?;
        Refusal::check(&bound).map_err(|refusal| refusal.login_fault())?;
        let controls = controls(&mut ldap).await.map_err(|trouble| match trouble {
            Trouble::Refused(refusal) => refusal.fault(),
            Trouble::Fault(fault) => fault,
            Trouble::Lost(_) => Fault::transient(Reason::Unreachable),
        })?;
        Ok(Session {
            ldap,
            number: self.opened.fetch_add(1, Ordering::Relaxed),
            controls: Arc::new(controls),
            paging: Arc::default(),
        })
    }
}

fn not_opened(error: &LdapError) -> Fault {
    match error {
        // StartTLS refused. Going on in clear text is not an option.
        LdapError::LdapResult { result } => match Refusal::check(result) {
            Err(refusal) => refusal.fault(),
            Ok(()) => Fault::transient(Reason::Unreachable),
        },
        LdapError::UrlParsing { .. } | LdapError::DNSName { .. } | LdapError::UnknownScheme(_) => {
            Fault::permanent(Reason::ConnectorNotReady).with_code("url")
        }
        _ => unreachable(error),
    }
}

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

/// Checks the server's certificate and host name against the login's authorities alone, or against the machine's.
fn tls(login: &Login) -> Result<Arc<ClientConfig>, SetupError> {
    let mut roots = RootCertStore::empty();
    if let Some(authorities) = login.authorities()? {
        for certificate in authorities {
            roots.add(certificate).map_err(|_| SetupError::Trust)?;
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if roots.is_empty() {
        return Err(SetupError::Platform);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|_| SetupError::Platform)?;
    Ok(Arc::new(
        builder.with_root_certificates(roots).with_no_client_auth(),
    ))
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
            .and_then(|login| Sessions::new(url, login))
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
