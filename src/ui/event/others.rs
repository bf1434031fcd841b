//! The members of an event that have no place of their own on its page: `additionalData`, and keys that the server does not know.
//! They are shown as fields.

use crate::ui::{
    event::diff::{self, Diff, DiffLine},
    event_view::EventView,
};

/// Maximum number of fields of one member that is not folded.
const OPEN_FIELDS: usize = 12;

/// The further members.
#[derive(Debug)]
pub(super) struct Others {
    pub(super) members: Vec<OtherFields>,
    /// The number of fields that are not listed.
    pub(super) left_out: usize,
}

/// One member, as its fields.
#[derive(Debug)]
pub(super) struct OtherFields {
    pub(super) path: String,
    pub(super) lines: Vec<DiffLine>,
    pub(super) is_folded: bool,
}

impl Others {
    /// The further members of an event; `None` if it has none.
    pub(super) fn of(event: &EventView) -> Option<Self> {
        let mut fields = Diff::default();
        let members: Vec<_> = event
            .others
            .iter()
            .map(|other| {
                let path = diff::join(other.object, &other.key);
                let count = fields.add_fields(&path, &other.value);
                (path, count)
            })
            .collect();
        let mut lines = fields.lines.into_iter();
        let members = members.into_iter().filter(|(_, count)| *count > 0).map(|(path, count)| OtherFields {
            lines: lines.by_ref().take(count).collect(),
            is_folded: count > OPEN_FIELDS,
            path,
        });
        let others = Self { members: members.collect(), left_out: fields.lines_left_out };
        (!event.others.is_empty()).then_some(others)
    }

    /// The members that are not folded.
    pub(super) fn open(&self) -> impl Iterator<Item = &DiffLine> {
        self.members.iter().filter(|member| !member.is_folded).flat_map(|member| &member.lines)
    }

    /// The folded members.
    pub(super) fn folded(&self) -> impl Iterator<Item = &OtherFields> {
        self.members.iter().filter(|member| member.is_folded)
    }
}
