//! Tests of the parameters of a list.

use super::*;
use crate::model::cursor;

fn parse(query: &str, accepts: Accepts) -> ListParams {
    let now = Timestamp::parse("2024-05-02T10:00:00Z").unwrap();
    ListParams::parse(form_urlencoded::parse(query.as_bytes()), accepts, &QueryLimits::default(), now)
}

#[test]
fn every_problem_is_reported_and_the_rest_applies() {
    for (query, parameter) in [
        ("status=BROKEN", "status"),
        ("from=soon", "from"),
        ("tz=Nowhere", "tz"),
        ("range=2h", "range"),
        ("nonsense=1", "nonsense"),
        ("order=up", "order"),
        ("facets=identifier", "facets"),
        ("q=a&q=b", "q"),
    ] {
        let params = parse(&format!("action=A&{query}"), Accepts::Page);
        assert_eq!(params.problems[0].parameter, parameter);
        assert_eq!(params.selection(Field::Action, false).unwrap().values, ["A"], "{query}");
    }
    let problems = parse("a=1&limit=0&status=BROKEN&b=2", Accepts::List).valid().unwrap_err().0;
    let names: Vec<_> = problems.iter().map(|problem| problem.parameter.as_str()).collect();
    assert_eq!(names, ["a", "b", "limit", "status"]);
}

#[test]
fn a_page_understands_every_list_of_the_api_as_the_api_does() {
    for query in [
        "",
        "resources=a,b&resource_type=c",
        "origin=a,b",
        "origin=,&resources= , &not.origin[]=a,b",
        "origin[]=,&entity=,",
        "status_code=4xx,5xx&not.ip=10.0.0.0/8",
        "q=x&search=y z&include_own=true",
        "sort=received&order=asc&limit=5&includes=action",
        "from=2024-05-01T00:00:00 02:00&to=2024-05-02T00:00:00Z&origin=auditbox",
    ] {
        let limits = QueryLimits::default();
        let [list, page] = [Accepts::List, Accepts::Page].map(|accepts| parse(query, accepts).valid().unwrap());
        let page = if query.contains("from=") { page } else { page.within(Range::Last(Preset::All)) };
        assert_eq!(list.filter(), page.filter(), "{query}");
        let [list, page] = [list, page].map(|params| params.query(&limits).unwrap());
        assert_eq!((list.sort, list.order, list.limit), (page.sort, page.order, page.limit));
    }
}

#[test]
fn a_form_adds_modes_and_the_selection_from_before_its_fields_arrived() {
    let actions = |query: &str| {
        let params = parse(query, Accepts::Page);
        assert!(params.problems.is_empty() && !params.tidy, "{query}");
        params.selections.iter().map(|selection| (selection.negated, selection.values.join(" "))).collect::<Vec<_>>()
    };
    assert_eq!(actions("action=A&action=&mode.action=not&mode.actor=is"), [(true, "A".to_owned())]);
    assert_eq!(actions("kept=action%3DA%26not.action%3DB"), [(false, "A".to_owned()), (true, "B".to_owned())]);
    assert_eq!(actions("kept=action%3DA&fields=shown"), []);
}

#[test]
fn facets_are_countable_fields_and_each_counts_once() {
    let stats = |query: &str| parse(query, Accepts::Stats).valid().map(|params| params.facets);
    assert_eq!(
        stats("facets=action,resource_type&facets[]=action&entity=api").unwrap(),
        [Field::Action, Field::ResourceType]
    );
    for query in ["facets=identifier", "facets=run_id", "facets=,", "facets=q", "facets=nonsense"] {
        assert_eq!(stats(query).unwrap_err().0[0].parameter, "facets", "{query}");
    }
    for (query, name) in [("histogram=2h", "histogram"), ("tz=Nowhere", "tz"), ("tz=UTC&tz=UTC", "tz")] {
        assert_eq!(stats(query).unwrap_err().0[0].parameter, name);
    }
}

