//! Expressions that nobody would write: refused or compiled, and evaluated at a bounded cost.

use super::*;
use crate::{
    connectors::declarative::{
        builtin,
        expression::{Expression, LONGEST, Scope},
        problems::Problems,
    },
    core::garbled::{Garbler, soon},
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
    let user = json!({"id": "7", "name": "J\u{fc}rgen", "groups": ["a", "b"], "n": -1, "at": "2026-09-30T15:00:00Z"});
    let list: Value = (0..200)
        .map(|n| json!({"id": n, "name": format!("g{n}"), "member": ["a"]}))
        .collect();
    let reads = json!({"user": user, "list": list});
    let names = [
        "reads",
        "who",
        "account",
        "inputs",
        "item",
        "response",
        "snapshot",
        "successor",
        "now",
        "cutoff",
        "since",
    ];
    let mut garbler = Garbler::new(5);
    let (mut compiled, mut valued) = (0, 0);
    for _ in 0..12_000 {
        let text = garbler.text(&good, &words);
        let mut problems = Problems::default();
        let expression = soon(&text, || {
            Expression::compile(&text, "facts.F.holds", &names, &mut problems)
        });
        let Some(expression) = expression else {
            assert!(!problems.0.is_empty(), "refused in silence: {text:?}");
            continue;
        };
        compiled += 1;
        let scope = Scope::new()
            .with("reads", &reads)
            .with("who", &user)
            .with("account", &user)
            .with("inputs", &user)
            .with("item", &user)
            .with("response", &user);
        match soon(&text, || expression.evaluate(&scope)) {
            Ok(_) => valued += 1,
            // A place and a fixed phrase, and nothing of the data.
            Err(error) => assert_eq!(error.path, "facts.F.holds"),
        }
    }
    assert!(
        compiled > 1_000 && valued > 100,
        "{compiled} compiled, {valued} with a value"
    );
}
