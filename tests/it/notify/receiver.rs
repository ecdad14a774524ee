//! A small HTTP server that keeps what is posted to it, and answers as it is told.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

/// One request.
#[derive(Debug, Clone)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

/// What it answers.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    Status(u16),
    /// 429, and when to come again.
    After(u64),
}

#[derive(Default)]
struct Kept {
    received: Vec<Received>,
    /// Of the next requests; then [`Kept::always`].
    answers: VecDeque<Answer>,
    always: Option<Answer>,
}

/// A running one.
pub struct Receiver {
    pub address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
    held: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Receiver {
    pub async fn start() -> Self {
        let kept = Arc::<Mutex<Kept>>::default();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (held, answering) = watch::channel(false);
        let router = Router::new()
            .fallback(receive)
            .with_state((kept.clone(), answering));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            kept,
            held,
            serving,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers the next requests like this.
    pub fn next(&self, answers: &[Answer]) {
        self.kept.lock().unwrap().answers.extend(answers);
    }

    /// Answers everything like this; none: 200.
    pub fn always(&self, answer: Option<Answer>) {
        self.kept.lock().unwrap().always = answer;
    }

    /// While this is true nothing is answered, and what is posted is kept all the same.
    pub fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// Everything that was posted to paths that begin like this.
    pub fn received(&self, path: &str) -> Vec<Received> {
        let kept = self.kept.lock().unwrap();
        kept.received
            .iter()
            .filter(|r| r.path.starts_with(path))
            .cloned()
            .collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn receive(
    State((kept, mut held)): State<(Arc<Mutex<Kept>>, watch::Receiver<bool>)>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answer = {
        let mut kept = kept.lock().unwrap();
        kept.received.push(Received {
            path: uri.path().to_owned(),
            headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        });
        kept.answers
            .pop_front()
            .or(kept.always)
            .unwrap_or(Answer::Status(200))
    };
    held.wait_for(|held| !held).await.ok();
    match answer {
        Answer::Status(status) => {
            (StatusCode::from_u16(status).unwrap(), "text of the receiver").into_response()
        }
        Answer::After(seconds) => (
            StatusCode::TOO_MANY_REQUESTS,
            [(RETRY_AFTER, seconds.to_string())],
            "slow down",
        )
            .into_response(),
    }
}
