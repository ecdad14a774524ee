//! The forge's API for administrators.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};
use serde_json::{Value, json};

use super::{Books, Kind, User};
use crate::company::{
    http::{GONE, Refused, Reply},
    people::secret,
};
use offboard_simulators::server::World;

/// Elements of one page: few, so that everybody meets a second page.
const PAGE: usize = 2;

type Shared = State<Arc<World<Books>>>;

pub(super) fn router() -> Router<Arc<World<Books>>> {
    Router::new()
        .route("/admin/users", get(users))
        .route("/admin/users/{id}", get(user).patch(change_user))
        .route("/admin/users/{id}/teams", get(teams))
        .route("/admin/users/{id}/repositories", get(repositories))
        .route("/admin/users/{id}/{kind}", get(openers).post(add_key))
        .route("/admin/users/{id}/{kind}/{opener}", delete(delete_opener))
        .route("/admin/teams/{id}/members/{user}", put(join).delete(leave))
        .route("/admin/repositories/{id}/transfer", post(transfer))
}

fn written(id: u64, user: &User) -> Value {
    json!({
        "id": id,
        "login": user.login,
        "email": user.email,
        "name": user.name,
        "blocked": user.blocked,
    })
}

/// One page of `all`, and in `Link` where the next one is.
fn page(path: &str, query: &BTreeMap<String, String>, all: &[Value]) -> Response {
    let number = query
        .get("page")
        .and_then(|page| page.parse().ok())
        .unwrap_or(1_usize)
        .max(1);
    let from = (number - 1).saturating_mul(PAGE);
    let items: Vec<_> = all.iter().skip(from).take(PAGE).collect();
    let mut response = Json(items).into_response();
    if from + PAGE < all.len()
        && let Ok(link) = format!("<{path}?page={}>; rel=\"next\"", number + 1).parse()
    {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

/// Where the caller reached us, for addresses in answers.
fn here(headers: &axum::http::HeaderMap, path: &str) -> String {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    format!("http://{host}{path}")
}

async fn users(
    State(world): Shared,
    Query(query): Query<BTreeMap<String, String>>,
    request: Request,
) -> Response {
    let wanted = |user: &User| {
        query
            .get("email")
            .is_none_or(|email| user.email.eq_ignore_ascii_case(email))
            && query.get("login").is_none_or(|login| user.login == *login)
    };
    let all: Vec<_> = world.look(|books| {
        let found = books.users.iter().filter(|(_, user)| wanted(user));
        found.map(|(id, user)| written(*id, user)).collect()
    });
    page(&here(request.headers(), request.uri().path()), &query, &all)
}

async fn user(State(world): Shared, Path(id): Path<u64>) -> Reply {
    world.look(|books| {
        books
            .users
            .get(&id)
            .map(|user| Json(written(id, user)))
            .ok_or(GONE)
    })
}

async fn change_user(State(world): Shared, Path(id): Path<u64>, Json(change): Json<Value>) -> Reply {
    let blocked = change["blocked"]
        .as_bool()
        .ok_or(Refused(StatusCode::BAD_REQUEST, "only blocked can be changed"))?;
    world.change(|books| {
        let user = books.users.get_mut(&id).ok_or(GONE)?;
        user.blocked = blocked;
        Ok(Json(written(id, user)))
    })
}

async fn openers(
    State(world): Shared,
    Path((id, kind)): Path<(u64, Kind)>,
    Query(query): Query<BTreeMap<String, String>>,
    request: Request,
) -> Reply<Response> {
    let all: Vec<_> = world.look(|books| {
        books.users.get(&id).ok_or(GONE)?;
        let found = books
            .openers
            .iter()
            .filter(|(_, opener)| opener.user == id && opener.kind == kind);
        Ok(found
            .map(|(id, opener)| {
                // A key is public; a session or token is shown to nobody.
                let key = (kind == Kind::Keys).then_some(&opener.value);
                json!({"id": id, "title": opener.title, "key": key})
            })
            .collect())
    })?;
    Ok(page(&here(request.headers(), request.uri().path()), &query, &all))
}

async fn add_key(
    State(world): Shared,
    Path((id, kind)): Path<(u64, Kind)>,
    Json(key): Json<BTreeMap<String, String>>,
) -> Reply<(StatusCode, Json<Value>)> {
    if kind != Kind::Keys {
        return Err(Refused(StatusCode::METHOD_NOT_ALLOWED, "only keys can be added"));
    }
    let take = |name: &str| key.get(name).cloned();
    let value = take("key").unwrap_or_else(|| secret("ssh-ed25519 "));
    world.change(|books| {
        books.users.get(&id).ok_or(GONE)?;
        if books.openers.values().any(|opener| opener.value == value) {
            return Err(Refused(StatusCode::CONFLICT, "key is in use"));
        }
        let added = books.open(kind, id, take("title").unwrap_or_default(), value);
        Ok((StatusCode::CREATED, Json(json!({"id": added}))))
    })
}

async fn delete_opener(
    State(world): Shared,
    Path((id, kind, opener)): Path<(u64, Kind, u64)>,
) -> Reply<StatusCode> {
    world.change(|books| {
        let found = books.openers.get(&opener);
        if !found.is_some_and(|found| found.user == id && found.kind == kind) {
            return Err(GONE);
        }
        books.openers.remove(&opener);
        Ok(StatusCode::NO_CONTENT)
    })
}

async fn teams(
    State(world): Shared,
    Path(id): Path<u64>,
    Query(query): Query<BTreeMap<String, String>>,
    request: Request,
) -> Response {
    let all: Vec<_> = world.look(|books| {
        let found = books.teams.iter().filter(|(_, team)| team.members.contains(&id));
        found
            .map(|(id, team)| json!({"id": id, "name": team.name}))
            .collect()
    });
    page(&here(request.headers(), request.uri().path()), &query, &all)
}

async fn join(State(world): Shared, Path((team, user)): Path<(u64, u64)>) -> Reply<StatusCode> {
    world.change(|books| {
        books.users.get(&user).ok_or(GONE)?;
        books.teams.get_mut(&team).ok_or(GONE)?.members.insert(user);
        Ok(StatusCode::NO_CONTENT)
    })
}

async fn leave(State(world): Shared, Path((team, user)): Path<(u64, u64)>) -> Reply<StatusCode> {
    world.change(|books| {
        if !books.teams.get_mut(&team).ok_or(GONE)?.members.remove(&user) {
            return Err(GONE);
        }
        Ok(StatusCode::NO_CONTENT)
    })
}

async fn repositories(
    State(world): Shared,
    Path(id): Path<u64>,
    Query(query): Query<BTreeMap<String, String>>,
    request: Request,
) -> Response {
    let all: Vec<_> = world.look(|books| {
        let found = books
            .repositories
            .iter()
            .filter(|(_, repository)| repository.owner == id);
        found
            .map(|(id, repository)| json!({"id": id, "name": repository.name}))
            .collect()
    });
    page(&here(request.headers(), request.uri().path()), &query, &all)
}

async fn transfer(State(world): Shared, Path(id): Path<u64>, Json(to): Json<Value>) -> Reply {
    let owner = to["to"]
        .as_u64()
        .ok_or(Refused(StatusCode::BAD_REQUEST, "to is a user's id"))?;
    world.change(|books| {
        if books.users.get(&owner).is_none_or(|user| user.blocked) {
            return Err(Refused(
                StatusCode::UNPROCESSABLE_ENTITY,
                "the new owner must be active",
            ));
        }
        let repository = books.repositories.get_mut(&id).ok_or(GONE)?;
        repository.owner = owner;
        Ok(Json(json!({"id": id, "name": repository.name, "owner": owner})))
    })
}
