//! The SQL driver: one resolved statement to one database of one server, over TLS that checks the host name.
//!
//! Only one statement is ever sent, always prepared, with its values bound. Nothing of the server's texts is handed on:
//! an error is its code, with a sentence only where the definition's own program has raised it. Values of types that have no text of their own here make the read fail and name the column.
//!
//! # Why not the pool of the library
//! It waits and tries again when a server refuses connections; here a call that cannot connect says so at once (R13).

mod mysql;
mod pool;
mod postgres;
mod statement;
mod way;

use std::{io, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sqlx::{Column, ColumnIndex, Connection, Row, TypeInfo, ValueRef};
use tokio::{
    net::{TcpStream, UnixStream},
    time::{Instant, timeout_at},
};

use self::{mysql::Mysql, pool::Pools, postgres::Postgres};
use super::{
    driver::{Answer, Driver, Resolved, SqlRequest, deadline},
    json,
    login::Login,
};
use crate::{
    api::definition::{self, Dialect},
    core::{
        codes::Codes,
        fault::{Fault, Reason},
    },
    transport::{
        Clock, SetupError,
        dial::Dialer,
        limit::Limit,
        memory::Reservation,
        relay::{Messages, Meter},
        secret::Credentials,
    },
};

/// The most that one statement may bring, in bytes that the server sends, and in bytes that the rows take in memory.
const LARGEST: usize = 32 << 20;

/// The longest message of a server, a row above all, in bytes: the library makes room for all of it at once.
const LONGEST: usize = (16 << 20) - 2;

/// The largest document in one value, in bytes.
const CELL: usize = 8 << 20;

/// How long one statement may take where the definition says nothing.
const DEADLINE: Duration = Duration::from_secs(20);

/// Where a server is and how to log in.
struct Server<'a> {
    host: &'a str,
    port: u16,
    database: Option<&'a str>,
    login: &'a Login,
    deadline: Duration,
    dialer: &'a Dialer,
}

/// The usual port of a database.
pub fn usual_port(dialect: Dialect) -> u16 {
    match dialect {
        Dialect::Postgresql => postgres::PORT,
        Dialect::Mysql => mysql::PORT,
    }
}

/// Speaks SQL to one server. Shared by all leavers.
#[derive(Debug)]
pub struct SqlDriver {
    dialect: Dialect,
    client: Client,
    limit: Arc<Limit>,
    deadline: Duration,
    codes: Codes,
}

#[derive(Debug)]
enum Client {
    Postgres(Pools<Postgres>),
    Mysql(Pools<Mysql>),
}

/// What differs between databases.
trait Engine: Send + Sync + 'static {
    type Connection: Connection + Send;

    /// The messages of the server, once TLS has begun.
    type Messages: Messages;

    /// Logs in to `database` and sets the session up. `meter` counts what comes from the server.
    fn open(
        &self,
        database: Option<&str>,
        meter: &Meter,
    ) -> impl Future<Output = Result<Self::Connection, Failure>> + Send;

    /// Carries what is said in clear before TLS, byte by byte, so that nothing else of it is taken for what comes after. False:
    /// the server does not begin it, and the library, which has the answer, goes no further.
    fn begin_tls(
        library: &mut UnixStream,
        server: &mut TcpStream,
    ) -> impl Future<Output = io::Result<bool>> + Send;

    /// Sends one statement.
    fn send<'c>(
        connection: &'c mut Self::Connection,
        statement: String,
        parameters: &[Value],
    ) -> Result<BoxStream<'c, Result<Value, Failure>>, Fault>;

    /// The code of an error of the server, and what it means. `codes` are those that are shown as they are, none where it came
    /// while logging in.
    fn judge(error: &dyn sqlx::error::DatabaseError, codes: Option<&Codes>) -> (String, Fault);
}

