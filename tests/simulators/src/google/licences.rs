//! Licence assignments.

use serde_json::json;

use super::{
    calls::{Call, Reply, not_found, refuse},
    state::User,
};

/// Licence assignments: `sku/{sku}/user/{user}`.
pub(crate) fn serve(call: &Call<'_>, product: &str, path: &[&str]) -> Reply {
    call.needs(&["apps.licensing"])?;
    let show = |user: &User, sku: &str| {
        json!({
            "kind": "licensing#licenseAssignment",
            "userId": user.email,
            "productId": product,
            "skuId": sku,
        })
    };
    let held = |user: &User, sku: &str| user.licences.iter().any(|(p, s)| p == product && s == sku);
    match (call.method, path) {
        ("GET", ["sku", sku, "user", key]) => call
            .look(|domain| {
                domain
                    .user(key)
                    .filter(|user| held(user, sku))
                    .map(|user| show(user, sku))
            })
            .ok_or_else(|| not_found("Not Found")),
        ("DELETE", ["sku", sku, "user", key]) => call.change(|domain| {
            let user = domain
                .user_mut(key)
                .filter(|user| held(user, sku))
                .ok_or_else(|| not_found("Not Found"))?;
            user.licences.retain(|(p, s)| p != product || s != sku);
            Ok(json!({}))
        }),
        ("POST", ["sku", sku, "user"]) => call.change(|domain| {
            let key = call.body["userId"].as_str().unwrap_or_default();
            let user = domain.user_mut(key).ok_or_else(|| not_found("Not Found"))?;
            if held(user, sku) {
                return Err(refuse(
                    412,
                    "conditionNotMet",
                    "User already has a license for the specified product and SKU",
                ));
            }
            user.licences.push((product.into(), (*sku).into()));
            Ok(show(user, sku))
        }),
        ("GET", ["users"]) => {
            let all = call.look(|domain| {
                let users = domain.users.values().filter(|user| user.deleted.is_none());
                users
                    .flat_map(|user| {
                        let mine = user.licences.iter().filter(|(p, _)| p == product);
                        mine.map(|(_, sku)| show(user, sku)).collect::<Vec<_>>()
                    })
                    .collect()
            });
            call.page(
                "items",
                "licensing#licenseAssignmentList",
                all,
                ("maxResults", 100, 1000),
            )
        }
        _ => Err(not_found("Not Found")),
    }
}
