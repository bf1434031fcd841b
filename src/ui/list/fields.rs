//! The filter menus: for each field, the values to select, their counts, and the selected values.

use crate::{
    model::{
        address::parse_address,
        field::{Field, FieldSpec, Matching, declared},
        fold::fold,
        list_params::ListParams,
        stats::{Facet, Stats},
    },
    store::ActorNames,
    ui::{formatted_time::grouped, labels::Labels},
};

/// The fields in the order of their menus, and whether their values are counted on every page. The others have too many
/// values, or are used too rarely, to delay every page.
const MENUS: &[(Field, bool)] = &[
    (Field::Status, true),
    (Field::Action, true),
    (Field::ResourceType, true),
    (Field::Actor, true),
    (Field::Blueprint, true),
    (Field::Origin, true),
    (Field::Method, true),
    (Field::StatusCode, true),
    (Field::Entity, false),
    (Field::Ip, false),
    (Field::Path, false),
    (Field::ActorType, false),
    (Field::Run, false),
    (Field::ActionType, false),
    (Field::Webhook, false),
    (Field::WebhookEvent, false),
    (Field::Installation, false),
    (Field::Identifier, false),
];
/// Menus that are open by default.
const OPEN: &[Field] = &[Field::Status, Field::Action, Field::ResourceType, Field::Actor];
/// Maximum number of columns of declared fields. More would leave no room for the sentence.
const COLUMNS_MAX: usize = 3;
/// Maximum number of values that one menu lists. Others can be typed.
const OPTIONS_MAX: usize = 40;

/// The menu of one field.
#[derive(Debug)]
pub(in crate::ui) struct Menu {
    /// The API's name of the field.
    pub(in crate::ui) name: &'static str,
    pub(in crate::ui) label: &'static str,
    pub(in crate::ui) is_open: bool,
    /// Whether the selected values are excluded.
    pub(in crate::ui) is_excluding: bool,
    /// The number of selected values.
    pub(in crate::ui) chosen: usize,
    pub(in crate::ui) options: Vec<Choice>,
    /// The number of further values.
    pub(in crate::ui) more: Option<String>,
    /// The URL of the page that counts this field's values, if this page does not.
    pub(in crate::ui) count_href: Option<String>,
    /// The placeholder of the text field, if there is one.
    pub(in crate::ui) hint: Option<&'static str>,
    /// Parameters that the form passes on unchanged: values that are excluded in addition to the selected ones.
    pub(in crate::ui) kept: Vec<(String, String)>,
}

/// A value to select.
#[derive(Debug)]
pub(in crate::ui) struct Choice {
    /// The parameter that selects the value.
    pub(in crate::ui) name: String,
    pub(in crate::ui) value: String,
    pub(in crate::ui) label: String,
    pub(in crate::ui) title: String,
    pub(in crate::ui) count: Option<String>,
    pub(in crate::ui) is_chosen: bool,
}

/// The fields whose values are counted.
pub(in crate::ui) fn counted(params: &ListParams) -> Vec<Field> {
    let is_counted = |field: Field, always: bool| {
        always || params.facets.contains(&field) || params.selections.iter().any(|selection| selection.field == field)
    };
    let counted = listed().filter(|(field, always)| field.spec().is_countable() && is_counted(*field, *always));
    counted.map(|(field, _)| field).collect()
}

/// The fields of all menus. Declared fields come after the others.
fn listed() -> impl Iterator<Item = (Field, bool)> {
    MENUS.iter().copied().chain(declared().map(|spec| (spec.field, false)))
}

/// The declared fields that the table shows in columns: those that the filter or the menus use, up to [`COLUMNS_MAX`].
pub(in crate::ui) fn columns(params: &ListParams) -> Vec<&'static FieldSpec> {
    let is_used = |field: Field| {
        params.facets.contains(&field) || params.selections.iter().any(|selection| selection.field == field)
    };
    declared().filter(|spec| is_used(spec.field)).take(COLUMNS_MAX).collect()
}

/// Every menu.
pub(in crate::ui) fn menus(params: &ListParams, stats: &Stats, labels: &Labels, actors: &ActorNames) -> Vec<Menu> {
    listed().filter_map(|(field, _)| menu(field, params, stats, (labels, actors))).collect()
}

