//! Reads everybody through the source's Connector, or shows why that cannot be done.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use kube::runtime::controller::Action;
use tokio::time::timeout;

use super::{SourceSync, conditions::SyncPhase};
use crate::{
    api::ConditionStatus,
    connectors::People,
    controller::{
        connector::{
            registry::{Login, ResolvedConnector},
            resolve,
        },
        runtime::api_client::ApiError,
    },
    core::{
        fault::{Fault, FaultKind, Reason},
        people::{Census, Reach},
        schedule,
    },
    drive::advice::with_advice,
};

/// Reading everybody may take so long.
const READING: Duration = Duration::from_mins(10);
/// Reading that takes longer is shown.
const SLOW: Duration = Duration::from_secs(3);

/// A connector whose people can be read, or what is to be said instead.
pub(super) type Readable = Result<(Arc<ResolvedConnector>, Arc<dyn People>), String>;

impl SourceSync<'_> {
    pub(super) async fn readable(&self) -> Readable {
        let name = &self.source.spec.connector_ref.name;
        let Some(connector) = self.context.caches.connector(&self.namespace, name) else {
            return Err(format!(
                "spec.connectorRef.name: there is no Connector {name:?} in this namespace: create it"
            ));
        };
        let made = resolve(self.context, &connector).await;
        if made.reason != "Valid" {
            return Err(format!("{name}: {}", made.text));
        }
        match made.people.clone() {
            Some(people) => Ok((made, people)),
            None => Err(format!(
                "{name}: its definition {:?} lists no people",
                connector.spec.definition
            )),
        }
    }

    /// All people; shown if that takes long and nothing good is shown yet.
    pub(super) async fn read(&mut self, people: &dyn People) -> Result<Census, Fault> {
        let late = || Fault::transient(Reason::Timeout);
        let mut reading = people.census(Reach::Everyone);
        if let Ok(read) = timeout(SLOW, &mut reading).await {
            return read;
        }
        let ready = self
            .source
            .status
            .iter()
            .flat_map(|s| &s.conditions)
            .any(|c| c.type_ == "Ready" && c.status == ConditionStatus::True);
        if !ready {
            let text = format!("{}: reading everybody", self.source.spec.connector_ref.name);
            self.say(SyncPhase::Progressing, "Reading", &text).await.ok();
        }
        timeout(READING, reading).await.unwrap_or_else(|_| Err(late()))
    }

    pub(super) async fn unread(
        &mut self,
        made: &ResolvedConnector,
        fault: &Fault,
    ) -> Result<Action, ApiError> {
        let name = self.source.spec.connector_ref.name.clone();
        if let Some(login) = Login::of(fault)
            && self
                .context
                .connectors
                .record_login(&self.namespace, &name, made.revision, login)
                .await
        {
            self.context.look_at_connector(&self.namespace, &name);
        }
        let text = format!("{name}: the people could not be read: {}", with_advice(fault));
        self.say(SyncPhase::Retrying, "FetchFailed", &text).await?;
        let pause = match fault.kind {
            FaultKind::Throttled { until } => until
                .duration_since(Timestamp::now())
                .max(SignedDuration::from_secs(1)),
            FaultKind::Permanent | FaultKind::NeedsDecision => {
                schedule::backoff_for_a_person(self.failed(), self.seed())
            }
            _ => schedule::backoff(self.failed(), self.seed()),
        };
        Ok(self.again(pause))
    }
}
