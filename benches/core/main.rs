//! Measures the core: import, ingest over HTTP, group commit, lists, memory.
//!
//! `cargo bench --bench core` runs the release program on files in a temporary directory, with the load generator on
//! the same machine, and prints one line per figure. Names after `--` (import, batches, single, `group_commit`, lists,
//! mapping, doors, syslog, idle) select parts. `AUDITBOX_REAL_EVENTS` names a zstd-compressed NDJSON file to use instead of synthetic events;
//! `AUDITBOX_BENCH_EVENTS` sets how many events are loaded (520,000).

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints its figures, and panics if it cannot measure them"
)]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures are printed with a few digits"
)]

mod doors;
mod mapping;
mod server;

use std::{
    env, fs,
    io::{BufWriter, Read, Write},
    path::Path,
    process::Command,
    time::Instant,
};

use auditbox::{model::timestamp::Timestamp, testdata::Generator};

use server::{PROGRAM, Server, command};

/// Makes fsync take 5 ms longer in the program that loads it.
const SLOW_FSYNC: &str = "#include <dlfcn.h>\n#include <unistd.h>\nstatic void wait5(void){usleep(5000);}\n\
    int fsync(int f){static int(*n)(int);if(!n)n=dlsym(((void*)-1l),\"fsync\");wait5();return n(f);}\n\
    int fdatasync(int f){static int(*n)(int);if(!n)n=dlsym(((void*)-1l),\"fdatasync\");wait5();return n(f);}\n";

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let count: usize = env::var("AUDITBOX_BENCH_EVENTS").map_or(520_000, |text| text.parse().unwrap());
    let (events, source) = events(count);
    println!("{count} events ({source}), mean {} bytes\n", events.iter().map(String::len).sum::<usize>() / count);
    println!("binary: {:.1} MB", megabytes(fs::metadata(PROGRAM).unwrap().len()));

    // Names after `--` select parts. Lists read the file that the import creates.
    let chosen: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |part: &str| chosen.is_empty() || chosen.iter().any(|name| name == part);
    if wanted("import") || wanted("lists") {
        import(directory.path(), &events);
    }
    if wanted("batches") {
        batches(&events);
    }
    if wanted("single") {
        single(&events);
    }
    if wanted("group_commit") {
        group_commit(directory.path(), &events);
    }
    if wanted("lists") {
        lists(directory.path(), &events);
    }
    if wanted("mapping") {
        mapping::measure();
    }
    if wanted("doors") {
        doors::cpu(&events);
    }
    if wanted("syslog") {
        doors::syslog();
    }
    if wanted("idle") {
        doors::idle();
    }
}

/// The events to load, each with a unique identifier.
fn events(count: usize) -> (Vec<String>, &'static str) {
    let Ok(path) = env::var("AUDITBOX_REAL_EVENTS") else {
        let now = Timestamp::now();
        return (Generator::new(1, count as u64, now, 30 * 86_400).collect(), "synthetic");
    };
    let mut text = String::new();
    zstd::Decoder::new(fs::File::open(path).unwrap()).unwrap().read_to_string(&mut text).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let fresh = |n: usize| {
        lines[n % lines.len()].replacen("{\"identifier\":\"", &format!("{{\"identifier\":\"{}-", n / lines.len()), 1)
    };
    ((0..count).map(fresh).collect(), "real, repeated with fresh identifiers")
}

fn import(directory: &Path, events: &[String]) {
    let (input, database) = (directory.join("events.ndjson"), directory.join("import.db"));
    let mut out = BufWriter::new(fs::File::create(&input).unwrap());
    for event in events {
        writeln!(out, "{event}").unwrap();
    }
    drop(out);
    let begun = Instant::now();
    let run = command(&database).arg("import").arg(&input).output().unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let (raw, stored) = (fs::metadata(&input).unwrap().len(), fs::metadata(&database).unwrap().len());
    println!("import into the file: {:.0} events/s", events.len() as f64 / seconds);
    println!(
        "file: {:.0} MB for {:.0} MB of JSON ({:.2})",
        megabytes(stored),
        megabytes(raw),
        stored as f64 / raw as f64
    );
}

fn batches(events: &[String]) {
    let server = Server::start(&[]);
    let bodies: Vec<String> = events.chunks(500).map(|batch| batch.join("\n")).collect();
    let result = server.post(&bodies, 4);
    println!("HTTP, batches of 500, 4 connections: {:.0} events/s; {}", result.rate * 500.0, result.shown());
}

fn single(events: &[String]) {
    let server = Server::start(&[]);
    println!("idle memory: {:.1} MB", server.resident_megabytes());
    for connections in [1, 64] {
        let take = if connections == 1 { 20_000 } else { 200_000 };
        let (from, to) = if connections == 1 { (0, take) } else { (20_000, 20_000 + take) };
        let result = server.post(&events[from.min(events.len())..to.min(events.len())], connections);
        println!(
            "HTTP, one event per request, {connections} connections: {:.0} requests/s; {}",
            result.rate,
            result.shown()
        );
    }
}

fn group_commit(directory: &Path, events: &[String]) {
    let (source, library) = (directory.join("slow_fsync.c"), directory.join("slow_fsync.so"));
    fs::write(&source, SLOW_FSYNC).unwrap();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl").status();
    if !built.is_ok_and(|status| status.success()) {
        println!("fsync 5 ms slower: skipped, there is no C compiler");
        return;
    }
    let server = Server::start(&[("LD_PRELOAD", library.to_str().unwrap())]);
    let one = server.post(&events[..200], 1);
    let many = server.post(&events[200..10_200.min(events.len())], 64);
    println!(
        "fsync 5 ms slower: {:.0} requests/s on 1 connection, {:.0} on 64 ({:.0} times)",
        one.rate,
        many.rate,
        many.rate / one.rate
    );
}

fn lists(directory: &Path, events: &[String]) {
    let server = Server::start_on(&directory.join("import.db"), &[]);
    let entity = most_common_entity(events);
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("entity", &entity).finish();
    for (what, path, times) in [
        ("one entity, limit=100", format!("/v1/audit-log?{query}&limit=100"), 2_000),
        ("everything, limit=100", "/v1/audit-log?limit=100".to_owned(), 2_000),
        ("one event", format!("/v1/audit-log/{}", identifier(&events[events.len() / 2])), 2_000),
    ] {
        let result = server.get(&path, times);
        println!("GET {what}: {}", result.shown());
    }
    let before = server.resident_megabytes();
    for _ in 0..20 {
        server.get("/v1/audit-log?limit=10000", 1);
    }
    println!("GET limit=10000, 20 times: memory grew by {:.1} MB", server.peak_megabytes() - before);
}

fn most_common_entity(events: &[String]) -> String {
    let mut counts = std::collections::HashMap::<String, usize>::new();
    for event in events.iter().take(50_000) {
        let event: serde_json::Value = serde_json::from_str(event).unwrap();
        if let Some(entity) = event["context"]["entity"].as_str() {
            *counts.entry(entity.to_owned()).or_default() += 1;
        }
    }
    counts.into_iter().max_by_key(|(_, count)| *count).unwrap().0
}

fn identifier(event: &str) -> String {
    let event: serde_json::Value = serde_json::from_str(event).unwrap();
    let identifier = event["identifier"].as_str().unwrap();
    form_urlencoded::byte_serialize(identifier.as_bytes()).collect::<String>().replace('+', "%20")
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
