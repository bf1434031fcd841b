//! Takes the values that a preset needs from a record, in one pass over its text.
//!
//! The pointers of a preset form a tree of keys. The pass descends only where the tree does, skips every other value, and stores
//! the text of each value found in its slot. The text must be grammatical JSON. Of duplicate keys, the last one counts.

use std::borrow::Cow;

use crate::model::{
    json::{end_of_string, end_of_value, unescape},
    json_pointer::{Pointer, Token},
};

/// The values found, each as the record's own text.
pub(in crate::model) type Slots<'a> = [Option<&'a str>];

/// A tree of pointers.
#[derive(Debug, Clone, Default)]
pub(in crate::model) struct Node {
    slot: Option<usize>,
    keys: Vec<(String, Self)>,
    selections: Vec<Selection>,
}

/// Elements of an array that are chosen by the text of their member `key`. Of elements with the same text, the first counts.
#[derive(Debug, Clone)]
struct Selection {
    key: String,
    /// By text.
    children: Vec<(String, Node)>,
}

impl Node {
    /// The slot of a pointer; a new one, `next`, if the tree does not have the pointer.
    pub(in crate::model) fn slot(&mut self, pointer: &Pointer, next: usize) -> usize {
        let node = pointer.tokens().iter().fold(self, |node, token| node.child_for(token));
        *node.slot.get_or_insert(next)
    }

    fn child_for(&mut self, token: &Token) -> &mut Self {
        match token {
            Token::Key(key) => find_or_add(&mut self.keys, key.clone()),
            Token::Select { key, value } => {
                let known = self.selections.iter().position(|selection| selection.key == *key);
                let place = known.unwrap_or_else(|| {
                    self.selections.push(Selection { key: key.clone(), children: Vec::new() });
                    self.selections.len() - 1
                });
                find_or_add(&mut self.selections[place].children, value.clone())
            }
        }
    }

    /// The keys of the outermost object whose values have a slot.
    pub(in crate::model) fn members(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().filter(|(_, node)| node.slot.is_some()).map(|(key, _)| key.as_str())
    }

    /// Fills the slots with the values of the record `text`.
    pub(in crate::model) fn fill<'a>(&self, text: &'a str, slots: &mut Slots<'a>) {
        self.visit(text, skip_space(text, 0), slots);
    }

    /// Visits the value that begins at `at`; returns the index after it.
    fn visit<'a>(&self, text: &'a str, at: usize, slots: &mut Slots<'a>) -> usize {
        let end = match text.as_bytes().get(at) {
            Some(b'{') if !self.keys.is_empty() => object(text, at, |key, at| match self.child(key) {
                Some(child) => child.visit(text, at, slots),
                None => end_of_value(text.as_bytes(), at),
            }),
            Some(b'[') if !self.keys.is_empty() || !self.selections.is_empty() => self.elements(text, at, slots),
            _ => end_of_value(text.as_bytes(), at),
        };
        if let Some(slot) = self.slot {
            slots[slot] = text.get(at..end);
        }
        end
    }

    fn elements<'a>(&self, text: &'a str, at: usize, slots: &mut Slots<'a>) -> usize {
        let mut is_open: Vec<_> =
            self.selections.iter().map(|selection| vec![true; selection.children.len()]).collect();
        array(text, at, |index, at| {
            let end = end_of_value(text.as_bytes(), at);
            for (is_open, selection) in is_open.iter_mut().zip(&self.selections) {
                if let Some(place) = selection.place(&text[at..end])
                    && is_open[place]
                {
                    is_open[place] = false;
                    selection.children[place].1.visit(text, at, slots);
                }
            }
            if let Some(child) = self.element(index) {
                child.visit(text, at, slots);
            }
            end
        })
    }

    /// The child for a key, which is the content of a JSON string.
    fn child(&self, key: &str) -> Option<&Self> {
        let key = text_of(key);
        self.keys.iter().find(|(name, _)| *name == *key).map(|(_, child)| child)
    }

    fn element(&self, index: usize) -> Option<&Self> {
        self.keys.iter().find(|(name, _)| name.parse() == Ok(index)).map(|(_, child)| child)
    }

    /// Whether the tree has values below this one.
    pub(in crate::model) fn has_children(&self) -> bool {
        !self.keys.is_empty() || !self.selections.is_empty()
    }

    /// Calls `each` with the path of every scalar below `text` that is not the value of a slot in `used`, nor inside one.
    pub(in crate::model) fn unused(
        this: Option<&Self>,
        text: &str,
        path: &str,
        used: &[bool],
        each: &mut impl FnMut(&str),
    ) {
        if this.and_then(|node| node.slot).is_some_and(|slot| used[slot]) {
            return;
        }
        match text.as_bytes().first() {
            Some(b'{') => {
                object(text, 0, |key, at| {
                    let end = end_of_value(text.as_bytes(), at);
                    let name = text_of(key).replace('~', "~0").replace('/', "~1");
                    let child = this.and_then(|node| node.child(key));
                    Self::unused(child, &text[at..end], &format!("{path}/{name}"), used, each);
                    end
                });
            }
            Some(b'[') => {
                array(text, 0, |index, at| {
                    let end = end_of_value(text.as_bytes(), at);
                    let value = &text[at..end];
                    let child = this.and_then(|node| {
                        let mut selected = node.selections.iter().filter_map(|selection| selection.child(value));
                        node.element(index).or_else(|| selected.next())
                    });
                    Self::unused(child, value, &format!("{path}/{index}"), used, each);
                    end
                });
            }
            Some(b'n') | None => {}
            Some(_) if text == "\"\"" => {}
            Some(_) => each(path),
        }
    }
}

