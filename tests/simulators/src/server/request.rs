//! Parts of a request, decoded.

use axum::http::{HeaderMap, Uri, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use percent_encoding::percent_decode_str;

/// The bearer token of a request.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?;
    value.to_str().ok()?.strip_prefix("Bearer ")
}

/// The user name and the password of a request.
pub fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?;
    let encoded = value.to_str().ok()?.strip_prefix("Basic ")?;
    let pair = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (user, password) = pair.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// The segments of the path.
pub fn segments(uri: &Uri) -> Vec<String> {
    let plain = |segment: &str| percent_decode_str(segment).decode_utf8_lossy().into_owned();
    uri.path().split('/').skip(1).map(plain).collect()
}

/// Decodes `application/x-www-form-urlencoded`.
pub fn pairs(encoded: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(encoded);
    let plain = |text: &str| {
        let blanks = text.replace('+', " ");
        percent_decode_str(&blanks).decode_utf8_lossy().into_owned()
    };
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (plain(key), plain(value))
        })
        .collect()
}
