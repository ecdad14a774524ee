//! The admin audit log, which lags behind.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    calls::{Call, Reply, invalid, not_found},
    state::AuditEvent,
};

pub(crate) fn serve(call: &Call<'_>, actor: &str, application: &str) -> Reply {
    call.needs(&["admin.reports.audit.readonly"])?;
    if call.method != "GET" || application != "admin" {
        return Err(not_found("Not Found"));
    }
    let instant = |name: &str| match call.parameter(name).map(str::parse::<Timestamp>) {
        None => Ok(None),
        Some(Ok(at)) => Ok(Some(at)),
        Some(Err(_)) => Err(invalid(&format!("Invalid value for {name}"))),
    };
    let (from, to) = (instant("startTime")?, instant("endTime")?);
    let concerns = match call.parameter("filters").map(|filter| filter.split_once("==")) {
        None => None,
        Some(Some(("USER_EMAIL", email))) => Some(email.to_owned()),
        Some(_) => return Err(invalid("Invalid filter")),
    };
    let now = Timestamp::now();
    let lag = call.knobs.audit_lag;
    let shown = |event: &&AuditEvent| {
        std::time::Duration::try_from(now.duration_since(event.at)).unwrap_or_default() >= lag
            && from.is_none_or(|from| event.at >= from)
            && to.is_none_or(|to| event.at <= to)
            && call.parameter("eventName").is_none_or(|name| name == event.name)
            && concerns
                .as_ref()
                .is_none_or(|email| email.eq_ignore_ascii_case(&event.user))
            && (actor == "all" || actor == event.actor)
    };
    let all = call
        .shared
        .world
        .truth(|domain| domain.audit.iter().rev().filter(shown).map(show).collect());
    call.page(
        "items",
        "admin#reports#activities",
        all,
        ("maxResults", 1000, 1000),
    )
}

fn show(event: &AuditEvent) -> Value {
    json!({
        "kind": "admin#reports#activity",
        "id": {
            "time": event.at.to_string(), "uniqueQualifier": event.number.to_string(), "applicationName": "admin",
            "customerId": super::CUSTOMER,
        },
        "actor": {"callerType": "USER", "profileId": event.actor},
        "events": [{
            "type": "USER_SETTINGS",
            "name": event.name,
            "parameters": [{"name": "USER_EMAIL", "value": event.user}],
        }],
    })
}