/// Why a statement has no rows.
#[derive(Debug)]
enum Failure {
    /// The connection or the server failed.
    Sql(sqlx::Error),
    /// The rows cannot be handed on.
    Fault(Fault),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl SqlDriver {
    /// A driver from the definition's `sql` section, in which every template is resolved. Connects on first use, where `dialer`
    /// does. The
    /// deadline is for a statement and all of its rows. `limit` is the connector's own (see [`SqlDriver::limit`]).
    ///
    /// # Errors
    /// When a secret is missing, or a field is not what it must be: a host is never a socket, which has no TLS; when there is
    /// no authority to trust.
    pub fn new(
        config: &definition::SqlDriver,
        credentials: &Credentials,
        limit: Arc<Limit>,
        dialer: &Dialer,
    ) -> Result<Self, SetupError> {
        if config.host.is_empty() || config.host.contains(['/', '\0']) {
            return Err(SetupError::Field("sql.host"));
        }
        let deadline = match &config.deadline {
            Some(text) => deadline(text).ok_or(SetupError::Field("sql.deadline"))?,
            None => DEADLINE,
        };
        let port = config.port.parse().map_err(|_| SetupError::Field("sql.port"))?;
        let login = Login::new(credentials)?;
        let server = Server {
            host: &config.host,
            port,
            dialer,
            database: config.database.as_deref(),
            login: &login,
            deadline,
        };
        let client = match config.dialect {
            Dialect::Postgresql => Client::Postgres(Pools::new(Postgres::new(&server)?)),
            Dialect::Mysql => Client::Mysql(Pools::new(Mysql::new(&server)?)),
        };
        Ok(Self {
            dialect: config.dialect,
            client,
            limit,
            deadline,
            codes: Codes::default(),
        })
    }

    /// The same with codes, and sentences of programs, that are shown as they are.
    #[must_use]
    pub fn with_codes(mut self, codes: Codes) -> Self {
        self.codes = codes;
        self
    }

    /// The limits that the definition, or the connector, asks for.
    pub fn limit(config: &definition::SqlDriver, clock: Clock) -> Arc<Limit> {
        let limits = &config.limits;
        Arc::new(Limit::new(limits.requests_per_second, limits.concurrent, clock))
    }
}

#[async_trait]
impl Driver for SqlDriver {
    async fn perform(&self, request: &Resolved) -> Result<Answer, Fault> {
        let Resolved::Sql(request) = request else {
            return Err(Fault::permanent(Reason::Malformed));
        };
        if request
            .database
            .as_ref()
            .is_some_and(|name| name.is_empty() || name.contains('\0'))
        {
            return Err(Fault::permanent(Reason::Malformed).with_code("database"));
        }
        let SqlRequest {
            statement,
            identifiers,
            literals,
            ..
        } = request;
        let statement = statement::assemble(self.dialect, statement, identifiers, literals)?;
        let start = Instant::now();
        let deadline = start + self.deadline;
        let _turn = self.limit.enter(start + self.deadline / 2).await?;
        match &self.client {
            Client::Postgres(pools) => perform(pools, request, statement, deadline, &self.codes).await,
            Client::Mysql(pools) => perform(pools, request, statement, deadline, &self.codes).await,
        }
    }

