//! Every code that a driver can give has a line, and the lines are short and lead somewhere.

use std::{collections::BTreeSet, fs, path::Path};

use regex::Regex;

use super::*;
use crate::{
    core::identity::{
        ANOTHER_ACCOUNT, BY_NAME_ONLY, CAME_LATER, DISAGREES, DOUBTFUL, FOUND_BEFORE, LAST, NEVER_FOUND,
        NO_WAY,
    },
    transport::unreachable,
};

fn known(code: &str) -> bool {
    let mut lines = TABLES.iter().flat_map(|(_, table)| table.iter());
    lines.any(|remedy| remedy.codes.iter().any(|pattern| fits(pattern, code)))
}

/// The sources below `folder` that are no tests, without their test modules.
fn sources(folder: &Path, into: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            if !matches!(name.as_str(), "tests" | "definitions" | "convergence") {
                sources(&path, into);
            }
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let text = fs::read_to_string(&path).unwrap();
            let own = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
            into.push((path.display().to_string(), own));
        }
    }
}

fn all_sources() -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = vec![];
    for folder in ["connectors", "transport", "core", "drive", "controller"] {
        sources(&src.join(folder), &mut all);
    }
    all
}

fn source<'s>(all: &'s [(String, String)], name: &str) -> &'s str {
    &all.iter().find(|(path, _)| path.ends_with(name)).unwrap().1
}

#[test]
fn every_code_in_the_drivers_has_a_line() {
    let written = Regex::new(
        r#"(?:with_code|malformed|incomplete|untrusted|Refused)\(\s*(?:format_args!|format!)?\(?\s*"([^"\\]+)""#,
    )
    .unwrap();
    let hole = Regex::new(r"\{[^}]*\}").unwrap();
    let all = all_sources();
    let mut codes = BTreeSet::new();
    for (path, text) in &all {
        for found in written.captures_iter(text) {
            let code = hole.replace_all(&found[1], "7").trim().to_owned();
            // A code that begins with a hole is given by somebody else.
            if !code.starts_with('7') {
                codes.insert((code, path.clone()));
            }
        }
    }
    assert!(codes.len() > 60, "only {} codes found", codes.len());
    // What the drivers take from numbers of the protocol, and what has a name.
    let numbers = |name: &str, pattern: &str, prefix: &str| -> Vec<String> {
        let text = source(&all, name);
        let number = Regex::new(r"[0-9A-Z]+").unwrap();
        let lines = Regex::new(pattern).unwrap();
        let arms = lines.captures_iter(text).map(|arm| arm[1].to_owned());
        let codes = arms.flat_map(|arm| {
            let found = number.find_iter(&arm).map(|n| format!("{prefix}{}", n.as_str()));
            found.collect::<Vec<_>>()
        });
        codes.collect()
    };
    let tables = [
        numbers("ldap/result.rs", r"(?m)^\s+([\d |]+) => Fault", "ldap "),
        numbers("sftp/mod.rs", r"(?m)^\s+([\d |]+) => Fault", "sftp "),
        numbers(
            "sql/postgres.rs",
            r#"(?m)^\s+((?:"[0-9A-Z]{5}"(?: \| )?)+)[^=\n]*=> Fault"#,
            "",
        ),
        numbers(
            "sql/mysql.rs",
            r"(?m)^\s+([\d |]+)(?: if login)? => (?:Fault|\{)",
            "",
        ),
        numbers("http/answer.rs", r"(?m)^\s+(\d[\d |]*) => (?:Fault|match)", ""),
    ];
    for (table, least) in tables.iter().zip([12, 4, 10, 20, 8]) {
        assert!(table.len() >= least, "only {table:?}");
    }
    let names = [
        NEVER_FOUND,
        NO_WAY,
        BY_NAME_ONLY,
        CAME_LATER,
        FOUND_BEFORE,
        ANOTHER_ACCOUNT,
        DOUBTFUL,
        "next page on another host",
        "publickey",
        "password",
    ];
    let connections = [
        unreachable::REFUSED,
        unreachable::UNKNOWN_NAME,
        unreachable::NO_NAME_SERVER,
        unreachable::NOT_TLS,
        unreachable::NO_ROUTE,
    ];
    let made = [
        format!("employeeID {DISAGREES}"),
        format!("{LAST}admin"),
        "host key changed".into(),
    ];
    let named = names
        .into_iter()
        .chain(connections)
        .map(str::to_owned)
        .chain(made);
    let more = tables.into_iter().flatten().chain(named);
    codes.extend(more.map(|code| (code, String::new())));
    let unknown: Vec<_> = codes.iter().filter(|(code, _)| !known(code)).collect();
    assert!(unknown.is_empty(), "no line for {unknown:#?}");
}

