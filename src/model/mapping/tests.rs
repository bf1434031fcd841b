//! Tests of the engine and of the embedded presets.

use serde_json::Value;

use super::*;
use crate::model::{
    event::{self, EventDraft, Receipt, Sender},
    masked_event::MaskedEvent,
    timestamp::Timestamp,
};

fn mapping(preset: &str) -> Mapping {
    Mapping::parse("mine", preset).unwrap_or_else(|error| panic!("{error}"))
}

fn one<'a>(mapping: &Mapping, record: &'a str) -> Record<'a> {
    let mut records = mapping.records(record).unwrap();
    assert_eq!(records.len(), 1, "{record}");
    records.remove(0)
}

/// The event of a record, which must be one that a sender may send.
fn event(mapping: &Mapping, record: &str) -> Value {
    let mapped = mapping.map(&one(mapping, record), &EventLimits::default(), &Mask::default()).unwrap();
    let limits = MappedRecord::limits(&EventLimits::default());
    EventDraft::parse(mapped.event(), &limits, Sender::Client).unwrap_or_else(|error| panic!("{error}: {record}"));
    serde_json::from_str(mapped.event()).unwrap()
}

fn problems(mapping: &Mapping, record: &str) -> Vec<String> {
    mapping.map(&one(mapping, record), &EventLimits::default(), &Mask::default()).unwrap().problems().to_vec()
}

fn error(preset: &str) -> String {
    Mapping::parse("mine", preset).unwrap_err().to_string()
}

#[test]
fn every_embedded_preset_compiles_and_passes_its_tests() {
    for (name, source) in EMBEDDED {
        let mapping = Mapping::parse(name, source).unwrap_or_else(|error| panic!("presets/{name}.toml: {error}"));
        mapping.check().unwrap_or_else(|error| panic!("presets/{name}.toml: {error}"));
        assert!(mapping.tests() >= 5, "presets/{name}.toml has {} tests", mapping.tests());
        assert!(!mapping.title().is_empty(), "presets/{name}.toml has no title");
        assert_eq!(Mapping::named(name).unwrap().name_and_version(), format!("{name}@1"));
    }
    assert!(Mapping::named("none").is_none());
}

