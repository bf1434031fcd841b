//! Compares two events, ignoring what was masked in them.
//!
//! After the settings in `[mask]` change, an event that is sent again is masked in other places than the stored one. The masked
//! values are unknown, so a masked place matches every value that would have been masked. All other bytes must be equal. The
//! text `[masked]` counts as masked only where the event's `masked` key lists exactly that place: the server writes this list,
//! and elsewhere `[masked]` is what the sender wrote. A pointer in the list to an enclosing value matches nothing.

use std::{borrow::Cow, collections::HashSet};

use crate::model::{
    json,
    mask::{
        names::{MASKED, Mask},
        url,
        walk::{QUOTED, is_worth_hiding, push_step},
    },
};

/// An event as one JSON text, with the pointers to its masked values.
pub(crate) struct MaskedText<'t> {
    pub(crate) text: &'t str,
    pub(crate) pointers: &'t [String],
}

/// Whether the stored and the received event are equal except for masked places.
pub(crate) fn same_but_for_masks(stored: &MaskedText<'_>, sent: &MaskedText<'_>) -> bool {
    let sides = [stored, sent];
    let walk = Walk {
        texts: sides.map(|side| side.text),
        at: [0, 0],
        places: sides.map(|side| side.pointers.iter().map(String::as_str).collect()),
        pointer: String::new(),
        stack: Vec::new(),
        awaits_value: true,
    };
    walk.run()
}

/// Reads both texts in parallel.
struct Walk<'t> {
    texts: [&'t str; 2],
    at: [usize; 2],
    places: [HashSet<&'t str>; 2],
    /// The pointer of the current value.
    pointer: String,
    stack: Vec<Frame>,
    /// Whether the next token is a value or the end of a container.
    awaits_value: bool,
}

/// An object or array that contains the current position.
struct Frame {
    is_array: bool,
    /// The number of bytes of the container's own pointer.
    pointer: usize,
    /// The index of the current element of an array.
    index: usize,
}

impl<'t> Walk<'t> {
    fn run(mut self) -> bool {
        loop {
            match self.next_bytes() {
                [None, None] => return true,
                [Some(one), Some(other)] if one == other => {
                    if !self.step(one) {
                        return false;
                    }
                }
                // The values begin differently. One of them may be the masked form of the other.
                [Some(_), Some(_)] if self.awaits_value => {
                    if !self.value() {
                        return false;
                    }
                }
                _ => return false,
            }
        }
    }

    fn next_bytes(&self) -> [Option<u8>; 2] {
        [0, 1].map(|side| self.texts[side].as_bytes().get(self.at[side]).copied())
    }

    /// Handles a byte that both texts continue with.
    fn step(&mut self, byte: u8) -> bool {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => self.advance(),
            b':' => {
                self.awaits_value = true;
                self.advance();
            }
            b',' => {
                if let Some(frame) = self.stack.last_mut() {
                    frame.index += 1;
                    self.pointer.truncate(frame.pointer);
                    self.awaits_value = frame.is_array;
                }
                self.enter_element();
                self.advance();
            }
            b'}' | b']' => {
                if let Some(frame) = self.stack.pop() {
                    self.pointer.truncate(frame.pointer);
                }
                self.awaits_value = false;
                self.advance();
            }
            _ if self.awaits_value => return self.value(),
            b'"' => return self.key(),
            _ => return false,
        }
        true
    }

    fn advance(&mut self) {
        self.at = self.at.map(|at| at + 1);
    }

    /// Adds the index of the current array element to the pointer.
    fn enter_element(&mut self) {
        if let Some(frame) = self.stack.last().filter(|frame| frame.is_array) {
            self.pointer.push('/');
            self.pointer.push_str(&frame.index.to_string());
        }
    }

    fn key(&mut self) -> bool {
        let [one, other] = self.values();
        if one != other {
            return false;
        }
        let Some(key) = json::unescape(&one.as_bytes()[1..one.len() - 1]) else {
            return false;
        };
        push_step(&mut self.pointer, &key);
        self.pass();
        true
    }

    /// The texts of the values that begin here.
    fn values(&self) -> [&'t str; 2] {
        [0, 1].map(|side| {
            let text = self.texts[side];
            &text[self.at[side]..json::end_of_value(text.as_bytes(), self.at[side])]
        })
    }

    /// Continues after the values that begin here.
    fn pass(&mut self) {
        let lengths = self.values().map(str::len);
        self.at = [0, 1].map(|side| self.at[side] + lengths[side]);
        self.awaits_value = false;
    }

    /// Handles values that begin here. They are equal, or differ only in masked parts, or are both containers to look into.
    fn value(&mut self) -> bool {
        let are_masked = [0, 1].map(|side: usize| self.places[side].contains(self.pointer.as_str()));
        let opens = self.next_bytes();
        let is_container = opens[0] == opens[1] && matches!(opens[0], Some(b'{' | b'['));
        if is_container && are_masked == [false, false] {
            return self.enter(opens[0] == Some(b'['));
        }
        let [stored, sent] = self.values();
        let is_element = self.stack.last().is_some_and(|frame| frame.is_array);
        // A container that ends here has no further value.
        if stored.is_empty() || sent.is_empty() {
            return false;
        }
        if stored == sent || explains([stored, sent], are_masked, is_element) {
            self.pass();
            return true;
        }
        is_container && self.enter(opens[0] == Some(b'['))
    }

    fn enter(&mut self, is_array: bool) -> bool {
        self.stack.push(Frame { is_array, pointer: self.pointer.len(), index: 0 });
        self.awaits_value = is_array;
        self.enter_element();
        self.advance();
        true
    }
}

