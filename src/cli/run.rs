//! `offboard run`: drives the leavers of a folder to the end, without a cluster.

use std::{collections::BTreeMap, path::Path, process::ExitCode, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{
    exit,
    local::{Links, Local},
    manifests::Manifests,
    plan::verdict_words,
};
use crate::{
    api::{ConditionStatus, OffboardingStatus},
    connectors::assemble::Assembly,
    core::fact::Verdict,
    drive::{Clock, Outcome, Scope, SystemClock},
};

/// How long `run` stays for something that will happen by itself, before it says when to come back.
pub const PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// Drives every leaver of `folder`.
///
/// # Errors
/// When the folder, a leaver or the state cannot be used.
pub async fn run(folder: &Path, state: &Path, patience: SignedDuration) -> Result<ExitCode, exit::Error> {
    let manifests = Manifests::read(folder)?;
    let assembly = Assembly::default();
    let links = Links::new(&manifests, &assembly);
    if manifests.offboardings.is_empty() {
        return Err(exit::Error(format!("no Offboarding in {}", folder.display())));
    }
    let mut worst = 0;
    let mut wrong = vec![];
    for leaver in &manifests.offboardings {
        match Local::open(leaver, &manifests, &links, state, SystemClock.now()) {
            Ok(mut local) => {
                let code = follow(&mut local, &SystemClock, patience, &mut print_change).await?;
                worst = worst.max(code);
                print_end(&local);
            }
            // A broken leaver does not stop the others.
            Err(error) => wrong.push(error.to_string()),
        }
    }
    if wrong.is_empty() {
        Ok(worst.into())
    } else {
        Err(exit::Error(wrong.join("\n")))
    }
}

/// Drives one leaver until nothing changes by itself within `patience`, telling of every change of a verdict, and
/// gives the exit code.
///
/// # Errors
/// When the status cannot be written.
pub async fn follow(
    local: &mut Local,
    clock: &dyn Clock,
    patience: SignedDuration,
    tell: &mut dyn FnMut(Timestamp, &str, &str, &Verdict),
) -> Result<u8, exit::Error> {
    let give_up = clock.now().checked_add(patience).unwrap_or(Timestamp::MAX);
    let mut told: BTreeMap<(String, String), String> = BTreeMap::new();
    let mut scope = Scope::Due;
    loop {
        let outcome = local.pass(scope, clock).await?;
        scope = Scope::Woken;
        tell_changes(&outcome, &mut told, clock.now(), tell);
        let now = clock.now();
        match outcome.wake {
            Some(wake) if wake <= give_up && wants_more(&local.status) => {
                let wait = Duration::try_from(wake.duration_since(now)).unwrap_or_default();
                tokio::time::sleep(wait.max(Duration::from_millis(10))).await;
            }
            _ => return Ok(code(&local.status)),
        }
    }
}

fn tell_changes(
    outcome: &Outcome,
    told: &mut BTreeMap<(String, String), String>,
    now: Timestamp,
    tell: &mut dyn FnMut(Timestamp, &str, &str, &Verdict),
) {
    for row in &outcome.rows {
        for (fact, verdict, _) in &row.facts {
            if matches!(verdict, Verdict::NotNeeded(_) | Verdict::NotDue(_)) {
                continue;
            }
            let key = (row.name.clone(), fact.name.clone());
            let words = verdict_words(verdict);
            if told.get(&key) != Some(&words) {
                tell(now, &row.name, &fact.name, verdict);
                told.insert(key, words);
            }
        }
    }
}

fn print_change(now: Timestamp, system: &str, fact: &str, verdict: &Verdict) {
    let sign = if verdict.settled() { '✔' } else { '…' };
    let time = now.strftime("%H:%M:%S");
    anstream::println!(
        "{time}  {system:<16} {sign} {fact:<24} {}",
        verdict_words(verdict)
    );
}

fn print_end(local: &Local) {
    let ready = local.status.conditions.iter().find(|c| c.type_ == "Ready");
    let (reason, message) = ready.map_or(("Unknown", ""), |c| (c.reason.as_str(), c.message.as_str()));
    let progress = local.status.progress.as_deref().unwrap_or("-");
    let left = local.status.access_left.unwrap_or_default();
    let colon = if message.is_empty() { "" } else { ": " };
    anstream::println!(
        "{}: {reason} · {progress} systems · {left} left{colon}{message}",
        local.case.name
    );
}

/// Whether anything that is wanted now is still on its way.
fn wants_more(status: &OffboardingStatus) -> bool {
    status
        .conditions
        .iter()
        .any(|c| c.type_ == "Ready" && c.status != ConditionStatus::True)
}

/// The exit code that fits a status.
pub fn code(status: &OffboardingStatus) -> u8 {
    let is = |type_: &str, status_: ConditionStatus| {
        status
            .conditions
            .iter()
            .find(|c| c.type_ == type_ && c.status == status_)
    };
    let late = is("Ready", ConditionStatus::False).is_some_and(|c| c.reason == "DeadlineExceeded");
    match () {
        () if is("Ready", ConditionStatus::True).is_some() => 0,
        () if late || is("Drifted", ConditionStatus::True).is_some() => exit::ACCESS_LEFT,
        () if is("Stalled", ConditionStatus::True).is_some() => exit::WAITS_FOR_A_PERSON,
        () => 1,
    }
}
