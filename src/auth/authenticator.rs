//! From what a client presents to a credential, or a refusal.

use std::{
    fmt,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    auth::{
        credential_cache::{Changes, CredentialCache, POLL},
        limiter::{Exceeded, Limiter},
        rejections::Rejections,
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
pub struct AuthenticatorOptions {
    /// How long an access token is good for, in seconds.
    pub access_token_seconds: u32,
    /// Failed logins that one client at an address may make within the window.
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
    /// A wrong secret, after too many others.
    TooMany(Exceeded),
}

/// Somebody who was let in, and for how long that holds.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The credential.
    pub credential: Arc<Credential>,
    /// The session, where it is one that lets them in.
    pub session: Option<Ticket>,
    /// When what they showed ends by itself.
    pub(super) until: Option<Timestamp>,
}

impl Principal {
    /// When it ends if nothing is done about it: what was shown, or the credential, whichever ends first.
    pub fn ends(&self) -> Option<Timestamp> {
        [self.until, self.credential.expires_at].into_iter().flatten().min()
    }
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
pub struct Authenticator {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) credentials: Arc<CredentialCache>,
    limiter: Limiter,
    rejections: Rejections,
    tokens: AccessTokens,
    pub(super) sessions: Sessions,
    access_token_seconds: i64,
}

impl Authenticator {
    /// Reads the credentials. Blocks on the disk.
    pub fn open(reader: &Reader, options: AuthenticatorOptions) -> Result<Self, ReadError> {
        let window = Duration::from_secs(options.failed_logins_window_seconds.into());
        let key = reader.access_token_key()?;
        let inner = Inner {
            tokens: AccessTokens::new(&key),
            sessions: Sessions::new(&key, options),
            credentials: Arc::new(CredentialCache::load(reader.clone())?),
            limiter: Limiter::new(options.failed_logins_max, window),
            rejections: Rejections::default(),
            access_token_seconds: options.access_token_seconds.into(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The credential that a Bearer token stands for, presented from `address`.
    pub async fn check_token(&self, token: &str, address: IpAddr, now: Timestamp) -> Result<Principal, Denied> {
        let (credential, until) = if token.starts_with(API_TOKEN_PREFIX) {
            let (client_id, secret) = parse_api_token(token).ok_or(Denied::BadToken)?;
            (self.check_secret(&client_id, &secret, address, now).await?, None)
        } else {
            let (client_id, expires) = self.inner.tokens.read(token, now).ok_or(Denied::BadToken)?;
            (self.find_usable(&client_id, now).await, Some(expires))
        };
        self.admit(credential, None, until, now).ok_or(Denied::BadToken)
    }

    /// A credential that is usable now. One that is not is looked up again once the file was read again: a command may have
    /// made or enabled it a moment ago.
    pub(super) async fn find_usable(&self, client_id: &ClientId, now: Timestamp) -> Option<Arc<Credential>> {
        let find = || self.inner.credentials.find(client_id).filter(|credential| credential.is_usable(now));
        if let Some(credential) = find() {
            return Some(credential);
        }
        self.inner.credentials.reread().await;
        find()
    }

    /// Whether somebody who was let in would still be let in.
    pub fn still_admits(&self, principal: &Principal, now: Timestamp) -> bool {
        let credentials = &self.inner.credentials;
        let known = credentials.find(&principal.credential.client_id);
        known.is_some_and(|credential| credential.is_usable(now))
            && principal.until.is_none_or(|until| now < until)
            && principal.session.as_ref().is_none_or(|ticket| !credentials.is_spent(&ticket.id))
    }

    /// When a credential was last used.
    pub fn last_use(&self, client_id: &ClientId) -> Option<Timestamp> {
        self.inner.credentials.last_use(client_id)
    }

    /// Word of changes to the credentials, and of sessions that were ended, from now on.
    pub fn changes(&self) -> Changes {
        self.inner.credentials.changes()
    }

    /// Lets somebody in by a credential, if it is there and usable.
    pub(super) fn admit(
        &self,
        credential: Option<Arc<Credential>>,
        session: Option<Ticket>,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Principal> {
        let credential = credential.filter(|credential| credential.is_usable(now))?;
        self.inner.credentials.use_at(&credential.client_id, now);
        Some(Principal { credential, session, until })
    }

    /// Lets a client in by its secret, and gives it an access token, which never outlives the credential.
    pub async fn login(
        &self,
        client_id: &str,
        secret: &Secret,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(Principal, AccessToken), Denied> {
        let credential = self.check_presented(client_id, secret, address, now).await?;
        let longest = now.plus_seconds(self.inner.access_token_seconds);
        let expires = credential.expires_at.map_or(longest, |end| end.min(longest));
        let token = self.inner.tokens.issue(&credential.client_id, now, expires).map_err(|_| Denied::WrongSecret)?;
        let principal = Principal { credential, session: None, until: Some(expires) };
        Ok((principal, AccessToken { token, expires_in: expires.seconds() - now.seconds() }))
    }

    /// Notices changes made through this server at once. Blocks on the disk.
    pub fn refresh(&self) -> Result<(), ReadError> {
        self.inner.credentials.refresh()
    }

    /// Notices changes made beside this server, until the gate is gone.
    pub fn watch(&self) {
        let inner = Arc::downgrade(&self.inner);
        let watching = move || {
            while let Some(inner) = inner.upgrade() {
                if let Err(error) = inner.credentials.refresh() {
                    tracing::warn!(%error, "the credentials could not be read again");
                }
                inner.rejections.report_ended(Instant::now());
                drop(inner);
                std::thread::sleep(POLL);
            }
        };
        if let Err(error) = std::thread::Builder::new().name("credentials".to_owned()).spawn(watching) {
            tracing::error!(%error, "changes to credentials made by a command will only be noticed at the next start");
        }
    }

    /// The credential of a client id and secret as a client presents them, if the credential is usable now.
    pub(super) async fn check_presented(
        &self,
        client_id: &str,
        secret: &Secret,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Arc<Credential>, Denied> {
        // An id that no credential can have is treated like one that is unknown.
        let client_id =
            ClientId::parse(client_id).or_else(|_| ClientId::parse("-")).map_err(|_| Denied::WrongSecret)?;
        let credential = self.check_secret(&client_id, secret, address, now).await?.ok_or(Denied::WrongSecret)?;
        self.inner.credentials.use_at(&credential.client_id, now);
        Ok(credential)
    }

    /// The credential of a client id, if this is its secret and it is usable now. A wrong secret is an error once there were
    /// too many; a right one never is.
    async fn check_secret(
        &self,
        client_id: &ClientId,
        secret: &Secret,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Option<Arc<Credential>>, Denied> {
        let compare = || {
            let (credential, is_right) = self.compare(client_id, secret);
            let is_usable = credential.as_ref().is_some_and(|credential| credential.is_usable(now));
            (credential, is_right, is_right && is_usable)
        };
        let (credential, _, is_accepted) = compare();
        if is_accepted {
            return Ok(credential);
        }
        // A command may have made or enabled it a moment ago.
        self.inner.credentials.reread().await;
        let (credential, is_right, is_accepted) = compare();
        if is_accepted {
            return Ok(credential);
        }
        let (known, clock) = (credential.as_ref(), Instant::now());
        let reason = known.filter(|_| is_right).map_or("wrong client id or secret", |known| known.state(now));
        self.inner.rejections.add(address, known.map(|known| known.name.as_str()), reason, clock);
        // The right secret of a credential that is not usable now is no guess.
        let exceeded = (!is_right).then(|| self.inner.limiter.failed(address, client_id, clock)).flatten();
        exceeded.map_or(Ok(None), |exceeded| Err(Denied::TooMany(exceeded)))
    }

    /// The credential, if there is one, and whether this is its secret. The same work is done in either case.
    fn compare(&self, client_id: &ClientId, secret: &Secret) -> (Option<Arc<Credential>>, bool) {
        let credential = self.inner.credentials.find(client_id);
        let hash = credential.as_ref().map_or_else(SecretHash::of_nobody, |credential| credential.secret_hash);
        let is_right = hash.is_of(secret);
        (credential, is_right)
    }
}
