use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::Router;

use super::*;

async fn counter() -> (Server, Arc<Control>, Arc<World<u32>>) {
    let world = World::new(0);
    let control = Control::over(&world);
    let up = Arc::clone(&world);
    let show = Arc::clone(&world);
    let router = Router::new()
        .route(
            "/up",
            axum::routing::post(async move || {
                up.change(|n| {
                    *n += 1;
                    Ok::<_, Infallible>(n.to_string())
                })
            }),
        )
        .route(
            "/show",
            axum::routing::get(async move || show.look(ToString::to_string)),
        );
    (
        Server::start(router, Arc::clone(&control)).await.unwrap(),
        control,
        world,
    )
}

#[tokio::test]
async fn a_lost_answer_has_had_its_effect_and_a_lost_request_has_not() {
    let (server, control, world) = counter().await;
    control.arrange("POST", "/up", 1, Mishap::LoseAnswer);
    control.arrange("POST", "/up", 1, Mishap::LoseRequest);
    let client = reqwest::Client::new();
    for expected in [1, 1] {
        let failed = client.post(format!("{}/up", server.url())).send().await;
        assert!(failed.is_err(), "an answer came: {failed:?}");
        assert_eq!(world.truth(|n| *n), expected);
    }
    assert_eq!(control.arranged(), 0);
}

#[tokio::test]
async fn accepted_only_answers_well_and_changes_nothing() {
    let (server, control, world) = counter().await;
    control.arrange("", "/up", 1, Mishap::AcceptOnly);
    let client = reqwest::Client::new();
    let answer = client
        .post(format!("{}/up?token=x&a=b%20c", server.url()))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.text().await.unwrap(), "1");
    assert_eq!(world.truth(|n| *n), 0);
    let entry = control.journal().pop().unwrap();
    assert_eq!(
        (entry.status, entry.parameter("token"), entry.parameter("a")),
        (Some(200), Some("***"), Some("b c"))
    );
}

#[test]
fn reads_lag_behind_writes_as_told() {
    let world = World::new(0);
    world.set_staleness(Staleness::Reads(2));
    world
        .change(|n| {
            *n = 7;
            Ok::<_, ()>(())
        })
        .unwrap();
    assert_eq!([(); 3].map(|()| world.look(|n| *n)), [0, 0, 7]);
    world.set_staleness(Staleness::Reads(u32::MAX));
    world
        .change(|n| {
            *n = 8;
            Ok::<_, ()>(())
        })
        .unwrap();
    assert_eq!((world.look(|n| *n), world.truth(|n| *n)), (7, 8));
    world
        .change(|n| {
            *n = 9;
            Err::<(), ()>(())
        })
        .unwrap_err();
    assert_eq!(world.truth(|n| *n), 8);
}

#[test]
fn a_budget_that_is_spent_says_how_long_to_wait() {
    let budget = Budget::default();
    budget.set(1, Duration::from_mins(1));
    assert_eq!(budget.spend("a"), Ok(()));
    assert!(budget.spend("a").unwrap_err() > Duration::from_secs(50));
    assert_eq!(budget.spend("b"), Ok(()));
}
