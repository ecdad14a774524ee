//! The keys that a server may prove itself with: pinned, never learned.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use russh::{
    Preferred,
    keys::{
        Algorithm, HashAlg, PublicKey,
        ssh_key::{Fingerprint, public::KeyData},
    },
};

use crate::transport::SetupError;

/// Pinned keys of one server.
#[derive(Debug, Clone, Default)]
pub struct HostKeys {
    pins: Vec<Pin>,
    revoked: Vec<KeyData>,
}

#[derive(Debug, Clone)]
enum Pin {
    Key(KeyData),
    /// With the kind of key where the line tells it.
    Fingerprint(Fingerprint, Option<Kind>),
}

/// What a key is made of. A server has one of each kind at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ed25519,
    Ecdsa,
    Rsa,
}

/// Why a server's key is not one to trust, as a word for a fault's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused(pub &'static str);

impl HostKeys {
    /// The keys in `lines` that are for this server: as in `known_hosts`, with or without host names, as `ssh-keygen -l`
    /// prints them, or fingerprints alone.
    ///
    /// # Errors
    /// A line that is none of these, and when no line is for this server.
    pub fn parse<'l>(
        lines: impl Iterator<Item = &'l str>,
        host: &str,
        port: u16,
    ) -> Result<Self, SetupError> {
        let mut keys = Self::default();
        let mut others = false;
        for line in lines.map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["@cert-authority", ..] => {
                    return Err(SetupError::HostKeys("certificates of hosts are not supported"));
                }
                ["@revoked", hosts, kind, key, ..] => {
                    if is_for(hosts, host, port) {
                        keys.revoked.push(public(kind, key)?);
                    }
                }
                [print, ..] if print.starts_with("SHA256:") => {
                    keys.pins.push(Pin::Fingerprint(fingerprint(print)?, None));
                }
                [_, print, .., kind] if print.starts_with("SHA256:") => {
                    keys.pins
                        .push(Pin::Fingerprint(fingerprint(print)?, Kind::named(kind)));
                }
                [kind, key, ..] if is_kind(kind) => keys.pins.push(Pin::Key(public(kind, key)?)),
                [hosts, kind, key, ..] if is_kind(kind) => {
                    if is_for(hosts, host, port) {
                        keys.pins.push(Pin::Key(public(kind, key)?));
                    } else {
                        others = true;
                    }
                }
                _ => {
                    return Err(SetupError::HostKeys(
                        "a line is neither a host key nor a fingerprint",
                    ));
                }
            }
        }
        match (keys.pins.is_empty(), others) {
            (false, _) => Ok(keys),
            (true, true) => Err(SetupError::HostKeys("every line is for another host or port")),
            (true, false) => Err(SetupError::HostKeys(
                "give the server's key in secret key \"known_hosts\" or in hostKeys",
            )),
        }
    }

    /// Whether a server may prove itself with `key`.
    ///
    /// # Errors
    /// When it may not: `changed` where another key of the same kind is pinned.
    pub(super) fn check(&self, key: &PublicKey) -> Result<(), Refused> {
        if self.revoked.contains(key.key_data()) {
            return Err(Refused("host key revoked"));
        }
        let print = key.fingerprint(HashAlg::Sha256);
        let same = |pin: &Pin| match pin {
            Pin::Key(data) => data == key.key_data(),
            Pin::Fingerprint(pinned, _) => *pinned == print,
        };
        if self.pins.iter().any(same) {
            return Ok(());
        }
        let kind = Kind::of(&key.algorithm());
        let another = self.pins.iter().any(|pin| kind.is_some() && pin.kind() == kind);
        Err(Refused(if another {
            "host key changed"
        } else {
            "host key unknown"
        }))
    }

    /// How a server may prove itself: by nothing else where the kinds of all pinned keys are known, so that a server with
    /// several keys shows the one that is pinned.
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        let kinds: Vec<Option<Kind>> = self.pins.iter().map(Pin::kind).collect();
        let wanted = |algorithm: &&Algorithm| {
            // RSA with SHA-1 proves nothing any more.
            **algorithm != Algorithm::Rsa { hash: None }
                && (kinds.contains(&None) || kinds.contains(&Kind::of(algorithm)))
        };
        Preferred::DEFAULT.key.iter().filter(wanted).cloned().collect()
    }
}

impl Pin {
    fn kind(&self) -> Option<Kind> {
        match self {
            Self::Key(data) => Kind::of(&data.algorithm()),
            Self::Fingerprint(_, kind) => *kind,
        }
    }
}

impl Kind {
    fn of(algorithm: &Algorithm) -> Option<Self> {
        match algorithm {
            Algorithm::Ed25519 => Some(Self::Ed25519),
            Algorithm::Ecdsa { .. } => Some(Self::Ecdsa),
            Algorithm::Rsa { .. } => Some(Self::Rsa),
            _ => None,
        }
    }

    /// As `ssh-keygen -l` prints it.
    fn named(text: &str) -> Option<Self> {
        match text {
            "(ED25519)" => Some(Self::Ed25519),
            "(ECDSA)" => Some(Self::Ecdsa),
            "(RSA)" => Some(Self::Rsa),
            _ => None,
        }
    }
}

fn is_kind(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-"]
        .iter()
        .any(|start| word.starts_with(start))
}

