//! The proof that a server has a database file open, for a command that can read the same file.
//!
//! The command sends a random challenge, and the server responds with an HMAC-SHA-256 of the challenge and of its own address.
//! The key is derived from the key in the file, so another program at a former address of the server cannot make the proof.
//! A proof for another address is invalid: such a program cannot pass the challenge on to the server.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::Mac;
use sha2::{Digest, Sha256};

use crate::model::signed::SigningKey;

/// The request header with the challenge.
pub const CHALLENGE: &str = "x-auditbox-challenge";
/// The response header with the proof.
pub const PROOF: &str = "x-auditbox-proof";

/// Bytes of a challenge: too many to guess, or to repeat by chance.
const CHALLENGE_BYTES: usize = 32;
/// What the key is for.
const LABEL: &[u8] = b"auditbox file proof";

/// Makes and verifies proofs with the key of one file.
pub struct FileProof(SigningKey);

impl FileProof {
    /// Proofs with a key that is derived from the key in the file.
    pub fn new(file_key: &[u8]) -> Self {
        let key = Sha256::new().chain_update(LABEL).chain_update(file_key).finalize();
        Self(SigningKey::new(&key))
    }

    /// A new challenge: random bytes in base64url.
    pub fn challenge() -> Result<String, getrandom::Error> {
        let mut bytes = [0; CHALLENGE_BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The proof of the server at `address` for a challenge; `None` if the text is not a challenge.
    pub fn prove(&self, challenge: &str, address: SocketAddr) -> Option<String> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(challenge).ok()?;
        let is_challenge = bytes.len() == CHALLENGE_BYTES;
        let mac = || self.0.mac(&text(challenge, address)).finalize().into_bytes();
        is_challenge.then(|| BASE64_URL_SAFE_NO_PAD.encode(mac()))
    }

    /// Whether the server at `address` made this proof for the challenge. Compares in constant time.
    pub fn is_proven(&self, challenge: &str, address: SocketAddr, proof: &str) -> bool {
        let proof = BASE64_URL_SAFE_NO_PAD.decode(proof).ok();
        proof.is_some_and(|proof| self.0.mac(&text(challenge, address)).verify_slice(&proof).is_ok())
    }
}

fn text(challenge: &str, address: SocketAddr) -> String {
    format!("{challenge} {address}")
}

/// The address at which programs on the same machine reach a server that listens on `address`.
pub fn local_address(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let loopback: IpAddr = if address.is_ipv4() { [127, 0, 0, 1].into() } else { Ipv6Addr::LOCALHOST.into() };
        address.set_ip(loopback);
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_of_one_file_one_challenge_and_one_address() {
        let (own, other) = (FileProof::new(b"key"), FileProof::new(b"another key"));
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (challenge, another) = (FileProof::challenge().unwrap(), FileProof::challenge().unwrap());
        let proof = own.prove(&challenge, address(1)).unwrap();
        assert!(own.is_proven(&challenge, address(1), &proof));
        assert!(!own.is_proven(&another, address(1), &proof));
        assert!(!own.is_proven(&challenge, address(2), &proof));
        assert!(!other.is_proven(&challenge, address(1), &proof));
        for forged in ["", "x", &challenge, &proof[1..]] {
            assert!(!own.is_proven(&challenge, address(1), forged), "{forged}");
        }
        for text in ["", "short", &"A".repeat(1_000), "not base64url, but of the length of one: ä"] {
            assert_eq!(own.prove(text, address(1)), None, "{text}");
        }
    }

    #[test]
    fn a_server_on_every_address_is_reached_on_the_loopback_address() {
        for (listens, reached) in
            [("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80"), ("192.0.2.1:80", "192.0.2.1:80")]
        {
            assert_eq!(local_address(listens.parse().unwrap()).to_string(), reached);
        }
    }
}
