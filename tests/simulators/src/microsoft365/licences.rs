//! Licences: given directly, or inherited from a group and then only as removable as the membership.

use serde_json::{Value, json};

use super::{
    calls::{Call, Reply, bad_request, missing, unknown_path},
    odata,
    state::{Tenant, User},
};

pub(crate) fn assigned(tenant: &Tenant, user: &User) -> Value {
    let mut skus: Vec<String> = tenant.licences(user).into_iter().map(|(sku, _)| sku).collect();
    skus.sort();
    skus.dedup();
    skus.into_iter()
        .map(|sku| json!({"skuId": sku, "disabledPlans": []}))
        .collect()
}

pub(crate) fn states(tenant: &Tenant, user: &User) -> Value {
    let state = |(sku, group): (String, Option<String>)| {
        let disabled = user.disabled_plans.get(&sku).filter(|_| group.is_none());
        json!({
            "skuId": sku,
            "disabledPlans": disabled.cloned().unwrap_or(json!([])),
            "assignedByGroup": group,
            "state": "Active",
            "error": "None",
            "lastUpdatedDateTime": "2026-01-01T00:00:00Z",
        })
    };
    tenant.licences(user).into_iter().map(state).collect()
}

pub(crate) fn details(call: &Call<'_>, key: &str) -> Reply {
    call.needs(&[
        "LicenseAssignment.Read.All",
        "User.Read.All",
        "User.ReadWrite.All",
        "Directory.Read.All",
    ])?;
    let id = call.user(key)?;
    let all = call.look(|tenant| {
        let user = tenant.users.get(&id)?;
        let all = tenant.licences(user).into_iter();
        Some(
            all.map(|(sku, _)| json!({"id": sku, "skuId": sku, "skuPartNumber": "SKU", "servicePlans": []}))
                .collect(),
        )
    });
    odata::collection(call, all.ok_or_else(|| missing(key))?, &[])
}

pub(crate) fn assign(call: &Call<'_>, key: &str) -> Reply {
    call.needs(&[
        "LicenseAssignment.ReadWrite.All",
        "User.ReadWrite.All",
        "Directory.ReadWrite.All",
    ])?;
    if call.method != "POST" {
        return Err(unknown_path());
    }
    let id = call.user(key)?;
    let list = |name: &str| {
        call.body[name]
            .as_array()
            .cloned()
            .ok_or_else(|| bad_request(&format!("Parameter '{name}' is missing.")))
    };
    let (add, remove) = (list("addLicenses")?, list("removeLicenses")?);
    call.change(|tenant| {
        let inherited: Vec<String> = {
            let user = tenant.users.get(&id).ok_or_else(|| missing(&id))?;
            tenant.licences(user).into_iter().filter(|(_, group)| group.is_some()).map(|(sku, _)| sku).collect()
        };
        let user = tenant.users.get_mut(&id).ok_or_else(|| missing(&id))?;
        for sku in remove.iter().filter_map(Value::as_str) {
            if user.licences.remove(sku) {
                continue;
            }
            return Err(bad_request(if inherited.iter().any(|held| held == sku) {
                "User license is inherited from a group membership and it cannot be removed directly from the user."
            } else {
                "User does not have a corresponding license."
            }));
        }
        for licence in &add {
            let sku = licence["skuId"].as_str().ok_or_else(|| bad_request("skuId is missing."))?;
            user.licences.insert(sku.to_owned());
            user.disabled_plans.insert(sku.to_owned(), licence["disabledPlans"].clone());
        }
        Ok(json!({"@odata.context": "$metadata#users/$entity", "id": id}))
    })
}
