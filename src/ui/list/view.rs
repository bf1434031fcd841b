//! What the templates of the list are given.

use actix_web::HttpRequest;
use askama::Template;

use crate::{
    http::{Context, origin},
    model::{error::ParameterError, stats::Stats},
    ui::{
        formatted_time::grouped,
        labels::Labels,
        list::{
            chart::{Chart, Outside},
            chips::{self, Chip},
            fields::{self, Aliases, Menu},
            load::{Found, Page},
            rows::Row,
        },
        page::Shell,
        params::{Asked, Place, Preset, Range, to_fields},
    },
};

/// Zones that the page offers; any other can be typed.
const ZONES: &[&str] = &[
    "UTC",
    "Africa/Cairo",
    "Africa/Johannesburg",
    "Africa/Lagos",
    "Africa/Nairobi",
    "America/Bogota",
    "America/Chicago",
    "America/Denver",
    "America/Halifax",
    "America/Los_Angeles",
    "America/Mexico_City",
    "America/New_York",
    "America/Sao_Paulo",
    "America/Toronto",
    "Asia/Bangkok",
    "Asia/Dubai",
    "Asia/Hong_Kong",
    "Asia/Jakarta",
    "Asia/Jerusalem",
    "Asia/Karachi",
    "Asia/Kolkata",
    "Asia/Manila",
    "Asia/Seoul",
    "Asia/Shanghai",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Australia/Perth",
    "Australia/Sydney",
    "Europe/Amsterdam",
    "Europe/Athens",
    "Europe/Berlin",
    "Europe/Dublin",
    "Europe/Istanbul",
    "Europe/Kyiv",
    "Europe/Lisbon",
    "Europe/London",
    "Europe/Madrid",
    "Europe/Paris",
    "Europe/Rome",
    "Europe/Stockholm",
    "Europe/Warsaw",
    "Europe/Zurich",
    "Pacific/Auckland",
    "Pacific/Honolulu",
];

/// The page up to its rows.
#[derive(Template)]
#[template(path = "list/top.html")]
pub(super) struct Top {
    shell: Shell,
    form: Form,
    chips: Vec<Chip>,
    clear_href: Option<String>,
    /// Without what could not be read.
    rest_href: String,
    own_href: Option<String>,
    live_href: String,
    csv_href: String,
    ndjson_href: String,
    body: Body,
}

/// What stands where the rows would.
enum Body {
    Rows(Table),
    Nothing(String),
    NoMatch,
    Bad(Vec<ParameterError>),
}

struct Table {
    rows: Vec<Row>,
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
    zones: &'static [&'static str],
}

struct PresetLink {
    label: &'static str,
    href: String,
    is_current: bool,
}

/// What follows the rows.
#[derive(Template)]
#[template(path = "list/bottom.html")]
pub(super) struct Bottom {
    chart: Option<Chart>,
    /// Events that no bar counts.
    outside: Vec<Outside>,
    chart_note: String,
    menus: Vec<Menu>,
}

pub(super) fn top(
    shell: Shell,
    request: &HttpRequest,
    asked: &Asked,
    (found, live): (Found, Option<String>),
    labels: &Labels,
    context: &Context,
) -> Top {
    let chips = chips::chips(asked, labels, &context.query_limits);
    let cleared = Asked { zone: asked.zone.clone(), ..Asked::nothing(asked.at) };
    let can_clear = chips.iter().any(|chip| !chip.is_default) || asked.range != cleared.range;
    let own = Asked { include_own: true, ..asked.all() };
    Top {
        form: form(asked),
        clear_href: can_clear.then(|| cleared.href()),
        rest_href: asked.begin().href(),
        own_href: Some(own.href()),
        live_href: asked.api_href("/v1/audit-log/stream", live.as_deref().map(|place| ("cursor", place)).as_slice()),
        csv_href: asked.api_href("/v1/audit-log/export", &[("format", "csv")]),
        ndjson_href: asked.api_href("/v1/audit-log/export", &[("format", "ndjson")]),
        body: match found {
            Found::Page(page) => Body::Rows(table(asked, page)),
            Found::Nothing => Body::Nothing(first_event(request, context)),
            Found::NoMatch => Body::NoMatch,
            Found::Bad(problems) => Body::Bad(problems),
        },
        chips,
        shell,
    }
}

