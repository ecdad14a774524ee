//! Sends messages: a few at a time on each channel, no longer than a deadline, pausing where a receiver is down.
//!
//! Keeps nothing and decides nothing about whether a message may be sent: whoever calls has written that down.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::ResourceExt;
use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep_until},
};

use super::{
    event, mail,
    post::{Post, post},
    settings::{self, Channel},
    slack, teams,
    text::{self, Message},
};
use crate::{
    api::{
        LeaverSource, Offboarding,
        offboarding::{Notice, NoticeState},
    },
    transport::{destination::Destinations, dial::Dialer, egress::Egress},
};

/// No message takes longer.
pub const DEADLINE: Duration = Duration::from_secs(20);
/// Messages of one channel that are on their way at the same time.
const AT_ONCE: usize = 2;
/// The first pause of a channel that takes nothing; then twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(2);

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sending {
    /// The receiver has taken it; not all of its readers get it if there is a reason.
    Sent(Option<String>),
    /// It was not taken, and may be later.
    Again {
        /// A code or one word.
        reason: String,
        /// The receiver wants silence until then.
        until: Option<Timestamp>,
    },
    /// It was not taken, and will not be.
    Failed(String),
    /// It may have been taken.
    Unsure(String),
}

impl Sending {
    /// Not taken, and may be later.
    pub fn again(reason: &str) -> Self {
        Self::Again {
            reason: reason.to_owned(),
            until: None,
        }
    }
}

/// Notes in `notice` what became of it.
pub fn settle(notice: &mut Notice, sending: Sending) {
    (notice.state, notice.reason) = match sending {
        Sending::Sent(reason) => (NoticeState::Sent, reason),
        Sending::Again { reason, .. } => (NoticeState::Due, Some(reason)),
        Sending::Failed(reason) => (NoticeState::Failed, Some(reason)),
        Sending::Unsure(reason) => (NoticeState::Unsure, Some(reason)),
    };
    notice.tries += u32::from(notice.state != NoticeState::Sent);
}

/// All channels of an installation.
pub struct Outbox {
    channels: BTreeMap<String, Line>,
    /// The file with the channels cannot be used: messages wait until somebody has mended it.
    unusable: bool,
    dialer: Dialer,
}

/// One channel.
struct Line {
    channel: Channel,
    places: Semaphore,
    pause: Mutex<Pause>,
}

/// Since how many tries a channel takes nothing, and until when nobody tries.
#[derive(Default)]
struct Pause {
    failures: u32,
    until: Option<Instant>,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            channels: BTreeMap::new(),
            unusable: false,
            dialer: Dialer::trusted(),
        }
    }
}

impl Outbox {
    /// The channels of a file.
    ///
    /// # Errors
    /// The first field that cannot be used.
    pub fn read(path: &Path) -> Result<Self, settings::Error> {
        let channels = settings::read(path)?.into_iter().map(|(name, channel)| {
            let line = Line {
                channel,
                places: Semaphore::new(AT_ONCE),
                pause: Mutex::default(),
            };
            (name, line)
        });
        Ok(Self {
            channels: channels.collect(),
            ..Self::default()
        })
    }

    /// The same, where messages go to what `egress` leaves open.
    #[must_use]
    pub fn with_egress(mut self, egress: Egress) -> Self {
        self.dialer = Dialer::new(Arc::new(egress), Destinations::Trusted);
        self
    }

    /// What stands in for channels that cannot be used yet.
    pub fn unusable() -> Self {
        Self {
            unusable: true,
            ..Self::default()
        }
    }

    /// Whether there is, or may be, such a channel.
    pub fn knows(&self, channel: &str) -> bool {
        self.unusable || self.channels.contains_key(channel)
    }

    /// Whether the receiver drops a second message with the same key.
    pub fn deduplicates(&self, channel: &str) -> bool {
        let line = self.channels.get(channel);
        line.is_some_and(|line| line.channel.webhook.is_some())
    }

    /// Notes what must be thought of a message that another process left behind on its way; says whether it did.
    pub fn adopt(&self, notice: &mut Notice) -> bool {
        if notice.state != NoticeState::Sending {
            return false;
        }
        if self.deduplicates(&notice.channel) {
            notice.state = NoticeState::Due;
        } else {
            notice.state = NoticeState::Unsure;
            notice.reason = Some("Interrupted".to_owned());
        }
        true
    }

