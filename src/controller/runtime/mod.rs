//! What every reconciler rests on: watches and caches, workers, calls with deadlines, the lease, Events, metrics.

pub mod api_client;
pub mod events;
pub mod heartbeat;
pub mod lease;
pub mod metrics;
pub mod perimeter;
pub mod requeue;
mod run;
pub mod status_writer;
pub mod watch;

pub use run::Operator;
