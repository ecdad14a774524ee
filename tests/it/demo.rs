//! The demo as a user starts it: everything that it says is proven, and nothing that it writes is a secret.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use crate::support::Scratch;

/// A folder in which the demo is started.
struct Place(Scratch);

impl Place {
    fn new() -> Self {
        Self(Scratch::new("demo"))
    }

    fn demo(&self) -> Output {
        Command::new(env!("CARGO_BIN_EXE_offboard"))
            .arg("demo")
            .current_dir(&*self.0)
            .output()
            .unwrap()
    }

    fn inside(&self) -> PathBuf {
        self.0.join("offboard-demo")
    }
}
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Every file below `folder` but those in `secrets`.
fn texts(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for name in names(folder).into_iter().filter(|name| name != "secrets") {
        let path = folder.join(name);
        if path.is_dir() {
            found.extend(texts(&path));
        } else {
            found.push((path.clone(), fs::read_to_string(path).unwrap()));
        }
    }
    found
}

#[test]
fn the_demo_proves_what_it_says_and_shows_no_secret() {
    let scratch = Place::new();
    let output = scratch.demo();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!printed.contains('\u{1b}'), "colours in a pipe:\n{printed}");
    assert_eq!(names(&scratch.0), ["offboard-demo"]);

    let json = fs::read_to_string(scratch.inside().join("report.json")).unwrap();
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["left"], Value::Array(Vec::new()));
    assert!(report["before"]["made"].as_u64() > Some(20));
    assert_eq!(report["before"]["made"], report["before"]["worked"]);
    assert_eq!(report["after"]["worked"], 0);
    assert_eq!(report["control"]["made"], report["control"]["worked"]);
    assert!(report["drift"]["openMeanwhile"].as_u64() > Some(0));
    assert_eq!(report["drift"]["openAfter"], 0);
    assert_ne!(report["drift"]["facts"], Value::Array(Vec::new()));
    let html = fs::read_to_string(scratch.inside().join("report.html")).unwrap();
    assert!(html.contains("All access removed.") && !html.contains("<script"));
    for honest in [
        "Not covered",
        "simulations inside the program",
        "This file is not signed.",
    ] {
        assert!(html.contains(honest), "{honest}");
    }

    let mut secrets = Vec::new();
    let folder = scratch.inside().join("secrets");
    for name in names(&folder) {
        for key in names(&folder.join(&name))
            .into_iter()
            .filter(|key| !["username", "ca.crt", "hosts", "definitions"].contains(&key.as_str()))
        {
            secrets.push(fs::read_to_string(folder.join(&name).join(key)).unwrap());
        }
    }
    assert_eq!(secrets.len(), 5);
    for secret in secrets {
        assert!(!printed.contains(&secret));
        for (path, text) in texts(&scratch.inside()) {
            assert!(!text.contains(&secret), "a secret in {}", path.display());
        }
    }
}

#[test]
fn a_folder_that_holds_something_else_is_left_alone() {
    let scratch = Place::new();
    fs::create_dir(scratch.inside()).unwrap();
    fs::write(scratch.inside().join("thesis.txt"), "mine").unwrap();
    let output = scratch.demo();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(names(&scratch.inside()), ["thesis.txt"]);
}
