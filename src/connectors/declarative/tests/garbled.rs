//! Expressions that nobody would write: refused or compiled, and evaluated at a bounded cost.

use super::*;
use crate::{
    connectors::declarative::{
        builtin,
        expression::LONGEST,
        hostile::{Outcome, tried},
    },
    core::garbled::{garbled, taken_of},
};

/// All texts of a built-in definition: expressions, most of them.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.len() <= LONGEST => found.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

#[test]
fn whatever_is_written_is_compiled_or_refused_and_costs_no_more_than_it_may() {
    let mut good = vec![];
    for name in ["openldap", "scim", "google-workspace", "salesforce", "postgresql"] {
        texts(
            &serde_saphyr::from_str(builtin(name).unwrap()).unwrap(),
            &mut good,
        );
    }
    assert!(good.len() > 100, "{}", good.len());
    // Some that have a value here, so that what becomes of them often has one.
    let valued_here = [
        "reads.list.map(g, {'id': g.id, 'of': g.member.filter(m, m != 'b')})",
        "reads.list.exists(g, g.name == who.name) || size(reads.list) > 3 ? reads.user.groups : []",
        "timestamp(reads.user.at) + duration('1h') < timestamp('2027-01-01T00:00:00Z')",
        "string(int(account.n) * -7) + item.name.lowerAscii() + item.id",
        "has(item.none) ? item.none : reads.list.filter(g, g.id % 7 == 0).map(g, g.name)",
    ];
    for _ in 0..good.len() / 10 {
        good.extend(valued_here.map(str::to_owned));
    }
    let words = [
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "?",
        ":",
        "&&",
        "||",
        "!",
        "-",
        "in",
        "'",
        "\"",
        "r'",
        "b'",
        "\\",
        "\\x",
        "\\u",
        "//",
        ".",
        ",",
        "0x",
        "1e9",
        "9223372036854775808",
        "1u",
        ".map(x, ",
        ".filter(x, ",
        ".all(x, ",
        ".exists_one(x, ",
        "has(",
        "size(",
        "matches(",
        "duration(",
        "timestamp(",
        "int(",
        "xml(",
        "link(",
        "counted(",
        "reads.user",
        "reads.list",
        "null",
        "true",
        "type(",
        "dyn(",
    ];
    let compiled = std::cell::Cell::new(0);
    let valued = taken_of(12_000, &garbled(&good, &words), |text| {
        let outcome = tried(&String::from_utf8_lossy(&text));
        compiled.set(compiled.get() + u32::from(outcome != Outcome::Refused));
        outcome == Outcome::Valued
    });
    let compiled = compiled.get();
    assert!(
        compiled > 1_000 && valued > 100,
        "{compiled} compiled, {valued} with a value"
    );
}
