//! Secrets: wiped when dropped, shown by nothing.
//!
//! Does not fetch them: the controller reads them from a Kubernetes Secret, the command line from a folder.

use std::{collections::BTreeMap, fmt, fs, io, path::Path, time::UNIX_EPOCH};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD_NO_PAD as STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::destination::{Destinations, HOSTS, Named, NoHost};
use crate::core::leavers::compare::hex;

/// A text that is never shown. There is no `Display`, no `Serialize`, and `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret(String);

impl Secret {
    /// Takes the text over.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Whether it is in `text`, or `text` is a part of it that would help an attacker: as it is, percent-encoded, in hexadecimal,
    /// or in base64, also in the middle of something longer.
    pub fn appears_in(&self, text: &str) -> bool {
        let secret = self.0.as_str();
        let in_it = |written: &str| text.contains(written) || text.len() >= TELLING && written.contains(text);
        if secret.is_empty() {
            return false;
        }
        if in_it(secret) {
            return true;
        }
        let plain = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
        let small = text.to_ascii_lowercase();
        let hex = hex(secret.as_bytes());
        let in_hex = small.contains(&hex) || small.len() >= TELLING && hex.contains(&small);
        in_hex
            || in_it(&plain)
            || in_it(&plain.to_ascii_lowercase())
            || base64(secret).iter().any(|core| in_it(core))
    }

    /// The text itself. Whoever calls this must not keep or show it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The file of a folder that is a Secret which says what [`HOSTS`] says.
pub const HOSTS_FILE: &str = "hosts";

/// The same for [`super::destination::DEFINITIONS`].
pub const DEFINITIONS_FILE: &str = "definitions";

/// A shorter part of a secret tells nothing.
const TELLING: usize = 8;

/// What is the same of `secret` in every base64 of a text that it stands in: without the letters that its neighbours decide.
fn base64(secret: &str) -> Vec<String> {
    let alphabets = [STANDARD_NO_PAD, URL_SAFE_NO_PAD];
    let shifts = (0..3_usize).flat_map(|shift| alphabets.iter().map(move |alphabet| (shift, alphabet)));
    shifts
        .filter_map(|(shift, alphabet)| {
            let whole = (shift + secret.len()) / 3 * 3;
            let inside = [&[0; 2][..shift], secret.as_bytes()].concat();
            let encoded = alphabet.encode(inside.get(..whole)?);
            // The first letters hold bits of what stands before.
            let core = encoded.get([0, 2, 3][shift]..)?.to_owned();
            (core.len() >= TELLING).then_some(core)
        })
        .collect()
}

/// Why a secret cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The key is not there, or empty.
    #[error("secret key {0:?} is missing")]
    Missing(String),
    /// The value is binary.
    #[error("secret key {0:?} is not UTF-8 text")]
    NotText(String),
    /// A link leads somewhere else: whoever may write the folder might have any file of ours read.
    #[error("{0:?} leads out of the folder: put the file itself there")]
    Outside(String),
    /// No secret is as large.
    #[error("{0:?} is larger than a Kubernetes Secret can be")]
    TooLarge(String),
    /// What says where it may go cannot be read.
    #[error("{HOSTS}: {0}")]
    Hosts(#[from] NoHost),
    /// The folder cannot be read.
    #[error("the folder with the secret cannot be read: {0}")]
    Folder(io::ErrorKind),
}

/// What a Kubernetes Secret can hold, in bytes.
const LARGEST: u64 = 1 << 20;

/// The keys and values of one Kubernetes Secret, or of one folder with a file for each key.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// None: a value that is not text.
    values: BTreeMap<String, Option<Secret>>,
    revision: String,
    destinations: Destinations,
    definitions: Vec<String>,
}

impl Credentials {
    /// From a Kubernetes Secret's `data`, with its `uid` and `resourceVersion` as the revision. Line breaks at the end of a
    /// value are dropped: they come from editors and `echo`, and no system has them in a password.
    pub fn from_data(data: impl IntoIterator<Item = (String, Vec<u8>)>, revision: impl Into<String>) -> Self {
        let values = data
            .into_iter()
            .map(|(key, bytes)| (key, text(&Zeroizing::new(bytes))))
            .collect();
        Self {
            values,
            revision: revision.into(),
            destinations: Destinations::Named(Named::default()),
            definitions: vec![],
        }
    }

