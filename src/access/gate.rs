//! From what a client presents to a credential, or a refusal.

use std::{
    fmt,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    access::{
        directory::{Directory, POLL},
        limiter::{Exceeded, Limiter},
        session::Sessions,
    },
    model::{
        credential::{ClientId, Credential, Secret, SecretHash},
        ticket::Ticket,
        timestamp::Timestamp,
        token::{API_TOKEN_PREFIX, AccessTokens, parse_api_token},
    },
    store::{ReadError, Reader},
};

/// How a gate is set up.
#[derive(Debug, Clone, Copy)]
pub struct GateOptions {
    /// How long an access token is good for, in seconds.
    pub access_token_seconds: u32,
    /// Failed logins an address may make within the window.
    pub failed_logins_max: u32,
    /// The window, in seconds.
    pub failed_logins_window_seconds: u32,
    /// How long a session is good for when it is not used, in seconds.
    pub session_idle_seconds: u32,
    /// How long a session is good for, however much it is used, in seconds.
    pub session_seconds: u32,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// No such credential, or not its secret, or it is not usable now. Which of these is not said.
    WrongSecret,
    /// The token is not one that opens anything now.
    BadToken,
    /// Too many failed logins from this address.
    TooMany(Exceeded),
}

/// Somebody who was let in, and for how long that holds.
#[derive(Debug, Clone)]
pub struct Admission {
    /// The credential.
    pub credential: Arc<Credential>,
    /// The session, where it is one that lets them in.
    pub session: Option<Ticket>,
    /// When what they showed ends by itself.
    pub(super) until: Option<Timestamp>,
}

/// An access token and how long it is good for.
pub struct AccessToken {
    /// The JWT.
    pub token: String,
    /// Seconds from now.
    pub expires_in: i64,
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessToken(…, {} s)", self.expires_in)
    }
}

/// The only way in. A cheap handle.
#[derive(Clone)]
pub struct Gate {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) directory: Directory,
    limiter: Limiter,
    tokens: AccessTokens,
    pub(super) sessions: Sessions,
    access_token_seconds: i64,
}

