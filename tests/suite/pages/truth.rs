//! What the pages show is true: sentences, masked changes, invisible characters, histories and further data.

use serde_json::{Value, json};

use crate::{
    harness::{Server, run},
    pages::{event, links, page, rows, text, unescape},
};

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn at(identifier: &str, minute: u32) -> Value {
    event(identifier, &format!("2024-05-01T10:{minute:02}:00Z"), "UPDATE", "entity")
}

#[test]
fn the_object_of_an_action_is_in_the_sentence_and_the_action_in_every_row() {
    let server = Server::start();
    let cases = [
        ("tag.delete", "application", "checkout", "(no actor) deleted tag of application checkout"),
        ("key.delete", "cluster", "prod", "(no actor) deleted key of cluster prod"),
        ("mfa.disable", "user", "ada", "(no actor) disabled mfa of user ada"),
        ("TIMER_EXPIRED", "workflow", "nightly", "(no actor): TIMER_EXPIRED on workflow nightly"),
        ("delete_failed", "application", "checkout", "(no actor): delete_failed on application checkout"),
        ("UPDATE", "application", "checkout", "(no actor) updated application checkout"),
    ];
    let events: Vec<_> = cases
        .iter()
        .enumerate()
        .map(|(number, (action, kind, entity, _))| {
            let at = format!("2024-05-01T10:0{number}:00Z");
            json!({ "identifier": number.to_string(), "action": action, "resourceType": kind, "trigger": { "at": at },
                "context": { "entity": entity } })
        })
        .collect();
    server.store(&events);
    let html = page(&server, "/audit-logs?range=all&order=asc");
    assert_eq!(rows(&html), cases.map(|(.., sentence)| sentence));
    for (number, (action, .., sentence)) in cases.iter().enumerate() {
        assert!(html.contains(&format!("<code>{action}</code>")), "{action}");
        let one = page(&server, &format!("/audit-logs/{number}"));
        assert!(text(&one).contains(sentence), "{sentence}");
        assert!(one.contains(&format!("<code class=\"action\" title=\"Action\">{action}</code>")), "{action}");
    }
    // The history of an entity has the action too.
    assert!(text(&page(&server, "/audit-logs/0")).contains("deleted tag of application checkout tag.delete"));
}

/// An event that changes secrets and other fields.
fn secrets(identifier: &str, before: &Value, after: &Value) -> Value {
    let mut sent = event(identifier, "2024-05-01T10:00:00Z", "UPDATE", "service");
    sent["diff"] = json!({ "before": before, "after": after });
    sent
}

#[test]
fn a_masked_value_that_changed_is_shown_as_changed() {
    let server = Server::start();
    server.store(&[
        secrets(
            "one",
            &json!({ "password": "a", "token": "t", "port": 1 }),
            &json!({ "password": "b", "token": "t", "port": 2 }),
        ),
        secrets("only", &json!({ "password": "a" }), &json!({ "password": "b" })),
        secrets("same", &json!({ "password": "a" }), &json!({ "password": "a" })),
        secrets("none", &json!({ "port": 1 }), &json!({ "port": 2 })),
    ]);
    let stored = |identifier: &str| server.get(&format!("/v1/audit-log/{identifier}")).json()["audit"].clone();
    assert_eq!(stored("one")["maskedChanged"], json!(["/password"]));
    assert_eq!(stored("same")["maskedChanged"], json!([]));
    assert_eq!(stored("none").get("maskedChanged"), None);
    assert_eq!(
        stored("one")["masked"],
        json!(["/diff/before/password", "/diff/before/token", "/diff/after/password", "/diff/after/token"])
    );
    let shown = |identifier: &str| text(&page(&server, &format!("/audit-logs/{identifier}")));
    let one = shown("one");
    assert!(
        one.contains("2 changed, 1 unchanged") && one.contains("password : changed (masked) [masked] [masked]"),
        "{one}"
    );
    assert!(one.contains("token : unchanged (masked) [masked]"), "{one}");
    let only = shown("only");
    assert!(only.contains("1 changed") && !only.contains("No field changed"), "{only}");
    let same = shown("same");
    assert!(same.contains("No field changed") && same.contains("password : unchanged (masked)"), "{same}");
    let list = text(&page(&server, "/audit-logs?range=all"));
    assert!(
        list.contains("password: changed (masked); port: 1 → 2")
            && list.contains("service thing-only UPDATE password: changed (masked)"),
        "{list}"
    );
    // A retry is the same event, with any secret; what was recorded first stays.
    let retry = secrets(
        "one",
        &json!({ "password": "x", "token": "y", "port": 1 }),
        &json!({ "password": "x", "token": "z", "port": 2 }),
    );
    let answer = server.post("/v1/audit-log", &retry.to_string());
    assert_eq!((answer.status, &answer.json()["duplicates"]), (200, &json!(1)), "{}", answer.text);
    assert_eq!(stored("one")["maskedChanged"], json!(["/password"]));
    // It is a key like the others.
    assert_eq!(
        server.list("includes=maskedChanged&identifier=one").json()["audits"][0]["maskedChanged"],
        json!(["/password"])
    );
    let csv = server.get("/v1/audit-log/export?format=csv").text;
    assert!(csv.lines().next().unwrap().contains(",masked,maskedChanged,"), "{csv}");
}

