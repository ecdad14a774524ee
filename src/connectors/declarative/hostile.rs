//! Expressions that nobody would write: refused or compiled, and evaluated at a bounded cost.

use serde_json::{Value, json};

use super::{
    expression::{Expression, Scope},
    problems::Problems,
};

/// No value is longer, as JSON, in bytes: a unit of cost for each, at most.
const LARGEST: usize = 6_000_000;

const NAMES: [&str; 11] = [
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

/// What becomes of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Refused,
    Compiled,
    Valued,
}

/// What becomes of `text`; what holds whatever it is: it is not refused in silence, no value is larger than what it may cost, and what
/// has none says only where it stands.
pub(crate) fn tried(text: &str) -> Outcome {
    let mut problems = Problems::default();
    let Some(expression) = Expression::compile(text, "facts.F.holds", &NAMES, &mut problems) else {
        assert!(!problems.0.is_empty(), "refused in silence: {text:?}");
        return Outcome::Refused;
    };
    let user = json!({"id": "7", "name": "J\u{fc}rgen", "groups": ["a", "b"], "n": -1, "at": "2026-09-30T15:00:00Z"});
    let list: Value = (0..200)
        .map(|n| json!({"id": n, "name": format!("g{n}"), "member": ["a"]}))
        .collect();
    let reads = json!({"user": user, "list": list});
    let scope = ["who", "account", "inputs", "item", "response"]
        .into_iter()
        .fold(Scope::new().with("reads", &reads), |scope, name| {
            scope.with(name, &user)
        });
    match expression.evaluate(&scope) {
        Ok(value) => {
            assert!(value.to_string().len() <= LARGEST, "{text:?}");
            Outcome::Valued
        }
        Err(error) => {
            assert_eq!(error.path, "facts.F.holds");
            Outcome::Compiled
        }
    }
}
