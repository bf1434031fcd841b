//! Feeds arbitrary bodies to the CSV writer.
//!
//! For tests and fuzzers only.

#![allow(clippy::missing_panics_doc, reason = "a check that fails is what a fuzzer looks for")]

use crate::{
    api::csv_rows::CsvRows,
    model::{cursor::Position, timestamp::Timestamp},
    store::Slice,
};

/// Writes rows for `bodies` and reads them back: one row each, all of the same width, without formulas.
pub fn write_csv(bodies: &[String]) {
    let place = Position { timestamp: Timestamp::from_micros(0), seq: 1 };
    let slice =
        Slice { events: bodies.iter().map(|body| (place, Ok(body.clone()))).collect(), positions: bodies.len() };
    let text = CsvRows::new().write(&slice).unwrap_or_default();
    let mut reader = csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(text.as_slice());
    let rows: Vec<csv::StringRecord> = reader.records().filter_map(Result::ok).collect();
    assert_eq!(rows.len(), bodies.len() + 1);
    for row in &rows {
        assert_eq!(row.len(), rows[0].len());
        assert!(row.iter().all(|cell| !cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n'])), "{row:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bodies_become_rows(
            bodies in prop::collection::vec(
                prop_oneof![".{0,80}", "[\\[\\]{}\":,0-9a-z\\\\]{0,40}"].prop_map(|text| {
                    let quoted = serde_json::to_string(&text).unwrap();
                    format!("{{\"message\":{quoted},\"action\":{quoted},\"trigger\":{{\"at\":{quoted},\"by\":{{\"name\":{quoted}}}}},\"x\":{text}}}")
                }),
                0..5,
            ),
            texts in prop::collection::vec(".{0,80}", 0..5),
        ) {
            write_csv(&bodies);
            write_csv(&texts);
            let good = |text: &String| {
                let quoted = serde_json::to_string(text).unwrap();
                format!("{{\"message\":{quoted},\"diff\":{{\"before\":{quoted},\"after\":[{quoted}]}}}}")
            };
            write_csv(&texts.iter().map(good).collect::<Vec<_>>());
        }
    }
}
