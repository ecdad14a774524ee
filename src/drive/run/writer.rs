//! One write of the record serves all systems that wait for it, and no system waits for what another one made durable.

use std::time::Duration;

use futures::{FutureExt, future::BoxFuture};
use tokio::{sync::oneshot, time::Instant};

use super::{done, timer};
use crate::{
    core::fault::Fault,
    drive::{Record, Store},
};

/// How long the first system that needs a durable record waits for others, so that one write serves them all; longer where
/// writing takes long.
const GATHERING: Duration = Duration::from_millis(100);
/// The longest such wait.
const LONGEST_GATHERING: Duration = Duration::from_millis(500);

/// A system that waits until what it handed in is durable.
pub(super) struct Waiting {
    pub row: String,
    pub done: oneshot::Sender<Result<(), Fault>>,
}

/// What became of a write of the record.
pub(super) struct Written {
    record: Record,
    result: Result<(), Fault>,
    took: Duration,
    waiting: Vec<Waiting>,
}

/// Makes the record durable.
pub(super) struct Writer<'a> {
    store: &'a dyn Store,
    /// The record as it is durable.
    saved: Record,
    /// Who waits for the next write.
    waiting: Vec<Waiting>,
    writing: Option<BoxFuture<'a, Written>>,
    gathering: Duration,
    begins_at: Option<Instant>,
    /// Why the last write failed.
    fault: Option<Fault>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(store: &'a dyn Store, saved: Record) -> Self {
        Self {
            store,
            saved,
            waiting: vec![],
            writing: None,
            gathering: GATHERING,
            begins_at: None,
            fault: None,
        }
    }

    /// Why the last write failed.
    pub(super) fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// The next write is waited for.
    pub(super) fn wait(&mut self, waiting: Waiting) {
        self.waiting.push(waiting);
    }

    /// Whether no write is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.writing.is_none()
    }

    /// When the next write begins, however few systems wait for it. The timer runs from the event that started it.
    pub(super) fn begins_at(&mut self) -> Option<Instant> {
        self.begins_at = timer(self.begins_at, !self.waiting.is_empty(), self.gathering);
        self.begins_at
    }

    /// Begins to make `record` durable, if all systems that are `running` wait for it.
    pub(super) fn write_if_all_wait(&mut self, record: &Record, running: usize) {
        let mut rows: Vec<&str> = self.waiting.iter().map(|w| w.row.as_str()).collect();
        rows.sort_unstable();
        rows.dedup();
        if self.is_idle() && !rows.is_empty() && rows.len() >= running {
            self.write(record);
        }
    }

    /// Begins to make `record` durable as it is now.
    pub(super) fn write(&mut self, record: &Record) {
        let waiting = std::mem::take(&mut self.waiting);
        if *record == self.saved {
            return answer(waiting, &Ok(()));
        }
        let (record, store) = (record.clone(), self.store);
        let writing = async move {
            let began = Instant::now();
            let result = store.save(&record).await;
            Written {
                record,
                result,
                took: began.elapsed(),
                waiting,
            }
        };
        self.writing = Some(writing.boxed());
    }

    /// The end of the write that is under way; for ever while none is.
    pub(super) async fn written(&mut self) -> Written {
        done(&mut self.writing).await
    }

    /// Tells whoever waited what became of the write.
    pub(super) fn conclude(&mut self, written: Written) {
        self.gathering = (written.took * 3).clamp(GATHERING, LONGEST_GATHERING);
        match &written.result {
            Ok(()) => {
                self.saved = written.record;
                self.fault = None;
            }
            Err(fault) => self.fault = Some(fault.clone()),
        }
        answer(written.waiting, &written.result);
    }

    /// Waits for the write that is under way, if one is.
    pub(super) async fn settle(&mut self) {
        if !self.is_idle() {
            let written = self.written().await;
            self.conclude(written);
        }
    }

    /// Whether `record` says more than what is durable. Nothing is written when only the time changed.
    pub(super) fn has_news(&self, record: &Record) -> bool {
        record.evidence != self.saved.evidence
            || record.ledger.without_times() != self.saved.ledger.without_times()
    }
}

fn answer(waiting: Vec<Waiting>, result: &Result<(), Fault>) {
    for one in waiting {
        // A pass that was abandoned does not wait any more.
        one.done.send(result.clone()).ok();
    }
}
