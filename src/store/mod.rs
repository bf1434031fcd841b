//! The file: one writer thread, a pool of read-only connections.
//!
//! [`Store::open`] is the only way in. A [`Writer`] and a [`Reader`] are cheap handles of different types; neither lets a
//! connection, a transaction or a type of rusqlite out. Everything that waits for the disk is here.

mod body;
mod checkpoint;
mod credential;
mod error;
mod event;
mod lock;
mod open;
mod prepared;
mod queue;
mod reader;
mod spent;
mod writer;

use std::path::{Path, PathBuf};

pub use error::{AppendError, ChangeError, OpenError, ReadError, WriteError};
pub use lock::Lock;
pub use open::change_credential_directly;
pub use prepared::Prepared;
pub use queue::QueueLimits;
pub use reader::{Page, Reader, Slice};
pub use writer::{Outcome, Pending, Policy, Writer};

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// The SQLite file; made if there is none.
    pub path: PathBuf,
    /// Connections that read at the same time.
    pub readers: u32,
    /// How much may wait to be written.
    pub queue: QueueLimits,
}

/// An open file, and the lock that keeps other servers from it.
pub struct Store {
    /// Writes.
    pub writer: Writer,
    /// Reads.
    pub reader: Reader,
    /// Reads for the server itself, on a connection that no question can take.
    pub own_reader: Reader,
    thread: writer::Thread,
    _lock: Lock,
}

impl Store {
    /// Opens the file, makes or migrates it where needed, and starts its writer.
    pub fn open(options: &Options) -> Result<Self, OpenError> {
        let lock = Lock::take(&options.path)?;
        let connection = open::writable(&options.path)?;
        let reader = Reader::open(&options.path, options.readers)?;
        let own_reader = Reader::open(&options.path, 1)?;
        let checkpoints = checkpoint::Checkpoints::start(&options.path)?;
        let (writer, thread) = writer::start(connection, checkpoints, options.queue)?;
        Ok(Self { writer, reader, own_reader, thread, _lock: lock })
    }

    /// Finishes what was queued, then closes the file. Says whether everything went well to the end.
    pub fn close(self) -> Result<(), WriteError> {
        // SQLite removes its log when the last connection closes, which only one that writes can do.
        drop((self.reader, self.own_reader));
        self.thread.finish()
    }
}

/// Opens an existing file for reading alone, beside whatever server may have it open.
pub fn open_for_reading(path: &Path) -> Result<Reader, OpenError> {
    open::check_readable(path)?;
    Reader::open(path, 1)
}
