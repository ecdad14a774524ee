//! Messages about one leaver of a folder: sent beside the passes, noted in the status that the folder keeps.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::{
    api::{
        Offboarding, OffboardingPolicySpec, OffboardingStatus,
        offboarding::{Notice, NoticeState},
        record::Entry,
    },
    notify::{Outbox, Sending, due, outbox},
};

/// A message is tried so often before it is left to the next run.
const TRIES: u32 = 4;

/// What is to be told about one leaver, by whom.
pub struct Messages {
    offboarding: Offboarding,
    policy: OffboardingPolicySpec,
    outbox: Arc<Outbox>,
    under_way: JoinSet<(String, Sending)>,
    begun: bool,
}

impl Messages {
    /// Messages about `offboarding` by `outbox`.
    pub fn new(offboarding: &Offboarding, policy: OffboardingPolicySpec, outbox: Arc<Outbox>) -> Self {
        Self {
            offboarding: offboarding.clone(),
            policy,
            outbox,
            under_way: JoinSet::new(),
            begun: false,
        }
    }

    /// Notes in `status` what is due and what became of what was sent, and what is sent now: that is to be written down, and
    /// then handed to [`Self::send`].
    pub fn note(
        &mut self,
        status: &mut OffboardingStatus,
        evidence: &[Entry],
        now: Timestamp,
    ) -> Vec<Notice> {
        if !std::mem::replace(&mut self.begun, true) {
            self.adopt(&mut status.notified);
        }
        while let Some(Ok((key, sending))) = self.under_way.try_join_next() {
            settle(&mut status.notified, &key, sending);
        }
        let uid = self.offboarding.metadata.uid.as_ref();
        let uid = uid
            .or(self.offboarding.metadata.name.as_ref())
            .cloned()
            .unwrap_or_default();
        let known = due::Known {
            uid: &uid,
            spec: &self.offboarding.spec,
            policy: &self.policy,
            status,
            evidence,
            now,
        };
        status.notified = due::notices(&known, |channel| self.outbox.knows(channel));
        Self::claim(&mut status.notified, now)
    }

    /// Sends what [`Self::note`] gave, after it was written down.
    pub fn send(&mut self, notices: Vec<Notice>, status: &OffboardingStatus) {
        for notice in notices {
            let (outbox, mut offboarding) = (self.outbox.clone(), self.offboarding.clone());
            offboarding.status = Some(status.clone());
            self.under_way.spawn(async move {
                let _turn = outbox.turn(&notice.channel).await;
                let sending = outbox.send(&offboarding, &notice).await;
                (notice.key, sending)
            });
        }
    }

    /// Waits for one message that is on its way, and says what is to be written down and sent then. None: there is nothing
    /// on its way.
    pub async fn next(&mut self, status: &mut OffboardingStatus) -> Option<Vec<Notice>> {
        match self.under_way.join_next().await {
            Some(Ok((key, sending))) => settle(&mut status.notified, &key, sending),
            Some(Err(_)) => {}
            None => return None,
        }
        Some(Self::claim(&mut status.notified, Timestamp::now()))
    }

    /// What an earlier run left on its way.
    fn adopt(&self, notices: &mut [Notice]) {
        for notice in notices {
            // Every run tries anew.
            if !self.outbox.adopt(notice) && notice.state == NoticeState::Due {
                notice.tries = 0;
            }
        }
    }

    fn claim(notices: &mut [Notice], now: Timestamp) -> Vec<Notice> {
        let mut ours = vec![];
        for notice in notices {
            if notice.state != NoticeState::Due || notice.tries >= TRIES {
                continue;
            }
            if due::stale(notice, now) {
                notice.state = NoticeState::Failed;
                continue;
            }
            notice.state = NoticeState::Sending;
            ours.push(notice.clone());
        }
        ours
    }
}

fn settle(notices: &mut [Notice], key: &str, sending: Sending) {
    if let Some(notice) = notices.iter_mut().find(|notice| notice.key == key) {
        outbox::settle(notice, sending);
    }
}
