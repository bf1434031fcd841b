//! The data of the list's templates.

use std::collections::BTreeSet;

use actix_web::HttpRequest;
use askama::Template;

use crate::{
    http::{Context, origin},
    model::{
        error::ParameterError,
        list_params::{ListParams, PagePosition, Preset, Range, to_fields},
        stats::Stats,
    },
    store::{ActorNames, PartialField},
    ui::{
        formatted_time::{FormattedTime, grouped},
        labels::Labels,
        list::{
            chart::{Chart, Outside},
            chips::{self, Chip},
            fields::{self, Menu},
            load::{ListData, ListPage},
            rows::EventRow,
        },
        markup::filters,
        page::Shell,
    },
};

/// The page up to its rows.
#[derive(Template)]
#[template(path = "list/top.html")]
pub(super) struct Top {
    shell: Shell,
    form: Form,
    chips: Vec<Chip>,
    /// Declared fields that older events do not have yet.
    notes: Vec<String>,
    clear_href: Option<String>,
    /// The URL without the invalid parameters.
    rest_href: String,
    own_href: Option<String>,
    live_href: String,
    csv_href: String,
    ndjson_href: String,
    body: ListBody,
}

/// The table, or the reason why it is missing.
enum ListBody {
    Rows(ListTable),
    Nothing(String),
    NoMatch,
    Bad(Vec<ParameterError>),
}

struct ListTable {
    rows: Vec<EventRow>,
    /// The labels of the declared fields that have columns.
    columns: Vec<&'static str>,
    count: String,
    noun: &'static str,
    order: &'static str,
    zone: String,
    before_word: &'static str,
    after_word: &'static str,
    newer: Option<String>,
    older: Option<String>,
}

