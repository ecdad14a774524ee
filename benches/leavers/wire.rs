//! The little of HTTP/1.1 that the simulated systems need.

use tokio::{io::AsyncReadExt as _, net::TcpStream};

/// One request.
pub struct Request {
    pub method: String,
    /// With its query, still encoded.
    pub path: String,
    pub body: String,
}

/// The next request of a connection; none when it ends or makes no sense. `buffer` keeps what came beyond it.
pub async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    let head = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let text = std::str::from_utf8(&buffer[..head]).ok()?;
    let mut lines = text.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    let end = head + 4 + length.unwrap_or(0);
    while buffer.len() < end {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8_lossy(&buffer[head + 4..end]).into_owned();
    buffer.drain(..end);
    Some(Request { method, path, body })
}

/// An answer as it goes over the wire. A 429 says that a second of silence is wanted.
pub fn answer(status: u16, body: &str) -> Vec<u8> {
    let more = if status == 429 { "retry-after: 1\r\n" } else { "" };
    let length = if status == 204 {
        String::new()
    } else {
        format!("content-length: {}\r\n", body.len())
    };
    format!("HTTP/1.1 {status} -\r\ncontent-type: application/scim+json\r\n{more}{length}\r\n{body}")
        .into_bytes()
}
