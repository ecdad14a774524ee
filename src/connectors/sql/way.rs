//! The way of the library to a server: through a door of this machine, at which its TLS ends and ours to the server begins.
//!
//! # Why
//! sqlx takes no `rustls` configuration, and adds an authority that it is given to the public ones that are built into it.
//! What it checks therefore is the door's own certificate; the server's name and certificate are checked here, as `http` and
//! `ldap` do it. It has TLS up to the door and no plain socket because it sends some logins of MySQL
//! (`caching_sha2_password`, `sha256_password`) over TLS only, and refuses a server without TLS by itself.

use std::{
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::{
    FutureExt,
    future::{Either, select},
};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{Engine, Failure, LONGEST, Server};
use crate::{
    core::fault::{Fault, FaultKind, Reason},
    transport::{
        SetupError,
        dial::Dialer,
        relay::{Door, Meter, carry},
        tls::{self, Inside},
        unreachable::{NOT_TLS, unreachable},
    },
};

/// Where a server is, and who proves to be it.
#[derive(Debug, Clone)]
pub(super) struct Way {
    host: String,
    port: u16,
    usual: u16,
    name: ServerName<'static>,
    tls: Arc<ClientConfig>,
    dialer: Dialer,
}

impl Way {
    /// The way to a server whose protocol has the port `usual`.
    ///
    /// # Errors
    /// When its host can have no certificate, or nobody is trusted to have signed one.
    pub(super) fn new(server: &Server<'_>, usual: u16) -> Result<Self, SetupError> {
        let name = server.host.trim_matches(['[', ']']).to_owned();
        Ok(Self {
            host: server.host.to_owned(),
            port: server.port,
            usual,
            name: ServerName::try_from(name).map_err(|_| SetupError::Field("sql.host"))?,
            tls: tls::client(server.login.ca.as_ref())?,
            dialer: server.dialer.clone(),
        })
    }

    /// Leads whoever enters `door`, which `connect` does, to the server.
    ///
    /// # Errors
    /// Why there is no server behind it, or what `connect` failed by.
    pub(super) async fn lead<E: Engine>(
        &self,
        door: Door,
        meter: &Meter,
        connect: impl Future<Output = Result<E::Connection, sqlx::Error>> + Send,
    ) -> Result<E::Connection, Failure> {
        let server = self.dialer.connect(&self.host, self.port, self.usual).await?;
        let proven = Arc::new(AtomicBool::new(false));
        let passage = self
            .clone()
            .passage::<E>(door, server, meter.clone(), proven.clone());
        let connected = match select(pin!(connect), Box::pin(passage)).await {
            Either::Left((Ok(connection), passage)) => {
                // Its end is the connection's, which sees it.
                tokio::spawn(passage.map(drop));
                return Ok(connection);
            }
            Either::Left((failed, _)) => failed,
            Either::Right((Err(fault), _)) => return Err(fault.into()),
            // The server has ended it; its last words are still to be read.
            Either::Right((Ok(()), connect)) => connect.await,
        };
        let not_tls = Fault::transient(Reason::Unreachable).with_code(NOT_TLS);
        connected.map_err(|error| match error {
            // That of the door never fails.
            sqlx::Error::Tls(_) => not_tls.into(),
            // Anybody may have said it: that it is busy at most, which passes.
            sqlx::Error::Database(error) if !proven.load(Ordering::Acquire) => {
                let fault = E::judge(&*error, None).1;
                let passes = matches!(fault.kind, FaultKind::Transient);
                if passes { fault } else { not_tls }.into()
            }
            error => error.into(),
        })
    }

    /// Carries between who enters and a server that has proven who it is. Nothing goes out in clear but the wish for TLS.
    /// From when on that is, `proven` says.
    async fn passage<E: Engine>(
        self,
        door: Door,
        mut server: TcpStream,
        meter: Meter,
        proven: Arc<AtomicBool>,
    ) -> Result<(), Fault> {
        let broken = |error: io::Error| unreachable(&error);
        let mut library = door.enter().await.map_err(broken)?;
        if !E::begin_tls(&mut library, &mut server).await.map_err(broken)? {
            return Ok(());
        }
        let server = TlsConnector::from(self.tls).connect(self.name, server).await;
        let server = server.map_err(broken)?;
        proven.store(true, Ordering::Release);
        let inside = TlsAcceptor::from(Inside::get().server.clone());
        let library = inside.accept(library).await.map_err(broken)?;
        carry::<E::Messages, _, _>(server, library, &meter, LONGEST).await;
        Ok(())
    }
}
