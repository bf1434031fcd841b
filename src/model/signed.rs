//! Signed tokens: claims as a JSON Web Token (RFC 7519), in the compact form of RFC 7515, signed with HMAC-SHA-256.
//!
//! There is one header and one algorithm. A token with any other header is rejected before its signature is checked, so a
//! token cannot choose how it is verified (RFC 8725 section 3.1). Access tokens and tickets share the claims and the rule about
//! times, and differ in their keys.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::model::timestamp::Timestamp;

/// The header of every token: `{"typ":"JWT","alg":"HS256"}` in base64url.
const HEADER: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9";
/// Bytes in a block of SHA-256. HMAC pads a shorter key with zeros, and hashes a longer one first (RFC 2104 section 2).
const BLOCK_BYTES: usize = 64;

/// Number of seconds by which the clock may be set back without invalidating tokens. A token may outlive its expiry by this
/// much.
pub(super) const CLOCK_BACK_SECONDS: i64 = 60;

/// The claims of a token.
#[derive(Serialize, Deserialize)]
pub(super) struct Claims {
    /// The client id (RFC 7519 section 4.1.2).
    pub(super) sub: String,
    /// The identity of a ticket (section 4.1.7).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) jti: Option<String>,
    /// When the first ticket with this identity was issued, in seconds since 1970 (`OpenID` Connect Core, section 2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) auth_time: Option<i64>,
    /// When the token was issued, in seconds since 1970 (section 4.1.6).
    pub(super) iat: i64,
    /// When the token expires, in seconds since 1970 (section 4.1.4).
    pub(super) exp: i64,
}

/// A key that signs tokens and verifies them. Deliberately without `Debug`.
pub(super) struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// The key made of these bytes, of any length.
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut block = [0; BLOCK_BYTES];
        match block.get_mut(..bytes.len()) {
            Some(start) => start.copy_from_slice(bytes),
            None => block[..32].copy_from_slice(&Sha256::digest(bytes)),
        }
        Self(Hmac::new(&block.into()))
    }

    /// Writes a token with these claims.
    pub(super) fn sign(&self, claims: &Claims) -> Result<String, serde_json::Error> {
        self.sign_any(claims)
    }

    fn sign_any(&self, claims: &impl Serialize) -> Result<String, serde_json::Error> {
        let claims = BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims)?);
        let mut token = format!("{HEADER}.{claims}");
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.mac(&token).finalize().into_bytes());
        token.push('.');
        token.push_str(&signature);
        Ok(token)
    }

    /// Reads the claims of a token that this key signed and that is valid at `now`.
    ///
    /// A token from the future was issued before the clock was set back. If that was by more than
    /// [`CLOCK_BACK_SECONDS`], the token is rejected, because it would outlive its time.
    pub(super) fn read(&self, token: &str, now: Timestamp) -> Option<Claims> {
        let claims: Claims = self.verify(token)?;
        let is_issued = claims.iat <= now.seconds().saturating_add(CLOCK_BACK_SECONDS);
        (is_issued && now.seconds() < claims.exp).then_some(claims)
    }

    /// Reads the claims of a token that this key signed; `None` for any other text.
    fn verify<C: DeserializeOwned>(&self, token: &str) -> Option<C> {
        let (signed, signature) = token.rsplit_once('.')?;
        let claims = signed.strip_prefix(HEADER)?.strip_prefix('.')?;
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
        // Compares the whole signature in constant time.
        self.mac(signed).verify_slice(&signature).ok()?;
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }

    /// The code of a text, to write or to compare.
    pub(super) fn mac(&self, text: &str) -> Hmac<Sha256> {
        self.0.clone().chain_update(text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_header_says_hs256_and_the_signature_is_that_of_the_standard() {
        assert_eq!(BASE64_URL_SAFE_NO_PAD.decode(HEADER).unwrap(), br#"{"typ":"JWT","alg":"HS256"}"#);
        // RFC 7515, appendix A.1.
        let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let signed = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
                      eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let key = SigningKey::new(&BASE64_URL_SAFE_NO_PAD.decode(key).unwrap());
        let signature = BASE64_URL_SAFE_NO_PAD.encode(key.mac(signed).finalize().into_bytes());
        assert_eq!(signature, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        // Another spelling of the same header is another header.
        assert_eq!(key.verify::<Value>(&format!("{signed}.{signature}")), None);
    }

    #[test]
    fn keys_of_every_length_sign_as_the_standard_says() {
        // RFC 4231, test cases 2 (4 bytes) and 6 (131 bytes, longer than a block).
        for (key, text, expected) in [
            (
                b"Jefe".to_vec(),
                "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                vec![0xaa; 131],
                "Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            let bytes = SigningKey::new(&key).mac(text).finalize().into_bytes();
            let byte = |at: usize| u8::from_str_radix(&expected[at..at + 2], 16).unwrap();
            assert_eq!(bytes.to_vec(), (0..64).step_by(2).map(byte).collect::<Vec<_>>());
        }
    }

    #[test]
    fn only_what_the_key_signed_is_read() {
        let (key, claims) = (SigningKey::new(b"one key"), json!({ "sub": "ada" }));
        let token = key.sign_any(&claims).unwrap();
        assert_eq!(key.verify(&token), Some(claims.clone()));
        assert_eq!(SigningKey::new(b"another").verify::<Value>(&token), None);
        // Every character counts: the last of a signature has two bits that base64url leaves unused.
        for (at, char) in token.char_indices() {
            for other in ["A", "B", "x", ".", "="].into_iter().filter(|other| *other != char.to_string()) {
                let damaged = format!("{}{other}{}", &token[..at], &token[at + 1..]);
                assert_eq!(key.verify::<Value>(&damaged), None, "{damaged}");
            }
            assert_eq!(key.verify::<Value>(&token[..at]), None);
        }
        let parts: Vec<_> = token.split('.').collect();
        let signed_by_key = |header: &Value, claims: &str| {
            let text = format!("{}.{claims}", BASE64_URL_SAFE_NO_PAD.encode(header.to_string()));
            let signature = BASE64_URL_SAFE_NO_PAD.encode(key.mac(&text).finalize().into_bytes());
            format!("{text}.{signature}")
        };
        for header in [
            json!({ "typ": "JWT", "alg": "none" }),
            json!({ "alg": "HS256", "typ": "JWT" }),
            json!({ "typ": "JWT", "alg": "HS512" }),
        ] {
            assert_eq!(key.verify::<Value>(&signed_by_key(&header, parts[1])), None, "{header}");
        }
        for text in ["", ".", "..", "...", &format!("{token}.{}", parts[2]), &format!("{}..{}", parts[0], parts[2])] {
            assert_eq!(key.verify::<Value>(text), None, "{text}");
        }
    }
}
