//! The pages: their content, their filter, and hostile data.

mod access;
mod concealed;
mod copied;
mod credentials;
mod doors;
mod event;
mod filter;
mod hostile;
mod list;
mod truth;

use serde_json::{Value, json};

use crate::harness::{Answer, Server};

/// The visible text of a page: without tags, entities decoded, white space collapsed.
pub(crate) fn text(html: &str) -> String {
    let mut out = String::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        out.push_str(&rest[..start]);
        let end = rest[start..].find('>').unwrap_or_else(|| panic!("an unterminated tag: {:.60}", &rest[start..]));
        let tag = &rest[start..=start + end];
        // Words of different blocks are separated.
        out.push_str(
            if ["</span", "<span", "<b", "</b", "<em", "</em", "</a", "<a ", "<mark", "</mark"]
                .iter()
                .any(|inline| tag.starts_with(inline))
            {
                ""
            } else {
                " "
            },
        );
        rest = &rest[start + end + 1..];
    }
    out.push_str(rest);
    unescape(&out).split_whitespace().collect::<Vec<_>>().join(" ")
}

pub fn unescape(text: &str) -> String {
    let entities = [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&"), ("&amp;", "&")];
    entities.iter().fold(text.to_owned(), |text, (entity, char)| text.replace(entity, char))
}

/// The `href`s of a page's links.
fn links(html: &str) -> Vec<String> {
    html.split("href=\"").skip(1).map(|rest| unescape(&rest[..rest.find('"').unwrap()])).collect()
}

/// The HTML of a page that must exist.
pub fn page(server: &Server, path: &str) -> String {
    let answer = server.get(path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    assert!(answer.text.trim_end().ends_with("</html>"), "{path} ends early");
    answer.text
}

/// The chips of a page: the text of each, and the target of its link.
fn chips(html: &str) -> Vec<(String, String)> {
    let chips = html.split("<li class=\"chip").skip(1).map(|rest| {
        let chip = format!("<li class=\"chip{}", &rest[..rest.find("</li>").unwrap()]);
        let spaced = chip.replace("</span>", " ");
        (text(&spaced), links(&chip)[0].clone())
    });
    chips.collect()
}

/// The sentences of a list's rows, in order.
pub fn rows(html: &str) -> Vec<String> {
    let table = html.split("<table class=\"events\">").nth(1).unwrap_or_default();
    let table = table.split("</table>").next().unwrap_or_default();
    let rows = table.split("<th scope=\"row\" class=\"c-what\">").skip(1);
    rows.map(|rest| text(&rest[..rest.find("</a>").unwrap()])).collect()
}

pub(crate) fn redirection(answer: &Answer) -> &str {
    assert_eq!(answer.status, 303, "{}", answer.text);
    answer.header("location").unwrap()
}

pub(crate) fn get_once(server: &Server, path: &str) -> Answer {
    let bearer = format!("Bearer {}", server.token);
    server.request_once("GET", path, &[("authorization", &bearer)], b"")
}

/// An event of an actor on an entity at a time.
fn event(identifier: &str, at: &str, action: &str, resource_type: &str) -> Value {
    json!({
        "identifier": identifier,
        "action": action,
        "resourceType": resource_type,
        "trigger": { "at": at, "by": { "userId": "usr_1", "name": "ci-token", "type": "token" } },
        "context": { "entity": format!("thing-{identifier}") },
    })
}
