//! The lines of a bulk request: actions and documents.

use std::borrow::Cow;

use serde::Deserialize;

use crate::model::batch::BYTE_ORDER_MARK;

/// What an action does with its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::doors) enum Operation {
    Create,
    Index,
    Update,
    Delete,
}

impl Operation {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Index => "index",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// An action, without its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::doors) struct Action {
    pub(super) operation: Operation,
    pub(super) index: String,
    /// The name that the sender gives to the document.
    pub(super) id: Option<String>,
}

impl Action {
    /// What names the document among those of all indexes. A name within `index` never equals one within another index, because the
    /// name of an index has no slash.
    pub(super) fn key(&self) -> Option<String> {
        self.id.as_ref().map(|id| format!("{}/{id}", self.index))
    }
}

/// The line of an action. Some senders add keys beside that of the action.
#[derive(Deserialize)]
struct ActionLine<'a> {
    #[serde(borrow, default)]
    create: Option<Target<'a>>,
    #[serde(borrow, default)]
    index: Option<Target<'a>>,
    #[serde(borrow, default)]
    update: Option<Target<'a>>,
    #[serde(borrow, default)]
    delete: Option<Target<'a>>,
}

#[derive(Deserialize)]
struct Target<'a> {
    #[serde(borrow, rename = "_index", default)]
    index: Option<Cow<'a, str>>,
    #[serde(rename = "_id", default)]
    id: Option<Id>,
}

/// Some senders name documents by numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(serde_json::Number),
}

impl ActionLine<'_> {
    /// The action, if the line has exactly one.
    fn into_action(self, default_index: Option<&str>) -> Option<Action> {
        let (operation, target) = match (self.create, self.index, self.update, self.delete) {
            (Some(target), None, None, None) => (Operation::Create, target),
            (None, Some(target), None, None) => (Operation::Index, target),
            (None, None, Some(target), None) => (Operation::Update, target),
            (None, None, None, Some(target)) => (Operation::Delete, target),
            _ => return None,
        };
        let index = target.index.map(Cow::into_owned).or_else(|| default_index.map(str::to_owned)).unwrap_or_default();
        let id = target.id.map(|id| match id {
            Id::Text(text) => text,
            Id::Number(number) => number.to_string(),
        });
        Some(Action { operation, index, id: id.filter(|id| !id.is_empty()) })
    }
}

/// The actions of a body, each with its document or with the reason why it is rejected. Lines that follow a line that is no action
/// belong to that line, up to the next action.
pub(in crate::doors) fn read<'b>(
    body: &'b [u8],
    default_index: Option<&str>,
) -> Vec<(Action, Result<&'b str, String>)> {
    let mut lines = lines(body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body)).peekable();
    let mut found = Vec::new();
    while let Some((number, line)) = lines.next() {
        let action = match action(line, default_index) {
            Ok(action) => action,
            Err(reason) => {
                while lines.next_if(|(_, line)| self::action(line, None).is_err()).is_some() {}
                let index = default_index.unwrap_or_default().to_owned();
                let unknown = Action { operation: Operation::Index, index, id: None };
                found.push((unknown, Err(format!("line {number}: is not an action: {reason}"))));
                continue;
            }
        };
        let document = match action.operation {
            Operation::Delete => Err("events are never deleted by request".to_owned()),
            Operation::Update => {
                lines.next();
                Err("events never change; use create or index".to_owned())
            }
            Operation::Create | Operation::Index => match lines.next() {
                Some((number, line)) => {
                    std::str::from_utf8(line).map_err(|error| format!("line {number}: is not UTF-8: {error}"))
                }
                None => Err(format!("line {number}: the document of the last action is missing")),
            },
        };
        found.push((action, document));
    }
    found
}

fn action(line: &[u8], default_index: Option<&str>) -> Result<Action, String> {
    let line: ActionLine<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    line.into_action(default_index).ok_or_else(|| "it must have one of create and index".to_owned())
}

/// The lines that are not blank, each with its number from 1.
fn lines(body: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let lines = body.split(|byte| *byte == b'\n').zip(1..);
    lines.map(|(line, number)| (number, line.trim_ascii())).filter(|(_, line)| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(body: &str) -> Vec<String> {
        let items = read(body.as_bytes(), Some("d"));
        let outline = |(action, document): (Action, Result<&str, String>)| {
            let id = action.id.unwrap_or_default();
            format!("{} {} {id}: {}", action.operation.name(), action.index, document.unwrap_or("rejected"))
        };
        items.into_iter().map(outline).collect()
    }

    #[test]
    fn each_action_has_its_document() {
        let body = "{\"create\":{\"_index\":\"a\",\"_id\":\"1\",\"_type\":\"_doc\"}}\r\n{\"x\":1}\n\n{ \"index\" : {\"_id\":7,\"pipeline\":null}, \"attempts\":0 }\n{\"x\":2}\n{\"create\":{}}\n{\"create\":{}}";
        assert_eq!(outline(body), ["create a 1: {\"x\":1}", "index d 7: {\"x\":2}", "create d : {\"create\":{}}"]);
    }

    #[test]
    fn what_cannot_be_stored_takes_only_its_own_lines() {
        let body = "{\"delete\":{\"_id\":\"1\"}}\n{\"update\":{\"_id\":\"2\"}}\n{\"doc\":{}}\nnonsense\n{\"x\":0}\n{\"index\":{}}\n{\"x\":1}\n{\"index\":{\"_id\":\"3\"}}\n";
        assert_eq!(
            outline(body),
            [
                "delete d 1: rejected",
                "update d 2: rejected",
                "index d : rejected",
                "index d : {\"x\":1}",
                "index d 3: rejected"
            ]
        );
    }

    proptest::proptest! {
        #[test]
        fn any_body_is_read(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            read(&body, None);
        }

        #[test]
        fn a_body_may_end_anywhere(at in 0_usize..120) {
            let body = b"{\"create\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{\"x\":\"\xc3\xbc\"}\n{\"index\":{}}\n{\"y\":{\"z\":[1,2]}}\n";
            let items = read(&body[..at.min(body.len())], None);
            proptest::prop_assert!(items.len() <= 2);
        }
    }
}
