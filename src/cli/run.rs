//! `offboard run`: drives the leavers of a folder to the end, without a cluster.

use std::{collections::BTreeMap, path::Path, process::ExitCode, sync::Arc, time::Duration};

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use super::{
    approvals::{Voices, departures, how_to},
    exit,
    local::{Links, Local, Permissions},
    manifests::Manifests,
    plan::verdict_words,
    state::State,
    status::{left, proof},
    terminal::{BOLD, FAINT, GREEN, PLAIN, Progress, RED, one_line, tell},
};
use crate::{
    api::{ConditionStatus, OffboardingStatus},
    core::{
        approvals::AWAITING_APPROVAL,
        case::{OBSERVED_ONLY, SUSPENDED},
        duplicate,
        fact::{FactState, Verdict},
        plan::TASK_AWAITED,
    },
    drive::{
        Clock, Row, Scope, SystemClock,
        departures::duplicates,
        report::{PLAN_ONLY, given_back},
    },
    notify::Outbox,
};

/// Drives every leaver of `folder`, all at the same time: none waits for another's systems.
///
/// # Errors
/// When the folder, a leaver or the state cannot be used.
pub async fn run(
    folder: &Path,
    state: &State,
    permissions: &Permissions,
    patience: SignedDuration,
    (notifications, approvers): (Option<&Path>, Option<&Path>),
) -> Result<ExitCode, exit::Error> {
    state.say();
    let outbox = notifications.map(Outbox::read).transpose();
    let outbox = Arc::new(
        outbox
            .map_err(|e| exit::Error(e.to_string()))?
            .unwrap_or_default()
            .with_egress(permissions.egress()),
    );
    let apart: Vec<&Path> = [Some(state.path.as_path()), notifications, approvers]
        .into_iter()
        .flatten()
        .collect();
    let manifests = Manifests::read_without(folder, &apart)?;
    let mut wrong = manifests.say();
    let links = Links::new(&manifests, &permissions.assembly());
    if manifests.offboardings.is_empty() {
        wrong.push(format!("no Offboarding in {} can be used", folder.display()));
        return Err(exit::Error(wrong.join("\n")));
    }
    let voices = Voices::hear(
        &manifests,
        &links,
        &state.path,
        approvers,
        &permissions.safeguards,
        SystemClock.now(),
    )?;
    for refused in &voices.refused {
        tell!("Approval not counted: {refused}");
    }
    let mut locals = vec![];
    for leaver in &manifests.offboardings {
        let opened = Local::hear(
            leaver,
            &manifests,
            &links,
            &state.path,
            &voices,
            SystemClock.now(),
        )
        .and_then(|mut local| {
            local.tell_by(leaver, &manifests, outbox.clone())?;
            Ok(local)
        });
        match opened {
            Ok(local) => {
                wrong.extend(local.invalid());
                locals.push(local);
            }
            // A broken leaver does not stop the others.
            Err(error) => wrong.push(error.to_string()),
        }
    }
    let now = SystemClock.now();
    for local in &locals {
        let rivals = local.case.rivals(now);
        if !rivals.is_empty() {
            tell!("{}: {}", local.case.name, duplicate::advice(rivals));
        }
    }
    let show = Show::new(&locals);
    let all = locals.iter_mut().map(|local| one(local, patience, &show));
    let mut worst = 0;
    for ended in join_all(all).await {
        match ended {
            Ok(code) => worst = worst.max(code),
            Err(error) => wrong.push(error.to_string()),
        }
    }
    show.progress.show("");
    let found = departures(&manifests, &links, &state.path, SystemClock.now());
    for local in &locals {
        let leaver = manifests
            .offboardings
            .iter()
            .find(|leaver| leaver.metadata.uid.as_ref() == Some(&local.case.uid));
        // Who turned out to be the same person only by the accounts that were found.
        let rivals = leaver
            .map(|leaver| duplicates(&found, leaver))
            .unwrap_or_default();
        if !rivals.is_empty() && local.case.duplicates.is_empty() {
            tell!(
                "{}: {}; run this again",
                local.case.name,
                duplicate::advice(&rivals)
            );
            worst = worst.max(exit::WAITS_FOR_A_PERSON);
        }
        for text in leaver.iter().flat_map(|leaver| how_to(leaver, &local.status)) {
            tell!("{text}");
        }
    }
    if state.path.is_dir() {
        tell!("Next: {}", state.shown_by(None));
    }
    if wrong.is_empty() {
        Ok(worst.into())
    } else {
        Err(exit::Error(wrong.join("\n")))
    }
}

