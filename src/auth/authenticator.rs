//! Checks what a client presents: a token, or a client id and secret.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
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
        credential::{ActorType, ClientId, Credential, Secret, SecretHashes},
        file_proof::{FileProof, local_address},
        ticket::Ticket,
        timestamp::Timestamp,
        token::{API_TOKEN_PREFIX, AccessTokens, is_like_token, parse_api_token, split_static_token},
    },
    store::{ReadError, Reader},
};

/// Limits and lifetimes.
#[derive(Debug, Clone, Copy)]
pub struct AuthenticatorOptions {
    /// Seconds that an access token is valid.
    pub access_token_seconds: u32,
    /// Maximum number of failed logins of one client at one address within the window.
    pub failed_logins_max: u32,
    /// Length of the window in seconds.
    pub failed_logins_window_seconds: u32,
    /// Seconds after which an unused session ends.
    pub session_idle_seconds: u32,
    /// Seconds after which a session ends even if it is in use.
    pub session_seconds: u32,
}

/// Why authentication failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// The client id is unknown, the secret is wrong, or the credential is not usable now. Clients cannot tell which.
    WrongSecret,
    /// The token is unknown, expired or revoked.
    BadToken,
    /// The secret is wrong, after too many other wrong ones.
    TooMany(Exceeded),
    /// The secret is right, but the credential is not accepted from this address.
    Elsewhere(IpAddr),
}

/// An authenticated client or user.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The credential.
    pub credential: Arc<Credential>,
    /// The ticket of the session, if the principal has one.
    pub session: Option<Ticket>,
    /// When the token or ticket expires.
    pub(super) until: Option<Timestamp>,
}

impl Principal {
    /// When the token or ticket expires, or the credential, whichever is first.
    pub fn ends(&self) -> Option<Timestamp> {
        [self.until, self.credential.expires_at].into_iter().flatten().min()
    }
}

/// An access token and its lifetime.
pub struct AccessToken {
    /// The JWT.
    pub token: String,
    /// Seconds until it expires.
    pub expires_in: i64,
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessToken(…, {} s)", self.expires_in)
    }
}

