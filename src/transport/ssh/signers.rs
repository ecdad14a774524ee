//! Whose signatures count, as in OpenSSH's `allowed_signers`: what `ssh-keygen -Y sign` signed is checked here.

use russh::keys::{PublicKey, ssh_key::SshSig};

/// Options that say nothing about whom or what a line is for.
const NAMESPACES: &str = "namespaces=";

/// People and their keys.
#[derive(Debug, Clone, Default)]
pub struct Signers(Vec<Line>);

#[derive(Debug, Clone)]
struct Line {
    people: Vec<String>,
    namespaces: Option<Vec<String>>,
    key: PublicKey,
}

impl Signers {
    /// The lines of an `allowed_signers` file: `NAME[,NAME…] [namespaces="…"] TYPE KEY`. What is not understood is refused, not
    /// left out: a limit that is not kept is worse than none.
    ///
    /// # Errors
    /// The first line that cannot be used, and why.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut lines = vec![];
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                lines.push(read(line).map_err(|why| format!("line {}: {why}", number + 1))?);
            }
        }
        Ok(Self(lines))
    }

    /// Whether `signature` is one over `message`, for `namespace`, by a key of `person`.
    pub fn signed(&self, person: &str, namespace: &str, message: &[u8], signature: &str) -> bool {
        let Ok(signature) = signature.parse::<SshSig>() else {
            return false;
        };
        self.0.iter().any(|line| {
            let for_this = |names: &Vec<String>| names.iter().any(|name| name == namespace);
            line.people.iter().any(|name| name == person)
                && line.namespaces.as_ref().is_none_or(for_this)
                && line.key.verify(namespace, message, &signature).is_ok()
        })
    }
}

fn read(line: &str) -> Result<Line, &'static str> {
    let mut words = line.split_whitespace();
    let people: Vec<String> = words
        .next()
        .unwrap_or_default()
        .split(',')
        .map(str::to_owned)
        .collect();
    if people
        .iter()
        .any(|name| name.is_empty() || name.contains(['*', '?', '!', '"']))
    {
        return Err("names must be written out, without patterns");
    }
    let mut rest: Vec<&str> = words.collect();
    let mut namespaces = None;
    if let Some(list) = rest.first().and_then(|word| word.strip_prefix(NAMESPACES)) {
        let list = list.trim_matches('"').split(',');
        namespaces = Some(list.map(str::to_owned).collect());
        rest.remove(0);
    }
    let key = rest.join(" ").parse::<PublicKey>();
    let key = key.map_err(|_| "not NAME [namespaces=\"…\"] TYPE KEY; other options are not understood")?;
    Ok(Line {
        people,
        namespaces,
        key,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti user@example.com";
    const MESSAGE: &[u8] = b"testing";
    /// By that key, for the namespace `example`; from the documentation of the ssh-key crate.
    const SIGNATURE: &str = "-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgsz6u836i33yqAQ3v3qNOJB9l8b
UppPQ+0UMn9cVKq2IAAAAHZXhhbXBsZQAAAAAAAAAGc2hhNTEyAAAAUwAAAAtzc2gtZWQy
NTUxOQAAAEBPEav+tMGNnox4MuzM7rlHyVBajCn8B0kAyiOWwPKprNsG3i6X+voz/WCSik
/FowYwqhgCABUJSvRX3AERVBUP
-----END SSH SIGNATURE-----
";

    #[test]
    fn a_signature_counts_for_its_person_its_text_and_its_purpose() {
        let signers = Signers::parse(&format!("# who\n\nalice@example.com,alice {KEY}\n")).unwrap();
        assert!(signers.signed("alice@example.com", "example", MESSAGE, SIGNATURE));
        assert!(signers.signed("alice", "example", MESSAGE, SIGNATURE));
        assert!(!signers.signed("bob", "example", MESSAGE, SIGNATURE));
        assert!(!signers.signed("alice", "git", MESSAGE, SIGNATURE));
        assert!(!signers.signed("alice", "example", b"testing!", SIGNATURE));
        assert!(!signers.signed("alice", "example", MESSAGE, ""));
        let narrow = Signers::parse(&format!("alice namespaces=\"git,file\" {KEY}")).unwrap();
        assert!(!narrow.signed("alice", "example", MESSAGE, SIGNATURE));
    }

    #[test]
    fn a_limit_that_is_not_understood_is_refused() {
        for line in [
            format!("* {KEY}"),
            format!("alice cert-authority {KEY}"),
            format!("alice valid-before=\"20200101\" {KEY}"),
            "alice".to_owned(),
        ] {
            let error = Signers::parse(&format!("\n{line}")).unwrap_err();
            assert!(error.starts_with("line 2: "), "{error}");
        }
    }
}
