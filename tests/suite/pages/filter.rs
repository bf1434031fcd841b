//! The filter: every spelling of it, its chips, and its form.

use crate::{
    harness::Server,
    pages::{chips, event, get_once, page, redirection, rows, text},
};

fn with_three_types() -> Server {
    let server = Server::start();
    server.store(&[
        event("a", "2024-05-01T10:00:00Z", "DEPLOY", "application"),
        event("g", "2024-05-02T10:00:00Z", "UPDATE", "environment_group"),
        event("c", "2024-05-03T10:00:00Z", "UPDATE", "cluster"),
    ]);
    server
}

#[test]
fn a_shared_porter_url_shows_exactly_its_resource_types() {
    let server = with_three_types();
    let path = "/security/audit-logs?resource_type=application&resource_type=environment_group&range=all";
    let html = page(&server, path);
    assert_eq!(rows(&html), ["ci-token updated environment group thing-g", "ci-token deployed application thing-a"]);
    let first = &chips(&html)[0];
    assert_eq!(first.0, "Resource type is any of Application, Environment group");
    assert_eq!(first.1, "/audit-logs?range=all");
    for value in ["application", "environment_group"] {
        assert!(html.contains(&format!("value=\"{value}\" checked")), "{value}");
    }
    assert!(!html.contains("value=\"cluster\" checked"));
    for (query, count) in [
        ("resources=Application,CLUSTER", 2),
        ("resources%5B%5D=cluster", 1),
        ("search=thing-g", 1),
        ("methods=POST,DELETE&statusCodes=403", 0),
        ("not.resource_type=cluster", 2),
    ] {
        assert_eq!(rows(&page(&server, &format!("/audit-logs?range=all&{query}"))).len(), count, "{query}");
    }
}

#[test]
fn default_exclusions_are_chips_like_any_other() {
    let server = with_three_types();
    let html = page(&server, "/audit-logs");
    let shown = chips(&html);
    assert_eq!(shown.len(), 2);
    assert_eq!(shown[0], ("Time is Last 7 days".to_owned(), "/audit-logs?range=all".to_owned()));
    assert_eq!(shown[1].0, "Hidden are requests to auditbox itself");
    assert_eq!(shown[1].1, "/audit-logs?include_own=true");
    assert!(!text(&html).contains("Clear all"));
    assert_eq!(rows(&page(&server, &shown[0].1)).len(), 3);
    // A filter that asks for them shows them; nothing is hidden then.
    let own = page(&server, "/audit-logs?range=all&origin=auditbox");
    assert!(!text(&own).contains("Hidden are"));
}

#[test]
fn chips_are_removed_one_by_one() {
    let server = with_three_types();
    let mut path =
        "/audit-logs?resources=cluster&not.action=READ&q=thing&range=30d&actor=ci-token&tz=%2B02%3A00&include_own=true"
            .to_owned();
    for left in (0..6).rev() {
        let html = page(&server, &path);
        let shown = chips(&html);
        assert_eq!(shown.len(), left + 1, "{path}");
        let (said, remove) = &shown[0];
        let next = chips(&page(&server, remove));
        // Without the last choice that shows them, they are hidden again, and a chip says so.
        assert!(next.iter().all(|(other, _)| other != said), "{said}");
        path.clone_from(remove);
        if said.starts_with("Shown") {
            break;
        }
    }
    assert!(path.contains("tz=%2B02%3A00"), "{path}");
}

#[test]
fn a_range_to_a_day_includes_the_day_in_the_shown_zone() {
    let server = Server::start();
    server.store(&[
        event("before", "2024-04-30T21:59:59.999999Z", "READ", "entity"),
        event("first", "2024-04-30T22:00:00Z", "READ", "entity"),
        event("last", "2024-05-02T21:59:59.999999Z", "READ", "entity"),
        event("after", "2024-05-02T22:00:00Z", "READ", "entity"),
    ]);
    // What the form sends: dates, with times left empty.
    let form = "/audit-logs?q=&from=2024-05-01&from_time=&to=2024-05-02&to_time=&tz=Europe/Berlin&range=30d";
    let tidy = redirection(&get_once(&server, form)).to_owned();
    assert!(tidy.contains("from=2024-05-01T00%3A00%3A00%2B02%3A00"), "{tidy}");
    let html = page(&server, &tidy);
    assert_eq!(rows(&html), ["ci-token read entity thing-last", "ci-token read entity thing-first"]);
    assert_eq!(chips(&html)[0].0, "Time is Wed 2024-05-01 – Thu 2024-05-02");
    assert!(html.contains("name=\"from\" value=\"2024-05-01\"") && html.contains("name=\"to\" value=\"2024-05-02\""));
    assert!(html.contains("name=\"to_time\" value=\"\""));
    // The API returns the same instants.
    let query = tidy.split_once('?').unwrap().1.replace("tz=Europe%2FBerlin&", "");
    assert_eq!(server.get(&format!("/v1/audit-log?{query}")).identifiers(), ["last", "first"]);
    let minute = "/audit-logs?from=2024-05-02&from_time=23:59&to=2024-05-02&to_time=23:59&tz=Europe/Berlin";
    assert_eq!(rows(&page(&server, redirection(&get_once(&server, minute)))).len(), 1);
}

#[test]
fn the_form_redirects_to_a_shareable_url() {
    let server = with_three_types();
    for (sent, tidy) in [
        ("q=&tz=UTC&fields=shown&mode.action=is&action=&mode.actor=is&actor=", "/audit-logs"),
        ("q=x&kept=action%3DUPDATE%26not.actor%3Dy", "/audit-logs?action=UPDATE&not.actor=y&q=x"),
        ("kept=action%3DUPDATE&fields=shown&action=DEPLOY&mode.action=not", "/audit-logs?not.action=DEPLOY"),
        ("action=UPDATE&action=DEPLOY&action=", "/audit-logs?action=UPDATE&action=DEPLOY"),
    ] {
        assert_eq!(redirection(&get_once(&server, &format!("/audit-logs?{sent}"))), tidy, "{sent}");
    }
}

#[test]
fn a_value_without_events_can_be_removed() {
    let server = with_three_types();
    let html = page(&server, "/audit-logs?range=all&ip=10.0.0.0/8&status_code=4xx&not.resources=nothing&run_id=r1");
    for value in ["10.0.0.0/8", "4xx", "nothing", "r1"] {
        assert!(html.contains(&format!("value=\"{value}\" checked")), "{value}");
    }
    let menu = html.split("id=\"menu-resources\"").nth(1).unwrap();
    assert!(menu.contains("name=\"mode.resources\" value=\"not\" checked"));
}

#[test]
fn exports_and_the_live_tail_use_the_same_filter() {
    let server = with_three_types();
    let html = page(&server, "/audit-logs?from=2024-05-02T00:00:00Z&action=UPDATE&tz=Europe/Berlin");
    let links = super::links(&html);
    for format in ["csv", "ndjson"] {
        let href = links.iter().find(|href| href.contains(&format!("export?format={format}"))).unwrap();
        let exported = server.get(href);
        assert_eq!(exported.status, 200, "{}", exported.text);
        assert!(exported.text.contains("thing-g") && exported.text.contains("thing-c"));
        assert!(!exported.text.contains("thing-a"));
    }
    let live = html.split_once("data-live=\"/v1/audit-log/stream?cursor=").unwrap().1;
    let (_, filter) = live.split_once('"').unwrap().0.split_once("&#38;").unwrap();
    assert_eq!(filter, "action=UPDATE&#38;from=2024-05-02T02%3A00%3A00%2B02%3A00");
}
