//! Sessions of users, and the sign-in links that begin one.
//!
//! A session is a signed ticket in a browser cookie, renewed while it is used. The file keeps only the tickets that were
//! revoked before they expired, so that neither a restart nor a copied cookie brings such a session back.

use std::fmt;

use crate::model::{
    credential::{Credential, CredentialChange},
    ticket::{Purpose, Ticket, Tickets},
    timestamp::Timestamp,
};

/// Age in seconds at which the ticket of an active session is renewed: far below any idle limit, and far above the time
/// between requests.
const RENEW_SECONDS: i64 = 60;
/// Seconds that a sign-in link is valid: enough to copy it from a terminal into a browser.
const LINK_SECONDS: i64 = 5 * 60;
/// Seconds that the token of a command is valid. A live stream ends with it, and the command begins another one.
const COMMAND_SECONDS: i64 = 5 * 60;

/// Issues and verifies the tickets of sessions and links.
pub(super) struct Sessions {
    tickets: Tickets,
    links: Tickets,
    commands: Tickets,
    idle_seconds: i64,
    seconds: i64,
}

impl Sessions {
    pub(super) fn new(file_key: &[u8], idle_seconds: u32, seconds: u32) -> Self {
        Self {
            tickets: Tickets::new(file_key, Purpose::Session),
            links: Tickets::new(file_key, Purpose::SignInLink),
            commands: Tickets::new(file_key, Purpose::CommandLine),
            idle_seconds: idle_seconds.into(),
            seconds: seconds.into(),
        }
    }

    /// Begins a session with a new identity.
    pub(super) fn begin(&self, credential: &Credential, now: Timestamp) -> Option<SessionToken> {
        let ticket = Ticket::begin(credential.client_id.clone(), now, now).ok()?;
        self.issue(ticket, credential, now)
    }

    /// Renews the ticket of a session if it is old enough.
    pub(super) fn renew(&self, ticket: &Ticket, credential: &Credential, now: Timestamp) -> Option<SessionToken> {
        let wait = RENEW_SECONDS.min(self.idle_seconds / 2);
        let is_due = ticket.issued.plus_seconds(wait) <= now;
        is_due.then(|| self.issue(ticket.clone(), credential, now)).flatten()
    }

    pub(super) fn read(&self, token: &str, now: Timestamp) -> Option<Ticket> {
        self.tickets.read(token, now)
    }

    pub(super) fn read_link(&self, code: &str, now: Timestamp) -> Option<Ticket> {
        self.links.read(code, now)
    }

    pub(super) fn read_command(&self, token: &str, now: Timestamp) -> Option<Ticket> {
        self.commands.read(token, now)
    }

    /// When a session ends, even if it is in use.
    pub(super) fn end(&self, ticket: &Ticket, credential: &Credential) -> Timestamp {
        let longest = self.longest(ticket);
        credential.expires_at.map_or(longest, |end| end.min(longest))
    }

    /// The last instant at which any ticket of a session can be valid, however often it was renewed.
    pub(super) fn longest(&self, ticket: &Ticket) -> Timestamp {
        ticket.begun.plus_seconds(self.seconds)
    }

    fn issue(&self, mut ticket: Ticket, credential: &Credential, now: Timestamp) -> Option<SessionToken> {
        ticket.issued = now;
        ticket.expires = self.end(&ticket, credential).min(now.plus_seconds(self.idle_seconds));
        let text = self.tickets.write(&ticket).ok()?;
        Some(SessionToken { text, seconds: ticket.expires.seconds() - now.seconds() })
    }
}

/// The session cookie's value and lifetime.
#[derive(Clone)]
pub struct SessionToken {
    /// The signed ticket.
    pub text: String,
    /// Seconds that it is valid from now.
    pub seconds: i64,
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionToken(…, {} s)", self.seconds)
    }
}

/// A token for the requests of a command on the server's machine, signed with the key of the file.
pub fn command_line_token(file_key: &[u8], now: Timestamp) -> Option<String> {
    let client_id = Credential::of_command_line().client_id;
    let ticket = Ticket::begin(client_id, now, now.plus_seconds(COMMAND_SECONDS)).ok()?;
    Tickets::new(file_key, Purpose::CommandLine).write(&ticket).ok()
}

/// The code of a link that signs in once, signed with the key of the file.
pub fn sign_in_code(file_key: &[u8], credential: &Credential, now: Timestamp) -> Option<String> {
    let ticket = Ticket::begin(credential.client_id.clone(), now, now.plus_seconds(LINK_SECONDS)).ok()?;
    Tickets::new(file_key, Purpose::SignInLink).write(&ticket).ok()
}

/// The change that makes the code of a sign-in link invalid; `None` if it is not valid now.
pub fn cancel_sign_in_code(file_key: &[u8], code: &str, now: Timestamp) -> Option<CredentialChange> {
    let ticket = Tickets::new(file_key, Purpose::SignInLink).read(code, now)?;
    Some(CredentialChange::Spend(ticket.client_id, ticket.id, ticket.expires))
}
