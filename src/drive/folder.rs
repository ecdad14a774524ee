//! The state of leavers in a folder, for running without a cluster.
//!
//! One folder per leaver, named by its uid, with `record.json` (bindings, intents, snapshots, evidence), `status.json`, and
//! `seen.json` (when each Approval was first seen). Files are replaced as a whole: written beside, flushed to the disk, renamed.
//!
//! # Why
//! What is in here decides whose accounts are changed, and names them: only its owner may read it, and no link is followed, so that
//! nobody who may write beside it has a file of theirs taken for it, or one of ours written elsewhere.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use jiff::Timestamp;
use nix::libc::O_NOFOLLOW;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

use super::{Interim, Record, Store, ownership};
use crate::{
    api::{OffboardingStatus, record::Entry},
    core::{
        fault::{Fault, Reason},
        gate::Vote,
        ledger::Ledger,
    },
};

/// A state folder that cannot be used.
#[derive(Debug, Error)]
pub enum Error {
    /// It cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file in it is not what was written. It is left alone.
    #[error(
        "{0}: not readable as state ({1}); restore it from a backup, or move it away to start from nothing"
    )]
    Damaged(PathBuf, String),
    /// Somebody else is at work on it.
    #[error("{0}: in use by another process")]
    InUse(PathBuf),
    /// A link where a file or folder of ours should be.
    #[error("{0}: a link, and no state: remove it")]
    Link(PathBuf),
    /// A later version wrote it.
    #[error("{0}: written by a newer offboard (format {1}; this one knows {2}): use that one")]
    Newer(PathBuf, u32, u32),
    /// What was taken from an account is not kept as it was written.
    #[error("{0}: what is kept of {1} was changed after it was written")]
    Altered(PathBuf, String),
    /// The chain of evidence is broken.
    #[error("{0}: entry {1} of the evidence was changed after it was written")]
    Tampered(PathBuf, usize),
    /// The chain of evidence does not end where it did.
    #[error(
        "{0}: the evidence does not end as it was written: entries are missing at its end, or were added"
    )]
    Cut(PathBuf),
    /// Nothing says where the chain of evidence ends.
    #[error(
        "{0}: does not say where its evidence ends, so that entries may be missing. If an earlier offboard wrote it, and nobody changed \
         it since, put \"end\": {1} into it"
    )]
    Endless(PathBuf, String),
    /// A file that somebody else has put there.
    #[error("{0}: belongs to somebody else, and is no state")]
    Foreign(PathBuf),
}

/// How a record is written. A greater number: one that this version cannot read.
const FORMAT: u32 = 2;

/// How a record is written whose snapshots are all kept as they are: earlier versions read it.
const PLAIN: u32 = 1;

/// How the other files are written.
const OTHERS: u32 = 1;

