//! Connectors: what each resolves to, and whether it works.

pub mod jobs;
pub mod reconcile;
pub mod registry;

use std::sync::Arc;

use kube::runtime::reflector::ObjectRef;

use self::registry::ResolvedConnector;
use super::Context;
use crate::api::Connector;

/// `connector` ready to use, or the words for what is wrong.
pub async fn resolve(context: &Context, connector: &Connector) -> Arc<ResolvedConnector> {
    let definition = ObjectRef::new(&connector.spec.definition);
    let own = context.caches.definitions.cache.get(&definition);
    let registry = &context.connectors;
    registry.resolve(&context.client, connector, own.as_deref()).await
}
