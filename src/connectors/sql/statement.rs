//! The one place where a statement is put together from text.
//!
//! # Why this is safe
//! A template is written by the author of a definition; what is put into it may be anything. Each piece is put in as
//! one complete quoted token, by the quoting rule of the dialect, which the session is set to obey (PostgreSQL with
//! `standard_conforming_strings`, MySQL without `NO_BACKSLASH_ESCAPES`, both in UTF-8, where no byte of a character
//! looks like a quote). A place where such a token would not stand alone, inside quotes, in a comment, or touching a
//! word or another quote, is refused. The server is then asked to prepare the statement, and prepares only one.

use std::collections::BTreeMap;

use super::super::password;
use crate::{
    api::definition::Dialect,
    core::fault::{Fault, Reason},
};

/// PostgreSQL cuts longer identifiers, silently: they would name something else.
const LONGEST_POSTGRESQL: usize = 63;

/// Puts `identifiers` and `literals` into `template`. A new password is put in where a literal asks for one.
///
/// # Errors
/// `Malformed`: an unknown name in braces, a place that is not safe, a NUL character, a second statement.
pub(super) fn assemble(
    dialect: Dialect,
    template: &str,
    identifiers: &BTreeMap<String, String>,
    literals: &BTreeMap<String, String>,
) -> Result<String, Fault> {
    let mut statement = String::with_capacity(template.len() + 64);
    let mut rest = template;
    // The character before the current place; a blank at the start and in place of what was put in.
    let mut before = ' ';
    while let Some(next) = rest.chars().next() {
        if let Some(length) = opaque(dialect, rest, before)? {
            let (part, after) = rest.split_at(length);
            if names_in(part).any(|name| identifiers.contains_key(name) || literals.contains_key(name)) {
                return Err(malformed("placeholder in quotes"));
            }
            before = part.chars().next_back().unwrap_or(' ');
            statement.push_str(part);
            rest = after;
        } else if let Some(name) = name_at(rest) {
            let quoted = match (identifiers.get(name), literals.get(name)) {
                (Some(text), None) => identifier(dialect, text)?,
                (None, Some(text)) => literal(dialect, text)?,
                _ => return Err(malformed("unknown placeholder")),
            };
            rest = &rest[name.len() + 2..];
            if glues(before) || rest.chars().next().is_some_and(glues) {
                return Err(malformed("placeholder in a word"));
            }
            statement.push_str(&quoted);
            before = '}';
        } else {
            // A compound statement of MariaDB ends so; the server prepares it as one.
            if next == ';' && !matches!(rest[1..].trim(), "" | "END") {
                return Err(malformed("second statement"));
            }
            statement.push(next);
            before = next;
            rest = &rest[next.len_utf8()..];
        }
    }
    Ok(statement)
}

fn malformed(code: &str) -> Fault {
    Fault::permanent(Reason::Malformed).with_code(code)
}

/// Whether a character would become one token with a quoted text beside it: `E'…'`, `U&"…"`, `'a''b'`.
fn glues(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '$' | '&' | '\\' | '\'' | '"' | '`' | '{' | '}')
}

/// The name in `{name}` at the start of `text`.
fn name_at(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix('{')?.split_once('}')?;
    let begins = name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    let goes_on = name
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    (begins && goes_on).then_some(name)
}

fn names_in(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('{')
        .filter_map(|(place, _)| name_at(&text[place..]))
}

/// The length of the quoted text or comment at the start of `text`, if there is one.
fn opaque(dialect: Dialect, text: &str, before: char) -> Result<Option<usize>, Fault> {
    let closing = |end: &str, from: usize| {
        let found = text[from..].find(end).map(|at| from + at + end.len());
        found.ok_or_else(|| malformed("open quote"))
    };
    let line = || text.find('\n').unwrap_or(text.len());
    let length = match text.as_bytes() {
        [quote @ (b'\'' | b'"' | b'`'), ..] => {
            // `E'…'` of PostgreSQL has backslash escapes too.
            let escapes = *quote == b'\'' && matches!(before, 'e' | 'E') || dialect == Dialect::Mysql;
            quoted(text, *quote, escapes).ok_or_else(|| malformed("open quote"))?
        }
        [b'-', b'-', ..] => line(),
        [b'#', ..] if dialect == Dialect::Mysql => line(),
        [b'/', b'*', ..] => closing("*/", 2)?,
        [b'$', ..] if dialect == Dialect::Postgresql && !(before.is_alphanumeric() || before == '_') => {
            let Some(end) = text[1..].find('$').map(|at| at + 2) else {
                return Ok(None);
            };
            let tag = &text[..end];
            if !tag[1..end - 1]
                .chars()
                .all(|letter| letter.is_alphanumeric() || letter == '_')
            {
                return Ok(None);
            }
            closing(tag, end)?
        }
        _ => return Ok(None),
    };
    Ok(Some(length))
}

/// The length of the text in quotes at the start of `text`. A doubled quote reads as two texts side by side.
fn quoted(text: &str, quote: u8, escapes: bool) -> Option<usize> {
    let mut skip = false;
    for (place, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if skip => skip = false,
            b'\\' if escapes && quote != b'`' => skip = true,
            byte if byte == quote => return Some(place + 1),
            _ => {}
        }
    }
    None
}

