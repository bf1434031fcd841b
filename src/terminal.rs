//! Writing to standard error: messages of commands, the server log, panics. All code uses this module for it.
//!
//! A terminal obeys control characters of any origin: the key of an event, a file name, an argument. This module therefore
//! escapes every text, and writes a message as one line. A failed write to standard error is ignored, because it cannot be
//! reported anywhere else.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    fmt::Display,
    io::{self, Write},
    panic, thread,
};

use tracing::Level;

use crate::model::printable::{printable, printable_json, printable_lines, printable_record};

/// Writes a message as one line.
pub fn line(message: impl Display) {
    write(&format!("{}\n", printable(&message.to_string())));
}

/// Writes a message that its author has broken into lines.
pub fn lines(message: impl Display) {
    let text = message.to_string();
    write(&format!("{}\n", printable_lines(text.trim_end_matches('\n'))));
}

fn write(text: &str) {
    drop(io::stderr().lock().write_all(text.as_bytes()));
}

/// The format of the server log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStyle {
    /// One JSON object per line.
    Json,
    /// One line of text per record.
    Plain,
    /// One line of text per record, with colors. The formatter adds escape sequences, and escapes those in the values.
    Colored,
}

/// Writes records of the server log, one per call.
#[derive(Debug, Clone, Copy)]
pub struct LogWriter(pub LogStyle);

impl Write for LogWriter {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(record);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let shown = match self.0 {
            LogStyle::Json => printable_json(text),
            LogStyle::Plain => printable(text),
            LogStyle::Colored => printable_record(text),
        };
        write(&format!("{shown}\n"));
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes each later panic a record of the server log, or one line on standard error if there is no server log.
pub fn report_panics() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(String::new, |place| format!(" at {place}"));
        let cause = info.payload_as_str().unwrap_or("the cause is not a text");
        let thread = thread::current();
        let message =
            format!("this is a bug: thread {:?} panicked{place}: {cause}", thread.name().unwrap_or("without name"));
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
        if tracing::enabled!(Level::ERROR) {
            tracing::error!(backtrace, "{message}");
        } else {
            line(format_args!("auditbox: {message}"));
            backtrace.iter().for_each(lines);
        }
    }));
}

#[cfg(test)]
mod tests {
    use std::{env, process::Command};

    use super::*;

    /// An environment variable of the process that must panic.
    const PANICS: &str = "TERMINAL_TEST_PANICS";

    #[test]
    fn a_panic_is_one_line_without_control_characters() {
        if env::var_os(PANICS).is_some() {
            report_panics();
            drop(panic::catch_unwind(|| panic!("a\u{1b}[2J\n\u{9b}b\u{202e}c")));
            return;
        }
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "--nocapture", "terminal::tests::a_panic_is_one_line_without_control_characters"]);
        let output = command.env(PANICS, "1").env("RUST_BACKTRACE", "0").output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        let line = log.lines().find(|line| line.contains("panicked")).unwrap_or_else(|| panic!("{log}"));
        assert!(line.starts_with("auditbox: this is a bug: ") && line.contains(" at src/terminal.rs:"), "{line}");
        assert!(line.ends_with(r"a\u{1b}[2J\u{a}\u{9b}b\u{202e}c"), "{line}");
    }
}
