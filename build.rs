//! Passes the commit of the build to the program: the value of `AUDITBOX_COMMIT`, otherwise what git reports for this
//! directory.
//!
//! Neither is required. Built from a source archive or without git, the program reports an unknown commit. A debug
//! build does not ask git, because it would then be rebuilt after every commit.

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-env-changed=AUDITBOX_COMMIT");
    for path in ["build.rs", "Cargo.toml", "Cargo.lock", "schema.sql", "src"] {
        println!("cargo::rerun-if-changed={path}");
    }
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = env::var("AUDITBOX_COMMIT").ok().or_else(|| is_release.then(commit_of_git).flatten());
    if let Some(commit) = commit {
        println!("cargo::rustc-env=AUDITBOX_COMMIT={commit}");
    }
}

/// The checked-out commit, marked if files differ from it.
fn commit_of_git() -> Option<String> {
    // A directory above this one may belong to another repository.
    if !Path::new(".git").exists() {
        return None;
    }
    for file in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", file])?;
        println!("cargo::rerun-if-changed={path}");
    }
    git(&["describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=-modified"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = output.status.success().then(|| String::from_utf8(output.stdout).ok())??;
    Some(text.trim().to_owned())
}
