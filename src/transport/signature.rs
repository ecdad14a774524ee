//! Signed requests, as the Standard Webhooks say: who sent this, and when.
//!
//! # Why
//! The signature covers id, time and body. The receiver refuses an old time, so that what somebody recorded cannot be played
//! back later, and knows a repetition of ours by the id, which is the key of the act. The key never leaves this module.

use std::fmt;

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use rand::{TryRng, rngs::SysRng};
use reqwest::{
    Request,
    header::{HeaderName, HeaderValue},
};

use super::{SetupError, secret::Credentials};
use crate::core::fault::{Fault, Reason};

/// What tells requests apart.
const ID: HeaderName = HeaderName::from_static("webhook-id");
/// When it was sent, in whole seconds since 1970.
const TIME: HeaderName = HeaderName::from_static("webhook-timestamp");
/// Version and signature.
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
/// The shortest key, in bytes.
const SHORTEST: usize = 24;

/// A key that signs requests.
pub struct Signer(hmac::Key);

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(…)")
    }
}

impl Signer {
    /// The key under `name`: `whsec_` and base64, or any other text as it is.
    ///
    /// # Errors
    /// When it is missing, not base64 after `whsec_`, or shorter than 24 bytes.
    pub fn from_credentials(credentials: &Credentials, name: &str) -> Result<Self, SetupError> {
        key(credentials, name).map(Self)
    }

    /// Signs `request`, which is sent at `now`.
    ///
    /// # Errors
    /// When the operating system has no randomness for an id.
    pub fn sign(&self, request: &mut Request, now: Timestamp) -> Result<(), Fault> {
        let malformed = |_| Fault::permanent(Reason::Malformed).with_code("webhook-id");
        let id = match request.headers().get(&ID) {
            Some(id) => id.clone(),
            None => HeaderValue::try_from(fresh()?).map_err(|_| Fault::permanent(Reason::Malformed))?,
        };
        let time = now.as_second();
        let mut signed = format!("{}.{time}.", id.to_str().map_err(malformed)?).into_bytes();
        signed.extend(
            request
                .body()
                .and_then(|body| body.as_bytes())
                .unwrap_or_default(),
        );
        let tag = hmac::sign(&self.0, &signed);
        let tag = format!("v1,{}", BASE64_STANDARD.encode(tag.as_ref()));
        let headers = request.headers_mut();
        headers.insert(ID, id);
        headers.insert(TIME, HeaderValue::from(time));
        headers.insert(
            SIGNATURE,
            HeaderValue::try_from(tag).map_err(|_| Fault::permanent(Reason::Malformed))?,
        );
        Ok(())
    }
}

/// The key under `name`, as [`Signer::from_credentials`] says.
pub(super) fn key(credentials: &Credentials, name: &str) -> Result<hmac::Key, SetupError> {
    let text = credentials.get(name)?.expose();
    let wrong = || SetupError::SigningKey(name.to_owned());
    let key = match text.strip_prefix("whsec_") {
        Some(encoded) => BASE64_STANDARD.decode(encoded).map_err(|_| wrong())?,
        None => text.as_bytes().to_vec(),
    };
    let key = zeroize::Zeroizing::new(key);
    if key.len() < SHORTEST {
        return Err(wrong());
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &key))
}

/// An id that no other request has.
fn fresh() -> Result<String, Fault> {
    let mut bytes = [0_u8; 16];
    let none = |_| Fault::transient(Reason::ConnectorNotReady).with_code("random");
    SysRng.try_fill_bytes(&mut bytes).map_err(none)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use reqwest::{Method, Url};

    use super::*;

    fn signer(key: &str) -> Result<Signer, SetupError> {
        let data = [("signingKey".to_owned(), key.as_bytes().to_vec())];
        Signer::from_credentials(&Credentials::from_data(data, "1"), "signingKey")
    }

    fn request(id: Option<&'static str>, body: &'static str) -> Request {
        let mut request = Request::new(Method::POST, Url::parse("https://flow.example.com/in").unwrap());
        *request.body_mut() = Some(body.into());
        if let Some(id) = id {
            request.headers_mut().insert(ID, HeaderValue::from_static(id));
        }
        request
    }

    fn header(request: &Request, name: &HeaderName) -> String {
        request.headers()[name].to_str().unwrap().to_owned()
    }

    #[test]
    fn the_signature_is_the_one_that_the_standards_own_example_has() {
        // https://github.com/standard-webhooks/standard-webhooks: the example of the specification and its libraries.
        let signer = signer("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let mut request = request(Some("msg_p5jXN8AQM9LWM0D4loKWxJek"), r#"{"test": 2432232314}"#);
        signer
            .sign(&mut request, Timestamp::from_second(1_614_265_330).unwrap())
            .unwrap();
        assert_eq!(
            header(&request, &SIGNATURE),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        assert_eq!(header(&request, &TIME), "1614265330");
    }

    #[test]
    fn a_request_without_an_id_gets_a_new_one_each_time() {
        let signer = signer("a text of more than twenty-four bytes").unwrap();
        let mut ids = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let mut request = request(None, "");
            signer.sign(&mut request, Timestamp::UNIX_EPOCH).unwrap();
            ids.insert(header(&request, &ID));
        }
        assert_eq!(ids.len(), 20);
    }

    #[test]
    fn a_key_that_is_short_or_no_base64_is_refused_and_never_shown() {
        for key in ["short", "whsec_!!!!", "whsec_c2hvcnQ="] {
            let error = signer(key).unwrap_err().to_string();
            assert!(error.contains("signingKey") && !error.contains(key), "{error}");
        }
        let shown = format!("{:?}", signer("a text of more than twenty-four bytes").unwrap());
        assert!(!shown.contains("text"), "{shown}");
    }
}
