//! Where commands print: data to standard output, talk and progress to standard error.
//!
//! Colours and the progress line are for terminals only, colours only where `NO_COLOR` is not set (`anstream` sees to
//! it). A reader that has gone away, such as `head`, stops nothing: the work goes on without it.
//!
//! # Why it cleans
//! Names of people and of accounts come from strangers. One with the sequences of a terminal in it would repaint what was
//! printed before it, such as the line that says that access is left. So nothing goes out that moves the cursor, turns the
//! direction of writing or is not seen: only our own colours and line breaks. A value in a line goes through [`one_line`]
//! besides, so that it makes no line of its own.

#![expect(clippy::disallowed_methods, reason = "this is where it is done")]

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, IsTerminal, Write, stderr, stdout},
};

use parking_lot::Mutex;
use serde::Serialize;

use crate::core::identity::is_invisible;

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
    let text = text.to_string();
    let text = cleaned(&text);
    // Nobody to read it is no reason to stop.
    if talk {
        writeln!(anstream::stderr().lock(), "{text}").ok();
    } else {
        writeln!(anstream::stdout().lock(), "{text}").ok();
    }
}

/// Prints data as JSON: what a terminal would do something with is escaped, so that the data stay what they are.
///
/// # Errors
/// When it is no JSON.
pub fn json(data: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string_pretty(data)?;
    if !text.contains(|c| is_unseen(c) && c != '\n') {
        out!("{text}");
        return Ok(());
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || !is_unseen(c) {
            escaped.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // A text takes whatever is written into it.
            write!(escaped, "\\u{unit:04x}").ok();
        }
    }
    out!("{escaped}");
    Ok(())
}

/// Stands for what is not printed.
const UNPRINTED: char = '\u{fffd}';

/// Whether a terminal does something else with `c` than to show it where it stands.
fn is_unseen(c: char) -> bool {
    // Beside what nobody sees: what separates lines, annotates, or tags.
    let apart = matches!(c, '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    is_invisible(c) || apart
}

/// A value that is part of a line.
pub fn one_line(value: &str) -> Cow<'_, str> {
    if !value.contains(is_unseen) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.replace(is_unseen, &UNPRINTED.to_string()))
}

/// A text as it may be printed: with our own colours, line breaks and tabs.
fn cleaned(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| is_unseen(c) && !matches!(c, '\n' | '\t')) {
        return Cow::Borrowed(text);
    }
    let colours = [GREEN, RED, YELLOW, FAINT, BOLD, PLAIN];
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(colour) = colours.iter().find(|colour| rest.starts_with(**colour)) {
            clean.push_str(colour);
            rest = &rest[colour.len()..];
            continue;
        }
        let shown = matches!(c, '\n' | '\t') || !is_unseen(c);
        clean.push(if shown { c } else { UNPRINTED });
        rest = &rest[c.len_utf8()..];
    }
    Cow::Owned(clean)
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
        let shown = self.shown.lock();
        clear(&shown);
        out!("{text}");
        draw(&shown);
    }

    /// Changes the progress line; an empty text takes it away.
    pub fn show(&self, text: &str) {
        if !self.terminal {
            return;
        }
        let mut shown = self.shown.lock();
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
        write!(error, "{FAINT}{}{PLAIN}", one_line(shown)).ok();
        error.flush().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_or_hides_what_was_printed_goes_out() {
        let text = format!("{GREEN}ok{PLAIN}\n\tJane\x1b[2J\x1b]0;x\x07\r\u{9b}1A\u{202e}eoD\x1b[31");
        let clean = cleaned(&text);
        assert!(
            clean.starts_with(&format!("{GREEN}ok{PLAIN}\n\tJane\u{fffd}[2J")),
            "{clean:?}"
        );
        assert!(!clean.contains(['\r', '\x07', '\u{9b}', '\u{202e}']));
        assert_eq!(clean.matches('\x1b').count(), 2);
        assert_eq!(one_line("Jane\n0 left\x1b[32m"), "Jane\u{fffd}0 left\u{fffd}[32m");
        let data = serde_json::json!({"name": "a\u{202e}\u{e0001}\x1b"});
        assert!(json(&data).is_ok());
        assert!(matches!(one_line("Jürgen Öz 李"), Cow::Borrowed(_)));
        assert!(matches!(cleaned("a\nb"), Cow::Borrowed(_)));
    }
}
