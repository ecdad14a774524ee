//! Where the state of a folder of manifests is kept: outside of it, since manifests are copied, shared and committed.
//!
//! # Why
//! The state names people, their accounts and what was taken from them. So it lies where programs of one user keep theirs, and nowhere
//! that git would put into a repository. What earlier versions kept inside the folder is gone on with: a record that nobody
//! finds is a record that is lost.

mod git;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use self::git::WorkTree;
use super::{exit, status::quoted, terminal::tell};
use crate::{
    core::digest::digest_of,
    drive::{folder, ownership},
};

/// What the state inside a folder of manifests is called, where there is one.
const INSIDE: &str = "state";
/// How long the digest is that stands for a folder of manifests.
const DIGEST: usize = 24;

/// A folder of state, and how a command line leads to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The folder. It need not be there yet.
    pub path: PathBuf,
    named: Named,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Named {
    /// By itself. `instead_of` is the state of an earlier run inside the manifests, which is not used.
    Given { instead_of: Option<PathBuf> },
    /// By the manifests: `of` is what was given with `-f`, `folder` the folder that it stands for.
    Default { of: PathBuf, folder: PathBuf },
    /// By the manifests, inside of which an earlier version kept it; `usual` is where it would be otherwise.
    Inside { of: PathBuf, usual: PathBuf },
}

impl State {
    /// The state `given`, or else that of the manifests in `of`: a folder, or a file whose folder is meant.
    ///
    /// # Errors
    /// When there is no such folder, when there are two states, when others could put another one into its place, or when git tracks
    /// files of the state or would.
    pub fn choose(of: &Path, given: Option<PathBuf>) -> Result<Self, exit::Error> {
        let state = match given {
            Some(path) => Self {
                named: Named::Given {
                    instead_of: inside(of).filter(|inside| !same(inside, &path)),
                },
                path,
            },
            None => Self::default_of(of)?,
        };
        ownership::check(&state.path).map_err(|exposed| exit::Error(exposed.to_string()))?;
        state.is_kept_out_of_repositories()?;
        Ok(state)
    }

    fn default_of(of: &Path) -> Result<Self, exit::Error> {
        let folder = canonical(of)?;
        let inside = inside(of);
        let usual = match (home(), &inside) {
            (Some(home), _) => home.join("offboard").join(digest_of_folder(&folder)?),
            (None, Some(inside)) => inside.clone(),
            (None, None) => {
                let text = "there is no home folder to keep the state in: say where with --state DIR";
                return Err(exit::Error(text.to_owned()));
            }
        };
        let of = of.to_owned();
        let Some(inside) = inside else {
            let named = Named::Default { of, folder };
            return Ok(Self { path: usual, named });
        };
        if inside.is_symlink() {
            let shown = inside.display();
            return Err(exit::Error(format!(
                "{shown}: a link, and nothing says who made it: if that is your state, say so with --state {}",
                quoted(&inside.display().to_string())
            )));
        }
        if inside != usual && holds_leavers(&usual) {
            return Err(exit::Error(format!(
                "there are two states of {}: {} and {}. Say which one counts with --state DIR, and move the other one away",
                folder.display(),
                inside.display(),
                usual.display()
            )));
        }
        let named = Named::Inside { of, usual };
        Ok(Self { path: inside, named })
    }

    /// Says where the state is: the first line of a command.
    pub fn say(&self) {
        let path = self.path.display();
        match &self.named {
            Named::Given { instead_of: None } => tell!("State: {path}"),
            Named::Given {
                instead_of: Some(inside),
            } => tell!("State: {path} (not the one in {})", inside.display()),
            // Manifests that were moved have a new one, which should surprise nobody.
            Named::Default { folder, .. } if !self.path.exists() => {
                tell!("State: {path} (of {}; new)", folder.display());
            }
            Named::Default { folder, .. } => tell!("State: {path} (of {})", folder.display()),
            Named::Inside { usual, .. } => tell!(
                "State: {path} (inside the manifests, from an earlier run; out of there: {})",
                moved(&self.path, usual)
            ),
        }
    }

    /// What leads `run` and `plan` to it, beside `-f`.
    pub fn beside_manifests(&self) -> Option<&Path> {
        matches!(self.named, Named::Given { .. }).then_some(&self.path)
    }

    /// The command that shows what is in it, of one leaver or of all.
    pub fn shown_by(&self, leaver: Option<&str>) -> String {
        let (option, path) = match &self.named {
            Named::Given { .. } => ("--state", &self.path),
            Named::Default { of, .. } | Named::Inside { of, .. } => ("-f", of),
        };
        let path = path.display().to_string();
        let here = matches!((option, path.as_str()), ("--state", "state") | ("-f", "."));
        let mut words = vec!["offboard status".to_owned()];
        if !here {
            words.extend([option.to_owned(), quoted(&path)]);
        }
        words.extend(leaver.map(str::to_owned));
        words.join(" ")
    }