#[test]
fn invisible_and_directional_characters_are_marks_and_escapes() {
    let server = Server::start();
    let evil = "ad\u{202e}nim\u{200b}";
    let mut sent = at("e1", 0);
    sent["trigger"]["by"]["name"] = json!(evil);
    sent["context"]["entity"] = json!("pay\u{2066}\u{ad}ments");
    sent["action"] = json!("un\u{200d}lock");
    sent["message"] = json!("line\none\u{202d}");
    sent["diff"] = json!({ "before": { "k\u{2028}": "a\u{feff}" }, "after": { "k\u{2028}": "b\u{1b}" } });
    sent["additionalData"] = json!({ "x\u{202c}": "\u{9b}" });
    server.store(&[sent]);
    let mark = |code: &str| format!(">{code}</span>");
    for path in ["/audit-logs?range=all", "/audit-logs/e1", "/audit-logs/e1?within=list"] {
        let html = server.get(path).text;
        // Only a form sends the characters back.
        let shown: String = html
            .split("value=\"")
            .enumerate()
            .map(|(number, part)| if number == 0 { part } else { part.split_once('"').unwrap().1 })
            .collect();
        // Attributes are isolated by characters.
        let hidden = |char: char| !"\n\u{2068}\u{2069}".contains(char) && auditbox::model::printable::is_hidden(char);
        assert_eq!(shown.find(hidden), None, "{path}");
        assert!(html.contains(&mark("U+202E")) && html.contains(&mark("U+200B")), "{path}");
    }
    let html = page(&server, "/audit-logs/e1");
    for code in ["U+2066", "U+00AD", "U+200D", "U+202D", "U+2028", "U+FEFF", "U+001B", "U+202C", "U+009B"] {
        assert!(html.contains(&mark(code)), "{code}");
    }
    assert!(html.contains(r"ad\u202enim\u200b") && html.contains("<title>ad[U+202E]nim[U+200B]"), "{html}");
    // A value that a form sends back is exact, and so are links.
    let list = page(&server, "/audit-logs?range=all");
    assert!(list.contains("name=\"action\" value=\"un\u{200d}lock\""), "{list}");
    let only = links(&html).into_iter().find(|href| href.contains("actor=ad%E2%80%AEnim")).unwrap();
    assert_eq!(rows(&page(&server, &only)).len(), 1);
}