    /// The same with what the Secret's annotations [`HOSTS`] and [`super::destination::DEFINITIONS`] say.
    ///
    /// # Errors
    /// When an entry is no host.
    pub fn with_scope(mut self, hosts: Option<&str>, definitions: Option<&str>) -> Result<Self, SecretError> {
        let entries = |text: &str| {
            let parts = text.split(|c: char| c == ',' || c.is_whitespace());
            let parts = parts.filter(|part| !part.is_empty());
            parts.map(str::to_owned).collect::<Vec<_>>()
        };
        self.destinations = Destinations::Named(Named::parse(hosts.unwrap_or_default())?);
        self.definitions = definitions.map(entries).unwrap_or_default();
        // Another scope is another Secret, also where the values are the same.
        self.revision = format!(
            "{} {} {}",
            self.revision,
            hosts.unwrap_or_default(),
            definitions.unwrap_or_default()
        );
        Ok(self)
    }

    /// The same, where somebody answers for wherever it is sent, and by whichever definition.
    #[must_use]
    pub fn trusted(mut self) -> Self {
        self.destinations = Destinations::Trusted;
        self
    }

    /// Where it may go.
    pub fn destinations(&self) -> &Destinations {
        &self.destinations
    }

    /// Whether a definition that is not built in may use it.
    pub fn allows(&self, definition: &str) -> bool {
        match self.destinations {
            Destinations::NoCredential | Destinations::Trusted => true,
            Destinations::Named(_) => self.definitions.iter().any(|name| name == definition),
        }
    }

    /// From a folder with a file for each key, as a mounted Kubernetes Secret has: its files are links, and stay in it, as it
    /// stays `below`. What a link to another Secret leads to would go where that one does not say. Hidden files and folders inside
    /// are left out.
    ///
    /// # Errors
    /// When the folder or a file in it cannot be read, is too large, or is a link out of it.
    pub fn from_folder(folder: &Path, below: &Path) -> Result<Self, SecretError> {
        let failed = |error: io::Error| SecretError::Folder(error.kind());
        let below = fs::canonicalize(below).map_err(failed)?;
        let within = fs::canonicalize(folder).map_err(failed)?;
        let mut whole = 0;
        let mut data = BTreeMap::new();
        let mut revision = BTreeMap::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            // Follows links: a mounted Secret's files are links.
            let about = fs::metadata(&path).map_err(failed)?;
            if name.starts_with('.') || !about.is_file() {
                continue;
            }
            if !within.starts_with(&below) || !fs::canonicalize(&path).map_err(failed)?.starts_with(&within) {
                return Err(SecretError::Outside(name.to_owned()));
            }
            whole += about.len();
            if whole > LARGEST {
                return Err(SecretError::TooLarge(name.to_owned()));
            }
            let changed = about
                .modified()
                .ok()
                .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            let stamp = format!(
                "{name}:{}:{}",
                about.len(),
                changed.unwrap_or_default().as_nanos()
            );
            revision.insert(name.to_owned(), stamp);
            data.insert(name.to_owned(), fs::read(&path).map_err(failed)?);
        }
        let revision = revision.into_values().collect::<Vec<_>>().join("/");
        let mut scope = |name: &str| -> Result<Option<String>, SecretError> {
            let Some(bytes) = data.remove(name) else {
                return Ok(None);
            };
            let text = String::from_utf8(bytes).map_err(|_| SecretError::NotText(name.to_owned()))?;
            Ok(Some(text))
        };
        let (hosts, definitions) = (scope(HOSTS_FILE)?, scope(DEFINITIONS_FILE)?);
        Self::from_data(data, revision).with_scope(hosts.as_deref(), definitions.as_deref())
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// When it is missing, empty or not text.
    pub fn get(&self, key: &str) -> Result<&Secret, SecretError> {
        match self.values.get(key) {
            Some(Some(secret)) if secret.expose().is_empty() => Err(SecretError::Missing(key.to_owned())),
            Some(Some(secret)) => Ok(secret),
            Some(None) => Err(SecretError::NotText(key.to_owned())),
            None => Err(SecretError::Missing(key.to_owned())),
        }
    }

