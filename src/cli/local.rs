//! The server that runs on the database file, as commands on the same machine find it and sign in to it.
//!
//! A server writes its address, and the identity of its database, into the lock file next to the database. A command that
//! can read the database can read the key in it, and signs a short-lived token with that key. So it asks the server, which
//! has the index in memory, instead of reading the index from the file. A token is sent to this machine only.
//!
//! An address stays when a server is killed, and then any program may listen there. So the address counts only while a
//! process holds the lock of the database, and before each request the server proves that it has the file open
//! ([`FileProof`]). Only after that is a token sent.
//!
//! Everything here is optional: without an address, or if the server does not respond, the command reads the file. A server
//! with TLS leaves no address, because its certificate is for another name.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use ureq::Agent;

use crate::{
    auth,
    cli::{client::Client, failure::Failure},
    config::Config,
    model::{
        file_proof::{self, FileProof, local_address},
        timestamp::Timestamp,
    },
    platform::{file, lock},
    store,
};

/// How long a server may take to respond to the first request. It answers from memory.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// The address of a running server, which commands can find until this is dropped.
pub(super) struct Published<'p>(Option<&'p Path>);

impl<'p> Published<'p> {
    /// Leaves the address of the server of `config`, whose real port is set, for commands.
    pub(super) fn new(config: &'p Config) -> Self {
        let path = config.database.path.as_path();
        let address = local_address(config.server.listen);
        let is_reachable = config.server.tls().is_none() && address.ip().is_loopback();
        let identity = file::identity_at(path).ok().filter(|_| is_reachable);
        let written = identity.and_then(|identity| write(path, &format!("{address} {identity}\n")));
        Self(written.map(|()| path))
    }
}

impl Drop for Published<'_> {
    fn drop(&mut self) {
        // An address that stays is not used without the lock.
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
    // Before SQLite opens the file in this process: closing the file would end SQLite's locks.
    if !lock::may_be_locked(&fs::File::open(path).ok()?) {
        return None;
    }
    let key = store::access_token_key(path).ok()?;
    let proof = FileProof::new(&key);
    let authorize = move |agent: &Agent| {
        prove(agent, address, &proof)?;
        auth::command_line_token(&key, Timestamp::now()).ok_or_else(|| Failure::new("no token could be made"))
    };
    let client = Client::local(format!("http://{address}"), authorize);
    client.is_authorized().then_some(client)
}

/// Succeeds if the server at `address` proves that it has the file open.
fn prove(agent: &Agent, address: SocketAddr, proof: &FileProof) -> Result<(), Failure> {
    let challenge = FileProof::challenge().map_err(|error| Failure::new(error.to_string()))?;
    let request = agent.get(format!("http://{address}/healthz")).header(file_proof::CHALLENGE, &challenge);
    let mut response = request
        .config()
        .timeout_global(Some(ANSWER_WITHIN))
        .build()
        .call()
        .map_err(|error| Failure::new(format!("http://{address}: {error}")))?;
    let given = response.headers().get(file_proof::PROOF).and_then(|value| value.to_str().ok());
    let is_proven = given.is_some_and(|given| proof.is_proven(&challenge, address, given));
    // A connection whose response was read serves the next request too.
    drop(response.body_mut().read_to_vec());
    if is_proven {
        return Ok(());
    }
    Err(Failure::new(format!("http://{address}: the program there has another database")))
}
