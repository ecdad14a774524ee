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
//! that keep a part each and wait for the rest would wait for each other; so some of them go beyond what there is, and come to
//! an end.
//!
//! A system decides how long a look at it takes. So the looks through one Connector keep at most half of what there is, and one
//! of them at a time goes beyond. Of all looks one does, and one more beside it when it takes long: whoever looks at another
//! system has the other half, and another turn beyond.

use std::{future::pending, sync::Arc};

use parking_lot::{Mutex, MutexGuard};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit},
    time::{Duration, Instant, sleep, timeout_at},
};

use crate::core::fault::{Fault, Reason};

/// Counted in pieces of so many bytes.
const PIECE: usize = 64 << 10;
/// What is smaller is not counted, in bytes: there are only so many requests at the same time.
const SMALL: usize = 256 << 10;

/// How long a look waits for others to end, at most.
const PATIENCE: Duration = Duration::from_secs(40);

/// The code of what waits for others to end, and is tried again later.
pub const TOO_MUCH_AT_ONCE: &str = "too much at once";

/// A part of the memory, shared by all.
#[derive(Debug)]
pub struct Share {
    free: Semaphore,
    pieces: usize,
}

/// Answers while they come: some of the largest at a time.
pub static COMING: Share = Share::new(16 << 20);
/// Answers while they are gone through: one of the largest at a time.
pub static READ: Share = Share::new(72 << 20);

/// What looks keep of what they read, until they end: one of the largest answers, or some smaller ones.
pub static KEPT: Kept = Kept::new(28 << 20);

/// How long the look that goes beyond what there is may be the only one, while others wait.
const ALONE: Duration = Duration::from_secs(10);

/// What looks may keep together, and some of them beyond that.
#[derive(Debug)]
pub struct Kept {
    share: Share,
    /// One look.
    beyond: Semaphore,
    /// One more, while the first one takes long.
    besides: Semaphore,
}

/// What the looks through one Connector may keep of it.
#[derive(Debug, Clone)]
pub struct Part {
    kept: &'static Kept,
    /// Half of the share.
    room: Arc<Semaphore>,
    pieces: usize,
    /// One look.
    beyond: Arc<Semaphore>,
}

/// A look that goes beyond.
#[derive(Debug)]
struct Beyond {
    _one: OwnedSemaphorePermit,
    _some: SemaphorePermit<'static>,
}

/// What one look keeps.
#[derive(Debug)]
pub struct Retention {
    part: Part,
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
    beyond: Option<Arc<Beyond>>,
}

/// What a look keeps is counted until this is dropped.
#[derive(Debug, Default)]
pub struct Retained {
    _room: Option<(OwnedSemaphorePermit, SemaphorePermit<'static>)>,
    beyond: Option<Arc<Beyond>>,
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
            besides: Semaphore::const_new(1),
        }
    }
}

impl Part {
    /// The part of a Connector.
    pub fn new(kept: &'static Kept) -> Self {
        let pieces = kept.share.pieces / 2;
        Self {
            kept,
            room: Arc::new(Semaphore::new(pieces)),
            pieces,
            beyond: Arc::new(Semaphore::new(1)),
        }
    }

    /// How many pieces so many bytes are; none if that is more than the part.
    fn pieces(&self, size: usize) -> Option<u32> {
        let pieces = size.div_ceil(PIECE);
        let fits = pieces <= self.pieces;
        fits.then(|| u32::try_from(pieces).ok()).flatten()
    }

    fn try_room(&self, pieces: u32) -> Option<Retained> {
        let own = Arc::clone(&self.room).try_acquire_many_owned(pieces).ok()?;
        let room = self.kept.share.free.try_acquire_many(pieces).ok()?;
        Some(Retained {
            _room: Some((own, room)),
            beyond: None,
        })
    }

    /// What waits for others of the same Connector stands in nobody's way meanwhile.
    async fn room(&self, pieces: u32) -> Option<Retained> {
        let own = Arc::clone(&self.room).acquire_many_owned(pieces).await.ok()?;
        let room = self.kept.share.free.acquire_many(pieces).await.ok()?;
        Some(Retained {
            _room: Some((own, room)),
            beyond: None,
        })
    }