#[test]
fn a_limit_is_a_whole_number_in_any_form() {
    for (query, limit) in [
        ("limit=50", 50),
        ("limit=050", 50),
        ("limit=50.0", 50),
        ("limit=50.", 50),
        ("limit=5e1", 50),
        ("limit=5E+1", 50),
        ("limit=500e-1", 50),
        ("limit=+50", 50),
        ("limit=%2B50", 50),
        ("limit=%2050%20", 50),
        ("limit[]=50", 50),
        ("limit[0]=50", 50),
        ("per_page=50", 50),
        ("per_page=50&limit=50.0", 50),
        ("limit=99999999999999999999999999", usize::MAX),
    ] {
        let params = parse(query, Accepts::List).valid();
        assert_eq!(params.map(|params| params.limit), Ok(Some(limit)), "{query}");
    }
    for text in [
        "", "0", "00", "0.0", "1.5", "7e16", "-1", "-0", "1e-1", "abc", "0x10", "1_000", "1,000", "nan", "inf",
        "1e999", ".5", "%D9%A5", "5 0",
    ] {
        for name in ["limit", "per_page"] {
            let problems = parse(&format!("{name}={text}"), Accepts::List).problems;
            assert_eq!(problems.iter().map(|problem| &*problem.parameter).collect::<Vec<_>>(), [name], "{text}");
        }
    }
    assert_eq!(parse("limit=1&per_page=2", Accepts::List).problems[0].parameter, "per_page");
}

#[test]
fn only_the_first_page_has_a_number() {
    for text in ["1", "1.0", "01"] {
        assert!(parse(&format!("page={text}"), Accepts::List).valid().is_ok(), "{text}");
    }
    for text in ["0", "2", "2.0", "-1", "abc"] {
        let problems = parse(&format!("page={text}"), Accepts::List).problems;
        assert_eq!(problems[0].parameter, "page", "{text}");
        assert!(problems[0].message.ends_with("send the previous response's `next` as `cursor`"), "{}", problems[0]);
    }
}

