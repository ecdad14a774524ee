//! `offboard status`: what is known about the leavers of a state folder, worst first.

use std::{collections::BTreeMap, io, path::Path, process::ExitCode};

use jiff::Timestamp;
use serde_json::json;

use super::{
    exit,
    manifests::leaver_of,
    plan::{Output, distance},
    run,
    state::State as Kept,
    terminal::{self, BOLD, FAINT, GREEN, PLAIN, RED, YELLOW, one_line, out, tell},
};
use crate::{
    api::{Condition, ConditionStatus, OffboardingStatus, condition::ACCESS_REVOKED, offboarding::SystemRow},
    core::{case::OBSERVED_ONLY, duplicate::DUPLICATE},
    drive::{Clock, SystemClock, folder, report::EXPOSURE_OPEN},
};

/// The condition of a row whose Connector is broken.
const CONNECTED: &str = "Connected";
/// The condition of a row that is only looked at.
const ENFORCED: &str = "Enforced";

/// Prints the state of every leaver in `state`, or of the one whose name or uid is `leaver`.
///
/// # Errors
/// When the folder cannot be read.
pub fn run(
    state: &Kept,
    leaver: Option<&str>,
    output: Output,
    by_code: bool,
) -> Result<ExitCode, exit::Error> {
    if output == Output::Text {
        state.say();
    }
    let mut known = vec![];
    let path = &state.path;
    let folders = folder::leavers(path).map_err(|error| exit::Error(unreadable(path, &error)))?;
    for name in folders {
        let short = leaver_of(&name);
        if leaver.is_some_and(|wanted| wanted != name && wanted != short) {
            continue;
        }
        if let Some(status) = folder::status_in(&path.join(&name))? {
            known.push((short.to_owned(), status));
        }
    }
    if known.is_empty() {
        let whom = leaver.map_or_else(|| "no leaver".to_owned(), |l| format!("no leaver {l:?}"));
        return Err(exit::Error(format!("{whom} in {}", path.display())));
    }
    let now = SystemClock.now();
    known.sort_by_key(|(name, status)| (State::of(status, now), name.clone()));
    let worst = known.first().map(|(_, status)| State::of(status, now).code());
    match output {
        Output::Json => {
            let rows: Vec<_> = known
                .iter()
                .map(|(name, s)| json!({ "leaver": name, "status": s }))
                .collect();
            terminal::json(&json!({ "leavers": rows, "state": path }))?;
        }
        Output::Text if leaver.is_some() => known.iter().for_each(|(name, status)| tree(name, status)),
        Output::Text => table(&known, state, now),
    }
    Ok(match worst {
        Some(code) if by_code => code.into(),
        _ => ExitCode::SUCCESS,
    })
}

/// Why there is nothing to show.
fn unreadable(state: &Path, error: &io::Error) -> String {
    let path = state.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!(
            "{path}: there is no such folder: nothing was run with it yet. What offboard run -f DIR did is shown by \
             offboard status -f DIR; what it kept in a folder of its own, by the same --state, such as offboard status \
             --state DIR/state"
        ),
        _ => format!("{path}: {error}"),
    }
}

/// A word of a command line as a shell takes it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// How many security facts are not proven; `?` where nothing could be looked at, and `+?` where some system could not.
pub fn left(status: &OffboardingStatus) -> String {
    let blind = |row: &&SystemRow| {
        let due = |c: &&Condition| !matches!(c.type_.as_str(), CONNECTED | ENFORCED) && c.reason != "NotDue";
        let mut due = row.conditions.iter().filter(due).peekable();
        let broken = row.conditions.iter().any(|c| c.type_ == CONNECTED);
        broken || (due.peek().is_some() && due.all(|c| c.status == ConditionStatus::Unknown))
    };
    let uncounted = |row: &&SystemRow| row.conditions.iter().all(|c| c.type_ == CONNECTED);
    let unseen = status.systems.iter().filter(blind).count();
    let uncounted = status.systems.iter().filter(blind).filter(uncounted).count();
    let left = status.access_left.unwrap_or_default();
    match () {
        () if unseen == status.systems.len() => "?".to_owned(),
        () if uncounted > 0 => format!("{left}+?"),
        () => left.to_string(),
    }
}

