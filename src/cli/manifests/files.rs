//! Which files of a folder are manifests. Nothing is passed over without a word but what nobody means to be read: hidden files,
//! documentation, signatures beside Approvals, and the state.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use super::{Problem, document::documents};

/// So much of a file with another ending is looked at, in bytes, to see whether it is a manifest.
const LARGEST_GUESS: u64 = 256 << 10;
/// So many documents of one are looked at.
const MOST_GUESSED: usize = 100;
/// What documentation ends with.
const DOCUMENTATION: &[&str] = &["md", "markdown", "adoc", "rst", "html"];

/// What is in a folder.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// Files to be read.
    pub manifests: Vec<PathBuf>,
    /// Secrets, as folders of files.
    pub secrets: Vec<PathBuf>,
    /// Files that are no manifests.
    pub others: Vec<PathBuf>,
    /// What was meant to be read, as it seems, and is not.
    pub problems: Vec<Problem>,
    /// What was looked at, by its own path: a link leads to what was read already, or around.
    seen: BTreeSet<PathBuf>,
}

impl Files {
    /// What is in `folder`, but nothing of `apart`.
    ///
    /// # Errors
    /// When the folder itself cannot be read.
    pub(super) fn of(folder: &Path, apart: &[&Path]) -> Result<Self, Problem> {
        let mut files = Self::default();
        let apart = apart.iter().filter_map(|path| fs::canonicalize(path).ok());
        files.seen.extend(apart);
        files.is_new(folder);
        files.folder(folder)?;
        Ok(files)
    }

    fn folder(&mut self, folder: &Path) -> Result<(), Problem> {
        for path in entries(folder)? {
            let name = name_of(&path);
            match fs::metadata(&path) {
                Err(error) if !name.starts_with('.') => self.problems.push(unreachable(&path, &error)),
                Err(_) => {}
                Ok(_) if !self.is_new(&path) => {}
                Ok(about) if about.is_dir() => self.subfolder(&path, name),
                Ok(about) if about.is_file() => self.file(path, about.len()),
                Ok(_) => self
                    .problems
                    .push(Problem::new(&path, "neither a file nor a folder")),
            }
        }
        Ok(())
    }

    /// Whether nothing was read yet at the end of all links of `path`.
    fn is_new(&mut self, path: &Path) -> bool {
        fs::canonicalize(path).is_ok_and(|own| self.seen.insert(own))
    }

    fn subfolder(&mut self, path: &Path, name: &str) {
        if name.starts_with('.') || is_state(path) {
            return;
        }
        let read = if name == "secrets" {
            self.secret_folder(path)
        } else {
            self.folder(path)
        };
        if let Err(problem) = read {
            self.problems.push(problem);
        }
    }

    /// A folder of Secrets: each a folder of files, or a manifest.
    fn secret_folder(&mut self, folder: &Path) -> Result<(), Problem> {
        for path in entries(folder)? {
            let name = name_of(&path);
            match fs::metadata(&path) {
                Ok(_) | Err(_) if name.starts_with('.') => {}
                Ok(about) if about.is_dir() => self.secrets.push(path),
                Ok(about) if about.is_file() && is_manifest(&path) => self.file(path, about.len()),
                Ok(_) => {
                    let text = "a Secret is a folder of files here: secrets/NAME/KEY";
                    self.problems.push(Problem::new(&path, text));
                }
                Err(error) => self.problems.push(unreachable(&path, &error)),
            }
        }
        Ok(())
    }

    fn file(&mut self, path: PathBuf, size: u64) {
        let hidden = name_of(&path).starts_with('.');
        if is_manifest(&path) && !hidden {
            self.manifests.push(path);
        } else if size <= LARGEST_GUESS && looks_like_a_manifest(&path) {
            let text = if hidden {
                "holds a manifest and is not read: its name begins with a dot"
            } else {
                "holds a manifest and is not read: let its name end with .yaml"
            };
            self.problems.push(Problem::new(&path, text));
        } else if !hidden && !accompanies(&path) {
            self.others.push(path);
        }
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let failed = |error: io::Error| Problem::new(folder, error.to_string());
    let entries = fs::read_dir(folder).map_err(failed)?;
    let paths: Result<Vec<PathBuf>, Problem> =
        entries.map(|entry| Ok(entry.map_err(failed)?.path())).collect();
    let mut paths = paths?;
    paths.sort();
    Ok(paths)
}

fn name_of(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

fn ending(path: &Path) -> String {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.unwrap_or_default().to_lowercase()
}

/// Whether a file of this name is read.
fn is_manifest(path: &Path) -> bool {
    matches!(ending(path).as_str(), "yaml" | "yml" | "json")
}

/// Why `path` cannot be looked at.
fn unreachable(path: &Path, error: &io::Error) -> Problem {
    let text = match fs::read_link(path) {
        Ok(target) if error.kind() == io::ErrorKind::NotFound => {
            format!("a link to nothing: there is no {}", target.display())
        }
        _ => error.to_string(),
    };
    Problem::new(path, text)
}

/// Whether this is the state of a leaver, here by an earlier run.
fn is_state(folder: &Path) -> bool {
    let ours = |path: &PathBuf| {
        let name = name_of(path);
        !is_manifest(path) || matches!(name, "record.json" | "status.json" | "seen.json")
    };
    folder.join("lock").exists() && entries(folder).is_ok_and(|paths| paths.iter().all(ours))
}

/// Whether nobody means this file to be read as a manifest.
fn accompanies(path: &Path) -> bool {
    let ending = ending(path);
    let signature = ending == "sig" && path.with_extension("").exists();
    signature || DOCUMENTATION.contains(&ending.as_str())
}

/// Whether `path` says of what kind the object in it is.
fn looks_like_a_manifest(path: &Path) -> bool {
    let Ok(text) = fs::read_to_string(path) else {
        return false;
    };
    let has = |value: &serde_json::Value| {
        let text = |key: &str| value.get(key).is_some_and(serde_json::Value::is_string);
        text("apiVersion") && text("kind")
    };
    documents(&text)
        .iter()
        .take(MOST_GUESSED)
        .any(|document| document.value().is_ok_and(|value| has(&value)))
}
