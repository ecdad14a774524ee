//! Where commands print: data to standard output, talk and progress to standard error.
//!
//! Colours and the progress line are for terminals only, colours only where `NO_COLOR` is not set (`anstream` sees to
//! it). A reader that has gone away, such as `head`, stops nothing: the work goes on without it.

use std::{
    io::{IsTerminal, Write, stderr, stdout},
    sync::{Mutex, PoisonError},
};

/// Prints a line of data.
macro_rules! out {
    ($($text:tt)*) => { $crate::cli::terminal::line(false, format_args!($($text)*)) };
}
/// Prints a line of talk.
macro_rules! tell {
    ($($text:tt)*) => { $crate::cli::terminal::line(true, format_args!($($text)*)) };
}
pub(crate) use {out, tell};

/// Green.
pub const GREEN: &str = "\x1b[32m";
/// Red.
pub const RED: &str = "\x1b[31m";
/// Yellow.
pub const YELLOW: &str = "\x1b[33m";
/// Less important.
pub const FAINT: &str = "\x1b[2m";
/// More important.
pub const BOLD: &str = "\x1b[1m";
/// Nothing special.
pub const PLAIN: &str = "\x1b[0m";

/// Prints a line. `talk`: it is no data.
pub fn line(talk: bool, text: std::fmt::Arguments<'_>) {
    // Nobody to read it is no reason to stop.
    if talk {
        writeln!(anstream::stderr().lock(), "{text}").ok();
    } else {
        writeln!(anstream::stdout().lock(), "{text}").ok();
    }
}

/// The line at the bottom of a terminal that says how far the work is.
pub struct Progress {
    terminal: bool,
    /// What the line says now; empty: there is none.
    shown: Mutex<String>,
}

impl Default for Progress {
    fn default() -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self {
            terminal: !dumb && stderr().is_terminal() && stdout().is_terminal(),
            shown: Mutex::default(),
        }
    }
}

impl Progress {
    /// Prints a line of data above the progress line.
    pub fn print(&self, text: &str) {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        clear(&shown);
        out!("{text}");
        draw(&shown);
    }

    /// Changes the progress line; an empty text takes it away.
    pub fn show(&self, text: &str) {
        if !self.terminal {
            return;
        }
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if *shown != text {
            clear(&shown);
            text.clone_into(&mut shown);
            draw(&shown);
        }
    }
}

fn clear(shown: &str) {
    if !shown.is_empty() {
        write!(anstream::stderr(), "\r\x1b[K").ok();
    }
}

fn draw(shown: &str) {
    if !shown.is_empty() {
        let mut error = anstream::stderr();
        write!(error, "{FAINT}{shown}{PLAIN}").ok();
        error.flush().ok();
    }
}
