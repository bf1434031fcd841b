//! The list: its rows, its pages, its empty states.

use serde_json::json;

use crate::{
    harness::Server,
    pages::{event, get_once, links, page, redirection, rows, text},
};

#[test]
fn the_root_redirects_to_the_log_and_porters_path_is_the_same_page() {
    let server = Server::start();
    assert_eq!(redirection(&get_once(&server, "/")), "/audit-logs");
    server.store(&[event("e1", "2024-05-01T10:00:00Z", "CREATE", "entity")]);
    for path in ["/audit-logs?range=all", "/security/audit-logs?range=all"] {
        assert_eq!(rows(&page(&server, path)), ["ci-token created entity thing-e1"]);
    }
}

#[test]
fn a_row_shows_actor_action_entity_and_time() {
    let server = Server::start();
    server.store(&[json!({
        "identifier": "e1", "action": "UPDATE", "resourceType": "entity", "status": "FAILURE",
        "message": "The schema does not allow this",
        "trigger": { "at": "2024-05-01T10:00:00Z", "origin": "UI",
                     "by": { "userId": "usr_1", "name": "ci-token", "type": "service_account" } },
        "context": { "entity": "api", "blueprint": "service" },
        "request": { "method": "PATCH", "path": "/v1/x", "statusCode": 422, "ip": "192.0.2.7" },
    })]);
    let html = page(&server, "/audit-logs?range=all&tz=Europe/Berlin");
    let shown = text(&html);
    for part in [
        "12:00:00 2024-05-01 +02:00",
        "Times are in Europe/Berlin",
        "Failure",
        "Service account · UI",
        "ci-token tried to update entity api in service",
        "The schema does not allow this",
        "PATCH 422",
        "192.0.2.7",
        "1 event, newest first",
    ] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    assert!(html.contains("<time datetime=\"2024-05-01T10:00:00.000000Z\""));
    assert!(links(&html).contains(&"/audit-logs/e1?tz=Europe%2FBerlin".to_owned()));
}

#[test]
fn pages_lead_older_and_newer_without_a_gap() {
    let server = Server::start();
    let at = |n: i32| format!("2024-05-01T10:{:02}:{:02}Z", n / 60, n % 60);
    let events: Vec<_> = (0..250).map(|n| event(&format!("{n:03}"), &at(n), "READ", "entity")).collect();
    server.store(&events);
    let all: Vec<_> = (0..250).rev().map(|n| format!("ci-token read entity thing-{n:03}")).collect();
    let link = |html: &str, rel: &str| {
        let rest = html.split(&format!("rel=\"{rel}\" href=\"")).nth(1)?;
        Some(super::unescape(rest.split('"').next()?))
    };
    for range in ["range=all", "from=2024-05-01&to=2024-05-01"] {
        let path = format!("/audit-logs?{range}");
        let first = get_once(&server, &path);
        let path = if first.status == 303 { redirection(&first).to_owned() } else { path };
        let first = page(&server, &path);
        assert_eq!(link(&first, "prev"), None);
        let second = page(&server, &link(&first, "next").unwrap());
        let third = page(&server, &link(&second, "next").unwrap());
        assert_eq!(link(&third, "next"), None);
        assert_eq!([rows(&first), rows(&second), rows(&third)].concat(), all);
        assert!(text(&third).contains("250 events"));
        let back = page(&server, &link(&third, "prev").unwrap());
        assert_eq!(rows(&back), rows(&second));
        let start = page(&server, &link(&back, "prev").unwrap());
        assert_eq!(rows(&start), rows(&first));
        assert_eq!(link(&start, "prev"), None);
    }
}

#[test]
fn pages_of_the_last_days_remain_one_list() {
    let server = Server::start();
    let events: Vec<_> =
        (0..101).map(|n| json!({ "identifier": n.to_string(), "action": "READ", "resourceType": "entity" })).collect();
    server.store(&events);
    let first = page(&server, "/audit-logs");
    let older = links(&first).into_iter().find(|href| href.contains("cursor=")).unwrap();
    assert!(older.contains("at="), "{older}");
    assert_eq!(rows(&page(&server, &older)).len(), 1);
}

#[test]
fn an_empty_list_explains_itself() {
    let server = Server::start();
    let nothing = page(&server, "/audit-logs");
    assert!(text(&nothing).contains("No events yet"));
    // The command on the page works as shown.
    let token = server.credential("first", &["ingest"]);
    let command = text(
        nothing.split("<pre").nth(1).unwrap().split("</pre>").next().map(|pre| format!("<pre{pre}")).unwrap().as_str(),
    );
    let body = command.split(" -d '").nth(1).unwrap().trim_end_matches('\'');
    assert!(command.starts_with(&format!("curl -sS {}/v1/audit-log -H ", server.url)), "{command}");
    assert_eq!(server.request_as(&token, "POST", "/v1/audit-log", body).status, 201);
    assert_eq!(rows(&page(&server, "/audit-logs")), ["Me created entity first in service"]);

    let no_match = page(&server, "/audit-logs?action=DELETE&q=nowhere");
    let shown = text(&no_match);
    assert!(shown.contains("No event matches") && shown.contains("Action is DELETE: remove"), "{shown}");
    assert!(links(&no_match).contains(&"/audit-logs?q=nowhere".to_owned()));

    for (query, parameter) in [
        ("status=BROKEN", "status"),
        ("from=soon", "from"),
        ("tz=Mars", "tz"),
        ("range=2h", "range"),
        ("nonsense=1", "nonsense"),
        ("cursor=x", "cursor"),
        ("at=x", "at"),
        ("q=%ff", "q"),
        ("ip=10.0.0.0/99", "ip"),
        ("from=2024-05-02T00:00:00Z&to=2024-05-01T00:00:00Z", "from"),
    ] {
        let answer = server.get(&format!("/audit-logs?action=CREATE&{query}"));
        assert_eq!(answer.status, 422, "{query}");
        let shown = text(&answer.text);
        assert!(shown.contains("This filter is invalid"), "{query}");
        assert!(shown.contains(&format!(" {parameter} ")), "{query}: {shown}");
        assert!(shown.contains("Action is CREATE"), "{query}");
        let rest = links(&answer.text).into_iter().find(|href| href == "/audit-logs?action=CREATE");
        assert!(rest.is_some() || query.contains("&to="), "{query}");
    }
}

