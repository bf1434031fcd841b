//! Reads the keys with which the senders of routes sign.

use std::{env, fs};

use crate::model::route::signature::{Key, KeySource};

/// The key. The error follows the source in a sentence.
pub(super) fn read(source: &KeySource) -> Result<Key, String> {
    match source {
        KeySource::Given(key) => Ok(key.clone()),
        KeySource::Variable(name) => env::var(name).map(Key::new).map_err(|_| "is not set, or is not UTF-8".to_owned()),
        KeySource::InFile(path) => {
            let text = fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
            // Editors and `echo` end a file with a line break.
            Ok(Key::new(text.trim_end_matches(['\r', '\n']).to_owned()))
        }
    }
}
