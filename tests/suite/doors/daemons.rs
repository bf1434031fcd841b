//! Real programs that are no libraries: daemons and tools that write syslog or deliver over HTTP, from Debian's packages.

use std::{
    collections::BTreeSet,
    env,
    fmt::Write as _,
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use super::{start, stored};
use crate::{
    harness::{Server, eventually, soon},
    skip::{LOGGER, PYTHON, SENDERS, runs},
};

/// Programs of Debian's packages, and a directory for their files.
pub(super) struct Programs {
    directory: tempfile::TempDir,
    /// Where the packages are unpacked.
    packages: PathBuf,
}

/// A program that is stopped at the end of its test.
pub(super) struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The environment variables by which a server's senders find it.
pub(super) struct Target<'t> {
    /// `http://127.0.0.1:<port>`
    pub(super) url: &'t str,
    pub(super) token: &'t str,
}

impl Programs {
    /// `None` if the packages are not installed.
    pub(super) fn find() -> Option<Self> {
        let packages = env::var_os("AUDITBOX_SENDERS").map(|directory| PathBuf::from(directory).join("debian"));
        let packages = packages.filter(|directory| directory.exists());
        let is_met = SENDERS.is_met(packages.is_some()) && LOGGER.is_met(runs("logger", &["--version"]));
        packages.filter(|_| is_met).map(|packages| Self { directory: tempfile::tempdir().unwrap(), packages })
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// Writes a file of configuration; returns its path.
    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn packaged(&self, path: &str) -> String {
        self.packages.join(path).display().to_string()
    }

    /// Starts a daemon with the libraries of the packages. Its output goes to a file.
    fn daemon(&self, program: &str, arguments: &[&str]) -> Daemon {
        let libraries = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/syslog-ng"];
        let libraries: Vec<String> = libraries.iter().map(|directory| self.packaged(directory)).collect();
        let log = fs::File::create(self.path(&format!("{}.log", program.rsplit('/').next().unwrap()))).unwrap();
        let mut command = Command::new(self.packages.join(program));
        command.args(arguments).env("LD_LIBRARY_PATH", libraries.join(":")).current_dir(self.directory.path());
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Daemon(command.spawn().unwrap())
    }

    /// What the programs have written.
    pub(super) fn logs(&self) -> String {
        let entries = fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap().path());
        let logs = entries.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
        logs.map(|path| fs::read_to_string(path).unwrap_or_default()).collect::<Vec<_>>().join("\n")
    }

    /// rsyslog with these outputs. Returns the socket on which it takes messages.
    fn rsyslog(&self, outputs: &str) -> (Daemon, String) {
        let (socket, pid, work) =
            (self.path("rsyslog.sock"), self.path("rsyslog.pid"), self.directory.path().display());
        let input = format!(
            "global(workDirectory=\"{work}\")\nmodule(load=\"imuxsock\" SysSock.Use=\"off\")\n\
             module(load=\"omelasticsearch\")\ninput(type=\"imuxsock\" Socket=\"{socket}\" RateLimit.Interval=\"0\")\n"
        );
        let config = self.write("rsyslog.conf", &format!("{input}{outputs}"));
        let modules = self.packaged("usr/lib/x86_64-linux-gnu/rsyslog");
        let daemon = self.daemon("usr/sbin/rsyslogd", &["-n", "-f", &config, "-M", &modules, "-i", &pid]);
        self.wait_for(&socket);
        (daemon, socket)
    }

    /// rsyslog that delivers to the bulk API. Every message has a key.
    pub(super) fn rsyslog_to_bulk(&self, target: &Target<'_>) -> (Daemon, String) {
        self.rsyslog(&bulk_output(target))
    }

