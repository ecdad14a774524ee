use std::collections::BTreeMap;

use super::*;
use crate::core::gate::{self, Decision, Refusal};

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn limits() -> Limits {
    Limits {
        window: DAY,
        max_new: 10,
        max_percent: 100,
        max_shrink_percent: 10,
        max_age: SignedDuration::from_hours(36),
    }
}

fn feed(people: u32) -> Feed {
    Feed {
        everyone: true,
        people,
        active: people,
        as_of: None,
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn noon() -> Timestamp {
    at("2026-09-30T12:00:00Z")
}

fn after(hours: i64) -> Timestamp {
    noon() + SignedDuration::from_hours(hours)
}

fn lines(names: std::ops::Range<u32>) -> Vec<String> {
    names.map(|n| format!("person {n}")).collect()
}

fn nobody(_: &str) -> bool {
    false
}

/// A look at which everything that passes is done at once.
fn look(state: &State, feed: &Feed, lines: &[String], now: Timestamp) -> (State, usize) {
    let passage = judge(state, &limits(), feed, lines, nobody, now);
    let passed = lines.iter().zip(&passage.passes).filter(|(_, passes)| **passes);
    let passed: Vec<&String> = passed.map(|(line, _)| line).collect();
    (done(&passage.state, passed.iter().copied()), passed.len())
}

#[test]
fn what_the_window_has_room_for_passes() {
    let (state, passed) = look(&State::default(), &feed(1000), &lines(0..10), noon());
    assert_eq!(passed, 10);
    assert_eq!(state.tripped, None);
    assert!(state.granted.is_empty());
    assert_eq!(state.admitted, BTreeMap::from([(noon(), 10)]));
}

#[test]
fn a_set_that_is_too_large_is_held_as_a_whole() {
    let passage = judge(
        &State::default(),
        &limits(),
        &feed(1000),
        &lines(0..11),
        nobody,
        noon(),
    );
    assert!(passage.passes.iter().all(|passes| !passes));
    assert_eq!(passage.state.tripped, Some(Tripped::TooMany));
    assert!(passage.state.admitted.is_empty(), "what is held takes no room");
}

#[test]
fn slices_over_several_looks_share_one_window() {
    let mut state = State::default();
    let mut passed = 0;
    for look_number in 0..20_u32 {
        let now = noon() + SignedDuration::from_mins(15 * i64::from(look_number));
        let new = lines(look_number * 3..look_number * 3 + 3);
        let (next, n) = look(&state, &feed(1000), &new, now);
        state = next;
        passed += n;
    }
    assert_eq!(passed, 9);
}

#[test]
fn the_window_slides() {
    let (state, _) = look(&State::default(), &feed(1000), &lines(0..10), noon());
    assert_eq!(
        look(&state, &feed(1000), &lines(10..11), after(24)).1,
        0,
        "the minute is not over"
    );
    let later = after(24) + MINUTE;
    assert_eq!(look(&state, &feed(1000), &lines(10..20), later).1, 10);
}

#[test]
fn a_clock_that_is_set_back_makes_no_room() {
    let (state, _) = look(&State::default(), &feed(1000), &lines(0..10), after(100));
    let (state, passed) = look(&state, &feed(1000), &lines(10..11), noon());
    assert_eq!(passed, 0);
    assert_eq!(look(&state, &feed(1000), &lines(10..11), after(23)).1, 0);
    assert_eq!(
        look(&state, &feed(1000), &lines(10..11), after(25)).1,
        1,
        "and does not close it for ever"
    );
}

#[test]
fn one_approval_lets_exactly_the_held_set_through_and_takes_no_room() {
    let all = lines(0..200);
    let held = judge(&State::default(), &limits(), &feed(1000), &all, nobody, noon()).state;
    let digest = held.held.clone().unwrap();
    let yes = |d: &str| d == digest;
    let one_more = judge(&held, &limits(), &feed(1000), &lines(0..201), yes, noon());
    assert!(
        one_more.passes.iter().all(|passes| !passes),
        "a changed set needs another one"
    );
    let one_less = judge(&held, &limits(), &feed(1000), &lines(0..199), yes, noon());
    assert!(one_less.passes.iter().all(|passes| !passes));
    let mut turned = all.clone();
    turned.reverse();
    let passage = judge(&held, &limits(), &feed(1000), &turned, yes, noon());
    assert!(
        passage.passes.iter().all(|passes| *passes),
        "the order is not part of it"
    );
    assert_eq!((passage.state.tripped, passage.state.held.clone()), (None, None));
    assert_eq!(passage.room, 10);
}

#[test]
fn a_release_that_was_interrupted_goes_on_without_another_approval() {
    let all = lines(0..200);
    let passage = judge(&State::default(), &limits(), &feed(1000), &all, |_| true, noon());
    let half = done(&passage.state, &all[..100]);
    let rest = judge(&half, &limits(), &feed(1000), &all[100..], nobody, after(1));
    assert!(rest.passes.iter().all(|passes| *passes));
    assert_eq!(rest.room, 10);
}

#[test]
fn a_crash_between_writing_down_and_doing_loses_nobody_and_doubles_nothing() {
    let written = judge(
        &State::default(),
        &limits(),
        &feed(1000),
        &lines(0..6),
        nobody,
        noon(),
    )
    .state;
    let again = judge(&written, &limits(), &feed(1000), &lines(0..6), nobody, after(1));
    assert!(again.passes.iter().all(|passes| *passes));
    assert_eq!(again.room, 4);
    assert_eq!(
        again.state.admitted,
        BTreeMap::from([(after(1), 6)]),
        "counted for when it is really done"
    );
}

#[test]
fn a_feed_without_anybody_is_not_believed() {
    let state = State {
        population: 50,
        ..State::default()
    };
    for (state, feed) in [(State::default(), feed(0)), (state, feed(0))] {
        let passage = judge(&state, &limits(), &feed, &lines(0..1), |_| true, noon());
        assert_eq!(passage.state.tripped, Some(Tripped::Empty));
        assert_eq!(passage.state.held, None, "nobody can let it through");
        assert_eq!(passage.passes, [false]);
        assert_eq!(passage.state.population, state.population);
    }
}

#[test]
fn a_feed_that_lost_people_is_not_believed_until_somebody_says_so() {
    let state = State {
        population: 100,
        ..State::default()
    };
    assert_eq!(
        judge(&state, &limits(), &feed(90), &[], nobody, noon())
            .state
            .tripped,
        None
    );
    let passage = judge(&state, &limits(), &feed(89), &lines(0..2), nobody, noon());
    assert_eq!(passage.state.tripped, Some(Tripped::Shrunken));
    assert_eq!(
        (passage.passes, passage.state.population),
        (vec![false, false], 100)
    );
    let digest = passage.state.held.unwrap();
    let smaller = judge(
        &state,
        &limits(),
        &feed(88),
        &lines(0..2),
        |d| d == digest,
        noon(),
    );
    assert_eq!(
        smaller.state.tripped,
        Some(Tripped::Shrunken),
        "the yes was for another feed"
    );
    let passage = judge(
        &state,
        &limits(),
        &feed(89),
        &lines(0..2),
        |d| d == digest,
        noon(),
    );
    assert_eq!((passage.passes, passage.state.population), (vec![true, true], 89));
}

#[test]
fn feeds_that_shrink_bit_by_bit_are_compared_with_the_last_one_that_was_believed() {
    let mut state = State {
        population: 100,
        ..State::default()
    };
    state = judge(&state, &limits(), &feed(80), &[], nobody, noon()).state;
    state = judge(&state, &limits(), &feed(75), &[], nobody, noon()).state;
    assert_eq!((state.population, state.tripped), (100, Some(Tripped::Shrunken)));
    assert_eq!(
        judge(&state, &limits(), &feed(99), &[], nobody, noon())
            .state
            .tripped,
        None
    );
}

#[test]
fn an_old_feed_is_not_believed_nor_one_older_than_the_last_nor_one_of_tomorrow() {
    let of = |as_of: Timestamp| Feed {
        as_of: Some(as_of),
        ..feed(100)
    };
    let tripped = |state: &State, as_of| {
        judge(state, &limits(), &of(as_of), &[], nobody, noon())
            .state
            .tripped
    };
    assert_eq!(tripped(&State::default(), after(-36)), None);
    assert_eq!(tripped(&State::default(), after(-37)), Some(Tripped::Stale));
    assert_eq!(tripped(&State::default(), after(2)), Some(Tripped::Stale));
    let believed = judge(&State::default(), &limits(), &of(after(-1)), &[], nobody, noon()).state;
    assert_eq!(
        tripped(&believed, after(-2)),
        Some(Tripped::Stale),
        "yesterday's file again"
    );
    assert_eq!(tripped(&believed, after(-1)), None);
}

#[test]
fn a_changes_feed_says_nothing_about_who_is_missing() {
    let state = State {
        population: 100,
        ..State::default()
    };
    let few = Feed {
        everyone: false,
        ..feed(1)
    };
    let passage = judge(&state, &limits(), &few, &[], nobody, noon());
    assert_eq!((passage.state.tripped, passage.state.population), (None, 100));
}

#[test]
fn the_lower_of_count_and_share_holds_but_one_always_passes() {
    let limits = Limits {
        max_percent: 5,
        ..limits()
    };
    let room = |people, state: &State| judge(state, &limits, &feed(people), &[], nobody, noon()).room;
    assert_eq!(room(1000, &State::default()), 10);
    assert_eq!(room(100, &State::default()), 5);
    assert_eq!(room(10, &State::default()), 1);
    let before = State {
        population: 100,
        ..State::default()
    };
    let inflated = judge(&before, &limits, &feed(10_000), &[], nobody, noon()).state;
    assert_eq!(inflated.population, 10_000, "believed from the next look on");
    let none = Limits { max_new: 0, ..limits };
    assert_eq!(
        judge(&State::default(), &none, &feed(1000), &[], nobody, noon()).room,
        0
    );
}

/// A pseudo-random number below `below`.
fn below(seed: &mut u64, below: u64) -> u64 {
    *seed = crate::core::schedule::mix(*seed);
    *seed % below
}

/// How a random life went.
struct Life {
    /// When, by true time, each change was done.
    times: Vec<Timestamp>,
    limits: Limits,
    stored: State,
    left: Vec<String>,
    /// By the clock that may be wrong.
    now: Timestamp,
}

/// One random life of a source: people leave in bursts, looks come at odd times, the clock is set back, the process ends
/// before or after writing down, and in the middle of doing.
fn life(mut seed: u64) -> Life {
    let seed = &mut seed;
    let limits = Limits {
        max_new: 1 + u32::try_from(below(seed, 12)).unwrap(),
        ..limits()
    };
    let (mut true_now, mut behind) = (noon(), SignedDuration::ZERO);
    let mut stored = State::default();
    let (mut wanted, mut made) = (Vec::<String>::new(), BTreeMap::<String, Timestamp>::new());
    for step in 0..400_u64 {
        true_now += SignedDuration::from_secs(i64::try_from(below(seed, 4 * 3600)).unwrap());
        if below(seed, 12) == 0 {
            behind += SignedDuration::from_secs(i64::try_from(below(seed, 200_000)).unwrap());
        }
        if step < 300 && below(seed, 6) == 0 {
            let burst = 1 + below(seed, 1 + u64::from(limits.max_new));
            wanted.extend((0..burst).map(|n| format!("{step} {n}")));
        }
        // Somebody who takes the end back is not wanted any more.
        if below(seed, 10) == 0 && !wanted.is_empty() {
            let at = usize::try_from(below(seed, wanted.len() as u64)).unwrap();
            if !made.contains_key(&wanted[at]) {
                wanted.remove(at);
            }
        }
        let pending: Vec<String> = wanted
            .iter()
            .filter(|w| !made.contains_key(*w))
            .cloned()
            .collect();
        // Patience: what is held piles up, so the feed gives it out in parts.
        let part = pending.len().min(limits.max_new as usize);
        let pending = pending[..part].to_vec();
        let passage = judge(&stored, &limits, &feed(1000), &pending, nobody, true_now - behind);
        let crash = below(seed, 6);
        if crash == 0 {
            continue;
        }
        stored = passage.state.clone();
        let mut did = vec![];
        for (line, _) in pending.iter().zip(&passage.passes).filter(|(_, passes)| **passes) {
            if crash == 1 && below(seed, 2) == 0 {
                break;
            }
            made.insert(line.clone(), true_now);
            did.push(line.clone());
        }
        if crash > 2 {
            stored = done(&stored, &did);
        }
    }
    let left = wanted.into_iter().filter(|w| !made.contains_key(w)).collect();
    let mut times: Vec<Timestamp> = made.into_values().collect();
    times.sort();
    Life {
        times,
        limits,
        stored,
        left,
        now: true_now - behind,
    }
}

#[test]
fn no_schedule_of_looks_crashes_slices_and_clocks_lets_more_through_than_allowed() {
    let (mut done, mut fullest) = (0, 0);
    for seed in 0..60 {
        let Life { times, limits, .. } = life(seed);
        let most = limits.max_new;
        done += times.len();
        for (from, first) in times.iter().enumerate() {
            let within = times[from..]
                .iter()
                .take_while(|t| t.duration_since(*first) < DAY)
                .count();
            assert!(
                within <= most as usize,
                "seed {seed}: {within} of {most} from {first}"
            );
            fullest += usize::from(within == most as usize);
        }
    }
    assert!(
        done > 5_000 && fullest > 500,
        "only {done} done, {fullest} full windows: the test is blind"
    );
}

#[test]
fn no_schedule_loses_a_leaver_for_good() {
    for seed in 0..20 {
        let Life {
            mut stored,
            mut left,
            mut now,
            limits,
            ..
        } = life(seed);
        // With nobody new and a clock that goes on, everybody's turn comes.
        for _ in 0..5_000 {
            let part = left.len().min(limits.max_new as usize);
            let passage = judge(&stored, &limits, &feed(1000), &left[..part], nobody, now);
            stored = done(&passage.state, &left[..part]);
            if passage.passes.iter().all(|passes| *passes) {
                left.drain(..part);
            }
            now += SignedDuration::from_hours(1);
        }
        assert!(left.is_empty(), "seed {seed}: {} wait for ever", left.len());
    }
}

fn vote(approver: &str, on_behalf_of: Option<&str>, decision: Decision) -> Vote {
    Vote {
        id: format!("{approver} {decision:?}"),
        name: "yes".into(),
        gate: Gate::Guard,
        connector: None,
        fact: None,
        plan: "sha256:1".into(),
        approver: approver.into(),
        person: Some(approver.into()),
        principal: None,
        on_behalf_of: on_behalf_of.map(str::to_owned),
        decision,
        at: noon(),
        until: None,
    }
}

#[test]
fn whoever_is_in_a_held_set_cannot_let_it_through_nor_can_their_delegate() {
    let partial = ["Jane@example.com".to_owned(), "0017".to_owned()];
    let stands = |votes: &[Vote]| count("sha256:1", votes, &partial, after(24 * 365));
    for (approver, principal) in [
        ("jane@example.com", None),
        ("oidc:JANE@example.com", None),
        ("0017", None),
        ("sam@example.com", Some("jane@example.com")),
    ] {
        let standing = stands(&[vote(approver, principal, Decision::Approved)]);
        assert_eq!(standing.state, gate::State::Waiting, "{approver}");
        assert_eq!(standing.refused[0].1, Refusal::SelfApproval, "{approver}");
        // Nor can they keep it held.
        let both = [
            vote(approver, principal, Decision::Denied),
            vote("alice", None, Decision::Approved),
        ];
        assert_eq!(stands(&both).state, gate::State::Open, "{approver}");
    }
    let nobody_asked = stands(&[vote("bob", Some("alice"), Decision::Approved)]);
    assert_eq!(nobody_asked.refused[0].1, Refusal::NotAnApprover);
    let denied = [
        vote("alice", None, Decision::Approved),
        vote("bob", None, Decision::Denied),
    ];
    assert_eq!(stands(&denied).state, gate::State::Denied);
}

#[test]
fn what_is_too_much_for_one_approval_has_no_digest_that_one_could_name() {
    let lines = lines(0..u32::try_from(LARGEST).unwrap() + 1);
    let passage = judge(
        &State::default(),
        &limits(),
        &feed(1_000_000),
        &lines,
        |_| true,
        noon(),
    );
    assert_eq!(
        (passage.state.held, passage.state.tripped),
        (None, Some(Tripped::TooMany))
    );
}

/// The state after a look whose limits these were.
fn held_to(limits: &Limits, state: &State) -> State {
    judge(state, limits, &feed(1000), &[], nobody, noon()).state
}

#[test]
fn each_limit_that_is_loosened_waits_for_a_yes_and_what_is_stricter_holds_at_once() {
    let agreed = held_to(&limits(), &State::default());
    assert_eq!((agreed.limits.clone(), agreed.tripped), (Some(limits()), None));
    let hour = SignedDuration::from_hours(1);
    let wish = |change: &dyn Fn(&mut Limits)| {
        let mut wished = limits();
        change(&mut wished);
        wished
    };
    for (wished, line) in [
        (wish(&|l| l.max_new = 500), "maxNew 10 -> 500"),
        (
            wish(&|l| l.max_shrink_percent = 100),
            "maxShrinkPercent 10 -> 100",
        ),
        (wish(&|l| l.window = hour), "window 24h -> 1h"),
        (wish(&|l| l.max_age = hour * 100), "maxAge 36h -> 100h"),
    ] {
        let waits = held_to(&wished, &agreed);
        assert_eq!(
            (waits.tripped, waits.limits.clone()),
            (Some(Tripped::Loosened), Some(limits())),
            "{line}"
        );
        assert_eq!(waits.held, Some(digest([line].into_iter())), "{line}");
        // What fits as it was goes on, and what does not is held with it.
        let few = judge(&waits, &wished, &feed(1000), &lines(0..10), nobody, noon());
        assert_eq!((few.passes, few.room), (vec![true; 10], 0), "{line}");
        let all = lines(0..11);
        let many = judge(&waits, &wished, &feed(1000), &all, nobody, noon()).state;
        let both = all.iter().map(String::as_str).chain([line]);
        assert_eq!(
            (many.tripped, many.held),
            (Some(Tripped::TooMany), Some(digest(both)))
        );
        // A yes is about what it is shown.
        let yes = |d: &str| d == digest([line].into_iter());
        assert!(
            judge(&waits, &wished, &feed(1000), &all, yes, noon())
                .passes
                .iter()
                .all(|p| !p)
        );
        let open = judge(&waits, &wished, &feed(1000), &[], yes, noon()).state;
        assert_eq!((open.tripped, open.limits.as_ref()), (None, Some(&wished)));
        assert_eq!(held_to(&wished, &open).tripped, None, "it stays agreed");
        // Back is stricter, and forth again is not.
        let back = held_to(&limits(), &open);
        assert_eq!((back.tripped, back.limits.clone()), (None, Some(limits())));
        assert_eq!(held_to(&wished, &back).tripped, Some(Tripped::Loosened));
    }
    let percent = held_to(&wish(&|l| l.max_percent = 1), &agreed);
    assert_eq!(percent.limits.map(|l| l.max_percent), Some(1));
}

#[test]
fn what_was_held_is_held_when_the_guard_is_loosened_or_the_source_is_made_anew() {
    let all = lines(0..200);
    let held = judge(&State::default(), &limits(), &feed(1000), &all, nobody, noon()).state;
    assert_eq!(held.tripped, Some(Tripped::TooMany));
    let raised = Limits {
        max_new: 5000,
        max_percent: 100,
        ..limits()
    };
    for state in [held.clone(), State::new(false), State::new(true)] {
        let passage = judge(&state, &raised, &feed(1000), &all, nobody, noon());
        assert_eq!(passage.passes, vec![false; 200], "{state:?}");
        let digest = passage.state.held.clone().unwrap();
        assert_ne!(
            Some(&digest),
            held.held.as_ref(),
            "the looser guard is part of it"
        );
        let let_through = judge(
            &passage.state,
            &raised,
            &feed(1000),
            &all,
            |d| d == digest,
            noon(),
        );
        assert_eq!(let_through.passes, vec![true; 200]);
        assert_eq!(
            (let_through.state.tripped, let_through.state.limits),
            (None, Some(raised.clone()))
        );
    }
}

#[test]
fn a_source_that_lost_its_memory_does_nothing_by_itself() {
    let lost = State::new(true);
    let usual = Limits::default();
    let one = judge(&lost, &usual, &feed(1000), &lines(0..1), nobody, noon());
    assert_eq!(
        (one.passes, one.state.tripped),
        (vec![false], Some(Tripped::Recreated))
    );
    let again = judge(&one.state, &usual, &feed(1000), &lines(0..1), nobody, after(48));
    assert_eq!(
        again.state.tripped,
        Some(Tripped::Recreated),
        "however long it waits"
    );
    // Nor is it forgotten over a feed that is not believed.
    let stale = judge(&again.state, &usual, &feed(0), &lines(0..1), nobody, after(48)).state;
    assert_eq!((stale.tripped, stale.recreated), (Some(Tripped::Empty), true));
    let digest = one.state.held.unwrap();
    let other = judge(
        &again.state,
        &usual,
        &feed(1000),
        &lines(0..2),
        |d| d == digest,
        after(48),
    );
    assert_eq!(other.passes, [false, false]);
    let yes = judge(
        &again.state,
        &usual,
        &feed(1000),
        &lines(0..1),
        |d| d == digest,
        after(48),
    );
    assert_eq!(
        (yes.passes, yes.room, yes.state.recreated),
        (vec![true], 10, false)
    );
    // Where all that the feed shows is there already, nothing was lost.
    let same = judge(&lost, &usual, &feed(1000), &[], nobody, noon()).state;
    let next = judge(&same, &usual, &feed(1000), &lines(0..3), nobody, noon());
    assert_eq!((next.passes, next.state.tripped), (vec![true; 3], None));
    // One that is new may not believe less than is usual either.
    let first = judge(
        &State::new(false),
        &usual,
        &feed(1000),
        &lines(0..10),
        nobody,
        noon(),
    );
    assert_eq!((first.passes, first.state.tripped), (vec![true; 10], None));
}