struct Form {
    words: String,
    hidden: Vec<(&'static str, String)>,
    range: String,
    presets: Vec<PresetLink>,
    from: (String, String),
    to: (String, String),
    zone: String,
}

struct PresetLink {
    label: &'static str,
    href: String,
    is_current: bool,
}

/// The part after the rows.
#[derive(Template)]
#[template(path = "list/bottom.html")]
pub(super) struct Bottom {
    chart: Option<Chart>,
    /// The events before and after the chart.
    outside: Vec<Outside>,
    chart_note: String,
    menus: Vec<Menu>,
}

pub(super) fn top(
    shell: Shell,
    request: &HttpRequest,
    params: &ListParams,
    (found, live): (ListData, Option<String>),
    (labels, actors): (&Labels, &ActorNames),
    context: &Context,
) -> Top {
    let chips = chips::chips(params, labels, actors);
    let cleared = ListParams { zone: params.zone.clone(), ..ListParams::none(params.at) };
    let can_clear = chips.iter().any(|chip| !chip.is_default) || params.range != cleared.range;
    let own = ListParams { include_own: true, ..params.all() };
    Top {
        form: form(params),
        clear_href: can_clear.then(|| cleared.href()),
        rest_href: params.first_page().href(),
        own_href: Some(own.href()),
        live_href: params.api_href("/v1/audit-log/stream", live.as_deref().map(|cursor| ("cursor", cursor)).as_slice()),
        csv_href: params.api_href("/v1/audit-log/export", &[("format", "csv")]),
        ndjson_href: params.api_href("/v1/audit-log/export", &[("format", "ndjson")]),
        body: match found {
            ListData::Page(page) => ListBody::Rows(table(params, page)),
            ListData::Nothing => ListBody::Nothing(first_event(request, context)),
            ListData::NoMatch => ListBody::NoMatch,
            ListData::Bad(problems) => ListBody::Bad(problems),
        },
        chips,
        notes: notes(params, context),
        shell,
    }
}

pub(super) fn bottom(params: &ListParams, counted: Result<(Stats, ActorNames), String>, labels: &Labels) -> Bottom {
    match counted {
        Ok((stats, actors)) => Bottom {
            chart: stats.histogram.as_ref().and_then(|histogram| Chart::new(histogram, params)),
            outside: stats.histogram.as_ref().map_or_else(Vec::new, |histogram| Outside::of(histogram, params)),
            chart_note: "There are no events to count.".to_owned(),
            menus: fields::menus(params, &stats, labels, &actors),
        },
        Err(message) => {
            let chart_note = format!("The events could not be counted: {message}.");
            Bottom { chart: None, outside: Vec::new(), chart_note, menus: Vec::new() }
        }
    }
}

/// What the list and its menus lack while declared fields are being filled in.
fn notes(params: &ListParams, context: &Context) -> Vec<String> {
    let mut used = params.filter().declared_fields();
    used.extend(&params.facets);
    let partial = context.reader.partial(used.into_iter().collect::<BTreeSet<_>>());
    let note = |own: &PartialField| {
        let time = FormattedTime::new(own.from_time, &params.zone, params.at).full();
        format!("Events before {time} may lack {}: the field is still being filled in.", own.field.spec().label)
    };
    partial.iter().map(note).collect()
}

fn table(params: &ListParams, page: ListPage) -> ListTable {
    let link = |cursor: Option<String>, position: fn(String) -> PagePosition| {
        cursor.map(|cursor| params.page_at(position(cursor)).href())
    };
    let (before_word, after_word) = if params.is_ascending() { ("Older", "Newer") } else { ("Newer", "Older") };
    let order = match (params.is_by_arrival(), params.is_ascending()) {
        (false, false) => "newest first",
        (false, true) => "oldest first",
        (true, false) => "latest arrival first",
        (true, true) => "in order of arrival",
    };
    ListTable {
        count: grouped(page.count),
        noun: if page.count == 1 { "event" } else { "events" },
        order,
        zone: params.zone.name().to_owned(),
        before_word,
        after_word,
        newer: link(page.before, PagePosition::Before),
        older: link(page.after, PagePosition::After),
        rows: page.rows,
        columns: fields::columns(params).into_iter().map(|spec| spec.label).collect(),
    }
}

fn form(params: &ListParams) -> Form {
    let mut hidden = Vec::new();
    let mut push = |name, value: &str| hidden.push((name, value.to_owned()));
    if !params.selections.is_empty() {
        push("kept", &params.kept());
    }
    if let Range::Last(preset) = params.range
        && preset != Preset::DEFAULT
    {
        push("range", preset.name());
    }
    for (name, value) in params.flags() {
        push(name, value);
    }
    let preset = |preset: Preset| PresetLink {
        label: preset.label(),
        href: params.within(Range::Last(preset)).href(),
        is_current: params.range == Range::Last(preset),
    };
    let (from, to) = match params.range {
        Range::Last(_) => (None, None),
        Range::Between { from, to } => (from, to),
    };
    Form {
        words: params
            .search
            .as_ref()
            .map(|search| &search.text)
            .or(params.rejected_search.as_ref())
            .cloned()
            .unwrap_or_default(),
        hidden,
        range: chips::range_text(params).1,
        presets: Preset::ALL.map(preset).into(),
        from: from.map(|at| to_fields(at, &params.zone, false)).unwrap_or_default(),
        to: to.map(|at| to_fields(at, &params.zone, true)).unwrap_or_default(),
        zone: params.zone.name().to_owned(),
    }
}

/// A command that stores a first event on this server.
fn first_event(request: &HttpRequest, context: &Context) -> String {
    let is_host = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | ':' | '[' | ']');
    // Users paste the command into a shell, so it repeats only a plain host name.
    let host = origin::host(request, context).filter(|host| host.chars().all(is_host)).unwrap_or("localhost");
    let scheme = if origin::is_secure(request, context) { "https" } else { "http" };
    format!(
        "curl -sS {scheme}://{host}/v1/audit-log -H 'Authorization: Bearer YOUR_API_TOKEN' -d '{{\"action\":\"CREATE\",\
         \"resourceType\":\"entity\",\"trigger\":{{\"by\":{{\"type\":\"user\",\"name\":\"Me\"}}}},\
         \"context\":{{\"entity\":\"first\",\"blueprint\":\"service\"}}}}'"
    )
}
