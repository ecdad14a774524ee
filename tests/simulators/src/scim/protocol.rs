//! The SCIM interface over HTTP.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use super::{
    PatchSupport, Quirks, Right, Shared, change, discovery,
    filter::{Filter, Operator},
    model,
    refusal::Refused,
};
use crate::server::{Caller, bearer, lock, pairs};

/// What is answered to a request that was served.
pub struct Reply {
    status: u16,
    body: Option<Value>,
}

impl Reply {
    /// 200 with a body.
    pub fn of(body: Value) -> Self {
        Self {
            status: 200,
            body: Some(body),
        }
    }

    /// 204.
    pub fn nothing() -> Self {
        Self {
            status: 204,
            body: None,
        }
    }
}

/// One request, taken apart.
pub struct Asked<'a> {
    /// `…/scim/v2`, for locations.
    pub base: &'a str,
    /// The query, decoded.
    pub query: &'a [(String, String)],
    /// `If-Match`.
    pub if_match: Option<&'a str>,
    /// The body, null when there is none.
    pub body: Value,
    /// The deviations at this moment.
    pub quirks: Quirks,
}

/// Everything below `/scim/v2/`.
pub async fn serve(
    State(shared): State<Arc<Shared>>,
    method: Method,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut response = match answer(&shared, &method, &path, query.as_deref(), &headers, &body) {
        Ok(reply) => {
            let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let version = reply
                .body
                .as_ref()
                .and_then(|body| body["meta"]["version"].as_str().map(str::to_owned));
            let mut response = match reply.body {
                Some(body) => (
                    status,
                    [("content-type", "application/scim+json")],
                    body.to_string(),
                )
                    .into_response(),
                None => status.into_response(),
            };
            if let Some(version) = version.and_then(|version| version.parse().ok()) {
                response.headers_mut().insert("etag", version);
            }
            response
        }
        Err(refused) => refused.into_response(),
    };
    if authorized(&shared, &headers) {
        response.extensions_mut().insert(Caller("connector".to_owned()));
    }
    response
}