impl Gate {
    /// Reads the credentials. Blocks on the disk.
    pub fn open(reader: &Reader, options: GateOptions) -> Result<Self, ReadError> {
        let window = Duration::from_secs(options.failed_logins_window_seconds.into());
        let key = reader.access_token_key()?;
        let inner = Inner {
            tokens: AccessTokens::new(&key),
            sessions: Sessions::new(&key, options),
            directory: Directory::load(reader.clone())?,
            limiter: Limiter::new(options.failed_logins_max, window),
            access_token_seconds: options.access_token_seconds.into(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The credential that a Bearer token stands for, presented from `address`.
    pub fn check_token(&self, token: &str, address: IpAddr, now: Timestamp) -> Result<Admission, Denied> {
        if token.starts_with(API_TOKEN_PREFIX) {
            let (client_id, secret) = parse_api_token(token).ok_or(Denied::BadToken)?;
            // The secret comes first: guessing 256 bits is hopeless at any speed, and somebody else's failed logins must
            // not stop those behind the same address whose tokens are good.
            let (credential, is_right) = self.compare(&client_id, &secret);
            if !is_right {
                let clock = Instant::now();
                if let Some(exceeded) = self.inner.limiter.exceeded(address, clock) {
                    return Err(Denied::TooMany(exceeded));
                }
                self.inner.limiter.failed(address, clock);
            }
            let credential = credential.filter(|_| is_right);
            return self.admit(credential, None, None, now).ok_or(Denied::BadToken);
        }
        let (client_id, expires) = self.inner.tokens.read(token, now).ok_or(Denied::BadToken)?;
        let credential = self.inner.directory.find(&client_id);
        self.admit(credential, None, Some(expires), now).ok_or(Denied::BadToken)
    }

    /// Whether somebody who was let in would still be let in.
    pub fn still_admits(&self, admission: &Admission, now: Timestamp) -> bool {
        let directory = &self.inner.directory;
        let known = directory.find(&admission.credential.client_id);
        known.is_some_and(|credential| credential.is_usable(now))
            && admission.until.is_none_or(|until| now < until)
            && admission.session.as_ref().is_none_or(|ticket| !directory.is_spent(&ticket.id))
    }

    /// When a credential was last used, if it was since the server started.
    pub fn last_use(&self, client_id: &ClientId) -> Option<Timestamp> {
        self.inner.directory.last_use(client_id)
    }

    /// Lets somebody in by a credential, if it is there and usable.
    pub(super) fn admit(
        &self,
        credential: Option<Arc<Credential>>,
        session: Option<Ticket>,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Admission> {
        let credential = credential.filter(|credential| credential.is_usable(now))?;
        self.inner.directory.use_at(&credential.client_id, now);
        Some(Admission { credential, session, until })
    }

    /// Lets a client in by its secret, and gives it an access token, which never outlives the credential.
    pub fn login(
        &self,
        client_id: &str,
        secret: &Secret,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(Admission, AccessToken), Denied> {
        let credential = self.check_secret(client_id, secret, address, now)?;
        let longest = now.plus_seconds(self.inner.access_token_seconds);
        let expires = credential.expires_at.map_or(longest, |end| end.min(longest));
        let token = self.inner.tokens.issue(&credential.client_id, now, expires).map_err(|_| Denied::WrongSecret)?;
        let admission = Admission { credential, session: None, until: Some(expires) };
        Ok((admission, AccessToken { token, expires_in: expires.seconds() - now.seconds() }))
    }

    /// Notices changes made through this server at once. Blocks on the disk.
    pub fn refresh(&self) -> Result<(), ReadError> {
        self.inner.directory.refresh()
    }

    /// Notices changes made beside this server, until the gate is gone.
    pub fn watch(&self) {
        let inner = Arc::downgrade(&self.inner);
        let watching = move || {
            while let Some(inner) = inner.upgrade() {
                if let Err(error) = inner.directory.refresh() {
                    tracing::warn!(%error, "the credentials could not be read again");
                }
                drop(inner);
                std::thread::sleep(POLL);
            }
        };
        if let Err(error) = std::thread::Builder::new().name("credentials".to_owned()).spawn(watching) {
            tracing::error!(%error, "changes to credentials made by a command will only be noticed at the next start");
        }
    }

    /// The credential of a client id, if this is its secret and it is usable now. Failures are counted by address.
    pub(super) fn check_secret(
        &self,
        client_id: &str,
        secret: &Secret,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Arc<Credential>, Denied> {
        // An id that no credential can have is treated like one that none has.
        let client_id =
            ClientId::parse(client_id).or_else(|_| ClientId::parse("-")).map_err(|_| Denied::WrongSecret)?;
        let clock = Instant::now();
        if let Some(exceeded) = self.inner.limiter.exceeded(address, clock) {
            return Err(Denied::TooMany(exceeded));
        }
        let (credential, is_right) = self.compare(&client_id, secret);
        // The right secret of a credential that is not usable now is no guess: a sender whose credential was switched off
        // must not lock out all others behind its address.
        if is_right {
            self.inner.limiter.succeeded(address);
        } else {
            self.inner.limiter.failed(address, clock);
        }
        let credential = credential.filter(|known| is_right && known.is_usable(now)).ok_or(Denied::WrongSecret)?;
        self.inner.directory.use_at(&credential.client_id, now);
        Ok(credential)
    }

    /// The credential, if there is one, and whether this is its secret. The same work is done in either case.
    fn compare(&self, client_id: &ClientId, secret: &Secret) -> (Option<Arc<Credential>>, bool) {
        let credential = self.inner.directory.find(client_id);
        let hash = credential.as_ref().map_or_else(SecretHash::of_nobody, |credential| credential.secret_hash);
        let is_right = hash.is_of(secret);
        (credential, is_right)
    }
}
