//! The memory that large answers may take, all of them together.
//!
//! # Why
//! Each answer has a limit of its own, but many of them at once would take many times that, and a process that takes too much
//! is ended with everything that it was about to do. So whatever is large is counted here while it comes and while it is gone
//! through: what does not fit waits for the others, and is asked for again later if that takes too long.
//!
//! What comes and what is gone through are counted apart, each once and as a whole: whoever goes through an answer waits for
//! nobody any more, so that there is always one who comes to an end.
//!
//! What a look keeps of its answers is counted until nobody keeps it. Whoever waits for that holds no answer, neither one that
//! comes nor one that is gone through, and asks again afterwards: so nobody who still has to read is kept waiting by it. Looks
//! that keep a part each and wait for the rest would wait for each other; so one of them at a time goes beyond what there is,
//! and comes to an end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Duration, Instant, timeout_at},
};

use crate::core::fault::{Fault, Reason};

/// Counted in pieces of so many bytes.
const PIECE: usize = 64 << 10;
/// What is smaller is not counted, in bytes: there are only so many requests at the same time.
const SMALL: usize = 256 << 10;

/// How long a look waits for others to end, at most.
const PATIENCE: Duration = Duration::from_secs(40);

/// A part of the memory, shared by all.
#[derive(Debug)]
pub struct Share {
    free: Semaphore,
    pieces: usize,
}

/// Answers while they come: some of the largest at a time.
pub static COMING: Share = Share::new(48 << 20);
/// Answers while they are gone through: one of the largest at a time.
pub static READ: Share = Share::new(72 << 20);

/// What looks keep of what they read, until they end: one of the largest answers, or some smaller ones.
pub static KEPT: Kept = Kept::new(40 << 20);

/// What looks may keep together, and one of them beyond that.
#[derive(Debug)]
pub struct Kept {
    share: Share,
    beyond: Semaphore,
}

/// What one look keeps.
#[derive(Debug)]
pub struct Retention {
    kept: &'static Kept,
    state: Mutex<Retaining>,
    /// Its reads wait one after the other.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Retaining {
    /// Bytes that are not counted yet.
    small: usize,
    /// It holds a part of the share.
    some: bool,
    /// It is the one that goes beyond.
    beyond: Option<Arc<SemaphorePermit<'static>>>,
}

/// What a look keeps is counted until this is dropped.
#[derive(Debug, Default)]
pub struct Retained {
    _room: Option<SemaphorePermit<'static>>,
    _beyond: Option<Arc<SemaphorePermit<'static>>>,
}

