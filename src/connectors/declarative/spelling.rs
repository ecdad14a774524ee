//! What definitions said otherwise before, and how it is said now. What a record keeps of a former definition is not measured
//! by it.

use super::{expression::code, problems::Problems};
use crate::api::definition::ConnectorDefinitionSpec;

/// Fields of former definitions, and what is written instead.
const REPLACED: [(&str, &str); 1] = [(
    "account.echo",
    "remove it: what the read in account.shows gives must have the account.id",
)];

/// What is written instead of the field at `path` of a definition's spec, which was one before.
pub fn instead(path: &str) -> Option<&'static str> {
    let field = REPLACED.iter().find(|(old, _)| *old == path);
    field.map(|(_, instead)| *instead)
}

/// Says what is written as it was before.
pub(super) fn check(spec: &ConnectorDefinitionSpec, problems: &mut Problems) {
    for (name, fact) in &spec.facts {
        if let Some(list) = fact.holds.as_deref().and_then(counted_list) {
            problems.add(
                format!("facts.{name}.holds"),
                format!("write none: {list}; holds, each of the act and count follow from it"),
            );
        }
    }
}

/// The list of `size(list) == 0`, where `holds` is nothing but that.
fn counted_list(holds: &str) -> Option<&str> {
    let counted = holds.trim().strip_suffix('0')?.trim_end().strip_suffix("==")?;
    let list = counted.trim_end().strip_prefix("size(")?.strip_suffix(')')?;
    let mut depth = 0_i32;
    for (_, c) in code(list) {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        if depth < 0 {
            return None;
        }
    }
    Some(list.trim())
}
