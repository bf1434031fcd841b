//! How users sign in, with a secret or a link, and how their sessions are checked and renewed.

use std::net::IpAddr;

use crate::{
    auth::{
        authenticator::{Authenticator, Denied, Principal},
        session::SessionToken,
    },
    model::{
        credential::{Credential, Secret},
        ticket::Ticket,
        timestamp::Timestamp,
    },
};

impl Authenticator {
    /// Authenticates a user by secret. Failures count towards the same limits as those of programs.
    pub async fn sign_in(
        &self,
        client_id: &str,
        secret: &Secret,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Principal, Denied> {
        let credential = self.check_presented(client_id, secret, address, now).await?;
        self.check_address(&credential, address)?;
        Ok(Principal { credential, session: None, until: None })
    }

    /// The principal of a sign-in link, and the link's ticket. The caller must revoke the ticket before it begins a
    /// session, so that a link works once.
    pub async fn check_link(&self, code: &str, address: IpAddr, now: Timestamp) -> Result<(Principal, Ticket), Denied> {
        let ticket = self.inner.sessions.read_link(code, now).ok_or(Denied::BadToken)?;
        let credential = self.find_usable(&ticket.client_id, now).await;
        let credential = credential.filter(|_| !self.inner.credentials.is_spent(&ticket.id)).ok_or(Denied::BadToken)?;
        self.check_address(&credential, address)?;
        Ok((Principal { credential, session: None, until: None }, ticket))
    }

    /// Begins a session with a new identity.
    pub fn begin_session(&self, credential: &Credential, now: Timestamp) -> Option<SessionToken> {
        self.inner.sessions.begin(credential, now)
    }

    /// Authenticates a user by session. A session does not count at an address from which its credential is not accepted: there
    /// the user can sign in with another one.
    pub async fn check_session(&self, token: &str, address: IpAddr, now: Timestamp) -> Result<Principal, Denied> {
        let (sessions, credentials) = (&self.inner.sessions, &self.inner.credentials);
        let ticket = sessions.read(token, now).ok_or(Denied::BadToken)?;
        let credential = self.find_usable(&ticket.client_id, now).await.filter(|_| !credentials.is_spent(&ticket.id));
        let credential = credential.filter(|credential| credential.allows(address)).ok_or(Denied::BadToken)?;
        let end = sessions.end(&ticket, &credential);
        if end <= now {
            return Err(Denied::BadToken);
        }
        // A stream ends with the ticket that it began with: the ticket expires when the session is idle, and only other
        // requests of the user renew it.
        let until = end.min(ticket.expires);
        self.admit(Some(credential), Some(ticket), Some(until), now).ok_or(Denied::BadToken)
    }

    /// A new ticket for the principal's session, if it is time for one.
    pub fn renew_session(&self, principal: &Principal, now: Timestamp) -> Option<SessionToken> {
        self.inner.sessions.renew(principal.session.as_ref()?, &principal.credential, now)
    }

    /// The last instant at which any ticket of this session can be valid.
    pub fn session_end(&self, ticket: &Ticket) -> Timestamp {
        self.inner.sessions.longest(ticket)
    }
}
