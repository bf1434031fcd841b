//! Why a server did not start or did not stop well.

use std::{io, net::SocketAddr, path::PathBuf};

use crate::store::{CloseError, ReadError};

/// Why the server did not start, or did not stop well.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is in use, or does not belong to this machine.
    #[error(
        "cannot listen on {address}: {source}; stop the program that listens there (another auditbox?), or set another \
         address with [server] listen"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The address of a listener for syslog is in use, or does not belong to this machine.
    #[error(
        "[[syslog]] {name}: cannot listen on {address}: {source}; stop the program that listens there, or set another \
         address with listen"
    )]
    Syslog {
        /// The name of the listener.
        name: String,
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error("TLS: {}: {message}", .path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A route of the configuration cannot be used.
    #[error("{0}")]
    Route(String),
    /// The handlers for stop signals could not be installed.
    #[error("cannot receive signals to stop: {0}")]
    Signals(io::Error),
    /// The database cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The server stopped with an error.
    #[error("the server stopped: {0}")]
    Io(#[from] io::Error),
    /// The writer stopped early.
    #[error("the server stopped writing early: {0}")]
    Writer(#[from] CloseError),
}
