//! What lets a person in: a session, kept in a browser's cookie, and a link that signs in once.
//!
//! Both are tickets: a JWT (RFC 7519) signed with HMAC-SHA-256 that names a credential and has an identity of its own,
//! by which it can be spent. Each purpose has a key of its own, derived from the file's: a ticket of one kind, or an
//! access token, is never taken for a ticket of the other. What the credential may do is looked up at each use.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::{
    credential::{ClientId, random},
    signed::SigningKey,
    timestamp::Timestamp,
    token::CLOCK_BACK_SECONDS,
};

/// Characters of a ticket's identity: 16 random bytes.
const ID_CHARS: usize = 22;

/// What a ticket is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Using the server as one who has signed in.
    Session,
    /// Signing in, once.
    SignInLink,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Session => b"auditbox session",
            Self::SignInLink => b"auditbox sign-in link",
        }
    }
}

/// What a ticket is told apart by. Not a secret: it opens nothing without the signature.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TicketId(String);

impl TicketId {
    /// Reads an identity made here.
    pub fn parse(text: &str) -> Option<Self> {
        let fitting = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (text.len() == ID_CHARS && text.bytes().all(fitting)).then(|| Self(text.to_owned()))
    }

    fn generate() -> Result<Self, getrandom::Error> {
        random::<16>().map(|bytes| Self(BASE64_URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// The identity.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a ticket says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Its identity, which a renewed ticket keeps.
    pub id: TicketId,
    /// Whom it lets in.
    pub client_id: ClientId,
    /// When the first ticket of this identity was made.
    pub begun: Timestamp,
    /// When this one was made.
    pub issued: Timestamp,
    /// When it ends, unless it is renewed.
    pub expires: Timestamp,
}

impl Ticket {
    /// A new ticket for `client_id`.
    pub fn begin(client_id: ClientId, now: Timestamp, expires: Timestamp) -> Result<Self, getrandom::Error> {
        Ok(Self { id: TicketId::generate()?, client_id, begun: now, issued: now, expires })
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    /// The client id (RFC 7519 section 4.1.2).
    sub: String,
    /// The identity (section 4.1.7).
    jti: String,
    /// When the first of this identity was made, in seconds since 1970 (`OpenID` Connect's name for it).
    auth_time: i64,
    /// Issued at, in seconds since 1970 (section 4.1.6).
    iat: i64,
    /// Expires at, in seconds since 1970 (section 4.1.4).
    exp: i64,
}

/// Makes and reads the tickets of one purpose.
pub struct Tickets(SigningKey);

impl Tickets {
    /// Tickets for one purpose, signed with a key that is derived from the one kept in the file.
    pub fn new(file_key: &[u8], purpose: Purpose) -> Self {
        let key = Sha256::new().chain_update(purpose.label()).chain_update(file_key).finalize();
        Self(SigningKey::new(&key))
    }

    /// Writes a ticket.
    pub fn write(&self, ticket: &Ticket) -> Result<String, serde_json::Error> {
        self.0.sign(&Claims {
            sub: ticket.client_id.as_str().to_owned(),
            jti: ticket.id.as_str().to_owned(),
            auth_time: ticket.begun.seconds(),
            iat: ticket.issued.seconds(),
            exp: ticket.expires.seconds(),
        })
    }

    /// Reads a ticket, if it was issued here for this purpose and is valid at `now`.
    ///
    /// A ticket from the future was issued before the clock was set back. If that was by more than a minute, the ticket is
    /// rejected: it would outlive its time.
    pub fn read(&self, text: &str, now: Timestamp) -> Option<Ticket> {
        let claims: Claims = self.0.verify(text)?;
        if claims.iat > now.seconds().saturating_add(CLOCK_BACK_SECONDS)
            || claims.auth_time > claims.iat
            || now.seconds() >= claims.exp
        {
            return None;
        }
        let instant = |seconds: i64| Timestamp::from_micros(0).plus_seconds(seconds);
        Some(Ticket {
            id: TicketId::parse(&claims.jti)?,
            client_id: ClientId::parse(&claims.sub).ok()?,
            begun: instant(claims.auth_time),
            issued: instant(claims.iat),
            expires: instant(claims.exp),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::token::AccessTokens;

    const KEY: &[u8] = b"one key";

    #[test]
    fn a_ticket_is_good_for_its_time_its_purpose_and_its_key() {
        let (sessions, now) = (Tickets::new(KEY, Purpose::Session), Timestamp::from_micros(1_700_000_000_000_000));
        let client_id = ClientId::generate().unwrap();
        let ticket = Ticket::begin(client_id.clone(), now, now.plus_seconds(60)).unwrap();
        let text = sessions.write(&ticket).unwrap();
        assert_eq!(sessions.read(&text, now.plus_seconds(59)), Some(ticket));
        assert_eq!(sessions.read(&text, now.plus_seconds(60)), None);
        assert!(sessions.read(&text, now.plus_seconds(-CLOCK_BACK_SECONDS)).is_some());
        assert_eq!(sessions.read(&text, now.plus_seconds(-CLOCK_BACK_SECONDS - 1)), None);
        assert_eq!(Tickets::new(KEY, Purpose::SignInLink).read(&text, now), None);
        assert_eq!(Tickets::new(b"another", Purpose::Session).read(&text, now), None);
        assert_eq!(AccessTokens::new(KEY).read(&text, now), None);
        let access = AccessTokens::new(KEY).issue(&client_id, now, now.plus_seconds(60)).unwrap();
        assert_eq!(sessions.read(&access, now), None);
    }

    #[test]
    fn tickets_of_an_earlier_version_are_still_valid() {
        let (key, now) = (b"0123456789abcdef0123456789abcdef", Timestamp::from_micros(1_700_000_000_000_000));
        let ticket = Ticket {
            id: TicketId::parse("abcdefghijklmnopqrstuv").unwrap(),
            client_id: ClientId::parse("test-admin").unwrap(),
            begun: now,
            issued: now.plus_seconds(1),
            expires: now.plus_seconds(60),
        };
        // Issued by auditbox 0.1.0 before its tokens had a module of their own.
        let signed = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.\
                      eyJzdWIiOiJ0ZXN0LWFkbWluIiwianRpIjoiYWJjZGVmZ2hpamtsbW5vcHFyc3R1diIsImF1dGhfdGltZSI6MTcwMDAwMDAwMCwi\
                      aWF0IjoxNzAwMDAwMDAxLCJleHAiOjE3MDAwMDAwNjB9";
        for (purpose, signature) in [
            (Purpose::Session, "f8RJI_gNO4ScXmaBidUpK0zHuQIOiCOAJRgpkFSmllQ"),
            (Purpose::SignInLink, "HUaPwM896hd7z5kPduDI_PY1DfCJkXW4Dy0T9yV4ptU"),
        ] {
            let (tickets, text) = (Tickets::new(key, purpose), format!("{signed}.{signature}"));
            assert_eq!(tickets.read(&text, now), Some(ticket.clone()));
            assert_eq!(tickets.write(&ticket).unwrap(), text);
        }
    }

    #[test]
    fn no_two_tickets_share_an_identity() {
        let now = Timestamp::from_micros(0);
        let begin = || Ticket::begin(ClientId::parse("a").unwrap(), now, now).unwrap().id;
        let (one, other) = (begin(), begin());
        assert_ne!(one, other);
        assert_eq!(TicketId::parse(one.as_str()), Some(one));
        assert_eq!(TicketId::parse("' OR 1 = 1 --........."), None);
    }
}
