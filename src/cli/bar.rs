//! A progress bar for long steps of opening or checking a file.

use std::cell::RefCell;

use indicatif::{ProgressBar, ProgressStyle};

use crate::{store::Progress, terminal};

/// A bar on standard error. It appears with the first progress and is removed at the end.
#[derive(Default)]
pub(super) struct TerminalProgress(RefCell<Option<(&'static str, ProgressBar)>>);

impl Progress for TerminalProgress {
    fn advance(&self, what: &'static str, done: i64, total: i64) {
        let mut slot = self.0.borrow_mut();
        let bar = match &*slot {
            Some((known, bar)) if *known == what => bar,
            _ => {
                if let Some((_, former)) = slot.take() {
                    former.finish_and_clear();
                }
                &slot.insert((what, new_bar(what))).1
            }
        };
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        bar.set_length(count(total));
        bar.set_position(count(done));
    }
}

impl Drop for TerminalProgress {
    fn drop(&mut self) {
        if let Some((_, bar)) = self.0.take() {
            bar.finish_and_clear();
        }
    }
}

fn new_bar(what: &'static str) -> ProgressBar {
    let template = "{msg}  {wide_bar} {human_pos}/{human_len}  {eta} left";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(0).with_style(style).with_message(what);
    if bar.is_hidden() {
        // Without a terminal, the line shows in a log what took the time.
        terminal::line(format_args!("{what} …"));
    }
    bar
}
