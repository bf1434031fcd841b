//! Messages of syslog over UDP, TCP and TLS.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    process::Command,
};

use serde_json::{Value, json};

use super::{start, stored};
use crate::{
    harness::{Server, eventually, run},
    skip::{OPENSSL, runs},
};

/// A server with a listener, whose credential exists, and the port of the listener.
pub(super) fn listening(protocol: &str, more: &str) -> (Server, u16) {
    listening_on("127.0.0.1:0", protocol, more)
}

fn listening_on(listen: &str, protocol: &str, more: &str) -> (Server, u16) {
    let config = format!(
        "[[syslog]]\nname = 'main'\nlisten = '{listen}'\nprotocol = '{protocol}'\ncredential = 'sender'\n{more}"
    );
    let server = start(&config);
    server.credential("sender", &["ingest"]);
    let port = port(&server);
    (server, port)
}

pub(super) fn door(server: &Server) -> Value {
    let doors = server.get("/v1/doors").json()["doors"].take();
    doors.as_array().unwrap().iter().find(|door| door["name"] == "syslog/main").unwrap().clone()
}

fn port(server: &Server) -> u16 {
    let address = door(server)["addresses"][0].as_str().unwrap().to_owned();
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

fn wait_for(server: &Server, count: usize) -> Vec<Value> {
    eventually("the messages are stored", || {
        let events = stored(server, "");
        (events.len() >= count).then_some(events)
    })
}

#[test]
fn messages_in_both_framings_are_stored_and_counted() {
    let (server, port) = listening("tcp", "");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"<34>1 2026-01-02T03:04:05Z web app 7 LOGIN - one\n").unwrap();
    let counted = r#"<14>{"action":"user.delete","user":"a"}"#;
    write!(stream, "{} {counted}", counted.len()).unwrap();
    stream.write_all(b"<14>CEF:0|Acme|Gate|1|100|login|5|suser=ada src=192.0.2.7 outcome=failure").unwrap();
    drop(stream);
    let events = wait_for(&server, 3);
    let find =
        |action: &str| events.iter().find(|event| event["action"] == action).unwrap_or_else(|| panic!("{events:#?}"));
    let login = find("LOGIN");
    assert_eq!(login["mapping"], json!({ "preset": "syslog@1", "door": "syslog" }));
    assert_eq!(
        (&login["resourceType"], &login["status"], &login["trigger"]["at"]),
        (&json!("app"), &json!("FAILURE"), &json!("2026-01-02T03:04:05Z"))
    );
    assert_eq!(login["additionalData"]["raw"], "<34>1 2026-01-02T03:04:05Z web app 7 LOGIN - one");
    assert_eq!(find("user.delete")["trigger"]["by"]["name"], "a");
    let gate = find("login");
    assert_eq!((&gate["request"]["ip"], &gate["status"]), (&json!("192.0.2.7"), &json!("FAILURE")));
    assert_eq!((&door(&server)["stored"], &door(&server)["presets"]), (&json!(3), &json!(["syslog"])));
}

#[test]
fn datagrams_are_stored() {
    let (server, port) = listening("udp", "");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..20 {
        socket.send_to(format!("<13>app: message {number}\0").as_bytes(), ("127.0.0.1", port)).unwrap();
    }
    assert_eq!(wait_for(&server, 20).len(), 20);
}

#[test]
fn another_preset_reads_the_payload() {
    let (server, port) = listening("tcp", "preset = 'nginx-json'\n");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let line = r#"{"time_iso8601":"2026-01-02T03:04:05+00:00","remote_addr":"192.0.2.7","request_method":"POST","request_uri":"/a","status":"500"}"#;
    writeln!(stream, "<190>Jan  2 03:04:05 web nginx: {line}").unwrap();
    let event = wait_for(&server, 1).remove(0);
    assert_eq!(
        (&event["action"], &event["status"], &event["request"]["ip"]),
        (&json!("CREATE"), &json!("FAILURE"), &json!("192.0.2.7"))
    );
    assert_eq!(event["additionalData"]["hostname"], "web");
}

#[test]
fn an_address_that_is_not_allowed_is_refused_and_logged() {
    let server = start("[[syslog]]\nname = 'main'\nlisten = '127.0.0.1:0'\nprotocol = 'tcp'\ncredential = 'sender'\n");
    let body = json!({ "name": "sender", "scopes": ["ingest"], "allowIp": ["192.0.2.0/24"] }).to_string();
    let created = server.post("/v1/credentials", &body);
    assert_eq!(created.status, 201, "{}", created.text);
    let mut stream = TcpStream::connect(("127.0.0.1", port(&server))).unwrap();
    let _ = stream.write_all(b"<14>x\n");
    eventually("the connection is refused", || (door(&server)["refused"] == 1).then_some(()));
    assert!(server.log().contains("this address is not allowed"), "{}", server.log());
    assert_eq!(stored(&server, "").len(), 0);
}

