//! What a system says later about what it was asked for: believed if the token is ours, and said as taken once it is durable.
//!
//! # Why
//! A statement is taken into the record by the leaver's own pass, like everything else that is durable, so that there is one
//! writer. The sender gets its 202 only after that: whatever happens before, a crash or another operator's taking over, it
//! sends again.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::ResourceExt;
use serde::Deserialize;
use tokio::sync::oneshot;

use super::state::PendingCallback;
use crate::{
    connectors::Connector,
    controller::{Context, connector::resolve},
    core::callback::{End, Statement},
    drive::{Link, validate::connector_of},
    transport::callback::{self, About},
};

/// For so long a sender waits for its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many statements about one leaver may wait.
const MOST: usize = 32;
/// The code of a failure that has none that could be shown.
const NO_CODE: &str = "no code";
/// The longest code that a sender may state, in bytes.
const LONGEST_CODE: usize = 64;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It is durable, or changes nothing.
    Taken,
    /// Not now.
    Later,
    /// It is not understood.
    Malformed,
    /// The token is nobody's, or its time is over.
    Refused,
}

/// The part of a body that is looked at.
#[derive(Deserialize)]
struct Body {
    state: Stage,
    #[serde(default)]
    code: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stage {
    Accepted,
    Running,
    Done,
    Failed,
}

/// Takes what was posted with `token`.
pub async fn hear(context: &Context, token: &str, body: &[u8]) -> Heard {
    let Some((about, namespace, connector)) = believed(context, token).await else {
        return Heard::Refused;
    };
    let Ok(body) = serde_json::from_slice::<Body>(body) else {
        return Heard::Malformed;
    };
    let end = match body.state {
        // No news: it was asked, and is not done.
        Stage::Accepted | Stage::Running => return Heard::Taken,
        Stage::Done => End::Done,
        Stage::Failed => End::Failed(match word(&body.code) {
            Some(word) => connector.shown_code(&word),
            None => NO_CODE.to_owned(),
        }),
    };
    let Some((_, leaver)) = context.caches.leaver(&about.case) else {
        return Heard::Refused;
    };
    let statement = Statement {
        row: about.row,
        fact: about.fact,
        key: about.key,
        asked: about.asked,
        end,
    };
    let (durable, told) = oneshot::channel();
    {
        let memory = context.leavers.state_of(&leaver.uid().unwrap_or_default());
        let mut said = memory.callbacks.lock();
        said.retain(|said| !said.durable.is_closed());
        if said.len() >= MOST {
            return Heard::Later;
        }
        said.push(PendingCallback { statement, durable });
    }
    context.caches.enqueue_offboarding(&namespace, &leaver);
    match tokio::time::timeout(PATIENCE, told).await {
        Ok(Ok(())) => Heard::Taken,
        _ => Heard::Later,
    }
}

/// What `token` is about, the namespace of its leaver and the leaver's own Connector, if that made it. Does the same work for
/// one that nobody made.
async fn believed(context: &Context, token: &str) -> Option<(About, String, Arc<dyn Connector>)> {
    let made = async {
        let claimed = callback::claims(token)?;
        let (namespace, _) = context.caches.leaver(&claimed.case)?;
        let connector = context.caches.connector(namespace, connector_of(&claimed.row))?;
        let made = resolve(context, &connector).await;
        Some((namespace.to_owned(), made))
    };
    let Some((namespace, made)) = made.await else {
        callback::believes_nobody(token);
        return None;
    };
    let Link::Ready(connector) = &made.link else {
        callback::believes_nobody(token);
        return None;
    };
    let about = connector.callbacks()?.believes(token, Timestamp::now())?;
    Some((about, namespace, connector.clone()))
}

/// A short word that may be a code: anything else is a text, and is not kept.
fn word(code: &serde_json::Value) -> Option<String> {
    let text = match code {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
    ((1..=LONGEST_CODE).contains(&text.len()) && text.chars().all(plain)).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_code_is_a_word_and_never_a_text() {
        assert_eq!(word(&json!("QUOTA_EXCEEDED")).as_deref(), Some("QUOTA_EXCEEDED"));
        assert_eq!(word(&json!(4031)).as_deref(), Some("4031"));
        let long = json!("x".repeat(65));
        for text in [
            json!("Jane has no right"),
            json!(""),
            json!(null),
            json!({"a": 1}),
            long,
        ] {
            assert_eq!(word(&text), None, "{text}");
        }
    }
}