/// The number of a file, whatever else is in it.
#[derive(Deserialize)]
struct Numbered {
    format: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct StatusFile {
    /// None in files from before there was a number.
    #[serde(default)]
    format: Option<u32>,
    #[serde(flatten)]
    status: OffboardingStatus,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum SeenFile {
    Numbered {
        format: u32,
        seen: BTreeMap<String, Timestamp>,
    },
    /// From before there was a number.
    Plain(BTreeMap<String, Timestamp>),
}

/// Where the chain of evidence ends, so that none is taken from its end unnoticed.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct End {
    /// How many entries there are.
    entries: usize,
    /// The digest of the last one.
    head: Option<String>,
}

impl End {
    fn of(evidence: &[Entry]) -> Self {
        Self {
            entries: evidence.len(),
            head: evidence.last().map(|last| last.digest.clone()),
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
struct RecordFile {
    /// None in records from before there was a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    format: Option<u32>,
    #[serde(default)]
    ledger: Ledger,
    #[serde(default)]
    evidence: Vec<Entry>,
    /// None in records from before it was kept, and in those that others have shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<End>,
}

/// Says whether votes that opened a gate are still there as they were.
pub type Stands = Box<dyn Fn(&[&Vote]) -> bool + Send + Sync>;

/// The state of one leaver in a folder. Held by one process at a time.
pub struct Folder {
    path: PathBuf,
    stopped: AtomicBool,
    /// Held while this is alive; none: only to look.
    lock: Option<File>,
    stands: Option<Stands>,
}

impl Drop for Folder {
    /// A program that is being started right now has a copy of every open file until it has begun: closing ours would leave the
    /// folder locked for that long.
    fn drop(&mut self) {
        if let Some(lock) = &self.lock {
            lock.unlock().ok();
        }
    }
}

impl Folder {
    /// Opens the state of the leaver `uid` below `state`, making the folder if there is none.
    ///
    /// # Errors
    /// When it cannot be made, or another process holds it.
    pub fn open(state: &Path, uid: &str) -> Result<Self, Error> {
        let wrong = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { path, source }
        };
        create_folders(state).map_err(wrong(state))?;
        let state = &followed(state);
        // Nobody else may put a link into the place of what is in it. Where it belongs to somebody else, who may do that anyhow,
        // as a volume does, it stays as it is.
        close_to_others(state).ok();
        let path = state.join(uid);
        // Names and accounts are nothing for a repository.
        let ignored = state.join(".gitignore");
        match opened(OpenOptions::new().write(true).create_new(true), &ignored) {
            Ok(mut file) => file.write_all(b"*\n").map_err(wrong(&ignored))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(wrong(&ignored)(source)),
        }
        if path.is_symlink() {
            return Err(Error::Link(path));
        }
        create_folders(&path).map_err(wrong(&path))?;
        close_to_others(&path).map_err(wrong(&path))?;
        let lock_path = path.join("lock");
        let lock = opened(OpenOptions::new().write(true).create(true), &lock_path);
        let lock = lock.map_err(|source| failed(&lock_path, source))?;
        match lock.try_lock() {
            Ok(()) => {
                forget_unfinished(&path).map_err(wrong(&path))?;
                Ok(Self {
                    path,
                    stopped: AtomicBool::new(false),
                    lock: Some(lock),
                    stands: None,
                })
            }
            Err(TryLockError::WouldBlock) => Err(Error::InUse(path)),
            Err(TryLockError::Error(source)) => Err(Error::Io {
                path: lock_path,
                source,
            }),
        }
    }

    /// The state of the leaver `uid` below `state`, as whoever is at work on it last left it. Nothing is made or written.
    pub fn look(state: &Path, uid: &str) -> Self {
        Self {
            path: followed(state).join(uid),
            stopped: AtomicBool::new(true),
            lock: None,
            stands: None,
        }
    }

    /// The record as it was last saved; empty before the first time.
    ///
    /// # Errors
    /// When it cannot be read, was damaged or tampered with.
    pub fn record(&self) -> Result<Record, Error> {
        let path = self.path.join("record.json");
        let file: RecordFile = read(&path, FORMAT)?.unwrap_or_default();
        if let Some(at) = super::evidence::first_broken(&file.evidence) {
            return Err(Error::Tampered(path, at));
        }
        let end = End::of(&file.evidence);
        match file.end {
            Some(written) if written != end => return Err(Error::Cut(path)),
            None if !file.evidence.is_empty() => {
                return Err(Error::Endless(path, serde_json::json!(end).to_string()));
            }
            _ => {}
        }
        if let Some(fact) = file.ledger.first_altered() {
            return Err(Error::Altered(path, fact));
        }
        Ok(Record {
            ledger: file.ledger,
            evidence: file.evidence,
        })
    }

    /// The status as it was last saved.
    ///
    /// # Errors
    /// When it cannot be read or was damaged.
    pub fn status(&self) -> Result<Option<OffboardingStatus>, Error> {
        status_in(&self.path)
    }

    /// Replaces the status.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save_status(&self, status: &OffboardingStatus) -> Result<(), Error> {
        let path = self.path.join("status.json");
        let file = StatusFile {
            format: Some(OTHERS),
            status: status.clone(),
        };
        replace(&path, &file).map_err(|source| Error::Io { path, source })
    }

    /// When each of `ids` was first seen here: now, of those that were not seen before.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn first_seen(&self, ids: &[String], now: Timestamp) -> Result<BTreeMap<String, Timestamp>, Error> {
        let path = self.path.join("seen.json");
        let mut seen = match read(&path, OTHERS)? {
            Some(SeenFile::Numbered { seen, .. } | SeenFile::Plain(seen)) => seen,
            None => BTreeMap::new(),
        };
        let before = seen.len();
        for id in ids {
            seen.entry(id.clone()).or_insert(now);
        }
        if seen.len() > before && self.lock.is_some() {
            let format = OTHERS;
            let file = SeenFile::Numbered {
                format,
                seen: seen.clone(),
            };
            replace(&path, &file).map_err(|source| Error::Io { path, source })?;
        }
        Ok(seen)
    }

