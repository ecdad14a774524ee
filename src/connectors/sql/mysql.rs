//! MySQL and MariaDB: login, what their errors mean, and their values as JSON.

mod value;

use std::{fmt, io, time::Duration};

use futures::{StreamExt, stream::BoxStream};
use serde_json::Value;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Executor, MySqlConnection, Row,
    error::DatabaseError,
    mysql::{MySqlConnectOptions, MySqlDatabaseError, MySqlRow, MySqlSslMode},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

use super::{Engine, Failure, Server, bind, shaped, way::Way};
use crate::{
    core::{
        codes::Codes,
        fault::{Fault, Reason},
    },
    transport::{
        SetupError,
        relay::{Door, Messages, Meter},
        tls::Inside,
    },
};

/// The session obeys the quoting that [`super::statement`] relies on, whatever the server's default mode is.
const MODE: &str = "SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'";

/// Unknown system variable.
const NO_SUCH_VARIABLE: u16 = 1193;

/// The usual port.
pub(super) const PORT: u16 = 3306;

/// The name of the door.
const SOCKET: &str = "mysql";

/// The header of a packet: three bytes of length, the number of the packet.
const HEADER: usize = 4;
/// The longest first packet of a server, in bytes: a greeting, or an error.
const LONGEST_GREETING: usize = 4096;
/// What an error begins with.
const ERROR: u8 = 0xff;
/// The packet that asks for TLS (`SSLRequest`): its length and number, and the flag in its first bytes.
const SSL_REQUEST: [u8; HEADER] = [32, 0, 0, 1];
const SSL: u16 = 0x0800;

/// Logs in to MySQL or MariaDB.
pub(super) struct Mysql {
    options: MySqlConnectOptions,
    way: Way,
    timeout: Duration,
}

/// The packets of MySQL. The first that begins with 0 ends the login.
///
/// # Why
/// What begins with one of two other bytes after it is a number of columns of three or eight bytes, for as many of which the
/// library makes room. No table has so many; what else begins like that is short, and ends the rows.
#[derive(Debug, Default)]
pub(super) struct MysqlMessages {
    logged_in: bool,
}

/// What a length or number of three bytes begins with, and one of eight.
const OF_THREE: u8 = 0xfd;
const OF_EIGHT: u8 = 0xfe;
/// The shortest packet with a number of eight bytes.
const WITH_EIGHT: usize = 9;

impl Messages for MysqlMessages {
    const HEADER: usize = HEADER;

    fn announced(&self, header: &[u8]) -> Option<usize> {
        let [a, b, c, _] = header.try_into().ok()?;
        usize::try_from(u32::from_le_bytes([a, b, c, 0])).ok()
    }

    fn begins(&mut self, length: usize, first: u8) -> bool {
        let counts = first == OF_THREE || first == OF_EIGHT && length >= WITH_EIGHT;
        let known = !(self.logged_in && counts);
        self.logged_in |= first == 0;
        known
    }
}

impl fmt::Debug for Mysql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mysql(..)")
    }
}

impl Mysql {
    pub(super) fn new(server: &Server<'_>) -> Result<Self, SetupError> {
        let mut options = MySqlConnectOptions::new()
            .host(Inside::NAME)
            .username(server.login.username.expose())
            .password(server.login.password.expose())
            .ssl_mode(MySqlSslMode::VerifyIdentity)
            .ssl_ca_from_pem(Inside::get().certificate.clone().into_bytes())
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .disable_statement_logging();
        if let Some(database) = server.database {
            options = options.database(database);
        }
        Ok(Self {
            options,
            way: Way::new(server, PORT)?,
            timeout: server.deadline.mul_f32(0.75),
        })
    }
}

impl Engine for Mysql {
    type Connection = MySqlConnection;
    type Messages = MysqlMessages;

