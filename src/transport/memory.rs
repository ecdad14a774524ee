//! The memory that large answers may take, all of them together.
//!
//! # Why
//! Each answer has a limit of its own, but many of them at once would take many times that, and a process that takes too much
//! is ended with everything that it was about to do. So whatever is large is counted here while it comes and while it is gone
//! through: what does not fit waits for the others, and is asked for again later if that takes too long.
//!
//! What comes and what is gone through are counted apart, each once and as a whole: whoever goes through an answer waits for
//! nobody any more, so that there is always one who comes to an end.

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};

use crate::core::fault::{Fault, Reason};

/// Counted in pieces of so many bytes.
const PIECE: usize = 64 << 10;
/// What is smaller is not counted, in bytes: there are only so many requests at the same time.
const SMALL: usize = 256 << 10;

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
}
