//! Measures the core: import, ingest over HTTP, group commit, lists, memory.
//!
//! `cargo bench --bench core` runs the release program on files in a temporary directory, with the load generator on
//! the same machine, and prints one line per figure. Names after `--` (import, batches, single, `group_commit`, lists,
//! mapping) select parts. `AUDITBOX_REAL_EVENTS` names a zstd-compressed NDJSON file to use instead of synthetic events;
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

use std::{
    env, fs,
    io::{BufRead, BufReader, BufWriter, Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use auditbox::{
    model::{
        batch::{self, AfterError},
        event::{Receipt, Sender},
        limits::EventLimits,
        mapping::{MappedRecord, Mapping},
        mask::Mask,
        masked_event::MaskedEvent,
        timestamp::Timestamp,
    },
    testdata::Generator,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime, task,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_auditbox");
const SECRET: &str = "a-secret-for-benches-0123456789";
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
        mapping();
    }
}

/// A record of `CloudTrail` with 1.5 kB.
fn cloudtrail_record(number: usize) -> String {
    let arn = "arn:aws:sts::111122223333:assumed-role/deployment/session-of-a-pipeline";
    let session = "\"sessionContext\":{\"sessionIssuer\":{\"type\":\"Role\",\"principalId\":\"AROAEXAMPLE\",\"arn\":\"arn:aws:iam::111122223333:role/deployment\",\"accountId\":\"111122223333\",\"userName\":\"deployment\"},\"attributes\":{\"creationDate\":\"2026-01-02T03:00:00Z\",\"mfaAuthenticated\":\"false\"}}";
    format!(
        "{{\"eventVersion\":\"1.09\",\"userIdentity\":{{\"type\":\"AssumedRole\",\"principalId\":\"AROAEXAMPLE:session\",\"arn\":\"{arn}\",\"accountId\":\"111122223333\",\"accessKeyId\":\"ASIAEXAMPLE\",{session}}},\"eventTime\":\"2026-01-02T03:04:05Z\",\"eventSource\":\"ec2.amazonaws.com\",\"eventName\":\"RunInstances\",\"awsRegion\":\"eu-central-1\",\"sourceIPAddress\":\"203.0.113.7\",\"userAgent\":\"aws-cli/2.15.0 Python/3.11 Linux/6.1 source/x86_64\",\"requestParameters\":{{\"instancesSet\":{{\"items\":[{{\"imageId\":\"ami-0123456789abcdef0\",\"minCount\":1,\"maxCount\":1}}]}},\"instanceType\":\"t3.micro\",\"monitoring\":{{\"enabled\":false}},\"subnetId\":\"subnet-0123456789abcdef0\",\"disableApiTermination\":false}},\"responseElements\":{{\"instancesSet\":{{\"items\":[{{\"instanceId\":\"i-{number:017x}\",\"imageId\":\"ami-0123456789abcdef0\",\"instanceState\":{{\"code\":0,\"name\":\"pending\"}}}}]}}}},\"requestID\":\"{number:036x}\",\"eventID\":\"{number:036x}\",\"readOnly\":false,\"eventType\":\"AwsApiCall\",\"managementEvent\":true,\"recipientAccountId\":\"111122223333\",\"eventCategory\":\"Management\",\"tlsDetails\":{{\"tlsVersion\":\"TLSv1.3\",\"cipherSuite\":\"TLS_AES_128_GCM_SHA256\",\"clientProvidedHostHeader\":\"ec2.eu-central-1.amazonaws.com\"}}}}"
    )
}

/// What a preset adds to the time from the bytes of a record to an event that is ready to be stored. The event of the plain path
/// is the one that the preset makes.
fn mapping() {
    // The best round counts: the others were interrupted.
    const ROUNDS: usize = 100;
    let (mapping, limits, mask) = (Mapping::named("cloudtrail").unwrap(), EventLimits::default(), Mask::default());
    let records: Vec<String> = (0..1_000).map(cloudtrail_record).collect();
    let map = |record: &str| {
        let records = mapping.records(record).unwrap();
        mapping.map(&records[0], &limits, &mask).unwrap()
    };
    let plain: Vec<String> = records.iter().map(|record| map(record).event().get().to_owned()).collect();
    let microseconds = |accept: &dyn Fn(usize) -> usize| {
        let round = || {
            let begun = Instant::now();
            let bytes: usize = (0..records.len()).map(accept).sum();
            (begun.elapsed().as_secs_f64() * 1e6 / records.len() as f64, bytes / records.len())
        };
        (0..ROUNDS).map(|_| round()).min_by(|one, other| one.0.total_cmp(&other.0)).unwrap()
    };
    let receipt = Receipt { at: Timestamp::now(), by: "bench" };
    let (without, bytes) = microseconds(&|index| {
        let mut events = batch::split(plain[index].as_bytes(), 1, AfterError::Stop).unwrap();
        let masked = MaskedEvent::new(events.remove(0).unwrap(), &limits, &mask).unwrap();
        masked.read(&limits, Sender::Client).unwrap().accept(&receipt).body.len()
    });
    let (with, _) = microseconds(&|index| {
        let mapped = map(&records[index]);
        let (limits, provenance) = (MappedRecord::limits(&limits), mapped.provenance("bench"));
        let masked = MaskedEvent::new(mapped.event(), &limits, &mask).unwrap();
        let draft = masked.read(&limits, Sender::Client).unwrap().with_mapping(&provenance);
        draft.accept(&receipt).body.len()
    });
    println!(
        "mapping a CloudTrail record of {} bytes: {:.1} us more than the event of {bytes} bytes alone ({without:.1} us)",
        records[0].len(),
        with - without
    );
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
    println!("HTTP, batches of 500, 4 connections: {:.0} events/s; {}", result.rate * 500.0, result.latency());
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
            result.latency()
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
        println!("GET {what}: {}", result.latency());
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

fn command(database: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .env("AUDITBOX_DATABASE_PATH", database)
        .env("AUDITBOX_SERVER_LISTEN", "127.0.0.1:0")
        .env("AUDITBOX_ADMIN_CLIENT_ID", "bench")
        .env("AUDITBOX_ADMIN_CLIENT_SECRET", SECRET)
        .env("AUDITBOX_LOG_LEVEL", "warn")
        .stdin(Stdio::null());
    command
}

struct Server {
    child: Child,
    address: String,
    token: String,
    /// Removed after the server has stopped.
    directory: Option<TempDir>,
}

/// The rate, and the latency of every request, sorted.
struct Result {
    rate: f64,
    latencies: Vec<Duration>,
}

impl Result {
    fn latency(&self) -> String {
        let at = |share: f64| self.latencies[((self.latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        format!("median {:.2} ms, p99 {:.2} ms, longest {:.1} ms", at(0.5), at(0.99), at(1.0))
    }
}

impl Server {
    fn start(environment: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut server = Self::start_on(&directory.path().join("bench.db"), environment);
        server.directory = Some(directory);
        server
    }

    fn start_on(database: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = command(database);
        command.envs(environment.iter().copied()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit("http://").next().unwrap().to_owned();
        let login = format!("{{\"clientId\":\"bench\",\"clientSecret\":\"{SECRET}\"}}");
        let mut response = ureq::post(format!("http://{address}/v1/auth/access_token")).send(login).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap();
        let token = answer["accessToken"].as_str().unwrap().to_owned();
        Self { child, address, token, directory: None }
    }

    /// Sends each body once over the given number of connections. Every response must be a 201.
    fn post(&self, bodies: &[String], connections: usize) -> Result {
        let requests: Vec<Vec<u8>> = bodies
            .iter()
            .map(|body| {
                let head = format!(
                    "POST /v1/audit-log HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
                    self.token,
                    body.len()
                );
                [head.as_bytes(), body.as_bytes()].concat()
            })
            .collect();
        self.exchange(requests, connections, b"HTTP/1.1 201")
    }

    fn get(&self, path: &str, times: usize) -> Result {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", self.token);
        self.exchange(vec![request.into_bytes(); times], 1, b"HTTP/1.1 200")
    }

    fn exchange(&self, requests: Vec<Vec<u8>>, connections: usize, expected: &'static [u8]) -> Result {
        let count = requests.len();
        let mut shares: Vec<Vec<Vec<u8>>> = vec![Vec::new(); connections];
        for (index, request) in requests.into_iter().enumerate() {
            shares[index % connections].push(request);
        }
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let begun = Instant::now();
        let mut latencies = task::LocalSet::new().block_on(&runtime, async {
            let address = &self.address;
            let tasks: Vec<_> =
                shares.into_iter().map(|share| task::spawn_local(converse(address.clone(), share, expected))).collect();
            let mut latencies = Vec::with_capacity(count);
            for task in tasks {
                latencies.extend(task.await.unwrap());
            }
            latencies
        });
        let rate = count as f64 / begun.elapsed().as_secs_f64();
        latencies.sort_unstable();
        Result { rate, latencies }
    }

    fn resident_megabytes(&self) -> f64 {
        self.status("VmRSS:")
    }

    fn peak_megabytes(&self) -> f64 {
        self.status("VmHWM:")
    }

    fn status(&self, key: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0 / 1e6
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(Command::new("kill").arg(self.child.id().to_string()).status());
        drop(self.child.wait());
        drop(self.directory.take());
    }
}

/// Sends one request after another, each after the previous response is complete.
async fn converse(address: String, requests: Vec<Vec<u8>>, expected: &'static [u8]) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut latencies = Vec::with_capacity(requests.len());
    let mut answer = Vec::new();
    for request in requests {
        let begun = Instant::now();
        stream.write_all(&request).await.unwrap();
        read_answer(&mut stream, &mut answer).await;
        assert!(answer.starts_with(expected), "{}", String::from_utf8_lossy(&answer[..answer.len().min(400)]));
        latencies.push(begun.elapsed());
    }
    latencies
}

async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) {
    answer.clear();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = stream.read(&mut buffer).await.unwrap();
        assert!(length > 0, "the server closed the connection");
        answer.extend_from_slice(&buffer[..length]);
        let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&answer[..head]).unwrap();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).map(str::parse::<usize>);
        let is_whole = match length {
            Some(length) => answer.len() >= head + 4 + length.unwrap(),
            None => answer.ends_with(b"\r\n0\r\n\r\n"),
        };
        if is_whole {
            return;
        }
    }
}
