//! Bytes per event: by table and index, and of the whole file compared with its JSON.

use std::{
    env, fs,
    io::{BufWriter, Read, Write},
    path::Path,
};

use rusqlite::{Connection, OpenFlags};
use serde::Serialize;

use crate::server;

/// How often the real events are imported.
const REPEATS: usize = 40;

/// A table or index of the file.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

/// The size of a file compared with its input.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Size {
    pub(crate) file_bytes: u64,
    pub(crate) raw_bytes: u64,
}

impl Size {
    pub(crate) fn share(&self) -> f64 {
        self.file_bytes as f64 / self.raw_bytes as f64
    }
}

/// Every B-tree of the file with its pages, largest first, from SQLite's dbstat.
pub(crate) fn tables(path: &Path) -> Vec<Table> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let sql = "SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE ORDER BY pgsize DESC";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement
        .query_map([], |row| Ok(Table { name: row.get(0)?, bytes: row.get::<_, i64>(1)?.cast_unsigned() }))
        .unwrap();
    rows.map(|row| row.unwrap()).collect()
}

/// The file and its companion files.
pub(crate) fn file_bytes(path: &Path) -> u64 {
    let length = |suffix: &str| fs::metadata(format!("{}{suffix}", path.display())).map_or(0, |file| file.len());
    length("") + length("-wal")
}

/// Imports the events of `AUDITBOX_REAL_EVENTS` forty times with fresh identifiers and measures the file. `None` if the
/// variable is not set.
pub(crate) fn real(directory: &Path) -> Option<Size> {
    let source = env::var("AUDITBOX_REAL_EVENTS").ok()?;
    let (input, database) = (directory.join("real.ndjson"), directory.join("real.db"));
    let raw_bytes = write_repeated(&source, &input);
    let run = server::command(&database).arg("import").arg(&input).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let size = Size { file_bytes: file_bytes(&database), raw_bytes };
    for path in [input, directory.join("real.db.lock"), database] {
        fs::remove_file(path).unwrap();
    }
    Some(size)
}

/// Returns the bytes of JSON, without line breaks.
fn write_repeated(source: &str, to: &Path) -> u64 {
    const START: &str = "{\"identifier\":\"";
    let mut text = String::new();
    zstd::Decoder::new(fs::File::open(source).unwrap()).unwrap().read_to_string(&mut text).unwrap();
    let mut out = BufWriter::new(fs::File::create(to).unwrap());
    let mut raw_bytes = 0;
    for repeat in 0..REPEATS {
        for line in text.lines() {
            let fresh = line.replacen(START, &format!("{START}{repeat}-"), 1);
            raw_bytes += fresh.len() as u64;
            writeln!(out, "{fresh}").unwrap();
        }
    }
    out.flush().unwrap();
    raw_bytes
}
