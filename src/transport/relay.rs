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
    time::Instant,
};

use super::memory::{self, Reservation};
use crate::core::fault::{Fault, Reason};

/// Bytes that are carried at once.
const CHUNK: usize = 16 << 10;

/// How many bytes may still come before the connection is cut, and the memory that is counted for them.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    left: Arc<AtomicUsize>,
    memory: Arc<tokio::sync::Mutex<Counted>>,
}

/// What is counted for an answer of at most `whole` bytes, of which the share is waited for until `deadline`.
#[derive(Debug, Default)]
struct Counted {
    memory: Reservation,
    whole: usize,
    deadline: Option<Instant>,
}

impl Meter {
    /// From now on an answer of so many bytes may come, with room for it until `deadline`.
    pub async fn begin(&self, bytes: usize, deadline: Instant) {
        *self.memory.lock().await = Counted {
            memory: Reservation::default(),
            whole: bytes,
            deadline: Some(deadline),
        };
        self.left.store(bytes, Ordering::Relaxed);
    }

    /// The answer has come, and from now on so many bytes may come that nobody asked for. What was counted stays so.
    pub async fn end(&self, bytes: usize) -> Reservation {
        self.left.store(bytes, Ordering::Relaxed);
        std::mem::take(&mut *self.memory.lock().await).memory
    }

    /// Counts an answer that takes `size` bytes by now as a whole, unless it is small or counted.
    ///
    /// # Errors
    /// When others do not leave enough in time, or nobody has asked for an answer of that size.
    pub async fn count(&self, size: usize) -> Result<(), Fault> {
        let mut counted = self.memory.lock().await;
        let whole = counted.whole;
        let deadline = counted.deadline.unwrap_or_else(Instant::now);
        counted
            .memory
            .count(&memory::COMING, (size, whole), deadline)
            .await
    }

    /// Whether more came, or was announced, than was allowed.
    pub fn is_spent(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    fn take(&self, bytes: usize) -> bool {
        let left = self.left.load(Ordering::Relaxed).saturating_sub(bytes);
        self.left.store(left, Ordering::Relaxed);
        left > 0
    }
}

/// The messages of a protocol, as far as who carries them has to know them: a header says how long each is.
///
/// # Why
/// A library makes room for what a header announces before any of it has come, and where a message counts what follows, for
/// that.
pub trait Messages: Default + Send + 'static {
    /// The length of a header in bytes, eight at most.
    const HEADER: usize;

    /// How many bytes follow a header; none: there is no such message.
    fn announced(&self, header: &[u8]) -> Option<usize>;

    /// Whether a message of that length may begin with this byte.
    fn begins(&mut self, length: usize, first: u8) -> bool;
}

/// Where in the messages the bytes are that come.
#[derive(Debug, Default)]
struct Place<M> {
    messages: M,
    header: Vec<u8>,
    /// The length of the message, of which nothing has come yet.
    fresh: Option<usize>,
    /// How much of it is still to come.
    left: usize,
}

impl<M: Messages> Place<M> {
    /// Goes through the next bytes, before they are carried: none, they may not be; else the longest message that begins in them.
    fn pass(&mut self, mut bytes: &[u8], longest: usize) -> Option<usize> {
        let mut announced = 0;
        while let Some(&first) = bytes.first() {
            if let Some(length) = self.fresh.take()
                && !self.messages.begins(length, first)
            {
                return None;
            }
            if self.left > 0 {
                let through = self.left.min(bytes.len());
                self.left -= through;
                bytes = &bytes[through..];
                continue;
            }
            self.header.push(first);
            bytes = &bytes[1..];
            if self.header.len() == M::HEADER {
                let length = self.messages.announced(&self.header)?;
                self.header.clear();
                if length > longest {
                    return None;
                }
                announced = announced.max(length);
                self.left = length;
                self.fresh = (length > 0).then_some(length);
            }
        }
        Some(announced)
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

/// Carries bytes until one end is gone, or more came from the server, or was announced by it, than was allowed. No message is
/// longer than `longest` bytes, and room for a large one is counted before the library knows of it.
pub async fn carry<M, S, L>(server: S, library: L, meter: &Meter, longest: usize)
where
    M: Messages,
    S: AsyncRead + AsyncWrite,
    L: AsyncRead + AsyncWrite,
{
    let (mut from_server, mut to_server) = split(server);
    let (mut from_library, mut to_library) = split(library);
    let answers = async {
        let mut chunk = vec![0; CHUNK];
        let mut place = Place::<M>::default();
        loop {
            let read = from_server.read(&mut chunk).await?;
            if read == 0 {
                return Ok::<_, io::Error>(());
            }
            let left = meter.left.load(Ordering::Relaxed);
            let announced = place.pass(&chunk[..read], longest.min(left));
            let (true, Some(announced)) = (meter.take(read), announced) else {
                meter.left.store(0, Ordering::Relaxed);
                return Ok(());
            };
            // What nobody leaves room for is not read: who waits for it is told so by the count of its own.
            if meter.count(announced).await.is_err() {
                return Ok(());
            }
            to_library.write_all(&chunk[..read]).await?;
            // TLS keeps what the socket had no room for until then.
            to_library.flush().await?;
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
    use std::time::Duration;

    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// One byte says how long a message is.
    #[derive(Default)]
    struct Short;

    impl Messages for Short {
        const HEADER: usize = 1;

        fn announced(&self, header: &[u8]) -> Option<usize> {
            Some(header[0].into())
        }

        fn begins(&mut self, _: usize, first: u8) -> bool {
            first != b'!'
        }
    }

    #[test]
    fn messages_are_followed_wherever_they_are_cut() {
        let stream = b"\x03abc\x00\x01d\x02!e";
        for at in 0..stream.len() {
            let mut place = Place::<Short>::default();
            let (first, second) = stream.split_at(at);
            let passed = (place.pass(first, 8), place.pass(second, 8));
            let bad = stream.iter().position(|&byte| byte == b'!').unwrap();
            assert_eq!(passed.0.is_none(), at > bad, "{at}");
            assert!(at > bad || passed.1.is_none(), "{at}");
        }
        assert_eq!(Place::<Short>::default().pass(&stream[..7], 8), Some(3));
        assert_eq!(Place::<Short>::default().pass(&stream[..1], 2), None);
    }

    #[tokio::test]
    async fn one_comes_through_and_no_more_comes_back_than_is_allowed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        let meter = Meter::default();
        meter.begin(14, Instant::now() + Duration::from_secs(60)).await;
        let door = Door::open("door").unwrap();
        let path = door.folder().join("door");
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(door.folder()).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o700);
        let mut library = UnixStream::connect(&path).await.unwrap();
        let entered = door.enter().await.unwrap();
        assert!(!path.exists() && UnixStream::connect(&path).await.is_err());
        let counted = meter.clone();
        tokio::spawn(async move { carry::<Short, _, _>(server, entered, &counted, 8).await });
        library.write_all(b"ask").await.unwrap();
        let mut asked = [0; 3];
        peer.read_exact(&mut asked).await.unwrap();
        peer.write_all(b"\x06answer").await.unwrap();
        let mut answer = [0; 7];
        library.read_exact(&mut answer).await.unwrap();
        assert_eq!((&asked, &answer), (b"ask", b"\x06answer"));
        assert!(!meter.is_spent());
        // More than may still come, of which only the length has.
        peer.write_all(&[8]).await.unwrap();
        assert_eq!(library.read(&mut answer).await.unwrap(), 0);
        assert!(meter.is_spent());
    }
}
