//! Where a credential may go: the hosts that its Secret names.
//!
//! # Why
//! Who writes a Connector chooses an address and names a Secret. If that were enough, whoever may write Connectors would read
//! every password of the namespace, at a server of their own. So whoever keeps the password says where it may be sent (R25).

use std::{fmt, sync::Arc};

use reqwest::Url;

/// The annotation of a Secret that names the hosts.
pub const HOSTS: &str = "offboard.dev/hosts";

/// The annotation of a Secret that names the definitions, beside the built-in ones, which may use it.
pub const DEFINITIONS: &str = "offboard.dev/definitions";

/// A host, or all hosts below a domain, with a port where it is not the usual one of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Destination {
    /// In the spelling of [`host`]; of a pattern without `*`, so with a dot first.
    host: String,
    below: bool,
    port: Port,
}

/// Where on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    /// At the protocol's own one.
    Usual,
    /// There.
    Is(u16),
    /// Anywhere.
    Any,
}

/// Where a credential may go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Destinations {
    /// There is no credential: anywhere that is open, and no host is named.
    #[default]
    NoCredential,
    /// Wherever it is asked to go: somebody answers for all of it.
    Trusted,
    /// To these hosts only.
    Named(Named),
}

/// The hosts that a Secret names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named(Arc<[Destination]>);

/// An entry that is no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no host: write a name or an address, with a port where it is not the usual one (crm.example.com, \
     10.1.2.3:8443, [fd00::5]:636, db.corp.example:*), or *. before a domain of at least two parts"
)]
pub struct NoHost(String);

impl Named {
    /// Entries between commas, blanks or line breaks.
    ///
    /// # Errors
    /// The first entry that is no host.
    pub fn parse(text: &str) -> Result<Self, NoHost> {
        let entries = text.split(|c: char| c == ',' || c.is_whitespace());
        let entries = entries.filter(|entry| !entry.is_empty());
        let parsed = entries.map(|entry| Destination::parse(entry).ok_or_else(|| NoHost(entry.to_owned())));
        Ok(Self(parsed.collect::<Result<_, _>>()?))
    }
}

impl Destination {
    fn parse(entry: &str) -> Option<Self> {
        let (name, below) = match entry.strip_prefix("*.") {
            Some(domain) => (domain, true),
            None => (entry, false),
        };
        let (name, port) = match name.rsplit_once(':') {
            // An IPv6 address without brackets has no port.
            Some((start, _)) if start.contains(':') && !start.ends_with(']') => (name, Port::Usual),
            Some((name, "*")) => (name, Port::Any),
            Some((name, port)) => (name, Port::Is(port.parse().ok().filter(|port| *port != 0)?)),
            None => (name, Port::Usual),
        };
        let host = host(name)?;
        if !below {
            return Some(Self { host, below, port });
        }
        // Not all of `com`, and no part of an address.
        let name = host.contains('.') && !host.rsplit('.').next()?.bytes().all(|b| b.is_ascii_digit());
        name.then(|| Self {
            host: format!(".{host}"),
            below,
            port,
        })
    }

    fn is(&self, host: &str) -> bool {
        if self.below {
            host.len() > self.host.len() && host.ends_with(&self.host)
        } else {
            host == self.host
        }
    }
}

impl Destinations {
    /// Whether the credential may go to `host` at `port`; `usual` is the port of the protocol.
    pub fn include(&self, host: &str, port: u16, usual: u16) -> bool {
        match self {
            Self::NoCredential | Self::Trusted => true,
            Self::Named(named) => {
                let at = |entry: &Destination| match entry.port {
                    Port::Usual => port == usual,
                    Port::Is(only) => port == only,
                    Port::Any => true,
                };
                named.0.iter().any(|entry| entry.is(host) && at(entry))
            }
        }
    }

    /// Whether somebody answers for it that `host` is the right one.
    pub fn name(&self, host: &str) -> bool {
        match self {
            Self::NoCredential => false,
            Self::Trusted => true,
            Self::Named(named) => named.0.iter().any(|entry| entry.is(host)),
        }
    }
}

