//! The REST API below `/services/data`.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    Json,
    body::Bytes,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    Shared,
    change::{self, How},
    id, oauth,
    query::{self, Caller},
    refusal::Refused,
    schema::Object,
    soql::Query,
};
use crate::server::{self, lock, pairs};

/// Rows of a query that were not sent yet.
#[derive(Debug)]
pub struct Locator {
    rows: Vec<Value>,
    sent: usize,
}

/// What is answered: a status and perhaps a body.
type Answer = Result<(StatusCode, Option<Value>), Refused>;

/// One request, taken apart.
struct Asked<'a> {
    caller: &'a Caller,
    /// `/services/data/v64.0`.
    data: String,
    query: Vec<(String, String)>,
    headers: &'a HeaderMap,
    body: &'a Bytes,
}

/// `GET /services/data`: no login is needed.
pub async fn versions() -> Json<Value> {
    Json(json!([
        {"label": "Winter '26", "url": "/services/data/v65.0", "version": "65.0"},
        {"label": "Summer '25", "url": "/services/data/v64.0", "version": "64.0"},
    ]))
}

/// `GET /services/data/vNN.0/`: where the resources are, and whose session it is.
pub async fn resources(
    shared: State<Arc<Shared>>,
    Path(version): Path<String>,
    headers: HeaderMap,
) -> Response {
    serve(
        shared,
        Method::GET,
        Path((version, String::new())),
        RawQuery(None),
        headers,
        Bytes::new(),
    )
    .await
}

/// Everything below `/services/data/vNN.0/`.
pub async fn serve(
    State(shared): State<Arc<Shared>>,
    method: Method,
    Path((version, path)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(caller) = oauth::caller(&shared, &headers) else {
        let mut refused =
            Refused::new(401, "INVALID_SESSION_ID", "Session expired or invalid").into_response();
        if let Ok(value) = "Token".parse() {
            refused.headers_mut().insert("www-authenticate", value);
        }
        return refused;
    };
    let asked = Asked {
        caller: &caller,
        data: format!("/services/data/{version}"),
        query: pairs(query.unwrap_or_default().as_bytes()),
        headers: &headers,
        body: &body,
    };
    let used = shared.used.fetch_add(1, Ordering::Relaxed) + 1;
    let most = shared.daily.load(Ordering::Relaxed);
    let answered = if used > most {
        Err(Refused::new(
            403,
            "REQUEST_LIMIT_EXCEEDED",
            "TotalRequests Limit exceeded.",
        ))
    } else if supported(&version) {
        route(&shared, &method, &path, &asked)
    } else {
        Err(Refused::not_found())
    };
    let mut response = match answered {
        Ok((status, Some(body))) => (status, Json(body)).into_response(),
        Ok((status, None)) => status.into_response(),
        Err(refused) => refused.into_response(),
    };
    if let Ok(usage) = format!("api-usage={}/{most}", used.min(most)).parse() {
        response.headers_mut().insert("sforce-limit-info", usage);
    }
    response.extensions_mut().insert(server::Caller(caller.user));
    response
}

fn supported(version: &str) -> bool {
    version
        .strip_prefix('v')
        .and_then(|number| number.strip_suffix(".0"))
        .and_then(|number| number.parse::<u32>().ok())
        .is_some_and(|number| (31..=65).contains(&number))
}

fn route(shared: &Shared, method: &Method, path: &str, asked: &Asked<'_>) -> Answer {
    let segments: Vec<_> = path.trim_end_matches('/').split('/').collect();
    match (method.as_str(), segments.as_slice()) {
        ("GET", [""]) => {
            let (organisation, user) = (super::ORGANISATION, &asked.caller.user);
            let identity = format!("{}/id/{organisation}/{user}", shared.url());
            let body = json!({"identity": identity, "query": format!("{}/query", asked.data)});
            Ok((StatusCode::OK, Some(body)))
        }
        ("GET", ["query"]) => first_page(shared, asked),
        ("GET", ["query", locator]) => next_page(shared, asked, locator),
        ("GET", ["limits"]) => Ok(limits(shared)),
        ("GET", ["sobjects", name, id]) => read(shared, asked, name, id),
        ("PATCH", ["sobjects", name, id]) => {
            let object = asked.caller.object(name)?;
            let id = whole(id)?;
            let fields = asked.json()?;
            let fields = fields
                .as_object()
                .ok_or_else(|| Refused::new(400, "JSON_PARSER_ERROR", "an object is needed"))?;
            shared
                .world
                .change(|state| change::update(shared, state, asked.how(), object, &id, fields))?;
            Ok((StatusCode::NO_CONTENT, None))
        }
        ("POST", ["sobjects", name]) => {
            let object = asked.caller.object(name)?;
            let id = shared.fresh(object.prefix);
            let fields = asked.json()?;
            let fields = fields
                .as_object()
                .ok_or_else(|| Refused::new(400, "JSON_PARSER_ERROR", "an object is needed"))?;
            shared
                .world
                .change(|state| change::create(state, asked.caller, object, &id, fields))?;
            let body = json!({"id": id, "success": true, "errors": []});
            Ok((StatusCode::CREATED, Some(body)))
        }
        ("DELETE", ["sobjects", name, id]) => {
            let object = asked.caller.object(name)?;
            let id = whole(id)?;
            shared
                .world
                .change(|state| change::delete(shared, state, asked.caller, object, &id))?;
            Ok((StatusCode::NO_CONTENT, None))
        }
        ("PATCH", ["composite", "sobjects"]) => {
            let body = asked.json()?;
            let results = shared
                .world
                .change(|state| change::collection(shared, state, asked.how(), &body))?;
            Ok((StatusCode::OK, Some(Value::Array(results))))
        }
        _ => Err(Refused::not_found()),
    }
}

impl Asked<'_> {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn json(&self) -> Result<Value, Refused> {
        if !self
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/json"))
        {
            return Err(Refused::new(
                415,
                "UNSUPPORTED_MEDIA_TYPE",
                "use application/json",
            ));
        }
        serde_json::from_slice(self.body).map_err(|_| Refused::new(400, "JSON_PARSER_ERROR", "not JSON"))
    }

    fn how(&self) -> How<'_> {
        How {
            caller: self.caller,
            auto_assign: !self
                .header("sforce-auto-assign")
                .is_some_and(|value| value.eq_ignore_ascii_case("false")),
        }
    }
}

