//! Finds where a broken JSON object ends, so that no object within it is taken for a separate value.

/// Maximum number of bytes that are examined to see what follows an object within a broken one.
const LOOKAHEAD_BYTES: usize = 1024 * 1024;
/// The same where the objects that follow one another are most likely values: no comma separates them, or a list ends.
const SHORT_LOOKAHEAD_BYTES: usize = 64 * 1024;

/// The index after the broken object with which `text` begins; `None` if that depends on what follows `text`, of which
/// `is_whole` means that nothing follows. `enclosing` has the brackets that are open around the object, the outermost first.
///
/// The object ends where its brackets close, or before a line on which another object begins: indented by at most `column`
/// bytes, and no part of it. So a truncated line costs only itself. An object on a new line is a part of the broken one if
/// two things hold:
///
/// - The line before it ends where a value may follow: after a colon, after a key whose colon is missing, or in an array.
/// - What comes after it continues the broken object: a key, or a bracket that closes nothing else.
///
/// An object that is indented more is a part, except directly after a line that ends where no value may follow. Within a list,
/// the end of that list ends the broken object too.
pub(super) fn end(text: &[u8], column: usize, enclosing: &[u8], is_whole: bool) -> Option<usize> {
    let mut walk = Walk::new(text, enclosing, is_whole);
    while let Some(&byte) = text.get(walk.at) {
        if byte != b'\n' {
            if walk.step(byte) && walk.open.is_empty() {
                match walk.next_from(walk.at) {
                    None if is_whole => return Some(walk.at),
                    None => return None,
                    Some((_, b'{' | b',' | 0x1e | 0xef)) => return Some(walk.at),
                    Some((_, b']')) if walk.is_in_list() => return Some(walk.at),
                    Some(_) => {}
                }
            }
            continue;
        }
        walk.at += 1;
        let line = walk.at;
        let indent = text[line..].iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b',')).count();
        let is_deeper = indent > column;
        match text.get(line + indent) {
            None | Some(b'\n') => continue,
            Some(b'{') if !is_deeper || (walk.layout == Layout::OneLine && !walk.accepts_value()) => {
                if text[line..line + indent].contains(&b',') {
                    walk.note(b',');
                }
                match walk.inner(line + indent, is_deeper)? {
                    Inner::Part { end } => walk.pass(end),
                    Inner::Separate => return Some(line),
                }
            }
            Some(b']') if !is_deeper && walk.is_in_list() && walk.open.last() != Some(&b'[') => return Some(line),
            Some(_) => {}
        }
        walk.layout = if is_deeper || walk.layout == Layout::Indented { Layout::Indented } else { Layout::Flat };
    }
    is_whole.then_some(text.len())
}

/// The index after the object with which `text` begins, by its brackets alone.
pub(super) fn end_of_brackets(text: &[u8]) -> Option<usize> {
    let mut walk = Walk::new(text, &[], true);
    while let Some(&byte) = text.get(walk.at) {
        if walk.step(byte) && walk.open.is_empty() {
            return Some(walk.at);
        }
    }
    None
}

/// How the lines of an object after its first are indented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Only its first line is known.
    OneLine,
    /// No more than the first.
    Flat,
    /// Some of them more than the first. Then an object that is not is rarely a part.
    Indented,
}

/// A walk over a text, of which only brackets and strings count.
struct Walk<'a> {
    text: &'a [u8],
    /// The brackets around the text.
    enclosing: &'a [u8],
    is_whole: bool,
    at: usize,
    /// The brackets that are open within the text.
    open: Vec<u8>,
    /// The last byte outside of strings other than white space; of a string, its opening quote.
    last: u8,
    /// The one before it.
    before_last: u8,
    /// Whether the end of its line cuts off the last string.
    is_cut: bool,
    layout: Layout,
}

/// An object that begins a line.
enum Inner {
    /// The part ends before `end`.
    Part {
        end: usize,
    },
    Separate,
}

impl<'a> Walk<'a> {
    const fn new(text: &'a [u8], enclosing: &'a [u8], is_whole: bool) -> Self {
        let (last, before_last, layout) = (b' ', b' ', Layout::OneLine);
        Self { text, enclosing, is_whole, at: 0, open: Vec::new(), last, before_last, is_cut: false, layout }
    }

    fn is_in_list(&self) -> bool {
        self.enclosing.last() == Some(&b'[')
    }

    /// Passes a byte, or a string up to the end of its line. Returns whether it closes a bracket.
    fn step(&mut self, byte: u8) -> bool {
        self.at += 1;
        if !byte.is_ascii_whitespace() {
            self.note(byte);
        }
        match byte {
            b'"' => self.string(),
            b'{' | b'[' => self.open.push(byte),
            b'}' | b']' => return self.open.pop().is_some(),
            _ => {}
        }
        false
    }

    fn note(&mut self, byte: u8) {
        (self.before_last, self.last) = (self.last, byte);
    }

