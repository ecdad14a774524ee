//! Databases that let everybody in and then answer what no database would.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
    server::TlsStream,
};

use super::{encryption::greeting, *};
use crate::relay::certificate;

/// What the driver may take beyond what it had, in bytes: an answer as it comes and as it is handed on, twice.
const BOUND: usize = 112 << 20;

/// Bytes that it says about a statement, and goes on saying where they have an end: the first, and those that are repeated.
#[derive(Clone)]
struct Answer {
    once: Vec<u8>,
    again: Vec<u8>,
    /// Sent one at a time.
    dribbles: bool,
}

impl Answer {
    fn once(once: Vec<u8>) -> Self {
        Self {
            once,
            again: vec![],
            dribbles: false,
        }
    }

    /// Until nobody listens any more.
    async fn give(&self, client: &mut (impl AsyncWrite + Unpin), sent: &AtomicUsize) -> io::Result<()> {
        if self.dribbles {
            for byte in self.once.iter().chain(self.again.iter().cycle()) {
                client.write_all(&[*byte]).await?;
                client.flush().await?;
                sent.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        client.write_all(&self.once).await?;
        client.flush().await?;
        sent.fetch_add(self.once.len(), Ordering::SeqCst);
        while !self.again.is_empty() {
            client.write_all(&self.again).await?;
            sent.fetch_add(self.again.len(), Ordering::SeqCst);
        }
        Ok(())
    }
}

/// A database of one's own, and how much it has sent.
struct Hostile {
    port: u16,
    ca: String,
    dialect: Dialect,
    sent: Arc<AtomicUsize>,
}

impl Hostile {
    async fn start(dialect: Dialect, answer: Answer) -> Self {
        offboard::transport::install_crypto();
        let own = certificate();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&sent);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, answer, sent) = (acceptor.clone(), answer.clone(), Arc::clone(&counted));
                // It ends with the client.
                tokio::spawn(async move {
                    drop(match dialect {
                        Dialect::Postgresql => postgres_session(client, acceptor, &answer, &sent).await,
                        Dialect::Mysql => mysql_session(client, acceptor, &answer, &sent).await,
                    });
                });
            }
        });
        Self {
            port,
            ca: own.cert.pem(),
            dialect,
            sent,
        }
    }

    /// What became of a statement, and how many bytes more than before were in memory at most.
    async fn asked(&self, deadline: &'static str) -> (Result<super::Answer, Fault>, usize) {
        let place = Place {
            dialect: self.dialect,
            host: "127.0.0.1",
            port: self.port,
            ca: self.ca.clone(),
            deadline,
        };
        let driver = offboard::connectors::driver::Contained(driver(&place, "offboarder", "Passw0rd"));
        let request = Resolved::Sql(statement("SELECT 1 AS one"));
        support::weighed(driver.perform(&request)).await
    }
}

/// Whether this process runs nothing but the test `name`.
fn is_alone(name: &str) -> bool {
    support::is_alone(&format!("drivers_sql::hostile::{name}"))
}

/// Reads a client's message of PostgreSQL; its letter.
async fn postgres_message(client: &mut (impl AsyncRead + Unpin)) -> io::Result<u8> {
    let letter = client.read_u8().await?;
    let length = client.read_u32().await?;
    let mut body = vec![0; length as usize - 4];
    client.read_exact(&mut body).await?;
    Ok(letter)
}

fn message(letter: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[letter], &length[..], body].concat()
}

/// One column `a` of type `oid`.
fn columns(oid: u32) -> Vec<u8> {
    let column = [
        &b"\0\x01a\0\0\0\0\0\0\0"[..],
        &oid.to_be_bytes(),
        b"\xff\xff\xff\xff\xff\xff\0\x01",
    ];
    message(b'T', &column.concat())
}

/// A row of one value.
fn row(value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap().to_be_bytes();
    message(b'D', &[b"\0\x01", &length[..], value].concat())
}

