//! Splits a request body into events.
//!
//! One grammar covers all accepted forms: a JSON object, objects one after another (with or without line breaks:
//! NDJSON), or arrays of objects, one after another. This module only splits a body. [`crate::model::event`] reads each event.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::model::{broken, json};

/// How often the bytes of a body may be read in vain. A body that is nothing but beginnings of values would be read to its end
/// once for each of them.
const READINGS_MAX: usize = 4;
/// The byte order mark, which may precede the text.
pub const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A part of a body: a value, or what cannot be read as one.
pub type Piece<'a> = Result<&'a RawValue, PieceError>;

/// Why a part of a body cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub struct PieceError {
    /// The number of the line on which the part begins, from 1.
    pub line: usize,
    /// What is wrong, and where.
    pub message: String,
}

/// A body with more values than a request may have.
#[derive(Debug, PartialEq, Eq)]
pub struct TooMany;

/// What to do after a part that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterError {
    /// Read nothing further.
    Stop,
    /// Continue after an object whose brackets close if another one follows on its line, and otherwise at the next line. If the part
    /// spans several lines, continue where its brackets close, or at the next line that begins with another object. Within an
    /// array, continue after an object whose brackets close before a comma or the end of the array. After anything else,
    /// nothing tells where the next element begins, so the rest of the array is one part.
    Resume,
}

/// Splits `body` into at most `events_max` values without interpreting them. An empty body has none. A part that cannot be read
/// takes the place of a value.
pub fn split(body: &[u8], events_max: usize, after_error: AfterError) -> Result<Vec<Piece<'_>>, TooMany> {
    let at = if body.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let counted = Counted { at: 0, line: 1, line_start: 0 };
    let mut splitter = Splitter { body, at, form: Form::Values, counted, next_line: 0, read_in_vain: 0 };
    if splitter.next_byte() == Some(b'[') {
        splitter.at += 1;
        splitter.form = Form::Array { is_first: true };
    }
    let mut pieces = Vec::new();
    while let Some(piece) = splitter.piece() {
        if pieces.len() == events_max {
            return Err(TooMany);
        }
        let is_last = piece.is_err() && after_error == AfterError::Stop;
        pieces.push(piece);
        if is_last {
            break;
        }
    }
    Ok(pieces)
}

/// Notes in `pieces`, the parts of `body`, that the body is the beginning of a compressed one: the last part cannot be read.
pub fn cut_off(pieces: &mut Vec<Piece<'_>>, body: &[u8], encoding: &str) {
    let mut line = memchr::memchr_iter(b'\n', body).count() + 1;
    if !body.ends_with(b"\n")
        && let Some(Err(last)) = pieces.pop_if(|last| last.is_err())
    {
        line = last.line;
    }
    let message = format!("line {line}: the {encoding} stream is cut off: what follows is missing");
    pieces.push(Err(PieceError { line, message }));
}

/// The lines on which the values of a body begin.
pub struct Lines<'a> {
    body: &'a [u8],
    counted: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    /// The lines of `body`.
    pub const fn of(body: &'a [u8]) -> Self {
        Self { body, counted: 0, line: 1 }
    }

    /// The number of the line on which a value of the body begins, from 1. Values are asked for in order.
    pub fn of_value(&mut self, value: &'a RawValue) -> usize {
        let start = value.get().as_ptr().addr() - self.body.as_ptr().addr();
        self.line += memchr::memchr_iter(b'\n', self.body.get(self.counted..start).unwrap_or_default()).count();
        self.counted = start;
        self.line
    }
}

/// Reads one body from its beginning to its end.
struct Splitter<'a> {
    body: &'a [u8],
    at: usize,
    form: Form,
    counted: Counted,
    /// Where the line after the last one that was looked for begins.
    next_line: usize,
    /// The number of bytes read of values that could not be read.
    read_in_vain: usize,
}

/// The line of the last byte whose position was determined. Further positions are counted from there.
struct Counted {
    at: usize,
    line: usize,
    line_start: usize,
}

/// What follows.
enum Form {
    /// Values, one after another.
    Values,
    /// Elements of an array.
    Array { is_first: bool },
    /// Nothing that can be read.
    End,
}

