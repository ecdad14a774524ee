//! Commands. Those of `offboard` are run in an empty folder, where they may fail but must not be wrong usage; a definition that is
//! checked is the one that the page shows, and prints what the page shows. Of other programs, what they are given is there.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use offboard::{
    api::{Offboarding, crds, definition::ConnectorDefinition},
    cli::{approvals, exit},
};
use serde_json::Value;

use crate::{page::Page, pages, read, root};

/// An empty folder for the commands of one page.
fn folder(page: &Page) -> PathBuf {
    let name = page.file.replace('/', "-");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("docs").join(name);
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn offboard(arguments: &[String], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_offboard"))
        .args(arguments)
        .current_dir(folder)
        .env("HOME", folder)
        .env("XDG_STATE_HOME", folder.join("state"))
        .env("KUBECONFIG", folder.join("no-cluster"))
        .env_remove("KUBERNETES_SERVICE_HOST")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The words of a command line, without quotes.
fn words(line: &str) -> Vec<String> {
    let (mut all, mut word, mut quote) = (vec![], String::new(), None);
    for c in line.chars() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None, ' ') => all.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            (_, c) => word.push(c),
        }
    }
    all.extend(Some(word).filter(|word| !word.is_empty()));
    all
}

/// Checks one line of shell: each command of a pipe, without what sets a variable.
fn check(line: &str, folder: &Path, run: bool) -> Result<(), String> {
    if let Some((_, inner)) = line.split_once("=$(").filter(|(name, _)| !name.contains(' ')) {
        return check(inner.trim_end_matches(')'), folder, run);
    }
    for command in line.split(" | ") {
        let mut words = words(command);
        while words[0].contains('=') {
            words.remove(0);
        }
        let program = words.remove(0);
        match program.as_str() {
            "offboard" => ours(&words, folder, run)?,
            "cargo" => cargo(&words, folder, run)?,
            "kubectl" => kubectl(&words)?,
            "helm" => helm(&words)?,
            "sed" => sed(command)?,
            "ssh-keygen" => {
                let asked = ["-Y", "sign", "-n", approvals::NAMESPACE];
                if words[..4] != asked {
                    return Err(format!("not signed by {asked:?}"));
                }
            }
            "tests/run" => present(&program)?,
            other => return Err(format!("nobody checks {other}")),
        }
    }
    Ok(())
}

fn present(path: &str) -> Result<(), String> {
    let there = root().join(path).exists();
    there.then_some(()).ok_or_else(|| format!("there is no {path}"))
}

/// Commands that start servers, or that stand in a sentence without what they need, are only asked for their help.
fn ours(words: &[String], folder: &Path, run: bool) -> Result<(), String> {
    let mut words = words.to_vec();
    if !run || words[0] == "demo" || words[0] == "operator" {
        words.push("--help".to_owned());
    }
    let ran = offboard(&words, folder);
    let wrong = ran.status.code() == Some(exit::USAGE.into()) || ran.status.code().is_none();
    let text = String::from_utf8_lossy(&ran.stderr);
    (!wrong).then_some(()).ok_or_else(|| text.into_owned())
}

fn cargo(words: &[String], folder: &Path, run: bool) -> Result<(), String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["run", ref rest @ ..] => {
            let (flags, ours_are) = rest
                .iter()
                .position(|word| *word == "--")
                .map(|at| (&rest[..at], &rest[at + 1..]))
                .ok_or("nothing is run")?;
            if !flags.iter().all(|flag| *flag == "--release") {
                return Err(format!("{flags:?}"));
            }
            let words: Vec<String> = ours_are.iter().map(|word| (*word).to_owned()).collect();
            ours(&words, folder, run)
        }
        ["build", "--release", "--no-default-features"] | ["test", "--lib"] => Ok(()),
        ["test", "--test", name] => {
            present(&format!("tests/{name}.rs")).or_else(|_| present(&format!("tests/{name}/main.rs")))
        }
        ["bench", "--bench", name] => present(&format!("benches/{name}/main.rs")),
        ["+nightly", "fuzz", "run", name] => present(&format!("fuzz/fuzz_targets/{name}.rs")),
        _ => Err(format!("nobody checks cargo {words:?}")),
    }
}

/// The names by which kubectl knows our kinds.
fn kinds() -> BTreeSet<String> {
    let all = crds::all();
    let names = all.iter().map(|crd| &crd.spec.names);
    names
        .flat_map(|names| {
            let short = names.short_names.clone().unwrap_or_default();
            let own = [names.plural.clone(), names.kind.to_lowercase()];
            own.into_iter().chain(short)
        })
        .collect()
}

