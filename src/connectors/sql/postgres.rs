//! PostgreSQL: login, what its errors mean, and its values as JSON.

mod value;

use std::{fmt, io, time::Duration};

use futures::{StreamExt, stream::BoxStream};
use serde_json::Value;
use sqlx::{
    AssertSqlSafe, ConnectOptions, PgConnection, Row, TypeInfo, ValueRef,
    error::DatabaseError,
    postgres::{PgConnectOptions, PgDatabaseError, PgRow, PgSslMode, PgTypeInfo, PgTypeKind},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

use super::{Engine, Failure, Server, bind, shaped, way::Way};
use crate::{
    core::{
        codes::{Codes, unlisted},
        fault::{Fault, Reason},
    },
    transport::{
        SetupError,
        relay::{Door, Messages, Meter},
        tls::Inside,
    },
};

/// The session obeys the quoting that [`super::statement`] relies on, stops before we stop waiting, and sends no
/// notices, which the library would log with the server's texts.
const SETUP: &str = "SELECT set_config('standard_conforming_strings', 'on', false), \
     set_config('statement_timeout', $1, false), set_config('client_min_messages', 'error', false)";

/// The usual port.
pub(super) const PORT: u16 = 5432;

/// What stands for a name in a sentence.
const HOLES: [&str; 3] = ["{schema}", "{table}", "{column}"];

/// The classes of SQLSTATE: PostgreSQL's appendix A.
const CLASSES: &[&str] = &[
    "00", "01", "02", "03", "08", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "10", "20", "21", "22", "23",
    "24", "25", "26", "27", "28", "2B", "2D", "2F", "34", "38", "39", "3B", "3D", "3F", "40", "42", "44",
    "53", "54", "55", "57", "58", "72", "F0", "HV", "P0", "XX",
];

/// What asks for TLS before anything else (`SSLRequest`), and what grants it.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
const GRANTED: u8 = b'S';

/// Logs in to PostgreSQL.
pub(super) struct Postgres {
    options: PgConnectOptions,
    way: Way,
    timeout: Duration,
}

/// The messages of PostgreSQL: a letter, and four bytes of length, which count themselves.
#[derive(Debug, Default)]
pub(super) struct PostgresMessages;

impl Messages for PostgresMessages {
    const HEADER: usize = 5;

    fn announced(&self, header: &[u8]) -> Option<usize> {
        let length = header.get(1..)?.try_into().ok()?;
        usize::try_from(u32::from_be_bytes(length)).ok()?.checked_sub(4)
    }

    fn begins(&mut self, _: usize, _: u8) -> bool {
        true
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Postgres(..)")
    }
}

impl Postgres {
    pub(super) fn new(server: &Server<'_>) -> Result<Self, SetupError> {
        let options = PgConnectOptions::new_without_pgpass()
            .host(Inside::NAME)
            .port(PORT)
            .username(server.login.username.expose())
            .password(server.login.password.expose())
            .database(server.database.unwrap_or("postgres"))
            .ssl_mode(PgSslMode::VerifyFull)
            .ssl_root_cert_from_pem(Inside::get().certificate.clone().into_bytes())
            .application_name("offboard")
            .disable_statement_logging();
        Ok(Self {
            options,
            way: Way::new(server, PORT)?,
            timeout: server.deadline.mul_f32(0.75),
        })
    }
}

impl Engine for Postgres {
    type Connection = PgConnection;
    type Messages = PostgresMessages;

    async fn open(&self, database: Option<&str>, meter: &Meter) -> Result<PgConnection, Failure> {
        let options = match database {
            Some(database) => self.options.clone().database(database),
            None => self.options.clone(),
        };
        let door = Door::open(&format!(".s.PGSQL.{PORT}"))?;
        let options = options.socket(door.folder());
        let mut connection = self.way.lead::<Self>(door, meter, options.connect()).await?;
        let timeout = self.timeout.as_millis().max(1).to_string();
        sqlx::query(SETUP)
            .bind(timeout)
            .persistent(false)
            .execute(&mut connection)
            .await?;
        Ok(connection)
    }

    async fn begin_tls(library: &mut UnixStream, server: &mut TcpStream) -> io::Result<bool> {
        let mut request = [0; SSL_REQUEST.len()];
        library.read_exact(&mut request).await?;
        if request != SSL_REQUEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        server.write_all(&request).await?;
        let answer = server.read_u8().await?;
        library.write_u8(answer).await?;
        Ok(answer == GRANTED)
    }

    fn send<'c>(
        connection: &'c mut PgConnection,
        statement: String,
        parameters: &[Value],
    ) -> Result<BoxStream<'c, Result<Value, Failure>>, Fault> {
        // Safe by the rules of `statement::assemble`, the only source of it.
        let query = bind!(sqlx::query(AssertSqlSafe(statement)), parameters).persistent(false);
        Ok(query.fetch(connection).map(|row| shape(&row?)).boxed())
    }

    fn judge(error: &dyn DatabaseError, codes: Option<&Codes>) -> (String, Fault) {
        let login = codes.is_none();
        let code = error.code().unwrap_or_default().into_owned();
        let fault = match code.as_str() {
            "28000" | "28P01" => Fault::permanent(Reason::CredentialRejected),
            "42501" | "0LP01" => Fault::permanent(Reason::PermissionDenied),
            // A database that is not there is a wrong input, a role that is not there is not an answer about a person.
            "3D000" if login => Fault::permanent(Reason::ConnectorNotReady),
            "42704" | "3D000" => Fault::permanent(Reason::NotFoundUncorroborated),
            "40001" | "40P01" | "55P03" => Fault::transient(Reason::Conflict),
            // Two sessions changed the same row of a catalog.
            "XX000" if error.message() == "tuple concurrently updated" => Fault::transient(Reason::Conflict),
            // Stopped by our own statement_timeout: rolled back, so nothing happened.
            "57014" => Fault::transient(Reason::Timeout),
            "42601" => Fault::permanent(Reason::Malformed),
            code if code.starts_with("08") || code.starts_with("53") || code.starts_with("57P") => {
                Fault::transient(Reason::SystemUnavailable)
            }
            // 55006 and 2BP01 (in use, others depend on it) and all others.
            _ => Fault::permanent(Reason::Refused),
        };
        let sentence = error.constraint().unwrap_or_default();
        let names = error.try_downcast_ref().map(names).unwrap_or_default();
        let fault = fault.with_code(shown(&code, sentence, names, codes));
        (code, fault)
    }
}