#[test]
fn a_long_message_is_cut_and_the_connection_goes_on() {
    let (server, port) = listening("tcp", "frame_bytes_max = 480\n");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    writeln!(stream, "<14>long: {}", "x".repeat(100_000)).unwrap();
    writeln!(stream, "<14>short: y").unwrap();
    let events = wait_for(&server, 2);
    let long = events.iter().find(|event| event["resourceType"] == "long").unwrap();
    assert_eq!(long["additionalData"]["truncated"], true);
    assert_eq!(long["additionalData"]["raw"].as_str().unwrap().len(), 480);
}

#[test]
fn what_has_arrived_is_stored_when_the_server_stops() {
    let (mut server, port) = listening("tcp", "");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    writeln!(stream, "<14>app: first").unwrap();
    wait_for(&server, 1);
    for number in 0..5_000 {
        writeln!(stream, "<14>app: {number}").unwrap();
    }
    server.signal("TERM");
    assert!(server.wait().success());
    server.start_again();
    let counted = server.get("/v1/audit-log/stats?not.origin=auditbox").json();
    assert_eq!(counted["count"], 5_001, "{counted}");
}

#[test]
fn a_sender_with_a_certificate_may_send_over_tls() {
    if !OPENSSL.is_met(runs("openssl", &["version"])) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(directory.path().join("cert.pem"), key.cert.pem()).unwrap();
    fs::write(directory.path().join("key.pem"), key.signing_key.serialize_pem()).unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let more = format!(
        "tls_certificate = '{}'\ntls_key = '{}'\nclient_ca = '{}'\n",
        path("cert.pem"),
        path("key.pem"),
        path("cert.pem")
    );
    let (server, port) = listening("tls", &more);
    let target = format!("127.0.0.1:{port}");
    let send = |with: &[&str]| {
        let mut client = Command::new("openssl")
            .args(["s_client", "-quiet", "-connect", &target])
            .args(with)
            .stdin(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let _ = client.stdin.take().unwrap().write_all(b"<14>app: over TLS\n");
        client
    };
    let mut without = send(&[]);
    eventually("the sender without a certificate is refused", || (door(&server)["refused"] == 1).then_some(()));
    let mut with = send(&["-cert", &path("cert.pem"), "-key", &path("key.pem")]);
    assert_eq!(wait_for(&server, 1).len(), 1);
    for client in [&mut without, &mut with] {
        let _ = client.kill();
        client.wait().unwrap();
    }
}

#[test]
fn invalid_listeners_are_rejected_with_their_place() {
    let listener = "[[syslog]]\nname = 'main'\nlisten = '127.0.0.1:0'\n";
    for (more, message) in [
        ("protocol = 'tcp'\n", "must have the key credential"),
        ("protocol = 'http'\n", "must be udp, tcp or tls"),
        ("protocol = 'tls'\ncredential = 'sender'\n", "must have the keys tls_certificate and tls_key"),
        ("protocol = 'tcp'\ncredential = 'sender'\nzone = 'Mars'\n", "syslog.zone"),
        ("protocol = 'tcp'\ncredential = 'sender'\nframe_bytes_max = 1\n", "syslog.frame_bytes_max must be"),
        ("protocol = 'tcp'\ncredential = 'sender'\npreset = 'no'\n", "must be a preset"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("auditbox.toml"), format!("{listener}{more}")).unwrap();
        let output = run(directory.path(), &["check-config", "--config", "auditbox.toml"]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(message), "{more}: {error}");
    }
}

#[test]
fn a_listener_is_printed_and_its_address_must_be_free() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let config = format!("[[syslog]]\nname = 'main'\nlisten = '{address}'\nprotocol = 'tcp'\ncredential = 'sender'\n");
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("auditbox.toml"), &config).unwrap();
    let output = run(directory.path(), &["check-config", "--config", "auditbox.toml"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("[[syslog]]\n"), "{text}");
    let output = run(directory.path(), &["serve", "--config", "auditbox.toml"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains(&format!("[[syslog]] main: cannot listen on {address}")), "{error}");
    assert!(!directory.path().join("auditbox.db").exists());
}

#[test]
fn listeners_of_ipv6_take_datagrams_and_connections() {
    for protocol in ["udp", "tcp"] {
        let (server, port) = listening_on("[::1]:0", protocol, "");
        let target = ("::1", port);
        match protocol {
            "udp" => drop(UdpSocket::bind("[::1]:0").unwrap().send_to(b"<14>app: x", target).unwrap()),
            _ => TcpStream::connect(target).unwrap().write_all(b"<14>app: x\n").unwrap(),
        }
        assert_eq!(wait_for(&server, 1)[0]["resourceType"], "app");
    }
}

#[test]
fn more_connections_than_allowed_are_closed_and_counted() {
    let (server, port) = listening("tcp", "connections_max = 2\n");
    let open: Vec<_> = (0..2)
        .map(|number| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            writeln!(stream, "<14>app: {number}").unwrap();
            stream
        })
        .collect();
    wait_for(&server, 2);
    let mut refused = TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert_eq!(refused.read(&mut [0; 8]).unwrap_or(0), 0, "the connection is closed");
    assert!(door(&server)["lastProblem"]["message"].as_str().unwrap().contains("connections_max"), "{}", door(&server));
    drop(open);
    eventually("there is room again", || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let _ = writeln!(stream, "<14>app: again");
        (stored(&server, "").len() > 2).then_some(())
    });
}
