//! What messages are about: objects whose status keeps the entries, and the lock under which that is written.

use std::{fmt::Debug, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use kube::{Resource, ResourceExt, core::NamespaceResourceScope};
use serde::de::DeserializeOwned;
use tokio::sync::{MappedMutexGuard, MutexGuard};

use crate::{
    api::{LeaverSource, LeaverSourceStatus, Offboarding, OffboardingStatus, offboarding::Notice},
    controller::{
        Context, leaver_source,
        offboarding::{state::LeaverState, status},
        runtime::api_client::ApiError,
    },
    notify::{Outbox, Sending},
};

/// An object as we last wrote it, held while nobody else writes its status.
pub type Held<'m, K> = MappedMutexGuard<'m, Option<Arc<K>>>;

/// A kind of object that people are told about.
pub trait Notifiable:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// What is kept of one between passes.
    type Memory: Send + Sync + 'static;
    /// What an Event about one says that was done.
    const ACTION: &'static str;

    /// What is kept of `object`.
    fn memory(context: &Context, object: &Self) -> Arc<Self::Memory>;

    /// Waits until nobody else writes the status.
    fn hold(memory: &Self::Memory) -> BoxFuture<'_, Held<'_, Self>>;

    /// As last seen.
    fn cached(context: &Context, namespace: &str, name: &str) -> Option<Arc<Self>>;

    /// What was told, and is to be.
    fn entries(&self) -> &[Notice];

    /// Writes `entries` at the version of `object`.
    fn write<'c>(
        context: &'c Context,
        object: &'c Arc<Self>,
        entries: Vec<Notice>,
    ) -> BoxFuture<'c, Result<Arc<Self>, ApiError>>;

    /// Sends what `notice` says. Whoever calls holds the channel's turn.
    fn send<'s>(&'s self, outbox: &'s Outbox, notice: &'s Notice) -> BoxFuture<'s, Sending>;

    /// The object `uid` is gone, and nothing is sent about it any more.
    fn gone(context: &Context, uid: &str);
}

impl Notifiable for Offboarding {
    type Memory = LeaverState;
    const ACTION: &'static str = "Offboard";

    fn memory(context: &Context, object: &Self) -> Arc<LeaverState> {
        context.leavers.state_of(&object.uid().unwrap_or_default())
    }

    fn hold(memory: &LeaverState) -> BoxFuture<'_, Held<'_, Self>> {
        let held = async { MutexGuard::map(memory.pass.lock().await, |state| &mut state.written) };
        held.boxed()
    }

    fn cached(context: &Context, namespace: &str, name: &str) -> Option<Arc<Self>> {
        context.caches.offboarding(namespace, name)
    }

    fn entries(&self) -> &[Notice] {
        self.status.as_ref().map_or(&[], |status| &status.notified)
    }

    fn write<'c>(
        context: &'c Context,
        object: &'c Arc<Self>,
        entries: Vec<Notice>,
    ) -> BoxFuture<'c, Result<Arc<Self>, ApiError>> {
        let status = OffboardingStatus {
            notified: entries,
            ..object.status.clone().unwrap_or_default()
        };
        async move { status::write(context, object, &status).await }.boxed()
    }

    fn send<'s>(&'s self, outbox: &'s Outbox, notice: &'s Notice) -> BoxFuture<'s, Sending> {
        outbox.send(self, notice).boxed()
    }

    fn gone(context: &Context, uid: &str) {
        context.leavers.forget(uid);
    }
}

impl Notifiable for LeaverSource {
    type Memory = leaver_source::SourceState;
    const ACTION: &'static str = "Synchronize";

    fn memory(context: &Context, object: &Self) -> Arc<leaver_source::SourceState> {
        context
            .sources
            .state_of(&object.namespace().unwrap_or_default(), &object.name_any())
    }

    fn hold(memory: &leaver_source::SourceState) -> BoxFuture<'_, Held<'_, Self>> {
        let held = async { MutexGuard::map(memory.written.lock().await, |written| written) };
        held.boxed()
    }

    fn cached(context: &Context, namespace: &str, name: &str) -> Option<Arc<Self>> {
        context.caches.source(namespace, name)
    }

    fn entries(&self) -> &[Notice] {
        self.status.as_ref().map_or(&[], |status| &status.notified)
    }

    fn write<'c>(
        context: &'c Context,
        object: &'c Arc<Self>,
        entries: Vec<Notice>,
    ) -> BoxFuture<'c, Result<Arc<Self>, ApiError>> {
        let status = LeaverSourceStatus {
            notified: entries,
            ..object.status.clone().unwrap_or_default()
        };
        async move { leaver_source::write(context, object, &status).await }.boxed()
    }

    fn send<'s>(&'s self, outbox: &'s Outbox, notice: &'s Notice) -> BoxFuture<'s, Sending> {
        outbox.guard_tripped(self, notice).boxed()
    }

    // A source is forgotten by its name, when its end is seen.
    fn gone(_: &Context, _: &str) {}
}
