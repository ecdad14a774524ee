//! One connection to one server: opened when it is needed, shared by all requests, closed when it is idle.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex as Short;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout_at},
};

use crate::{
    core::fault::{Fault, Reason},
    transport::ssh::{Login, Server, Sftp},
};

/// For how long a refused login is not tried again. Servers lock an account, or an address, after a few wrong tries, and all
/// leavers share this one login.
const REFUSED_FOR: Duration = Duration::from_mins(1);

/// An idle connection is closed after this long.
const IDLE: Duration = Duration::from_mins(1);

/// The current connection to one server, if any.
#[derive(Debug)]
pub(super) struct Sessions {
    server: Server,
    login: Login,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    session: Option<Arc<Session>>,
    refused: Option<(Instant, Fault)>,
}

/// A connection, and how it is used.
#[derive(Debug)]
struct Session {
    sftp: Sftp,
    users: AtomicUsize,
    used: Short<Instant>,
}

/// A connection for one request.
#[derive(Debug)]
pub(super) struct Lease {
    session: Arc<Session>,
    state: Arc<Mutex<State>>,
}

impl Sessions {
    pub(super) fn new(server: Server, login: Login) -> Self {
        Self {
            server,
            login,
            state: Arc::default(),
        }
    }

    /// The current connection, or a new one. Others wait for one that is being opened instead of opening their own.
    pub(super) async fn lease(&self, deadline: Instant) -> Result<Lease, Fault> {
        let unreachable = |_| Fault::transient(Reason::Unreachable);
        let mut state = timeout_at(deadline, self.state.lock())
            .await
            .map_err(unreachable)?;
        if let Some(session) = &state.session
            && !session.sftp.is_closed()
        {
            return Ok(self.lend(session));
        }
        if let Some((since, fault)) = &state.refused
            && since.elapsed() < REFUSED_FOR
        {
            return Err(fault.clone());
        }
        state.session = None;
        let patience = deadline.saturating_duration_since(Instant::now());
        let opened = timeout_at(deadline, Sftp::open(&self.server, &self.login, patience)).await;
        let opened = opened.map_err(unreachable)?;
        if let Err(fault) = &opened
            && fault.reason == Reason::CredentialRejected
        {
            state.refused = Some((Instant::now(), fault.clone()));
        }
        let session = Arc::new(Session {
            sftp: opened?,
            users: AtomicUsize::new(0),
            used: Short::new(Instant::now()),
        });
        let lease = self.lend(&session);
        state.session = Some(session);
        Ok(lease)
    }

    fn lend(&self, session: &Arc<Session>) -> Lease {
        session.users.fetch_add(1, Ordering::SeqCst);
        Lease {
            session: session.clone(),
            state: self.state.clone(),
        }
    }
}

impl Lease {
    pub(super) fn sftp(&self) -> &Sftp {
        &self.session.sftp
    }

    /// Lets the next request open a new connection. Requests that are on this one may still end.
    pub(super) async fn discard(&self) {
        forget(&self.state, &self.session).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        *self.session.used.lock() = Instant::now();
        if self.session.users.fetch_sub(1, Ordering::SeqCst) > 1 {
            return;
        }
        // Neither is kept alive by waiting: with the driver its connection ends.
        let (session, state) = (Arc::downgrade(&self.session), Arc::downgrade(&self.state));
        tokio::spawn(async move {
            sleep(IDLE).await;
            let (Some(session), Some(state)) = (session.upgrade(), state.upgrade()) else {
                return;
            };
            let idle = session.users.load(Ordering::SeqCst) == 0 && session.used.lock().elapsed() >= IDLE;
            if idle && forget(&state, &session).await {
                session.sftp.close().await;
            }
        });
    }
}

/// Takes the session out, if it is still the current one and nobody uses it any more.
async fn forget(state: &Mutex<State>, session: &Arc<Session>) -> bool {
    let mut state = state.lock().await;
    let current = state
        .session
        .as_ref()
        .is_some_and(|now| Arc::ptr_eq(now, session));
    if current {
        state.session = None;
    }
    current
}
