//! The running server: store, API and socket, started and stopped in order.

mod startup;
mod tls;

pub use startup::{Application, Endpoint, StartError};
