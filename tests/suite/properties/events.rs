//! The events to query.

use std::{fs::File, io::Read};

use auditbox::{model::timestamp::Timestamp, testdata::Generator};
use serde_json::{Value, json};

use crate::skip::real_events;

/// The real events, each with its original bytes; `None` without a file of them.
pub fn real() -> Option<Vec<String>> {
    let path = real_events()?;
    let mut text = String::new();
    zstd::Decoder::new(File::open(path).unwrap()).unwrap().read_to_string(&mut text).unwrap();
    Some(text.lines().map(str::to_owned).collect())
}

/// Synthetic events, with unusual ones among them.
pub fn synthetic() -> Vec<String> {
    let end = Timestamp::parse("2024-06-26T15:00:00Z").unwrap();
    let mut events: Vec<_> = Generator::new(7, 1_200, end, 30 * 86_400).collect();
    for (place, odd) in odd().into_iter().enumerate() {
        events.insert(place * 37, odd.to_string());
    }
    events
}

/// Texts with a special meaning at some stage of a query.
const ODD_TEXTS: [&str; 14] = [
    "a,b",
    "a",
    "b",
    " a , b ",
    "a+b c%20d",
    "&entity=x#y",
    "[]",
    "\"quoted\" \\ back\nslash",
    "ÅNGSTRÖM",
    "a\u{30a}ngström",
    "名前 🦀",
    "\u{202e}desrever\u{feff}",
    "%",
    "null",
];

const ODD_ADDRESSES: [&str; 10] = [
    "10.0.0.1",
    "::ffff:10.0.0.1",
    "0:0:0:0:0:ffff:10.0.0.1",
    "::FFFF:a00:1",
    "2001:db8::1",
    "2001:0DB8:0:0:0:0:0:1",
    "10.0.0.07",
    "AWS Internal",
    "8.8.8.8:443",
    "a,b",
];

fn odd() -> Vec<Value> {
    let mut events = vec![
        json!({ "action": "READ", "resourceType": "nothing else" }),
        json!({ "action": "READ", "resourceType": "x", "context": {}, "trigger": {}, "request": {}, "message": null }),
        json!({ "identifier": "epoch", "action": "A", "resourceType": "x", "trigger": { "at": "1970-01-01T00:00:00Z" } }),
        json!({ "identifier": "old", "action": "A", "resourceType": "x", "trigger": { "at": "0001-01-01T00:00:00-12:00" } }),
        json!({ "identifier": "far", "action": "A", "resourceType": "x", "trigger": { "at": "9999-12-31T23:59:59.999999999Z" } }),
    ];
    // One instant in different spellings, in a row; a nanosecond is below the stored precision.
    for (number, at) in ["2024-06-20T12:00:00Z", "2024-06-20T14:00:00.0000009+02:00", "2024-06-20T12:00:00.000000001Z"]
        .iter()
        .enumerate()
    {
        events.push(json!({
            "identifier": format!("tie-{number}"), "action": "TIE", "resourceType": "x", "trigger": { "at": at },
        }));
    }
    for (number, text) in ODD_TEXTS.iter().enumerate() {
        let even = number.is_multiple_of(2);
        events.push(json!({
            "identifier": text, "action": text, "resourceType": text,
            "status": if even { "SUCCESS" } else { "FAILURE" },
            "trigger": {
                "at": format!("2024-06-{:02}T00:00:00+05:30", number + 1), "origin": text,
                "by": { "userId": text, "type": text, "name": format!("{text}!"), "email": format!("{text}@") },
            },
            "context": {
                "entity": text, "blueprint": text, "runId": text, "webhookId": text, "webhookEventId": text,
                "integrationId": text, "actionType": if even { "automation" } else { "self-service" },
            },
            "request": {
                "method": text, "path": if even { format!("/{text}/a/b") } else { format!("a/b/{text}") }, "statusCode": 100 + 61 * number,
                "ip": ODD_ADDRESSES[number % ODD_ADDRESSES.len()],
            },
        }));
    }
    events
}