impl<'a> Splitter<'a> {
    fn piece(&mut self) -> Option<Piece<'a>> {
        match self.form {
            Form::End => None,
            Form::Values => {
                self.next_byte()?;
                let start = self.at;
                Some(self.value().map_err(|error| self.resume(start, &error)))
            }
            Form::Array { is_first } => self.element(is_first),
        }
    }

    /// The next element of an array. After an error other than in the encoding of an element, nothing follows.
    fn element(&mut self, mut is_first: bool) -> Option<Piece<'a>> {
        self.form = Form::End;
        while self.next_byte() == Some(b']') {
            self.at += 1;
            if self.next_byte()? != b'[' {
                return Some(Err(self.error(self.at, "text after the end of the array")));
            }
            // Another array follows.
            self.at += 1;
            is_first = true;
        }
        match self.next_byte() {
            Some(b',') if !is_first => {
                self.at += 1;
                self.next_byte();
            }
            Some(_) if is_first => {}
            Some(_) => return Some(Err(self.error(self.at, "expected `,` or `]`"))),
            None => return Some(Err(self.error(self.at, "the array does not end"))),
        }
        let start = self.at;
        let read = self.value();
        if let Err(Unreadable::Syntax(error)) = read {
            let found = self.syntax_error(start, &error);
            if let Some(end) = self.end_of_element(start) {
                self.at = end;
                self.form = Form::Array { is_first: false };
            }
            return Some(Err(found));
        }
        self.form = Form::Array { is_first: false };
        Some(read.map_err(|error| self.resume(start, &error)))
    }

    /// Reads the value that begins here.
    fn value(&mut self) -> Result<&'a RawValue, Unreadable> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        match <&RawValue>::deserialize(&mut serde_json::Deserializer::from_slice(rest)) {
            Ok(value) => {
                self.at += value.get().len();
                Ok(value)
            }
            // Without strings in UTF-8, the grammar shows where the value ends.
            Err(error) => match IgnoredAny::deserialize(&mut serde_json::Deserializer::from_slice(rest)) {
                Ok(IgnoredAny) => Err(Unreadable::Encoding),
                Err(_) => Err(Unreadable::Syntax(error)),
            },
        }
    }

    /// Passes the part that begins at `start` and cannot be read. Returns what is wrong with it.
    fn resume(&mut self, start: usize, error: &Unreadable) -> PieceError {
        let Unreadable::Syntax(error) = error else {
            self.at = json::end_of_value(self.body, start);
            let valid =
                std::str::from_utf8(&self.body[start..self.at]).map_or_else(|error| error.valid_up_to(), str::len);
            return self.error(start, &format!("not UTF-8 at byte {} of the body", start + valid));
        };
        let mut found = self.syntax_error(start, error);
        self.at = self.end_of_broken(start, error.line() > 1);
        let lines = memchr::memchr_iter(b'\n', &self.body[start..]).nth(error.line().saturating_sub(2));
        self.read_in_vain += lines.unwrap_or(0) + error.column();
        if self.read_in_vain > self.body.len() * READINGS_MAX {
            self.at = self.body.len();
            found.message.push_str("; after this many errors, the rest was not read");
        }
        found
    }

    /// Where the broken object that begins at `start` in an array ends. `None` if its brackets do not close before the next element
    /// or the end of the array.
    fn end_of_element(&self, start: usize) -> Option<usize> {
        let element = self.body.get(start..).filter(|element| element.starts_with(b"{"))?;
        let end = start + broken::end_of_brackets(element)?;
        matches!(self.body[end..].trim_ascii_start().first(), Some(b',' | b']')).then_some(end)
    }

    /// Where the part that begins at `start` ends: before the next object on its line, with its line, or further if it is an
    /// object that goes on.
    fn end_of_broken(&mut self, start: usize, is_of_several_lines: bool) -> usize {
        let line_end = self.line_after(start);
        let line = &self.body[start..line_end];
        if line[0] != b'{' {
            // What some senders put between objects.
            let separators = line.iter().take_while(|byte| matches!(byte, b',' | b'\0' | 0x1e | b' ')).count();
            return if line.get(separators) == Some(&b'{') { start + separators } else { line_end };
        }
        let closed = if is_of_several_lines { None } else { broken::end_of_brackets(line) };
        if let Some(end) = closed {
            return if line[end..].trim_ascii_start().starts_with(b"{") { start + end } else { line_end };
        }
        let line_start = memchr::memrchr(b'\n', &self.body[..start]).map_or(0, |last| last + 1);
        let indent = self.body[line_start..start].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let length = broken::end(&self.body[start..], indent, &[], true);
        length.map_or(self.body.len(), |length| line_end.max(start + length))
    }

    /// Where the line after the one with this byte begins.
    fn line_after(&mut self, at: usize) -> usize {
        if self.next_line <= at {
            self.next_line = memchr::memchr(b'\n', &self.body[at..]).map_or(self.body.len(), |length| at + length + 1);
        }
        self.next_line
    }

    fn syntax_error(&mut self, start: usize, error: &serde_json::Error) -> PieceError {
        let (line, column) = self.position(start);
        let text = error.to_string();
        let what = text.split(" at line ").next().unwrap_or(&text);
        let message = match error.line() {
            0 | 1 => format!("line {line}, column {}: not JSON: {what}", (error.column() + column - 1).max(1)),
            // The part has one line: that on which it begins.
            further => format!(
                "line {line}, column {column}: not JSON: {what} at line {}, column {}",
                line + further - 1,
                error.column().max(1)
            ),
        };
        PieceError { line, message }
    }

    fn error(&mut self, at: usize, what: &str) -> PieceError {
        let (line, column) = self.position(at);
        PieceError { line, message: format!("line {line}, column {column}: {what}") }
    }

    /// The line and the column of a byte, both from 1. Positions are asked for in order.
    fn position(&mut self, at: usize) -> (usize, usize) {
        let Counted { at: from, line, line_start } = &mut self.counted;
        for step in memchr::memchr_iter(b'\n', self.body.get(*from..at).unwrap_or_default()) {
            *line += 1;
            *line_start = *from + step + 1;
        }
        *from = at.max(*from);
        (*line, at - *line_start + 1)
    }

    /// Passes white space. Returns the byte after it.
    fn next_byte(&mut self) -> Option<u8> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.body.get(self.at).copied()
    }
}

