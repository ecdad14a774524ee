//! How turns are given out, and what refusals teach.

use std::sync::Arc;

use super::*;
use crate::{core::fault::FaultKind, transport::system_clock};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[tokio::test(start_paused = true)]
async fn no_window_of_a_second_has_more_than_the_limit() {
    let limit = Arc::new(Limit::new(Some(5), None, system_clock()));
    let mut went = Vec::new();
    for _ in 0..23 {
        drop(limit.enter(soon()).await.unwrap());
        went.push(Instant::now());
    }
    assert!(
        went[4] - went[0] < Duration::from_millis(10),
        "the first ones go at once"
    );
    assert!(
        went.windows(6)
            .all(|six| six[5] - six[0] > Duration::from_secs(1))
    );
    assert!(
        went[22] - went[0] < Duration::from_millis(4_200),
        "and none waits longer than it must"
    );
}

#[tokio::test(start_paused = true)]
async fn a_turn_after_the_deadline_is_refused_at_once() {
    let limit = Limit::new(Some(1), None, system_clock());
    drop(limit.enter(soon()).await.unwrap());
    let asked = Instant::now();
    let fault = limit
        .enter(Instant::now() + Duration::from_millis(200))
        .await
        .unwrap_err();
    assert!(matches!(fault.kind, FaultKind::Throttled { .. }));
    assert!(asked.elapsed() < Duration::from_millis(5));
    drop(limit.enter(soon()).await.unwrap());
    assert!(
        asked.elapsed() < Duration::from_millis(1_100),
        "the refused one took no place"
    );
}

#[tokio::test(start_paused = true)]
async fn silence_is_kept_by_all_and_ends_when_it_was_said_to() {
    let start = Timestamp::UNIX_EPOCH;
    let now = Arc::new(Mutex::new(start));
    let clock: Clock = Arc::new({
        let now = now.clone();
        move || *now.lock()
    });
    let limit = Limit::new(None, None, clock);
    let until = start + SignedDuration::from_secs(30);
    limit.park(until);
    limit.park(start);
    assert_eq!(limit.enter(soon()).await.unwrap_err(), Fault::throttled(until));
    *now.lock() = until;
    assert!(limit.enter(soon()).await.is_ok());
    limit.park(Timestamp::MAX);
    let day = until + LONGEST_SILENCE;
    assert_eq!(limit.enter(soon()).await.unwrap_err(), Fault::throttled(day));
}

/// A system that takes fifty requests in each second of its clock, and is asked by 300 at once.
#[tokio::test(start_paused = true)]
async fn a_refusal_teaches_what_the_system_takes() {
    let began = Instant::now();
    let start = Timestamp::UNIX_EPOCH;
    let clock: Clock = Arc::new(move || start + SignedDuration::try_from(began.elapsed()).unwrap());
    let limit = Arc::new(Limit::new(None, None, clock.clone()));
    let taken = Arc::new(Mutex::new((0_u64, 0_u32)));
    let refused = Arc::new(Mutex::new(0));
    let asking = (0..300).map(|_| {
        let (limit, taken, refused, clock) = (limit.clone(), taken.clone(), refused.clone(), clock.clone());
        tokio::spawn(async move {
            loop {
                match limit.enter(Instant::now() + Duration::from_secs(15)).await {
                    Err(fault) => {
                        let FaultKind::Throttled { until } = fault.kind else {
                            panic!("{fault}")
                        };
                        let wait = until.duration_since(clock());
                        tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
                    }
                    Ok(_turn) => {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        let second = began.elapsed().as_secs();
                        let fits = {
                            let mut taken = taken.lock();
                            if taken.0 != second {
                                *taken = (second, 0);
                            }
                            taken.1 += 1;
                            taken.1 <= 50
                        };
                        if fits {
                            return;
                        }
                        *refused.lock() += 1;
                        limit.park(clock() + SignedDuration::from_secs(1));
                    }
                }
            }
        })
    });
    futures::future::join_all(asking.collect::<Vec<_>>()).await;
    let refused = *refused.lock();
    assert!(
        refused <= 2 * (CONCURRENT + 2),
        "only what was on its way with the first refusal, and when more was tried: {refused}"
    );
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_a_refusal_taught_is_left_within_seconds() {
    let limit = Limit::new(Some(90), None, system_clock());
    for _ in 0..20 {
        drop(limit.enter(soon()).await.unwrap());
    }
    let now = Timestamp::now();
    limit.park(now - SignedDuration::from_secs(1));
    let after = |milliseconds| limit.rate_at(Instant::now() + Duration::from_millis(milliseconds));
    assert_eq!(after(0), Some(20));
    assert_eq!(after(990), Some(20));
    assert_eq!(after(1_000), Some(40));
    assert_eq!(after(2_000), Some(80));
    assert_eq!(after(3_000), Some(90), "never more than was asked for");
    assert_eq!(after(3_600_000), Some(90));
}

#[tokio::test(start_paused = true)]
async fn a_silence_is_no_time_without_a_refusal() {
    let limit = Limit::new(None, None, system_clock());
    drop(limit.enter(soon()).await.unwrap());
    limit.park(Timestamp::now() + SignedDuration::from_secs(20));
    limit.park(Timestamp::now() + SignedDuration::from_secs(30));
    let after = |seconds| limit.rate_at(Instant::now() + Duration::from_secs(seconds));
    assert_eq!(after(29), Some(SLOWEST));
    assert_eq!(after(31), Some(2 * SLOWEST));
    assert_eq!(after(50), None, "nothing is left of it");
}

/// Each refusal at the same height doubles the time until more is tried; a system that took more makes it short again.
#[tokio::test(start_paused = true)]
async fn a_limit_that_is_confirmed_is_tried_less_often() {
    let limit = Limit::new(None, None, system_clock());
    let hold = || limit.lesson.lock().unwrap().hold.as_secs();
    let mut holds = Vec::new();
    for _ in 0..6 {
        limit.park(Timestamp::now() - SignedDuration::from_secs(1));
        holds.push(hold());
        tokio::time::sleep(Duration::from_secs(hold() + 1)).await;
    }
    assert_eq!(holds, [1, 2, 4, 8, 8, 8]);
    for _ in 0..4 * SLOWEST {
        drop(limit.enter(soon()).await.unwrap());
    }
    limit.park(Timestamp::now() - SignedDuration::from_secs(1));
    assert_eq!(hold(), 1);
}

/// One passing refusal of a system without any limit, and three hundred requests after it.
#[tokio::test(start_paused = true)]
async fn one_refusal_holds_up_many_requests_for_seconds_only() {
    let limit = Arc::new(Limit::new(None, Some(100), system_clock()));
    limit.park(Timestamp::now() - SignedDuration::from_secs(1));
    let began = Instant::now();
    let asking = (0..300).map(|_| {
        let limit = limit.clone();
        tokio::spawn(async move { limit.enter(soon()).await.map(drop) })
    });
    for asked in futures::future::join_all(asking.collect::<Vec<_>>()).await {
        asked.unwrap().unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_place_is_stopped_by_a_silence_that_begins_meanwhile() {
    let limit = Arc::new(Limit::new(None, Some(1), system_clock()));
    let permit = limit.enter(soon()).await.unwrap();
    let waiting = tokio::spawn({
        let limit = limit.clone();
        async move { limit.enter(soon()).await.map(drop) }
    });
    tokio::task::yield_now().await;
    limit.park(Timestamp::now() + SignedDuration::from_secs(30));
    drop(permit);
    assert!(waiting.await.unwrap().is_err());
}
