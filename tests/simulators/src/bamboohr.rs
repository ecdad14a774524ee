//! `BambooHR` as far as it tells who works there: changed employees, one employee's fields, and the employment status table,
//! by the vendor's published description (`public.yaml`, 2026-06).
//!
//! | path | what |
//! |---|---|
//! | `GET /api/v1/employees/changed` | who changed since an instant |
//! | `GET /api/v1/employees/{id}` | the asked fields, as they are today |
//! | `GET /api/v1/employees/{id}/tables/employmentStatus` | dated rows, those to come too; `all` for everybody's |
//!
//! Login: basic authentication, the API key as user name and any password. Answers are XML unless JSON is asked for.

use std::{collections::BTreeMap, io, ops::Deref, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Query, State as Shared},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde_json::{Map, Value, json};

use super::server::{Serving, World, basic};

/// The status of a row that ends employment.
const TERMINATED: &str = "Terminated";

/// Everybody by id.
type Employees = BTreeMap<String, Employee>;

/// One employee.
#[derive(Debug, Clone)]
pub struct Employee {
    /// Fields that have no history, such as `workEmail`.
    pub fields: Map<String, Value>,
    /// Rows of the employment status table.
    pub rows: Vec<Map<String, Value>>,
    /// When anything about them was changed last.
    pub changed: Timestamp,
    /// Deleted: only the list of changes still knows them.
    pub deleted: bool,
}

/// A running `BambooHR`.
#[derive(Debug)]
pub struct BambooHr(Serving<Employees>);

impl Deref for BambooHr {
    type Target = Serving<Employees>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl BambooHr {
    /// The API key.
    pub const KEY: &str = "canary-bamboo-key";

    /// Starts one without employees.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start() -> io::Result<Self> {
        let routes = Router::new()
            .route("/api/v1/employees/changed", get(changed))
            .route("/api/v1/employees/{id}", get(employee))
            .route("/api/v1/employees/{id}/tables/{table}", get(table));
        Serving::start(Employees::new(), routes).await.map(Self)
    }

    /// Adds or replaces an employee: `fields` without history, and `rows` of the employment status table, each with `date`
    /// and `employmentStatus`.
    pub fn employ(&self, id: &str, fields: &Value, rows: &[Value]) {
        let object = |value: &Value| value.as_object().cloned().unwrap_or_default();
        let employee = Employee {
            fields: object(fields),
            rows: rows.iter().map(object).collect(),
            changed: Timestamp::now(),
            deleted: false,
        };
        self.world()
            .seed(|employees| employees.insert(id.to_owned(), employee.clone()));
    }
}

type Known = Shared<Arc<World<Employees>>>;

/// Whether the caller has the key.
fn permitted(headers: &HeaderMap) -> Result<(), StatusCode> {
    match basic(headers) {
        Some((user, _)) if user == BambooHr::KEY => Ok(()),
        _ => Err(StatusCode::UNAUTHORIZED),
    }
}

/// The answer in the form that was asked for.
fn answer(headers: &HeaderMap, value: Value) -> Response {
    let json = headers
        .get(header::ACCEPT)
        .is_some_and(|accept| accept == "application/json");
    if json {
        Json(value).into_response()
    } else {
        ([(header::CONTENT_TYPE, "application/xml")], "<result/>").into_response()
    }
}

async fn changed(
    Shared(world): Known,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if let Err(refusal) = permitted(&headers) {
        return refusal.into_response();
    }
    let Some(since) = query.get("since").and_then(|text| text.parse::<Timestamp>().ok()) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    world.look(|employees| {
        let mut latest = since;
        let mut found = Map::new();
        for (id, employee) in employees.iter().filter(|(_, employee)| employee.changed >= since) {
            latest = latest.max(employee.changed);
            let action = if employee.deleted { "Deleted" } else { "Updated" };
            let entry = json!({ "id": id, "action": action, "lastChanged": employee.changed.to_string() });
            found.insert(id.clone(), entry);
        }
        answer(
            &headers,
            json!({ "latest": latest.to_string(), "employees": found }),
        )
    })
}

async fn employee(
    Shared(world): Known,
    Path(id): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if let Err(refusal) = permitted(&headers) {
        return refusal.into_response();
    }
    let asked = query.get("fields").map_or("firstName,lastName", String::as_str);
    world.look(|employees| {
        let Some(employee) = employees.get(&id).filter(|employee| !employee.deleted) else {
            return StatusCode::NOT_FOUND.into_response();
        };
        let mut all = employee.fields.clone();
        all.extend(as_of_today(employee));
        let mut shown = Map::from_iter([("id".to_owned(), json!(id))]);
        // Fields that do not exist, or that the caller may not see, are left out.
        for field in asked.split(',') {
            if let Some(value) = all.get(field) {
                shown.insert(field.to_owned(), value.clone());
            }
        }
        answer(&headers, Value::Object(shown))
    })
}

/// The fields that the status table tells. Employment ends with the last minute of a termination's day.
fn as_of_today(employee: &Employee) -> Map<String, Value> {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let day = |row: &Map<String, Value>| row.get("date").and_then(Value::as_str)?.parse::<Date>().ok();
    let ends = |row: &Map<String, Value>| row.get("employmentStatus") == Some(&json!(TERMINATED));
    let in_force = |row: &&Map<String, Value>| {
        day(row).is_some_and(|date| if ends(row) { date < today } else { date <= today })
    };
    let current = employee.rows.iter().filter(in_force).max_by_key(|row| day(row));
    let ended = current.filter(|row| ends(row));
    let mut fields = Map::new();
    let status = if ended.is_some() { "Inactive" } else { "Active" };
    fields.insert("status".to_owned(), json!(status));
    let name = current.and_then(|row| row.get("employmentStatus")).cloned();
    fields.insert("employmentStatus".to_owned(), name.unwrap_or(Value::Null));
    let date = ended.and_then(|row| row.get("date")).cloned();
    fields.insert(
        "terminationDate".to_owned(),
        date.unwrap_or_else(|| json!("0000-00-00")),
    );
    fields
}

async fn table(
    Shared(world): Known,
    Path((id, table)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if let Err(refusal) = permitted(&headers) {
        return refusal.into_response();
    }
    world.look(|employees| {
        let known = id == "all" || employees.contains_key(&id);
        if table != "employmentStatus" || !known {
            return StatusCode::NOT_FOUND.into_response();
        }
        let theirs = employees
            .iter()
            .filter(|(own, employee)| (id == "all" || **own == id) && !employee.deleted);
        let rows = theirs.flat_map(|(own, employee)| {
            employee.rows.iter().enumerate().map(move |(number, row)| {
                let mut row = row.clone();
                row.insert("id".to_owned(), json!(format!("{own}{number}")));
                row.insert("employeeId".to_owned(), json!(own));
                Value::Object(row)
            })
        });
        // "The result is not sorted in any particular order."
        let mut rows: Vec<Value> = rows.collect();
        rows.reverse();
        answer(&headers, Value::Array(rows))
    })
}