pub(super) fn bottom(asked: &Asked, counted: Result<Stats, String>, labels: &Labels, known: &Aliases) -> Bottom {
    match counted {
        Ok(stats) => Bottom {
            chart: stats.histogram.as_ref().and_then(|histogram| Chart::new(histogram, asked)),
            outside: stats.histogram.as_ref().map_or_else(Vec::new, |histogram| Outside::of(histogram, asked)),
            chart_note: "No event to count.".to_owned(),
            menus: fields::menus(asked, stats, labels, known),
        },
        Err(message) => {
            let chart_note = format!("Could not be counted: {message}.");
            Bottom { chart: None, outside: Vec::new(), chart_note, menus: Vec::new() }
        }
    }
}

fn table(asked: &Asked, page: Page) -> Table {
    let link =
        |cursor: Option<String>, place: fn(String) -> Place| cursor.map(|cursor| asked.turned_to(place(cursor)).href());
    let (before_word, after_word) = if asked.ascending { ("Older", "Newer") } else { ("Newer", "Older") };
    let order = match (asked.by_arrival, asked.ascending) {
        (false, false) => "newest first",
        (false, true) => "oldest first",
        (true, false) => "latest arrival first",
        (true, true) => "in order of arrival",
    };
    Table {
        count: grouped(page.count),
        noun: if page.count == 1 { "event" } else { "events" },
        order,
        zone: asked.zone.name().to_owned(),
        before_word,
        after_word,
        newer: link(page.before, Place::Before),
        older: link(page.after, Place::After),
        rows: page.rows,
    }
}

fn form(asked: &Asked) -> Form {
    let mut hidden = Vec::new();
    let mut push = |name, value: &str| hidden.push((name, value.to_owned()));
    if !asked.selections.is_empty() {
        push("kept", &asked.kept());
    }
    if let Range::Last(preset) = asked.range
        && preset != Preset::DEFAULT
    {
        push("range", preset.name());
    }
    for (name, value, given) in [
        ("include_own", "true", asked.include_own),
        ("sort", "received", asked.by_arrival),
        ("order", "asc", asked.ascending),
    ] {
        if given {
            push(name, value);
        }
    }
    let preset = |preset: Preset| PresetLink {
        label: preset.label(),
        href: asked.within(Range::Last(preset)).href(),
        is_current: asked.range == Range::Last(preset),
    };
    let (from, to) = match asked.range {
        Range::Last(_) => (None, None),
        Range::Between { from, to } => (from, to),
    };
    Form {
        words: asked.words.clone().unwrap_or_default(),
        hidden,
        range: chips::range_text(asked).1,
        presets: Preset::ALL.map(preset).into(),
        from: from.map(|at| to_fields(at, &asked.zone, false)).unwrap_or_default(),
        to: to.map(|at| to_fields(at, &asked.zone, true)).unwrap_or_default(),
        zone: asked.zone.name().to_owned(),
        zones: ZONES,
    }
}

/// A command that stores an event here, for whoever has nothing yet.
fn first_event(request: &HttpRequest, context: &Context) -> String {
    let is_host = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | ':' | '[' | ']');
    // The command is pasted into a shell: a host that could be more than a name is not repeated.
    let host = origin::host(request, context).filter(|host| host.chars().all(is_host)).unwrap_or("localhost");
    let scheme = if origin::is_secure(request, context) { "https" } else { "http" };
    format!(
        "curl -sS {scheme}://{host}/v1/audit-log -H 'Authorization: Bearer YOUR_API_TOKEN' -d '{{\"action\":\"CREATE\",\
         \"resourceType\":\"entity\",\"trigger\":{{\"by\":{{\"type\":\"user\",\"name\":\"Me\"}}}},\
         \"context\":{{\"entity\":\"first\",\"blueprint\":\"service\"}}}}'"
    )
}
