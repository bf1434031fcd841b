//! Durations as people write them: `90d`, `12h`, `30s`.

/// Reads a duration such as `90d` or `1h 30m` as whole seconds, of which there is at least one. The error says what is
/// wrong with the text.
pub fn parse_seconds(text: &str) -> Result<u64, String> {
    let duration = humantime::parse_duration(text).map_err(|error| format!("{error}; write for example 90d or 12h"))?;
    match duration.as_secs() {
        0 => Err("must be at least one second".to_owned()),
        seconds => Ok(seconds),
    }
}