    /// syslog-ng with these destinations, all of which get every message. Returns the socket on which it takes messages.
    fn syslog_ng(&self, destinations: &[String]) -> (Daemon, String) {
        let socket = self.path("syslog-ng.sock");
        let mut config = format!(
            "@version: 3.38\noptions {{ stats-freq(0); keep-hostname(yes); use-uniqid(yes); time-reopen(1); }};\n\
             source local {{ unix-dgram(\"{socket}\"); }};\n"
        );
        for (number, destination) in destinations.iter().enumerate() {
            writeln!(
                config,
                "destination d{number} {{ {destination} }};\nlog {{ source(local); destination(d{number}); }};"
            )
            .unwrap();
        }
        let config = self.write("syslog-ng.conf", &config);
        let (modules, persist) = (self.packaged("usr/lib/syslog-ng/3.38"), self.path("persist"));
        let (control, pid) = (self.path("control"), self.path("pid"));
        let arguments = [
            "-F",
            "-e",
            "--no-caps",
            "-f",
            &config,
            "--module-path",
            &modules,
            "-R",
            &persist,
            "-c",
            &control,
            "-p",
            &pid,
        ];
        let daemon = self.daemon("usr/sbin/syslog-ng", &arguments);
        self.wait_for(&socket);
        (daemon, socket)
    }

    /// syslog-ng that delivers to the bulk API. Every message has a key.
    pub(super) fn syslog_ng_to_bulk(&self, target: &Target<'_>) -> (Daemon, String) {
        self.syslog_ng(&[bulk_destination(target)])
    }

    /// Waits for a file or socket that a program creates.
    fn wait_for(&self, path: &str) {
        assert!(soon(|| Path::new(path).exists()), "{path}: {}", self.logs());
    }
}

/// The output of rsyslog to the bulk API.
fn bulk_output(Target { url, token }: &Target<'_>) -> String {
    let (server, port) = url.rsplit_once(':').unwrap();
    format!(
        r#"template(name="document" type="list" option.jsonf="on") {{
  property(outname="@timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
  constant(outname="event.action" value="rsyslog.bulk" format="jsonf")
  property(outname="message" name="msg" position.from="2" format="jsonf")
}}
template(name="key" type="string" string="%uuid%")
action(type="omelasticsearch" server="{server}" serverport="{port}" uid="x" pwd="{token}" searchIndex="audit" searchType=""
  bulkmode="on" template="document" bulkid="key" dynbulkid="on" writeoperation="create"
  action.resumeRetryCount="-1" action.resumeInterval="1")
"#
    )
}

/// The destination of syslog-ng that is the bulk API.
fn bulk_destination(Target { url, token }: &Target<'_>) -> String {
    format!(
        r#"http(url("{url}/_bulk") method("POST") user("x") password("{token}") headers("Content-Type: application/x-ndjson")
  body('{{"create":{{"_index":"audit","_id":"$UNIQID"}}}}
$(format-json @timestamp=$ISODATE event.action=syslog-ng.bulk message=$MESSAGE)
') batch-lines(20) batch-timeout(200) retries(100) delimiter(""));"#
    )
}

/// Sends a message with util-linux's `logger`.
pub(super) fn logger(arguments: &[&str], message: &str) {
    assert!(Command::new("logger").args(arguments).arg(message).status().unwrap().success());
}

/// A server with listeners, and programs that send to it.
struct Site {
    server: Server,
    token: String,
    programs: Programs,
}

impl Site {
    /// A server with listeners, each a name, a protocol and a preset. `None` if the packages are not installed.
    fn with_listeners(listeners: &[(&str, &str, &str)]) -> Option<Self> {
        let programs = Programs::find()?;
        let listener = |(name, protocol, preset): &(&str, &str, &str)| {
            format!(
                "[[syslog]]\nname = '{name}'\nlisten = '127.0.0.1:0'\nprotocol = '{protocol}'\ncredential = 'sender'\npreset = '{preset}'\n"
            )
        };
        let server = start(&listeners.iter().map(listener).collect::<String>());
        let token = server.credential("sender", &["ingest"]);
        Some(Self { server, token, programs })
    }

    fn target(&self) -> Target<'_> {
        Target { url: &self.server.url, token: &self.token }
    }

    /// The port of a listener.
    fn port(&self, name: &str) -> u16 {
        let doors = self.server.get("/v1/doors").json()["doors"].take();
        let name = format!("syslog/{name}");
        let door = doors.as_array().unwrap().iter().find(|door| door["name"] == name).unwrap().clone();
        door["addresses"][0].as_str().unwrap().rsplit_once(':').unwrap().1.parse().unwrap()
    }

    /// Waits until `count` events match a query.
    fn wait_for(&self, query: &str, count: usize) -> Vec<Value> {
        let (query, mut found) = (format!("limit=1000&{query}"), Vec::new());
        let is_there = soon(|| {
            found = stored(&self.server, &query);
            found.len() >= count
        });
        let logs = self.programs.logs();
        assert!(is_there, "{query}: {} of {count}: {found:#?}\n{logs}\n{}", found.len(), self.server.log());
        found
    }

    /// Waits until `count` events match a query, whose messages differ.
    fn wait_for_messages(&self, query: &str, count: usize) {
        let events = self.wait_for(query, count);
        let messages: BTreeSet<&str> = events.iter().filter_map(|event| event["message"].as_str()).collect();
        assert_eq!(messages.len(), count, "{query}: {events:#?}");
    }
}