/// Authenticates every request. Clones share one state.
#[derive(Clone)]
pub struct Authenticator {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) credentials: Arc<CredentialCache>,
    limiter: Limiter,
    rejections: Rejections,
    tokens: AccessTokens,
    proof: FileProof,
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
            proof: FileProof::new(&key),
            sessions: Sessions::new(&key, options.session_idle_seconds, options.session_seconds),
            credentials: Arc::new(CredentialCache::load(reader.clone())?),
            limiter: Limiter::new(options.failed_logins_max, window),
            rejections: Rejections::default(),
            access_token_seconds: options.access_token_seconds.into(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Proves to a command that the server at `address` has the file open; `None` if the challenge is not one.
    pub fn prove(&self, challenge: &str, address: SocketAddr) -> Option<String> {
        self.inner.proof.prove(challenge, local_address(address))
    }

    /// Authenticates a client by the token that it presents from `address`. The caller must also check that the credential is
    /// accepted from there: see [`Credential::allows`].
    pub async fn check_token(&self, token: &str, address: IpAddr, now: Timestamp) -> Result<Principal, Denied> {
        let (credential, until) = if token.starts_with(API_TOKEN_PREFIX) {
            let (client_id, secret) = parse_api_token(token).ok_or(Denied::BadToken)?;
            (self.check_secret(&client_id, &secret, address, now).await?, None)
        } else if let Some((client_id, expires)) = self.inner.tokens.read(token, now) {
            (self.find_usable(&client_id, now).await, Some(expires))
        } else if let Some(ticket) = self.inner.sessions.read_command(token, now) {
            let credential = Arc::new(Credential::of_command_line());
            return Ok(Principal { credential, session: None, until: Some(ticket.expires) });
        } else {
            let (client_id, secret) = self.parse_static(token).ok_or(Denied::BadToken)?;
            (self.check_secret(&client_id, &secret, address, now).await?, None)
        };
        self.admit(credential, None, until, now).ok_or(Denied::BadToken)
    }

    /// Authenticates a client by a name and a password. They are a client id and its secret; or the password is a token, and the
    /// name is any, as some senders have a fixed one.
    pub async fn check_password(
        &self,
        name: &str,
        password: &str,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Principal, Denied> {
        let is_known = ClientId::parse(name).is_ok_and(|client_id| self.inner.credentials.find(&client_id).is_some());
        if !is_known && is_like_token(password) {
            return self.check_token(password, address, now).await;
        }
        let secret = Secret::presented(password.to_owned());
        let checked = self.check_presented(name, &secret, address, now).await;
        let credential =
            checked.map_err(|denied| if denied == Denied::WrongSecret { Denied::BadToken } else { denied })?;
        Ok(Principal { credential, session: None, until: None })
    }

    /// The client id and the secret in `<client id>.<secret>`. If there are several dots, a known client id decides, so that an
    /// expired access token does not count as a wrong secret.
    fn parse_static(&self, token: &str) -> Option<(ClientId, Secret)> {
        let mut parts: Vec<_> = split_static_token(token).collect();
        if parts.len() > 1 {
            parts.retain(|(client_id, _)| self.inner.credentials.find(client_id).is_some());
        }
        parts.into_iter().next()
    }

    /// The credential, if it is usable now. If not, the file is read again first: a command may have created or enabled it a
    /// moment ago.
    pub(super) async fn find_usable(&self, client_id: &ClientId, now: Timestamp) -> Option<Arc<Credential>> {
        let find = || self.inner.credentials.find(client_id).filter(|credential| credential.is_usable(now));
        if let Some(credential) = find() {
            return Some(credential);
        }
        self.inner.credentials.reread().await;
        find()
    }

    /// Whether the principal would still be authenticated.
    pub fn still_admits(&self, principal: &Principal, now: Timestamp) -> bool {
        let credentials = &self.inner.credentials;
        let known = || credentials.find(&principal.credential.client_id);
        (principal.credential.actor_type == ActorType::System
            || known().is_some_and(|known| {
                // With other allowed addresses, the client must present itself again.
                known.is_usable(now) && known.allowed == principal.credential.allowed
            }))
            && principal.until.is_none_or(|until| now < until)
            && principal.session.as_ref().is_none_or(|ticket| !credentials.is_spent(&ticket.id))
    }

    /// The credential with this client id, usable or not.
    pub fn credential(&self, client_id: &ClientId) -> Option<Arc<Credential>> {
        self.inner.credentials.find(client_id)
    }

    /// Whether a credential has this name, usable or not.
    pub fn has_credential(&self, name: &str) -> bool {
        self.inner.credentials.find_named(name).is_some()
    }

    /// When a credential was last used.
    pub fn last_use(&self, client_id: &ClientId) -> Option<Timestamp> {
        self.inner.credentials.last_use(client_id)
    }

    /// Reports changes to credentials, and revoked sessions, from now on.
    pub fn changes(&self) -> Changes {
        self.inner.credentials.changes()
    }

    /// The principal of a credential, if it exists and is usable. Records the use.
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

    /// Authenticates a client by secret and issues an access token, which never outlives the credential.
    pub async fn login(
        &self,
        client_id: &str,
        secret: &Secret,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(Principal, AccessToken), Denied> {
        let credential = self.check_presented(client_id, secret, address, now).await?;
        self.check_address(&credential, address)?;
        let longest = now.plus_seconds(self.inner.access_token_seconds);
        let expires = credential.expires_at.map_or(longest, |end| end.min(longest));
        let token = self.inner.tokens.issue(&credential.client_id, now, expires).map_err(|_| Denied::WrongSecret)?;
        let principal = Principal { credential, session: None, until: Some(expires) };
        Ok((principal, AccessToken { token, expires_in: expires.seconds() - now.seconds() }))
    }

    /// Lets a sender that has proven itself act as the credential with this name. The error follows the credential in a sentence.
    pub async fn act_as(&self, name: &str, now: Timestamp) -> Result<Principal, String> {
        let credentials = &self.inner.credentials;
        let find = || credentials.find_named(name).filter(|credential| credential.is_usable(now));
        if find().is_none() {
            credentials.reread().await;
        }
        let principal = self.admit(find(), None, None, now);
        principal.ok_or_else(|| match credentials.find_named(name) {
            Some(credential) => format!("is {}", credential.state(now)),
            None => "does not exist".to_owned(),
        })
    }

    /// Whether the credential is accepted from this address. If not, the server log says so.
    pub(super) fn check_address(&self, credential: &Credential, address: IpAddr) -> Result<(), Denied> {
        if credential.allows(address) {
            return Ok(());
        }
        self.reject(address, credential.name.as_str(), "this address is not allowed");
        Err(Denied::Elsewhere(address))
    }

    /// Notes in the server log that a request for the credential with this name was rejected.
    pub fn reject(&self, address: IpAddr, credential: &str, reason: &str) {
        self.inner.rejections.add(address, Some(credential), reason, Instant::now());
    }

    /// Reads the credentials again after a change made by this server. Blocks on the disk.
    pub fn refresh(&self) -> Result<(), ReadError> {
        self.inner.credentials.refresh()
    }

    /// Starts a thread that notices changes made by commands. It ends with the last clone of this.
    pub fn watch(&self) {
        let inner = Arc::downgrade(&self.inner);
        let watching = move || {
            while let Some(inner) = inner.upgrade() {
                if let Err(error) = inner.credentials.refresh() {
                    tracing::warn!(%error, "cannot read the credentials again");
                }
                inner.rejections.report_ended(Instant::now());
                drop(inner);
                std::thread::sleep(POLL);
            }
        };
        if let Err(error) = std::thread::Builder::new().name("credentials".to_owned()).spawn(watching) {
            tracing::error!(%error, "cannot watch the credentials: the server notices changes made by commands only after a restart");
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
        // An invalid id takes the same path as an unknown one.
        let client_id =
            ClientId::parse(client_id).or_else(|_| ClientId::parse("-")).map_err(|_| Denied::WrongSecret)?;
        let credential = self.check_secret(&client_id, secret, address, now).await?.ok_or(Denied::WrongSecret)?;
        self.inner.credentials.use_at(&credential.client_id, now);
        Ok(credential)
    }

    /// The credential, if the secret is right and the credential is usable now. A wrong secret is an error after too many
    /// others; a right one never is.
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
        // A command may have created or enabled it a moment ago.
        self.inner.credentials.reread().await;
        let (credential, is_right, is_accepted) = compare();
        if is_accepted {
            return Ok(credential);
        }
        let (known, clock) = (credential.as_ref(), Instant::now());
        let reason = known.filter(|_| is_right).map_or("wrong client id or secret", |known| known.state(now));
        self.inner.rejections.add(address, known.map(|known| known.name.as_str()), reason, clock);
        // The right secret of a credential that is not usable now does not count as a guess.
        let exceeded = (!is_right).then(|| self.inner.limiter.failed(address, client_id, clock)).flatten();
        exceeded.map_or(Ok(None), |exceeded| Err(Denied::TooMany(exceeded)))
    }

    /// The credential, if there is one, and whether the secret is right. Both cases take the same time.
    fn compare(&self, client_id: &ClientId, secret: &Secret) -> (Option<Arc<Credential>>, bool) {
        let credential = self.inner.credentials.find(client_id);
        let nobody = SecretHashes::of_nobody();
        let secrets = credential.as_ref().map_or(&nobody, |credential| &credential.secrets);
        let is_right = secrets.include(secret);
        (credential, is_right)
    }
}
