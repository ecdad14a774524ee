//! A Workday report that is published as a web service (RaaS): one address, basic authentication, everything in one answer.
//!
//! Written from the vendor's usage as published by others (`customreport2`, `format=json`): the columns are the report's own
//! aliases, every value is a text, and an empty column is left out.

use std::{collections::BTreeMap, io, ops::Deref, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Query, State as Shared},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};

use super::server::{Serving, World, basic};

/// A running report.
#[derive(Debug)]
pub struct Raas(Serving<Vec<Value>>);

impl Deref for Raas {
    type Target = Serving<Vec<Value>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Raas {
    /// The user that may run the report.
    pub const USER: &str = "ISU_offboard";
    /// Their password.
    pub const PASSWORD: &str = "canary-raas";

    /// Starts one with an empty report.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start() -> io::Result<Self> {
        let path = "/ccx/service/customreport2/{tenant}/{owner}/{report}";
        Serving::start(vec![], Router::new().route(path, get(report)))
            .await
            .map(Self)
    }

    /// The rows of the report from now on.
    pub fn rows(&self, rows: &[Value]) {
        self.world().seed(|all| rows.clone_into(all));
    }
}

async fn report(
    Shared(world): Shared<Arc<World<Vec<Value>>>>,
    Path((_, owner, report)): Path<(String, String, String)>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let login = basic(&headers);
    if login.is_none_or(|(user, password)| (user.as_str(), password.as_str()) != (Raas::USER, Raas::PASSWORD))
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if owner != Raas::USER || report != "Leavers" {
        return StatusCode::NOT_FOUND.into_response();
    }
    if query.get("format").map(String::as_str) != Some("json") {
        return ([(header::CONTENT_TYPE, "text/xml")], "<wd:Report_Data/>").into_response();
    }
    world.look(|rows| Json(json!({ "Report_Entry": rows })).into_response())
}
