//! The mail service's API for administrators.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    routing::{delete, get, post, put},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{MOVING, Mailbox, Move, Office};
use crate::company::http::{GONE, Refused, Reply};
use offboard_simulators::server::World;

type Shared = State<Arc<World<Office>>>;

pub(super) fn router() -> Router<Arc<World<Office>>> {
    Router::new()
        .route("/v1/mailboxes", get(mailboxes))
        .route("/v1/mailboxes/{id}", get(mailbox).patch(change))
        .route("/v1/mailboxes/{id}/sessions", get(sessions).delete(end_sessions))
        .route("/v1/mailboxes/{id}/app-passwords", get(app_passwords))
        .route(
            "/v1/mailboxes/{id}/app-passwords/{name}",
            delete(delete_app_password),
        )
        .route(
            "/v1/mailboxes/{id}/delegates/{other}",
            put(delegate).delete(undelegate),
        )
        .route("/v1/mailboxes/{id}/move", post(start_move))
}

fn written(id: &str, mailbox: &Mailbox) -> Value {
    json!({
        "id": id,
        "address": mailbox.address,
        "suspended": mailbox.suspended,
        "messages": mailbox.messages,
        "delegates": mailbox.delegates,
        "forwardTo": mailbox.forward_to,
        "autoReply": mailbox.reply,
    })
}

/// All mailboxes, or the one with an address; the next page is asked for with `after`.
async fn mailboxes(State(world): Shared, Query(query): Query<BTreeMap<String, String>>) -> Reply {
    const PAGE: usize = 4;
    let after = query.get("after").map_or("", String::as_str);
    world.look(|office| {
        let all: Vec<_> = office
            .boxes
            .iter()
            .filter(|(_, mailbox)| {
                query
                    .get("address")
                    .is_none_or(|address| mailbox.address.eq_ignore_ascii_case(address))
            })
            .filter(|(id, _)| id.as_str() > after)
            .collect();
        let items: Vec<_> = all
            .iter()
            .take(PAGE)
            .map(|(id, mailbox)| written(id, mailbox))
            .collect();
        let next = (all.len() > PAGE).then(|| all[PAGE - 1].0);
        Ok(Json(json!({"items": items, "next": next})))
    })
}

async fn mailbox(State(world): Shared, Path(id): Path<String>) -> Reply {
    world.look(|office| {
        let mailbox = office.boxes.get(&id).ok_or(GONE)?;
        Ok(Json(written(&id, mailbox)))
    })
}

/// What of a mailbox can be changed; what is not named stays, null takes away.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::option_option, reason = "absent and null are different")]
struct Change {
    suspended: Option<bool>,
    #[serde(default, deserialize_with = "named")]
    forward_to: Option<Option<String>>,
    #[serde(default, deserialize_with = "named")]
    auto_reply: Option<Option<String>>,
}

#[expect(clippy::option_option, reason = "absent and null are different")]
fn named<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

async fn change(State(world): Shared, Path(id): Path<String>, Json(change): Json<Change>) -> Reply {
    world.change(|office| {
        if let Some(Some(to)) = &change.forward_to
            && !office.boxes.contains_key(to)
        {
            return Err(Refused(
                StatusCode::UNPROCESSABLE_ENTITY,
                "no such mailbox to forward to",
            ));
        }
        let mailbox = office.boxes.get_mut(&id).ok_or(GONE)?;
        mailbox.suspended = change.suspended.unwrap_or(mailbox.suspended);
        if let Some(to) = change.forward_to {
            mailbox.forward_to = to;
        }
        if let Some(reply) = change.auto_reply {
            mailbox.reply = reply;
        }
        Ok(Json(written(&id, mailbox)))
    })
}

async fn sessions(State(world): Shared, Path(id): Path<String>) -> Reply {
    world.look(|office| {
        let mailbox = office.boxes.get(&id).ok_or(GONE)?;
        let items: Vec<_> = mailbox.sessions.keys().map(|id| json!({"id": id})).collect();
        Ok(Json(json!({"items": items})))
    })
}

async fn end_sessions(State(world): Shared, Path(id): Path<String>) -> Reply<StatusCode> {
    world.change(|office| {
        office.boxes.get_mut(&id).ok_or(GONE)?.sessions.clear();
        Ok(StatusCode::NO_CONTENT)
    })
}

async fn app_passwords(State(world): Shared, Path(id): Path<String>) -> Reply {
    world.look(|office| {
        let passwords = &office.boxes.get(&id).ok_or(GONE)?.app_passwords;
        let items: Vec<_> = passwords
            .iter()
            .map(|(id, (name, _))| json!({"id": id, "name": name}))
            .collect();
        Ok(Json(json!({"items": items})))
    })
}

async fn delete_app_password(
    State(world): Shared,
    Path((id, name)): Path<(String, String)>,
) -> Reply<StatusCode> {
    world.change(|office| {
        let mailbox = office.boxes.get_mut(&id).ok_or(GONE)?;
        mailbox.app_passwords.remove(&name).ok_or(GONE)?;
        Ok(StatusCode::NO_CONTENT)
    })
}

async fn delegate(State(world): Shared, Path((id, other)): Path<(String, String)>) -> Reply<StatusCode> {
    world.change(|office| {
        office.boxes.get(&other).ok_or(GONE)?;
        office.boxes.get_mut(&id).ok_or(GONE)?.delegates.insert(other);
        Ok(StatusCode::NO_CONTENT)
    })
}

async fn undelegate(State(world): Shared, Path((id, other)): Path<(String, String)>) -> Reply<StatusCode> {
    world.change(|office| {
        office.boxes.get_mut(&id).ok_or(GONE)?.delegates.remove(&other);
        Ok(StatusCode::NO_CONTENT)
    })
}

#[derive(Deserialize)]
struct To {
    to: String,
}

async fn start_move(
    State(world): Shared,
    Path(id): Path<String>,
    Json(To { to }): Json<To>,
) -> Reply<(StatusCode, Json<Value>)> {
    world.change(|office| {
        office.boxes.get(&id).ok_or(GONE)?;
        if office.boxes.get(&to).is_none_or(|mailbox| mailbox.suspended) || to == id {
            return Err(Refused(
                StatusCode::UNPROCESSABLE_ENTITY,
                "the new owner must be active",
            ));
        }
        if office.moves.iter().any(|step| step.from == id && step.left > 0) {
            return Err(Refused(StatusCode::CONFLICT, "is being moved already"));
        }
        let step = Move {
            from: id,
            to,
            left: MOVING,
        };
        office.moves.push(step);
        Ok((StatusCode::ACCEPTED, Json(json!({"state": "accepted"}))))
    })
}
