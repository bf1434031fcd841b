//! The limit on open files, which includes connections.

use crate::{config::Config, platform::process, server::accept};

/// Open files per connection to the database: the file and its `-wal`.
const FILES_OF_A_READER: usize = 2;
/// Connections to the database besides the readers: writer, checkpoints, retention, credentials.
const OWN_READERS: usize = 4;
/// Open files of a request thread's event loop.
const FILES_OF_A_WORKER: usize = 4;
/// Open files of the process itself: standard streams, socket, signals, lock, `-shm`, a temporary file.
const FILES_OF_THE_PROCESS: usize = 20;

/// The number of connections that the open-file limit allows, at most the configured number. If connections used up all files,
/// the system would accept no connection for a while and the database could not be read.
pub(super) fn connections_max(config: &Config, workers: usize) -> usize {
    let configured = config.server.connections_max;
    let readers = OWN_READERS + usize::try_from(config.database.readers).unwrap_or(usize::MAX);
    let others = FILES_OF_THE_PROCESS + FILES_OF_A_READER * readers + FILES_OF_A_WORKER * workers;
    let needed = |connections| accept::connections_of_a_worker(connections, workers).saturating_mul(workers) + others;
    let Some(files) = process::open_files_max().and_then(|files| usize::try_from(files).ok()) else {
        return configured;
    };
    if needed(configured) <= files {
        return configured;
    }
    let (mut connections, mut too_many) = (1, configured);
    while too_many - connections > 1 {
        let middle = usize::midpoint(connections, too_many);
        if needed(middle) <= files { connections = middle } else { too_many = middle }
    }
    tracing::warn!(
        "the system allows this process {files} open files, and [server] connections_max = {configured} needs {}: only \
         {connections} connections are used. Raise the limit (ulimit -n, or LimitNOFILE= in the systemd unit), or lower \
         connections_max",
        needed(configured)
    );
    connections
}
