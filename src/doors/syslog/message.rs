//! From a message to a record: JSON with the parts of the header, the payload, and the frame as it arrived.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;
use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};

use super::{header::Header, payload};
use crate::model::{timestamp::Timestamp, zone::Zone};

/// A record, and the payload of its message if that is JSON.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) record: Box<RawValue>,
    pub(super) payload: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'m> {
    #[serde(skip_serializing_if = "Option::is_none")]
    facility: Option<&'m str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<&'m str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<&'m str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<&'m str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_name: Option<&'m str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proc_id: Option<&'m str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    msg_id: Option<&'m str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    structured_data: Option<&'m Map<String, Value>>,
    message: &'m str,
    #[serde(skip_serializing_if = "Option::is_none")]
    json: Option<&'m RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cef: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leef: Option<Value>,
    /// Whether the end of the frame is missing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    raw: &'m str,
    /// The exact bytes of a frame that is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_base64: Option<String>,
}

impl Message {
    /// Reads a frame, which may be cut. `None` if nothing is in it.
    pub(super) fn read(frame: &[u8], is_cut: bool, zone: &Zone, now: Timestamp) -> Option<Self> {
        let text = String::from_utf8_lossy(frame);
        let content = text.strip_prefix('\u{feff}').unwrap_or(&text).trim_end_matches(['\n', '\r', '\0']);
        if content.trim().is_empty() {
            return None;
        }
        let header = Header::read(content, zone, now);
        let body = header.message.trim();
        let json_text = body.strip_prefix("@cee:").unwrap_or(body).trim_start();
        let json = Some(json_text).filter(|text| text.starts_with('{'));
        let json = json.and_then(|text| serde_json::from_str::<&RawValue>(text).ok());
        let fields = Fields {
            facility: header.facility,
            severity: header.severity,
            timestamp: header.timestamp.as_deref(),
            hostname: header.hostname,
            app_name: header.app_name,
            proc_id: header.proc_id,
            msg_id: header.msg_id,
            structured_data: header.structured_data.as_ref(),
            message: header.message,
            json,
            cef: payload::cef(body),
            leef: payload::leef(body),
            truncated: is_cut,
            raw: &text,
            raw_base64: std::str::from_utf8(frame).is_err().then(|| BASE64_STANDARD.encode(frame)),
        };
        let payload = json.map_or(body, RawValue::get).to_owned();
        to_raw_value(&fields).ok().map(|record| Self { record, payload })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(frame: &[u8]) -> Value {
        let now = Timestamp::parse("2026-01-02T03:04:05Z").unwrap();
        let message = Message::read(frame, false, &Zone::utc(), now).unwrap();
        let mut record: Value = serde_json::from_str(message.record.get()).unwrap();
        assert_eq!(record["raw"], String::from_utf8_lossy(frame).as_ref());
        record.as_object_mut().unwrap().remove("raw");
        record
    }

    #[test]
    fn version_1_has_structured_data() {
        let frame =
            "<165>1 2026-01-02T03:04:05.003Z host.example app 71 ID47 [a@1 k=\"v\\\"\\]\" l=\"\"][b] \u{feff}hällo";
        let expected = json!({
            "facility": "local4", "severity": "notice", "timestamp": "2026-01-02T03:04:05.003Z",
            "hostname": "host.example", "appName": "app", "procId": "71", "msgId": "ID47",
            "structuredData": { "a@1": { "k": "v\"]", "l": "" }, "b": {} }, "message": "hällo",
        });
        assert_eq!(read(frame.as_bytes()), expected);
        let expected = json!({ "facility": "kern", "severity": "emerg", "message": "" });
        assert_eq!(read(b"<0>1 - - - - - -"), expected);
    }

    #[test]
    fn older_messages_come_in_every_variant() {
        for (frame, time, host, app, process, message) in [
            ("<34>Dec 31 23:59:59 web su[7]: x: y", "2025-12-31T23:59:59.000000Z", "web", "su", "7", "x: y"),
            ("<34>Jan  2 03:04:05 su: x", "2026-01-02T03:04:05.000000Z", "", "su", "", "x"),
            ("<34>Jan  2 03:04:05 web no tag", "2026-01-02T03:04:05.000000Z", "web", "", "", "no tag"),
            ("<34>Jan 02 2024 03:04:05 web su: x", "2024-01-02T03:04:05.000000Z", "web", "su", "", "x"),
            ("<34>2026-01-02T03:04:05+01:00 web su: x", "2026-01-02T03:04:05+01:00", "web", "su", "", "x"),
            ("<34>2026-01-02T03:04:05 web su: x", "2026-01-02T03:04:05.000000Z", "web", "su", "", "x"),
            (
                "<189>29: sw1: *Jan  2 03:04:05.5 UTC: %SYS-5-X: done",
                "2026-01-02T03:04:05.500000Z",
                "sw1",
                "",
                "",
                "done",
            ),
            ("<189>29: Jan  2 03:04:05: %SYS-5-X: done", "2026-01-02T03:04:05.000000Z", "", "", "", "done"),
            // No clock is months ahead.
            ("<13>May 15 03:04:05 web su: x", "2025-05-15T03:04:05.000000Z", "web", "su", "", "x"),
            ("<13>Jan  3 02:04:05 web su: x", "2026-01-03T02:04:05.000000Z", "web", "su", "", "x"),
            ("<13>Feb 29 03:04:05 web su: x", "2024-02-29T03:04:05.000000Z", "web", "su", "", "x"),
            ("<13>2026 Jan  2 03:04:05 web su: x", "2026-01-02T03:04:05.000000Z", "web", "su", "", "x"),
            ("<13>Jan  2 03:04:05 2024 web su: x", "2024-01-02T03:04:05.000000Z", "web", "su", "", "x"),
            ("<13>Jan  2 03:04:05 CET web su: x", "2026-01-02T02:04:05.000000Z", "web", "su", "", "x"),
            ("<13>2026-01-02 03:04:05 web su: x", "2026-01-02T03:04:05.000000Z", "web", "su", "", "x"),
            ("<13>2026-01-02T03:04:05,123+01:00 web su: x", "2026-01-02T03:04:05.123+01:00", "web", "su", "", "x"),
            ("<166>Jan 02 2026 03:04:05 asa-1 : %ASA-6-3: x", "2026-01-02T03:04:05.000000Z", "asa-1", "", "", "x"),
            ("<166>Jan 02 2026 03:04:05 asa-1: %ASA-6-3: x", "2026-01-02T03:04:05.000000Z", "asa-1", "", "", "x"),
            ("<166>:Jan 02 03:04:05 UTC: %ASA-session-6-3: x", "2026-01-02T03:04:05.000000Z", "", "", "", "x"),
            ("<189>: 2026 Jan  2 03:04:05 UTC: %ETHPORT-5-IF_UP: x", "2026-01-02T03:04:05.000000Z", "", "", "", "x"),
            (
                "<189>29: sw1: Jan  2 2026 03:04:05.5 CEST: %SYS-5-X: x",
                "2026-01-02T01:04:05.500000Z",
                "sw1",
                "",
                "",
                "x",
            ),
            (
                "<189>135: RP/0/RSP0/CPU0:Jan  2 03:04:05.5 UTC: config[1]: %MGBL-5: x",
                "2026-01-02T03:04:05.500000Z",
                "RP/0/RSP0/CPU0",
                "config",
                "1",
                "%MGBL-5: x",
            ),
            ("<14>only text", "", "", "", "", "only text"),
            ("<14>app: text", "", "", "app", "", "text"),
            ("no priority", "", "", "", "", "no priority"),
            ("<999>x", "", "", "", "", "<999>x"),
        ] {
            let record = read(frame.as_bytes());
            let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
            let found = ["timestamp", "hostname", "appName", "procId", "message"].map(text);
            assert_eq!(found, [time, host, app, process, message], "{frame}");
        }
        assert_eq!(read(b"<189>29: Jan  2 03:04:05: %SYS-5-X: done")["msgId"], "SYS-5-X");
    }

    #[test]
    fn a_flaw_in_a_header_of_version_1_costs_only_what_follows_it() {
        for (frame, message) in [
            ("<34>1 2026-01-02T03:04:05Z h a 7 - text without data", "text without data"),
            ("<34>1 2026-01-02T03:04:05Z h a 7 - [x text", "[x text"),
            ("<34>1 2026-01-02T03:04:05Z h a 7 -", ""),
            ("<34>1 2026-01-02T03:04:05Z h a 7", ""),
            ("<34>1 2026-01-02T03:04:05 h a 7 - - m", "m"),
        ] {
            let record = read(frame.as_bytes());
            assert_eq!(
                (&record["hostname"], &record["appName"], &record["procId"], &record["message"]),
                (&json!("h"), &json!("a"), &json!("7"), &json!(message)),
                "{frame}"
            );
            assert!(record["timestamp"].as_str().unwrap().starts_with("2026-01-02T03:04:05"), "{frame}");
        }
        assert_eq!(read(b"<34>1 apple is red")["message"], "1 apple is red");
    }

    #[test]
    fn payloads_are_read_behind_every_header() {
        let json = json!({ "a": 1 });
        for header in ["", "<14>", "<14>Jan  2 03:04:05 web ", "<14>Jan  2 03:04:05 ", "<14>Jan  2 03:04:05 web app: "]
        {
            for text in ["{\"a\":1}", "@cee: {\"a\":1}", "@cee:{\"a\":1}"] {
                assert_eq!(read(format!("{header}{text}").as_bytes())["json"], json, "{header}{text}");
            }
            let cef = read(format!("{header}CEF:0|a|b|1|2|n|5|suser=ada").as_bytes());
            assert_eq!(cef["cef"]["extension"]["suser"], "ada", "{header}: {cef}");
            let leef = read(format!("{header}LEEF:1.0|a|b|1|2|usrName=ada").as_bytes());
            assert_eq!(leef["leef"]["attributes"]["usrName"], "ada", "{header}: {leef}");
        }
        assert_eq!(read(b"<14>{broken")["message"], "{broken");
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_kept() {
        let record = read(b"<14>app: \xff\xfe");
        assert_eq!(
            (&record["message"], &record["rawBase64"]),
            (&json!("\u{fffd}\u{fffd}"), &json!("PDE0PmFwcDog//4="))
        );
        assert!(Message::read(b"\xef\xbb\xbf\r\n\0", false, &Zone::utc(), Timestamp::now()).is_none());
    }

    proptest! {
        #[test]
        fn no_bytes_are_refused(bytes: Vec<u8>, start in "(<[0-9]{1,3}>)?(1 - - - - |Jan  2 |CEF:0\\|LEEF:2.0\\|)?") {
            let frame = [start.as_bytes(), &bytes].concat();
            if let Some(message) = Message::read(&frame, false, &Zone::utc(), Timestamp::now()) {
                prop_assert!(serde_json::from_str::<Value>(message.record.get()).is_ok());
            }
        }
    }
}
