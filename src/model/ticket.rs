//! Tickets, with which people use the pages: a session, kept in a browser's cookie, and a link that signs in once.
//!
//! A command on the server's machine has a ticket for the requests that it makes itself.
//!
//! A ticket is a signed token that names a credential and has an identity, by which it can be revoked. Each purpose has its
//! own key, derived from the file's key. A ticket is therefore never accepted for another purpose, nor is an access token
//! accepted as a ticket. The permissions of the credential are looked up at each use.

use sha2::{Digest, Sha256};

use crate::model::{
    credential::ClientId,
    signed::{Claims, SigningKey},
    ticket_id::TicketId,
    timestamp::Timestamp,
};

/// What a ticket is valid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Using the pages after signing in.
    Session,
    /// Signing in, once.
    SignInLink,
    /// Requests of a command on the server's machine.
    CommandLine,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Session => b"auditbox session",
            Self::SignInLink => b"auditbox sign-in link",
            Self::CommandLine => b"auditbox command line",
        }
    }
}

/// The content of a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The identity. A renewed ticket keeps it.
    pub id: TicketId,
    /// The client id of the credential.
    pub client_id: ClientId,
    /// When the first ticket with this identity was issued.
    pub begun: Timestamp,
    /// When this ticket was issued.
    pub issued: Timestamp,
    /// When the ticket expires, unless it is renewed.
    pub expires: Timestamp,
}

impl Ticket {
    /// A new ticket for `client_id`.
    pub fn begin(client_id: ClientId, now: Timestamp, expires: Timestamp) -> Result<Self, getrandom::Error> {
        Ok(Self { id: TicketId::generate()?, client_id, begun: now, issued: now, expires })
    }
}

/// Writes and reads the tickets of one purpose.
pub struct Tickets(SigningKey);

impl Tickets {
    /// Tickets for one purpose, signed with a key that is derived from the key in the file.
    pub fn new(file_key: &[u8], purpose: Purpose) -> Self {
        let key = Sha256::new().chain_update(purpose.label()).chain_update(file_key).finalize();
        Self(SigningKey::new(&key))
    }

    /// Writes a ticket.
    pub fn write(&self, ticket: &Ticket) -> Result<String, serde_json::Error> {
        self.0.sign(&Claims {
            sub: ticket.client_id.as_str().to_owned(),
            jti: Some(ticket.id.as_str().to_owned()),
            auth_time: Some(ticket.begun.seconds()),
            iat: ticket.issued.seconds(),
            exp: ticket.expires.seconds(),
        })
    }

    /// Reads a ticket, if it was issued here for this purpose and is valid at `now`.
    pub fn read(&self, text: &str, now: Timestamp) -> Option<Ticket> {
        let claims = self.0.read(text, now)?;
        let auth_time = claims.auth_time.filter(|auth_time| *auth_time <= claims.iat)?;
        Some(Ticket {
            id: TicketId::parse(&claims.jti?)?,
            client_id: ClientId::parse(&claims.sub).ok()?,
            begun: Timestamp::from_seconds(auth_time),
            issued: Timestamp::from_seconds(claims.iat),
            expires: Timestamp::from_seconds(claims.exp),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{signed::CLOCK_BACK_SECONDS, token::AccessTokens};

    const KEY: &[u8] = b"one key";

    #[test]
    fn a_ticket_is_valid_for_its_time_its_purpose_and_its_key() {
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
