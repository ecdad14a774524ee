//! What a service provider says about itself (RFC 7644 section 4, RFC 7643 sections 5 to 7).

use serde_json::{Value, json};

use super::{
    Quirks,
    model::{GROUP, USER},
};

/// `/ServiceProviderConfig`.
pub fn provider(base: &str, quirks: &Quirks) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "documentationUri": "https://example.org/scim",
        "patch": {"supported": quirks.patch.advertised()},
        "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": quirks.filter, "maxResults": quirks.page_size},
        "changePassword": {"supported": false},
        "sort": {"supported": false},
        "etag": {"supported": quirks.etag},
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "A token issued by an administrator",
            "primary": true,
        }],
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": format!("{base}/ServiceProviderConfig"),
        },
    })
}

/// `/ResourceTypes`.
pub fn resource_types(base: &str) -> Vec<Value> {
    [("User", "/Users", USER), ("Group", "/Groups", GROUP)]
        .into_iter()
        .map(|(name, endpoint, schema)| {
            json!({
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
                "id": name,
                "name": name,
                "endpoint": endpoint,
                "schema": schema,
                "meta": {"resourceType": "ResourceType", "location": format!("{base}/ResourceTypes/{name}")},
            })
        })
        .collect()
}

/// `/Schemas`, as far as this provider keeps attributes.
pub fn schemas(base: &str) -> Vec<Value> {
    let text = |name: &str, required: bool, mutability: &str| {
        json!({
            "name": name, "type": "string", "multiValued": false, "required": required, "caseExact": false,
            "mutability": mutability, "returned": "default", "uniqueness": "none",
        })
    };
    let list = |name: &str, mutability: &str| {
        json!({
            "name": name, "type": "complex", "multiValued": true, "required": false, "mutability": mutability,
            "returned": "default", "uniqueness": "none",
            "subAttributes": [text("value", false, "immutable"), text("type", false, "immutable")],
        })
    };
    let user = vec![
        text("userName", true, "readWrite"),
        text("displayName", false, "readWrite"),
        text("title", false, "readWrite"),
        json!({
            "name": "active", "type": "boolean", "multiValued": false, "required": false,
            "mutability": "readWrite", "returned": "default",
        }),
        list("emails", "readWrite"),
        list("groups", "readOnly"),
    ];
    let group = vec![
        text("displayName", true, "readWrite"),
        list("members", "readWrite"),
    ];
    [(USER, "User", user), (GROUP, "Group", group)]
        .into_iter()
        .map(|(id, name, attributes)| {
            json!({
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
                "id": id,
                "name": name,
                "attributes": attributes,
                "meta": {"resourceType": "Schema", "location": format!("{base}/Schemas/{id}")},
            })
        })
        .collect()
}