fn find_or_add(children: &mut Vec<(String, Node)>, key: String) -> &mut Node {
    let at = children.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
        children.push((key, Node::default()));
        children.len() - 1
    });
    &mut children[at].1
}

impl Selection {
    /// The place of the child that an element belongs to.
    fn place(&self, element: &str) -> Option<usize> {
        let text = member(element, &self.key).and_then(scalar)?;
        self.children.iter().position(|(value, _)| *value == *text)
    }

    fn child(&self, element: &str) -> Option<&Node> {
        self.place(element).map(|place| &self.children[place].1)
    }
}

/// The text of a scalar that holds something: the decoded string, or the number, `true` or `false` as written. Of an
/// array, the first such element counts. `None` for `null`, an empty string or an object.
pub(in crate::model) fn scalar(value: &str) -> Option<Cow<'_, str>> {
    match value.as_bytes().first()? {
        b'[' => {
            let mut first = None;
            array(value, 0, |_, at| {
                let end = end_of_value(value.as_bytes(), at);
                if first.is_none() && !value[at..end].starts_with('[') {
                    first = scalar(&value[at..end]);
                }
                end
            });
            first
        }
        b'{' | b'n' => None,
        b'"' => Some(text_of(value.get(1..value.len() - 1)?)).filter(|text| !text.is_empty()),
        _ => Some(Cow::Borrowed(value)),
    }
}

/// The value of a key of the object with which a text begins, as written. Of two, the last counts.
pub(crate) fn member<'a>(text: &'a str, wanted: &str) -> Option<&'a str> {
    let mut found = None;
    if text.starts_with('{') {
        object(text, 0, |key, at| {
            let end = end_of_value(text.as_bytes(), at);
            if text_of(key) == wanted {
                found = text.get(at..end);
            }
            end
        });
    }
    found
}

/// Decodes the content of a JSON string, with U+FFFD in place of each lone surrogate.
pub(in crate::model) fn text_of(content: &str) -> Cow<'_, str> {
    // Keys are short, so this compares byte by byte.
    if !content.bytes().any(|byte| byte == b'\\') {
        return Cow::Borrowed(content);
    }
    unescape(content.as_bytes()).unwrap_or(Cow::Borrowed(content))
}

