//! What the demo prints: one line for each thing that happened. Colours only on a terminal that wants them.

use std::{path::Path, time::Duration};

use super::findings::{Drift, Findings, Tries, things};
use crate::{
    cli::{
        plan::{Line, Plan},
        terminal::{BOLD, FAINT, GREEN, PLAIN, RED, out},
    },
    company::{Company, JANE, SAM},
    connectors::declarative::counted,
    core::{case::Case, fact::Verdict},
    drive::Row,
};

/// The widest text of one cell of the plan, in characters.
const WIDEST: usize = 64;

pub(super) fn begin(folder: &Path) {
    out!(
        "{BOLD}offboard {} demo{PLAIN}. Nothing outside {} is touched.\n",
        env!("CARGO_PKG_VERSION"),
        folder.display()
    );
}

pub(super) fn started(company: &Company, took: Duration) {
    let systems = company.systems();
    let names: Vec<_> = systems
        .iter()
        .map(|(name, protocol)| format!("{name} ({protocol})"))
        .collect();
    good(
        &format!(
            "started {} small systems on 127.0.0.1: {}",
            systems.len(),
            names.join(", ")
        ),
        took.as_secs_f64(),
    );
}

pub(super) fn leaver(case: &Case, folder: &Path) {
    let cutoff = case.cutoff.strftime("%H:%M UTC");
    out!(
        "{} {} leaves today at {cutoff}; {} takes over; manifests in {}\n",
        mark(true),
        JANE.name,
        SAM.name,
        folder.display()
    );
}

pub(super) fn plan(plan: &Plan, before: &Tries) {
    out!(
        "{FAINT}{:<20} {:<20} WILL DO  (- revoke  ~ hand over  x delete  = keep  · follows){PLAIN}",
        "SYSTEM",
        "ACCOUNT"
    );
    for lines in plan.lines.chunk_by(|one, other| one.system == other.system) {
        let mut system = lines.first().map_or("", |line| &line.system);
        let mut login = lines
            .first()
            .and_then(|line| line.login.as_deref())
            .unwrap_or("?");
        for (sign, text) in joined(lines) {
            out!("{system:<20} {login:<20} {sign} {text}");
            (system, login) = ("", "");
        }
    }
    out!("\n{}: {} items to revoke", plan.sum(), things(plan));
    out!(
        "Before: {} of {} of {}'s passwords, sessions, keys and tokens work.\n",
        before.worked,
        before.made,
        JANE.name
    );
}

pub(super) fn done(row: &Row, seconds: f64) {
    let facts = row
        .facts
        .iter()
        .filter(|state| state.verdict == Verdict::Verified)
        .count();
    good(
        &format!("{:<20} {facts} checks verified by reading back", row.name),
        seconds,
    );
}

pub(super) fn proof(findings: &Findings) {
    let (after, control) = (&findings.after, &findings.control);
    out!(
        "\nProof: a second, separate login attempt with everything {} had",
        findings.leaver
    );
    let refused = after.worked == 0 && after.made > 0;
    out!("{} {} of {} refused", mark(refused), after.refused(), after.made);
    for open in &after.open {
        out!("  {RED}still open: {open}{PLAIN}");
    }
    out!(
        "{} {} of {} of {}'s own logins still work",
        mark(control.worked == control.made),
        control.worked,
        control.made,
        findings.successor
    );
    let before: usize = findings.owned.iter().map(|owned| owned.before).sum();
    let arrived: usize = findings.owned.iter().map(|owned| owned.arrived).sum();
    out!(
        "{} {arrived} of {before} items now belong to {}",
        mark(arrived == before),
        findings.successor
    );
    for left in &findings.left {
        out!("  {RED}not done: {left}{PLAIN}");
    }
    out!(
        "{} finished {:.1} s after the start\n",
        mark(findings.left.is_empty()),
        findings.seconds
    );
}

pub(super) fn tampered(system: &str, meanwhile: &Tries) {
    out!(
        "Drift: {} is activated again in {system} by hand, which opens {}",
        JANE.name,
        counted(i64::try_from(meanwhile.worked).unwrap_or(i64::MAX), "old login")
    );
}

pub(super) fn drift(drift: &Drift) {
    let facts = drift.facts.join(", ");
    let mended = drift.open_after == 0 && !drift.facts.is_empty();
    out!(
        "{} detected ({facts}), revoked and refused again {:.1} s later\n",
        mark(mended),
        drift.seconds
    );
}

pub(super) fn end(findings: &Findings, folder: &Path) {
    out!("Report     {0}/report.html  {0}/report.json", folder.display());
    out!(
        "Manifests  {}  (the demo's systems have stopped; describe yours the same way)",
        folder.display()
    );
    if !findings.proven() {
        out!("\n{RED}Not everything is proven.{PLAIN}");
    }
}

fn good(text: &str, seconds: f64) {
    out!("{} {text} {FAINT}{seconds:.1} s{PLAIN}", mark(true));
}

fn mark(good: bool) -> String {
    if good {
        format!("{GREEN}✔{PLAIN}")
    } else {
        format!("{RED}✘{PLAIN}")
    }
}

/// Puts short texts with the same sign on one line.
fn joined(lines: &[Line]) -> Vec<(char, String)> {
    let mut joined: Vec<(char, String)> = Vec::new();
    for line in lines {
        let sign = line.mark.sign();
        match joined.last_mut() {
            Some((same, text))
                if *same == sign && text.chars().count() + line.text.chars().count() + 2 <= WIDEST =>
            {
                text.push_str(", ");
                text.push_str(&line.text);
            }
            _ => joined.push((sign, line.text.clone())),
        }
    }
    joined
}
