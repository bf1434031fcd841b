//! Why a configuration was rejected.

use std::path::PathBuf;

/// Why there is no configuration. Each message says where the mistake is and how to correct it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration file {}: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: std::io::Error,
    },
    /// The file is not valid TOML.
    #[error("{origin}: {cause}")]
    Toml {
        /// The file.
        origin: String,
        /// The parser's message, with line and column.
        cause: String,
    },
    /// A section, a key or a value is invalid.
    #[error("{origin}: {place} {problem}")]
    Key {
        /// The file, or the environment variable that set the key.
        origin: String,
        /// `[section] key`, or as much of it as is known.
        place: String,
        /// What is wrong, and what to write instead.
        problem: String,
    },
}

/// An invalid setting, before it is known where it was set.
pub(super) struct Problem {
    pub(super) section: &'static str,
    pub(super) key: &'static str,
    /// What is wrong and what to do. It follows the key's name in a sentence.
    pub(super) text: String,
}
