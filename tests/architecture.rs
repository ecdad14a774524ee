//! The map in `src/lib.rs` holds: dependencies point inward, no module is a drawer for anything.

#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    reason = "tests are written to be read"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Which module of the crate may use which others. Not named here means not allowed.
const ALLOWED: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("api", &["core"]),
    ("transport", &["core", "api"]),
    ("connectors", &["core", "transport", "api"]),
    ("sources", &["core", "transport", "api", "connectors"]),
    ("drive", &["core", "connectors", "transport", "api"]),
    ("notify", &["core", "transport", "api"]),
    ("company", &["transport", "api", "connectors"]),
    (
        "controller",
        &[
            "core",
            "api",
            "connectors",
            "drive",
            "sources",
            "transport",
            "notify",
        ],
    ),
    (
        "serve",
        &[
            "core",
            "api",
            "connectors",
            "drive",
            "sources",
            "transport",
            "notify",
            "controller",
        ],
    ),
    (
        "cli",
        &[
            "core",
            "api",
            "connectors",
            "drive",
            "sources",
            "transport",
            "notify",
            "company",
            "controller",
            "serve",
        ],
    ),
    ("fuzzing", &["connectors", "cli"]),
];

/// Names under which anything could be put.
const DRAWERS: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc", "manager"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The modules of the crate that a source text names: `crate::NAME` in use lines and in code, groups included.
fn used(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut parts = vec![String::new()];
            for letter in group.chars() {
                match letter {
                    '}' if depth == 0 => break,
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => parts.push(String::new()),
                    _ if depth == 0 => parts.last_mut().unwrap().push(letter),
                    _ => {}
                }
            }
            let first = |part: &String| part.trim().split("::").next().unwrap_or_default().to_owned();
            names.extend(parts.iter().map(first).filter(|name| !name.is_empty()));
        } else {
            names.insert(
                rest.chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect(),
            );
        }
    }
    names
}

#[test]
fn dependencies_point_inward() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let modules: BTreeSet<&str> = ALLOWED.iter().map(|(name, _)| *name).collect();
    let mut files = vec![];
    sources(&root, &mut files);
    let mut wrong = vec![];
    let mut edges = 0;
    for file in files {
        let inside = file.strip_prefix(&root).unwrap();
        let module = inside
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs");
        if matches!(module, "lib" | "main") {
            continue;
        }
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{}: module {module} is not on the map", inside.display()));
            continue;
        };
        for name in used(&fs::read_to_string(&file).unwrap()) {
            if name != module && modules.contains(name.as_str()) {
                edges += 1;
                if !allowed.contains(&name.as_str()) {
                    wrong.push(format!("{}: {module} must not use {name}", inside.display()));
                }
            }
        }
    }
    assert!(edges > 20, "only {edges} edges found: the search is broken");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn groups_of_names_are_seen_whole() {
    let text = "use crate::{\n    api::{self, connector::Connector},\n    core::fault::Fault,\n    drive,\n};\nlet x = crate::cli::run();";
    let names: Vec<String> = used(text).into_iter().collect();
    assert_eq!(names, ["api", "cli", "core", "drive"]);
}

#[test]
fn no_module_is_a_drawer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![];
    sources(&root, &mut files);
    for file in files {
        for part in file.strip_prefix(&root).unwrap().iter() {
            let name = part.to_str().unwrap().trim_end_matches(".rs");
            assert!(!DRAWERS.contains(&name), "{} could hold anything", file.display());
        }
    }
}