/// The actors that the menus list.
pub(super) fn listed_actors<'s>(params: &'s ListParams, stats: &'s Stats) -> impl Iterator<Item = &'s str> {
    let chosen = params.selections.iter().filter(|selection| selection.field == Field::Actor);
    let counted = stats.facets.iter().filter(|facet| facet.field == Field::Actor);
    let counted = counted.flat_map(|facet| facet.values.iter().take(OPTIONS_MAX)).map(|counted| counted.value.as_str());
    chosen.flat_map(|selection| selection.values.iter().map(String::as_str)).chain(counted)
}

fn menu(field: Field, params: &ListParams, stats: &Stats, names: (&Labels, &ActorNames)) -> Option<Menu> {
    let spec = field.spec();
    let name = spec.name()?;
    let facet = stats.facets.iter().find(|facet| facet.field == field);
    let including = params.selection(field, false);
    let excluding = params.selection(field, true);
    let chosen = including.or(excluding);
    let values = chosen.map_or(&[][..], |selection| &selection.values);
    let options = options(spec, name, facet, values, names);
    let listed = options.iter().filter(|option| option.count.is_some()).count() as u64;
    let more = facet.map_or(0, |facet| facet.distinct.saturating_sub(listed));
    let count_href = (facet.is_none() && spec.is_countable()).then(|| {
        let mut params = params.clone();
        params.facets.push(field);
        format!("{}#menu-{name}", params.href())
    });
    let kept = excluding.filter(|_| including.is_some()).map_or(Vec::new(), |excluding| {
        excluding.values.iter().map(|value| (format!("not.{name}[]"), value.clone())).collect()
    });
    Some(Menu {
        name,
        label: spec.label,
        is_open: chosen.is_some() || params.facets.contains(&field) || OPEN.contains(&field),
        is_excluding: including.is_none() && excluding.is_some(),
        chosen: values.len(),
        options,
        more: (more > 0).then(|| grouped(more)),
        count_href,
        hint: hint(spec),
        kept,
    })
}

fn options(
    spec: &FieldSpec,
    name: &str,
    facet: Option<&Facet>,
    chosen: &[String],
    (labels, actors): (&Labels, &ActorNames),
) -> Vec<Choice> {
    let actor = |value: &str| actors.label(value).filter(|_| spec.field == Field::Actor);
    let same = |value: &str, other: &str| match spec.matching {
        Matching::IgnoreCase => fold(value) == fold(other),
        Matching::Network => {
            value == other || parse_address(value).is_some_and(|address| parse_address(other) == Some(address))
        }
        _ => value == other,
    };
    let choice = |value: &str, count: Option<u64>, is_chosen| Choice {
        // A comma is part of the value, however the form is sent.
        name: if spec.comma_list && value.contains(',') { format!("{name}[]") } else { name.to_owned() },
        label: legible(actor(value).unwrap_or_else(|| labels.of(spec.field, value).into_owned())),
        title: labels.hint(spec.field, value),
        value: value.to_owned(),
        count: count.map(grouped),
        is_chosen,
    };
    let counted = facet.map_or(&[][..], |facet| &facet.values);
    let is_chosen = |value: &str| chosen.iter().any(|chosen| same(chosen, value));
    // Selected values come first, even without any event, so that they can be removed.
    let unlisted = chosen.iter().filter(|chosen| !counted.iter().any(|counted| same(chosen, &counted.value)));
    let mut options: Vec<Choice> = unlisted.map(|value| choice(value, None, true)).collect();
    if let (Matching::OneOf(values), None) = (spec.matching, facet) {
        options.extend(values.iter().filter(|value| !is_chosen(value)).map(|value| choice(value, None, false)));
    }
    let (first, others): (Vec<_>, Vec<_>) = counted.iter().partition(|counted| is_chosen(&counted.value));
    options.extend(first.into_iter().map(|counted| choice(&counted.value, Some(counted.count), true)));
    let room = OPTIONS_MAX.saturating_sub(options.len());
    options.extend(others.into_iter().take(room).map(|counted| choice(&counted.value, Some(counted.count), false)));
    options
}

/// A label that can be seen: white space alone is quoted.
fn legible(label: String) -> String {
    if label.trim().is_empty() { format!("\"{label}\"") } else { label }
}

fn hint(spec: &FieldSpec) -> Option<&'static str> {
    Some(match spec.matching {
        Matching::OneOf(_) => return None,
        Matching::Prefix if spec.field == Field::Path => "Beginning, such as /v1/…",
        Matching::Prefix => "Beginning",
        Matching::StatusCode => "403 or 4xx",
        Matching::Network => "Address or 10.0.0.0/8",
        Matching::Number => "400, >=400 or 400..499",
        Matching::Exact | Matching::IgnoreCase => "Another value",
    })
}