#[test]
fn the_search_box_keeps_its_text() {
    let server = Server::start();
    server.store(&[event("a", "2024-05-01T10:10:00Z", "ledger.delete", "entity")]);
    let box_with = |text: &str| format!("id=\"q\" type=\"search\" name=\"q\" value=\"{text}\"");
    let html = page(&server, "/audit-logs?range=all&q=+deleted++%22thing-a%22+-actor%3Aada+");
    assert!(html.contains(&box_with(" deleted  &#34;thing-a&#34; -actor:ada ")), "{html}");
    assert_eq!(rows(&html).len(), 1);
    assert!(links(&html).iter().any(|href| href.contains("q=+deleted++%22thing-a%22+-actor%3Aada+")));
    // An invalid search can be corrected, and the way out of it is a link.
    let answer = server.get("/audit-logs?action=CREATE&q=acotr%3Aada");
    assert_eq!(answer.status, 422);
    assert!(answer.text.contains(&box_with("acotr:ada")), "{}", answer.text);
    assert!(text(&answer.text).contains("did you mean actor:?"), "{}", answer.text);
    assert!(links(&answer.text).contains(&"/audit-logs?action=CREATE".to_owned()));
}

#[test]
fn the_chart_and_the_counts_use_the_filter() {
    let server = Server::start();
    let mut events = vec![event("a", "2024-05-01T10:10:00Z", "CREATE", "entity")];
    for n in 0..3 {
        let mut failed = event(&format!("b{n}"), "2024-05-01T12:20:00Z", "DELETE", "application");
        failed["status"] = json!("FAILURE");
        events.push(failed);
    }
    server.store(&events);
    let html = page(&server, "/audit-logs?from=2024-05-01T10:00:00Z&to=2024-05-01T12:59:59Z");
    let shown = text(&html);
    assert!(shown.contains("1 succeeded 3 failed"), "{shown}");
    assert!(html.contains("Wed 2024-05-01 12:20 – 12:25: 0 succeeded, 3 failed</title>"), "{html}");
    let bar = "/audit-logs?from=2024-05-01T12%3A20%3A00%2B00%3A00&to=2024-05-01T12%3A24%3A59.999999%2B00%3A00";
    assert_eq!(rows(&page(&server, bar)).len(), 3);
    assert!(links(&html).contains(&bar.to_owned()));
    // A menu ignores its own field's choice: every alternative has a count.
    let chosen = page(&server, "/audit-logs?range=all&action=DELETE");
    let menu = chosen.split("id=\"menu-action\"").nth(1).unwrap().split("</details>").next().unwrap();
    assert!(text(menu).contains("DELETE 3 CREATE 1") || menu.contains("value=\"CREATE\""), "{}", text(menu));
    assert!(menu.contains("value=\"DELETE\" checked"));
}

#[test]
fn rows_are_sent_before_slower_parts_and_a_page_is_small() {
    let server = Server::start();
    let events: Vec<_> =
        (0..100).map(|n| event(&format!("{n:03}"), "2024-05-01T10:00:00Z", "READ", "entity")).collect();
    server.store(&events);
    let html = page(&server, "/audit-logs?range=all");
    assert!(html.find("</table>").unwrap() < html.find("class=\"chart\"").unwrap());
    assert!(html.find("class=\"chart\"").unwrap() < html.find("id=\"fields\"").unwrap());
    let headers = [("authorization", format!("Bearer {}", server.token)), ("accept-encoding", "gzip".to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let answer = server.request("GET", "/audit-logs?range=all", &headers, b"");
    assert_eq!(answer.header("content-encoding").unwrap_or("gzip"), "gzip");
    assert!(answer.text.ends_with("</html>\n") || answer.text.ends_with("</html>"));
    assert!(html.len() < 400_000, "{}", html.len());
}

#[test]
fn paging_has_no_gaps() {
    let server = Server::start();
    page(&server, "/audit-logs");
    page(&server, "/credentials");
    let own = || server.get("/v1/audit-log?include_own=true&limit=100").text;
    crate::harness::eventually("the pages are on the record", || {
        let text = own();
        (text.contains("page.audit_log") && text.contains("page.credentials")).then_some(())
    });
}
