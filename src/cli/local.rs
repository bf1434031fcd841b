//! The server that runs on the database file, as commands on the same machine find it and sign in to it.
//!
//! A server writes its address, and the identity of its database, into the lock file next to the database. A command that
//! can read the database can read the key in it, and signs a short-lived token with that key. So it asks the server, which
//! has the index in memory, instead of reading the index from the file. A token is sent to this machine only.
//!
//! Everything here is optional: without an address, or if the server does not respond, the command reads the file. A server
//! with TLS leaves no address, because its certificate is for another name.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use ureq::Agent;

use crate::{auth, cli::client::Client, config::Config, model::timestamp::Timestamp, platform::file, store};

/// How long a server may take to respond to the first request. It answers from memory.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// The address of a running server, which commands can find until this is dropped.
pub(super) struct Published<'p>(Option<&'p Path>);

impl<'p> Published<'p> {
    /// Leaves the address of the server of `config`, whose real port is set, for commands.
    pub(super) fn new(config: &'p Config) -> Self {
        let path = config.database.path.as_path();
        let mut address = config.server.listen;
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv4() {
                [127, 0, 0, 1].into()
            } else {
                std::net::Ipv6Addr::LOCALHOST.into()
            });
        }
        let is_reachable = config.server.tls().is_none() && address.ip().is_loopback();
        let identity = file::identity_at(path).ok().filter(|_| is_reachable);
        let written = identity.and_then(|identity| write(path, &format!("{address} {identity}\n")));
        Self(written.map(|()| path))
    }
}

impl Drop for Published<'_> {
    fn drop(&mut self) {
        // An address that stays leads to nothing.
        let _ = self.0.and_then(|path| write(path, ""));
    }
}

fn write(path: &Path, text: &str) -> Option<()> {
    fs::write(store::lock_file(path)?, text).ok()
}

/// The server that runs on this database, if it responds.
pub(super) fn find(path: &Path) -> Option<Client> {
    let text = fs::read_to_string(store::lock_file(path)?).ok()?;
    let (address, identity) = text.trim_end().split_once(' ')?;
    let address: SocketAddr = address.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback())?;
    // A copy of the directory has the address too, but another file.
    if file::identity_at(path).ok()?.to_string() != identity {
        return None;
    }
    let base = format!("http://{address}");
    let agent = Agent::config_builder().proxy(None).timeout_global(Some(ANSWER_WITHIN)).build().new_agent();
    let health = agent.get(format!("{base}/healthz")).call();
    let key = health.ok().and_then(|_| store::access_token_key(path).ok())?;
    let authorize = move || auth::command_line_token(&key, Timestamp::now()).unwrap_or_default();
    Some(Client::local(base, authorize))
}