/// Why a value cannot be read.
enum Unreadable {
    /// It is grammatical, but not UTF-8.
    Encoding,
    Syntax(serde_json::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values, and in place of each other part its line and error.
    fn pieces(body: impl AsRef<[u8]>) -> Vec<String> {
        let pieces = split(body.as_ref(), 100, AfterError::Resume).unwrap();
        let shown = |piece: Piece<'_>| match piece {
            Ok(value) => value.get().to_owned(),
            Err(PieceError { line, message }) => format!("{line}: {message}"),
        };
        pieces.into_iter().map(shown).collect()
    }

    #[test]
    fn every_form_is_split_alike() {
        for body in [
            "{\"a\":1}{\"b\":2}",
            "{\"a\":1}\n{\"b\":2}\n",
            "[{\"a\":1},{\"b\":2}]",
            "[{\"a\":1}]\n[]\n[{\"b\":2}]\n",
            " \r\n[ {\"a\":1} , {\"b\":2} ]\n",
        ] {
            assert_eq!(pieces(body), ["{\"a\":1}", "{\"b\":2}"], "{body}");
        }
        assert_eq!(pieces("\u{feff}{}"), ["{}"]);
    }

    #[test]
    fn an_empty_body_has_no_values() {
        for body in ["", " \r\n\t", "[]", " [ ] \n", "[]\n[]", "\u{feff}", "\u{feff}[]"] {
            assert_eq!(pieces(body), [""; 0], "{body:?}");
        }
    }

    #[test]
    fn an_error_in_an_object_costs_no_other_on_its_line_or_in_its_array() {
        let outline = |body: &str| -> Vec<String> {
            let pieces = split(body.as_bytes(), 100, AfterError::Resume).unwrap();
            pieces.into_iter().map(|piece| piece.map_or("-".to_owned(), |value| value.get().to_owned())).collect()
        };
        for broken in
            ["{\"v\":NaN}", "{\"v\":}", "{\"v\":\"\t\"}", "{\"v\":\"\\x\"}", "{\"v\":1,}", "{\"v\":{\"w\":+1}}"]
        {
            assert_eq!(
                outline(&format!("{{}}{broken}{{\"a\":1}} {broken} {{\"b\":2}}\n{{}}")),
                ["{}", "-", "{\"a\":1}", "-", "{\"b\":2}", "{}"]
            );
            assert_eq!(
                outline(&format!("[{{}},{broken} , {{\"a\":1}},\n{broken}]\n[{{}}]")),
                ["{}", "-", "{\"a\":1}", "-", "{}"]
            );
        }
        for separator in [",", "\0", "\u{1e}", ", "] {
            assert_eq!(outline(&format!("{{}}{separator}{{\"a\":1}}")), ["{}", "-", "{\"a\":1}"], "{separator:?}");
        }
        assert_eq!(outline("[{},{\"v\":NaN} {\"a\":1}]"), ["{}", "-"]);
        assert_eq!(outline("[{},NaN,{}]"), ["{}", "-"]);
    }

