//! Commands with `--url`: a server under a path, one that hangs, and one whose connection breaks.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
};

use crate::{
    cli::{bad, counts, directory, err, event, events, good, identifiers, out},
    harness::{Server, eventually, program, run},
    reading::Following,
};

/// A proxy that has the server under the path `/audit`, and passes at most `limit` bytes of a response. Returns its URL.
fn proxy(server: &Server, limit: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let target = server.url.strip_prefix("http://").unwrap().to_owned();
    thread::spawn(move || {
        for client in listener.incoming() {
            let target = target.clone();
            thread::spawn(move || pass(client.unwrap(), &target, limit));
        }
    });
    format!("http://{address}/audit")
}

/// Passes one request and its response.
fn pass(mut client: TcpStream, target: &str, limit: u64) {
    let (mut input, mut head) = (BufReader::new(client.try_clone().unwrap()), String::new());
    while !head.ends_with("\r\n\r\n") {
        if input.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let length = head.to_ascii_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    input.read_exact(&mut body).unwrap();
    assert!(head.split(' ').nth(1).unwrap().starts_with("/audit/"), "{head}");
    let head = head.replacen(" /audit/", " /", 1).replacen("\r\n", "\r\nconnection: close\r\n", 1);
    let mut upstream = TcpStream::connect(target).unwrap();
    upstream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
    // A client may have gone.
    drop(io::copy(&mut upstream.take(limit), &mut client));
    drop(client.shutdown(Shutdown::Both));
}

#[test]
fn a_server_under_a_path_serves_every_command() {
    let server = Server::start();
    server.store(&events("e", 20));
    let (proxy, elsewhere) = (proxy(&server, u64::MAX), directory());
    for url in [proxy.clone(), format!("{proxy}/")] {
        let by_url = ["--url", &url, "--token", &server.token];
        let ask = |arguments: &[&str]| good(elsewhere.path(), &[arguments, &by_url].concat());
        assert_eq!(ask(&["query", "--json", "--limit", "5"]).lines().count(), 5);
        assert_eq!(identifiers(&ask(&["event", "e7"])), ["e7"]);
        assert_eq!(ask(&["export"]).lines().count(), 20);
        assert!(ask(&["stats", "--json"]).contains("\"count\":20"));
        assert!(good(elsewhere.path(), &["healthcheck", "--url", &url]).contains("is ready"));
        fs::write(elsewhere.path().join("in"), event("e1").to_string()).unwrap();
        assert_eq!(counts(&ask(&["import", "in"])), (0, 1, 0));
    }
    let end = server.list("sort=received&order=asc&limit=10000").json()["next"].as_str().unwrap().to_owned();
    let mut tail = program(elsewhere.path());
    let tail =
        Following::start(tail.args(["tail", "--json", "--cursor", &end, "--url", &proxy, "--token", &server.token]));
    server.store(&[event("new")]);
    assert_eq!(identifiers(&tail.next()), ["new"]);
}

#[test]
fn a_server_that_hangs_does_not_hold_a_command() {
    let server = Server::start();
    fs::write(server.directory().join("in"), event("e1").to_string()).unwrap();
    let (by_url, server) = (["--url", &server.url, "--token", &server.token], &server);
    server.signal("STOP");
    // The signal takes effect a little later. Where the system does not say when, the test relies on the start of the commands.
    let state = format!("/proc/{}/stat", server.pid());
    let is_stopped = || fs::read_to_string(&state).ok().is_none_or(|state| state.contains(") T "));
    eventually("the server stops", || is_stopped().then_some(()));
    let ended = thread::scope(|scope| {
        let commands = [&["query"][..], &["export"], &["stats"], &["event", "e1"], &["tail"], &["import", "in"]];
        let asked = commands.map(|command| scope.spawn(move || run(server.directory(), &[command, &by_url].concat())));
        asked.map(|asked| asked.join().unwrap())
    });
    server.signal("CONT");
    for output in ended {
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = err(&output);
        assert!(said.contains(&format!("{}: no response within 10 seconds", server.url)), "{said}");
    }
}

#[test]
fn an_export_over_a_broken_connection_is_incomplete() {
    let server = Server::start();
    server.store(&events("e", 2_000));
    let url = proxy(&server, 8_000);
    for format in ["ndjson", "csv"] {
        let arguments = ["export", "--format", format, "--url", &url, "--token", &server.token];
        let output = run(server.directory(), &arguments);
        assert_eq!(output.status.code(), Some(1), "{}", err(&output));
        let lines = out(&output).matches('\n').count();
        assert!(lines < 2_000);
        let says = format!("the export is incomplete: the server closed the connection after {lines} lines");
        assert!(err(&output).contains(&says), "{}", err(&output));
    }
    assert!(bad(server.directory(), &["export", "--url", "http://127.0.0.1:9", "--token", "x"], 1).contains("refused"));
}
