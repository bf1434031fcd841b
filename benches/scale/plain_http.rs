//! The plain SQLite table over HTTP, so that the same client sends it the same requests as auditbox.
//!
//! The cheapest possible HTTP server: a thread of the bench's process that blocks on one connection and writes each
//! response at once. It knows only the requests that `client` sends. It checks no token, records nothing and compresses
//! nothing.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
};

use rusqlite::{Row, types::ValueRef};

use crate::{
    client::Connection,
    queries::{FACETS, Filter},
    sqlite::{DAY_AND_STATUS, PlainTable},
};

/// The bench sends no longer requests.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// Serves `table` over HTTP until the returned connection is closed.
pub(crate) fn serve(table: PlainTable) -> Connection {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || answer_all(&table, &mut listener.accept().unwrap().0));
    Connection::open(&address.to_string(), "none")
}

/// Timings one request after another.
fn answer_all(table: &PlainTable, stream: &mut TcpStream) {
    stream.set_nodelay(true).unwrap();
    let (mut request, mut answer, mut body) = (Vec::new(), Vec::new(), Vec::new());
    while read_request(stream, &mut request) {
        body.clear();
        write_body(table, target(&request), &mut body);
        answer.clear();
        let length = body.len();
        write!(answer, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n")
            .unwrap();
        answer.extend_from_slice(&body);
        stream.write_all(&answer).unwrap();
    }
}

/// Reads the next request, if there is one. Requests have no body and are not pipelined.
fn read_request(stream: &mut TcpStream, request: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 4 * 1024];
    request.clear();
    while !request.ends_with(b"\r\n\r\n") {
        let read = stream.read(&mut buffer).unwrap();
        if read == 0 {
            return false;
        }
        request.extend_from_slice(&buffer[..read]);
        assert!(request.len() <= REQUEST_BYTES_MAX, "no request of this bench is as long");
    }
    true
}

/// The request target: the second word.
fn target(request: &[u8]) -> &str {
    std::str::from_utf8(request).unwrap().split(' ').nth(1).unwrap()
}

fn write_body(table: &PlainTable, target: &str, out: &mut Vec<u8>) {
    let (path, query) = target.split_once('?').unwrap();
    let filter = Filter::parse(query);
    match path {
        "/v1/audit-log" => write_list(table, &filter, out),
        "/v1/audit-log/stats" => write_stats(table, &filter, query.contains("facets="), out),
        _ => panic!("only auditbox serves {path}"),
    }
}

fn write_list(table: &PlainTable, filter: &Filter, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"ok\":true,\"audits\":[");
    let mut separator: &[u8] = b"";
    table.each_body(filter, |body| {
        out.extend_from_slice(separator);
        out.extend_from_slice(body.as_bytes());
        separator = b",";
    });
    out.extend_from_slice(b"],\"next\":null}");
}

fn write_stats(table: &PlainTable, filter: &Filter, has_facets: bool, out: &mut Vec<u8>) {
    write!(out, "{{\"ok\":true,\"count\":{}", table.count_of(filter)).unwrap();
    if has_facets {
        for by in FACETS {
            write!(out, ",\"{by}\":").unwrap();
            write_groups(table, filter, by, out);
        }
        out.extend_from_slice(b",\"histogram\":");
        write_groups(table, filter, DAY_AND_STATUS, out);
    }
    out.push(b'}');
}

/// An array with each group's values and its count.
fn write_groups(table: &PlainTable, filter: &Filter, by: &str, out: &mut Vec<u8>) {
    out.push(b'[');
    let mut separator: &[u8] = b"";
    table.each_group(filter, by, |row| {
        out.extend_from_slice(separator);
        write_row(row, out);
        separator = b",";
    });
    out.push(b']');
}

fn write_row(row: &Row<'_>, out: &mut Vec<u8>) {
    let columns = row.as_ref().column_count();
    for column in 0..columns {
        out.push(if column == 0 { b'[' } else { b',' });
        match row.get_ref(column).unwrap() {
            ValueRef::Integer(number) => write!(out, "{number}").unwrap(),
            value => serde_json::to_writer(&mut *out, value.as_str().unwrap()).unwrap(),
        }
    }
    out.push(b']');
}
