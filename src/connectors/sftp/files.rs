//! What is asked of the server for each request.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use rand::{TryRng, rngs::SysRng};
use russh_sftp::{
    client::error::Error,
    protocol::{FileAttributes, FileType, OpenFlags, Packet, StatusCode},
};
use tokio::time::Instant;

use super::feed::{self, Entry};
use crate::{
    connectors::{delimited::incomplete, driver::Believed, glob},
    core::fault::{Fault, FaultKind, Reason},
    transport::{
        memory::{self, Reservation},
        ssh::Sftp,
    },
};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 64 << 20;

/// The most files of a folder that are looked at.
const MOST: usize = 100_000;

/// What names of files may take together, in bytes, with what each costs beside.
const LISTED: usize = 16 << 20;

/// What a file of a folder costs beside its name: while it is listed, and as it is handed on.
const FILE: usize = 64;
const SHOWN: usize = 512;

/// What is read or written at a time: every server takes so much (draft-ietf-secsh-filexfer-02, section 3).
const CHUNK: u32 = 32_768;

/// How many chunks are on their way at the same time.
const ABREAST: usize = 16;

const FSYNC: &str = "fsync@openssh.com";
const RENAME_OVER: &str = "posix-rename@openssh.com";

/// Why a request did not get what it wanted.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server refused, by this number.
    Refused(u32),
    /// What it shows cannot be believed, or was never asked for.
    Fault(Fault),
    /// The connection ended.
    Lost,
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// The error's own text is not used.
impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::Status(status) => Self::Refused(status.status_code as u32),
            Error::UnexpectedPacket => Self::Fault(Fault::permanent(Reason::Malformed).with_code("sftp")),
            Error::Limited(_) => {
                Self::Fault(Fault::transient(Reason::SystemUnavailable).with_code("sftp limit"))
            }
            Error::IO(_) | Error::Timeout | Error::UnexpectedBehavior(_) => Self::Lost,
        }
    }
}

/// A server's files, for one request.
pub(super) struct Folder<'f> {
    pub sftp: &'f Sftp,
    /// Set before anything is sent that others can see the effect of.
    pub begun: &'f AtomicBool,
    /// How long room for a file is waited for.
    pub deadline: Instant,
}

