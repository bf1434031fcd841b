//! Authentication, and the self-audit records of authenticated requests.
//!
//! [`Authenticator`] checks tokens, secrets and sessions; [`Recorder`] records every authenticated request; [`LastUsed`]
//! saves when each credential was last used. All work from memory, so that a read never waits for the disk. HTTP headers and
//! cookies belong to `http`, the formats of tokens and tickets to `model`, and their storage to `store`.

mod authenticator;
mod credential_cache;
mod last_used;
mod limiter;
mod recorder;
mod rejections;
mod session;
mod sign_in;

pub use authenticator::{AccessToken, Authenticator, AuthenticatorOptions, Denied, Principal};
pub use credential_cache::Changes;
pub use last_used::LastUsed;
pub use limiter::{Exceeded, network};
pub use recorder::Recorder;
pub use session::{SessionToken, cancel_sign_in_code, command_line_token, sign_in_code};
