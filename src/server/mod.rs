//! The running server: store, API and socket, started and stopped in order.

mod accept;
mod files;
mod io;
mod startup;
mod tls;

pub use startup::{Application, Endpoint, StartError};