#[test]
fn an_unknown_name_that_cannot_be_seen_is_quoted() {
    for (query, shown) in [
        ("=x", "\"\""),
        ("%20=x", "\" \""),
        ("a%0D%0Ab=x", r#""a\r\nb""#),
        ("a%1B[2J=x", r#""a\u{1b}[2J""#),
        ("a%E2%80%AEb=x", r#""a\u{202e}b""#),
        ("runId=x", "runId"),
        ("\u{e9}=x", "\u{e9}"),
    ] {
        assert_eq!(parse(query, Accepts::List).problems[0].parameter, shown, "{query}");
    }
}

#[test]
fn an_empty_filter_is_none_and_brackets_may_have_an_index() {
    let all = parse("", Accepts::List).filter();
    for query in ["entity=", "entity", "not.actor=", "origin[]=", "resources[0]=", "status=&from=&to=", "q=&search=%20"]
    {
        assert_eq!(parse(query, Accepts::List).valid().map(|params| params.filter()), Ok(all.clone()), "{query}");
    }
    for query in ["origin=,", "resources=,,", "not.origin=%20,%20", "status_code=,", "ip=,"] {
        assert_eq!(parse(query, Accepts::List).valid().map(|params| params.filter()), Ok(all.clone()), "{query}");
    }
    let values = |query: &str| parse(query, Accepts::List).selections[0].values.clone();
    assert_eq!((values("origin[]=,"), values("entity=,")), (vec![",".to_owned()], vec![",".to_owned()]));
    assert_eq!(values("resources[0]=a,b&resources[1]=c&resources="), ["a,b", "c"]);
    assert_eq!(values("resources[10]=a"), ["a"]);
    for name in ["resources[x]", "resources[0][1]", "resources]", "resources[-1]"] {
        assert_eq!(parse(&format!("{name}=a"), Accepts::List).problems[0].parameter, name);
    }
}

#[test]
fn an_empty_control_is_absent() {
    for name in [
        "page",
        "sort",
        "order",
        "count",
        "include_own",
        "include_deleted_entities",
        "tz",
        "includes",
        "facets",
        "histogram",
    ] {
        for query in [format!("{name}="), name.to_owned(), format!("{name}[]=&action=")] {
            let params = parse(&query, Accepts::Stats).valid().unwrap_or_else(|error| panic!("{query}: {error}"));
            assert_eq!((params.position, params.sort, params.order), (PagePosition::First, None, None), "{query}");
            assert_eq!((params.count, params.includes, params.include_own), (None, None, false), "{query}");
            assert_eq!(
                (params.facets, params.histogram.is_none(), params.zone),
                (Vec::new(), true, Zone::utc()),
                "{query}"
            );
        }
    }
    assert_eq!(parse("sort=&sort=received&count=true&count=", Accepts::List).valid().unwrap().count, Some(true));
}

#[test]
fn booleans_and_choices_are_read_in_any_case() {
    for (text, expected) in [
        ("true", true),
        ("True", true),
        ("TRUE", true),
        ("1", true),
        ("false", false),
        ("False", false),
        ("FALSE", false),
        ("0", false),
    ] {
        let query = format!("count={text}&include_own={text}&include_deleted_entities={text}");
        let params = parse(&query, Accepts::List).valid().unwrap();
        assert_eq!((params.count, params.include_own), (Some(expected), expected), "{text}");
    }
    for text in ["yes", "no", "2", "01", "t", "true,false", "%20"] {
        assert_eq!(
            parse(&format!("count={text}"), Accepts::List).problems[0].message,
            "must be true or false",
            "{text}"
        );
    }
    let params = parse("sort=Received&order=ASC", Accepts::List).valid().unwrap();
    assert_eq!((params.sort, params.order), (Some(Sort::Received), Some(Order::Ascending)));
}

#[test]
fn values_of_closed_lists_are_selected_as_they_are_stored() {
    let values = |query: &str| parse(query, Accepts::Page).valid().unwrap().selections.remove(0).values;
    assert_eq!(values("status=success&status=FAILURE&status=Success"), ["SUCCESS", "FAILURE"]);
    assert_eq!(values("not.actionType=SELF-SERVICE"), ["self-service"]);
    assert_eq!(values("status_code=403.0,4xx"), ["403", "4xx"]);
    for (query, same) in [("status=failure", "status=FAILURE"), ("status_code=403.0", "status_code=403")] {
        assert_eq!(parse(query, Accepts::List).filter(), parse(same, Accepts::List).filter());
    }
}

#[test]
fn times_without_an_offset_are_in_the_zone() {
    let bounds = |query: &str, accepts| {
        let time = parse(query, accepts).valid().unwrap().filter().time;
        [time.from, time.to].map(|at| at.map_or_else(String::new, |at| at.to_string()))
    };
    for accepts in [Accepts::List, Accepts::Stats, Accepts::Page] {
        assert_eq!(
            bounds("from=2024-05-01&to=2024-05-01&tz=Europe/Berlin", accepts),
            ["2024-04-30T22:00:00.000000Z", "2024-05-01T21:59:59.999999Z"]
        );
        assert_eq!(bounds("to=2024-05-01T12:00:59Z", accepts), ["", "2024-05-01T12:00:59.999999Z"]);
        assert!(parse("from=2024-05-01T12:00:00Z&to=2024-05-01T12:00Z", accepts).valid().is_ok());
        let problem = parse("from=2024-05-02&to=2024-05-01", accepts).problems.remove(0);
        assert_eq!(problem.parameter, "from");
        assert!(problem.message.starts_with("is after to"), "{problem}");
    }
}

#[test]
fn a_range_may_begin_and_end_where_clocks_go_forward_or_the_calendar_ends() {
    for (query, from, to) in [
        ("from=2026-03-29T02:30:00&tz=Europe/Berlin", "2026-03-29T01:00:00.000000Z", ""),
        (
            "from=2026-03-29T02:30&to=2026-03-29T02:45&tz=Europe/Berlin",
            "2026-03-29T01:00:00.000000Z",
            "2026-03-29T01:00:00.000000Z",
        ),
        (
            "from=2026-03-29T02:45&to=2026-03-29T03:00&tz=Europe/Berlin",
            "2026-03-29T01:00:00.000000Z",
            "2026-03-29T01:00:59.999999Z",
        ),
        ("to=9999-12-31", "", "9999-12-31T23:59:59.999999Z"),
        ("to=9999-12-31&tz=-12:00", "", "9999-12-31T23:59:59.999999Z"),
        ("from=0000-01-01&tz=%2B14:00", "0000-01-01T00:00:00.000000Z", ""),
    ] {
        let time = parse(query, Accepts::List).valid().unwrap().filter().time;
        let [found_from, found_to] = [time.from, time.to].map(|at| at.map_or_else(String::new, |at| at.to_string()));
        assert_eq!([found_from.as_str(), &found_to], [from, to], "{query}");
    }
}

#[test]
fn a_search_keeps_its_text_and_an_invalid_one_can_be_corrected() {
    let params = parse("q=+Two++\"words+x\"+-actor:ada+", Accepts::Page);
    assert_eq!(params.search.as_ref().unwrap().text, " Two  \"words x\" -actor:ada ");
    assert_eq!(params.filter().search.len(), 3);
    let params = parse("q=acotr:ada&action=A", Accepts::Page);
    assert_eq!((params.search.as_ref(), params.rejected_search.as_deref()), (None, Some("acotr:ada")));
    assert_eq!(params.problems[0].parameter, "q");
    assert_eq!(params.first_page().rejected_search, None);
}

#[test]
fn a_search_for_own_records_shows_them() {
    for query in ["q=origin:AuditBox", "origin=AuditBox", "q=resources:api_request", "q=id:x", "include_own=true"] {
        assert!(!parse(query, Accepts::List).hides_own(), "{query}");
    }
    for query in ["", "q=auditbox", "q=-origin:auditbox", "not.origin=UI"] {
        assert!(parse(query, Accepts::List).hides_own(), "{query}");
    }
}

#[test]
fn an_invalid_cursor_is_reported_with_the_other_parameters() {
    let problems = parse("cursor=x&status=y&foo=1", Accepts::List).problems;
    let names: Vec<_> = problems.iter().map(|problem| problem.parameter.as_str()).collect();
    assert_eq!(names, ["foo", "cursor", "status"]);
}

#[test]
fn a_cursor_of_an_earlier_version_is_valid() {
    // Earlier versions compared these fields byte for byte, and a cursor holds a digest of the filter.
    let earlier = "Received Ascending Filter { clauses: [Clause { field: Origin, negated: false, predicates: [Exact(\"UI\")] }, \
                   Clause { field: Origin, negated: true, predicates: [Exact(\"auditbox\")] }, Clause { field: Actor, negated: \
                   false, predicates: [Exact(\"Ada\")] }], time: TimeRange { from: None, to: None }, search: [] }";
    let position = cursor::Position { timestamp: Timestamp::from_micros(5), seq: 9 };
    let made = cursor::Cursor { position, epoch: None };
    let text = cursor::encode(made, cursor::Fingerprint::of(earlier));
    let query = |parameters: &str| {
        parse(&format!("sort=received&order=asc&{parameters}&cursor={text}"), Accepts::List)
            .query(&QueryLimits::default())
    };
    assert_eq!(query("origin=UI&actor=Ada").unwrap().after, Some(made));
    assert!(query("origin=UI&actor=ada").is_err());
}
