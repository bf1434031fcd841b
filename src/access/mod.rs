//! Who gets in, and the record of it.
//!
//! [`Gate`] turns what a client presents into a credential or a refusal; [`Recorder`] puts every authenticated request on
//! the record. Both work from memory and never wait for the disk on the way of a read.

mod directory;
mod gate;
mod limiter;
mod recorder;
mod rejections;
mod session;
mod uses;

pub use directory::Changes;
pub use gate::{AccessToken, Admission, Denied, Gate, GateOptions};
pub use limiter::{Exceeded, network};
pub use recorder::Recorder;
pub use session::{SessionToken, sign_in_code};
pub use uses::Uses;