/// How many checks were verified by a read, and how many could only be requested.
pub fn checks(verified: usize, asserted: usize) -> String {
    let all = verified + asserted;
    let verified = format!("{verified} of {all} checks verified by reading back");
    match asserted {
        0 => verified,
        _ => format!("{verified}; {asserted} requested, and the system cannot show the result"),
    }
}

/// The sentence on top of a leaver whose access is proven gone; absent while it is not.
pub fn proof(status: &OffboardingStatus) -> Option<String> {
    let conditions = || status.systems.iter().flat_map(|row| &row.conditions);
    let with = |reason: &str| conditions().filter(|c| c.reason == reason).count();
    let checks = checks(with("Verified"), with("Asserted"));
    status
        .is_true(ACCESS_REVOKED)
        .then(|| format!("All access removed. {checks}."))
}

fn ready(status: &OffboardingStatus) -> (&str, &str) {
    let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
    ready.map_or(("Unknown", ""), |c| (c.reason.as_str(), c.message.as_str()))
}

/// How a leaver stands, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// Access is left past the deadline, or came back.
    Overdue,
    /// A person must change something.
    NeedsAPerson,
    Working,
    Scheduled,
    /// All is done, and what nobody can shorten lives on for a while.
    Exposed,
    Done,
}

impl State {
    /// The status tells of the last look; a deadline may have passed since.
    fn of(status: &OffboardingStatus, now: Timestamp) -> Self {
        // What is not ours to end yet, or not ours at all, is never late.
        let nobodys = matches!(ready(status).0, OBSERVED_ONLY | DUPLICATE);
        let late = !nobodys && status.deadline.is_some_and(|deadline| deadline < now);
        match run::code(status) {
            exit::ACCESS_LEFT => Self::Overdue,
            _ if late && status.access_left.unwrap_or_default() > 0 => Self::Overdue,
            exit::WAITS_FOR_A_PERSON => Self::NeedsAPerson,
            0 if ready(status).0 == "Scheduled" => Self::Scheduled,
            0 if ready(status).0 == EXPOSURE_OPEN => Self::Exposed,
            0 => Self::Done,
            _ => Self::Working,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Overdue => exit::ACCESS_LEFT,
            Self::NeedsAPerson => exit::WAITS_FOR_A_PERSON,
            Self::Working | Self::Scheduled | Self::Exposed | Self::Done => 0,
        }
    }

    fn sign(self) -> String {
        let (colour, sign) = match self {
            Self::Overdue => (RED, '✖'),
            Self::NeedsAPerson => (YELLOW, '☐'),
            Self::Working => (FAINT, '▶'),
            Self::Scheduled | Self::Exposed => (FAINT, '◷'),
            Self::Done => (GREEN, '✔'),
        };
        format!("{colour}{sign}{PLAIN}")
    }

    fn word(self) -> &'static str {
        match self {
            Self::Overdue => "overdue",
            Self::NeedsAPerson => "needs a person",
            Self::Working => "working",
            Self::Scheduled => "scheduled",
            Self::Exposed => "exposed for a while",
            Self::Done => "done",
        }
    }
}

