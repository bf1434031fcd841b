//! Finds where a broken JSON object ends, so that no object within it is taken for a value of its own.

/// Maximum number of bytes of an inner object that is examined to see what follows it.
const LOOKAHEAD_BYTES: usize = 1024 * 1024;

/// The index after the broken object with which `text` begins; `None` if that depends on what follows `text`, of which
/// `is_whole` means that nothing follows.
///
/// The object ends where its brackets close, or before a line on which another object begins: indented by at most `column`
/// bytes, and no part of it. An object on a new line is a part of it if its last line ends where a value may follow, and
/// what comes after the inner object continues the broken one. So a truncated line costs only itself. With `is_in_list`,
/// the end of that list ends the object too.
pub(super) fn end(text: &[u8], column: usize, is_in_list: bool, is_whole: bool) -> Option<usize> {
    let mut walk = Walk { text, at: 0, open: Vec::new(), last: b' ' };
    while let Some(&byte) = text.get(walk.at) {
        if byte != b'\n' {
            if walk.step(byte) && walk.open.is_empty() {
                match walk.next_from(walk.at) {
                    None if is_whole => return Some(walk.at),
                    None => return None,
                    Some((_, b'{' | b',' | 0x1e | 0xef)) => return Some(walk.at),
                    Some((_, b']')) if is_in_list => return Some(walk.at),
                    Some(_) => {}
                }
            }
            continue;
        }
        walk.at += 1;
        let line = walk.at;
        let indent = text[line..].iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b',')).count();
        match text.get(line + indent) {
            _ if indent > column => {}
            Some(b'{') => {
                if text[line..line + indent].contains(&b',') {
                    walk.last = b',';
                }
                match walk.inner(line + indent, is_whole)? {
                    Inner::Part { end } => (walk.at, walk.last) = (end, b'}'),
                    Inner::Separate => return Some(line),
                }
            }
            Some(b']') if is_in_list && walk.open.last() != Some(&b'[') => return Some(line),
            _ => {}
        }
    }
    is_whole.then_some(text.len())
}

/// The index after the object with which `text` begins, by its brackets alone.
pub(super) fn end_of_brackets(text: &[u8]) -> Option<usize> {
    let mut walk = Walk { text, at: 0, open: Vec::new(), last: b' ' };
    while let Some(&byte) = text.get(walk.at) {
        if walk.step(byte) && walk.open.is_empty() {
            return Some(walk.at);
        }
    }
    None
}

/// A walk over a text, of which only brackets and strings count.
struct Walk<'a> {
    text: &'a [u8],
    at: usize,
    /// The brackets that are open.
    open: Vec<u8>,
    /// The last byte outside of strings other than white space; the opening quote of a string that its line cuts off.
    last: u8,
}

/// An object that begins on a line of its own.
enum Inner {
    Part { end: usize },
    Separate,
}

impl Walk<'_> {
    /// Passes a byte, or a string up to the end of its line. Returns whether it closes a bracket.
    fn step(&mut self, byte: u8) -> bool {
        self.at += 1;
        if !byte.is_ascii_whitespace() {
            self.last = byte;
        }
        match byte {
            b'"' => self.string(),
            b'{' | b'[' => self.open.push(byte),
            b'}' | b']' => return self.open.pop().is_some(),
            _ => {}
        }
        false
    }

    fn string(&mut self) {
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
                    return;
                }
                b'\\' => self.at = self.text.len().min(self.at + 2),
                _ => return,
            }
        }
    }

    /// Whether the object at `start` is a part of the one that is walked; `None` if that depends on what follows the text.
    fn inner(&self, start: usize, is_whole: bool) -> Option<Inner> {
        let undecided = || is_whole.then_some(Inner::Separate);
        let holder = self.open.last().copied();
        if !matches!((holder, self.last), (Some(b'{'), b':') | (Some(b'['), b'[' | b',')) {
            return Some(Inner::Separate);
        }
        let ahead = &self.text[start..];
        let Some(length) = end_of_brackets(&ahead[..ahead.len().min(LOOKAHEAD_BYTES)]) else {
            return if ahead.len() > LOOKAHEAD_BYTES { Some(Inner::Separate) } else { undecided() };
        };
        let end = start + length;
        let Some((at, next)) = self.next_from(end) else { return undecided() };
        let is_part = match (holder, next) {
            (Some(b'{'), b'}' | b'"') | (Some(b'['), b']' | b',') => true,
            (Some(b'{'), b',') => match self.next_from(at + 1) {
                Some((_, next)) => next == b'"',
                None => return undecided(),
            },
            _ => false,
        };
        Some(if is_part { Inner::Part { end } } else { Inner::Separate })
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
    fn rest_of(text: &str, is_in_list: bool) -> &str {
        let whole = end(text.as_bytes(), 0, is_in_list, true).unwrap();
        for length in 0..text.len() {
            let early = end(&text.as_bytes()[..length], 0, is_in_list, false);
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
        ] {
            for is_in_list in [false, true] {
                assert_eq!(rest_of(&format!("{broken}\n{{\"z\":1}}\n"), is_in_list), "{\"z\":1}\n", "{broken}");
                assert_eq!(rest_of(broken, is_in_list), "", "{broken}");
            }
        }
    }

    #[test]
    fn a_truncated_line_costs_only_itself() {
        for truncated in
            ["{\"a\":", "{\"a\":[", "{\"a\":[1,", "{\"a\":1,", "{\"a\":\"b", "{", "{\"a\": ,\"b\":", "{\"a\":[{\"b\":"]
        {
            for rest in ["{\"z\":1}", "{\"z\":1}\n{\"z\":2}\n", "{\"z\":\n{\"z\":1}\n", "{\"z\":1}\nnonsense"] {
                assert_eq!(rest_of(&format!("{truncated}\n{rest}"), false), rest, "{truncated}");
            }
        }
        assert_eq!(rest_of("{\"a\":\n]\n{}", true), "]\n{}");
        assert_eq!(rest_of("{\"a\":\n{\"z\":1},\n{\"z\":2}\n]", true), "{\"z\":1},\n{\"z\":2}\n]");
    }
}