fn answer(
    shared: &Shared,
    method: &Method,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Reply, Refused> {
    if !authorized(shared, headers) {
        return Err(Refused::plain(401, "a bearer token is needed"));
    }
    let quirks = shared.quirks();
    let query = pairs(query.unwrap_or_default().as_bytes());
    let asked = Asked {
        base: &base(headers),
        query: &query,
        if_match: text(headers, "if-match"),
        body: json_body(headers, body, &quirks)?,
        quirks,
    };
    let segments: Vec<_> = path.split('/').collect();
    match (method.as_str(), segments.as_slice()) {
        ("GET", ["ServiceProviderConfig"]) => Ok(Reply::of(discovery::provider(asked.base, &asked.quirks))),
        ("GET", ["ResourceTypes"]) => Ok(Reply::of(whole_list(&discovery::resource_types(asked.base)))),
        ("GET", ["Schemas"]) => Ok(Reply::of(whole_list(&discovery::schemas(asked.base)))),
        ("GET", ["Schemas", id]) => one(discovery::schemas(asked.base), id),
        ("GET", ["ResourceTypes", id]) => one(discovery::resource_types(asked.base), id),
        ("GET", ["Users"]) => list(shared, &asked, Right::ReadUsers),
        ("GET", ["Groups"]) if asked.quirks.no_groups => Err(Refused::plain(404, "no such endpoint")),
        ("GET", ["Groups"]) => list(shared, &asked, Right::ReadGroups),
        ("GET", ["Users", id]) => read_user(shared, &asked, id),
        ("GET", ["Groups", id]) => read_group(shared, &asked, id),
        ("PATCH", ["Users" | "Groups", _]) if asked.quirks.patch == PatchSupport::NotImplemented => {
            Err(Refused::plain(501, "PATCH is not supported"))
        }
        ("PATCH", ["Users" | "Groups", _]) if asked.quirks.patch == PatchSupport::NotAllowed => {
            Err(Refused::plain(405, "method not allowed"))
        }
        ("PATCH" | "PUT" | "DELETE", ["Users", id]) => change::user(shared, method, &asked, id),
        ("PATCH" | "PUT" | "DELETE", ["Groups", id]) => change::group(shared, method, &asked, id),
        (_, ["Users" | "Groups" | "Bulk" | "Me" | ".search", ..]) => {
            Err(Refused::plain(501, "not supported"))
        }
        _ => Err(Refused::plain(404, "no such endpoint")),
    }
}

fn authorized(shared: &Shared, headers: &HeaderMap) -> bool {
    bearer(headers) == Some(&shared.token)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn base(headers: &HeaderMap) -> String {
    format!("http://{}/scim/v2", text(headers, "host").unwrap_or("localhost"))
}

fn json_body(headers: &HeaderMap, body: &Bytes, quirks: &Quirks) -> Result<Value, Refused> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    let kind = text(headers, "content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    // RFC 7644 section 3.8: `application/scim+json` is the type; `application/json` should be taken too.
    if kind != "application/scim+json" && (quirks.strict_media_type || kind != "application/json") {
        return Err(Refused::plain(415, "use application/scim+json"));
    }
    serde_json::from_slice(body).map_err(|_| Refused::bad("invalidSyntax", "not JSON"))
}

/// Refuses what the connector's token may not do.
pub fn allow(quirks: &Quirks, right: Right) -> Result<(), Refused> {
    if quirks.lacks.contains(&right) {
        Err(Refused::plain(403, "the token lacks a right"))
    } else {
        Ok(())
    }
}

/// 404.
pub fn not_found() -> Refused {
    Refused::plain(404, "no such resource")
}

fn read_user(shared: &Shared, asked: &Asked<'_>, id: &str) -> Result<Reply, Refused> {
    allow(&asked.quirks, Right::ReadUsers)?;
    let shown = asked.quirks.impostor.as_deref().unwrap_or(id);
    shared
        .world
        .look(|state| state.user(shown, asked.base))
        .map(|user| Reply::of(Value::Object(asked.chosen(asked.as_sent(user)))))
        .ok_or_else(not_found)
}

fn read_group(shared: &Shared, asked: &Asked<'_>, id: &str) -> Result<Reply, Refused> {
    allow(&asked.quirks, Right::ReadGroups)?;
    shared
        .world
        .look(|state| state.group(id, asked.base))
        .map(|group| Reply::of(Value::Object(asked.chosen(asked.as_sent(group)))))
        .ok_or_else(not_found)
}

impl Asked<'_> {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }

    /// The resource with this server's deviations.
    pub fn as_sent(&self, mut resource: Map<String, Value>) -> Map<String, Value> {
        if self.quirks.active_as_text
            && let Some(Value::Bool(active)) = resource.get("active")
        {
            let text = if *active { "True" } else { "False" };
            resource.insert("active".into(), text.into());
        }
        if self.quirks.hides_groups {
            resource.remove("groups");
        }
        if !self.quirks.etag
            && let Some(Value::Object(meta)) = resource.get_mut("meta")
        {
            meta.remove("version");
        }
        resource
    }

    /// What `attributes` and `excludedAttributes` leave (RFC 7644 section 3.9), by whole attributes.
    fn chosen(&self, mut resource: Map<String, Value>) -> Map<String, Value> {
        let named = |list: &str, key: &str| {
            list.split(',').any(|name| {
                let name = name.trim().rsplit(':').next().unwrap_or_default();
                name.split('.')
                    .next()
                    .unwrap_or_default()
                    .eq_ignore_ascii_case(key)
            })
        };
        let always = |key: &str| key == "id" || key == "schemas";
        if self.quirks.hides_members {
            resource.remove("members");
        }
        if let Some(wanted) = self.parameter("attributes") {
            resource.retain(|key, _| always(key) || named(wanted, key));
        } else if let Some(unwanted) = self.parameter("excludedAttributes") {
            resource.retain(|key, _| always(key) || !named(unwanted, key));
        }
        resource
    }
}

fn list(shared: &Shared, asked: &Asked<'_>, right: Right) -> Result<Reply, Refused> {
    allow(&asked.quirks, right)?;
    let filter = match asked.parameter("filter") {
        None => None,
        Some(_) if !asked.quirks.filter => {
            return Err(Refused::bad("invalidFilter", "filters are not supported"));
        }
        Some(_) if asked.quirks.ignores_filters => None,
        Some(filter) if asked.quirks.blind_filters.iter().any(|by| filter.starts_with(by)) => {
            Some(Filter::parse("id eq \"\"").map_err(|_| Refused::bad("invalidFilter", "malformed filter"))?)
        }
        Some(filter) => {
            Some(Filter::parse(filter).map_err(|_| Refused::bad("invalidFilter", "malformed filter"))?)
        }
    };
    let number = |name: &str| -> Result<Option<i64>, Refused> {
        asked
            .parameter(name)
            .map(|value| {
                value
                    .parse()
                    .map_err(|_| Refused::bad("invalidValue", "not a number"))
            })
            .transpose()
    };
    // RFC 7644 section 3.4.2.4: less than 1 is 1; a negative count is 0.
    let start = usize::try_from(number("startIndex")?.unwrap_or(1).max(1)).unwrap_or(usize::MAX);
    let wanted = number("count")?.map_or(usize::MAX, |count| {
        usize::try_from(count.max(0)).unwrap_or(usize::MAX)
    });
    let users = right == Right::ReadUsers;
    let mut found = shared.world.look(|state| {
        let ids = candidates(state, users, filter.as_ref());
        let all = ids.into_iter().filter_map(|id| {
            if users {
                state.user(id, asked.base)
            } else {
                state.group(id, asked.base)
            }
        });
        all.filter(|resource| filter.as_ref().is_none_or(|filter| filter.matches(resource)))
            .collect::<Vec<_>>()
    });
    if shuffle(shared) {
        found.reverse();
    }
    let total = found.len();
    let page: Vec<_> = found
        .into_iter()
        .skip(start - 1)
        .take(wanted.min(asked.quirks.page_size))
        .map(|resource| Value::Object(asked.chosen(asked.as_sent(resource))))
        .collect();
    Ok(Reply::of(json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": page.len(),
        "Resources": page,
    })))
}

