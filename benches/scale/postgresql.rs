//! PostgreSQL with the same table and indexes as the plain SQLite table, on a private socket.
//!
//! It runs the installed binaries, as the user `postgres` if the bench runs as root, which PostgreSQL refuses. It
//! listens on no network.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use postgres::{Client, NoTls, types::ToSql};

use crate::{
    contender::{Contender, identifier},
    events::{Event, Maker},
    load::BATCH_EVENTS,
    queries::{COLUMNS, FACETS, Filter, LIMIT},
    report::BaselineLoad,
};

/// Only the memory for building indexes in bulk differs from the defaults. fsync and `synchronous_commit` are on by
/// default.
const SETTINGS: [&str; 5] =
    ["shared_buffers=2GB", "effective_cache_size=8GB", "work_mem=64MB", "max_wal_size=4GB", "listen_addresses="];
const START_SECONDS_MAX: u64 = 30;
const USER: &str = "postgres";

/// A private server and a connection to it. Stopped on drop.
pub(crate) struct Postgres {
    server: Child,
    client: Client,
}

/// The directory of the binaries, if installed.
fn binaries() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let installed = versions.map(|version| version.path().join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let holds_them = |folder: &PathBuf| folder.join("initdb").exists() && folder.join("postgres").exists();
    installed.chain(env::split_paths(&path)).find(holds_them)
}

/// The program, as a user that PostgreSQL accepts.
fn command(program: &Path, directory: &Path) -> Command {
    let user = Command::new("id").arg("-u").output().unwrap();
    if user.stdout.trim_ascii() != b"0" {
        return Command::new(program);
    }
    let owned = Command::new("chown").arg(USER).arg(directory).status();
    assert!(owned.is_ok_and(|status| status.success()), "{} cannot be given to {USER}", directory.display());
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups", "--"]).arg(program);
    command
}

/// Lets PostgreSQL's user reach a directory.
pub(crate) fn make_reachable(directory: &Path) {
    let changed = Command::new("chmod").arg("755").arg(directory).status();
    assert!(changed.is_ok_and(|status| status.success()), "{} cannot be opened to others", directory.display());
}

impl Postgres {
    /// Whether PostgreSQL is installed.
    pub(crate) fn is_here() -> bool {
        binaries().is_some()
    }

