//! Standard output of every command.
//!
//! Control, bidirectional and invisible characters in text are escaped. Events as JSON go to a file or a pipe byte for byte as
//! stored, because a program reads them; on a terminal those characters become JSON escapes, which have the same value.
//!
//! A failed write is reported at the end of the command, so a command finishes its work without a reader. A closed pipe
//! (`| head`) is not a failure; a full disk is.

use std::{
    env,
    fmt::Display,
    io::{self, BufWriter, ErrorKind, IsTerminal, Write},
};

use terminal_size::{Width, terminal_size};
use unicode_width::UnicodeWidthStr;

use crate::{
    cli::{failure::Failure, layout},
    model::printable::{printable, printable_json, printable_lines},
};

/// The width of a terminal that does not say how wide it is.
const WIDTH: usize = 80;
/// Begins the color of failures, and ends it (ECMA-48, SGR).
const RED: (&str, &str) = ("\u{1b}[31m", "\u{1b}[0m");

/// A number of things: `1 event`, `2 events`.
pub(super) fn counted(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", plural(number))
}

/// The ending of the noun after a number.
pub(super) const fn plural(number: u64) -> &'static str {
    if number == 1 { "" } else { "s" }
}

/// A command's results.
pub(super) struct Output {
    writer: BufWriter<Box<dyn Write>>,
    is_terminal: bool,
    /// Whether failures are red: on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
    has_colors: bool,
    /// The first error; later writes are skipped.
    failed: Option<io::Error>,
}

