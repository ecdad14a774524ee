//! Against small servers on loopback: axum where the answer is sound, bare sockets where it is not.

mod logins;
mod network;
mod table;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicI64, AtomicUsize, Ordering},
};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{
    connectors::driver::Body,
    transport::{destination::Place, egress::Egress, system_clock},
};

/// A server that reads one request from each connection, keeps it, and answers with bytes as they are.
struct Raw {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Raw {
    async fn start(answer: impl Into<Vec<u8>>) -> Self {
        let answer = Arc::new(answer.into());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn({
            let asked = asked.clone();
            async move {
                while let Ok((mut socket, _)) = listener.accept().await {
                    let (asked, answer) = (asked.clone(), answer.clone());
                    tokio::spawn(async move {
                        let request = receive(&mut socket).await;
                        asked.lock().push(request);
                        drop(socket.write_all(&answer).await);
                    });
                }
            }
        });
        Self { url, asked }
    }

    fn count(&self) -> usize {
        self.asked.lock().len()
    }

    fn last(&self) -> String {
        self.asked.lock().last().unwrap().clone()
    }
}

/// One request with its body, as text.
async fn receive(socket: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = socket.read(&mut buffer).await.unwrap_or(0);
        text.extend_from_slice(&buffer[..read]);
        let seen = String::from_utf8_lossy(&text).into_owned();
        let wanted = seen.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            body.len() >= length.map_or(0, |length| length.parse().unwrap())
        });
        if wanted || read == 0 {
            return seen;
        }
    }
}

/// What the system's definition lists.
const CODES: [&str; 12] = [
    "E0000001",
    "Email",
    "INVALID_FIELD",
    "INVALID_SESSION_ID",
    "accessDenied",
    "already_exists",
    "costCentre",
    "error-pattern-no-match",
    "forbidden",
    "invalid",
    "phone",
    "quotaExceeded",
];

fn config(base: &str) -> definition::HttpDriver {
    definition::HttpDriver {
        base: base.to_owned(),
        codes: CODES.map(str::to_owned).into(),
        ..Default::default()
    }
}

fn credentials(data: &[(&str, &str)]) -> Credentials {
    let data = data
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()));
    Credentials::from_data(data, "1")
}

fn driver(config: &definition::HttpDriver, secret: &[(&str, &str)]) -> HttpDriver {
    let limit = HttpDriver::limit(config, system_clock());
    HttpDriver::new(
        config,
        credentials(secret),
        limit,
        system_clock(),
        (&Dialer::trusted(), false),
    )
    .unwrap()
}

fn get(url: &str) -> Resolved {
    Resolved::Http(HttpRequest {
        method: "GET".into(),
        url: url.into(),
        subject: None,
        headers: BTreeMap::new(),
        body: Body::Empty,
    })
}

fn post(url: &str, body: Body) -> Resolved {
    let Resolved::Http(request) = get(url) else {
        unreachable!()
    };
    Resolved::Http(HttpRequest {
        method: "POST".into(),
        body,
        ..request
    })
}

/// A complete answer.
fn answer(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}")
}
