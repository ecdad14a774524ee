//! A simulator's state, in which reads may lag behind writes.

use std::sync::{Arc, Mutex};

use super::lock;

/// Undoes everything that happened to a simulator's state since it was made.
pub type Undo = Box<dyn FnOnce() + Send>;

/// How far reads lag behind writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Staleness {
    /// Every read shows the newest state.
    #[default]
    None,
    /// After a change, this many reads still show the state before it.
    Reads(u32),
}

/// A simulator's state, in which reads may lag behind writes.
#[derive(Debug)]
pub struct World<S> {
    inner: Mutex<Inner<S>>,
}

#[derive(Debug, Clone)]
struct Inner<S> {
    newest: S,
    staleness: Staleness,
    /// The state before the change that reads do not see yet, and how many reads are left.
    before: Option<(S, u32)>,
}

impl<S: Clone + Send + 'static> World<S> {
    /// A world that starts as `state` and is never stale.
    pub fn new(state: S) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                newest: state,
                staleness: Staleness::None,
                before: None,
            }),
        })
    }

    /// How far reads lag from now on. What they do not show yet, they show at once.
    pub fn set_staleness(&self, staleness: Staleness) {
        let mut inner = lock(&self.inner);
        inner.staleness = staleness;
        inner.before = None;
    }

    /// A change by a caller: reads may not see it for a while. Nothing changes when `f` fails.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn change<R, E>(&self, f: impl FnOnce(&mut S) -> Result<R, E>) -> Result<R, E> {
        let mut inner = lock(&self.inner);
        let old = inner.newest.clone();
        let result = f(&mut inner.newest);
        if result.is_err() {
            inner.newest = old;
            return result;
        }
        match inner.staleness {
            Staleness::None | Staleness::Reads(0) => {}
            Staleness::Reads(reads) => {
                let shown = inner.before.take().map_or(old, |(shown, _)| shown);
                inner.before = Some((shown, reads));
            }
        }
        result
    }

    /// A change from outside of the API (seeding, time passing): every read sees it at once.
    pub fn seed<R>(&self, f: impl Fn(&mut S) -> R) -> R {
        let mut inner = lock(&self.inner);
        if let Some((before, _)) = &mut inner.before {
            f(before);
        }
        f(&mut inner.newest)
    }

    /// What a read of the API shows, which may be older than the truth.
    pub fn look<R>(&self, f: impl FnOnce(&S) -> R) -> R {
        let mut inner = lock(&self.inner);
        if let Some((state, left)) = inner.before.take() {
            let result = f(&state);
            inner.before = (left > 1).then(|| (state, left - 1));
            return result;
        }
        f(&inner.newest)
    }

    /// The newest state: what logins and tokens are judged by.
    pub fn truth<R>(&self, f: impl FnOnce(&S) -> R) -> R {
        f(&lock(&self.inner).newest)
    }

    /// What undoes everything from now on.
    pub(super) fn checkpoint(world: &Arc<Self>) -> Undo {
        let saved = lock(&world.inner).clone();
        let world = Arc::clone(world);
        Box::new(move || *lock(&world.inner) = saved)
    }
}
