//! Sends one body to a webhook and says what became of it.

use std::{path::Path, time::Duration};

use jiff::{SignedDuration, Timestamp};
use reqwest::{
    Method, Request, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
};
use tokio::time::Instant;

use super::{Sending, settings};
use crate::{
    core::{
        fault::{Fault, FaultKind},
        schedule,
    },
    transport::{
        dial::Dialer,
        http::{Client, Reply},
    },
};

/// An answer of a webhook is a word.
const LARGEST_ANSWER: usize = 64 << 10;

/// What is posted.
pub struct Post {
    /// To whom.
    pub url: Url,
    /// What.
    pub body: String,
    /// Of which kind.
    pub content_type: &'static str,
    /// More headers.
    pub headers: Vec<(&'static str, String)>,
    /// The receiver drops a second one, so what may have been received can be sent again.
    pub deduplicated: bool,
}

/// Sends it, where `dialer` connects.
pub async fn post(post: Post, authorities: Option<&Path>, dialer: &Dialer, deadline: Duration) -> Sending {
    let Ok(trust) = authorities.map(settings::secret).transpose() else {
        return Sending::again("caFile not readable");
    };
    let Ok(client) = Client::new(trust.as_ref(), false, dialer.clone()) else {
        return Sending::again("caFile not usable");
    };
    let deduplicated = post.deduplicated;
    let mut request = Request::new(Method::POST, post.url);
    let Ok(headers) = headers(post.content_type, post.headers) else {
        return Sending::Failed("header not valid".to_owned());
    };
    *request.headers_mut() = headers;
    *request.body_mut() = Some(post.body.into());
    let client = client.with_largest(LARGEST_ANSWER);
    match client.send(request, Instant::now() + deadline).await {
        Ok(reply) => judge(&reply, deduplicated),
        Err(fault) => lost(&fault, deduplicated),
    }
}

fn headers(content_type: &'static str, more: Vec<(&'static str, String)>) -> Result<HeaderMap, ()> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in more {
        let mut value = HeaderValue::from_str(&value).map_err(|_| ())?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(headers)
}

/// What an answer means. A server that failed in the middle may have taken the message.
fn judge(reply: &Reply, deduplicated: bool) -> Sending {
    let code = reply.status.to_string();
    match reply.status {
        200..=299 => Sending::Sent(None),
        429 | 503 => Sending::Again {
            reason: code,
            until: retry_after(&reply.headers),
        },
        500..=599 if deduplicated => Sending::again(&code),
        500..=599 => Sending::Unsure(code),
        _ => Sending::Failed(code),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Timestamp> {
    let seconds: i64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    let wait = SignedDuration::from_secs(seconds.clamp(0, 3600));
    Some(schedule::later(Timestamp::now(), wait))
}

/// What having no answer means.
fn lost(fault: &Fault, deduplicated: bool) -> Sending {
    let reason = fault.to_string();
    match fault.kind {
        FaultKind::UnknownOutcome if !deduplicated => Sending::Unsure(reason),
        // Nothing was sent, or a second one is dropped. A certificate or an address may be mended meanwhile.
        _ => Sending::again(&reason),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    fn reply(status: u16) -> Reply {
        Reply {
            status,
            headers: HeaderMap::new(),
            body: b"secret text of the receiver".to_vec(),
            largest: LARGEST_ANSWER,
            memory: Default::default(),
        }
    }

    #[test]
    fn only_what_was_certainly_not_taken_is_sent_again_unless_a_second_one_is_dropped() {
        for (status, chat, webhook) in [
            (200, "Sent", "Sent"),
            (202, "Sent", "Sent"),
            (400, "Failed", "Failed"),
            (404, "Failed", "Failed"),
            (429, "Again", "Again"),
            (500, "Unsure", "Again"),
            (503, "Again", "Again"),
            (504, "Unsure", "Again"),
        ] {
            let said = |deduplicated| format!("{:?}", judge(&reply(status), deduplicated));
            assert!(said(false).starts_with(chat), "{status}: {}", said(false));
            assert!(said(true).starts_with(webhook), "{status}: {}", said(true));
            assert!(!said(true).contains("secret"), "the receiver's text is shown");
        }
        let silent = Fault::unknown_outcome(crate::core::fault::Reason::Timeout);
        assert_eq!(lost(&silent, false), Sending::Unsure("Timeout".into()));
        assert_eq!(lost(&silent, true), Sending::again("Timeout"));
    }

    /// A receiver that says yes and then goes on for ever, with words or without.
    async fn endless(words: &'static [u8]) -> (Url, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&sent);
        tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            client.read_buf(&mut Vec::with_capacity(4096)).await.unwrap();
            let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n";
            client.write_all(head).await.unwrap();
            while !words.is_empty() && client.write_all(words).await.is_ok() {
                counted.fetch_add(words.len(), Ordering::SeqCst);
            }
            std::future::pending::<()>().await;
        });
        (url, sent)
    }

    #[tokio::test]
    async fn a_receiver_that_never_ends_is_left_and_nothing_is_sent_to_it_twice() {
        crate::transport::install_crypto();
        for (words, why) in [(&[b'x'; 4096][..], "too large"), (b"", "")] {
            let (url, sent) = endless(words).await;
            let message = Post {
                url,
                body: "hello".to_owned(),
                content_type: "text/plain",
                headers: vec![],
                deduplicated: false,
            };
            let became = post(message, None, &Dialer::trusted(), Duration::from_secs(1)).await;
            let Sending::Unsure(reason) = &became else {
                panic!("{became:?}");
            };
            assert!(reason.contains(why), "{reason}");
            // What the sockets hold is not read.
            assert!(sent.load(Ordering::SeqCst) < 16 << 20);
        }
    }
}
