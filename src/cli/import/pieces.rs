//! Imports the lines of files piece by piece.

use std::path::PathBuf;

use crate::{
    cli::{
        client::ServerArguments,
        failure::Failure,
        import::{Destination, Formats, Import, ImportArguments, source::Source},
    },
    config::Config,
    model::records::{Lines, Place},
};

/// How far the lines of a file have been imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct Numbers {
    pub(in crate::cli) records: u64,
    pub(in crate::cli) lines: u64,
}

/// What lines are imported from, and where to.
pub(in crate::cli) struct LineImport {
    arguments: ImportArguments,
    destination: Destination,
}

impl LineImport {
    /// An import of the file at `path` into the file of the configuration, or to a server, which need not run yet.
    pub(in crate::cli) fn new(
        config: &Config,
        path: PathBuf,
        format: Option<String>,
        server: ServerArguments,
    ) -> Result<Self, Failure> {
        let client = server.patient_client()?;
        let arguments =
            ImportArguments { files: vec![path], format, skip_bad: true, keep_received: false, source: None, server };
        // Before the file is opened, and perhaps created.
        Formats::of(&arguments, config)?;
        let destination = Destination::new(config, client)?;
        Ok(Self { arguments, destination })
    }

    /// Whether a server takes the events. It may be unreachable for a while.
    pub(in crate::cli) const fn is_remote(&self) -> bool {
        matches!(self.destination, Destination::Server(_))
    }

    /// Begins to import. After a failure, another one begins where this one has ended.
    pub(in crate::cli) fn begin(&self, config: &Config) -> Result<Import<'_>, Failure> {
        let formats = Formats::of(&self.arguments, config)?;
        Ok(Import::new(config, &self.arguments, formats, self.destination.target()))
    }
}

impl Import<'_> {
    /// Imports complete lines of the contents with this name, and waits until all of their events are stored. `from` is what
    /// was imported before; returns what is then. Invalid records are reported.
    pub(in crate::cli) fn piece(&mut self, contents: &str, from: Numbers, text: &[u8]) -> Result<Numbers, Failure> {
        self.yields[0].records = from.records;
        let mut source = Source::of_contents(contents);
        let lines = Lines::new(text, self.limits.event_bytes_max).after(from.lines);
        let read = if self.formats.is_some() {
            self.documents(0, lines, &mut source)
        } else {
            lines.into_iter().try_for_each(|line| {
                let line = line.map_err(|error| Failure::new(error.to_string()))?;
                let place = line.place;
                self.yields[0].records += 1;
                if let Err(message) = self.take(0, line, &mut source) {
                    self.bad(0, place, &message)?;
                }
                if self.batches.is_full() { self.send() } else { Ok(()) }
            })
        };
        self.finish(read)?;
        let lines = from.lines + u64::try_from(text.split(|byte| *byte == b'\n').count() - 1).unwrap_or(0);
        Ok(Numbers { records: self.yields[0].records, lines })
    }

    /// Reports a line that is too long to be read.
    pub(in crate::cli) fn too_long(&mut self, from: Numbers, bytes_max: usize) -> Result<Numbers, Failure> {
        let lines = from.lines + 1;
        self.bad(0, Place { line: lines, on_line: 1 }, &format!("larger than {bytes_max} bytes"))?;
        Ok(Numbers { records: from.records + 1, lines })
    }

    /// The number of events that were stored, and the rest, in words.
    pub(in crate::cli) fn counted(&self) -> String {
        let super::Counts { stored, duplicates, bad, .. } = self.counts;
        format!("{stored} stored, {duplicates} duplicates, {bad} bad records")
    }
}