/// A host as it would stand in [`HOSTS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// In the spelling of [`host`].
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The port of the protocol.
    pub usual: u16,
}

impl Place {
    /// None: it is no host.
    pub fn new(name: &str, port: u16, usual: u16) -> Option<Self> {
        Some(Self {
            host: host(name)?,
            port,
            usual,
        })
    }

    /// Where `url` leads to.
    pub fn of(url: &Url) -> Option<Self> {
        let usual = match url.scheme() {
            "https" => 443,
            "http" => 80,
            "ldaps" => 636,
            "ldap" => 389,
            _ => return None,
        };
        Self::new(url.host_str()?, url.port().unwrap_or(usual), usual)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        if self.port != self.usual {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

/// The one spelling of a name or an address (WHATWG URL): small letters, punycode, `127.1` and `0x7f.1` as `127.0.0.1`, IPv6 in
/// brackets, no dot at the end.
pub fn host(name: &str) -> Option<String> {
    let bare = name.trim_matches(['[', ']']);
    let name = if bare.contains(':') {
        format!("[{bare}]")
    } else {
        bare.to_owned()
    };
    if name.contains(['/', '?', '#', '@', '\\', '%', '*']) {
        return None;
    }
    let url = Url::parse(&format!("https://{name}/")).ok()?;
    let host = url.host_str()?.trim_end_matches('.');
    (!host.is_empty()).then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_goes_only_where_its_secret_says() {
        let named = "crm.example.com, *.salesforce.com\n10.1.2.3:8443 [fd00::5]:636 Täst.example fd00::7 *.corp.example:9443 db.test:*";
        let named = Destinations::Named(Named::parse(named).unwrap());
        let to = |text: &str, port| named.include(&host(text).unwrap(), port, 443);
        for (name, port) in [
            ("crm.example.com", 443),
            ("CRM.Example.com.", 443),
            ("acme.my.salesforce.com", 443),
            ("10.1.2.3", 8443),
            ("0x0a.1.515", 8443),
            ("[fd00::5]", 636),
            ("fd00:0::7", 443),
            ("xn--tst-qla.example", 443),
            ("git.corp.example", 9443),
            ("db.test", 9),
        ] {
            assert!(to(name, port), "{name}:{port}");
        }
        for (name, port) in [
            ("crm.example.com", 8443),
            ("evil.crm.example.com", 443),
            ("crm.example.com.evil.test", 443),
            ("salesforce.com", 443),
            ("evilsalesforce.com", 443),
            ("10.1.2.3", 443),
            ("fd00::5", 443),
            ("git.corp.example", 443),
        ] {
            assert!(!to(name, port), "{name}:{port}");
        }
        assert!(named.name("acme.my.salesforce.com") && !named.name("evil.test"));
    }

    #[test]
    fn what_is_no_host_is_refused_and_nothing_stands_for_everything() {
        for wrong in [
            "*",
            "*.com",
            "*.*.example.com",
            "https://crm.example.com",
            "crm.example.com/path",
            "crm.example.com:0",
            "crm.example.com:99999",
            "a@b",
            "*.0.0.1",
            "crm.*.example",
        ] {
            assert!(Named::parse(wrong).is_err(), "{wrong}");
        }
        let nobody = Destinations::Named(Named::default());
        assert!(!nobody.include("crm.example.com", 443, 443));
    }

    #[test]
    fn a_place_is_written_as_the_line_to_add() {
        let place = |url: &str| Place::of(&Url::parse(url).unwrap()).unwrap().to_string();
        assert_eq!(place("https://crm.example.com/scim"), "crm.example.com");
        assert_eq!(place("http://127.1:8080/"), "127.0.0.1:8080");
        assert_eq!(place("https://crm.example.com:443/"), "crm.example.com");
        assert_eq!(place("ldaps://dc1.corp.example"), "dc1.corp.example");
        assert_eq!(place("ldap://[fd00::1]:390"), "[fd00::1]:390");
    }
}