    /// Passes everything up to `end`, which follows an object.
    fn pass(&mut self, end: usize) {
        self.at = end;
        self.note(b'}');
    }

    fn string(&mut self) {
        self.is_cut = true;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let Some(step) = memchr::memchr3(b'"', b'\\', b'\n', rest) else {
                self.at = self.text.len();
                return;
            };
            self.at += step;
            match self.text[self.at] {
                b'"' => {
                    self.at += 1;
                    self.is_cut = false;
                    return;
                }
                b'\\' => {
                    let is_pair = self.text.get(self.at + 1).is_some_and(|next| *next != b'\n');
                    self.at += 1 + usize::from(is_pair);
                }
                _ => return,
            }
        }
    }

    /// Whether a value may follow here, also after a key without its colon, or with another sign in the place of a colon.
    fn accepts_value(&self) -> bool {
        match (self.open.last(), self.last) {
            (Some(b'['), last) => matches!(last, b'[' | b','),
            (Some(b'{'), b'"') => !self.is_cut && matches!(self.before_last, b'{' | b','),
            (Some(b'{'), b'{' | b'}' | b'[' | b']' | b',') => false,
            (Some(b'{'), last) => last.is_ascii_punctuation(),
            _ => false,
        }
    }

    /// Whether the object at `start` is a part of the one that is walked; `None` if that depends on what follows the text.
    fn inner(&self, start: usize, is_deeper: bool) -> Option<Inner> {
        if !is_deeper && !self.accepts_value() {
            return Some(Inner::Separate);
        }
        // The objects that follow are examined too, up to one that tells.
        let (mut at, mut limit) = (start, start + LOOKAHEAD_BYTES);
        loop {
            let ahead = self.text.get(at..self.text.len().min(limit)).unwrap_or_default();
            let Some(length) = end_of_brackets(ahead) else {
                return if self.text.len() > limit { Some(Inner::Separate) } else { self.at_end() };
            };
            let end = at + length;
            let Some((mut place, mut next)) = self.next_from(end) else { return self.at_end() };
            let has_comma = next == b',';
            if has_comma {
                let Some(after) = self.next_from(place + 1) else { return self.at_end() };
                (place, next) = after;
            }
            let is_part = match next {
                b'}' | b'"' => true,
                b']' if !self.is_in_list() => true,
                b']' if self.layout != Layout::Indented => self.closes_own(place)?,
                b'{' if is_deeper || self.layout == Layout::Indented => false,
                // Between values of their own there are no commas.
                b'{' if has_comma && self.layout == Layout::Flat && !self.is_in_list() => true,
                b'{' => {
                    at = place;
                    limit = if has_comma { limit } else { limit.min(start + SHORT_LOOKAHEAD_BYTES) };
                    continue;
                }
                _ => false,
            };
            return Some(if is_part { Inner::Part { end } } else { Inner::Separate });
        }
    }

    /// What an object is if nothing more is known of what follows it.
    fn at_end(&self) -> Option<Inner> {
        self.is_whole.then_some(Inner::Separate)
    }

    /// Whether the bracket at `at` closes an array of the broken object, and not the list that holds that object; `None` if that
    /// depends on what follows the text. If it closes the list, what follows must be that which may follow a list.
    fn closes_own(&self, at: usize) -> Option<bool> {
        let limit = at + SHORT_LOOKAHEAD_BYTES;
        let text = &self.text[..self.text.len().min(limit)];
        let (mut outer, mut own) = (self.enclosing.to_vec(), [self.enclosing, &self.open].concat());
        let (mut ahead, mut nested) = (Walk { at, ..Walk::new(text, &[], true) }, 0_usize);
        while let Some(&byte) = text.get(ahead.at) {
            match byte {
                b'{' | b'[' if outer.is_empty() => return Some(false),
                b',' | b'"' | b':' if outer.is_empty() => return Some(true),
                b'"' | b':' if nested == 0 && outer.last() == Some(&b'[') => return Some(true),
                b'{' | b'[' => {
                    nested += 1;
                    outer.push(byte);
                    own.push(byte);
                }
                b'}' | b']' => {
                    nested = nested.saturating_sub(1);
                    let opening = Some(if byte == b'}' { b'{' } else { b'[' });
                    match (outer.pop() == opening, own.pop() == opening) {
                        (true, true) => {}
                        (closes_outer, closes_own) => return Some(closes_own && !closes_outer),
                    }
                }
                _ => {}
            }
            ahead.step(byte);
        }
        (self.is_whole || self.text.len() > limit).then_some(false)
    }

    /// The first byte from `at` on other than white space, with its index.
    fn next_from(&self, at: usize) -> Option<(usize, u8)> {
        let rest = self.text.get(at..)?;
        let step = rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
        Some((at + step, rest[step]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What follows the broken object, in a list or not. It is the same if the text arrives in pieces.
    fn rest_of<'t>(text: &'t str, enclosing: &str) -> &'t str {
        let enclosing = enclosing.as_bytes();
        let whole = end(text.as_bytes(), 0, enclosing, true).unwrap();
        for length in 0..text.len() {
            let early = end(&text.as_bytes()[..length], 0, enclosing, false);
            assert!(early.is_none_or(|early| early == whole), "{text:?}: {early:?} after {length} bytes");
        }
        text[whole..].trim_start()
    }

    #[test]
    fn an_inner_object_is_a_part_of_a_broken_one() {
        for broken in [
            "{\"a\": ,\"b\":\n{\"c\":1}\n}",
            "{\"a\": ,\"b\":\n{\"c\":1}}",
            "{\"a\": ,\"b\":\n{\"c\":1},\n\"d\":\n{\"c\":2}\n}",
            "{\n\"a\": ,\n\"b\":\n{\n\"c\":\n{\"d\":1}\n}\n}",
            "{\"a\": ,\"b\":[\n{\"c\":1},\n{\"c\":2}\n]}",
            "{\"a\": ,\"b\":\n{\"c\": ,\"d\":\"}\"}\n}",
            "{\"a\" 1\n,\"b\":\r\n{\"c\":1}\r\n}",
            // The colon is missing, or something else is in its place.
            "{\"a\":1,\"b\"\n{\"c\":1}\n}",
            "{\"a\"\n{\"c\":1},\n\"d\":2\n}",
            "{\"a\":1,\"b\"=\n{\"c\":1}\n}",
            "{\n  \"a\": 1,\n  \"b\"\n{\"c\":1}\n}",
            // Commas are missing.
            "{\"a\":[\n{\"c\":1}\n{\"c\":2}\n{\"c\":3}\n]\n}",
            "{\n\"a\": [\n{\n\"c\":1\n}\n{\n\"c\":2\n}\n]\n}",
        ] {
            assert_eq!(rest_of(broken, ""), "", "{broken}");
            assert_eq!(rest_of(&format!("{broken}\n{{\"z\":1}}\n"), ""), "{\"z\":1}\n", "{broken}");
            for (enclosing, after) in [("[", "]"), ("{[", "],\n\"next\":null}\n"), ("[{[", "]}]\n{}")] {
                for rest in [format!("{after}\n"), format!(",\n{{\"z\":1}}\n{after}")] {
                    assert_eq!(rest_of(&format!("{broken}\n{rest}"), enclosing), rest, "{broken} in {enclosing}");
                }
            }
        }
    }

    #[test]
    fn a_truncated_line_costs_only_itself() {
        for truncated in
            ["{\"a\":", "{\"a\":[", "{\"a\":[1,", "{\"a\":1,", "{\"a\":\"b", "{", "{\"a\": ,\"b\":", "{\"a\":[{\"b\":"]
        {
            for rest in ["{\"z\":1}", "{\"z\":1}\n{\"z\":2}\n", "{\"z\":\n{\"z\":1}\n", "{\"z\":1}\nnonsense"] {
                assert_eq!(rest_of(&format!("{truncated}\n{rest}"), ""), rest, "{truncated}");
            }
            for (enclosing, after) in [("[", "]"), ("{[", "],\"next\":null}\n{}"), ("[", "]\n[{}]"), ("[", "")] {
                for rest in ["{\"z\":1}", "{\"z\":1},\n{\"z\":2}", "{\"z\":[\n{\"z\":1}\n]},\n{\"z\":2}"] {
                    let rest = format!("{rest}\n{after}");
                    assert_eq!(rest_of(&format!("{truncated}\n{rest}"), enclosing), rest, "{truncated} in {enclosing}");
                }
            }
        }
        assert_eq!(rest_of("{\"a\":\n]\n{}", "["), "]\n{}");
        // A line that is indented more, after one that ends where no value may follow.
        for truncated in ["{\"a\":\"b", "{\"a\":1", "{", "{\"a\":{\"b\":1}"] {
            let rest = "{\"z\":1}\n{\"z\":2}\n";
            assert_eq!(rest_of(&format!("{truncated}\n  {rest}"), ""), rest, "{truncated}");
        }
        assert_eq!(rest_of("{\"a\":[\n  {\"b\":1},\n{\"z\":1}\n", ""), "{\"z\":1}\n");
    }

    #[test]
    fn the_inner_objects_of_a_truncated_object_are_parts_of_it() {
        let rest = "{\n\"z\": 1\n}\n{\n\"z\": 2\n}\n";
        for truncated in [
            "{\n\"a\": [\n{\n\"b\": 1\n},",
            "{\n  \"a\": [\n    {\"b\": 1},\n    {\"b\": 2}",
            "{\"a\": [\n    {\"b\": 1},\n    {\"b\": 2},",
        ] {
            assert_eq!(rest_of(&format!("{truncated}\n{rest}"), ""), rest, "{truncated}");
        }
    }
}
