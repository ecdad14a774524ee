//! A door of this machine for a library that insists on connecting by itself: what comes through it goes on a connection
//! that the [`Dialer`](super::dial::Dialer) made.
//!
//! # Why
//! Such a library resolves the name anew and would connect to whatever the answer is then; and how much comes back to it is
//! counted by nobody.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::{UnixListener, UnixStream},
};

use crate::core::fault::{Fault, Reason};

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
    listener: UnixListener,
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
    /// A door named `name`, that only this user can come through.
    ///
    /// # Errors
    /// `ConnectorNotReady` when there can be no door in the folder for temporary files.
    pub fn open(name: &str) -> Result<Self, Fault> {
        let failed = |_: io::Error| Fault::transient(Reason::ConnectorNotReady).with_code("temporary folder");
        let unique: u64 = rand::random();
        let path = std::env::temp_dir().join(format!("offboard-{unique:016x}"));
        DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
        let folder = Folder(path);
        let listener = UnixListener::bind(folder.0.join(name)).map_err(failed)?;
        Ok(Self { listener, folder })
    }

    /// The folder that it is in.
    pub fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// Who comes first. Nobody does after.
    ///
    /// # Errors
    /// When nobody can.
    pub async fn enter(self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

/// Carries bytes until one end is gone, or more came from the server than was allowed.
pub async fn carry<S, L>(server: S, library: L, meter: &Meter)
where
    S: AsyncRead + AsyncWrite,
    L: AsyncRead + AsyncWrite,
{
    let (mut from_server, mut to_server) = split(server);
    let (mut from_library, mut to_library) = split(library);
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
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn one_comes_through_and_no_more_comes_back_than_is_allowed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        let meter = Meter::default();
        meter.allow(8);
        let door = Door::open("door").unwrap();
        let path = door.folder().join("door");
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(door.folder()).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o700);
        let mut library = UnixStream::connect(&path).await.unwrap();
        let entered = door.enter().await.unwrap();
        assert!(!path.exists() && UnixStream::connect(&path).await.is_err());
        let counted = meter.clone();
        tokio::spawn(async move { carry(server, entered, &counted).await });
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
