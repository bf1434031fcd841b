//! The layers of the source: each uses the layers below it, never one above. The tests read the source itself.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The layers that each layer may name. `main` is the program itself.
const LAYERS: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    (
        "cli",
        &[
            "server", "api", "ui", "doors", "ingest", "http", "auth", "store", "index", "model", "config", "logging",
            "terminal", "testdata", "platform",
        ],
    ),
    (
        "server",
        &["api", "ui", "doors", "ingest", "http", "auth", "store", "index", "model", "config", "logging", "platform"],
    ),
    ("api", &["doors", "ingest", "http", "auth", "store", "index", "model"]),
    ("ui", &["doors", "http", "auth", "store", "index", "model"]),
    ("doors", &["ingest", "http", "auth", "store", "index", "model"]),
    ("ingest", &["http", "auth", "store", "index", "model"]),
    ("http", &["auth", "store", "index", "model", "platform"]),
    ("auth", &["store", "index", "model"]),
    ("store", &["index", "model", "platform"]),
    ("index", &["model"]),
    ("model", &[]),
    ("config", &["model"]),
    ("logging", &["config", "terminal"]),
    ("terminal", &["model"]),
    ("testdata", &["model"]),
    ("platform", &[]),
];
const LINES_MAX: usize = 500;
/// The forms in which code depends on the operating system.
const SYSTEMS: &[&str] = &["std::os::", "(unix", "(windows", "target_os", "target_vendor"];

/// A source file: its layer, its path within `src`, and its text without comments and literals.
struct Source {
    layer: String,
    path: PathBuf,
    code: String,
    lines: usize,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut sources, mut directories) = (Vec::new(), vec![root.clone()]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(&root).unwrap().to_owned();
                let layer = path.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
                sources.push(Source { layer, path, code: without_texts(&text), lines: text.lines().count() });
            }
        }
    }
    assert!(sources.len() > 40, "the source files were not found");
    sources
}

