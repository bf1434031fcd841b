//! Who gets in, and the record of it.
//!
//! [`Authenticator`] turns what a client presents into a credential or a refusal; [`Recorder`] puts every authenticated request on
//! the record. Both work from memory and never wait for the disk on the way of a read.

mod authenticator;
mod credential_cache;
mod last_used;
mod limiter;
mod recorder;
mod rejections;
mod session;

pub use authenticator::{AccessToken, Authenticator, AuthenticatorOptions, Denied, Principal};
pub use credential_cache::Changes;
pub use last_used::LastUsed;
pub use limiter::{Exceeded, network};
pub use recorder::Recorder;
pub use session::{SessionToken, cancel_sign_in_code, sign_in_code};