#[test]
fn lines_are_short_and_the_first_that_fits_is_the_one_that_is_meant() {
    for (about, table) in TABLES {
        for remedy in *table {
            let words = remedy.words();
            assert!(words.chars().count() <= 160, "{about}: {words}");
            assert!(!remedy.codes.is_empty(), "{words}");
        }
    }
    for (_, text) in REASONS {
        assert!(text.chars().count() <= 120, "{text}");
    }
    // No line is hidden by one before it.
    let lines: Vec<&Remedy> = TABLES.iter().flat_map(|(_, table)| table.iter()).collect();
    for (at, remedy) in lines.iter().enumerate() {
        for pattern in remedy.codes {
            let sample = Fault {
                reason: remedy.reason.unwrap_or(Reason::Refused),
                code: pattern.replace('*', "zz"),
                ..Fault::permanent(Reason::Refused)
            };
            let first = lines.iter().position(|line| line.is_about(&sample));
            assert_eq!(
                first,
                Some(at),
                "{pattern} is hidden by {:?}",
                lines[first.unwrap_or(at)].codes
            );
        }
    }
}

#[test]
fn codes_that_were_once_explained_wrongly_are_explained() {
    use Reason::{
        Ambiguous, Conflict, Incomplete, Malformed, NotFoundUncorroborated, PermissionDenied, Refused,
        StoreUnavailable, Unreachable, Untrusted,
    };
    for (reason, code, part) in [
        (Conflict, "ldap 68", "an entry of this name is there already"),
        (
            Conflict,
            "ldap 68 Jane Doe",
            "an entry of this name is there already",
        ),
        (Refused, "ldap 2", "raise size and time limits"),
        (Incomplete, "ldap 4", "raise size and time limits"),
        (Refused, "400", "another attribute of the account"),
        (Refused, "400 invalid_request", "another attribute of the account"),
        (
            PermissionDenied,
            "42501",
            "CREATE on the schema for the successor",
        ),
        (PermissionDenied, "42501 in crm", "in that database"),
        (
            PermissionDenied,
            "42501 successor lacks CREATE on schema public in crm",
            "to the successor",
        ),
        (
            PermissionDenied,
            "42501 only owner can take the right on public.t in crm",
            "let that role revoke it",
        ),
        (
            PermissionDenied,
            "0LP01 bob has ops from lead",
            "let another role grant it",
        ),
        (Refused, "2BP01", "others depend on it"),
        (
            Refused,
            "2BP01 bob has rights from jane in crm",
            "rights that were passed on",
        ),
        (NotFoundUncorroborated, "404 reads.groups", "it has no such part"),
        (NotFoundUncorroborated, "404", "or what was to be changed is gone"),
        (
            Refused,
            "302 to https unlisted code 12345678",
            "set the address in spec.inputs",
        ),
        (Untrusted, "certificate Expired", "renew it there"),
        (Untrusted, "certificate UnknownIssuer", "ca.crt"),
        (
            Malformed,
            "next page on another host",
            "the address that the system calls itself",
        ),
        (Malformed, "facts.GroupsLeft.holds", "mend that expression"),
        (Incomplete, "too large", "largestAnswer"),
        (Incomplete, "moved", "changed while it was read"),
        (Unreachable, "connection refused", "nothing listens there"),
        (Unreachable, "unknown name", "no machine has the name"),
        (Unreachable, "no TLS spoken there", "port and scheme"),
        (Unreachable, "", "check the address"),
        (Ambiguous, "2 accounts", "name those that are theirs"),
        (StoreUnavailable, "500", "too large for one object"),
        (StoreUnavailable, "StorageFull", "make room"),
    ] {
        let fault = Fault::permanent(reason).with_code(code);
        assert_eq!(fault.code, code);
        let said = advice(&Verdict::Unknown(fault)).unwrap_or_default();
        assert!(said.contains(part), "{code}: {said}");
    }
    let passes = Fault::transient(Reason::Conflict);
    assert_eq!(advice(&Verdict::Unknown(passes)), None);
}
