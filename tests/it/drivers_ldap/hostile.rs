//! Directories that let everybody in and then answer what no directory would.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::io::AsyncWrite;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

use super::*;
use crate::{
    relay::certificate,
    support::{is_alone, weighed},
};

/// What the driver may take beyond what it had, in bytes: what a search may bring, as it comes and as it is handed on.
const BOUND: usize = 112 << 20;

const BIND: u8 = 0x60;
const SEARCH: u8 = 0x63;

/// A part of a message: its tag and what is in it.
fn part(tag: u8, inside: &[&[u8]]) -> Vec<u8> {
    let inside = inside.concat();
    let length = u32::try_from(inside.len()).unwrap().to_be_bytes();
    [&[tag, 0x84], &length[..], &inside].concat()
}

/// A message about the request of this number.
fn message(id: u8, tag: u8, inside: &[&[u8]]) -> Vec<u8> {
    part(0x30, &[&[2, 1, id], &part(tag, inside)])
}

/// The end of an operation, with this code.
fn end(id: u8, tag: u8, code: u8) -> Vec<u8> {
    message(id, tag, &[&[0x0a, 1, code, 4, 0, 4, 0]])
}

/// An entry with one attribute of so many bytes.
fn entry(id: u8, length: usize) -> Vec<u8> {
    let values = part(0x31, &[&part(4, &[&vec![b'v'; length]])]);
    let attribute = part(0x30, &[&part(4, &[b"cn"]), &values]);
    message(id, 0x64, &[&part(4, &[b"cn=x"]), &part(0x30, &[&attribute])])
}

/// The way to another server instead of an entry.
fn reference(id: u8) -> Vec<u8> {
    message(id, 0x73, &[&part(4, &[b"ldap://127.0.0.1/dc=x"])])
}

/// What a search gets: what it is told once, what again and again, and whether that comes byte by byte.
#[derive(Clone)]
struct Said {
    once: fn(u8) -> Vec<u8>,
    again: fn(u8) -> Vec<u8>,
    dribbles: bool,
}

const NOTHING: fn(u8) -> Vec<u8> = |_| vec![];

impl Said {
    async fn give(
        &self,
        id: u8,
        client: &mut (impl AsyncWrite + Unpin),
        sent: &AtomicUsize,
    ) -> io::Result<()> {
        client.write_all(&(self.once)(id)).await?;
        client.flush().await?;
        let again = (self.again)(id);
        if self.dribbles {
            for byte in again.iter().cycle() {
                client.write_all(&[*byte]).await?;
                client.flush().await?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        while !again.is_empty() {
            client.write_all(&again).await?;
            sent.fetch_add(again.len(), Ordering::SeqCst);
        }
        Ok(())
    }
}

/// A directory of one's own, and how much it has said again and again.
struct Hostile {
    url: String,
    ca: String,
    sent: Arc<AtomicUsize>,
}

impl Hostile {
    async fn start(said: Said) -> Self {
        offboard::transport::install_crypto();
        let own = certificate();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ldaps://{}", listener.local_addr().unwrap());
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&sent);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, said, sent) = (acceptor.clone(), said.clone(), Arc::clone(&counted));
                // It ends with the client.
                tokio::spawn(async move {
                    let mut client = acceptor.accept(client).await?;
                    let mut searches = 0;
                    loop {
                        let (id, asked) = request(&mut client).await?;
                        searches += usize::from(asked == SEARCH);
                        match asked {
                            BIND => client.write_all(&end(id, 0x61, 0)).await?,
                            // What it can do.
                            SEARCH if searches == 1 => client.write_all(&end(id, 0x65, 0)).await?,
                            SEARCH => said.give(id, &mut client, &sent).await?,
                            _ => return io::Result::Ok(()),
                        }
                        client.flush().await?;
                    }
                });
            }
        });
        Self {
            url,
            ca: own.cert.pem(),
            sent,
        }
    }

    fn driver(&self, deadline: &str) -> LdapDriver {
        with_deadline(&self.url, "cn=x", "Passw0rd", &self.ca, deadline)
    }
}

/// Reads a request: its number, and what is asked.
async fn request(client: &mut (impl tokio::io::AsyncRead + Unpin)) -> io::Result<(u8, u8)> {
    client.read_u8().await?;
    let short = client.read_u8().await?;
    let mut length = usize::from(short);
    if short & 0x80 != 0 {
        length = 0;
        for _ in 0..short & 0x7f {
            length = length << 8 | usize::from(client.read_u8().await?);
        }
    }
    let mut body = vec![0; length];
    client.read_exact(&mut body).await?;
    Ok((body[2], body[3]))
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_and_ways_elsewhere_without_an_end_are_cut_and_another_directory_is_searched_meanwhile() {
    if !is_alone(
        "drivers_ldap::hostile::entries_and_ways_elsewhere_without_an_end_are_cut_and_another_directory_is_searched_meanwhile",
    ) {
        return;
    }
    let good = Hostile::start(Said {
        once: |id| [entry(id, 1), end(id, 0x65, 0)].concat(),
        again: NOTHING,
        dribbles: false,
    })
    .await;
    let good = good.driver("20s");
    let all = || search("dc=x", "(cn=*)", &["cn"]);
    let endless = |again| Said {
        once: NOTHING,
        again,
        dribbles: false,
    };
    let slow = |again| Said {
        dribbles: true,
        ..endless(again)
    };
    let once = |once| Said {
        once,
        again: NOTHING,
        dribbles: false,
    };
    let incomplete = Reason::Incomplete;
    for (what, said, reason, code) in [
        ("entries", endless(|id| entry(id, 1)), incomplete, "too large"),
        (
            "large entries",
            endless(|id| entry(id, 1 << 20)),
            incomplete,
            "too large",
        ),
        ("references", endless(reference), incomplete, "too large"),
        // Each entry is whole and in time, and there is always another one.
        ("slow entries", slow(|id| entry(id, 1)), Reason::Timeout, ""),
        ("slow bytes", slow(|id| entry(id, 1 << 20)), Reason::Timeout, ""),
        ("silence", once(NOTHING), Reason::Timeout, ""),
        (
            "too long",
            once(|_| vec![0x30, 0x84, 0x7f, 0xff, 0xff, 0xff]),
            Reason::Malformed,
            "",
        ),
        (
            "no entry",
            once(|id| message(id, 0x64, &[&[4, 0]])),
            Reason::Malformed,
            "",
        ),
        (
            "elsewhere",
            once(|id| end(id, 0x65, 10)),
            Reason::Refused,
            "ldap 10",
        ),
    ] {
        let deadline = if reason == Reason::Timeout { "2s" } else { "30s" };
        let hostile = Hostile::start(said).await;
        let driver = hostile.driver(deadline);
        let (asked, other) = (all(), all());
        let both = async { tokio::join!(driver.perform(&asked), value(&good, &other)) };
        let ((answer, entries), grown) = weighed(both).await;
        let fault = match answer {
            Ok(answer) => answer.fault.expect(what),
            Err(fault) => fault,
        };
        assert_eq!((fault.reason, fault.code.as_str()), (reason, code), "{what}");
        assert_eq!(entries.as_array().map(Vec::len), Some(1), "{what}");
        assert!(grown < BOUND, "{what}: {} MiB", grown >> 20);
        let sent = hostile.sent.load(Ordering::SeqCst);
        assert!(sent < 64 << 20, "{what}: {sent} were taken");
    }
}