/// The names of objects that an error has beside its text.
fn names(error: &PgDatabaseError) -> [&str; 3] {
    [error.schema(), error.table(), error.column()].map(Option::unwrap_or_default)
}

/// A SQLSTATE, and what is wrong: a sentence that stands in a program of the definition, which raised it (`CONSTRAINT = '…'`),
/// with the names that the program read in the catalogue in place of `{schema}`, `{table}` and `{column}`. Of any other
/// sentence, such as the name of a rule that was broken, a digest.
fn shown(code: &str, sentence: &str, names: [&str; 3], codes: Option<&Codes>) -> String {
    let own = codes.is_some_and(|codes| codes.contains(sentence));
    let sentence = if own {
        let filled = |text: String, (hole, name): (&str, &str)| text.replace(hole, name);
        HOLES.into_iter().zip(names).fold(sentence.to_owned(), filled)
    } else {
        unlisted(sentence)
    };
    let is_state = code.len() == 5
        && code.bytes().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase())
        && CLASSES.contains(&&code[..2]);
    let code = if is_state { code.to_owned() } else { unlisted(code) };
    format!("{code} {sentence}").trim().to_owned()
}

fn shape(row: &PgRow) -> Result<Value, Failure> {
    shaped(row, |at, _| {
        let raw = row.try_get_raw(at)?;
        let bytes = raw.as_bytes().map_err(sqlx::Error::Decode)?;
        Ok(decode(&raw.type_info(), bytes))
    })
}

fn decode(type_info: &PgTypeInfo, bytes: &[u8]) -> Option<Value> {
    match type_info.kind() {
        PgTypeKind::Enum(_) => value::text(bytes),
        PgTypeKind::Domain(inner) => decode(inner, bytes),
        PgTypeKind::Array(inner) => value::array(bytes, |bytes| decode(inner, bytes)),
        _ if type_info.name().eq_ignore_ascii_case("citext") => value::text(bytes),
        _ => value::simple(type_info.oid()?.0, bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_shown_and_a_sentence_only_where_a_program_of_the_definition_has_it() {
        let sentence = "connector lacks ADMIN OPTION on {table}";
        let codes = Codes::default().with([sentence.to_owned()]);
        let shown = |code, sentence, codes| shown(code, sentence, ["s", "ops", "c"], codes);
        for (code, rule, expected) in [
            ("42501", "", "42501".to_owned()),
            (
                "42501",
                sentence,
                "42501 connector lacks ADMIN OPTION on ops".to_owned(),
            ),
            (
                "42501",
                "connector lacks hunter2",
                format!("42501 {}", unlisted("connector lacks hunter2")),
            ),
            (
                "23505",
                "salaries_jane_key",
                format!("23505 {}", unlisted("salaries_jane_key")),
            ),
            ("hunter2", "", unlisted("hunter2")),
            ("abcde", "", unlisted("abcde")),
            ("PASSW", "", unlisted("PASSW")),
        ] {
            assert_eq!(shown(code, rule, Some(&codes)), expected);
        }
        let login = shown("42501", sentence, None);
        assert_eq!(login, format!("42501 {}", unlisted(sentence)));
    }
}
