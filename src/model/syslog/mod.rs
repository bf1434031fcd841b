//! Listeners for syslog, `[[syslog]]` of the configuration.
//!
//! What belongs here: the description of a listener. What does not: sockets and messages (`doors::syslog`).

mod read;

use std::{net::SocketAddr, path::PathBuf};

use crate::model::{credential::CredentialName, zone::Zone};

/// The section of the configuration that holds listeners.
pub const SECTION: &str = "syslog";

/// A socket that receives syslog messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogListener {
    /// Its name, unique among the listeners.
    pub name: String,
    /// The address and port.
    pub listen: SocketAddr,
    /// How messages are transported.
    pub protocol: Transport,
    /// The certificate and its key. Every listener with TLS has them, and no other.
    pub tls: Option<SyslogTls>,
    /// The name of the preset that maps its records.
    pub preset: String,
    /// The zone of times without an offset.
    pub zone: Zone,
    /// The credential that it acts as. Its allowed addresses apply to senders.
    pub credential: CredentialName,
    /// Maximum number of bytes of a message. A longer one is cut.
    pub frame_bytes_max: usize,
    /// Maximum number of open connections.
    pub connections_max: usize,
}

/// How messages are transported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A datagram for each message.
    Udp,
    /// A stream of messages.
    Tcp,
    /// A stream of messages within TLS.
    Tls,
}

impl Transport {
    const ALL: [Self; 3] = [Self::Udp, Self::Tcp, Self::Tls];

    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

/// The PEM files of a listener with TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogTls {
    /// The certificate chain.
    pub certificate: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// The authorities that sign the certificates of senders. Without it, senders need no certificate.
    pub client_ca: Option<PathBuf>,
}
