//! What a request over HTTP must not say where it stands, though each of its parts is sound.

use super::{compile::Role, problems::Problems};
use crate::api::definition::Request;

/// Says what is wrong with the path of `request`, the text of the field `verb` at `path`.
pub(super) fn check(
    request: &Request,
    (path, verb, text): (&str, &str, &str),
    role: Role,
    problems: &mut Problems,
) {
    let field = format!("{path}.{verb}");
    if verb == "get" && matches!(role, Role::Act | Role::PutBack) {
        problems.add(
            &field,
            "an act changes something and get only reads: write post, put, patch or delete; or make it one of reads",
        );
    }
    let lower = text.trim_start().to_lowercase();
    if lower.starts_with("http://") || lower.starts_with("https://") {
        let instead = match request.base {
            Some(_) => "write the path alone: base says where",
            None => "write the path alone, below http.base; for another host write base",
        };
        problems.add(&field, format!("an absolute address: {instead}"));
    }
    if let Some(name) = unmarked(text) {
        problems.add(
            &field,
            format!("{{{name}}} is sent as it stands: write ${{{name}}}"),
        );
    }
    if role == Role::Act && holes(text).any(|hole| hole.contains("account.name")) {
        problems.add(
            &field,
            "names are reused, and a change goes to an id: write ${account.id}",
        );
    }
}

/// What stands in `{…}` without a `$` before it.
fn unmarked(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let close = open + rest[open..].find('}')?;
        let marked = rest[..open].ends_with('$');
        let name = &rest[open + 1..close];
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
        if !marked && !name.is_empty() && name.chars().all(is_name) {
            return Some(name);
        }
        rest = &rest[close + 1..];
    }
    None
}

/// What stands in `${…}`.
fn holes(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split("${").skip(1);
    parts.map(|part| part.split('}').next().unwrap_or_default())
}
