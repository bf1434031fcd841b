//! Identifiers of records that have none.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// The identifier of a record without one: the same for the same text with the same number in the same source.
pub fn derived_identifier(source: &str, number: u64, record: &str) -> String {
    let digest = Sha256::new()
        .chain_update(Sha256::digest(source))
        .chain_update(number.to_le_bytes())
        .chain_update(record)
        .finalize();
    format!("import_{}", BASE64_URL_SAFE_NO_PAD.encode(&digest[..16]))
}

/// A short hash of a record's text, which makes an identifier differ from that of another record.
pub fn digest(record: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(record)[..9])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_the_number_and_the_text_decide() {
        let all = [("a", 1, "x"), ("b", 1, "x"), ("a", 2, "x"), ("a", 1, "y")];
        let identifiers: Vec<_> =
            all.iter().map(|(source, number, text)| derived_identifier(source, *number, text)).collect();
        assert_eq!(identifiers[0], derived_identifier("a", 1, "x"));
        assert!(identifiers[1..].iter().all(|identifier| *identifier != identifiers[0]));
    }
}
