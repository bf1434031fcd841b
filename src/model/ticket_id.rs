//! The identity of a ticket, by which the ticket can be revoked.

use crate::model::random;

/// Number of characters of an identity: 16 random bytes in base64url.
const ID_CHARS: usize = 22;

/// The identity of a ticket. Not a secret: without the signature it gives no access.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TicketId(String);

impl TicketId {
    /// Parses an identity that [`Self::generate`] made.
    pub fn parse(text: &str) -> Option<Self> {
        let fitting = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (text.len() == ID_CHARS && text.bytes().all(fitting)).then(|| Self(text.to_owned()))
    }

    /// Generates an identity.
    pub fn generate() -> Result<Self, getrandom::Error> {
        random::text::<16>().map(Self)
    }

    /// The identity.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