#[test]
fn logger_sends_over_udp_and_tcp_in_each_of_its_forms() {
    let Some(site) = Site::with_listeners(&[("udp", "udp", "syslog"), ("tcp", "tcp", "syslog")]) else { return };
    let (udp, tcp) = (site.port("udp").to_string(), site.port("tcp").to_string());
    for (transport, port) in [("--udp", &udp), ("--tcp", &tcp)] {
        for form in [&["--rfc3164"][..], &["--rfc5424"], &["--rfc5424=notq", "--octet-count"]] {
            let target = [transport, "--server", "127.0.0.1", "--port", port, "--tag", "shop", "--id=77"];
            logger(&[&target, form, &["--priority", "auth.err"]].concat(), "the role was changed");
        }
    }
    for event in site.wait_for("", 6) {
        assert_eq!(
            (&event["resourceType"], &event["status"], &event["message"]),
            (&json!("shop"), &json!("FAILURE"), &json!("the role was changed")),
            "{event}"
        );
        assert_eq!(event["additionalData"]["facility"], "auth", "{event}");
    }
}

/// Sends a message over UDP and one over TCP, to the two ports.
const SCRIPT: &str = "import logging, logging.handlers, socket, sys\n\
        for port, kind in ((int(sys.argv[1]), socket.SOCK_DGRAM), (int(sys.argv[2]), socket.SOCK_STREAM)):\n    \
            handler = logging.handlers.SysLogHandler(('127.0.0.1', port), socktype=kind)\n    \
            handler.ident = 'shop: '\n    \
            logger = logging.Logger('shop')\n    \
            logger.addHandler(handler)\n    \
            logger.error('the role was changed')\n    \
            handler.close()\n";

#[test]
fn the_handler_of_python_sends_over_udp_and_tcp() {
    let Some(site) = Site::with_listeners(&[("udp", "udp", "syslog"), ("tcp", "tcp", "syslog")]) else { return };
    if !PYTHON.is_met(runs("python3", &["--version"])) {
        return;
    }
    let ports = [site.port("udp").to_string(), site.port("tcp").to_string()];
    assert!(Command::new("python3").args(["-c", SCRIPT]).args(ports).status().unwrap().success());
    for event in site.wait_for("", 2) {
        assert_eq!(
            (&event["resourceType"], &event["status"], &event["message"]),
            (&json!("shop"), &json!("FAILURE"), &json!("the role was changed")),
            "{event}"
        );
    }
}

/// Messages that each of the daemons gets.
const MESSAGES: usize = 50;

fn send_messages(socket: &str, tag: &str) {
    for number in 0..MESSAGES {
        logger(&["--socket", socket, "--tag", tag, "--id=77"], &format!("role {number} was changed"));
    }
}