/// The code without comments and literals, which name nothing. Line breaks stay.
fn without_texts(text: &str) -> String {
    let (mut code, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(raw) = ["r#\"", "br#\""].iter().find(|start| rest.starts_with(**start)) {
            raw.len() + rest[raw.len()..].find("\"#").unwrap() + 2
        } else if first == '"' {
            end_of_string(rest)
        } else if let Some(char) = ["'\"'", "'\\''", "b'\"'"].iter().find(|char| rest.starts_with(**char)) {
            char.len()
        } else {
            code.push(first);
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    code
}

fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, char) in text.char_indices().skip(1) {
        match char {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    panic!("an unterminated string: {text:.40}")
}

/// The layers that code names: in `crate::layer`, in `auditbox::layer`, and in `use crate::{layer, …}`.
fn named(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for root in ["crate::", "auditbox::"] {
        for (at, _) in code.match_indices(root) {
            let is_whole = !code[..at].ends_with(|char: char| char.is_alphanumeric() || char == '_' || char == ':');
            if is_whole {
                names.extend(heads(&code[at + root.len()..]));
            }
        }
    }
    names
}

/// The first names of a path or of a group of paths.
fn heads(path: &str) -> Vec<String> {
    let name =
        |text: &str| text.trim_start().chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect();
    let Some(group) = path.strip_prefix('{') else {
        return vec![name(path)];
    };
    let (mut depth, mut names) = (0, vec![name(group)]);
    for (at, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(name(&group[at + 1..])),
            _ => {}
        }
    }
    names.retain(|name: &String| !name.is_empty());
    names
}

/// Whether `code` names `item` as a whole word or path.
fn names(code: &str, item: &str) -> bool {
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    code.match_indices(item)
        .any(|(at, _)| !code[..at].ends_with(is_word) && !code[at + item.len()..].starts_with(is_word))
}

#[test]
fn names_are_read_as_the_compiler_reads_them() {
    let code = without_texts(
        "use crate::{\n    api::{ApiError, Context},\n    model::own,\n    store,\n};\n// crate::cli\nfn f() { crate::index::query::search(\"crate::server \\\" \"); x::crate::y(); '\"' }\nuse crate::auth::Gate; auditbox::config::Config r#\"crate::cli\"#",
    );
    let mut found = named(&code);
    found.sort_unstable();
    assert_eq!(found, ["api", "auth", "config", "index", "model", "store"]);
    assert!(
        names("use std::fs;", "std::fs") && !names("use std::fsx;", "std::fs") && !names("my_rusqlite", "rusqlite")
    );
}

#[test]
fn no_layer_names_one_above_it() {
    for source in sources().iter().filter(|source| source.layer != "lib") {
        let (_, below) = LAYERS
            .iter()
            .find(|(layer, _)| *layer == source.layer)
            .unwrap_or_else(|| panic!("{}: which layer is it?", source.path.display()));
        for name in named(&source.code) {
            let is_layer = LAYERS.iter().any(|(layer, _)| *layer == name);
            assert!(is_layer, "{}: crate::{name} is no layer", source.path.display());
            let is_below = name == source.layer || below.contains(&&*name);
            assert!(is_below, "{}: {} must not use {name}", source.path.display(), source.layer);
        }
    }
}

#[test]
fn every_layer_is_below_something() {
    // A layer that nothing names would pass every other test here.
    let sources = sources();
    for (layer, _) in LAYERS.iter().filter(|(layer, _)| *layer != "main") {
        let used =
            sources.iter().any(|source| source.layer != *layer && named(&source.code).iter().any(|name| name == layer));
        assert!(used, "{layer}");
    }
}

#[test]
fn each_crate_is_used_only_in_its_layers() {
    let known: &[(&str, &[&str])] = &[
        ("rusqlite", &["store", "index"]),
        ("r2d2", &["store"]),
        ("r2d2_sqlite", &["store"]),
        ("actix_web", &["cli", "server", "api", "ui", "doors", "ingest", "http"]),
        ("askama", &["ui"]),
        ("clap", &["cli"]),
        ("clap_complete", &["cli"]),
        ("clap_mangen", &["cli"]),
        ("terminal_size", &["cli"]),
        ("unicode_width", &["cli"]),
        ("indicatif", &["cli"]),
        ("ureq", &["cli"]),
        ("hmac", &["model", "doors"]),
        ("toml", &["config", "model"]),
        ("rustls", &["server"]),
        ("rustix", &["platform"]),
        ("nix", &["platform"]),
        ("dunce", &["platform"]),
        ("winapi_util", &["platform"]),
    ];
    for source in sources() {
        for (item, layers) in known {
            let may = layers.contains(&&*source.layer);
            assert!(may || !names(&source.code, item), "{}: names {item}", source.path.display());
        }
    }
    for (item, layers) in known {
        let used = |layer: &str| sources().iter().any(|source| source.layer == layer && names(&source.code, item));
        assert!(layers.iter().all(|layer| used(layer)), "{item}: {layers:?}");
    }
}

#[test]
fn each_interface_parses_list_parameters_in_one_place() {
    // The API, the pages and the command line have one call each, and a handler calls it once per request.
    let calls = |call: &str| {
        let mut found = Vec::new();
        for source in sources() {
            let path = source.path.to_str().unwrap().replace('\\', "/");
            let program = source.code.split("#[cfg(test)]\nmod tests").next().unwrap();
            if ["cli", "api", "ui", "doors", "ingest", "http"].contains(&&*source.layer)
                && !path.ends_with("fuzzing.rs")
            {
                found.extend(program.match_indices(call).map(|_| path.clone()));
            }
        }
        found.sort_unstable();
        found
    };
    assert_eq!(calls("ListParams::parse("), ["api/list.rs", "cli/events/flags.rs", "ui/params.rs"]);
    assert_eq!(calls("ListParams::parse_query("), [""; 0]);
    assert_eq!(calls("params::parse("), ["ui/event/mod.rs", "ui/list/mod.rs"]);
    // A query is made of parsed parameters: nothing else interprets a value, a search or a cursor.
    for call in ["Predicate::parse(", "search_language::parse(", "cursor::decode(", "Query::new("] {
        assert_eq!(calls(call), [""; 0], "{call}");
    }
}

#[test]
fn one_file_writes_to_standard_output_and_one_to_standard_error() {
    // clippy denies the printing macros everywhere.
    for (stream, files) in [
        ("stdout", &["cli/output.rs"][..]),
        // Logging checks whether standard error is a terminal.
        ("stderr", &["terminal.rs", "logging.rs"]),
    ] {
        let found = sources().into_iter().filter(|source| names(&source.code, stream)).map(|source| source.path);
        let found: Vec<_> = found.map(|path| path.to_str().unwrap().to_owned()).collect();
        assert!(found.iter().all(|path| files.contains(&&**path)) && !found.is_empty(), "{stream}: {found:?}");
    }
}

#[test]
fn the_model_and_the_test_data_do_no_io() {
    for source in sources().iter().filter(|source| ["model", "testdata", "index"].contains(&&*source.layer)) {
        for item in
            ["fs", "net::Tcp", "TcpStream", "TcpListener", "UdpSocket", "File", "tokio", "stdin", "stdout", "env"]
        {
            assert!(!names(&source.code, item), "{}: names {item}", source.path.display());
        }
    }
}

#[test]
fn operating_systems_differ_in_the_platform_layer_alone() {
    for source in sources().iter().filter(|source| source.layer != "platform") {
        let program = source.code.split("#[cfg(test)]\nmod tests").next().unwrap();
        for item in SYSTEMS {
            assert!(!program.contains(item), "{}: has {item}", source.path.display());
        }
    }
    for item in SYSTEMS {
        let has = |source: &Source| source.layer == "platform" && source.code.contains(item);
        assert!(sources().iter().any(has), "{item}: the platform layer no longer uses this form");
    }
}

#[test]
fn no_file_is_long() {
    for source in sources() {
        assert!(source.lines <= LINES_MAX, "{}: {} lines", source.path.display(), source.lines);
    }
}

#[test]
fn every_file_begins_with_its_purpose() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for source in sources() {
        let text = fs::read_to_string(root.join(&source.path)).unwrap();
        assert!(text.starts_with("//! "), "{}", source.path.display());
    }
}
