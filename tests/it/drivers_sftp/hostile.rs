//! Servers that let everybody in and then answer what no server of files would.

use std::sync::Arc;

use offboard::transport::memory::{COMING, Reservation, TOO_MUCH_AT_ONCE};
use russh::{
    Channel, ChannelId,
    keys::{PrivateKey, ssh_key::private::Ed25519Keypair},
    server::{self, Auth, ChannelOpenHandle, Msg, Session},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    time::Instant,
};

use super::*;
use crate::support::{is_alone, weighed};

/// What the driver may take beyond what it had, in bytes.
const BOUND: usize = 112 << 20;

const OPEN: u8 = 3;
const READ: u8 = 5;
const FSTAT: u8 = 8;
const OPENDIR: u8 = 11;
const READDIR: u8 = 12;

/// What a request of this kind and number gets: whole packets.
type Reply = Arc<dyn Fn(u8, &[u8]) -> Vec<u8> + Send + Sync>;

fn packet(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let length = u32::try_from(body.len() + 1).unwrap();
    [&length.to_be_bytes()[..], &[kind], &body].concat()
}

fn text(text: &[u8]) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text].concat()
}

fn status(id: &[u8], code: u32) -> Vec<u8> {
    packet(101, &[id, &code.to_be_bytes(), &text(b""), &text(b"")])
}

fn data(id: &[u8], bytes: &[u8]) -> Vec<u8> {
    packet(103, &[id, &text(bytes)])
}

/// Size, kind and rights, times.
fn attributes(size: u64, mode: u32) -> Vec<u8> {
    let long_ago = 1_600_000_000_u32.to_be_bytes();
    [
        &13_u32.to_be_bytes()[..],
        &size.to_be_bytes(),
        &mode.to_be_bytes(),
        &long_ago,
        &long_ago,
    ]
    .concat()
}

/// A part of a folder, in which `count` entries have names of this length.
fn names(id: &[u8], count: u32, length: usize, mode: u32) -> Vec<u8> {
    let one = [text(&vec![b'n'; length]), text(b""), attributes(1, mode)].concat();
    packet(104, &[id, &count.to_be_bytes(), &one.repeat(count as usize)])
}

const FILE: u32 = 0o100_644;
const FOLDER: u32 = 0o040_755;

/// A file that says it has so many bytes.
fn file(kind: u8, id: &[u8], size: u64) -> Vec<u8> {
    match kind {
        OPEN | OPENDIR => packet(102, &[id, &text(b"h")]),
        FSTAT => packet(105, &[id, &attributes(size, FILE)]),
        READ => status(id, 1),
        _ => status(id, 0),
    }
}

#[derive(Clone)]
struct Handler {
    reply: Reply,
    channel: Option<Arc<std::sync::Mutex<Option<Channel<Msg>>>>>,
}

impl server::Handler for Handler {
    type Error = russh::Error;

    async fn auth_password(&mut self, _: &str, _: &str) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channel = Some(Arc::new(std::sync::Mutex::new(Some(channel))));
        reply.accept().await;
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)?;
        let channel = self
            .channel
            .take()
            .and_then(|channel| channel.lock().unwrap().take());
        tokio::spawn(files(channel.unwrap().into_stream(), self.reply.clone()));
        Ok(())
    }
}

/// Answers each request until the client is gone.
async fn files(mut client: impl AsyncRead + AsyncWrite + Unpin, reply: Reply) -> std::io::Result<()> {
    loop {
        let length = client.read_u32().await?;
        let mut body = vec![0; length as usize];
        client.read_exact(&mut body).await?;
        let answer = match body.split_first() {
            Some((1, _)) => packet(2, &[&3_u32.to_be_bytes()]),
            Some((kind, rest)) => reply(*kind, &rest[..4]),
            None => return Ok(()),
        };
        client.write_all(&answer).await?;
        client.flush().await?;
    }
}

/// A way to a server that answers like this.
async fn way(
    deadline: &'static str,
    reply: impl Fn(u8, &[u8]) -> Vec<u8> + Send + Sync + 'static,
) -> Way<'static> {
    let key = PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32]));
    let pinned = key.public_key().to_openssh().unwrap();
    let config = Arc::new(server::Config {
        keys: vec![key],
        ..server::Config::default()
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let handler = Handler {
        reply: Arc::new(reply),
        channel: None,
    };
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            if let Ok(running) = server::run_stream(config.clone(), client, handler.clone()).await {
                tokio::spawn(running);
            }
        }
    });
    logging_in(port, pinned, deadline)
}

fn logging_in(port: u16, host_keys: String, deadline: &str) -> Way<'_> {
    let secret = [("username", "x"), ("password", "y")];
    Way {
        port,
        secret: secret.map(|(key, value)| (key, value.to_owned())).into(),
        host_keys,
        deadline,
        clock: system_clock(),
    }
}

