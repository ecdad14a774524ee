//! Servers that answer what no system should, on loopback.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener as StdListener},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::State,
    http::StatusCode,
    response::Response,
    routing::{delete, get},
};
use serde_json::json;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// How large an answer may be unless its definition says more, in bytes.
const LARGEST: usize = 8 << 20;

/// A server for HTTP; where it listens.
async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// Answers everything with eight megabytes of zeros in a list of SCIM.
pub struct Zeros {
    pub url: String,
    asked: Arc<AtomicUsize>,
}

impl Zeros {
    pub async fn start() -> Self {
        let body = format!(
            r#"{{"totalResults":1,"itemsPerPage":1,"startIndex":1,"Resources":[{}0]}}"#,
            "0,".repeat(LARGEST / 2 - 64)
        );
        let (body, asked) = (Bytes::from(body), Arc::new(AtomicUsize::new(0)));
        let asks = Arc::clone(&asked);
        let answer = move || {
            asks.fetch_add(1, Ordering::SeqCst);
            let response = Response::builder().header("content-type", "application/scim+json");
            std::future::ready(response.body(Body::from(body.clone())).unwrap())
        };
        Self {
            url: serve(Router::new().fallback(answer)).await,
            asked,
        }
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// A system with one group of so many members, jane among them until she is taken out.
pub struct Crowd {
    pub url: String,
    left: Arc<AtomicBool>,
}

impl Crowd {
    pub async fn start(members: usize) -> Self {
        let group =
            |members: Vec<_>| Bytes::from(json!({"groups": [{"id": 1, "members": members}]}).to_string());
        let others: Vec<_> = (0..members)
            .map(|n| {
                json!({"value": format!("3f2b8c1e-0d5a-4c7e-9a51-{n:012}"), "display": format!("Employee {n}"), "type": "User"})
            })
            .collect();
        let jane = json!({"value": "7", "display": "Jane Doe", "type": "User"});
        let with = group([others.clone(), vec![jane]].concat());
        let without = group(others);
        assert!(with.len() < LARGEST);
        let left = Arc::new(AtomicBool::new(false));
        let router = Router::new()
            .route(
                "/users",
                get(async || Json(json!([{"id": 7, "login": "jane", "email": "jane@example.com"}]))),
            )
            .route(
                "/groups",
                get(async move |State(left): State<Arc<AtomicBool>>| {
                    let body = if left.load(Ordering::SeqCst) {
                        without
                    } else {
                        with
                    };
                    let response = Response::builder().header("content-type", "application/json");
                    response.body(Body::from(body)).unwrap()
                }),
            )
            .route(
                "/groups/1/members/7",
                delete(async |State(left): State<Arc<AtomicBool>>| {
                    left.store(true, Ordering::SeqCst);
                    StatusCode::NO_CONTENT
                }),
            )
            .with_state(Arc::clone(&left));
        Self {
            url: serve(router).await,
            left,
        }
    }

    /// Whether jane was taken out of the group.
    pub fn left(&self) -> bool {
        self.left.load(Ordering::SeqCst)
    }
}

/// Answers the first message of everybody with these bytes, again and again as often as `times`.
fn ldap(bytes: Vec<u8>, times: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let asks = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), bytes) = (stream, bytes.clone()) else {
                continue;
            };
            asks.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || {
                let mut first = [0; 4096];
                if stream.read(&mut first).is_ok() {
                    // Whoever does not listen to the end is right.
                    (0..times).try_for_each(|_| stream.write_all(&bytes)).ok();
                }
            });
        }
    });
    (address, asked)
}

/// Forty kilobytes of sequences in each other.
pub fn nested_ber() -> (SocketAddr, Arc<AtomicUsize>) {
    let mut bytes = vec![];
    for depth in (0..10_000_usize).rev() {
        // The length of what is inside, in two bytes.
        let [.., high, low] = (depth * 4).to_be_bytes();
        bytes.extend([0x30, 0x82, high, low]);
    }
    ldap(bytes, 1)
}

/// A message that says that it is nearly endless, and goes on for four gigabytes.
pub fn endless_ber() -> (SocketAddr, Arc<AtomicUsize>) {
    let mut bytes = vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff];
    bytes.resize(1 << 20, 0x04);
    ldap(bytes, 4096)
}

/// So many connections from some twenty addresses that begin a request and never end it.
pub async fn half_open(door: SocketAddr, count: u16) -> Vec<TcpStream> {
    let mut strangers = vec![];
    for nth in 0..count {
        let socket = TcpSocket::new_v4().unwrap();
        let [high, low] = (nth % 20 + 256).to_be_bytes();
        let from = SocketAddr::from(([127, 0, high, low + 1], 0));
        socket.bind(from).unwrap();
        let connecting = socket.connect(door);
        if let Ok(Ok(stream)) = tokio::time::timeout(std::time::Duration::from_secs(1), connecting).await {
            stream.try_write(b"POST /wake/x/y HTTP/1.1\r\nhost: ").ok();
            strangers.push(stream);
        }
    }
    strangers
}