    /// The value of `key`, if there is one.
    ///
    /// # Errors
    /// When it is there and not text.
    pub fn optional(&self, key: &str) -> Result<Option<&Secret>, SecretError> {
        match self.get(key) {
            Ok(secret) => Ok(Some(secret)),
            Err(SecretError::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Changes whenever the source changes, so that a rotated secret is noticed. Tells nothing about the values.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// Whether `text` has one of the values in it, as it is or encoded, or a part of one that would help an attacker.
    pub fn appear_in(&self, text: &str) -> bool {
        self.values
            .values()
            .flatten()
            .any(|secret| secret.appears_in(text))
    }
}

/// Names of the keys only.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("keys", &self.values.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// The value as text, without line breaks at its end.
fn text(bytes: &[u8]) -> Option<Secret> {
    let text = std::str::from_utf8(bytes).ok()?;
    Some(Secret::new(text.trim_end_matches(['\n', '\r']).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_by_nothing() {
        let given = [("token".to_owned(), b"canary-7\n".to_vec())];
        let credentials = Credentials::from_data(given, "7");
        let shown = format!("{credentials:?} {:?}", credentials.get("token"));
        assert!(!shown.contains("canary"), "{shown}");
        assert_eq!(credentials.get("token").unwrap().expose(), "canary-7");
        assert!(credentials.appear_in("error canary-7") && !credentials.appear_in("error"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_another_secret_is_no_key_and_a_folder_holds_no_more_than_a_secret() {
        use std::os::unix::fs::symlink;
        let all = std::env::temp_dir().join(format!("offboard-secrets-{:016x}", rand::random::<u64>()));
        for name in ["crm/..data", "mine"] {
            fs::create_dir_all(all.join(name)).unwrap();
        }
        fs::write(all.join("crm/..data/token"), "canary").unwrap();
        symlink("..data/token", all.join("crm/token")).unwrap();
        let crm = Credentials::from_folder(&all.join("crm"), &all).unwrap();
        assert_eq!(crm.get("token").unwrap().expose(), "canary");
        symlink("../crm/token", all.join("mine/token")).unwrap();
        let stolen = Credentials::from_folder(&all.join("mine"), &all).map(|_| ());
        assert_eq!(stolen, Err(SecretError::Outside("token".into())));
        fs::remove_file(all.join("mine/token")).unwrap();
        for key in ["a", "b"] {
            fs::write(all.join("mine").join(key), vec![b'x'; 600 << 10]).unwrap();
        }
        let large = Credentials::from_folder(&all.join("mine"), &all).map(|_| ());
        assert!(matches!(large, Err(SecretError::TooLarge(_))));
        fs::remove_dir_all(&all).unwrap();
    }

    #[test]
    fn an_echo_is_known_in_its_encodings() {
        let secret = Secret::new("s3cret/+cänary-8f2b".to_owned());
        let raw = secret.expose();
        let hex = hex(raw.as_bytes()).to_uppercase();
        let percent = utf8_percent_encode(raw, NON_ALPHANUMERIC).to_string();
        let basic = |user: &str| STANDARD_NO_PAD.encode(format!("{user}:{raw}"));
        for echo in [
            raw.to_owned(),
            hex.clone(),
            format!("x{}", hex.to_lowercase()),
            percent.clone(),
            percent.to_lowercase(),
            STANDARD_NO_PAD.encode(raw),
            URL_SAFE_NO_PAD.encode(raw),
            basic("a"),
            basic("ab"),
            basic("abc"),
            format!("{}zz", basic("svc-offboard")),
        ] {
            assert!(secret.appears_in(&echo), "{echo}");
        }
        for other in [
            "INVALID_SESSION_ID",
            "Authorization_RequestDenied",
            "",
            "c2VjcmV0",
            "7333",
        ] {
            assert!(!secret.appears_in(other), "{other}");
        }
        assert!(!Secret::new(String::new()).appears_in("anything"));
    }

    #[test]
    fn a_missing_key_is_named() {
        let given = [("username".to_owned(), vec![]), ("blob".to_owned(), vec![0xff])];
        let credentials = Credentials::from_data(given, "1");
        let text = |key: &str| credentials.get(key).unwrap_err().to_string();
        assert_eq!(text("token"), "secret key \"token\" is missing");
        assert_eq!(text("username"), "secret key \"username\" is missing");
        assert_eq!(text("blob"), "secret key \"blob\" is not UTF-8 text");
        assert_eq!(credentials.optional("token"), Ok(None));
    }

    #[test]
    fn a_changed_file_changes_the_revision() {
        let folder = std::env::temp_dir().join(format!("offboard-secret-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("token"), "one\n").unwrap();
        fs::write(folder.join(".hidden"), "x").unwrap();
        let before = Credentials::from_folder(&folder, &folder).unwrap();
        fs::write(folder.join("token"), "second").unwrap();
        let after = Credentials::from_folder(&folder, &folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(before.get("token").unwrap().expose(), "one");
        assert!(before.get(".hidden").is_err());
        assert_ne!(before.revision(), after.revision());
    }
}
