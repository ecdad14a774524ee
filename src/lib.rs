//! offboard makes a leaver's last day certain.
//!
//! | module | what it is for | may use |
//! |---|---|---|
//! | [`core`] | the rules, pure: no clock, no network, no Kubernetes | nothing of ours |
//! | [`api`] | the kinds users write and read | the words of `core` |
//! | [`transport`] | sockets, TLS, logins, limits, secrets | `core` faults, `api` |
//! | [`connectors`] | connected systems: the declarative connector and its drivers | `core`, `transport`, `api` |
//! | [`sources`] | from the people in an HR system to Offboardings | `core`, `transport`, `api`, `connectors` |
//! | [`drive`] | drives one leaver over the connectors | `core`, `connectors`, `transport`, `api` |
//! | [`notify`] | tells people: which messages are due, their texts, mail and chat | `core`, `transport`, `api` |
//! | `company` | the small company of the demo, behind the feature `demo` | `transport`, `api`, `connectors` |
//! | [`controller`] | the shell around the drive loop in a cluster | all but `serve`, `cli` |
//! | [`serve`] | health and metrics over HTTP | all but `cli` |
//! | [`cli`] | one file per command | all of these |
//! | `fuzzing` | what holds for whatever strangers send, for `fuzz/` alone | `connectors`, `cli` |
//!
//! Vendors without a server are simulated by `tests/simulators/`, a crate that knows nothing of this one: for the tests, and for
//! the company of the demo. Without the feature `demo` (`--no-default-features`: what runs in a cluster) none of it is built.
//!
//! | question | answer |
//! |---|---|
//! | Where is backoff decided? | which fault is tried again and when: [`core::pace`]; the curve: [`core::schedule`] |
//! | Where is a 429 handled? | read in `connectors/http/answer.rs`, kept for everybody in [`transport::limit`], planned with in [`core::pace`] |
//! | What writes a status? | [`controller::runtime::status_writer`]; what an Offboarding's says: [`drive::report`] |
//! | How does a rotated Secret arrive? | [`controller::connector::registry`] |
//! | What is done once and never twice? | intents: [`core::intent`], written before they are sent: `drive/system/outbox.rs` |
//! | Who decides that a fact is `Verified`? | the ordered checks of [`core::plan`] |
//! | Where is drift found? | [`core::drift`] |
//! | Who stops a mass departure? | [`core::guard`], asked by [`controller::leaver_source`] and [`controller::safeguards`] |
//! | Where is a protocol added? | [`connectors`], beside `http`, `ldap`, `sql`, `sftp`, `job`; its section in [`api::definition`] |
//! | Where do rights come from? | the chart's `templates/rbac.yaml`; every right proven used, none missing: `tests/it/operator/gitops.rs` |

#![cfg_attr(test, allow(clippy::pedantic, reason = "tests are written to be read"))]

pub mod api;
pub mod cli;
#[cfg(feature = "demo")]
pub mod company;
pub mod connectors;
pub mod controller;
pub mod core;
pub mod drive;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod notify;
pub mod serve;
pub mod sources;
pub mod transport;
