//! The conditions of a connector definition: sound, or the path of the field that is not.

use std::sync::Arc;

use kube::{ResourceExt, runtime::controller::Action};

use super::{
    Context,
    runtime::{
        api_client::ApiError,
        status_writer::{Readiness, StatusWriter},
    },
};
use crate::{
    api::{ConnectorDefinition, condition::INVALID},
    connectors::declarative::builtin,
};

/// Shows whether a user's definition is sound.
pub async fn reconcile(
    definition: Arc<ConnectorDefinition>,
    context: Arc<Context>,
) -> Result<Action, ApiError> {
    context.caches.definitions_ready().await;
    let name = definition.name_any();
    let (_, compiled) = context.connectors.definition(&name, Some(&definition));
    let readiness = match compiled {
        _ if builtin(&name).is_some() => Readiness::stalled(
            "NameReserved",
            format!("metadata.name: {name} is built in, and that one is used: choose another name"),
        ),
        Ok(_) => Readiness::valid(""),
        Err(error) => Readiness::stalled(INVALID, error.to_string()),
    };
    let writer = StatusWriter::cluster(&context);
    writer.report(definition.as_ref(), &readiness).await?;
    Ok(Action::await_change())
}
