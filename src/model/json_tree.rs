//! A JSON text as a tree of borrowed parts, for comparing two texts whose spelling may differ.

use std::borrow::Cow;

use crate::model::json;

/// Maximum nesting of a tree. No accepted event is nested more deeply.
const DEPTH_MAX: usize = 128;

/// A value.
#[derive(Debug)]
pub(crate) struct Node<'t> {
    /// The value as written.
    pub(super) text: &'t str,
    pub(super) kind: Kind<'t>,
}

/// What a value consists of.
#[derive(Debug)]
pub(crate) enum Kind<'t> {
    /// A string, a number, `true`, `false` or `null`.
    Scalar,
    /// The elements, in order.
    Array(Vec<Node<'t>>),
    /// The members, by the code points of their keys. Members with the same key keep their order, because readers differ on
    /// which one counts.
    Object(Vec<Member<'t>>),
}

/// A member of an object: the code points of its key, and its value.
pub(crate) type Member<'t> = (Cow<'t, [u8]>, Node<'t>);

impl<'t> Node<'t> {
    /// Reads a grammatical JSON text; `None` if it is nested too deeply.
    pub(super) fn read(text: &'t str) -> Option<Self> {
        let mut reader = Reader { text, at: 0 };
        reader.value(DEPTH_MAX)
    }

    /// Whether two scalars are the same value: strings are equal by their code points, everything else by its text.
    pub(super) fn is_same_scalar(&self, other: &Self) -> bool {
        let are_strings = self.text.starts_with('"') && other.text.starts_with('"');
        self.text == other.text || (are_strings && json::code_points(self.text) == json::code_points(other.text))
    }

    /// The members of an object.
    pub(super) fn members(&mut self) -> Option<&mut Vec<Member<'t>>> {
        match &mut self.kind {
            Kind::Object(members) => Some(members),
            Kind::Array(_) | Kind::Scalar => None,
        }
    }

    /// The member `key` of an object.
    pub(super) fn member(&mut self, key: &str) -> Option<&mut Self> {
        let found = self.members()?.iter_mut().find(|(own, _)| **own == *key.as_bytes());
        found.map(|(_, value)| value)
    }
}

/// Reads one text once, from its beginning to its end.
struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn value(&mut self, depth_left: usize) -> Option<Node<'t>> {
        let start = self.skip_space();
        let bytes = self.text.as_bytes();
        let kind = match bytes.get(start)? {
            b'{' => {
                self.at += 1;
                Kind::Object(self.object(depth_left.checked_sub(1)?)?)
            }
            b'[' => {
                self.at += 1;
                Kind::Array(self.array(depth_left.checked_sub(1)?)?)
            }
            _ => {
                self.at = json::end_of_value(bytes, start);
                Kind::Scalar
            }
        };
        Some(Node { text: self.text.get(start..self.at)?, kind })
    }

    fn array(&mut self, depth_left: usize) -> Option<Vec<Node<'t>>> {
        let mut elements = Vec::new();
        while !self.has_closed()? {
            elements.push(self.value(depth_left)?);
        }
        Some(elements)
    }

    fn object(&mut self, depth_left: usize) -> Option<Vec<Member<'t>>> {
        let mut members = Vec::new();
        while !self.has_closed()? {
            let start = self.at;
            self.at = json::end_of_value(self.text.as_bytes(), start);
            let key = json::code_points(self.text.get(start..self.at)?);
            self.skip_space();
            // The colon.
            self.at += 1;
            members.push((key, self.value(depth_left)?));
        }
        members.sort_by(|(one, _), (other, _)| one.cmp(other));
        Some(members)
    }

    /// Passes the comma before the next part of an object or an array, or its end. Returns whether it was the end.
    fn has_closed(&mut self) -> Option<bool> {
        let mut at = self.skip_space();
        let bytes = self.text.as_bytes();
        if bytes.get(at)? == &b',' {
            self.at += 1;
            at = self.skip_space();
        }
        let is_end = matches!(bytes.get(at)?, b'}' | b']');
        self.at += usize::from(is_end);
        Some(is_end)
    }

    /// Passes white space. Returns where it ends.
    fn skip_space(&mut self) -> usize {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_those_of_the_text() {
        let text = r#" { "b" : [ 1.0 , "x\"]" , { } , [] ] , "\u0061" : null , "a":2 } "#;
        let mut tree = Node::read(text).unwrap();
        let keys: Vec<_> = tree.members().unwrap().iter().map(|(key, value)| (key.to_vec(), value.text)).collect();
        let array = r#"[ 1.0 , "x\"]" , { } , [] ]"#;
        assert_eq!(keys, [(b"a".to_vec(), "null"), (b"a".to_vec(), "2"), (b"b".to_vec(), array)]);
        let Some(Node { kind: Kind::Array(elements), .. }) = tree.member("b") else { panic!("an array") };
        assert_eq!(elements.iter().map(|node| node.text).collect::<Vec<_>>(), ["1.0", r#""x\"]""#, "{ }", "[]"]);
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Node::read(&nested(DEPTH_MAX)).is_some());
        assert!(Node::read(&nested(DEPTH_MAX + 1)).is_none());
        assert!(Node::read(&nested(1_000_000)).is_none());
        assert!(Node::read("").is_none() && Node::read("[1").is_none() && Node::read("{\"a\"").is_none());
    }
}
