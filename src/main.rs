//! The `auditbox` program. All of its code is in the library; see `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    auditbox::cli::run()
}
