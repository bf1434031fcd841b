//! The `auditbox` program. Everything it does is in the library; see `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    auditbox::cli::run()
}