    /// Refuses a folder of which git tracks files, or would if somebody added everything.
    fn is_kept_out_of_repositories(&self) -> Result<(), exit::Error> {
        let path = real(&self.path);
        let Some(tree) = WorkTree::around(&path) else {
            return Ok(());
        };
        let shown = self.path.display();
        let why = "names and accounts of people are nothing for a repository";
        let below = path.strip_prefix(&tree.root).unwrap_or(&path);
        let tracked = tree.tracks(below).map_err(|unreadable| {
            exit::Error(format!(
                "{shown}: lies in the git work tree {}, and whether git tracks it is not to be told: {unreadable}. Keep it \
                 elsewhere with --state DIR",
                tree.root.display()
            ))
        })?;
        if let Some(first) = tracked {
            let untrack = format!(
                "git -C {} rm -r --cached --quiet -- {}",
                quoted(&tree.root.display().to_string()),
                quoted(&below.display().to_string())
            );
            return Err(exit::Error(format!(
                "{shown}: git tracks {first}, and {why}. Nothing is lost by: {untrack}; then commit that. What was committed \
                 before stays in the history",
            )));
        }
        let ignored = path.join(".gitignore");
        match fs::read_to_string(&ignored) {
            Ok(text) if !ignores_everything(&text) => Err(exit::Error(format!(
                "{shown}: lies in a git work tree that does not ignore it, and {why}: echo '*' > {}",
                quoted(&ignored.display().to_string())
            ))),
            // Where there is none, whoever writes the first state makes one.
            _ => Ok(()),
        }
    }
}

/// The folder that `of` is, or is in.
fn folder_of(of: &Path) -> &Path {
    match of.parent() {
        _ if of.is_dir() => of,
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => of,
    }
}

fn canonical(of: &Path) -> Result<PathBuf, exit::Error> {
    let failed = |error| exit::Error(format!("{}: {error}", of.display()));
    // A file that is not there is no manifest, although its folder is there.
    fs::metadata(of).map_err(failed)?;
    folder_of(of).canonicalize().map_err(failed)
}

/// The state that an earlier run left inside the manifests, if there is one.
fn inside(of: &Path) -> Option<PathBuf> {
    let inside = folder_of(of).join(INSIDE);
    holds_leavers(&inside).then_some(inside)
}

/// Whether there is the state of a leaver in `state`, and not only a folder of that name.
fn holds_leavers(state: &Path) -> bool {
    let ours = |name: &String| {
        let folder = state.join(name);
        ["lock", "record.json", "status.json"]
            .iter()
            .any(|file| folder.join(file).is_file())
    };
    folder::leavers(state).is_ok_and(|names| names.iter().any(ours))
}

fn same(one: &Path, other: &Path) -> bool {
    real(one) == real(other)
}

/// Where `path` is, at the end of all links, although the last parts of it may not be there yet.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for above in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (above.canonicalize(), path.strip_prefix(above)) {
            return real.join(rest);
        }
    }
    path
}

/// Where the programs of this user keep their state, as the XDG Base Directory Specification says.
fn home() -> Option<PathBuf> {
    let given = env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let usual = || Some(env::home_dir()?.join(".local/state"));
    let absolute = |path: &PathBuf| path.is_absolute();
    given.filter(absolute).or_else(|| usual().filter(absolute))
}

fn digest_of_folder(folder: &Path) -> Result<String, exit::Error> {
    let Some(text) = folder.to_str() else {
        let shown = folder.display();
        let text = format!("{shown}: not in UTF-8: say where the state is kept with --state DIR");
        return Err(exit::Error(text));
    };
    let mut digest = digest_of([text]);
    digest.truncate(DIGEST);
    Ok(digest)
}

/// The command that moves the state out of the manifests.
fn moved(from: &Path, to: &Path) -> String {
    let above = to.parent().unwrap_or(to).display().to_string();
    format!(
        "mkdir -p {} && mv {} {}",
        quoted(&above),
        quoted(&from.display().to_string()),
        quoted(&to.display().to_string())
    )
}

/// Whether a `.gitignore` with this text lets nothing of its folder into a repository.
fn ignores_everything(text: &str) -> bool {
    let lines = text.lines().map(str::trim_end);
    let mut rules = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .peekable();
    let all = rules.clone().any(|rule| rule == "*");
    all && rules.all(|rule| !rule.starts_with('!'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_star_that_nothing_takes_back_ignores_everything() {
        for (text, ignores) in [
            ("*\n", true),
            ("# ours\n\n*\nlock\n", true),
            ("", false),
            ("*.json\n", false),
            ("*\n!record.json\n", false),
        ] {
            assert_eq!(ignores_everything(text), ignores, "{text:?}");
        }
    }

    #[test]
    fn the_next_command_works_where_this_one_did() {
        let given = |path: &str| State {
            path: path.into(),
            named: Named::Given { instead_of: None },
        };
        let of = |of: &str| State {
            path: "/home/me/.local/state/offboard/0".into(),
            named: Named::Default {
                of: of.into(),
                folder: "/leavers".into(),
            },
        };
        for (state, leaver, command) in [
            (given("state"), Some("jane"), "offboard status jane"),
            (given("a/state"), None, "offboard status --state a/state"),
            (
                given("HR's leavers/state"),
                Some("jane"),
                "offboard status --state 'HR'\\''s leavers/state' jane",
            ),
            (of("leavers"), Some("jane"), "offboard status -f leavers jane"),
            (of("."), None, "offboard status"),
        ] {
            assert_eq!(state.shown_by(leaver), command);
        }
    }
}