/// A server whose only file is empty: what others do with it goes on whatever a hostile one does.
async fn good() -> SftpDriver {
    let once = AtomicBool::new(false);
    let good = move |kind: u8, id: &[u8]| match kind {
        READDIR if once.fetch_xor(true, Ordering::SeqCst) => status(id, 1),
        READDIR => names(id, 1, 4, FILE),
        kind => file(kind, id, 0),
    };
    way("20s", good).await.driver()
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_without_an_end_and_files_that_lie_are_refused_in_little_memory() {
    if !is_alone(
        "drivers_sftp::hostile::folders_without_an_end_and_files_that_lie_are_refused_in_little_memory",
    ) {
        return;
    }
    let other = good().await;
    let listed = || list(Path::new("/in"));
    let content = || read(Path::new("/in"), "list.csv");
    let endless = |count: u32, length: usize, mode: u32| -> Reply {
        Arc::new(move |kind, id| match kind {
            READDIR => names(id, count, length, mode),
            kind => file(kind, id, 0),
        })
    };
    let sized = |size: u64, given: Option<usize>| -> Reply {
        Arc::new(move |kind, id| match (kind, given) {
            (READ, Some(length)) => data(id, &vec![b'x'; length]),
            (kind, _) => file(kind, id, size),
        })
    };
    let grows = AtomicBool::new(false);
    let growing: Reply = Arc::new(move |kind, id| match kind {
        FSTAT => file(
            kind,
            id,
            if grows.fetch_xor(true, Ordering::SeqCst) {
                9
            } else {
                8
            },
        ),
        READ => data(id, b"12345678"),
        kind => file(kind, id, 0),
    });
    let endless_length: Reply = Arc::new(|kind, id| match kind {
        READDIR => [0xff; 64].into(),
        kind => file(kind, id, 0),
    });
    let incomplete = Reason::Incomplete;
    for (what, reply, request, reason, code) in [
        (
            "files",
            endless(100, 8, FILE),
            listed(),
            incomplete,
            "too many files",
        ),
        (
            "folders",
            endless(100, 8, FOLDER),
            listed(),
            incomplete,
            "too many files",
        ),
        (
            "names",
            endless(1, 200_000, FILE),
            listed(),
            incomplete,
            "too many files",
        ),
        (
            "none",
            endless(0, 0, FILE),
            listed(),
            incomplete,
            "too many files",
        ),
        (
            "more than asked",
            sized(10, Some(4096)),
            content(),
            Reason::Malformed,
            "sftp",
        ),
        (
            "nothing of it",
            sized(1 << 20, None),
            content(),
            incomplete,
            "still written",
        ),
        (
            "larger than any",
            sized(u64::MAX, None),
            content(),
            incomplete,
            "too large",
        ),
        ("grows", growing, content(), incomplete, "still written"),
        ("length", endless_length, listed(), Reason::Unreachable, ""),
        (
            "byte by byte",
            sized(32 << 20, Some(1)),
            content(),
            Reason::Timeout,
            "",
        ),
    ] {
        let deadline = if reason == Reason::Timeout { "2s" } else { "30s" };
        let driver = way(deadline, move |kind, id| reply(kind, id)).await.driver();
        let both = async { tokio::join!(fault(&driver, request), value(&other, listed())) };
        let ((fault, files), grown) = weighed(both).await;
        assert_eq!((fault.reason, fault.code.as_str()), (reason, code), "{what}");
        assert_eq!(files.as_array().unwrap().len(), 1, "{what}");
        assert!(grown < BOUND, "{what}: {} MiB", grown >> 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greeting_without_an_end_is_left_at_the_deadline() {
    for greeting in [&b"x\r\n"[..], b"x", b""] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let again = greeting.repeat(1 << 10);
                tokio::spawn(async move {
                    while !again.is_empty() && client.write_all(&again).await.is_ok() {}
                    client.read_u8().await
                });
            }
        });
        let key = PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32]));
        let pinned = key.public_key().to_openssh().unwrap();
        let driver = logging_in(port, pinned, "2s").driver();
        let fault = fault(&driver, list(Path::new("/in"))).await;
        assert!(
            matches!(fault.reason, Reason::Unreachable | Reason::Timeout),
            "{fault}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_listed_and_read_waits_for_room_that_others_take() {
    if !is_alone("drivers_sftp::hostile::what_is_listed_and_read_waits_for_room_that_others_take") {
        return;
    }
    let folder = |kind: u8, id: &[u8]| match kind {
        READDIR => names(id, 100, 100, FILE),
        kind => file(kind, id, 1 << 20),
    };
    let listed = || list(Path::new("/in"));
    let content = || read(Path::new("/in"), "list.csv");
    let driver = way("2s", folder).await.driver();
    let all = 16 << 20;
    let mut others = Reservation::default();
    let patience = Instant::now() + Duration::from_secs(5);
    others.count(&COMING, (all, all), patience).await.unwrap();
    for request in [listed(), content()] {
        let fault = fault(&driver, request).await;
        assert_eq!(
            (fault.reason, fault.code.as_str()),
            (Reason::Incomplete, TOO_MUCH_AT_ONCE)
        );
    }
    drop(others);
    let fault = fault(&driver, content()).await;
    assert_eq!(fault.code, "still written", "there is room again");
}