    #[test]
    fn an_error_costs_its_line() {
        for (body, expected) in [
            ("{}\n{\"a\":\n{\"b\":1}", ["{}", "2: line 2, column 1: not JSON: EOF while parsing", "{\"b\":1}"]),
            ("{}\n{\"a\":\"b\n{\"c\":1}\n", ["{}", "2: line 2, column 7: not JSON: control character", "{\"c\":1}"]),
            ("{}\r\nnonsense {\r\n {\"c\":1}", ["{}", "2: line 2, column 2: not JSON: expected ident", "{\"c\":1}"]),
            ("{}\n{\"a\":1}}\n{\"c\":1}", ["{}", "{\"a\":1}", "2: line 2, column 8: not JSON: expected value"]),
        ] {
            let found = pieces(body);
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.starts_with(expected), "{body:?}: {found} instead of {expected}");
            }
            assert!(found.len() >= 3, "{body:?}: {found:?}");
        }
        assert_eq!(pieces("{}{").len(), 2);
    }

    #[test]
    fn an_error_in_a_value_of_several_lines_costs_that_value() {
        let broken = "{\n  \"a\": 1,\n  \"b\": {\n    \"action\": \"A\"\n  }}\n  \"c\": [\n {\"d\": 1}\n  ]\n}\n";
        let good = "{\n  \"e\": 1\n}\n";
        let found = pieces(format!("{good}{}{good}", broken.replace("}}\n", "}\n")));
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!((found[0].as_str(), found[2].as_str()), (good.trim_end(), good.trim_end()));
        assert!(found[1].starts_with("4: line 4, column 1: not JSON"), "{found:?}");
    }

    #[test]
    fn an_object_within_a_broken_one_is_no_value() {
        for broken in [
            "{\"a\": ,\"b\":\n{\"c\":1}\n}",
            "{\"a\": ,\"b\":\n  {\"c\":1}\n}",
            "{\"a\":1,\"b\":\n{\"c\":1}\n\"d\": }",
            "{\n\"a\": ,\n\"b\": [\n{\"c\":1},\n{\"c\":2}\n]\n}",
        ] {
            for (before, after) in [("", "\n"), ("{}\n", "\n\n"), ("  ", "")] {
                let found = pieces(format!("{before}{broken}{after}{{\"z\":1}}"));
                assert_eq!(found.len(), 2 + usize::from(before == "{}\n"), "{broken}: {found:?}");
                assert!(found.last().unwrap() == "{\"z\":1}", "{broken}: {found:?}");
            }
        }
        let found = pieces("{\"a\":1,\"b\": [\n{\"c\":1}\n{\"d\":1}\n");
        assert_eq!(found[1..], ["{\"c\":1}", "{\"d\":1}"], "{found:?}");
    }

    #[test]
    fn bytes_that_are_not_utf_8_cost_their_value() {
        let expected = ["{}", "1: line 1, column 4: not UTF-8 at byte 9 of the body", "[1]"];
        assert_eq!(pieces(b"{}\t{\"a\":\"\xff\"} [1]"), expected);
        assert_eq!(pieces(b"[{},{\"a\":\"\xff\"},[1]]").len(), 3);
        assert_eq!(pieces(b"{}\n\xff\xfe\n[1]").len(), 3);
    }

    #[test]
    fn what_precedes_an_error_in_an_array_is_kept() {
        for (body, error) in [
            ("[{},{},", "line 1, column 7: not JSON: EOF"),
            ("[{},{}", "line 1, column 7: the array does not end"),
            ("[{},{}\n,}", "line 2, column 2: not JSON: expected value"),
            ("[{},{} {}]", "line 1, column 8: expected `,` or `]`"),
            ("[{},{}] {}", "line 1, column 9: text after the end of the array"),
            ("[{},{},]", "line 1, column 8: not JSON: expected value"),
            ("[{}]\n[{}", "line 2, column 4: the array does not end"),
        ] {
            let found = pieces(body);
            assert_eq!((found.len(), &found[..2]), (3, &["{}".to_owned(), "{}".to_owned()][..]), "{body}");
            assert!(found[2].split_once(": ").unwrap().1.starts_with(error), "{body}: {}", found[2]);
        }
    }

    #[test]
    fn a_body_of_beginnings_is_not_read_again_and_again() {
        let body = "{\"a\":[\n".repeat(100_000);
        let found = split(body.as_bytes(), 10_000, AfterError::Resume).unwrap();
        assert!(found.len() <= READINGS_MAX + 2, "{}", found.len());
        let last = found.last().unwrap().as_ref().unwrap_err();
        assert!(last.message.contains("the rest was not read"), "{}", last.message);
    }

    #[test]
    fn reading_stops_at_the_first_error_and_beyond_the_limit() {
        let stopped = split(b"{}\nx\n{}\ny", 10, AfterError::Stop).unwrap();
        assert!(stopped.len() == 2 && stopped[1].is_err());
        for body in ["{}{}{}", "[{},{},{}]", "{}{}\nx", "x\ny\nz"] {
            assert_eq!(split(body.as_bytes(), 2, AfterError::Resume).map(|_| ()), Err(TooMany), "{body}");
            assert!(split(body.as_bytes(), 3, AfterError::Resume).is_ok(), "{body}");
        }
    }
}
