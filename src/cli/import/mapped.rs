//! Imports records of other systems: a preset maps each record to an event.

use std::io::{self, Read};

use crate::{
    cli::{
        failure::Failure,
        import::{
            Import,
            batches::{OnConflict, RawRecord, Sent, Target},
            source::Source,
        },
    },
    model::{
        event::Sender,
        mapping::{self, MappedRecord},
        masked_event::MaskedEvent,
        records::{self, Lines, Place, Records},
        timestamp::Timestamp,
    },
};

/// Maximum number of bytes of a document whose records are not read one by one.
const DOCUMENT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How the records arrive, as their events record it.
const DOOR: &str = "import";

impl Import<'_> {
    /// Imports a file of records.
    pub(super) fn mapped_file(
        &mut self,
        file: usize,
        input: Box<dyn Read>,
        source: &mut Source,
    ) -> Result<(), Failure> {
        let Some(formats) = &self.formats else { return Ok(()) };
        if formats.are_lines() {
            let lines = Lines::new(input, self.limits.event_bytes_max);
            return self.documents(file, lines, source);
        }
        let envelopes = formats.envelopes();
        let envelopes: Vec<&str> = envelopes.iter().map(String::as_str).collect();
        self.documents(file, Records::of_system(input, DOCUMENT_BYTES_MAX, &envelopes), source)
    }

    /// Imports documents, each of which holds one or more records.
    pub(super) fn documents<'a>(
        &mut self,
        file: usize,
        documents: impl Iterator<Item = io::Result<records::Record<'a>>>,
        source: &mut Source,
    ) -> Result<(), Failure> {
        for document in documents {
            let path = || self.arguments.files[file].display();
            let document = document.map_err(|error| Failure::new(format!("{}: {error}", path())))?;
            self.document(file, document, source)?;
        }
        Ok(())
    }

    /// Imports the records of a document.
    fn document(&mut self, file: usize, document: records::Record<'_>, source: &mut Source) -> Result<(), Failure> {
        let Some(formats) = &self.formats else { return Ok(()) };
        let (place, is_element) = (document.place, document.envelope.is_some());
        let chosen = formats.choose(document.text);
        let read = chosen.as_ref().map_err(Clone::clone).and_then(|(format, text)| {
            let mapping = formats.mapping(*format);
            let records =
                if is_element { mapping.element(text).map(|record| vec![record]) } else { mapping.records(text) };
            records.map(|records| (*format, records)).map_err(|error| error.to_string())
        });
        let (format, records) = match read {
            Ok(read) => read,
            Err(message) => {
                self.yields[file].records += 1;
                return self.bad(file, place, &message);
            }
        };
        let is_one = records.len() == 1;
        for (index, record) in records.into_iter().enumerate() {
            self.yields[file].records += 1;
            let number = self.yields[file].records;
            source.read(record.source());
            self.beginnings.read(file, source.key(), record.source());
            if let Some(formats) = &mut self.formats {
                formats.count(format);
                if !self.batches.takes(formats.mapping(format).name(), source.key(), number) {
                    self.send()?;
                }
            }
            if let Err(message) = self.map(file, place, format, record, source) {
                let of = if is_one { String::new() } else { format!("record {} of this document: ", index + 1) };
                self.bad(file, place, &format!("{of}{message}"))?;
            }
            if self.batches.is_full() {
                self.send()?;
            }
        }
        Ok(())
    }

    /// Maps a record, and adds it to the batch. A server maps it again: here, only so that an error names its line.
    fn map(
        &mut self,
        file: usize,
        place: Place,
        format: usize,
        record: mapping::Record<'_>,
        source: &Source,
    ) -> Result<(), String> {
        let Some(formats) = &self.formats else { return Ok(()) };
        let (mapping, number) = (formats.mapping(format), self.yields[file].records);
        let mapped = mapping.map(&record, &self.limits, &self.mask).map_err(|error| error.to_string())?;
        let identifier = records::derived_identifier(source.key(), number, record.source());
        let raw = match self.batches.target() {
            Target::Server(_) => Some(RawRecord {
                text: mapping.text_of(&record).into_owned(),
                preset: mapping.name().to_owned(),
                source: source.key().to_owned(),
                number,
            }),
            Target::File(..) => None,
        };
        let on_conflict = OnConflict::MapAgain { format, record: record.into_owned() };
        let is_nameless =
            self.add(Sent { file, place, is_past: false, is_derived: false, on_conflict }, &mapped, &identifier, raw)?;
        self.counts.nameless += u64::from(is_nameless && source.is_nameless);
        Ok(())
    }

    /// Maps the records again whose identifiers belong to events with other content.
    pub(super) fn map_conflicts(&mut self) -> Result<(), Failure> {
        while let Some(sent) = self.conflicts.pop() {
            let (Some(formats), OnConflict::MapAgain { format, record }) = (&self.formats, sent.on_conflict) else {
                continue;
            };
            let (file, place) = (sent.file, sent.place);
            let mapped =
                formats.mapping(format).map_again(&record, &self.limits, &self.mask).map_err(|error| error.to_string());
            let again = Sent { on_conflict: OnConflict::IsKnown, ..sent };
            if let Err(message) = mapped.and_then(|mapped| self.add(again, &mapped, "", None).map(drop)) {
                self.bad(file, place, &message)?;
            }
            if self.batches.is_full() {
                let results = self.batches.send()?;
                self.count(results)?;
            }
        }
        Ok(())
    }

    /// Adds a mapped record to the batch, with `identifier` if it has none. A server gets the raw record. Returns whether the
    /// record has no identifier.
    fn add(
        &mut self,
        mut sent: Sent,
        mapped: &MappedRecord,
        identifier: &str,
        raw: Option<RawRecord>,
    ) -> Result<bool, String> {
        let limits = MappedRecord::limits(&self.limits);
        let event = MaskedEvent::new(mapped.event(), &limits, &self.mask).map_err(|error| error.to_string())?;
        let mut draft = event.read(&limits, Sender::Client).map_err(|error| error.to_string())?;
        let is_nameless = draft.identifier().is_none();
        if is_nameless {
            draft.name(identifier);
            (sent.is_derived, sent.on_conflict) = (true, OnConflict::IsKnown);
        }
        let now = Timestamp::now();
        let past = |at| self.retention.is_past_by_event_time(draft.resource_type(), at, now);
        sent.is_past = draft.happened_at().is_some_and(past);
        match raw {
            Some(raw) => self.batches.add_record(sent, raw),
            None => {
                let provenance = mapped.provenance(DOOR);
                self.batches.add(sent, draft.with_mapping(&provenance), mapped.event().len());
            }
        }
        Ok(is_nameless)
    }
}
