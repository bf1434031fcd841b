//! Recognizes records of other programs by their distinctive keys, to name them in errors.

use serde_json::value::RawValue;

use crate::model::json::{self, Members};

/// Maximum number of keys of a record that is examined.
const KEYS_MAX: usize = 10_000;

/// A format: its name, the embedded preset for it, and the keys that all its records have. `key=text` also requires a string that begins with the
/// text. A first entry `key[]` requires that the record is in a list under that key.
type Format = (&'static str, Option<&'static str>, &'static [&'static str]);

/// A format of another program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreign {
    /// Its name, with its article.
    pub name: &'static str,
    /// The name of the embedded preset that maps its records.
    pub preset: Option<&'static str>,
}

/// The formats of JSON records. The first one that fits counts, so stricter rows come before looser ones.
const OBJECTS: &[Format] = &[
    ("a damaged event of an auditbox export", None, &["damaged", ""]),
    ("a Kubernetes EventList", Some("kubernetes"), &["items[]", "kind=Event", "verb"]),
    ("a Kubernetes EventList", Some("kubernetes"), &["kind=EventList"]),
    ("a Kubernetes audit event", Some("kubernetes"), &["kind=Event", "apiVersion=audit.k8s.io"]),
    ("a Kubernetes audit event", Some("kubernetes"), &["kind=Event", "verb"]),
    ("a Kubernetes audit event", Some("kubernetes"), &["auditID", "verb", "requestURI"]),
    ("a Kubernetes event of the cluster, not of its audit log", None, &["kind=Event", "involvedObject"]),
    ("an AWS CloudTrail record", Some("cloudtrail"), &["eventSource", "eventName"]),
    ("an AWS CloudTrail record", Some("cloudtrail"), &["eventName", "userIdentity"]),
    ("an AWS CloudTrail record", Some("cloudtrail"), &["eventName", "eventVersion"]),
    ("an AWS CloudTrail record", Some("cloudtrail"), &["eventType=Aws"]),
    ("an EventBridge event of AWS CloudTrail", Some("cloudtrail"), &["detail-type=AWS API Call", "detail"]),
    ("a Google Workspace activity", Some("google-workspace"), &["kind=admin#reports"]),
    ("a Google Cloud audit log entry", Some("gcp"), &["protoPayload"]),
    ("a Google Cloud log entry", Some("gcp"), &["logName", "insertId"]),
    ("an Azure Activity Log record", Some("azure"), &["operationName", "resourceId"]),
    ("an Azure Activity Log record", Some("azure"), &["operationName", "correlationId"]),
    ("an Azure Activity Log record", Some("azure"), &["eventDataId"]),
    ("an Azure log record", Some("azure"), &["operationName", "category"]),
    ("a Microsoft Entra audit record", Some("azure"), &["activityDisplayName", "initiatedBy"]),
    ("a Microsoft 365 audit record", None, &["Operation", "Workload", "CreationTime"]),
    ("an Okta System Log event", Some("okta"), &["eventType", "published"]),
    ("an Okta System Log event", Some("okta"), &["eventType", "outcome", "actor"]),
    ("an Okta System Log event", Some("okta"), &["eventType", "legacyEventType"]),
    ("an Okta System Log event", Some("okta"), &["eventtype", "published"]),
    ("an Okta System Log event", Some("okta"), &["eventtype", "actor"]),
    ("an Okta System Log event", Some("okta"), &["authenticationcontext", "actor"]),
    ("an Okta event hook", Some("okta"), &["eventId", "data"]),
    ("an Auth0 log event", Some("auth0"), &["log_id"]),
    ("an Auth0 log event", Some("auth0"), &["date", "type", "client_id", "connection"]),
    ("an Auth0 log event", Some("auth0"), &["date", "type", "description", "connection"]),
    ("an EventBridge event of Auth0", Some("auth0"), &["detail-type=Auth0", "detail"]),
    ("an OTLP log export", Some("otlp"), &["resourceLogs"]),
    ("an OTLP log record", Some("otlp"), &["timeUnixNano", "body"]),
    ("an OTLP log record", Some("otlp"), &["timeUnixNano", "severityNumber"]),
    ("an OTLP trace export", None, &["resourceSpans"]),
    ("a CloudEvent", Some("cloudevents"), &["specversion", "source", "type"]),
    ("a HashiCorp Vault audit record", Some("vault"), &["type", "auth", "request"]),
    ("a Docker registry notification", Some("docker-registry"), &["events[]", "target", "request", "actor"]),
    ("a Docker registry notification", Some("docker-registry"), &["action", "target", "request"]),
    ("a Docker registry notification", Some("docker-registry"), &["action", "target", "timestamp", "actor"]),
    ("a GitLab audit event", Some("gitlab"), &["author_id", "target_type"]),
    ("a GitLab audit event", Some("gitlab"), &["author_id", "entity_type"]),
    ("a Slack audit log entry", Some("slack"), &["date_create", "action", "actor"]),
    ("a GitHub audit log entry", Some("github"), &["action", "@timestamp"]),
    ("a GitHub audit log entry", Some("github"), &["action", "_document_id"]),
    ("a GitHub audit log entry", Some("github"), &["action", "actor", "org"]),
    ("a GitHub audit log entry", Some("github"), &["action", "actor", "actor_id"]),
    ("a GitHub audit log entry", Some("github"), &["action", "created_at"]),
    ("a Teleport audit event", Some("teleport"), &["event", "code", "uid"]),
    ("an OCSF event", Some("ocsf"), &["class_uid"]),
    ("an ECS document", Some("ecs"), &["@timestamp", "ecs"]),
    ("an ECS document", Some("ecs"), &["@timestamp", "ecs.version"]),
    ("a journald record", None, &["__REALTIME_TIMESTAMP"]),
    ("a journald record", None, &["_BOOT_ID", "MESSAGE"]),
    ("a record of auditd", Some("auditd-json"), &["SYSCALL", "ID"]),
    ("a Caddy access log entry", Some("caddy"), &["logger=http.log.access"]),
    ("an nginx access log entry", Some("nginx-json"), &["remote_addr", "request"]),
    ("an nginx access log entry", Some("nginx-json"), &["remote_addr", "request_method"]),
    ("a Splunk HEC event", Some("hec"), &["event", "sourcetype"]),
    ("a record of a syslog listener", Some("syslog"), &["raw", "message"]),
    ("a Docker container log line", None, &["log", "stream", "time"]),
    ("a document of an Elasticsearch search", Some("ecs"), &["_index", "_source"]),
    ("an Elasticsearch bulk request", None, &["index", ""]),
    ("an Elasticsearch bulk request", None, &["create", ""]),
    ("an error response of auditbox or of Port", None, &["ok", "error", "message"]),
];

