//! The state of leavers in a folder, for running without a cluster.
//!
//! One folder per leaver, named by its uid, with `record.json` (bindings, intents, snapshots, evidence), `status.json`, and
//! `seen.json` (when each Approval was first seen). Files are replaced as a whole: written beside, flushed to the disk, renamed.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

use super::{Interim, Record, Store};
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
    /// The chain of evidence is broken.
    #[error("{0}: entry {1} of the evidence was changed after it was written")]
    Tampered(PathBuf, usize),
}

#[derive(Default, Serialize, Deserialize)]
struct RecordFile {
    ledger: Ledger,
    evidence: Vec<Entry>,
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

impl Folder {
    /// Opens the state of the leaver `uid` below `state`, making the folder if there is none.
    ///
    /// # Errors
    /// When it cannot be made, or another process holds it.
    pub fn open(state: &Path, uid: &str) -> Result<Self, Error> {
        let path = state.join(uid);
        let wrong = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { path, source }
        };
        fs::create_dir_all(&path).map_err(wrong(&path))?;
        let lock_path = path.join("lock");
        let lock = File::create(&lock_path).map_err(wrong(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path,
                stopped: AtomicBool::new(false),
                lock: Some(lock),
                stands: None,
            }),
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
            path: state.join(uid),
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
        let file: RecordFile = read(&path)?.unwrap_or_default();
        if let Some(at) = super::evidence::first_broken(&file.evidence) {
            return Err(Error::Tampered(path, at));
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
        read(&self.path.join("status.json"))
    }

    /// Replaces the status.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save_status(&self, status: &OffboardingStatus) -> Result<(), Error> {
        let path = self.path.join("status.json");
        replace(&path, status).map_err(|source| Error::Io { path, source })
    }

    /// When each of `ids` was first seen here: now, of those that were not seen before.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn first_seen(&self, ids: &[String], now: Timestamp) -> Result<BTreeMap<String, Timestamp>, Error> {
        let path = self.path.join("seen.json");
        let mut seen: BTreeMap<String, Timestamp> = read(&path)?.unwrap_or_default();
        let before = seen.len();
        for id in ids {
            seen.entry(id.clone()).or_insert(now);
        }
        if seen.len() > before && self.lock.is_some() {
            replace(&path, &seen).map_err(|source| Error::Io { path, source })?;
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
            ledger: record.ledger.clone(),
            evidence: record.evidence.clone(),
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
        if entry.path().is_dir() {
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
    read(&path.join("status.json"))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(Error::Io {
                path: path.to_owned(),
                source,
            });
        }
    };
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|e| Error::Damaged(path.to_owned(), e.to_string()))
}

/// Either the old or the new content is there after a crash, never a part.
fn replace<T: Serialize>(path: &Path, content: &T) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    serde_json::to_writer_pretty(&mut file, content)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