fn identifier(dialect: Dialect, text: &str) -> Result<String, Fault> {
    if text.is_empty() || text.contains('\0') {
        return Err(malformed("identifier"));
    }
    match dialect {
        Dialect::Postgresql if text.len() > LONGEST_POSTGRESQL => Err(malformed("identifier too long")),
        Dialect::Postgresql => Ok(format!("\"{}\"", text.replace('"', "\"\""))),
        Dialect::Mysql => Ok(format!("`{}`", text.replace('`', "``"))),
    }
}

fn literal(dialect: Dialect, text: &str) -> Result<String, Fault> {
    if text.contains('\0') {
        return Err(malformed("literal"));
    }
    let text = password::fill(text)?;
    let doubled = text.replace('\'', "''");
    match dialect {
        Dialect::Postgresql => Ok(format!("'{doubled}'")),
        Dialect::Mysql => Ok(format!("'{}'", doubled.replace('\\', "\\\\"))),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::driver::RANDOM, *};

    fn one(name: &str, text: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(name.to_owned(), text.to_owned())])
    }

    fn with_identifier(dialect: Dialect, template: &str, text: &str) -> Result<String, Fault> {
        assemble(dialect, template, &one("x", text), &BTreeMap::new())
    }

    fn with_literal(dialect: Dialect, template: &str, text: &str) -> Result<String, Fault> {
        assemble(dialect, template, &BTreeMap::new(), &one("x", text))
    }

    #[test]
    fn an_identifier_is_one_token_whatever_is_in_it() {
        let hostile = r#"a"b; drop role x"#;
        let statement = with_identifier(Dialect::Postgresql, "ALTER ROLE {x} NOLOGIN", hostile).unwrap();
        assert_eq!(statement, r#"ALTER ROLE "a""b; drop role x" NOLOGIN"#);
        let statement = with_identifier(Dialect::Mysql, "ALTER USER {x}@{x}", "a`b'c").unwrap();
        assert_eq!(statement, "ALTER USER `a``b'c`@`a``b'c`");
    }

    #[test]
    fn a_literal_is_one_token_whatever_is_in_it() {
        let hostile = r"a\'; drop role x --";
        let statement = with_literal(Dialect::Postgresql, "PASSWORD {x}", hostile).unwrap();
        assert_eq!(statement, r"PASSWORD 'a\''; drop role x --'");
        let statement = with_literal(Dialect::Mysql, "PASSWORD {x}", hostile).unwrap();
        assert_eq!(statement, r"PASSWORD 'a\\''; drop role x --'");
    }

    #[test]
    fn a_place_where_the_token_would_not_stand_alone_is_refused() {
        for template in [
            "SELECT '{x}'",
            "SELECT E'\\'{x}'",
            "SELECT \"{x}\"",
            "SELECT $$ {x} $$",
            "SELECT $tag$ $$ {x} $tag$",
            "SELECT E{x}",
            "SELECT U&{x}",
            "SELECT {x}'a'",
            "SELECT 'a'{x}",
            "SELECT {x}{x}",
            "SELECT {x}y",
            "SELECT 1 -- {x}",
            "SELECT /* {x} */ 1",
            "SELECT 'open {x}",
        ] {
            assert!(
                with_literal(Dialect::Postgresql, template, "v").is_err(),
                "{template}"
            );
        }
        for template in [
            "SELECT 'a\\'{x}'",
            "SELECT `{x}`",
            "SELECT /*! {x} */ 1",
            "SELECT 1 # {x}",
        ] {
            assert!(with_literal(Dialect::Mysql, template, "v").is_err(), "{template}");
        }
    }

    #[test]
    fn braces_that_are_no_placeholder_stay() {
        let nothing = BTreeMap::new();
        for template in [
            "SELECT '{\"a\": 1}'::json",
            "SELECT '{}'::text[]",
            "SELECT '{other}'",
            "SELECT $1 = ANY('{1,2}')",
        ] {
            assert_eq!(
                assemble(Dialect::Postgresql, template, &nothing, &nothing).unwrap(),
                template
            );
        }
        assert!(assemble(Dialect::Postgresql, "SELECT {other}", &nothing, &nothing).is_err());
    }

    #[test]
    fn a_second_statement_is_refused() {
        let nothing = BTreeMap::new();
        assert!(assemble(Dialect::Mysql, "SELECT 1; SELECT 2", &nothing, &nothing).is_err());
        assert!(assemble(Dialect::Mysql, "SELECT ';';", &nothing, &nothing).is_ok());
    }

    #[test]
    fn names_that_the_server_would_change_are_refused() {
        assert!(with_identifier(Dialect::Postgresql, "DROP ROLE {x}", &"a".repeat(64)).is_err());
        assert!(with_identifier(Dialect::Postgresql, "DROP ROLE {x}", "a\0b").is_err());
        assert!(with_identifier(Dialect::Mysql, "DROP ROLE {x}", "").is_err());
    }

    #[test]
    fn a_new_password_is_put_in_when_the_statement_is_made() {
        let statement = with_literal(Dialect::Postgresql, "ALTER ROLE a PASSWORD {x}", RANDOM).unwrap();
        assert_eq!(
            statement.len(),
            "ALTER ROLE a PASSWORD ''".len() + password::LENGTH
        );
    }
}
