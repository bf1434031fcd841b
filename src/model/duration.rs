//! Durations as people write them: `90d`, `12h`, `30s`.

/// A hundred years. A longer duration is a typing error, and could end after the last valid date.
const SECONDS_MAX: u64 = 100 * 365 * 24 * 60 * 60;

/// Parses a duration such as `90d` or `1h 30m` as whole seconds, from one second to a hundred years. The error says what
/// is wrong with the text.
pub fn parse_seconds(text: &str) -> Result<u64, String> {
    let duration =
        humantime::parse_duration(text).map_err(|error| format!("{error}; use a form such as 90d or 12h"))?;
    match duration.as_secs() {
        0 => Err("must be at least one second".to_owned()),
        seconds if seconds > SECONDS_MAX => Err("must be at most a hundred years (36500d)".to_owned()),
        seconds => Ok(seconds),
    }
}