    async fn open(&self, database: Option<&str>, meter: &Meter) -> Result<MySqlConnection, Failure> {
        let options = match database {
            Some(database) => self.options.clone().database(database),
            None => self.options.clone(),
        };
        let door = Door::open(SOCKET)?;
        let options = options.socket(door.folder().join(SOCKET));
        let mut connection = self.way.lead::<Self>(door, meter, options.connect()).await?;
        connection.execute(MODE).await?;
        // Seconds, of every statement, in MariaDB; milliseconds, of SELECT only, in MySQL.
        let seconds = self.timeout.as_secs_f64();
        let limit = sqlx::query("SET SESSION max_statement_time = ?")
            .bind(seconds)
            .persistent(false);
        match limit.execute(&mut connection).await {
            Ok(_) => {}
            Err(sqlx::Error::Database(error)) if number(&*error) == NO_SUCH_VARIABLE => {
                let millis = i64::try_from(self.timeout.as_millis()).unwrap_or(i64::MAX);
                let limit = sqlx::query("SET SESSION max_execution_time = ?").bind(millis);
                limit.persistent(false).execute(&mut connection).await?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(connection)
    }

    async fn begin_tls(library: &mut UnixStream, server: &mut TcpStream) -> io::Result<bool> {
        let mut greeting = vec![0; HEADER];
        server.read_exact(&mut greeting).await?;
        let length = u32::from_le_bytes([greeting[0], greeting[1], greeting[2], 0]) as usize;
        if !(1..=LONGEST_GREETING).contains(&length) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        greeting.resize(HEADER + length, 0);
        server.read_exact(&mut greeting[HEADER..]).await?;
        library.write_all(&greeting).await?;
        if greeting[HEADER] == ERROR {
            return Ok(false);
        }
        let mut request = [0; HEADER + 32];
        library.read_exact(&mut request).await?;
        let flags = u16::from_le_bytes([request[HEADER], request[HEADER + 1]]);
        if !request.starts_with(&SSL_REQUEST) || flags & SSL == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        server.write_all(&request).await?;
        Ok(true)
    }

    fn send<'c>(
        connection: &'c mut MySqlConnection,
        statement: String,
        parameters: &[Value],
    ) -> Result<BoxStream<'c, Result<Value, Failure>>, Fault> {
        // Safe by the rules of `statement::assemble`, the only source of it.
        let query = bind!(sqlx::query(AssertSqlSafe(statement)), parameters).persistent(false);
        Ok(query.fetch(connection).map(|row| shape(&row?)).boxed())
    }

    fn judge(error: &dyn DatabaseError, codes: Option<&Codes>) -> (String, Fault) {
        let login = codes.is_none();
        let number = number(error);
        let fault = match number {
            1045 | 1698 | 4151 if login => Fault::permanent(Reason::CredentialRejected),
            1044 | 1045 | 1142 | 1143 | 1227 | 1370 | 1698 => Fault::permanent(Reason::PermissionDenied),
            1049 if login => Fault::permanent(Reason::ConnectorNotReady),
            1205 | 1213 => Fault::transient(Reason::Conflict),
            // Stopped by our own limit: rolled back, so nothing happened.
            1969 | 3024 => Fault::transient(Reason::Timeout),
            // Too many connections, shutting down, killed, out of memory, host blocked.
            1040 | 1053 | 1203 | 1226 | 1317 | 1927 | 1037 | 1038 | 1041 | 1129 => {
                Fault::transient(Reason::SystemUnavailable)
            }
            1064 => Fault::permanent(Reason::Malformed),
            _ => Fault::permanent(Reason::Refused),
        };
        (number.to_string(), fault.with_code(number))
    }
}

fn number(error: &dyn DatabaseError) -> u16 {
    error
        .try_downcast_ref::<MySqlDatabaseError>()
        .map_or(0, MySqlDatabaseError::number)
}

fn shape(row: &MySqlRow) -> Result<Value, Failure> {
    shaped(row, |at, type_name| {
        let bytes: &[u8] = row.try_get_unchecked(at)?;
        Ok(value::decode(type_name, bytes))
    })
}
