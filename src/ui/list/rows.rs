//! The table of events: one row per event.

use crate::{
    model::{
        field::{FieldSpec, value_in},
        json,
        timestamp::Timestamp,
        zone::Zone,
    },
    store::Damaged,
    ui::{
        action_phrase::tone,
        event::{Diff, MaskedValues},
        event_view::EventView,
        formatted_time::FormattedTime,
        labels::Labels,
        markup, params,
        sentence::Sentence,
        wording::{self, truncated},
    },
};

/// Maximum number of bytes before and after, together, for which a row names the changes.
const DIFF_BYTES_MAX: usize = 64 * 1024;
/// Maximum number of changed fields that a row names.
const CHANGES_SHOWN: usize = 3;
/// Fields that change with every update.
const NOISE: [&str; 4] = ["updatedAt", "updatedBy", "updated_at", "updated_by"];
/// Maximum number of characters of a message, a path or a name in a row.
const CHARS_SHOWN: usize = 160;

/// One row.
#[derive(Debug)]
pub(in crate::ui) struct EventRow {
    pub(in crate::ui) href: String,
    /// The time by which the log orders the event.
    pub(in crate::ui) time: FormattedTime,
    /// Whether that is the time of receipt, because the event time was too far in the future.
    pub(in crate::ui) is_ordered_by_receipt: bool,
    pub(in crate::ui) failed: bool,
    pub(in crate::ui) tone: &'static str,
    /// The action as stored.
    pub(in crate::ui) action: String,
    pub(in crate::ui) sentence: Sentence,
    /// The message, the changes, the title of the object, or the path of the request. Each part is shown on its own, so that
    /// none changes the order of the others.
    pub(in crate::ui) detail: Vec<String>,
    /// The actor's type and the origin, with the text between them.
    pub(in crate::ui) actor_more: [String; 3],
    pub(in crate::ui) resource: String,
    pub(in crate::ui) method: String,
    pub(in crate::ui) status_code: String,
    pub(in crate::ui) ip: String,
    /// The values of the declared fields that have columns.
    pub(in crate::ui) fields: Vec<String>,
    /// If the event is damaged: a message that identifies it.
    pub(in crate::ui) damaged: Option<String>,
}

impl EventRow {
    pub(in crate::ui) fn new(body: &str, labels: &Labels, zone: &Zone, now: Timestamp) -> Self {
        let event = EventView::read(body);
        let sentence = Sentence::new(&event, labels).map(cut);
        let origin = event.origin.as_deref().map(cut).unwrap_or_default();
        let kind = event.actor.kind.as_deref().map(|kind| cut(&wording::readable(kind)));
        let dot = if kind.is_some() && !origin.is_empty() { " · " } else { "" };
        let actor_more = [kind.unwrap_or_default(), dot.to_owned(), origin];
        let request = &event.request;
        let text = |part: &Option<String>| part.as_deref().map(cut).unwrap_or_default();
        Self {
            href: params::event_href(&event.identifier, zone),
            time: FormattedTime::new(event.ordered_at().unwrap_or(now), zone, now),
            is_ordered_by_receipt: event.is_ordered_by_receipt,
            failed: event.failed,
            tone: tone(&event.action),
            action: cut(&event.action),
            detail: detail(&event),
            sentence,
            actor_more,
            resource: cut(&labels.resource_type(&event.resource_type)),
            method: text(&request.method),
            status_code: text(&request.status_code),
            ip: text(&request.ip),
            fields: Vec::new(),
            damaged: None,
        }
    }

    /// The row of an event, or of a damaged event.
    pub(in crate::ui) fn of(event: &Result<String, Damaged>, labels: &Labels, zone: &Zone, now: Timestamp) -> Self {
        let damaged = match event {
            Ok(body) => return Self::new(body, labels, zone, now),
            Err(damaged) => damaged,
        };
        let Damaged { seq, timestamp, identifier, message } = damaged;
        let name = identifier.as_deref().map_or_else(String::new, |identifier| format!(" ({})", cut(identifier)));
        let nobody = Self::new("{}", labels, zone, timestamp.unwrap_or(now));
        Self {
            time: FormattedTime::new(timestamp.unwrap_or(now), zone, now),
            damaged: Some(format!("Event {seq} of the log{name} is damaged and cannot be shown: {}", cut(message))),
            ..nobody
        }
    }

    /// This row with the values of declared fields.
    pub(in crate::ui) fn with_fields(self, fields: &[&FieldSpec], event: &Result<String, Damaged>) -> Self {
        let body = event.as_deref().unwrap_or_default();
        let value = |spec: &&FieldSpec| value_in(spec.field, body).as_deref().map(cut).unwrap_or_default();
        Self { fields: fields.iter().map(value).collect(), ..self }
    }

    /// Whether the event has a request.
    pub(in crate::ui) fn has_request(&self) -> bool {
        !(self.method.is_empty() && self.status_code.is_empty())
    }
}

fn detail(event: &EventView) -> Vec<String> {
    if let Some(message) = &event.message {
        return vec![cut(&message.lines().collect::<Vec<_>>().join(" "))];
    }
    let (before, after) = (event.before.as_deref(), event.after.as_deref());
    let bytes: usize = [before, after].into_iter().flatten().map(|side| side.get().len()).sum();
    if let (Some(before), Some(after)) = (before, after)
        && bytes <= DIFF_BYTES_MAX
    {
        return changes(&Diff::of(Some(before), Some(after), MaskedValues::of(event)));
    }
    // Of a created or deleted object, the title says more than the identifier.
    let title = after.or(before).filter(|_| bytes <= DIFF_BYTES_MAX).and_then(|side| {
        let members = json::Members::read(side.get(), crate::model::limits::OBJECT_KEYS_MAX).ok()?;
        let title = members.iter().find(|(key, _)| matches!(*key, "title" | "name")).map(|(_, value)| value)?;
        json::text(title).map(|title| cut(&title))
    });
    let title = title.filter(|title| Some(title) != event.context.entity.as_ref());
    title.or_else(|| event.request.path.as_deref().map(cut)).into_iter().collect()
}

/// The names of the changed fields, with the values before and after if both are short.
fn changes(diff: &Diff) -> Vec<String> {
    let (noise, changed): (Vec<_>, Vec<_>) = diff.lines.iter().partition(|line| NOISE.contains(&line.path.as_str()));
    let changed = if changed.is_empty() { noise } else { changed };
    let mut parts = Vec::new();
    for line in changed.iter().take(CHANGES_SHOWN) {
        if !parts.is_empty() {
            parts.push("; ".to_owned());
        }
        let path = cut(line.path.strip_prefix("properties.").unwrap_or(&line.path));
        parts.extend(markup::keys(&path).flat_map(|(key, punctuation)| [key.to_owned(), punctuation.to_owned()]));
        match (&line.before, &line.after) {
            (Some(before), Some(after)) if before.is_short() && after.is_short() && before.text() != after.text() => {
                parts.extend([": ".to_owned(), before.text(), " → ".to_owned(), after.text()]);
                if !line.note.is_empty() {
                    parts.push(format!(" ({})", line.note));
                }
            }
            _ if !line.note.is_empty() => parts.push(format!(": {}", line.note)),
            _ => {}
        }
    }
    let more = (changed.len() + diff.lines_left_out).saturating_sub(CHANGES_SHOWN);
    if more > 0 {
        parts.push(format!("; {more} more"));
    }
    parts
}

fn cut(text: &str) -> String {
    truncated(text, CHARS_SHOWN)
}