async fn postgres_session(
    mut client: TcpStream,
    acceptor: TlsAcceptor,
    answer: &Answer,
    sent: &AtomicUsize,
) -> io::Result<()> {
    let mut request = [0; 8];
    client.read_exact(&mut request).await?;
    client.write_all(b"S").await?;
    let mut client: TlsStream<TcpStream> = acceptor.accept(client).await?;
    let length = client.read_u32().await?;
    let mut startup = vec![0; length as usize - 4];
    client.read_exact(&mut startup).await?;
    let ready = message(b'Z', b"I");
    client
        .write_all(&[message(b'R', &[0; 4]), ready.clone()].concat())
        .await?;
    let mut parsed = 0;
    loop {
        match postgres_message(&mut client).await? {
            b'P' => parsed += 1,
            // The first statement sets the session up, and has one parameter and three columns of text.
            b'S' if parsed == 1 => {
                let parameters = message(b't', b"\0\x01\0\0\0\x19");
                let bound = [message(b'1', b""), parameters, columns(25), ready.clone()];
                client.write_all(&bound.concat()).await?;
                parsed = 2;
            }
            b'S' if parsed == 2 => {
                let done = [message(b'2', b""), message(b'C', b"SELECT 1\0"), ready.clone()];
                client.write_all(&done.concat()).await?;
            }
            b'S' if parsed == 3 => {
                let described = [message(b'1', b""), message(b't', b"\0\0"), columns(3802)];
                client
                    .write_all(&[described.concat(), ready.clone()].concat())
                    .await?;
                parsed = 4;
            }
            b'S' => {
                client.write_all(&message(b'2', b"")).await?;
                answer.give(&mut client, sent).await?;
            }
            b'X' => return Ok(()),
            _ => {}
        }
    }
}

fn packet(number: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_le_bytes();
    [&length[..3], &[number], body].concat()
}

/// A row of one value of JSON.
fn mysql_row(value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap().to_le_bytes();
    packet(3, &[b"\0\0\xfd", &length[..3], value].concat())
}

/// One column `a` of JSON, after how many there are.
fn mysql_columns() -> Vec<u8> {
    let column = b"\x03def\0\0\0\x01a\x01a\x0c\x2d\0\xff\xff\xff\xff\xf5\0\0\0\0\0";
    [packet(1, &[1]), packet(2, column)].concat()
}

async fn mysql_session(
    mut client: TcpStream,
    acceptor: TlsAcceptor,
    answer: &Answer,
    sent: &AtomicUsize,
) -> io::Result<()> {
    client.write_all(&greeting(b"\xff\xff")).await?;
    let mut request = [0; 36];
    client.read_exact(&mut request).await?;
    let mut client: TlsStream<TcpStream> = acceptor.accept(client).await?;
    let ok = |number| packet(number, b"\0\0\0\x02\0\0\0");
    mysql_packet(&mut client).await?;
    client.write_all(&ok(3)).await?;
    let mut prepared = 0;
    loop {
        match mysql_packet(&mut client).await? {
            // Prepare: the first has one parameter, the limit of time.
            0x16 => {
                prepared += 1;
                let parameters = u8::from(prepared == 1);
                let mut described = packet(1, &[0, 1, 0, 0, 0, 0, 0, parameters, 0, 0, 0, 0]);
                if parameters == 1 {
                    described.extend(packet(
                        2,
                        b"\x03def\0\0\0\x01?\0\x0c\x3f\0\0\0\0\0\xfd\x80\0\0\0\0",
                    ));
                }
                client.write_all(&described).await?;
            }
            0x17 if prepared == 2 => answer.give(&mut client, sent).await?,
            // Close.
            0x19 => {}
            0x01 => return Ok(()),
            _ => client.write_all(&ok(1)).await?,
        }
    }
}

/// Reads a client's packet; its first byte.
async fn mysql_packet(client: &mut (impl AsyncRead + Unpin)) -> io::Result<u8> {
    let mut header = [0; 4];
    client.read_exact(&mut header).await?;
    let length = u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize;
    let mut body = vec![0; length];
    client.read_exact(&mut body).await?;
    Ok(body.first().copied().unwrap_or_default())
}

/// A value of PostgreSQL's `jsonb` that is `depth` lists deep.
fn deep(depth: usize) -> Vec<u8> {
    [vec![b'['; depth], vec![b']'; depth]].concat()
}

fn jsonb(text: &[u8]) -> Vec<u8> {
    [&[1], text].concat()
}

