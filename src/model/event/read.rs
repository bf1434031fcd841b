//! Reading the members of an event: which values are valid, and by which text each is found.
//!
//! What can be kept is kept: an empty string counts as absent, a number in place of a text is read by its digits, a status code
//! may be a text. Every reading follows from the stored bytes alone, so an index that is rebuilt is the same.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{Bounds, EventDraft, STATUSES, TOP, TRIGGER};
use crate::model::{
    error::FieldError,
    field::{Field, FieldSpec, Object},
    json::{self, Members, ObjectError},
    search::message_words,
    timestamp::Timestamp,
};

/// The error for a NUL character, which many programs take for the end of a text.
const HOLDS_NUL: &str = "contains a NUL character";
const HOLDS_SURROGATE: &str = "contains a lone surrogate escape";

impl<'a> EventDraft<'a> {
    /// Reads a member of the event. `null` and the empty string count as absent. The bytes of an empty message stay; in place of
    /// an object, or of a value that the server fills in, they do not.
    pub(super) fn read_member(&mut self, key: Cow<'a, str>, value: &'a RawValue) -> Result<(), FieldError> {
        let is_name = matches!(key.as_ref(), "action" | "resourceType");
        let is_empty = json::is_empty_string(value) && !is_name;
        if TOP.contains(&key.as_ref()) && (json::is_null(value) || (is_empty && key != "message")) {
            return Ok(());
        }
        match key.as_ref() {
            "trigger" => return self.read_trigger(value),
            known @ ("action" | "resourceType") => self.read_name(known, value)?,
            "message" if is_empty => {}
            "context" => self.read_object(Object::Context, value)?,
            "request" => self.read_object(Object::Request, value)?,
            "diff" => drop(members(Object::Diff, value.get(), self.bounds)?),
            "status" => self.read_status(value)?,
            known @ ("identifier" | "message") => self.read_text(Object::Event, known, value)?,
            _ => {}
        }
        self.top.put(&TOP, key, value);
        Ok(())
    }

    fn read_trigger(&mut self, value: &'a RawValue) -> Result<(), FieldError> {
        for (key, value) in members(Object::Trigger, value.get(), self.bounds)? {
            let is_absent = json::is_null(value) || json::is_empty_string(value);
            if is_absent && TRIGGER.contains(&key.as_ref()) {
                continue;
            }
            match key.as_ref() {
                "at" => self.at = Some(read_time(value)?),
                "origin" => self.read_text(Object::Trigger, "origin", value)?,
                "by" => self.read_object(Object::By, value)?,
                _ => {}
            }
            self.trigger.put(&TRIGGER, key, value);
        }
        Ok(())
    }

    /// Validates the members of an object, which is stored unchanged, and collects the values that can be searched.
    fn read_object(&mut self, object: Object, value: &'a RawValue) -> Result<(), FieldError> {
        let mut members: Vec<_> = members(object, value.get(), self.bounds)?.into_iter().collect();
        // The first source of a field counts, whatever the sender's order.
        if object == Object::By {
            members.sort_by_key(|(key, _)| Field::rank(object, key));
        }
        for (key, value) in members {
            if (object, key.as_ref()) == (Object::Request, "statusCode") {
                if let Some(code) = read_status_code(value)? {
                    self.values.push(Field::StatusCode, &code);
                }
            } else if object.reads(&key) && !json::is_null(value) && !json::is_empty_string(value) {
                self.read_text(object, &key, value)?;
            }
        }
        Ok(())
    }

    /// Reads a required member: a text that is not empty.
    fn read_name(&mut self, key: &str, value: &RawValue) -> Result<(), FieldError> {
        let message = match value.get() {
            "\"\"" => "must not be empty",
            text if !text.starts_with('"') => "must be a string",
            _ => return self.read_text(Object::Event, key, value),
        };
        Err(FieldError::new(key, message))
    }

    /// Reads the status in any case. The index has it in upper case.
    fn read_status(&mut self, value: &RawValue) -> Result<(), FieldError> {
        let text = json::text(value);
        let status = text.and_then(|text| STATUSES.into_iter().find(|status| status.eq_ignore_ascii_case(&text)));
        let Some(status) = status else {
            return Err(FieldError::new("status", "must be SUCCESS or FAILURE, in any case"));
        };
        self.values.push(Field::Status, status);
        Ok(())
    }

