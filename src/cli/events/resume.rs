//! How to continue after the last event that a command printed.

use std::{process, sync::Arc, thread};

use actix_web::rt::{System, signal};
use parking_lot::Mutex;

use crate::{cli::events::flags::Asked, terminal};

/// The exit code of a program that SIGINT ends, as shells report it.
const INTERRUPTED: i32 = 130;

/// Prints the cursor on standard error. Durations count from now, so that the flags with the times that they meant follow.
pub(super) fn print(asked: &Asked, cursor: &str) {
    print_cursor(&asked.resolved_flags(), cursor);
}

fn print_cursor(resolved: &str, cursor: &str) {
    terminal::line(format_args!("next cursor: {cursor}"));
    if !resolved.is_empty() {
        terminal::line(format_args!("durations count from now, so continue with:{resolved} --cursor {cursor}"));
    }
}

/// The position after the last printed event, which Ctrl-C prints.
#[derive(Clone, Default)]
pub(super) struct Resume(Arc<Mutex<Option<String>>>);

impl Resume {
    /// Prints the position and ends the process when the user presses Ctrl-C.
    pub(super) fn print_when_interrupted(asked: &Asked) -> Self {
        let (resume, resolved) = (Self::default(), asked.resolved_flags());
        let shared = resume.clone();
        resume.set(asked.cursor());
        thread::spawn(move || {
            if System::new().block_on(signal::ctrl_c()).is_ok() {
                if let Some(cursor) = &*shared.0.lock() {
                    print_cursor(&resolved, cursor);
                }
                process::exit(INTERRUPTED);
            }
        });
        resume
    }

    pub(super) fn set(&self, cursor: Option<&str>) {
        if let Some(cursor) = cursor {
            *self.0.lock() = Some(cursor.to_owned());
        }
    }
}
