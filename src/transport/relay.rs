//! A door of this machine for a library that insists on connecting by itself: what comes through it goes on a connection
//! that the [`Dialer`] made.
//!
//! # Why
//! Such a library resolves the name anew and would connect to whatever the answer is then. It speaks TLS through the door to
//! the server itself, so nothing here sees what is said; only how much comes back is counted.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixListener, UnixStream},
    time::timeout,
};

use crate::core::fault::{Fault, Reason};

/// How long the library may take to come through the door.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes that are carried at once.
const CHUNK: usize = 16 << 10;

/// How many bytes may still come before the connection is cut.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<AtomicUsize>);

impl Meter {
    /// From now on so many may come.
    pub fn allow(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    /// Whether more came than was allowed.
    pub fn is_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    fn take(&self, bytes: usize) -> bool {
        let left = self.0.load(Ordering::Relaxed).saturating_sub(bytes);
        self.0.store(left, Ordering::Relaxed);
        left > 0
    }
}

/// A door that is open for one who comes.
#[derive(Debug)]
pub struct Door {
    folder: Folder,
}

/// Gone when nobody needs it any more.
#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that is left over in the temporary ones harms nobody.
        drop(fs::remove_dir_all(&self.0));
    }
}

impl Door {
    /// A door named `name`, that only this user can come through, to the other end of `server`.
    ///
    /// # Errors
    /// `ConnectorNotReady` when there can be no door in the folder for temporary files.
    pub fn open(server: TcpStream, name: &str, meter: Meter) -> Result<Self, Fault> {
        let failed = |_: io::Error| Fault::transient(Reason::ConnectorNotReady).with_code("temporary folder");
        let unique: u64 = rand::random();
        let path = std::env::temp_dir().join(format!("offboard-{unique:016x}"));
        DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
        let folder = Folder(path);
        let listener = UnixListener::bind(folder.0.join(name)).map_err(failed)?;
        tokio::spawn(async move {
            let come = timeout(PATIENCE, listener.accept()).await;
            drop(listener);
            if let Ok(Ok((library, _))) = come {
                carry(server, library, &meter).await;
            }
        });
        Ok(Self { folder })
    }

    /// The folder that it is in.
    pub fn folder(&self) -> &Path {
        &self.folder.0
    }
}

/// Carries bytes until one end is gone, or more came from the server than was allowed.
async fn carry(mut server: TcpStream, mut library: UnixStream, meter: &Meter) {
    let (mut from_server, mut to_server) = server.split();
    let (mut from_library, mut to_library) = library.split();
    let answers = async {
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = from_server.read(&mut chunk).await?;
            if read == 0 || !meter.take(read) {
                return Ok::<_, io::Error>(());
            }
            to_library.write_all(&chunk[..read]).await?;
        }
    };
    let requests = async {
        tokio::io::copy(&mut from_library, &mut to_server).await?;
        to_server.shutdown().await
    };
    // Whoever is left sees that the connection has ended, which is all there is to say.
    tokio::select! {
        ended = answers => drop(ended),
        ended = requests => drop(ended),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn one_comes_through_and_no_more_comes_back_than_is_allowed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        let meter = Meter::default();
        meter.allow(8);
        let door = Door::open(server, "door", meter.clone()).unwrap();
        let path = door.folder().join("door");
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(door.folder()).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o700);
        let mut library = UnixStream::connect(&path).await.unwrap();
        drop(door);
        assert!(!path.exists() && UnixStream::connect(&path).await.is_err());
        library.write_all(b"ask").await.unwrap();
        let mut asked = [0; 3];
        peer.read_exact(&mut asked).await.unwrap();
        peer.write_all(b"answer").await.unwrap();
        let mut answer = [0; 6];
        library.read_exact(&mut answer).await.unwrap();
        assert_eq!((&asked, &answer), (b"ask", b"answer"));
        peer.write_all(b"more").await.unwrap();
        assert_eq!(library.read(&mut answer).await.unwrap(), 0);
        assert!(meter.is_spent());
    }
}
