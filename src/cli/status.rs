//! `offboard status`: what is known about the leavers of a state folder, worst first.

use std::{fs, path::Path, process::ExitCode};

use serde_json::json;

use super::{
    exit,
    manifests::UID,
    plan::Output,
    run,
    terminal::{BOLD, FAINT, GREEN, PLAIN, RED, out},
};
use crate::{
    api::{ConditionStatus, OffboardingStatus},
    drive::folder,
};

/// Prints the state of every leaver in `state`, or of the one whose name or uid is `leaver`.
///
/// # Errors
/// When the folder cannot be read.
pub fn run(
    state: &Path,
    leaver: Option<&str>,
    output: Output,
    by_code: bool,
) -> Result<ExitCode, exit::Error> {
    let mut known = vec![];
    let entries = fs::read_dir(state).map_err(|e| exit::Error(format!("{}: {e}", state.display())))?;
    for entry in entries {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default()
            .to_owned();
        let short = name_of(&name);
        if leaver.is_some_and(|wanted| wanted != name && wanted != short) {
            continue;
        }
        if let Some(status) = folder::status_in(&path)? {
            known.push((short.to_owned(), status));
        }
    }
    if known.is_empty() {
        let whom = leaver.map_or_else(|| "no leaver".to_owned(), |l| format!("no leaver {l:?}"));
        return Err(exit::Error(format!("{whom} in {}", state.display())));
    }
    known.sort_by_key(|(name, status)| (std::cmp::Reverse(run::code(status)), name.clone()));
    let worst = known
        .iter()
        .map(|(_, status)| run::code(status))
        .max()
        .unwrap_or_default();
    match output {
        Output::Json => {
            let rows: Vec<_> = known
                .iter()
                .map(|(name, s)| json!({ "leaver": name, "status": s }))
                .collect();
            let text =
                serde_json::to_string_pretty(&json!({ "leavers": rows })).map_err(std::io::Error::from)?;
            out!("{text}");
        }
        Output::Text if leaver.is_some() => known.iter().for_each(|(name, status)| tree(name, status)),
        Output::Text => table(&known),
    }
    Ok(if by_code { worst.into() } else { ExitCode::SUCCESS })
}

/// The leaver's name: that of the folder without the digest that `identify` appends to it.
fn name_of(folder: &str) -> &str {
    match folder.rsplit_once('-') {
        Some((name, digest)) if digest.len() == UID && digest.bytes().all(|b| b.is_ascii_hexdigit()) => name,
        _ => folder,
    }
}

fn ready(status: &OffboardingStatus) -> (&str, &str) {
    let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
    ready.map_or(("Unknown", ""), |c| (c.reason.as_str(), c.message.as_str()))
}

fn table(known: &[(String, OffboardingStatus)]) {
    let width = known.iter().map(|(name, _)| name.len()).max().unwrap_or(6).max(6);
    out!(
        "{FAINT}{:<width$}  {:<20}  {:<7}  {:<4}  NOTE{PLAIN}",
        "LEAVER",
        "STATE",
        "SYSTEMS",
        "LEFT"
    );
    for (name, status) in known {
        let (reason, message) = ready(status);
        let progress = status.progress.as_deref().unwrap_or("-");
        let left = status.access_left.unwrap_or_default();
        out!("{name:<width$}  {reason:<20}  {progress:<7}  {left:<4}  {message}");
    }
}

fn seal(good: bool) -> String {
    if good {
        format!("{GREEN}✔{PLAIN}")
    } else {
        format!("{RED}✖{PLAIN}")
    }
}

fn tree(name: &str, status: &OffboardingStatus) {
    let (reason, message) = ready(status);
    out!("{BOLD}{name}{PLAIN} · {reason}");
    if !message.is_empty() {
        out!("  {message}");
    }
    let bad = |row: &crate::api::offboarding::SystemRow| {
        row.conditions
            .iter()
            .filter(|c| c.status != ConditionStatus::True)
            .count()
    };
    let mut rows: Vec<_> = status.systems.iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(bad(row)));
    for row in rows {
        let sign = seal(bad(row) == 0);
        out!(
            "├─ {sign} {}  {}",
            row.name,
            row.account.as_deref().unwrap_or("no account")
        );
        for condition in &row.conditions {
            let sign = seal(condition.status == ConditionStatus::True);
            let text = format!("{} {}", condition.reason, condition.message);
            let at = condition.last_transition_time.strftime("%Y-%m-%d %H:%M:%S");
            out!("│    {sign} {:<24} {:<40} {at}", condition.type_, text.trim());
        }
    }
}
