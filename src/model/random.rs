//! Random bytes from the operating system, for secrets and for unguessable identifiers.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

/// `N` random bytes.
pub fn bytes<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// `N` random bytes in base64url, which uses letters, digits, `-` and `_`.
pub(super) fn text<const N: usize>() -> Result<String, getrandom::Error> {
    bytes::<N>().map(|bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes))
}
