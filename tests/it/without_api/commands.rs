//! A legacy system behind a command of this machine: a real program with real files.

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc};

use offboard::{
    connectors::job::LocalRunner,
    core::{
        fact::{Verdict, Why},
        fault::{Fault, Reason},
    },
};
use serde_json::json;

use super::System;
use crate::support::Scratch;

/// The legacy system's files.
struct Legacy(Scratch);

impl Legacy {
    fn new() -> Self {
        let home = Scratch::new("legacy");
        fs::create_dir_all(home.join("accounts")).unwrap();
        let legacy = Self(home);
        legacy.write("password", "s3cret");
        legacy.write("accounts/7", "jane@example.com\nopen\n");
        legacy.write("accounts/8", "sam@example.com\nopen\n");
        legacy.write("legacy.sh", include_str!("legacy.sh"));
        let program = legacy.0.join("legacy.sh");
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
        legacy
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    /// The state of an account, by the system's own file.
    fn state(&self, id: &str) -> String {
        let text = fs::read_to_string(self.0.join("accounts").join(id)).unwrap();
        text.lines().nth(1).unwrap().to_owned()
    }

    /// How often something was asked for.
    fn count(&self, what: &str) -> usize {
        let journal = fs::read_to_string(self.0.join("journal")).unwrap_or_default();
        journal.lines().filter(|line| *line == what).count()
    }

    fn system(&self) -> System<'static> {
        let inputs = json!({"program": self.0.join("legacy.sh"), "home": self.0.to_path_buf()});
        System {
            secret: vec![("password", "s3cret".to_owned())],
            runner: Some(Arc::new(LocalRunner)),
            ..System::new(include_str!("legacy.yaml"), inputs)
        }
    }
}

#[tokio::test]
async fn a_leaver_is_found_locked_and_read_back_by_a_program_and_nobody_else_is_touched() {
    let legacy = Legacy::new();
    let mut leaver = legacy.system().leaver();
    assert!(leaver.settles(5).await, "{:?}", leaver.all());
    assert_eq!(leaver.verdict("AccountLocked"), Verdict::Verified);
    assert_eq!(
        (legacy.state("7"), legacy.state("8")),
        ("locked".into(), "open".into())
    );
    assert_eq!(legacy.count("lock"), 1);
    leaver.take_back().await;
    assert_eq!(legacy.state("7"), "open");
}

#[tokio::test]
async fn a_program_that_hangs_after_it_worked_is_killed_and_its_work_is_seen_not_repeated() {
    let legacy = Legacy::new();
    legacy.write("hangs", "");
    let mut leaver = legacy.system().leaver();
    assert!(leaver.settles(8).await, "{:?}", leaver.all());
    assert_eq!(leaver.verdict("AccountLocked"), Verdict::Verified);
    assert_eq!(legacy.count("lock"), 1);
}

#[tokio::test]
async fn what_its_exit_codes_mean_is_told_apart() {
    let legacy = Legacy::new();
    legacy.write("closed", "");
    let mut leaver = legacy.system().leaver();
    leaver.pass().await;
    let transient = Fault::transient(Reason::SystemUnavailable).with_code("exit 75");
    assert_eq!(leaver.verdict("AccountLocked"), Verdict::Unknown(transient));
    fs::remove_file(legacy.0.join("closed")).unwrap();
    // The definition's own rule.
    legacy.write("owner", "");
    leaver.wait(3600);
    leaver.pass().await;
    let protected = Fault::needs_decision(Reason::Protected).with_code("exit 3");
    assert_eq!(
        leaver.verdict("AccountLocked"),
        Verdict::Unmet(Why::Failed(protected))
    );
    assert_eq!(legacy.state("7"), "open");
}

#[tokio::test]
async fn a_wrong_password_is_a_missing_right() {
    let legacy = Legacy::new();
    legacy.write("password", "changed");
    let mut leaver = legacy.system().leaver();
    leaver.pass().await;
    let denied = Fault::permanent(Reason::PermissionDenied).with_code("exit 77");
    assert_eq!(leaver.verdict("AccountLocked"), Verdict::Unknown(denied));
}

#[test]
fn where_nobody_said_so_no_program_of_a_manifest_is_run() {
    let legacy = Legacy::new();
    let folder = Scratch::new("manifests");
    let connector = json!({
        "apiVersion": "offboard.dev/v1alpha1", "kind": "Connector", "metadata": {"name": "legacy"},
        "spec": {
            "definition": "legacy", "secretRef": {"name": "login"},
            "inputs": {"program": legacy.0.join("legacy.sh"), "home": legacy.0.to_path_buf()},
        },
    });
    let leaver = json!({
        "apiVersion": "offboard.dev/v1alpha1", "kind": "Offboarding", "metadata": {"name": "jane"},
        "spec": {"employee": {"email": "jane@example.com"}, "urgency": "Immediate"},
    });
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login", "annotations": {"offboard.dev/definitions": "legacy"}},
        "stringData": {"password": "s3cret"},
    });
    for (name, object) in [("connector", connector), ("leaver", leaver), ("secret", secret)] {
        fs::write(folder.join(format!("{name}.json")), object.to_string()).unwrap();
    }
    fs::write(folder.join("definition.yaml"), include_str!("legacy.yaml")).unwrap();
    let offboard = |command: &str, more: &[&str]| {
        let mut offboard = std::process::Command::new(env!("CARGO_BIN_EXE_offboard"));
        offboard.arg(command).arg("-f").arg(&*folder).args(more);
        offboard.env("XDG_STATE_HOME", folder.join(".state"));
        let ran = offboard.output().unwrap();
        (ran.status.code(), String::from_utf8(ran.stdout).unwrap())
    };
    for command in ["plan", "run"] {
        let (_, text) = offboard(command, &[]);
        assert!(text.contains("--local-commands"), "{text}");
        assert_eq!(legacy.count("find"), 0, "{command}");
    }
    let (code, text) = offboard("plan", &["--local-commands"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!((legacy.count("find"), legacy.count("lock")), (1, 0));
    let (code, text) = offboard("run", &["--local-commands"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(legacy.state("7"), "locked");
}
