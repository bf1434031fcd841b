//! Secrets and their hashes.
//!
//! Generated secrets are 32 random bytes, so a plain SHA-256 is a sufficient hash: no list of likely secrets helps. A secret that
//! an operator chooses must be long for the same reason. Comparing a secret therefore costs less than a microsecond.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::model::{credential::TEXT_CHARS_MAX, random};

/// Minimum number of characters of a chosen secret. A shorter one could be guessed by trying secrets against a
/// stolen file.
const SECRET_CHARS_MIN: usize = 24;
/// Maximum number of secrets of a credential.
pub const SECRETS_MAX: usize = 5;
/// Bytes of a hash.
const HASH_BYTES: usize = 32;

/// The secret itself. Keep it only as long as it takes to show or compare it.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret that a client presents.
    pub fn presented(text: String) -> Self {
        Self(text)
    }

    /// Reads a secret that an operator chose.
    pub fn choose(text: &str) -> Result<Self, String> {
        if text.len() < SECRET_CHARS_MIN
            || text.len() > TEXT_CHARS_MAX
            || !text.chars().all(|char| char.is_ascii_graphic())
        {
            return Err(format!("must be {SECRET_CHARS_MIN} to {TEXT_CHARS_MAX} printable ASCII characters"));
        }
        Ok(Self(text.to_owned()))
    }

    /// Generates a secret of 256 random bits.
    pub fn generate() -> Result<Self, getrandom::Error> {
        random::text::<32>().map(Self)
    }

    /// The secret, for showing it to its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The hash that is stored.
    pub fn hash(&self) -> SecretHash {
        SecretHash(Sha256::digest(&self.0).into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The SHA-256 of a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretHash([u8; HASH_BYTES]);

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

/// The hashes of the secrets of a credential, oldest first: 1 to [`SECRETS_MAX`].
#[derive(Clone, PartialEq, Eq)]
pub struct SecretHashes(Vec<SecretHash>);

impl SecretHashes {
    /// Reads the stored form, which is one hash after another.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
        if hashes.is_empty() || hashes.len() > SECRETS_MAX || !rest.is_empty() {
            return Err(format!("must be 1 to {SECRETS_MAX} hashes of {HASH_BYTES} bytes, not {} bytes", bytes.len()));
        }
        Ok(Self(hashes.iter().copied().map(SecretHash).collect()))
    }

    /// A hash without a known secret. It is compared when a client id is unknown, so that rejecting an unknown client
    /// id takes as long as rejecting a wrong secret.
    pub fn of_nobody() -> Self {
        Self(vec![SecretHash([0; HASH_BYTES])])
    }

    /// The bytes to store.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|hash| hash.0).collect()
    }

    /// The number of secrets.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// These secrets and a newer one; `None` if there are already [`SECRETS_MAX`].
    pub fn with(&self, newer: SecretHash) -> Option<Self> {
        (self.count() < SECRETS_MAX).then(|| Self(self.0.iter().copied().chain([newer]).collect()))
    }

    /// The newest secret alone.
    pub fn newest(&self) -> Self {
        Self(self.0.last().copied().into_iter().collect())
    }

    /// Whether `secret` is one of these, in constant time.
    pub fn include(&self, secret: &Secret) -> bool {
        let presented = secret.hash();
        let matches = self.0.iter().map(|hash| hash.0.ct_eq(&presented.0));
        bool::from(matches.fold(Choice::from(0), |any, one| any | one))
    }
}

impl From<SecretHash> for SecretHashes {
    fn from(hash: SecretHash) -> Self {
        Self(vec![hash])
    }
}

impl fmt::Debug for SecretHashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretHashes(… × {})", self.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_secret_is_accepted_until_it_is_retired() {
        let secrets: Vec<_> = (0..=SECRETS_MAX).map(|_| Secret::generate().unwrap()).collect();
        let mut hashes = SecretHashes::from(secrets[0].hash());
        for secret in &secrets[1..SECRETS_MAX] {
            assert!(!hashes.include(secret));
            hashes = hashes.with(secret.hash()).unwrap();
        }
        assert!(hashes.with(secrets[SECRETS_MAX].hash()).is_none());
        assert_eq!(SecretHashes::from_bytes(&hashes.to_bytes()), Ok(hashes.clone()));
        assert!(secrets[..SECRETS_MAX].iter().all(|secret| hashes.include(secret)));
        let newest = hashes.newest();
        let valid: Vec<_> = secrets.iter().map(|secret| newest.include(secret)).collect();
        assert_eq!(valid, [false, false, false, false, true, false]);
    }

    #[test]
    fn bytes_that_are_not_hashes_are_rejected() {
        for length in [0, 31, 33, HASH_BYTES * (SECRETS_MAX + 1)] {
            assert!(SecretHashes::from_bytes(&vec![0; length]).is_err(), "{length}");
        }
    }
}