/// Whether masking in the stored value, in the received one, or in both explains their difference.
fn explains([stored, sent]: [&str; 2], [in_stored, in_sent]: [bool; 2], is_element: bool) -> bool {
    if in_stored && stored == QUOTED {
        return is_worth_hiding(sent);
    }
    if in_sent && sent == QUOTED {
        return is_worth_hiding(stored);
    }
    let (Some(stored), Some(sent)) = (text(stored), text(sent)) else {
        return false;
    };
    if is_element {
        return (in_stored && is_line_of(&stored, &sent)) || (in_sent && is_line_of(&sent, &stored));
    }
    // The event does not record which parameters of a stored URL were masked. Only those with a default name match, because a
    // sender may have written `[masked]` in the others.
    let names = Mask::default();
    url::same_but_for([&stored, &sent], |name| in_stored && names.names_secret(name), |_| in_sent)
}

fn text(value: &str) -> Option<Cow<'_, str>> {
    json::unescape(value.strip_prefix('"')?.strip_suffix('"')?.as_bytes())
}

/// Whether `masked`, a line `Name: [masked]`, may be the masked form of the line `plain`.
fn is_line_of(masked: &str, plain: &str) -> bool {
    let Some(head) = masked.strip_suffix(MASKED).filter(|head| head.trim_end_matches(' ').ends_with(':')) else {
        return false;
    };
    plain.strip_prefix(head).is_some_and(|secret| !secret.is_empty() && !secret.starts_with(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(stored: &str, at: &[&str], sent: &str, sent_at: &[&str]) -> bool {
        let own = |pointers: &[&str]| pointers.iter().map(|pointer| (*pointer).to_owned()).collect::<Vec<_>>();
        let (at, sent_at) = (own(at), own(sent_at));
        let (stored, sent) =
            (MaskedText { text: stored, pointers: &at }, MaskedText { text: sent, pointers: &sent_at });
        same_but_for_masks(&stored, &sent)
    }

    #[test]
    fn a_masked_place_matches_every_value_that_would_have_been_masked() {
        let stored = r#"{"a":"[masked]","b":[1, {"c/~":"[masked]"}]}"#;
        let at = ["/a", "/b/1/c~1~0"];
        for sent in [
            r#"{"a":"x","b":[1, {"c/~":{"d":[2, "}"]}}]}"#,
            r#"{"a":5,"b":[1, {"c/~":"[masked]"}]}"#,
            r#"{"a":[],"b":[1, {"c/~":"\""}]}"#,
        ] {
            assert!(same(stored, &at, sent, &[]), "{sent}");
            assert!(same(sent, &[], stored, &at), "{sent}");
        }
        for sent in [
            r#"{"a":null,"b":[1, {"c/~":"x"}]}"#,
            r#"{"a":"","b":[1, {"c/~":"x"}]}"#,
            r#"{"a":true,"b":[1, {"c/~":"x"}]}"#,
            r#"{"a":"x","b":[1,{"c/~":"x"}]}"#,
            r#"{"a":"x","b":[2, {"c/~":"x"}]}"#,
            r#"{"a":"x","b":[1, {"c/~":"x"},3]}"#,
            r#"{"a":"x","b":[1]}"#,
            r#"{"b":[1, {"c/~":"x"}]}"#,
            r#"{"A":"x","b":[1, {"c/~":"x"}]}"#,
            r#"{"a":"x"}"#,
            r#"{"a":"x","b":"[masked]"}"#,
            "",
        ] {
            assert!(!same(stored, &at, sent, &[]), "{sent}");
            assert!(!same(sent, &[], stored, &at), "{sent}");
        }
    }

    #[test]
    fn a_pointer_to_something_else_matches_nothing() {
        for at in ["", "/", "/a", "/a/0/b", "/a/1", "/a/0/c/0"] {
            let (stored, sent) = (r#"{"a":[{"b":{"c":"[masked]"}}]}"#, r#"{"a":[{"b":{"c":"x"}}]}"#);
            assert!(!same(stored, &[at], sent, &[at]), "{at}");
        }
        assert!(!same(r#"{"a":["[masked]"]}"#, &["/a/0"], r#"{"a":[]}"#, &["/a/0"]));
    }

    #[test]
    fn a_part_of_a_text_is_masked_as_a_part() {
        let (line, url) = (["/0"], ["/path"]);
        for (stored, sent, is_same) in [
            (r#"["Cookie: [masked]"]"#, r#"["Cookie: a=b"]"#, true),
            (r#"["Cookie:  [masked]"]"#, r#"["Cookie:  a"]"#, true),
            (r#"["Cookie: [masked]"]"#, r#"["Cookie: "]"#, false),
            (r#"["Cookie: [masked]"]"#, r#"["Cookie:  a"]"#, false),
            (r#"["Cookie: [masked]"]"#, r#"["Accept: a"]"#, false),
            (r#"["Cookie: [masked]"]"#, r#"["Cookie"]"#, false),
            (r#"["[masked]x"]"#, r#"["y"]"#, false),
        ] {
            assert_eq!(same(stored, &line, sent, &[]), is_same, "{stored} {sent}");
            assert_eq!(same(sent, &[], stored, &line), is_same, "{stored} {sent}");
            assert!(!same(stored, &[], sent, &[]), "{stored} {sent}");
        }
        for (stored, sent, is_same) in [
            ("/p?token=[masked]&a=1", "/p?token=x%20y&a=1", true),
            ("/p?a=1&token=[masked]#token=[masked]", r"\u002fp?a=1&token=x#token=y", true),
            ("/p?token=[masked]&a=1", "/p?token=x&a=2", false),
            ("/p?token=[masked]&a=1", "/q?token=x&a=1", false),
            ("/p?token=[masked]&a=1", "/p?token=&a=1", false),
            ("/p?token=[masked]&a=1", "/p?token=x;a=1", false),
            ("/p?token=[masked]", "/p?token=x&a=1", false),
            ("/p?token=[masked]", "/p?token", false),
            ("[masked]", "/p", true),
        ] {
            let [stored, sent] = [stored, sent].map(|url| format!("{{\"path\":\"{url}\"}}"));
            assert_eq!(same(&stored, &url, &sent, &[]), is_same, "{stored} {sent}");
            assert_eq!(same(&sent, &[], &stored, &url), is_same, "{stored} {sent}");
        }
    }

    #[test]
    fn a_stored_parameter_of_another_name_may_be_what_a_sender_wrote() {
        let (one, other) = (r#"{"path":"/p?n=[masked]&token=[masked]"}"#, r#"{"path":"/p?n=5&token=x"}"#);
        assert!(!same(one, &["/path"], other, &[]));
        assert!(same(other, &[], one, &["/path"]));
    }
}