    /// Reads a text, and collects it if it can be searched. A number, `true` and `false` are read as they are written.
    fn read_text(&mut self, object: Object, key: &str, value: &RawValue) -> Result<(), FieldError> {
        let refuse = |message: String| Err(FieldError::new(object.path(key), message));
        let row = Field::at(object, key);
        // Filters compare only texts with a row. Others may contain lone surrogates.
        let read = if row.is_some() { json::scalar_text } else { json::lossy_text };
        let Some(text) = read(value) else {
            let message = if json::is_string(value) { HOLDS_SURROGATE } else { "must be a string or a number" };
            return refuse(message.to_owned());
        };
        if text.contains('\0') {
            return refuse(HOLDS_NUL.to_owned());
        }
        // An identifier decides which events are the same, so the index has it whole. Other texts may be as long as the event.
        if let Some(row) = row.filter(|row| row.field == Field::Identifier && text.len() > row.bytes_max) {
            return refuse(format!("is longer than {} bytes", row.bytes_max));
        }
        match row {
            Some(row) => self.collect(row, &text),
            None if key == "message" => {
                for word in message_words(&text) {
                    self.values.push(Field::Word, &word);
                }
            }
            None => {}
        }
        Ok(())
    }

    /// Collects a value by which the event can be found.
    fn collect(&mut self, row: &FieldSpec, text: &str) {
        let first = row.further.and_then(|further| Some((further, self.values.first(row.field)?)));
        match first {
            None => self.values.push(row.field, text),
            Some((_, first)) if first == text => {}
            Some((further, _)) => self.values.push(further, text),
        }
    }
}

fn read_time(value: &RawValue) -> Result<Timestamp, FieldError> {
    let text = json::scalar_text(value).unwrap_or_default();
    let at = if json::is_string(value) { Timestamp::parse(&text) } else { None };
    at.ok_or_else(|| {
        let message = match Timestamp::from_epoch(&text) {
            Some((at, unit)) => format!("is a number, read as {unit} since 1970; send the time in RFC 3339: \"{at}\""),
            None => "must be a time in RFC 3339, such as \"2024-05-01T12:00:00Z\"".to_owned(),
        };
        FieldError::new("trigger.at", message)
    })
}

/// Reads a status code, a number or its text, by its value; `None` if the code is absent. Many programs write 0 for that.
fn read_status_code(value: &RawValue) -> Result<Option<String>, FieldError> {
    if json::is_null(value) || json::is_empty_string(value) {
        return Ok(None);
    }
    let code = json::scalar_text(value).and_then(|text| text.parse::<f64>().ok());
    match code {
        Some(0.0) => Ok(None),
        Some(code) if (100.0..=999.0).contains(&code) && code.fract() == 0.0 => Ok(Some(code.to_string())),
        _ => Err(FieldError::new("request.statusCode", "must be a whole number from 100 to 999, or 0 for none")),
    }
}

/// The members of an object that the server reads. This checks the nesting of each member, except of an object that the server
/// reads too: reading it checks its own members, so that an error has the most specific path.
pub(super) fn members(object: Object, text: &str, bounds: Bounds) -> Result<Members<'_>, FieldError> {
    if !text.starts_with('{') {
        return Err(FieldError::new(object.name(), "must be an object"));
    }
    let members = Members::read(text, bounds.keys_max).map_err(|error| match error {
        ObjectError::Twice(key) => FieldError::new(object.path(&key), "appears twice"),
        ObjectError::Unreadable(message) => FieldError::new(object.name(), message),
    })?;
    for (key, value) in members.iter() {
        if key.contains('\0') {
            return Err(FieldError::new(object.path(&key.replace('\0', "\\u0000")), HOLDS_NUL));
        }
        if object.inner(key).is_none() {
            json::check_depth(value, bounds.depth_max.saturating_sub(object.depth()))
                .map_err(|message| FieldError::new(object.path(key), message))?;
        }
    }
    Ok(members)
}
