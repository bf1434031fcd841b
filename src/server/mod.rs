//! The running server: the store, the API over it, the socket in front; how they start and in what order they stop.

mod files;
mod startup;
mod tls;

pub use startup::{Application, Endpoint, StartError};
