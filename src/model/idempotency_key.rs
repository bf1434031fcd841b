//! The key by which a sender marks the retry of a request (draft-ietf-httpapi-idempotency-key-header).
//!
//! An event without an identifier gets one that follows from the key. A retry has the same identifiers, so the check for
//! duplicates recognizes it in the same commit, after a restart too. The key is therefore remembered for as long as its events.

use sha2::{Digest, Sha256};

/// Maximum number of characters of a key.
pub const KEY_CHARS_MAX: usize = 255;

/// The key of one request, and its sender. Another sender's key is another key.
#[derive(Debug, Clone)]
pub struct IdempotencyKey(Sha256);

impl IdempotencyKey {
    /// Reads the header's value, a string in quotes (RFC 9651 section 3.3.3) or without them, as many clients send it. The error
    /// describes the expected value.
    pub fn parse(value: &[u8], client_id: &str) -> Result<Self, String> {
        let key = match value {
            [b'"', quoted @ .., b'"'] => unquoted(quoted),
            [b'"', ..] => None,
            plain => Some(plain.to_vec()),
        };
        let is_valid = |key: &Vec<u8>| {
            (1..=KEY_CHARS_MAX).contains(&key.len()) && key.iter().all(|byte| matches!(byte, b' '..=b'~'))
        };
        let key = key.filter(is_valid).ok_or_else(|| format!("must be 1 to {KEY_CHARS_MAX} characters of ASCII"))?;
        // Neither part contains a NUL.
        Ok(Self(Sha256::new().chain_update(client_id).chain_update([0]).chain_update(key).chain_update([0])))
    }

    /// The identifier of the event with this index in the request: a UUID of version 8 (RFC 9562 section 5.8).
    pub fn identifier(&self, index: usize) -> String {
        let digest = self.0.clone().chain_update((index as u64).to_le_bytes()).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        format!("event_{}", uuid::Builder::from_custom_bytes(bytes).into_uuid().simple())
    }
}

/// The content of a string in quotes; `None` if a quote or an escape in it is invalid.
fn unquoted(quoted: &[u8]) -> Option<Vec<u8>> {
    let (mut key, mut bytes) = (Vec::with_capacity(quoted.len()), quoted.iter().copied());
    while let Some(byte) = bytes.next() {
        key.push(match byte {
            b'"' => return None,
            b'\\' => bytes.next().filter(|escaped| matches!(escaped, b'"' | b'\\'))?,
            plain => plain,
        });
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(value: &[u8], client_id: &str) -> Result<String, String> {
        IdempotencyKey::parse(value, client_id).map(|key| key.identifier(0))
    }

    #[test]
    fn identifiers_follow_from_the_sender_the_key_and_the_index() {
        let key = IdempotencyKey::parse(b"8e03978e-40d5-43dd-bc93-6894a57f9324", "client").unwrap();
        assert_eq!(key.identifier(0), key.clone().identifier(0));
        let uuid = uuid::Uuid::parse_str(key.identifier(0).strip_prefix("event_").unwrap()).unwrap();
        assert_eq!((uuid.get_version_num(), uuid.get_variant()), (8, uuid::Variant::RFC4122));
        let others = [first(b"k", "client"), first(b"k", "other"), first(b"kk", "client"), first(b"k", "clientk")];
        let mut all = others.map(Result::unwrap).to_vec();
        all.extend([key.identifier(0), key.identifier(1), key.identifier(256)]);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 7);
    }

    #[test]
    fn quotes_are_not_part_of_a_key_and_other_values_are_rejected() {
        assert_eq!(first(b"\"a b\"", "c"), first(b"a b", "c"));
        assert_eq!(first(br#""a\"\\b""#, "c"), first(br#"a"\b"#, "c"));
        assert!(first(&[b'k'; 255], "c").is_ok());
        for value in [
            &b""[..],
            b"\"",
            b"\"a",
            b"\"\"",
            br#""a"b""#,
            br#""a\x""#,
            br#""a\""#,
            "é".as_bytes(),
            b"a\tb",
            &[b'k'; 256],
        ] {
            assert!(first(value, "c").is_err(), "{value:?}");
        }
    }
}