#[test]
fn rsyslog_sends_in_both_framings_over_udp_and_to_the_bulk_api() {
    let Some(site) = Site::with_listeners(&[("tcp", "tcp", "syslog"), ("udp", "udp", "syslog")]) else { return };
    let (port, udp) = (site.port("tcp"), site.port("udp"));
    let forward = |tag: &str, target: &str, template: &str| {
        format!(
            "if $programname == '{tag}' then action(type=\"omfwd\" target=\"127.0.0.1\" {target} template=\"{template}\")\n"
        )
    };
    let counted = format!("port=\"{port}\" protocol=\"tcp\" TCP_Framing=\"octet-counted\"");
    let outputs = [
        forward("counted", &counted, "RSYSLOG_SyslogProtocol23Format"),
        forward("lines", &format!("port=\"{port}\" protocol=\"tcp\""), "RSYSLOG_TraditionalForwardFormat"),
        forward("datagrams", &format!("port=\"{udp}\" protocol=\"udp\""), "RSYSLOG_ForwardFormat"),
        "if $programname != 'bulk' then stop\n".to_owned(),
        bulk_output(&site.target()),
    ];
    let (_daemon, socket) = site.programs.rsyslog(&outputs.concat());
    for tag in ["counted", "lines", "datagrams", "bulk"] {
        send_messages(&socket, tag);
    }
    for tag in ["counted", "lines", "datagrams"] {
        site.wait_for_messages(&format!("resources={tag}"), MESSAGES);
    }
    site.wait_for_messages("action=rsyslog.bulk", MESSAGES);
}

