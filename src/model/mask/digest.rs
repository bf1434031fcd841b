//! Values that identify themselves as digests, such as `sha256:…` and `hmac-sha256:…`. They reveal no secret that was generated
//! at random, and people trace a leaked token by its digest.

use crate::model::mask::names::Mask;

/// The names of secrets that people choose, or that are short. Trying all likely ones finds the secret of a digest, so digests of
/// these are masked.
const GUESSABLE: [&str; 6] = ["password", "password_confirmation", "passwd", "pwd", "passphrase", "otp"];
/// The names of hash functions without separators, and the number of bytes of their digests.
const FUNCTIONS: [(&str, usize); 13] = [
    ("md5", 16),
    ("sha1", 20),
    ("sha224", 28),
    ("sha256", 32),
    ("sha384", 48),
    ("sha512", 64),
    ("sha3224", 28),
    ("sha3256", 32),
    ("sha3384", 48),
    ("sha3512", 64),
    ("blake2s", 32),
    ("blake2b", 64),
    ("blake3", 32),
];
/// Maximum number of bytes of the name of a function, with its separators.
const NAME_BYTES_MAX: usize = 16;

/// Whether the value of a key with the name of a secret stays because it is a digest.
pub(super) fn stays(key: &[u8], value: &str) -> bool {
    let is_guessable = || GUESSABLE.iter().fold(Mask::off(), |mask, name| mask.with(name)).names_secret(key);
    is_digest(value) && !is_guessable()
}

/// Whether a value is the name of a hash function, a separator, and a digest of exactly its length, in hexadecimal or base64.
/// Password hashes (`$2b$…`, `$argon2id$…`, `{SSHA}…`) are not such values.
fn is_digest(value: &str) -> bool {
    let separators =
        value.bytes().enumerate().take(NAME_BYTES_MAX).filter(|(_, byte)| matches!(byte, b':' | b'=' | b'-'));
    separators
        .map(|(at, _)| (&value[..at], &value[at + 1..]))
        .any(|(name, digest)| digest_bytes(name).is_some_and(|bytes| is_of_length(digest.as_bytes(), bytes)))
}

/// The number of bytes of the digests of a function.
fn digest_bytes(name: &str) -> Option<usize> {
    let name: String = name.chars().filter(|char| !matches!(char, '-' | '_')).collect::<String>().to_ascii_lowercase();
    let name = name.strip_prefix("hmac").unwrap_or(&name);
    FUNCTIONS.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}

fn is_of_length(digest: &[u8], bytes: usize) -> bool {
    let is_hex = digest.len() == 2 * bytes && digest.iter().all(u8::is_ascii_hexdigit);
    let padding = digest.iter().rev().take_while(|byte| **byte == b'=').count();
    let (characters, padded) = ((4 * bytes).div_ceil(3), 4 * bytes.div_ceil(3));
    let digits = &digest[..digest.len() - padding];
    let is_base64 = digits.len() == characters
        && (padding == 0 || digest.len() == padded)
        && digits.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_'));
    is_hex || is_base64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_identify_themselves_by_name_and_length() {
        let (hex, base64) = ("0f".repeat(32), "A-".repeat(21) + "9");
        for value in [
            format!("sha256:{hex}"),
            format!("SHA-256:{}", hex.to_uppercase()),
            format!("sha256={hex}"),
            format!("hmac-sha256:{hex}"),
            format!("hmac_sha256={hex}"),
            format!("sha256-{base64}="),
            format!("sha256:{base64}"),
            format!("sha3-256:{hex}"),
            format!("sha512:{hex}{hex}"),
            format!("md5:{}", &hex[..32]),
        ] {
            assert!(stays(b"access_token", &value), "{value}");
            for key in ["password", "dbPassword", "PWD", "otp2", "new-passphrase"] {
                assert!(!stays(key.as_bytes(), &value), "{key} {value}");
            }
        }
        for value in [
            hex.clone(),
            format!("sha256:{}", &hex[1..]),
            format!("sha256:{hex}0"),
            "sha256:hunter2".to_owned(),
            format!("sha256:{}", "z!".repeat(32)),
            format!("sha512:{hex}"),
            format!("sha999:{hex}"),
            format!("x-sha256:{hex}"),
            format!(":{hex}"),
            format!("token:{hex}"),
            "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW".to_owned(),
            "{SSHA}0c0blFTXXNuAMHECS4uxrj3ZieMoWImr".to_owned(),
            String::new(),
            "é:é".to_owned(),
        ] {
            assert!(!stays(b"token", &value), "{value}");
        }
    }
}
