//! `offboard demo`: a small company inside the process, one leaver, everything from plan to proof in seconds.
//!
//! The company speaks real protocols on loopback and the real core works on it. Nothing outside the folder is touched.

mod findings;
mod report;
mod show;

use std::{
    fs, io,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use jiff::{Timestamp, tz::TimeZone};

use self::findings::{Drift, Findings, Owned, Tries, done, facts, left, not_wanted, seconds};
use super::{
    exit,
    local::{Links, Local, Permissions},
    manifests::Manifests,
    plan::plan,
};
use crate::{
    company::{Company, JANE, SAM},
    drive::{Outcome, Row, Scope, SystemClock, evidence},
};

/// Things of one person, by system.
type Counts = [(&'static str, usize)];

/// The demo gives up after so long; on a quiet machine it needs a few seconds.
const LONGEST: Duration = Duration::from_secs(30);

/// Marks a folder as the demo's own, which may be emptied.
const MARK: &str = ".offboard-demo";

/// Runs the demo in `folder`. Fails unless everything it says is proven.
///
/// # Errors
/// When a server, a file or a login try fails, so that nothing can be said.
pub async fn run(folder: &Path) -> Result<ExitCode, exit::Error> {
    show::begin(folder);
    clear(folder)?;
    let began = Instant::now();
    let company = Company::start().await?;
    show::started(&company, began.elapsed());

    let now = Timestamp::now();
    company.manifests(&now.to_zoned(TimeZone::UTC))?.write(folder)?;
    let manifests = Manifests::read(folder)?;
    let links = Links::new(&manifests, &Permissions::default().assembly());
    let [leaver] = manifests.offboardings.as_slice() else {
        return Err(exit::Error("the demo has one leaver".into()));
    };
    let local = Local::open(leaver, &manifests, &links, &folder.join("state"), now)?;
    show::leaver(&local.case, folder);

    let before = Tries::of(&company.attempts(&JANE).await?);
    let (janes, sams) = (company.owned_by(&JANE), company.owned_by(&SAM));
    let mut work = Work {
        local,
        drifted: Vec::new(),
    };
    let looked = work.local.pass(Scope::Everything, &SystemClock).await?;
    let plan = plan(&work.local.case, &looked, Timestamp::now());
    show::plan(&plan, &before);

    let started = Timestamp::now();
    let outcome = work.finish().await?;
    let took = seconds(started, Timestamp::now());
    let after = Tries::of(&company.attempts(&JANE).await?);
    let control = Tries::of(&company.attempts(&SAM).await?);
    let owned = handed_over(&company, &janes, &sams);
    let mut findings = Findings {
        leaver: JANE.name.to_owned(),
        successor: SAM.name.to_owned(),
        cutoff: work.local.case.cutoff,
        started,
        seconds: took,
        plan,
        before,
        after,
        control,
        owned,
        drift: None,
        facts: facts(&outcome, &work.local.record().evidence),
        left: unfinished(&outcome),
        not_wanted: not_wanted(&outcome),
        evidence: work.local.record().evidence.clone(),
        chain_sound: evidence::first_broken(&work.local.record().evidence).is_none(),
    };
    show::proof(&findings);

    let (drift, outcome) = tamper(&company, &mut work).await?;
    show::drift(&drift);
    findings.drift = Some(drift);
    findings.facts = facts(&outcome, &work.local.record().evidence);
    for left in unfinished(&outcome) {
        if !findings.left.contains(&left) {
            findings.left.push(left);
        }
    }
    findings.evidence.clone_from(&work.local.record().evidence);
    findings.chain_sound = evidence::first_broken(&findings.evidence).is_none();
    report::write(&findings, folder)?;
    show::end(&findings, folder);
    Ok(if findings.proven() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What became of the leaver's things, by counts from before.
fn handed_over(company: &Company, janes: &Counts, sams: &Counts) -> Vec<Owned> {
    let (janes_now, sams_now) = (company.owned_by(&JANE), company.owned_by(&SAM));
    let pairs = janes.iter().zip(janes_now).zip(sams.iter().zip(sams_now));
    pairs
        .map(
            |(((system, before), (_, left)), ((_, sam), (_, sam_now)))| Owned {
                system: (*system).to_owned(),
                before: *before,
                left,
                arrived: sam_now.saturating_sub(*sam),
            },
        )
        .collect()
}

/// Gives one access back behind our back, and lets the core find and take it.
async fn tamper(company: &Company, work: &mut Work) -> Result<(Drift, Outcome), exit::Error> {
    let given_back_at = Timestamp::now();
    let system = company.tamper();
    let meanwhile = Tries::of(&company.attempts(&JANE).await?);
    show::tampered(system, &meanwhile);
    let outcome = work.finish().await?;
    let drifted = outcome
        .rows
        .iter()
        .filter(|row| row.name == system)
        .flat_map(|row| row.drifted.clone());
    let mut facts: Vec<String> = drifted.chain(work.drifted.drain(..)).collect();
    facts.sort();
    facts.dedup();
    let after = Tries::of(&company.attempts(&JANE).await?);
    let drift = Drift {
        system: system.to_owned(),
        given_back_at,
        facts,
        open_meanwhile: meanwhile.worked,
        open_after: after.worked,
        seconds: seconds(given_back_at, Timestamp::now()),
    };
    Ok((drift, outcome))
}

fn unfinished(outcome: &Outcome) -> Vec<String> {
    let rows = outcome.rows.iter().filter(|row| !done(row));
    rows.flat_map(|row| left(row).into_iter().map(|text| format!("{}: {text}", row.name)))
        .collect()
}

/// A system that is neither done nor broken may be so after the next look.
fn may_still_move(row: &Row) -> bool {
    !done(row) && row.trouble.is_none() && !row.identity_mismatch
}

/// Makes `folder`, or empties the one that an earlier demo left.
fn clear(folder: &Path) -> io::Result<()> {
    let taken = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if taken && !folder.join(MARK).is_file() {
        let text = format!("{}: holds something else; use --folder", folder.display());
        return Err(io::Error::other(text));
    }
    if taken {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    fs::write(
        folder.join(MARK),
        "Made by offboard demo, and emptied by the next one.\n",
    )
}

/// The core at work on one leaver.
struct Work {
    local: Local,
    drifted: Vec<String>,
}

impl Work {
    /// When something about a system was last read back as true.
    fn last_proof(&self, system: &str) -> Option<Timestamp> {
        let proofs = self.local.record().evidence.iter();
        proofs
            .filter(|entry| entry.system == system && entry.event == "Verified")
            .map(|entry| entry.at)
            .max()
    }

    /// Drives until nothing is left to do, nothing more will happen by itself, or it takes too long.
    async fn finish(&mut self) -> Result<Outcome, exit::Error> {
        let (began, started) = (Instant::now(), Timestamp::now());
        let mut shown = Vec::new();
        loop {
            let outcome = self.local.pass(Scope::Due, &SystemClock).await?;
            for row in &outcome.rows {
                self.drifted.extend(row.drifted.iter().cloned());
                let proven = self.last_proof(&row.name).filter(|at| *at >= started);
                if let Some(at) = proven.filter(|_| done(row) && !shown.contains(&row.name)) {
                    show::done(row, seconds(started, at));
                    shown.push(row.name.clone());
                }
            }
            let left = LONGEST.saturating_sub(began.elapsed());
            let wake = outcome.wake.filter(|_| outcome.rows.iter().any(may_still_move));
            let Some(wake) = wake.filter(|_| !left.is_zero()) else {
                return Ok(outcome);
            };
            // A system asked for some time, or something we asked for is not visible yet.
            let wait = Duration::try_from(wake.duration_since(Timestamp::now())).unwrap_or_default();
            tokio::time::sleep(wait.min(left)).await;
        }
    }
}
