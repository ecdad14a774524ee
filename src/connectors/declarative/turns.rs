//! Turns at something that only a few may do at the same time, for threads.

use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

/// How many may go on at the same time, and how many more may wait for that.
#[derive(Debug)]
pub(super) struct Turns {
    abreast: usize,
    waiting: usize,
    state: Mutex<Taken>,
    ended: Condvar,
}

#[derive(Debug)]
struct Taken {
    running: usize,
    waiting: usize,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'t>(&'t Turns);

impl Turns {
    pub const fn new(abreast: usize, waiting: usize) -> Self {
        Self {
            abreast,
            waiting,
            state: Mutex::new(Taken {
                running: 0,
                waiting: 0,
            }),
            ended: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, Taken> {
        self.state.lock()
    }

    /// A turn, once there is one; none after `patience`, and at once if enough others wait.
    pub fn take(&self, patience: Duration) -> Option<Turn<'_>> {
        let mut state = self.state();
        if state.running >= self.abreast {
            if state.waiting >= self.waiting {
                return None;
            }
            state.waiting += 1;
            let busy = |state: &mut Taken| state.running >= self.abreast;
            self.ended.wait_while_for(&mut state, busy, patience);
            state.waiting -= 1;
            if state.running >= self.abreast {
                return None;
            }
        }
        state.running += 1;
        Some(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state().running -= 1;
        self.0.ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_gets_no_turn_gives_up_and_only_some_wait() {
        const LONG: Duration = Duration::from_secs(600);
        static TURNS: Turns = Turns::new(2, 1);
        let (first, second) = (TURNS.take(LONG).unwrap(), TURNS.take(LONG).unwrap());
        assert!(TURNS.take(Duration::ZERO).is_none());
        let waits = std::thread::spawn(|| TURNS.take(LONG).is_some());
        while TURNS.state().waiting == 0 {
            std::thread::yield_now();
        }
        // One waits already: whoever comes now is turned away at once.
        assert!(TURNS.take(LONG).is_none());
        drop(first);
        assert!(waits.join().unwrap());
        drop((TURNS.take(LONG).unwrap(), second));
        let state = TURNS.state();
        assert_eq!((state.running, state.waiting), (0, 0));
    }
}