fn kubectl(words: &[String]) -> Result<(), String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let known = |name: &str| {
        let name = name.split(['/', '.']).next().unwrap();
        let known = kinds().contains(name);
        known.then_some(()).ok_or_else(|| format!("no kind {name}"))
    };
    // What kubectl is asked about, without its options.
    let about = || {
        let mut rest = words[1..].iter();
        loop {
            match rest.next() {
                Some(&"-n" | &"-o" | &"-l" | &"-f") => drop(rest.next()),
                Some(word) if word.starts_with('-') => {}
                other => return other.copied(),
            }
        }
    };
    match words[..] {
        ["auth", "whoami", ..] => Ok(()),
        ["get" | "explain" | "wait" | "create" | "apply"] => Ok(()),
        ["get" | "explain" | "wait", ..] => {
            for condition in words
                .iter()
                .filter_map(|word| word.strip_prefix("--for=condition="))
            {
                if !conditions().contains(condition) {
                    return Err(format!("no condition {condition}"));
                }
            }
            known(about().ok_or("about nothing")?)
        }
        ["apply" | "create", ..] => {
            let files = words
                .windows(2)
                .filter(|pair| pair[0] == "-f")
                .map(|pair| pair[1]);
            files
                .filter(|file| file.starts_with("examples/"))
                .try_for_each(present)
        }
        _ => Err(format!("nobody checks kubectl {words:?}")),
    }
}

/// The types of conditions that the page on statuses lists.
fn conditions() -> BTreeSet<String> {
    let statuses = Page::new("docs/src/statuses.md", &read("docs/src/statuses.md"));
    statuses
        .table("offboarding-conditions")
        .names()
        .into_iter()
        .collect()
}

fn helm(words: &[String]) -> Result<(), String> {
    let [verb, _, chart, ..] = words else {
        return Err("too short".to_owned());
    };
    if !["install", "upgrade"].contains(&verb.as_str()) {
        return Err(format!("nobody checks helm {verb}"));
    }
    present(&format!("{chart}/Chart.yaml"))
}

/// What it makes of an example is an Offboarding with who asks.
fn sed(command: &str) -> Result<(), String> {
    let ran = Command::new("bash")
        .args(["-c", &format!("me=alice@example.com; {command}")])
        .current_dir(root())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&ran.stdout);
    let object: Value = serde_saphyr::from_str(&text).map_err(|error| error.to_string())?;
    let leaver: Offboarding = serde_json::from_value(object).map_err(|error| error.to_string())?;
    let asks = leaver.spec.requested_by;
    (asks.as_deref() == Some("alice@example.com"))
        .then_some(())
        .ok_or_else(|| format!("{asks:?} asks"))
}

#[test]
fn every_command_is_one_that_its_program_knows() {
    let mut checked = 0;
    for page in pages() {
        let folder = folder(&page);
        for (line, command, _) in page.commands() {
            check(&command, &folder, true)
                .unwrap_or_else(|error| panic!("{}:{line}: {command}: {error}", page.file));
            checked += 1;
        }
        let programs = ["offboard ", "cargo ", "kubectl ", "helm "];
        for code in &page.codes {
            // An upper-case word stands for another one; options are seen all the same.
            if programs.iter().any(|program| code.starts_with(program)) {
                check(code, &folder, false).unwrap_or_else(|error| panic!("{}: {code}: {error}", page.file));
                checked += 1;
            }
        }
    }
    assert!(checked > 50, "{checked}");
}

#[test]
fn a_definition_that_is_checked_is_the_one_that_the_page_shows_and_prints_what_it_shows() {
    let page = Page::new("definitions", &read("docs/src/definitions.md"));
    let folder = folder(&page);
    for block in page.blocks.iter().filter(|block| block.language == "yaml") {
        let definition: ConnectorDefinition = serde_saphyr::from_str(&block.text).unwrap();
        let file = format!("{}.yaml", definition.metadata.name.unwrap());
        fs::write(folder.join(file), &block.text).unwrap();
    }
    let (_, command, shown) = page
        .commands()
        .into_iter()
        .find(|(_, command, _)| command.starts_with("offboard definition check"))
        .unwrap();
    let ran = offboard(&words(&command)[1..], &folder);
    assert_eq!(String::from_utf8(ran.stdout).unwrap(), shown);
}

#[test]
fn what_nobody_knows_is_noticed() {
    let page = Page::new("wrong", "");
    let folder = folder(&page);
    for wrong in [
        "offboard plan --fole leavers",
        "offboard run -f",
        "cargo test --test nothing",
        "cargo run -- demmo",
        "kubectl get employees",
        "kubectl wait leaver/x --for=condition=Gone",
        "kubectl apply -f examples/nothing.yaml",
        "helm install offboard charts/other",
        "make",
    ] {
        check(wrong, &folder, true).expect_err(wrong);
    }
}
