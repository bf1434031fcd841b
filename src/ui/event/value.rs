//! Formats a value of a diff: strings as their text in quotes, everything else as stored, so that the number 1 differs from the
//! string "1". Changes within a text are marked. Long
//! values are folded; very long ones are also truncated.

use std::borrow::Cow;

use similar::{Algorithm, DiffTag, capture_diff_slices};

use crate::model::mask::MASKED;

/// Maximum number of characters of a value that is not folded.
const OPEN_CHARS: usize = 240;
/// Maximum number of lines of a value that is not folded.
const OPEN_LINES: usize = 6;
/// Maximum number of characters that can be unfolded.
const CHARS_MAX: usize = 20_000;
/// Maximum number of characters of a folded value's summary line.
const SUMMARY_CHARS: usize = 100;
/// Maximum number of bytes of two texts together whose words are compared.
const WORDS_BYTES_MAX: usize = 16 * 1024;
/// Maximum number of words of two texts together that are compared.
const TOKENS_MAX: usize = 6_000;
/// The largest share of changed text that is still marked: three quarters. Beyond it, marks only obscure the text.
const MARKED_PARTS_MAX: (usize, usize) = (3, 4);
/// Maximum number of characters of a value that fits into a table row.
const SHORT_CHARS: usize = 32;

/// A piece of text, and whether it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ui) struct Piece {
    pub(in crate::ui) text: String,
    pub(in crate::ui) is_marked: bool,
}

/// A value that is ready to be shown.
#[derive(Debug, Clone)]
pub(in crate::ui) struct Shown {
    /// `string`, `number` and so on, for its color. A string is shown in quotes, which `pieces` do not have.
    pub(in crate::ui) kind: &'static str,
    pub(in crate::ui) pieces: Vec<Piece>,
    /// The summary while the value is folded; empty if it is not.
    pub(in crate::ui) summary: String,
    /// The number of characters that are not shown at all.
    pub(in crate::ui) chars_left_out: usize,
    /// The total number of characters.
    pub(in crate::ui) chars: usize,
}

impl Shown {
    /// Formats a single value in at most about `room` bytes.
    pub(super) fn alone(raw: &str, room: usize) -> Self {
        let (kind, text) = read(raw);
        Self::new(kind, &text, vec![Piece { text: text.clone(), is_marked: false }], room)
    }

    /// Formats two values with their differences marked.
    pub(super) fn pair(before: &str, after: &str, room: usize) -> (Self, Self) {
        let ((before_kind, before), (after_kind, after)) = (read(before), read(after));
        let is_text = before_kind == "string" && after_kind == "string";
        let (old, new) = if is_text && before.len() + after.len() <= WORDS_BYTES_MAX.min(room) {
            marked(&before, &after)
        } else {
            let whole = |text: &str| vec![Piece { text: text.to_owned(), is_marked: false }];
            (whole(&before), whole(&after))
        };
        (Self::new(before_kind, &before, old, room / 2), Self::new(after_kind, &after, new, room / 2))
    }

    /// The text without marks, with the quotes of a string.
    pub(in crate::ui) fn text(&self) -> String {
        let text: String = self.pieces.iter().map(|piece| piece.text.as_str()).collect();
        if self.is_string() { format!("\"{text}\"") } else { text }
    }

    /// Whether the value is shown as JSON.
    pub(in crate::ui) fn is_json(&self) -> bool {
        matches!(self.kind, "object" | "array")
    }

    /// Whether the value is shown in quotes.
    pub(in crate::ui) fn is_string(&self) -> bool {
        self.kind == "string"
    }

    /// The value as one that is replaced by the mask, which is not a string of the sender.
    pub(super) fn masked(self) -> Self {
        let is_whole = self.is_string() && self.pieces.iter().map(|piece| piece.text.as_str()).eq([MASKED]);
        Self { kind: if is_whole { "masked" } else { self.kind }, ..self }
    }

    /// Whether the value fits into a table row.
    pub(in crate::ui) fn is_short(&self) -> bool {
        self.chars <= SHORT_CHARS && self.summary.is_empty()
    }