/// Memory that is counted until this is dropped.
#[derive(Debug, Default)]
pub struct Reservation(Option<SemaphorePermit<'static>>);

impl Share {
    const fn new(bytes: usize) -> Self {
        Self {
            free: Semaphore::const_new(bytes / PIECE),
            pieces: bytes / PIECE,
        }
    }
}

impl Kept {
    const fn new(bytes: usize) -> Self {
        Self {
            share: Share::new(bytes),
            beyond: Semaphore::const_new(1),
        }
    }
}

impl Retention {
    /// A look that keeps nothing yet.
    pub fn new(kept: &'static Kept) -> Self {
        Self {
            kept,
            state: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, Retaining> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts so many bytes that are kept from now on, if there is room for them; none if not.
    pub fn keep(&self, size: usize) -> Option<Retained> {
        let mut state = self.state();
        let size = size + state.small;
        if size <= SMALL {
            state.small = size;
            return Some(Retained::default());
        }
        let retained = match &state.beyond {
            Some(beyond) => Retained {
                _room: None,
                _beyond: Some(Arc::clone(beyond)),
            },
            None => Retained {
                _room: Some(self.kept.share.free.try_acquire_many(self.pieces(size)).ok()?),
                _beyond: None,
            },
        };
        state.some = true;
        state.small = 0;
        Some(retained)
    }

    /// Waits until there is room for so many bytes, and counts them.
    ///
    /// # Errors
    /// When others keep it for too long: to be asked for again later.
    pub async fn wait(&self, size: usize) -> Result<Retained, Fault> {
        let full = || Fault::transient(Reason::Incomplete).with_code("too much at once");
        let deadline = Instant::now() + PATIENCE;
        timeout_at(deadline, self.room(size))
            .await
            .ok()
            .flatten()
            .ok_or_else(full)
    }

    async fn room(&self, size: usize) -> Option<Retained> {
        let _turn = self.turn.lock().await;
        if let Some(retained) = self.keep(size) {
            return Some(retained);
        }
        let (size, some) = {
            let state = self.state();
            (size + state.small, state.some)
        };
        let room = self.kept.share.free.acquire_many(self.pieces(size));
        // Whoever keeps nothing keeps nobody waiting either.
        let beyond = async {
            if some {
                self.kept.beyond.acquire().await.ok()
            } else {
                std::future::pending().await
            }
        };
        let (room, beyond) = tokio::select! {
            biased;
            room = room => (Some(room.ok()?), None),
            beyond = beyond => (None, Some(Arc::new(beyond?))),
        };
        let mut state = self.state();
        state.some = true;
        state.small = 0;
        state.beyond.clone_from(&beyond);
        Some(Retained {
            _room: room,
            _beyond: beyond,
        })
    }

    fn pieces(&self, size: usize) -> u32 {
        let pieces = size.div_ceil(PIECE).min(self.kept.share.pieces);
        u32::try_from(pieces).unwrap_or(u32::MAX)
    }
}

impl Reservation {
    /// Once `size` is no small one any more: counts `whole` bytes of `share`, at most all there are, if nothing is counted yet.
    ///
    /// # Errors
    /// When others do not leave enough before the deadline. The request has been sent.
    pub async fn count(
        &mut self,
        share: &'static Share,
        (size, whole): (usize, usize),
        deadline: Instant,
    ) -> Result<(), Fault> {
        if size <= SMALL || self.0.is_some() {
            return Ok(());
        }
        let full = || Fault::unknown_outcome(Reason::Incomplete).with_code("too much at once");
        let pieces = whole.max(size).div_ceil(PIECE).min(share.pieces);
        let pieces = u32::try_from(pieces).map_err(|_| full())?;
        let Ok(Ok(permit)) = timeout_at(deadline, share.free.acquire_many(pieces)).await else {
            return Err(full());
        };
        self.0 = Some(permit);
        Ok(())
    }
}

/// What is counted is no part of what an answer says.
impl PartialEq for Reservation {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// The copy of an answer is not counted again.
impl Clone for Reservation {
    fn clone(&self) -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_does_not_fit_waits_for_the_others_and_gives_up_at_the_deadline() {
        static SHARE: Share = Share::new(8 << 20);
        let later = || Instant::now() + Duration::from_secs(60);
        let count = async |memory: &mut Reservation, size: usize, whole: usize| {
            memory.count(&SHARE, (size, whole), later()).await
        };
        let mut first = Reservation::default();
        count(&mut first, SMALL, 100 << 20).await.unwrap();
        assert!(first.0.is_none());
        count(&mut first, SMALL + 1, 100 << 20).await.unwrap();
        count(&mut first, 5 << 20, 100 << 20).await.unwrap();
        let mut second = Reservation::default();
        let fault = count(&mut second, 1 << 20, 0).await.unwrap_err();
        assert_eq!(fault.code, "too much at once");
        let waits = tokio::spawn(async move {
            let mut second = Reservation::default();
            second.count(&SHARE, (1 << 20, 0), later()).await.map(|()| second)
        });
        tokio::task::yield_now().await;
        drop(first);
        let second = waits.await.unwrap().unwrap();
        assert_eq!(SHARE.free.available_permits(), SHARE.pieces - 16);
        drop(second);
        assert_eq!(SHARE.free.available_permits(), SHARE.pieces);
    }

    const MIB: usize = 1 << 20;

    #[tokio::test(start_paused = true)]
    async fn what_a_look_keeps_is_counted_until_nobody_keeps_it() {
        static KEPT: Kept = Kept::new(8 * MIB);
        let free = || KEPT.share.free.available_permits() * PIECE;
        let (first, second) = (Retention::new(&KEPT), Retention::new(&KEPT));
        // What is small is counted once there is much of it.
        let small: Vec<_> = (0..8).map(|_| first.keep(SMALL / 4).unwrap()).collect();
        assert_eq!(free(), 8 * MIB - SMALL / 4 * 5);
        let large = first.keep(6 * MIB).unwrap();
        assert!(second.keep(4 * MIB).is_none());
        assert_eq!(
            second.wait(4 * MIB).await.unwrap_err(),
            Fault::transient(Reason::Incomplete).with_code("too much at once")
        );
        let waits = tokio::spawn(async move { second.wait(4 * MIB).await.map(drop) });
        tokio::task::yield_now().await;
        drop(large);
        waits.await.unwrap().unwrap();
        drop(small);
        assert_eq!(free(), 8 * MIB);
        // More than all there is is all there is.
        let most = Retention::new(&KEPT).keep(100 * MIB).unwrap();
        assert_eq!(free(), 0);
        drop(most);
    }

    #[tokio::test(start_paused = true)]
    async fn looks_that_keep_a_half_each_come_to_an_end_one_after_the_other() {
        static KEPT: Kept = Kept::new(8 * MIB);
        let looks: Vec<_> = (0..3).map(|_| Arc::new(Retention::new(&KEPT))).collect();
        let half = |look: &Arc<Retention>| look.keep(4 * MIB);
        let (a, b) = (half(&looks[0]).unwrap(), half(&looks[1]).unwrap());
        assert!(half(&looks[2]).is_none());
        let wait = |look: &Arc<Retention>| {
            let look = Arc::clone(look);
            tokio::spawn(async move { look.wait(4 * MIB).await })
        };
        // The first that wants more goes beyond, and as far as it likes.
        let more = wait(&looks[0]).await.unwrap().unwrap();
        let still_more = looks[0].keep(4 * MIB).unwrap();
        let (second, third) = (wait(&looks[1]), wait(&looks[2]));
        tokio::task::yield_now().await;
        assert!(!second.is_finished() && !third.is_finished());
        // It ends with everything that it keeps.
        drop((a, more));
        tokio::task::yield_now().await;
        drop(still_more);
        drop((b, second.await.unwrap().unwrap()));
        drop(third.await.unwrap().unwrap());
        drop(looks);
        assert_eq!(KEPT.share.free.available_permits(), KEPT.share.pieces);
        assert_eq!(KEPT.beyond.available_permits(), 1);
    }
}