fn whole(given: &str) -> Result<String, Refused> {
    id::whole(given).ok_or_else(Refused::not_found)
}

fn limits(shared: &Shared) -> (StatusCode, Option<Value>) {
    let most = shared.daily.load(Ordering::Relaxed);
    let left = most.saturating_sub(shared.used.load(Ordering::Relaxed));
    (
        StatusCode::OK,
        Some(json!({"DailyApiRequests": {"Max": most, "Remaining": left}})),
    )
}

fn first_page(shared: &Shared, asked: &Asked<'_>) -> Answer {
    let text = asked
        .parameter("q")
        .ok_or_else(|| Refused::new(400, "MALFORMED_QUERY", "q is missing"))?;
    let query = Query::parse(text)?;
    let mut rows = shared
        .world
        .look(|state| query::run(state, asked.caller, &query, &asked.data))?;
    let oauth_tokens = query.object.eq_ignore_ascii_case("OauthToken");
    if oauth_tokens {
        // The object reference: no more than 2500 rows of this object, in pages of 500.
        rows.rows.truncate(2500);
    }
    impersonate(shared, &query, &mut rows.rows);
    let wanted = asked
        .header("sforce-query-options")
        .and_then(|options| options.strip_prefix("batchSize="))
        .and_then(|size| size.parse::<usize>().ok())
        .map_or(2000, |size| size.clamp(200, 2000));
    let most = lock(&shared.knobs).page_size.unwrap_or(wanted);
    let size = if oauth_tokens { most.min(500) } else { most };
    let locator = shared.fresh("01g");
    Ok(page(shared, asked, &locator, rows.total, rows.rows, size, 0))
}

fn page(
    shared: &Shared,
    asked: &Asked<'_>,
    locator: &str,
    total: usize,
    mut rows: Vec<Value>,
    size: usize,
    before: usize,
) -> (StatusCode, Option<Value>) {
    let rest = rows.split_off(size.min(rows.len()));
    let sent = before + rows.len();
    let mut body = json!({"totalSize": total, "done": rest.is_empty(), "records": rows});
    if !rest.is_empty() {
        body["nextRecordsUrl"] = format!("{}/query/{locator}-{sent}", asked.data).into();
        lock(&shared.locators).insert(format!("{locator}-{sent}"), Locator { rows: rest, sent });
    }
    (StatusCode::OK, Some(body))
}

fn next_page(shared: &Shared, asked: &Asked<'_>, locator: &str) -> Answer {
    let Some(Locator { rows, sent }) = lock(&shared.locators).remove(locator) else {
        return Err(Refused::new(
            400,
            "INVALID_QUERY_LOCATOR",
            "invalid query locator",
        ));
    };
    let size = lock(&shared.knobs).page_size.unwrap_or(2000);
    let total = sent + rows.len();
    let name = locator.split('-').next().unwrap_or_default();
    Ok(page(shared, asked, name, total, rows, size, sent))
}

fn read(shared: &Shared, asked: &Asked<'_>, name: &str, id: &str) -> Answer {
    let object: &Object = asked.caller.object(name)?;
    let mut id = whole(id)?;
    if object.name == "User"
        && let Some(other) = &lock(&shared.knobs).impostor
    {
        id.clone_from(other);
    }
    let fields: Vec<String> = match asked.parameter("fields") {
        Some(fields) => fields.split(',').map(|field| field.trim().to_owned()).collect(),
        None => std::iter::once("Id")
            .chain(object.fields.iter().map(|(field, _)| *field))
            .map(str::to_owned)
            .collect(),
    };
    shared
        .world
        .look(|state| {
            let record = state.table(object).get(&id)?;
            asked
                .caller
                .sees(object, record)
                .then(|| query::row(state, object, record, &fields, &asked.data))
        })
        .map(|record| (StatusCode::OK, Some(record)))
        .ok_or_else(Refused::not_found)
}

/// Puts another user's id into the rows of users.
fn impersonate(shared: &Shared, query: &Query, rows: &mut [Value]) {
    if !query.object.eq_ignore_ascii_case("User") {
        return;
    }
    if let Some(other) = &lock(&shared.knobs).impostor {
        for row in rows.iter_mut().filter(|row| row.get("Id").is_some()) {
            row["Id"] = other.clone().into();
        }
    }
}