    /// The number of bytes of the formatted value.
    pub(super) fn bytes(&self) -> usize {
        self.summary.len() + self.pieces.iter().map(|piece| piece.text.len()).sum::<usize>()
    }

    fn new(kind: &'static str, text: &str, pieces: Vec<Piece>, room: usize) -> Self {
        let chars = text.chars().count();
        let is_long = chars > OPEN_CHARS || text.lines().count() > OPEN_LINES;
        let max = if text.len() <= room { CHARS_MAX } else { SUMMARY_CHARS };
        let pieces = if chars > max { cut(&pieces, max) } else { pieces };
        let summary = if is_long && max > SUMMARY_CHARS {
            let line: String = text.chars().take(SUMMARY_CHARS).collect();
            line.split_whitespace().collect::<Vec<_>>().join(" ") + "…"
        } else {
            String::new()
        };
        Self { kind, pieces, summary, chars_left_out: chars.saturating_sub(max), chars }
    }
}

/// The kind and the text of a value, without the quotes of a string.
fn read(raw: &str) -> (&'static str, String) {
    let kind = match raw.as_bytes().first() {
        Some(b'"') => "string",
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b'n') => "null",
        Some(b't' | b'f') => "boolean",
        _ => "number",
    };
    let text = match raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        // A text with a lone surrogate is shown with its escapes.
        Some(content) => serde_json::from_str(raw).map_or(Cow::Borrowed(content), Cow::<str>::Owned),
        None => Cow::Borrowed(raw),
    };
    (kind, text.into_owned())
}

fn marked(before: &str, after: &str) -> (Vec<Piece>, Vec<Piece>) {
    let (earlier, later) = (tokens(before), tokens(after));
    if earlier.len() + later.len() > TOKENS_MAX {
        let whole = |text: &str| vec![Piece { text: text.to_owned(), is_marked: false }];
        return (whole(before), whole(after));
    }
    let (mut old, mut new): (Vec<Piece>, Vec<Piece>) = (Vec::new(), Vec::new());
    for operation in capture_diff_slices(Algorithm::Myers, &earlier, &later) {
        let (tag, from, to) = operation.as_tag_tuple();
        let is_marked = tag != DiffTag::Equal;
        push(&mut old, earlier[from].concat(), is_marked);
        push(&mut new, later[to].concat(), is_marked);
    }
    let unmark = |pieces: &mut Vec<Piece>| {
        let length = |pieces: &[Piece]| pieces.iter().map(|piece| piece.text.len()).sum::<usize>();
        let changed: usize = pieces.iter().filter(|piece| piece.is_marked).map(|piece| piece.text.len()).sum();
        let (part, whole) = MARKED_PARTS_MAX;
        if changed * whole > length(pieces) * part {
            let text = pieces.iter().map(|piece| piece.text.as_str()).collect();
            *pieces = vec![Piece { text, is_marked: false }];
        }
    };
    unmark(&mut old);
    unmark(&mut new);
    (old, new)
}

fn push(pieces: &mut Vec<Piece>, text: String, is_marked: bool) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(last) if last.is_marked == is_marked => last.text.push_str(&text),
        _ => pieces.push(Piece { text, is_marked }),
    }
}

/// Splits a text into words and the single characters between them, so that changes within a path or a link are found.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut begin = 0;
    for (at, char) in text.char_indices() {
        if !char.is_alphanumeric() {
            tokens.extend([&text[begin..at], &text[at..at + char.len_utf8()]]);
            begin = at + char.len_utf8();
        }
    }
    tokens.push(&text[begin..]);
    tokens.retain(|token| !token.is_empty());
    tokens
}

fn cut(pieces: &[Piece], max: usize) -> Vec<Piece> {
    let mut left = max;
    let mut out = Vec::new();
    for piece in pieces {
        let text: String = piece.text.chars().take(left).collect();
        left -= text.chars().count();
        out.push(Piece { text, is_marked: piece.is_marked });
        if left == 0 {
            break;
        }
    }
    out
}
