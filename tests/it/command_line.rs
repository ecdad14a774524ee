//! The program as people and scripts start it, on a folder of manifests, without a cluster.

mod codes;
mod definition;
mod drift;
mod folder;
mod login_names;
mod said;
mod scope;
mod shown;
mod state;
mod way_back;

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use jiff::{Timestamp, tz::TimeZone};
use offboard::company::{Company, JANE, SAM};
use serde_json::{Value, json};

use crate::{
    google_workspace::scene::{LEA, SUE, Scene},
    support::Scratch,
};

/// More than any of this takes.
const PATIENCE: Duration = Duration::from_mins(2);

/// Where the program keeps its state if nobody says where: never in the home of whoever runs the tests.
const STATE_HOME: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/state-home");

fn offboard(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_offboard"));
    command
        .args(arguments)
        .env("XDG_STATE_HOME", STATE_HOME)
        .env_remove("NO_COLOR")
        .stdin(Stdio::null());
    command
}

/// A folder of manifests.
struct Desk(Scratch);

impl Desk {
    /// The company's own.
    fn of(company: &Company) -> Self {
        let desk = Self(Scratch::new("desk"));
        let now = Timestamp::now().to_zoned(TimeZone::UTC);
        company.manifests(&now).unwrap().write(&desk.0).unwrap();
        desk
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// `offboard COMMAND -f FOLDER MORE`, with its state in the folder, unless that says where.
    fn command(&self, command: &str, more: &[&str]) -> Command {
        let state = self.state();
        let state = ["--state", state.to_str().unwrap()];
        let state = if more.contains(&"--state") {
            &[][..]
        } else {
            &state
        };
        offboard(&[&[command, "-f", self.path()], state, more].concat())
    }

    fn ran(&self, command: &str, more: &[&str]) -> Output {
        self.command(command, more).output().unwrap()
    }

    fn state(&self) -> PathBuf {
        self.0.join("state")
    }

    /// `offboard status` over the folder's state.
    fn status(&self, more: &[&str]) -> Output {
        let state = self.state();
        let command = ["status", "--state", state.to_str().unwrap()];
        offboard(&[&command[..], more].concat()).output().unwrap()
    }

    /// The state of the only leaver.
    fn leaver(&self) -> PathBuf {
        let mut folders = fs::read_dir(self.state())
            .unwrap()
            .map(|entry| entry.unwrap().path());
        folders.find(|path| path.is_dir()).unwrap()
    }

    /// The only record.
    fn record(&self) -> Value {
        let text = fs::read_to_string(self.leaver().join("record.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

async fn ways_in(company: &Company) -> usize {
    let tried = company.attempts(&JANE).await.unwrap();
    tried.iter().filter(|attempt| attempt.worked).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_changes_nothing_and_says_the_same_until_something_changes() {
    let company = Company::start().await.unwrap();
    let before = ways_in(&company).await;
    let desk = Desk::of(&company);
    let plan = desk.ran("plan", &["--detailed-exitcode"]);
    assert_eq!(code(&plan), 2, "{}", text(&plan.stderr));
    let shown = text(&plan.stdout);
    for line in [
        "jane-doe · Jane Doe · jane.doe@acme.test · employee 10117 · access open, to end by",
        "- leave 14 groups",
        "· memberships gone, once groups left",
        "~ 1204 messages → sam.lee@acme.test",
    ] {
        assert!(shown.contains(line), "{line} in\n{shown}");
    }
    assert!(!shown.contains('\u{1b}') && text(&plan.stderr).contains("Nothing was changed."));
    assert!(!desk.state().exists(), "a look makes no folder");

    let json = || {
        let output = desk.ran("plan", &["-o", "json"]);
        assert_eq!(code(&output), 0, "{}", text(&output.stderr));
        assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
        let plans: Value = serde_json::from_slice(&output.stdout).unwrap();
        plans["plans"][0].clone()
    };
    let (one, two) = (json(), json());
    assert_eq!(one["digest"], two["digest"]);
    assert!(shown.contains(one["digest"].as_str().unwrap()));

    assert_eq!(ways_in(&company).await, before);

    let run = desk.ran("run", &[]);
    assert_eq!(code(&run), 0, "{}", text(&run.stdout));
    assert!(!text(&run.stdout).contains('\u{1b}'));
    assert_eq!(ways_in(&company).await, 0);
    let after = desk.ran("plan", &["--detailed-exitcode"]);
    assert_eq!(code(&after), 0, "{}", text(&after.stdout));
    assert_ne!(json()["digest"], one["digest"]);
    let status = desk.status(&["--exit-status"]);
    assert_eq!(code(&status), 0);
    assert!(
        text(&status.stdout).contains("✔ Offboarded"),
        "{}",
        text(&status.stdout)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_can_be_made_while_somebody_is_at_work_and_a_second_run_cannot() {
    let company = Company::start().await.unwrap();
    let desk = Desk::of(&company);
    assert_eq!(code(&desk.ran("run", &[])), 0);
    let lock = fs::File::create(desk.leaver().join("lock")).unwrap();
    lock.lock().unwrap();
    let run = desk.ran("run", &[]);
    assert_eq!(code(&run), 1);
    assert!(
        text(&run.stderr).contains("in use by another process"),
        "{}",
        text(&run.stderr)
    );
    let again = desk.ran("plan", &["-o", "json"]);
    assert_eq!(code(&again), 0, "{}", text(&again.stderr));
    let plans: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(plans["plans"][0]["lines"][0]["mark"], "keep");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaver_with_an_error_keeps_no_other_from_being_planned_and_driven() {
    let company = Company::start().await.unwrap();
    let desk = Desk::of(&company);
    let wrong = json!({
        "apiVersion": "offboard.dev/v1alpha1", "kind": "Offboarding", "metadata": {"name": "bad"},
        "spec": {"employee": {"email": "bad@acme.test"}, "lastDay": "2026-09-30",
                 "cutoff": {"timeZone": "Mars/Olympus"}},
    });
    fs::write(desk.0.join("bad.json"), wrong.to_string()).unwrap();
    for (command, done) in [("plan", "- leave 14 groups"), ("run", "jane-doe: Offboarded")] {
        let output = desk.ran(command, &[]);
        assert_eq!(code(&output), 1, "{command}");
        let said = text(&output.stderr);
        assert!(
            said.contains("Offboarding bad: spec.cutoff.timeZone"),
            "{command}: {said}"
        );
        assert!(text(&output.stdout).contains(done), "{}", text(&output.stdout));
    }
    assert_eq!(ways_in(&company).await, 0);
}

#[test]
fn a_wrong_command_line_is_told_from_a_failure() {
    for wrong in [
        &["plan"][..],
        &["plan", "-f", ".", "-o", "xml"],
        &["run", "-f", ".", "--wait", "soon"],
        &["crds", "--write", "a", "--chart", "b"],
        &["nosuch"],
        &[],
    ] {
        let output = offboard(wrong).output().unwrap();
        assert_eq!(code(&output), 64, "{wrong:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{wrong:?}");
    }
    let missing = offboard(&["plan", "-f", "/nosuch"]).output().unwrap();
    assert_eq!(code(&missing), 1);
    assert_eq!(code(&offboard(&["--help"]).output().unwrap()), 0);
}

#[test]
fn a_reader_that_has_seen_enough_breaks_nothing() {
    let mut show = offboard(&["definition", "show", "scim"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(show.stdout.take());
    let ended = show.wait_with_output().unwrap();
    assert_eq!((code(&ended), text(&ended.stderr)), (0, ""));
}

/// Runs a command line as on a terminal, and gives what the terminal was sent.
fn on_a_terminal(command: &str, no_color: bool) -> String {
    let mut script = Command::new("script");
    script
        .args(["-qec", command, "/dev/null"])
        .env("TERM", "xterm")
        .stdin(Stdio::null());
    if no_color {
        script.env("NO_COLOR", "1");
    } else {
        script.env_remove("NO_COLOR");
    }
    text(&script.output().unwrap().stdout).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_gets_colours_unless_they_are_not_wanted_and_sees_how_far_it_is() {
    let company = Company::start().await.unwrap();
    let desk = Desk::of(&company);
    let program = env!("CARGO_BIN_EXE_offboard");
    let line = |command: &str| format!("{program} {command} -f {0} --state {0}/state", desk.path());
    const RED: &str = "\u{1b}[31m";
    assert!(on_a_terminal(&line("plan"), false).contains(RED));
    assert!(!on_a_terminal(&line("plan"), true).contains(RED));
    let run = on_a_terminal(&line("run"), false);
    assert!(run.contains("systems · ") && run.contains("\r\u{1b}[K"), "{run}");
    assert_eq!(ways_in(&company).await, 0);
}

/// Kills with SIGKILL whatever is done about the leavers of a folder, again and again, at another request each time,
/// until a run comes to its end (the thirteenth is let go); gives the number of kills and the last output. `requests` is how many were sent so far.
fn killed_until_done(desk: &Desk, requests: impl Fn() -> usize, mut seed: u64) -> (usize, Output) {
    let ended = |child: &mut Child| child.try_wait().unwrap().is_some();
    for kills in 0.. {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let until = requests() + 1 + usize::try_from(seed >> 33).unwrap() % 20;
        let mut child = desk
            .command("run", &["--wait", "3m"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let begun = std::time::Instant::now();
        // The next request is milliseconds away, or a minute where an intent without an answer is waited for.
        while requests() < until && !ended(&mut child) && begun.elapsed() < PATIENCE {
            std::thread::yield_now();
        }
        if ended(&mut child) || kills >= 12 {
            return (kills, child.wait_with_output().unwrap());
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    unreachable!("the last round ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_at_any_request_goes_on_to_the_same_end() {
    for seed in [1, 2, 3] {
        let company = Company::start().await.unwrap();
        let owned: usize = company.owned_by(&JANE).iter().map(|(_, n)| n).sum();
        let sams: usize = company.owned_by(&SAM).iter().map(|(_, n)| n).sum();
        let desk = Desk::of(&company);
        let (kills, last) = killed_until_done(&desk, || company.requests(), seed);
        assert!(kills >= 3, "only {kills} kills");
        assert_eq!(code(&last), 0, "seed {seed}: {}", text(&last.stdout));
        assert_eq!(ways_in(&company).await, 0, "seed {seed}");
        let arrived: usize = company.owned_by(&SAM).iter().map(|(_, n)| n).sum();
        assert_eq!(arrived, sams + owned, "seed {seed}: everything arrived, once");
        // What was taken is known as it was before the first kill: nothing is missing that a rehire would need.
        let snapshot = &desk.record()["ledger"]["systems"]["directory"]["snapshot"]["GroupsLeft"];
        assert_eq!(snapshot.as_array().unwrap().len(), 14, "seed {seed}");
        let plan = desk.ran("plan", &["--detailed-exitcode"]);
        assert_eq!(code(&plan), 0, "seed {seed}: {}", text(&plan.stdout));
    }
}

/// A desk with Lea and Google, whose transfers must not be asked for twice.
fn desk_of(scene: &Scene) -> Desk {
    let desk = Desk(Scratch::new("desk"));
    let definition = offboard::connectors::declarative::builtin("google-workspace").unwrap();
    // An answer that was lost is waited for no longer than a test can wait.
    let definition = definition
        .replace("settle: 10m", "settle: 2s")
        .replace("settle: 2m", "settle: 2s");
    fs::write(
        desk.0.join("definition.yaml"),
        definition.replace("name: google-workspace", "name: google"),
    )
    .unwrap();
    let object = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "offboard.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    let connector = json!({
        "definition": "google", "inputs": scene.setup().inputs, "secretRef": {"name": "google"},
    });
    let lea = json!({
        "employee": {"email": LEA}, "urgency": "Immediate", "transfers": [{"what": "Everything", "to": SUE}],
    });
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "google", "annotations": crate::support::scope("google")},
        "stringData": {"privateKey": scene.account.private_key},
    });
    for (file, object) in [
        ("connector.json", object("Connector", "google", connector)),
        ("lea.json", object("Offboarding", "lea", lea)),
        ("secret.json", secret),
    ] {
        fs::write(desk.0.join(file), object.to_string()).unwrap();
    }
    desk
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_be_asked_for_twice_is_not_although_the_run_is_killed_at_any_request() {
    for seed in [4, 5] {
        let scene = Scene::new().await;
        let desk = desk_of(&scene);
        let (kills, last) = killed_until_done(&desk, || scene.google.control().journal().len(), seed);
        assert!(kills >= 3, "only {kills} kills");
        let facts = &desk.record()["ledger"]["systems"]["google"]["facts"];
        assert_eq!(code(&last), 0, "seed {seed}: {}\n{facts:#}", text(&last.stdout));
        let transfers = scene.changes("/transfers").len();
        assert_eq!(
            transfers, 2,
            "seed {seed}: one for Drive and one for the calendar"
        );
        scene.is_handed_over().await;
        scene.is_over().await;
    }
}
