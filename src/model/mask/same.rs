//! Compares two events as JSON, ignoring what was masked in them.
//!
//! The order of keys, white space and escapes do not count. Numbers are compared by their text.
//!
//! After the settings in `[mask]` change, an event that is sent again is masked in other places than the stored one. The masked
//! values are unknown, so a masked place matches every value that would have been masked. All other values must be equal. The
//! text `[masked]` counts as masked only where the event's `masked` key lists exactly that place: the server writes this list,
//! and elsewhere `[masked]` is what the sender wrote. A pointer in the list to an enclosing value matches nothing.

use std::{borrow::Cow, collections::HashSet};

use crate::model::{
    json,
    json_tree::{Kind, Node},
    mask::{
        names::{MASKED, Mask},
        url,
        walk::{QUOTED, is_worth_hiding, push_step},
    },
};

/// An event, with the pointers to its masked values.
pub(crate) struct MaskedTree<'t> {
    pub(crate) tree: &'t Node<'t>,
    pub(crate) pointers: &'t [String],
}

/// Whether the stored and the received event are equal except for masked places.
pub(crate) fn same_but_for_masks(stored: &MaskedTree<'_>, sent: &MaskedTree<'_>) -> bool {
    let sides = [stored, sent];
    let places = sides.map(|side| side.pointers.iter().map(String::as_str).collect());
    Comparison { places, pointer: String::new() }.is_same([stored.tree, sent.tree], false)
}

/// A comparison in progress.
struct Comparison<'t> {
    places: [HashSet<&'t str>; 2],
    /// The pointer of the current value.
    pointer: String,
}

impl Comparison<'_> {
    /// Compares two values. The depth of both trees is bounded, so this recursion is.
    fn is_same(&mut self, [stored, sent]: [&Node<'_>; 2], is_element: bool) -> bool {
        let are_masked = [0, 1].map(|side: usize| self.places[side].contains(self.pointer.as_str()));
        if are_masked != [false, false] {
            let texts = [stored.text, sent.text];
            if stored.text == sent.text || explains(texts, are_masked, is_element) {
                return true;
            }
        }
        match (&stored.kind, &sent.kind) {
            (Kind::Scalar, Kind::Scalar) => stored.is_same_scalar(sent),
            (Kind::Array(stored), Kind::Array(sent)) if stored.len() == sent.len() => {
                let mut pairs = stored.iter().zip(sent).enumerate();
                pairs.all(|(index, (stored, sent))| self.is_same_at(&index.to_string(), [stored, sent], true))
            }
            (Kind::Object(stored), Kind::Object(sent)) if stored.len() == sent.len() => {
                let mut pairs = stored.iter().zip(sent);
                pairs.all(|((key, stored), (other, sent))| {
                    key == other && self.is_same_at(&json::lossy(key), [stored, sent], false)
                })
            }
            _ => false,
        }
    }

    /// Compares two members or elements. `step` is their key or index.
    fn is_same_at(&mut self, step: &str, nodes: [&Node<'_>; 2], is_element: bool) -> bool {
        let outer = self.pointer.len();
        // Without masked places, no pointer is needed.
        if self.places.iter().any(|places| !places.is_empty()) {
            push_step(&mut self.pointer, step);
        }
        let is_same = self.is_same(nodes, is_element);
        self.pointer.truncate(outer);
        is_same
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
        let (Some(stored), Some(sent)) = (Node::read(stored), Node::read(sent)) else { return false };
        let (stored, sent) =
            (MaskedTree { tree: &stored, pointers: &at }, MaskedTree { tree: &sent, pointers: &sent_at });
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
            r#"{ "b" : [1,{ "\u0063/~":"x" } ], "a":"x"}"#,
        ] {
            assert!(same(stored, &at, sent, &[]), "{sent}");
            assert!(same(sent, &[], stored, &at), "{sent}");
        }
        for sent in [
            r#"{"a":null,"b":[1, {"c/~":"x"}]}"#,
            r#"{"a":"","b":[1, {"c/~":"x"}]}"#,
            r#"{"a":true,"b":[1, {"c/~":"x"}]}"#,
            r#"{"a":"x","b":[1.0,{"c/~":"x"}]}"#,
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