fn table(known: &[(String, OffboardingStatus)], kept: &Kept, now: Timestamp) {
    let width = known.iter().map(|(name, _)| name.len()).max().unwrap_or(6).max(6);
    out!(
        "{FAINT}{:<width$}  {:<16}  {:<22}  {:<7}  {:<4}  {:<15}  NOTE{PLAIN}",
        "LEAVER",
        "LAST DAY (UTC)",
        "STATE",
        "SYSTEMS",
        "LEFT",
        "DEADLINE"
    );
    let mut counts: BTreeMap<State, usize> = BTreeMap::new();
    for (name, status) in known {
        let (reason, message) = ready(status);
        let state = State::of(status, now);
        *counts.entry(state).or_default() += 1;
        let last = status.cutoff.map(|at| at.strftime("%Y-%m-%d %H:%M").to_string());
        let last = last.unwrap_or_else(|| "-".to_owned());
        let progress = status.progress.as_deref().unwrap_or("-");
        let left = left(status);
        let open = status.deadline.filter(|_| state != State::Done);
        let deadline = open.map_or_else(|| "-".to_owned(), |at| distance(now, at));
        let sign = state.sign();
        let line = format!("{progress:<7}  {left:<4}  {deadline:<15}  {}", one_line(message));
        out!(
            "{name:<width$}  {last:<16}  {sign} {reason:<20}  {}",
            line.trim_end()
        );
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(state, n)| format!("{n} {}", state.word()))
        .collect();
    let next = match known.first() {
        Some((name, _)) => format!(" Next: {}", kept.shown_by(Some(name))),
        None => String::new(),
    };
    tell!("{}.{next}", counts.join(" · "));
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
    if let Some(proof) = proof(status) {
        out!("  {proof}");
    }
    if !message.is_empty() {
        out!("  {}", one_line(message));
    }
    let bad = |row: &SystemRow| {
        let facts = row.conditions.iter().filter(|c| c.type_ != ENFORCED);
        facts
            .filter(|c| c.status != ConditionStatus::True && c.reason != EXPOSURE_OPEN)
            .count()
    };
    let mut rows: Vec<_> = status.systems.iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(bad(row)));
    for row in rows {
        let sign = seal(bad(row) == 0);
        let observed = row.conditions.iter().find(|c| c.type_ == ENFORCED);
        let observed = observed.map(|c| format!("  {YELLOW}{}{PLAIN}", one_line(&c.message)));
        out!(
            "├─ {sign} {}  {}{}",
            one_line(&row.name),
            one_line(row.account.as_deref().unwrap_or("no account")),
            observed.unwrap_or_default()
        );
        for condition in row.conditions.iter().filter(|c| c.type_ != ENFORCED) {
            let sign = match condition.reason.as_str() {
                EXPOSURE_OPEN => State::Exposed.sign(),
                _ => seal(condition.status == ConditionStatus::True),
            };
            let text = format!("{} {}", condition.reason, condition.message);
            let at = condition.last_transition_time.strftime("%Y-%m-%d %H:%M:%S");
            let text = one_line(text.trim());
            out!("│    {sign} {:<24} {text:<40} {at}", condition.type_);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(conditions: &[(&str, &str, &str)], left: i64) -> OffboardingStatus {
        let conditions = conditions.iter().map(|(type_, status, reason)| Condition {
            type_: (*type_).to_owned(),
            status: serde_json::from_value(json!(status)).unwrap(),
            reason: (*reason).to_owned(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Timestamp::UNIX_EPOCH,
        });
        OffboardingStatus {
            conditions: conditions.collect(),
            access_left: Some(left),
            deadline: Some("2026-09-30T18:00:00Z".parse().unwrap()),
            ..OffboardingStatus::default()
        }
    }

    #[test]
    fn a_leaver_without_access_begins_with_how_much_is_proven() {
        let gone = |reasons: &[&str]| OffboardingStatus {
            systems: vec![row(
                "crm",
                &reasons
                    .iter()
                    .map(|reason| ("Fact", "True", *reason))
                    .collect::<Vec<_>>(),
            )],
            ..status(
                &[
                    ("Ready", "True", "Offboarded"),
                    ("AccessRevoked", "True", "Verified"),
                ],
                0,
            )
        };
        let says = |reasons: &[&str]| proof(&gone(reasons)).unwrap();
        assert_eq!(
            says(&["Verified", "Verified", "NoAccount"]),
            "All access removed. 2 of 2 checks verified by reading back."
        );
        assert_eq!(
            says(&["Verified", "Asserted"]),
            "All access removed. 1 of 2 checks verified by reading back; 1 requested, and the system cannot show the result."
        );
        assert_eq!(proof(&status(&[("AccessRevoked", "False", "Revoking")], 1)), None);
    }

    #[test]
    fn a_deadline_that_passed_since_the_last_look_is_seen() {
        let working = status(&[("Ready", "False", "Revoking")], 1);
        let state = |at: &str| State::of(&working, at.parse().unwrap());
        assert_eq!(state("2026-09-30T17:59:00Z"), State::Working);
        assert_eq!(state("2026-09-30T18:01:00Z"), State::Overdue);
        assert_eq!(state("2026-09-30T18:01:00Z").code(), 4);
    }

    /// A row with these conditions: type, status, reason.
    fn row(name: &str, conditions: &[(&str, &str, &str)]) -> SystemRow {
        SystemRow {
            name: name.into(),
            account: None,
            conditions: status(conditions, 0).conditions,
        }
    }

    #[test]
    fn what_nobody_could_look_at_is_a_question_and_no_number() {
        let seen = || row("crm", &[("Disabled", "True", "Verified")]);
        let open = || {
            row(
                "crm",
                &[("Disabled", "False", "NotTried"), ("Quiet", "Unknown", "Timeout")],
            )
        };
        let dark = || {
            row(
                "erp",
                &[
                    ("Disabled", "Unknown", "Unreachable"),
                    ("Deleted", "Unknown", "NotDue"),
                ],
            )
        };
        let broken = || row("wiki", &[("Connected", "False", "ConnectorNotReady")]);
        let early = || row("mail", &[("Disabled", "Unknown", "NotDue")]);
        for (rows, count, shown) in [
            (vec![], 0, "?"),
            (vec![broken()], 0, "?"),
            (vec![dark()], 1, "?"),
            (vec![dark(), broken()], 1, "?"),
            (vec![seen()], 0, "0"),
            (vec![early()], 0, "0"),
            (vec![open()], 2, "2"),
            (vec![seen(), dark()], 1, "1"),
            (vec![seen(), broken()], 0, "0+?"),
        ] {
            let status = OffboardingStatus {
                systems: rows,
                access_left: Some(count),
                ..OffboardingStatus::default()
            };
            assert_eq!(left(&status), shown, "{:?}", status.systems);
        }
    }

    #[test]
    fn what_is_not_ours_to_end_is_never_overdue() {
        let late = "2026-10-30T18:00:00Z".parse().unwrap();
        for reason in [OBSERVED_ONLY, DUPLICATE] {
            let status = status(&[("Ready", "False", reason), ("Stalled", "True", reason)], 3);
            assert_eq!(State::of(&status, late), State::NeedsAPerson, "{reason}");
        }
    }

    #[test]
    fn the_worst_comes_first() {
        let now = "2026-09-30T17:00:00Z".parse().unwrap();
        let states = [
            status(&[("Ready", "True", "Offboarded")], 0),
            status(&[("Ready", "True", "Scheduled")], 0),
            status(&[("Ready", "False", "Revoking")], 2),
            status(
                &[
                    ("Ready", "False", "PermissionDenied"),
                    ("Stalled", "True", "PermissionDenied"),
                ],
                2,
            ),
            status(
                &[
                    ("Ready", "False", "AccessReappeared"),
                    ("Drifted", "True", "AccessReappeared"),
                ],
                2,
            ),
        ];
        let mut states = states.map(|status| State::of(&status, now));
        states.sort_unstable();
        assert_eq!(
            states,
            [
                State::Overdue,
                State::NeedsAPerson,
                State::Working,
                State::Scheduled,
                State::Done
            ]
        );
    }
}