/// Calls `visit` with the key (as written) and the index of the value of each member of the object that begins at `at`. `visit`
/// returns the index after the value. Returns the index after the object.
pub(in crate::model) fn object<'a>(text: &'a str, at: usize, mut visit: impl FnMut(&'a str, usize) -> usize) -> usize {
    let bytes = text.as_bytes();
    let mut at = skip_space(text, at + 1);
    while bytes.get(at) == Some(&b'"') {
        let end = end_of_string(bytes, at + 1);
        let key = &text[at + 1..end];
        // The colon follows the key.
        let colon = skip_space(text, end + 1);
        at = next_item(text, visit(key, skip_space(text, colon + 1)));
    }
    at + 1
}

/// Like [`object`], for the elements of an array, with their positions from 0.
pub(in crate::model) fn array(text: &str, at: usize, mut visit: impl FnMut(usize, usize) -> usize) -> usize {
    let bytes = text.as_bytes();
    let mut at = skip_space(text, at + 1);
    let mut index = 0;
    while bytes.get(at).is_some_and(|byte| *byte != b']') {
        at = next_item(text, visit(index, at));
        index += 1;
    }
    at + 1
}

/// The index of the next item, or of the closing bracket.
fn next_item(text: &str, end: usize) -> usize {
    let at = skip_space(text, end);
    if text.as_bytes().get(at) == Some(&b',') { skip_space(text, at + 1) } else { at }
}

fn skip_space(text: &str, at: usize) -> usize {
    let space = text.as_bytes().get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_whitespace());
    at + space.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(record: &'a str, pointers: &[&str]) -> Vec<Option<&'a str>> {
        let mut tree = Node::default();
        for (next, pointer) in pointers.iter().enumerate() {
            assert_eq!(tree.slot(&Pointer::parse(pointer).unwrap(), next), next);
        }
        let mut slots = vec![None; pointers.len()];
        tree.fill(record, &mut slots);
        slots
    }

    #[test]
    fn each_pointer_finds_its_value_as_written() {
        let record =
            r#" { "a" : {"b": [1.0, {"c": "x"} ] , "skipped": {"b": 1}}, "k\u0065y": [ ], "~/": null, "": 1e999 } "#;
        let pointers = ["/a/b/0", "/a/b/1/c", "/a/b/1", "/key", "/~0~1", "/", "/a/b/2", "/b", "/a/b/1/c/d"];
        let expected = [Some("1.0"), Some("\"x\""), Some("{\"c\": \"x\"}"), Some("[ ]"), Some("null"), Some("1e999")];
        let found = found(record, &pointers);
        assert_eq!(found[..6], expected);
        assert_eq!(found[6..], [None; 3]);
    }

    #[test]
    fn a_selector_takes_the_first_element_that_matches() {
        let record = r#"{"t":[{"type":"App","id":1},7,{"id":2,"type":"User"},{"type":"User","id":3}]}"#;
        let pointers = ["/t/[type=User]/id", "/t/[type=App]/id", "/t/[type=None]/id", "/t/0/id", "/t/[id=3]/type"];
        assert_eq!(found(record, &pointers), [Some("2"), Some("1"), None, Some("1"), Some("\"User\"")]);
    }

    #[test]
    fn of_duplicate_keys_the_last_counts() {
        assert_eq!(found(r#"{"a":1,"a":2}"#, &["/a"]), [Some("2")]);
    }

    #[test]
    fn scalars_are_text() {
        for (value, text) in [
            ("\"a\\u00e9\"", Some("aé")),
            ("12345678901234567890.10", Some("12345678901234567890.10")),
            ("true", Some("true")),
            ("[null, \"\", [1], \"x\", \"y\"]", Some("x")),
            ("[]", None),
            ("\"\"", None),
            ("null", None),
            ("{\"a\":1}", None),
            ("\"\\ud800\"", Some("\u{fffd}")),
        ] {
            assert_eq!(scalar(value).as_deref(), text, "{value}");
        }
    }

    #[test]
    fn deep_records_do_not_exhaust_the_stack() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200_000), "]".repeat(200_000));
        assert!(found(&deep, &["/a"])[0].and_then(scalar).is_none());
        assert_eq!(found(&deep, &["/a/0/0/0/b", "/b"]), [None, None]);
    }
}