/// The formats of other texts, by their beginning.
const TEXTS: &[(&str, &str)] = &[
    ("a stream of server-sent events", "data: {"),
    ("a stream of server-sent events", "id: "),
    ("a stream of server-sent events", "retry: "),
    ("a CSV export of auditbox", "trigger.at,"),
    ("a CEF record", "CEF:"),
    ("a LEEF record", "LEEF:"),
    ("a record of auditd", "type="),
    ("XML", "<?xml"),
    ("XML", "<Event"),
    ("a SQLite database", "SQLite format 3\0"),
    ("a ZIP archive", "PK\u{3}\u{4}"),
    ("a bzip2 file", "BZh"),
    ("a file compressed with xz", "\u{fffd}7zXZ\0"),
    ("a file compressed with LZ4", "\u{4}\"M\u{18}"),
    ("a Parquet file", "PAR1"),
    ("an Avro file", "Obj\u{1}"),
    ("a Windows event log", "ElfFile\0"),
];

/// The format of a text that is not an event of auditbox. `envelope` is the key of the list
/// that holds it.
pub fn recognize(text: &str, envelope: Option<&str>) -> Option<Foreign> {
    let text = text.trim_start();
    if !text.starts_with('{') {
        let name = recognize_text(text)?;
        return Some(Foreign { name, preset: (name == ACCESS_LOG).then_some("combined") });
    }
    let members: Vec<_> = Members::read(text, KEYS_MAX).ok()?.into_iter().collect();
    let find = |key: &str| members.iter().find(|(name, _)| name == key).map(|(_, value)| *value);
    if find("action").is_some() && find("resourceType").is_some() {
        return None;
    }
    let fits = |condition: &&str| match (condition.strip_suffix("[]"), condition.split_once('=')) {
        (Some(list), _) => envelope == Some(list),
        (_, Some((key, start))) => find(key).and_then(string).is_some_and(|text| text.starts_with(start)),
        // The other key is the only one.
        _ if condition.is_empty() => members.len() == 1,
        _ => find(condition).is_some(),
    };
    let (name, preset, _) = OBJECTS.iter().find(|(_, _, conditions)| conditions.iter().all(fits))?;
    Some(Foreign { name, preset: *preset })
}

fn string(value: &RawValue) -> Option<String> {
    json::text(value).map(std::borrow::Cow::into_owned)
}

