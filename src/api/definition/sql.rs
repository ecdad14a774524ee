//! A system that is a database.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::connector::ConnectorLimits;

/// A database. Login: keys `username` and `password` of the Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SqlDriver {
    /// Which database it is.
    pub dialect: Dialect,
    /// Template over `inputs`: host name.
    pub host: String,
    /// Template over `inputs`: port.
    pub port: String,
    /// Template over `inputs`: the database to log in to, unless a request names another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// How hard the system may be pressed.
    #[serde(default)]
    pub limits: ConnectorLimits,
    /// How long one statement may take. Default `20s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^([0-9]+(ms|s|m))+$"))]
    pub deadline: Option<String>,
}

/// Databases that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Dialect {
    /// PostgreSQL.
    Postgresql,
    /// MySQL and MariaDB.
    Mysql,
}
