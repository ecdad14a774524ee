//! Connections of strangers: how many, how long, and how slowly.
//!
//! # Why
//! Every open connection takes a descriptor of the process, and one that never says anything would keep it for ever: a
//! thousand of them and the operator could open none of its own. So there is a place for so many in all and of each peer,
//! and whoever has not said what they want by then loses it.

use std::{collections::HashMap, io, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use parking_lot::Mutex;
use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};

/// What is granted to those who connect.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at the same time.
    pub all: usize,
    /// Of these, from one address.
    pub each: usize,
    /// A request's head must be there by then, also the next one on the same connection.
    pub head: Duration,
    /// No connection lasts longer.
    pub longest: Duration,
}

/// The largest head of a request, in bytes.
const HEAD: usize = 16 << 10;
/// How long to wait when the process can open nothing more.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Who is connected.
#[derive(Debug, Default)]
struct Places(Mutex<HashMap<IpAddr, usize>>);

/// A place that is free again when this is dropped.
struct Place {
    places: Arc<Places>,
    peer: IpAddr,
}

impl Places {
    fn take(self: &Arc<Self>, peer: IpAddr, limits: &Limits) -> Option<Place> {
        let mut taken = self.0.lock();
        let all: usize = taken.values().sum();
        let of_peer = taken.entry(peer).or_default();
        if all >= limits.all || *of_peer >= limits.each {
            if *of_peer == 0 {
                taken.remove(&peer);
            }
            return None;
        }
        *of_peer += 1;
        Some(Place {
            places: self.clone(),
            peer,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock();
        if let Some(of_peer) = taken.get_mut(&self.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                taken.remove(&self.peer);
            }
        }
    }
}

/// Serves `router` to whoever connects, within `limits`, until dropped.
///
/// # Errors
/// When nobody can be listened to any more.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits) -> io::Result<()> {
    let places = Arc::new(Places::default());
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            // Whoever goes before they are let in, and a process that has no descriptor left for now.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(EXHAUSTED).await;
                continue;
            }
        };
        let Some(place) = places.take(peer.ip().to_canonical(), &limits) else {
            continue;
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.head)
                .max_buf_size(HEAD)
                .serve_connection(TokioIo::new(stream), service);
            let mut connection = pin!(connection);
            // However it ends, it has ended. One that has lasted long ends its present request first.
            if timeout(limits.longest, connection.as_mut()).await.is_err() {
                connection.as_mut().graceful_shutdown();
                drop(timeout(limits.head, connection).await);
            }
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        time::Instant,
    };

    use super::*;

    async fn answered(stream: &mut TcpStream) -> String {
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .ok();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok();
        answer
    }

    #[tokio::test]
    async fn who_says_nothing_loses_their_place_and_who_is_too_many_gets_none() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = Limits {
            all: 8,
            each: 4,
            head: Duration::from_millis(300),
            longest: Duration::from_secs(5),
        };
        let router = Router::new().route("/", get(|| async { "ok" }));
        tokio::spawn(serve(listener, router, limits));
        let connect = || async { TcpStream::connect(address).await.unwrap() };
        let mut silent = vec![];
        for _ in 0..4 {
            silent.push(connect().await);
        }
        // One that begins and never ends.
        silent[0].write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
        let began = Instant::now();
        assert_eq!(
            answered(&mut connect().await).await,
            "",
            "there is no fifth place"
        );
        for mut stream in silent {
            let mut rest = vec![];
            stream.read_to_end(&mut rest).await.ok();
        }
        assert!(began.elapsed() < Duration::from_secs(3));
        let answer = answered(&mut connect().await).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    #[tokio::test]
    async fn a_crowd_of_strangers_is_gone_in_a_moment() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = Limits {
            all: 32,
            each: 8,
            head: Duration::from_millis(300),
            longest: Duration::from_secs(5),
        };
        let router = Router::new().route("/", get(|| async { "ok" }));
        tokio::spawn(serve(listener, router, limits));
        let mut strangers = vec![];
        for nth in 0..300_u16 {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            let low = u8::try_from(nth % 20).unwrap() + 1;
            socket
                .bind(std::net::SocketAddr::from(([127, 0, 1, low], 0)))
                .unwrap();
            if let Ok(mut stream) = socket.connect(address).await {
                stream.write_all(b"POST / HTTP/1.1\r\nhost: ").await.ok();
                strangers.push(stream);
            }
        }
        let began = Instant::now();
        while !answered(&mut TcpStream::connect(address).await.unwrap())
            .await
            .starts_with("HTTP/1.1 200")
        {
            assert!(began.elapsed() < Duration::from_secs(10), "they stay");
            sleep(Duration::from_millis(20)).await;
        }
    }
}
