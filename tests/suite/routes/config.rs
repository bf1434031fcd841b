//! What `[[routes]]` may say, and how a mistake is reported.

use std::{fs, path::Path};

use crate::{
    cli::{bad, directory, good},
    harness::program,
};

const ROUTE: &str = "[[routes]]\nname = 'a'\npreset = 'github'\ncredential = 'c'\n";

/// Checks a configuration file.
fn check(directory: &Path, config: &str) {
    fs::write(directory.join("auditbox.toml"), config).unwrap();
}

#[test]
fn a_mistake_is_reported_with_file_and_line() {
    let directory = directory();
    let signature = |keys: &str| format!("{ROUTE}signature = {{ {keys} }}\n");
    let key = "keys = ['0123456789']";
    for (config, line, message) in [
        ("[[routes]]\nname = 'a'\n".to_owned(), 1, "must have the key preset"),
        ("[[routes]]\npreset = 'github'\n".to_owned(), 1, "must have the key name"),
        (format!("{ROUTE}presets = 'github'\n"), 5, "presets is not a key; the keys are name, preset"),
        ("[[routes]]\nname = 'a'\npreset = 'gitbub'\n".to_owned(), 3, "must be a preset; the presets are auditbox"),
        ("[[routes]]\nname = 'A b'\n".to_owned(), 2, "must be 1 to 64 of a to z"),
        (format!("{ROUTE}\n{ROUTE}"), 6, "two routes with the name \"a\""),
        (format!("{ROUTE}dedupe = 'id'\n"), 5, "must be delivery, content, none, or a pointer"),
        (format!("{ROUTE}dedupe = '/a~2'\n"), 5, "has a ~ that is neither"),
        (format!("{ROUTE}key_header = 'a b'\n"), 5, "must be the name of a header"),
        (format!("{ROUTE}body_bytes_max = 0\n"), 5, "must be a whole number from 1"),
        (format!("{ROUTE}requests_per_second_max = 1.5\n"), 5, "must be a whole number from 1 to 1000000"),
        (
            format!("{ROUTE}credential = 'import'\n").replacen("credential = 'c'\n", "", 1),
            4,
            "is reserved for auditbox",
        ),
        (signature("scheme = 'github'"), 5, "must have the key keys"),
        (signature(&format!("scheme = 'gitbub', {key}")), 5, "it must be one of github, gitlab"),
        (signature(&format!("scheme = 'github', prefix = 'x', {key}")), 5, "takes only keys and tolerance_seconds"),
        (signature("scheme = 'github', keys = ['short']"), 5, "has a key that has fewer than 8 bytes"),
        (signature("scheme = 'svix', keys = ['whsec_no/base64!']"), 5, "has a key that is not base64"),
        (signature("scheme = 'github', keys = []"), 5, "must be a list of 1 to 10 strings"),
        (signature(&format!("scheme = 'secret', {key}")), 5, "needs header with the scheme secret"),
        (signature(&format!("header = 'x', {key}")), 5, "needs encoding: hex or base64"),
        (signature(&format!("header = 'x', encoding = 'hex', signed = '{{body', {key}")), 5, "has a { without a }"),
        (
            signature(&format!("header = 'x', encoding = 'hex', signed = '{{timestamp}}{{body}}', {key}")),
            5,
            "needs both {timestamp} in signed and the header timestamp",
        ),
        (signature(&format!("scheme = 'github', tolerance_seconds = 0, {key}")), 5, "must be a whole number from 1"),
        (signature(&format!("scheme = 'github', key = '0123456789', {key}")), 5, "is not a key; the keys are scheme"),
        (
            signature(&format!("scheme = 'github', {key}")).replace("credential = 'c'\n", ""),
            1,
            "must have the key credential",
        ),
        ("routes = 5\n".to_owned(), 1, "must be a list of entries"),
    ] {
        check(directory.path(), &config);
        let said = bad(directory.path(), &["--config", "auditbox.toml", "check-config"], 1);
        assert!(said.contains(&format!("auditbox.toml:{line}: ")) && said.contains(message), "{config}: {said}");
        for secret in ["0123456789", "short", "no/base64"] {
            assert!(!said.contains(secret) || message.contains(secret), "{config}: {said}");
        }
    }
    // The parser of TOML would show the line, with the key in it.
    check(directory.path(), &format!("{ROUTE}signature = {{ scheme = 'github', keys = ['0123456789] }}\n"));
    let said = bad(directory.path(), &["--config", "auditbox.toml", "check-config"], 1);
    assert!(said.contains("auditbox.toml") && said.contains("line 5") && !said.contains("0123456789"), "{said}");
}

#[test]
fn check_config_prints_routes_without_their_keys() {
    let directory = directory();
    let keys = "keys = ['a-key-of-github', 'env:GITHUB_KEY', 'file:/run/key']";
    check(directory.path(), &format!("{ROUTE}dedupe = '/id'\nsignature = {{ scheme = 'github', {keys} }}\n"));
    let printed = good(directory.path(), &["--config", "auditbox.toml", "check-config"]);
    let expected = "[[routes]]\ncredential = \"c\"\ndedupe = \"/id\"\nname = \"a\"\npreset = \"github\"\n";
    assert!(printed.contains(expected), "{printed}");
    assert!(printed.contains(r#""keys" = ["[masked]", "env:GITHUB_KEY", "file:/run/key"]"#), "{printed}");
    assert!(!printed.contains("a-key-of-github"), "{printed}");
    // The output is a configuration.
    check(directory.path(), &printed);
    assert_eq!(good(directory.path(), &["--config", "auditbox.toml", "check-config"]), printed);
}

#[test]
fn a_key_that_cannot_be_read_is_an_error_of_the_start() {
    let directory = directory();
    for (source, message) in [
        ("env:NO_SUCH_KEY", "the environment variable NO_SUCH_KEY is not set"),
        ("file:none", "the file none cannot be read"),
        ("file:short", "the file short has fewer than 8 bytes"),
    ] {
        fs::write(directory.path().join("short"), "0123456\n").unwrap();
        check(directory.path(), &format!("{ROUTE}signature = {{ scheme = 'github', keys = ['{source}'] }}\n"));
        let output = program(directory.path()).args(["--config", "auditbox.toml"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("[[routes]] a: ") && said.contains(message), "{said}");
        assert!(!directory.path().join("auditbox.db").exists(), "{said}");
    }
}

#[test]
fn the_routes_and_presets_of_the_guide_are_valid() {
    let guide = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/formats.md")).unwrap();
    let section = guide.split("\n## Routes\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let blocks: Vec<_> =
        section.split("```toml\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned()).collect();
    let (presets, others): (Vec<_>, Vec<_>) = blocks.into_iter().partition(|block| block.starts_with("[presets."));
    assert_eq!((presets.len(), others.len()), (1, 2));
    let rows: Vec<_> = section.lines().filter(|line| line.contains("`preset = ")).collect();
    assert_eq!(rows.len(), 6);
    let directory = directory();
    for (number, row) in rows.iter().enumerate() {
        let lines: Vec<_> = row.split('`').filter(|text| text.contains(" = ")).collect();
        let name = format!("name = \"row-{number}\"");
        let name = if lines.iter().any(|line| line.starts_with("name = ")) { "" } else { &name };
        check(directory.path(), &format!("{}\n[[routes]]\n{name}\n{}\n", presets[0], lines.join("\n")));
        good(directory.path(), &["--config", "auditbox.toml", "check-config"]);
    }
    check(directory.path(), &others.concat());
    good(directory.path(), &["--config", "auditbox.toml", "check-config"]);
}
