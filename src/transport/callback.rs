//! Addresses where a system may say later what became of a request: each is good for one act, and for some time.
//!
//! # Why
//! An address ends with a token: what it is about, until when it is good, and a MAC over both with a key that nobody has but the
//! connector's own Secret. So nothing has to be kept for each request that goes out, a token is good after a restart and at
//! every replica, and one for another act, account or leaver is another token. Whoever holds it speaks for the system, like
//! the system's password for us: it is put into the request when that is sent, and is in no act, plan, record or log.

use std::fmt;

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::{
    SetupError,
    secret::{Credentials, Secret},
    signature,
};

/// What the path of an address begins with.
pub const PATH: &str = "/callback/";
/// No token is longer.
const LONGEST: usize = 4096;
/// Told apart from whatever else the key might sign.
const PURPOSE: &[u8] = b"offboard callback 1.";

/// What a token is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// `metadata.uid` of the Offboarding.
    #[serde(rename = "o")]
    pub case: String,
    /// The system's row.
    #[serde(rename = "s")]
    pub row: String,
    /// The fact that the act is for.
    #[serde(rename = "f")]
    pub fact: String,
    /// The key of the act.
    #[serde(rename = "k")]
    pub key: String,
    /// When it is asked for.
    #[serde(rename = "a")]
    pub asked: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Payload {
    #[serde(flatten)]
    about: About,
    #[serde(rename = "u")]
    until: Timestamp,
}

/// Makes the addresses of one connector, and knows them again.
pub struct Callbacks {
    base: String,
    key: hmac::Key,
    lasts: SignedDuration,
}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callbacks")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl Callbacks {
    /// Addresses behind `base`, made with the key under `name`, good for `lasts`.
    ///
    /// # Errors
    /// When the key is missing or too short, or `base` is no address.
    pub fn new(
        base: &str,
        credentials: &Credentials,
        name: &str,
        lasts: SignedDuration,
    ) -> Result<Self, SetupError> {
        let plain = |url: &Url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.query().is_none()
                && url.fragment().is_none()
        };
        if !Url::parse(base).is_ok_and(|url| plain(&url)) {
            return Err(SetupError::Field("http.callback.base"));
        }
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            key: signature::key(credentials, name)?,
            lasts,
        })
    }

    /// The address for what `about` says.
    pub fn address(&self, about: About) -> Secret {
        let until = about.asked.saturating_add(self.lasts).unwrap_or(Timestamp::MAX);
        let payload = serde_json::to_vec(&Payload { about, until }).unwrap_or_default();
        let payload = BASE64_URL_SAFE_NO_PAD.encode(payload);
        let mac = hmac::sign(&self.key, &signed(&payload));
        let mac = BASE64_URL_SAFE_NO_PAD.encode(mac.as_ref());
        Secret::new(format!("{}{PATH}{payload}.{mac}", self.base))
    }

    /// What `token` is about, if it is one of these addresses' and still good.
    pub fn believes(&self, token: &str, now: Timestamp) -> Option<About> {
        let Payload { about, until } = genuine(&self.key, token)?;
        (now < until).then_some(about)
    }
}

/// What `token` says that it is about, which anybody can write: only to know whose key to ask for.
pub fn claims(token: &str) -> Option<About> {
    let (payload, _) = token.split_once('.').filter(|_| token.len() <= LONGEST)?;
    read(payload).map(|payload| payload.about)
}

/// Does the work of a check for a token that is nobody's, so that its answer takes no less time.
pub fn believes_nobody(token: &str) {
    let nobody = hmac::Key::new(hmac::HMAC_SHA256, b"nobody has this key");
    drop(genuine(&nobody, token));
}

fn genuine(key: &hmac::Key, token: &str) -> Option<Payload> {
    let (payload, mac) = token.split_once('.').filter(|_| token.len() <= LONGEST)?;
    let mac = BASE64_URL_SAFE_NO_PAD.decode(mac).unwrap_or_default();
    hmac::verify(key, &signed(payload), &mac).ok()?;
    read(payload)
}

fn signed(payload: &str) -> Vec<u8> {
    [PURPOSE, payload.as_bytes()].concat()
}

fn read(payload: &str) -> Option<Payload> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn callbacks(key: &str) -> Callbacks {
        let credentials = Credentials::from_data([("k".to_owned(), key.as_bytes().to_vec())], "1");
        Callbacks::new(
            "https://x.org/in/",
            &credentials,
            "k",
            SignedDuration::from_hours(1),
        )
        .unwrap()
    }

    fn about() -> About {
        About {
            case: "0f3c-11aa".into(),
            row: "flow".into(),
            fact: "FlowReported".into(),
            key: "4f2a".into(),
            asked: Timestamp::from_second(1_790_000_000).unwrap(),
        }
    }

    fn token(callbacks: &Callbacks, about: About) -> String {
        let address = callbacks.address(about);
        address
            .expose()
            .strip_prefix("https://x.org/in/callback/")
            .unwrap()
            .to_owned()
    }

    #[test]
    fn a_token_says_what_it_is_about_and_for_how_long() {
        let callbacks = callbacks(&"k".repeat(24));
        let token = token(&callbacks, about());
        let after = |minutes| about().asked + SignedDuration::from_mins(minutes);
        assert_eq!(callbacks.believes(&token, after(59)), Some(about()));
        assert_eq!(callbacks.believes(&token, after(60)), None, "too late");
        assert_eq!(claims(&token), Some(about()));
    }

    #[test]
    fn nothing_of_a_token_can_be_changed() {
        let callbacks = callbacks(&"k".repeat(24));
        let own = token(&callbacks, about());
        let (payload, mac) = own.split_once('.').unwrap();
        let other = token(
            &callbacks,
            About {
                case: "another".into(),
                ..about()
            },
        );
        let (other, _) = other.split_once('.').unwrap();
        let forged = token(&self::callbacks(&"x".repeat(24)), about());
        let (_, forged) = forged.split_once('.').unwrap();
        let forever = serde_json::to_vec(&serde_json::json!({
            "o": "0f3c-11aa", "s": "flow", "f": "FlowReported", "k": "4f2a",
            "a": "2026-09-21T00:00:00Z", "u": "9000-01-01T00:00:00Z",
        }));
        let forever = BASE64_URL_SAFE_NO_PAD.encode(forever.unwrap());
        for (payload, mac) in [
            (other, mac),
            (payload, forged),
            (payload, ""),
            (payload, &mac[..mac.len() - 1]),
            ("", mac),
            (&forever, mac),
            (&payload.to_uppercase(), mac),
        ] {
            let token = format!("{payload}.{mac}");
            assert_eq!(callbacks.believes(&token, about().asked), None, "{token}");
        }
        assert_eq!(callbacks.believes(payload, about().asked), None);
        assert_eq!(claims(&"A".repeat(10_000)), None);
    }

    #[test]
    fn what_is_no_address_and_a_short_key_are_refused() {
        let credentials = Credentials::from_data([("k".to_owned(), b"short".to_vec())], "1");
        let made = |base: &str| Callbacks::new(base, &credentials, "k", SignedDuration::from_hours(1)).err();
        assert_eq!(made("https://x.org"), Some(SetupError::SigningKey("k".into())));
        for base in ["", "x.org", "ftp://x.org", "https://x.org?a=b", "https://x.org#a"] {
            assert_eq!(
                made(base),
                Some(SetupError::Field("http.callback.base")),
                "{base}"
            );
        }
    }
}
