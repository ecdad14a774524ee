//! State lies outside of the manifests, where git takes nothing of it, and what was kept elsewhere before is gone on with.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt, path::Path};

use super::*;

/// A desk whose user has a home for state of their own.
struct Home {
    desk: Desk,
    home: Scratch,
}

impl Home {
    fn of(company: &Company) -> Self {
        let (desk, home) = (Desk::of(company), Scratch::new("home"));
        Self { desk, home }
    }

    /// `offboard COMMAND -f FOLDER MORE`, with nothing said about where the state is.
    fn ran(&self, command: &str, more: &[&str]) -> Output {
        let arguments = [&[command, "-f", self.desk.path()], more].concat();
        offboard(&arguments)
            .env("XDG_STATE_HOME", &*self.home)
            .output()
            .unwrap()
    }

    /// The only folder of state in the home.
    fn state(&self) -> PathBuf {
        let states = fs::read_dir(self.home.join("offboard")).unwrap();
        let states: Vec<_> = states.map(|entry| entry.unwrap().path()).collect();
        assert_eq!(states.len(), 1, "{states:?}");
        states[0].clone()
    }
}

fn first_line(output: &Output) -> &str {
    text(&output.stderr).lines().next().unwrap_or_default()
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let ran = Command::new("git")
        .args(["-c", "user.name=test", "-c", "user.email=test@example.com", "-C"])
        .arg(folder)
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(ran.status.success(), "{arguments:?}: {}", text(&ran.stderr));
    text(&ran.stdout).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn state_is_outside_of_the_manifests_and_every_command_says_where() {
    let company = Company::start().await.unwrap();
    let user = Home::of(&company);
    let before = ways_in(&company).await;
    let plan = user.ran("plan", &[]);
    assert!(
        first_line(&plan).starts_with("State: ") && !user.home.join("offboard").exists(),
        "{}",
        text(&plan.stderr)
    );
    assert!(before > 0 && ways_in(&company).await == before);

    let run = user.ran("run", &[]);
    assert_eq!(code(&run), 0, "{}", text(&run.stderr));
    assert!(
        !user.desk.state().exists(),
        "nothing is written into the manifests"
    );
    let state = user.state();
    let manifests = user.desk.0.canonicalize().unwrap();
    let line = format!("State: {} (of {})", state.display(), manifests.display());
    assert_eq!(first_line(&user.ran("status", &[])), line);
    let new = line.replace(')', "; new)");
    assert_eq!(
        (first_line(&plan), first_line(&run)),
        (new.as_str(), new.as_str())
    );
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&user.home.join("offboard")), 0o700);
    assert_eq!(mode(&state), 0o700);
    let leaver = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path());
    let leaver = leaver.into_iter().find(|path| path.is_dir()).unwrap();
    assert_eq!((mode(&leaver), mode(&leaver.join("record.json"))), (0o700, 0o600));

    // A file of the folder, and another way to it, are the same leavers.
    let file = user.desk.0.join("jane-doe.yaml");
    let arguments = ["status", "-f", file.to_str().unwrap(), "--exit-status"];
    let mut by_file = offboard(&arguments);
    let by_file = by_file.env("XDG_STATE_HOME", &*user.home).output().unwrap();
    assert_eq!((code(&by_file), first_line(&by_file)), (0, line.as_str()));
    let mut here = offboard(&["status", "jane-doe"]);
    here.env("XDG_STATE_HOME", &*user.home).current_dir(&*user.desk.0);
    let here = here.output().unwrap();
    assert_eq!((code(&here), first_line(&here)), (0, line.as_str()));
    assert!(
        text(&run.stderr).contains(&format!("Next: offboard status -f {}\n", user.desk.path())),
        "{}",
        text(&run.stderr)
    );

    // For programs there is nothing but JSON.
    for command in ["plan", "status"] {
        let output = user.ran(command, &["-o", "json"]);
        assert_eq!((code(&output), text(&output.stderr)), (0, ""));
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(shown["state"], state.to_str().unwrap(), "{command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_run_kept_inside_the_manifests_is_gone_on_with() {
    let company = Company::start().await.unwrap();
    let user = Home::of(&company);
    assert_eq!(code(&user.desk.ran("run", &[])), 0);
    let record = user.desk.record();
    let run = user.ran("run", &[]);
    assert_eq!(code(&run), 0, "{}", text(&run.stderr));
    let inside = user.desk.state();
    assert!(
        first_line(&run).starts_with(&format!("State: {} (inside", inside.display())),
        "{}",
        first_line(&run)
    );
    assert!(!user.home.join("offboard").exists());
    let evidence = |record: &Value| record["evidence"].as_array().unwrap().clone();
    assert!(evidence(&user.desk.record()).starts_with(&evidence(&record)));

    // What it says to do does it.
    let (_, fix) = first_line(&run).split_once("out of there: ").unwrap();
    let fix = fix.trim_end_matches(')');
    let moved = Command::new("sh").args(["-c", fix]).output().unwrap();
    assert!(moved.status.success(), "{fix}: {}", text(&moved.stderr));
    let status = user.ran("status", &["--exit-status"]);
    assert_eq!(code(&status), 0, "{}", text(&status.stderr));
    assert!(first_line(&status).starts_with(&format!("State: {} (of", user.state().display())));

    // Of two nobody knows which one is right.
    fs::create_dir_all(inside.join("jane-doe")).unwrap();
    fs::write(inside.join("jane-doe/lock"), "").unwrap();
    for command in ["plan", "run", "status"] {
        let output = user.ran(command, &[]);
        assert_eq!(code(&output), 1, "{command}");
        assert!(
            text(&output.stderr).contains("there are two states of"),
            "{}",
            text(&output.stderr)
        );
    }
    let given = user.ran("plan", &["--state", user.state().to_str().unwrap()]);
    assert_eq!(code(&given), 0, "{}", text(&given.stderr));
    assert!(
        first_line(&given).contains("(not the one in "),
        "{}",
        first_line(&given)
    );

    // A folder of manifests that is called so is no state, and a link to some is not followed by itself.
    fs::remove_dir_all(&inside).unwrap();
    fs::create_dir(&inside).unwrap();
    assert_eq!(code(&user.ran("plan", &[])), 0);
    fs::remove_dir(&inside).unwrap();
    std::os::unix::fs::symlink(user.state(), &inside).unwrap();
    let linked = user.ran("plan", &[]);
    assert_eq!(code(&linked), 1);
    assert!(
        text(&linked.stderr).contains("/state: a link"),
        "{}",
        text(&linked.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_git_tracks_is_no_state() {
    let company = Company::start().await.unwrap();
    for version in ["2", "3", "4"] {
        let user = Home::of(&company);
        let root = &*user.desk.0;
        git(root, &["init", "--quiet"]);
        git(root, &["config", "index.version", version]);
        assert_eq!(
            code(&user.desk.ran("run", &[])),
            0,
            "an own folder that ignores itself"
        );
        git(root, &["add", "--all"]);
        if version == "3" {
            git(root, &["add", "--intent-to-add", "--force", "secrets"]);
        }
        assert_eq!(git(root, &["ls-files", "state"]), "");
        assert_eq!(code(&user.ran("plan", &[])), 0);

        git(root, &["add", "--force", "state"]);
        for (command, more) in [
            ("plan", &[][..]),
            ("run", &[]),
            ("status", &[]),
            ("plan", &["-o", "json"]),
            ("run", &["--state", user.desk.state().to_str().unwrap()]),
        ] {
            let output = user.ran(command, more);
            assert_eq!(code(&output), 1, "{command}");
            assert!(output.stdout.is_empty());
            assert!(
                text(&output.stderr).contains("state: git tracks state/"),
                "version {version}: {command}: {}",
                text(&output.stderr)
            );
        }
        // What it says to do does it, and nothing is lost.
        let refused = user.ran("run", &[]);
        let (_, fix) = text(&refused.stderr).split_once("Nothing is lost by: ").unwrap();
        let (fix, _) = fix.split_once("; then").unwrap();
        assert!(
            Command::new("sh").args(["-c", fix]).status().unwrap().success(),
            "{fix}"
        );
        let run = user.ran("run", &[]);
        assert_eq!(code(&run), 0, "{}", text(&run.stderr));
        assert!(!git(root, &["status", "--short"]).contains("?? state"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_git_would_take_is_ignored_or_refused() {
    let company = Company::start().await.unwrap();
    let user = Home::of(&company);
    let root = &*user.desk.0;
    git(root, &["init", "--quiet", "--object-format=sha256"]);
    let kept = root.join("kept");
    let state = ["--state", kept.to_str().unwrap()];
    fs::create_dir(&kept).unwrap();
    fs::write(kept.join(".gitignore"), "*.tmp\n").unwrap();
    let refused = user.ran("run", &state);
    assert_eq!(code(&refused), 1);
    let refusal = text(&refused.stderr);
    assert!(refusal.contains("does not ignore it"), "{refusal}");
    let fix = refusal.trim_end().rsplit_once(": ").unwrap().1;
    assert!(
        Command::new("sh").args(["-c", fix]).status().unwrap().success(),
        "{fix}"
    );
    assert_eq!(code(&user.ran("run", &state)), 0);
    // One that was made by hand is made to ignore itself.
    fs::remove_file(kept.join(".gitignore")).unwrap();
    assert_eq!(code(&user.ran("run", &state)), 0);
    git(root, &["add", "--all"]);
    assert_eq!(git(root, &["ls-files", "kept"]), "");
    assert!(git(root, &["ls-files"]).contains("jane-doe.yaml"));
    git(root, &["add", "--force", "kept"]);
    assert_eq!(code(&user.ran("run", &state)), 1);

    // What cannot be told is no no.
    for broken in [
        &b"DIRC\0\0\0\x09"[..],
        b"nothing",
        &fs::read(root.join(".git/index")).unwrap()[..99],
    ] {
        fs::write(root.join(".git/index"), broken).unwrap();
        let refused = user.ran("run", &state);
        assert_eq!(code(&refused), 1);
        assert!(
            text(&refused.stderr).contains("is not to be told"),
            "{}",
            text(&refused.stderr)
        );
    }
}

/// Everything below a folder, by path, with what is in it.
fn everything(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(everything(&entry.path()));
        } else {
            found.insert(entry.path(), fs::read(entry.path()).unwrap_or_default());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_elsewhere_is_refused_and_nothing_is_written() {
    let company = Company::start().await.unwrap();
    let before = ways_in(&company).await;
    for (name, uid) in [("../../x", None), ("x", Some("../../x")), ("..", None)] {
        let user = Home::of(&company);
        let mut metadata = json!({"name": name});
        if let Some(uid) = uid {
            metadata["uid"] = json!(uid);
        }
        let manifest = json!({
            "apiVersion": "offboard.dev/v1alpha1",
            "kind": "Offboarding",
            "metadata": metadata,
            "spec": {"employee": {"email": "nobody@example.com"}, "urgency": "Immediate"},
        });
        let only = user.home.join("only");
        fs::create_dir(&only).unwrap();
        fs::write(only.join("x.json"), manifest.to_string()).unwrap();
        let files = || {
            let mut files = everything(&user.home);
            files.retain(|path, _| !path.starts_with(user.home.join("a/b/offboard")));
            files
        };
        let there = files();
        for command in ["plan", "run"] {
            let ran = offboard(&[command, "-f", only.to_str().unwrap()])
                .env("XDG_STATE_HOME", user.home.join("a/b"))
                .output()
                .unwrap();
            if uid.is_none() {
                assert_ne!(code(&ran), 0, "{}", text(&ran.stdout));
                let shown = text(&ran.stderr).to_owned() + text(&ran.stdout);
                assert!(shown.contains("metadata.name"), "{shown}");
            }
            assert_eq!(files(), there, "{command} {name} {uid:?}");
        }
    }
    assert_eq!(ways_in(&company).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_others_could_exchange_is_not_worked_with() {
    use std::os::unix::fs::{PermissionsExt, chown};

    let company = Company::start().await.unwrap();
    let before = ways_in(&company).await;
    let desk = Desk::of(&company);
    let (open, state) = (desk.0.join("open"), desk.0.join("open/state"));
    fs::create_dir_all(&state).unwrap();
    let state_of = |path: &Path| ["--state".to_owned(), path.to_str().unwrap().to_owned()];
    let refused = |path: &Path, why: &str| {
        for command in ["plan", "run"] {
            let ran = desk.ran(command, &state_of(path).each_ref().map(String::as_str));
            assert_eq!(code(&ran), 1, "{command} {}", text(&ran.stderr));
            assert!(
                text(&ran.stderr).contains(why),
                "{command}: {}",
                text(&ran.stderr)
            );
        }
    };
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    refused(&state, "open: others may write to it");
    let way = desk.0.join("way");
    std::os::unix::fs::symlink(&open, &way).unwrap();
    refused(&way.join("state"), "open: others may write to it");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    // Only root gives files away.
    if chown(&state, Some(4321), None).is_ok() {
        refused(&state, "state: belongs to user 4321");
        chown(&state, Some(0), None).unwrap();
    }
    assert_eq!(ways_in(&company).await, before, "nothing was ended");
    let ran = desk.ran("plan", &state_of(&state).each_ref().map(String::as_str));
    assert_eq!(code(&ran), 0, "{}", text(&ran.stderr));
}