#[test]
fn syslog_ng_sends_in_both_framings_and_batches_over_http() {
    let Some(site) = Site::with_listeners(&[("counted", "tcp", "syslog"), ("lines", "tcp", "syslog")]) else { return };
    let (counted, lines, url, token) = (site.port("counted"), site.port("lines"), &site.server.url, &site.token);
    let destinations = [
        format!("syslog(\"127.0.0.1\" port({counted}) transport(\"tcp\"));"),
        format!("network(\"127.0.0.1\" port({lines}) transport(\"tcp\"));"),
        format!(
            r#"http(url("{url}/services/collector/event") method("POST") headers("Authorization: Splunk {token}")
  body('$(format-json time=$UNIXTIME host=web event.action=syslog-ng.collector event.message=$MESSAGE)')
  batch-lines(20) batch-timeout(200) delimiter("\n"));"#
        ),
        bulk_destination(&site.target()),
    ];
    let (_daemon, socket) = site.programs.syslog_ng(&destinations);
    send_messages(&socket, "shop");
    let events = site.wait_for("resources=shop", 2 * MESSAGES);
    assert_eq!(events.len(), 2 * MESSAGES);
    for action in ["syslog-ng.bulk", "syslog-ng.collector"] {
        site.wait_for_messages(&format!("action={action}"), MESSAGES);
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Sends a request with this method; returns the whole response. The connection closes afterwards.
fn http(port: u16, method: &str, target: &str, headers: &str, body: &str) -> String {
    let mut stream = None;
    eventually("the program listens", || {
        stream = TcpStream::connect(("127.0.0.1", port)).ok();
        stream.as_ref().map(|_| ())
    });
    let mut stream = stream.unwrap();
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn nginx_and_caddy_send_their_access_logs() {
    let listeners = [("nginx", "udp", "nginx-json"), ("caddy", "tcp", "caddy")];
    let Some(site) = Site::with_listeners(&listeners) else { return };
    let (log, port, prefix) = (site.port("nginx"), free_port(), site.programs.directory.path().display());
    let config = site.programs.write(
        "nginx.conf",
        &format!(
            r#"daemon off; pid {prefix}/nginx.pid; error_log {prefix}/error.log; events {{ }}
http {{
  log_format audit escape=json '{{"time_iso8601":"$time_iso8601","remote_addr":"$remote_addr","remote_user":"$remote_user","request_method":"$request_method","request_uri":"$request_uri","status":"$status","request_id":"$request_id"}}';
  access_log syslog:server=127.0.0.1:{log},tag=nginx audit;
  client_body_temp_path {prefix}/body; proxy_temp_path {prefix}/proxy; fastcgi_temp_path {prefix}/fastcgi; uwsgi_temp_path {prefix}/uwsgi; scgi_temp_path {prefix}/scgi;
  server {{ listen 127.0.0.1:{port}; location / {{ return 403; }} }}
}}
"#
        ),
    );
    let nginx = site.programs.daemon("usr/sbin/nginx", &["-c", &config, "-e", &site.programs.path("start.log")]);
    assert!(http(port, "DELETE", "/roles/7", "", "").starts_with("HTTP/1.1 403"));
    let event = site.wait_for("", 1).remove(0);
    assert_eq!(
        (&event["action"], &event["status"], &event["request"]["path"], &event["request"]["ip"]),
        (&json!("DELETE"), &json!("FAILURE"), &json!("/roles/7"), &json!("127.0.0.1")),
        "{event}"
    );
    drop(nginx);

    let port = free_port();
    let config = site.programs.write(
        "Caddyfile",
        &format!(
            "{{\n  admin off\n  auto_https off\n}}\nhttp://:{port} {{\n  bind 127.0.0.1\n  respond 403\n  log {{\n    output net 127.0.0.1:{}\n    format json\n  }}\n}}\n",
            site.port("caddy")
        ),
    );
    let _caddy = site.programs.daemon("usr/bin/caddy", &["run", "--config", &config, "--adapter", "caddyfile"]);
    assert!(http(port, "PUT", "/roles/8", "", "").contains(" 403 "));
    let event = site.wait_for("action=UPDATE", 1).remove(0);
    assert_eq!(
        (&event["status"], &event["request"]["path"], &event["request"]["ip"]),
        (&json!("FAILURE"), &json!("/roles/8"), &json!("127.0.0.1")),
        "{event}"
    );
}

#[test]
fn a_registry_notifies_of_what_is_pushed() {
    let Some(site) = Site::with_listeners(&[]) else { return };
    let (port, prefix, url, token) =
        (free_port(), site.programs.directory.path().display(), &site.server.url, &site.token);
    let config = site.programs.write(
        "registry.yml",
        &format!(
            "version: 0.1\nstorage: {{ filesystem: {{ rootdirectory: {prefix}/images }} }}\nhttp: {{ addr: '127.0.0.1:{port}' }}\nnotifications:\n  endpoints:\n    - name: auditbox\n      url: {url}/registry\n      headers: {{ Authorization: [Bearer {token}] }}\n      timeout: 5s\n      threshold: 5\n      backoff: 200ms\n"
        ),
    );
    let _registry = site.programs.daemon("usr/bin/docker-registry", &["serve", &config]);
    // An image whose configuration is "{}" (OCI Image Specification, "Image Manifest").
    let digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let started = http(port, "POST", "/v2/shop/blobs/uploads/", "", "");
    let location = started.lines().find_map(|line| line.strip_prefix("Location: ")).unwrap();
    let target = &location[location.find("/v2/").unwrap()..];
    let stored =
        http(port, "PUT", &format!("{target}&digest={digest}"), "content-type: application/octet-stream\r\n", "{}");
    assert!(stored.starts_with("HTTP/1.1 201"), "{stored}");
    let manifest = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"size\":2,\"digest\":\"{digest}\"}},\"layers\":[]}}"
    );
    let headers = "content-type: application/vnd.oci.image.manifest.v1+json\r\n";
    let pushed = http(port, "PUT", "/v2/shop/manifests/v1", headers, &manifest);
    assert!(pushed.starts_with("HTTP/1.1 201"), "{pushed}");
    let events = site.wait_for("", 2);
    assert!(events.iter().all(|event| event["mapping"]["door"] == "registry" && event["status"] == "SUCCESS"));
    let manifest = events.iter().find(|event| event["additionalData"]["target"]["tag"] == "v1").unwrap();
    assert_eq!(
        (&manifest["action"], &manifest["additionalData"]["target"]["tag"]),
        (&json!("CREATE"), &json!("v1")),
        "{manifest}"
    );
}