#[test]
fn the_first_alternative_that_is_there_counts() {
    let mapping = mapping(
        "action = [\"/a\", \"/b\", { from = [\"/c\", \"/d\"], split = \":\", take = 1 }, \"=NONE\"]\nresourceType = \"{/x}-{/y}\"",
    );
    for (record, action) in [
        (r#"{"a":"A","b":"B"}"#, "A"),
        (r#"{"a":null,"b":"B"}"#, "B"),
        (r#"{"a":"","b":"B"}"#, "B"),
        (r#"{"a":{"x":1},"b":7}"#, "7"),
        (r#"{"a":[],"b":["B","C"]}"#, "B"),
        (r#"{"d":"x:D"}"#, "D"),
        (r#"{"c":"C","d":"x:D","x":1,"y":2}"#, "NONE"),
    ] {
        assert_eq!(event(&mapping, record)["action"], action, "{record}");
    }
    assert_eq!(event(&mapping, r#"{"a":"A","x":1,"y":"2"}"#)["resourceType"], "1-2");
    assert_eq!(event(&mapping, r#"{"a":"A","x":1}"#)["resourceType"], UNMAPPED);
}

#[test]
fn the_record_is_kept_byte_for_byte() {
    let mapping = mapping("action = \"/a\"\nrecords = \"/items\"");
    let record =
        "{ \"a\" : \"x\",\n\t\"n\": 1.50e+2, \"big\": 12345678901234567890, \"a\\u0062\": [ ], \"d\":1, \"d\":2 }";
    let list = format!("{{\"items\": [ {record} ,7]}}");
    let records = mapping.records(&list).unwrap();
    assert_eq!(records.iter().map(Record::source).collect::<Vec<_>>(), [record, "7"]);
    let mapped = mapping.map(&records[0], &EventLimits::default(), &Mask::default()).unwrap();
    assert!(mapped.event().ends_with(&format!("\"additionalData\":{record}}}")), "{}", mapped.event());
}

#[test]
fn numbers_keep_their_digits() {
    let mapping = mapping("identifier = \"/id\"\naction = \"/a\"\ndiff.after = \"/n\"");
    let event = mapping.map(
        &one(&mapping, r#"{"id":12345678901234567890,"a":1.0,"n":1.10}"#),
        &EventLimits::default(),
        &Mask::default(),
    );
    let event = event.unwrap();
    assert!(event.event().starts_with(r#"{"identifier":"12345678901234567890","action":"1.0""#), "{}", event.event());
    assert!(event.event().contains(r#""diff":{"after":1.10}"#), "{}", event.event());
}

#[test]
fn a_record_that_maps_to_nothing_is_unmapped() {
    let mapping =
        mapping("action = \"=CREATE\"\nresourceType = { from = \"/t\", else = \"thing\" }\nstatus = \"=FAILURE\"");
    for record in ["{}", "{\"x\":1}", "7", "\"text\"", "null", "{\"t\":null}"] {
        let event = event(&mapping, record);
        assert_eq!((&event["action"], &event["resourceType"]), (&DEFAULT_ACTION.into(), &UNMAPPED.into()), "{record}");
        assert_eq!(event["trigger"]["origin"], "mine");
        assert_eq!(event["additionalData"], serde_json::from_str::<Value>(record).unwrap());
    }
    assert_eq!(event(&mapping, "{\"t\":\"x\"}")["action"], "CREATE");
}

#[test]
fn what_an_event_does_not_take_is_omitted_and_reported() {
    let mapping = mapping(
        "action = [\"/a\", \"/b\"]\ntrigger.at = \"/t\"\nrequest.statusCode = \"/c\"\nstatus = \"/s\"\ntrigger.origin = \"/o\"\nidentifier = \"/i\"",
    );
    let long = "x".repeat(300);
    let record =
        format!(r#"{{"a":"a\u0000b","b":"B","t":"2026-02-30","c":7,"s":"maybe","o":"auditbox","i":"{long}"}}"#);
    let event = event(&mapping, &record);
    assert_eq!(event["action"], "B");
    assert_eq!((event.get("identifier"), event.get("status"), event.get("request")), (None, None, None));
    assert_eq!(event["trigger"], serde_json::json!({"origin": "mine"}));
    let problems = problems(&mapping, &record);
    let fields: Vec<_> = problems.iter().map(|problem| problem.split(':').next().unwrap()).collect();
    assert_eq!(fields, ["identifier", "status", "trigger.at", "trigger.origin", "request.statusCode"]);
    assert!(problems.iter().all(|problem| !problem.contains("maybe")), "a problem shows a value: {problems:?}");
}

#[test]
fn the_provenance_names_the_preset_the_door_and_the_problems() {
    let mapping = mapping("version = 3\naction = \"/a\"\ntrigger.at = \"/t\"");
    let provenance = |record: &str| {
        let mapped = mapping.map(&one(&mapping, record), &EventLimits::default(), &Mask::default()).unwrap();
        serde_json::from_str::<Value>(&mapped.provenance("import")).unwrap()
    };
    assert_eq!(provenance("{\"a\":1}"), serde_json::json!({"preset": "mine@3", "door": "import"}));
    assert_eq!(provenance("{\"a\":1,\"t\":\"?\"}")["problems"], serde_json::json!(["trigger.at: is not a time"]));
}

#[test]
fn the_stored_event_has_the_provenance_which_no_sender_can_set() {
    let mapping = mapping("identifier = \"/i\"\naction = \"/a\"\ntrigger.at = \"/t\"");
    let accept = |door: &str| {
        let mapped = mapping
            .map(&one(&mapping, r#"{"i":"1","a":"x","t":"?"}"#), &EventLimits::default(), &Mask::default())
            .unwrap();
        let limits = MappedRecord::limits(&EventLimits::default());
        let provenance = mapped.provenance(door);
        let draft = EventDraft::parse(mapped.event(), &limits, Sender::Client).unwrap().with_mapping(&provenance);
        draft.accept(&Receipt { at: Timestamp::from_micros(1_700_000_000_000_000), by: "sender" })
    };
    let (one, other) = (accept("import"), accept("hec"));
    let expected = r#""receivedBy":"sender","mapping":{"preset":"mine@1","door":"import","problems":["trigger.at: is not a time"]}}"#;
    assert!(one.body.ends_with(expected), "{}", one.body);
    // The same record by another door is a retry, and the event is found by the same values.
    assert!(event::same_submission((&one.body, one.filled), (&other.body, other.filled)));
    assert_eq!(event::searchable(&one.body).map(|(at, _)| at), Some(one.timestamp));
    let sent = r#"{"action":"A","resourceType":"x","mapping":{}}"#;
    let error = EventDraft::parse(sent, &EventLimits::default(), Sender::Client).unwrap_err();
    assert_eq!(error.to_string(), "mapping: is set by the server");
}

#[test]
fn a_record_that_cannot_be_an_event_as_it_is_is_kept_as_text() {
    let mapping = mapping("action = \"/a\"");
    let deep = format!("{{\"a\":\"x\",\"d\":{}1{}}}", "[".repeat(100), "]".repeat(100));
    let event = event(&mapping, &deep);
    assert_eq!((&event["action"], &event["additionalData"]), (&"x".into(), &Value::from(deep.as_str())));
    assert!(problems(&mapping, &deep)[0].starts_with("additionalData: the record is kept as text"));
    let secret = deep.replacen("\"d\"", "\"token\":\"hunter2\",\"d\"", 1);
    let kept = self::event(&mapping, &secret)["additionalData"].as_str().unwrap().to_owned();
    assert!(kept.contains("\"token\":\"[masked]\"") && !kept.contains("hunter2"), "{kept}");
    // Of the deepest record that an event can hold, nothing is kept as text.
    let limit = EventLimits::default().json_depth_max;
    let deepest = format!("{}1{}", "[".repeat(limit - 1), "]".repeat(limit - 1));
    assert!(self::event(&mapping, &deepest)["additionalData"].is_array());
    assert!(self::event(&mapping, &format!("[{deepest}]"))["additionalData"].is_array());
    assert!(self::event(&mapping, &format!("[[{deepest}]]"))["additionalData"].is_string());
}

#[test]
fn a_record_over_the_limit_is_an_error_of_that_record_alone() {
    let mapping = mapping("records = \"/r\"\naction = \"/a\"");
    let limits = EventLimits { event_bytes_max: 100, ..EventLimits::default() };
    let fits = format!("{{\"a\":\"{}\"}}", "x".repeat(92));
    assert_eq!(fits.len(), 100);
    let list = format!("{{\"r\":[{fits},{{\"a\":\"{}\"}},{{\"a\":\"b\"}}]}}", "x".repeat(93));
    let results: Vec<_> =
        mapping.records(&list).unwrap().iter().map(|record| mapping.map(record, &limits, &Mask::default())).collect();
    assert!(results[0].is_ok() && results[2].is_ok());
    assert_eq!(results[1].as_ref().unwrap_err(), &RecordError::TooLarge(100));
    // The event is longer than the record, so another limit applies to it.
    let event = results[0].as_ref().unwrap().event();
    assert!(EventDraft::parse(event, &MappedRecord::limits(&limits), Sender::Client).is_ok());
}

#[test]
fn a_document_that_is_not_json_costs_no_other() {
    let mapping = mapping("action = \"/a\"");
    let seen = |mapping: &Mapping, body: &[u8]| -> Vec<String> {
        let documents = mapping.documents(body).into_iter();
        documents.map(|document| document.map_or_else(|error| format!("line {}", error.line), str::to_owned)).collect()
    };
    let body = b"\xef\xbb\xbf{\"a\":1}\nnonsense\n\n{\"a\":2} {\"a\":3}\n{\"a\":\"\xff\"}\n{\"a\":4}\n";
    let expected = ["{\"a\":1}", "line 2", "{\"a\":2}", "{\"a\":3}", "line 5", "{\"a\":4}"];
    assert_eq!(seen(&mapping, body), expected);
    assert_eq!(seen(&mapping, b"[{\"a\":1},\n{\"a\":2}]"), ["{\"a\":1}", "{\"a\":2}"]);
    let lines = self::mapping("input = \"combined\"");
    assert_eq!(seen(&lines, b"one\r\n\n \xff\ntwo"), ["one", "line 3", "two"]);
}

#[test]
fn envelopes_hold_one_record_or_many() {
    let mapping = mapping("records = [\"/a/list\", \"/one\"]\naction = \"/x\"");
    let sources =
        |text| mapping.records(text).unwrap().iter().map(|record| record.source().to_owned()).collect::<Vec<_>>();
    assert_eq!(sources(r#"{"a":{"list":[{"x":1},{"x":2}]}}"#), [r#"{"x":1}"#, r#"{"x":2}"#]);
    assert_eq!(sources(r#"{"one":{"x":1}}"#), [r#"{"x":1}"#]);
    assert_eq!(sources(r#"{"one":"text","a":{"list":null}}"#), [r#"{"one":"text","a":{"list":null}}"#]);
    assert_eq!(sources(r#"{"a":{"list":[]}}"#), [""; 0]);
    assert_eq!(sources(r#"[{"one":{"x":1}},{"x":2},[3]]"#), [r#"{"x":1}"#, r#"{"x":2}"#, "[3]"]);
}

#[test]
fn secrets_of_records_are_masked() {
    let mapping = mapping("action = \"/a\"");
    let mapped = mapping
        .map(&one(&mapping, r#"{"a":"x","password":"hunter2"}"#), &EventLimits::default(), &Mask::default())
        .unwrap();
    let limits = MappedRecord::limits(&EventLimits::default());
    let masked = MaskedEvent::new(mapped.event(), &limits, &Mask::default()).unwrap();
    let text = masked.read(&limits, Sender::Client).unwrap().into_json();
    assert!(
        !text.contains("hunter2") && text.contains(r#""additionalData":{"a":"x","password":"[masked]"}"#),
        "{text}"
    );
}

#[test]
fn a_record_with_the_identifier_of_another_is_stored_once_more() {
    let mapping = mapping("identifier = \"/id\"\naction = \"/a\"");
    let again = |record: &str| {
        let mapped = mapping.map_again(&one(&mapping, record), &EventLimits::default(), &Mask::default()).unwrap();
        serde_json::from_str::<Value>(mapped.event()).unwrap()["identifier"].as_str().unwrap().to_owned()
    };
    let (one, other) = (again(r#"{"id":"1","a":"x"}"#), again(r#"{"id":"1","a":"y"}"#));
    assert!(one.starts_with("1~") && other.starts_with("1~") && one != other);
    assert_eq!(one, again(r#"{"id":"1","a":"x"}"#));
    assert!(again(&format!("{{\"id\":\"{}\"}}", "é".repeat(128))).len() <= 256);
}

#[test]
fn values_that_find_no_place_are_named() {
    let mapping = mapping("action = [\"/a\", \"/b\"]\ncontext.entity = \"/t/[k=x]/v\"\ndiff.after = \"/o\"");
    let record = r#"{"a":"A","b":"B","t":[{"k":"x","v":1},{"k":"y","v":2}],"o":{"deep":[1]},"e":"","n":null,"s/l":{"x":[true]}}"#;
    let unmapped = mapping.explain(&one(&mapping, record), &EventLimits::default()).unmapped;
    assert_eq!(unmapped, ["/b", "/t/0/k", "/t/1/k", "/t/1/v", "/s~1l/x/0"]);
}

#[test]
fn errors_of_presets_name_the_line_and_what_to_write() {
    for (preset, line, part) in [
        ("action = \"/a\"\nactoin = \"/b\"", 2, "actoin is not a key; the keys are title, version"),
        ("trigger.by.nmae = \"/b\"", 1, "trigger.by.nmae is not a key; the keys are userId, orgId, type, name, email"),
        ("\n[context]\nentity = \"/a\"\nnamespace = \"/b\"", 4, "context.namespace is not a key"),
        ("action = \"a/b\"", 1, "action must be a pointer such as \"/user/name\", a constant such as \"=a/b\""),
        ("action = \"/a~2\"", 1, "action has an invalid pointer: /a~2"),
        ("action = [\"/a\",\n  \"/[x]/b\"]", 2, "invalid selector"),
        ("action = \"{/a\"", 1, "without a }"),
        ("action = []", 1, "empty list"),
        ("action = 7", 1, "must be a string"),
        ("status = \"=OK\"", 1, "status has the constant `OK`, which must be SUCCESS or FAILURE"),
        ("status = { from = \"/a\", map = { \"x\" = \"BAD\" } }", 1, "constant `BAD`"),
        ("status = { from = \"/a\", else = \"BAD\" }", 1, "constant `BAD`"),
        ("action = { from = \"/a\", regex = \"x\" }", 1, "unknown key regex; the keys are from, json"),
        ("action = { split = \".\", take = 0 }", 1, "needs `from`"),
        ("action = { from = \"/a\", split = \".\" }", 1, "needs both `split`"),
        ("action = { from = \"/a\", split = \".\", take = \"x\" }", 1, "must be a number such as 0 or -1"),
        ("action = { from = \"/a\", map = { \"a|a\" = \"b\" } }", 1, "has the pattern `a` twice"),
        ("\"trigger.at\" = \"/a\"\ntrigger.at = \"/b\"", 2, "trigger.at is set twice"),
        ("zone = \"Mars\"", 1, "zone is not a time zone"),
        ("input = \"xml\"", 1, "input must be json, combined or otlp"),
        ("records = \"Records\"", 1, "records has an invalid pointer"),
        ("when = { a = \"*\" }", 1, "must begin with /"),
        ("version = \"1\"", 1, "version must be a whole number"),
        ("[[tests]]\nrecord = \"{}\"", 1, "needs `record` and `event`"),
        ("[[tests]]\nrecord = \"{}\"\nevent.actoin = \"x\"", 3, "actoin is not a key of an event"),
        ("action = ", 1, ""),
    ] {
        let error = error(preset);
        assert!(error.starts_with(&format!("line {line}: ")) && error.contains(part), "{preset}\n{error}");
    }
}

#[test]
fn a_preset_whose_test_fails_is_rejected_with_the_line_of_the_test() {
    let preset = |action: &str| {
        format!(
            "action = \"/a\"\n\n[[tests]]\nname = \"first\"\nrecord = '{{\"a\":\"x\"}}'\nevent.action = \"{action}\"\nevent.resourceType = \"unmapped\""
        )
    };
    assert_eq!(mapping(&preset("x")).check(), Ok(()));
    let error = mapping(&preset("y")).check().unwrap_err();
    assert_eq!((error.line, error.message.as_str()), (3, "test \"first\" fails: action must be `y`, but is `x`"));
    let more = preset("x").replace("event.resourceType = \"unmapped\"", "");
    assert!(mapping(&more).check().unwrap_err().message.contains("resourceType must be nothing, but is `unmapped`"));
}

#[test]
fn presets_of_a_configuration_add_to_the_embedded_ones_or_replace_them() {
    let text = "[server]\n\n[presets.mine]\naction = \"/a\"\n\n[presets.github]\naction = \"=X\"\n";
    let presets = Presets::read(text, |name| format!("# {name}")).unwrap();
    assert_eq!(presets.get("mine").unwrap().source(), "# mine");
    assert_eq!(presets.get("github").unwrap().tests(), 0);
    assert!(presets.get("okta").unwrap().tests() > 0 && presets.get("nothing").is_none());
    assert_eq!(presets.names().len(), EMBEDDED.len() + 1);
    for (text, name, line) in [
        ("[presets.mine]\naction = \"/a\"\nbad = 1", "mine", 3),
        ("[presets.Mine]\naction = \"/a\"", "Mine", 1),
        ("\n[presets.mine]\naction = \"/a\"\n[[presets.mine.tests]]\nrecord = \"{}\"\nevent.action = \"x\"", "mine", 4),
    ] {
        let (found, error) = Presets::read(text, |_| String::new()).unwrap_err();
        assert_eq!((found.as_str(), error.line), (name, line), "{error}");
    }
}

#[test]
fn the_test_records_are_recognized() {
    let all = Presets::default().all();
    for (document, name) in [
        (
            r#"{"Records":[{"eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"us-east-1"}]}"#,
            Some("cloudtrail"),
        ),
        (r#"{"kind":"EventList","items":[{"kind":"Event","verb":"get"}]}"#, Some("kubernetes")),
        (r#"{"specversion":"1.0","source":"/x","type":"a.b","id":"1"}"#, Some("cloudevents")),
        (r#"203.0.113.7 - - [02/Jan/2026:03:04:05 +0000] "GET / HTTP/1.1" 200 612"#, Some("combined")),
        (r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1"}]}]}]}"#, Some("otlp")),
        (r#"{"action":"CREATE","resourceType":"x"}"#, None),
        ("{}", None),
        ("nonsense", None),
    ] {
        assert_eq!(Mapping::most_like(&all, document).map(|place| all[place].name()), name, "{document}");
    }
}

#[test]
fn a_record_of_an_event_is_mapped_like_the_original() {
    let document = r#"{"resourceLogs":[{"resource":{"a":1},"scopeLogs":[{"logRecords":[{"timeUnixNano":"1544712660300000000"}]}]}]}"#;
    let mapping = Mapping::named("otlp").unwrap();
    let records = mapping.records(document).unwrap();
    let again = mapping.records(records[0].source()).unwrap();
    assert_eq!((again.len(), again[0].source()), (1, records[0].source()));
    let event = |record| mapping.map(record, &EventLimits::default(), &Mask::default()).unwrap().event().to_owned();
    assert_eq!(event(&again[0]), event(&records[0]));
}

#[test]
fn the_number_of_records_is_limited_in_every_enclosure() {
    let cloudtrail = Mapping::named("cloudtrail").unwrap();
    let otlp = Mapping::named("otlp").unwrap();
    let logs = |records: &str| format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{records}]}}]}}]}}"#);
    for (mapping, list) in [
        (&cloudtrail, "[{},{}]".to_owned()),
        (&cloudtrail, r#"{"Records":[{},{}]}"#.to_owned()),
        (&cloudtrail, r#"[{"Records":[{}]},{}]"#.to_owned()),
        (&cloudtrail, r#"[{"Records":[]},{"Records":[{},{}]}]"#.to_owned()),
        (&otlp, logs("{},{}")),
        (&otlp, format!("[{},{}]", logs("{}"), logs("{}"))),
    ] {
        assert_eq!(mapping.records_within(&list, 2).unwrap().len(), 2, "{list}");
        assert_eq!(mapping.records_within(&list, 1).unwrap_err(), RecordError::TooMany, "{list}");
    }
    let lines = Mapping::named("combined").unwrap();
    assert_eq!(lines.documents_within(b"a\n\nb\n", 2).unwrap().len(), 2);
    assert!(lines.documents_within(b"a\nb\n", 1).is_err());
}
