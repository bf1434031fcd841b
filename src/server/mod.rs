//! The running server: the store, the API over it, the socket in front; how they start and in what order they stop.

mod accept;
mod files;
mod io;
mod startup;
mod tls;

pub use startup::{Application, Socket, StartError};