    fn park(&self, until: Timestamp) {
        self.limit.park(until);
    }
}

async fn perform<E: Engine>(
    pools: &Pools<E>,
    request: &SqlRequest,
    statement: String,
    deadline: Instant,
    codes: &Codes,
) -> Result<Answer, Fault> {
    let mut lease = pools.lease(request.database.as_deref(), deadline).await?;
    let meter = lease.meter();
    let sent = async {
        let rows = E::send(lease.connection(), statement, &request.parameters)?;
        read(rows, &meter).await
    };
    // A lease that is dropped closes its connection: after anything but a clean end nobody knows what comes next on it.
    let failure = match timeout_at(deadline, sent).await {
        Ok(Ok(rows)) => {
            let memory = lease.give_back().await;
            return Ok(Answer {
                response: json!({ "code": "00000", "rows": rows }),
                value: Value::Null,
                part: Some("rows"),
                fault: None,
                date: None,
                retry_at: None,
                rows: None,
                memory,
            });
        }
        Ok(Err(failure)) => failure,
        Err(_) => return Err(Fault::unknown_outcome(Reason::Timeout)),
    };
    match failure {
        Failure::Fault(fault) => Err(fault),
        Failure::Sql(sqlx::Error::Database(error)) => {
            let (code, mut fault) = E::judge(&*error, Some(codes));
            if let Some(database) = &request.database {
                let code = format!("{} in {database}", fault.code);
                fault = fault.with_code(code);
            }
            // Kept after an ordinary refusal; not after one that ends or may end the session.
            if !matches!(fault.reason, Reason::SystemUnavailable | Reason::Timeout) {
                drop(lease.give_back().await);
            }
            Ok(Answer {
                // No `rows`: no expression may take a refusal for an empty answer.
                response: json!({ "code": code }),
                value: Value::Null,
                part: None,
                fault: Some(fault),
                date: None,
                retry_at: None,
                rows: None,
                memory: Reservation::default(),
            })
        }
        // A value that does not fit the statement; it was never sent.
        Failure::Sql(sqlx::Error::Encode(_)) => {
            Err(Fault::permanent(Reason::Malformed).with_code("parameter"))
        }
        Failure::Sql(_) if meter.is_spent() => {
            Err(Fault::unknown_outcome(Reason::Incomplete).with_code("too large"))
        }
        Failure::Sql(_) => Err(Fault::unknown_outcome(Reason::Unreachable)),
    }
}

async fn read(mut rows: BoxStream<'_, Result<Value, Failure>>, meter: &Meter) -> Result<Vec<Value>, Failure> {
    let mut found = Vec::new();
    let mut size = 0;
    while let Some(row) = rows.next().await {
        let row = row?;
        size += json::held(&row);
        if size > LARGEST {
            return Err(Failure::Fault(
                Fault::permanent(Reason::Incomplete).with_code("too large"),
            ));
        }
        meter.count(size).await?;
        found.push(row);
    }
    Ok(found)
}

/// A document in one value; none: it is none, or fuller than any.
fn cell(bytes: &[u8]) -> Option<Value> {
    json::cost(bytes, CELL).and_then(|_| json::read(bytes))
}

/// A row as an object, by the names of its columns. `decode` gives the value in the column at a place, of a type, where it
/// is not null; none: it has no text. The fault says which column, by its number, so that a definition's author can cast it:
/// the server says its name and type.
fn shaped<R: Row>(
    row: &R,
    decode: impl Fn(usize, &str) -> Result<Option<Value>, sqlx::Error>,
) -> Result<Value, Failure>
where
    usize: ColumnIndex<R>,
{
    let mut shaped = Map::new();
    for column in row.columns() {
        let raw = row.try_get_raw(column.ordinal())?;
        let type_info = raw.type_info();
        let value = if raw.is_null() {
            Value::Null
        } else {
            decode(column.ordinal(), type_info.name())?.ok_or_else(|| {
                let code = format!("column {}", column.ordinal() + 1);
                Fault::permanent(Reason::Malformed).with_code(code)
            })?
        };
        shaped.insert(column.name().to_owned(), value);
    }
    Ok(Value::Object(shaped))
}

/// A JSON value as it can be bound.
enum Parameter<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(&'a str),
}

impl<'a> Parameter<'a> {
    fn of(value: &'a Value) -> Result<Self, Fault> {
        let malformed = Fault::permanent(Reason::Malformed).with_code("parameter");
        match value {
            Value::Null => Ok(Self::Null),
            Value::Bool(value) => Ok(Self::Bool(*value)),
            Value::String(text) => Ok(Self::Text(text)),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => Ok(Self::Integer(number)),
                (None, Some(number)) if !value.is_u64() => Ok(Self::Float(number)),
                _ => Err(malformed),
            },
            Value::Array(_) | Value::Object(_) => Err(malformed),
        }
    }
}

/// Binds JSON values to a query of either database.
macro_rules! bind {
    ($query:expr, $parameters:expr) => {{
        let mut query = $query;
        for parameter in $parameters {
            query = match $crate::connectors::sql::Parameter::of(parameter)? {
                $crate::connectors::sql::Parameter::Null => query.bind(None::<String>),
                $crate::connectors::sql::Parameter::Bool(value) => query.bind(value),
                $crate::connectors::sql::Parameter::Integer(value) => query.bind(value),
                $crate::connectors::sql::Parameter::Float(value) => query.bind(value),
                $crate::connectors::sql::Parameter::Text(value) => {
                    query.bind($crate::connectors::password::fill(value)?.to_string())
                }
            };
        }
        query
    }};
}
use bind;