fn postgres_end() -> Vec<u8> {
    [message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat()
}

fn mysql_end() -> Vec<u8> {
    packet(4, b"\xfe\0\0\x02\0\0\0")
}

fn too_large() -> Fault {
    Fault::unknown_outcome(Reason::Incomplete).with_code("too large")
}

/// Both databases as they say one good row.
fn good() -> [(Dialect, Answer); 2] {
    let postgres = [row(&jsonb(b"[7]")), postgres_end()].concat();
    let mysql = [mysql_columns(), mysql_row(b"[7]"), mysql_end()].concat();
    [
        (Dialect::Postgresql, Answer::once(postgres)),
        (Dialect::Mysql, Answer::once(mysql)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_these_databases_say_is_understood() {
    for (dialect, answer) in good() {
        let (answer, _) = Hostile::start(dialect, answer).await.asked("20s").await;
        assert_eq!(*answer.unwrap().value(), json!([{"a": [7]}]), "{dialect:?}");
    }
}

/// The library makes room for all that a length says.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_says_it_is_gigabytes_long_gets_no_room() {
    if !is_alone("a_message_that_says_it_is_gigabytes_long_gets_no_room") {
        return;
    }
    let endless = [&b"D"[..], &[0xff; 4], b"\0\x01"].concat();
    let packet = [&b"\xff\xff\xff\x03"[..], b"\0\0"].concat();
    // A number of columns instead of rows.
    let columns = |count: &[u8]| [&[u8::try_from(count.len()).unwrap(), 0, 0, 1], count].concat();
    for (dialect, said) in [
        (Dialect::Postgresql, endless),
        (Dialect::Mysql, [mysql_columns(), packet].concat()),
        (Dialect::Mysql, columns(b"\xfe\0\0\0\0\0\x01\0\0")),
        (Dialect::Mysql, columns(b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff")),
        (Dialect::Mysql, columns(b"\xfd\xff\xff\xff")),
    ] {
        let hostile = Hostile::start(dialect, Answer::once(said.clone())).await;
        let (answer, grown) = hostile.asked("20s").await;
        assert_eq!(answer.unwrap_err(), too_large(), "{dialect:?} {said:?}");
        assert!(grown < BOUND, "{dialect:?}: {} MiB", grown >> 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_without_an_end_are_cut() {
    if !is_alone("rows_without_an_end_are_cut") {
        return;
    }
    let text = vec![b' '; 1 << 16];
    for (dialect, once, again) in [
        (Dialect::Postgresql, vec![], row(&jsonb(b"[]"))),
        (
            Dialect::Postgresql,
            vec![],
            row(&jsonb(&[b"[", &text[..], b"]"].concat())),
        ),
        (Dialect::Mysql, mysql_columns(), mysql_row(b"[]")),
        (
            Dialect::Mysql,
            mysql_columns(),
            mysql_row(&[b"[", &text[..], b"]"].concat()),
        ),
        // Words beside the rows, which the library reads and drops.
        (
            Dialect::Postgresql,
            vec![],
            message(b'N', b"SLOG\0C00000\0Mx\0\0"),
        ),
    ] {
        let again = again.repeat((1 << 16) / again.len().min(1 << 16));
        let answer = Answer {
            once,
            again,
            dribbles: false,
        };
        let hostile = Hostile::start(dialect, answer).await;
        let (answer, grown) = hostile.asked("60s").await;
        let fault = answer.unwrap_err();
        assert_eq!(
            (fault.reason, fault.code.as_str()),
            (Reason::Incomplete, "too large"),
            "{dialect:?}"
        );
        assert!(grown < BOUND, "{dialect:?}: {} MiB", grown >> 20);
        let sent = hostile.sent.load(Ordering::SeqCst);
        assert!(sent < 64 << 20, "{dialect:?}: {sent} were taken");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_byte_by_byte_is_left_at_the_deadline() {
    if !is_alone("what_comes_byte_by_byte_is_left_at_the_deadline") {
        return;
    }
    let one = row(&jsonb(b"[7]"));
    for (dialect, once, again) in [
        (Dialect::Postgresql, one.clone(), one),
        (Dialect::Mysql, mysql_columns(), mysql_row(b"[7]")),
        // With the length of the longest that may come, for which there is room.
        (
            Dialect::Postgresql,
            [&b"D"[..], &(15_u32 << 20).to_be_bytes(), b"\0\x01"].concat(),
            vec![0],
        ),
    ] {
        let answer = Answer {
            once,
            again,
            dribbles: true,
        };
        let hostile = Hostile::start(dialect, answer).await;
        let (answer, grown) = hostile.asked("2s").await;
        assert_eq!(
            answer.unwrap_err(),
            Fault::unknown_outcome(Reason::Timeout),
            "{dialect:?}"
        );
        assert!(grown < BOUND, "{dialect:?}: {} MiB", grown >> 20);
        assert!(hostile.sent.load(Ordering::SeqCst) > 8);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_deep_or_fuller_than_a_document_is_no_value() {
    if !is_alone("a_value_that_is_deep_or_fuller_than_a_document_is_no_value") {
        return;
    }
    let wide = [&b"[0"[..], &b",0".repeat((4 << 20) - 8), b"]"].concat();
    for value in [deep(200), deep(1 << 20), wide] {
        let postgres = [row(&jsonb(&value)), postgres_end()].concat();
        let mysql = [mysql_columns(), mysql_row(&value), mysql_end()].concat();
        for (dialect, said) in [(Dialect::Postgresql, postgres), (Dialect::Mysql, mysql)] {
            let hostile = Hostile::start(dialect, Answer::once(said)).await;
            let (answer, grown) = hostile.asked("20s").await;
            assert_eq!(
                answer.unwrap_err(),
                Fault::permanent(Reason::Malformed).with_code("column 1"),
                "{dialect:?} {}",
                value.len()
            );
            assert!(grown < BOUND, "{dialect:?}: {} MiB", grown >> 20);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_as_long_as_it_may_be_and_no_longer() {
    if !is_alone("a_row_is_as_long_as_it_may_be_and_no_longer") {
        return;
    }
    let text = |length: usize| [&b"[\""[..], &vec![b'x'; length - 4], b"\"]"].concat();
    for (dialect, beside) in [(Dialect::Postgresql, 7), (Dialect::Mysql, 6)] {
        let longest = (16 << 20) - 2 - beside;
        for (length, fits) in [(longest, true), (longest + 1, false)] {
            let said = match dialect {
                Dialect::Postgresql => [row(&jsonb(&text(length))), postgres_end()].concat(),
                Dialect::Mysql => [mysql_columns(), mysql_row(&text(length)), mysql_end()].concat(),
            };
            let (answer, grown) = Hostile::start(dialect, Answer::once(said))
                .await
                .asked("60s")
                .await;
            match answer {
                Ok(answer) => {
                    assert!(fits && answer.value()[0]["a"][0].as_str().unwrap().len() == length - 4)
                }
                Err(fault) => assert!(!fits && fault == too_large(), "{dialect:?} {length}: {fault}"),
            }
            assert!(grown < BOUND, "{dialect:?}: {} MiB", grown >> 20);
        }
    }
}

/// The library panics by some of these.
#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_cut_are_the_fault_of_one_call() {
    if !is_alone("messages_that_are_cut_are_the_fault_of_one_call") {
        return;
    }
    for (dialect, said) in [
        (Dialect::Postgresql, message(b'D', b"")),
        (Dialect::Postgresql, message(b'D', b"\0\x01\x7f\xff\xff\xff")),
        (Dialect::Postgresql, message(b'D', b"\xff\xff")),
        (Dialect::Postgresql, message(b'T', b"\xff\xff")),
        (Dialect::Postgresql, b"D\0\0\0\0".to_vec()),
        (Dialect::Mysql, packet(1, b"")),
        (
            Dialect::Mysql,
            [packet(1, &[1]), packet(2, b"\x03def\xfc")].concat(),
        ),
        (Dialect::Mysql, [mysql_columns(), packet(3, b"\0")].concat()),
        (
            Dialect::Mysql,
            [mysql_columns(), packet(3, b"\0\0\xfc\xff\xff")].concat(),
        ),
    ] {
        let answer = Answer {
            once: said.clone(),
            again: said.clone(),
            dribbles: false,
        };
        let (answer, grown) = Hostile::start(dialect, answer).await.asked("5s").await;
        let fault = answer.unwrap_err();
        let expected = [
            Reason::Malformed,
            Reason::Unreachable,
            Reason::Timeout,
            Reason::Incomplete,
        ];
        assert!(expected.contains(&fault.reason), "{dialect:?} {said:?}: {fault}");
        assert!(grown < BOUND, "{dialect:?}: {} MiB", grown >> 20);
    }
}