    fn try_beyond(&self) -> Option<Arc<Beyond>> {
        Some(Arc::new(Beyond {
            _one: Arc::clone(&self.beyond).try_acquire_owned().ok()?,
            _some: self.kept.beyond.try_acquire().ok()?,
        }))
    }

    async fn beyond(&self) -> Option<Arc<Beyond>> {
        let one = Arc::clone(&self.beyond).acquire_owned().await.ok()?;
        let besides = async {
            sleep(ALONE).await;
            self.kept.besides.acquire().await
        };
        let some = tokio::select! {
            biased;
            first = self.kept.beyond.acquire() => first.ok()?,
            second = besides => second.ok()?,
        };
        Some(Arc::new(Beyond {
            _one: one,
            _some: some,
        }))
    }
}

impl Retention {
    /// A look that keeps nothing yet.
    pub fn new(part: &Part) -> Self {
        Self {
            part: part.clone(),
            state: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, Retaining> {
        self.state.lock()
    }

    /// Counts so many bytes that are kept from now on, if there is room for them; none if not.
    pub fn keep(&self, size: usize) -> Option<Retained> {
        let mut state = self.state();
        let size = size + state.small;
        if size <= SMALL {
            state.small = size;
            return Some(Retained::default());
        }
        // What is larger than a part goes beyond as a whole.
        let retained = match (&state.beyond, self.part.pieces(size)) {
            (None, Some(pieces)) => self.part.try_room(pieces)?,
            (Some(beyond), _) => Retained::beyond(Arc::clone(beyond)),
            (None, None) => Retained::beyond(self.part.try_beyond()?),
        };
        Some(state.counted(retained))
    }

    /// Waits until there is room for so many bytes, and counts them.
    ///
    /// # Errors
    /// When others keep it for too long: to be asked for again later.
    pub async fn wait(&self, size: usize) -> Result<Retained, Fault> {
        let full = || Fault::transient(Reason::Incomplete).with_code(TOO_MUCH_AT_ONCE);
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
        let pieces = self.part.pieces(size);
        let room = async {
            match pieces {
                Some(pieces) => self.part.room(pieces).await,
                None => pending().await,
            }
        };
        // Whoever keeps nothing keeps nobody waiting either.
        let beyond = async {
            if some || pieces.is_none() {
                self.part.beyond().await.map(Retained::beyond)
            } else {
                pending().await
            }
        };
        let retained = tokio::select! {
            biased;
            room = room => room?,
            beyond = beyond => beyond?,
        };
        Some(self.state().counted(retained))
    }
}

impl Retaining {
    /// What was small is counted with it.
    fn counted(&mut self, retained: Retained) -> Retained {
        self.some = true;
        self.small = 0;
        self.beyond.clone_from(&retained.beyond);
        retained
    }
}

impl Retained {
    fn beyond(beyond: Arc<Beyond>) -> Self {
        Self {
            _room: None,
            beyond: Some(beyond),
        }
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
        let full = || Fault::unknown_outcome(Reason::Incomplete).with_code(TOO_MUCH_AT_ONCE);
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
        assert_eq!(fault.code, TOO_MUCH_AT_ONCE);
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

    /// As many bytes as fit `pieces` times into the share of the tests below.
    const fn part(pieces: usize) -> usize {
        pieces << 20
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_look_keeps_is_counted_until_nobody_keeps_it() {
        static KEPT: Kept = Kept::new(part(8));
        let free = || KEPT.share.free.available_permits() * PIECE;
        let [first, second, third] = [(); 3].map(|()| Retention::new(&Part::new(&KEPT)));
        // What is small is counted once there is much of it.
        let small: Vec<_> = (0..8).map(|_| first.keep(SMALL / 4).unwrap()).collect();
        assert_eq!(free(), part(8) - SMALL / 4 * 5);
        let large = (first.keep(part(3)).unwrap(), second.keep(part(2)).unwrap());
        assert!(third.keep(part(4)).is_none());
        assert_eq!(
            third.wait(part(4)).await.unwrap_err(),
            Fault::transient(Reason::Incomplete).with_code(TOO_MUCH_AT_ONCE)
        );
        let waits = tokio::spawn(async move { third.wait(part(4)).await.map(drop) });
        tokio::task::yield_now().await;
        drop(large);
        waits.await.unwrap().unwrap();
        drop(small);
        assert_eq!(free(), part(8));
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_system_keeps_for_long_leaves_room_for_the_looks_at_others() {
        static KEPT: Kept = Kept::new(part(8));
        let (slow, other) = (Part::new(&KEPT), Part::new(&KEPT));
        // One look goes beyond, and another one keeps the whole part of its Connector.
        let (huge, whole) = (Retention::new(&slow), Retention::new(&slow));
        let held = (huge.keep(part(100)).unwrap(), whole.keep(part(4)).unwrap());
        let more = huge.keep(part(100)).unwrap();
        // Its further looks wait for these two, and fail.
        let waits = [part(1), part(100)].map(|size| {
            let next = Retention::new(&slow);
            assert!(next.keep(size).is_none());
            tokio::spawn(async move { next.wait(size).await.map(drop) })
        });
        tokio::task::yield_now().await;
        // Nobody else does: neither with half of it, nor with more.
        let look = Retention::new(&other);
        let (half, further) = (look.keep(part(4)).unwrap(), look.wait(part(4)).await.unwrap());
        assert!(look.state().beyond.is_some());
        drop((half, further, look));
        let look = Retention::new(&other);
        assert!(look.keep(part(100)).is_none());
        drop(look.wait(part(100)).await.unwrap());
        drop(look);
        for waits in waits {
            assert_eq!(waits.await.unwrap().unwrap_err().code, TOO_MUCH_AT_ONCE);
        }
        drop((held, more, huge, whole));
        assert_eq!(KEPT.share.free.available_permits(), KEPT.share.pieces);
        assert_eq!(
            KEPT.beyond.available_permits() + KEPT.besides.available_permits(),
            2
        );
        assert_eq!(slow.room.available_permits(), slow.pieces);
    }

    #[tokio::test(start_paused = true)]
    async fn looks_that_keep_a_part_each_come_to_an_end_one_after_the_other() {
        static KEPT: Kept = Kept::new(part(8));
        let connectors = [(); 2].map(|()| Part::new(&KEPT));
        let looks: Vec<_> = [0, 0, 1, 1]
            .map(|at: usize| Arc::new(Retention::new(&connectors[at])))
            .into();
        let quarter = |look: &Arc<Retention>| look.keep(part(2)).unwrap();
        let held: Vec<_> = looks.iter().map(quarter).collect();
        let wait = |look: &Arc<Retention>| {
            let look = Arc::clone(look);
            tokio::spawn(async move { look.wait(part(2)).await })
        };
        // One of each Connector goes beyond, and as far as it likes; the others wait for them.
        let more = wait(&looks[0]).await.unwrap().unwrap();
        let still_more = looks[0].keep(part(4)).unwrap();
        let other = wait(&looks[2]).await.unwrap().unwrap();
        let (second, fourth) = (wait(&looks[1]), wait(&looks[3]));
        tokio::task::yield_now().await;
        assert!(!second.is_finished() && !fourth.is_finished());
        let mut held = held.into_iter();
        drop((held.next(), more, still_more));
        let second = second.await.unwrap().unwrap();
        assert!(looks[1].state().beyond.is_none());
        drop(held.next());
        drop((second, held.next(), other));
        drop(fourth.await.unwrap().unwrap());
        drop((held, looks));
        assert_eq!(KEPT.share.free.available_permits(), KEPT.share.pieces);
        assert_eq!(
            KEPT.beyond.available_permits() + KEPT.besides.available_permits(),
            2
        );
    }
}
