//! Configuration from files and variables, and what is refused.

use std::{io::Write, iter, net::SocketAddr, path::PathBuf};

use toml::Table;

use super::{Config, ConfigError, Loaded, LogFormat, TlsFiles};
use crate::model::self_audit::Record;

const EXAMPLE: &str = include_str!("../../config.example.toml");

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    read(text, variables).map(|loaded| loaded.config)
}

fn read(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    Config::load(Some(file.path()), variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

/// Every key at its default.
fn defaults() -> Table {
    read("", &[]).unwrap().effective.parse().unwrap()
}

/// The message of a refusal, which must contain every one of `parts`.
fn refused(text: &str, variables: &[(&str, &str)], parts: &[&str]) {
    let message = load(text, variables).unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

#[test]
fn nothing_loaded_is_the_default() {
    assert_eq!(Config::load(None, iter::empty()).unwrap().config, Config::default());
    assert_eq!(load("", &[]).unwrap(), Config::default());
}

#[test]
fn the_example_is_the_default_and_names_every_key() {
    assert_eq!(load(EXAMPLE, &[]).unwrap(), Config::default());
    assert_eq!(EXAMPLE.parse::<Table>().unwrap(), defaults());
}

#[test]
fn fields_are_read_and_printed() {
    let field = "[[fields]]\nname = 'tenant'\nlabel = 'Te\"nant'\npointers = ['/a', '/b']\nmatching = 'number'\nsearch = true\n";
    let loaded = read(field, &[]).unwrap();
    assert_eq!(loaded.config.fields.len(), 1);
    assert_eq!(load(&loaded.effective, &[]).unwrap(), loaded.config, "{}", loaded.effective);
    refused("\n[[fields]]\nname = 'x'", &[], &[":3: [[fields]] name \"x\" has no pointers"]);
    refused("fields = 1", &[], &[":1: [[fields]] fields must be a list"]);
}

#[test]
fn presets_are_read_tested_and_printed() {
    let preset = "[presets.doors]\naction = { from = '/a.b', map = { 'x\"y' = 'OPEN', '*' = '*' } }\n'trigger.at' = '/when'\n\n\
        [[presets.doors.tests]]\nrecord = '{\"a.b\":\"x\\\"y\"}'\nevent.action = 'OPEN'\nevent.resourceType = 'unmapped'\n";
    let loaded = read(preset, &[]).unwrap();
    assert_eq!(loaded.config.presets.get("doors").unwrap().tests(), 1);
    assert_eq!(load(&loaded.effective, &[]).unwrap(), loaded.config, "{}", loaded.effective);
    assert_ne!(load("[presets.doors]\naction = '/b'", &[]).unwrap(), loaded.config);
    refused("\n[presets.doors]\nactoin = '/a'", &[], &[":3: [presets.doors] actoin is not a key; the keys are"]);
    refused("[presets.doors]\naction = 'a'", &[], &[":2: [presets.doors] action must be a pointer such as"]);
    refused(&preset.replace("'OPEN'\nevent.res", "'SHUT'\nevent.res"), &[], &[":5: [presets.doors] test 1 fails"]);
    refused("presets = 1", &[], &["[presets] must hold a section for each preset"]);
    refused("[presets]\ndoors = 1", &[], &[":2: [presets.doors] doors must be a table"]);
    // Variables cannot set presets.
    assert_eq!(load("", &[("AUDITBOX_PRESETS_DOORS", "x")]).unwrap(), Config::default());
}

#[test]
fn the_printed_configuration_is_a_file_with_the_same_settings() {
    let hostile = r#"a\"b\\c\u001b[2J\u009b\u202e\U000e0041\n'é 🦀"#;
    let entry = format!("[[resource_types]]\nvalue = \"{hostile}\"\nlabel = 'L'\n");
    for text in [
        String::new(),
        EXAMPLE.to_owned(),
        format!("[database]\npath = \"{hostile}\"\n[log]\nformat = 'json'\n{entry}"),
        format!("[retention.resource_types]\n\"{hostile}\" = 30\n'a.b' = 0\n[mask]\nenabled = false\nnames = ['a-b']"),
        "resource_types = []\n[server]\ntrusted_proxies = ['10.1.2.3', '::1/64']\ntls_key = 'k'\ntls_certificate = 'c'"
            .to_owned(),
    ] {
        let loaded = read(&text, &[]).unwrap();
        assert_eq!(load(&loaded.effective, &[]).unwrap(), loaded.config, "{}", loaded.effective);
        assert!(!loaded.effective.contains(|char: char| char != '\n' && crate::model::printable::is_hidden(char)));
    }
}

#[test]
fn a_setting_is_read_under_its_earlier_name_with_a_warning() {
    let (old, new) = ("log_bytes_max", "wal_bytes_max");
    let (old_variable, new_variable) = ("AUDITBOX_DATABASE_LOG_BYTES_MAX", "AUDITBOX_DATABASE_WAL_BYTES_MAX");
    let (small, large) = (134_217_728, 268_435_456);
    let line = |key: &str, value: u64| format!("{key} = {value}\n");
    let (small_text, large_text) = (small.to_string(), large.to_string());
    for (file, variables, expected, warnings) in [
        (line(new, small), vec![], small, 0),
        (line(old, small), vec![], small, 1),
        (line(old, small) + &line(new, large), vec![], large, 1),
        (line(new, large) + &line(old, small), vec![], large, 1),
        (line(new, large), vec![(old_variable, &*small_text)], small, 1),
        (line(old, small), vec![(new_variable, &*large_text)], large, 1),
        (String::new(), vec![(old_variable, &*small_text), (new_variable, &*large_text)], large, 1),
        (String::new(), vec![(new_variable, &*large_text), (old_variable, &*small_text)], large, 1),
    ] {
        let loaded = read(&format!("[database]\n{file}"), &variables).unwrap();
        assert_eq!(loaded.config.database.wal_bytes_max, expected, "{file} {variables:?}");
        assert_eq!(loaded.warnings.len(), warnings, "{:?}", loaded.warnings);
        let text = "[database] log_bytes_max is now called wal_bytes_max; rename it";
        assert!(loaded.warnings.iter().all(|warning| warning.contains(text)), "{:?}", loaded.warnings);
    }
    refused("", &[(old_variable, "1")], &[old_variable, "[database] wal_bytes_max must be between 134217728 and"]);
}

#[test]
fn each_key_has_a_variable() {
    for (section, keys) in defaults() {
        // A list of entries, or a table of keys of one's own, is set in a file alone.
        for (key, value) in keys.as_table().into_iter().flatten().filter(|(_, value)| !value.is_table()) {
            let name = format!("AUDITBOX_{}_{}", section.to_uppercase(), key.to_uppercase());
            let text = match value {
                toml::Value::String(text) => text.clone(),
                toml::Value::Array(items) => items.iter().filter_map(toml::Value::as_str).collect::<Vec<_>>().join(","),
                number => number.to_string(),
            };
            assert_eq!(load("", &[(&name, &text)]).unwrap(), Config::default(), "{name}");
        }
    }
}

#[test]
fn the_environment_overrides_the_file() {
    let text = "[server]\nlisten = '127.0.0.1:1'\nworkers = 3\n[self_audit]\nrecord = 'off'\n[log]\nformat = 'json'";
    let config = load(
        text,
        &[
            ("AUDITBOX_SERVER_LISTEN", "[::1]:2"),
            ("AUDITBOX_SERVER_TRUSTED_PROXIES", "10.1.2.3, 192.168.7.7/16,::1,::ffff:10.0.0.1"),
            ("AUDITBOX_DATABASE_PATH", "/data/a.db"),
            ("AUDITBOX_SELF_AUDIT_RECORD", "writes"),
            ("AUDITBOX_LIMITS_LIST_MAX", "20000"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.listen, "[::1]:2".parse::<SocketAddr>().unwrap());
    assert_eq!(config.server.workers, 3);
    let proxies: Vec<_> = config.server.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["10.1.2.3/32", "192.168.0.0/16", "::1/128", "10.0.0.1/32"]);
    assert_eq!(config.database.path, PathBuf::from("/data/a.db"));
    assert_eq!(config.self_audit.record, Record::Writes);
    assert_eq!(config.limits.query().list_max, 20_000);
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn other_variables_are_left_alone() {
    let variables = [
        ("AUDITBOX_ADMIN_CLIENT_ID", "a"),
        ("AUDITBOX_ADMIN_CLIENT_SECRET", "b"),
        ("AUDITBOX_URL", "c"),
        ("AUDITBOX_TOKEN", "d"),
        ("AUDITBOX_CONFIG", "e"),
        ("PATH", "f"),
        ("SERVER_LISTEN", "g"),
    ];
    assert_eq!(load("", &variables).unwrap(), Config::default());
}

#[test]
fn an_unknown_key_is_refused_by_name() {
    refused("[server]\nlisen = 'x'", &[], &["[server] lisen is not a key", "listen, "]);
    refused("[sever]\nlisten = 'x'", &[], &["[sever] is not a section", "server"]);
    refused("server = 1", &[], &["[server] must be a section"]);
    refused("", &[("AUDITBOX_SERVER_LISEN", "x")], &["AUDITBOX_SERVER_LISEN: [server]", "AUDITBOX_SERVER_LISTEN"]);
    refused("", &[("AUDITBOX_SERVER_", "x")], &["AUDITBOX_SERVER_: [server] has no key"]);
}

#[test]
fn a_value_of_the_wrong_kind_is_refused() {
    refused("[database]\nreaders = '4'", &[], &["[database] readers must be a whole number"]);
    refused("[database]\nreaders = -1", &[], &["[database] readers must be a whole number"]);
    refused("[database]\npath = 4", &[], &["[database] path must be a string"]);
    refused("[server]\ntrusted_proxies = [4]", &[], &["[server] trusted_proxies must be a list of strings"]);
    for text in ["four", "-1", "", "9223372036854775808"] {
        refused("", &[("AUDITBOX_DATABASE_READERS", text)], &["AUDITBOX_DATABASE_READERS: [database] readers must be"]);
    }
}

#[test]
fn a_value_out_of_range_is_refused_with_the_range() {
    for (key, value) in [("readers", 0), ("readers", 65)] {
        refused(&format!("[database]\n{key} = {value}"), &[], &["[database] readers must be between 1 and 64"]);
    }
    refused("[auth]\naccess_token_seconds = 4294967296", &[], &["[auth] access_token_seconds must be between 1 and"]);
    refused("[limits]\njson_depth_max = 101", &[], &["[limits] json_depth_max must be between 1 and 100"]);
    refused("[server]\nworkers = 513", &[], &["[server] workers must be between 0 and 512"]);
    refused("[server]\nconnections_max = 0", &[], &["[server] connections_max must be between 1 and"]);
    refused("[database]\npath = ''", &[], &["[database] path must name a file"]);
    refused("[server]\nlisten = 'localhost'", &[], &["[server] listen must be an address and a port", "localhost"]);
    refused("[server]\ntrusted_proxies = ['10/8']", &[], &["[server] trusted_proxies must list", "10/8"]);
    refused("[self_audit]\nrecord = 'some'", &[], &["[self_audit] record must be one of all, writes, off"]);
    refused("[log]\nformat = 'xml'", &[], &["[log] format must be one of text, json"]);
}

#[test]
fn every_limit_is_at_least_one() {
    for key in defaults()["limits"].as_table().unwrap().keys() {
        refused(&format!("[limits]\n{key} = 0"), &[], &[&format!("[limits] {key} must be between 1 and")]);
    }
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    let pairs = [
        ("event_bytes_max", "body_bytes_max"),
        ("body_bytes_max", "body_memory_bytes_max"),
        ("batch_events_max", "queue_events_max"),
        ("list_default", "list_max"),
    ];
    for (lower, upper) in pairs {
        let text = |low: u64, high: u64| {
            let event = if lower == "body_bytes_max" { "event_bytes_max = 1\n" } else { "" };
            format!("[limits]\n{event}{lower} = {low}\n{upper} = {high}")
        };
        load(&text(50, 50), &[]).unwrap();
        refused(&text(51, 50), &[], &[&format!("[limits] {lower} is 51"), &format!("at most {upper}, which is 50")]);
    }
}

#[test]
fn a_variable_is_blamed_for_what_it_set() {
    let variables = [("AUDITBOX_LIMITS_LIST_DEFAULT", "100001")];
    refused("", &variables, &["AUDITBOX_LIMITS_LIST_DEFAULT: [limits] list_default is 100001"]);
    let message = Config::load(None, iter::once(("AUDITBOX_LIMITS_LIST_MAX".to_owned(), "9".to_owned())));
    assert!(message.unwrap_err().to_string().starts_with("configuration: [limits] list_default is 10000"));
}

#[test]
fn tls_takes_both_files_or_neither() {
    let config = load("[server]\ntls_certificate = 'c.pem'\ntls_key = 'k.pem'", &[]).unwrap();
    assert_eq!(config.server.tls(), Some(TlsFiles { certificate: "c.pem".into(), key: "k.pem".into() }));
    refused("[server]\ntls_certificate = 'c.pem'", &[], &["[server] tls_key must be set too"]);
    refused("[server]\ntls_key = 'k.pem'", &[], &["[server] tls_certificate must be set too"]);
}

#[test]
fn the_catalog_of_resource_types_is_the_operators_own() {
    let entry = "[[resource_types]]\nvalue = 'AWS::S3::Bucket'\nlabel = 'Bucket'\n";
    let config = load(entry, &[]).unwrap();
    let [only] = config.resource_types.entries() else { panic!("{config:?}") };
    assert_eq!((only.value(), only.label(), only.description()), ("AWS::S3::Bucket", "Bucket", ""));
    assert!(load("resource_types = []", &[]).unwrap().resource_types.entries().is_empty());
    for (text, parts) in [
        ("[[resource_types]]\nvalue = 'a'", "[[resource_types]] label must be a string"),
        ("[[resource_types]]\nvalue = 'a'\nlabel = 1", "[[resource_types]] label must be a string"),
        ("[[resource_types]]\nvalue = 'a'\nlabel = 'A'\ncolor = 'red'", "[[resource_types]] color is not a key"),
        ("[resource_types]\nvalue = 'a'", "[[resource_types]] must be a list"),
        ("resource_types = ['a']", "[[resource_types]] must be a list"),
        (&format!("{entry}{entry}"), "`AWS::S3::Bucket` is listed twice"),
        ("[[resource_types]]\nvalue = ''\nlabel = 'A'", "[[resource_types]] value must be 1 to 128"),
    ] {
        refused(text, &[], &[parts]);
    }
}

#[test]
fn what_is_masked_is_the_operators_choice() {
    let names = |text: &str| load(text, &[]).unwrap().mask;
    assert!(names("").names_secret(b"dbPassword"));
    let own = names("[mask]\nnames = ['national-id']");
    assert!(own.names_secret(b"nationalId") && !own.names_secret(b"password"));
    assert!(!names("[mask]\nenabled = false").names_secret(b"password"));
    let variables = [("AUDITBOX_MASK_ENABLED", "false")];
    assert!(!load("", &variables).unwrap().mask.names_secret(b"password"));
    refused("", &[("AUDITBOX_MASK_ENABLED", "no")], &["[mask] enabled must be true or false"]);
    refused("[mask]\nenabled = 'no'", &[], &["[mask] enabled must be true or false"]);
    refused("[mask]\nnames = []", &[], &["[mask] names must list 1 to 200 names"]);
    assert!(!names("[mask]\nkeep = ['api-token']").names_secret(b"apiToken"));
    assert!(names("[mask]\nkeep = []").names_secret(b"hashed_token") && !names("").names_secret(b"hashed_token"));
    refused("[mask]\nkeep = ['ö']", &[], &["[mask] keep must list names of 2 to 64"]);
    for name in ["x", "-_-", "a\\u0007b", &"x".repeat(65)] {
        refused(&format!("[mask]\nnames = [\"{name}\"]"), &[], &["[mask] names must list names of 2 to 64"]);
    }
}

#[test]
fn retention_keeps_for_days_and_by_type() {
    use crate::model::retention::{KeepBy, Rules};
    let types = "[retention.resource_types]\nuser_session = 30\n'AWS::S3::Bucket' = 0";
    let text = &format!("[retention]\nkeep_days = 400\n{types}");
    let config = load(text, &[]).unwrap();
    assert_eq!(config.retention, Rules::parse(400, [("AWS::S3::Bucket", 0), ("user_session", 30)]).unwrap());
    let by_event_time = load("[retention]\nkeep_by = 'event_time'", &[]).unwrap().retention;
    assert_eq!((config.retention.kept_by(), by_event_time.kept_by()), (KeepBy::Both, KeepBy::EventTime));
    let variables = [("AUDITBOX_RETENTION_KEEP_BY", "event_time")];
    assert_eq!(load("", &variables).unwrap().retention.kept_by(), KeepBy::EventTime);
    assert!(!load("", &[("AUDITBOX_RETENTION_KEEP_DAYS", "30")]).unwrap().retention.keep_everything());
    assert!(load("[retention]\nkeep_days = 0", &[]).unwrap().retention.keep_everything());
    for (text, part) in [
        ("[retention]\nkeep_days = 36501", "[retention] keep_days must be between 0 (for ever) and 36500, not 36501"),
        ("[retention]\nkeep_days = -1", "[retention] keep_days must be a whole number"),
        (
            "[retention]\nkeep_day = 1",
            "[retention] keep_day is not a key; the keys are keep_days, keep_by, resource_types",
        ),
        ("[retention]\nkeep_by = 'receipt'", "[retention] keep_by must be one of both, event_time, not `receipt`"),
        (
            "[retention]\nkeep_days = 30\n[retention.resource_types]\naudit_log = 1",
            "[retention] resource_types would delete the records of deletions too early: `resource_types.audit_log`",
        ),
        (
            "[retention]\nkeep_days = 30\n[retention.resource_types]\ninvoice = 400",
            "set audit_log to 400 or more here, or to 0 to keep the records for ever",
        ),
        ("[retention]\nresource_types = 1", "[retention] resource_types must be keys with whole numbers"),
        ("[retention.resource_types]\na = '1'", "[retention] resource_types must be keys with whole numbers"),
        ("[retention.resource_types]\na = 36501", "[retention] resource_types `a` must be between 0 (for ever) and"),
        ("[retention.resource_types]\na = 1\nA = 2", "[retention] resource_types `a` is listed twice"),
        ("[retention.resource_types]\n'' = 1", "[retention] resource_types `` is not a resource type"),
    ] {
        refused(text, &[], &[part]);
    }
    refused("", &[("AUDITBOX_RETENTION_KEEP_DAYS", "99999")], &["AUDITBOX_RETENTION_KEEP_DAYS: [retention] keep_days"]);
    refused("", &[("AUDITBOX_RETENTION_RESOURCE_TYPES", "a")], &["[retention] has no key for this variable"]);
}

#[test]
fn a_log_level_is_a_level_or_directives() {
    for level in ["off", "WARN", "info,auditbox=debug", "warn,actix_web=trace", "info,auditbox[request]=trace"] {
        assert_eq!(load(&format!("[log]\nlevel = '{level}'"), &[]).unwrap().log.level, level);
    }
    for level in ["", " ", "info,", "inof", "warn, actix_web=trace", "info,auditbox", "auditbox=loud"] {
        refused(&format!("[log]\nlevel = '{level}'"), &[], &["[log] level must be error, warn"]);
    }
}

#[test]
fn a_syntax_error_tells_the_line_and_the_file() {
    refused("[server]\nlisten = ", &[], &["line 2, column 10", "tmp"]);
    let error = Config::load(Some("/no/such/file.toml".as_ref()), iter::empty()).unwrap_err();
    assert!(error.to_string().contains("cannot read the configuration file /no/such/file.toml"), "{error}");
}