#[test]
fn text_from_right_to_left_and_emoji_stay_as_they_are_and_are_isolated() {
    let server = Server::start();
    let names = ["مريم", "שרה לוי", "می\u{200c}خواهم", "👩\u{200d}💻 team", "क्\u{200d}ष", "❤\u{fe0f}"];
    let events: Vec<_> = (0..)
        .zip(names)
        .map(|(minute, name)| {
            let mut sent = at(&format!("e{minute}"), minute);
            sent["trigger"]["by"]["name"] = json!(name);
            sent["context"] = json!({ "entity": name, "blueprint": name });
            sent["diff"] = json!({ "before": { name: { "a": name } }, "after": { name: { "a": "x" } } });
            sent
        })
        .collect();
    server.store(&events);
    let mut again = events[0].clone();
    again["identifier"] = json!("again");
    server.store(&[again]);
    let list = page(&server, "/audit-logs?range=all");
    for (number, name) in names.into_iter().enumerate() {
        let isolated = format!("<bdi>{name}</bdi>");
        assert!(list.contains(&isolated), "{name}");
        let html = page(&server, &format!("/audit-logs/e{number}"));
        assert!(
            html.contains(&format!("<h1>{isolated} "))
                && html.contains(&format!("<b>{isolated}</b> in {isolated}</h1>")),
            "{name}"
        );
        let key = if name.contains(' ') { format!("[&#34;{isolated}&#34;]") } else { isolated.clone() };
        assert!(html.contains(&format!("<code>{key}.a</code>")), "{name}");
        // Each string of the JSON is isolated, so that its tokens stay in order.
        assert!(html.contains(&format!("&#34;entity&#34;: &#34;{isolated}&#34;,")), "{name}");
        assert!(!html.contains("class=\"mark\""), "{name}");
    }
    // So do the parts of a title and of a chip.
    let html = page(&server, "/audit-logs/e0");
    assert!(html.contains(&format!("<h2>History of <bdi>{}</bdi></h2>", names[0])), "{html}");
    let chosen =
        page(&server, &format!("/audit-logs?entity={}&entity={}&range=all", encoded(names[0]), encoded(names[3])));
    assert!(chosen.contains(&format!("<bdi>{}</bdi>, <bdi>{}</bdi></span>", names[0], names[3])), "{chosen}");
    // A title and a label have no elements, so characters isolate the parts.
    let isolated = format!("\u{2068}{}\u{2069}", names[0]);
    assert!(
        html.contains(&format!("<title>{isolated} updated entity {isolated} in {isolated} · auditbox</title>")),
        "{html}"
    );
    assert!(list.contains(&format!("aria-label=\"Expand: {isolated} updated entity {isolated} in {isolated}\"")));
    assert!(list.contains(&format!("<label title=\"{isolated}\">")), "{list}");
    assert!(chosen.contains(&format!("aria-label=\"Remove: Entity is any of {isolated}, {}\"", names[3])), "{chosen}");
    // The values of a change stay in order too.
    let name = names[0];
    assert!(list.contains(&format!(": <bdi>\"{name}\"</bdi><bdi> → </bdi>").replace('"', "&#34;")), "{list}");
}

