//! The channels of an installation, from a file. Secrets are never in it: it names the files that hold them.
//!
//! ```yaml
//! channels:
//!   it-ops:
//!     slack: { urlFile: /etc/offboard/notifications/it-ops/url }
//!   hr:
//!     mail:
//!       server: smtp.example.com
//!       from: Offboarding <offboarding@example.com>
//!       to: [hr@example.com]
//!       user: offboarding
//!       passwordFile: /etc/offboard/notifications/hr/password
//! ```
//!
//! # Why
//! Files with secrets are read for each message, so that a rotated one is used at once. The file with the channels is read
//! once: the chart starts the operator anew when it changes.

use std::{
    collections::BTreeMap,
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use lettre::message::Mailbox;
use serde::{Deserialize, de::Error as _};
use serde_json::Value;
use thiserror::Error;

use crate::transport::secret::{Credentials, Secret, SecretError};

/// Why the channels cannot be used. Names fields, never values.
#[derive(Debug, Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
    /// It is not YAML.
    #[error("{0}: not YAML")]
    Yaml(PathBuf),
    /// A field is wrong.
    #[error("{0}: {1}")]
    Field(String, String),
}

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    channels: BTreeMap<String, Channel>,
}

/// One channel: exactly one of its fields is set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// E-mail.
    #[serde(default)]
    pub mail: Option<Mail>,
    /// An incoming webhook of Slack.
    #[serde(default)]
    pub slack: Option<Hook>,
    /// A workflow of Teams that waits for a webhook.
    #[serde(default)]
    pub teams: Option<Hook>,
    /// Anything that takes signed `CloudEvents`.
    #[serde(default)]
    pub webhook: Option<Webhook>,
}

/// E-mail over SMTP.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mail {
    /// Name of the server; its certificate must be for it.
    pub server: String,
    /// Default: 587, with `tls: Implicit` 465, with `tls: None` 25.
    #[serde(default)]
    pub port: Option<u16>,
    /// How the connection is encrypted.
    #[serde(default)]
    pub tls: Tls,
    /// The sender, such as `Offboarding <offboarding@example.com>`.
    pub from: Address,
    /// Who gets it. `Manager` is the leaver's manager.
    pub to: Vec<Recipient>,
    /// User name for the server.
    #[serde(default)]
    pub user: Option<String>,
    /// The file with its password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// The file with the authorities that are trusted instead of the platform's, PEM.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// How a connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum Tls {
    /// It begins in clear and must be encrypted before anything is said.
    #[default]
    StartTls,
    /// From the beginning.
    Implicit,
    /// Not at all; without a password only.
    None,
}

/// An incoming webhook whose address is a secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hook {
    /// The file with the address.
    pub url_file: PathBuf,
    /// The file with the authorities that are trusted instead of the platform's, PEM.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// A receiver of signed `CloudEvents`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Webhook {
    /// Its address.
    pub url: String,
    /// The file with the key that requests are signed with.
    pub key_file: PathBuf,
    /// The file with a bearer token, if it wants one.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// The file with the authorities that are trusted instead of the platform's, PEM.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// A mail address with a name.
#[derive(Debug, Clone)]
pub struct Address(pub Mailbox);

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let address = text.parse();
        address
            .map(Self)
            .map_err(|_| D::Error::custom("not a mail address"))
    }
}

/// Who gets a mail.
#[derive(Debug, Clone)]
pub enum Recipient {
    /// This address.
    Address(Mailbox),
    /// The leaver's manager.
    Manager,
}

impl<'de> Deserialize<'de> for Recipient {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if text == "Manager" {
            return Ok(Self::Manager);
        }
        let address = text.parse();
        address
            .map(Self::Address)
            .map_err(|_| D::Error::custom("neither a mail address nor Manager"))
    }
}

/// Reads the channels.
///
/// # Errors
/// The first field that cannot be used.
pub fn read(path: &Path) -> Result<BTreeMap<String, Channel>, Error> {
    let text = fs::read_to_string(path).map_err(|e| Error::Io(path.to_owned(), e))?;
    parse(&text, path)
}

fn parse(text: &str, path: &Path) -> Result<BTreeMap<String, Channel>, Error> {
    // The error's own text may quote what is in the file.
    let value: Value = serde_saphyr::from_str(text).map_err(|_| Error::Yaml(path.to_owned()))?;
    let file: File = serde_path_to_error::deserialize(value).map_err(|error| {
        let field = error.path().to_string();
        Error::Field(field, problem(&error.into_inner().to_string()))
    })?;
    for (name, channel) in &file.channels {
        check(channel).map_err(|(field, text)| Error::Field(format!("channels.{name}{field}"), text))?;
    }
    Ok(file.channels)
}

/// The part of a reader's error that quotes no value.
fn problem(error: &str) -> String {
    let harmless = ["unknown field", "missing field", "not a mail", "neither a mail"];
    if harmless.iter().any(|begin| error.starts_with(begin)) {
        return error.to_owned();
    }
    let expected = error.rsplit_once(", expected ").map(|(_, expected)| expected);
    expected.map_or_else(
        || "not valid".to_owned(),
        |expected| format!("must be {expected}"),
    )
}

