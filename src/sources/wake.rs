//! Whether a message that something changed in the HR system is to be believed.
//!
//! The body is not looked at: a message can say no more than "look now". It is signed so that nobody can keep a source looking.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use crate::{
    core::{leavers::compare::hex, schedule::later},
    transport::secret::Secret,
};

/// A message is believed so long before and after the time it names.
const WINDOW: SignedDuration = SignedDuration::from_mins(5);
/// So many signatures are remembered.
const REMEMBERED: usize = 4096;

/// A message as it came.
#[derive(Debug, Clone, Copy)]
pub struct Message<'m> {
    /// `namespace/source`, as in the path.
    pub to: &'m str,
    /// Seconds since 1970, as the sender wrote them.
    pub timestamp: &'m str,
    /// `sha256=` and hexadecimal digits.
    pub signature: &'m str,
    /// The body.
    pub body: &'m [u8],
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reception {
    /// It is heeded.
    Heeded,
    /// It is genuine, and one too many: the same may be sent again in a moment.
    TooMany,
    /// It is not believed.
    Refused,
}

/// The signature of a message: HMAC-SHA256 over `TIMESTAMP.NAMESPACE/SOURCE.BODY`.
pub fn sign(key: &Secret, to: &str, timestamp: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes());
    let tag = hmac::sign(&key, &signed(to, timestamp, body));
    format!("sha256={}", hex(tag.as_ref()))
}

fn signed(to: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [timestamp.as_bytes(), b".", to.as_bytes(), b".", body].concat()
}

/// Remembers which messages were believed already.
#[derive(Debug, Default)]
pub struct Replays(Mutex<BTreeMap<Vec<u8>, Timestamp>>);

impl Replays {
    /// Whether `message` was signed with `key`, is of now, is new, and one more is admitted. Does the same work whether there is a
    /// key or not.
    pub fn receive(
        &self,
        message: Message<'_>,
        key: Option<&Secret>,
        now: Timestamp,
        admits: impl FnOnce() -> bool,
    ) -> Reception {
        let nobody = Secret::new("nobody has this key".to_owned());
        let of_now = message
            .timestamp
            .parse::<i64>()
            .ok()
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .is_some_and(|at| now.duration_since(at).abs() <= WINDOW);
        let given = message
            .signature
            .strip_prefix("sha256=")
            .and_then(bytes)
            .unwrap_or_default();
        let with = hmac::Key::new(hmac::HMAC_SHA256, key.unwrap_or(&nobody).expose().as_bytes());
        let text = signed(message.to, message.timestamp, message.body);
        let genuine = hmac::verify(&with, &text, &given).is_ok();
        if !genuine || !of_now || key.is_none() {
            return Reception::Refused;
        }
        let mut known = self.0.lock();
        known.retain(|_, until| *until > now);
        if known.contains_key(&given) {
            return Reception::Refused;
        }
        if known.len() >= REMEMBERED || !admits() {
            return Reception::TooMany;
        }
        // As long as its time could still be believed.
        known.insert(given, later(now, WINDOW + WINDOW));
        Reception::Heeded
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "1789473600";

    fn now() -> Timestamp {
        Timestamp::from_second(NOW.parse().unwrap()).unwrap()
    }

    fn key() -> Secret {
        Secret::new("k".repeat(32))
    }

    fn believed(replays: &Replays, to: &str, timestamp: &str, body: &[u8], signature: &str) -> bool {
        let message = Message {
            to,
            timestamp,
            signature,
            body,
        };
        replays.receive(message, Some(&key()), now(), || true) == Reception::Heeded
    }

    #[test]
    fn a_signed_message_of_now_is_believed_once() {
        let replays = Replays::default();
        let signature = sign(&key(), "people/bamboo", NOW, b"{}");
        assert!(believed(&replays, "people/bamboo", NOW, b"{}", &signature));
        assert!(!believed(&replays, "people/bamboo", NOW, b"{}", &signature));
        assert!(!believed(
            &replays,
            "people/bamboo",
            NOW,
            b"{}",
            &signature.to_uppercase()
        ));
    }

    #[test]
    fn one_too_many_may_be_sent_again_as_it_is() {
        let replays = Replays::default();
        let signature = sign(&key(), "people/bamboo", NOW, b"{}");
        let message = Message {
            to: "people/bamboo",
            timestamp: NOW,
            signature: &signature,
            body: b"{}",
        };
        let receive = |admits: bool| replays.receive(message, Some(&key()), now(), || admits);
        assert_eq!(receive(false), Reception::TooMany);
        assert_eq!(receive(true), Reception::Heeded);
        assert_eq!(receive(true), Reception::Refused);
    }

    #[test]
    fn nothing_of_a_message_can_be_changed() {
        let signature = sign(&key(), "people/bamboo", NOW, b"{}");
        for (to, timestamp, body, signature) in [
            ("people/other", NOW, &b"{}"[..], signature.as_str()),
            ("people/bamboo", "1789473601", b"{}", &signature),
            ("people/bamboo", NOW, b"{ }", &signature),
            ("people/bamboo", NOW, b"{}", &signature[7..]),
            ("people/bamboo", NOW, b"{}", "sha256="),
            ("people/bamboo", NOW, b"{}", ""),
            ("people/bamboo", NOW, b"{}", &format!("sha256={}", "é".repeat(32))),
        ] {
            assert!(
                !believed(&Replays::default(), to, timestamp, body, signature),
                "{to} {timestamp} {signature}"
            );
        }
        let message = Message {
            to: "people/bamboo",
            timestamp: NOW,
            signature: &signature,
            body: b"{}",
        };
        assert!(
            Replays::default().receive(message, None, now(), || true) == Reception::Refused,
            "there is no such source"
        );
        let other = Secret::new("x".repeat(32));
        assert_eq!(
            Replays::default().receive(message, Some(&other), now(), || true),
            Reception::Refused
        );
    }

    #[test]
    fn an_old_message_is_not_believed_though_it_was_signed() {
        let old = (now() - WINDOW - SignedDuration::from_secs(1))
            .as_second()
            .to_string();
        let early = (now() + WINDOW + SignedDuration::from_secs(1))
            .as_second()
            .to_string();
        for timestamp in [old.as_str(), early.as_str(), "", "soon", "99999999999999999999"] {
            let signature = sign(&key(), "people/bamboo", timestamp, b"");
            assert!(
                !believed(&Replays::default(), "people/bamboo", timestamp, b"", &signature),
                "{timestamp}"
            );
        }
    }
}