#[test]
fn strings_are_quoted_in_diffs() {
    let server = Server::start();
    server.store(&[secrets("e", &json!({ "n": 1, "s": "null" }), &json!({ "n": "1", "s": null }))]);
    let shown = text(&page(&server, "/audit-logs/e"));
    assert!(shown.contains(r#"n 1 "1""#) && shown.contains(r#"s "null" null"#), "{shown}");
    assert!(text(&page(&server, "/audit-logs?range=all")).contains(r#"n: 1 → "1"; s: "null" → null"#));
}

/// The part of a page with the history of its entity.
fn history(html: &str) -> &str {
    html.split("<section class=\"related\">").find(|part| part.contains("<h2>History of ")).unwrap()
}

fn link_of(html: &str, label: &str) -> Option<String> {
    let before = html.split(&format!("\">{label}</a>")).next().filter(|before| before.len() < html.len())?;
    Some(unescape(before.rsplit("href=\"").next().unwrap()))
}

#[test]
fn the_history_of_any_event_contains_that_event_and_its_neighbors() {
    let server = Server::start();
    let events: Vec<_> = (0..30)
        .map(|minute| {
            let mut sent = at(&format!("e{minute:02}"), minute);
            sent["context"] = json!({ "entity": "api", "runId": "r1" });
            // Two events only read the entity.
            sent["action"] = json!(if matches!(minute, 14 | 16) { "READ" } else { "UPDATE" });
            sent
        })
        .collect();
    server.store(&events);
    for (event, first, last) in [(0, 8, 0), (2, 8, 0), (12, 16, 8), (28, 29, 21), (29, 29, 21)] {
        let html = page(&server, &format!("/audit-logs/e{event:02}"));
        let history = history(&html);
        let shown: Vec<_> = links(history).into_iter().filter(|href| href.starts_with("/audit-logs/e")).collect();
        let steps =
            shown.iter().take_while(|href| !history.split("<tbody>").nth(1).unwrap().contains(href.as_str())).count();
        let rows: Vec<_> = (last..=first)
            .rev()
            .filter(|number| *number != event)
            .map(|number| format!("/audit-logs/e{number:02}"))
            .collect();
        assert_eq!(shown[shown.len() - rows.len()..], rows, "{event}: {shown:?} {steps}");
        assert_eq!(history.matches("aria-current=\"true\"").count(), 1, "{event}");
        assert!(history.contains("class=\"this\"") && text(history).contains("All 30"), "{event}");
    }
    let steps = |event: u32| {
        let html = page(&server, &format!("/audit-logs/e{event:02}"));
        let history = history(&html).to_owned();
        ["Previous change", "Next change"]
            .map(|label| link_of(&history, label).map(|href| href[href.len() - 2..].to_owned()))
    };
    assert_eq!(steps(0), [None, Some("01".to_owned())]);
    assert_eq!(steps(10), [Some("09".to_owned()), Some("11".to_owned())]);
    assert_eq!(steps(29), [Some("28".to_owned()), None]);
    // Events that only read the entity are no changes.
    assert_eq!(steps(15), [Some("13".to_owned()), Some("17".to_owned())]);
    // The other lists hold the event too.
    let html = page(&server, "/audit-logs/e03");
    assert_eq!(html.matches("aria-current=\"true\"").count(), 3);
}

#[test]
fn events_of_the_same_time_are_in_the_history_once() {
    let server = Server::start();
    let events: Vec<_> = (0..20)
        .map(|number| {
            let mut sent = at(&format!("e{number:02}"), 0);
            sent["context"] = json!({ "entity": "api" });
            sent
        })
        .collect();
    server.store(&events);
    let html = page(&server, "/audit-logs/e09");
    let shown: Vec<_> = links(history(&html).split("<tbody>").nth(1).unwrap())
        .into_iter()
        .filter(|href| href.starts_with("/audit-logs/e"))
        .collect();
    let expected: Vec<_> =
        [13, 12, 11, 10, 8, 7, 6, 5].iter().map(|number| format!("/audit-logs/e{number:02}")).collect();
    assert_eq!(shown, expected);
}

#[test]
fn further_data_is_shown_as_fields_on_the_page_and_in_a_row() {
    let server = Server::start();
    let mut sent = secrets("e", &json!({ "a": 1 }), &json!({ "a": 2 }));
    sent["additionalData"] = json!({ "ticket": "OPS-7", "deep": { "list": [1, { "x": null }] }, "empty": {} });
    sent["region"] = json!("eu-1");
    sent["trigger"]["via"] = json!("cli");
    sent["trigger"]["by"]["team"] = json!(7);
    sent["context"]["labels"] = json!(["a", "b"]);
    sent["request"] = json!({ "method": "GET", "requestId": "r-9" });
    sent["diff"]["reason"] = json!("rotation");
    let many: serde_json::Map<_, _> = (0..40).map(|number| (format!("k{number:02}"), json!(number))).collect();
    sent["many"] = Value::Object(many);
    server.store(&[sent]);
    for path in ["/audit-logs/e", "/audit-logs/e?within=list"] {
        let answer = server.get(path);
        assert_eq!(answer.status, 200);
        let shown = text(&answer.text);
        assert!(shown.contains("Further data"), "{path}: {shown}");
        for field in [
            r#"additionalData.ticket "OPS-7""#,
            "additionalData.deep.list[0] 1",
            "additionalData.deep.list[1].x null",
            "additionalData.empty {}",
            r#"region "eu-1""#,
            r#"trigger.via "cli""#,
            "trigger.by.team 7",
            r#"context.labels ["a","b"]"#,
            r#"request.requestId "r-9""#,
            r#"diff.reason "rotation""#,
            "many 40 fields",
            "many.k39 39",
        ] {
            assert!(shown.contains(field), "{path}: {field} is not in {shown}");
        }
        // A long part is folded.
        assert!(answer.text.contains("<details class=\"equal\"><summary><code>many</code>"), "{path}");
    }
    server.store(&[at("plain", 0)]);
    assert!(!text(&page(&server, "/audit-logs/plain")).contains("Further data"));
}

#[test]
fn a_credential_name_has_only_visible_characters() {
    let server = Server::start();
    let name = "ad\u{202e}min";
    let answer = server.post("/v1/credentials", &json!({ "name": name, "scopes": ["read"] }).to_string());
    let message = "must not contain U+202E, which is a directional character";
    assert_eq!(answer.status, 422, "{}", answer.text);
    assert!(answer.text.contains(message), "{}", answer.text);
    assert_eq!(server.post("/v1/credentials", &json!({ "name": " x", "scopes": ["read"] }).to_string()).status, 422);
    assert_eq!(server.post("/v1/credentials", &json!({ "name": "מרים", "scopes": ["read"] }).to_string()).status, 201);
    assert!(page(&server, "/credentials").contains("<bdi>מרים</bdi>"));
    let directory = tempfile::tempdir().unwrap();
    let output = run(directory.path(), &["credential", "create", "--name", "a\u{200b}", "--scope", "read"]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("must not contain U+200B, which is an invisible character"), "{error}");
}

/// The options of a menu: each value with its label.
fn options(html: &str, name: &str) -> Vec<(String, String)> {
    let menu = html.split(&format!("id=\"menu-{name}\"")).nth(1).unwrap().split("</details>").next().unwrap();
    let options = menu.split("type=\"checkbox\"").skip(1).map(|option| {
        let value = option.split("value=\"").nth(1).unwrap().split('"').next().unwrap();
        let label = option.split("<span class=\"name\">").nth(1).unwrap().split("</span>").next().unwrap();
        (unescape(value), unescape(label))
    });
    options.collect()
}

#[test]
fn a_person_is_one_choice_under_the_latest_name() {
    let server = Server::start();
    let by = |identifier: &str, minute: u32, by: Value| {
        let mut sent = at(identifier, minute);
        sent["trigger"]["by"] = by;
        sent
    };
    server.store(&[
        by("1", 1, json!({ "userId": "u1", "name": "Ada Byron", "email": "ada@example.com" })),
        by("2", 2, json!({ "userId": "u1", "name": "Ada Lovelace", "email": "ada@example.com" })),
        by("3", 3, json!({ "userId": "u1" })),
        by("4", 4, json!({ "userId": "u2", "name": "Sam" })),
        by("5", 5, json!({ "userId": "u3", "name": "Sam" })),
        by("6", 6, json!({ "email": "grace@example.com", "name": "Grace Hopper" })),
        by("7", 7, json!({ "name": "nightly" })),
        // A name that is another person's identity, and names of white space.
        by("8", 8, json!({ "userId": "u4", "name": "Nightly" })),
        by("9", 9, json!({ "userId": "u5", "name": " " })),
        by("10", 10, json!({ "userId": " " })),
        by("11", 11, json!({ "userId": "u6", "name": "", "email": "eve@example.com" })),
    ]);
    let choice = |value: &str, label: &str| (value.to_owned(), label.to_owned());
    let mut found = options(&page(&server, "/audit-logs?range=all"), "actor");
    assert_eq!(found[0], choice("u1", "Ada Lovelace"));
    found.sort();
    assert_eq!(
        found,
        [
            choice(" ", "\" \""),
            choice("grace@example.com", "Grace Hopper"),
            choice("nightly", "nightly"),
            choice("u1", "Ada Lovelace"),
            choice("u2", "Sam (u2)"),
            choice("u3", "Sam (u3)"),
            choice("u4", "Nightly (u4)"),
            choice("u5", "u5"),
            choice("u6", "eve@example.com"),
        ]
    );
    // The API has the names as labels.
    let facet = server.get("/v1/audit-log/stats?facets=actor").json()["facets"]["actor"].clone();
    let label = |value: &str| {
        facet["values"].as_array().unwrap().iter().find(|own| own["value"] == value).unwrap()["label"].clone()
    };
    assert_eq!(
        (label("u1"), label("u4"), label("u6")),
        (json!("Ada Lovelace"), json!("Nightly"), json!("eve@example.com"))
    );
    assert_eq!((label("nightly"), label("u5")), (Value::Null, Value::Null));
    // The chip has the name too, and the filter finds every event of the person.
    let chosen = page(&server, "/audit-logs?actor=u1&range=all");
    assert!(text(&chosen).contains("Actor is Ada Lovelace"), "{}", text(&chosen));
    assert_eq!(rows(&chosen).len(), 3);
    assert!(
        text(&page(&server, "/audit-logs?actor=u1&action=NONE&range=all")).contains("Actor is Ada Lovelace: remove")
    );
    // Another name of a person finds the person, and stays as it was typed.
    let typed = page(&server, "/audit-logs?actor=ada@example.com&range=all");
    assert!(text(&typed).contains("Actor is ada@example.com") && rows(&typed).len() == 2, "{}", text(&typed));
}
