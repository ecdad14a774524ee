//! Signed JWTs that stand for a login (RFC 7523).

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rand::{TryRng, rngs::SysRng};
use serde::Serialize;

use super::{SetupError, secret::Credentials};
use crate::core::fault::{Fault, Reason};

/// How long an assertion is good for, in seconds. Salesforce wants at most three minutes.
const LIFE: i64 = 120;

/// How far the issue time is set back, in seconds: Google refuses one in its future.
const BACK: i64 = 10;

/// A private key for signing: RSA signs RS256, P-256 signs ES256.
pub struct SigningKey {
    key: EncodingKey,
    header: Header,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("alg", &self.header.alg)
            .finish_non_exhaustive()
    }
}

impl SigningKey {
    /// The PEM under `name`, with `key_id` as the `kid` of what it signs.
    ///
    /// # Errors
    /// When it is missing, or no such key.
    pub fn from_credentials(
        credentials: &Credentials,
        name: &str,
        key_id: Option<&str>,
    ) -> Result<Self, SetupError> {
        let pem = credentials.get(name)?.expose().as_bytes();
        let (key, algorithm) = EncodingKey::from_rsa_pem(pem)
            .map(|key| (key, Algorithm::RS256))
            .or_else(|_| EncodingKey::from_ec_pem(pem).map(|key| (key, Algorithm::ES256)))
            .map_err(|_| SetupError::PrivateKey(name.to_owned()))?;
        let mut header = Header::new(algorithm);
        header.kid = key_id.map(str::to_owned);
        let key = Self { key, header };
        // Signs once, so that a broken key or another curve is known now and not on somebody's last day.
        let trial = jsonwebtoken::encode(&key.header, &(), &key.key);
        trial.map_err(|_| SetupError::PrivateKey(name.to_owned()))?;
        Ok(key)
    }
}

/// What is signed.
#[derive(Debug)]
pub struct Assertion {
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: Option<String>,
    /// `aud`.
    pub audience: String,
    /// `scope`, as Google wants it.
    pub scope: Option<String>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    aud: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    iat: i64,
    exp: i64,
    jti: String,
}

impl Assertion {
    /// The signed JWT, good for the next two minutes.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign(&self, key: &SigningKey, now: Timestamp) -> Result<String, Fault> {
        let not_ready = || Fault::permanent(Reason::ConnectorNotReady).with_code("privateKey");
        let mut id = [0; 16];
        SysRng.try_fill_bytes(&mut id).map_err(|_| not_ready())?;
        let claims = Claims {
            iss: &self.issuer,
            sub: self.subject.as_deref(),
            aud: &self.audience,
            scope: self.scope.as_deref(),
            iat: now.as_second() - BACK,
            exp: now.as_second() + LIFE,
            jti: BASE64_URL_SAFE_NO_PAD.encode(id),
        };
        jsonwebtoken::encode(&key.header, &claims, &key.key).map_err(|_| not_ready())
    }
}