fn check(channel: &Channel) -> Result<(), (&'static str, String)> {
    let Channel {
        mail,
        slack,
        teams,
        webhook,
    } = channel;
    let kinds = [
        mail.is_some(),
        slack.is_some(),
        teams.is_some(),
        webhook.is_some(),
    ];
    if kinds.iter().filter(|set| **set).count() != 1 {
        return Err(("", "set exactly one of mail, slack, teams and webhook".to_owned()));
    }
    if let Some(mail) = mail {
        if mail.to.is_empty() {
            return Err((".mail.to", "name somebody".to_owned()));
        }
        if mail.server.is_empty() {
            return Err((".mail.server", "name the server".to_owned()));
        }
        if mail.user.is_some() != mail.password_file.is_some() {
            return Err((
                ".mail.passwordFile",
                "user and passwordFile belong together".to_owned(),
            ));
        }
        if mail.tls == Tls::None && mail.user.is_some() && !this_machine(&mail.server) {
            return Err((".mail.tls", "None would send the password in clear".to_owned()));
        }
    }
    if let Some(webhook) = webhook
        && url(&webhook.url).is_err()
    {
        return Err((".webhook.url", "must be an address with https".to_owned()));
    }
    Ok(())
}

/// Whether a server is on this machine.
pub fn this_machine(server: &str) -> bool {
    server == "localhost"
        || server
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// The address of a webhook.
///
/// # Errors
/// When it is not one, or not encrypted on the way to another machine.
pub fn url(text: &str) -> Result<reqwest::Url, String> {
    let url: reqwest::Url = text.parse().map_err(|_| "not an address".to_owned())?;
    let near = url
        .host_str()
        .is_some_and(|host| this_machine(host.trim_matches(['[', ']'])));
    match url.scheme() {
        "https" => Ok(url),
        "http" if near => Ok(url),
        _ => Err("not encrypted".to_owned()),
    }
}

/// What is in a file with a secret, without line breaks at its end.
///
/// # Errors
/// When it cannot be read, is empty or not text.
pub fn secret(path: &Path) -> Result<Secret, SecretError> {
    let bytes = fs::read(path).map_err(|e| SecretError::Folder(e.kind()))?;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("file");
    Credentials::from_data([(name.to_owned(), bytes)], "")
        .get(name)
        .cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem_of(text: &str) -> String {
        parse(text, Path::new("notifications.yaml"))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_wrong_field_is_named_and_no_value_is_shown() {
        let mail = |fields: &str| {
            problem_of(&format!(
                "channels: {{hr: {{mail: {{server: smtp.example.com, from: a@example.com, to: [b@example.com]{fields}}}}}}}"
            ))
        };
        for (found, says) in [
            (
                mail(", password: canary-7"),
                "channels.hr.mail.password: unknown field `password`",
            ),
            (mail(", port: canary"), "channels.hr.mail.port: must be u16"),
            (
                mail(", user: x"),
                "channels.hr.mail.passwordFile: user and passwordFile belong together",
            ),
            (
                mail(", tls: None, user: x, passwordFile: /p"),
                "channels.hr.mail.tls: None would send",
            ),
            (
                problem_of("channels: {hr: {}}"),
                "channels.hr: set exactly one of",
            ),
            (
                problem_of("channels: {hr: {slack: {}}}"),
                "channels.hr.slack: missing field `urlFile`",
            ),
            (
                problem_of("channels: {hr: {webhook: {url: 'http://canary.example.com', keyFile: /k}}}"),
                "channels.hr.webhook.url: must be an address with https",
            ),
            (
                problem_of("channels: {hr: {mail: {server: s, from: canary, to: [b@example.com]}}}"),
                "channels.hr.mail.from: not a mail address",
            ),
            (
                problem_of("channels: {hr: {mail: {server: s, from: a@b.org, to: [canary]}}}"),
                "channels.hr.mail.to[0]: neither",
            ),
            (problem_of("channel: [canary"), "notifications.yaml: not YAML"),
        ] {
            assert!(found.starts_with(says), "{found}\nis not\n{says}");
            assert!(!found.contains("canary"), "{found}");
        }
    }

    #[test]
    fn the_example_above_is_read() {
        let text: String = include_str!("settings.rs")
            .lines()
            .skip_while(|line| *line != "//! ```yaml")
            .skip(1)
            .take_while(|line| *line != "//! ```")
            .map(|line| {
                format!(
                    "{}\n",
                    line.trim_start_matches("//!")
                        .strip_prefix(' ')
                        .unwrap_or_default()
                )
            })
            .collect();
        let channels = parse(&text, Path::new("x")).unwrap();
        assert!(channels["it-ops"].slack.is_some() && channels["hr"].mail.is_some());
    }
}