/// Ids of everything that may match, by an index where there is one.
fn candidates<'s>(state: &'s model::State, users: bool, filter: Option<&Filter>) -> Vec<&'s str> {
    if let Some(Filter::Compare(attribute, Operator::Eq, Value::String(wanted))) = filter {
        let sub = attribute.sub.as_deref().unwrap_or("value").to_lowercase();
        match (users, attribute.name.to_lowercase().as_str(), sub.as_str()) {
            (true, "username", "value") => return state.named(wanted).into_iter().collect(),
            (true, "externalid", "value") => return state.external(wanted).collect(),
            (false, "members", "value") => return state.groups_of(wanted).collect(),
            _ => {}
        }
    }
    if users {
        state.users.iter().map(|(id, _)| id).collect()
    } else {
        state.groups.iter().map(|(id, _)| id).collect()
    }
}

/// Whether this list comes in the other order.
fn shuffle(shared: &Shared) -> bool {
    let mut quirks = lock(&shared.quirks);
    let left = quirks.shuffled;
    quirks.shuffled = left.saturating_sub(1);
    left % 2 == 1
}

fn whole_list(resources: &[Value]) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": resources.len(),
        "startIndex": 1,
        "itemsPerPage": resources.len(),
        "Resources": resources,
    })
}

fn one(resources: Vec<Value>, id: &str) -> Result<Reply, Refused> {
    resources
        .into_iter()
        .find(|resource| resource["id"] == id)
        .map(Reply::of)
        .ok_or_else(not_found)
}
