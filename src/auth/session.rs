//! People: sessions, and the links that begin one.
//!
//! A session is a signed ticket in a browser's cookie, renewed while it is used. The server remembers only those that were
//! ended before their time, in the file, so that neither a restart nor a copy of the cookie brings one back.

use std::{fmt, net::IpAddr};

use crate::{
    auth::authenticator::{Authenticator, AuthenticatorOptions, Denied, Principal},
    model::{
        credential::{Credential, CredentialChange, Secret},
        ticket::{Purpose, Ticket, Tickets},
        timestamp::Timestamp,
    },
};

/// Seconds after which a session that is used gets a new ticket. Far below any idle limit, and far above the pace of
/// requests.
const RENEW_SECONDS: i64 = 60;
/// Seconds that a sign-in link is good for: to copy it from a terminal into a browser, and no more.
const LINK_SECONDS: i64 = 5 * 60;

pub(super) struct Sessions {
    tickets: Tickets,
    links: Tickets,
    idle_seconds: i64,
    seconds: i64,
}

impl Sessions {
    pub(super) fn new(file_key: &[u8], options: AuthenticatorOptions) -> Self {
        Self {
            tickets: Tickets::new(file_key, Purpose::Session),
            links: Tickets::new(file_key, Purpose::SignInLink),
            idle_seconds: options.session_idle_seconds.into(),
            seconds: options.session_seconds.into(),
        }
    }

    /// When a session ends however much it is used.
    fn end(&self, ticket: &Ticket, credential: &Credential) -> Timestamp {
        let longest = ticket.begun.plus_seconds(self.seconds);
        credential.expires_at.map_or(longest, |end| end.min(longest))
    }

    fn write(&self, mut ticket: Ticket, credential: &Credential, now: Timestamp) -> Option<SessionToken> {
        ticket.issued = now;
        ticket.expires = self.end(&ticket, credential).min(now.plus_seconds(self.idle_seconds));
        let text = self.tickets.write(&ticket).ok()?;
        Some(SessionToken { text, seconds: ticket.expires.seconds() - now.seconds() })
    }
}

/// What a browser keeps of a session.
#[derive(Clone)]
pub struct SessionToken {
    /// The signed ticket.
    pub text: String,
    /// How long it is good for, from now.
    pub seconds: i64,
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionToken(…, {} s)", self.seconds)
    }
}

impl Authenticator {
    /// Lets somebody in by their secret. Failures are counted as those of programs are.
    pub async fn sign_in(
        &self,
        client_id: &str,
        secret: &Secret,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Principal, Denied> {
        let credential = self.check_presented(client_id, secret, address, now).await?;
        Ok(Principal { credential, session: None, until: None })
    }

    /// Whom a sign-in link lets in, and the link's ticket, which must be spent before they are let in by it.
    pub async fn check_link(&self, code: &str, now: Timestamp) -> Result<(Principal, Ticket), Denied> {
        let ticket = self.inner.sessions.links.read(code, now).ok_or(Denied::BadToken)?;
        let credential = self.find_usable(&ticket.client_id, now).await;
        let credential = credential.filter(|_| !self.inner.credentials.is_spent(&ticket.id)).ok_or(Denied::BadToken)?;
        Ok((Principal { credential, session: None, until: None }, ticket))
    }

    /// Begins a session with an identity of its own.
    pub fn begin_session(&self, credential: &Credential, now: Timestamp) -> Option<SessionToken> {
        let ticket = Ticket::begin(credential.client_id.clone(), now, now).ok()?;
        self.inner.sessions.write(ticket, credential, now)
    }

    /// Lets somebody in by their session.
    pub async fn check_session(&self, token: &str, now: Timestamp) -> Result<Principal, Denied> {
        let (sessions, credentials) = (&self.inner.sessions, &self.inner.credentials);
        let ticket = sessions.tickets.read(token, now).ok_or(Denied::BadToken)?;
        let credential = self.find_usable(&ticket.client_id, now).await.filter(|_| !credentials.is_spent(&ticket.id));
        let credential = credential.ok_or(Denied::BadToken)?;
        let end = sessions.end(&ticket, &credential);
        if end <= now {
            return Err(Denied::BadToken);
        }
        // What goes on for longer than a request, a stream, does not go on for longer than the ticket it began with: the
        // ticket ends when the session is idle, and only requests that somebody makes bring another.
        let until = end.min(ticket.expires);
        self.admit(Some(credential), Some(ticket), Some(until), now).ok_or(Denied::BadToken)
    }

    /// A new ticket for a session that goes on, if it is time for one.
    pub fn renew_session(&self, principal: &Principal, now: Timestamp) -> Option<SessionToken> {
        let ticket = principal.session.as_ref()?;
        let wait = RENEW_SECONDS.min(self.inner.sessions.idle_seconds / 2);
        let is_due = ticket.issued.plus_seconds(wait) <= now;
        is_due.then(|| self.inner.sessions.write(ticket.clone(), &principal.credential, now)).flatten()
    }

    /// When the ticket of a session could last be used, however often it was renewed.
    pub fn session_end(&self, ticket: &Ticket) -> Timestamp {
        ticket.begun.plus_seconds(self.inner.sessions.seconds)
    }
}

/// The code of a link that signs in once, made with the key of the file.
pub fn sign_in_code(file_key: &[u8], credential: &Credential, now: Timestamp) -> Option<String> {
    let ticket = Ticket::begin(credential.client_id.clone(), now, now.plus_seconds(LINK_SECONDS)).ok()?;
    Tickets::new(file_key, Purpose::SignInLink).write(&ticket).ok()
}

/// The change that makes the code of a sign-in link invalid; `None` if it is not valid now.
pub fn cancel_sign_in_code(file_key: &[u8], code: &str, now: Timestamp) -> Option<CredentialChange> {
    let ticket = Tickets::new(file_key, Purpose::SignInLink).read(code, now)?;
    Some(CredentialChange::Spend(ticket.client_id, ticket.id, ticket.expires))
}
