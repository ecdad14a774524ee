//! A few connections to each database of one server, opened on demand and closed when they are idle.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use sqlx::Connection;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout_at},
};

use super::{Engine, Failure, LARGEST};
use crate::{
    core::fault::{Fault, Reason},
    transport::{memory::Reservation, relay::Meter, unreachable::unreachable},
};

/// Connections at the same time to one database.
const MOST: usize = 4;

/// What may come on a connection that nobody uses, in bytes: notices, changed settings, the answer to a ping.
const UNASKED: usize = 64 << 10;

/// An idle connection is closed after this long.
const IDLE: Duration = Duration::from_mins(1);

/// An idle connection is asked whether it is still there if it was not used for this long.
const TRUSTED: Duration = Duration::from_millis(500);

/// The connections to one server, by database.
pub(super) struct Pools<E: Engine> {
    engine: E,
    pools: Mutex<HashMap<Option<String>, Arc<Pool<E>>>>,
}

struct Pool<E: Engine> {
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<(Metered<E>, Instant)>>,
}

/// A connection, and the meter on it.
struct Metered<E: Engine> {
    connection: E::Connection,
    meter: Meter,
}

/// A connection for one statement. Dropping it closes the connection; [`Lease::give_back`] keeps it.
pub(super) struct Lease<E: Engine> {
    metered: Metered<E>,
    pool: Arc<Pool<E>>,
    _permit: OwnedSemaphorePermit,
}

impl<E: Engine> fmt::Debug for Pools<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pools(..)")
    }
}

impl<E: Engine> Pools<E> {
    pub(super) fn new(engine: E) -> Self {
        Self {
            engine,
            pools: Mutex::default(),
        }
    }

    /// A connection to `database`, kept or new.
    pub(super) async fn lease(&self, database: Option<&str>, deadline: Instant) -> Result<Lease<E>, Fault> {
        let pool = Arc::clone(self.pools.lock().entry(database.map(str::to_owned)).or_default());
        let permit = timeout_at(deadline, Arc::clone(&pool.permits).acquire_owned()).await;
        let Ok(Ok(permit)) = permit else {
            return Err(Fault::transient(Reason::Timeout));
        };
        let metered = if let Some(metered) = pool.living(deadline).await {
            metered
        } else {
            let meter = Meter::default();
            meter.begin(LARGEST, deadline).await;
            let connection = match timeout_at(deadline, self.engine.open(database, &meter)).await {
                Ok(opened) => opened.map_err(not_opened::<E>)?,
                Err(_) => return Err(Fault::transient(Reason::Unreachable)),
            };
            Metered { connection, meter }
        };
        metered.meter.begin(LARGEST, deadline).await;
        Ok(Lease {
            metered,
            pool,
            _permit: permit,
        })
    }
}

impl<E: Engine> Default for Pool<E> {
    fn default() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(MOST)),
            idle: Mutex::default(),
        }
    }
}

impl<E: Engine> Pool<E> {
    /// The idle connection that was used last and still works. Those that do not are closed.
    async fn living(&self, deadline: Instant) -> Option<Metered<E>> {
        loop {
            let (mut metered, used) = self.idle.lock().pop()?;
            if used.elapsed() < TRUSTED
                || matches!(timeout_at(deadline, metered.connection.ping()).await, Ok(Ok(())))
            {
                return Some(metered);
            }
        }
    }

    /// Takes out what was idle for long.
    fn expired(&self) -> Vec<E::Connection> {
        let mut idle = self.idle.lock();
        let (old, young): (Vec<_>, Vec<_>) = idle.drain(..).partition(|(_, used)| used.elapsed() >= IDLE);
        *idle = young;
        old.into_iter().map(|(metered, _)| metered.connection).collect()
    }
}

impl<E: Engine> Lease<E> {
    pub(super) fn connection(&mut self) -> &mut E::Connection {
        &mut self.metered.connection
    }

    /// Counts what comes on it.
    pub(super) fn meter(&self) -> Meter {
        self.metered.meter.clone()
    }

    /// Keeps the connection for the next statement, and hands over the memory that is counted for what came.
    pub(super) async fn give_back(self) -> Reservation {
        let memory = self.metered.meter.end(UNASKED).await;
        self.pool.idle.lock().push((self.metered, Instant::now()));
        let pool = Arc::downgrade(&self.pool);
        tokio::spawn(async move {
            sleep(IDLE).await;
            let expired = pool.upgrade().map(|pool| pool.expired()).unwrap_or_default();
            for connection in expired {
                // The server is told, so that it does not log a lost connection; whether it hears it does not matter.
                drop(connection.close().await);
            }
        });
        memory
    }
}

fn not_opened<E: Engine>(failure: Failure) -> Fault {
    match failure {
        Failure::Fault(fault) => fault,
        Failure::Sql(sqlx::Error::Database(error)) => E::judge(&*error, None).1,
        Failure::Sql(sqlx::Error::Configuration(_)) => Fault::permanent(Reason::ConnectorNotReady),
        // Network or TLS. The error's own text is not used.
        Failure::Sql(error) => unreachable(&error),
    }
}