async fn one(local: &mut Local, patience: SignedDuration, show: &Show) -> Result<u8, exit::Error> {
    let name = local.case.name.clone();
    let code = follow(local, &SystemClock, patience, &mut |told| show.tell(&name, told)).await?;
    local.end_messages().await?;
    show.progress.print(&end(local));
    Ok(code)
}

/// What `follow` tells.
#[derive(Clone, Copy)]
pub enum Told<'t> {
    /// The verdict on a fact of a system is another one.
    Changed(Timestamp, &'t str, &'t str, &'t Verdict),
    /// A fact of a system had been proven and was undone by somebody else, so often by now.
    GivenBack(Timestamp, &'t str, &'t str, usize),
    /// Others lost something by what was done for a fact of a system.
    OthersAffected(Timestamp, &'t str, &'t str, &'t str),
    /// A pass is over.
    Passed(&'t OffboardingStatus),
}

/// Drives one leaver until nothing changes by itself within `patience`, and gives the exit code.
///
/// # Errors
/// When the status cannot be written.
pub async fn follow(
    local: &mut Local,
    clock: &dyn Clock,
    patience: SignedDuration,
    tell: &mut (dyn FnMut(Told<'_>) + Send),
) -> Result<u8, exit::Error> {
    let give_up = clock.now().checked_add(patience).unwrap_or(Timestamp::MAX);
    let mut news = News {
        verdicts: BTreeMap::new(),
        given_back: BTreeMap::new(),
        others: BTreeMap::new(),
        tell,
    };
    let mut scope = Scope::Due;
    loop {
        let mut show = |rows: &[Row]| news.rows(rows, clock.now());
        let outcome = local.pass_shown(scope, clock, &mut show).await?;
        scope = Scope::Woken;
        news.rows(&outcome.rows, clock.now());
        (news.tell)(Told::Passed(&local.status));
        let now = clock.now();
        match outcome.wake {
            Some(wake) if wake <= give_up && wants_more(&local.status) => {
                let wait = Duration::try_from(wake.duration_since(now)).unwrap_or_default();
                tokio::time::sleep(wait.max(Duration::from_millis(10))).await;
                continue;
            }
            _ => {}
        }
        if let Some(fault) = &outcome.store_fault {
            let name = &local.case.name;
            return Err(exit::Error(format!(
                "{name}: the state cannot be written: {fault}: make room there, and run this again"
            )));
        }
        // What came back is ended again, and whoever looks at the exit code alone is told as well.
        return Ok(match code(&local.status) {
            0 | exit::WAITS_FOR_A_PERSON if news.access_came_back() => exit::ACCESS_LEFT,
            code => code,
        });
    }
}

/// What was told already, so that nothing is told twice.
struct News<'t> {
    /// By system and fact.
    verdicts: BTreeMap<(String, String), String>,
    /// How often somebody else undid what had been proven, by system and fact, and whether that is access.
    given_back: BTreeMap<(String, String), (usize, bool)>,
    /// What others lost, by system and fact.
    others: BTreeMap<(String, String), String>,
    tell: &'t mut (dyn FnMut(Told<'_>) + Send),
}

impl News<'_> {
    /// Tells what is new in `rows`.
    fn rows(&mut self, rows: &[Row], now: Timestamp) {
        for row in rows {
            for FactState {
                spec: fact, verdict, ..
            } in &row.facts
            {
                let key = (row.name.clone(), fact.name.clone());
                let times = row.reversals.get(&fact.name).copied().unwrap_or(1);
                let known = self
                    .given_back
                    .get(&key)
                    .is_some_and(|(known, _)| *known == times);
                if row.drifted.contains(&fact.name) && !known {
                    self.given_back
                        .insert(key.clone(), (times, fact.class.security()));
                    (self.tell)(Told::GivenBack(now, &row.name, &fact.name, times));
                }
                if let Some(others) = row.others.get(&fact.name)
                    && self.others.insert(key.clone(), others.clone()).as_ref() != Some(others)
                {
                    (self.tell)(Told::OthersAffected(now, &row.name, &fact.name, others));
                }
                if matches!(verdict, Verdict::NotNeeded(_) | Verdict::NotDue(_)) {
                    continue;
                }
                let words = verdict_words(verdict);
                if self.verdicts.get(&key) != Some(&words) {
                    (self.tell)(Told::Changed(now, &row.name, &fact.name, verdict));
                    self.verdicts.insert(key, words);
                }
            }
        }
    }

    fn access_came_back(&self) -> bool {
        self.given_back.values().any(|(_, access)| *access)
    }
}