impl Output {
    /// The standard output of the process.
    pub(super) fn of_process() -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        let is_plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self { has_colors: is_terminal && !is_plain, ..Self::new(Box::new(stdout), is_terminal) }
    }

    fn new(writer: Box<dyn Write>, is_terminal: bool) -> Self {
        Self { writer: BufWriter::new(writer), is_terminal, has_colors: false, failed: None }
    }

    /// Writes a text as one line.
    pub(super) fn line(&mut self, text: impl Display) {
        self.write(&printable(&text.to_string()));
        self.end_line();
    }

    /// Writes a text with line breaks.
    pub(super) fn lines(&mut self, text: impl Display) {
        self.write(&printable_lines(text.to_string().trim_end_matches('\n')));
        self.end_line();
    }

    /// Writes a stored event as one line: its line breaks can only be white space between JSON tokens. Returns whether there
    /// may be a reader for more.
    pub(super) fn event(&mut self, body: &str) -> bool {
        if self.is_terminal {
            self.write(&printable_json(body));
        } else {
            self.write(&body.replace(['\n', '\r'], " "));
        }
        self.end_line();
        !self.is_lost()
    }

    /// Writes a text as one line, in red if it is about a failure.
    pub(super) fn row(&mut self, text: &str, is_failure: bool) {
        let (start, end) = if is_failure && self.has_colors { RED } else { ("", "") };
        self.write(start);
        self.write(&printable(text));
        self.write(end);
        self.end_line();
    }

    /// Writes lines byte for byte; on a terminal, with hidden characters escaped.
    pub(super) fn text_lines(&mut self, text: &[u8]) {
        if self.is_terminal {
            let text = String::from_utf8_lossy(text).replace("\r\n", "\n");
            self.write(&printable_lines(&text));
        } else {
            self.generated(text);
        }
    }

    /// Whether the output is a terminal.
    pub(super) const fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// The width of the terminal in columns; `None` if the output is not a terminal.
    pub(super) fn width(&self) -> Option<usize> {
        let width =
            || terminal_size().map(|(Width(width), _)| width).filter(|width| *width > 0).map_or(WIDTH, usize::from);
        self.is_terminal.then(width)
    }

    /// Whether nothing can be written any more.
    pub(super) const fn is_lost(&self) -> bool {
        self.failed.is_some()
    }

    /// Writes a text that is safe for a terminal, byte for byte.
    pub(super) fn generated(&mut self, text: &[u8]) {
        if self.failed.is_none() {
            self.failed = self.writer.write_all(text).err();
        }
    }

    /// Writes rows with a header, one line each. On a terminal that is too narrow, the columns with these headers are cut.
    pub(super) fn table<R>(&mut self, header: &[&str], cut: &[&str], rows: impl IntoIterator<Item = R>)
    where
        R: IntoIterator<Item = String>,
    {
        self.table_within(self.width(), header, cut, rows);
    }

    /// Writes rows with a header, one line each. The columns with these headers are cut so that the lines fit into `room`.
    pub(super) fn table_within<R>(
        &mut self,
        room: Option<usize>,
        header: &[&str],
        cut: &[&str],
        rows: impl IntoIterator<Item = R>,
    ) where
        R: IntoIterator<Item = String>,
    {
        let shown = |row: R| row.into_iter().map(|cell| printable(&cell).into_owned()).collect();
        let rows: Vec<Vec<String>> = rows.into_iter().map(shown).collect();
        let width = |(index, name): (usize, &&str)| {
            rows.iter().map(|row| row[index].width()).chain([name.width()]).max().unwrap_or(0)
        };
        let mut widths: Vec<usize> = header.iter().enumerate().map(width).collect();
        if let Some(room) = room {
            let is_fixed: Vec<bool> = header.iter().map(|name| !cut.contains(name)).collect();
            layout::fit(&mut widths, &is_fixed, room);
        }
        self.row(&layout::line(header.iter().copied(), &widths), false);
        for row in &rows {
            self.row(&layout::line(row.iter().map(String::as_str), &widths), false);
        }
    }

    /// Flushes the output; fails if anything could not be written.
    pub(super) fn deliver(&mut self) -> Result<(), Failure> {
        self.flush();
        match &self.failed {
            Some(error) => Err(Failure::new(format!("cannot write to standard output: {error}"))),
            None => Ok(()),
        }
    }

    /// Ends the output; fails if anything could not be written, except to a closed pipe.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        self.flush();
        match &self.failed {
            Some(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            _ => self.deliver(),
        }
    }

    fn write(&mut self, text: &str) {
        self.generated(text.as_bytes());
    }

    fn end_line(&mut self) {
        self.write("\n");
        if self.is_terminal {
            self.flush();
        }
    }

    /// Flushes the output, so that it precedes later messages on standard error.
    pub(super) fn flush(&mut self) {
        if self.failed.is_none() {
            self.failed = self.writer.flush().err();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use super::*;

    /// Takes `room` bytes, then fails.
    struct Disk {
        written: Rc<RefCell<Vec<u8>>>,
        room: usize,
        error: ErrorKind,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let room = self.room - self.written.borrow().len();
            if room == 0 {
                return Err(self.error.into());
            }
            let taken = bytes.len().min(room);
            self.written.borrow_mut().extend(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn output(is_terminal: bool, room: usize, error: ErrorKind) -> (Output, Rc<RefCell<Vec<u8>>>) {
        let written = Rc::default();
        let disk = Disk { written: Rc::clone(&written), room, error };
        (Output::new(Box::new(disk), is_terminal), written)
    }

    fn written(is_terminal: bool, write: impl FnOnce(&mut Output)) -> String {
        let (mut out, written) = output(is_terminal, 10_000, ErrorKind::Other);
        write(&mut out);
        assert!(out.finish().is_ok() && out.deliver().is_ok());
        String::from_utf8(written.take()).unwrap()
    }

    #[test]
    fn text_is_escaped_everywhere_and_json_on_a_terminal() {
        let hostile = "a\n\u{1b}[2J\u{9b}\u{202e}b";
        let shown = r"a\u{a}\u{1b}[2J\u{9b}\u{202e}b";
        let event = "{\"k\":\r\n\"a\\n\u{9b}\u{202e}\u{7f}b\"}";
        for is_terminal in [false, true] {
            assert_eq!(written(is_terminal, |out| out.line(hostile)), format!("{shown}\n"));
            let table = written(is_terminal, |out| out.table(&["A"], &[], [[hostile.to_owned()]]));
            assert_eq!(table.lines().map(str::trim).collect::<Vec<_>>(), ["A", shown]);
            assert_eq!(written(is_terminal, |out| out.lines("a\n\u{1b}b\n\n")), "a\n\\u{1b}b\n");
        }
        assert_eq!(written(false, |out| assert!(out.event(event))), "{\"k\":  \"a\\n\u{9b}\u{202e}\u{7f}b\"}\n");
        let on_terminal = written(true, |out| assert!(out.event(event)));
        assert_eq!(on_terminal, "{\"k\":  \"a\\n\\u009b\\u202e\\u007fb\"}\n");
    }

    #[test]
    fn a_full_disk_is_a_failure_and_a_reader_that_is_gone_only_where_delivery_counts() {
        for room in [0, 3] {
            let (mut out, written) = output(false, room, ErrorKind::StorageFull);
            out.line("abc");
            assert!(out.deliver().is_err() && out.finish().is_err());
            assert_eq!(written.borrow().len(), room);
            let (mut out, _) = output(true, room, ErrorKind::BrokenPipe);
            out.line("abc");
            out.line("def");
            assert!(out.deliver().is_err());
            assert!(out.finish().is_ok());
        }
    }
}
