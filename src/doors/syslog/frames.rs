//! From a stream of bytes to messages: octet-counted frames, and frames that end in LF or NUL (RFC 6587).
//!
//! The first bytes of a frame tell how it is framed: a number, a space and then `<` or `{` begin a counted frame. A frame holds
//! at most as many bytes as the listener allows, and the rest of a longer one is dropped as it arrives.

/// Number of digits of a count at most. A longer number is text.
const COUNT_DIGITS_MAX: usize = 9;

/// The frames of one stream.
#[derive(Debug)]
pub(super) struct Frames {
    state: State,
    frame: Vec<u8>,
    is_cut: bool,
    bytes_max: usize,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Between frames.
    Start,
    /// In what may be a count.
    Count,
    /// In a frame that ends in a delimiter.
    Line,
    /// In a counted frame, with this number of bytes to come.
    Counted(usize),
}

impl Frames {
    /// Frames of at most `bytes_max`.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { state: State::Start, frame: Vec::new(), is_cut: false, bytes_max }
    }

    /// Reads bytes of the stream, and passes each frame that is complete to `emit`, with whether it is cut.
    pub(super) fn push(&mut self, mut input: &[u8], emit: &mut impl FnMut(&[u8], bool)) {
        while let Some(&first) = input.first() {
            match self.state {
                State::Start if matches!(first, b'\n' | b'\r' | b'\0') => input = &input[1..],
                State::Start => self.state = if first.is_ascii_digit() { State::Count } else { State::Line },
                State::Count => {
                    if self.count(first) {
                        input = &input[1..];
                    }
                }
                State::Line => {
                    let end = memchr::memchr2(b'\n', b'\0', input);
                    self.extend(&input[..end.unwrap_or(input.len())]);
                    input = &input[end.map_or(input.len(), |end| end + 1)..];
                    if end.is_some() {
                        self.emit(emit);
                    }
                }
                State::Counted(left) => {
                    let (part, rest) = input.split_at(left.min(input.len()));
                    self.extend(part);
                    input = rest;
                    self.state = State::Counted(left - part.len());
                    if left == part.len() {
                        self.emit(emit);
                    }
                }
            }
        }
    }

    /// Ends the stream. What has arrived of the last frame is a frame.
    pub(super) fn finish(&mut self, emit: &mut impl FnMut(&[u8], bool)) {
        self.is_cut |= matches!(self.state, State::Counted(_));
        if !self.frame.is_empty() {
            self.emit(emit);
        }
    }

    /// Reads the next byte of what may be a count; returns whether the byte is used.
    fn count(&mut self, byte: u8) -> bool {
        let ends = self.frame.last() == Some(&b' ');
        let is_digit = byte.is_ascii_digit() && self.frame.len() < COUNT_DIGITS_MAX;
        if !ends && (is_digit || byte == b' ') {
            self.frame.push(byte);
            return true;
        }
        let digits = self.frame.strip_suffix(b" ").filter(|_| matches!(byte, b'<' | b'{'));
        let count = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<usize>().ok());
        match count.filter(|count| *count > 0) {
            Some(count) => {
                self.frame.clear();
                self.state = State::Counted(count);
            }
            None => self.state = State::Line,
        }
        false
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = self.bytes_max.saturating_sub(self.frame.len());
        self.is_cut |= bytes.len() > room;
        self.frame.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn emit(&mut self, emit: &mut impl FnMut(&[u8], bool)) {
        emit(&self.frame, self.is_cut);
        self.frame.clear();
        self.is_cut = false;
        self.state = State::Start;
    }
}

/// The message in a datagram. Some senders count it as in a stream, although its end is that of the datagram.
pub(super) fn of_datagram(datagram: &[u8]) -> &[u8] {
    let counted = || {
        let space = datagram.iter().take(COUNT_DIGITS_MAX + 1).position(|byte| *byte == b' ')?;
        let (digits, message) = (datagram.get(..space)?, datagram.get(space + 1..)?);
        let count: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
        (count == message.len() && matches!(message.first(), Some(b'<' | b'{'))).then_some(message)
    };
    counted().unwrap_or(datagram)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(parts: &[&[u8]], bytes_max: usize) -> Vec<(String, bool)> {
        let (mut frames, mut found) = (Frames::new(bytes_max), Vec::new());
        let mut emit = |frame: &[u8], is_cut: bool| found.push((String::from_utf8_lossy(frame).into_owned(), is_cut));
        for part in parts {
            frames.push(part, &mut emit);
        }
        frames.finish(&mut emit);
        found
    }

    fn texts(stream: &str) -> Vec<String> {
        frames(&[stream.as_bytes()], 1_000).into_iter().map(|(text, _)| text).collect()
    }

    #[test]
    fn both_framings_are_recognized_frame_by_frame() {
        assert_eq!(texts("<1>a\n<2>b\r\n<3>c\0<4>d"), ["<1>a", "<2>b\r", "<3>c", "<4>d"]);
        assert_eq!(texts("4 <1>a5 <2>b\n{\"a\":1}\n7 {\"b\":2}"), ["<1>a", "<2>b\n", "{\"a\":1}", "{\"b\":2}"]);
        assert_eq!(
            texts("2026-01-02T03:04:05Z host app: x\n12 of 13\n"),
            ["2026-01-02T03:04:05Z host app: x", "12 of 13"]
        );
        assert_eq!(texts("7"), ["7"]);
    }

    #[test]
    fn a_long_frame_is_cut_and_the_stream_goes_on() {
        let expected = [("<1>aaa".to_owned(), true), ("<2>b".to_owned(), false)];
        assert_eq!(frames(&[b"<1>aaaaaaaaa\n<2>b\n"], 6), expected);
        assert_eq!(frames(&[b"12 <1>aaaaaaaaa4 <2>b"], 6), expected);
        assert_eq!(frames(&[b"12 <1>aaa"], 600), [("<1>aaa".to_owned(), true)]);
    }

    #[test]
    fn a_datagram_may_be_counted() {
        for (datagram, message) in [
            ("4 <1>a", "<1>a"),
            ("<1>a", "<1>a"),
            ("5 <1>a", "5 <1>a"),
            ("1 a", "1 a"),
            ("7 {\"a\":1}", "{\"a\":1}"),
            ("", ""),
        ] {
            assert_eq!(of_datagram(datagram.as_bytes()), message.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn splitting_a_stream_changes_nothing(stream in "([0-9]{1,3} )?([<{]|[a-c0-9 \n\0]){0,40}", at in 0_usize..60) {
            let stream = stream.as_bytes();
            let (one, other) = stream.split_at(at.min(stream.len()));
            let bytes: Vec<_> = stream.chunks(1).collect();
            prop_assert_eq!(frames(&[one, other], 10), frames(&[stream], 10));
            prop_assert_eq!(frames(&bytes, 10), frames(&[stream], 10));
        }
    }
}