/// Prints what happens, and on a terminal how far it is.
struct Show {
    progress: Progress,
    /// How wide the names of leavers are; none: there is one leaver, and their name need not be said.
    names: Option<usize>,
    /// By leaver: systems and security facts that are left, and whether all is done.
    left: Mutex<BTreeMap<String, (String, String, bool)>>,
}

impl Show {
    fn new(leavers: &[Local]) -> Self {
        let widest = leavers.iter().map(|leaver| leaver.case.name.len()).max();
        Self {
            progress: Progress::default(),
            names: widest.filter(|_| leavers.len() > 1),
            left: Mutex::default(),
        }
    }

    fn line(&self, at: Timestamp, leaver: &str, system: &str, fact: &str, sign: &str, words: &str) {
        let time = at.strftime("%H:%M:%S");
        let name = self.names.map(|wide| format!("{leaver:<wide$}  "));
        let name = name.unwrap_or_default();
        self.progress.print(&format!(
            "{time}  {name}{system:<16} {sign} {fact:<24} {}",
            one_line(words)
        ));
    }

    fn tell(&self, leaver: &str, told: Told<'_>) {
        match told {
            Told::Changed(at, system, fact, verdict) => {
                let sign = if verdict.settled() {
                    format!("{GREEN}✔{PLAIN}")
                } else {
                    format!("{FAINT}…{PLAIN}")
                };
                self.line(at, leaver, system, fact, &sign, &verdict_words(verdict));
            }
            Told::OthersAffected(at, system, fact, others) => {
                self.line(at, leaver, system, fact, &format!("{RED}✖{PLAIN}"), others);
            }
            Told::GivenBack(at, system, fact, times) => {
                let sign = format!("{RED}✖{PLAIN}");
                self.line(at, leaver, system, fact, &sign, &given_back(times));
            }
            Told::Passed(status) => {
                let progress = status.progress.clone().unwrap_or_default();
                let left = left(status);
                let mut all = self.left.lock();
                all.insert(leaver.to_owned(), (progress, left, !wants_more(status)));
                self.progress.show(&far(&all));
            }
        }
    }
}

/// How far everything is, in one line.
fn far(all: &BTreeMap<String, (String, String, bool)>) -> String {
    let known = all.values().filter_map(|(_, left, _)| left.parse::<i64>().ok());
    let (seen, left) = known.fold((0, 0), |(seen, sum), left| (seen + 1, sum + left));
    let more = if seen < all.len() { "+?" } else { "" };
    match all.values().next() {
        Some((progress, left, _)) if all.len() == 1 => {
            format!("{progress} systems · {left} left   (Ctrl-C stops; run again to go on)")
        }
        _ => {
            let done = all.values().filter(|(.., done)| *done).count();
            format!(
                "{done}/{} leavers · {left}{more} left   (Ctrl-C stops; run again to go on)",
                all.len()
            )
        }
    }
}

fn end(local: &Local) -> String {
    let ready = local.status.conditions.iter().find(|c| c.type_ == "Ready");
    let (reason, message) = ready.map_or(("Unknown", ""), |c| (c.reason.as_str(), c.message.as_str()));
    let progress = local.status.progress.as_deref().unwrap_or("-");
    let left = left(&local.status);
    let more = match proof(&local.status) {
        Some(proof) if message.is_empty() => format!(". {proof}"),
        _ if message.is_empty() => String::new(),
        _ => format!(": {}", one_line(message)),
    };
    format!(
        "{BOLD}{}{PLAIN}: {reason} · {progress} systems · {left} left{more}",
        local.case.name
    )
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
    // Data that is handed over late is no access.
    let late = late && status.access_left.unwrap_or_default() > 0;
    match () {
        // Nothing is done about what is open.
        () if is("Ready", ConditionStatus::True).is_some_and(|c| c.reason == PLAN_ONLY)
            && status.access_left.is_some_and(|left| left > 0) =>
        {
            exit::WAITS_FOR_A_PERSON
        }
        () if is("Ready", ConditionStatus::True).is_some() => 0,
        () if late || is("Drifted", ConditionStatus::True).is_some() => exit::ACCESS_LEFT,
        () if is("Stalled", ConditionStatus::True).is_some() => exit::WAITS_FOR_A_PERSON,
        () if is("Ready", ConditionStatus::False).is_some_and(|c| {
            matches!(
                c.reason.as_str(),
                TASK_AWAITED | AWAITING_APPROVAL | OBSERVED_ONLY | SUSPENDED
            )
        }) =>
        {
            exit::WAITS_FOR_A_PERSON
        }
        () => 1,
    }
}
