//! The query options of Graph: `$select`, `$filter`, `$top`, `@odata.nextLink`.

use serde_json::{Map, Value, json};

use super::calls::{Call, Reply, bad_request, refuse};
use crate::server::{Refusal, lock};

/// The most elements of one page that can be asked for.
const MOST: usize = 999;

/// Answers a collection: filtered, selected, cut into pages. `rest` is the path below the base, for the next link.
pub(crate) fn collection(call: &Call<'_>, mut all: Vec<Value>, default: &[&str]) -> Reply {
    if let Some(filter) = call.parameter("$filter") {
        let filter = Filter::parse(filter)?;
        all.retain(|item| filter.matches(item));
    }
    let top = match call.parameter("$top").map(str::parse::<usize>) {
        None => 100,
        Some(Ok(top)) if (1..=MOST).contains(&top) => top,
        Some(_) => {
            return Err(refuse(
                400,
                "Request_UnsupportedQuery",
                "Invalid page size specified. Must be between 1 and 999 inclusive.",
            ));
        }
    };
    let size = top.min(call.knobs.page.unwrap_or(usize::MAX));
    let start = match call
        .parameter("$skiptoken")
        .map(|token| token.strip_prefix("at-").and_then(|at| at.parse().ok()))
    {
        None => 0_usize,
        Some(Some(start)) if start <= all.len() => start,
        Some(_) => {
            return Err(refuse(
                400,
                "Directory_ExpiredPageToken",
                "The specified page token value has expired and can no longer be included in your request.",
            ));
        }
    };
    let total = all.len();
    let page: Vec<Value> = all
        .into_iter()
        .skip(start)
        .take(size)
        .map(|item| select(call, item, default))
        .collect::<Result<_, _>>()?;
    let end = start + page.len();
    let mut answer = Map::from_iter([
        ("@odata.context".to_owned(), json!("$metadata")),
        ("value".to_owned(), json!(page)),
    ]);
    if end < total {
        answer.insert("@odata.nextLink".into(), json!(next_link(call, end)));
    }
    Ok(Value::Object(answer))
}

fn next_link(call: &Call<'_>, at: usize) -> String {
    let encode = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let mut query: Vec<String> = call
        .query
        .iter()
        .filter(|(key, _)| key != "$skiptoken")
        .map(|(key, value)| format!("{key}={}", encode(value)))
        .collect();
    query.push(format!("$skiptoken=at-{at}"));
    format!("{}{}?{}", lock(&call.shared.url), call.path, query.join("&"))
}

/// Keeps what `$select` names, or else `default` (empty: everything). Ids and type names are always there.
pub(crate) fn select(call: &Call<'_>, item: Value, default: &[&str]) -> Reply {
    let Value::Object(object) = item else {
        return Ok(item);
    };
    let asked: Option<Vec<&str>> = call
        .parameter("$select")
        .map(|list| list.split(',').map(str::trim).collect());
    if let Some(wrong) = asked
        .iter()
        .flatten()
        .find(|name| !object.contains_key(**name) && !name.contains('/'))
    {
        // A collection of directory objects lets a property of another type pass.
        if !object.contains_key("@odata.type") {
            return Err(bad_request(&format!(
                "Could not find a property named '{wrong}'."
            )));
        }
    }
    let names = asked.unwrap_or_else(|| default.to_vec());
    if names.is_empty() {
        return Ok(Value::Object(object));
    }
    let kept = object
        .into_iter()
        .filter(|(key, _)| key.starts_with('@') || key == "id" || names.contains(&key.as_str()));
    Ok(Value::Object(kept.collect()))
}

/// `a eq 'x' or b eq true and c/any(p:p eq 'y')`, without brackets; `and` binds tighter.
struct Filter {
    any: Vec<Vec<(String, Value, bool)>>,
}

impl Filter {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let term = |term: &str| -> Option<(String, Value, bool)> {
            let term = term.trim();
            let (left, right, within) = if let Some((list, inner)) = term.split_once("/any(") {
                let (_, inner) = inner.strip_suffix(')')?.split_once(':')?;
                let (_, right) = inner.split_once(" eq ")?;
                (list, right, true)
            } else {
                let (left, right) = term.split_once(" eq ")?;
                (left, right, false)
            };
            let value = match right.trim() {
                "true" => json!(true),
                "false" => json!(false),
                text => json!(text.strip_prefix('\'')?.strip_suffix('\'')?.replace("''", "'")),
            };
            Some((left.trim().to_owned(), value, within))
        };
        let any: Option<Vec<Vec<_>>> = text
            .split(" or ")
            .map(|all| all.split(" and ").map(term).collect())
            .collect();
        any.map(|any| Self { any }).ok_or_else(|| {
            refuse(
                400,
                "Request_UnsupportedQuery",
                "Unsupported or invalid query filter clause specified.",
            )
        })
    }

    fn matches(&self, item: &Value) -> bool {
        let same = |left: &Value, right: &Value| match (left.as_str(), right.as_str()) {
            (Some(left), Some(right)) => left.eq_ignore_ascii_case(right),
            _ => left == right,
        };
        self.any.iter().any(|all| {
            all.iter().all(|(name, wanted, within)| {
                let held = &item[name.as_str()];
                if *within {
                    held.as_array()
                        .is_some_and(|list| list.iter().any(|held| same(held, wanted)))
                } else {
                    same(held, wanted)
                }
            })
        })
    }
}
