//! Tells people what happens to a leaver: which messages are due, what they say, and how they get out.
//!
//! | module | what it does |
//! |---|---|
//! | [`due`] | which messages are due, and their keys. Pure |
//! | [`text`] | what a message says, for whom. Pure |
//! | [`settings`] | the channels, from a file |
//! | [`mail`], [`slack`], [`teams`], [`event`] | one message on one kind of channel |
//! | [`outbox`] | sends: so many at a time, no longer than a deadline, pausing where a receiver is down |
//!
//! It keeps nothing: what was told is in the leaver's status, written by whoever drives the leaver.
//!
//! # Why
//! A message that is sent twice makes people stop reading; one that is lost may leave a gate closed. Neither can be had for
//! certain over mail and chat, which cannot tell a second message from the first. So a message is sent **at most once** and
//! its fate is always shown:
//!
//! 1. The message is `Due` in the same write of the status that shows its reason. Before that nothing is sent, and after it
//!    a crash loses nothing.
//! 2. It is written down as `Sending` right before it is sent, in a write that fails if anybody else has written, then as
//!    `Sent`. If it certainly was not received (no connection, refused before the text was handed over, 429, 503), it is
//!    `Due` again, and tried later.
//! 3. Who starts anew and finds `Sending` cannot know. It becomes `Unsure` and is shown, not sent again.
//!
//! A `webhook` gets the key of the message as the id of a `CloudEvent`, so its receiver drops a second one: there the second
//! step is left out, and what is not known to be received is sent again.

pub mod due;
pub mod event;
pub mod mail;
pub mod outbox;
mod post;
pub mod settings;
pub mod slack;
pub mod teams;
pub mod text;

pub use outbox::{Outbox, Sending};