impl Folder<'_> {
    /// The files that match, by name, and the memory that is counted for them.
    pub(super) async fn list(&self, pattern: &str) -> Result<(Vec<Entry>, Reservation), Trouble> {
        let (folder, wanted) = split(pattern)?;
        let (mut entries, _coming) = self.entries(&folder).await?;
        entries.retain(|entry| !feed::is_unfinished(&entry.name) && glob::matches(wanted, &entry.name));
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let size = entries.iter().map(|entry| SHOWN + 2 * entry.name.len()).sum();
        let mut read = Reservation::default();
        read.count(&memory::READ, (size, size), self.deadline)
            .await
            .map_err(unasked)?;
        Ok((entries, read))
    }

    /// The newest file that matches and can be believed, as far as that can be seen before it is opened, and the memory that is
    /// counted for it.
    pub(super) async fn read(
        &self,
        pattern: &str,
        believed: &Believed,
        now: Timestamp,
    ) -> Result<(Entry, Vec<u8>, Reservation), Trouble> {
        let (folder, wanted) = split(pattern)?;
        let name = if glob::is_wild(wanted) || believed.marker.is_some() {
            let (entries, _coming) = self.entries(&folder).await?;
            let newest = feed::newest(&entries, wanted, believed)?;
            newest.ok_or(Trouble::Refused(2))?.name.clone()
        } else {
            glob::plain(wanted)
        };
        let path = join(&folder, &name);
        let attributes = FileAttributes::empty();
        let opened = self.sftp.session.open(path, OpenFlags::READ, attributes).await?;
        let found = self.contents(&opened.handle, name, believed, now).await;
        self.end(opened.handle, found).await
    }

    async fn contents(
        &self,
        handle: &str,
        name: String,
        believed: &Believed,
        now: Timestamp,
    ) -> Result<(Entry, Vec<u8>, Reservation), Trouble> {
        let session = &self.sftp.session;
        let before = session.fstat(handle).await?.attrs;
        let entry = described(name, &before).ok_or_else(|| incomplete("not a file"))?;
        if entry.size > LARGEST {
            return Err(incomplete("too large").into());
        }
        feed::at_rest(entry.modified, believed, now)?;
        let expected = usize::try_from(entry.size).unwrap_or(usize::MAX);
        let mut coming = Reservation::default();
        coming
            .count(&memory::COMING, (expected, expected), self.deadline)
            .await
            .map_err(unasked)?;
        // Not twice the size, as a vector that grows would take.
        let mut bytes = Vec::with_capacity(expected);
        let size = entry.size;
        let mut chunks = stream::iter((0..size).step_by(CHUNK as usize))
            .map(|offset| {
                let left = u32::try_from(size - offset).unwrap_or(CHUNK);
                self.chunk(handle, offset, left.min(CHUNK))
            })
            .buffered(ABREAST);
        while let Some(chunk) = chunks.try_next().await? {
            bytes.extend(chunk);
        }
        // A file that grew, shrank or changed while it was read is not one that anybody wrote.
        let after = session.fstat(handle).await?.attrs;
        let whole = u64::try_from(bytes.len()) == Ok(entry.size);
        if !whole || after.size != before.size || after.mtime != before.mtime {
            return Err(Fault::transient(Reason::Incomplete)
                .with_code("still written")
                .into());
        }
        // In another encoding it takes as much again while it is read, which is not for long.
        let mut read = Reservation::default();
        read.count(&memory::READ, (expected, expected), self.deadline)
            .await
            .map_err(unasked)?;
        Ok((entry, bytes, read))
    }

    /// So many bytes from there, or fewer at the end of the file.
    async fn chunk(&self, handle: &str, offset: u64, length: u32) -> Result<Vec<u8>, Trouble> {
        let mut bytes = Vec::new();
        while let Some(left @ 1..) = length.checked_sub(u32::try_from(bytes.len()).unwrap_or(u32::MAX)) {
            let from = offset + u64::from(length - left);
            match self.sftp.session.read(handle, from, left).await {
                Ok(data) if data.data.is_empty() || data.data.len() > left as usize => {
                    return Err(Fault::permanent(Reason::Malformed).with_code("sftp").into());
                }
                Ok(data) => bytes.extend(data.data),
                Err(Error::Status(status)) if status.status_code == StatusCode::Eof => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(bytes)
    }

    /// Writes a file that is there whole or not at all, in the place of one of that name.
    pub(super) async fn write(&self, path: &str, bytes: &[u8]) -> Result<(), Trouble> {
        let (folder, name) = parts(path)?;
        let unfinished = join(&folder, &format!(".{name}.{}.part", tail()?));
        let done = self.write_there(&unfinished, path, bytes).await;
        if matches!(done, Err(Trouble::Refused(_) | Trouble::Fault(_))) {
            // What is left over is never read: its name says that it is not finished.
            drop(self.sftp.session.remove(unfinished).await);
        }
        done
    }

    async fn write_there(&self, unfinished: &str, path: &str, bytes: &[u8]) -> Result<(), Trouble> {
        let session = &self.sftp.session;
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUDE;
        let opened = session.open(unfinished, flags, FileAttributes::empty()).await?;
        let written = self.fill(&opened.handle, bytes).await;
        self.end(opened.handle, written).await?;
        self.begun.store(true, Ordering::SeqCst);
        if self.sftp.extensions.contains(RENAME_OVER) {
            let asked = session.extended(RENAME_OVER, two_texts(unfinished, path)).await?;
            return match asked {
                Packet::Status(status) if status.status_code == StatusCode::Ok => Ok(()),
                Packet::Status(status) => Err(Trouble::Refused(status.status_code as u32)),
                _ => Err(Fault::unknown_outcome(Reason::Malformed).with_code("sftp").into()),
            };
        }
        // Most servers refuse this where there is one of that name; nothing is removed first, for then it would be gone.
        session.rename(unfinished, path).await?;
        Ok(())
    }

    async fn fill(&self, handle: &str, bytes: &[u8]) -> Result<(), Trouble> {
        let session = &self.sftp.session;
        let mut sent = stream::iter((0..bytes.len()).step_by(CHUNK as usize))
            .map(|offset| {
                let chunk = bytes[offset..].iter().take(CHUNK as usize).copied().collect();
                session.write(handle, u64::try_from(offset).unwrap_or(u64::MAX), chunk)
            })
            .buffered(ABREAST);
        while sent.try_next().await?.is_some() {}
        if self.sftp.extensions.contains(FSYNC) {
            session.fsync(handle).await?;
        }
        Ok(())
    }

    /// Moves a file into a folder. One of that name there is left alone by most servers, and the file where it was.
    pub(super) async fn relocate(&self, path: &str, into: &str) -> Result<(), Trouble> {
        let (_, name) = parts(path)?;
        let (above, last) = parts(into)?;
        self.begun.store(true, Ordering::SeqCst);
        let target = join(&join(&above, last), name);
        self.sftp.session.rename(path, target).await?;
        Ok(())
    }

    pub(super) async fn delete(&self, path: &str) -> Result<(), Trouble> {
        parts(path)?;
        self.begun.store(true, Ordering::SeqCst);
        self.sftp.session.remove(path).await?;
        Ok(())
    }

    /// Every file of a folder, and the memory that is counted for them; folders and links in it are left out.
    async fn entries(&self, folder: &str) -> Result<(Vec<Entry>, Reservation), Trouble> {
        let session = &self.sftp.session;
        let path = if folder.is_empty() { "." } else { folder };
        let opened = session.opendir(path).await?;
        let listed = async {
            let (mut entries, mut coming) = (vec![], Reservation::default());
            let (mut seen, mut size) = (0, 0);
            loop {
                let names = match session.readdir(opened.handle.as_str()).await {
                    Ok(names) => names,
                    Err(Error::Status(status)) if status.status_code == StatusCode::Eof => {
                        return Ok((entries, coming));
                    }
                    Err(error) => return Err(Trouble::from(error)),
                };
                // What is left out was sent as well: a folder of folders could go on for ever.
                seen += names.files.len();
                size += names
                    .files
                    .iter()
                    .map(|file| FILE + file.filename.len())
                    .sum::<usize>();
                if names.files.is_empty() || seen > MOST || size > LISTED {
                    return Err(incomplete("too many files").into());
                }
                coming
                    .count(&memory::COMING, (size, LISTED), self.deadline)
                    .await
                    .map_err(unasked)?;
                let files = names.files.into_iter();
                entries.extend(files.filter_map(|file| described(file.filename, &file.attrs)));
            }
        };
        let listed = listed.await;
        self.end(opened.handle, listed).await
    }

    /// Closes a handle. What came before counts more than whether it closes.
    async fn end<T>(&self, handle: String, result: Result<T, Trouble>) -> Result<T, Trouble> {
        if matches!(result, Err(Trouble::Lost)) {
            return result;
        }
        let closed = self.sftp.session.close(handle).await;
        let value = result?;
        closed?;
        Ok(value)
    }
}

/// A file that there is no room for was not changed by being looked at.
fn unasked(fault: Fault) -> Fault {
    Fault {
        kind: FaultKind::Transient,
        ..fault
    }
}

/// A file with a plain name; none for a folder, a link, a device, and where its size or its last change is not told.
fn described(name: String, attributes: &FileAttributes) -> Option<Entry> {
    let file = attributes.permissions.is_none() || attributes.file_type() == FileType::File;
    if !file || name.contains(['/', '\0']) {
        return None;
    }
    Some(Entry {
        name,
        size: attributes.size?,
        modified: Timestamp::from_second(i64::from(attributes.mtime?)).ok()?,
    })
}

/// Folder and pattern of the names in it.
fn split(pattern: &str) -> Result<(String, &str), Fault> {
    let (folder, name) = parts(pattern)?;
    if glob::is_wild(&folder) {
        return Err(malformed());
    }
    Ok((glob::plain(&folder), name))
}

/// Folder, empty for the one where the login begins, and name. A definition has checked the path before the key of the act
/// was put into it.
fn parts(path: &str) -> Result<(String, &str), Fault> {
    let inner = path.strip_prefix('/').unwrap_or(path);
    if path.chars().any(char::is_control) || inner.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(malformed());
    }
    Ok(match path.rsplit_once('/') {
        Some(("", name)) => ("/".to_owned(), name),
        Some((folder, name)) => (folder.to_owned(), name),
        None => (String::new(), path),
    })
}