    /// Starts it on `directory`, which is created if missing.
    pub(crate) fn start(directory: &Path) -> Self {
        let binaries = binaries().unwrap();
        let data = directory.join("data");
        if !data.exists() {
            fs::create_dir_all(directory).unwrap();
            make_reachable(directory);
            let mut initdb = command(&binaries.join("initdb"), directory);
            initdb.args(["--auth=trust", "--locale=C", "--encoding=UTF8", "--username", USER, "-D"]).arg(&data);
            let made = initdb.current_dir(directory).output().unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        let mut postgres = command(&binaries.join("postgres"), directory);
        postgres.arg("-D").arg(&data).arg("-k").arg(directory);
        postgres.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        let server = postgres.current_dir(directory).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { client: connect(directory), server }
    }

    /// Loads the first `size` events into a new table. In bulk, the indexes are built afterwards.
    pub(crate) fn load(&mut self, maker: &Maker, size: u64, in_bulk: bool) -> BaselineLoad {
        self.create();
        let begun = Instant::now();
        if !in_bulk {
            self.index();
        }
        let (mut event, mut rows, mut first) = (Event::default(), String::new(), 0);
        while first < size {
            let end = size.min(first + BATCH_EVENTS);
            rows.clear();
            for number in first..end {
                maker.make(number, &mut event);
                push_row(&mut rows, &event);
            }
            let names: Vec<_> = COLUMNS.iter().map(|(name, _)| *name).collect();
            let sql = format!("COPY event (timestamp, {}, body) FROM STDIN", names.join(","));
            let mut copy = self.client.copy_in(&sql).unwrap();
            copy.write_all(rows.as_bytes()).unwrap();
            copy.finish().unwrap();
            first = end;
        }
        if in_bulk {
            self.client.batch_execute("SET maintenance_work_mem = '512MB'").unwrap();
            self.index();
        }
        let seconds = begun.elapsed().as_secs_f64();
        // One statement per message: several in one message form one transaction, in which neither may run.
        for statement in ["VACUUM ANALYZE event", "CHECKPOINT"] {
            self.client.batch_execute(statement).unwrap();
        }
        let row = self.client.query_one("SELECT pg_total_relation_size('event')", &[]).unwrap();
        BaselineLoad { events: size, seconds, in_bulk, file_bytes: row.get::<_, i64>(0).cast_unsigned() }
    }

    fn create(&mut self) {
        let columns: Vec<_> = COLUMNS.iter().map(|(name, _)| format!("{name} text")).collect();
        let table = format!(
            "CREATE TABLE event (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, timestamp bigint NOT NULL, {}, \
             body text NOT NULL)",
            columns.join(", ")
        );
        self.client.batch_execute(&table).unwrap();
    }

    fn index(&mut self) {
        self.client.batch_execute("CREATE INDEX ON event (timestamp)").unwrap();
        for (name, _) in COLUMNS {
            self.client.batch_execute(&format!("CREATE INDEX ON event ({name}, timestamp)")).unwrap();
        }
    }
}

fn connect(directory: &Path) -> Client {
    let begun = Instant::now();
    let parameters = format!("host={} user={USER} dbname=postgres", directory.display());
    loop {
        match Client::connect(&parameters, NoTls) {
            Ok(client) => return client,
            Err(error) => assert!(begun.elapsed().as_secs() < START_SECONDS_MAX, "PostgreSQL does not start: {error}"),
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// One line of COPY's text format. The reverse solidus is doubled; events contain no tabs or line breaks.
fn push_row(rows: &mut String, event: &Event) {
    rows.push_str(&event.micros.to_string());
    for value in event.columns().into_iter().chain([event.body.as_str()]) {
        rows.push('\t');
        rows.push_str(&value.replace('\\', "\\\\"));
    }
    rows.push('\n');
}

fn name(number: usize) -> String {
    format!("${number}")
}

fn references(values: &[String]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

impl Postgres {
    fn bodies(&mut self, filter: &Filter) -> Vec<String> {
        let (clause, values) = filter.sql(name);
        let sql = format!("SELECT body FROM event {clause} ORDER BY timestamp DESC LIMIT {LIMIT}");
        let rows = self.client.query(&sql, &references(&values)).unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

impl Contender for Postgres {
    fn list(&mut self, filter: &Filter) -> usize {
        std::hint::black_box(self.bodies(filter)).len()
    }

    fn identifiers(&mut self, filter: &Filter) -> Vec<String> {
        self.bodies(filter).iter().map(|body| identifier(body)).collect()
    }

    fn count(&mut self, filter: &Filter) -> u64 {
        let (clause, values) = filter.sql(name);
        let sql = format!("SELECT count(*) FROM event {clause}");
        self.client.query_one(&sql, &references(&values)).unwrap().get::<_, i64>(0).cast_unsigned()
    }

    fn overview(&mut self, filter: &Filter) {
        self.count(filter);
        let (clause, values) = filter.sql(name);
        let day = "timestamp / 86400000000, status".to_owned();
        for by in FACETS.iter().map(|&column| column.to_owned()).chain([day]) {
            let sql = format!("SELECT {by}, count(*) AS n FROM event {clause} GROUP BY {by} ORDER BY n DESC LIMIT 200");
            std::hint::black_box(self.client.query(&sql, &references(&values)).unwrap().len());
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT is a fast shutdown: it closes connections and leaves the files consistent.
        drop(Command::new("kill").arg("-INT").arg(self.server.id().to_string()).status());
        drop(self.server.wait());
    }
}