    /// From now on `stands` is asked before what cannot be taken back.
    pub fn ask(&mut self, stands: Stands) {
        self.stands = Some(stands);
    }

    /// From now on nothing more is sent.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl Store for Folder {
    async fn save(&self, record: &Record) -> Result<(), Fault> {
        if self.lock.is_none() {
            return Err(Fault::permanent(Reason::StoreUnavailable).with_code("only to look"));
        }
        let file = RecordFile {
            format: Some(if record.ledger.is_plain() { PLAIN } else { FORMAT }),
            ledger: record.ledger.clone(),
            evidence: record.evidence.clone(),
            end: Some(End::of(&record.evidence)),
        };
        let path = self.path.join("record.json");
        let saved = tokio::task::spawn_blocking(move || replace(&path, &file)).await;
        match saved {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                Err(Fault::transient(Reason::StoreUnavailable).with_code(format!("{:?}", error.kind())))
            }
            Err(_) => Err(Fault::transient(Reason::StoreUnavailable)),
        }
    }

    fn current(&self) -> bool {
        !self.stopped.load(Ordering::Relaxed)
    }

    async fn confirm(&self, votes: &[&Vote]) -> Result<bool, Fault> {
        let stand = match &self.stands {
            Some(stands) => stands(votes),
            None => votes.is_empty(),
        };
        Ok(stand && self.current())
    }

    async fn progress(&self, _: &Interim) {}
}

/// The names of the folders in `state`, in order: each is a leaver's. Files are somebody else's.
///
/// # Errors
/// When it cannot be read, or there is none.
pub fn leavers(state: &Path) -> io::Result<Vec<String>> {
    let mut names = vec![];
    for entry in fs::read_dir(state)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.extend(entry.file_name().to_str().map(str::to_owned));
        }
    }
    names.sort();
    Ok(names)
}

/// The status in the folder of one leaver, without taking hold of it.
///
/// # Errors
/// When it cannot be read or was damaged.
pub fn status_in(path: &Path) -> Result<Option<OffboardingStatus>, Error> {
    let file: Option<StatusFile> = read(&path.join("status.json"), OTHERS)?;
    Ok(file.map(|file| file.status))
}

/// What is in a file, whose number may be at most `known`.
fn read<T: DeserializeOwned>(path: &Path, known: u32) -> Result<Option<T>, Error> {
    if path.parent().is_some_and(Path::is_symlink) {
        return Err(Error::Link(path.parent().unwrap_or(path).to_owned()));
    }
    let mut text = String::new();
    let file = match opened(OpenOptions::new().read(true), path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(path, source)),
    };
    let found = file.metadata().map_err(|source| failed(path, source))?;
    if !ownership::is_ours(&found) {
        return Err(Error::Foreign(path.to_owned()));
    }
    let read = io::BufReader::new(file).read_to_string(&mut text);
    read.map_err(|source| failed(path, source))?;
    let numbered = serde_json::from_str(&text).ok();
    if let Some(format) = numbered.and_then(|file: Numbered| file.format)
        && format > known
    {
        return Err(Error::Newer(path.to_owned(), format, known));
    }
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|e| Error::Damaged(path.to_owned(), e.to_string()))
}