fn malformed() -> Fault {
    Fault::permanent(Reason::Malformed).with_code("path")
}

fn join(folder: &str, name: &str) -> String {
    match folder {
        "" => name.to_owned(),
        "/" => format!("/{name}"),
        _ => format!("{folder}/{name}"),
    }
}

/// Something that no other file of that name has: one that was left over by a lost connection may still be written to.
fn tail() -> Result<String, Fault> {
    let mut bytes = [0_u8; 8];
    let none = |_| Fault::transient(Reason::ConnectorNotReady).with_code("random");
    SysRng.try_fill_bytes(&mut bytes).map_err(none)?;
    Ok(format!("{:016x}", u64::from_be_bytes(bytes)))
}

/// Two texts as the protocol writes them: each behind its length.
fn two_texts(one: &str, two: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(one.len() + two.len() + 8);
    for text in [one, two] {
        bytes.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_never_leads_above_its_folder() {
        for path in ["../a", "a/../b", "a//b", "a/", "", "/", ".", "a\0b", "a\nb"] {
            assert!(parts(path).is_err(), "{path:?}");
        }
        assert_eq!(parts("a").unwrap(), (String::new(), "a"));
        assert_eq!(parts("/a").unwrap(), ("/".into(), "a"));
        assert_eq!(split("/in/b/x-*.csv").unwrap(), ("/in/b".into(), "x-*.csv"));
        assert!(split("/in*/x.csv").is_err());
        assert_eq!(split("in\\*/x").unwrap(), ("in*".into(), "x"));
    }
}