fn public(kind: &str, key: &str) -> Result<KeyData, SetupError> {
    PublicKey::from_openssh(&format!("{kind} {key}"))
        .map(|key| key.key_data().clone())
        .map_err(|_| SetupError::HostKeys("a host key cannot be read"))
}

fn fingerprint(text: &str) -> Result<Fingerprint, SetupError> {
    text.parse()
        .map_err(|_| SetupError::HostKeys("a fingerprint cannot be read"))
}

/// Whether the first field of a `known_hosts` line means this server. As in OpenSSH a name without a port is good for any.
fn is_for(hosts: &str, host: &str, port: u16) -> bool {
    let host = host.to_ascii_lowercase();
    let with_port = format!("[{host}]:{port}");
    let mut found = false;
    for entry in hosts.split(',') {
        if let Some(hashed) = entry.strip_prefix("|1|") {
            found |= is_hash_of(hashed, &host) || is_hash_of(hashed, &with_port);
            continue;
        }
        let (not, pattern) = match entry.strip_prefix('!') {
            Some(pattern) => (true, pattern),
            None => (false, entry),
        };
        let pattern = pattern.to_ascii_lowercase();
        if wild(&pattern, &host) || wild(&pattern, &with_port) {
            if not {
                return false;
            }
            found = true;
        }
    }
    found
}

/// Whether `salt|hash` is the hashed form of `name` (HMAC-SHA1).
fn is_hash_of(hashed: &str, name: &str) -> bool {
    let Some((salt, hash)) = hashed.split_once('|') else {
        return false;
    };
    let (Ok(salt), Ok(hash)) = (STANDARD.decode(salt), STANDARD.decode(hash)) else {
        return false;
    };
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
    hmac::verify(&key, name.as_bytes(), &hash).is_ok()
}

/// `*` is any text and `?` any character.
fn wild(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => {
            pattern.chars().count() == text.chars().count()
                && pattern.chars().zip(text.chars()).all(|(p, t)| p == '?' || p == t)
        }
        Some((before, after)) => {
            let begins = text.chars().count() >= before.chars().count();
            let cut: String = text.chars().take(before.chars().count()).collect();
            begins
                && wild(before, &cut)
                && (0..=text.len() - cut.len()).any(|skip| {
                    let rest = text.get(cut.len() + skip..);
                    rest.is_some_and(|rest| wild(after, rest))
                })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKGio6SlpqeoqaqrrK2ur7CxsrO0tba3uLm6u7y9vr/A";

    fn pinned(lines: &str) -> Result<HostKeys, SetupError> {
        HostKeys::parse(lines.lines(), "files.corp.test", 2222)
    }

    fn key(text: &str) -> PublicKey {
        PublicKey::from_openssh(text).unwrap()
    }

    #[test]
    fn every_way_to_write_a_key_down_pins_it() {
        let print = key(ED25519).fingerprint(HashAlg::Sha256);
        // HMAC-SHA1 of `[files.corp.test]:2222` with twenty zeros, as `ssh-keygen -H` writes it.
        let salt = [0_u8; 20];
        let hmac_key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
        let hash = hmac::sign(&hmac_key, b"[files.corp.test]:2222");
        let hashed = format!("|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(hash));
        for line in [
            ED25519.to_owned(),
            format!("[files.corp.test]:2222 {ED25519} a comment"),
            format!("files.corp.test,10.0.0.1 {ED25519}"),
            format!("*.corp.test {ED25519}"),
            format!("{hashed} {ED25519}"),
            format!("# new in May\n\n{print}"),
            format!("256 {print} root@files (ED25519)"),
        ] {
            let keys = pinned(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(keys.check(&key(ED25519)), Ok(()), "{line}");
            assert!(keys.check(&key(OTHER)).is_err(), "{line}");
        }
    }

    #[test]
    fn lines_that_pin_nothing_here_are_an_error() {
        for lines in [
            "",
            "# only a comment",
            &format!("[files.corp.test]:22 {ED25519}"),
            &format!("*.corp.test,!files.corp.test {ED25519}"),
            "ssh-ed25519 AAAA",
            "SHA256:short",
            "anything",
            &format!("@cert-authority *.corp.test {ED25519}"),
        ] {
            assert!(matches!(pinned(lines), Err(SetupError::HostKeys(_))), "{lines}");
        }
    }

    #[test]
    fn a_key_that_was_replaced_is_told_from_one_that_was_never_known() {
        let of_kind = pinned(ED25519).unwrap();
        assert_eq!(of_kind.check(&key(OTHER)), Err(Refused("host key changed")));
        let print = key(ED25519).fingerprint(HashAlg::Sha256).to_string();
        let of_any = pinned(&print).unwrap();
        assert_eq!(of_any.check(&key(OTHER)), Err(Refused("host key unknown")));
        let revoked = pinned(&format!("{ED25519}\n@revoked * {ED25519}")).unwrap();
        assert_eq!(revoked.check(&key(ED25519)), Err(Refused("host key revoked")));
    }

    #[test]
    fn a_server_is_asked_for_the_kind_of_key_that_is_pinned() {
        assert_eq!(pinned(ED25519).unwrap().algorithms(), [Algorithm::Ed25519]);
        let print = key(ED25519).fingerprint(HashAlg::Sha256).to_string();
        let any = pinned(&print).unwrap().algorithms();
        assert!(any.len() > 4 && !any.contains(&Algorithm::Rsa { hash: None }));
    }
}
