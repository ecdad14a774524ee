//! Data Transfer: asynchronous, and asked for twice is done twice.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    CALENDAR, DRIVE,
    calls::{Call, Reply, invalid, not_found},
    state::{Domain, Transfer},
};

pub(crate) fn serve(call: &Call<'_>, path: &[&str]) -> Reply {
    let read = ["admin.datatransfer", "admin.datatransfer.readonly"];
    match (call.method, path) {
        ("GET", ["applications"]) => {
            call.needs(&read)?;
            let all = vec![
                json!({
                    "kind": "admin#datatransfer#ApplicationResource", "id": DRIVE.to_string(), "name": "Drive and Docs",
                    "transferParams": [{"key": "PRIVACY_LEVEL", "value": ["PRIVATE", "SHARED"]}],
                }),
                json!({
                    "kind": "admin#datatransfer#ApplicationResource", "id": CALENDAR.to_string(), "name": "Calendar",
                    "transferParams": [{"key": "RELEASE_RESOURCES", "value": ["TRUE", "FALSE"]}],
                }),
            ];
            call.page(
                "applications",
                "admin#datatransfer#applicationsList",
                all,
                ("maxResults", 100, 500),
            )
        }
        ("GET", ["transfers"]) => {
            call.needs(&read)?;
            advance(call, None);
            let of = |name: &str, value: &str| call.parameter(name).is_none_or(|wanted| wanted == value);
            let all = call.look(|domain| {
                let wanted = |transfer: &Transfer| {
                    of("oldOwnerUserId", &transfer.from)
                        && of("newOwnerUserId", &transfer.to)
                        && of("status", &transfer.status)
                };
                domain
                    .transfers
                    .iter()
                    .filter(|(_, t)| wanted(t))
                    .map(|(id, t)| show(id, t))
                    .collect()
            });
            call.page(
                "dataTransfers",
                "admin#datatransfer#dataTransfersList",
                all,
                ("maxResults", 100, 500),
            )
        }
        ("GET", ["transfers", id]) => {
            call.needs(&read)?;
            advance(call, Some(id));
            call.look(|domain| domain.transfers.get(*id).map(|transfer| show(id, transfer)))
                .ok_or_else(|| not_found("Resource Not Found: dataTransferId"))
        }
        ("POST", ["transfers"]) => {
            call.needs(&["admin.datatransfer"])?;
            call.change(|domain| insert(domain, &call.body))
        }
        _ => Err(not_found("Not Found")),
    }
}

fn insert(domain: &mut Domain, body: &Value) -> Reply {
    let person = |field: &str| {
        let id = body[field]
            .as_str()
            .ok_or_else(|| invalid(&format!("Missing required field: {field}")))?;
        // Ids only: an address is not accepted here.
        domain
            .users
            .get(id)
            .filter(|user| user.deleted.is_none())
            .ok_or_else(|| not_found(&format!("Resource Not Found: {field}")))
    };
    let from = person("oldOwnerUserId")?.id.clone();
    let to = person("newOwnerUserId")?;
    if to.suspended.is_some() || to.archived {
        return Err(invalid("Invalid Input: newOwnerUserId is not active"));
    }
    let to = to.id.clone();
    if from == to {
        return Err(invalid("Invalid Input: the owners are the same"));
    }
    let applications = body["applicationDataTransfers"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let known = |application: &Value| {
        let id = number(&application["applicationId"]);
        id == Some(DRIVE) || id == Some(CALENDAR)
    };
    if applications.is_empty() || !applications.iter().all(known) {
        return Err(invalid("Invalid Input: applicationDataTransfers"));
    }
    let id = format!("AKrEtI{:08}", domain.number());
    let transfer = Transfer {
        from,
        to,
        applications,
        status: "new".into(),
        polls: 0,
        requested: Timestamp::now(),
    };
    let shown = show(&id, &transfer);
    domain.transfers.insert(id, transfer);
    Ok(shown)
}

/// 64-bit numbers are texts in the vendor's JSON; numbers are accepted too.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn show(id: &str, transfer: &Transfer) -> Value {
    let applications: Vec<Value> = transfer
        .applications
        .iter()
        .map(|application| {
            let mut application = application.clone();
            application["applicationTransferStatus"] = json!(if transfer.status == "new" {
                "pending"
            } else {
                &transfer.status
            });
            application
        })
        .collect();
    json!({
        "kind": "admin#datatransfer#DataTransfer",
        "id": id,
        "oldOwnerUserId": transfer.from,
        "newOwnerUserId": transfer.to,
        "applicationDataTransfers": applications,
        "overallTransferStatusCode": transfer.status,
        "requestTime": transfer.requested.to_string(),
    })
}

/// Lets the transfers that are looked at make a step.
fn advance(call: &Call<'_>, only: Option<&str>) {
    let (needed, fail) = (call.knobs.transfer_polls.max(1), call.knobs.transfers_fail);
    call.shared.world.seed(|domain| {
        let open: Vec<String> = domain
            .transfers
            .iter()
            .filter(|(id, t)| {
                matches!(t.status.as_str(), "new" | "inProgress") && only.is_none_or(|only| only == *id)
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in open {
            let Some(transfer) = domain.transfers.get_mut(&id) else {
                continue;
            };
            transfer.polls += 1;
            transfer.status = "inProgress".into();
            if transfer.polls >= needed {
                transfer.status = if fail { "failed" } else { "completed" }.into();
                let transfer = transfer.clone();
                if !fail {
                    carry_out(domain, &transfer);
                }
            }
        }
    });
}

fn carry_out(domain: &mut Domain, transfer: &Transfer) {
    for application in &transfer.applications {
        let values = |key: &str| -> Vec<String> {
            let parameters = application["applicationTransferParams"].as_array();
            let found = parameters
                .into_iter()
                .flatten()
                .find(|parameter| parameter["key"] == key);
            found
                .and_then(|parameter| parameter["value"].as_array())
                .map(|values| {
                    values
                        .iter()
                        .filter_map(|value| value.as_str().map(ToOwned::to_owned))
                        .collect()
                })
                .unwrap_or_default()
        };
        if number(&application["applicationId"]) == Some(DRIVE) {
            let mut levels = values("PRIVACY_LEVEL");
            if levels.is_empty() {
                levels.push("SHARED".into());
            }
            for file in domain
                .files
                .values_mut()
                .filter(|file| file.owner == transfer.from)
            {
                let level = if file.shared_with.is_empty() {
                    "PRIVATE"
                } else {
                    "SHARED"
                };
                if levels.iter().any(|wanted| wanted.eq_ignore_ascii_case(level)) {
                    file.owner.clone_from(&transfer.to);
                    file.shared_with.retain(|user| *user != transfer.to);
                }
            }
        } else {
            let release = values("RELEASE_RESOURCES").iter().any(|value| value == "TRUE");
            for event in domain
                .events
                .values_mut()
                .filter(|event| event.organiser == transfer.from)
            {
                if event.past || event.private || (event.guests == 0 && event.resource.is_none()) {
                    continue;
                }
                event.organiser.clone_from(&transfer.to);
                if release {
                    event.resource = None;
                }
            }
        }
    }
}
