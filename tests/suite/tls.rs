//! HTTPS: an operator's certificate, real clients, and invalid files.

use std::{
    fs,
    io::{self, Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

use crate::{
    harness::{CLIENT_ID, CLIENT_SECRET, SOON, program, run},
    process::{Process, refusal},
    skip::{CURL, runs},
};

/// A directory with `certificate.pem` and `key.pem` for the loopback address.
fn files() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    fs::write(directory.path().join("certificate.pem"), made.cert.pem()).unwrap();
    fs::write(directory.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    directory
}

/// The program with these files as its certificate and key.
fn secured(directory: &Path, certificate: &str, key: &str) -> Command {
    let mut command = program(directory);
    command.env("AUDITBOX_SERVER_TLS_CERTIFICATE", certificate).env("AUDITBOX_SERVER_TLS_KEY", key);
    command
}

/// A client that trusts only this certificate.
fn client(certificate: &Path) -> Agent {
    let certificate = Certificate::from_pem(&fs::read(certificate).unwrap()).unwrap();
    let roots = RootCerts::Specific(Arc::new(vec![certificate]));
    Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .http_status_as_error(false)
        .timeout_global(Some(SOON))
        .build()
        .into()
}

fn login(client: &Agent, url: &str) -> Result<String, ureq::Error> {
    let body = json!({ "clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET }).to_string();
    let text = client.post(format!("{url}/v1/auth/access_token")).send(body)?.body_mut().read_to_string()?;
    let answer: Value = serde_json::from_str(&text).unwrap();
    Ok(answer["accessToken"].as_str().unwrap().to_owned())
}

#[test]
fn a_client_that_trusts_the_certificate_is_served() {
    let directory = files();
    let mut server = Process::start(&mut secured(directory.path(), "certificate.pem", "key.pem"));
    let url = server.url();
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    let client = client(&directory.path().join("certificate.pem"));
    let bearer = format!("Bearer {}", login(&client, &url).unwrap());
    let event = r#"{"identifier":"e1","action":"READ","resourceType":"x"}"#;
    let sent = client.post(format!("{url}/v1/audit-log")).header("authorization", &bearer).send(event).unwrap();
    assert_eq!(sent.status(), 201);
    let asked = client.get(format!("{url}/v1/audit-log/e1")).header("authorization", &bearer).call().unwrap();
    assert_eq!(asked.status(), 200);
    assert!(server.stop().success());
}

#[test]
fn a_client_that_does_not_trust_the_certificate_is_not_served() {
    let (directory, other) = (files(), files());
    let server = Process::start(&mut secured(directory.path(), "certificate.pem", "key.pem"));
    let url = server.url();
    let stranger = client(&other.path().join("certificate.pem"));
    assert!(login(&stranger, &url).is_err());
    assert!(login(&Agent::new_with_defaults(), &url).is_err());
    assert!(login(&client(&directory.path().join("certificate.pem")), &url).is_ok());
}

#[test]
fn the_command_line_trusts_the_certificate_given_with_ca() {
    let directory = files();
    let server = Process::start(&mut secured(directory.path(), "certificate.pem", "key.pem"));
    let url = server.url();
    let token = login(&client(&directory.path().join("certificate.pem")), &url).unwrap();
    fs::write(directory.path().join("in.ndjson"), r#"{"identifier":"e1","action":"READ","resourceType":"x"}"#).unwrap();
    let connected = |command: &[&str], ca: &[&str]| {
        run(directory.path(), &[command, &["--url", &url, "--token", &token], ca].concat())
    };
    let ca = ["--ca", "certificate.pem"];
    let imported = connected(&["import", "in.ndjson"], &ca);
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    let found = String::from_utf8(connected(&["query", "--json"], &ca).stdout).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&found).unwrap()["identifier"], "e1");
    let refused = connected(&["query"], &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains(&url));
    for (ca, named) in [("nowhere.pem", "nowhere.pem: No such file"), ("key.pem", "key.pem: ")] {
        let refused = connected(&["query"], &["--ca", ca]);
        assert_eq!(refused.status.code(), Some(1));
        let message = String::from_utf8_lossy(&refused.stderr);
        assert!(message.contains(named), "{message}");
    }
    // The health check reads only a status, so it needs no certificate.
    assert!(run(directory.path(), &["healthcheck", "--url", &url]).status.success());
}

#[test]
fn plain_http_on_the_https_port_is_disconnected_without_harm() {
    let directory = files();
    let mut server = Process::start(&mut secured(directory.path(), "certificate.pem", "key.pem"));
    let url = server.url();
    let mut stream = TcpStream::connect(url.trim_start_matches("https://")).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // An alert and the end, or only the end; a timeout would be another kind of error.
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
    let plain: Agent = Agent::config_builder().timeout_global(Some(Duration::from_secs(10))).build().into();
    assert!(plain.get(url.replace("https:", "http:") + "/healthz").call().is_err());
    assert!(login(&client(&directory.path().join("certificate.pem")), &url).is_ok());
    assert!(server.stop().success());
}

/// A connection on which the client offers these protocols (ALPN, RFC 7301); the caller sends and reads.
fn offering(url: &str, certificate: &Path, protocols: &[&str]) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(url.trim_start_matches("https://"))?;
    stream.set_read_timeout(Some(SOON))?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// The server's response to these bytes, until it closes.
fn said_to(mut stream: StreamOwned<ClientConnection, TcpStream>, bytes: &[u8]) -> String {
    // It may close before it has read everything.
    drop(stream.write_all(bytes));
    let mut said = Vec::new();
    if let Err(error) = stream.read_to_end(&mut said) {
        assert!(!matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{error}");
    }
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn http_2_is_not_supported_and_a_client_that_prefers_it_is_served_with_http_1() {
    let directory = files();
    let mut server = Process::start(&mut secured(directory.path(), "certificate.pem", "key.pem"));
    let (url, certificate) = (server.url(), directory.path().join("certificate.pem"));
    let asked = b"GET /healthz HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
    let refused = offering(&url, &certificate, &["h2"]).unwrap_err();
    assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");
    for (offered, chosen) in [(&["h2", "http/1.1"][..], Some(&b"http/1.1"[..])), (&[], None)] {
        let stream = offering(&url, &certificate, offered).unwrap();
        assert_eq!(stream.conn.alpn_protocol(), chosen, "{offered:?}");
        let said = said_to(stream, asked);
        assert!(said.starts_with("HTTP/1.1 200 "), "{offered:?}: {said}");
    }
    // A client that uses HTTP/2 without negotiating it: its preface (RFC 9113 section 3.4) and SETTINGS.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let said = said_to(offering(&url, &certificate, &[]).unwrap(), preface);
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 "), "{said}");
    assert!(server.stop().success());
}

#[test]
fn a_malformed_chunk_is_answered_400_over_tls_too() {
    let directory = files();
    let mut server = Process::start(&mut secured(directory.path(), "certificate.pem", "key.pem"));
    let (url, certificate) = (server.url(), directory.path().join("certificate.pem"));
    let asked = b"POST /v1/auth/access_token HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\ng\r\nx\r\n";
    let said = said_to(offering(&url, &certificate, &[]).unwrap(), asked);
    assert!(said.starts_with("HTTP/1.1 400 ") && said.contains("malformed_body"), "{said}");
    assert!(server.stop().success());
}

#[test]
fn invalid_certificate_and_key_files_are_named() {
    let (directory, other) = (files(), files());
    fs::write(directory.path().join("text.pem"), "To whom it may concern").unwrap();
    fs::write(directory.path().join("empty.pem"), "").unwrap();
    fs::copy(other.path().join("key.pem"), directory.path().join("other.pem")).unwrap();
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    fs::write(directory.path().join("broken.pem"), broken).unwrap();
    for (certificate, key, named) in [
        ("nowhere.pem", "key.pem", "nowhere.pem: No such file"),
        ("certificate.pem", "nowhere.pem", "nowhere.pem: No such file"),
        ("text.pem", "key.pem", "text.pem: contains no certificate"),
        ("empty.pem", "key.pem", "empty.pem: contains no certificate"),
        ("key.pem", "key.pem", "key.pem: contains no certificate"),
        ("broken.pem", "key.pem", "broken.pem: "),
        ("certificate.pem", "text.pem", "text.pem: "),
        ("certificate.pem", "empty.pem", "empty.pem: "),
        ("certificate.pem", "certificate.pem", "certificate.pem: "),
        // A key of another certificate: either file could be the mistake.
        ("certificate.pem", "other.pem", "certificate.pem: "),
        ("certificate.pem", "", "[server] tls_key must be set too"),
        ("", "key.pem", "[server] tls_certificate must be set too"),
    ] {
        let (code, message) = refusal(&mut secured(directory.path(), certificate, key));
        assert_eq!(code, Some(1), "{certificate} {key}: {message}");
        assert!(message.contains(named), "{certificate} {key}: {message}");
    }
}

/// Runs curl against the server, without a proxy and without curl's configuration file.
fn curl(url: &str, arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new("curl");
    command.args(["--disable", "--noproxy", "*", "--silent", "--show-error", "--max-time", "20"]);
    command.args(arguments).arg(format!("{url}/healthz")).output().unwrap()
}

#[test]
fn curl_is_served_with_tls_1_2_and_1_3_only_and_rejects_another_authority() {
    if !CURL.is_met(runs("curl", &["--version"])) {
        return;
    }
    let (directory, other) = (files(), files());
    let server = Process::start(&mut secured(directory.path(), "certificate.pem", "key.pem"));
    let url = server.url();
    let pem = |directory: &TempDir| directory.path().join("certificate.pem").display().to_string();
    let (ours, theirs) = (pem(&directory), pem(&other));
    for (version, spoken) in [("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")] {
        let exact = [&*format!("--tlsv{version}"), "--tls-max", version, "--cacert", &ours, "--verbose"];
        let answer = curl(&url, &exact);
        let said = String::from_utf8_lossy(&answer.stderr);
        assert!(
            answer.status.success() && said.contains(&format!("SSL connection using {spoken}")),
            "{version}: {said}"
        );
        assert!(String::from_utf8_lossy(&answer.stdout).contains("ok"), "{answer:?}");
    }
    // Older versions are offered with ciphers that this client would not try by default.
    for version in ["1.0", "1.1"] {
        let old =
            [&*format!("--tlsv{version}"), "--tls-max", version, "--ciphers", "ALL:@SECLEVEL=0", "--cacert", &ours];
        assert_eq!(curl(&url, &old).status.code(), Some(35), "TLS {version}: the handshake must fail");
    }
    assert_eq!(curl(&url, &["--cacert", &theirs]).status.code(), Some(60), "another authority");
    assert_eq!(curl(&url, &[]).status.code(), Some(60), "the well-known authorities");
    // The certificate names the address, not a host name that resolves to it.
    let port = url.rsplit(':').next().unwrap();
    let named = curl(
        &format!("https://audit.example:{port}"),
        &["--cacert", &ours, "--resolve", &format!("audit.example:{port}:127.0.0.1")],
    );
    assert_eq!(named.status.code(), Some(60), "another name");
}
