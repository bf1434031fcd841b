//! The documents: the README's quick start and the guide's requests, pasted unchanged, and every link.
//!
//! The first test is skipped without `bash` or `curl`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    harness::{CLIENT_ID, CLIENT_SECRET, Server, program},
    process::Process,
    skip::{BASH, CURL, runs},
};

/// A block that follows the log takes five seconds; no block may wait forever.
const BLOCK_WITHIN: Duration = Duration::from_secs(60);
/// How the README runs the program, which is already built here.
const CARGO_RUN: &str = "cargo run --release";

/// The root of the repository.
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The shell blocks of a text.
fn blocks(text: &str) -> Vec<String> {
    text.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_quick_start_and_the_guides_requests_work_as_pasted() {
    if !BASH.is_met(runs("bash", &["--version"])) || !CURL.is_met(runs("curl", &["--version"])) {
        return;
    }
    let readme = read("README.md");
    let quick_start = readme.split("\n## Quick start\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut blocks_of_readme = blocks(quick_start);
    let start = blocks_of_readme.remove(0);
    let guide = ["sending", "querying", "following"].map(|page| blocks(&read(&format!("docs/guide/{page}.md"))));
    let requests = guide.into_iter().flatten().filter(|block| block.contains("$TOKEN"));
    let pasted: Vec<_> = blocks_of_readme.into_iter().chain(requests).collect();
    assert!(start.contains(CARGO_RUN) && pasted.len() > 8, "{pasted:?}");
    let server = Server::start();
    let chosen = |name: &str| start.split(&format!("{name}=")).nth(1).unwrap().lines().next().unwrap().to_owned();
    let (id, secret) = (chosen("AUDITBOX_ADMIN_CLIENT_ID"), chosen("AUDITBOX_ADMIN_CLIENT_SECRET"));
    // Each block runs in a separate shell here, and later ones need only the token of an earlier one.
    let token = format!("TOKEN={}\n", server.token);
    for block in &pasted {
        let block = block
            .replace("http://127.0.0.1:8686", &server.url)
            .replace(&format!("\"{id}\""), &format!("\"{CLIENT_ID}\""))
            .replace(&secret, CLIENT_SECRET)
            .replace(CARGO_RUN, env!("CARGO_BIN_EXE_auditbox"))
            .replace("auditbox --", "auditbox");
        let mut command = Command::new("bash");
        let program = program(server.directory());
        command.current_dir(server.directory());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let begun = Instant::now();
        let mut shell = Process::start(command.args(["-c", &format!("{token}{block}\necho \"end $?\"")]));
        let output = loop {
            let output = shell.output();
            if output.contains("end ") {
                break output;
            }
            assert!(begun.elapsed() < BLOCK_WITHIN, "this block does not return:\n{block}\n{output}\n{}", shell.log());
            std::thread::sleep(Duration::from_millis(20));
        };
        shell.end();
        assert!(!output.contains("\"ok\":false"), "{block}\n{output}");
        // curl exits with 28 after a time-out.
        let expected = if block.contains("--max-time") { "end 28" } else { "end 0" };
        assert!(output.ends_with(&format!("{expected}\n")), "{block}\n{output}\n{}", shell.log());
    }
    assert_eq!(server.list("identifier=deploy-1").identifiers(), ["deploy-1"]);
    assert_eq!(server.list("resources=application").identifiers().len(), 2);
}

/// The Markdown files of the repository.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![PathBuf::from(ROOT)];
    while let Some(directory) = directories.pop() {
        for path in fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !["target", ".git", "corpus", "artifacts"].contains(&&*name) {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found
}

/// The anchors of a document's headings, as code hosts derive them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    headings
        .map(|heading| {
            let kept = heading.to_lowercase().replace(' ', "-");
            kept.chars().filter(|char| char.is_alphanumeric() || matches!(char, '-' | '_')).collect()
        })
        .collect()
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    let (mut links, mut dead) = (0, Vec::new());
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let prose: String = text.split("```").step_by(2).collect();
        let starts = ["](", "src=\"", "srcset=\"", "href=\""];
        let targets = starts.iter().flat_map(|start| prose.split(start).skip(1));
        for target in targets.map(|rest| rest.split([')', '"', ' ']).next().unwrap()) {
            if target.contains("://") || target.starts_with("mailto:") || target.starts_with('/') {
                continue;
            }
            links += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if path.is_empty() { document.clone() } else { document.parent().unwrap().join(path) };
            let has_anchor = || anchor.is_empty() || anchors(&fs::read_to_string(&file).unwrap()).contains(anchor);
            if !file.exists() || !has_anchor() {
                dead.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(links > 60, "{links}");
    assert!(dead.is_empty(), "{dead:#?}");
}
