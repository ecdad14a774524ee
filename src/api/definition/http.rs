//! A system that speaks HTTP: its address, its login, and where it may answer later.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Page;
use crate::api::connector::ConnectorLimits;

/// A system that speaks HTTP.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpDriver {
    /// Template over `inputs`: what every path is put behind.
    pub base: String,
    /// How to log in.
    #[serde(default)]
    pub auth: Auth,
    /// Templates over `inputs`, sent with every request; `content-type` with those that have a body.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// How the system answers lists: what a request with `list` instead of `get` need not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lists: Option<Lists>,
    /// How hard the system may be pressed.
    #[serde(default)]
    pub limits: ConnectorLimits,
    /// How long one request may take. Default `20s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^([0-9]+(ms|s|m))+$"))]
    pub deadline: Option<String>,
    /// The largest answer that is read, such as `64Mi`. Default `8Mi`; at most `256Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^[0-9]+(Ki|Mi)$"))]
    pub largest_answer: Option<String>,
    /// Where the system may say later what became of a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<Callback>,
    /// Codes of errors, and names of fields in them, that are shown as they are: they tell nothing about anybody. Those that the
    /// definition names elsewhere, and those of OAuth, SCIM and SOAP, need not be listed. Any other is shown as a digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
}

/// How a system answers lists. What a request says itself counts instead, of `query` parameter by parameter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lists {
    /// Templates of query parameters, such as how many elements a page has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Expression over `response`: the elements of a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<String>,
    /// How further pages are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Page>,
}

/// Acts carry an address of their own, `callback`, which is good for that act only, once and for some time. The system posts
/// `{"state": "done"}` there, or `{"state": "failed", "code": "…"}`, whose code is shown as `codes` say. A fact that can be read is then read at once; of one that is
/// `reported` this is the system's word. The operator must be reachable at `base` (chart: `wake.enabled`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Callback {
    /// Template over `inputs`: the address under which the system reaches the operator, without the path. Empty: there are no
    /// callbacks.
    pub base: String,
    /// Key of the Secret with the key that addresses are made with: `whsec_` and base64, or any other text of at least 24
    /// bytes. The system need not and should not know it. Default `callbackKey`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How long an address is good. A fact that is `reported` is asked for again when it is over. Default `7d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^([0-9]+(ms|s|m|h|d))+$"))]
    pub lasts: Option<String>,
}

/// How to log in. At most one of the fields but `signed`; none means that no login is needed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Auth {
    /// User name and password: keys `username` and `password` of the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicAuth>,
    /// A fixed token: key `token` of the Secret, sent as `Authorization: Bearer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<BearerAuth>,
    /// A fixed value in a header of the system's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderAuth>,
    /// A token from a token endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2>,
    /// User name and password in the header of each SOAP envelope (WS-Security UsernameToken): keys `username` and `password`
    /// of the Secret. Every request must have an `xml` body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ws_security: Option<BasicAuth>,
    /// Every request is signed, so that the receiver knows who sent it and when; alone or beside a login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<SignedAuth>,
}

/// Requests signed as the Standard Webhooks say: `webhook-id`, `webhook-timestamp` (whole seconds) and `webhook-signature`
/// (`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`). The id is the request's own `webhook-id` header, which
/// should be `${key}` in an act so that a repetition is known for one; else it is new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SignedAuth {
    /// Key of the Secret with the signing key: `whsec_` and base64, or any other text of at least 24 bytes, which is taken as
    /// it is.
    pub key: String,
}

impl Default for SignedAuth {
    fn default() -> Self {
        Self {
            key: "signingKey".into(),
        }
    }
}

/// Names of the Secret's keys for a user name and a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BasicAuth {
    /// Key with the user name.
    pub username_key: String,
    /// Key with the password.
    pub password_key: String,
    /// What to send for a password where the user name alone is the secret, such as an API key. Not a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

impl Default for BasicAuth {
    fn default() -> Self {
        Self {
            username_key: "username".into(),
            password_key: "password".into(),
            password: None,
        }
    }
}

/// Name of the Secret's key for a fixed token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BearerAuth {
    /// Key with the token.
    pub token_key: String,
}

impl Default for BearerAuth {
    fn default() -> Self {
        Self {
            token_key: "token".into(),
        }
    }
}

/// A fixed value in a header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderAuth {
    /// Name of the header.
    pub name: String,
    /// Key of the Secret with the value.
    pub key: String,
    /// Put before the value, such as `SSWS `.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
}

/// A token from a token endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OAuth2 {
    /// How the token is asked for.
    pub grant: Grant,
    /// Template over `inputs`: the token endpoint.
    pub token_url: String,
    /// Template over `inputs`: the client id; for `JwtBearer` the issuer.
    pub client_id: String,
    /// Scopes, sent joined by blanks. Templates over `inputs`; one that gives an empty text is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Key of the Secret with the client secret (`ClientCredentials`). Default `clientSecret`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_key: Option<String>,
    /// Key of the Secret with the private key in PEM (`PrivateKeyJwt`, `JwtBearer`). Default `privateKey`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key_key: Option<String>,
    /// Template over `inputs`: the audience of the signed JWT. Default: the token endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Template over `inputs`: the subject of the signed JWT, such as an administrator to act for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Template over `inputs`: the `kid` in the header of the signed JWT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// Whether the client secret goes into the form body (default) or into basic authentication.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub secret_in: SecretIn,
}

/// How a token is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Grant {
    /// RFC 6749 section 4.4, with a client secret.
    ClientCredentials,
    /// RFC 6749 section 4.4, the client known by a signed JWT (RFC 7523 section 2.2).
    PrivateKeyJwt,
    /// A signed JWT as the grant itself (RFC 7523 section 2.1), for service accounts.
    JwtBearer,
}

/// Where the client secret goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SecretIn {
    /// Form field `client_secret`.
    #[default]
    Body,
    /// Basic authentication.
    Header,
}