    /// Waits until the channel is free and not pausing; for ever while no channel can be used. None: there is no such
    /// channel.
    pub async fn turn(&self, channel: &str) -> Option<SemaphorePermit<'_>> {
        if self.unusable {
            std::future::pending::<()>().await;
        }
        let line = self.channels.get(channel)?;
        loop {
            let place = line.places.acquire().await.ok()?;
            let Some(until) = line.paused() else {
                return Some(place);
            };
            drop(place);
            sleep_until(until).await;
        }
    }

    /// Sends what `notice` says about `offboarding`. Whoever calls holds a [`Self::turn`].
    pub async fn send(&self, offboarding: &Offboarding, notice: &Notice) -> Sending {
        let now = Timestamp::now();
        let message = text::compose(offboarding, notice, now);
        let event = event::of_leaver(offboarding, notice, &message, now);
        self.deliver(notice, &message, event, Some(offboarding)).await
    }

    /// Sends what `notice`, made by [`super::due::guard_tripped`], says about `source`. Whoever calls holds a [`Self::turn`].
    pub async fn guard_tripped(&self, source: &LeaverSource, notice: &Notice) -> Sending {
        let namespace = source.namespace().unwrap_or_default();
        let name = source.name_any();
        let message = text::guard_tripped(&namespace, &name, notice);
        let event = event::of_source(&namespace, &name, notice, &message);
        self.deliver(notice, &message, event, None).await
    }

    async fn deliver(
        &self,
        notice: &Notice,
        message: &Message,
        event: serde_json::Value,
        offboarding: Option<&Offboarding>,
    ) -> Sending {
        let Some(line) = self.channels.get(&notice.channel) else {
            return Sending::Failed("NoChannel".to_owned());
        };
        let sending = line.send(&self.dialer, notice, message, event, offboarding).await;
        line.learn(&sending);
        sending
    }
}

impl Line {
    async fn send(
        &self,
        dialer: &Dialer,
        notice: &Notice,
        message: &Message,
        event: serde_json::Value,
        offboarding: Option<&Offboarding>,
    ) -> Sending {
        let Channel {
            mail,
            slack,
            teams,
            webhook,
        } = &self.channel;
        if let Some(mail) = mail {
            return mail::send(mail, &notice.key, message, offboarding, (dialer, DEADLINE)).await;
        }
        for (hook, body) in [(slack, slack::body as fn(&Message) -> _), (teams, teams::body)] {
            if let Some(hook) = hook {
                return chat(hook, dialer, &body(message)).await;
            }
        }
        match webhook {
            Some(webhook) => signed(webhook, dialer, &notice.key, &event).await,
            None => Sending::Failed("NoChannel".to_owned()),
        }
    }

    fn paused(&self) -> Option<Instant> {
        let until = self.pause.lock().until;
        until.filter(|until| *until > Instant::now())
    }

    /// A channel that takes nothing is left alone for a while, so that a thousand messages do not try it one after the other.
    fn learn(&self, sending: &Sending) {
        let mut pause = self.pause.lock();
        let Sending::Again { until, .. } = sending else {
            *pause = Pause::default();
            return;
        };
        let grown = FIRST_PAUSE * 2_u32.saturating_pow(pause.failures.min(10));
        let asked = until.map(|until| until.duration_since(Timestamp::now()));
        let asked = asked
            .and_then(|wait| Duration::try_from(wait).ok())
            .unwrap_or_default();
        pause.failures = pause.failures.saturating_add(1);
        pause.until = Some(Instant::now() + grown.min(LONGEST_PAUSE).max(asked));
    }
}

async fn chat(hook: &settings::Hook, dialer: &Dialer, body: &serde_json::Value) -> Sending {
    let url = match settings::secret(&hook.url_file) {
        Ok(text) => settings::url(text.expose()),
        Err(_) => return Sending::again("urlFile not readable"),
    };
    let Ok(url) = url else {
        return Sending::again("urlFile not an address with https");
    };
    let message = Post {
        url,
        body: body.to_string(),
        content_type: "application/json; charset=utf-8",
        headers: vec![],
        deduplicated: false,
    };
    post(message, hook.ca_file.as_deref(), dialer, DEADLINE).await
}

async fn signed(
    webhook: &settings::Webhook,
    dialer: &Dialer,
    key: &str,
    event: &serde_json::Value,
) -> Sending {
    let Ok(secret) = settings::secret(&webhook.key_file) else {
        return Sending::again("keyFile not readable");
    };
    let Ok(token) = webhook.token_file.as_deref().map(settings::secret).transpose() else {
        return Sending::again("tokenFile not readable");
    };
    let Ok(url) = settings::url(&webhook.url) else {
        return Sending::Failed("url not valid".to_owned());
    };
    let body = event.to_string();
    let mut headers = event::signature(key, Timestamp::now(), &body, &secret);
    headers.extend(token.map(|token| ("authorization", format!("Bearer {}", token.expose()))));
    let message = Post {
        url,
        body,
        content_type: event::CONTENT_TYPE,
        headers,
        deduplicated: true,
    };
    post(message, webhook.ca_file.as_deref(), dialer, DEADLINE).await
}
