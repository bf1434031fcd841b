//! README's first five minutes, pasted as they stand, one block after the other.
//!
//! The test is skipped without `bash` or `curl`.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    harness::{CLIENT_ID, CLIENT_SECRET, Server, program},
    process::Process,
    skip::{BASH, CURL, runs},
};

/// A block waits for five seconds at most, for what it follows; no block may wait for ever.
const BLOCK_WITHIN: Duration = Duration::from_secs(60);
/// What README calls the program; built already here.
const CARGO_RUN: &str = "cargo run --release";

/// The shell blocks of a section.
fn blocks(readme: &str, section: &str) -> Vec<String> {
    let text = readme.split(&format!("\n## {section}\n")).nth(1).unwrap();
    let text = text.split("\n## ").next().unwrap();
    text.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn every_line_of_the_first_five_minutes_works_as_pasted_and_returns() {
    if !BASH.is_met(runs("bash", &["--version"])) || !CURL.is_met(runs("curl", &["--version"])) {
        return;
    }
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let blocks = blocks(&readme, "Five minutes");
    let (start, pasted) = blocks.split_first().unwrap();
    assert!(start.contains(CARGO_RUN) && pasted.len() > 8, "{blocks:?}");
    let server = Server::start();
    let chosen = |name: &str| start.split(&format!("{name}=")).nth(1).unwrap().lines().next().unwrap().to_owned();
    let (id, secret) = (chosen("AUDITBOX_ADMIN_CLIENT_ID"), chosen("AUDITBOX_ADMIN_CLIENT_SECRET"));
    // Each block is a shell of its own here; the token is the one thing that a later one needs of an earlier.
    let token = format!("TOKEN={}\n", server.token);
    for block in pasted {
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
            assert!(begun.elapsed() < BLOCK_WITHIN, "this does not return:\n{block}\n{output}\n{}", shell.log());
            std::thread::sleep(Duration::from_millis(20));
        };
        shell.end();
        assert!(!output.contains("\"ok\":false"), "{block}\n{output}");
        // 28 is how curl says that its time was over.
        let expected = if block.contains("--max-time") { "end 28" } else { "end 0" };
        assert!(output.ends_with(&format!("{expected}\n")), "{block}\n{output}\n{}", shell.log());
    }
    assert_eq!(server.list("identifier=deploy-1").identifiers(), ["deploy-1"]);
    assert_eq!(server.list("resources=application").identifiers().len(), 2);
}
