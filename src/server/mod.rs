//! The running server: store, API and socket, started and stopped in order.

mod accept;
mod error;
mod files;
mod io;
mod keys;
mod startup;
mod syslog;
mod tls;

pub use error::StartError;
pub use startup::{Application, Endpoint};
