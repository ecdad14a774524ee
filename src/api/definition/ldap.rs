//! A system that speaks LDAP.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::connector::ConnectorLimits;

/// A system that speaks LDAP. Login: keys `username` (a DN or UPN) and `password` of the Secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LdapDriver {
    /// Template over `inputs`: `ldaps://host:port`, or `ldap://` which is upgraded with StartTLS.
    pub url: String,
    /// Template over `inputs`: where searches start.
    pub base: String,
    /// How hard the system may be pressed.
    #[serde(default)]
    pub limits: ConnectorLimits,
    /// How long one operation may take. Default `20s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^([0-9]+(ms|s|m))+$"))]
    pub deadline: Option<String>,
}