fn recognize_text(text: &str) -> Option<&'static str> {
    if let Some((name, _)) = TEXTS.iter().find(|(_, start)| text.starts_with(start)) {
        return Some(name);
    }
    if text.contains("CEF:") || text.contains("LEEF:") {
        return Some(if text.contains("CEF:0|") || text.contains("CEF:1|") { "a CEF record" } else { "a LEEF record" });
    }
    let priority = text.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    if priority.is_some_and(|(number, _)| (1..=3).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit()))
    {
        return Some("a syslog message");
    }
    let words: Vec<&str> = text.splitn(5, ' ').collect();
    let is_time = |word: &str| word.len() == 8 && word.bytes().filter(|byte| *byte == b':').count() == 2;
    match words.as_slice() {
        [month, _, time, ..] if MONTHS.contains(month) && is_time(time) => Some("a syslog message"),
        // A day below ten is padded with a space.
        [month, "", _, time, ..] if MONTHS.contains(month) && is_time(time) => Some("a syslog message"),
        [_, _, _, time, zone] if time.starts_with('[') && zone.contains("] \"") => Some(ACCESS_LOG),
        _ => None,
    }
}

const ACCESS_LOG: &str = "an access log in the Common Log Format";
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mapping::Mapping;

    fn name_of(text: &str, envelope: Option<&str>) -> Option<&'static str> {
        recognize(text, envelope).map(|format| format.name)
    }

    #[test]
    fn every_named_preset_exists() {
        let named: Vec<_> = OBJECTS.iter().filter_map(|(_, preset, _)| *preset).collect();
        assert!(named.len() > 20 && named.iter().all(|name| Mapping::named(name).is_some()), "{named:?}");
        let line = r#"192.0.2.1 - ada [01/May/2024:12:00:00 +0000] "GET / HTTP/1.1" 200 1"#;
        assert_eq!(recognize(line, None).unwrap().preset, Some("combined"));
    }

    #[test]
    fn records_of_other_programs_are_named() {
        for (name, text) in [
            ("a Kubernetes audit event", r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"1"}"#),
            ("a Kubernetes EventList", r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[]}"#),
            ("an AWS CloudTrail record", r#"{"eventVersion":"1","eventSource":"s3.amazonaws.com","eventName":"Get"}"#),
            ("a GitHub audit log entry", r#"{"action":"org.add_member","actor":"cat","created_at":1621305118553}"#),
            ("an Okta System Log event", r#"{"eventType":"user.session.start","published":"2024","uuid":"1"}"#),
            ("an Azure Activity Log record", r#"{"operationName":"X","resourceId":"/S","correlationId":"1"}"#),
            ("a Google Cloud audit log entry", r#"{"protoPayload":{},"logName":"x"}"#),
            ("an Auth0 log event", r#"{"log_id":"1","data":{"type":"s"}}"#),
            ("an OTLP log export", r#"{"resourceLogs":[]}"#),
            ("a journald record", r#"{"__REALTIME_TIMESTAMP":"1","MESSAGE":"x"}"#),
            ("a CloudEvent", r#"{"specversion":"1.0","source":"s","type":"t","id":"1"}"#),
            ("a HashiCorp Vault audit record", r#"{"time":"2024","type":"request","auth":{},"request":{}}"#),
            ("an Elasticsearch bulk request", r#"{"index":{"_index":"x"}}"#),
            ("a syslog message", "<134>1 2024-05-01T12:00:00Z host app 1 - - x"),
            ("a syslog message", "May  1 12:00:00 host sshd[1]: Accepted"),
            ("a syslog message", "May 11 12:00:00 host sshd[1]: Accepted"),
            ("a CEF record", "<134>May 1 12:00:00 h CEF:0|V|P|1|2|n|5|src=1.2.3.4"),
            ("a LEEF record", "LEEF:2.0|V|P|1|2|^|a=b"),
            ("a record of auditd", "type=SYSCALL msg=audit(1364481363.243:24287): arch=c000003e"),
            (
                "an access log in the Common Log Format",
                r#"192.0.2.1 - ada [01/May/2024:12:00:00 +0000] "GET / HTTP/1.1" 200 1"#,
            ),
            ("a CSV export of auditbox", "trigger.at,identifier,action"),
        ] {
            assert_eq!(name_of(text, None), Some(name), "{text}");
        }
        let kubernetes = r#"{"kind":"Event","verb":"create"}"#;
        assert_eq!(name_of(kubernetes, Some("items")), Some("a Kubernetes EventList"));
        let registry = r#"{"id":"1","action":"push","target":{},"request":{},"actor":{}}"#;
        assert_eq!(name_of(registry, Some("events")), Some("a Docker registry notification"));
    }

    #[test]
    fn events_and_unknown_texts_have_no_name() {
        for text in [
            "",
            "not json",
            "{",
            "{}",
            "[]",
            r#"{"action":"A","@timestamp":1,"resourceType":"x"}"#,
            r#"{"action":"A"}"#,
            r#"{"index":1,"more":2}"#,
            r#"{"kind":7,"apiVersion":"audit.k8s.io/v1"}"#,
            "<html>",
            "a b c d e f",
        ] {
            assert_eq!(recognize(text, None), None, "{text}");
        }
    }
}