fn failed(path: &Path, source: io::Error) -> Error {
    let path = path.to_owned();
    if path.is_symlink() {
        Error::Link(path)
    } else {
        Error::Io { path, source }
    }
}

/// Opens a file that only its owner may read, and no link.
fn opened(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options.mode(0o600).custom_flags(O_NOFOLLOW).open(path)
}

/// Where the state is. Whoever says where it is may say so by a link, which is followed this once; what is in it is none.
fn followed(state: &Path) -> PathBuf {
    let real = state.is_symlink().then(|| state.canonicalize().ok()).flatten();
    real.unwrap_or_else(|| state.to_owned())
}

/// Lets only its owner look into a folder that was there before.
fn close_to_others(path: &Path) -> io::Result<()> {
    let folder = opened(OpenOptions::new().read(true), path)?;
    let mode = folder.metadata()?.permissions().mode();
    if mode.trailing_zeros() >= 6 {
        return Ok(());
    }
    folder.set_permissions(Permissions::from_mode(0o700))
}

/// Makes a folder that only its owner may look into, and those that it is in.
fn create_folders(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    match path.parent() {
        Some(parent) if parent.is_dir() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

/// What the name of a file ends with that was not finished.
const UNFINISHED: &str = ".new";

/// Removes what a process left that was killed while it wrote.
fn forget_unfinished(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if name.ends_with(UNFINISHED) && !path.is_dir() {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Either the old or the new content is there after a crash, never a part.
fn replace<T: Serialize>(path: &Path, content: &T) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{:016x}{UNFINISHED}", rand::random::<u64>()));
    let beside = PathBuf::from(beside);
    let written = opened(OpenOptions::new().write(true).create_new(true), &beside).and_then(|mut file| {
        serde_json::to_writer_pretty(&mut file, content)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    if let Err(error) = written {
        // What is left of it is of no use, and may be what fills the disk.
        drop(fs::remove_file(&beside));
        return Err(error);
    }
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::{core::kept::Room, drive::evidence};

    /// A folder of its own, removed at the end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("offboard-state-{:016x}", rand::random::<u64>()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[tokio::test]
    async fn only_its_owner_may_read_it_and_no_repository_takes_it() {
        let scratch = Scratch::new();
        let state = scratch.0.join("deep/state");
        let folder = Folder::open(&state, "jane-0").unwrap();
        folder.save(&Record::default()).await.unwrap();
        folder.save_status(&OffboardingStatus::default()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&state), mode(&state.join("jane-0"))), (0o700, 0o700));
        for file in ["record.json", "status.json", "lock"] {
            assert_eq!(mode(&state.join("jane-0").join(file)), 0o600, "{file}");
        }
        assert_eq!(fs::read_to_string(state.join(".gitignore")).unwrap(), "*\n");
        assert!(folder.record().is_ok());
    }

    #[test]
    fn who_is_done_leaves_the_folder_to_the_next_one_whoever_has_a_copy_of_its_lock() {
        let scratch = Scratch::new();
        let folder = Folder::open(&scratch.0, "jane-0").unwrap();
        assert!(matches!(Folder::open(&scratch.0, "jane-0"), Err(Error::InUse(_))));
        let copy = folder.lock.as_ref().unwrap().try_clone().unwrap();
        drop(folder);
        Folder::open(&scratch.0, "jane-0").unwrap();
        drop(copy);
    }

    #[tokio::test]
    async fn no_link_is_followed() {
        let scratch = Scratch::new();
        let elsewhere = scratch.0.join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("theirs"), "{}").unwrap();
        symlink(&elsewhere, scratch.0.join("jane-0")).unwrap();
        assert!(matches!(Folder::open(&scratch.0, "jane-0"), Err(Error::Link(_))));
        assert!(matches!(
            Folder::look(&scratch.0, "jane-0").status(),
            Err(Error::Link(_))
        ));
        for file in ["record.json", "status.json", "seen.json", "lock"] {
            let folder = scratch.0.join(format!("of-{file}"));
            fs::create_dir(&folder).unwrap();
            symlink(elsewhere.join("theirs"), folder.join(file)).unwrap();
            let read = Folder::open(&scratch.0, &format!("of-{file}")).and_then(|folder| {
                folder.record()?;
                folder.status()?;
                folder.first_seen(&["a".to_owned()], Timestamp::UNIX_EPOCH)
            });
            assert!(matches!(read, Err(Error::Link(_))), "{file}: {read:?}");
        }
        // What is written takes the place of a link, and is not written through it.
        let folder = Folder::open(&scratch.0, "sam-0").unwrap();
        symlink(elsewhere.join("theirs"), scratch.0.join("sam-0/status.json")).unwrap();
        folder.save_status(&OffboardingStatus::default()).unwrap();
        assert_eq!(fs::read_to_string(elsewhere.join("theirs")).unwrap(), "{}");
        assert!(folder.status().unwrap().is_some());
    }

    #[tokio::test]
    async fn what_is_kept_of_thousands_of_keys_is_read_again_and_noticed_when_it_was_changed() {
        let scratch = Scratch::new();
        let folder = Folder::open(&scratch.0, "jane-0").unwrap();
        let mut record = Record::default();
        let keys: Vec<String> = (0..3_000).map(|n| format!("ssh-ed25519 {n:0>700}")).collect();
        let ledger = record.ledger.systems.entry("forge".into()).or_default();
        ledger.keep("KeysDeleted", &keys.into(), &Room::default());
        folder.save(&record).await.unwrap();
        assert_eq!(folder.record().unwrap(), record);
        let path = scratch.0.join("jane-0/record.json");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.len() < 100_000, "{} bytes", text.len());
        assert!(
            text.contains("\"format\": 2"),
            "an earlier version would take it for empty"
        );
        let at = text.find("\"data\": \"").unwrap() + 40;
        let mut changed = text.into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        fs::write(&path, changed).unwrap();
        let altered = folder.record().unwrap_err().to_string();
        assert!(
            altered.ends_with("what is kept of forge/KeysDeleted was changed after it was written"),
            "{altered}"
        );
    }

    #[tokio::test]
    async fn what_a_newer_one_wrote_is_left_alone_and_what_was_not_finished_goes() {
        let scratch = Scratch::new();
        let path = scratch.0.join("jane-0");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("record.json.00.new"), "half").unwrap();
        let folder = Folder::open(&scratch.0, "jane-0").unwrap();
        assert!(!path.join("record.json.00.new").exists());
        folder.save(&Record::default()).await.unwrap();
        let text = fs::read_to_string(path.join("record.json")).unwrap();
        fs::write(
            path.join("record.json"),
            text.replace("\"format\": 1", "\"format\": 3"),
        )
        .unwrap();
        assert!(matches!(folder.record(), Err(Error::Newer(_, 3, FORMAT))));
        folder.save_status(&OffboardingStatus::default()).unwrap();
        folder
            .first_seen(&["a".to_owned()], Timestamp::UNIX_EPOCH)
            .unwrap();
        for name in ["status.json", "seen.json"] {
            let text = fs::read_to_string(path.join(name)).unwrap();
            let newer = text.replace("\"format\": 1", "\"format\": 2, \"unknown\": [1]");
            assert_ne!(newer, text);
            fs::write(path.join(name), newer).unwrap();
        }
        assert!(matches!(folder.status(), Err(Error::Newer(_, 2, OTHERS))));
        let seen = folder.first_seen(&[], Timestamp::UNIX_EPOCH);
        assert!(matches!(seen, Err(Error::Newer(_, 2, OTHERS))), "{seen:?}");
    }

    #[test]
    fn files_from_before_they_had_a_number_are_read() {
        let scratch = Scratch::new();
        let folder = Folder::open(&scratch.0, "jane-0").unwrap();
        let path = scratch.0.join("jane-0");
        fs::write(path.join("seen.json"), r#"{"a": "1970-01-01T00:00:00Z"}"#).unwrap();
        fs::write(path.join("status.json"), r#"{"observedGeneration": 3}"#).unwrap();
        let now = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(1);
        let seen = folder.first_seen(&["a".to_owned(), "b".to_owned()], now).unwrap();
        assert_eq!((seen["a"], seen["b"]), (Timestamp::UNIX_EPOCH, now));
        assert_eq!(folder.first_seen(&[], now).unwrap(), seen);
        assert_eq!(folder.status().unwrap().unwrap().observed_generation, 3);
    }

    #[tokio::test]
    async fn entries_that_are_cut_off_at_the_end_are_missed() {
        let scratch = Scratch::new();
        let folder = Folder::open(&scratch.0, "jane-0").unwrap();
        let mut record = Record::default();
        for fact in ["AccountBlocked", "TokensDeleted"] {
            let happening = evidence::Happening {
                at: Timestamp::UNIX_EPOCH,
                system: "forge".to_owned(),
                fact: fact.to_owned(),
                event: crate::core::event::Event::Verified,
                account: "7".to_owned(),
            };
            evidence::append(&mut record.evidence, happening);
        }
        folder.save(&record).await.unwrap();
        assert_eq!(folder.record().unwrap(), record);
        let path = scratch.0.join("jane-0/record.json");
        let mut file: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        for left in [1, 0] {
            file["evidence"].as_array_mut().unwrap().truncate(left);
            fs::write(&path, file.to_string()).unwrap();
            assert!(matches!(folder.record(), Err(Error::Cut(_))), "{left}");
        }
        // Where nothing was written there is nothing to miss.
        file.as_object_mut().unwrap().remove("end");
        fs::write(&path, file.to_string()).unwrap();
        assert_eq!(folder.record().unwrap().evidence, []);
        // Taken out with the entries: said, with what a person puts there who knows better.
        file["evidence"] = serde_json::json!(record.evidence[..1]);
        fs::write(&path, file.to_string()).unwrap();
        let Err(Error::Endless(_, end)) = folder.record() else {
            panic!("{:?}", folder.record());
        };
        file["end"] = serde_json::from_str(&end).unwrap();
        fs::write(&path, file.to_string()).unwrap();
        assert_eq!(folder.record().unwrap().evidence, record.evidence[..1]);
    }

    #[tokio::test]
    async fn folders_that_others_may_look_into_are_closed_and_a_link_to_the_state_is_followed() {
        let scratch = Scratch::new();
        let (state, link) = (scratch.0.join("state"), scratch.0.join("link"));
        fs::create_dir_all(state.join("jane-0")).unwrap();
        for open in [&state, &state.join("jane-0")] {
            fs::set_permissions(open, Permissions::from_mode(0o755)).unwrap();
        }
        symlink(&state, &link).unwrap();
        let folder = Folder::open(&link, "jane-0").unwrap();
        folder.save_status(&OffboardingStatus::default()).unwrap();
        for closed in [&state, &state.join("jane-0")] {
            let mode = fs::metadata(closed).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{}", closed.display());
        }
        // Another link in the place of the first changes nothing for whoever has begun.
        let other = scratch.0.join("other");
        fs::create_dir_all(other.join("jane-0")).unwrap();
        fs::remove_file(&link).unwrap();
        symlink(&other, &link).unwrap();
        folder.save(&Record::default()).await.unwrap();
        assert!(state.join("jane-0/record.json").is_file());
        assert!(!other.join("jane-0/record.json").exists());
        assert!(Folder::look(&link, "jane-0").status().unwrap().is_none());
    }
}
