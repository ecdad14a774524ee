//! What git tracks, read from its index.
//!
//! # Why not by the program
//! `git` runs what the settings of a repository name. A folder of manifests may be anybody's; looking where it lies must start
//! nothing of theirs.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

/// An index that is larger than this, in bytes, is not read: git's own limits come long before.
const LARGEST: u64 = 1 << 30;
/// The mode of a folder in a sparse index, which stands for all that is below it.
const FOLDER: u32 = 0o040_000;
/// More digits of an entry follow.
const EXTENDED: u16 = 0x4000;
/// The lengths of the names of objects: SHA-1, SHA-256.
const NAMES: [usize; 2] = [20, 32];

/// A folder with all below it that git looks after.
#[derive(Debug)]
pub struct WorkTree {
    /// The folder.
    pub root: PathBuf,
    index: PathBuf,
}

/// Why it cannot be told what git tracks.
#[derive(Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The index cannot be read.
    Io(PathBuf, String),
    /// It is nothing that git writes, or of a kind that is not known here.
    Unknown(PathBuf),
    /// The rest of it is in another file.
    Split(PathBuf),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, why) => write!(f, "{}: {why}", path.display()),
            Self::Unknown(path) => write!(f, "{} is no index that is known here", path.display()),
            Self::Split(path) => write!(
                f,
                "{} has a second part (git update-index --no-split-index makes it one)",
                path.display()
            ),
        }
    }
}

impl WorkTree {
    /// The work tree in which `path` lies, an absolute one without links; none: in no one's.
    pub fn around(path: &Path) -> Option<Self> {
        path.ancestors().find_map(|root| {
            let git = root.join(".git");
            let folder = if git.is_file() {
                let text = fs::read_to_string(&git).ok()?;
                root.join(text.strip_prefix("gitdir:")?.trim())
            } else {
                git
            };
            folder.join("HEAD").is_file().then(|| Self {
                root: root.to_owned(),
                index: folder.join("index"),
            })
        })
    }

    /// The first file that is tracked at or below `path`, a path from the root.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn tracks(&self, path: &Path) -> Result<Option<String>, Unreadable> {
        let failed = |error: io::Error| Unreadable::Io(self.index.clone(), error.to_string());
        match fs::metadata(&self.index) {
            // Nothing was added yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Ok(about) if about.len() > LARGEST => return Err(Unreadable::Unknown(self.index.clone())),
            _ => {}
        }
        let index = fs::read(&self.index).map_err(failed)?;
        let path = path.as_os_str().as_encoded_bytes();
        let mut found = NAMES.iter().filter_map(|name| first_below(&index, *name, path));
        match found.next() {
            Some(Found::Tracked(first)) => Ok(Some(String::from_utf8_lossy(&first).into_owned())),
            Some(Found::Nothing) => Ok(None),
            Some(Found::Elsewhere) => Err(Unreadable::Split(self.index.clone())),
            None => Err(Unreadable::Unknown(self.index.clone())),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Tracked(Vec<u8>),
    /// It is in what this file only points to.
    Elsewhere,
}

/// Goes through an index whose objects have names of so many bytes. None if it is no such index.
fn first_below(index: &[u8], name: usize, path: &[u8]) -> Option<Found> {
    let mut rest = Bytes(index);
    if rest.take(4)? != b"DIRC" {
        return None;
    }
    let version = rest.number()?;
    if !(2..=4).contains(&version) {
        return None;
    }
    let entries = rest.number()?;
    let mut found = Found::Nothing;
    let mut current: Vec<u8> = vec![];
    for _ in 0..entries {
        let begun = rest.0.len();
        rest.take(24)?;
        let mode = rest.number()?;
        rest.take(12 + name)?;
        let flags = u16::from_be_bytes(rest.take(2)?.try_into().ok()?);
        if flags & EXTENDED != 0 {
            rest.take(if version > 2 { 2 } else { return None })?;
        }
        if version == 4 {
            let dropped = rest.variable()?;
            current.truncate(current.len().checked_sub(dropped)?);
        } else {
            current.clear();
        }
        let end = rest.0.iter().position(|byte| *byte == 0)?;
        current.extend(rest.take(end)?);
        rest.take(1)?;
        if version < 4 {
            let read = begun - rest.0.len();
            rest.take(read.next_multiple_of(8) - read)?;
        }
        if found == Found::Nothing {
            found = match () {
                () if is_at_or_below(&current, path) => Found::Tracked(current.clone()),
                () if mode == FOLDER && path.starts_with(&current) => Found::Elsewhere,
                () => Found::Nothing,
            };
        }
    }
    while rest.0.len() > name {
        let kind = rest.take(4)?;
        let length = usize::try_from(rest.number()?).ok()?;
        rest.take(length)?;
        if kind == b"link" && found == Found::Nothing {
            found = Found::Elsewhere;
        }
    }
    (rest.0.len() == name).then_some(found)
}

fn is_at_or_below(tracked: &[u8], path: &[u8]) -> bool {
    match tracked.strip_prefix(path) {
        Some(rest) => path.is_empty() || rest.is_empty() || rest.starts_with(b"/"),
        None => false,
    }
}

/// What is left of an index.
struct Bytes<'i>(&'i [u8]);

impl<'i> Bytes<'i> {
    fn take(&mut self, count: usize) -> Option<&'i [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    /// A number as git's packs write an offset.
    fn variable(&mut self) -> Option<usize> {
        let mut number = 0_usize;
        loop {
            let [byte] = self.take(1)?.try_into().ok()?;
            number = number.checked_mul(128)?.checked_add(usize::from(byte & 0x7f))?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
            number = number.checked_add(1)?;
        }
    }
}
